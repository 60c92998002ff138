"""Several pictures that are painted by one program: which of a step's arguments have an axis, and what jobs share."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nst_jax.network import vgg19
from nst_jax.objective import losses, neighbours
from nst_jax.objective.losses import Spatial, Targets
from nst_jax.painting import devices, memory, runs, scenes, transfer
from nst_jax.painting import job as one_job
from nst_jax.painting.job import WHOLE, Job, Stage
from nst_jax.painting.memory import Machine
from nst_jax.painting.runs import Frame, Run
from nst_jax.painting.scenes import Scene
from nst_jax.recipes import Turn, Weights

STUDIES = 128  # styles that are kept, measured, for the next chunk: 2.4 MB of moments each with the real network


class Arguments(NamedTuple):
    """What a step takes after its state; or, of each of these, where the batch is: 0, or None in what jobs share."""

    params: Any
    targets: Any
    weights: Any


@functools.cache
def map_step(step: Callable, axes: Arguments, *, mesh=None) -> Callable:
    """A step of a batch of states. Equal arguments give the same function, compiled once for each size."""
    return jax.vmap(step, in_axes=(0, *axes)) if mesh is None else devices.map_over(step, (0, *axes), mesh)


def axes_of(jobs: Sequence[Job]) -> Arguments:
    """The axes of the arguments of these jobs' steps."""

    def axis(of) -> Any:
        first, *others = map(of, jobs)
        return 0 if any(other != first for other in others) else None

    weights = [job.weights(job.shape, vgg19.WIDTHS) for job in jobs]
    each: list[Any] = [0 if any(w[i] != weights[0][i] for w in weights) else None for i in range(len(weights[0]))]
    own: Any = 0
    spatial = Spatial(axis(lambda job: id(job.content)), axis(_guides), own)
    return Arguments(None, Targets(spatial, axis(_styles), axis(_styles)), Weights(*each))


def _guides(job):
    return tuple(id(region.guide) for region in job.regions)


def _styles(job):
    rows = (style for region in job.regions for style in (*region.styles, None))
    return job.turn.mix, *(s and (_painting(job, s), s.weight) for s in rows)


def _painting(job, style):
    """What a painting of a job's is at any stage: its pictures, and how they are sized."""
    return id(style.image), id(style.guide), style.scale, job.recipe.style_size, job.recipe.edge


def join(trees: Sequence, axes):
    """Trees as a batch: stacked where axes, or a beginning of their tree, say 0; the first's own where None."""

    def joined(axis, *parts):
        return parts[0] if axis is None else _stack(*jax.tree.map(lambda x: jnp.asarray(x, _dtype(x)), parts))

    return jax.tree.map(joined, axes, *trees, is_leaf=lambda axis: axis is None)


def _dtype(leaf):
    return jnp.float32 if isinstance(leaf, float) else None


@jax.jit
def _stack(*trees):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


@functools.partial(jax.jit, static_argnums=1)
def split(tree, size: int) -> list:
    """The trees of a batch of this size."""
    return [jax.tree.map(lambda leaf, i=i: leaf[i], tree) for i in range(size)]


# What jobs share


