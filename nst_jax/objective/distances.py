"""Sums over the positions of a map, and the distances that are functions of them.

A map is [h', w', c], an image [h, w, 3]; r counts regions. A content distance is `Errors -> scalar`, a style distance
`(Moments, Moments) -> [r]` of moments divided by their count, a Variation two functions around a sum of its own.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from nst_jax.network import strips
from nst_jax.objective import matrix_roots


class Errors(NamedTuple):
    """Sums over positions and channels of a content layer's differences, and of the squares of what is wanted."""

    count: Array
    squares: Array
    absolutes: Array
    energy: Array


class Moments(NamedTuple):
    """Sums over the positions of each region: how many [r], Σx [r, c], Σxxᵀ [r, c, c]."""

    count: Array
    total: Array
    outer: Array


class Variation(NamedTuple):
    """A total variation: what adds up over positions, and what follows from the sums."""

    local: Callable[[Array], Array]  # [h, w, 3] -> [h, w, k]
    total: Callable[[Array], Array]  # [k] -> scalar


# Sums


def at_least_float32(x) -> Array:
    """Sums are taken in float32 at least, whatever the network computes in."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _product(a, b):
    return jnp.matmul(a, b, precision=lax.Precision.HIGHEST)  # GPUs and TPUs would round the factors


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _outer(rows, shape) -> Any:
    """Σxxᵀ of a map of this shape; its gradient is one product, where autodiff takes two: [n, c] -> [c, c]."""
    by_strips = functools.partial(_outer_by_strips, shape=shape)
    return lax.platform_dependent(rows, tpu=by_strips, default=_outer_of_rows)


def _outer_backward(shape, rows, g):
    by_strips = functools.partial(_slope_by_strips, shape=shape)
    return (lax.platform_dependent(rows, g + g.T, tpu=by_strips, default=_slope_of_rows),)


_outer.defvjp(lambda rows, shape: (_outer(rows, shape), rows), _outer_backward)


def _outer_of_rows(rows):
    flat = at_least_float32(rows)
    return _product(flat.T, flat)


def _slope_of_rows(rows, g):
    return _product(at_least_float32(rows), g).astype(rows.dtype)


# On a TPU positions lie as the network's first block has them, in pairs, whose products with each other are left out;
# bfloat16's products are exact as they are


def _outer_by_strips(rows, shape):
    c, x = shape[-1], _beside(rows, shape)
    exact = None if x.dtype == jnp.bfloat16 else lax.Precision.HIGHEST
    everywhere, wide = tuple(range(x.ndim - 1)), jnp.promote_types(x.dtype, jnp.float32)
    both = (everywhere, everywhere), ((), ())
    found = lax.dot_general(x, x, both, precision=exact, preferred_element_type=wide)
    return sum((found[i : i + c, i : i + c] for i in range(c, x.shape[-1], c)), found[:c, :c])


def _slope_by_strips(rows, g, shape):
    x = _beside(rows, shape)
    exact = lax.Precision.HIGH if x.dtype == jnp.bfloat16 else lax.Precision.HIGHEST
    g = jnp.kron(jnp.eye(x.shape[-1] // shape[-1], dtype=g.dtype), g)
    found = jnp.matmul(at_least_float32(x), g, precision=exact).astype(x.dtype)
    return (found if x.ndim == 3 else strips.unpack(found)).reshape(rows.shape)


def _beside(rows, shape):
    """The map again, in pairs of strips where these fit: [n, c] -> [h, w, c] or [8, h / 16, w, 2 c]."""
    f = rows.reshape(shape)
    return strips.pack(f[None]) if strips.fits((1, *shape), shape[-1]) else f


def moments(f, guide=None) -> Moments:
    """Sums of one, x and xxᵀ over positions, weighted by each region's guide: [h, w, c], [r, h, w] -> Moments."""
    rows = f.reshape(-1, f.shape[-1])  # [n, c]
    flat = at_least_float32(rows)
    if guide is None:
        outer: Array = _outer(rows, f.shape)
        return Moments(jnp.full((1,), flat.shape[0], flat.dtype), flat.sum(0)[None], outer[None])
    g = guide.reshape(len(guide), -1).astype(flat.dtype)  # [r, n]
    weighted = [row[:, None] * flat for row in g]  # a product each: on CPU a batched one is eighty times slower
    outer = jnp.stack([_product(x.T, flat) for x in weighted])
    return Moments(g.sum(1), jnp.stack([x.sum(0) for x in weighted]), outer)


