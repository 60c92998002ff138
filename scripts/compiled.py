"""python scripts/compiled.py --target v5e --size 512 → what a step is to a TPU that is not here: a table, and JSON.

libtpu (`pip install -e '.[aot]'`) compiles for a TPU that is described to it, on any machine, in a minute or several. A
row is one step of the last size of a recipe, with the shapes and the program that painting has:

plan        how the step is computed, and with what effort it was compiled: less for a short run
compile     seconds of processor
FLOP        as XLA counts them
bytes       that operations read and write, as XLA counts them, and of these in a step to and from the chip's large
            memory: what a tile of 8 × 128 numbers is filled up with counts, what stays in fast memory doesn't
arguments, temporary    bytes on each chip
at best     what the chip's published peak and bandwidth allow, and which of the two binds
reckoned    cycles that the compiler itself reckons with, as time: a step takes that at best if its schedule holds
collectives of a step, by kind, with the bytes that a chip gets

Nothing is run: a step's true time is `scripts/on_device.py`'s to say.
"""

import argparse
import functools
import json
import os
import pathlib
import sys
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from benchmarks import chips, hlo
from benchmarks.chips import Chip
from jax.sharding import NamedSharding, SingleDeviceSharding
from jax.sharding import PartitionSpec as P

from nst_jax import recipes
from nst_jax.ground import choices, storage
from nst_jax.network import calibration, vgg19
from nst_jax.objective import losses
from nst_jax.orders import values
from nst_jax.painting import batches, devices, memory, painter, programs, scenes, transfer
from nst_jax.painting import job as jobs
from nst_jax.painting.job import Stage
from nst_jax.painting.memory import Machine

NETWORKS = {"vgg19": vgg19.find, "fast": vgg19.fast_path}


class Row(NamedTuple):
    """A compiled step."""

    what: str
    plan: str
    compile: float  # seconds of processor
    flops: float
    accessed: float  # bytes
    moved: float
    arguments: int
    temporary: int
    best: float  # seconds
    bound: str
    reckoned: float
    collectives: dict[str, tuple[int, int]]


def parser() -> argparse.ArgumentParser:
    known = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = known.add_argument
    add("--target", default="v5e", help=f"{', '.join(chips.CHIPS)} (default: v5e)")
    add("--recipe", default=recipes.DEFAULT, help=f"(default: {recipes.DEFAULT})")
    add("--network", choices=NETWORKS, default="vgg19", help="(default: vgg19)")
    add("--weights", type=pathlib.Path, help="another network's file")
    add("--size", type=values.size, nargs="+", default=[512], help="N of a square, or WIDTHxHEIGHT (default: 512)")
    add("--steps", type=values.count, help="of a picture; many are compiled with full effort (default: the recipe's)")
    add("--precision", nargs="+", choices=("float32", "bfloat16"), default=["float32"], help="(default: float32)")
    add("--mesh", type=values.mesh, default={}, metavar="data=N,space=M", help="of chips (default: one)")
    add("--text", type=pathlib.Path, metavar="FOLDER", help="where compiled programs are written")
    add("-o", "--output", type=pathlib.Path, default=pathlib.Path("compiled.json"))
    return known


# A step, by shapes alone


class Step(NamedTuple):
    """A step, and the shapes of what it takes: state, parameters, targets; weights are numbers."""

    step: Any
    stage: Stage
    state: Any
    params: Any
    targets: Any
    weights: Any


def step(params, recipe, shape: tuple[int, int], machine: Machine, *, steps: int | None = None) -> Step:
    """The last step of a picture on a machine, of so many in all, or as many as the recipe takes."""
    recipe, params, _ = calibration.calibrate(recipe, params)
    recipe = recipe.with_steps(steps) if steps else recipe
    picture = jax.ShapeDtypeStruct((*shape, 3), jnp.float32)
    job = jobs.Job(picture, losses.everywhere(picture), recipe, picture.shape[:2])
    one = painter.subject(params, job, machine=machine)
    stage = one.stages()[-1]
    loss, solver, weights = one.loss(stage), one.solver(stage), one.weights(stage)
    scene = jax.eval_shape(functools.partial(scenes.measure, loss), params, picture, job.regions, weights)
    targets = losses.aim(scene.spatial, scenes.blend(scene.styles, job, None))
    if losses.aligned(weights.near):
        align = functools.partial(scenes.align, loss)
        targets = losses.with_aligned(targets, jax.eval_shape(align, params, picture, targets.neighbours, weights))
    state = jax.eval_shape(solver.init, picture)
    if machine.mesh is None or machine.mesh.shape["data"] == 1:
        return Step(solver.step, stage, state, params, targets, weights)
    count = machine.mesh.shape["data"]
    axes = batches.axes_of([job._replace(seed=seed) for seed in range(count)])
    state = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((count, *leaf.shape), leaf.dtype), state)
    many = batches.map_step(solver.step, axes, mesh=machine.mesh)
    return Step(many, stage, state, params, targets, weights)


