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
from nst_jax.painting import memory as plans
from nst_jax.painting import painter, transfer
from nst_jax.painting.memory import Load, Machine, Plan

STYLE = tuple(f"relu{b}_1" for b in range(1, 6))
VGG = jax.eval_shape(lambda key: vgg19.init(jax.random.key(key)), 0)  # the real network's shapes


def load(*shape, **change):
    return Load(shape, VGG, ("relu4_2",), STYLE)._replace(**change)


@pytest.mark.parametrize(
    ("shape", "plan", "guided"),
    [
        ((512, 512), Plan(), 0),
        ((384, 512), Plan(again=1), 0),
        ((384, 384), Plan(again=3), 0),
        ((512, 384), Plan(), 3),
        ((900, 1000), Plan(window=384), 0),
        ((1000, 900), Plan(window=512, recomputed=True), 2),
    ],
)
def test_a_steps_buffers_are_within_a_quarter_of_what_xla_says(shape, plan, guided):
    recipe = recipes.get("nst-jax")
    loss = painter.loss(recipe, plan=plan)
    image, weights = jax.ShapeDtypeStruct((*shape, 3), jnp.float32), recipe.weights(shape)

    def prepare(params, image):
        regions = losses.everywhere(image)
        if guided:
            regions = tuple(Region((Style(image),), jnp.ones(shape)) for _ in range(guided))
        return loss.prepare(params, image, regions, weights)

    targets, s = jax.eval_shape(prepare, VGG, image), painter.solver(recipe, loss)
    step = transfer.consumed.lower(s.step, jax.eval_shape(s.init, image), 3, VGG, targets, weights)
    said = step.compile(conftest.UNTUNED).memory_analysis().temp_size_in_bytes
    assert plans.step(plan, load(*shape, guided=guided)) == pytest.approx(said, rel=0.25)


def test_what_is_held_counts_states_and_pictures(narrow):
    job = painter.Job(np.zeros((64, 96, 3), np.float32), losses.everywhere(np.zeros((32, 32, 3))), RECIPE, (64, 96))
    found = painter.load(narrow, job, (64, 96))
    plain = painter.load(narrow, job._replace(recipe=RECIPE._replace(keep=())), (64, 96))
    image = 4 * 64 * 96 * 3
    assert plain.held == pytest.approx(3 * image + 2 * image + image + 4 * 32 * 32 * 3, abs=64)  # image, mu, nu; frames
    assert found.held - plain.held == pytest.approx(image, abs=64)  # the averaged picture's sum
    halves = job._replace(regions=tuple(Region((Style(np.zeros((32, 32, 3))),), np.ones((64, 96))) for _ in range(2)))
    assert (found.guided, painter.load(narrow, halves, (64, 96)).guided) == (0, 2)
    searching = painter.load(narrow, job._replace(recipe=recipes.get("gatys-2016")), (64, 96))
    assert searching.held > 15 * image  # L-BFGS remembers steps


RECIPE = recipes.get("nst-jax")


# Choosing


def test_the_fastest_plan_that_fits():
    small, large = load(512, 512), load(4000, 6000, held=6 * 12 * 24_000_000)
    assert plans.chosen(small, 19e9) == Plan()
    assert plans.chosen(large, 19e9).window == 2048
    five = plans.chosen(large, 5e9)
    assert five.window in (512, 768, 1024)
    assert plans.peak(five, large) <= 5e9
    for memory in (5e9, 7e9, 10e9, 40e9, 100e9):
        best = plans.chosen(large, memory)
        fitting = [plan for plan in plans.candidates(large) if plans.peak(plan, large) <= memory]
        assert plans.cost(best, large) == min(plans.cost(plan, large) for plan in fitting)
    assert plans.chosen(large, 100e9) == Plan()


def test_more_memory_is_never_slower():
    picture = load(2000, 3000, held=400_000_000)
    costs = [plans.cost(plans.chosen(picture, memory), picture) for memory in np.linspace(1.8e9, 20e9, 40)]
    assert costs == sorted(costs, reverse=True)
    assert {plans.chosen(picture, m).again for m in np.linspace(1.8e9, 20e9, 80)} >= {0, 1}


def test_a_hundred_megapixels_are_planned():
    """Buffers of a window, and some of the picture's size: bytes grow by the pixel as at 24 megapixels."""
    states = 12 * 6  # bytes to a pixel: image, two moments, average, frame, content
    a, b = (load(h, w, held=states * h * w) for h, w in ((4000, 6000), (8000, 12500)))
    plan = Plan(window=512, recomputed=True)
    assert plans.chosen(b, 16e9).window
    slope = (plans.peak(plan, b) - plans.peak(plan, a)) / (b.shape[0] * b.shape[1] - a.shape[0] * a.shape[1])
    assert slope < 10 * 12  # ten pictures
    assert plans.peak(plan, b) < 13e9


