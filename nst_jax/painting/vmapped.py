"""Several jobs as one program: a sweep is `jax.vmap` of a step over whatever varies among them.

Weights, targets and states are arguments of a step: what varies gets an axis; what does not is computed once and has
none. Jobs go through the device in chunks of one size, so that each shape compiles once, however many they are.
"""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from nst_jax.network import calibration, vgg19
from nst_jax.objective import losses
from nst_jax.objective.losses import Spatial, Targets
from nst_jax.painting import devices as meshes
from nst_jax.painting import memory, transfer
from nst_jax.painting import painter as paint
from nst_jax.painting.memory import Machine
from nst_jax.painting.painter import ANY, WHOLE, Frame, Job
from nst_jax.recipes import Recipe, Weights

MOMENTS = 128  # styles' moments that are kept for the next chunk: 2.4 MB each with the real network


def sweep(content, *styles, recipes: Sequence[Recipe], params=None, chunk: int | None = None) -> Array:
    """The content painted after one or several styles by each of these recipes: [n, h, w, 3]; see `frames`."""
    network, regions = vgg19.load() if params is None else params, losses.everywhere(*styles)
    fitted = [calibration.fitted(recipe, network) for recipe in recipes]
    jobs = [Job(content, regions, recipe, content.shape[:2]) for recipe, _, _ in fitted]
    last: dict[int, Frame] = {}
    for found in frames(fitted[0][1] if fitted else network, jobs, every=10**9, chunk=chunk):
        last |= found
    return jnp.stack([last[number].image for number in range(len(jobs))])


def frames(
    params, jobs: Sequence[Job], *, every: int = 10, chunk: int | None = None, machine: Machine = ANY
) -> Iterator[dict[int, Frame]]:
    """Paint jobs alike but for values, a chunk of them at a time; yield {a job's number: its Frame}.

    Weights, contents, styles, guides, starts and seeds may vary. A last chunk that is not full repeats its last job;
    chunks of one are the runs of `paint.frames`.
    """
    check(jobs)
    size = rounded(chunk or fitting(params, jobs[0], count=len(jobs), machine=machine), len(jobs), machine.mesh)
    if size == 1:
        for number, job in enumerate(jobs):
            yield from ({number: frame} for frame in paint.frames(params, job, every=every, machine=machine))
        return
    argued = _arguments(params, jobs, paint.bound(jobs[0].recipe, RARE, machine))
    for first in range(0, len(jobs), size):
        numbers = [min(first + i, len(jobs) - 1) for i in range(size)]
        yield from _together(jobs, numbers, argued, machine, every)


