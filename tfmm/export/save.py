"""Writes, verifies and publishes the SavedModels that TF Serving runs."""

import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfmm.errors import TfmmError
from tfmm.export.border import Arrays, HasValues, to_batch, to_request
from tfmm.export.finish import finish
from tfmm.export.graph import load_saved_model, read_graph, signatures
from tfmm.export.inputs import signature_inputs
from tfmm.export.publish import new_version, write_models_config
from tfmm.export.ranker import ServedRanker
from tfmm.export.sample import picture_sample
from tfmm.export.serving_files import write_serving_files
from tfmm.export.warmup import Answered, Call
from tfmm.layers.rounded_tables import rounded_tables
from tfmm.records.index import ItemIndex


def export_ranker(
    ranker: Any,
    base: str | Path,
    index: ItemIndex,
    vocabularies: HasValues,
    sample: Arrays,
    version: int | None = None,
    metadata: Mapping[str, Any] | None = None,
    name: str = "ranker",
    signatures: Iterable[str] = (),
    tables: str = "float32",
    accept: Callable[[Path], None] | None = None,
) -> Path:
    """Publishes a ranker as the next version of `base/name`.

    The SavedModel is written aside, checked for what TF Serving cannot run, replayed
    through TensorFlow's C API in another process and compared with the ranker in
    memory on the sample; only then it gets its number. `base/models.config` is
    renewed.

    Args:
        ranker: A Keras model: batch dict -> logits float32 `[B, N]`, or a dict of them
            by label, with `spec` and `known(rows)`.
        base: The folder of all models, e.g. `saved_models`.
        index: The item index it was trained with.
        vocabularies: The vocabularies it was trained with.
        sample: A few real requests, either a batch of `tfmm.data.requests` or tensors
            of the signature. They verify the export and become its warm-up requests.
        version: The version's number; the next free one when absent.
        metadata: Further facts for `assets.extra/tfmm.json`, e.g. metrics.
        name: The model's name.
        signatures: Signatures besides `rank`, each a graph of its own over the same
            variables: `rank_flat`, `rank_examples`, `rank_rows`, `rank_with_vectors`,
            `explain`, `similar_items`. `serving_default` is `rank`.
        tables: How the trained embedding tables are stored: `"float32"`, `"float16"`
            or `"int8"` with a scale per row (`tfmm.layers.rounded_tables`). What is
            served then equals the ranker with its tables so rounded. The catalog's
            vectors are int8 in any case.
        accept: Called with the finished, verified draft before it gets its number; it
            refuses by raising.

    Returns:
        The numbered folder.

    Raises:
        TfmmError: If the ranker, index and sample do not fit together or the export
            could not be served. Nothing is published then.
    """
    with (
        rounded_tables(ranker, tables),
        new_version(Path(base) / name, version) as draft,
        draft.scratch() as lookups,
    ):
        module = ServedRanker(ranker, index, vocabularies, lookups, signatures)
        tf.saved_model.save(module, str(draft.folder), signatures=module.functions)
        request, batch = _both_forms(
            sample, ranker.spec, index, vocabularies, module.base_score
        )
        facts = {
            "fingerprint": getattr(ranker, "fingerprint", None),
            "index": index.stamp(),
            "spec": ranker.spec.to_dict(),
            "tables": tables,
            **(metadata or {}),
        }
        answered, warmup = module.answered(request, batch), module.warmup(request)
        finish(draft.folder, name, answered, warmup, facts)
        if accept is not None:
            accept(draft.folder)
    write_models_config(base)
    write_serving_files(base)
    assert draft.published is not None
    return draft.published


def export_item_encoder(
    folder: str | Path,
    base: str | Path,
    sample: Arrays | None = None,
    version: int | None = None,
    metadata: Mapping[str, Any] | None = None,
    name: str = "item_encoder",
) -> Path:
    """Publishes a SavedModel with the signature `encode_item` as the next version.

    It is checked and replayed as in `export_ranker`; the C API's vectors must equal
    those of TensorFlow's own loader.

    Args:
        folder: The SavedModel that the encoders' stage wrote; it stays as it is.
        base: The folder of all models, e.g. `saved_models`.
        sample: Inputs of a few real items, by name of the signature's inputs; a small
            drawn picture with a short title when absent.
        version: The version's number; the next free one when absent.
        metadata: Further facts for `assets.extra/tfmm.json`.
        name: The model's name.

    Returns:
        The numbered folder.

    Raises:
        TfmmError: If the folder holds no such SavedModel or it could not be served.
    """
    folder = Path(folder)
    if not (folder / "saved_model.pb").is_file():
        raise TfmmError(
            f"`{folder}` holds no SavedModel. Received: no saved_model.pb. "
            "Run the encoders' stage first."
        )
    with new_version(Path(base) / name, version) as draft:
        # The manifest speaks of the folder as it was, without warm-up requests.
        without = shutil.ignore_patterns("manifest.json")
        shutil.copytree(folder, draft.folder, ignore=without, dirs_exist_ok=True)
        found = signatures(read_graph(draft.folder))
        if "encode_item" not in found:
            raise TfmmError(
                f"`{folder}` is no item encoder. Expected: signature encode_item. "
                f"Received: {sorted(found)}. Pass the encoders' saved_model folder."
            )
        calls = [
            Call(key, sample or picture_sample(signature))
            for key, signature in sorted(found.items())
        ]
        loaded = load_saved_model(draft.folder)
        answered = [Answered(call, _run_loaded(loaded, call)) for call in calls]
        finish(draft.folder, name, answered, calls, dict(metadata or {}))
    write_models_config(base)
    write_serving_files(base)
    assert draft.published is not None
    return draft.published


def _both_forms(
    sample: Arrays, spec: Any, index: ItemIndex, vocabularies: HasValues, base: bool
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The sample as the signature takes it and as the ranker takes it."""
    arrays = {name: np.asarray(value) for name, value in sample.items()}
    if "item_id" in arrays:
        taken = {i.name for i in signature_inputs(spec, index.id_type, base)}
        request = {name: value for name, value in arrays.items() if name in taken}
        return request, to_batch(request, spec, index, vocabularies)
    return to_request(arrays, spec, index, vocabularies, base), arrays


def _run_loaded(loaded: Any, call: Call) -> dict[str, np.ndarray]:
    function = loaded.signatures[call.signature]
    dtypes = function.structured_input_signature[1]
    inputs = {
        name: tf.constant(value, dtypes[name].dtype)
        for name, value in call.inputs.items()
    }
    return {name: value.numpy() for name, value in function(**inputs).items()}
