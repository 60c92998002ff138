"""What is painted, and the stages that it goes through: decided once, before the first step, and carried."""

import functools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nst_jax.ground import choices
from nst_jax.network import vgg19
from nst_jax.network.convolutions import STRIPS
from nst_jax.objective import losses, sharded
from nst_jax.objective.losses import Region, Style
from nst_jax.painting import memory, starts, transfer
from nst_jax.painting.memory import Load, Machine, Plan
from nst_jax.pictures import images
from nst_jax.recipes import Recipe, Size, Turn, Weights

WHOLE, ANY = Plan(), Machine()
MAIN, FAST = "main", "fast"  # names of networks in stages


class FastFirst(NamedTuple):
    """A faster network that paints first: its parameters, and how many steps at full size are left to the other."""

    params: Any
    left: int


class Job(NamedTuple):
    """What is painted: pictures at full resolution, the shape to paint at, where to start, and with which weights."""

    content: Any
    regions: tuple[Region, ...]
    recipe: Recipe
    shape: tuple[int, int]
    start: Any = None  # a picture in place of the recipe's own start
    seed: int = 0
    turn: Turn = Turn()  # the factors that it begins with
    first: FastFirst | None = None

    def weights(self, shape, widths, turn: Turn | None = None) -> Weights:
        """The loss weights at a stage's shape, for a network of these widths, after a turn."""
        return self.recipe.with_turn(self.turn if turn is None else turn).weights(shape, widths=widths)

    def weights_at(self, stage: "Stage", widths, turn: Turn | None) -> Weights:
        """The loss weights of a stage, of those layers' neighbours that are sought in it."""
        whole = self.weights(stage.shape, widths, turn)
        if stage.near is None:
            return whole
        return whole._replace(neighbours={layer: whole.near[layer] for layer in stage.near})


class Stage(NamedTuple):
    """A part of a run, resolved once: the picture's shape, how many steps, which network, how it is computed."""

    shape: tuple[int, int]
    steps: int
    network: str = MAIN
    plan: Plan = WHOLE
    near: tuple[str, ...] | None = None  # of the layers whose neighbours the recipe seeks; None: all


# How a recipe's words become functions

WRAPPERS = {"best": transfer.best, "averaged": transfer.averaged}


def loss(recipe: Recipe, *, plan: Plan = WHOLE, machine: Machine = ANY) -> losses.Loss:
    """The loss that a recipe names, computed as a plan says, on a machine."""
    plain = losses.loss(
        vgg19.network(
            pool=recipe.pool,
            padding=recipe.padding,
            dtype=machine.dtype,
            recompute=plan.again,
            spread=1 if machine.mesh is None else machine.mesh.shape["space"],
        ),
        content=choices.choose("content distance", recipe.content_distance, losses.CONTENTS),
        style=choices.choose("style distance", recipe.style_distance, losses.STYLES),
        variation=choices.choose("variation", recipe.variation_kind, losses.VARIATIONS),
    )
    return memory.apply(plan, sharded.in_shares(plain, _cut(machine)))


def _cut(machine) -> sharded.Cut:
    """How a machine cuts a picture's rows."""
    return sharded.Cut(machine.mesh, STRIPS if machine.platform == "tpu" else 1)


def solver(recipe: Recipe, loss: losses.Loss) -> transfer.Solver:
    """The solver that a recipe names; it begins again where a step goes wrong."""
    make = choices.choose("optimizer", recipe.optimizer, transfer.OPTIMIZERS)
    plain = transfer.solver(losses.objective(loss), make(**recipe.settings))
    wrapped = transfer.guarded(transfer.clamped(plain) if "clamped" in recipe.keep else plain)
    for text in recipe.keep:
        word, *numbers = text.split(":")
        if word != "clamped":
            wrapped = choices.choose("keep", word, WRAPPERS)(wrapped, *map(float, numbers))
    return transfer.watched(wrapped)


# Stages


def sizes(job: Job) -> tuple[tuple[tuple[int, int], Size], ...]:
    """Each size of a job's recipe with its picture's shape, from coarse to fine; the last has the job's own."""
    length = images.EDGES[job.recipe.edge](*job.shape)
    schedule = job.recipe.schedule(length)
    last = schedule[-1].edge
    return tuple((_scaled(job.shape, size.edge / last), size) for size in schedule)


def _scaled(shape, scale):
    return (max(16, round(shape[0] * scale)), max(16, round(shape[1] * scale)))


def stages(params, job: Job, machine: Machine = ANY) -> tuple[Stage, ...]:
    """The stages of a job on a machine, each with the fastest plan that fits into its memory."""
    return tuple(
        stage._replace(plan=_plan(params_of(params, job, stage), job, stage, machine))
        for stage in stages_without_plans(job)
    )


def stages_without_plans(job: Job) -> list[Stage]:
    """The stages of a job by shape, steps and network, each computed whole."""
    each = [Stage(shape, size.steps) for shape, size in sizes(job)]
    last, columns = each[-1].steps, losses.aligned(job.recipe.neighbours)
    if columns and (end := round(job.recipe.apart * sum(stage.steps for stage in each))):
        apart = tuple(layer for layer in job.recipe.neighbours if layer not in columns)
        each = _split(each, min(end, last - 1), {"near": columns}, {"near": apart})
    if job.first:
        left = job.first.left
        if not 0 < left < last:
            got = f"got {left}: lower fast-first"
            raise ValueError(f"fast-first must leave from 1 to {last - 1} of the steps at full size, {got}")
        each = _split(each, left, {"network": FAST}, {})
    return each


