"""Row `memory`: the most that a process of its own needed, for ours and for each kind of PyTorch's.

The process itself is this file: python memory.py SIDE SIZE STEPS WEIGHTS FOLDER → its peak in MiB. Ours paints as
every run does, once without compiled programs and once with those that the first has left; PyTorch's never loads jax.
"""

import importlib.util
import json
import pathlib
import re
import resource
import subprocess
import sys
import tempfile

OURS = "ours, compiling", "ours"


def row(args, size: int):
    """Peaks of a run of a few steps, network and pictures included, Python and libraries too."""
    from benchmarks import timing

    sides = [*OURS] + ["torch eager", "torch channels_last"] * bool(importlib.util.find_spec("torch"))
    measured: dict[str, list[float]] = {side: [] for side in sides}
    notes = {}
    for _ in range(args.repeats):
        with tempfile.TemporaryDirectory() as folder:
            scene(pathlib.Path(folder), size)
            for side in sides:
                command = [sys.executable, __file__, side, str(size), str(args.steps), str(args.weights), folder]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                said = json.loads(done.stdout)
                measured[side].append(said["peak"])
                notes["of"] = said["of"]
    return timing.Result(size, measured, timing.fastest(measured, "torch"), unit="MiB", notes=notes)


def scene(folder, size):
    """Pictures and weights, for who knows nothing of ours."""
    import numpy as np
    from benchmarks import cases

    from nst_jax import recipes

    weights = recipes.get("gatys-notebook").weights((size, size))
    known = {name: {layer: float(w) for layer, w in getattr(weights, name).items()} for name in ("content", "style")}
    (folder / "weights.json").write_text(json.dumps(known))
    for name, sample in ("content", "skyline"), ("style", "flow"):
        np.save(folder / f"{name}.npy", cases.draw(sample, size))


def resident() -> float:
    """The most memory that this process has had, in MiB. (`ru_maxrss` may be what its parent had.)"""
    status = pathlib.Path("/proc/self/status")
    if status.exists() and (found := re.search(r"VmHWM:\s*(\d+) kB", status.read_text())):
        return int(found[1]) / 1024
    scale = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


def ours(size, steps, weights, folder):
    """(peak, of what, what was planned) of our own steps: in MiB."""
    import jax
    import numpy as np
    from benchmarks import cases

    from nst_jax import recipes
    from nst_jax.network import vgg19
    from nst_jax.objective import losses
    from nst_jax.painting import job as jobs
    from nst_jax.painting import memory, painter
    from nst_jax.painting.job import Job

    jax.config.update("jax_compilation_cache_dir", str(folder / "compiled"))
    content, style = (np.load(folder / f"{name}.npy") for name in ("content", "style"))
    recipe = cases.RECIPE._replace(schedule=recipes.once(1000), edge="long")  # as of a run of usual length
    job = Job(content, losses.everywhere(style), recipe, (size, size))
    params = vgg19.load(weights)
    plan = jobs.stages(params, job)[-1].plan
    planned = memory.peak(plan, jobs.load_at(params, job, job.shape)) / 2**20
    jax.block_until_ready(next(painter.frames(params, job, every=steps)).image)
    said = jax.devices()[0].memory_stats() or {}
    if "peak_bytes_in_use" in said:
        return said["peak_bytes_in_use"] / 2**20, "device", planned
    return resident(), "process", planned


def torchs(kind, size, steps, weights, folder):
    """(peak, of what) of PyTorch's: in MiB."""
    from types import SimpleNamespace

    import numpy as np
    import torch  # pyright: ignore[reportMissingImports]
    from benchmarks import partner

    content, style = (np.load(folder / f"{name}.npy") for name in ("content", "style"))
    known = SimpleNamespace(**json.loads((folder / "weights.json").read_text()))
    partner.step(kind, weights, (content, style, content), known).run(steps)
    if partner.device() == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20, "device"
    return resident(), "process"


if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
    side, size, steps, weights, folder = sys.argv[1:]
    known = int(size), int(steps), weights, pathlib.Path(folder)
    found = ours(*known) if side in OURS else torchs(side.removeprefix("torch "), *known)
    print(json.dumps(dict(zip(("peak", "of", "planned"), found, strict=False))))
