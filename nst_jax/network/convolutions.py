"""3 × 3 convolution, and what on a CPU or on a TPU gives the same sooner.

Winograd's ways (Lavin & Gray 2016) multiply sums of a map's neighbours by sums of a kernel's, which are made once:

by squares   2 × 2 positions of a result from sixteen products in place of thirty-six: between many channels
by rows      four rows of a result from six products of a row in place of twelve: between fewer, where maps are large
             and a second transform would move more memory than it spares

From few channels to an image's, which is how a small network's gradient ends: one product for all nine places of the
kernel, and sums of shifted planes.

A TPU works on eight maps of a batch at once. Of a single one XLA makes eight strips, and puts them together again for
what follows, over and over; strips of its rows that are a batch from the beginning stay one.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax

# Channels from and to, multiplied, from which a way is sooner; `docs/speed.md` has the measurements
SQUARES = 128 * 256
ROWS = 64 * 128  # below, conv1_2's would be sooner by a fifth, but hold up to a fifth more memory
ROWS_OF_FEW = 16 * 64  # the same from or to FEW channels, where the plain one is slow
FEW = 32  # channels at most
SPREAD = 2  # planes, of which each channel of the result takes nine, for each channel of the map at most
STRIPS = 8  # of a map on a TPU, for each device that has some of its rows
LEAST_ROWS = 8  # of a map convolved by rows; not more, or windows would be computed otherwise than the whole


def convolve(x, kernel):
    """Convolution as networks mean it, zero padded: [n, h, w, c], [3, 3, c, d] -> [n, h, w, d]."""
    return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def plain(x, kernel, *, strips=STRIPS):
    """`convolve`, computed the fastest of those ways that need no preparation."""
    c, d = kernel.shape[2:]
    planes = c <= FEW and 9 * d <= SPREAD * c and x.dtype == kernel.dtype == jnp.float32
    return lax.platform_dependent(
        x,
        kernel,
        cpu=by_planes if planes else convolve,
        tpu=functools.partial(by_strips, count=strips),
        default=convolve,
    )


def turned(kernel):
    """The kernel of a convolution's gradient by its map: turned round, its channels exchanged."""
    return kernel[::-1, ::-1].swapaxes(2, 3)


# Ways that multiply by sums of a kernel's


class Way(NamedTuple):
    """What is made of a kernel once, and how a map and its gradient are convolved by that."""

    prepare: Callable[[Any], Any]  # [3, 3, c, d], NumPy's or JAX's -> arrays
    forward: Callable[[Any, Any], Any]  # ([n, h, w, c], arrays) -> [n, h, w, d]
    backward: Callable[[Any, Any], Any]  # ([n, h, w, d], arrays) -> [n, h, w, c]
    least: int = 1  # rows of a map


def way(c: int, d: int) -> Way | None:
    """The fastest way on a CPU from so many channels to so many, in float32; None for the plain one.

    It follows from channels alone, so that a window of a picture is computed as the whole of it.
    """
    if c * d >= SQUARES:
        return BY_SQUARES
    return BY_ROWS if c * d >= (ROWS_OF_FEW if min(c, d) <= FEW else ROWS) else None


# By squares


def square_kernels(kernel):
    """Sixteen matrices of a kernel's sums: [3, 3, c, d] -> four times four of [c, d]."""
    columns = [_four_of_three(kernel[:, j]) for j in range(3)]
    return tuple(_four_of_three(row) for row in zip(*columns, strict=True))


def _four_of_three(k):
    sum_of_ends = (k[0] + k[2]) / 2
    return k[0], sum_of_ends + k[1] / 2, sum_of_ends - k[1] / 2, k[2]


def by_squares(x, kernels):
    """`convolve` by a kernel's `square_kernels`, within 1e-6 of it: [n, h, w, c] -> [n, h, w, d]."""
    n, h, w, _ = x.shape
    parts = _squares(x)
    products = [[_multiply(parts[i][j], kernels[i][j]) for j in range(4)] for i in range(4)]
    columns = [_two_of_four(column) for column in zip(*products, strict=True)]
    places = [jnp.stack(_two_of_four(row), 3) for row in zip(*columns, strict=True)]
    both = jnp.stack(places, 2)  # [n, h / 2, 2, w / 2, 2, d]
    return both.reshape(n, 2 * both.shape[1], 2 * both.shape[3], -1)[:, :h, :w]


def by_turned_squares(g, kernels):
    """The same by the kernel turned round, whose sums are these in another order: [n, h, w, d] -> [n, h, w, c]."""
    order = 3, 1, 2, 0
    return by_squares(g, [[kernels[i][j].T for j in order] for i in order])


def _multiply(x, kernel):
    """A product for each position; flat, which XLA compiles and computes sooner."""
    return jnp.matmul(x.reshape(-1, x.shape[-1]), kernel).reshape(*x.shape[:-1], -1)


