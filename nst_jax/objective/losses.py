"""Losses of a picture: functions of sums over its positions.

    image -> maps -> Summary (sums) -> terms {name: scalar} -> their sum

The Summary of an image is the sum of the Summaries of its parts, so that a loss is the same whether the image is taken
whole, in windows or spread over devices. Images are [h, w, 3] in [0, 1]; a map is [h', w', c]; r counts regions.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from nst_jax.ground.once import once
from nst_jax.network import vgg19
from nst_jax.objective import neighbours
from nst_jax.objective.distances import CONTENTS as CONTENTS
from nst_jax.objective.distances import SQUARES, Errors, Moments, errors, moments, normalise
from nst_jax.objective.distances import STYLES as STYLES
from nst_jax.objective.distances import VARIATIONS as VARIATIONS
from nst_jax.objective.distances import Variation as Variation
from nst_jax.objective.distances import gram as gram
from nst_jax.objective.distances import squared as squared
from nst_jax.objective.neighbours import Likeness, Painting
from nst_jax.recipes import Weights as Weights


class Style(NamedTuple):
    """A painting, its share in a region's blend, which part of it counts: guide [h, w] in [0, 1], None for all.

    `scale` is how large its strokes are to be, relative to the picture's: for whoever sizes pictures, as a painting's
    stages do; a loss takes them as they are.
    """

    image: Any
    weight: Any = 1.0
    guide: Any = None
    scale: Any = 1.0


class Region(NamedTuple):
    """The styles of one part of the picture: guide [h, w] in [0, 1], None for everywhere."""

    styles: tuple[Style, ...]
    guide: Any = None


class Summary(NamedTuple):
    """Everything that a loss depends on, as sums over positions."""

    content: dict[str, Errors]
    style: dict[str, Moments]
    variation: Array  # [k], of the kind of variation's own making
    neighbours: Mapping[str, Likeness] = {}


class Guides(NamedTuple):
    """How much each position counts: {layer: [h', w']}, {layer: [r, h', w']}, [h, w]; None for all alike."""

    content: dict[str, Array] | None = None
    style: dict[str, Array] | None = None
    variation: Array | None = None


class Spatial(NamedTuple):
    """The part of the targets that lies over the picture, and is cut and spread with it."""

    content: dict[str, Array]
    guides: Guides
    aligned: Mapping[str, Array] = {}  # {layer: [r, h', w']}: which of its paintings' features a position keeps to


class Study(NamedTuple):
    """What is kept of a painting: moments [r, …] divided by their count, and features to find the nearest among."""

    style: dict[str, Moments]
    neighbours: Mapping[str, Painting] = {}


class Targets(NamedTuple):
    """What to paint: the content picture's maps, and what is kept of each region's paintings."""

    spatial: Spatial
    style: dict[str, Moments]
    neighbours: Mapping[str, Painting] = {}


class Loss(NamedTuple):
    """Five pure functions; network, distances and kind of variation are bound in them."""

    maps: Callable[..., dict[str, Array]]  # (params, picture, layers)
    prepare: Callable[..., Targets]  # (params, picture, regions, weights)
    summarise: Callable[..., Summary]  # (params, image, targets, weights)
    terms: Callable[..., dict[str, Array]]  # (summary, targets, weights)
    align: Callable[..., dict[str, Array]]  # (params, picture, targets, weights): what `Spatial.aligned` becomes


def everywhere(*images) -> tuple[Region]:
    """One region, the whole picture, painted after one or several styles in equal parts."""
    return (Region(tuple(Style(image) for image in images)),)


def under_guides(styles: Sequence[Style], guides, strength=None) -> tuple[Region, ...]:
    """One region for each style, under its guide times a map [h, w] of how much style there is anywhere."""
    return tuple(
        Region((style,), guide if strength is None else guide * strength)
        for style, guide in zip(styles, guides, strict=True)
    )


def mix(each: Sequence[Study], weights: Sequence) -> Study:
    """Mix styles: moments, which are raw, to what a mixed picture would have; features by their number.

    A single style is what it is; of several not all weigh nothing.
    """
    if len(each) == 1:
        return each[0]
    share = jnp.stack([jnp.asarray(w, jnp.float32) for w in weights])
    share = share / share.sum()
    moments = [study.style for study in each]
    style = jax.tree.map(lambda *leaves: sum(s * leaf for s, leaf in zip(share, leaves, strict=True)), *moments)
    layers = each[0].neighbours
    return Study(style, {k: neighbours.mix([study.neighbours[k] for study in each], share) for k in layers})


def join(each: Sequence[Study]) -> Study:
    """Studies of several regions as one, [r, …]."""
    style = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *[study.style for study in each])
    layers = each[0].neighbours
    return Study(style, {k: neighbours.join([study.neighbours[k] for study in each]) for k in layers})


def shrink_guide(guide, layer: str) -> Array:
    """Average a guide to a layer's size, as pooling shrinks: [..., h, w] -> [..., h', w']."""
    k = vgg19.stride(layer)
    h, w = guide.shape[-2] // k, guide.shape[-1] // k
    return guide[..., : h * k, : w * k].reshape(*guide.shape[:-2], h, k, w, k).mean((-3, -1))


# The loss


@once
def loss(network=vgg19.features, *, content=squared, style=gram, variation=SQUARES) -> Loss:
    """The loss of a network's maps under these distances. Equal arguments give the same functions, compiled once."""

    def maps(params, picture, layers):
        return network(params, jnp.asarray(picture), tuple(layers))

    summarise = functools.partial(_summarise, network, variation)
    made = Loss(maps, _prepare, summarise, functools.partial(_terms, content, style, variation), align)
    return made._replace(prepare=functools.partial(_prepare, made), align=functools.partial(align, maps))


