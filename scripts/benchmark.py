"""python scripts/benchmark.py step --size 256 512 → a table of medians, and benchmark.json with every value.
python scripts/benchmark.py all                  → what the README says of speed, in one sitting, as its table.

Rows, each at the sizes given (square pictures, drawn; the bundled network; Gatys' notebook's weights, Gram matrices):

step     a step of Adam, ours against a PyTorch statement of the same work; on a CPU eager and channels_last, on a GPU
         compiled and bfloat16 too. Loss and gradient are asserted equal to 1e-4 first. Base: PyTorch's best.
memory   the peak of a process that takes --steps steps, ours and PyTorch's: resident, or on a GPU the device's.
compile  from the command to its first step and to its end, with JAX's cache of compiled programs empty, full, off.
tiles    loss and gradient in --windows against the whole picture's.
loss     seconds to the loss that --descent plain steps reach: averaged, coarse to fine, both. Also where each would
         stop by itself, its shown picture moving less than --still a step. Compilation left out.
relay    seconds to the lowest loss of --descent plain steps, and of their first fifth, by other --ways down: coarse to
         fine, L-BFGS, the fast network first. Evaluations are counted, and what each takes is measured in turns, so
         that the machine may be busy with other things.
whole    whole commands, from the shell to the picture: the default recipe at the size and, at 256 px, demo, preview and
         20 steps of the fast network; with --against CHECKOUT in turns with the same of another checkout.
studio   a server asked as the page asks it: from the command to the page, and from a wish to its first painted frame.
visitors a server's memory after some --paintings, at four shapes from the size on.
recipe   a whole --recipe: on a GPU, `recipe --size 512 --recipe crowson-2023`.
loop     a step inside `frames` against the same step called alone.
sweep    a batch of four style weights against the same four in turn: what a CPU's chunks of one follow from.

Machines are shared and noisy: two things are compared only in alternating runs of one process, and what to quote is the
median of the ratios, turn by turn, with the least and the most.
"""

import argparse
import importlib.metadata
import json
import os
import pathlib
import platform
import sys
import time

import jax
from benchmarks import batches, descent, memory, relays, starting, steps, timing, visits, wholes

from nst_jax.network import vgg19

alternate = timing.alternate  # other scripts time with it

ROWS = {
    "step": steps.step,
    "memory": memory.row,
    "compile": starting.row,
    "tiles": steps.tiled,
    "loss": descent.loss,
    "relay": relays.row,
    "whole": wholes.row,
    "studio": visits.row,
    "visitors": visits.visitors,
    "recipe": descent.recipe,
    "loop": steps.loop,
    "sweep": batches.row,
}
ALL = {"step": (256, 512), "memory": (256, 512), "whole": (256, 512)}
"""Rows of `all`, and their sizes."""
VERSIONS = ("jax", "jaxlib", "flax", "optax", "numpy", "torch")


def parser() -> argparse.ArgumentParser:
    known = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = known.add_argument
    add("row", choices=[*ROWS, "all"])
    add("--size", type=int, nargs="+", default=[256], help="of the picture's edge (default: 256)")
    add("--repeats", type=int, default=7, help="turns that every side takes (default: 7)")
    add("--steps", type=int, default=4, help="steps in a turn (default: 4)")
    add("--windows", type=int, nargs="+", default=[256, 512, 1024], help="of row tiles (default: 256 512 1024)")
    add("--descent", type=int, default=1000, help="plain steps of rows loss and relay (default: 1000)")
    add("--ways", nargs="+", choices=relays.WAYS, metavar="WAY", help="of row relay (default: all)")
    add("--every", type=int, default=10, help="steps between two looks at the loss (default: 10)")
    add("--still", type=float, default=1e-4, help="movement a step that counts as none (default: 1e-4)")
    add("--recipe", default="crowson-2023", help="of row recipe (default: crowson-2023)")
    add("--paintings", type=int, default=100, help="of row visitors (default: 100)")
    add("--of-steps", type=int, help="steps of row recipe in all (default: its own)")
    add("--against", type=pathlib.Path, metavar="CHECKOUT", help="of row whole: another checkout of this program")
    add("--weights", type=pathlib.Path, default=vgg19.bundled_path(), help="the network, for both sides")
    add("-o", "--output", type=pathlib.Path, default=pathlib.Path("benchmark.json"))
    return known


def machine() -> dict[str, str]:
    """Where and with what this is measured."""
    device, installed = jax.devices()[0], {d.name: d.version for d in importlib.metadata.distributions()}
    words = {
        "machine": f"{platform.machine()}, {processor()}, {os.cpu_count()} CPUs",
        "busy": f"{os.getloadavg()[0]:.1f}",
    }
    words |= {"device": f"{device.platform} {device.device_kind}", "date": time.strftime("%Y-%m-%d %H:%M")}
    return words | {name: installed[name] for name in VERSIONS if name in installed}


def processor() -> str:
    """The processor's own name, where the system tells it."""
    told = pathlib.Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def main(argv=None):
    args = parser().parse_args(argv)
    args.weights = args.weights.resolve()
    rows = ALL if args.row == "all" else {args.row: args.size}
    results: dict[str, list[timing.Result]] = {row: [] for row in rows}
    head = {"row": args.row} | machine()
    print(*(f"{k} {v}" for k, v in head.items()), sep=", ", flush=True)
    for row, size in ((row, size) for row, sizes in rows.items() for size in sizes):
        results[row].append(ROWS[row](args, size))
        print(f"{row}, {timing.table(results[row][-1])}", flush=True)
        known = [{"row": row} | timing.record(one) for row, each in results.items() for one in each]
        record = head | {"flags": sys.argv[1:] if argv is None else argv, "results": known}
        args.output.write_text(json.dumps(record, indent=1, default=str))
    if args.row == "all":
        print(timing.markdown(results))


if __name__ == "__main__":
    main()
