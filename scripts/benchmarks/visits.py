"""Rows `studio` and `visitors`: a real server, asked as the page asks it, by a visitor without a browser."""

import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

from benchmarks import timing

import nst_jax

OURS = pathlib.Path(nst_jax.__file__).parents[1]
SETTINGS: dict[str, str] = {}  # beside the form's own
OTHER = 64  # px: how much larger a painting of another shape is
MARKS = (1, 2, 5, 10, 20, 50)  # paintings after which memory is read, and after the last


class Studio:
    """A server in a process of its own, and what a visitor asks of it."""

    def __init__(self, folder: pathlib.Path, weights: pathlib.Path):
        self.folder, self.port = folder, _free_port()
        self.begun = time.perf_counter()
        env = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
        env |= {"PYTHONPATH": str(OURS), "XDG_CACHE_HOME": str(folder / "cache"), "NST_JAX_WEIGHTS": str(weights)}
        words = ["studio", "--no-browser", "--port", str(self.port), "--folder", str(folder / "studio")]
        self.process = subprocess.Popen([sys.executable, "-m", "nst_jax", *words], env=env, stdout=subprocess.DEVNULL)

    def ask(self, path: str, body: Any = None) -> Any:
        """What an address answers."""
        here = f"http://127.0.0.1:{self.port}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(here + path, data, {"origin": here, "content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def answered(self) -> float:
        """Seconds from the command to the page's first answer."""
        while True:
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=60) as answer:
                    answer.read()
                return time.perf_counter() - self.begun
            if self.process.poll() is not None or time.perf_counter() - self.begun > 120:
                raise RuntimeError(f"the studio must answer, got exit code {self.process.poll()}")
            time.sleep(0.01)

    def paint(self, **settings: str) -> str:
        """Begin a painting of two samples, unannounced."""
        content, style = (self.ask(f"/api/samples/{name}", {})["id"] for name in ("skyline", "flow"))
        return self.ask("/api/paintings", {"content": content, "style": [style], "settings": SETTINGS | settings})["id"]

    def until(self, name: str, *, step: int = 0, end: bool = False) -> float:
        """Seconds until a painting shows a step, or has ended."""
        begun = time.perf_counter()
        while True:
            state = self.ask(f"/api/paintings/{name}")
            if state["state"] == "failed":
                raise RuntimeError(f"the studio must paint, got: {state['message']}")
            if state["state"] == "finished" or (not end and state["step"] >= step):
                return time.perf_counter() - begun
            time.sleep(0.01)

    def first_frame(self, size: int) -> float:
        """Seconds from the wish to its first painted frame; then it is ended."""
        begun = time.perf_counter()
        name = self.paint(size=str(size))
        self.until(name, step=1)
        taken = time.perf_counter() - begun
        self.ask(f"/api/paintings/{name}/finish", {})
        self.until(name, end=True)
        return taken

    def resident(self) -> float:
        """MiB of its memory, once it has put a painting away: the least of a second."""
        found = []
        for _ in range(20):
            told = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
            found.append(int(re.findall(r"VmRSS:\s+(\d+)", told)[0]) / 1024)
            time.sleep(0.05)
        return min(found)


@contextlib.contextmanager
def opened(folder: pathlib.Path, weights: pathlib.Path) -> Iterator[Studio]:
    """A studio while it is open; what it compiled and was asked for stays in the folder."""
    found = Studio(folder, weights)
    try:
        yield found
    finally:
        found.process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            found.process.wait(60)
        found.process.kill()


def _free_port() -> int:
    with socket.socket() as known:
        known.bind(("127.0.0.1", 0))
        return known.getsockname()[1]


def row(args, size: int) -> timing.Result:
    """From the command to the page, and from a wish to its first painted frame, nothing being compiled beforehand."""
    measured: dict[str, list[float]] = {}

    def note(what, value):
        measured.setdefault(what, []).append(value)

    for _ in range(args.repeats):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            with opened(folder, args.weights) as studio:
                note("the page, empty caches", studio.answered())
                note("first frame, empty caches", studio.first_frame(size))
            with opened(folder, args.weights) as studio:
                note("the page, kept programs", studio.answered())
                note("first frame, kept programs", studio.first_frame(size))
                note("first frame, warm process", studio.first_frame(size))
                note("first frame, warm process, another shape", studio.first_frame(size + OTHER))
                note("first frame, warm process, that shape", studio.first_frame(size + OTHER))
    return timing.Result(size, measured, notes={"settings": "the form's own"})


def visitors(args, size: int) -> timing.Result:
    """A server's resident memory after some paintings, each of another seed and one of four shapes."""
    measured: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name, opened(pathlib.Path(name), args.weights) as studio:
        studio.answered()
        for n in range(1, args.paintings + 1):
            settings = {"size": str(size + 16 * (n % 4)), "seed": str(n), "steps": str(args.steps)}
            studio.until(studio.paint(**settings), end=True)
            if n in MARKS or n == args.paintings:
                measured[f"after {n} paintings"] = [studio.resident()]
    return timing.Result(size, measured, unit="MiB", notes={"steps": args.steps})
