"""Row `compile`: from the command to its first step, with an empty cache, a full one, and none."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from benchmarks import timing

from nst_jax import recipes
from nst_jax.pictures import images, samples


def row(args, size: int) -> timing.Result:
    """Real commands on drawn pictures: until the log has the first step, and until the picture of three is written."""
    known = subprocess.run([*COMMAND, "stylize", "--help"], capture_output=True, text=True, check=True).stdout
    kinds = ("cold", "warm") + (("no cache",) if "--no-cache" in known else ())
    measured: dict[str, list[float]] = {f"{kind}, {what}": [] for kind in kinds for what in ("first step", "all")}
    for _ in range(args.repeats):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            images.save(folder / "content.png", samples.draw("skyline", (size, size)))
            images.save(folder / "style.png", samples.draw("flow", (size, size)))
            for kind in kinds:
                first, whole = _timed(args, size, folder, ["--no-cache"] if kind == "no cache" else [])
                measured[f"{kind}, first step"].append(first)
                measured[f"{kind}, all"].append(whole)
    return timing.Result(size, measured, "cold, first step", notes={"recipe": recipes.DEFAULT})


COMMAND = [sys.executable, "-m", "nst_jax"]


def _timed(args, size, folder, more) -> tuple[float, float]:
    """(seconds to the first step, seconds in all) of a command whose caches lie in this folder."""
    log, recipe = folder / "log.jsonl", recipes.get(recipes.DEFAULT)
    steps = len(recipe.schedule(size))  # one at each scale
    words = ["stylize", "content.png", "style.png", "-o", "out.png", "--log", log.name, "--save-every", "1", *more]
    words += ["--size", str(size), "--steps", str(steps), "--weights", str(args.weights)]
    log.unlink(missing_ok=True)
    (folder / "out.png").unlink(missing_ok=True)
    environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache"), "PYTHONPATH": os.pathsep.join(sys.path)}
    begun, first = time.perf_counter(), None
    with open(folder / "said", "wb+") as said:
        run = subprocess.Popen([*COMMAND, *words], cwd=folder, env=environment, stdout=said, stderr=said)
        while run.poll() is None:
            time.sleep(0.01)
            if first is None and log.exists() and any("step" in record for record in _records(log)):
                first = time.perf_counter() - begun
        whole = time.perf_counter() - begun
        said.seek(0)
        if run.returncode:
            raise RuntimeError(f"the command must paint, got exit code {run.returncode}: {said.read().decode()}")
    return first or whole, whole


def _records(log):
    """The whole lines of a log so far."""
    return [json.loads(line) for line in log.read_text("utf-8").splitlines(keepends=True) if line.endswith("\n")]
