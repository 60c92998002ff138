"""Rows of `scripts/on_device.py` that are commands as a person types them, on drawn pictures in folders of their own.

Nothing here uses a device itself: a TPU has one process at a time.
"""

import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

from benchmarks import cases, memory
from benchmarks.device import Scale
from benchmarks.lines import Line
from PIL import Image

import nst_jax
from nst_jax.network import vgg19
from nst_jax.pictures import images

DRAWN = 512  # px at most: a command enlarges what is smaller than its picture
ROOT = pathlib.Path(nst_jax.__file__).parents[1]


class Said(str):
    """What a command printed, and how long it took."""

    seconds: float


def run(words: list[str], until: float, *, folder: pathlib.Path | None = None, codes=(0,)) -> Said:
    """Run Python with these words; in a folder, its caches are there too: empty at first, whatever the user has."""
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))}
    if folder:
        env = {k: v for k, v in env.items() if k != "JAX_COMPILATION_CACHE_DIR"}
        env |= {"XDG_CACHE_HOME": str(folder / "cache")}
    begun, left = time.perf_counter(), max(1.0, until - time.monotonic())
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        timeout=left,
    )
    if done.returncode not in codes:
        raise RuntimeError(f"exit code {done.returncode}: {last_line(done.stdout)}")
    said = Said(done.stdout)
    said.seconds = time.perf_counter() - begun
    return said


def last_line(text: str) -> str:
    """The last line that says anything."""
    return next((line for line in reversed(text.splitlines()) if line.strip()), "nothing said")


@contextlib.contextmanager
def scene(size: int) -> Iterator[pathlib.Path]:
    """A folder with the two pictures that commands paint from."""
    with tempfile.TemporaryDirectory() as name:
        folder, edge = pathlib.Path(name), min(size, DRAWN)
        for file, sample in ("content", "skyline"), ("style", "flow"):
            images.save(folder / f"{file}.png", cases.draw(sample, edge))
        yield folder


def paint(scale: Scale, folder: pathlib.Path, until: float, *words) -> Said:
    """Paint out.png in a folder."""
    given = [*words, "--weights", vgg19.find().resolve(), *scale.flags]
    return run(
        ["-m", "nst_jax", "stylize", "content.png", "style.png", "-o", "out.png", *map(str, given)],
        until,
        folder=folder,
    )


def doctor(scale: Scale, until: float) -> Iterator[Line]:
    """What `nst-jax doctor` finds."""
    said = run(["-m", "nst_jax", "doctor"], until, codes=(0, 1))
    found = [line.split(maxsplit=1)[1] for line in said.splitlines() if line.startswith("problem ")]
    yield Line("nst-jax doctor", [said.seconds], "s", "; ".join(found) or last_line(said))


def pictures(scale: Scale, until: float) -> Iterator[Line]:
    """Whole pictures, from the command to its end, no compiled program being there yet."""
    for recipe, size in scale.pictures:
        with scene(size) as folder:
            said = paint(scale, folder, until, "--recipe", recipe, "--size", size)
        done = re.search(r"painted in (\d+) steps", said)
        note = f"{done[1]} steps, compilation included" if done else "compilation included"
        yield Line(f"{recipe}, {size} px", [said.seconds], "s", note)


def large(scale: Scale, until: float) -> Iterator[Line]:
    """A large picture at full size from its first step on, the default recipe; the log says what a step takes."""
    size, steps = scale.large
    every = max(1, steps // 3)
    with scene(size) as folder:
        more = "--ladder", f"{size}:{steps}", "--log", "log.jsonl", "--save-every", every
        said = paint(scale, folder, until, *more)
        records = [json.loads(line) for line in (folder / "log.jsonl").read_text("utf-8").splitlines()]
    first, *_, last = (record for record in records if "step" in record)
    each = (last["seconds"] - first["seconds"]) / (last["step"] - first["step"])
    yield Line(f"{size} px, {steps} steps", [said.seconds], "s", "compilation included")
    yield Line(f"{size} px, a step", [each], "s", "looks at the loss included")


def peaks(scale: Scale, until: float) -> Iterator[Line]:
    """The most memory of a run, once as it compiles and once with kept programs, beside what was planned."""
    for size in scale.memory:
        with tempfile.TemporaryDirectory() as name:
            memory.scene(pathlib.Path(name), size)
            for side in memory.OURS:
                words = [memory.__file__, side, str(size), "2", str(vgg19.find().resolve()), name]
                found = next(json.loads(line) for line in run(words, until).splitlines() if line.startswith('{"peak"'))
                planned = found["planned"]
                note = f"{found['peak'] / planned:.2f} × planned, {planned:.0f} MiB; of the {found['of']}"
                yield Line(f"{size} px, {side}", [found["peak"]], "MiB", note)


def again(scale: Scale, until: float) -> Iterator[Line]:
    """Whether the same command gives the same bits: with the programs that it kept, and compiled once more."""
    size, steps = scale.again
    with scene(size) as one, scene(size) as other:
        first = None
        for name, folder in {"the first time": one, "with kept programs": one, "compiled again": other}.items():
            said = paint(scale, folder, until, "--ladder", f"{size}:{steps}")
            with Image.open(folder / "out.png") as picture:
                pixels = picture.tobytes()
            note = "" if first is None else f"the same picture: {'yes' if pixels == first else 'no'}"
            first = pixels if first is None else first
            yield Line(f"{size} px, {steps} steps, {name}", [said.seconds], "s", note)
