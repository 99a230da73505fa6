"""The settings of pre-training: towers, pairs, objective, training."""

from pathlib import PurePath
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tfmm.records.sources import SOURCES
from tfmm.schema import Part

Positive = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
_MODALITY = "(?:image|text|vector|fused)"
TaskText = Annotated[
    str, Field(pattern=rf"^(?:(?:{'|'.join(SOURCES)}):)?{_MODALITY}->{_MODALITY}$")
]


class Tower(Part):
    """A tower: a size trained from scratch, or a preset's backbone.

    Args:
        size: `micro`, `tiny`, `small` or `base`; by default `micro`.
        preset: A local preset folder or a hub's name, instead of `size`.
        dimension: Length of the vectors; null takes a preset's own embedding.
        freeze: Name of the last stage that is not trained, or `backbone`; by default
            all are.
        backbone_rate: Learning rate of a preset's backbone, as a multiple of
            `learning_rate`.
    """

    size: Literal["micro", "tiny", "small", "base"] | None = None
    preset: str | None = None
    dimension: Positive | None = 64
    freeze: str | None = None
    backbone_rate: Annotated[float, Field(ge=0)] = 0.1

    @model_validator(mode="after")
    def _start(self) -> Self:
        if self.size and self.preset:
            raise ValueError("takes a `size` or a `preset`, not both; leave one out")
        if self.dimension is None and not self.preset:
            raise ValueError("needs a `dimension`, such as 64; null is for a preset")
        if self.dimension is None and self.freeze == "backbone":
            raise ValueError(
                "has nothing to train: give a `dimension`, or freeze less than all"
            )
        return self


class ImageTower(Tower):
    """The picture tower.

    Args:
        image_size: Side of the pictures that the tower sees; by default 64, or what
            the preset has.
        augment: Whether training pictures are cropped, flipped and recoloured a
            little.
    """

    image_size: Positive | None = None
    augment: bool = True


class TextTower(Tower):
    """The title tower.

    Args:
        sequence_length: Tokens of a title; by default 24, or what the preset has.
        vocabulary_size: Word pieces to learn from the titles, without a preset; by
            default 8,000.
        mask_words: Share of the words of training texts that are left out.
    """

    sequence_length: Positive | None = None
    vocabulary_size: Positive | None = None
    mask_words: Share = 0.0

    @model_validator(mode="after")
    def _words(self) -> Self:
        if self.vocabulary_size and self.preset:
            raise ValueError(
                "takes the preset's own vocabulary; leave `vocabulary_size` out"
            )
        return self


class VectorTower(Part):
    """Vectors of your own as a tower.

    Args:
        file: Parquet with an id column and a list column, or `.npy` with `ids`.
        ids: File of the ids of a `.npy` matrix's rows, or the name of the Parquet
            file's id column; by default its only column of integers or text.
        projection: What is trained on top: `none`, `linear` or `mlp`.
        dimension: Length of the projected vectors; with `none` the file's own.
    """

    file: str
    ids: str | None = None
    projection: Literal["none", "linear", "mlp"] = "linear"
    dimension: Positive | None = None

    @property
    def files(self) -> list[str]:
        """The files that are read.

        Example:
            >>> VectorTower(file="v.npy", ids="i.npy").files
            ['v.npy', 'i.npy']
            >>> VectorTower(file="v.parquet", ids="sku").files  # a column
            ['v.parquet']
        """
        return [self.file, *([self.ids] if self.ids and not self.is_parquet else [])]

    @property
    def is_parquet(self) -> bool:
        """Whether the file has its ids in a column of its own."""
        return PurePath(self.file).suffix == ".parquet"


class FusedTower(Part):
    """One vector of picture and title together.

    Args:
        dimension: Length of the vectors.
    """

    dimension: Positive = 64


