"""Where a painting stands, as a value, and the one loop that goes through a schedule, for one picture or for many.

A Run is painted by a `Subject`: one picture in `painter`, several at once in `batches`.
"""

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from nst_jax.painting import devices, programs, transfer
from nst_jax.painting.job import WHOLE, Stage
from nst_jax.painting.memory import Machine, Plan
from nst_jax.recipes import Turn


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
    note: str = ""  # what a person should know of

    @property
    def losses(self) -> dict[str, float]:
        """Its terms as numbers."""
        return {name: float(value) for name, value in self.terms.items()}


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

    def arguments(self, stage: Stage, scene, turn: Turn | None, aligned) -> tuple:
        """What a step takes after its state: (params, targets, weights)."""
        ...

    def align(self, run: "Run") -> dict[str, Any] | None:
        """Which features positions keep to from here, the beginning of a stage or a turn; None: nothing does."""
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
    aligned: dict[str, Any] | None = None  # which features positions keep to, if any do
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
    aligned: Mapping[str, np.ndarray] = {}  # which features positions keep to, by layer

    @property
    def done(self) -> int:
        """Steps done in all."""
        return sum(stage.steps for stage in self.stages[: self.stage]) + self.step


def begin(subject: Subject) -> Run:
    """A run of this subject before its first step."""
    stages = subject.stages()
    if _compiles_early(subject, stages[0]):
        subject.compile(stages[0])
    state = subject.begin(stages[0])
    run = _with_arguments(Run(subject, stages, 0, 0, None, scene=subject.measure(stages[0])))
    return _align(run._replace(state=_with_rate(run, state)))


def advance(run: Run, count: int, *, turn: Turn | None = None) -> Run:
    """So many steps further, over the ends of stages; the run that is given stays valid."""
    return _advance(run, count, turn, transfer.advance)


def consume(run: Run, count: int, *, turn: Turn | None = None) -> Run:
    """`advance` in the memory of the run that is given, which is gone afterwards."""
    return _advance(run, count, turn, transfer.consume)


def snapshot(run: Run) -> Snapshot:
    """What has to be kept of a run to go on from here."""
    kept, mesh = (run.state, run.aligned), run.subject.machine.mesh
    kept = devices.collect(kept, mesh) if mesh else jax.device_get(kept)
    state, aligned = jax.tree.map(np.array, kept)  # copies: on a CPU what was got is the run's own memory
    return Snapshot(run.stages, run.stage, run.step, tuple(jax.tree.leaves(state)), run.turn, run.turns, aligned or {})


def restore(subject: Subject, kept: Snapshot) -> Run:
    """The run of this subject that a snapshot was taken of."""
    stage = kept.stages[kept.stage]
    run = Run(subject, kept.stages, kept.stage, kept.step, None, kept.turn, kept.turns, subject.measure(stage))
    run = run._replace(aligned=jax.device_put(dict(kept.aligned)) or None)
    return _with_arguments(run)._replace(state=subject.restore(stage, kept.leaves))


def follow(run: Run, *, every: int) -> Iterator[list[Frame]]:
    """Paint a run to its end; yield its pictures' frames after each `every` steps and at the end of each stage.

    The run that is given is gone afterwards, as with `consume`.
    """
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
    if count < 0:
        raise ValueError(f"count must be at least 0, got {count}: go on from an earlier snapshot")
    if turn is not None:
        run = turned(run, turn)
    while count and not run.finished:
        if run.step == run.now.steps:
            run = _enter_next_stage(run)
        now = min(count, run.now.steps - run.step)
        run, count = _take_steps(run, now, program), count - now
    return run


def turned(run: Run, turn: Turn) -> Run:
    """The run with other weights from here on: a new problem, whose lowest loss is not known yet."""
    run = _with_arguments(run._replace(turn=turn, turns=(*run.turns, (run.done, turn))))
    return _align(run._replace(state=transfer.turn(_with_rate(run, run.state), rate=turn.rate)))


def _with_rate(run, state):
    """A state with the factor of the learning rate that holds now."""
    rate = (run.turn or run.subject.turn).rate
    if rate == 1:
        return state
    if not transfer.has_rate(state):
        raise ValueError(f"rate must stay 1 with lbfgs, which searches along each line, got {rate}: drop it")
    return transfer.turn(state, rate=rate)


def _with_arguments(run) -> Run:
    return run._replace(args=run.subject.arguments(run.now, run.scene, run.turn, run.aligned))


def _align(run) -> Run:
    """The run whose targets have followed the picture, if any of them do."""
    aligned = run.subject.align(run)
    return run if aligned is None else _with_arguments(run._replace(aligned=aligned))


def _enter_next_stage(run) -> Run:
    """The same run at the beginning of its next stage."""
    after = run._replace(stage=run.stage + 1, step=0, scene=None, aligned=None, args=None, info=None)
    after = _with_arguments(after._replace(scene=run.subject.measure(after.now)))
    state = run.subject.carry(run.now, after.now, run.state)
    return _align(after._replace(state=_with_rate(after, state) if run.now.network != after.now.network else state))


def _take_steps(run, count, program) -> Run:
    """So many steps within a stage; in a smaller plan where a device's memory ends against what was planned."""
    while True:
        kept = _copy_on_host(run.state) if program is transfer.consume else run.state
        step, chosen = run.subject.step(run.now), program_for(run.now, program)
        try:
            if run.info is None:
                chosen.ready(step, run.state, 1, *run.args)
            state, info = chosen(step, run.state, count, *run.args)
            if kept is not None:
                jax.block_until_ready(info)
            return run._replace(state=state, info=info, step=run.step + count)
        except jax.errors.JaxRuntimeError as error:
            if kept is None or "RESOURCE_EXHAUSTED" not in str(error):
                raise
        run = _replan(run, kept)


def program_for(stage: Stage, program: programs.Program) -> programs.Program:
    """A program as a stage's plan has it compiled."""
    return program.with_less_effort if stage.plan.direct else program


def _replan(run, kept) -> Run:
    stage = run.subject.smaller(run.now)
    stages = (*run.stages[: run.stage], stage, *run.stages[run.stage + 1 :])
    run = run._replace(stages=stages, info=None, scene=None, args=None)
    run = _with_arguments(run._replace(scene=run.subject.measure(stage)))
    return run._replace(state=run.subject.restore(stage, jax.tree.leaves(kept)))


def _copy_on_host(state):
    """A state's copy on the host; none where that is the device, or has a part only: it raises nothing there."""
    return None if jax.default_backend() == "cpu" or jax.process_count() > 1 else jax.device_get(state)


def _compiles_early(subject, stage) -> bool:
    """Whether a stage's programs are compiled from shapes alone: windows run far longer than they compile."""
    return not stage.plan.window and not subject.machine.mesh


@contextlib.contextmanager
def compiling_ahead():
    """A function of a run: called after its frames, it compiles the next stage's programs beside the steps."""
    threads: dict[int, threading.Thread] = {}

    def ahead(run: Run) -> None:
        number = run.stage + 1
        if number >= len(run.stages) or not _compiles_early(run.subject, run.stages[number]):
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
