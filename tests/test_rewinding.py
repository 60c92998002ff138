"""Runs that go wrong are sent back to where they were sound, with half the rate; after three times they end there."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nst_jax import recipes
from nst_jax.objective import losses
from nst_jax.orders import workshop
from nst_jax.painting import painter, rewinding, transfer
from nst_jax.painting.job import Job
from nst_jax.painting.rewinding import Diverged, Rewinder
from nst_jax.painting.runs import restore, snapshot

pytestmark = pytest.mark.usefixtures("quick_compiler")

RECIPE = recipes.get("tf-tutorial")._replace(
    content={"relu2_1": 1.0},
    style={"relu1_1": 1.0},
    variation=0.0,
    schedule=recipes.once(300),
    optimizer="sgd",
    keep=(),
    edge="long",
)


def job(town, night, **changes):
    return Job(town, losses.everywhere(night), RECIPE._replace(**changes), town.shape[:2])


@dataclasses.dataclass
class Walk:
    """An objective of one number that a test makes large at will."""

    losses: list

    def solver(self):
        table = jnp.asarray(self.losses, jnp.float32)

        def step(state, _):
            return state + 1, transfer.Info(table[state], jnp.float32(1))

        return transfer.watched(transfer.Solver(lambda image: jnp.int32(0), step, lambda state: jnp.zeros((1, 1, 3))))


def wrong_at(numbers):
    """The steps after which a run of these losses counts as gone wrong."""
    walk = Walk(list(numbers)).solver()
    state, found = walk.init(jnp.zeros((1, 1, 3))), []
    step = jax.jit(walk.step)
    for n in range(len(numbers)):
        state, _ = step(state, 0)
        found += [n + 1] if transfer.has_gone_wrong(state) else []
    return found


def test_ten_steps_in_a_row_count():
    assert wrong_at([1.0] * 40) == []
    assert wrong_at([1.0] * 20 + [101.0] * 9 + [1.0] * 20) == []
    assert wrong_at([1.0] * 20 + [101.0] * 10 + [1.0] * 5) == [30, 31, 32, 33, 34, 35]  # it stays counted
    assert wrong_at([1.0] * 20 + [99.0] * 30) == []
    assert wrong_at([1.0] * 20 + [np.nan] * 4 + [np.inf] * 6) == [30]
    assert wrong_at([np.nan] * 12)[0] == 10
    assert wrong_at([0.0, 1e-12] + [1.0] * 40) == []  # the first steps set nothing
    assert wrong_at([100.0] * 12 + [0.5] * 5 + [51.0] * 10)[0] == 27  # the lowest, whenever it was


def test_a_turn_begins_to_count_anew(narrow, town, night):
    run = painter.advance(painter.start(narrow, job(town, night, settings={"learning_rate": 1e-4})), 12)
    assert float(run.state.lowest) < np.inf
    turned = painter.advance(run, 0, turn=recipes.Turn(style=1e4))
    assert float(turned.state.lowest) == np.inf
    assert int(turned.state.seen) == 0


def paint(narrow, one, monkeypatch=None):
    """The runs and notes of a job, its error if one ends it."""
    runs, notes, error = [], [], None
    try:
        for run, (frame,) in workshop.paint_in_chunks(painter.start(narrow, one), workshop.Controls()):
            runs.append(run)
            notes += [(frame.step, frame.note)] if frame.note else []
    except Diverged as found:
        error = found
    return runs, notes, error


def breaking(monkeypatch, at, until=10**9):
    """Have each step's loss be a thousand times as large from a rate on: where the rate is above `until`."""
    real = transfer.has_gone_wrong

    def wrong(state):
        rate = next(x for path, x in jax.tree_util.tree_leaves_with_path(state) if path[-1].name == "rate")
        return real(state) or (int(state.seen) >= at and float(rate) > until)

    monkeypatch.setattr(transfer, "has_gone_wrong", wrong)


def test_a_run_that_grows_is_sent_back_with_half_the_rate(narrow, town, night, monkeypatch):
    breaking(monkeypatch, 70, until=0.3)
    one = job(town, night, settings={"learning_rate": 1e-4}, schedule=recipes.once(150))
    runs, notes, error = paint(narrow, one)
    assert error is None
    assert [step for step, _ in notes] == [50, 100]  # at rate 1, and at 0.5
    assert "back to step 50, with half the learning rate" in notes[0][1]
    last = runs[-1]
    assert last.finished
    assert [(step, turn.rate) for step, turn in last.turns] == [(50, 0.5), (100, 0.25)]
    # a rerun of what was recorded never goes wrong, and paints the same bits
    monkeypatch.undo()
    again = painter.start(narrow, one)
    for turn in (None, *(turn for _, turn in last.turns)):
        again = painter.advance(again, 50, turn=turn)
    np.testing.assert_array_equal(*(transfer.picture(r.subject.solver(r.now), r.state) for r in (last, again)))


