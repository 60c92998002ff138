"""python scripts/on_device.py → how fast nst_jax is on this machine's GPU or TPU: a table, and every value as JSON.

Rows come in the order of what they are worth, and none where clearly too little of --seconds is left. Each figure is
printed and stored as soon as there is one: whatever ends the script costs only what would have come after it.

doctor    what `nst-jax doctor` finds
step      a step of Adam with Gram matrices, in float32 as devices multiply it by default (TF32 on NVIDIA's), in full
          float32 and in bfloat16, beside PyTorch's steps, where that is installed: eager, channels_last, compiled,
          bfloat16. Losses and gradients are asserted equal first. The aim is 1.25 ms at 512 px in bfloat16 on an H200.
roots     the trace of a matrix's root and its gradient, which each step of `nst-jax` takes of five layers
sweep     eight style weights in one batch beside the same eight one after another
pictures  whole pictures, from the command to its end, compilation included; several devices share each
large     a picture of 4096 × 4096 px
memory    the device's peak beside what was planned
again     whether the same command gives the same picture, bit for bit
mesh      one picture over all devices beside one device, where there are several

Times are medians of a few turns; what stands in one row took turns in one process. --tiny runs every row in small, on
a CPU too: that says only that it runs.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from benchmarks import commands, device, lines
from benchmarks.lines import Line, Missing

from nst_jax.ground import storage

CHILD = [sys.executable, device.__file__]


class Row(NamedTuple):
    """What measures a row (None: `device`, in a process of its own); seconds that it takes on a fast GPU, and may."""

    run: Callable[..., Iterator[Line]] | None
    usual: float
    most: float


ROWS = {
    "doctor": Row(commands.doctor, 10, 60),
    "step": Row(None, 150, 210),
    "roots": Row(None, 20, 60),
    "sweep": Row(None, 30, 75),
    "pictures": Row(commands.pictures, 120, 200),
    "large": Row(commands.large, 60, 120),
    "memory": Row(commands.peaks, 60, 120),
    "again": Row(commands.again, 60, 120),
    "mesh": Row(None, 30, 75),
}


class Failed(Exception):
    """A row's process says why it failed."""


def parser() -> argparse.ArgumentParser:
    known = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = known.add_argument
    folder = pathlib.Path("build/on_device")
    add("-o", "--output", type=pathlib.Path, default=folder, help="a folder, or a .json file (default: %(default)s)")
    add("--rows", nargs="+", choices=ROWS, default=[*ROWS], metavar="NAME", help="(default: all)")
    add("--seconds", type=float, default=480, help="that all rows may take together (default: 480)")
    add("--tiny", action="store_true", help="every row in small")
    return known


# One row


def messages(name: str, tiny: bool, until: float) -> Iterator[dict[str, Any]]:
    """What a process of `device` says, as soon as it does; it has no time after `until`."""
    env = os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}  # PyTorch needs some of the GPU's memory too
    with tempfile.TemporaryDirectory() as folder, open(pathlib.Path(folder, "said"), "w+") as said:
        child = subprocess.Popen([*CHILD, name, *["tiny"] * tiny], stdout=said, env=env)
        try:
            yield from _follow(child, pathlib.Path(said.name), until)
        finally:
            child.kill()
            child.wait()


def _follow(child, path, until):
    """What comes after the mark in the lines of a file, until the process that writes it ends."""
    seen, ended = 0, False
    while not ended:
        ended = child.poll() is not None
        whole = path.read_text("utf-8", "replace").split("\n")[:-1]
        yield from (json.loads(line.removeprefix(device.MARK)) for line in whole[seen:] if line.startswith(device.MARK))
        seen = len(whole)
        if not ended and time.monotonic() > until:
            raise TimeoutError
        time.sleep(0 if ended else 0.1)
    if child.returncode:
        raise Failed(f"its process ended with exit code {child.returncode}")


