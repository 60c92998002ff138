"""Where a painting stands, as a value: started, advanced, kept, resumed. The one loop through a schedule is here.

    run = painter.start(params, job)
    run = painter.advance(run, 40)                        # any number of steps, one program for each size
    run = painter.advance(run, 40, turn=Turn(style=2.0))  # other weights from here on; nothing compiles
    kept = painter.snapshot(run)                          # on the host, to be stored
    run = painter.resume(params, job, kept)               # the same bits from here on

A Run is painted by a `Subject`: one picture here, several at once in `vmapped`.
"""

import concurrent.futures
import contextlib
import functools
import math
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nst_jax import recipes
from nst_jax.network import calibration, vgg19
from nst_jax.objective import losses
from nst_jax.painting import devices, memory, programs, transfer
from nst_jax.painting import job as jobs
from nst_jax.painting.job import ANY, WHOLE, Job, Stage
from nst_jax.painting.memory import Machine, Plan
from nst_jax.recipes import Recipe, Turn


class Terms(Mapping):
    """The loss of a picture by name, evaluated when it is first asked for: that takes a pass through the network."""

    def __init__(self, evaluate: Callable[[], dict[str, Any]]):
        self._evaluate = functools.cache(evaluate)

    def __getitem__(self, name: str):
        return self._evaluate()[name]

    def __iter__(self):
        return iter(self._evaluate())

    def __len__(self):
        return len(self._evaluate())


class Frame(NamedTuple):
    """A run at one moment: steps done in all, the picture to show, its loss by name, the last Info, and the plan.

    `fixed`: every run of the same order has a frame here. Others follow the clock, and no pixel depends on them.
    """

    step: int
    image: Any
    terms: Mapping[str, Any]
    info: Any
    plan: Plan = WHOLE
    fixed: bool = True


class Subject(Protocol):
    """What a run paints, as functions of its stages."""

    @property
    def machine(self) -> Machine:
        """What the run may use."""
        ...

    @property
    def turn(self) -> Turn:
        """What holds before any turn; of several pictures the first one's."""
        ...

    def stages(self) -> tuple[Stage, ...]:
        """The stages, resolved."""
        ...

    def solver(self, stage: Stage) -> transfer.Solver:
        """The solver of one picture of a stage."""
        ...

    def step(self, stage: Stage) -> Any:
        """A step of all pictures together."""
        ...

    def begin(self, stage: Stage) -> Any:
        """The state that a run starts with."""
        ...

    def carry(self, stage: Stage, to: Stage, state) -> Any:
        """The state that goes on at the next stage."""
        ...

    def restore(self, stage: Stage, leaves) -> Any:
        """A state from its leaves on the host."""
        ...

    def measure(self, stage: Stage) -> Any:
        """What can be measured before the first step of a stage, whatever the weights."""
        ...

    def arguments(self, stage: Stage, scene, turn: Turn | None) -> tuple:
        """What a step takes after its state: (params, targets, weights)."""
        ...

    def compile(self, stage: Stage) -> None:
        """Compile what a stage will call, from shapes alone."""
        ...

    def frames(self, run: "Run") -> list[Frame]:
        """One moment of each picture."""
        ...

    def smaller(self, stage: Stage) -> Stage:
        """The same stage in less memory, or an error that there is no such plan."""
        ...


class Run(NamedTuple):
    """Where a painting stands: its stages, which one, steps done in it, the state; and what follows from these."""

    subject: Any
    stages: tuple[Stage, ...]
    stage: int
    step: int  # within the stage
    state: Any
    turn: Turn | None = None  # None: as the job has it
    turns: tuple[tuple[int, Turn], ...] = ()  # (steps done in all, what held from there on)
    scene: Any = None
    args: Any = None
    info: Any = None  # of the last step of this stage

    @property
    def now(self) -> Stage:
        """The stage that the run is in."""
        return self.stages[self.stage]

    @property
    def done(self) -> int:
        """Steps done in all."""
        return sum(stage.steps for stage in self.stages[: self.stage]) + self.step

    @property
    def total(self) -> int:
        """Steps of the whole run."""
        return sum(stage.steps for stage in self.stages)

    @property
    def finished(self) -> bool:
        """Whether all steps are done."""
        return self.done == self.total


