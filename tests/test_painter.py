"""nst_jax.painting.painter and nst_jax.stylize: a job becomes frames, on a narrow network; a run is a value."""

import threading

import jax
import numpy as np
import pytest

import nst_jax
from nst_jax import recipes
from nst_jax.objective import losses
from nst_jax.painting import job as jobs
from nst_jax.painting import memory, painter, runs, scenes, transfer
from nst_jax.painting.job import FAST, MAIN, FastFirst, Job, Stage
from nst_jax.painting.memory import Plan

QUICK = recipes.get("gatys-notebook")._replace(
    content={"relu2_2": 1.0},
    style={"relu1_1": 0.1, "relu2_1": 0.1, "relu3_1": 0.1},
    schedule=recipes.once(6),
    start="noise",
    optimizer="adam",
    settings={"learning_rate": 0.05},
)
STAGED = QUICK._replace(style={"relu1_1": 0.1, "relu2_1": 0.1}, schedule=recipes.listed((24, 2), (48, 4)), edge="long")


@pytest.fixture(scope="module")
def painted(narrow, town, night):
    return nst_jax.stylize(town, night, recipe=QUICK, params=narrow, seed=1)


@pytest.fixture
def job(town, night):
    """Two steps at half size, four at its own."""
    return Job(town, losses.everywhere(night), STAGED, town.shape[:2])


def test_a_painting_is_a_picture_of_the_contents_shape(painted, town):
    assert painted.shape == town.shape
    assert painted.dtype == np.float32
    assert 0 <= float(painted.min()) < float(painted.max()) <= 1
    assert nst_jax.stylize is painter.stylize


def test_a_painting_is_its_seeds_and_no_others(painted, narrow, town, night):
    again, other = (nst_jax.stylize(town, night, recipe=QUICK, params=narrow, seed=seed) for seed in (1, 2))
    np.testing.assert_array_equal(again, painted)
    assert float(abs(other - painted).max()) > 0.05


def test_the_loss_goes_down_and_its_terms_have_names(narrow, town, night):
    job = Job(town, losses.everywhere(night), QUICK, town.shape[:2])
    frames = list(painter.frames(narrow, job, every=2))
    assert [frame.step for frame in frames] == [2, 4, 6]
    totals = [float(sum(frame.terms.values())) for frame in frames]
    assert totals[-1] < 0.9 * totals[0]
    assert float(frames[-1].info.loss) > totals[-1], "the step's loss is of the picture before it"
    assert list(frames[0].terms) == ["content/relu2_2", "style/relu1_1", "style/relu2_1", "style/relu3_1", "variation"]
    assert len(frames[0].terms) == 5
    assert all(frame.image.min() >= 0 and frame.image.max() <= 1 for frame in frames)


def test_terms_are_evaluated_when_they_are_asked_for_and_once():
    calls = []
    terms = runs.Terms(lambda: calls.append(1) or {"variation": 2.0})
    assert calls == []
    assert (dict(terms), terms["variation"], len(terms)) == ({"variation": 2.0}, 2.0, 1)
    assert calls == [1]


def test_lbfgs_lowers_the_loss_more_than_it_was(narrow, town, night):
    recipe = QUICK._replace(optimizer="lbfgs", settings={"memory": 5}, start="content")
    job = Job(town, losses.everywhere(night), recipe, town.shape[:2])
    first, *_, last = painter.frames(narrow, job, every=1)
    assert float(last.info.loss) < 0.5 * float(first.info.loss)


def test_another_run_of_the_same_shapes_compiles_nothing(painted, narrow, town, night, compilations):
    nst_jax.stylize(town[::-1], night[::-1], recipe=QUICK.times(style=3.0), params=narrow, seed=4)
    assert len(compilations) == 0


def test_what_is_large_is_compiled_once_for_each_size(narrow, town, night, compilations):
    """Ahead and beside each other, when it is called, when it is resumed: each finds what the others compiled."""
    job = Job(town, losses.everywhere(night, town[::-1]), STAGED._replace(keep=("best",)), town.shape[:2])
    last = [float(sum(frame.terms.values())) for frame in painter.frames(narrow, job, every=1)][-1]
    once_a_size = scenes.measure_jitted, transfer.consume, scenes.summarise
    names = [f"jit({each.plain.__name__})" for each in (*once_a_size, scenes.weigh)]
    assert [compilations.count(name) for name in names] == [2, 2, 2, 1], "sums weigh alike at every size"
    compilations.clear()
    run = painter.consume(painter.resume(narrow, job, painter.snapshot(painter.start(narrow, job))), 6)
    assert float(sum(painter.look(run)[0].terms.values())) == last
    assert set(compilations).isdisjoint(names)


