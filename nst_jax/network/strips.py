"""The first block of a network as a TPU computes it soonest: a map's strips as a batch, two strips' channels in one.

A TPU's memory lies in tiles of 8 × 128 numbers, of which a batch takes the eight and channels the 128: a single map of
64 channels would fill a sixteenth of each. XLA cuts it into eight strips by itself, but for each convolution anew. Here
sixteen strips of rows lie two by two in a batch of eight from the first convolution to the pooling, and are convolved
by a kernel that has theirs twice and zeros between: as many products as a TPU takes for 64 channels, for twice the
positions.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nst_jax.network import convolutions
from nst_jax.network.convolutions import STRIPS


def fits(shape, channels: int, *, count=STRIPS) -> bool:
    """Whether a map [1, h, w, …] of so many channels is convolved and pooled by pairs of strips."""
    return shape[0] == 1 and shape[1] % (4 * count) == 0 and channels <= 64


def pack(x, *, count=STRIPS):
    """[1, h, w, c] -> [8, h / 16, w, 2 c], or of so many pairs: even strips' channels, then odd ones'."""
    _, h, w, c = x.shape
    strips = x.reshape(count, 2, h // (2 * count), w, c)
    return jnp.moveaxis(strips, 1, 3).reshape(count, h // (2 * count), w, 2 * c)


def unpack(x):
    """[8, h / 16, w, 2 c] -> [1, h, w, c]"""
    count, h, w, c = x.shape
    strips = jnp.moveaxis(x.reshape(count, h, w, 2, c // 2), 3, 1)
    return strips.reshape(1, 2 * count * h, w, c // 2)


@jax.custom_vjp
def convolve(x, kernel):
    """3 × 3 convolution of packed strips, zero padded: [8, h, w, 2 c], [3, 3, c, d] -> [8, h, w, 2 d]."""
    return _convolve(x, kernel)


def _convolve(x, kernel):
    none = jnp.zeros_like(x[:1, :1, :, : x.shape[-1] // 2])
    return _convolve_rows(_with_neighbours(x, none, none), kernel, 1)


def convolve_edge(x, kernel):
    """The same of the edge-replicated image."""
    c = x.shape[-1] // 2
    padded = _with_neighbours(x, x[:1, :1, :, :c], x[-1:, -1:, :, c:])
    return _convolve_rows(jnp.pad(padded, ((0, 0), (0, 0), (1, 1), (0, 0)), mode="edge"), kernel, 0)


def _with_neighbours(x, before, after):
    """Each strip with the row above it and the one below, of which these are the first and the last: [1, 1, w, c]."""
    c, first, last = x.shape[-1] // 2, x[:, :1], x[:, -1:]
    above = jnp.concatenate([jnp.concatenate([before, last[:-1, ..., c:]]), last[..., :c]], -1)
    below = jnp.concatenate([first[..., c:], jnp.concatenate([first[1:, ..., :c], after])], -1)
    return jnp.concatenate([above, x, below], 1)


def _convolve_rows(x, kernel, beside: int):
    """A kernel for each of two strips, with zeros for so many columns beside them."""
    numbers, padding = ("NHWC", "HWIO", "NHWC"), ((0, 0), (beside, beside))
    return lax.conv_general_dilated(x, _twice(kernel), (1, 1), padding, dimension_numbers=numbers)


def _twice(kernel):
    """[3, 3, c, d] -> [3, 3, 2 c, 2 d]: a kernel that leaves two strips apart."""
    none = jnp.zeros_like(kernel)
    return jnp.concatenate([jnp.concatenate([kernel, none], 3), jnp.concatenate([none, kernel], 3)], 2)


def _backward(saved, g):
    x, kernel = saved
    (dkernel,) = jax.linear_transpose(lambda k: _convolve(x, k), kernel)(g)  # dropped, unless a network is trained
    return _convolve(g, convolutions.turned(kernel)), dkernel


convolve.defvjp(lambda x, kernel: (_convolve(x, kernel), (x, kernel)), _backward)


FIRSTS = {"zeros": convolve, "replicate": convolve_edge}
"""How the first convolution sees the image's border."""


def zero_below(x, height: int | None):
    """Packed strips whose rows from `height` on are zero; None for all of them."""
    if height is None:
        return x
    rows = 2 * x.shape[0] * x.shape[1]
    inside = pack(jnp.arange(rows)[None, :, None, None] < height, count=len(x))  # [8, h, 1, 2]
    return jnp.where(jnp.repeat(inside, x.shape[-1] // 2, -1), x, 0)


class Asked(NamedTuple):
    """Which block of a network, which of its maps, and how many rows the picture has there; None for all of them."""

    number: int
    wanted: frozenset[str]
    height: int | None = None


def block(convs, ways, asked: Asked, x) -> dict[str, Any]:
    """Convolutions, the first in its own way, and the pooling, as far as the maps wanted: packed -> {name: map}."""
    out, (first, pool), (number, wanted, height) = {}, ways, asked
    for i, layer in enumerate(convs, 1):
        kernel, bias = (layer[k].astype(x.dtype) for k in ("kernel", "bias"))
        x = (first if i == 1 else convolve)(x, kernel) + jnp.tile(bias, 2)[None, None, None]
        x = out[f"conv{number}_{i}"] = zero_below(x, height)
        x = out[f"relu{number}_{i}"] = jax.nn.relu(x)
        if wanted <= out.keys():
            break
    else:
        out[f"pool{number}"] = zero_below(pool(x), height and height // 2)
    return {name: unpack(out[name]) for name in wanted}