class Snapshot(NamedTuple):
    """A run without what can be made again: the state's leaves are NumPy's."""

    stages: tuple[Stage, ...]
    stage: int
    step: int
    leaves: tuple[np.ndarray, ...]
    turn: Turn | None = None
    turns: tuple[tuple[int, Turn], ...] = ()


def start(params, job: Job, *, machine: Machine = ANY, stages: tuple[Stage, ...] = ()) -> Run:
    """A run before its first step; `stages` as another run had them, or resolved for this machine."""
    return begin(One(params, job, machine), stages)


def begin(subject: Subject, stages: tuple[Stage, ...] = ()) -> Run:
    """A run of this subject before its first step."""
    stages = stages or subject.stages()
    if _compiled_early(subject, stages[0]):
        subject.compile(stages[0])
    scene = subject.measure(stages[0])
    run = _with_arguments(Run(subject, stages, 0, 0, None, scene=scene))
    return run._replace(state=_with_rate(run, subject.begin(stages[0])))


def advance(run: Run, count: int, *, turn: Turn | None = None) -> Run:
    """So many steps further, over the ends of stages; the run that is given stays valid."""
    return _advance(run, count, turn, transfer.advance)


def consume(run: Run, count: int, *, turn: Turn | None = None) -> Run:
    """`advance` in the memory of the run that is given, which is gone afterwards."""
    return _advance(run, count, turn, transfer.consume)


def snapshot(run: Run) -> Snapshot:
    """What has to be kept of a run to go on from here."""
    state = devices.collect(run.state, mesh) if (mesh := run.subject.machine.mesh) else jax.device_get(run.state)
    return Snapshot(run.stages, run.stage, run.step, tuple(jax.tree.leaves(state)), run.turn, run.turns)


def resume(params, job: Job, kept: Snapshot, *, machine: Machine = ANY) -> Run:
    """The run that a snapshot was taken of, which goes on to the same bits on the same machine."""
    return restore(One(params, job, machine), kept)


def restore(subject: Subject, kept: Snapshot) -> Run:
    """The run of this subject that a snapshot was taken of."""
    stage = kept.stages[kept.stage]
    run = Run(subject, kept.stages, kept.stage, kept.step, None, kept.turn, kept.turns, subject.measure(stage))
    return _with_arguments(run)._replace(state=subject.restore(stage, kept.leaves))


def frames(params, job: Job, *, every: int = 10, machine: Machine = ANY) -> Iterator[Frame]:
    """Paint a job; yield a Frame after each `every` steps and at the end of each stage."""
    for (frame,) in follow(start(params, job, machine=machine), every=every):
        yield frame


def follow(run: Run, *, every: int) -> Iterator[list[Frame]]:
    """Paint a run to its end; yield its pictures' frames after each `every` steps and at the end of each stage."""
    with compiling_ahead() as ahead:
        while not run.finished:
            run = consume(run, until(run, every))
            yield look(run)
            ahead(run)


def look(run: Run) -> list[Frame]:
    """One moment of each picture of a run."""
    return run.subject.frames(run)


def until(run: Run, every: int) -> int:
    """Steps to the next multiple of `every`, counted from the start of the run, or to the end of the stage."""
    left = run.now.steps - run.step or run.stages[run.stage + 1].steps
    return min(every - run.done % every, left)


# The loop


def _advance(run, count, turn, program) -> Run:
    if turn is not None:
        run = _turned(run, turn)
    while count and not run.finished:
        if run.step == run.now.steps:
            run = _next(run)
        now = min(count, run.now.steps - run.step)
        run, count = _stepped(run, now, program), count - now
    return run


