"""What is timed: a step of Adam on a square picture, with the weights of one recipe."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nst_jax import recipes
from nst_jax.network import vgg19
from nst_jax.objective import losses
from nst_jax.painting import devices, transfer
from nst_jax.painting import job as jobs
from nst_jax.painting.memory import Machine
from nst_jax.pictures import images, samples

RECIPE = recipes.get("gatys-notebook")._replace(
    optimizer="adam", settings={"learning_rate": 0.02}, keep=("clamped",), pool="max"
)
LAYERS = [*RECIPE.content, *RECIPE.style]


class Case(NamedTuple):
    """A loss, its solver, the picture to start from and what a step takes besides: (params, targets, weights)."""

    loss: losses.Loss
    solver: transfer.Solver
    start: jax.Array
    rest: tuple[Any, ...]


DRAWN = 512  # px at most: drawing more would take longer than what is timed


@functools.cache
def draw(name: str, size: int) -> np.ndarray:
    """A sample picture, square; a large one is drawn smaller and enlarged."""
    edge = min(size, DRAWN)
    drawn = samples.draw(name, (edge, edge))
    return drawn if size <= DRAWN else images.resize(drawn, (size, size)).clip(0, 1)


@functools.cache
def pictures(size: int):
    """(content, style, start): drawn, square. The start is neither, so that every term has a gradient.

    It has noise: on flat areas neighbours are equal, and libraries differ in whose is the gradient of their maximum.
    """
    content, style = draw("skyline", size), draw("flow", size)
    noise = np.random.default_rng(0).uniform(0, 0.2, content.shape)
    return content, style, (0.6 * content + 0.2 * style[::-1] + noise).astype(np.float32)


def case(size: int, weights, *, dtype=None, mesh=None) -> Case:
    """The step of this size with the network of this file, its convolutions in this dtype, on one device or a mesh."""
    content, style, start = map(jnp.asarray, pictures(size))
    loss = jobs.loss(RECIPE, machine=Machine(dtype=dtype, mesh=mesh))
    params, weights = vgg19.load(weights), RECIPE.weights((size, size))
    targets = jax.jit(loss.prepare)(params, content, losses.everywhere(style), weights)
    params = params if mesh else vgg19.ready(params, LAYERS)
    return Case(loss, jobs.solver(RECIPE, loss), start, (params, targets, weights))


def gradient(loss: losses.Loss):
    """Loss and gradient of a case, compiled: (image, *rest) -> (scalar, [h, w, 3])."""
    return jax.jit(jax.value_and_grad(losses.objective(loss)))


def steps(known: Case, count: int):
    """So many steps of a case in one loop; gives the last state."""
    *_, (_, state, _) = transfer.frames(
        known.solver.step, known.solver.init(known.start), *known.rest, num_steps=count, every=count
    )
    return state


def loop(known: Case, count: int, *, mesh=None):
    """A function that takes so many steps in one loop, from the same state at each call, and gives the last state."""
    state = known.solver.init(known.start)
    state = state if mesh is None else devices.place(state, mesh)

    def run():
        *_, (_, last, _) = transfer.frames(known.solver.step, state, *known.rest, num_steps=count, every=count)
        return last

    return run


def doubled(size: int, weights):
    """(loss, gradient) of this size in float64, where no rounding decides which of two is the larger."""
    with jax.enable_x64(True):
        known = case(size, weights)
        content, style, start = (jnp.asarray(picture, jnp.float64) for picture in pictures(size))
        params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), known.rest[0])
        targets = jax.jit(known.loss.prepare)(params, content, losses.everywhere(style), known.rest[2])
        value, grad = gradient(known.loss)(start, params, targets, known.rest[2])
        return float(value), np.asarray(grad)


def difference(one, other) -> tuple[float, float]:
    """Relative differences of two (loss, gradient): of the losses, and of the gradients' norms."""
    (a, f), (b, g) = ((value, np.asarray(grad, np.float64)) for value, grad in (one, other))
    return abs(float(a) / float(b) - 1), float(np.linalg.norm(f - g) / np.linalg.norm(g))


def assert_equal(one, other, most: float = 1e-4) -> dict[str, float]:
    """Raise unless two (loss, gradient) are equal but for rounding; else say how equal."""
    loss, grad = difference(one, other)
    found = {"loss differs by": loss, "gradient differs by": grad}
    if not max(found.values()) <= most:
        raise AssertionError(f"both sides must compute the same to {most}, got {found}: no times are taken")
    return found
