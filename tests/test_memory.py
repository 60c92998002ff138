"""What a run will take: near what XLA's buffers hold, by total memory alone, and the fastest that fits."""

import itertools

import conftest
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nst_jax import recipes
from nst_jax.network import vgg19
from nst_jax.objective import losses, tiles
from nst_jax.objective.losses import Region, Style
from nst_jax.painting import job as jobs
from nst_jax.painting import memory, painter, runs, transfer
from nst_jax.painting.job import WHOLE, Job
from nst_jax.painting.memory import Load, Machine, Plan

STYLE = tuple(f"relu{b}_1" for b in range(1, 6))
VGG = jax.eval_shape(lambda key: vgg19.init(jax.random.key(key)), 0)  # the real network's shapes
pytestmark = pytest.mark.usefixtures("quick_compiler")


def load(*shape, **change):
    return Load(shape, VGG, ("relu4_2",), STYLE)._replace(**change)


@pytest.mark.parametrize(
    ("name", "shape", "plan", "guided"),
    [
        ("nst-jax", (512, 512), Plan(), 0),
        ("nst-jax", (384, 512), Plan(again=1), 0),
        ("nst-jax", (384, 384), Plan(again=3), 0),
        ("nst-jax", (512, 384), Plan(), 3),
        ("nst-jax", (900, 1000), Plan(window=384), 0),
        ("nst-jax", (1000, 900), Plan(window=512, recomputed=True), 2),
        ("matching", (512, 512), Plan(), 0),
        ("matching", (256, 256), Plan(), 2),
        ("matching", (900, 1000), Plan(window=384), 0),
        ("matching", (1000, 900), Plan(window=512, recomputed=True), 2),
    ],
)
def test_a_steps_buffers_are_within_a_quarter_of_what_xla_says(name, shape, plan, guided):
    recipe = recipes.get(name)
    loss = jobs.loss(recipe, plan=plan)
    image, weights = jax.ShapeDtypeStruct((*shape, 3), jnp.float32), recipe.weights(shape)

    def prepare(params, image):
        regions = losses.everywhere(image)
        if guided:
            regions = tuple(Region((Style(image),), jnp.ones(shape)) for _ in range(guided))
        return loss.prepare(params, image, regions, weights)

    targets, s = jax.eval_shape(prepare, VGG, image), jobs.solver(recipe, loss)
    step = transfer.consume.lower(s.step, jax.eval_shape(s.init, image), 3, VGG, targets, weights)
    said = step.compile(conftest.UNTUNED).memory_analysis().temp_size_in_bytes
    known = load(*shape, guided=guided, rooted=name == "nst-jax", neighbours=tuple(recipe.neighbours))
    assert memory.step(plan, known) == pytest.approx(said, rel=0.25)


@pytest.mark.parametrize(
    ("name", "shape", "dtype", "said"),
    [
        ("tf-tutorial", (1024, 1024), None, 1.8e9),
        ("tf-tutorial", (1024, 1024), "bfloat16", 1.1e9),
        ("tf-tutorial", (1024, 8192), "bfloat16", 10.0e9),  # one chip of eight
        ("matching", (1024, 1024), None, 2.8e9),
        ("matching", (1024, 1024), "bfloat16", 2.2e9),
        ("tf-tutorial", (512, 512), None, 428e6),
        # compiled with less effort
        ("tf-tutorial", (1024, 1024), None, 1.83e9),
        ("tf-tutorial", (1024, 1024), "bfloat16", 1.15e9),
        ("matching", (1024, 1024), None, 2.99e9),
        ("matching", (1024, 1024), "bfloat16", 2.41e9),
        ("nst-jax", (1024, 1024), None, 2.65e9),
    ],
)
def test_a_tpus_buffers_are_within_a_quarter_of_what_its_compiler_said(name, shape, dtype, said, monkeypatch):
    """As `scripts/compiled.py` had it from libtpu 0.0.42.1; nothing of a host's process is counted."""
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    recipe = recipes.get(name)
    job = Job(jax.ShapeDtypeStruct((*shape, 3), jnp.float32), losses.everywhere(jnp.zeros((8, 8, 3))), recipe, shape)
    known = jobs.load_at(VGG, job, shape, machine=Machine(None, dtype))
    assert memory.step(Plan(), known) == pytest.approx(said, rel=0.25)
    network = sum(4 * leaf.size for leaf in jax.tree.leaves(VGG))
    assert memory.peak(Plan(), known) - memory.step(Plan(), known) < network + known.held + memory.PROCESS


def test_a_tpus_programs_are_compiled_with_full_effort_for_long_runs():
    assert not memory.repays(VGG, (512, 512), 500, platform="tpu")
    assert memory.repays(VGG, (512, 512), 500, platform="tpu", pictures=8)
    assert memory.repays(VGG, (512, 512), 4000, platform="tpu")
    assert memory.repays(VGG, (2048, 2048), 250, platform="tpu")
    assert memory.repays(VGG, (512, 512), 500, platform="cpu")
    assert not memory.repays(VGG, (64, 64), 8, platform="cpu", pictures=100), "as it is computed by itself"


