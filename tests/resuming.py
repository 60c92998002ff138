"""Runs that test_resume stops, and what paints them to their end in a process of its own.

python tests/resuming.py STOPPED.pickle FINISHED.npz
"""

import functools
import pickle
import sys
from collections.abc import Callable
from typing import NamedTuple

import conftest  # noqa: F401, the tests' settings of jax
import jax
import numpy as np

from nst_jax import recipes
from nst_jax.objective import losses
from nst_jax.painting import batches, memory, painter, runs
from nst_jax.painting import job as jobs
from nst_jax.painting.job import ANY, FastFirst, Job
from nst_jax.painting.memory import Machine
from nst_jax.painting.painter import Run, Snapshot
from nst_jax.recipes import Turn

ADAM = recipes.get("gatys-notebook")._replace(
    content={"relu2_1": 1.0},
    style={"relu1_1": 0.02, "relu2_1": 0.02},
    variation=1.0,
    schedule=recipes.once(7),
    optimizer="adam",
    settings={"learning_rate": 0.05},
    edge="long",
)
LBFGS = ADAM._replace(optimizer="lbfgs", settings={"memory": 3})
SIZES = recipes.listed((32, 3), (48, 5))
TURNED = Turn(style=30.0, mix=(1.0, 2.0), rate=0.5)


class Case(NamedTuple):
    """A run, how it is taken up again, and after how many steps it is stopped; perhaps a turn at the first of them."""

    begin: Callable[[], Run]
    resume: Callable[[Snapshot], Run]
    stops: tuple[int, ...]
    turn: Turn | None = None


def cases(inputs) -> dict[str, Case]:
    """What is stopped, of these arrays: two networks, a content, two styles, a larger content."""
    params, other, town, night, wood, large = inputs

    def one(recipe, *stops, styles=(night,), turn=None, machine=ANY, content=town, **rest):
        job = Job(content, losses.everywhere(*styles), recipe, content.shape[:2], **rest)
        begin = functools.partial(painter.start, params, job, machine=machine)
        return Case(begin, functools.partial(painter.resume, params, job, machine=machine), stops, turn)

    known = batches.Known(params, _several(town, night), ANY)
    several = batches.Many(known, (0, 1, 2), batches.axes_of(known.jobs), ANY)
    return {
        "adam": one(ADAM, 3),
        "lbfgs": one(LBFGS._replace(schedule=SIZES), 3, 6),
        "averaged": one(ADAM._replace(schedule=SIZES, keep=("clamped", "averaged:0.9")), 2, 3, 5),
        "best": one(ADAM._replace(keep=("best",), settings={"learning_rate": 0.4}), 4),
        "fast first": one(ADAM._replace(schedule=SIZES), 4, 6, 7, first=FastFirst(other, 2)),
        "tiles": one(ADAM, 3, content=large, machine=_tight(params, large, night)),
        "turned": one(ADAM, 2, 5, styles=(night, wood), turn=TURNED),
        "several": Case(functools.partial(runs.begin, several), functools.partial(runs.restore, several), (3,), None),
    }


def _several(town, night):
    recipe = ADAM._replace(keep=("clamped", "averaged:0.9"))
    regions = losses.everywhere(night)
    return [Job(town, regions, recipe.times(style=x), town.shape[:2], seed=int(x)) for x in (1.0, 3.0, 10.0)]


def _tight(params, content, style) -> Machine:
    """A machine with memory for windows only."""
    job = Job(content, losses.everywhere(style), ADAM, content.shape[:2])
    load = jobs.load_at(params, job, job.shape)
    return Machine(memory=min(memory.peak(plan, load) for plan in memory.candidates(load) if plan.window))


def stop(case: Case) -> list[Snapshot]:
    """Snapshots of a run at each of its stops."""
    run, kept = case.begin(), []
    for number, at in enumerate(case.stops):
        run = painter.advance(run, at - run.done)
        kept.append(painter.snapshot(run))
        if number == 0 and case.turn is not None:
            run = painter.advance(run, 1, turn=case.turn)
    return kept


def main(stopped, finished):
    """Paint all snapshots to their end; write what their runs then show."""
    with open(stopped, "rb") as file:
        inputs, snapshots = pickle.load(file)
    known, found = cases(inputs), {}
    for name, kept in snapshots.items():
        for number, one in enumerate(kept):
            run = known[name].resume(one)
            first = run.done == known[name].stops[0]
            if first and known[name].turn is not None:
                run = painter.consume(run, 1, turn=known[name].turn)
            run = painter.consume(run, run.total)
            for i, leaf in enumerate([*(frame.image for frame in painter.look(run)), *jax.tree.leaves(run.state)]):
                found[f"{name}/{number}/{i}"] = np.asarray(leaf)
    np.savez(finished, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
