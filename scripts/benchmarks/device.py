"""Rows of `scripts/on_device.py` that hold the device: python device.py ROW [tiny] → a line of JSON for each figure.

Each runs in a process of its own, so that what it leaves on the device, or how it ends, is no other row's concern.
"""

import functools
import importlib.util
import json
import pathlib
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from benchmarks import batches, cases, steps, timing
from benchmarks.lines import Line, Missing

from nst_jax.ground import choices
from nst_jax.network import vgg19
from nst_jax.objective import matrix_roots
from nst_jax.painting import devices

MARK = "on-device "  # before each line of JSON: libraries print too
LONGEST = 300  # characters of a reason


class Scale(NamedTuple):
    """How large everything is: edges in pixels, but for what is named otherwise."""

    step: tuple[int, ...]  # the first ones are worth most
    pixels: int  # of all steps in a turn together
    repeats: int
    channels: tuple[int, ...]
    sweep: int
    pictures: tuple[tuple[str, int], ...]  # (recipe, edge)
    large: tuple[int, int]  # (edge, steps)
    memory: tuple[int, ...]
    again: tuple[int, int]  # (edge, steps)
    mesh: int
    flags: tuple[str, ...] = ()  # of every command that paints


FULL = Scale(
    step=(512, 1024, 256, 2048),
    pixels=32 * 512**2,
    repeats=5,
    channels=(64, 128, 256, 512),
    sweep=512,
    pictures=(("crowson-2023", 512), ("nst-jax", 512), ("nst-jax", 1024)),
    large=(4096, 12),
    memory=(1024, 2048),
    again=(256, 40),
    mesh=2048,
)
TINY = Scale(
    step=(32,),
    pixels=32**2,
    repeats=1,
    channels=(8,),
    sweep=32,
    pictures=(("nst-jax", 32),),
    large=(48, 3),
    memory=(32,),
    again=(32, 2),
    mesh=64,
    flags=("--content-layers", "relu2_1", "--style-layers", "relu1_1"),
)


def reason(error: BaseException) -> str:
    """Why something failed, in one line."""
    return f"{type(error).__name__}: {choices.one_line(error)}"[:LONGEST]


