"""A plan for a time budget: how many steps at which sizes, from measured times of a step."""

import itertools
import time
from typing import NamedTuple

import jax

from nst_jax import recipes
from nst_jax.painting import job as jobs
from nst_jax.painting import painter
from nst_jax.painting.job import ANY, Job
from nst_jax.painting.memory import Machine
from nst_jax.pictures import images
from nst_jax.recipes import Size

MARGIN = 0.85  # machines are shared: a plan that uses the whole budget overruns it every other time
FEWEST = 8  # steps at a size, below which a size is not worth its compilation
MOST = 6000  # steps in all, beyond which a picture stands still


class Cost(NamedTuple):
    """Seconds to compile one size, and of a step: fixed (roots of moments) and per pixel (convolutions)."""

    compiling: float
    fixed: float
    pixel: float

    def of(self, shape: tuple[int, int]) -> float:
        """Seconds of one step at this shape."""
        return self.fixed + self.pixel * shape[0] * shape[1]


def measure(params, job: Job, *, machine: Machine = ANY, clock=time.perf_counter) -> Cost:
    """The cost of a job's steps, from its two smallest sizes; what is compiled here need not be again in the run."""
    compiling, points = [], []
    for shape, stage in jobs.sizes(job)[:2]:
        small = job._replace(
            content=images.resize(job.content, shape),
            shape=shape,
            first=None,  # the dearer network's steps; the other's are faster
            recipe=job.recipe._replace(schedule=recipes.once(max(6, stage.steps))),  # its steps settle its plan
        )
        marks = [clock()]
        for frame in itertools.islice(painter.frames(params, small, every=2, machine=machine), 3):
            jax.block_until_ready(frame.image)
            marks.append(clock())
        step = min(marks[2] - marks[1], marks[3] - marks[2]) / 2
        compiling.append(max(0.0, marks[1] - marks[0] - 2 * step))
        points.append((shape[0] * shape[1], step))
    return _line(max(compiling), points)


def _line(compiling, points) -> Cost:
    (a, s), (b, t) = points[0], points[-1]
    slope = (t - s) / (b - a) if b > a else 0.0
    pixel = max(slope, 0.5 * t / b)  # two noisy points may say anything; pixels cost at least half of it
    return Cost(compiling, max(0.0, t - pixel * b), pixel)


def fit_steps(job: Job, cost: Cost, seconds: float) -> tuple[Size, ...]:
    """The job's sizes with as many steps, in its recipe's proportion, as these seconds allow."""
    stages = jobs.sizes(job)
    left = MARGIN * seconds - cost.compiling * max(0, len(stages) - 2)
    once = sum(stage.steps * cost.of(shape) for shape, stage in stages)
    total = sum(stage.steps for _, stage in stages)
    steps = min(MOST, int(total * left / once))
    if steps < FEWEST * len(stages):
        need = (FEWEST * len(stages) * once / total + cost.compiling * len(stages)) / MARGIN / 60
        h, w = job.shape
        got = max(0.0, seconds / 60)  # what measuring has left of them
        raise ValueError(f"minutes must be at least {need:.1f} for {w}×{h} here, got {got:.1f}: lower size")
    return recipes.shared(tuple(stage for _, stage in stages), steps)
