"""Row `whole`: commands from the shell to the picture, with empty caches and then with kept ones.

With --against, each takes turns with the same command of another checkout: `git worktree add ../before HEAD~1`.
"""

import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping

from benchmarks import cases, timing

import nst_jax
from nst_jax.pictures import images

OURS = pathlib.Path(nst_jax.__file__).parents[1]
LAST = 2  # intervals between lines of a log, at its end, that a step is timed by

Turns = dict[str, list[float]]


def commands(size: int) -> dict[str, list[str]]:
    """What is timed at a size, in words: a picture there, and what has a size of its own beside the smallest."""
    painted = ["stylize", "content.png", "style.png", "-o", "out.png", "--log", "log.jsonl"]
    each = {f"default recipe at {size} px": [*painted, "--size", str(size)]}
    if size <= 256:
        each["demo"] = ["demo"]
        each["preview"] = [*painted, "--preview"]
        each["20 steps of the fast network at 128 px"] = [
            *[*painted, "--network", "fast"],
            *["--size", "128", "--steps", "20"],
        ]
    return each


def row(args, size: int) -> timing.Result:
    """Seconds of whole commands, ours and another checkout's in turns; what a step took at the end, where logged."""
    sides = {"": OURS} | ({"before, ": args.against.resolve()} if args.against else {})
    measured: Turns = {}
    for _ in range(args.repeats):
        for what, words in commands(size).items():
            for side, checkout in sides.items():
                for name, value in _turn(words, checkout, size).items():
                    measured.setdefault(f"{side}{what}, {name}", []).append(value)
    return timing.Result(size, measured, notes=_compared(measured))


def _turn(words, checkout, size) -> dict[str, float]:
    """A command's seconds with empty caches, with those that it left, and of one of its last steps."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for file, sample in ("content", "skyline"), ("style", "flow"):
            images.save(folder / f"{file}.png", cases.draw(sample, size))
        taken = {kind: _seconds(words, checkout, folder) for kind in ("empty caches", "kept programs")}
        log = folder / "log.jsonl"
        return taken | ({"a step at the end": _step(log.read_text("utf-8"))} if log.exists() else {})


def _seconds(words, checkout, folder) -> float:
    env = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    env |= {"PYTHONPATH": str(checkout), "XDG_CACHE_HOME": str(folder / "cache")}
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "nst_jax", *words], cwd=folder, env=env, capture_output=True, encoding="utf-8"
    )
    if done.returncode:
        raise RuntimeError(f"the command must paint, got exit code {done.returncode}: {done.stderr.strip()[-300:]}")
    return time.perf_counter() - begun


def _step(log: str) -> float:
    """Seconds of a step: the least of the last intervals, which nothing is compiled in."""
    known = [(one["seconds"], one["step"]) for one in map(json.loads, log.splitlines()) if "step" in one]
    pairs = itertools.pairwise(known)
    return min([(t - s) / (n - m) for (s, m), (t, n) in pairs][-LAST:] or [known[-1][0] / known[-1][1]])


def _compared(measured: Mapping[str, list[float]]) -> dict[str, str]:
    """Each of ours over the other checkout's, turn by turn."""
    notes = {}
    for name, values in measured.items():
        if others := measured.get(f"before, {name}"):
            known = timing.Result(0, {"ours": values, "before": others}, "before")
            ratios = timing.ratios(known, "ours")
            notes[f"{name}, to before"] = timing.spread(ratios)
    return notes