def test_what_is_held_counts_states_and_pictures(narrow):
    job = Job(np.zeros((64, 96, 3), np.float32), losses.everywhere(np.zeros((32, 32, 3))), RECIPE, (64, 96))
    found = jobs.load_at(narrow, job, (64, 96))
    plain = jobs.load_at(narrow, job._replace(recipe=RECIPE._replace(keep=())), (64, 96))
    image = 4 * 64 * 96 * 3
    assert plain.held == pytest.approx(3 * image + 2 * image + image + 4 * 32 * 32 * 3, abs=64)  # image, mu, nu; frames
    assert found.held - plain.held == pytest.approx(image, abs=64)  # the averaged picture's sum
    halves = job._replace(regions=tuple(Region((Style(np.zeros((32, 32, 3))),), np.ones((64, 96))) for _ in range(2)))
    assert (found.guided, jobs.load_at(narrow, halves, (64, 96)).guided) == (0, 2)
    searching = jobs.load_at(narrow, job._replace(recipe=recipes.get("gatys-2016")), (64, 96))
    assert searching.held > 15 * image  # L-BFGS remembers steps


RECIPE = recipes.get("nst-jax")


# Choosing


def test_the_fastest_plan_that_fits():
    small, large = load(512, 512), load(4000, 6000, held=6 * 12 * 24_000_000)
    assert memory.choose_plan(small, 19e9) == Plan()
    assert memory.choose_plan(large, 19e9).window == 2048
    five = memory.choose_plan(large, 5e9)
    assert five.window in (512, 768, 1024)
    assert memory.peak(five, large) <= 5e9
    for most in (5e9, 7e9, 10e9, 40e9, 100e9):
        best = memory.choose_plan(large, most)
        fitting = [plan for plan in memory.candidates(large) if memory.peak(plan, large) <= most]
        assert memory.cost(best, large) == min(memory.cost(plan, large) for plan in fitting)
    assert memory.choose_plan(large, 100e9) == Plan()


def test_more_memory_is_never_slower():
    picture = load(2000, 3000, held=400_000_000)
    costs = [memory.cost(memory.choose_plan(picture, most), picture) for most in np.linspace(1.8e9, 20e9, 40)]
    assert costs == sorted(costs, reverse=True)
    assert {memory.choose_plan(picture, m).again for m in np.linspace(1.8e9, 20e9, 80)} >= {0, 1}


def test_a_hundred_megapixels_are_planned():
    """Buffers of a window, and some of the picture's size: bytes grow by the pixel as at 24 megapixels."""
    states = 12 * 6  # bytes to a pixel: image, two moments, average, frame, content
    a, b = (load(h, w, held=states * h * w) for h, w in ((4000, 6000), (8000, 12500)))
    plan = Plan(window=512, recomputed=True)
    assert memory.choose_plan(b, 16e9).window
    slope = (memory.peak(plan, b) - memory.peak(plan, a)) / (b.shape[0] * b.shape[1] - a.shape[0] * a.shape[1])
    assert slope < 10 * 12  # ten pictures
    assert memory.peak(plan, b) < 13e9


def test_no_window_smaller_than_the_layers_allow_is_planned():
    deep = load(3000, 3000)._replace(style=("relu5_4",))
    smallest = min(plan.window for plan in memory.candidates(deep) if plan.window)
    assert smallest == tiles.smallest_window(("relu5_4",)) == 287
    assert all(plan.window is None for plan in memory.candidates(load(180, 190)))


def test_convolutions_that_take_long_to_compile_are_for_runs_that_repay_it(narrow):
    def direct(size, steps, params=VGG):
        job = Job(np.zeros((size, size, 3)), (), RECIPE._replace(schedule=recipes.once(steps)), (size, size))
        return jobs.stages(params, job)[0].plan.direct

    assert direct(128, 20)
    assert not direct(128, 100)
    assert direct(512, 3)
    assert not direct(512, 8)
    assert direct(512, 10**6, narrow), "no layer of it is large enough"
    assert jobs.loss(RECIPE) is jobs.loss(RECIPE, plan=Plan(direct=True)), "only what is made of kernels differs"


def test_too_little_memory_is_refused_with_what_is_needed():
    with pytest.raises(ValueError, match=r"^memory must be at least \d+ MB for 512×512 px, got 100 MB: choose"):
        memory.choose_plan(load(512, 512), 100e6)


def test_plans_smaller_than_what_failed():
    picture, plan, seen = load(3000, 3000, held=500_000_000), Plan(), []
    while plan.window != 191:
        seen.append(memory.step(plan, picture))
        plan = memory.smaller(plan, picture)
    assert len(seen) > 3
    assert all(b <= 0.75 * a for a, b in itertools.pairwise(seen[:-1]))
    assert seen[-1] < seen[-2]
    assert memory.smaller(Plan(direct=True), picture).direct
    with pytest.raises(ValueError, match=r"^memory must be enough for 3000×3000 px, got too little even for windows"):
        memory.smaller(Plan(window=287, recomputed=True), picture._replace(style=("relu5_4",)))