def _squares(x):
    """Sixteen sums of the 4 × 4 positions around every 2 × 2: four times four of [n, ⌈h / 2⌉, ⌈w / 2⌉, c]."""
    n, h, w, c = x.shape
    pairs = jnp.pad(x, ((0, 0), (1, 1 + h % 2), (1, 1 + w % 2), (0, 0))).reshape(n, h // 2 + h % 2 + 1, 2, -1, 2, c)
    rows, columns = pairs.shape[1] - 1, pairs.shape[3] - 1

    def at(i, j):
        return pairs[:, i // 2 : i // 2 + rows, i % 2, j // 2 : j // 2 + columns, j % 2]

    down = [_four_of_four([at(i, j) for i in range(4)]) for j in range(4)]
    return [_four_of_four(row) for row in zip(*down, strict=True)]


def _four_of_four(x):
    return x[0] - x[2], x[1] + x[2], x[2] - x[1], x[1] - x[3]


def _two_of_four(x):
    return x[0] + x[1] + x[2], x[1] - x[2] - x[3]


BY_SQUARES = Way(square_kernels, by_squares, by_turned_squares)


# By rows

OF_THREE = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 12]]) / 24


def row_kernels(kernel):
    """Six kernels of one row, of a kernel's sums: each [1, 3, c, d]."""
    return tuple(sum(float(f) * kernel[i : i + 1] for i, f in enumerate(row) if f) for row in OF_THREE)


def by_rows(x, kernels):
    """`convolve` by a kernel's `row_kernels`, within 2e-6 of it: [n, h, w, c] -> [n, h, w, d]."""
    n, h, w, _ = x.shape
    parts = [_convolve_as_one_row(rows, one) for rows, one in zip(_combine_rows(x), kernels, strict=True)]
    s, p = parts[1] + parts[2], parts[3] + parts[4]
    t, q = parts[1] - parts[2], parts[3] - parts[4]
    four = parts[0] + s + p, t + 2 * q, s + 4 * p, t + 8 * q + parts[5]
    return jnp.stack(four, 2).reshape(n, -1, w, kernels[0].shape[3])[:, :h]


def _convolve_as_one_row(x, kernel):
    """`convolve` by a kernel of one row, all rows in one: few channels would else be left to one core."""
    n, h, w, c = x.shape
    apart = jnp.pad(x, ((0, 0), (0, 0), (0, 1), (0, 0)))
    return convolve(apart.reshape(1, 1, -1, c), kernel).reshape(n, h, w + 1, -1)[:, :, :w]


def _combine_rows(x):
    """Six combinations of the six rows around every four: each [n, ⌈h / 4⌉, w, c]."""
    n, h, w, c = x.shape
    fours = jnp.pad(x, ((0, 0), (1, 3 + -h % 4), (0, 0), (0, 0))).reshape(n, -1, 4, w, c)
    last = fours.shape[1] - 1
    d = [fours[:, i // 4 : i // 4 + last, i % 4] for i in range(6)]
    a, b, e, f = d[4] - 4 * d[2], d[3] - 4 * d[1], d[4] - d[2], 2 * (d[3] - d[1])
    return 4 * d[0] - 5 * d[2] + d[4], a + b, a - b, e + f, e - f, 8 * d[1] - 10 * d[3] + 2 * d[5]


BY_ROWS = Way(
    lambda kernel: (row_kernels(kernel), row_kernels(turned(kernel))),
    lambda x, both: by_rows(x, both[0]),
    lambda g, both: by_rows(g, both[1]),
    least=LEAST_ROWS,
)


# By planes


def by_planes(x, kernel):
    """`convolve`, the result's channels apart: [n, h, w, c], [3, 3, c, d] -> [n, h, w, d]."""
    h, w = x.shape[1:3]
    products = jnp.einsum("ijcd,nhwc->ijdnhw", kernel, x)
    planes = jnp.pad(products, ((0, 0),) * 4 + ((1, 1), (1, 1)))
    shifted = [planes[i, j, :, :, i : i + h, j : j + w] for i in range(3) for j in range(3)]
    return jnp.moveaxis(sum(shifted[1:], shifted[0]), 0, -1)


# By strips


def by_strips(x, kernel, *, count=STRIPS):
    """`convolve`, strips of rows being a batch, each with the rows beside it: [1, h, w, c] -> [1, h, w, d]."""
    n, h, w, _ = x.shape
    if n > 1 or h % count:
        return convolve(x, kernel)
    strips = in_strips(x, count)
    none = jnp.zeros_like(strips[:1, :1])
    above, below = jnp.concatenate([none, strips[:-1, -1:]]), jnp.concatenate([strips[1:, :1], none])
    padded = jnp.concatenate([above, strips, below], 1)
    numbers = ("NHWC", "HWIO", "NHWC")
    found = lax.conv_general_dilated(padded, kernel, (1, 1), ((0, 0), (1, 1)), dimension_numbers=numbers)
    return found.reshape(n, h, w, -1)


def in_strips(x, count: int):
    """A map as strips of its rows: [1, h, w, c] -> [count, h / count, w, c]."""
    return x.reshape(count, x.shape[1] // count, *x.shape[2:])
