"""scripts/compiled.py: a narrow network's step for a TPU that is not here, and what is said where it can't be."""

import importlib.util
import json

import compiled
import jax
import pytest
from benchmarks import chips, hlo
from conftest import network

from nst_jax import recipes
from nst_jax.network import vgg19
from nst_jax.painting import transfer
from nst_jax.painting.job import Stage

LIBTPU = pytest.mark.skipif(importlib.util.find_spec("libtpu") is None, reason="libtpu is not installed: extra aot")
PROGRAM = """HloModule jit_loop, is_scheduled=true

%inner (a: (f32[8,128])) -> (f32[8,128]) {
  %copy.1 = f32[8,128]{1,0:T(8,128)} copy(%a), backend_config={"estimated_cycles":"5"}
}

%body (a: (s32[], f32[9,3])) -> (s32[], f32[9,3]) {
  %a = (s32[], f32[9,3]{1,0:T(8,128)}) parameter(0)
  %x = f32[9,3]{1,0:T(8,128)} get-tuple-element(%a), index=1
  %fast = bf16[16,128]{1,0:T(8,128)(2,1)S(1)} fusion(%x), kind=kLoop, backend_config={"estimated_cycles":"100"}
  %halo = f32[8,128]{1,0:T(8,128)} collective-permute(%fast), channel_id=1
  %all = (f32[4]{0}, f32[16]{0}) all-gather-start(%halo), channel_id=2
  %done = f32[16]{0} all-gather-done(%all)
  %loop = f32[8,128]{1,0:T(8,128)} while(%halo), body=%inner, backend_config={"known_trip_count":{"n":"3"}}
  ROOT %tuple = (s32[], f32[9,3]{1,0:T(8,128)}) tuple(%x, %x)
}

ENTRY %main (x: f32[9,3]) -> f32[9,3] {
  %big = f32[99,999]{1,0} parameter(0)
  ROOT %while.1 = (s32[], f32[9,3]{1,0:T(8,128)}) while(%big), condition=%no, body=%body
}
"""


def test_a_turn_of_a_loop_is_read_from_its_text():
    turn = hlo.turn_of_loop(PROGRAM)
    tile = 4 * 8 * 128
    halo, gathered, inner = tile, 4 * 4 + 4 * 16, 3 * tile
    assert turn.moved == 2 * tile + halo + gathered + inner, "a map of [9, 3] fills two tiles; fast memory is free"
    assert turn.cycles == 100 + 3 * 5
    assert turn.collectives == {"collective-permute": (1, tile), "all-gather": (1, 64)}


def refused(capsys, *argv):
    """The line that a command ends with."""
    assert compiled.main([*map(str, argv)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err.strip().removeprefix("compiled.py: error: ")


def test_an_unknown_target_is_one_line(capsys):
    assert refused(capsys, "--target", "v5") == "target must be one of v5e, v6e, got 'v5': did you mean v5e?"


def test_a_mesh_of_no_known_shape_is_one_line(capsys):
    assert refused(capsys, "--mesh", "space=3") == "mesh must be of 1, 2, 4, 8 chips, got 3"


@pytest.mark.parametrize("found", ["none", "0.1.2"])
def test_a_compiler_that_is_missing_or_another_is_one_line(monkeypatch, capsys, found):
    monkeypatch.setattr(chips, "installed", lambda: found)
    remedy = "pip install -e '.[aot]'"
    said = refused(capsys)
    assert said == f"libtpu must be {chips.wanted()} for jax {jax.__version__}, got {found}: {remedy}"


def test_a_size_that_a_chip_cannot_hold_is_one_line(monkeypatch):
    error = jax.errors.JaxRuntimeError(
        "RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm. Used 21.50G of 15.75G hbm. And more."
    )

    class Traced:
        def trace(self, *args):
            raise error

    monkeypatch.setattr(transfer.consume, "plain", Traced())
    known = compiled.Step(None, Stage((9000, 9000), 1), None, None, None, None)
    with pytest.raises(ValueError, match=r"must fit into the memory of a v5e, got 9000 px: Used 21.50G of 15.75G hbm$"):
        compiled.measure(known, "9000 px", "v5e", chips.CHIPS["v5e"], None)


@LIBTPU
@pytest.mark.parametrize(
    ("size", "flags"),
    [("64", ()), ("64x50", ()), ("64", ("--mesh", "space=4"))],
    ids=["alone", "a height that strips do not divide", "space=4"],
)
def test_a_narrow_networks_step_compiles(monkeypatch, tmp_path, capsys, size, flags):
    vgg19.save(tmp_path / "narrow.h5", network((8, 8), (1, 1)))
    few = recipes.get("tf-tutorial")._replace(content={"relu2_1": 1.0}, style={"relu1_1": 1.0})
    monkeypatch.setattr(recipes, "get", lambda name: few)
    given = (
        "--weights",
        tmp_path / "narrow.h5",
        "--size",
        size,
        "--recipe",
        "few",
        "-o",
        tmp_path / "known.json",
        *flags,
    )
    assert compiled.main([*map(str, given)]) == 0
    (row,) = json.loads((tmp_path / "known.json").read_text())["rows"]
    assert row["flops"] > 0
    assert row["moved"] > 0
    assert row["reckoned"] > row["best"] > 0
    assert "all-gather" not in row["collectives"], "features stay where they are"
    assert bool(row["collectives"]) == bool(flags)
    assert f"| v5e, few, {size.replace('x', ' × ')} px, float32" in capsys.readouterr().out


@LIBTPU
def test_a_long_run_is_compiled_with_full_effort(monkeypatch, tmp_path, capsys):
    vgg19.save(tmp_path / "narrow.h5", network((8, 8), (1, 1)))
    few = recipes.get("tf-tutorial")._replace(content={"relu2_1": 1.0}, style={"relu1_1": 1.0})
    monkeypatch.setattr(recipes, "get", lambda name: few)
    found = []
    for steps in (10, 10**6):
        given = "--weights", tmp_path / "narrow.h5", "--size", 64, "--steps", steps, "-o", tmp_path / "known.json"
        assert compiled.main([*map(str, given)]) == 0
        found += json.loads((tmp_path / "known.json").read_text())["rows"]
    assert [row["plan"] for row in found] == ["whole, less effort", "whole, full effort"]
    assert found[0]["reckoned"] > found[1]["reckoned"], "it is told what is compiled for"
