"""3 × 3 convolution, and what on a CPU gives the same sooner.

Between many channels, half the multiplications: Winograd's F(4, 3) (Lavin & Gray 2016) along rows. Four rows of a
result are sums of six products of six combinations of rows, in place of twelve products. Along columns it stays a
plain convolution: a second transform would multiply less still, but move more memory and round more. XLA leaves those
of few channels to one core, unless all rows are one.

From few channels to an image's, which is how a small network's gradient ends: one product for all nine places of the
kernel, and sums of shifted planes.
"""

import jax.numpy as jnp
import numpy as np
from jax import lax

# Of three rows of a kernel, six; none a plain slice: in a loop XLA multiplies once, but slices anew each time
KERNEL = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 12]]) / 24
LEAST = 64 * 128  # c · d: below, conv1_2's would be sooner by a fourth, but hold up to a fifth more memory
LEAST_FEW = 16 * 64  # c · d: the same from or to FEW channels, where the plain one is slow
MOST = 256 * 256  # c · d: of VGG19 conv2 and conv3, whose fours of rows stay the same in windows at multiples of 16 px
FEW = 32  # channels at most
SPREAD = 2  # planes, of which each channel of the result takes nine, for each channel of the map at most
ROWS = 8  # of a map; not more, or windows of a picture would be computed in another way than the whole


def convolve(x, kernel):
    """Convolution as networks mean it, zero padded: [n, h, w, c], [3, 3, c, d] -> [n, h, w, d]."""
    return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def winograd(x, kernel):
    """`convolve`, computed the fastest way there is: on CPUs, in float32, within 2e-6 of it."""
    if not winograd_pays(*kernel.shape[2:]) or x.shape[1] < ROWS or not _all_float32(x, kernel):
        return direct(x, kernel)
    return lax.platform_dependent(x, kernel, cpu=by_four_rows, default=convolve)


def direct(x, kernel):
    """`convolve`, computed the fastest of those ways that compile as fast."""
    c, d = kernel.shape[2:]
    if c > FEW or 9 * d > SPREAD * c or not _all_float32(x, kernel):
        return convolve(x, kernel)
    return lax.platform_dependent(x, kernel, cpu=by_planes, default=convolve)


def _all_float32(*arrays):
    return all(a.dtype == jnp.float32 for a in arrays)


def winograd_pays(c: int, d: int) -> bool:
    """Whether a convolution from so many channels to so many is faster so."""
    return (LEAST_FEW if min(c, d) <= FEW else LEAST) <= c * d <= MOST


def by_four_rows(x, kernel):
    """`convolve`, four rows at a time: [n, h, w, c], [3, 3, c, d] -> [n, h, w, d]."""
    n, h, w, _ = x.shape
    parts = [_convolve_as_one_row(rows, one) for rows, one in zip(_combine_rows(x), _row_kernels(kernel), strict=True)]
    s, p = parts[1] + parts[2], parts[3] + parts[4]
    t, q = parts[1] - parts[2], parts[3] - parts[4]
    four = parts[0] + s + p, t + 2 * q, s + 4 * p, t + 8 * q + parts[5]
    return jnp.stack(four, 2).reshape(n, -1, w, kernel.shape[3])[:, :h]


def _convolve_as_one_row(x, kernel):
    """`convolve` of a kernel of one row, all rows in one: [n, h, w, c], [1, 3, c, d] -> [n, h, w, d]."""
    n, h, w, c = x.shape
    apart = jnp.pad(x, ((0, 0), (0, 0), (0, 1), (0, 0)))
    return convolve(apart.reshape(1, 1, -1, c), kernel).reshape(n, h, w + 1, -1)[:, :, :w]


def _row_kernels(kernel):
    """Six kernels of one row, from one of three; in a loop XLA makes them once: each [1, 3, c, d]."""
    return [jnp.stack([sum(float(g) * kernel[i] for i, g in enumerate(row) if g)]) for row in KERNEL]


def _combine_rows(x):
    """Six combinations of the six rows around every four: each [n, ⌈h / 4⌉, w, c]."""
    n, h, w, c = x.shape
    fours = jnp.pad(x, ((0, 0), (1, 3 + -h % 4), (0, 0), (0, 0))).reshape(n, -1, 4, w, c)
    last = fours.shape[1] - 1
    d = [fours[:, i // 4 : i // 4 + last, i % 4] for i in range(6)]
    a, b, e, f = d[4] - 4 * d[2], d[3] - 4 * d[1], d[4] - d[2], 2 * (d[3] - d[1])
    return 4 * d[0] - 5 * d[2] + d[4], a + b, a - b, e + f, e - f, 8 * d[1] - 10 * d[3] + 2 * d[5]


def by_planes(x, kernel):
    """`convolve`, the result's channels apart: [n, h, w, c], [3, 3, c, d] -> [n, h, w, d]."""
    h, w = x.shape[1:3]
    products = jnp.einsum("ijcd,nhwc->ijdnhw", kernel, x)
    planes = jnp.pad(products, ((0, 0),) * 4 + ((1, 1), (1, 1)))
    shifted = [planes[i, j, :, :, i : i + h, j : j + w] for i in range(3) for j in range(3)]
    return jnp.moveaxis(sum(shifted[1:], shifted[0]), 0, -1)
