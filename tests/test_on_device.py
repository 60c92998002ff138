"""scripts/on_device.py: every row in small on a CPU; what is stored if one fails, is cut, or has no time left."""

import contextlib
import importlib.util
import io
import json
import math
import subprocess
import sys
import time

import numpy as np
import on_device
import pytest
from benchmarks import cases, commands, device
from benchmarks.lines import Line, Missing
from conftest import network

from nst_jax import cli
from nst_jax.network import vgg19

TORCH = importlib.util.find_spec("torch") is not None
OURS = ["32 px, ours, float32", "32 px, ours, bfloat16", "32 px, ours, float32 in full"]
LINES = {
    "doctor": ["nst-jax doctor"],
    "step": OURS + ["32 px, torch eager", "32 px, torch channels_last"] * TORCH,
    "roots": ["8 channels"],
    "sweep": ["32 px, 8 pictures, batch", "32 px, 8 pictures, in turn"],
    "pictures": ["nst-jax, 32 px"],
    "large": ["48 px, 3 steps", "48 px, a step"],
    "memory": ["32 px, ours, compiling", "32 px, ours"],
    "again": [f"32 px, 2 steps, {name}" for name in ("the first time", "with kept programs", "compiled again")],
    "mesh": ["64 px, 2 devices", "64 px, one device"],
}
HEAD = {"device": "gpu NVIDIA H200", "date": "2026-12-01 10:00", "jax": "0.10.2", "machine": "x86_64, 16 CPUs"}


