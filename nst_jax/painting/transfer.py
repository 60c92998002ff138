"""Minimise `objective(image, *args)` over an image: solvers as pure functions, and the one loop that runs them.

Nothing here knows of files, networks or styles. Arrays (parameters, targets, weights) are arguments of a step and never
closed over, so that another run of the same shapes compiles nothing.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax

from nst_jax.painting import programs
from nst_jax.painting.optimizers import OPTIMIZERS as OPTIMIZERS
from nst_jax.painting.optimizers import adam as adam
from nst_jax.painting.optimizers import keras_adam as keras_adam
from nst_jax.painting.optimizers import lbfgs as lbfgs
from nst_jax.painting.optimizers import sgd as sgd


class State(NamedTuple):
    """What the next step needs."""

    image: Any
    opt_state: Any


class Info(NamedTuple):
    """What a person reads of a step: both are of the picture before it."""

    loss: Any
    grad_norm: Any


class Solver(NamedTuple):
    """Two pure functions that make and advance a state, and one that gives the picture to show, save and hand on."""

    init: Callable[[Array], Any]  # image -> state
    step: Callable[..., tuple[Any, Info]]  # (state, *args) -> (state, info)
    picture: Callable[[Any], Array]  # state -> image


def _copy_strongly_typed(leaf):
    """A copy of one dtype for good: L-BFGS begins with weak types and shared buffers, and would compile twice."""
    return jnp.array(leaf, dtype=jnp.asarray(leaf).dtype)


@functools.cache
def solver(objective: Callable[..., Array], optimizer: optax.GradientTransformationExtraArgs) -> Solver:
    """Gradient steps of an Optax optimizer on `objective(image, *args)`."""

    def init(image):
        image = _copy_strongly_typed(image)
        return State(image, jax.tree.map(_copy_strongly_typed, optimizer.init(image)))

    def step(state, *args):
        def of(image):
            return objective(image, *args)

        if optax.tree.get(state.opt_state, "grad") is None:
            value, grad = jax.value_and_grad(of)(state.image)
        else:  # a line search has already evaluated it
            value, grad = optax.value_and_grad_from_state(of)(state.image, state=state.opt_state)
        updates, opt_state = optimizer.update(grad, state.opt_state, state.image, value=value, grad=grad, value_fn=of)
        return State(optax.apply_updates(state.image, updates), opt_state), Info(value, optax.tree.norm(grad))

    return Solver(init, step, lambda state: state.image)


@functools.cache
def clamped(inner: Solver) -> Solver:
    """Keeps the image in [0, 1]: after each step, or only as shown where a line search remembers the point."""

    def step(state, *args):
        state, info = inner.step(state, *args)
        return (_clipped(state) if optax.tree.get(state, "grad") is None else state), info

    return Solver(inner.init, step, lambda state: jnp.clip(inner.picture(state), 0, 1))


def _clipped(state):
    """A state whose image is in [0, 1], whatever is around it."""
    if isinstance(state, State):
        return state._replace(image=jnp.clip(state.image, 0, 1))
    return state._replace(inner=_clipped(state.inner))


class Averaged(NamedTuple):
    """A state, and the decaying sum of its pictures with the sum of their weights."""

    inner: Any
    total: Array
    weight: Array


@functools.cache
def averaged(inner: Solver, decay: float) -> Solver:
    """Shows the exponentially weighted mean of all pictures so far, the first included: the jitter of steps cancels."""

    def init(image):
        state = inner.init(image)
        return Averaged(state, (1 - decay) * inner.picture(state), jnp.float32(1 - decay))

    def step(state, *args):
        new, info = inner.step(state.inner, *args)
        total = decay * state.total + (1 - decay) * inner.picture(new)
        return Averaged(new, total, decay * state.weight + (1 - decay)), info

    return Solver(init, step, lambda state: state.total / state.weight)


class Best(NamedTuple):
    """A state, and the picture of the lowest loss so far with that loss."""

    inner: Any
    image: Array
    loss: Array


@functools.cache
def best(inner: Solver) -> Solver:
    """Shows the picture of the lowest loss so far: the one that a step started from, which is what its loss is of."""

    def init(image):
        state = inner.init(image)
        return Best(state, jnp.array(inner.picture(state)), jnp.float32(jnp.inf))

    def step(state, *args):
        new, info = inner.step(state.inner, *args)
        lower = info.loss < state.loss
        image = jnp.where(lower, inner.picture(state.inner), state.image)
        return Best(new, image, jnp.minimum(info.loss, state.loss).astype(state.loss.dtype)), info

    return Solver(init, step, lambda state: state.image)


@functools.cache
def guarded(inner: Solver) -> Solver:
    """Starts the optimizer again from where it stood when a step's loss, gradient or picture isn't finite."""

    def step(state, *args):
        new, info = inner.step(state, *args)
        image = inner.picture(state)
        sound = jnp.isfinite(info.loss) & jnp.isfinite(info.grad_norm) & jnp.isfinite(inner.picture(new)).all()

        def again():
            return _with_rate_of(state, inner.init(jnp.where(jnp.isfinite(image), image, 0.5)))

        def choose():  # a TPU's branches hand images on with three channels filled up to 128
            return jax.tree.map(lambda one, other: jnp.where(sound, one, other), new, again())

        return lax.platform_dependent(tpu=choose, default=lambda: lax.cond(sound, lambda: new, again)), info

    return inner._replace(step=step)


class Watched(NamedTuple):
    """A state, the lowest loss so far, steps that were looked at, and how many in a row were far off."""

    inner: Any
    lowest: Array
    seen: Array
    astray: Array


ASTRAY, FAR = 10, 100.0  # steps in a row, and times the lowest loss, from which a run has gone wrong


@functools.cache
def watched(inner: Solver) -> Solver:
    """Counts steps in a row whose loss isn't finite, or a hundred times the lowest; ten of them stay counted.

    The first ten steps set no lowest loss: one that starts from the photograph itself may begin at nothing at all.
    """

    def init(image):
        return Watched(inner.init(image), jnp.float32(jnp.inf), jnp.int32(0), jnp.int32(0))

    def step(state, *args):
        new, info = inner.step(state.inner, *args)
        off = ~jnp.isfinite(info.loss) | (info.loss > FAR * state.lowest)
        astray = jnp.where(off, state.astray + 1, jnp.where(state.astray < ASTRAY, 0, state.astray))
        lowest = jnp.where(off | (state.seen < ASTRAY), state.lowest, jnp.minimum(info.loss, state.lowest))
        return Watched(new, lowest.astype(jnp.float32), state.seen + 1, astray.astype(jnp.int32)), info

    return Solver(init, step, lambda state: inner.picture(state.inner))


def has_gone_wrong(state) -> bool:
    """Whether a watched state's steps have been far off for too long."""
    return isinstance(state, Watched) and bool(np.any(np.asarray(state.astray) >= ASTRAY))


