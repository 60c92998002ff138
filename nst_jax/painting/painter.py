"""From pictures and a recipe to a painting: the core's functions, put together as a recipe says, coarse to fine."""

import concurrent.futures
import contextlib
import math
import threading
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nst_jax import recipes
from nst_jax.network import calibration, vgg19
from nst_jax.objective import losses
from nst_jax.objective.losses import Region
from nst_jax.painting import devices as meshes
from nst_jax.painting import memory, programs, starts, transfer
from nst_jax.painting.memory import Load, Machine, Plan
from nst_jax.pictures import images
from nst_jax.recipes import Recipe, Stage

WHOLE, ANY = Plan(), Machine()


class Job(NamedTuple):
    """What is painted: pictures at full resolution, the shape to paint at, where to start."""

    content: Any
    regions: tuple[Region, ...]
    recipe: Recipe
    shape: tuple[int, int]
    start: Any = None  # a picture in place of the recipe's own start
    seed: int = 0


class Frame(NamedTuple):
    """A run at one moment: steps done in all, the picture to show, its loss by name, the last Info, and the plan."""

    step: int
    image: Array
    terms: dict[str, Array]
    info: transfer.Info
    plan: Plan = WHOLE


def loss(recipe: Recipe, *, plan: Plan = WHOLE, dtype=None, mesh=None) -> losses.Loss:
    """The loss that a recipe's words name, computed as a plan says."""
    plain = losses.loss(
        vgg19.network(
            pool=recipe.pool,
            padding=recipe.padding,
            dtype=dtype,
            again=plan.again,
            convolution="direct" if plan.direct else "winograd",
        ),
        content=vgg19.choice("content distance", recipe.content_distance, losses.CONTENTS),
        style=vgg19.choice("style distance", recipe.style_distance, losses.STYLES),
        variation=vgg19.choice("variation", recipe.variation_kind, losses.VARIATIONS),
    )
    return memory.applied(plan, plain if mesh is None else meshes.sharded(plain, mesh))


def bound(recipe: Recipe, plan: Plan, machine: Machine) -> losses.Loss:
    """A recipe's loss as a plan says, on this machine."""
    return loss(recipe, plan=plan, dtype=machine.dtype, mesh=machine.mesh)


WRAPPERS = {"best": transfer.best, "averaged": transfer.averaged}


def solver(recipe: Recipe, loss: losses.Loss) -> transfer.Solver:
    """The solver that a recipe's words name; it begins again where a step goes wrong."""
    make = vgg19.choice("optimizer", recipe.optimizer, transfer.OPTIMIZERS)
    plain = transfer.solver(losses.objective(loss), make(**recipe.settings))
    wrapped = transfer.guarded(transfer.clamped(plain) if "clamped" in recipe.keep else plain)
    for text in recipe.keep:
        word, *numbers = text.split(":")
        if word != "clamped":
            wrapped = vgg19.choice("keep", word, WRAPPERS)(wrapped, *map(float, numbers))
    return wrapped


def stages(job: Job) -> tuple[tuple[tuple[int, int], Stage], ...]:
    """Each stage of a job with its picture's shape; the last has the job's own."""
    length = images.EDGES[job.recipe.edge](*job.shape)
    schedule = job.recipe.schedule(length)
    last = schedule[-1].size
    return tuple((_shrunk(job.shape, stage.size / last), stage) for stage in schedule)


def _shrunk(shape, scale):
    return (max(16, round(shape[0] * scale)), max(16, round(shape[1] * scale)))


def at(job: Job, shape: tuple[int, int]) -> tuple[Array, tuple[Region, ...]]:
    """The content and the regions of a job at a stage's shape, made anew from the full pictures."""
    scale = images.EDGES[job.recipe.edge](*shape)

    def styled(style):
        known = np.asarray(style.image)
        size = images.fitted(known.shape, style_edge(job.recipe, style, known.shape, scale), edge=job.recipe.edge)
        return style._replace(image=images.resize(known, size), guide=_resized(style.guide, size), scale=1.0)

    regions = tuple(Region(tuple(map(styled, r.styles)), _resized(r.guide, shape)) for r in job.regions)
    return jax.device_put(images.resize(images.crop(np.asarray(job.content), shape), shape)), regions


