"""A run that was stopped goes on in another process to the same bits."""

import pickle
import subprocess
import sys

import jax
import numpy as np
import pytest
import resuming
from conftest import drawn

from nst_jax.painting import painter
from nst_jax.painting.job import FAST, MAIN

NAMES = ["adam", "lbfgs", "averaged", "best", "fast first", "tiles", "turned", "several"]


@pytest.fixture(scope="module")
def inputs(narrow):
    """Two networks, a content, two styles, a larger content: arrays of NumPy's."""
    params = jax.device_get(narrow)
    other = {**params, "conv1_1": {k: 2 * v for k, v in params["conv1_1"].items()}}
    return params, other, drawn(1, 40, 48), drawn(2, 36, 52), drawn(3, 44, 40), drawn(4, 130, 120)


@pytest.fixture(scope="module")
def cases(inputs):
    return resuming.cases(inputs)


@pytest.fixture(scope="module")
def stopped(cases):
    """{name: snapshots}"""
    return {name: resuming.stop(case) for name, case in cases.items()}


@pytest.fixture(scope="module")
def finished(inputs, stopped, tmp_path_factory):
    """What a process that knows nothing of this one made of the snapshots."""
    folder = tmp_path_factory.mktemp("resume")
    (folder / "stopped.pickle").write_bytes(pickle.dumps((inputs, stopped)))
    command = [sys.executable, resuming.__file__, folder / "stopped.pickle", folder / "finished.npz"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return np.load(folder / "finished.npz")


@pytest.mark.parametrize("name", NAMES)
def test_a_run_that_was_stopped_ends_with_the_same_bits_in_another_process(name, cases, stopped, finished):
    case = cases[name]
    run = case.begin()
    if case.turn is not None:
        run = painter.advance(painter.advance(run, case.stops[0]), 1, turn=case.turn)
    run = painter.advance(run, run.total)
    expected = [*(frame.image for frame in painter.look(run)), *jax.tree.leaves(run.state)]
    assert run.finished
    for number, kept in enumerate(stopped[name]):
        assert isinstance(kept.leaves[0], np.ndarray)
        for i, leaf in enumerate(expected):
            np.testing.assert_array_equal(finished[f"{name}/{number}/{i}"], leaf, err_msg=f"{number} {i}")


def test_all_cases_are_looked_at_where_they_say(cases, stopped):
    assert list(cases) == NAMES
    where = {name: [(kept.stage, kept.step) for kept in each] for name, each in stopped.items()}
    assert where["averaged"] == [(0, 2), (0, 3), (1, 2)], "the second at the very end of a size"
    assert where["fast first"] == [(1, 1), (1, 3), (2, 1)], "the second exactly where the networks meet"
    (fast, *_), *_ = stopped["fast first"]
    assert [stage.network for stage in fast] == [FAST, FAST, MAIN]
    assert stopped["tiles"][0].stages[0].plan.window
    assert stopped["turned"][1].turns == ((2, resuming.TURNED),)
    assert len(stopped["several"][0].leaves[0]) == 3


def test_a_snapshot_is_not_touched_by_what_goes_on(cases):
    run = painter.advance(cases["adam"].begin(), 2)
    kept = painter.snapshot(run)
    before = [leaf.copy() for leaf in kept.leaves]
    painter.consume(run, 3)
    for leaf, copy in zip(kept.leaves, before, strict=True):
        np.testing.assert_array_equal(leaf, copy)


def test_a_snapshot_of_another_picture_or_solver_is_refused(cases, stopped):
    message = r"^snapshot must be of a picture of {} px by this recipe, got another: start anew$"
    with pytest.raises(ValueError, match=message.format("48×40")):
        cases["best"].resume(stopped["adam"][0])
    with pytest.raises(ValueError, match=message.format("48×40")):
        cases["adam"].resume(stopped["adam"][0]._replace(leaves=stopped["tiles"][0].leaves))
