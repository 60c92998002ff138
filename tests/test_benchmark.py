"""Every row of the benchmark runs, in small; what is compared must be equal."""

import importlib
import importlib.util
import json
import pathlib
import re
import sys

import numpy as np
import pytest
from conftest import network

from nst_jax.network import vgg19

SCRIPTS = pathlib.Path(__file__).parents[1] / "scripts"
TORCH = importlib.util.find_spec("torch") is not None
MEASURED = {
    "step": ["ours", "torch eager", "torch channels_last"] if TORCH else ["ours"],
    "memory": ["ours, compiling", "ours", *(["torch eager", "torch channels_last"] if TORCH else [])],
    "tiles": ["windows of 191", "whole"],
    "loss": ["averaged", "coarse to fine", "both", "plain"],
    "recipe": ["crowson-2023"],
    "relay": ["plain"],
    "loop": ["frames", "alone"],
    "sweep": ["batch", "in turn"],
    "studio": [
        *(
            "the page, empty caches",
            "first frame, empty caches",
            "the page, kept programs",
            "first frame, kept programs",
        ),
        *(f"first frame, warm process{which}" for which in ("", ", another shape", ", that shape")),
    ],
    "visitors": ["after 1 paintings", "after 2 paintings"],
}
RELAYS = "coarse to fine, L-BFGS", "fast to full size"
SMALL = {
    "tiles": ["--windows", "16", "191", "512", "--size", "223"],
    "loss": ["--size", "64", "--descent", "10", "--every", "2", "--still", "1"],
    "recipe": ["--size", "64", "--of-steps", "2"],
    "relay": ["--size", "64", "--descent", "4", "--ways", *RELAYS],
    "memory": ["--repeats", "1"],
    "studio": ["--repeats", "1"],
    "visitors": ["--paintings", "2"],
}


@pytest.fixture
def benchmark(monkeypatch):
    """The script, as a module."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module("benchmark")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of a narrow network."""
    path = tmp_path_factory.mktemp("weights") / "narrow.h5"
    vgg19.save(path, network((4, 5, 6, 7, 8)))
    return str(path)


@pytest.fixture
def said(benchmark, weights, tmp_path, capsys, monkeypatch):
    """Runs a row in small, with layers that are quick to compile: (what it printed, what it wrote)."""
    cases = importlib.import_module("benchmarks.cases")
    few = cases.RECIPE._replace(content={"relu2_2": 1.0}, style={"relu1_1": 1.0, "relu3_1": 1.0})
    monkeypatch.setattr(cases, "RECIPE", few)
    visits = importlib.import_module("benchmarks.visits")
    monkeypatch.setattr(visits, "SETTINGS", {"quality": "full", "recipe": "tf-tutorial", "steps": "4"})

    def call(row):
        words = [row, "--size", "48", "--repeats", "2", "--steps", "1", "--weights", weights]
        benchmark.main([*words, *SMALL.get(row, []), "-o", str(tmp_path / "out.json")])
        return capsys.readouterr().out, json.loads((tmp_path / "out.json").read_text())

    return call


@pytest.mark.parametrize("row", MEASURED)
def test_a_row_prints_a_table_and_writes_every_value(said, row):
    table, record = said(row)
    assert {"row", "machine", "device", "date", "jax", "flags"} <= record.keys()
    (result,) = record["results"]
    missing = {"averaged", "coarse to fine", "both"} if row == "loss" else set()  # so soon, they need not be as good
    more = {*RELAYS} if row == "relay" else set()
    assert {*MEASURED[row]} - missing <= result["measured"].keys() <= {*MEASURED[row]} | more
    for name, values in result["measured"].items():
        assert len(values) == (1 if row in ("loss", "memory", "studio", "visitors") else 2)
        assert min(values) > 0
        assert re.search(rf"^  {name} +[\d.]+ (s|MiB)  \([\d.]+ to [\d.]+\)", table, re.MULTILINE)
    others = result["measured"].keys() - {result["base"]}
    assert result["ratios"].keys() == (others if result["base"] in result["measured"] else set())