@pytest.fixture(scope="module", autouse=True)
def narrow_network(tmp_path_factory):
    """What every process finds as the network."""
    path = tmp_path_factory.mktemp("weights") / "narrow.h5"
    vgg19.save(path, network((4, 5, 6, 7, 8)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NST_JAX_WEIGHTS", str(path))
        patch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")  # compiled sooner, and each program runs for a moment only
        yield


@pytest.fixture
def here(monkeypatch, quick_compiler):
    """Rows run in this process, with layers that are quick to compile."""
    few = cases.RECIPE._replace(content={"relu2_1": 1.0}, style={"relu1_1": 1.0})
    monkeypatch.setattr(cases, "RECIPE", few)
    monkeypatch.setattr(on_device, "apart", lambda name, tiny, until: device.ROWS[name](device.TINY))
    monkeypatch.setattr(on_device, "machine", lambda until: HEAD | {"device": "cpu cpu"})


def paint_here(scale, folder, until, *words):
    """`commands.paint` without the seconds that a process takes to begin."""
    begun = time.perf_counter()
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()) as out:
        given = [*map(str, words), *scale.flags, "--no-cache"]
        assert cli.main(["stylize", "content.png", "style.png", "-o", "out.png", *given]) == 0
    said = commands.Said(out.getvalue())
    said.seconds = time.perf_counter() - begun
    return said


def run(folder, *words):
    """(exit code, record, table) of the script."""
    code = on_device.main([*words, "-o", str(folder)])
    return code, json.loads((folder / "on_device.json").read_text()), (folder / "on_device.md").read_text("utf-8")


def check_row(name, row):
    assert (row["ended"], row["why"]) == ("done", "")
    assert [line["what"] for line in row["lines"]] == LINES[name]
    for line in row["lines"]:
        assert line["values"]
        assert all(math.isfinite(value) and value > 0 for value in line["values"]), line


@pytest.mark.parametrize("name", ["step", "roots", "sweep", "large", "again"])
def test_a_row_measures_in_this_process(name, here, monkeypatch, tmp_path):
    monkeypatch.setattr(commands, "paint", paint_here)
    code, record, table = run(tmp_path, "--tiny", "--rows", name)
    row = record["rows"][name]
    if name == "step" and not TORCH:
        assert row["ended"] == "missing"
        row |= {"ended": "done", "why": ""}
    check_row(name, row)
    assert code == 0
    assert all(f"| {name}: {what} |" in table for what in LINES[name])


@pytest.mark.parametrize("name", ["doctor", "pictures", "memory"])
def test_a_row_runs_real_commands(name, here, tmp_path):
    code, record, _ = run(tmp_path, "--tiny", "--rows", name)
    check_row(name, record["rows"][name])
    assert code == 0


def test_a_row_has_a_process_of_its_own_which_sees_several_devices(monkeypatch, tmp_path, capfd):
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
    code, record, table = run(tmp_path, "--tiny", "--rows", "mesh")
    check_row("mesh", record["rows"]["mesh"])
    assert code == 0
    assert {"machine", "jax", "date"} <= record.keys()
    assert table.startswith(f"| cpu, {record['date'][:10]} | median |")
    assert table in capfd.readouterr().out


def test_without_pytorch_our_steps_are_measured_alone(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(device, "_step", lambda scale, size, *, with_torch: [Line(f"{size} {with_torch}", [1.0], "ms")])
    heard = device.step(device.TINY)
    assert next(heard).what == "32 False"
    with pytest.raises(Missing, match="PyTorch is not installed"):
        next(heard)


def test_bits_that_differ_are_told(monkeypatch):
    def paint(scale, folder, until, *words):
        (folder / "out.png").write_bytes((folder / ("content.png" if painted else "style.png")).read_bytes())
        painted.append(folder)
        said = commands.Said()
        said.seconds = 1.0
        return said

    painted = []
    monkeypatch.setattr(commands, "paint", paint)
    notes = [line.note for line in commands.again(device.TINY, 0)]
    assert notes == ["", "the same picture: no", "the same picture: no"]


def test_large_pictures_are_drawn_smaller(monkeypatch):
    monkeypatch.setattr(cases, "DRAWN", 24)
    enlarged = cases.draw("flow", 47)  # a size that nothing else asks for: it is kept
    assert (enlarged.shape, enlarged.dtype) == ((47, 47, 3), "float32")
    assert 0 <= enlarged.min() < enlarged.max() <= 1
    np.testing.assert_allclose(enlarged.mean(), cases.draw("flow", 24).mean(), atol=0.02)


# What comes of the whole


@pytest.fixture
def rows(monkeypatch):
    """Sets rows that measure nothing, on a device that is not here."""
    monkeypatch.setattr(on_device, "machine", lambda until: HEAD)

    def call(**known):
        monkeypatch.setattr(on_device, "ROWS", {name: on_device.Row(one, 10, 10) for name, one in known.items()})
        return [*known]

    return call


def one(scale, until):
    yield Line("a figure", [1.0, 2.0, 4.0], "ms", "0.5 × | another's")


def fails(scale, until):
    yield Line("half of it", [3.0], "s")
    raise ValueError("memory must\nsuffice")


def is_not_there(scale, until):
    raise Missing("there is one device only")
    yield


def takes_too_long(scale, until):
    raise subprocess.TimeoutExpired("nst-jax", 10)
    yield


def test_a_row_that_fails_costs_itself_alone(rows, tmp_path):
    def looks(scale, until):
        found.append(json.loads((tmp_path / "on_device.json").read_text()))
        yield Line("afterwards", [1.0], "s")

    found = []
    names = rows(one=one, bad=fails, looks=looks, absent=is_not_there, slow=takes_too_long)
    code, record, table = run(tmp_path, "--rows", *names)
    assert code == 1
    assert found[0]["rows"] == {name: record["rows"][name] for name in ("one", "bad")}
    ended = {name: (row["ended"], row["why"], len(row["lines"])) for name, row in record["rows"].items()}
    assert ended == {
        "one": ("done", "", 1),
        "bad": ("failed", "ValueError: memory must suffice", 1),
        "looks": ("done", "", 1),
        "absent": ("missing", "there is one device only", 0),
        "slow": ("cut", "it took too long", 0),
    }
    assert table.splitlines() == [
        "| NVIDIA H200, 2026-12-01 | median | least to most | |",
        "| --- | --- | --- | --- |",
        "| one: a figure | 2.00 ms | 1.00 to 4.00 | 0.5 × \\| another's |",
        "| bad: half of it | 3.00 s |  |  |",
        "| bad | | | failed: ValueError: memory must suffice |",
        "| looks: afterwards | 1.00 s |  |  |",
        "| absent | | | missing: there is one device only |",
        "| slow | | | cut: it took too long |",
        "",
        "x86_64, 16 CPUs; jax 0.10.2; `scripts/on_device.py`.",
    ]


def test_each_line_is_stored_before_the_next_is_measured(rows, tmp_path):
    def two(scale, until):
        yield from one(scale, until)
        stored = json.loads((tmp_path / "mine.json").read_text())["rows"]["two"]
        assert (stored["ended"], len(stored["lines"])) == ("running", 1)
        assert "a figure" in (tmp_path / "mine.md").read_text("utf-8")
        yield from one(scale, until)

    rows(two=two)
    assert on_device.main(["--rows", "two", "-o", str(tmp_path / "mine.json")]) == 0


def test_a_row_without_time_is_left_out(rows, tmp_path, capsys):
    names = rows(one=one, absent=is_not_there)
    code, record, table = run(tmp_path, "--seconds", "4", "--rows", *names)
    assert code == 0
    assert {row["ended"] for row in record["rows"].values()} == {"left out"}
    assert "left out: it takes about 10 s, and 4 s are left" in table
    assert "left out: it takes about 10 s, and 4 s are left" in capsys.readouterr().out


@pytest.mark.parametrize("found", ["cpu cpu", on_device.NONE])
def test_without_a_device_only_the_doctor_is_asked(rows, monkeypatch, tmp_path, found):
    names = rows(doctor=one, other=one)
    monkeypatch.setattr(on_device, "machine", lambda until: HEAD | {"device": found})
    code, record, _ = run(tmp_path, "--rows", *names)
    assert code == 0
    assert {name: row["ended"] for name, row in record["rows"].items()} == {"doctor": "done", "other": "missing"}


def test_a_process_is_heard_as_it_speaks_and_ended_when_its_time_is_over(monkeypatch):
    lines = [{"line": Line("first", [1.0], "s")._asdict()}, {"failed": "ValueError: no"}]
    code = f"import sys, time; print('noise'); print({device.MARK + json.dumps(lines[0])!r}, flush=True)\n"
    monkeypatch.setattr(on_device, "CHILD", [sys.executable, "-c", f"{code}time.sleep(60)"])
    begun = time.monotonic()
    heard = on_device.apart("step", True, begun + 1.5)
    assert next(heard).what == "first"
    with pytest.raises(TimeoutError):
        next(heard)
    assert time.monotonic() - begun < 30
    ends = {"raise SystemExit(3)": "its process ended with exit code 3"}
    ends[f"print({device.MARK + json.dumps(lines[1])!r})"] = "ValueError: no"
    for end, why in ends.items():
        monkeypatch.setattr(on_device, "CHILD", [sys.executable, "-c", code + end])
        with pytest.raises(on_device.Failed, match=why):
            list(on_device.apart("step", True, time.monotonic() + 60))


def test_a_process_says_what_it_measures_and_what_ends_it(monkeypatch, capsys):
    monkeypatch.setattr(device, "ROWS", {"bad": lambda scale: fails(scale, 0), "absent": lambda _: is_not_there(0, 0)})
    for name in ("bad", "absent"):
        device.main(name, "tiny")
    said = [json.loads(line.removeprefix(device.MARK)) for line in capsys.readouterr().out.splitlines()]
    assert said == [
        {"line": {"what": "half of it", "values": [3.0], "unit": "s", "note": ""}},
        {"failed": "ValueError: memory must suffice"},
        {"missing": "there is one device only"},
    ]