@functools.cache
def objective(loss: Loss) -> Callable[..., Array]:
    """What a solver minimises: (image, params, targets, weights) -> scalar, the sum of the loss's terms."""

    def value(image, params, targets, weights):
        summary = loss.summarise(params, image, targets, weights)
        return sum(loss.terms(summary, targets, weights).values(), jnp.zeros(()))

    return value


def _prepare(loss, params, picture, regions, weights) -> Targets:
    picture = jnp.asarray(picture)
    content = loss.maps(params, picture, weights.content)
    spatial = Spatial(content, guides_of(regions, picture.shape[:2], weights))
    return aim(spatial, blend(regions, lambda style: study(loss, params, style, weights)))


def aim(spatial: Spatial, painted: Study) -> Targets:
    """What to paint, of what lies over the picture and what is kept of the paintings."""
    return Targets(spatial, painted.style, painted.neighbours)


def blend(regions: Sequence[Region], measure: Callable[[Style], Study]) -> Study:
    """Measure each region's styles and mix them, {layer: [r, …]}: what a region is painted after."""
    if not regions:
        return Study({})
    each = [mix([*map(measure, region.styles)], [style.weight for style in region.styles]) for region in regions]
    return join(each)


def study(loss: Loss, params, style: Style, weights) -> Study:
    """What a loss keeps of a painting; of weights only the layers' names count."""
    image, guide = jnp.asarray(style.image), None if style.guide is None else jnp.asarray(style.guide)
    guides = Guides() if guide is None else Guides(style={k: shrink_guide(guide[None], k) for k in weights.style})
    summary = loss.summarise(params, image, Targets(Spatial({}, guides), {}), Weights({}, weights.style))
    found = loss.maps(params, image, weights.near) if weights.near else {}
    inside = {layer: None if guide is None else shrink_guide(guide, layer) for layer in found}
    return Study(
        {layer: normalise(m) for layer, m in summary.style.items()},
        {layer: neighbours.study(f, inside[layer], rows=_rows(layer, f)) for layer, f in found.items()},
    )


def _rows(layer, f) -> int:
    """How many of a map's features are kept: of columns, which are searched seldom, all there are, or many."""
    return min(math.prod(f.shape[:2]), neighbours.MOST) if layer == vgg19.COLUMNS else neighbours.ROWS


def aligned(layers) -> tuple[str, ...]:
    """Of these layers those whose positions keep to the feature that was nearest when they were aligned."""
    return tuple(layer for layer in layers if layer == vgg19.COLUMNS)


def with_aligned(targets: Targets, found) -> Targets:
    """The targets with what `Loss.align` has found."""
    return targets._replace(spatial=targets.spatial._replace(aligned=found))


def align(maps, params, picture, targets, weights) -> dict[str, Array]:
    """Which of its paintings' features is nearest to each position of a picture, by whoever finds maps."""
    found = maps(params, picture, aligned(weights.near))
    return {layer: neighbours.align(f, targets.neighbours[layer]) for layer, f in found.items()}


def guides_of(regions: Sequence[Region], shape: tuple[int, ...], weights) -> Guides:
    """How much each position of the styles' layers counts for each region, in a picture of this shape."""
    return layer_guides(regions, shape, {**weights.style, **weights.near})


def layer_guides(regions: Sequence[Region], shape: tuple[int, ...], layers) -> Guides:
    """How much each position of these layers counts for each region, in a picture of this shape."""
    if all(region.guide is None for region in regions):
        return Guides()
    whole = jnp.stack([jnp.ones(shape) if r.guide is None else jnp.asarray(r.guide) for r in regions])
    return Guides(style={layer: shrink_guide(whole, layer) for layer in layers})


def _summarise(network, variation, params, image, targets, weights) -> Summary:
    spatial = targets.spatial
    maps = network(params, image, weights.layers)
    content, style, over = spatial.guides.content or {}, spatial.guides.style or {}, spatial.guides.variation
    rough = variation.local(image)  # [h, w, k]
    likeness = neighbours.likeness
    return Summary(
        {layer: errors(maps[layer], spatial.content[layer], content.get(layer)) for layer in weights.content},
        {layer: moments(maps[layer], style.get(layer)) for layer in weights.style},
        (rough if over is None else rough * over[:, :, None]).sum((0, 1)),
        {k: likeness(maps[k], targets.neighbours[k], style.get(k), spatial.aligned.get(k)) for k in weights.near},
    )


def _terms(content, style, variation, summary, targets, weights) -> dict[str, Array]:
    guides = targets.spatial.guides.style

    def area(layer, count):
        return count if guides is None else math.prod(guides[layer].shape[1:])  # a region counts by its share

    def style_distance(layer):
        m = summary.style[layer]
        return (m.count / area(layer, m.count) * style(normalise(m), targets.style[layer])).sum()

    def unlike(layer):
        found = summary.neighbours[layer]
        return neighbours.unlike(found, area(layer, found.count)).sum()

    return (
        {f"content/{layer}": w * content(summary.content[layer]) for layer, w in weights.content.items()}
        | {f"style/{layer}": w * style_distance(layer) for layer, w in weights.style.items()}
        | {f"style/{layer} neighbours": w * unlike(layer) for layer, w in weights.near.items()}
        | {"variation": weights.variation * variation.total(summary.variation)}
    )
