"""Programs that hold less memory than XLA's own, to the same last bit, and memory given back."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nst_jax import recipes
from nst_jax.network import vgg19
from nst_jax.objective import losses
from nst_jax.painting import job as jobs
from nst_jax.painting import programs, runs, transfer
from nst_jax.painting.job import Stage
from nst_jax.painting.memory import Plan


@pytest.fixture(scope="module")
def step(bundled):
    """A step of the real network at 96 px: (solver, state, arguments)."""
    recipe = recipes.get("nst-jax")._replace(style_distance="gram")  # quicker to compile
    loss, weights = jobs.loss(recipe), recipe.weights((96, 96))
    content, style = (np.random.default_rng(i).uniform(size=(96, 96, 3)).astype("f4") for i in range(2))
    solver = jobs.solver(recipe, loss)
    ready = vgg19.ready(bundled, ["relu5_1"])
    args = ready, loss.prepare(bundled, content, losses.everywhere(style), weights), weights
    return solver, solver.init(content), args


def test_steps_hold_less_and_are_the_same_to_the_last_bit(step):
    solver, state, args = step
    plain = transfer.advance.plain.lower(solver.step, state, 2, *args).compile()
    ours = transfer.advance.lower(solver.step, state, 2, *args).compile()
    held = [each.memory_analysis().temp_size_in_bytes for each in (ours, plain)]
    assert held[0] < 0.85 * held[1]
    for a, b in zip(*(jax.tree.leaves(each(state, 2, *args)) for each in (ours, plain)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_program_inside_another_one():
    program = programs.Program(lambda n, x: n * x, static_argnums=0)
    assert program(3, 2.0) == 6
    assert jax.jit(lambda x: program(3, x) + 1)(2.0) == 7
    assert jax.grad(lambda x: program(3, x))(2.0) == 3
    np.testing.assert_array_equal(jax.vmap(lambda x: program(3, x))(jnp.arange(3.0)), [0, 3, 6])


def test_what_xla_does_not_know_it_is_not_told(monkeypatch):
    assert programs.options(programs.FULL).items() <= programs.CPU.items()
    assert "xla_cpu_scheduler_type" in programs.options(programs.FULL)
    monkeypatch.setitem(programs.CPU, "xla_cpu_no_such_thing", "1")
    assert "xla_cpu_no_such_thing" not in programs.options(programs.FULL)
    assert "xla_cpu_scheduler_type" in programs.options(programs.FULL), "the others stay"
    assert programs.Program(lambda x: x + 1)(1) == 2


def test_other_devices_are_told_nothing(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert programs.options(programs.FULL) is None
    assert transfer.consume.with_less_effort is transfer.consume


def test_a_tpu_compiles_short_runs_with_less_effort(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    monkeypatch.setattr(programs, "_known", lambda name, value: True)
    assert programs.options(programs.FULL) is None
    assert programs.options(programs.LESS) == programs.LESS["tpu"]
    short, long = (Stage((512, 512), steps, plan=Plan(direct=steps < 4000)) for steps in (500, 5000))
    assert runs.program_for(long, transfer.consume) is transfer.consume
    assert runs.program_for(short, transfer.consume) is transfer.consume.with_less_effort
    assert transfer.consume.with_less_effort is transfer.consume.with_less_effort is not transfer.consume


def test_a_cpu_has_one_way_of_compiling():
    assert transfer.consume.with_less_effort is transfer.consume


RESIDENT = """
from nst_jax.painting import programs
def resident():
    return int(next(line for line in open("/proc/self/status") if "VmRSS" in line).split()[1]) // 1024
many = [bytes(60_000) for _ in range(2_000)]  # smaller than what is taken from the system by itself
for one in many[:-1:2] + many[1:-1:2]:
    pass
before, last = resident(), many[-1]  # the last lies above all others, which keeps them
del many, one
programs.release_memory()
print(before, resident())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_freed_memory_goes_back_to_the_system():
    done = subprocess.run([sys.executable, "-c", RESIDENT], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert before - after > 80


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where programs would be kept; jax is told nothing."""
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "new" / "kept"))
    monkeypatch.setattr(jax.config, "update", lambda *_: None)
    return tmp_path / "new" / "kept"


@pytest.mark.skipif(sys.platform == "win32", reason="modes of POSIX")
def test_kept_programs_are_nobody_elses_to_write(folder, monkeypatch):
    programs.keep()
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)
    programs.keep()  # others may read them
    for mode in (0o770, 0o707):
        folder.chmod(mode)
        with pytest.raises(
            ValueError, match=r"^compiled programs must be kept where nobody else may write, got '.*kept'"
        ):
            programs.keep()
    folder.chmod(0o700)
    monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)
    with pytest.raises(
        ValueError, match=r"^compiled programs must be kept in a folder of your own, got '.*' of another"
    ):
        programs.keep()