def _turned(run, turn) -> Run:
    """The run with other weights from here on: a new problem, whose lowest loss is not known yet."""
    run = _with_arguments(run._replace(turn=turn, turns=(*run.turns, (run.done, turn))))
    return run._replace(state=transfer.turn(_with_rate(run, run.state), rate=turn.rate))


def _with_rate(run, state):
    """A state with the factor of the learning rate that holds now."""
    rate = (run.turn or run.subject.turn).rate
    if rate == 1:
        return state
    if not transfer.has_rate(state):
        raise ValueError(f"rate must stay 1 with lbfgs, which searches along each line, got {rate}: leave it")
    return transfer.turn(state, rate=rate)


def _with_arguments(run) -> Run:
    return run._replace(args=run.subject.arguments(run.now, run.scene, run.turn))


def _next(run) -> Run:
    """The same run at the beginning of its next stage."""
    after = run._replace(stage=run.stage + 1, step=0, scene=None, args=None, info=None)
    after = _with_arguments(after._replace(scene=run.subject.measure(after.now)))
    state = run.subject.carry(run.now, after.now, run.state)
    return after._replace(state=_with_rate(after, state) if run.now.network != after.now.network else state)


def _stepped(run, count, program) -> Run:
    """So many steps within a stage; in a smaller plan where a device's memory ends against what was planned."""
    while True:
        kept = _copy_on_host(run.state) if program is transfer.consume else run.state
        step = run.subject.step(run.now)
        try:
            if run.info is None:
                program.ready(step, run.state, 1, *run.args)
            state, info = program(step, run.state, count, *run.args)
            if kept is not None:
                jax.block_until_ready(info)
            return run._replace(state=state, info=info, step=run.step + count)
        except jax.errors.JaxRuntimeError as error:
            if kept is None or "RESOURCE_EXHAUSTED" not in str(error):
                raise
        run = _replanned(run, kept)


def _replanned(run, kept) -> Run:
    stage = run.subject.smaller(run.now)
    stages = (*run.stages[: run.stage], stage, *run.stages[run.stage + 1 :])
    run = run._replace(stages=stages, info=None, scene=None, args=None)
    run = _with_arguments(run._replace(scene=run.subject.measure(stage)))
    return run._replace(state=run.subject.restore(stage, jax.tree.leaves(kept)))


def _copy_on_host(state):
    """A state's copy on the host; none where that is the device, or has a part only: it raises nothing there."""
    return None if jax.default_backend() == "cpu" or jax.process_count() > 1 else jax.device_get(state)


def _compiled_early(subject, stage) -> bool:
    """Whether a stage's programs are compiled from shapes alone: windows run far longer than they compile."""
    return not stage.plan.window and not subject.machine.mesh


@contextlib.contextmanager
def compiling_ahead():
    """A function of a run: called after its frames, it compiles the next stage's programs beside the steps."""
    threads: dict[int, threading.Thread] = {}

    def ahead(run: Run) -> None:
        number = run.stage + 1
        if number >= len(run.stages) or not _compiled_early(run.subject, run.stages[number]):
            return
        if number not in threads:
            threads[number] = threading.Thread(target=run.subject.compile, args=(run.stages[number],))
            threads[number].start()
        if run.step == run.now.steps:  # the next stage begins: nothing is compiled twice
            threads[number].join()

    try:
        yield ahead
    finally:
        for thread in threads.values():
            thread.join()


# One picture


class Scene(NamedTuple):
    """What a stage measures: the content's targets, and the moments of each region's styles, unmixed."""

    spatial: Any
    styles: tuple[tuple[dict, ...], ...]


