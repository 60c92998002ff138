"""Pictures from strangers are decoded in a process with limits first: a decoder that crashes, or swells, ends alone."""

import os
import pathlib
import subprocess
import sys

from nst_jax.ground.choices import one_line

SECONDS = 120  # of the clock, and of the processor
FILES = 64  # open at once
BYTES = 2_000_000_000  # of memory, besides what pixels take
EACH = 40  # bytes for a pixel: floats of three channels, and what they are made of
REFUSED = 3  # the exit code of a picture that is none, which a line explains

START = (
    "import sys; sys.path.insert(0, sys.argv[1]);"
    " from nst_jax.pictures import untrusted; untrusted.decode(*sys.argv[2:])"
)
ROOT = str(pathlib.Path(__file__).parents[2])


def check(path, *, max_pixels: int, start: str = START) -> None:
    """Raise one line unless a file can be decoded, which a process of its own tries; `start` is what that does."""
    argv = [sys.executable, "-I", "-c", start, ROOT, os.fspath(path), str(max_pixels)]
    try:
        done = subprocess.run(argv, capture_output=True, timeout=SECONDS, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        raise ValueError(
            f"picture must be decoded within {SECONDS} s, got {os.fspath(path)!r}: fetch another"
        ) from None
    if done.returncode == REFUSED:
        raise ValueError(done.stdout.decode("utf-8", "replace").strip())
    if done.returncode:
        got = f"got {os.fspath(path)!r}, which made its decoder crash"
        raise ValueError(f"picture must be one that can be decoded, {got}: convert it to PNG where it is trusted")


def decode(path: str, max_pixels: str) -> None:
    """Decode a file within limits, and say what is wrong with it."""
    _limit(BYTES + EACH * int(max_pixels))
    from nst_jax.pictures import images

    try:
        images.read(path, max_pixels=int(max_pixels))
    except (ValueError, OSError) as error:
        sys.stdout.write(one_line(error))
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
