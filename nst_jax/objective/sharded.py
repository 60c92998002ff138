"""A loss whose image's rows are cut evenly: over the axis `space` of a mesh of devices, into strips on a TPU, or both.

XLA cuts the network along the rows and fetches what a convolution needs of a neighbour's. It does so only for shares
of equal length that pooling halves evenly; a picture of another height gets rows below, which the network keeps at
zero, so that they count for nothing. A device holds its rows' features and nobody else's.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from nst_jax.network import vgg19
from nst_jax.objective import losses, neighbours
from nst_jax.objective.losses import Guides, Loss, Spatial, Summary, Targets
from nst_jax.objective.neighbours import Likeness
from nst_jax.recipes import Weights

HALVED = 8  # strips are even if poolings halve them three times
WORTH = 1.125  # of the rows that devices need: a tenth more is repaid by strips that are even, a third is not


class Cut(NamedTuple):
    """How rows are cut: over a mesh of devices, None for one of them, and into how many strips on each."""

    mesh: Mesh | None
    strips: int = 1

    @property
    def space(self) -> int:
        """Over how many devices."""
        return 1 if self.mesh is None else self.mesh.shape["space"]

    def rows(self, height: int, layers) -> int:
        """The rows that a picture gets, in equal shares: as many that strips are even, where that adds few."""
        if self.space == self.strips == 1:
            return height
        deepest = max(map(vgg19.stride, vgg19.parts_of(layers)), default=1)
        plain, even = (_up(height, self.space * max(deepest, n)) for n in (1, HALVED * self.strips))
        return even if self.strips > 1 and even <= WORTH * plain else plain


def _up(number, unit):
    return math.ceil(number / unit) * unit


def sharded(loss: Loss, mesh: Mesh) -> Loss:
    """The same loss, the rows of its images over `space`; other wrappers of losses go around this one."""
    return in_shares(loss, Cut(mesh))


@functools.cache
def in_shares(loss: Loss, cut: Cut) -> Loss:
    """The same loss, the rows of its images cut so."""
    if cut.space == cut.strips == 1:
        return loss
    return loss._replace(
        maps=functools.partial(_maps, loss, cut),
        prepare=functools.partial(_prepare, loss, cut),
        summarise=functools.partial(_summarise, loss, cut),
        align=functools.partial(losses.align, functools.partial(_maps, loss, cut)),
    )


def _maps(loss, cut, params, picture, layers) -> dict[str, jax.Array]:
    rows = _Rows(cut, picture.shape[0], layers)
    found = loss.maps(rows.params(params), rows.image(jnp.asarray(picture)), layers)
    return {layer: f[: rows.at(layer, rows.height)] for layer, f in found.items()}


def _prepare(loss, cut, params, picture, regions, weights) -> Targets:
    picture = jnp.asarray(picture)
    rows = _Rows(cut, picture.shape[0], weights.content)
    found = loss.prepare(rows.params(params), rows.image(picture), (), Weights(weights.content, {})).spatial.content
    painted = losses.blend(regions, lambda style: losses.study(in_shares(loss, cut), params, style, weights))
    return losses.aim(Spatial(found, losses.guides_of(regions, picture.shape[:2], weights)), painted)


def _summarise(loss, cut, params, image, targets, weights) -> Summary:
    rows = _Rows(cut, image.shape[0], weights.layers)
    content = {layer: rows.map(f, layer) for layer, f in targets.spatial.content.items()}
    known = targets.spatial.guides
    guides = Guides(rows.guides(known.content), rows.guides(known.style), known.variation)
    aligned = rows.guides(targets.spatial.aligned) or {}
    if rows.padded == rows.height:
        whole = targets._replace(spatial=Spatial(content, guides, aligned))
        return loss.summarise(params, rows.image(image), whole, weights)
    padded = targets._replace(spatial=Spatial(content, guides._replace(variation=None), aligned))
    summary = loss.summarise(rows.params(params), rows.image(image), padded, weights)
    low = Weights({}, {}, weights.variation)  # neighbours differ at the true border: of three channels, so anywhere
    alone = Targets(Spatial({}, Guides(variation=known.variation)), {})
    rough = loss.summarise(params, image, alone, low).variation
    return _without_padding(summary._replace(variation=rough), rows, image.shape[1], targets)


def _without_padding(summary, rows, width, targets) -> Summary:
    """A summary that counts only a picture's own positions where no guide has counted them."""

    def positions(layer, height=rows.height):
        return rows.at(layer, height) * (width // vgg19.stride(layer))

    def alike(layer, found):  # zeros have a nearest feature too, unless they are told which
        below = positions(layer, rows.padded) - positions(layer)
        cosine = 0.0
        if layer not in targets.spatial.aligned:
            painting = targets.neighbours[layer]
            cosine = neighbours.likeness(jnp.zeros((1, 1, painting.mean.shape[-1])), painting).cosine
        return Likeness(jnp.full_like(found.count, positions(layer)), found.cosine - below * cosine)

    known, (errors, moments, _, near) = targets.spatial.guides, summary
    if known.content is None:
        numbers = {layer: positions(layer) * targets.spatial.content[layer].shape[-1] for layer in errors}
        errors = {layer: e._replace(count=jnp.full_like(e.count, numbers[layer])) for layer, e in errors.items()}
    if known.style is None:
        moments = {layer: m._replace(count=jnp.full_like(m.count, positions(layer))) for layer, m in moments.items()}
        near = {layer: alike(layer, found) for layer, found in near.items()}
    return summary._replace(content=errors, style=moments, neighbours=near)


class _Rows:
    """How images of a height are cut: into shares, and strips, that poolings halve, rows being added below for that."""

    def __init__(self, cut, height, layers):
        self.cut, self.height, self.padded = cut, height, cut.rows(height, layers)

    def at(self, layer, height):
        """Rows of a layer's map of an image of this height."""
        return height // vgg19.stride(layer)

    def params(self, params):
        """Parameters that tell the network where the picture ends."""
        return {**params, "input": {**params["input"], "height": self.height}}

    def image(self, image):
        """An image with its last row repeated below it."""
        return self._shard(jnp.pad(image, ((0, self.padded - self.height), (0, 0), (0, 0)), mode="edge"), 0)

    def map(self, f, layer):
        """A layer's map with rows of zeros below, unless it has them."""
        return self._shard(self._pad(f, layer, 0), 0)

    def guides(self, guides):
        """Layers' guides with rows of zeros below; None stays None."""
        if guides is None:
            return None
        return {layer: self._shard(self._pad(g, layer, g.ndim - 2), g.ndim - 2) for layer, g in guides.items()}

    def _pad(self, a, layer, axis):
        below = [(0, 0)] * a.ndim
        below[axis] = (0, self.at(layer, self.padded) - a.shape[axis])
        return jnp.pad(a, below)

    def _shard(self, a, axis):
        if self.cut.space == 1:
            return a
        spec = P(*[None] * axis, "space")
        inside = jax.sharding.get_abstract_mesh().axis_names  # of a step that is mapped: its mesh is meant then
        return lax.with_sharding_constraint(a, spec if inside else NamedSharding(self.cut.mesh, spec))