def measure(prepare, params, content, regions, weights) -> Scene:
    """The targets of a content picture, and each style's moments by themselves."""
    styled, plain = weights._replace(content={}), weights._replace(style={})
    spatial = prepare(params, content, (), plain).spatial
    spatial = spatial._replace(guides=losses.layer_guides(regions, content.shape[:2], weights.style))

    def moments(style):
        return prepare(params, content, (losses.Region((style._replace(weight=1.0),)),), styled).style

    return Scene(spatial, tuple(tuple(map(moments, region.styles)) for region in regions))


measured = programs.Program(measure, static_argnums=0)


@jax.jit
def mixed(styles, shares):
    """The moments that each region is painted after: {layer: [r, …]}."""
    each = [losses.mix(moments, of) for moments, of in zip(styles, shares, strict=True)]
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *each)


def shares(job: Job, turn: Turn | None) -> list[list[float]]:
    """How much of each style in each region's blend."""
    mix = job.turn.mix if turn is None else turn.mix
    given = [[float(style.weight) for style in region.styles] for region in job.regions]
    if mix is None:
        return given
    for region in given:
        if len(region) != len(mix) or len(mix) == 1 or not (min(mix) >= 0 and 0 < sum(mix) < math.inf):
            got = f"got {', '.join(map(str, mix))}"
            raise ValueError(f"mix must be a share from 0 for each of a region's {len(region)} styles, {got}")
    return [list(map(float, mix))] * len(given)


def blend(styles, job: Job, turn: Turn | None):
    """What the styles of each region come to together; a single style is what it is."""
    of = shares(job, turn)
    alone = len(of) == 1 and len(of[0]) == 1
    return styles[0][0] if alone else mixed(styles, of)


terms = programs.Program(
    lambda loss, image, params, targets, weights: loss.terms(
        loss.summarise(params, image, targets.spatial, weights), targets, weights
    ),
    static_argnums=0,
)


class One(NamedTuple):
    """One picture, on a machine."""

    params: Any
    job: Job
    machine: Machine

    def stages(self) -> tuple[Stage, ...]:
        """The stages of the job on this machine."""
        return jobs.stages(self.params, self.job, self.machine)

    def network(self, stage: Stage):
        """The parameters that paint a stage."""
        return jobs.network(self.params, self.job, stage)

    def loss(self, stage: Stage) -> losses.Loss:
        """The loss of each step."""
        return jobs.loss(self.job.recipe, plan=stage.plan, machine=self.machine)

    def seldom(self, stage: Stage) -> losses.Loss:
        """The loss as it is best computed once in a while: slower, but sooner compiled."""
        return jobs.loss(self.job.recipe, plan=stage.plan._replace(direct=True), machine=self.machine)

    def solver(self, stage: Stage) -> transfer.Solver:
        """The solver of a stage."""
        return jobs.solver(self.job.recipe, self.loss(stage))

    def step(self, stage: Stage):
        """A step of the picture."""
        return self.solver(stage).step

    def weights(self, stage: Stage, turn: Turn | None = None):
        """The loss weights of a stage."""
        return self.job.weights(stage.shape, vgg19.shape_of(self.network(stage))[0], turn)

    def begin(self, stage: Stage):
        """The state of the picture that the job starts from."""
        picture = jobs.first_picture(self.job, *jobs.pictures_at(self.job, stage.shape))
        return self.place(transfer.begin(self.solver(stage), picture))

    @property
    def turn(self) -> Turn:
        """What holds before any turn."""
        return self.job.turn

    def carry(self, stage: Stage, to: Stage, state):
        """The state at the next stage; another network begins anew from the picture."""
        if stage.network == to.network:
            return self.place(transfer.carry(self.solver(to), state, to.shape))
        return self.place(transfer.restart((self.solver(stage), self.solver(to)), state, to.shape))

    def restore(self, stage: Stage, leaves):
        """A state from its leaves on the host."""
        return self.place(state_of(self.solver(stage), stage.shape, leaves))

    def place(self, state):
        """A state on the devices that go on with it."""
        return state if self.machine.mesh is None else devices.place(state, self.machine.mesh)

    def measure(self, stage: Stage) -> Scene:
        """The content's targets and each style's moments at a stage's shape."""
        known = self.seldom(stage).prepare, self.network(stage), *jobs.pictures_at(self.job, stage.shape)
        args = *known, self.weights(stage)
        measured.ready(*args)
        return measured(*args)

    def arguments(self, stage: Stage, scene: Scene, turn: Turn | None) -> tuple:
        """(params, targets, weights)"""
        targets = losses.Targets(scene.spatial, blend(scene.styles, self.job, turn))
        return self.network(stage), targets, self.weights(stage, turn)

    def compile(self, stage: Stage) -> None:
        """Compile what a stage will call, one beside the other; what is wrong will be raised when it is called."""
        with contextlib.suppress(Exception):
            compile_beside(self, stage)
        programs.give_back()

    def frames(self, run: Run) -> list[Frame]:
        """The picture of a run, with its terms."""
        image = transfer.picture(self.solver(run.now), run.state)
        image = image if self.machine.mesh is None else devices.collect(image, self.machine.mesh)
        evaluate = functools.partial(terms, self.seldom(run.now), image, *run.args)
        return [Frame(run.done, image, Terms(evaluate), run.info, run.now.plan)]

    def smaller(self, stage: Stage) -> Stage:
        """The same stage in less memory."""
        load = jobs.load_at(self.network(stage), self.job, stage.shape)
        return stage._replace(plan=memory.smaller(stage.plan, load))


