"""What a stage measures before its first step, and what it makes of that: targets, terms, states from snapshots."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nst_jax.objective import losses
from nst_jax.painting import programs, transfer
from nst_jax.painting.job import Job
from nst_jax.recipes import Turn, Weights


class Scene(NamedTuple):
    """What a stage measures: the content's targets, and what is kept of each region's styles, unmixed."""

    spatial: Any
    styles: tuple[tuple[losses.Study, ...], ...]


def measure(loss, params, content, regions, weights) -> Scene:
    """The targets of a content picture, and each style by itself."""
    spatial = loss.prepare(params, content, (), Weights(weights.content, {})).spatial
    spatial = spatial._replace(guides=losses.guides_of(regions, content.shape[:2], weights))

    def studied(style):
        return losses.study(loss, params, style, weights)

    return Scene(spatial, tuple(tuple(map(studied, region.styles)) for region in regions))


@jax.jit
def mix_with_current(content, image, share):
    """What matches are found by: the photograph, and so much of the picture without its details: [h, w, 3]."""
    return jnp.clip(content + share * _without_details(image - content), 0, 1)


def _without_details(image):
    """What is left of an image that is halved and brought back."""
    h, w, c = image.shape
    half = jax.image.resize(image, (max(1, h // 2), max(1, w // 2), c), "linear", antialias=False)
    return jax.image.resize(half, image.shape, "linear")


def align(loss, params, picture, known, weights) -> dict[str, Any]:
    """Which of the features that are known of paintings each position keeps to."""
    return loss.align(params, picture, losses.Targets(losses.Spatial({}, losses.Guides()), {}, known), weights)


align_jitted = programs.Program(align, effort=programs.LESS, static_argnums=0)
measure_jitted = programs.Program(measure, effort=programs.LESS, static_argnums=0)
study_jitted = programs.Program(losses.study, effort=programs.LESS, static_argnums=0)


@jax.jit
def mix_regions(styles, shares) -> losses.Study:
    """What the regions are painted after: {layer: [r, …]}."""
    return losses.join([losses.mix(each, of) for each, of in zip(styles, shares, strict=True)])


def shares(job: Job, turn: Turn | None) -> list[list[float]]:
    """How much of each style in each region's blend."""
    mix = job.turn.mix if turn is None else turn.mix
    given = [[float(style.weight) for style in region.styles] for region in job.regions]
    if mix is None:
        return given
    for region in given:
        if len(region) != len(mix) or len(mix) == 1 or not (min(mix) >= 0 and 0 < sum(mix) < math.inf):
            got = f"got {', '.join(map(str, mix))}"
            raise ValueError(f"mix must be a share from 0 for each of a region's {len(region)} styles, {got}")
    return [list(map(float, mix))] * len(given)


def blend(styles, job: Job, turn: Turn | None):
    """What the styles of each region come to together; a single style is what it is."""
    of = shares(job, turn)
    alone = len(of) == 1 and len(of[0]) == 1
    return styles[0][0] if alone else mix_regions(styles, of)


def terms(loss, image, params, targets, weights) -> dict[str, jax.Array]:
    """{"content/relu4_2": scalar, …} of a picture, by a program for its size and one for all sizes."""
    return weigh(loss.terms, summarise(loss.summarise, params, image, targets, weights), flat(targets), weights)


# Two functions alike, for their names: programs are called by these in logs


def _summarise(function, *args):
    return function(*args)


def _weigh(function, *args):
    return function(*args)


summarise = programs.Program(_summarise, effort=programs.LESS, static_argnums=0)
weigh = programs.Program(_weigh, effort=programs.LESS, static_argnums=0)


def flat(targets):
    """Targets without content maps and features of paintings: a summary holds all that counts of these."""
    return targets._replace(spatial=targets.spatial._replace(content={}, aligned={}), neighbours={})


def state_of(solver: transfer.Solver, shape, leaves):
    """A solver's state from its leaves on the host, if they are those of a picture of this shape."""
    wanted = jax.eval_shape(solver.init, jax.ShapeDtypeStruct((*shape, 3), np.float32))
    expected, structure = jax.tree.flatten(wanted)
    got = [(np.shape(leaf), np.asarray(leaf).dtype) for leaf in leaves]
    if got != [(leaf.shape, leaf.dtype) for leaf in expected]:
        raise ValueError(
            f"snapshot must be of a picture of {shape[1]}×{shape[0]} px by this recipe, got another: start anew"
        )
    return jax.tree.unflatten(structure, [jax.device_put(leaf) for leaf in leaves])