class Known:
    """What is measured for jobs, by stage and a job's number: what they share is made once, and kept for the next."""

    def __init__(self, params, jobs: Sequence[Job], machine: Machine):
        self.networks, self.jobs, self.machine = one_job.Networks(params, jobs[0], machine), jobs, machine
        self.first: dict = {}  # a picture, or what is measured of it: the number of the job that has it first
        self.pictures = functools.lru_cache(8)(self._pictures)
        self.spatial = functools.lru_cache(8)(self._spatial)
        self.study = functools.lru_cache(STUDIES)(self._study)

    def scene(self, stage: Stage, number: int) -> Scene:
        """What a stage of a job measures."""
        job = self.jobs[number]
        over = self.first.setdefault(("over", id(job.content), _guides(job)), number)

        def study(i, j, style):
            return self.study(stage, *self.first.setdefault(("style", _painting(job, style)), (number, i, j)))

        styles = (tuple(study(i, j, s) for j, s in enumerate(r.styles)) for i, r in enumerate(job.regions))
        return Scene(self.spatial(stage, over), tuple(styles))

    def at(self, stage: Stage, number: int):
        """The content and regions of a job at a stage's shape."""
        job = self.jobs[number]
        return self.pictures(stage, self.first.setdefault((id(job.content), _guides(job), _styles(job)), number))

    def params_of(self, stage: Stage):
        """The parameters that paint a stage."""
        return self.networks.plain(stage)

    def weights(self, stage: Stage, number: int, turn: Turn | None = None) -> Weights:
        """The loss weights of a job."""
        return self.jobs[number].weights_at(stage, vgg19.shape_of(self.params_of(stage))[0], turn)

    def targets(self, number: int, scene: Scene, turn: Turn | None) -> Targets:
        """What one job paints, of what its stage measures."""
        return losses.aim(scene.spatial, scenes.blend(scene.styles, self.jobs[number], turn))

    def arguments(self, stage: Stage, number: int, scene: Scene, turn: Turn | None, aligned) -> Arguments:
        """What a step of one job takes after its state."""
        targets = losses.with_aligned(self.targets(number, scene, turn), aligned or {})
        return Arguments(self.networks.ready(stage), targets, self.weights(stage, number, turn))

    def align(self, run: Run, number: int, image, args: Arguments):
        """Which features the positions of one job's picture keep to; in the first stage the photograph says it."""
        stage, share = run.now, self.jobs[number].recipe.current_share if run.stage else 0.0
        seen = scenes.mix_with_current(self.at(stage, number)[0], image, share)
        known = self.params_of(stage), seen, args.targets.neighbours, args.weights
        return scenes.align_jitted(self.loss(stage), *known)

    def loss(self, stage: Stage) -> losses.Loss:
        """The loss of each step."""
        return one_job.loss(self.jobs[0].recipe, plan=stage.plan, machine=self.machine)

    def _pictures(self, stage, number):
        return one_job.pictures_at(self.jobs[number], stage.shape)

    def _spatial(self, stage, number):
        content, regions = self.at(stage, number)
        weights = self.weights(stage, number)
        args = self.params_of(stage), content, (), Weights(weights.content, {})
        spatial = scenes.measure_jitted(self.loss(stage), *args).spatial
        return spatial._replace(guides=losses.guides_of(regions, content.shape[:2], weights))

    def _study(self, stage, number, i, j):
        style = self.at(stage, number)[1][i].styles[j]._replace(weight=1.0)
        return scenes.study_jitted(self.loss(stage), self.params_of(stage), style, self.weights(stage, number))


