"""Memory, precision and compiled programs from the command line: planned, said, recorded and refused."""

import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest

from nst_jax.cli import progress
from nst_jax.network import vgg19
from nst_jax.orders import order, prepare, record, values, watchers, words
from nst_jax.painting import programs
from nst_jax.painting.job import WHOLE
from nst_jax.painting.memory import Machine, Plan
from nst_jax.painting.runs import Frame
from nst_jax.pictures import images, metadata, samples

QUICK = ("--recipe", "gatys-notebook", "--optimizer", "adam", "--ladder", "48:1")


@pytest.fixture
def here(tmp_path, monkeypatch, narrow):
    """A folder with two pictures and a narrow network, where commands run."""
    monkeypatch.chdir(tmp_path)
    images.save("town.png", samples.draw("skyline", (48, 64)))
    images.save("night.png", samples.draw("flow", (48, 60)))
    vgg19.save("narrow.h5", narrow)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "number"),
    [("4GB", 4e9), ("512MB", 512e6), ("1.5GiB", 1.5 * 2**30), ("2g", 2e9), ("800 k", 8e5), ("3000000000", 3e9)],
)
def test_sizes_of_memory(text, number):
    assert values.memory(text) == number


@pytest.mark.parametrize("text", ["4", "GB", "0GB", "-1GB", "4XB", "4GB4", "nan"])
def test_sizes_that_are_none(text):
    with pytest.raises(ValueError, match="must be a size like 4GB or 512MB, got"):
        values.memory(text)


def test_the_plan_is_said_and_nothing_done(here, command):
    before = {path.name for path in here.iterdir()}
    code, out, err = command("plan", "town.png", "--size", "3000x2000", "--weights", vgg19.bundled_path())
    assert (code, err) == (0, "content: scaled up from 64×43 to 3000×2000\n")
    lines = out.splitlines()
    assert lines[0].startswith("memory:   ")
    assert [line for line in lines if line.startswith("3000×2000, 30 steps")]
    assert {path.name for path in here.iterdir()} == before


def test_a_bound_is_kept_or_refused(here, command):
    code, out, _ = command("plan", "town.png", "--size", "3000", "--max-memory", "2GB", "--weights", "narrow.h5")
    assert code == 0
    assert out.splitlines()[0] == "memory:   2.0 GB (--max-memory)"
    code, out, err = command("plan", "town.png", "--size", "3000", "--max-memory", "100MB", "--weights", "narrow.h5")
    assert code == 1
    assert err.splitlines()[-1].startswith("nst-jax: memory must be at least ")
    paint = ("stylize", "town.png", "night.png", "-o", "out.png", *QUICK, "--weights", "narrow.h5")
    code, out, err = command(*paint, "--max-memory", "100MB")
    assert (code, out, os.path.exists("out.png")) == (1, "", False)
    assert "got 100 MB: choose a smaller --size" in err


def test_the_plan_is_recorded_and_a_repetition_follows_it(here, command):
    paint = ("stylize", "town.png", "night.png", "-o", "out.png", *QUICK, "--weights", "narrow.h5")
    code, _, err = command(*paint, "--max-memory", "3GB", "--precision", "bfloat16")
    assert code == 0
    assert "plan:     whole\n" in err
    stored = record.parse(metadata.read("out.png"))
    assert [stage.plan._replace(direct=False) for stage in prepare.stages_of(stored)] == [Plan()]
    assert values.memory(stored.order["max-memory"]) == 3e9
    assert stored.order["precision"] == "bfloat16"
    again = ("rerun", "out.png", "--content", "town.png", "--style", "night.png", "-o", "again.png")
    code, _, err = command(*again, "--weights", "narrow.h5")
    assert code == 0, err
    assert pathlib.Path("again.png").read_bytes() == pathlib.Path("out.png").read_bytes()


PRECISIONS = words.TABLE["precision"].choices


def test_what_an_order_asks_of_the_machine():
    def asked(**fields):
        return prepare.machine_of(order.Order().with_values(**fields), spread=False)

    assert asked() == Machine(None, None, None)
    assert asked(precision="bfloat16", max_memory=10**9) == Machine(10**9, "bfloat16", None)