def is_sound(state) -> bool:
    """Whether a watched state's last step was not far off."""
    return not isinstance(state, Watched) or not np.any(np.asarray(state.astray))


def _with_rate_of(state, fresh):
    """A fresh state with the learning rate's factor of another: what a turn has set is kept."""
    return jax.tree_util.tree_map_with_path(lambda path, new, old: old if _last(path) == "rate" else new, fresh, state)


# While a run goes on


def has_rate(state) -> bool:
    """Whether a state's learning rate can be changed: L-BFGS finds its own along each line."""
    return any(_last(path) == "rate" for path, _ in jax.tree_util.tree_leaves_with_path(state))


ANEW = {
    "loss": jnp.inf,  # the lowest so far, of another problem
    "lowest": jnp.inf,
    "seen": 0,
    "astray": 0,
    "value": jnp.inf,  # what L-BFGS remembers of its last evaluation; infinity makes it evaluate again
    "diff_params_memory": 0,
    "diff_updates_memory": 0,
    "weights_memory": 0,
}
"""Leaves of a state that belong to the problem as it was, and what they begin with."""


def turn(state, *, rate: float = 1.0):
    """A state for weights that have changed, with a factor of the learning rate; nothing is compiled."""
    line_search = optax.tree.get(state, "diff_params_memory") is not None

    def one(path, leaf):
        name = _last(path)
        if name == "rate":
            return _fill(leaf, rate)
        return _fill(leaf, 0) if name == "count" and line_search else _fill(leaf, ANEW[name]) if name in ANEW else leaf

    return jax.tree_util.tree_map_with_path(one, state)