def test_no_window_smaller_than_the_layers_allow_is_planned():
    deep = load(3000, 3000)._replace(style=("relu5_4",))
    assert min(plan.window for plan in plans.candidates(deep) if plan.window) == tiles.smallest(("relu5_4",)) == 287
    assert all(plan.window is None for plan in plans.candidates(load(180, 190)))


def test_convolutions_that_take_long_to_compile_are_for_runs_that_repay_it(narrow):
    def direct(size, steps, params=VGG):
        job = painter.Job(np.zeros((size, size, 3)), (), RECIPE._replace(schedule=recipes.once(steps)), (size, size))
        return painter.planned(params, job, job.shape, Machine()).direct

    assert direct(128, 20)
    assert not direct(128, 100)
    assert direct(512, 3)
    assert not direct(512, 8)
    assert direct(512, 10**6, narrow), "no layer of it is large enough"
    loss = painter.loss(RECIPE, plan=Plan(direct=True))
    assert loss is not painter.loss(RECIPE)
    assert loss is painter.loss(RECIPE, plan=Plan(direct=True)), "compiled once"


def test_too_little_memory_is_refused_with_what_is_needed():
    with pytest.raises(ValueError, match=r"^memory must be at least \d+ MB for 512×512 px, got 100 MB: choose"):
        plans.chosen(load(512, 512), 100e6)


def test_plans_smaller_than_what_failed():
    picture, plan, seen = load(3000, 3000, held=500_000_000), Plan(), []
    while plan.window != 191:
        seen.append(plans.step(plan, picture))
        plan = plans.smaller(plan, picture)
    assert len(seen) > 3
    assert all(b <= 0.75 * a for a, b in itertools.pairwise(seen[:-1]))
    assert seen[-1] < seen[-2]
    assert plans.smaller(Plan(direct=True), picture).direct
    with pytest.raises(ValueError, match=r"^memory must be enough for 3000×3000 px, got too little even for windows"):
        plans.smaller(Plan(window=287, recomputed=True), picture._replace(style=("relu5_4",)))


def test_total_memory_is_the_machines():
    assert 1e9 < plans.total() < plans.host() <= 1e14
    assert plans.total() == plans.total()


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
    recipe = RECIPE._replace(style_distance="gram", schedule=recipes.listed((200, 2), (250, 3)))
    return painter.Job(conftest.drawn(1, 250, 230), losses.everywhere(conftest.drawn(2, 60, 70)), recipe, (250, 230))


def test_a_bound_on_memory_changes_the_plan_and_not_the_picture(narrow, job, monkeypatch):
    monkeypatch.setattr(plans, "AGAIN", ())
    bound = plans.peak(Plan(), painter.load(narrow, job, job.shape)) - 1
    *_, free = painter.frames(narrow, job)
    *_, tight = painter.frames(narrow, job, machine=Machine(memory=bound))
    assert free.plan == Plan(direct=True)
    assert tight.plan.window
    assert np.abs(np.asarray(free.image) - np.asarray(tight.image)).max() < 1e-3


def test_a_run_that_meets_the_end_of_memory_goes_on_in_windows(narrow, job, monkeypatch):
    *_, untroubled = painter.frames(narrow, job, every=1)
    monkeypatch.setattr(painter, "_copied", jax.device_get)  # as on a device that is not the host
    frames, failures = transfer.frames, []

    def failing(*args, num_steps, **options):
        for step, state, info in frames(*args, num_steps=num_steps, **options):
            yield step, state, info
            if num_steps == 3 and step == 1 and not failures:
                failures.append(step)
                jax.tree.map(lambda leaf: leaf.delete(), state)  # given away to the step that failed
                raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.")

    monkeypatch.setattr(transfer, "frames", failing)
    found = list(painter.frames(narrow, job, every=1))
    assert failures == [1]
    assert [frame.step for frame in found] == [1, 2, 3, 4, 5]
    assert [bool(frame.plan.window or frame.plan.again) for frame in found] == [False, False, False, True, True]
    assert np.abs(np.asarray(found[-1].image) - np.asarray(untroubled.image)).max() < 1e-3


def test_other_errors_of_a_device_end_a_run(narrow, job, monkeypatch):
    def failing(*args, **options):
        raise jax.errors.JaxRuntimeError("INTERNAL: no idea")

    monkeypatch.setattr(painter, "_copied", jax.device_get)
    monkeypatch.setattr(transfer, "frames", failing)
    with pytest.raises(jax.errors.JaxRuntimeError, match="no idea"):
        list(painter.frames(narrow, job))
