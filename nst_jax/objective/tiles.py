"""Any size, exactly: a loss in the memory of one window, with the numbers and the gradient of the whole image.

A summary adds over positions, so that a picture's is the sum of its windows'. Each window is larger than the positions
it owns by as much as a map sees (its halo); what it computes beyond them counts nothing. All windows of a picture have
one shape, congruent to the picture's, and start where every pooling does, so that true borders stay borders.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from nst_jax.network import vgg19
from nst_jax.objective import losses, neighbours
from nst_jax.objective.distances import at_least_float32
from nst_jax.objective.losses import Guides, Loss, Spatial, Summary, Targets
from nst_jax.recipes import Weights

FOURS = (
    16  # pixels: some convolutions take four rows, or two at deeper layers, and round others if they start elsewhere
)
PICTURE = "input"  # among the content's maps: the picture that they can be made from again


class Span(NamedTuple):
    """A window along one axis: where it starts, and the pixels that it owns, from the first up to the end."""

    start: int
    low: int
    high: int


class Grid(NamedTuple):
    """The windows of a picture: their shape, and a span along each axis for each of them."""

    shape: tuple[int, int]
    rows: tuple[Span, ...]
    columns: tuple[Span, ...]

    @property
    def table(self) -> Array:
        """A line for each window: the spans of its rows and columns, [n, 6]."""
        return jnp.array([(*y, *x) for y in self.rows for x in self.columns])


class View(NamedTuple):
    """One window of a grid over a picture, while it is traced: its spans, its shape and the picture's."""

    line: Array  # [6]
    window: tuple[int, int]
    whole: tuple[int, int]

    def cut(self, array, layer: str) -> Array:
        """A window's part of what lies over the picture at a layer's size: [h, w, …] -> [h', w', …]."""
        k = _stride(layer)
        shape = (self.window[0] // k, self.window[1] // k, *array.shape[2:])
        return lax.dynamic_slice(array, self._start(k) + (0,) * (array.ndim - 2), shape)

    def owned_mask(self, layer: str) -> Array:
        """One where a position of a layer belongs to this window, else zero: [h', w']."""
        k = _stride(layer)
        along = []
        for axis, start in enumerate(self._start(k)):
            low, high = self.line[3 * axis + 1], self.line[3 * axis + 2]
            at = jnp.arange(self.window[axis] // k) + start
            along.append((at >= low // k) & ((at < high // k) | (high == self.whole[axis])))
        return (along[0][:, None] & along[1][None]).astype(jnp.float32)

    def put(self, array, part, layer: str) -> Array:
        """The array with the positions that this window owns taken from its part: [h, w, c], [h', w', c]."""
        start = (*self._start(_stride(layer)), 0)
        old = lax.dynamic_slice(array, start, part.shape)
        return lax.dynamic_update_slice(array, jnp.where(self.owned_mask(layer)[:, :, None] > 0, part, old), start)

    def _start(self, k):
        return self.line[0] // k, self.line[3] // k


def _stride(layer):
    return 1 if layer in (PICTURE, "image") else vgg19.stride(layer)


def halo(layers, *, convs: tuple[int, ...] = vgg19.CONVS) -> tuple[int, int]:
    """(pixels around what a window owns, the grid's unit): what the deepest of these layers sees, in whole units."""
    unit = max([FOURS, *(vgg19.stride(layer) for layer in layers)])
    seen = max((vgg19.reach(layer, convs=convs) for layer in layers), default=1)
    return -(-seen // unit) * unit, unit


def smallest_window(layers, *, convs: tuple[int, ...] = vgg19.CONVS) -> int:
    """The smallest window that these layers allow."""
    around, unit = halo(layers, convs=convs)
    return 2 * around + 2 * unit - 1  # whatever a picture's length leaves of it, a unit can be owned


def spans(length: int, size: int, around: int, unit: int) -> tuple[int, tuple[Span, ...]]:
    """(width, windows) along an axis: as few as this size allows, and then as narrow as they can be."""
    widest = size - (size - length) % unit
    if widest >= length:
        return length, (Span(0, 0, length),)
    if size < (least := 2 * around + 2 * unit - 1):
        raise ValueError(f"window must be at least {least} px for these layers, got {size}: raise it")
    found = _place_spans(length, widest, around, unit)
    for width in range(2 * around + unit + (length - 2 * around - unit) % unit, widest, unit):
        narrow = _place_spans(length, width, around, unit)
        if len(narrow) == len(found):
            return width, narrow
    return widest, found


def _place_spans(length, width, around, unit) -> tuple[Span, ...]:
    out, low = [], 0
    while low < length:
        start = min(max(low - around, 0), length - width)
        high = length if start + width == length else (start + width - around) // unit * unit
        out.append(Span(start, low, high))
        low = high
    return tuple(out)


def grid(params, shape: tuple[int, int], size: int, layers) -> Grid:
    """The windows, at most so large, of a picture of this shape, for these layers of a network."""
    convs = vgg19.shape_of(params)[1]
    own = [vgg19.nearest(params, part) for part in vgg19.parts_of(layers, convs=convs)]
    known = [
        *own,
        *(layer for layer in layers if layer == vgg19.COLUMNS),
    ]  # a small network may answer from deeper maps
    around, unit = halo(known, convs=convs)
    (h, rows), (w, columns) = (spans(n, size, around, unit) for n in shape)
    return Grid((h, w), rows, columns)


@functools.cache
def tiled(loss: Loss, *, size: int) -> Loss:
    """The same numbers and gradient, in the memory of a window of this size: two passes, added up and sent back."""
    return loss._replace(
        maps=functools.partial(_maps, loss, size),
        prepare=functools.partial(_prepare, loss, size),
        summarise=functools.partial(_summarise, loss, size),
        align=functools.partial(_align, loss, size),
    )


@functools.cache
def recomputed(loss: Loss) -> Loss:
    """The same loss whose targets keep the content's picture, of three channels, and make its maps again from it."""
    return loss._replace(
        prepare=functools.partial(_prepare_picture, loss), summarise=functools.partial(_summarise_recomputing, loss)
    )


def _prepare_picture(loss, params, picture, regions, weights) -> Targets:
    targets = loss.prepare(params, picture, regions, weights._replace(content={}))
    kept = {PICTURE: jnp.asarray(picture)} if weights.content else {}
    return targets._replace(spatial=targets.spatial._replace(content=kept))


def _summarise_recomputing(loss, params, image, targets, weights) -> Summary:
    maps = {}
    if weights.content:
        maps = lax.stop_gradient(loss.maps(params, targets.spatial.content[PICTURE], weights.content))
    spatial = targets.spatial._replace(content=maps)
    return loss.summarise(params, image, targets._replace(spatial=spatial), weights)


def _summarise(loss, size, params, image, targets, weights) -> Summary:
    """The sum of all windows' summaries; what one remembers for its gradient is computed again on the way back."""
    windows = grid(params, image.shape[:2], size, weights.layers)

    @jax.checkpoint
    def one(image, line):
        view = View(line, windows.shape, image.shape[:2])
        mine = targets._replace(spatial=_window_targets(view, targets.spatial, weights))
        return loss.summarise(params, view.cut(image, "image"), mine, weights)

    def add(total, line):
        return jax.tree.map(jnp.add, total, one(image, line)), None

    table = windows.table
    zero = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), jax.eval_shape(one, image, table[0]))
    return lax.scan(add, zero, table)[0]


def _window_targets(view: View, spatial: Spatial, weights) -> Spatial:
    """A window's part of the targets; only the positions that it owns count."""
    known = spatial.guides
    content, style = known.content or {}, known.style or {}

    def cut(whole, layer):  # [r, h', w']
        return jnp.moveaxis(view.cut(jnp.moveaxis(whole, 0, -1), layer), -1, 0)

    def regional(layer):
        whole = style.get(layer)
        mine = view.owned_mask(layer)[None]
        return mine if whole is None else mine * cut(whole, layer)

    def flat(layer, whole):  # [h', w']
        return view.owned_mask(layer) if whole is None else view.owned_mask(layer) * view.cut(whole, layer)

    guides = Guides(
        {layer: flat(layer, content.get(layer)) for layer in weights.content},
        {layer: regional(layer) for layer in (*weights.style, *weights.near)},
        flat("image", known.variation),
    )
    content = {layer: view.cut(maps, layer) for layer, maps in spatial.content.items()}
    return Spatial(content, guides, {layer: cut(kept, layer) for layer, kept in spatial.aligned.items()})


def _prepare(loss, size, params, picture, regions, weights) -> Targets:
    picture = jnp.asarray(picture)
    guides = losses.guides_of(regions, picture.shape[:2], weights)

    def kept(window):
        return loss.prepare(params, window, (), Weights(weights.content, {})).spatial.content

    content = _by_windows(kept, size, params, picture, weights.content)
    windows = tiled(loss, size=size)
    painted = losses.blend(regions, lambda style: losses.study(windows, params, style, weights))
    return losses.aim(Spatial(content, guides), painted)


def _align(loss, size, params, picture, targets, weights) -> dict[str, Array]:
    layers, picture = losses.aligned(weights.near), jnp.asarray(picture)
    if not layers:
        return {}
    means = _means(loss, size, params, picture, layers)

    def find(window):
        maps = loss.maps(params, window, layers)
        known = targets.neighbours
        found = {layer: neighbours.align(f, known[layer], mean=means[layer]) for layer, f in maps.items()}
        return {layer: jnp.moveaxis(kept, 0, -1) for layer, kept in found.items()}  # [h', w', r]

    found = _by_windows(find, size, params, picture, layers)
    return {layer: jnp.moveaxis(kept, -1, 0) for layer, kept in found.items()}


def _means(loss, size, params, picture, layers) -> dict[str, Array]:
    """The mean of each map over the picture: {layer: [c]}."""
    windows = grid(params, picture.shape[:2], size, layers)

    def add(total, line):
        view = View(line, windows.shape, picture.shape[:2])
        maps = loss.maps(params, view.cut(picture, "image"), layers)
        sums = {k: jnp.tensordot(view.owned_mask(k), at_least_float32(f), 2) for k, f in maps.items()}
        return {k: total[k] + s for k, s in sums.items()}, None

    shapes = jax.eval_shape(lambda: loss.maps(params, picture[: windows.shape[0], : windows.shape[1]], layers))
    total = lax.scan(add, {k: jnp.zeros(f.shape[-1]) for k, f in shapes.items()}, windows.table)[0]
    return {k: s / math.prod(n // _stride(k) for n in picture.shape[:2]) for k, s in total.items()}


def _maps(loss, size, params, picture, layers) -> dict[str, Array]:
    return _by_windows(lambda window: loss.maps(params, window, layers), size, params, jnp.asarray(picture), layers)


def _by_windows(find, size, params, picture, layers) -> dict[str, Array]:
    """The maps that `find` makes of a picture, window by window."""
    windows = grid(params, picture.shape[:2], size, layers)

    def one(line):
        view = View(line, windows.shape, picture.shape[:2])
        found = find(view.cut(picture, "image"))
        return {layer: f[: windows.shape[0] // _stride(layer)] for layer, f in found.items()}  # a mesh adds rows below

    def place(whole, line):
        view = View(line, windows.shape, picture.shape[:2])
        return {layer: view.put(whole[layer], part, layer) for layer, part in one(line).items()}, None

    def empty(layer, part):
        k = _stride(layer)
        return jnp.zeros((picture.shape[0] // k, picture.shape[1] // k, part.shape[2]), part.dtype)

    table = windows.table
    whole = {layer: empty(layer, part) for layer, part in jax.eval_shape(one, table[0]).items()}
    return lax.scan(place, whole, table)[0]
