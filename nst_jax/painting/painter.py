"""One picture painted: started, advanced, kept, resumed.

    run = painter.start(params, job)
    run = painter.advance(run, 40)                        # any number of steps, one program for each size
    run = painter.advance(run, 40, turn=Turn(style=2.0))  # other weights from here on; nothing compiles
    kept = painter.snapshot(run)                          # on the host, to be stored
    run = painter.resume(params, job, kept)               # the same bits from here on

`runs` has the loop, and what it paints in general; here it is one picture.
"""

import concurrent.futures
import contextlib
import functools
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from nst_jax import recipes
from nst_jax.network import calibration, vgg19
from nst_jax.objective import losses
from nst_jax.painting import devices, memory, programs, runs, scenes, transfer
from nst_jax.painting import job as jobs
from nst_jax.painting.job import ANY, Job, Networks, Pictures, Stage
from nst_jax.painting.memory import Machine
from nst_jax.painting.runs import Frame as Frame
from nst_jax.painting.runs import Run as Run
from nst_jax.painting.runs import Snapshot as Snapshot
from nst_jax.painting.runs import advance as advance
from nst_jax.painting.runs import consume as consume
from nst_jax.painting.runs import follow as follow
from nst_jax.painting.runs import look as look
from nst_jax.painting.runs import snapshot as snapshot
from nst_jax.painting.scenes import Scene
from nst_jax.recipes import Recipe, Turn


def start(params, job: Job, *, machine: Machine = ANY, stages: tuple[Stage, ...] = ()) -> Run:
    """A run before its first step; `stages` as another run had them, or resolved for this machine."""
    return runs.begin(subject(params, job, machine=machine, stages=stages))


def resume(params, job: Job, kept: Snapshot, *, machine: Machine = ANY) -> Run:
    """The run that a snapshot was taken of, which goes on to the same bits on the same machine."""
    return runs.restore(subject(params, job, machine=machine), kept)


def subject(params, job: Job, *, machine: Machine = ANY, stages: tuple[Stage, ...] = ()) -> "One":
    """What a run of this job paints, by the stages that are given, or resolved for this machine."""
    return One(Networks(params, job, machine), Pictures(job), job, machine, stages)


def frames(params, job: Job, *, every: int = 10, machine: Machine = ANY) -> Iterator[Frame]:
    """Paint a job; yield a Frame after each `every` steps and at the end of each stage."""
    for (frame,) in follow(start(params, job, machine=machine), every=every):
        yield frame


class One(NamedTuple):
    """One picture, on a machine."""

    networks: Networks
    pictures: Pictures
    job: Job
    machine: Machine
    given: tuple[Stage, ...] = ()

    def stages(self) -> tuple[Stage, ...]:
        """The stages that were given, or those of the job on this machine."""
        return self.given or jobs.stages(self.networks.main, self.job, self.machine)

    def params_of(self, stage: Stage):
        """The parameters that paint a stage."""
        return self.networks.plain(stage)

    def loss(self, stage: Stage) -> losses.Loss:
        """The loss of each step."""
        return jobs.loss(self.job.recipe, plan=stage.plan, machine=self.machine)

    def solver(self, stage: Stage) -> transfer.Solver:
        """The solver of a stage."""
        return jobs.solver(self.job.recipe, self.loss(stage))

    def step(self, stage: Stage):
        """A step of the picture."""
        return self.solver(stage).step

    def weights(self, stage: Stage, turn: Turn | None = None):
        """The loss weights of a stage."""
        return self.job.weights_at(stage, vgg19.shape_of(self.params_of(stage))[0], turn)

    def begin(self, stage: Stage):
        """The state of the picture that the job starts from."""
        picture = jobs.first_picture(self.job, *self.pictures.at(stage.shape))
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
        return self.place(scenes.state_of(self.solver(stage), stage.shape, leaves))

    def place(self, state):
        """A state on the devices that go on with it."""
        return state if self.machine.mesh is None else devices.place(state, self.machine.mesh)

    def measure(self, stage: Stage) -> Scene:
        """The content's targets and each style's moments at a stage's shape."""
        args = *self.pictures.take(stage.shape), self.weights(stage)
        args = self.loss(stage), self.params_of(stage), *args
        scenes.measure_jitted.ready(*args)
        return scenes.measure_jitted(*args)

    def arguments(self, stage: Stage, scene: Scene, turn: Turn | None, aligned) -> tuple:
        """(params, targets, weights)"""
        targets = losses.aim(scene.spatial, scenes.blend(scene.styles, self.job, turn))
        return self.networks.ready(stage), losses.with_aligned(targets, aligned or {}), self.weights(stage, turn)

    def align(self, run: Run):
        """Which features positions keep to; in the first stage the photograph alone says it."""
        _, targets, weights = run.args
        if not losses.aligned(weights.near):
            return None
        stage, share = run.now, self.job.recipe.current_share if run.stage else 0.0
        image = transfer.picture(self.solver(stage), run.state)
        seen = scenes.mix_with_current(jobs.content_at(self.job, stage.shape), image, share)
        return scenes.align_jitted(self.loss(stage), self.params_of(stage), seen, targets.neighbours, weights)

    def compile(self, stage: Stage) -> None:
        """Compile what a stage will call, one beside the other; what is wrong will be raised when it is called."""
        with contextlib.suppress(Exception):
            compile_beside(self, stage)
        programs.release_memory()

    def frames(self, run: Run) -> list[Frame]:
        """The picture of a run, with its terms."""
        image = transfer.picture(self.solver(run.now), run.state)
        image = image if self.machine.mesh is None else devices.collect(image, self.machine.mesh)
        evaluate = functools.partial(scenes.terms, self.loss(run.now), image, self.params_of(run.now), *run.args[1:])
        return [Frame(run.done, image, runs.Terms(evaluate), run.info, run.now.plan)]

    def smaller(self, stage: Stage) -> Stage:
        """The same stage in less memory."""
        load = jobs.load_at(self.params_of(stage), self.job, stage.shape, machine=self.machine)
        return stage._replace(plan=memory.smaller(stage.plan, load))


def compile_beside(one: One, stage: Stage) -> None:
    """Compile the measuring, the step and the terms of a stage beside each other."""
    loss, solver, weights, params = one.loss(stage), one.solver(stage), one.weights(stage), one.params_of(stage)
    scene = scenes.measure_jitted.lower(loss, params, *one.pictures.at(stage.shape), weights)
    styles = jax.eval_shape(lambda styles: scenes.blend(styles, one.job, None), scene.out_info.styles)
    targets = losses.aim(scene.out_info.spatial, styles)
    image = jax.ShapeDtypeStruct((*stage.shape, 3), jnp.float32)
    if losses.aligned(weights.near):
        align = scenes.align_jitted.lower(loss, params, image, targets.neighbours, weights)
        targets = losses.with_aligned(targets, align.out_info)
    state = jax.eval_shape(solver.init, image)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        consume = runs.program_for(stage, transfer.consume)
        step = consume.lower(solver.step, state, 1, one.networks.ready(stage), targets, weights)
        begun = [pool.submit(step.compile), pool.submit(scene.compile)]
        summary = scenes.summarise.lower(loss.summarise, params, image, targets, weights)
        others = summary, scenes.weigh.lower(loss.terms, summary.out_info, scenes.flat(targets), weights)
        for compiled in (*begun, *[pool.submit(lowered.compile) for lowered in others]):
            compiled.result()


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
