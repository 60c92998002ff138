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
from nst_jax.cli import launch
from nst_jax.network import vgg19
from nst_jax.objective import losses, neighbours, sharded, tiles
from nst_jax.painting import devices, memory, painter, transfer
from nst_jax.painting.job import Job

HEIGHTS = 128, 117  # eight shares of rows that pooling halves, and none
WIDTH, CHANNELS = 48, 8


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("work", choices=("eight", "shared", "heartbeat"))
    parser.add_argument("out")
    parser.add_argument("--steps", type=int, default=3)
    launch.arguments(parser)
    args = parser.parse_args()
    neighbours.ROWS = 64  # few: a block of their cosines is to be smaller than a device's rows of a map
    return launch.run(args, {"eight": eight, "shared": shared, "heartbeat": heartbeat}[args.work])


# Two processes


def shared(args):
    """A sweep over `data` and a picture over `space`, the same in every process; the first one writes."""
    found = {"sweep": sweep(args.steps), "picture": picture(args.steps)}
    if devices.is_first_process():
        np.savez(args.out, **found)
    return 0


def scene(height, *, halves=False):
    """(params, content, regions, weights): of a network of three convolutions, so that it compiles fast."""
    weights = losses.Weights({"relu3_1": 1.0}, {f"relu{b}_1": 1e-2 for b in range(1, 4)}, 1e-3, {"relu2_1": 1.0})
    content, style = jnp.asarray(drawn(1, height, WIDTH)), losses.Style(jnp.asarray(drawn(2, 53, 40)))
    regions = losses.everywhere(style.image)
    if halves:
        left = jnp.broadcast_to(jnp.linspace(0, 1, WIDTH)[None], (height, WIDTH))
        part = style._replace(guide=jnp.asarray(drawn(3, 53, 40)[:, :, 0]))
        regions = (losses.Region((style, part), left), losses.Region((losses.Style(content),), 1 - left))
    return network((CHANNELS, 5, 6), (1, 1, 1)), content, regions, weights


def make_solver(loss, *, optimizer="adam"):
    return transfer.clamped(transfer.solver(losses.objective(loss), transfer.OPTIMIZERS[optimizer]()))


def several(weights):
    """(eight sets of weights in one, which of them has an axis)"""
    style = {layer: w * jnp.arange(1.0, 9.0) for layer, w in weights.style.items()}
    axes = weights._replace(content=None, style=dict.fromkeys(weights.style, 0), variation=None, neighbours=None)
    return weights._replace(style=style), axes


def sweep(steps):
    """Eight runs of eight style weights, spread over all devices: [8, h, w, 3]."""
    params, content, regions, weights = scene(48)
    loss, mesh = losses.loss(), devices.make_mesh(data=len(jax.devices()))
    targets = jax.jit(loss.prepare)(params, content, regions, weights)
    weights, axes = several(weights)
    solver = make_solver(loss)
    step = devices.map_over(solver.step, (0, None, None, axes), mesh)
    states = devices.place(jax.vmap(solver.init)(jnp.stack([content] * 8)), mesh, batched=True)
    *_, (_, states, _) = transfer.frames(step, states, params, targets, weights, num_steps=steps, every=steps)
    return devices.collect(states.image, mesh)


def picture(steps):
    """One picture, its rows spread over all devices: [h, w, 3]; a line for each step."""
    params, content, regions, weights = scene(83, halves=True)
    mesh = devices.make_mesh(space=len(jax.devices()))
    loss = sharded.sharded(losses.loss(), mesh)
    targets = jax.jit(loss.prepare)(params, content, regions, weights)
    solver = make_solver(loss)
    begun = devices.place(solver.init(content), mesh)
    for _, state, info in transfer.frames(solver.step, begun, params, targets, weights, num_steps=steps, every=1):  # noqa: B007
        print(float(info.loss), flush=True)
    return devices.collect(state.image, mesh)


def heartbeat(args):
    """Something that all processes do together, for ever."""
    mesh = devices.make_mesh(space=len(jax.devices()))
    for number in itertools.count():
        total = devices.collect(devices.place(jnp.full((2, 1, 3), number), mesh), mesh).sum()
        print(total, flush=True)


# Eight devices