class MomentumRamp(Part):
    """A momentum that rises along a cosine; see `tfmm.pretrain.Ramp`.

    Args:
        start: At the first step.
        end: From `steps` on.
        steps: By default those of the whole training.
    """

    start: Annotated[float, Field(ge=0, le=1)] = 0.9
    end: Annotated[float, Field(ge=0, le=1)] = 0.999
    steps: Positive | None = None


class Pretrain(Part):
    """SCL; see `tfmm.pretrain.SCL`.

    Args:
        image: The picture tower; absent for none.
        text: The title tower; absent for none.
        vector: Vectors of your own as a tower; absent for none.
        fused: One vector of picture and title together, on top of both towers.
        tasks: `[source:]query->item`, such as `image->image` or `item:text->image`; by
            default one per tower. The source of the pairs is `search` (what was
            searched for -> bought), `clicked` (clicked -> bought in one search) or
            `item` (an item's own title -> its own picture).
        pairs: Folder of training pairs of your own, in the place of those that
            search-pairs makes. Pairs of the test's time stop the run.
        bank_size: Keys of the memory bank; by default up to 196,800.
        bank_start: Steps before the bank's keys count as negatives.
        momentum: Of the momentum tower: a number, or `{start, end}` of a ramp.
        temperature: tau at the start; it is learned.
        margin: Of the triplet term.
        triplet_weight: Of the triplet term; 0 leaves it out.
        symmetric: Whether items look for their queries too.
        batch_size: Pairs per step.
        chunk_size: Rows that are encoded at once, so that a batch of thousands fits a
            small memory; by default all.
        epochs: Passes over the pairs.
        learning_rate: Peak of a cosine schedule.
        mixed_precision: `bfloat16` (newer GPUs, TPUs) or `float16`; by default none.
        early_stop: Epochs without a better Acc@5 after which the training stops, with
            the best epoch's weights; by default never. The test pairs decide, so that
            what is then measured on them flatters a little.
        checkpoint_every: Steps between checkpoints within an epoch. Each epoch's end
            has one anyway.
        show_searches: Whether neighbour sheets may show the words and photos of
            searches, which no other output does; for simulated or public data.
        tensorboard: Whether to write the curves for TensorBoard, below the out folder.
    """

    image: ImageTower | None = None
    text: TextTower | None = None
    vector: VectorTower | None = None
    fused: FusedTower | None = None
    tasks: Annotated[list[TaskText], Field(min_length=1)] | None = None
    pairs: str | None = None
    bank_size: Annotated[int, Field(ge=0)] | None = None
    bank_start: Annotated[int, Field(ge=0)] = 0
    momentum: Annotated[float, Field(ge=0, le=1)] | MomentumRamp = 0.99
    temperature: Rate = 0.07
    margin: float = 0.1
    triplet_weight: Annotated[float, Field(ge=0)] = 10.0
    symmetric: bool = False
    batch_size: Positive = 64
    chunk_size: Positive | None = None
    epochs: Positive = 3
    learning_rate: Rate = 1e-3
    mixed_precision: Literal["bfloat16", "float16"] | None = None
    early_stop: Positive | None = None
    checkpoint_every: Positive = 1000
    show_searches: bool = False
    tensorboard: bool = False

    @property
    def sources(self) -> tuple[str, ...]:
        """Where the tasks' pairs come from.

        Example:
            >>> Pretrain(text=TextTower(), tasks=["item:text->text"]).sources
            ('item',)
        """
        if self.tasks is None:
            media = {"search"} if self.image or self.text else set()
            named = media | ({"clicked"} if self.vector else set())
        else:
            named = {t.split(":")[0] if ":" in t else "search" for t in self.tasks}
        return tuple(source for source in SOURCES if source in named)

    @model_validator(mode="after")
    def _towers(self) -> "Pretrain":
        if not (self.image or self.text or self.vector):
            raise ValueError("needs an image tower, a text tower or both, or vectors")
        if self.fused and not (self.image and self.text):
            raise ValueError("needs an image and a text tower for the fused vector")
        return self