def test_a_tpu_convolves_in_bfloat16_unless_told_otherwise(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    found = [
        prepare.machine_of(order.Order().with_values(precision=p), spread=False).dtype for p in (None, *PRECISIONS)
    ]
    assert found == ["bfloat16", None, "bfloat16"]


def test_a_record_says_what_was_computed_in(monkeypatch):
    """Where it says nothing it was float32, also where the same order would be painted in another precision."""
    plain, wide = order.Order(), order.Order().with_values(precision="float32")
    assert (prepare._as_painted(plain), prepare.as_then(plain)) == (plain, plain)
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    assert prepare._as_painted(plain).machine.precision == "bfloat16"
    assert prepare._as_painted(wide) == prepare.as_then(wide) == prepare.as_then(plain) == wide


def test_bfloat16_is_another_precision_near_float32(here, command):
    paint = ("stylize", "town.png", "night.png", *QUICK, "--weights", vgg19.bundled_path(), "--learning-rate", "0.1")
    for precision in PRECISIONS:
        assert command(*paint, "-o", f"{precision}.png", "--precision", precision)[0] == 0
    a, b = (images.load(f"{precision}.png") for precision in PRECISIONS)
    assert 0 < np.abs(a - b).mean() < 0.05


def frame(step, image, *, plan=WHOLE, fixed=True):
    """A frame, as far as watchers look at it."""
    return Frame(step, image, {"content/relu4_2": 1.0, "style/relu1_1": 1.0}, None, plan, fixed)


def test_a_change_of_plan_is_said(capsys):
    image = np.zeros((4, 4, 3))
    plans = Plan(), Plan(), Plan(direct=True), Plan(direct=True, window=512)  # the third one is another network's
    frames = [frame(step, image, plan=plan, fixed=False) for step, plan in enumerate(plans, 1)]
    frames.append(frame(9, np.zeros((8, 8, 3)), fixed=False))  # another size has a plan of its own
    watcher = progress.Progress()
    stages = [{"size": [4, 4], "steps": 9}]
    watcher.begin(watchers.Start(None, record.Record({}, {}, {}, stages=stages)))
    for one in frames:
        watcher.see(one)
    watcher.end(None)
    said = capsys.readouterr().err
    said = [line for line in said.splitlines() if not line.startswith("compil")]
    assert said == ["memory:   the device's was not enough, so the run goes on in windows of 512 px"]


def last_seen(frames, shape, least):
    """The first frame at which a run may end."""
    still = watchers.Still(shape, least)
    return next((one for one in frames if still.reached(one)), None)


def test_a_picture_that_stands_still_is_done():
    """A step changes it by 2.55, 1.02, .51, .255 and .1275 of 255."""
    levels = [0.0, 0.1, 0.14, 0.16, 0.17, 0.175]
    frames = [frame(10 * n, np.full((4, 6, 3), x)) for n, x in enumerate(levels, 1)]
    coarse = [frame(5, np.zeros((2, 3, 3)))] * 2
    assert last_seen([*coarse, *frames], (4, 6), 0.6) is frames[3]
    assert last_seen(frames, (4, 6), None) is None
    assert last_seen(frames, (4, 6), 0.01) is None


def test_whether_it_stands_still_is_seen_at_fixed_steps():
    """What the clock shows in between changes nothing."""
    levels = [0.0, 0.1, 0.14, 0.16, 0.17, 0.175]
    frames = [frame(10 * n, np.full((4, 6, 3), x)) for n, x in enumerate(levels, 1)]
    between = [frame(10 * n + 3, np.full((4, 6, 3), x), fixed=False) for n, x in enumerate(levels, 1)]
    both = [one for pair in zip(frames, between, strict=True) for one in pair]
    for least in (0.2, 0.4, 0.6, 2.0):
        assert last_seen(both, (4, 6), least) is last_seen(frames, (4, 6), least) is not None


def test_still_ends_a_run_and_its_repetition_alike(here, command):
    paint = ("stylize", "town.png", "night.png", "-o", "out.png", *QUICK[:-1], "48:60", "--weights", "narrow.h5")
    code, out, _ = command(*paint, "--still", "200")
    assert (code, out.split(",")[0]) == (0, "out.png: painted in 20 steps")
    again = ("rerun", "out.png", "--content", "town.png", "--style", "night.png", "-o", "again.png")
    code, out, _ = command(*again, "--weights", "narrow.h5")
    assert (code, out.split(",")[0]) == (0, "again.png: painted in 20 steps")
    assert pathlib.Path("again.png").read_bytes() == pathlib.Path("out.png").read_bytes()


CODE = """
import sys, jax
from nst_jax import cli
seen = []
jax.monitoring.register_event_listener(lambda event, **_: seen.append(event))
assert cli.main(sys.argv[1:]) == 0
print(sum("cache_hits" in event for event in seen))
"""


def test_programs_are_compiled_once_for_all_runs(here):
    def paint(*flags):
        words = ("stylize", "town.png", "night.png", "-o", "out.png", *QUICK, "--weights", "narrow.h5", *flags)
        known = os.environ | {"XDG_CACHE_HOME": str(here / "cache")}
        done = subprocess.run(
            [sys.executable, "-c", CODE, *words], env=known, capture_output=True, text=True, check=True
        )
        return int(done.stdout.splitlines()[-1]), pathlib.Path("out.png").read_bytes()

    hits, cold = paint("--no-cache")
    assert (hits, (here / "cache").exists()) == (0, False)
    assert paint()[0] == 0
    assert {*(here / "cache" / "nst_jax" / "compiled").iterdir()}
    hits, warm = paint()
    assert hits >= 1
    assert warm == cold


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "file" / "below"))
    before = jax.config.jax_compilation_cache_dir
    programs.keep()
    assert jax.config.jax_compilation_cache_dir == before