def eight(args):
    """Figures of every mesh of eight devices beside those of one."""
    even, odd = HEIGHTS
    work = {
        f"space=8 {even}": lambda: one_picture(even),
        f"space=8 {odd}": lambda: one_picture(odd),
        "masks": lambda: one_picture(odd, halves=True),
        "wasserstein": lambda: one_picture(odd, style="wasserstein"),
        "recomputed": lambda: one_picture(odd, wrap=tiles.recomputed),
        "columns": lambda: neighbours_alone(odd, "columns"),
        "nearest": lambda: neighbours_alone(odd, "relu2_1"),
        "painted": lambda: whole_job(odd),
        "by themselves": lambda: by_themselves(odd),
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


def prepare(loss, parts):
    return jax.jit(loss.prepare)(*parts)


@functools.cache
def single(height, style="gram", halves=False):
    """On one device: (loss, scene, targets, value, gradient, bytes)."""
    loss, parts = bound(style), scene(height, halves=halves)
    targets = prepare(loss, parts)
    args = start(height), parts[0], targets, parts[-1]
    compiled = jax.jit(gradient(loss)).lower(*args).compile()
    return loss, parts, targets, *compiled(*args), compiled.memory_analysis().temp_size_in_bytes


def one_picture(height, *, style="gram", halves=False, wrap=lambda loss: loss):
    """One picture's gradient, its rows over eight devices."""
    loss, parts, _, value, known, memory = single(height, style, halves)
    mesh = devices.make_mesh(space=8)
    loss = wrap(sharded.sharded(loss, mesh))
    targets = prepare(loss, parts)
    args = devices.place(start(height), mesh), parts[0], targets, parts[-1]
    compiled = jax.jit(gradient(loss)).lower(*args).compile()
    total, got = compiled(*args)
    held = [str(f.sharding.spec) for f in targets.spatial.content.values()]
    said = {"value": relative(total, value), "relative": relative(got, known), "of one": memory, "held": held}
    return said | figures(compiled)


def batch(height, **shape):
    """Eight pictures' gradients at once."""
    plain, parts, targets, *_ = single(height)
    mesh = devices.make_mesh(**shape)
    loss = sharded.sharded(plain, mesh)
    weights, axes = several(parts[-1])
    images = jnp.stack([start(height) * (0.5 + i / 16) for i in range(8)])
    known = jax.jit(jax.vmap(gradient(plain), (0, None, None, axes)))(images, parts[0], targets, weights)
    args = devices.place(images, mesh, batched=True), parts[0], prepare(loss, parts), weights
    compiled = jax.jit(devices.map_over(gradient(loss), (0, None, None, axes), mesh)).lower(*args).compile()
    each = [relative(a, b) for a, b in zip(devices.collect(compiled(*args)[1], mesh), known[1], strict=True)]
    return {"relative": max(each), **figures(compiled)}


def neighbours_alone(height, layer):
    """A gradient towards nearest features alone, and how many positions keep to others, on eight devices and one."""
    _, content, regions, _ = scene(height)
    params, weights = network((4, 4, 5, 6), (1, 1, 1, 1)), losses.Weights({}, {}, 0.0, {layer: 1.0})
    plain, found = bound(), []
    for loss in plain, sharded.sharded(plain, devices.make_mesh(space=8)):
        targets = prepare(loss, (params, content, regions, weights))
        kept = jax.jit(loss.align)(params, content, targets, weights) if losses.aligned(weights.neighbours) else {}
        targets = losses.with_aligned(targets, kept)
        value, slope = jax.jit(gradient(loss))(start(height), params, targets, weights)
        found.append((np.asarray(kept.get(layer, 0)), float(value), np.asarray(slope)))
    (known, value, slope), (kept, total, got) = found
    off = float((kept != known).mean())
    apart = abs(total - value) / 10 / value  # of one less a cosine little is left
    return {"relative": max(off, apart, relative(got, slope))}


def by_themselves(height):
    """Targets of one picture, its rows over eight devices: the content's and a style's beside those of both at once."""
    params, content, regions, weights = scene(height)
    loss = sharded.sharded(bound(), devices.make_mesh(space=8))
    found = prepare(loss, (params, content, regions, weights))
    spatial = prepare(loss, (params, content, (), weights))
    style = prepare(loss, (params, jnp.zeros((1, 1, 3)), regions, weights._replace(content={})))
    assert spatial.style == style.spatial.content == {}
    kept = losses.Study(style.style, style.neighbours)
    apart = losses.aim(spatial.spatial, losses.mix([kept], [1.0]))
    assert jax.tree.structure(apart) == jax.tree.structure(found)
    return {"relative": max(map(relative, jax.tree.leaves(apart), jax.tree.leaves(found)))}


def steps(height):
    """Two steps of L-BFGS on eight devices and on one: how far the pictures are apart."""
    plain, parts, targets, *_ = single(height)
    mesh, pictures = devices.make_mesh(space=8), []
    for loss, found in (plain, targets), (sharded.sharded(plain, mesh), None):
        solver = make_solver(loss, optimizer="lbfgs")
        found, state = found or prepare(loss, parts), solver.init(parts[1])
        state = state if found is targets else devices.place(state, mesh)
        *_, (_, state, _) = transfer.frames(solver.step, state, parts[0], found, parts[-1], num_steps=2, every=2)
        pictures.append(devices.collect(solver.picture(state), mesh))
    return {"relative": relative(pictures[1], pictures[0])}


def whole_job(height):
    """A whole job of two steps on eight devices and on one."""
    params, content, regions, weights = scene(height)
    recipe = recipes.get("gatys-notebook")._replace(schedule=recipes.once(2), start="content", variation=1.0)
    recipe = recipe._replace(content=weights.content, style=weights.style)
    job = Job(content, regions, recipe, content.shape[:2])
    machines = memory.Machine(), memory.Machine(mesh=devices.make_mesh(space=8))
    one, eight = (list(painter.frames(params, job, machine=machine))[-1].image for machine in machines)
    return {"relative": relative(eight, one)}


if __name__ == "__main__":
    sys.exit(main())