def compile_beside(one: One, stage: Stage) -> None:
    """Compile the measuring, the step and the terms of a stage beside each other."""
    weights = one.weights(stage)
    scene = measured.lower(
        one.seldom(stage).prepare, one.network(stage), *jobs.pictures_at(one.job, stage.shape), weights
    )
    targets = losses.Targets(
        scene.out_info.spatial, jax.eval_shape(lambda s: blend(s, one.job, None), scene.out_info.styles)
    )
    args = one.network(stage), targets, weights
    image, solver = jax.ShapeDtypeStruct((*stage.shape, 3), jnp.float32), one.solver(stage)
    state = jax.eval_shape(solver.init, image)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        step = pool.submit(transfer.consume.lower(solver.step, state, 1, *args).compile)
        others = scene, terms.lower(one.seldom(stage), image, *args)
        for compiled in (step, *[pool.submit(lowered.compile) for lowered in others]):
            compiled.result()


def state_of(solver: transfer.Solver, shape, leaves):
    """A solver's state from its leaves on the host, if they are those of a picture of this shape."""
    wanted = jax.eval_shape(solver.init, jax.ShapeDtypeStruct((*shape, 3), np.float32))
    expected, structure = jax.tree.flatten(wanted)
    got = [(np.shape(leaf), np.asarray(leaf).dtype) for leaf in leaves]
    if got != [(leaf.shape, leaf.dtype) for leaf in expected]:
        raise ValueError(
            f"snapshot must be of a picture of {shape[1]}×{shape[0]} px by this recipe, got another: start anew"
        )
    return jax.tree.unflatten(structure, [jax.device_put(leaf) for leaf in leaves])


def stylize(
    content, *styles, recipe: str | Recipe = recipes.DEFAULT, params=None, seed: int = 0, machine: Machine = ANY
) -> Array:
    """The content painted after one or several styles, at its own size: [h, w, 3] in [0, 1], all of them.

    Without `params`, the network that `vgg19.find` finds; a recipe for another family is calibrated for it.
    """
    recipe = recipes.get(recipe) if isinstance(recipe, str) else recipe
    recipe, params, _ = calibration.calibrate(recipe, vgg19.load() if params is None else params)
    job = Job(content, losses.everywhere(*styles), recipe, content.shape[:2], seed=seed)
    *_, last = frames(params, job, every=10**9, machine=machine)
    return last.image