@pytest.mark.skipif(not TORCH, reason="compares with PyTorch")
def test_sides_that_compute_different_things_are_not_timed(said, monkeypatch):
    partner = importlib.import_module("benchmarks.partner")
    gram = partner.gram
    monkeypatch.setattr(partner, "gram", lambda f: 1.001 * gram(f))
    with pytest.raises(AssertionError, match=r"both sides must compute the same to 1e-06, got .*: no times are taken"):
        said("step")


def test_ratios_are_of_turns(benchmark):
    timing = importlib.import_module("benchmarks.timing")
    result = timing.Result(64, {"ours": [1.0, 2.0, 8.0], "theirs": [2.0, 2.0, 10.0]}, "theirs")
    np.testing.assert_allclose(timing.ratios(result, "ours"), [0.5, 1.0, 0.8])
    assert "0.800 (0.500 to 1.000) × theirs" in timing.table(result)
    assert timing.fastest(result.measured, "torch") is None


def test_whole_commands_take_turns_with_another_checkouts(benchmark, said, monkeypatch, tmp_path, capsys):
    wholes = importlib.import_module("benchmarks.wholes")
    paint = [
        "stylize",
        "content.png",
        "style.png",
        "-o",
        "out.png",
        "--size",
        "32",
        "--steps",
        "2",
        "--log",
        "log.jsonl",
    ]
    monkeypatch.setattr(wholes, "commands", lambda size: {f"picture at {size} px": paint})
    few = ["--content-layers", "relu2_1", "--style-layers", "relu1_1"]
    monkeypatch.setattr(benchmark, "ALL", {"whole": (32,)})
    monkeypatch.setattr(wholes, "_seconds", lambda words, *args, plain=wholes._seconds: plain([*words, *few], *args))
    output = tmp_path / "all.json"
    benchmark.main(["all", "--repeats", "1", "--against", str(SCRIPTS.parent), "-o", str(output)])
    (result,) = json.loads(output.read_text())["results"]
    assert result["row"] == "whole"
    kinds = "empty caches", "kept programs", "a step at the end"
    names = [f"{side}picture at 32 px, {kind}" for side in ("", "before, ") for kind in kinds]
    assert sorted(result["measured"]) == sorted(names)
    assert min(min(values) for values in result["measured"].values()) > 0
    assert result["notes"].keys() == {f"{name}, to before" for name in names[:3]}
    line = r"\| whole \| 32 px \| picture at 32 px, kept programs \| [\d.]+ s \| [\d.]+ \([\d.]+ to [\d.]+\) \|"
    assert re.search(line, capsys.readouterr().out)


def test_a_whole_command_that_fails_says_why(benchmark, tmp_path):
    wholes = importlib.import_module("benchmarks.wholes")
    with pytest.raises(RuntimeError, match=r"the command must paint, got exit code 1: .*nowhere\.png"):
        wholes._seconds(["stylize", "nowhere.png", "style.png", "-o", "out.png"], SCRIPTS.parent, tmp_path)


def test_the_time_to_a_first_step_is_a_commands(benchmark, monkeypatch, tmp_path):
    starting = importlib.import_module("benchmarks.starting")
    code = "import sys, time, pathlib; a = sys.argv; n = a[a.index('--log') + 1]; pathlib.Path(n).write_text("
    code += '\'{"a": 1}\\n{"step": 1}\\n\'); time.sleep(1)'
    monkeypatch.setattr(starting, "COMMAND", [sys.executable, "-c", code])
    first, whole = starting._timed(benchmark.parser().parse_args(["compile"]), 64, tmp_path, [])
    assert 0 < first < whole - 0.2
    monkeypatch.setattr(starting, "COMMAND", [sys.executable, "-c", "raise SystemExit('no such thing')"])
    with pytest.raises(RuntimeError, match="the command must paint, got exit code 1: no such thing"):
        starting._timed(benchmark.parser().parse_args(["compile"]), 64, tmp_path, [])