class Many(NamedTuple):
    """Several pictures that are painted by one program."""

    known: Known
    numbers: tuple[int, ...]  # of the jobs; a last chunk repeats one
    axes: Arguments
    machine: Machine

    @property
    def jobs(self) -> list[Job]:
        """The jobs, in their order."""
        return [self.known.jobs[number] for number in self.numbers]

    @property
    def turn(self) -> Turn:
        """What holds before any turn, of the first."""
        return self.jobs[0].turn

    def stages(self) -> tuple[Stage, ...]:
        """The stages of all the jobs, each whole."""
        found, mesh = [], self.machine.mesh
        each = -(-len(self.numbers) // (mesh.shape["data"] if mesh else 1))  # pictures on a device
        for stage in one_job.stages_without_plans(self.jobs[0]):
            params = self.known.params_of(stage)
            shape = one_job.load_here(params, self.jobs[0], stage, self.machine).shape
            direct = not memory.repays(params, shape, stage.steps, platform=self.machine.platform, pictures=each)
            found.append(stage._replace(plan=WHOLE._replace(direct=direct)))
        return tuple(found)

    def solver(self, stage: Stage) -> transfer.Solver:
        """The solver of one picture."""
        return one_job.solver(self.jobs[0].recipe, self.known.loss(stage))

    def step(self, stage: Stage):
        """A step of all pictures."""
        return map_step(self.solver(stage).step, self.axes, mesh=self.machine.mesh)

    def begin(self, stage: Stage):
        """The states of the pictures that the jobs start from."""
        first = [one_job.first_picture(self.known.jobs[n], *self.known.at(stage, n)) for n in self.numbers]
        return self.place([transfer.begin(self.solver(stage), picture) for picture in first])

    def carry(self, stage: Stage, to: Stage, state):
        """The states at the next stage."""
        if stage.network != to.network:
            both = self.solver(stage), self.solver(to)
            return self.place([transfer.restart(both, one, to.shape) for one in self.apart(state)])
        return self.place([transfer.carry(self.solver(to), one, to.shape) for one in self.apart(state)])

    def restore(self, stage: Stage, leaves):
        """The states from their leaves on the host."""
        each = [[leaf[i] for leaf in leaves] for i in range(len(self.numbers))]
        return self.place([scenes.state_of(self.solver(stage), stage.shape, one) for one in each])

    def place(self, states: list):
        """States as one batch, on the devices that go on with it."""
        batch, mesh = join(states, 0), self.machine.mesh
        return batch if mesh is None else devices.place(batch, mesh, batched=True)

    def apart(self, batch) -> list:
        """Each picture's own part of a batch."""
        whole = batch if self.machine.mesh is None else devices.collect(batch, self.machine.mesh)
        return split(whole, len(self.numbers))

    def measure(self, stage: Stage) -> list[Scene]:
        """What each job measures."""
        return [self.known.scene(stage, number) for number in self.numbers]

    def arguments(self, stage: Stage, scene, turn: Turn | None, aligned) -> tuple:
        """(params, targets, weights), with an axis in what varies."""
        return tuple(join(self._arguments(stage, scene, turn, aligned), self.axes))

    def _arguments(self, stage, scene, turn, aligned) -> list[Arguments]:
        apart = [None] * len(self.numbers) if aligned is None else self.apart(aligned)
        each = zip(self.numbers, scene, apart, strict=True)
        found = [self.known.arguments(stage, number, one, turn, mine) for number, one, mine in each]
        known = [args.targets.neighbours for args in found]
        if self.axes.targets.neighbours is None or not known[0]:
            return found
        rows = {layer: neighbours.alike([one[layer] for one in known]) for layer in known[0]}  # they are stacked
        mine = [{layer: each[i] for layer, each in rows.items()} for i in range(len(found))]
        return [a._replace(targets=a.targets._replace(neighbours=m)) for a, m in zip(found, mine, strict=True)]

    def align(self, run: Run):
        """Which features the positions of each picture keep to."""
        stage = run.now
        if not losses.aligned(self.known.weights(stage, self.numbers[0]).near):
            return None
        args = self._arguments(stage, run.scene, run.turn, None)
        images = [transfer.picture(self.solver(stage), state) for state in self.apart(run.state)]
        each = zip(self.numbers, images, args, strict=True)
        return self.place([self.known.align(run, number, image, mine) for number, image, mine in each])

    def compile(self, stage: Stage) -> None:
        """Nothing: a batch is compiled when it is called."""

    def frames(self, run: Run) -> list[Frame]:
        """Each picture, with its terms."""
        stage, found = run.now, []
        each = zip(
            self.apart(run.state),
            self.apart(run.info),
            self._arguments(stage, run.scene, run.turn, run.aligned),
            strict=True,
        )
        for state, info, args in each:
            image = transfer.picture(self.solver(stage), state)
            args = self.known.params_of(stage), *args[1:]
            evaluate = functools.partial(scenes.terms, self.known.loss(stage), image, *args)
            found.append(Frame(run.done, image, runs.Terms(evaluate), info, stage.plan))
        return found

    def smaller(self, stage: Stage) -> Stage:
        """Refused: a batch has no smaller plan."""
        h, w = stage.shape
        got = f"got too little for {len(self.numbers)} pictures of {w}×{h} px at once"
        raise ValueError(f"memory must hold a chunk, {got}: lower chunk")
