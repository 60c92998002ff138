"""VGG19's layers: their names, widths and strides, and what a network's parameters say of its shape.

Plain data, without jax and numpy, so that checking a layer's name costs nothing.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from nst_jax.ground import choices
from nst_jax.recipes.names import COLUMNS as COLUMNS
from nst_jax.recipes.names import PARTS as PARTS

Params = Mapping[str, Mapping[str, Any]]
"""{"conv1_1": {"kernel": [3, 3, 3, 64], "bias": [64]}, …, "input": {"mean": [3], "std": [3]}}

`input` may also say where a picture ends whose last row was repeated below it: {"height": int}. Maps are zero there.
A network that stands in for VGG19 also has taps, {"relu4_1": {"pool3": [c, k], "relu4_1": [d, k]}, …}: its map for a
layer of VGG19 is the sum of its own maps named there, each times its matrix.
"""


class Activation(NamedTuple):
    """What a layer's channels give over natural pictures: mean [c] and mean square [c]."""

    mean: Any
    square: Any


Activations = Mapping[str, Activation]

WIDTHS = (64, 128, 256, 512, 512)
CONVS = (2, 2, 4, 4, 4)
MEAN = (123.68 / 255, 116.779 / 255, 103.939 / 255)  # the Caffe network's mean colour, which Keras keeps
STD = (1 / 255, 1 / 255, 1 / 255)


# Names


def parts_of(layers, *, convs: tuple[int, ...] = CONVS) -> tuple[str, ...]:
    """These layers, columns as those that they are made of and that a network of so many convolutions has."""
    known = layers_of(convs)
    each = [[part for part in PARTS if part in known] if layer == COLUMNS else [layer] for layer in layers]
    return tuple(dict.fromkeys(part for parts in each for part in parts))


def layers_of(convs: tuple[int, ...] = CONVS) -> list[str]:
    """Names of all maps in the order in which the network computes them."""
    return [name for block, n in enumerate(convs, 1) for name in layers_of_block(block, n)]


def layers_of_block(block: int, convs: int) -> list[str]:
    """Names of the maps of one block with so many convolutions; its pooling is the last."""
    return [f"{kind}{block}_{i}" for i in range(1, convs + 1) for kind in ("conv", "relu")] + [f"pool{block}"]


def canonical(layer: str, *, convs: tuple[int, ...] = CONVS) -> str:
    """Our name of a layer: Keras' `block4_conv2`, which includes the ReLU, is `relu4_2`, `block4_pool` is `pool4`."""
    if layer == COLUMNS:
        return layer
    known = layers_of(convs)
    keras = {f"block{n[4:].replace('_', '_conv')}": n for n in known if n.startswith("relu")}
    keras |= {f"block{n[4:]}_pool": n for n in known if n.startswith("pool")}
    name = keras.get(layer, layer)
    if name not in known:
        remedy = choices.hint(layer, [*known, *keras], otherwise=f"names run from {known[0]} to {known[-1]}.")
        raise ValueError(f"layer must be one of the network's {len(known)} maps, got {layer!r}{remedy}")
    return name


def stride(layer: str) -> int:
    """Image pixels from one position of a layer to the next, along each axis."""
    if layer == COLUMNS:
        return 4
    block = int(re.sub(r"\D*(\d+).*", r"\1", layer))
    return 2**block if "pool" in layer else 2 ** (block - 1)


def reach(layer: str, *, convs: tuple[int, ...] = CONVS) -> int:
    """How many pixels beyond its own a position of a layer sees, on each side."""
    if layer == COLUMNS:  # between positions of a deeper layer lies what is made of two
        return max(reach(part, convs=convs) + stride(part) for part in parts_of([layer], convs=convs))
    names = layers_of(convs)
    before = names[: names.index(canonical(layer, convs=convs)) + 1]
    return sum(stride(name) for name in before if name.startswith("conv"))


# Networks


def shape_of(params: Params) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(widths, convolutions per block) of the network that these parameters are, or, where they have taps, stand for.

    A network with taps answers in VGG19's units for all of its layers: losses and recipes know no other shape.
    """
    return (WIDTHS, CONVS) if taps(params) else own_shape(params)


def own_shape(params: Params) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(widths, convolutions per block) of a network's own layers, whatever it stands in for."""
    names = [name for name in params if name.startswith("conv")]
    blocks = max(int(name[4:].split("_")[0]) for name in names)
    convs = tuple(sum(name.startswith(f"conv{b}_") for name in names) for b in range(1, blocks + 1))
    return tuple(params[f"conv{b}_1"]["kernel"].shape[-1] for b in range(1, blocks + 1)), convs


def taps(params: Params) -> list[str]:
    """Layers of VGG19 that this network answers for in VGG19's units; none if it stands for itself."""
    return [name for name in params if name.startswith("relu")]


def channels_at_stride(params: Params, pixels: int) -> dict[str, int]:
    """{name: channels} of the maps that a network itself has at this stride, whatever it stands in for."""
    found, width = {}, 0
    for name in layers_of(own_shape(params)[1]):
        if name.startswith("conv"):
            width = params[name]["kernel"].shape[-1]
        elif stride(name) == pixels:
            found[name] = width
    return found


def nearest(params: Params, layer: str) -> str:
    """The map that answers for a layer: itself, or in a network with taps the nearest one of the same stride."""
    name, ours = canonical(layer, convs=shape_of(params)[1]), taps(params)
    if not ours or name == COLUMNS:
        return name
    known = layers_of()
    near = [tap for tap in ours if stride(tap) == stride(name)]
    if not near:
        raise ValueError(f"layer must be of the stride of one of {', '.join(ours)}, got {layer}: take VGG19 itself")
    return min(near, key=lambda tap: (abs(known.index(tap) - known.index(name)), -known.index(tap)))
