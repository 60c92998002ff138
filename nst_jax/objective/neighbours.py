"""How much each position of a picture resembles the feature of a painting that is nearest to it.

Statistics say which features a picture has, not where; a nearest feature is a stroke of the painting, whole. It is
found anew in each step, among ROWS features of each layer, so that a position costs the same whatever the painting's
size. Columns, which are too long for that, are aligned once, and kept to until they are aligned again. What is summed
over a picture's positions is a Likeness, which adds as `Moments` do.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from nst_jax.objective.distances import at_least_float32

ROWS = 1024  # features of a painting at a layer: of four times as many the picture looked alike
EDGE = 2  # positions along a painting's border that are left out, where there are enough
MOST = 16384  # columns of a painting: all those of 512 px, and of a larger one so many
BLOCK = 1024  # positions that are compared with all of them at once


class Painting(NamedTuple):
    """Features at a layer of what each region is painted after: their mean [r, c], and some of them [r, m, c]."""

    mean: Array
    rows: Array


class Likeness(NamedTuple):
    """Sums over the positions of each region: how many [r], and the cosine of each with its nearest feature [r]."""

    count: Array
    cosine: Array


def study(f, guide=None, *, rows: int = ROWS) -> Painting:
    """What is kept of a painting's map, of one region: so many features, repeated where it has fewer.

    They are drawn at random, always alike, from where its guide is above half of its highest, and off the painting's
    edge where some of that is: [h, w, c], [h, w] -> Painting.
    """
    flat = at_least_float32(f.reshape(-1, f.shape[-1]))  # [n, c]
    weight = (jnp.ones(f.shape[:2]) if guide is None else guide).reshape(-1).astype(flat.dtype)
    counts = weight > 0.5 * weight.max()
    clear = counts & _off_the_edge(f.shape[:2]).reshape(-1)
    inside = jnp.where(clear.any(), clear, counts)
    order = jax.random.uniform(jax.random.key(0), weight.shape)
    _, drawn = lax.top_k(order + inside, min(len(flat), rows))  # those inside come first
    known = jnp.clip(inside.sum(), 1, len(drawn))
    mean = (weight @ flat) / jnp.maximum(weight.sum(), 1e-6)
    return Painting(mean[None], flat[drawn[jnp.arange(rows) % known]][None])


def _off_the_edge(shape):
    """Where a map doesn't see where the painting ends, which would be painted as a frame: [h, w] of truths."""
    rim = EDGE if min(shape) > 4 * EDGE else 0
    along = [(jnp.arange(n) >= rim) & (jnp.arange(n) < n - rim) for n in shape]
    return along[0][:, None] & along[1][None]


def mix(paintings, shares) -> Painting:
    """One painting of several: of each as many features as its share, which are values."""
    shares = jnp.stack([jnp.asarray(share, jnp.float32) for share in shares])
    ends, count = jnp.cumsum(shares / shares.sum()), _longest(paintings)
    of = jnp.searchsorted(ends, (jnp.arange(count) + 0.5) / count).clip(0, len(paintings) - 1)  # whose each row is
    means, rows = (jnp.stack(each) for each in zip(*alike(paintings), strict=True))  # [k, 1, c], [k, 1, m, c]
    mean = jnp.tensordot(shares / shares.sum(), means, 1)
    return Painting(mean, jnp.take_along_axis(rows, of[None, None, :, None], 0)[0])


def join(paintings) -> Painting:
    """Those of several regions as one, [r, …]."""
    return Painting(*(jnp.concatenate(each) for each in zip(*alike(paintings), strict=True)))


def alike(paintings) -> list[Painting]:
    """Paintings with as many features each, repeated at the end where there are fewer."""
    count = _longest(paintings)
    return [p if p.rows.shape[1] == count else p._replace(rows=_repeat(p.rows, count)) for p in paintings]


def _repeat(rows, count):
    return rows[:, jnp.arange(count) % rows.shape[1]]


def _longest(paintings) -> int:
    return max(p.rows.shape[1] for p in paintings)


def align(f, painting: Painting, *, mean=None) -> Array:
    """Which feature is nearest to each position, for each region: [h, w, c] -> [r, h, w].

    Each side's own mean is taken off, that of the whole picture where `f` is a part of it.
    """
    f = at_least_float32(f)
    seen = _unit(f - (f.mean((0, 1)) if mean is None else mean)[None, None])
    return jnp.stack([_nearest(seen, _unit(rows - own[None])) for own, rows in zip(*painting, strict=True)])


def likeness(f, painting: Painting, guide=None, aligned=None) -> Likeness:
    """Sums of one and of the cosine to the nearest feature, weighted by each region's guide: [h, w, c] -> Likeness.

    Where `aligned` says which feature a position keeps to, [r, h, w], no mean is taken off: as published.
    """
    f = at_least_float32(f)
    if aligned is None:
        each = [_cosines(f, mean, rows) for mean, rows in zip(*painting, strict=True)]
    else:
        each = [_dot(_unit(f), _unit(rows[kept])) for rows, kept in zip(painting.rows, aligned, strict=True)]
    each = jnp.stack(each)  # [r, h, w]
    weight = jnp.ones_like(each) if guide is None else guide
    return Likeness(weight.sum((1, 2)), (weight * each).sum((1, 2)))


def unlike(found: Likeness, area) -> Array:
    """One less the mean cosine, of each region by its share of so many positions: [r]."""
    return (found.count - found.cosine) / area


def _cosines(f, mean, rows):
    """Of each position to its nearest row, the painting's mean taken off both: [h, w, c], [c], [m, c] -> [h, w]."""
    known, seen = _unit(rows - mean[None]), _unit(f - mean[None, None])
    nearest = _nearest(lax.stop_gradient(seen), lax.stop_gradient(known))
    return _dot(seen, known[nearest])


def _dot(x, y):
    return jnp.einsum("hwc,hwc->hw", x, y, precision=lax.Precision.HIGHEST)


def _nearest(seen, known):
    """Which row is nearest, the first of equals, some columns at a time: [h, w, c], [m, c] -> [h, w].

    Columns, because a mesh cuts a map along its rows.
    """
    h, w, c = seen.shape
    size = min(w, max(1, BLOCK // h))
    columns = jnp.pad(jnp.moveaxis(seen, 1, 0), ((0, -w % size), (0, 0), (0, 0))).reshape(-1, size, h, c)
    found = lax.map(lambda block: _first_of_largest(block @ known.T), columns)  # [w / size, size, h]
    return jnp.moveaxis(found.reshape(-1, h)[:w], 1, 0)


def _first_of_largest(x):
    """`argmax` over the last axis by two plain reductions, which a CPU takes sooner."""
    at = lax.broadcasted_iota(jnp.int32, x.shape, x.ndim - 1)
    return jnp.where(x == x.max(-1, keepdims=True), at, x.shape[-1] - 1).min(-1)


def _unit(x):
    """Vectors of length one along the last axis; one of zeros stays as it is."""
    square = jnp.square(x).sum(-1, keepdims=True)
    return x * lax.rsqrt(jnp.maximum(square, 1e-12))
