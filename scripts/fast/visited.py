"""Pictures that the student's own optimisations pass through: what it must not be wrong about."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from fast import pictures

from nst_jax import losses, recipes, transfer, vgg19

STEPS = (8, 20, 40, 70)  # at which a picture is taken
AT_ONCE = 2  # transfers in one program: more do not fit a core's cache
STEP_SIZE = 0.04


@functools.cache
def _solver():
    loss = losses.loss(vgg19.network())
    return loss, transfer.clamped(transfer.solver(losses.objective(loss), transfer.adam(STEP_SIZE)))


@jax.jit
def _begun(params, contents, styles, weights):
    loss, solver = _solver()
    targets = jax.vmap(lambda c, s: loss.prepare(params, c, losses.everywhere(s), weights))(contents, styles)
    return targets, jax.vmap(solver.init)(contents)


@functools.partial(jax.jit, static_argnums=0)
def _further(steps, states, params, targets, weights):
    step = jax.vmap(_solver()[1].step, in_axes=(0, None, 0, None))
    return jax.lax.fori_loop(0, steps, lambda _, s: step(s, params, targets, weights)[0], states)


def taken(params: vgg19.Params, seed: Sequence[int], seen: Sequence[np.ndarray], edge: int):
    """Pictures on the way from contents to styles, both any crops, or as people paint: -> [n, edge, edge, 3] uint8."""
    random = np.random.default_rng(seed)
    changed = random.random() < 0.5
    both = [pictures.crop((*seed, i), seen, edge, changed=changed).astype(np.float32) / 255 for i in range(2 * AT_ONCE)]
    contents, styles = jnp.stack(both[::2]), jnp.stack(both[1::2])
    weights = recipes.get("gatys-notebook").weights((edge, edge))
    stronger = 10 ** random.uniform(-0.5, 1.0)
    weights = weights._replace(style={layer: w * stronger for layer, w in weights.style.items()})
    targets, states = _begun(params, contents, styles, weights)
    out, before = [], 0
    for upto in STEPS:
        states, before = _further(upto - before, states, params, targets, weights), upto
        out.append(np.asarray(states.image))
    return (np.concatenate(out).clip(0, 1) * 255 + 0.5).astype(np.uint8)
