"""From pictures and a recipe to a painting: the core's functions, put together as a recipe says."""

import functools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from nst_jax import losses, recipes, starts, transfer, vgg19
from nst_jax.recipes import Recipe


class Frame(NamedTuple):
    """A run at one moment: steps done, the picture to show, its loss by name, and the last step's Info."""

    step: int
    image: Array
    terms: dict[str, Array]
    info: transfer.Info


def loss(recipe: Recipe, *, dtype=None) -> losses.Loss:
    """The loss that a recipe's words name."""
    return losses.loss(vgg19.network(pool=recipe.pool, dtype=dtype))


def solver(recipe: Recipe, loss: losses.Loss) -> transfer.Solver:
    """The solver that a recipe's words name, its pictures kept in [0, 1]."""
    make = vgg19.choice("optimizer", recipe.optimizer, transfer.OPTIMIZERS)
    return transfer.clamped(transfer.solver(losses.objective(loss), make(**recipe.settings)))


@functools.partial(jax.jit, static_argnums=0)
def _prepared(prepare, *args):
    return prepare(*args)


@functools.partial(jax.jit, static_argnums=0)
def _terms(loss, image, params, targets, weights):
    return loss.terms(loss.summarise(params, image, targets.spatial, weights), targets, weights)


def frames(
    params, content, regions: Sequence[losses.Region], recipe: Recipe, *, start=None, seed: int = 0, every: int = 10
) -> Iterator[Frame]:
    """Paint; yield a Frame after each `every` steps and at the end. `start` replaces the recipe's own."""
    content = jnp.asarray(content)
    bound = loss(recipe)
    weights = recipe.weights(content.shape, widths=vgg19.shape_of(params)[0])
    targets = _prepared(bound.prepare, params, content, tuple(regions), weights)
    if start is None:
        start = starts.make(recipe.start, jax.random.key(seed), content, regions[0].styles[0].image)
    painter, args = solver(recipe, bound), (params, targets, weights)
    state = painter.init(jnp.asarray(start))
    for step, state, info in transfer.frames(painter.step, state, *args, num_steps=recipe.steps, every=every):  # noqa: B020
        image = painter.picture(state)
        yield Frame(step, image, _terms(bound, image, *args), info)


def stylize(content, *styles, recipe: str | Recipe = recipes.DEFAULT, params=None, seed: int = 0) -> Array:
    """The content painted after one or several styles, at its own size: [h, w, 3] in [0, 1], all of them.

    Without `params`, the network that `vgg19.find` finds.
    """
    recipe = recipes.get(recipe) if isinstance(recipe, str) else recipe
    params = vgg19.load() if params is None else params
    *_, last = frames(params, content, losses.everywhere(*styles), recipe, seed=seed, every=recipe.steps)
    return last.image
