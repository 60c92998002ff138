"""Row `memory`: the most that a process of its own needed, for ours and for each kind of PyTorch's.

The process itself is this file: python memory.py SIDE SIZE STEPS WEIGHTS → its peak in MiB.
"""

import importlib.util
import json
import pathlib
import re
import resource
import subprocess
import sys


def row(args, size: int):
    """Peaks of a run of a few steps, network and pictures included, Python and libraries too."""
    from benchmarks import timing

    sides = ["ours"] + ["torch eager", "torch channels_last"] * bool(importlib.util.find_spec("torch"))
    measured: dict[str, list[float]] = {side: [] for side in sides}
    notes = {}
    for _ in range(args.repeats):
        for side in sides:
            command = [sys.executable, __file__, side, str(size), str(args.steps), str(args.weights)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            said = json.loads(done.stdout)
            measured[side].append(said["peak"])
            notes["of"] = said["of"]
    return timing.Result(size, measured, timing.fastest(measured, "torch"), unit="MiB", notes=notes)


def resident() -> float:
    """The most memory that this process has had, in MiB. (`ru_maxrss` may be what its parent had.)"""
    status = pathlib.Path("/proc/self/status")
    if status.exists() and (found := re.search(r"VmHWM:\s*(\d+) kB", status.read_text())):
        return int(found[1]) / 1024
    scale = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


def ours(size, steps, weights):
    """(peak, of what) of our own steps."""
    import jax
    from benchmarks import cases

    jax.block_until_ready(cases.steps(cases.case(size, weights), steps))
    said = jax.devices()[0].memory_stats() or {}
    if "peak_bytes_in_use" in said:
        return said["peak_bytes_in_use"] / 2**20, "device"
    return resident(), "process"


def torchs(kind, size, steps, weights):
    """(peak, of what) of PyTorch's."""
    import torch
    from benchmarks import partner

    from nst_jax import recipes, samples

    content, style = samples.draw("skyline", (size, size)), samples.draw("flow", (size, size))
    pictures = content, style, content
    partner.step(kind, weights, pictures, recipes.get("gatys-notebook").weights((size, size))).run(steps)
    if partner.device() == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20, "device"
    return resident(), "process"


if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
    side, size, steps, weights = sys.argv[1:]
    known = int(size), int(steps), weights
    peak, of = ours(*known) if side == "ours" else torchs(side.removeprefix("torch "), *known)
    print(json.dumps({"peak": peak, "of": of}))
