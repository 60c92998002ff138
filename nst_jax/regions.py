"""Which part of a picture is painted after which style: guides [h, w] in [0, 1] from masks, ramps and alpha."""

from collections.abc import Sequence

import numpy as np

from nst_jax import images
from nst_jax.losses import Region, Style

TOLERANCE = 0.02  # of a mask's aspect against its picture's


def grey(mask) -> np.ndarray:
    """A mask picture as a guide, white where it counts: [h, w, 3] -> [h, w]."""
    return np.asarray(mask, np.float32).mean(2)


def coded(mask, count: int) -> np.ndarray:
    """A colour-coded mask as guides, in the order in which its colours first appear: [h, w, 3] -> [count, h, w].

    A pixel between two of the colours (a soft edge) counts for both, by how near it is to each.
    """
    flat = np.asarray(mask, np.float32).reshape(-1, 3)
    colours = _main_colours(flat, count)  # [count, 3]
    distances = np.square(flat[:, None] - colours[None]).sum(2)  # [n, count]
    first, second = np.argsort(distances, axis=1)[:, :2].T
    way = colours[second] - colours[first]
    share = ((flat - colours[first]) * way).sum(1) / np.maximum(np.square(way).sum(1), 1e-12)
    share = np.clip(share, 0, 0.5)
    guides, each = np.zeros((count, len(flat)), np.float32), np.arange(len(flat))
    guides[first, each], guides[second, each] = 1 - share, share
    return guides.reshape(count, *mask.shape[:2])


def _main_colours(flat, count: int) -> np.ndarray:
    """The `count` commonest colours, each far from the others, by first appearance: [n, 3] -> [count, 3]."""
    levels = np.round(flat * 15).astype(int)
    _, index, number = np.unique(levels @ (1, 16, 256), return_index=True, return_counts=True)
    found: list[int] = []
    for i in index[np.argsort(-number, kind="stable")]:
        if all(np.square(flat[i] - flat[j]).sum() > 0.03 for j in found):
            found.append(int(i))
        if len(found) == count:
            return flat[sorted(found)]
    raise ValueError(
        f"mask must show {count} colours, one for each style, got {len(found)}: give as many styles as colours"
    )


def ramp(count: int, shape: tuple[int, int]) -> np.ndarray:
    """Guides that lead from the first style at the left edge to the last at the right: [count, h, w]."""
    at = np.linspace(0, count - 1, shape[1], dtype=np.float32)
    rows = np.maximum(0, 1 - np.abs(at[None] - np.arange(count, dtype=np.float32)[:, None]))
    return np.broadcast_to(rows[:, None], (count, *shape))


def each(styles: Sequence[Style], guides, strength=None) -> tuple[Region, ...]:
    """One region for each style, under its guide and a map of how much style there is anywhere."""
    return tuple(
        Region((style,), guide if strength is None else guide * strength)
        for style, guide in zip(styles, guides, strict=True)
    )


def checked(guide, shape: tuple[int, int], name: str) -> np.ndarray:
    """A guide at a picture's shape, if it has that picture's aspect."""
    (h, w), (rows, columns) = guide.shape[-2:], shape
    if abs(h * columns / (w * rows) - 1) > TOLERANCE:
        raise ValueError(f"mask must have its picture's aspect, {columns}×{rows}, got {w}×{h} in {name}: crop it alike")
    if not guide.any():
        raise ValueError(f"mask must not be empty, got no white in {name}: white is where it counts")
    return images.resize(guide, shape).clip(0, 1)


def small(guide, deepest: int) -> bool:
    """Whether a region is smaller than a position of the deepest layer, which spans so many pixels."""
    return float(np.sum(guide)) < deepest**2


def filled(image, alpha) -> np.ndarray:
    """Straight colour with what is transparent replaced by colours from nearby, so that no matte shows at the edge.

    Averages of ever larger surroundings, weighted by alpha: [h, w, 3], [h, w] -> [h, w, 3].
    """
    colour, weight = np.asarray(image, np.float32) * alpha[..., None], np.asarray(alpha, np.float32)
    out, known = np.array(image, np.float32), alpha > 0.5
    while not known.all():
        h, w = (max(1, n // 2) for n in weight.shape)
        colour, weight = images.resize(colour, (h, w)).clip(0), images.resize(weight, (h, w)).clip(0)
        near = images.resize(colour / np.maximum(weight, 1e-6)[..., None], known.shape)
        there = (images.resize(weight, known.shape) > 0.02) & ~known
        out[there] = near.clip(0, 1)[there]
        known |= there
        if h == w == 1:
            break
    return out
