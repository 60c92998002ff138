"""Optax's optimizers as the recipes use them; equal settings give the same object, and so the same compiled step."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from nst_jax.ground.once import once


def _row(x):
    """A number, or one for each channel: [1, 1, 3]."""
    return jnp.asarray(x, jnp.float32)[None, None] if isinstance(x, tuple) else x


class Rate(NamedTuple):
    """A factor of the learning rate: a value of the state, so that changing it compiles nothing."""

    rate: Array


def scale_by_rate() -> optax.GradientTransformation:
    """Multiplies updates by a factor that `turn` may change while a run goes on."""
    return optax.GradientTransformation(
        lambda params: Rate(jnp.float32(1)),
        lambda updates, state, params=None: (jax.tree.map(lambda u: state.rate * u, updates), state),
    )


@once
def adam(learning_rate=0.02, *, b1=0.9, b2=0.999, eps=1e-8, slowing=0.0) -> optax.GradientTransformationExtraArgs:
    """Optax's Adam, its step divided by √(1 + slowing · t). Equal settings give the same object, and compiled step."""
    steps = [
        optax.scale_by_adam(b1, b2, _row(eps)),
        scale_by_rate(),
        optax.stateless(lambda u, _: jax.tree.map(lambda one: -_row(learning_rate) * jnp.asarray(one), u)),
    ]
    if slowing:
        steps.append(optax.scale_by_schedule(lambda t: 1 / jnp.sqrt(1 + slowing * t)))
    return optax.with_extra_args_support(optax.chain(*steps))


@once
def pyramid_adam(learning_rate=0.002, *, levels=8, b1=0.9, b2=0.999, eps=1e-8) -> optax.GradientTransformationExtraArgs:
    """Adam on the bands of the image's Laplacian pyramid: a broad stroke moves as readily as a pixel.

    An image is a linear function of its bands, so that it stays the variable: its gradient by them is the transpose.
    """
    inner = adam(learning_rate, b1=b1, b2=b2, eps=eps)

    def bands(image):
        shapes = [(max(1, image.shape[0] >> i), max(1, image.shape[1] >> i), 3) for i in range(levels + 1)]
        return tuple(jnp.zeros(shape, image.dtype) for shape in shapes)

    def update(updates, state, params=None):
        (slopes,) = jax.linear_transpose(compose, bands(updates))(updates)
        moves, state = inner.update(slopes, state)
        return compose(moves), state

    return optax.with_extra_args_support(optax.GradientTransformation(lambda params: inner.init(bands(params)), update))


def compose(bands):
    """The image of a Laplacian pyramid, finest band first: each is added to what is coarser, twice as large."""
    image = bands[-1]
    for band in bands[-2::-1]:
        image = band + jax.image.resize(image, band.shape, "linear")
    return image


@once
def keras_adam(learning_rate=0.02, *, b1=0.9, b2=0.999, eps=1e-7) -> optax.GradientTransformationExtraArgs:
    """Adam as Keras and TensorFlow have it: ε counts as ε/√(1 − β2ᵗ), 31.6 times as much at the first step."""

    def init(params):
        zeros = jnp.zeros_like(params)
        return optax.ScaleByAdamState(jnp.zeros([], jnp.int32), zeros, zeros), Rate(jnp.float32(1))

    def update(grad, states, params=None):
        state, factor = states
        count = state.count + 1
        mu = b1 * state.mu + (1 - b1) * grad
        nu = b2 * state.nu + (1 - b2) * jnp.square(grad)
        rate = learning_rate * jnp.sqrt(1 - b2**count) / (1 - b1**count)
        update = -rate * (factor.rate * mu) / (jnp.sqrt(nu) + eps)
        return update, (optax.ScaleByAdamState(count, mu, nu), factor)

    return optax.with_extra_args_support(optax.GradientTransformation(init, update))  # type: ignore[arg-type]


@once
def sgd(learning_rate=0.1, *, decay=1.0, decay_steps=100) -> optax.GradientTransformationExtraArgs:
    """Gradient descent, its rate multiplied by `decay` over each `decay_steps`."""
    descent = optax.sgd(optax.exponential_decay(learning_rate, decay_steps, decay))
    return optax.with_extra_args_support(optax.chain(scale_by_rate(), descent))


@once
def lbfgs(*, memory=10, linesearch_steps=20) -> optax.GradientTransformationExtraArgs:
    """Optax's L-BFGS with a zoom line search, whose last gradient starts the next step."""
    search = optax.scale_by_zoom_linesearch(max_linesearch_steps=linesearch_steps, initial_guess_strategy="one")
    return optax.lbfgs(memory_size=memory, linesearch=search)


OPTIMIZERS = {"adam": adam, "pyramid-adam": pyramid_adam, "keras-adam": keras_adam, "sgd": sgd, "lbfgs": lbfgs}
