"""Files from strangers are read in a process with limits first: a decoder that crashes, or swells, ends alone."""

import importlib
import json
import os
import pathlib
import subprocess
import sys
from typing import Any, NamedTuple

from nst_jax.ground.choices import one_line

SECONDS = 120  # of the clock, and of the processor
FILES = 64  # open at once
REFUSED = 3  # the exit code where a reader has refused a file, which a line explains

START = (
    "import sys; sys.path.insert(0, sys.argv[1]); from nst_jax.ground import untrusted; untrusted.read(*sys.argv[2:])"
)
ROOT = str(pathlib.Path(__file__).parents[2])
_here = False  # whether this process is one with limits


class Kind(NamedTuple):
    """A kind of file: its name, the function that reads one, as `package.module:function`, and what else to do."""

    name: str
    reader: str
    remedy: str


def check(path, kind: Kind, *, memory: int, start: str = START, **options: Any) -> None:
    """Raise one line unless a file can be read, which a process of its own tries; `start` is what that does.

    `memory`: bytes that it may take; `options`: of the reader.
    """
    if _here:
        return
    name, known = kind.name, os.fspath(path)
    argv = [sys.executable, "-I", "-c", start, ROOT, known, kind.reader, str(memory), json.dumps(options)]
    try:
        done = subprocess.run(argv, capture_output=True, timeout=SECONDS, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        raise ValueError(f"{name} must be decoded within {SECONDS} s, got {known!r}: fetch another") from None
    if done.returncode == REFUSED:
        raise ValueError(done.stdout.decode("utf-8", "replace").strip())
    if done.returncode:
        got = f"got {known!r}, which made its decoder crash"
        raise ValueError(f"{name} must be one that can be decoded, {got}: {kind.remedy}")


def read(path: str, reader: str, memory: str, options: str) -> None:
    """Read a file within limits, and say what is wrong with it."""
    global _here
    _here = True
    _limit(int(memory))
    module, function = reader.split(":")
    try:
        getattr(importlib.import_module(module), function)(path, **json.loads(options))
    except (ValueError, OSError) as error:
        sys.stdout.buffer.write(one_line(error).encode("utf-8", "replace"))
        sys.stdout.flush()
        sys.exit(REFUSED)


def _limit(memory: int) -> None:
    """Have the system hold this process to limits, where it can."""
    try:
        import resource
    except ImportError:  # Windows
        return
    limits = {"RLIMIT_AS": memory, "RLIMIT_CPU": SECONDS, "RLIMIT_FSIZE": 0, "RLIMIT_NOFILE": FILES, "RLIMIT_CORE": 0}
    for name, most in limits.items():
        kind = getattr(resource, name)
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (most if hard < 0 else min(most, hard), hard))