def test_several_styles_are_painted_between(painted, narrow, town, night):
    both = nst_jax.stylize(town, night, town[::-1], recipe=QUICK, params=narrow, seed=1)
    assert both.shape == town.shape
    assert float(abs(both - painted).max()) > 0.01


def test_a_picture_may_be_the_start(narrow, town, night):
    recipe = QUICK._replace(schedule=recipes.once(1), settings={"learning_rate": 1e-6})
    job = Job(town, losses.everywhere(night), recipe, town.shape[:2], start=town[::-1])
    *_, last = painter.frames(narrow, job)
    np.testing.assert_allclose(last.image, town[::-1], atol=1e-4)


def test_coarse_to_fine_ends_at_the_jobs_own_shape(narrow, job):
    """Frames are at multiples counted from the beginning, and at the end of each size."""
    frames = list(painter.frames(narrow, job, every=3))
    assert [(f.step, f.image.shape) for f in frames] == [(2, (20, 24, 3)), (3, (40, 48, 3)), (6, (40, 48, 3))]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": "adm"}, "optimizer must be one of adam, .*, got 'adm'"),
        ({"pool": "min"}, "pool must be one of max, .*, got 'min'"),
        ({"start": "nose"}, "start must be one of content, .*, got 'nose'"),
        ({"style": {"relu9_1": 1.0}}, "got 'relu9_1'"),
        ({"keep": ("last",)}, "keep must be one of best, .*, got 'last'"),
    ],
)
def test_a_word_that_nobody_knows(change, message, narrow, town, night):
    with pytest.raises(ValueError, match=message):
        nst_jax.stylize(town, night, recipe=QUICK._replace(**change), params=narrow)
    with pytest.raises(ValueError, match="recipe must be one of"):
        nst_jax.stylize(town, night, recipe="gatis", params=narrow)


# A run is a value


def copied(tree):
    return jax.tree.map(np.array, tree)


