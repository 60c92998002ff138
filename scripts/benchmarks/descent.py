"""Rows `loss` and `recipe`: how soon a picture is as good, and how long a whole recipe takes."""

import itertools
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
from benchmarks import cases, timing

from nst_jax import recipes
from nst_jax.network import calibration, vgg19
from nst_jax.objective import losses
from nst_jax.painting import job as jobs
from nst_jax.painting import painter, transfer
from nst_jax.painting.job import Job


class Run(NamedTuple):
    """A way down: seconds of work, steps and loss of the picture shown at each of its frames at full size."""

    seconds: list[float]
    steps: list[float]
    losses: list[float]
    still: list[float]  # how far the shown picture moved a step since the frame before, root mean square


def recipes_of(count: int) -> dict[str, recipes.Recipe]:
    """Plain Adam at full size for so many steps, and what should be as good sooner."""
    coarse = recipes.listed((1, count // 5), (2, count // 5), (4, count // 2))
    return {
        "averaged": cases.RECIPE._replace(schedule=recipes.once(count), keep=("clamped", "averaged:0.97"), edge="long"),
        "coarse to fine": cases.RECIPE._replace(schedule=coarse, edge="long"),
        "both": cases.RECIPE._replace(schedule=coarse, keep=("clamped", "averaged:0.97"), edge="long"),
        "plain": cases.RECIPE._replace(schedule=recipes.once(count), edge="long"),
    }


def loss(args, size: int) -> timing.Result:
    """Seconds until the loss that `--descent` plain steps of Adam at full size reach; compilation is left out.

    All start at the content, and go on in turns, a frame each, so that a busy machine is busy for all of them.
    """
    runs = {name: Run([], [], [], []) for name in recipes_of(args.descent)}
    ways = {name: _way(args, size, recipe) for name, recipe in recipes_of(args.descent).items()}
    for records in itertools.zip_longest(*ways.values()):
        for run, known in zip(runs.values(), records, strict=True):
            for values, value in zip(run, known or (), strict=False):
                values.append(value)
    goal, notes, measured = runs["plain"].losses[-1], {}, {}
    for name, run in runs.items():
        reached = next((i for i, value in enumerate(run.losses) if value <= goal), None)
        if reached is not None:
            measured[name] = [run.seconds[reached]]
            notes[f"{name}, steps"] = run.steps[reached]
        stopped = next((i for i, moved in enumerate(run.still) if moved < args.still), None)
        if stopped is not None:
            notes[f"{name}, stands still"] = (
                f"{run.seconds[stopped]:.1f} s, {run.losses[stopped] / goal:.3f} × the loss"
            )
        notes[f"{name}, in the end"] = f"{run.seconds[-1]:.1f} s, {run.losses[-1] / goal:.3f} × the loss"
    notes |= {"loss": goal, "runs": {name: run._asdict() for name, run in runs.items()}}
    return timing.Result(size, measured, "plain", notes=notes)


def _way(args, size, recipe):
    """The records of a run as it goes on: (seconds, steps, loss, how far it moved) of each frame at full size."""
    content, style, _ = cases.pictures(size)
    params, loss = vgg19.load(args.weights), jobs.loss(recipe)
    job, solver = Job(content, losses.everywhere(style), recipe, (size, size)), jobs.solver(recipe, loss)
    value, state, seconds, done = jax.jit(losses.objective(loss)), None, 0.0, 0
    for shape, stage in jobs.sizes(job):
        picture, regions = jobs.pictures_at(job, shape)
        weights = cases.RECIPE.weights(shape)
        rest = (vgg19.ready(params, cases.LAYERS), jax.jit(loss.prepare)(params, picture, regions, weights), weights)
        begun = time.perf_counter()
        state = solver.init(picture) if state is None else transfer.carry(solver, state, shape)
        jax.block_until_ready(state)
        seconds += time.perf_counter() - begun
        *_, _ = transfer.frames(solver.step, state, *rest, num_steps=1, every=1)  # compiles
        shown, before = solver.picture(state), done
        while done < before + stage.steps:
            begun, count = time.perf_counter(), min(args.every, before + stage.steps - done)
            *_, (_, state, _) = transfer.frames(solver.step, state, *rest, num_steps=count, every=count)
            jax.block_until_ready(state)
            seconds, done = seconds + time.perf_counter() - begun, done + count
            shown, last = solver.picture(state), shown
            if shape == (size, size):
                moved = float(jnp.sqrt(jnp.square(shown - last).mean())) / count
                yield seconds, done, float(value(shown, *rest)), moved
            else:
                yield ()


def recipe(args, size: int) -> timing.Result:
    """A whole recipe, coarse to fine, after a run of it that compiles."""
    known = recipes.get(args.recipe)._replace(edge="long")
    known = known if args.of_steps is None else known.with_steps(args.of_steps)
    known, params, _ = calibration.calibrate(known, vgg19.load(args.weights))
    content, style, _ = cases.pictures(size)
    job = Job(content, losses.everywhere(style), known, (size, size))

    def whole():
        *_, last = painter.frames(params, job, every=10**9)
        return last.image

    times = timing.alternate({args.recipe: whole}, args.repeats)
    return timing.Result(size, times, notes={"steps": known.steps(size)})