def normalise(m: Moments) -> Moments:
    """Divide moments by their count, so that they are of one position on average; an empty region's stay zero."""
    n = jnp.where(m.count > 0, m.count, 1)
    return Moments(m.count / n, m.total / n[:, None], m.outer / n[:, None, None])


def errors(f, target, guide=None) -> Errors:
    """Sums of a map's differences from its target, over positions and channels: [h, w, c], [h, w, c] -> Errors."""
    wanted = at_least_float32(target)
    d = at_least_float32(f) - wanted
    if guide is None:
        return Errors(jnp.asarray(d.size, d.dtype), jnp.square(d).sum(), jnp.abs(d).sum(), jnp.square(wanted).sum())
    g = guide[:, :, None].astype(d.dtype)
    each = jnp.square(d), jnp.abs(d), jnp.square(wanted)
    return Errors(guide.sum() * d.shape[-1], *((g * x).sum() for x in each))


# Distances


def squared(e: Errors) -> Array:
    """Mean squared error."""
    return e.squares / e.count


def relative(e: Errors) -> Array:
    """Squared error over the photograph's own squares: a share, whatever the layer, the size or the photograph."""
    return e.squares / jnp.maximum(e.energy, 1e-12)


def gram(m: Moments, t: Moments) -> Array:
    """Mean squared difference of Gram matrices over positions (Gatys et al. 2016, eq. 3 to 5): [r]."""
    return jnp.square(m.outer - t.outer).mean((1, 2))


def relative_gram(m: Moments, t: Moments) -> Array:
    """`gram` over the mean square of the painting's own matrix: a share, whatever the layer or the painting."""
    return gram(m, t) / jnp.maximum(jnp.square(t.outer).mean((1, 2)), 1e-12)


def scaled(e: Errors) -> Array:
    """Σd²/Σ|d|: what dividing a gradient by its L1 norm is after, as a function of sums."""
    return e.squares / (e.absolutes + 1e-8)


def scaled_gram(m: Moments, t: Moments) -> Array:
    """`scaled` of the Gram matrices' difference: [r]."""
    d = m.outer - t.outer
    return jnp.square(d).sum((1, 2)) / (jnp.abs(d).sum((1, 2)) + 1e-8)


def _covariance(m: Moments) -> Array:
    square = jnp.einsum("ri,rj->rij", m.total, m.total, precision=lax.Precision.HIGHEST)  # its slope is a product too
    return m.outer - square


def covariance(m: Moments, t: Moments) -> Array:
    """Mean squared difference of covariances: Gram of centred features, blind to the channels' means: [r]."""
    return jnp.square(_covariance(m) - _covariance(t)).mean((1, 2))


def statistics(m: Moments, t: Moments) -> Array:
    """Mean squared differences of the channels' means and of their standard deviations (Li et al. 2017, eq. 8): [r]."""

    def deviations(m):
        variance = jnp.diagonal(_covariance(m), axis1=1, axis2=2)
        return jnp.sqrt(jnp.maximum(variance, 1e-6))  # below it a root has no useful slope

    return jnp.square(m.total - t.total).mean(1) + jnp.square(deviations(m) - deviations(t)).mean(1)