def same(a, b):
    for one, other in zip(*map(jax.tree.leaves, (a, b)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_where_a_run_stands(narrow, job):
    run = painter.start(narrow, job)
    assert (run.done, run.total, run.finished, run.now.shape) == (0, 6, False, (20, 24))
    run = painter.advance(run, 2)
    assert (run.done, run.stage, run.step) == (2, 0, 2), "at the end of a size its picture is still of that size"
    assert painter.look(run)[0].image.shape == (20, 24, 3)
    run = painter.advance(run, 1)
    assert (run.done, run.stage, run.step, run.now.shape) == (3, 1, 1, (40, 48))
    run = painter.advance(run, 100)
    assert (run.done, run.finished) == (6, True)
    assert painter.advance(run, 1) is run
    with pytest.raises(ValueError, match=r"^count must be at least 0, got -3: go on from an earlier snapshot"):
        painter.advance(run, -3)


def test_guides_are_cropped_as_the_content_is(night):
    half = np.zeros((40, 60, 1), "f")
    half[:, 30:] = 1
    town = np.repeat(half, 3, -1)
    guided = Job(town, (losses.Region((losses.Style(night),), half[:, :, 0]),), STAGED, (40, 40))
    content, (region,) = jobs.pictures_at(guided, (40, 40))
    np.testing.assert_array_equal(content[:, :, 0], region.guide)
    np.testing.assert_array_equal(jobs.content_at(guided, (40, 40)), content)


def test_the_picture_does_not_follow_from_how_it_was_advanced(narrow, job):
    start = painter.start(narrow, job)
    whole, pieces = painter.advance(start, 6), start
    for count in (1, 2, 1, 2):
        pieces = painter.advance(pieces, count)
    same(pieces.state, whole.state)
    (frame,) = painter.look(whole)
    *_, last = painter.frames(narrow, job, every=4)
    np.testing.assert_array_equal(frame.image, last.image)
    assert frame.terms == last.terms
    assert frame.step == last.step == 6


def test_a_run_that_was_advanced_from_stays_valid(narrow, job):
    run = painter.advance(painter.start(narrow, job), 1)
    kept = copied(run.state)
    after = painter.advance(run, 3)  # within this size, and over its end
    same(run.state, kept)
    assert run.done == 1
    same(painter.advance(run, 3).state, after.state)


def test_a_run_that_was_consumed_is_gone(narrow, job):
    run = painter.advance(painter.start(narrow, job), 3)
    after = painter.consume(run, 1)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(run.state))
    assert painter.look(after)[0].image.shape == job.content.shape
    with pytest.raises((RuntimeError, ValueError), match="deleted"):
        painter.advance(run, 1)


# Stages


def test_pictures_are_sized_once_for_each_stage(narrow, job, monkeypatch):
    """A photograph of twelve million pixels takes a tenth of a second each time."""
    sized, known = [], jobs.pictures_at
    monkeypatch.setattr(jobs, "pictures_at", lambda job, shape: sized.append(shape) or known(job, shape))
    list(painter.frames(narrow, job))
    assert sized == [(20, 24), (40, 48)]


def test_stages_are_resolved_once(narrow, job, monkeypatch):
    asked, repays = [], memory.repays
    monkeypatch.setattr(memory, "repays", lambda *args, **more: asked.append(args[2]) or repays(*args, **more))
    run = painter.start(narrow, job)
    assert asked == [2, 4], "of whole sizes, not of what is left of them"
    assert (
        run.stages
        == jobs.stages(narrow, job)
        == tuple(Stage(shape, steps, MAIN, Plan(direct=True)) for shape, steps in (((20, 24), 2), ((40, 48), 4)))
    )
    monkeypatch.setattr(memory, "repays", None)  # nothing is chosen again
    monkeypatch.setattr(memory, "choose_plan", None)
    plans = []
    while not run.finished:
        run = painter.resume(narrow, job, painter.snapshot(painter.advance(run, 1)))
        plans.append(painter.look(run)[0].plan)
    assert plans == [Plan(direct=True)] * 6


def test_stages_that_are_given_are_used_as_they_are(narrow, job, monkeypatch):
    monkeypatch.setattr(memory, "choose_plan", None)
    plans = Plan(again=1, direct=True), Plan(again=3)
    given = tuple(stage._replace(plan=plan) for stage, plan in zip(jobs.stages_without_plans(job), plans, strict=True))
    run = painter.start(narrow, job, stages=given)
    assert run.stages == given
    assert [painter.look(run)[0].plan for run in (painter.advance(run, 2), painter.advance(run, 3))] == [*plans]


# Another network first


@pytest.fixture(scope="module")
def other(narrow):
    """Another network: one layer of it is twice as large."""
    return {**narrow, "conv1_1": {k: 2 * v for k, v in narrow["conv1_1"].items()}}


def test_the_last_steps_at_full_size_are_left_to_the_jobs_own_network(job, other):
    found = [
        (stage.shape, stage.steps, stage.network)
        for stage in jobs.stages_without_plans(job._replace(first=FastFirst(other, 1)))
    ]
    assert found == [((20, 24), 2, FAST), ((40, 48), 3, FAST), ((40, 48), 1, MAIN)]
    for left in (0, 4, 9):
        message = rf"^fast-first must leave from 1 to 3 of the steps at full size, got {left}: lower fast-first$"
        with pytest.raises(ValueError, match=message):
            jobs.stages_without_plans(job._replace(first=FastFirst(other, left)))


def test_each_network_starts_from_the_picture_before_it(narrow, job, other):
    found = list(painter.frames(narrow, job._replace(first=FastFirst(other, 1)), every=1))
    assert [frame.step for frame in found] == [1, 2, 3, 4, 5, 6]
    before = job._replace(recipe=STAGED._replace(schedule=recipes.listed((24, 2), (48, 3))))
    *_, first = painter.frames(other, before, every=1)
    np.testing.assert_array_equal(found[4].image, first.image)
    after = job._replace(recipe=STAGED._replace(schedule=recipes.once(1)), start=np.asarray(first.image))
    *_, second = painter.frames(narrow, after, every=1)
    np.testing.assert_array_equal(found[-1].image, second.image)
    *_, alone = painter.frames(narrow, job, every=1)
    assert float(abs(second.image - alone.image).max()) > 0.01


# Threads


def test_no_thread_outlives_a_run(narrow, job):
    before = set(threading.enumerate())
    for _ in painter.follow(painter.start(narrow, job), every=1):
        pass
    assert set(threading.enumerate()) == before


@pytest.mark.parametrize("end", ["closed", "thrown into"])
def test_no_thread_outlives_a_run_that_is_left(end, narrow, job, monkeypatch):
    threads, begun, go = [], threading.Event(), threading.Event()

    def compile_beside(one, stage):
        threads.append(threading.current_thread())
        begun.set()
        assert go.wait(30)

    followed = painter.follow(painter.start(narrow, job), every=1)
    monkeypatch.setattr(painter, "compile_beside", compile_beside)
    assert [next(followed)[0].step, next(followed)[0].step] == [1, 2]
    assert begun.wait(30)
    assert threads[0].is_alive()
    threading.Timer(0.2, go.set).start()
    if end == "closed":
        followed.close()
    else:
        with pytest.raises(KeyboardInterrupt):
            followed.throw(KeyboardInterrupt)
    assert not threads[0].is_alive()
    assert len(threads) == 1