def test_a_run_is_not_sent_back_to_where_it_was_going_wrong(narrow, town, night):
    run = painter.advance(painter.start(narrow, job(town, night, settings={"learning_rate": 1e-4})), 40)
    sound, _, _ = Rewinder().look(run)
    run = painter.advance(run, 10)
    astray = run._replace(state=run.state._replace(astray=jnp.int32(9)))
    assert sound.look(astray)[0].kept.done == 40
    assert sound.look(run)[0].kept.done == 50
    assert Rewinder.of(astray).kept is None


def test_a_rate_that_is_far_too_large_ends_after_three_times(narrow, town, night, monkeypatch):
    breaking(monkeypatch, 60, until=0.0)
    runs, notes, error = paint(narrow, job(town, night, settings={"learning_rate": 1e-4}))
    assert [step for step, _ in notes] == [50, 100, 150]
    assert "at step 210 after going back 3 times: lower learning-rate" in str(error)
    assert runs[-1].done == 200  # what was sound is shown last
    assert np.isfinite(transfer.picture(runs[-1].subject.solver(runs[-1].now), runs[-1].state)).all()


def test_a_real_divergence_goes_back_to_the_start(narrow, town, night):
    """Gradient descent whose first step leaves the numbers there are: at no rate in reach it comes back."""
    _, notes, error = paint(narrow, job(town, night, settings={"learning_rate": 1e20}))
    assert [step for step, _ in notes] == [0, 0, 0]
    said = "loss must stay finite, got inf at step 20 after going back 3 times: lower learning-rate"
    assert str(error) == said


def test_a_line_search_begins_anew(narrow, town, night, monkeypatch):
    real, seen = transfer.has_gone_wrong, []

    def wrong(state):
        seen.append(int(state.seen))
        return real(state) or (seen[-1] >= 60 and len(seen) < 12)

    monkeypatch.setattr(transfer, "has_gone_wrong", wrong)
    one = job(town, night, optimizer="lbfgs", settings={"memory": 3}, schedule=recipes.once(100))
    runs, notes, error = paint(narrow, one)
    assert error is None
    assert notes
    assert all("a fresh line search" in note for _, note in notes)
    assert [turn for _, turn in runs[-1].turns] == [recipes.Turn()]


def test_what_a_turn_begins_anew_is_not_kept(narrow, town, night):
    """L-BFGS remembers two pictures a step; a copy of them would double what a run takes."""
    one = job(town, night, optimizer="lbfgs", settings={"memory": 50}, schedule=recipes.once(100))
    run = painter.advance(painter.start(narrow, one), 5)
    kept = Rewinder.of(run).kept
    held = sum(leaf.nbytes if leaf.strides and any(leaf.strides) else leaf.itemsize for leaf in kept.leaves)
    assert held < 10 * town.nbytes < 100 * town.nbytes < sum(leaf.nbytes for leaf in jax.tree.leaves(run.state))
    again, whole = (
        painter.advance(restore(run.subject, each), 5, turn=recipes.Turn(style=2.0)) for each in (kept, snapshot(run))
    )
    np.testing.assert_array_equal(*(transfer.picture(r.subject.solver(r.now), r.state) for r in (again, whole)))


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_what_a_run_ends_with_goes_on_as_its_record_says(optimizer, narrow, town, night, monkeypatch):
    """A turn that changes nothing goes with it: what was not kept begins anew there."""
    settings = {"memory": 3} if optimizer == "lbfgs" else {"learning_rate": 0.01}
    run = painter.advance(painter.start(narrow, job(town, night, optimizer=optimizer, settings=settings)), 5)
    rewinder = Rewinder.of(run)._replace(times=rewinding.MOST)
    monkeypatch.setattr(transfer, "has_gone_wrong", lambda state: True)
    with pytest.raises(Diverged) as found:
        rewinder.look(painter.advance(run, 5))
    before = found.value.before
    ((step, turn),) = before.turns
    assert step == before.done == 5
    on, again = painter.advance(before, 5), painter.advance(run, 5, turn=turn)
    np.testing.assert_array_equal(*(transfer.picture(r.subject.solver(r.now), r.state) for r in (on, again)))


def test_windows_are_left_alone():
    class Plan:
        window = 512

    class Stage:
        plan = Plan

    class Run:
        subject, now, state = painter.One(None, None, None, None), Stage, None

    rewinder = Rewinder()
    assert rewinder.look(Run) == (rewinder, Run, "")
    assert rewinding.MOST == 3
