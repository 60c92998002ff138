"""Work on several devices that test_mesh runs in processes of its own.

XLA_FLAGS=--xla_force_host_platform_device_count=8 python tests/meshes.py eight OUT.json
python tests/meshes.py shared OUT.npz --steps 3 --coordinator HOST:PORT --processes 2 --process K
"""

import argparse
import collections
import functools
import itertools
import json
import math
import pathlib
import re
import sys

import jax
import jax.numpy as jnp
import numpy as np
from conftest import drawn, network

from nst_jax import recipes
from nst_jax.cli import devices
from nst_jax.network import vgg19
from nst_jax.objective import losses, sharded, tiles
from nst_jax.painting import devices as mesh
from nst_jax.painting import memory as plans
from nst_jax.painting import painter as paint
from nst_jax.painting import transfer

HEIGHTS = 128, 117  # eight shares of rows that pooling halves, and none
WIDTH, CHANNELS = 48, 8


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("work", choices=("eight", "shared", "beating"))
    parser.add_argument("out")
    parser.add_argument("--steps", type=int, default=3)
    devices.arguments(parser)
    args = parser.parse_args()
    return devices.run(args, {"eight": eight, "shared": shared, "beating": beating}[args.work])


# Two processes


def shared(args):
    """A sweep over `data` and a picture over `space`, the same in every process; the first one writes."""
    found = {"sweep": sweep(args.steps), "picture": picture(args.steps)}
    if mesh.is_first_process():
        np.savez(args.out, **found)
    return 0


def scene(height, *, halves=False):
    """(params, content, regions, weights): of a network of three convolutions, so that it compiles fast."""
    weights = losses.Weights({"relu3_1": 1.0}, {f"relu{b}_1": 1e-2 for b in range(1, 4)}, 1e-3)
    content, style = jnp.asarray(drawn(1, height, WIDTH)), losses.Style(jnp.asarray(drawn(2, 53, 40)))
    regions = losses.everywhere(style.image)
    if halves:
        left = jnp.broadcast_to(jnp.linspace(0, 1, WIDTH)[None], (height, WIDTH))
        part = style._replace(guide=jnp.asarray(drawn(3, 53, 40)[:, :, 0]))
        regions = (losses.Region((style, part), left), losses.Region((losses.Style(content),), 1 - left))
    return network((CHANNELS, 5, 6), (1, 1, 1)), content, regions, weights


def painter(loss, *, optimizer="adam"):
    return transfer.clamped(transfer.solver(losses.objective(loss), transfer.OPTIMIZERS[optimizer]()))


def several(weights):
    """(eight sets of weights in one, which of them has an axis)"""
    style = {layer: w * jnp.arange(1.0, 9.0) for layer, w in weights.style.items()}
    axes = weights._replace(content=None, style=dict.fromkeys(weights.style, 0), variation=None)
    return weights._replace(style=style), axes


def sweep(steps):
    """Eight runs of eight style weights, spread over all devices: [8, h, w, 3]."""
    params, content, regions, weights = scene(48)
    loss, where = losses.loss(), mesh.make_mesh(data=len(jax.devices()))
    targets = jax.jit(loss.prepare)(params, content, regions, weights)
    weights, axes = several(weights)
    solver = painter(loss)
    step = mesh.map_over(solver.step, (0, None, None, axes), where)
    states = mesh.place(jax.vmap(solver.init)(jnp.stack([content] * 8)), where, batched=True)
    *_, (_, states, _) = transfer.frames(step, states, params, targets, weights, num_steps=steps, every=steps)
    return mesh.collect(states.image, where)


def picture(steps):
    """One picture, its rows spread over all devices: [h, w, 3]; a line for each step."""
    params, content, regions, weights = scene(83, halves=True)
    where = mesh.make_mesh(space=len(jax.devices()))
    loss = sharded.sharded(losses.loss(), where)
    targets = jax.jit(loss.prepare)(params, content, regions, weights)
    solver = painter(loss)
    begun = mesh.place(solver.init(content), where)
    for _, state, info in transfer.frames(solver.step, begun, params, targets, weights, num_steps=steps, every=1):  # noqa: B007
        print(float(info.loss), flush=True)
    return mesh.collect(state.image, where)


def beating(args):
    """Something that all processes do together, for ever."""
    where = mesh.make_mesh(space=len(jax.devices()))
    for number in itertools.count():
        total = mesh.collect(mesh.place(jnp.full((2, 1, 3), number), where), where).sum()
        print(total, flush=True)


# Eight devices


def eight(args):
    """Figures of every mesh of eight devices beside those of one."""
    even, odd = HEIGHTS
    work = {
        f"space=8 {even}": lambda: alone(even),
        f"space=8 {odd}": lambda: alone(odd),
        "masks": lambda: alone(odd, halves=True),
        "wasserstein": lambda: alone(odd, style="wasserstein"),
        "recomputed": lambda: alone(odd, wrap=tiles.recomputed),
        "painted": lambda: painted(odd),
        f"data=8 {even}": lambda: batch(even, data=8),
        f"data=8 {odd}": lambda: batch(odd, data=8),
        f"data=2,space=4 {even}": lambda: batch(even, data=2, space=4),
        f"data=2,space=4 {odd}": lambda: batch(odd, data=2, space=4),
        "lbfgs": lambda: steps(odd),
    }
    pathlib.Path(args.out).write_text(json.dumps({name: one() for name, one in work.items()}))
    return 0


