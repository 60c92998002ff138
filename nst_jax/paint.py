"""From pictures and a recipe to a painting: the core's functions, put together as a recipe says, coarse to fine."""

import functools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nst_jax import families, images, losses, recipes, starts, transfer, vgg19
from nst_jax.losses import Region
from nst_jax.recipes import Recipe, Stage


class Job(NamedTuple):
    """What is painted: pictures at full resolution, the shape to paint at, where to start."""

    content: Any
    regions: tuple[Region, ...]
    recipe: Recipe
    shape: tuple[int, int]
    start: Any = None  # a picture in place of the recipe's own start
    seed: int = 0


class Frame(NamedTuple):
    """A run at one moment: steps done in all, the picture to show, its loss by name, and the last step's Info."""

    step: int
    image: Array
    terms: dict[str, Array]
    info: transfer.Info


def loss(recipe: Recipe, *, dtype=None) -> losses.Loss:
    """The loss that a recipe's words name."""
    return losses.loss(
        vgg19.network(pool=recipe.pool, padding=recipe.padding, dtype=dtype),
        content=vgg19.choice("content distance", recipe.content_distance, losses.CONTENTS),
        style=vgg19.choice("style distance", recipe.style_distance, losses.STYLES),
        variation=vgg19.choice("variation", recipe.variation_kind, losses.VARIATIONS),
    )


WRAPPERS = {"best": transfer.best, "averaged": transfer.averaged}


def solver(recipe: Recipe, loss: losses.Loss) -> transfer.Solver:
    """The solver that a recipe's words name; it begins again where a step goes wrong."""
    make = vgg19.choice("optimizer", recipe.optimizer, transfer.OPTIMIZERS)
    plain = transfer.solver(losses.objective(loss), make(**recipe.settings))
    wrapped = transfer.guarded(transfer.clamped(plain) if "clamped" in recipe.keep else plain)
    for text in recipe.keep:
        word, *numbers = text.split(":")
        if word != "clamped":
            wrapped = vgg19.choice("keep", word, WRAPPERS)(wrapped, *map(float, numbers))
    return wrapped


def stages(job: Job) -> tuple[tuple[tuple[int, int], Stage], ...]:
    """Each stage of a job with its picture's shape; the last has the job's own."""
    length = images.EDGES[job.recipe.edge](*job.shape)
    schedule = job.recipe.schedule(length)
    last = schedule[-1].size
    return tuple((_shrunk(job.shape, stage.size / last), stage) for stage in schedule)


def _shrunk(shape, scale):
    return (max(16, round(shape[0] * scale)), max(16, round(shape[1] * scale)))


def at(job: Job, shape: tuple[int, int]) -> tuple[Array, tuple[Region, ...]]:
    """The content and the regions of a job at a stage's shape, made anew from the full pictures."""
    scale = images.EDGES[job.recipe.edge](*shape)

    def styled(style):
        known = np.asarray(style.image)
        size = images.fitted(known.shape, style_edge(job.recipe, style, known.shape, scale), edge=job.recipe.edge)
        return style._replace(image=images.resize(known, size), guide=_resized(style.guide, size), scale=1.0)

    regions = tuple(Region(tuple(map(styled, r.styles)), _resized(r.guide, shape)) for r in job.regions)
    return jnp.asarray(images.resize(images.crop(np.asarray(job.content), shape), shape)), regions


def style_edge(recipe, style, known, content: int) -> int:
    """How long a style's edge is beside a content of this edge, as its recipe says."""
    if isinstance(recipe.style_size, int):
        return recipe.style_size
    wanted = max(16, round(content * style.scale))
    return wanted if recipe.style_size == "same" else min(wanted, images.EDGES[recipe.edge](*known[:2]))


def _resized(guide, shape):
    return None if guide is None else images.resize(guide, shape).clip(0, 1)


@functools.partial(jax.jit, static_argnums=0)
def _prepared(prepare, *args):
    return prepare(*args)


@functools.partial(jax.jit, static_argnums=0)
def _terms(loss, image, params, targets, weights):
    return loss.terms(loss.summarise(params, image, targets.spatial, weights), targets, weights)


def frames(params, job: Job, *, every: int = 10) -> Iterator[Frame]:
    """Paint, coarse to fine; yield a Frame after each `every` steps of a stage and at its end."""
    bound = loss(job.recipe)
    painter, state, done = solver(job.recipe, bound), None, 0
    for shape, stage in stages(job):
        content, regions = at(job, shape)
        weights = job.recipe.weights(shape, widths=vgg19.shape_of(params)[0])
        args = (params, _prepared(bound.prepare, params, content, regions, weights), weights)
        state = painter.init(begun(job, content, regions)) if state is None else transfer.carried(painter, state, shape)
        run = transfer.frames(painter.step, state, *args, num_steps=stage.steps, every=every, done=done)
        for step, state, info in run:  # the last state goes on to the next stage
            image = jnp.clip(painter.picture(state), 0, 1)
            yield Frame(done + step, image, _terms(bound, image, *args), info)
        done += stage.steps


def begun(job: Job, content, regions: Sequence[Region]) -> Array:
    """The picture that a job starts from, of the content's shape."""
    if job.start is not None:
        return jnp.asarray(images.resize(images.crop(job.start, content.shape), content.shape))
    return starts.make(job.recipe.start, jax.random.key(job.seed), content, regions[0].styles[0].image)


def stylize(content, *styles, recipe: str | Recipe = recipes.DEFAULT, params=None, seed: int = 0) -> Array:
    """The content painted after one or several styles, at its own size: [h, w, 3] in [0, 1], all of them.

    Without `params`, the network that `vgg19.find` finds; a recipe for another family is fitted to it.
    """
    recipe = recipes.get(recipe) if isinstance(recipe, str) else recipe
    recipe, params, _ = families.fitted(recipe, vgg19.load() if params is None else params)
    job = Job(content, losses.everywhere(*styles), recipe, content.shape[:2], seed=seed)
    *_, last = frames(params, job, every=10**9)
    return last.image
