"""Watching a process that is one of several. Not a sub-command.

Where one of them dies, JAX's runtime aborts the others from within: a parent that uses no device stays, says so on one
line, and leaves nothing running.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from typing import NoReturn

MARK = "NST_JAX_WATCHED"  # in a child's environment: the pipe that ends with its parent, and where native logs go
GRACE = 20.0  # seconds from a signal that asks to one that doesn't
GONE = "another process of the run has gone, or its host: start all of them again"


def watched() -> bool:
    """Whether this process has a parent that watches it."""
    return MARK in os.environ


def supervised(name: str) -> int:
    """Run this very command in a child and end as it does; where it dies, say on one line why."""
    heard, kept = os.pipe()
    with tempfile.TemporaryFile() as log:
        mine = {MARK: f"{heard},{log.fileno()}"}
        child = subprocess.Popen(
            [sys.executable, *sys.orig_argv[1:]],
            env=os.environ | mine,
            pass_fds=(heard, log.fileno()),
            process_group=0,
        )
        os.close(heard)
        code, asked = _awaited(child)
        os.close(kept)
        log.seek(0)
        if code >= 0:
            return code
        why = "stopped" if asked else said(name, -code, log.read().decode(errors="replace"))
        print(f"nst-jax: {why}", file=sys.stderr)
        return 128 + asked if asked else 1


def _awaited(child) -> tuple[int, int]:
    """(a child's exit code, the signal that asked it to end or 0): it is passed on, and after a while enforced."""
    asked: dict[int, float] = {}

    def forward(number, frame):
        asked.setdefault(number, time.monotonic())
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)

    old = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        while child.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(0.5)
            if asked and time.monotonic() - min(asked.values()) > GRACE:
                child.kill()
        return child.returncode, next(iter(asked), 0)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        for number, handler in old.items():
            signal.signal(number, handler)


def said(name: str, number: int, log: str) -> str:
    """Why a process died of a signal, on one line."""
    word = signal.Signals(number).name
    if number == signal.SIGABRT:
        lost = any(text in log for text in ("coordination", "heartbeat", "UNAVAILABLE", "Connection"))
        fatal = next((line.partition("] ")[2] for line in log.splitlines() if line.startswith("F")), "no reason given")
        return f"{name} was aborted by JAX: {GONE if lost else ' '.join(fatal.split())[:200]}"
    if number == signal.SIGKILL:
        return f"{name} was killed: by hand, or because its host ran out of memory"
    return f"{name} died of {word}: start all processes again"


def finished(work) -> NoReturn:
    """Do a watched process's work and end it there and then: JAX would wait for processes that have gone."""
    pipe, log = map(int, os.environ[MARK].split(","))
    threading.Thread(target=_outlived, args=(pipe,), daemon=True).start()
    sys.stdout, sys.stderr = (os.fdopen(os.dup(number), "w", buffering=1) for number in (1, 2))
    for number in (1, 2):
        os.dup2(log, number)  # what is written from C++; people read the parent's line
    code = _coded(work)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _coded(work) -> int:
    """What a command's work comes to, its errors said."""
    from nst_jax import cli

    try:
        code = work() or 0
        if code == 0:
            _left()
        return code
    except argparse.ArgumentTypeError as error:
        print(f"nst-jax: {error}", file=sys.stderr)
        return 2
    except (Exception, KeyboardInterrupt) as error:
        try:
            return cli.failed(error)
        except Exception:
            traceback.print_exc()
            return 1


def _left():
    """Leave the others in peace: each waits here until all are done."""
    import jax

    jax.distributed.shutdown()


def _outlived(pipe):
    """End with the parent, whatever ended it."""
    os.read(pipe, 1)
    os.killpg(0, signal.SIGKILL)