def _split(stages, left: int, before: Mapping, after: Mapping) -> list[Stage]:
    """Stages as `before` says, but for so many steps at their end, which are as `after` says."""
    found = []
    for stage in reversed(stages):
        late = min(left, stage.steps)
        parts = stage._replace(steps=stage.steps - late, **before), stage._replace(steps=late, **after)
        found, left = [*(part for part in parts if part.steps), *found], left - late
    return found


def params_of(params, job: Job, stage: Stage):
    """The parameters of the network that paints a stage."""
    return job.first.params if stage.network == FAST and job.first else params


class Networks:
    """The networks that paint a job, and what is made of their kernels once, when a stage first asks for it."""

    def __init__(self, params, job: Job, machine: Machine = ANY):
        self.main, self._job, self._machine = params, job, machine
        self._ready = functools.cache(self._make_ready)

    def plain(self, stage: Stage):
        """The parameters that paint a stage."""
        return params_of(self.main, self._job, stage)

    def ready(self, stage: Stage):
        """The same, with what makes each of its steps shorter, unless its plan does without."""
        return self.plain(stage) if stage.plan.direct or self._machine.mesh else self._ready(stage.network)

    def _make_ready(self, name):
        recipe = self._job.recipe
        return vgg19.ready(self.plain(Stage(self._job.shape, 0, name)), recipe.layers)


def _plan(params, job, stage, machine) -> Plan:
    mine = load_here(params, job, stage, machine)
    plan = memory.choose_plan(mine, machine.memory or memory.total())
    return plan._replace(direct=not memory.repays(params, mine.shape, stage.steps, platform=machine.platform))


def load_here(params, job: Job, stage: Stage, machine: Machine) -> Load:
    """What a step of a stage works on, on each device of a machine: its rows, and those that are added below."""
    whole, cut = load_at(params, job, stage.shape, machine=machine), _cut(machine)
    return whole._replace(shape=(cut.rows(stage.shape[0], whole.layers) // cut.space, stage.shape[1]))


def load_at(params, job: Job, shape: tuple[int, int], *, machine: Machine = ANY) -> Load:
    """What a step of a job works on at a stage's shape, all of it on one device."""
    widths, convs = vgg19.shape_of(params)
    weights = job.recipe.weights(shape, widths=widths)
    kinds = weights.content, weights.style, weights.near
    content, style, near = (tuple(vgg19.canonical(layer, convs=convs) for layer in each) for each in kinds)
    image = jax.ShapeDtypeStruct((*shape, 3), jnp.float32)
    state = jax.eval_shape(solver(job.recipe, loss(job.recipe)).init, image)
    styles = [np.shape(style.image) for region in job.regions for style in region.styles]
    floats = 2 * image.size + math.prod(np.shape(job.content)) + sum(map(math.prod, styles))  # a frame, the content
    held = 4 * floats + sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    guided = len(job.regions) if any(region.guide is not None for region in job.regions) else 0
    rooted = bool(style) and job.recipe.style_distance == "wasserstein"
    return Load(shape, params, content, style, guided, held, rooted, near, machine.dtype, machine.platform)


# Pictures


def pictures_at(job: Job, shape: tuple[int, int]) -> tuple[Array, tuple[Region, ...]]:
    """The content and the regions of a job at a stage's shape, made anew from the full pictures."""
    scale = images.EDGES[job.recipe.edge](*shape)

    def resized(style):
        known = np.asarray(style.image)
        size = _style_shape(known.shape, style_edge(job.recipe, style, scale), job.recipe.edge)
        return style._replace(image=images.resize(known, size), guide=_guide_at(style.guide, size), scale=1.0)

    def guide(region):
        return region.guide if region.guide is None else _guide_at(images.crop(region.guide, shape), shape)

    return content_at(job, shape), tuple(Region(tuple(map(resized, r.styles)), guide(r)) for r in job.regions)


class Pictures:
    """A job's pictures at a stage's shape, kept until they are taken: what begins a stage asks for them before."""

    def __init__(self, job: Job):
        self._job, self._kept = job, None

    def at(self, shape: tuple[int, int]) -> tuple[Array, tuple[Region, ...]]:
        """The content and the regions at a shape."""
        known = self._kept
        if known is None or known[0] != shape:
            known = self._kept = shape, pictures_at(self._job, shape)
        return known[1]

    def take(self, shape: tuple[int, int]) -> tuple[Array, tuple[Region, ...]]:
        """The same, for the last time."""
        found, self._kept = self.at(shape), None
        return found


def content_at(job: Job, shape: tuple[int, int]) -> Array:
    """The content of a job at a stage's shape, made anew from the full picture."""
    return jax.device_put(images.resize(images.crop(np.asarray(job.content), shape), shape))


def _style_shape(known, length, edge):
    """A painting's shape for this edge; a long and narrow one keeps what the network needs of the other."""
    low, high = sorted(known[:2])
    if edge == "long" and low >= images.SMALLEST > low * length / high:
        return images.shape_for(known, images.SMALLEST, edge="short")
    return images.shape_for(known, length, edge=edge)


def style_edge(recipe: Recipe, style: Style, content: int) -> int:
    """How long a style's edge is beside a content of this edge, as its recipe says."""
    if isinstance(recipe.style_size, int):
        return recipe.style_size
    wanted = max(16, round(content * style.scale))
    own = images.EDGES[recipe.edge](*np.shape(style.image)[:2])
    return wanted if recipe.style_size == "same" else min(wanted, own)


def _guide_at(guide, shape):
    return None if guide is None else images.resize(guide, shape).clip(0, 1)


def first_picture(job: Job, content, regions: tuple[Region, ...]) -> Array:
    """The picture that a job starts from, of the content's shape."""
    if job.start is not None:
        return jax.device_put(images.resize(images.crop(job.start, content.shape), content.shape))
    return starts.make(job.recipe.start, jax.random.key(job.seed), content, regions[0].styles[0].image)