def count(scale: Scale, size: int) -> int:
    """Steps of a turn at a size: turns take about as long at each."""
    return max(1, scale.pixels // size**2)


def beside(times: Mapping[str, list[float]], base: str | None, called: str, prefix: str) -> Iterator[Line]:
    """Seconds as lines in milliseconds, each beside the base; `called` is the base's name in words."""
    known = timing.Result(0, times, base)
    for name, values in times.items():
        ratios = timing.ratios(known, name)
        note = f"{statistics.median(ratios):.3f} × {called}" if ratios and name != base else called * (name == base)
        yield Line(f"{prefix}{name}", [1000 * t for t in values], "ms", note)


# A step of Adam


def step(scale: Scale) -> Iterator[Line]:
    """A step with Gram matrices, ours in each precision and PyTorch's of each kind, in turns."""
    alone = why_alone(min(scale.step))
    for size in scale.step:
        yield from _step(scale, size, with_torch=alone is None)
    if alone:
        raise alone


def why_alone(size: int) -> Exception | None:
    """What keeps PyTorch from being compared, if anything does: both sides must compute the same, for one."""
    if importlib.util.find_spec("torch") is None:
        return Missing("PyTorch is not installed: our steps alone")
    try:
        from benchmarks import partner

        if {"cuda": "gpu"}.get(partner.device(), partner.device()) != jax.default_backend():
            return Missing(f"PyTorch does not see this {jax.default_backend()}: our steps alone")
        steps.assert_same_work(vgg19.find(), size, cases.case(size, vgg19.find()))
    except Exception as error:
        return error
    return None


def _step(scale, size, *, with_torch):
    known = {"float32": None, "bfloat16": jnp.bfloat16}
    ours = {name: cases.case(size, vgg19.find(), dtype=dtype) for name, dtype in known.items()}
    loops = {name: cases.loop(one, count(scale, size)) for name, one in ours.items()}
    works = {f"ours, {name}": loop for name, loop in loops.items()}
    works["ours, float32 in full"] = _in_full(loops["float32"])
    theirs, failed = steps.partners(vgg19.find(), size, ours["float32"]) if with_torch else ({}, {})
    works |= {name: functools.partial(one.run, count(scale, size)) for name, one in theirs.items()}
    times = timing.each(timing.alternate(works, scale.repeats), count(scale, size))
    yield from beside(times, timing.fastest(times, "torch"), "PyTorch's best", f"{size} px, ")
    for name, why in failed.items():
        yield Line(f"{size} px, {name}", (), "ms", why)


def _in_full(work: Callable) -> Callable:
    """The same with no factor of a product rounded: by default NVIDIA's devices take TF32, and TPUs bfloat16."""

    def call():
        with jax.default_matmul_precision("highest"):
            return work()

    return call


# Roots of matrices

CALLS = 10  # of a turn


def roots(scale: Scale) -> Iterator[Line]:
    """Value and gradient of the trace of a root, which Wasserstein-2 takes at each layer, against float64's."""
    work = jax.jit(jax.value_and_grad(matrix_roots.trace_of_root))
    for channels in scale.channels:
        a, b = covariances(channels)
        value, slope = work(a, b)
        exact, expected = root_in_float64(a, b)
        off = abs(float(value) / exact - 1), np.linalg.norm(slope - expected) / np.linalg.norm(expected)

        def several(a=a, b=b):
            return [work(a, b) for _ in range(CALLS)]

        times = timing.each(timing.alternate({"": several}, scale.repeats), CALLS)[""]
        note = f"value off by {off[0]:.1e}, gradient by {off[1]:.1e}"
        yield Line(f"{channels} channels", [1000 * t for t in times], "ms", note)


def covariances(n: int) -> list[jax.Array]:
    """Two covariances whose variances fall as those of features do: each [n, n]."""
    random = np.random.default_rng(0)
    found = []
    for decay in (0.6, 0.9):
        u, v = (np.linalg.qr(random.normal(size=(n, n)))[0] for _ in range(2))
        m = (u * np.arange(1.0, n + 1) ** -decay) @ v
        found.append(jnp.asarray(m @ m.T + 1e-3 * np.eye(n), jnp.float32))
    return found


def root_in_float64(a, b) -> tuple[float, np.ndarray]:
    """tr((b^½ a b^½)^½) and its slope by `a`, ½ b^½ (b^½ a b^½)^-½ b^½, by NumPy in float64."""
    half = _power(np.asarray(b, np.float64), 0.5)
    middle = half @ np.asarray(a, np.float64) @ half
    return float(np.trace(_power(middle, 0.5))), half @ _power(middle, -0.5) @ half / 2


def _power(m, exponent):
    values, vectors = np.linalg.eigh(m)
    return (vectors * values**exponent) @ vectors.T


# Several pictures, several devices

FACTORS = tuple(float(x) for x in np.geomspace(0.1, 100, 8))


def sweep(scale: Scale) -> Iterator[Line]:
    """A batch of eight style weights as one program beside the same eight one after another: a step of one picture."""
    taken = count(scale, scale.sweep)
    works = batches.sides(cases.case(scale.sweep, vgg19.find()), FACTORS, taken)
    times = timing.each(timing.alternate(works, scale.repeats), taken * len(FACTORS))
    yield from beside(times, "in turn", "one after another", f"{scale.sweep} px, 8 pictures, ")


def mesh(scale: Scale) -> Iterator[Line]:
    """A step of one picture whose rows are spread over all devices, beside the same on one."""
    found = len(jax.devices())
    if found < 2:
        raise Missing("there is one device only")
    taken, spread = count(scale, scale.mesh), devices.make_mesh(space=found)
    one, all_of_them = (cases.case(scale.mesh, vgg19.find(), mesh=mesh) for mesh in (None, spread))
    works = {
        f"{found} devices": cases.loop(all_of_them, taken, mesh=spread),
        "one device": cases.loop(one, taken),
    }
    times = timing.each(timing.alternate(works, scale.repeats), taken)
    yield from beside(times, "one device", "one device's", f"{scale.mesh} px, ")


ROWS = {"step": step, "roots": roots, "sweep": sweep, "mesh": mesh}


def main(name: str, *tiny: str) -> None:
    """Print what this machine is, or a row's lines and what ended it."""
    if name == "machine":
        import benchmark

        return _tell(machine=benchmark.machine())
    try:
        for line in ROWS[name](TINY if tiny else FULL):
            _tell(line=line._asdict())
    except Missing as error:
        _tell(missing=str(error))
    except Exception as error:
        _tell(failed=reason(error))


def _tell(**message):
    print(MARK + json.dumps(message), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
