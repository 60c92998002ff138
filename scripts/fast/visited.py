"""Pictures that the student's own optimisations pass through: what it must judge rightly.

An optimisation goes wherever the student errs in its favour, and soon sees nothing else; the longer it goes, the more.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from fast import pictures

from nst_jax import recipes
from nst_jax.network import vgg19
from nst_jax.objective import losses
from nst_jax.painting import transfer

STEPS = (5, 11, 19, 30, 44, 62, 85, 115, 155, 200)  # at which a picture is taken
AT_ONCE = 2  # transfers in one program: more do not fit a core's cache
TAKEN = len(STEPS) * AT_ONCE
RECIPES = ("gatys-notebook", "gatys-notebook", "gatys-notebook", "crowson-2021")  # one in four has the other distance
RATES = -2.0, -1.3  # powers of ten
STRENGTHS = -0.5, 1.0
FROM_CONTENT = 0.8  # of optimisations; others begin with noise, or with the style


@functools.cache
def _solver(distance):
    """Loss, and a solver of it with a step size of one: the state's own step size is put in by `_advance`."""
    loss = losses.loss(vgg19.network(), style=losses.STYLES[distance])
    return loss, transfer.solver(losses.objective(loss), transfer.adam(1.0))


@functools.partial(jax.jit, static_argnums=0)
def _begin(distance, params, starts, contents, styles, weights):
    loss, solver = _solver(distance)
    prepare = lambda c, s, w: loss.prepare(params, c, losses.everywhere(s), w)  # noqa: E731
    return jax.vmap(prepare)(contents, styles, weights), jax.vmap(solver.init)(starts)


@functools.partial(jax.jit, static_argnums=0)
def _advance(distance, steps, states, rates, params, targets, weights):
    def step(state, rate, targets, weights):
        new, _ = _solver(distance)[1].step(state, params, targets, weights)
        image = jnp.clip(state.image + rate * (new.image - state.image), 0, 1)
        return new._replace(image=image)

    every = jax.vmap(step)
    return jax.lax.fori_loop(0, steps, lambda _, s: every(s, rates, targets, weights), states)


def take(params: vgg19.Params, seed: Sequence[int], seen: Sequence[np.ndarray], edge: int):
    """Take pictures on the way from contents to styles, which are any crops: -> [n, edge, edge, 3] uint8."""
    random = np.random.default_rng(seed)
    changed = random.random() < 0.5
    both = [pictures.crop((*seed, i), seen, edge, changed=changed).astype(np.float32) / 255 for i in range(2 * AT_ONCE)]
    contents, styles = np.stack(both[::2]), np.stack(both[1::2])
    recipe = recipes.get(RECIPES[random.integers(len(RECIPES))])
    stronger, rates = (10 ** random.uniform(*span, AT_ONCE).astype(np.float32) for span in (STRENGTHS, RATES))
    weights = recipe.weights((edge, edge))
    weights = weights._replace(
        content={layer: np.full(AT_ONCE, w, np.float32) for layer, w in weights.content.items()},
        style={layer: w * stronger for layer, w in weights.style.items()},
        variation=np.full(AT_ONCE, weights.variation, np.float32),
    )
    starts = contents if random.random() < FROM_CONTENT else _other_start(random, styles)
    targets, states = _begin(recipe.style_distance, params, starts, contents, styles, weights)
    out, before = [], 0
    for upto in STEPS:
        states = _advance(recipe.style_distance, upto - before, states, rates, params, targets, weights)
        before = upto
        out.append(np.asarray(states.image))
    return (np.concatenate(out).clip(0, 1) * 255 + 0.5).astype(np.uint8)


def _other_start(random, styles):
    """Where an optimisation may begin that does not begin with its content."""
    if random.random() < 0.3:
        return styles
    return random.uniform(0.25, 0.75, styles.shape).astype(np.float32)
