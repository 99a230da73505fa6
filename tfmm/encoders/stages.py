"""The parts of a tower that a person freezes: named, from input to output."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import keras


@dataclass(frozen=True)
class Stage:
    """Layers that are frozen, or trained at one rate, together.

    Args:
        name: What the layers' names share, e.g. `"transformer_layer_3"`, `"stack1"`.
        layers: The layers.
        backbone: Whether they are the backbone's; else they are the head's.
    """

    name: str
    layers: tuple[keras.layers.Layer, ...]
    backbone: bool


def stages_of(tower: keras.Model) -> list[Stage]:
    """A tower's stages, from input to output.

    Models inside the tower are its backbone, opened down to their blocks; plain layers
    are its head. Layers whose names agree up to their first number are one stage:
    `stack0_block0_conv` and `stack0_block1_conv` are `stack0`. A name that several
    models or stacks hold is told apart by theirs: `stage_0/blocks_1`.

    Args:
        tower: A Keras model whose backbone is a model of its own.

    Example:
        >>> backbone = keras.Sequential(
        ...     [keras.Input((4,)), keras.layers.Dense(3, name="block1_dense"),
        ...      keras.layers.Dense(2, name="block1_out")])
        >>> tower = keras.Sequential(
        ...     [keras.Input((4,)), backbone, keras.layers.Dense(1, name="projection")])
        >>> [(stage.name, stage.backbone) for stage in stages_of(tower)]
        [('block1', True), ('projection', False)]
    """
    found: dict[tuple[str, str, bool], list[keras.layers.Layer]] = {}
    for layer in tower.layers:
        backbone = isinstance(layer, keras.Model)
        for home, unit in _units(layer, tower):
            if unit.weights:
                key = (home.name, _stage_name(unit.name, home.name), backbone)
                found.setdefault(key, []).append(unit)
    held = Counter(name for _, name, _ in found)
    return [
        Stage(
            f"{home}/{name}" if backbone and held[name] > 1 else name,
            tuple(layers),
            backbone,
        )
        for (home, name, backbone), layers in found.items()
    ]


def _units(
    layer: keras.layers.Layer, home: keras.layers.Layer
) -> Iterator[tuple[keras.layers.Layer, keras.layers.Layer]]:
    """The layer in its home, or its parts in it if it is a model or a stack."""
    parts = _parts(layer)
    held = {id(weight) for part in parts for weight in part.weights}
    opened = isinstance(layer, keras.Model) or _is_stack(parts)
    if opened and all(id(weight) in held for weight in layer.weights):
        for part in parts:
            yield from _units(part, layer)
    else:
        yield home, layer


def _parts(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    return list(layer._flatten_layers(include_self=False, recursive=False))


def _is_stack(parts: list[keras.layers.Layer]) -> bool:
    """Whether there are several blocks of one kind.

    A block is no basic layer, and made of layers: the two scales within a block of
    DINO's are none.
    """
    blocks = [part for part in parts if part.weights and _parts(part)]
    kinds = [type(part) for part in blocks]
    kinds = [kind for kind in kinds if not kind.__module__.startswith("keras.src")]
    return len(kinds) > len(set(kinds))


def _stage_name(name: str, home: str) -> str:
    # Models may put their own name before their layers', and Keras counts models of
    # one name within a process: clip_vision_encoder_1_encoder_block_0.
    name = re.sub(rf"^{re.escape(home)}_(?=\D)", "", name)
    if re.search(r"[123]d", name):  # conv2d_4: the first number is no count.
        return name
    match = re.match(r".*?\d+", name)
    return match.group() if match else name
