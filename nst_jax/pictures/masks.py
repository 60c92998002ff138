"""Which part of a picture is painted after which style: guides [h, w] in [0, 1] from masks, ramps and alpha."""

import functools
import itertools

import numpy as np

from nst_jax.pictures import images

TOLERANCE = 0.02  # relative difference between a mask's aspect and its picture's
DISTINCT = 0.03  # least squared distance between two colours of a mask
RARE = 0.05  # least share of two colours' pixels that one between them has; with fewer it is their soft edge


def guide_from_grey(mask) -> np.ndarray:
    """A mask picture as a guide, white where it counts: [h, w, 3] -> [h, w]."""
    return np.asarray(mask, np.float32).mean(2)


def guides_from_colours(mask, count: int) -> np.ndarray:
    """A colour-coded mask as guides, in the order in which its colours first appear: [h, w, 3] -> [count, h, w].

    A pixel between two of the colours (a soft edge) counts for both, by how near it is to each.
    """
    flat = np.asarray(mask, np.float32).reshape(-1, 3)
    colours = _main_colours(flat, count)  # [count, 3]
    distances = np.stack([np.square(flat - colour[None]).sum(1) for colour in colours], 1)  # [n, count]
    first, second = np.argsort(distances, axis=1)[:, :2].T
    way = colours[second] - colours[first]
    share = ((flat - colours[first]) * way).sum(1) / np.maximum(np.square(way).sum(1), 1e-12)
    share = np.clip(share, 0, 0.5)
    rest = np.square(flat - colours[first] - share[:, None] * way).sum(1)
    if (rest > DISTINCT).mean() > 0.01:
        raise ValueError(_count_error(count, "more"))
    guides, each = np.zeros((count, len(flat)), np.float32), np.arange(len(flat))
    guides[first, each], guides[second, each] = 1 - share, share
    return guides.reshape(count, *mask.shape[:2])


def _main_colours(flat, count: int) -> np.ndarray:
    """The `count` commonest colours, each far from the others, by first appearance: [n, 3] -> [count, 3]."""
    levels = np.round(flat * 15).astype(int)
    _, index, number = np.unique(levels @ (1, 16, 256), return_index=True, return_counts=True)
    found: dict[int, int] = {}  # index of a pixel of each colour: how many pixels have it
    for k in np.argsort(-number, kind="stable"):
        i, many = int(index[k]), int(number[k])
        if all(np.square(flat[i] - flat[j]).sum() > DISTINCT for j in found) and not _is_soft_edge(
            flat, i, many, found
        ):
            found[i] = many
        if len(found) == count:
            return flat[sorted(found)]
    raise ValueError(_count_error(count, str(len(found))))


def _is_soft_edge(flat, i, many, found) -> bool:
    """Whether few pixels have a colour that lies between two others, as at a soft edge."""
    for a, b in itertools.combinations(found, 2):
        way, off = flat[b] - flat[a], flat[i] - flat[a]
        between = np.square(off - way * np.clip(way @ off / (way @ way), 0, 1)).sum() < DISTINCT / 3
        if between and many < RARE * min(found[a], found[b]):
            return True
    return False


def _count_error(count, got) -> str:
    """The message about a mask of another number of colours."""
    return f"mask must show {count} colours, one for each style, got {got}: give as many styles as colours"


def ramp(count: int, shape: tuple[int, int]) -> np.ndarray:
    """Guides that lead from the first style at the left edge to the last at the right: [count, h, w]."""
    at = np.linspace(0, count - 1, shape[1], dtype=np.float32)
    rows = np.maximum(0, 1 - np.abs(at[None] - np.arange(count, dtype=np.float32)[:, None]))
    return np.broadcast_to(rows[:, None], (count, *shape))


def fit_to_picture(guide, shape: tuple[int, int], name: str) -> np.ndarray:
    """A guide resized to its picture's shape; an error if it has another aspect or is empty. `name`: its file."""
    (h, w), (rows, columns) = guide.shape[-2:], shape
    if abs(h * columns / (w * rows) - 1) > TOLERANCE:
        raise ValueError(f"mask must have its picture's aspect, {columns}×{rows}, got {w}×{h} in {name}: crop it alike")
    if not guide.any():
        raise ValueError(f"mask must not be empty, got no white in {name}: white is where it counts")
    return images.resize(guide, shape).clip(0, 1)


def is_too_small(guide, stride: int) -> bool:
    """Whether a region, however faint, covers less than one position of the deepest layer, `stride` pixels wide."""
    most = float(np.max(guide))
    return most <= 0 or float(np.sum(guide)) < most * stride**2


def fill_transparent(image, alpha) -> np.ndarray:
    """Straight colours, the transparent ones replaced by those from nearby, so that no matte shows at an edge.

    They are averages of ever larger surroundings, weighted by alpha: [h, w, 3], [h, w] -> [h, w, 3].
    """
    out, known = np.array(image, np.float32), alpha > np.maximum(0.02, 0.5 * _dilate(alpha))
    weight = np.where(known, alpha, 0).astype(np.float32)  # an edge's own pixels may have some of the matte
    colour = out * weight[..., None]
    while not known.all():
        h, w = (max(1, n // 2) for n in weight.shape)
        colour, weight = images.resize(colour, (h, w)).clip(0), images.resize(weight, (h, w)).clip(0)
        share, last = images.resize(weight, known.shape), h == w == 1
        there = (share > (0 if last else 0.02)) & ~known
        out[there] = (images.resize(colour, known.shape)[there] / share[there][:, None]).clip(0, 1)
        known |= there
        if last:
            break
    return out


def _dilate(alpha):
    """The largest alpha within two pixels: where a pixel's own is less than half of it, an edge is near."""
    padded = np.pad(alpha, 2)
    h, w = alpha.shape
    return functools.reduce(np.maximum, (padded[y : y + h, x : x + w] for y in range(5) for x in range(5)))