def style_edge(recipe, style, known, content: int) -> int:
    """How long a style's edge is beside a content of this edge, as its recipe says."""
    if isinstance(recipe.style_size, int):
        return recipe.style_size
    wanted = max(16, round(content * style.scale))
    return wanted if recipe.style_size == "same" else min(wanted, images.EDGES[recipe.edge](*known[:2]))


def _resized(guide, shape):
    return None if guide is None else images.resize(guide, shape).clip(0, 1)


_prepared = programs.Program(lambda prepare, *args: prepare(*args), static_argnums=0)
_terms = programs.Program(
    lambda loss, image, params, targets, weights: loss.terms(
        loss.summarise(params, image, targets.spatial, weights), targets, weights
    ),
    static_argnums=0,
)


def load(params, job: Job, shape: tuple[int, int]) -> Load:
    """What a step of this job works on at a stage's shape."""
    widths, convs = vgg19.shape_of(params)
    weights = job.recipe.weights(shape, widths=widths)
    content, style = (
        tuple(vgg19.canonical(layer, convs=convs) for layer in each) for each in (weights.content, weights.style)
    )
    image = jax.ShapeDtypeStruct((*shape, 3), jnp.float32)
    state = jax.eval_shape(solver(job.recipe, loss(job.recipe)).init, image)
    styles = [np.shape(style.image) for region in job.regions for style in region.styles]
    floats = 2 * image.size + math.prod(np.shape(job.content)) + sum(map(math.prod, styles))  # a frame, the content
    held = 4 * floats + sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    guided = len(job.regions) if any(region.guide is not None for region in job.regions) else 0
    return Load(shape, params, content, style, guided, held, job.recipe.style_distance == "wasserstein")


