"""The first block of a network as a TPU computes it soonest: a map's strips as a batch, two strips' channels in one.

A TPU's memory lies in tiles of 8 × 128 numbers, of which a batch takes the eight and channels the 128: a single map of
64 channels would fill a sixteenth of each. XLA cuts it into eight strips by itself, but for each convolution anew. Here
sixteen strips of rows lie two by two in a batch of eight from the first convolution to the pooling, and are convolved
by a kernel that has theirs twice and zeros between: as many products as a TPU takes for 64 channels, for twice the
positions.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from nst_jax.network import convolutions
from nst_jax.network.convolutions import STRIPS


def fits(shape, channels: int) -> bool:
    """Whether a map [1, h, w, …] of so many channels is convolved and pooled by pairs of strips."""
    return shape[0] == 1 and shape[1] % (4 * STRIPS) == 0 and channels <= 64


def pack(x):
    """[1, h, w, c] -> [8, h / 16, w, 2 c]: even strips' channels, then odd ones'."""
    _, h, w, c = x.shape
    strips = x.reshape(STRIPS, 2, h // (2 * STRIPS), w, c)
    return jnp.moveaxis(strips, 1, 3).reshape(STRIPS, h // (2 * STRIPS), w, 2 * c)


def unpack(x):
    """[8, h / 16, w, 2 c] -> [1, h, w, c]"""
    _, h, w, c = x.shape
    strips = jnp.moveaxis(x.reshape(STRIPS, h, w, 2, c // 2), 3, 1)
    return strips.reshape(1, 2 * STRIPS * h, w, c // 2)


@jax.custom_vjp
def convolve(x, kernel):
    """3 × 3 convolution of packed strips, zero padded: [8, h, w, 2 c], [3, 3, c, d] -> [8, h, w, 2 d]."""
    return _convolve(x, kernel)


def _convolve(x, kernel):
    c = x.shape[-1] // 2
    first, last, none = x[:, :1], x[:, -1:], jnp.zeros_like(x[:1, :1, :, :c])
    above = jnp.concatenate([jnp.concatenate([none, last[:-1, ..., c:]]), last[..., :c]], -1)
    below = jnp.concatenate([first[..., c:], jnp.concatenate([first[1:, ..., :c], none])], -1)
    padded = jnp.concatenate([above, x, below], 1)
    numbers = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(padded, _twice(kernel), (1, 1), ((0, 0), (1, 1)), dimension_numbers=numbers)


def _twice(kernel):
    """[3, 3, c, d] -> [3, 3, 2 c, 2 d]: a kernel that leaves two strips apart."""
    none = jnp.zeros_like(kernel)
    return jnp.concatenate([jnp.concatenate([kernel, none], 3), jnp.concatenate([none, kernel], 3)], 2)


def _backward(saved, g):
    x, kernel = saved
    (dkernel,) = jax.linear_transpose(lambda k: _convolve(x, k), kernel)(g)  # dropped, unless a network is trained
    return _convolve(g, convolutions.turned(kernel)), dkernel


convolve.defvjp(lambda x, kernel: (_convolve(x, kernel), (x, kernel)), _backward)


def block(convs, pool, number: int, wanted, x) -> dict[str, Any]:
    """Convolutions and the pooling after them, as far as the maps wanted: [1, h, w, c] -> {name: map}."""
    out, x = {}, pack(x)
    for i, layer in enumerate(convs, 1):
        kernel, bias = (layer[k].astype(x.dtype) for k in ("kernel", "bias"))
        x = out[f"conv{number}_{i}"] = convolve(x, kernel) + jnp.tile(bias, 2)[None, None, None]
        x = out[f"relu{number}_{i}"] = jax.nn.relu(x)
        if wanted <= out.keys():
            break
    else:
        out[f"pool{number}"] = pool(x)
    return {name: unpack(out[name]) for name in wanted}
