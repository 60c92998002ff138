"""Short runs of all that `tests/fuzz` fuzzes, by a fixed seed; and what longer runs have found, which stays mended."""

import functools
import pathlib
import sys

import pytest

if sys.platform != "linux":
    pytest.skip("fuzzing reads /proc and sets limits as Linux has them", allow_module_level=True)

from fuzz import engine, seeds, targets

CORPUS = pathlib.Path(__file__).parent / "fuzz" / "corpus"
FOUND = sorted(CORPUS.iterdir()) if CORPUS.is_dir() else []
LATE = 20.0  # seconds: for a machine that has much else to do
SLOW = {"pictures": 150, "kept": 80, "carried": 80, "published": 80}  # executions; of others 300

sound = functools.cache(lambda name: seeds.SEEDS[name]())


def test_every_target_has_seeds_and_modules():
    assert targets.TARGETS.keys() == seeds.SEEDS.keys() == targets.MODULES.keys()


@pytest.mark.parametrize("name", targets.TARGETS)
def test_seeds_are_sound(name):
    """So that a run begins behind the headers; but for a pickle, whose code is not run."""
    refused = [data for data in sound(name) if engine.attempt(targets.TARGETS[name], data, seconds=LATE) != ""]
    assert all(name == "published" and b"archive/data.pkl" in data for data in refused)
    assert len(sound(name)) > len(refused)


@pytest.mark.parametrize("name", targets.TARGETS)
def test_a_short_run_finds_nothing(name):
    lines = engine.Lines(targets.MODULES[name])
    run = functools.partial(engine.run, executions=SLOW.get(name, 300), seed=20261129, seconds=LATE)
    report = run(targets.TARGETS[name], sound(name), lines)
    assert report.found == {}
    assert report.accepted
    assert lines.reached > 0


@pytest.mark.parametrize("path", FOUND, ids=[path.name for path in FOUND])
def test_what_was_found_stays_mended(path):
    target = targets.TARGETS[path.name.rpartition("-")[0]]
    assert not engine.attempt(target, path.read_bytes(), seconds=LATE)
