"""nst_jax.painting.budget: what steps cost, by a clock that is given, and how many of them fit into a time."""

import itertools

import conftest
import pytest

from nst_jax import recipes
from nst_jax.objective import losses
from nst_jax.painting import budget, painter
from nst_jax.painting import job as jobs
from nst_jax.painting.budget import Cost
from nst_jax.painting.job import FastFirst, Job

RECIPE = recipes.get("nst-jax")._replace(
    content={"relu2_1": 1.0},
    style={"relu1_1": 1.0},
    style_distance="gram",
    schedule=recipes.listed((24, 40), (32, 20), (48, 20)),
)


@pytest.fixture
def job():
    return Job(conftest.drawn(1, 40, 48), losses.everywhere(conftest.drawn(2, 30, 36)), RECIPE, (40, 48))


@pytest.fixture
def measured(monkeypatch):
    """Measures a job with runs whose first two steps take 3 s more than others: (cost, the jobs that were run)."""

    def call(params, job, seconds):
        seen, now = [], [0.0]

        def frames(params, job, *, every, machine):
            seen.append(job)
            for step in itertools.count(every, every):
                now[0] += every * seconds(job.shape) + (3 if step == every else 0)
                yield painter.Frame(step, 0, {}, None)

        monkeypatch.setattr(painter, "frames", frames)
        return budget.measure(params, job, clock=lambda: now[0]), seen

    return call


def test_a_cost_is_a_line_through_the_two_smallest_sizes(job, measured):
    cost, seen = measured({}, job, lambda shape: 0.001 + 1e-5 * shape[0] * shape[1])
    assert cost == pytest.approx((3, 0.001, 1e-5))
    assert cost.of((40, 48)) == pytest.approx(0.001 + 1e-5 * 40 * 48)
    assert [small.shape for small in seen] == [(20, 24), (27, 32)]
    assert [small.content.shape[:2] for small in seen] == [(20, 24), (27, 32)]
    assert [[stage.steps for stage in jobs.stages_without_plans(small)] for small in seen] == [[40], [20]], (
        "they settle the plan"
    )


@pytest.mark.parametrize(("small", "large"), [(0.5, 0.5), (0.5, 0.4)])
def test_pixels_cost_at_least_half_of_a_step_whatever_two_noisy_points_say(small, large, job, measured):
    cost, _ = measured({}, job, lambda shape: small if shape == (20, 24) else large)
    assert cost.pixel == pytest.approx(0.5 * large / (27 * 32))
    assert cost.fixed == pytest.approx(0.5 * large)


def test_a_single_size_has_a_cost(job, measured):
    single = job._replace(recipe=RECIPE._replace(schedule=recipes.once(4)))
    cost, seen = measured({}, single, lambda shape: 0.2)
    assert cost == pytest.approx((3, 0.1, 0.1 / 40 / 48))
    assert [stage.steps for stage in jobs.stages_without_plans(seen[0])] == [6], "as many as are timed"


def test_a_job_that_another_network_begins_is_measured_by_its_own(job, measured):
    cost, seen = measured({}, job._replace(first=FastFirst({}, 15)), lambda shape: 0.2)
    assert [small.first for small in seen] == [None, None]
    assert cost.compiling == pytest.approx(3)


def test_measuring_paints(narrow, job):
    cost = budget.measure(narrow, job)
    assert cost.compiling > 0
    assert cost.fixed >= 0
    assert 0 < cost.pixel < 1


# Steps


def test_as_many_steps_as_fit_in_the_recipes_proportion(job):
    cost = Cost(compiling=2.0, fixed=0.01, pixel=1e-5)
    found = budget.fit_steps(job, cost, 60)
    assert [size.edge for size in found] == [24, 32, 48]
    shapes = [shape for shape, _ in jobs.sizes(job)]
    took = sum(size.steps * cost.of(shape) for size, shape in zip(found, shapes, strict=True))
    left = budget.MARGIN * 60 - 2.0  # the third size compiles in the run
    assert left - 3 * cost.of((40, 48)) < took <= left + cost.of((40, 48))
    assert found[0].steps == pytest.approx(2 * found[1].steps, abs=2)
    assert found[1].steps == pytest.approx(found[2].steps, abs=1)


def test_more_time_is_more_steps_up_to_a_standstill(job):
    cost = Cost(1.0, 0.005, 1e-5)
    counts = [sum(size.steps for size in budget.fit_steps(job, cost, seconds)) for seconds in (5, 10, 30, 100, 1e9)]
    assert counts == sorted(set(counts))
    assert counts[-1] == budget.MOST


def test_too_little_time_is_answered_with_what_is_needed(job):
    cost = Cost(1.0, 0.0, 1.0 / 40 / 48)
    with pytest.raises(
        ValueError, match=r"^minutes must be at least \d\.\d for 48×40 here, got 0\.1: lower size$"
    ) as no:
        budget.fit_steps(job, cost, 6)
    need = float(str(no.value).split()[5])
    found = budget.fit_steps(job, cost, 60 * (need + 0.05))
    assert sum(size.steps for size in found) >= 3 * budget.FEWEST
