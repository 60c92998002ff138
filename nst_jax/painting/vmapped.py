"""Several jobs as one program: a sweep is `jax.vmap` of a step over whatever varies among them.

Weights, targets and states are arguments of a step: what varies gets an axis; what does not is computed once and has
none. Jobs go through the device in chunks of one size, so that each shape compiles once, however many they are.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from nst_jax.network import calibration, vgg19
from nst_jax.objective import losses
from nst_jax.painting import batches, memory, painter, runs, scenes
from nst_jax.painting import job as one_job
from nst_jax.painting.job import ANY, WHOLE, Job
from nst_jax.painting.memory import Machine
from nst_jax.painting.runs import Frame, Subject
from nst_jax.recipes import Recipe


def sweep(content, *styles, recipes: Sequence[Recipe], params=None, chunk: int | None = None) -> Array:
    """The content painted after one or several styles by each of these recipes: [n, h, w, 3]; see `frames`."""
    network, regions = vgg19.load() if params is None else params, losses.everywhere(*styles)
    each = [calibration.calibrate(recipe, network) for recipe in recipes]
    jobs = [Job(content, regions, recipe, content.shape[:2]) for recipe, _, _ in each]
    last: dict[int, Frame] = {}
    for found in frames(each[0][1] if each else network, jobs, every=10**9, chunk=chunk):
        last |= found
    return jnp.stack([last[number].image for number in range(len(jobs))])


def frames(
    params, jobs: Sequence[Job], *, every: int = 10, chunk: int | None = None, machine: Machine = ANY
) -> Iterator[dict[int, Frame]]:
    """Paint jobs alike but for values, a chunk of them at a time; yield {a job's number: its Frame}.

    Weights, contents, styles, guides, starts and seeds may vary. Chunks of one are the runs of `painter.frames`.
    """
    for numbers, subject in chunks(params, jobs, chunk=chunk, machine=machine):
        for found in runs.follow(runs.begin(subject), every=every):
            yield dict(zip(numbers, found, strict=True))


def chunks(
    params, jobs: Sequence[Job], *, chunk: int | None = None, machine: Machine = ANY
) -> Iterator[tuple[list[int], Subject]]:
    """For each chunk of jobs their numbers, and what its run paints; a last chunk repeats its last job to be full."""
    check(jobs)
    fitting = chunk or fitting_chunk(params, jobs[0], count=len(jobs), machine=machine)
    size = even_chunk(fitting, len(jobs), machine.mesh)
    if size == 1:
        for number, job in enumerate(jobs):
            yield [number], painter.subject(params, job, machine=machine)
        return
    known, axes = batches.Known(params, jobs, machine), batches.axes_of(jobs)
    for first in range(0, len(jobs), size):
        numbers = [min(first + i, len(jobs) - 1) for i in range(size)]
        yield numbers, batches.Many(known, tuple(numbers), axes, machine)


def even_chunk(size: int, count: int, mesh) -> int:
    """Jobs of a chunk: no more than there are, but as many on each device of a mesh's `data`."""
    each = mesh.shape["data"] if mesh else 1
    return -(-min(size, count) // each) * each


def judge(params, jobs: Sequence[Job], *, machine: Machine = ANY) -> Callable[[int, Array], dict[str, Array]]:
    """(a job's number, any picture of its shape) -> the picture's loss by name, as that job weighs it."""
    machine = machine._replace(mesh=None)  # one picture at a time, by itself
    known = batches.Known(params, jobs, machine)
    stage = one_job.stages(params, jobs[0], machine)[-1]._replace(near=None)

    def terms(number, image):
        targets, weights = known.targets(number, known.scene(stage, number), None), known.weights(stage, number)
        return scenes.terms(known.loss(stage), image, known.params_of(stage), targets, weights)

    return terms


# How many at once, and which


def fitting_chunk(params, job: Job, *, count: int, machine: Machine = ANY) -> int:
    """How many of these jobs are painted at once: what the whole memory holds, in chunks as even as can be.

    On a CPU one: batches are not reliably faster there (`scripts/benchmark.py sweep`), and need more memory.
    """
    if jax.devices()[0].platform == "cpu":
        return 1
    load = one_job.load_at(params, job, job.shape, machine=machine)
    each = memory.step(WHOLE, load) + load.held
    most = 1 + max(0, int(((machine.memory or memory.total()) - memory.peak(WHOLE, load)) / each))
    return math.ceil(count / math.ceil(count / most))


def check(jobs: Sequence[Job]) -> None:
    """Raise unless these jobs are one program: alike but for values."""
    if not jobs:
        raise ValueError("jobs must be at least one, got none: name values to go through")
    for what, of in ALIKE.items():
        first, *others = map(of, jobs)
        for other in others:
            if other != first:
                remedy = "give one size, as 640x480, which crops them alike" if what == "shape" else "paint them apart"
                raise ValueError(f"jobs of a sweep must have one {what}, got {first} and {other}: {remedy}")


ALIKE: dict[str, Callable[[Job], Any]] = {
    "shape": lambda job: "×".join(map(str, job.shape[::-1])),
    "family": lambda job: job.recipe.family,
    "schedule": lambda job: ", ".join(f"{size.edge}: {size.steps}" for _, size in one_job.sizes(job)),
    "set of content layers": lambda job: list(job.recipe.content),
    "set of style layers": lambda job: list(job.recipe.style),
    "set of neighbours' layers": lambda job: list(job.recipe.neighbours),
    "share of steps for layers apart": lambda job: job.recipe.apart,
    "loss": lambda job: " ".join(str(getattr(job.recipe, word)) for word in WORDS),
    "optimizer": lambda job: " ".join(map(str, (job.recipe.optimizer, dict(job.recipe.settings), *job.recipe.keep))),
    "number of regions": lambda job: len(job.regions),
    "way of guiding": lambda job: "masks" if any(region.guide is not None for region in job.regions) else "no masks",
    "factor of the learning rate": lambda job: job.turn.rate,
    "number of steps after the fast network's": lambda job: job.first.left if job.first else None,
    "fast network": lambda job: job.first and f"that at {id(job.first.params):#x}",
}
"""What the jobs of a batch have in common, in words."""

WORDS = ("content_distance", "style_distance", "variation_kind", "pool", "padding")