@jax.jit  # traced once for all sizes of a picture
def wasserstein(m: Moments, t: Moments) -> Array:
    """Squared 2-Wasserstein distance of the Gaussians with these moments, over the number of channels: [r]."""
    channels = t.total.shape[1]
    variance = jnp.trace(_covariance(t), axis1=1, axis2=2) / channels
    energy = jnp.maximum(*(jnp.trace(each.outer, axis1=1, axis2=2) for each in (m, t)))
    rounding = jnp.finfo(energy.dtype).eps / 2 * energy  # how far off a covariance may be, as a matrix
    ridge = lax.stop_gradient(jnp.maximum(1e-4 * variance, rounding)) + 1e-12  # maps may have less rank than channels
    floor = ridge[:, None, None] * jnp.eye(channels, dtype=ridge.dtype)[None]
    a, b = _covariance(m) + floor, _covariance(t) + floor
    cross = jnp.stack([matrix_roots.trace_of_root(x, y) for x, y in zip(a, b, strict=True)])
    spread = jnp.trace(a + b, axis1=1, axis2=2) - 2 * cross
    return (jnp.square(m.total - t.total).sum(1) + spread) / channels


def _differences(image):
    """Squared differences to the next row and to the next column, zero where there is none: two [h, w, 3]."""
    dy = jnp.pad(image[1:] - image[:-1], ((0, 1), (0, 0), (0, 0)))
    dx = jnp.pad(image[:, 1:] - image[:, :-1], ((0, 0), (0, 1), (0, 0)))
    return dy, dx


def _has_next(image):
    """Where there is a next row, and where a next column: two [h, w, 3] of zeros and ones."""
    at = (lax.broadcasted_iota(jnp.int32, image.shape, axis) < image.shape[axis] - 1 for axis in (0, 1))
    below, right = (each.astype(image.dtype) for each in at)  # not of constants: XLA would add these up itself, slowly
    return below, right


def _sums(*maps):
    return jnp.stack([at_least_float32(m).sum(-1) for m in maps], -1)


def _mean_squares(sums):
    below, right, rows, columns = sums
    return below / jnp.maximum(rows, 1) + right / jnp.maximum(columns, 1)


SQUARES = Variation(lambda image: _sums(*map(jnp.square, _differences(image)), *_has_next(image)), _mean_squares)
"""Mean squared difference to the next row plus that to the next column, each over its own number of pairs."""


ABSOLUTES = Variation(lambda image: _sums(*map(jnp.abs, _differences(image))), jnp.sum)
"""Σ|dy| + Σ|dx|"""

SUM_SQUARES = Variation(lambda image: _sums(*map(jnp.square, _differences(image))), jnp.sum)
"""Σ(dy² + dx²)"""


def _power(image):
    (dy, dx), (below, right) = _differences(image), _has_next(image)
    energy = jnp.where(below * right > 0, dy * dy + dx * dx, 0)
    return _sums(jnp.where(energy > 0, jnp.where(energy > 0, energy, 1) ** 1.25, 0))


POWER = Variation(_power, jnp.sum)
"""Σ(dy² + dx²)^1.25 where both neighbours are (Mahendran & Vedaldi 2015, β = 2.5)"""


def _nine_point(image):
    """Squared differences along both axes and both diagonals of the edge-replicated image: [h, w, 3 sums]."""
    padded = jnp.pad(image, ((1, 1), (1, 1), (0, 0)), mode="edge")
    here = padded[1:-1, 1:-1]

    def square(y, x):
        h, w = here.shape[:2]
        return jnp.square(padded[1 + y : 1 + y + h, 1 + x : 1 + x + w] - here)

    return _sums(square(0, 1) + square(1, 0), square(1, 1) + square(1, -1), jnp.ones_like(image))


NINE_POINT = Variation(_nine_point, lambda s: 2 * (s[0] / 3 + s[1] / 12) / jnp.maximum(s[2], 1))
"""Mean over the picture of the isotropic stencil: axes to diagonals as 4 : 1, dx² + dy² on smooth pictures"""


# Names in recipes and on the command line

CONTENTS = {"squared": squared, "relative": relative, "scaled": scaled}
STYLES = {
    "gram": gram,
    "relative-gram": relative_gram,
    "scaled-gram": scaled_gram,
    "covariance": covariance,
    "statistics": statistics,
    "wasserstein": wasserstein,
}
VARIATIONS = {
    "squares": SQUARES,
    "sum-squares": SUM_SQUARES,
    "absolutes": ABSOLUTES,
    "power": POWER,
    "nine-point": NINE_POINT,
}