def planned(params, job: Job, shape: tuple[int, int], machine: Machine) -> Plan:
    """How a stage of a job is computed on this machine."""
    whole = load(params, job, shape)
    if machine.mesh is not None:  # a device has its rows only
        whole = whole._replace(shape=(-(-shape[0] // machine.mesh.shape["space"]), shape[1]))
    plan, steps = memory.chosen(whole, machine.memory or memory.total()), dict(stages(job))[shape].steps
    return plan._replace(direct=not memory.worth(params, shape, steps))


def frames(params, job: Job, *, every: int = 10, machine: Machine = ANY) -> Iterator[Frame]:
    """Paint, coarse to fine; yield a Frame after each `every` steps of a stage and at its end."""
    state, done = None, 0
    runs = [_Run(params, job, shape, planned(params, job, shape, machine), machine) for shape, _ in stages(job)]
    if runs[0].early:
        runs[0].compiled()
    for run, after, (shape, stage) in zip(runs, [*runs[1:], None], stages(job), strict=True):
        scene = at(job, shape)
        args, painter = run.arguments(scene), run.painter
        state = (
            transfer.begun(painter, begun(job, *scene)) if state is None else transfer.carried(painter, state, shape)
        )
        del scene  # at full size its pictures are as large as a state's
        state = run.placed(state)
        run.ready(state, args)
        followed = _persistent(run, args, state, range(done, done + stage.steps), every)
        for frame, state in _ahead(after, followed):  # noqa: B007, the last state goes on to the next stage
            yield frame
        done += stage.steps


def _ahead(run: "_Run | None", frames):
    """The same frames, while the next stage's programs are compiled; they are found done when they are called."""
    compiling = threading.Thread(target=run.compiled) if run and run.early else None
    for number, frame in enumerate(frames):
        if compiling and number == 0:  # this stage's own are compiled now
            compiling.start()
        yield frame
    if compiling:
        compiling.join()


class _Run(NamedTuple):
    """One stage of a job, and how it is computed."""

    params: Any
    job: Job
    shape: tuple[int, int]
    plan: Plan
    machine: Machine

    @property
    def painter(self):
        return solver(self.job.recipe, bound(self.job.recipe, self.plan, self.machine))

    @property
    def rare(self):
        """The loss as it is best computed once in a while."""
        return bound(self.job.recipe, self.plan._replace(direct=True), self.machine)

    def arguments(self, scene):
        """(params, targets, weights)"""
        weights = self.job.recipe.weights(self.shape, widths=vgg19.shape_of(self.params)[0])
        known = self.rare.prepare, self.params, *scene, weights
        _prepared.ready(*known)
        return self.params, _prepared(*known), weights

    def placed(self, state):
        """A state where the run goes on."""
        return state if self.machine.mesh is None else meshes.placed(state, self.machine.mesh)

    def ready(self, state, args):
        """Compile what this stage calls before its buffers are there."""
        transfer.consumed.ready(self.painter.step, state, 1, *args)
        _terms.ready(self.rare, transfer.shown(self.painter, state), *args)

    @property
    def early(self) -> bool:
        """Whether its programs are compiled from shapes alone: windows run far longer than they compile."""
        return not self.plan.window and not self.machine.mesh

    def compiled(self):
        """Compile what this stage will call, one beside the other; what is wrong will be raised when it is called."""
        with contextlib.suppress(Exception):
            weights = self.job.recipe.weights(self.shape, widths=vgg19.shape_of(self.params)[0])
            prepared = _prepared.lower(self.rare.prepare, self.params, *at(self.job, self.shape), weights)
            args = self.params, prepared.out_info, weights
            image, painter = jax.ShapeDtypeStruct((*self.shape, 3), jnp.float32), self.painter
            state = jax.eval_shape(painter.init, image)
            with concurrent.futures.ThreadPoolExecutor(3) as pool:
                step = pool.submit(transfer.consumed.lower(painter.step, state, 1, *args).compile)
                others = prepared, _terms.lower(self.rare, image, *args)
                for done in (step, *[pool.submit(lowered.compile) for lowered in others]):
                    done.result()
        programs.give_back()

    def frames(self, args, state, steps: range, every):
        """(Frame, state) after each `every` steps and at the end."""
        painter, rare = self.painter, self.rare
        count = {"num_steps": len(steps), "every": every, "done": steps.start}
        run = transfer.frames(painter.step, state, *args, **count, advance=transfer.consumed)
        for step, state, info in run:
            image = transfer.shown(painter, state)
            image = image if self.machine.mesh is None else meshes.collected(image, self.machine.mesh)
            yield Frame(steps.start + step, image, _terms(rare, image, *args), info, self.plan), state


def _persistent(run: _Run, args, state, steps: range, every):
    """The frames of a run, which goes on in smaller windows where a device's memory ends against all plans."""
    while True:
        kept = _copied(state)
        try:
            followed = run.frames(args, state, steps, every)
            for frame, state in followed:
                yield frame, state
                kept, steps = _copied(state), range(frame.step, steps.stop)
            return
        except jax.errors.JaxRuntimeError as error:
            if kept is None or "RESOURCE_EXHAUSTED" not in str(error):
                raise
        run = run._replace(plan=memory.smaller(run.plan, load(run.params, run.job, run.shape)))
        args, state = run.arguments(at(run.job, run.shape)), run.placed(jax.device_put(kept))


def _copied(state):
    """A state's copy on the host; none where that is the device, or has a part only: it raises nothing there."""
    return None if jax.default_backend() == "cpu" or jax.process_count() > 1 else jax.device_get(state)


def begun(job: Job, content, regions: Sequence[Region]) -> Array:
    """The picture that a job starts from, of the content's shape."""
    if job.start is not None:
        return jax.device_put(images.resize(images.crop(job.start, content.shape), content.shape))
    return starts.make(job.recipe.start, jax.random.key(job.seed), content, regions[0].styles[0].image)


def stylize(
    content, *styles, recipe: str | Recipe = recipes.DEFAULT, params=None, seed: int = 0, machine: Machine = ANY
) -> Array:
    """The content painted after one or several styles, at its own size: [h, w, 3] in [0, 1], all of them.

    Without `params`, the network that `vgg19.find` finds; a recipe for another family is fitted to it.
    """
    recipe = recipes.get(recipe) if isinstance(recipe, str) else recipe
    recipe, params, _ = calibration.fitted(recipe, vgg19.load() if params is None else params)
    job = Job(content, losses.everywhere(*styles), recipe, content.shape[:2], seed=seed)
    *_, last = frames(params, job, every=10**9, machine=machine)
    return last.image