def test_total_memory_is_the_machines():
    assert 1e9 < memory.total() < memory.host() <= 1e14
    assert memory.total() == memory.total()


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (Plan(), "whole"),
        (Plan(again=1), "whole, 1 block computed again"),
        (Plan(again=3), "whole, 3 blocks computed again"),
        (Plan(window=512), "windows of 512 px"),
        (Plan(window=512, recomputed=True), "windows of 512 px, content maps made again"),
    ],
)
def test_plans_in_words(plan, words):
    assert str(plan) == words


# Runs


@pytest.fixture
def job():
    layers = {"content": {"relu2_1": 0.05}, "style": {"relu1_1": 1.0, "relu3_1": 1.0}}
    recipe = RECIPE._replace(style_distance="gram", schedule=recipes.listed((200, 2), (250, 3)), **layers)
    return Job(conftest.drawn(1, 250, 230), losses.everywhere(conftest.drawn(2, 60, 70)), recipe, (250, 230))


def test_a_bound_on_memory_changes_the_plan_and_not_the_picture(narrow, job, monkeypatch):
    monkeypatch.setattr(memory, "AGAIN", ())
    bound = memory.peak(Plan(), jobs.load_at(narrow, job, job.shape)) - 1
    *_, free = painter.frames(narrow, job)
    *_, tight = painter.frames(narrow, job, machine=Machine(memory=bound))
    assert free.plan == Plan(direct=True)
    assert tight.plan.window
    assert np.abs(np.asarray(free.image) - np.asarray(tight.image)).max() < 1e-3


CONSUME = transfer.consume


class Failing:
    """A program that meets the end of a device's memory at one of its calls, with the state that it was given gone."""

    def __init__(self, program, call, message="RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes."):
        self.program, self.left, self.message = program, call, message

    def __call__(self, step, state, *args):
        self.left -= 1
        if self.left:
            return self.program(step, state, *args)
        if self.program is CONSUME:
            jax.tree.map(lambda leaf: leaf.delete(), state)
        raise jax.errors.JaxRuntimeError(self.message)

    @property
    def with_less_effort(self):
        return self

    def ready(self, *args):
        self.program.ready(*args)

    def lower(self, *args):
        return self.program.lower(*args)


@pytest.fixture
def failing(monkeypatch):
    """Makes one call of `transfer.consume` fail, as on a device that is not the host."""

    def fail(call, *message):
        monkeypatch.setattr(runs, "_copy_on_host", jax.device_get)
        monkeypatch.setattr(transfer, "consume", Failing(transfer.consume, call, *message))

    return fail


def test_a_run_that_meets_the_end_of_memory_goes_on_in_a_smaller_plan(narrow, job, failing):
    *_, untroubled = painter.frames(narrow, job, every=1)
    failing(4)  # the second step of the second size
    found, run = [], painter.start(narrow, job)
    while not run.finished:
        run = painter.consume(run, 1)
        found += painter.look(run)
    assert [frame.step for frame in found] == [1, 2, 3, 4, 5]
    smaller = [bool(frame.plan.window or frame.plan.again) for frame in found]
    assert smaller == [False, False, False, True, True]
    assert run.stages[1].plan == found[-1].plan
    assert run.stages[1]._replace(plan=WHOLE) == jobs.stages_without_plans(job)[1]
    assert run.stages[0].plan == found[0].plan
    assert np.abs(np.asarray(found[-1].image) - np.asarray(untroubled.image)).max() < 1e-3
    assert painter.snapshot(run).stages == run.stages, "it is resumed in the smaller plan"


def test_frames_tell_the_smaller_plan(narrow, job, failing):
    failing(4)
    frames = list(painter.frames(narrow, job, every=1))
    assert [bool(frame.plan.window or frame.plan.again) for frame in frames] == [False, False, False, True, True]


def test_a_run_that_stays_valid_needs_no_copy(narrow, job, monkeypatch):
    """On a host too: what was advanced from is there still."""
    monkeypatch.setattr(transfer, "advance", Failing(transfer.advance, 2))
    before = painter.advance(painter.start(narrow, job), 1)
    after = painter.advance(before, 1)
    assert before.now.plan != after.now.plan
    assert (before.done, after.done) == (1, 2)
    np.testing.assert_allclose(
        painter.look(painter.advance(before, 1))[0].image, painter.look(after)[0].image, atol=1e-4
    )


def test_other_errors_of_a_device_end_a_run(narrow, job, failing):
    failing(1, "INTERNAL: no idea")
    with pytest.raises(jax.errors.JaxRuntimeError, match="no idea"):
        list(painter.frames(narrow, job))


def test_on_a_host_that_is_the_device_nothing_is_copied(narrow, job, monkeypatch):
    assert runs._copy_on_host(painter.start(narrow, job).state) is None
    monkeypatch.setattr(transfer, "consume", Failing(transfer.consume, 1))
    with pytest.raises(jax.errors.JaxRuntimeError, match="RESOURCE_EXHAUSTED"):
        list(painter.frames(narrow, job))