def apart(name: str, tiny: bool, until: float) -> Iterator[Line]:
    """A row's lines, from a process of its own."""
    for message in messages(name, tiny, until):
        if "missing" in message:
            raise Missing(message["missing"])
        if "failed" in message:
            raise Failed(message["failed"])
        yield Line(**message["line"])


def measure(name: str, tiny: bool, until: float) -> Iterator[Line]:
    """A row's lines; it has no time after `until`, nor more than it may take."""
    row, until = ROWS[name], min(until, time.monotonic() + ROWS[name].most)
    return row.run(device.TINY if tiny else device.FULL, until) if row.run else apart(name, tiny, until)


def ending(error: Exception) -> dict[str, str]:
    """How a row ended that an error ended, and why."""
    if isinstance(error, Missing):
        return {"ended": "missing", "why": str(error)}
    if isinstance(error, (TimeoutError, subprocess.TimeoutExpired)):
        return {"ended": "cut", "why": "it took too long"}
    return {"ended": "failed", "why": str(error) if isinstance(error, Failed) else device.reason(error)}


# All rows


def machine(until: float) -> dict[str, Any]:
    """Where and with what this is measured, as another process finds it: a TPU is held by one at a time."""
    try:
        return next(message["machine"] for message in messages("machine", False, until))
    except (Failed, TimeoutError, StopIteration):
        return {"device": NONE, "date": time.strftime("%Y-%m-%d %H:%M")}


NONE = "no device"


def left_out(name: str, tiny: bool, kind: str, left: float) -> dict[str, str]:
    """Why a row does not begin, if it does not: {} if it does."""
    if name != "doctor" and not tiny and (kind == NONE or kind.startswith("cpu")):
        why = "JAX finds neither a GPU nor a TPU: see `nst-jax doctor`, or try the rows by --tiny"
        return {"ended": "missing", "why": why}
    usual = ROWS[name].usual
    if left < usual / 2:
        return {"ended": "left out", "why": f"it takes about {usual:.0f} s, and {max(0, left):.0f} s are left"}
    return {}


def carry_out(name: str, tiny: bool, until: float, record: dict[str, Any], path: pathlib.Path) -> None:
    """Measure a row, if there is time, and store the record after each of its lines and at its end."""
    begun = time.monotonic()
    row: dict[str, Any] = {"lines": []} | left_out(name, tiny, record["device"], until - begun)
    record["rows"][name] = row
    print(name, flush=True)
    if "ended" not in row:
        try:
            for line in measure(name, tiny, until):
                row["lines"].append(line._asdict())
                row |= {"ended": "running", "why": ""}
                print(lines.as_text(line), flush=True)
                store(record, path)
            row |= {"ended": "done", "why": ""}
        except Exception as error:
            row |= ending(error)
        row["seconds"] = round(time.monotonic() - begun, 1)
    print(f"  {lines.ending(row)}", flush=True)
    store(record, path)


def main(argv=None) -> int:
    args = parser().parse_args(argv)
    until, path = time.monotonic() + args.seconds, file(args.output)
    record = machine(until) | {"flags": sys.argv[1:] if argv is None else argv, "rows": {}}
    print(*(f"{k} {v}" for k, v in record.items() if isinstance(v, str)), sep=", ", flush=True)
    for name in args.rows:
        carry_out(name, args.tiny, until, record, path)
    print(f"\n{lines.table(record)}")
    return int(any(row["ended"] == "failed" for row in record["rows"].values()))


# Where it is stored


def file(output: pathlib.Path) -> pathlib.Path:
    """Where the record goes; the table goes beside it."""
    folder = output.parent if output.suffix == ".json" else output
    storage.ensure_folder(folder)
    return output if output.suffix == ".json" else folder / "on_device.json"


def store(record: dict[str, Any], path: pathlib.Path) -> None:
    """Write record and table, each whole or not at all."""
    storage.write_text(path, json.dumps(record, indent=1) + "\n")
    storage.write_text(path.with_suffix(".md"), lines.table(record))


if __name__ == "__main__":
    sys.exit(main())