def place(known: Step, chip, mesh) -> Step:
    """The same shapes, on a chip or a mesh of them as painting puts them there."""
    if mesh is None:
        alone = SingleDeviceSharding(chip)
        put = functools.partial(jax.tree.map, lambda leaf: _shape(leaf, alone))
        return known._replace(state=put(known.state), params=put(known.params), targets=put(known.targets))
    everywhere = functools.partial(jax.tree.map, lambda leaf: _shape(leaf, NamedSharding(mesh, P())))
    batched = mesh.shape["data"] > 1
    state = jax.tree.map(_shape, known.state, devices.shardings(known.state, mesh, batched=batched))

    def rows(leaf):
        even = len(leaf.shape) == 3 and leaf.shape[0] % mesh.shape["space"] == 0
        return _shape(leaf, NamedSharding(mesh, P("space") if even else P()))

    spatial = known.targets.spatial._replace(content=jax.tree.map(rows, known.targets.spatial.content))
    targets = everywhere(known.targets)._replace(spatial=spatial)
    return known._replace(state=state, params=everywhere(known.params), targets=targets)


def _shape(leaf, sharding):
    return jax.ShapeDtypeStruct(np.shape(leaf), jnp.result_type(leaf), sharding=sharding)


# What the compiler says of it


def measure(known: Step, what: str, target: str, chip: Chip, text: pathlib.Path | None) -> Row:
    """Compile a step, and read what became of it."""
    begun = time.process_time()
    args = known.step, known.state, 1, known.params, known.targets, known.weights
    try:
        lowered = transfer.consume.plain.trace(*args).lower(lowering_platforms=("tpu",))
        compiled = lowered.compile(dict(programs.LESS["tpu"]) if known.stage.plan.direct else None)
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise ValueError(f"size must fit into the memory of a {target}, got {what}: {_too_much(error)}") from error
    seconds, program = time.process_time() - begun, compiled.as_text() or ""
    if text:
        storage.write_text(storage.ensure_folder(text) / f"{what.replace(', ', '-').replace(' ', '')}.hlo", program)
    cost: Any = compiled.cost_analysis()
    held: Any = compiled.memory_analysis()
    turn = hlo.turn_of_loop(program)
    times = {"multiplying": cost["flops"] / chip.peak, "memory": turn.moved / chip.bandwidth}
    bound = max(times, key=lambda name: times[name])
    return Row(
        what,
        f"{known.stage.plan}, {'less' if known.stage.plan.direct else 'full'} effort",
        seconds,
        cost["flops"],
        cost["bytes accessed"],
        turn.moved,
        held.argument_size_in_bytes,
        held.temp_size_in_bytes,
        times[bound],
        bound,
        turn.cycles / chip.hertz,
        turn.collectives,
    )


def _too_much(error) -> str:
    """What the compiler says of memory that is not enough."""
    words = choices.one_line(error)
    found = words.find("Used ")
    return words[found:].split(". ")[0] if found >= 0 else "out of memory"


# Table and record


HEAD = "| step | plan | compile | FLOP | bytes | to and from memory | arguments | temporary | at best | reckoned |"
HEAD += " collectives |"


def line(row: Row) -> str:
    """A row of the table."""
    each = ", ".join(f"{n} {kind} ({memory.readable(size)})" for kind, (n, size) in sorted(row.collectives.items()))
    cells = [row.what, row.plan, f"{row.compile:.0f} s", f"{row.flops / 1e9:.0f} G"]
    cells += map(memory.readable, (row.accessed, row.moved, row.arguments, row.temporary))
    cells += [f"{1000 * row.best:.2f} ms, {row.bound}", f"{1000 * row.reckoned:.2f} ms", each or "none"]
    return f"| {' | '.join(cells)} |"


def run(args) -> list[Row]:
    """Compile what is asked for; each row is printed and stored as soon as it is there."""
    spread = {"data": 1, "space": 1} | args.mesh
    found = chips.described(args.target, spread["data"] * spread["space"])
    chip, mesh = chips.CHIPS[args.target], devices.mesh_of(found, **spread) if args.mesh else None
    recipe, params = recipes.get(args.recipe), vgg19.read(args.weights or NETWORKS[args.network]())
    head = {"target": args.target, "jax": jax.__version__, "libtpu": chips.installed()}
    head |= {"date": time.strftime("%Y-%m-%d %H:%M"), "busy": f"{os.getloadavg()[0]:.1f} of {os.cpu_count()} CPUs"}
    rows = []
    print(HEAD, "| --- " * HEAD.count(" | ") + "| --- |", sep="\n", flush=True)
    for size, precision in ((size, precision) for size in args.size for precision in args.precision):
        dtype, shape = None if precision == "float32" else precision, size if isinstance(size, tuple) else (size, size)
        machine = Machine(chip.memory, dtype, mesh, "tpu")
        edges = f"{shape[1]} × {shape[0]} px" if isinstance(size, tuple) else f"{size} px"
        names = args.target, args.recipe, *[args.network] * (args.network != "vgg19"), edges, precision
        what = ", ".join((*names, *[values.write_mesh(args.mesh)] * bool(args.mesh)))
        known = place(step(params, recipe, shape, machine, steps=args.steps), found[0], mesh)
        rows.append(measure(known, what, args.target, chip, args.text))
        print(line(rows[-1]), flush=True)
        storage.write_text(args.output, json.dumps(head | {"rows": [row._asdict() for row in rows]}, indent=1) + "\n")
    return rows


def main(argv=None) -> int:
    args = parser().parse_args(argv)
    try:
        run(args)
    except (ValueError, OSError) as error:
        print(f"compiled.py: error: {choices.one_line(error)}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    jax.config.update("jax_platforms", "cpu")  # a TPU that is here is left alone
    sys.exit(main())
