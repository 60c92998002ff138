"""Minimise `objective(image, *args)` over an image: solvers as pairs of pure functions, and the one loop that runs them.

Nothing here knows of files, networks or styles. Arrays (parameters, targets, weights) are arguments of a step and never
closed over, so that another run of the same shapes compiles nothing.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax


class State(NamedTuple):
    """What the next step needs."""

    image: Array
    opt_state: Any


class Info(NamedTuple):
    """What a person reads of a step: both are of the picture before it."""

    loss: Array
    grad_norm: Array


class Solver(NamedTuple):
    """Two pure functions that make and advance a state, and one that gives the picture to show, save and hand on."""

    init: Callable[[Array], Any]  # image -> state
    step: Callable[..., tuple[Any, Info]]  # (state, *args) -> (state, info)
    picture: Callable[[Any], Array]  # state -> image


@functools.cache
def adam(learning_rate=0.02, *, b1=0.9, b2=0.999, eps=1e-8) -> optax.GradientTransformationExtraArgs:
    """Optax's Adam. Equal settings give the same object, and so the same compiled step."""
    return optax.with_extra_args_support(optax.adam(learning_rate, b1, b2, eps))


@functools.cache
def lbfgs(*, memory=10, linesearch_steps=20) -> optax.GradientTransformationExtraArgs:
    """Optax's L-BFGS with a zoom line search, whose last gradient starts the next step."""
    search = optax.scale_by_zoom_linesearch(max_linesearch_steps=linesearch_steps, initial_guess_strategy="one")
    return optax.lbfgs(memory_size=memory, linesearch=search)


OPTIMIZERS = {"adam": adam, "lbfgs": lbfgs}


def _owned(leaf):
    """A copy of one dtype for good: L-BFGS begins with weak types and shared buffers, and would compile twice."""
    return jnp.array(leaf, dtype=jnp.asarray(leaf).dtype)


@functools.cache
def solver(objective: Callable[..., Array], optimizer: optax.GradientTransformationExtraArgs) -> Solver:
    """Gradient steps of an Optax optimizer on `objective(image, *args)`."""

    def init(image):
        image = jnp.asarray(image)
        return State(image, jax.tree.map(_owned, optimizer.init(image)))

    def step(state, *args):
        def of(image):
            return objective(image, *args)

        if optax.tree.get(state.opt_state, "grad") is None:
            value, grad = jax.value_and_grad(of)(state.image)
        else:  # a line search has already evaluated it
            value, grad = optax.value_and_grad_from_state(of)(state.image, state=state.opt_state)
        updates, opt_state = optimizer.update(grad, state.opt_state, state.image, value=value, grad=grad, value_fn=of)
        return State(optax.apply_updates(state.image, updates), opt_state), Info(value, optax.global_norm(grad))

    return Solver(init, step, lambda state: state.image)


@functools.cache
def clamped(inner: Solver) -> Solver:
    """Keeps the image in [0, 1]: after each step, or, where a line search remembers the point, only in what is shown."""

    def step(state, *args):
        state, info = inner.step(state, *args)
        if optax.tree.get(state.opt_state, "grad") is None:
            state = state._replace(image=jnp.clip(state.image, 0, 1))
        return state, info

    return Solver(inner.init, step, lambda state: jnp.clip(inner.picture(state), 0, 1))


@functools.partial(jax.jit, static_argnums=0)
def _advance(step, state, count, *args):
    """`count` steps in one compiled loop: a shorter last one compiles nothing new."""
    shapes = jax.eval_shape(step, state, *args)[1]
    info = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), shapes)
    return lax.fori_loop(0, count, lambda _, carry: step(carry[0], *args), (state, info))


def frames(step, state, *args, num_steps: int, every: int) -> Iterator[tuple[int, Any, Info]]:
    """Run a step; yield (steps done, state, info) after each `every` and at the end. Yielded states stay valid."""
    if num_steps < 1 or every < 1:
        raise ValueError(f"num_steps and every must be at least 1, got {num_steps} and {every}")
    for start in range(0, num_steps, every):
        count = min(every, num_steps - start)
        state, info = _advance(step, state, count, *args)
        yield start + count, state, info