def relative(got, known):
    got, known = (np.asarray(x, np.float64) for x in (got, known))
    return float(np.linalg.norm(got - known) / np.linalg.norm(known))


def figures(compiled):
    """What a compiled program says of itself: its collectives, what they gather, its largest array, its memory."""
    text = compiled.as_text()
    kinds = re.findall(r" (collective-permute|all-gather|all-reduce|all-to-all)(?:-start)?\(", text)
    gathered = [_size(shape) for shape in re.findall(r"= [a-z0-9]+\[([\d,]*)\]\S* all-gather\(", text)]
    largest = max(_size(shape) for shape in re.findall(r"\bf32\[([\d,]*)\]", text))
    memory = compiled.memory_analysis().temp_size_in_bytes
    return {"kinds": collections.Counter(kinds), "gathered": gathered, "largest": largest, "memory": memory}


def _size(shape):
    return math.prod(map(int, filter(None, shape.split(","))))


def start(height):
    return jnp.asarray(drawn(4, height, WIDTH))


def gradient(loss):
    return jax.value_and_grad(losses.objective(loss))


def bound(style="gram"):
    return losses.loss(vgg19.network(padding="replicate"), style=losses.STYLES[style])


def prepared(loss, parts):
    return jax.jit(loss.prepare)(*parts)


@functools.cache
def single(height, style="gram", halves=False):
    """On one device: (loss, scene, targets, value, gradient, bytes)."""
    loss, parts = bound(style), scene(height, halves=halves)
    targets = prepared(loss, parts)
    args = start(height), parts[0], targets, parts[-1]
    compiled = jax.jit(gradient(loss)).lower(*args).compile()
    return loss, parts, targets, *compiled(*args), compiled.memory_analysis().temp_size_in_bytes


def alone(height, *, style="gram", halves=False, wrap=lambda loss: loss):
    """One picture's gradient, its rows over eight devices."""
    loss, parts, _, value, known, memory = single(height, style, halves)
    where = mesh.make_mesh(space=8)
    loss = wrap(sharded.sharded(loss, where))
    targets = prepared(loss, parts)
    args = mesh.place(start(height), where), parts[0], targets, parts[-1]
    compiled = jax.jit(gradient(loss)).lower(*args).compile()
    total, got = compiled(*args)
    held = [str(f.sharding.spec) for f in targets.spatial.content.values()]
    said = {"value": relative(total, value), "relative": relative(got, known), "of one": memory, "held": held}
    return said | figures(compiled)


def batch(height, **shape):
    """Eight pictures' gradients at once."""
    plain, parts, targets, *_ = single(height)
    where = mesh.make_mesh(**shape)
    loss = sharded.sharded(plain, where)
    weights, axes = several(parts[-1])
    images = jnp.stack([start(height) * (0.5 + i / 16) for i in range(8)])
    known = jax.jit(jax.vmap(gradient(plain), (0, None, None, axes)))(images, parts[0], targets, weights)
    args = mesh.place(images, where, batched=True), parts[0], prepared(loss, parts), weights
    compiled = jax.jit(mesh.map_over(gradient(loss), (0, None, None, axes), where)).lower(*args).compile()
    each = [relative(a, b) for a, b in zip(mesh.collect(compiled(*args)[1], where), known[1], strict=True)]
    return {"relative": max(each), **figures(compiled)}


def steps(height):
    """Two steps of L-BFGS on eight devices and on one: how far the pictures are apart."""
    plain, parts, targets, *_ = single(height)
    where, pictures = mesh.make_mesh(space=8), []
    for loss, found in (plain, targets), (sharded.sharded(plain, where), None):
        solver = painter(loss, optimizer="lbfgs")
        found, state = found or prepared(loss, parts), solver.init(parts[1])
        state = state if found is targets else mesh.place(state, where)
        *_, (_, state, _) = transfer.frames(solver.step, state, parts[0], found, parts[-1], num_steps=2, every=2)
        pictures.append(mesh.collect(solver.picture(state), where))
    return {"relative": relative(pictures[1], pictures[0])}


def painted(height):
    """A whole job of two steps on eight devices and on one."""
    params, content, regions, weights = scene(height)
    recipe = recipes.get("gatys-notebook")._replace(schedule=recipes.once(2), start="content", variation=1.0)
    recipe = recipe._replace(content=weights.content, style=weights.style)
    job = paint.Job(content, regions, recipe, content.shape[:2])
    machines = plans.Machine(), plans.Machine(mesh=mesh.make_mesh(space=8))
    one, eight = (list(paint.frames(params, job, machine=machine))[-1].image for machine in machines)
    return {"relative": relative(eight, one)}


if __name__ == "__main__":
    sys.exit(main())