def without_memory(state):
    """A state with a zero in the place of each large leaf that a turn begins anew."""

    def one(path, leaf):
        return jnp.zeros((), leaf.dtype) if _last(path) in ANEW and leaf.size > 1 else leaf

    return jax.tree_util.tree_map_with_path(one, state)


def _fill(leaf, value):
    """One value in the place of a leaf: of its shape, type and devices."""
    new = np.full(jnp.shape(leaf), value, leaf.dtype)
    spread = isinstance(leaf.sharding, jax.sharding.NamedSharding)
    return jax.device_put(new, leaf.sharding) if spread else jax.device_put(new)


def resample(old, fresh):
    """An optimizer's state carried to the scale of a fresh one: images resized, second moments kept above zero."""

    def one(path, leaf, new):
        if jnp.shape(leaf) == jnp.shape(new):
            return leaf
        resized = jax.image.resize(leaf, new.shape, "cubic")
        return jnp.maximum(resized, 0) if any(getattr(key, "name", "") == "nu" for key in path) else resized

    return jax.tree_util.tree_map_with_path(one, old, fresh)


@functools.partial(jax.jit, static_argnums=0)
def begin(solver: Solver, image):
    """The state that a picture begins with; jitted whole, or every operation in `init` compiles by itself."""
    return solver.init(image)


@functools.partial(jax.jit, static_argnums=0)
def picture(solver: Solver, state) -> Array:
    """The picture that a state shows, in [0, 1]."""
    return jnp.clip(solver.picture(state), 0, 1)


@functools.partial(jax.jit, static_argnums=(0, 2))
def carry(solver: Solver, state, shape: tuple[int, int]):
    """The state that goes on at another scale, picture and moments resized; what wrappers remember begins anew.

    All of L-BFGS does.
    """
    picture = jnp.clip(jax.image.resize(solver.picture(state), (*shape, 3), "cubic"), 0, 1)
    fresh = solver.init(picture)
    if optax.tree.get(state, "diff_params_memory") is not None:  # L-BFGS measured its curvature on another grid
        return fresh
    return _with_optimizer(fresh, state)


@functools.partial(jax.jit, static_argnums=(0, 2))
def restart(solvers: tuple[Solver, Solver], state, shape: tuple[int, int]):
    """What a second solver begins with from the picture of a first one's state, at a shape."""
    picture = jnp.clip(solvers[0].picture(state), 0, 1)
    if picture.shape[:2] != shape:
        picture = jnp.clip(jax.image.resize(picture, (*shape, 3), "cubic"), 0, 1)
    return solvers[1].init(picture)


def _with_optimizer(fresh, old):
    if isinstance(fresh, State):
        return State(fresh.image, resample(old.opt_state, fresh.opt_state))
    return fresh._replace(inner=_with_optimizer(fresh.inner, old.inner))


def _last(path) -> str:
    return getattr(path[-1], "name", "")


def _loop(step, state, count, *args):
    step = jax.jit(step)  # traced once, for the shapes and for the loop
    shapes = jax.eval_shape(step, state, *args)[1]
    info = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), shapes)
    return lax.fori_loop(0, count, lambda _, carry: step(carry[0], *args), (state, info))


advance = programs.Program(_loop, static_argnums=0)
"""(step, state, count, *args) -> (state, info): so many steps in one compiled loop, for all counts the same."""

consume = programs.Program(_loop, static_argnums=0, donate_argnums=1)
"""`advance` in the memory of the state that it is given, which is gone afterwards."""


def frames(step, state, *args, num_steps: int, every: int) -> Iterator[tuple[int, Any, Info]]:
    """Run a step; yield (steps run, state, info) at each multiple of `every` and at the end; states stay valid."""
    if num_steps < 1 or every < 1:
        raise ValueError(f"num_steps and every must be at least 1, got {num_steps} and {every}")
    at = 0
    while at < num_steps:
        count = min(every, num_steps - at)
        state, info = advance(step, state, count, *args)
        at += count
        yield at, state, info