def rounded(size: int, count: int, mesh) -> int:
    """Jobs of a chunk: no more than there are, but as many on each device of a mesh's `data`."""
    each = mesh.shape["data"] if mesh else 1
    return -(-min(size, count) // each) * each


RARE = WHOLE._replace(direct=True)  # how a loss is best computed once in a while


def _together(jobs, numbers, argued, machine, every) -> Iterator[dict[int, Frame]]:
    """One chunk, coarse to fine: what `paint.frames` does, of a batch."""
    axes, mesh, recipe, states, done = varying(jobs), machine.mesh, jobs[0].recipe, [None] * len(numbers), 0
    rare = paint.bound(recipe, RARE, machine)
    for shape, stage in paint.stages(jobs[0]):
        each = [argued(shape, number) for number in numbers]
        often = WHOLE if memory.worth(each[0][1].params, shape, stage.steps) else RARE
        painter = paint.solver(recipe, paint.bound(recipe, often, machine))
        step = mapped(painter.step, axes, mesh=mesh)
        states = [
            transfer.begun(painter, paint.begun(jobs[number], *pictures))
            if old is None
            else transfer.carried(painter, old, shape)
            for number, (pictures, _), old in zip(numbers, each, states, strict=True)
        ]
        args = [arguments for _, arguments in each]
        batch = _placed(joined(states, 0), mesh), *joined(args, axes)
        for at, state, info in transfer.frames(step, *batch, num_steps=stage.steps, every=every, done=done):
            states, infos = (apart(_collected(each, mesh), len(numbers)) for each in (state, info))
            found = {}
            for number, mine, told, arg in zip(numbers, states, infos, args, strict=True):
                if number not in found:
                    image = transfer.shown(painter, mine)
                    found[number] = Frame(done + at, image, _terms(rare, image, *arg), told, often)
            yield found
        done += stage.steps


class Arguments(NamedTuple):
    """What a step takes after its state; or, of each of these, where the batch is: 0, or None in what jobs share."""

    params: Any
    targets: Any
    weights: Any


@functools.cache
def mapped(step: Callable, axes: Arguments, *, mesh=None) -> Callable:
    """A step of a batch of states. Equal arguments give the same function, compiled once for each size."""
    return jax.vmap(step, in_axes=(0, *axes)) if mesh is None else meshes.mapped(step, (0, *axes), mesh)


def _placed(states, mesh):
    return states if mesh is None else meshes.placed(states, mesh, batched=True)


def _collected(tree, mesh):
    return tree if mesh is None else meshes.collected(tree, mesh)


def varying(jobs: Sequence[Job]) -> Arguments:
    """The axes of the arguments of these jobs' steps."""

    def axis(of) -> Any:
        first, *others = map(of, jobs)
        return 0 if any(other != first for other in others) else None

    weights = [job.recipe.weights(job.shape) for job in jobs]
    each: list[Any] = [0 if any(w[i] != weights[0][i] for w in weights) else None for i in range(3)]
    spatial = Spatial(axis(lambda job: id(job.content)), axis(_guided))
    return Arguments(None, Targets(spatial, axis(_styled)), Weights(*each))


def _guided(job):
    return tuple(id(region.guide) for region in job.regions)


def _styled(job):
    rows = (style for region in job.regions for style in (*region.styles, None))
    return tuple(s and (id(s.image), s.weight, id(s.guide), s.scale) for s in rows)


def _arguments(params, jobs, bound):
    """(shape, job's number) -> ((content, regions), Arguments): what jobs share is made once and kept for the next."""
    stages, widths = len(paint.stages(jobs[0])), vgg19.shape_of(params)[0]

    def shared(of, make, kept):
        first: dict = {}
        like = [first.setdefault(of(job), number) for number, job in enumerate(jobs)]
        made = functools.lru_cache(kept)(make)
        return lambda shape, number: made(shape, like[number])

    def weights(shape, number):
        return jobs[number].recipe.weights(shape, widths=widths)

    def part(name):
        return lambda shape, number: _part(
            bound.prepare, name, params, *pictures(shape, number), weights(shape, number)
        )

    def over(job):
        return id(job.content), _guided(job)

    pictures = shared(lambda j: (over(j), _styled(j)), lambda shape, number: paint.at(jobs[number], shape), stages)
    spatial, style = shared(over, part("spatial"), stages), shared(_styled, part("style"), MOMENTS)
    return lambda shape, number: (
        pictures(shape, number),
        Arguments(params, Targets(spatial(shape, number), style(shape, number)), weights(shape, number)),
    )


def judge(params, jobs: Sequence[Job]) -> Callable[[int, Array], dict[str, Array]]:
    """(a job's number, any picture of its shape) -> the picture's loss by name, as that job weighs it."""
    bound = paint.bound(jobs[0].recipe, RARE, ANY)
    argued = _arguments(params, jobs, bound)
    return lambda number, image: _terms(bound, image, *argued(jobs[number].shape, number)[1])


@functools.partial(jax.jit, static_argnums=(0, 1))
def _part(prepare, name, *args):
    return getattr(prepare(*args), name)  # XLA computes nothing else


@functools.partial(jax.jit, static_argnums=0)
def _terms(loss, image, params, targets, weights):
    return loss.terms(loss.summarise(params, image, targets.spatial, weights), targets, weights)


def joined(trees: Sequence, axes):
    """Trees as a batch: stacked where axes, or a beginning of their tree, say 0; the first's own where None."""

    def join(axis, *parts):
        return parts[0] if axis is None else _stacked(*jax.tree.map(lambda x: jnp.asarray(x, _dtype(x)), parts))

    return jax.tree.map(join, axes, *trees, is_leaf=lambda axis: axis is None)


def _dtype(leaf):
    return jnp.float32 if isinstance(leaf, float) else None


@jax.jit
def _stacked(*trees):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


@functools.partial(jax.jit, static_argnums=1)
def apart(tree, size: int) -> list:
    """The trees of a batch of this size."""
    return [jax.tree.map(lambda leaf, i=i: leaf[i], tree) for i in range(size)]


def fitting(params, job: Job, *, count: int, machine: Machine = ANY) -> int:
    """How many of these jobs are painted at once: what the whole memory holds, in chunks as even as can be.

    On a CPU one: batches are not reliably faster there (`scripts/benchmark.py sweep`), and need more memory.
    """
    if jax.devices()[0].platform == "cpu":
        return 1
    load = paint.load(params, job, job.shape)
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
    "schedule": lambda job: ", ".join(f"{stage.size}: {stage.steps}" for _, stage in paint.stages(job)),
    "set of content layers": lambda job: list(job.recipe.content),
    "set of style layers": lambda job: list(job.recipe.style),
    "loss": lambda job: " ".join(str(getattr(job.recipe, word)) for word in WORDS),
    "optimizer": lambda job: " ".join(map(str, (job.recipe.optimizer, dict(job.recipe.settings), *job.recipe.keep))),
    "number of regions": lambda job: len(job.regions),
    "way of guiding": lambda job: "masks" if any(region.guide is not None for region in job.regions) else "no masks",
}
"""What the jobs of a batch have in common, in words."""

WORDS = ("content_distance", "style_distance", "variation_kind", "pool", "padding")
