"""python scripts/sweep.py town.jpg night.jpg → sweep.png: one photograph at eight style weights, as one program.

A page to copy and change: the sweep is `jax.vmap` of a step, with an axis where something varies.
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np

from nst_jax import recipes
from nst_jax.network import vgg19
from nst_jax.objective import losses
from nst_jax.painting import transfer
from nst_jax.pictures import images, sheets

SIZE, STEPS = 256, 200
FACTORS = np.geomspace(0.1, 100, 8, dtype=np.float32)


def main(content_path, style_path):
    params = vgg19.load()
    content, style = (images.load(path, size=SIZE) for path in (content_path, style_path))
    loss = losses.loss(vgg19.network(pool="max"), style=losses.gram)
    weights = recipes.get("gatys-notebook").weights(content.shape)
    targets = loss.prepare(params, content, losses.everywhere(style), weights)  # once, for all
    s = transfer.clamped(transfer.solver(losses.objective(loss), transfer.adam(0.02)))

    several = weights._replace(style={layer: w * FACTORS for layer, w in weights.style.items()})
    axes = weights._replace(content=None, style=0, variation=None)  # what varies
    step = jax.vmap(s.step, in_axes=(0, None, None, axes))
    states = jax.vmap(s.init)(jnp.stack([content] * len(FACTORS)))
    run = transfer.frames(step, states, params, targets, several, num_steps=STEPS, every=50)
    for i, states, info in run:  # noqa: B007, the last states are shown below
        print(i, *(f"{x:.4g}" for x in info.loss))

    pictures = np.asarray(jax.vmap(s.picture)(states))
    images.save("sweep.png", sheets.grid(list(pictures), {"style weight": [f"{x:.3g}" for x in FACTORS]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
