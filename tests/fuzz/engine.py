"""Runs a target on mutated inputs: within limits of time and memory, guided by the lines that they reach.

Inputs that reach a line of the target's modules for the first time are kept and mutated further. A process of its own
runs each target, so that what crashes it is found, too.
"""

import contextlib
import inspect
import mmap
import os
import random
import resource
import signal
import struct
import sys
import time
import traceback
import types
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from fuzz import mutations

SECONDS = 1.0  # of the processor, of one execution
STUCK = 20.0  # seconds after which a process that is within C code is ended
SWELLS = 300_000  # KiB by which one execution may raise the most memory that the process has had
MEMORY = 1_500_000_000  # bytes of memory besides what a process has when it begins
LARGEST = 200_000  # bytes of an input


class TooSlow(BaseException):
    """Not an Exception: the code under test must not take it for damage in its input."""


class Report(NamedTuple):
    """What a run of a target came to."""

    executions: int
    seconds: float
    slowest: float  # seconds
    growth: int  # KiB of resident memory, from a tenth of the run to its end
    accepted: int  # inputs that were taken as sound
    lines: str  # reached, of all
    found: dict[str, bytes]  # trouble: an input that makes it


class Lines:
    """Which lines of modules' functions have run: a trace function that leaves code alone once all of it has."""

    def __init__(self, modules: Sequence[types.ModuleType]):
        self.left = {str(module.__file__): _lines_of_functions(str(module.__file__)) for module in modules}
        self.total, self.new = sum(map(len, self.left.values())), False
        self.codes: dict[int, tuple[types.CodeType, set[int]]] = {}  # by id: their hash takes long

    def __call__(self, frame, event, arg):
        known = self.codes.get(id(frame.f_code))
        if known is None:
            code = frame.f_code
            known = self.codes[id(code)] = code, self.left.get(code.co_filename, set()) & _lines_of(code)
        return self._line if known[1] else None

    def _line(self, frame, event, arg):
        left = self.codes[id(frame.f_code)][1]
        if event == "line" and frame.f_lineno in left:
            left.discard(frame.f_lineno)
            self.left[frame.f_code.co_filename].discard(frame.f_lineno)
            self.new = True
        return self._line if left else None

    def __str__(self):
        return f"{self.reached}/{self.total}"

    @property
    def reached(self) -> int:
        """How many lines have run."""
        return self.total - sum(map(len, self.left.values()))

    def missing(self) -> list[str]:
        """Lines that no input has reached: module.py:line."""
        return [f"{os.path.basename(name)}:{line}" for name, lines in self.left.items() for line in sorted(lines)]


def _lines_of_functions(name) -> set[int]:
    """The lines of a file that run when its functions are called, not when it is imported."""
    with open(name, encoding="utf-8") as file:
        whole = compile(file.read(), name, "exec")
    functions = [code for code in _within(whole) if code.co_flags & inspect.CO_OPTIMIZED]
    return {line for code in functions for line in _lines_of(code)}


def _within(code) -> Iterator[types.CodeType]:
    for each in code.co_consts:
        if isinstance(each, types.CodeType):
            yield each
            yield from _within(each)


def _lines_of(code) -> set[int]:
    one = code.co_name == "<lambda>"  # its only line
    return {line for _, _, line in code.co_lines() if line and (one or line != code.co_firstlineno)}


def attempt(target: Callable[[bytes], None], data: bytes, *, seconds=SECONDS, swells=SWELLS) -> str | None:
    """Run a target on an input: "" taken, None refused as documented, else what is wrong."""

    def slow(*_):
        raise TooSlow

    before, kept = _most_memory(), signal.signal(signal.SIGPROF, slow)
    signal.setitimer(signal.ITIMER_PROF, seconds, seconds)  # again: where it is raised in a callback, it is lost
    try:
        target(data)
        said = ""
    except (ValueError, OSError) as error:
        said = _unclear(error)
    except TooSlow:
        said = f"it takes longer than {seconds:g} s"
    except Exception as error:
        said = f"{_place(error)}: {type(error).__name__}: {str(error)[:200]}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, kept)
    return said or (f"it takes {swells // 1000} MB and more" if _most_memory() - before > swells else said)


def _unclear(error) -> str | None:
    """What is wrong with a refusal: it must say what must be, and what was got; a system's own error says it."""
    text = str(error)
    if isinstance(error, ValueError) and ("must " not in text or "\n" in text):
        return f"{_place(error)}: {type(error).__name__} is not clear: {text[:200]}"
    return None


def _place(error) -> str:
    """The line that raised an error; one place is one thing found."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{os.path.basename(frame.filename)}:{frame.lineno}"


def _most_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB


def run(target, seeds: Sequence[bytes], lines: Lines, *, executions: int, seed: int, seconds=SECONDS) -> Report:
    """Run a target so many times, after its seeds, on what mutations make of them."""
    chance, pool, tracing = random.Random(seed), list(seeds), sys.gettrace()
    for data in seeds:  # much is imported meanwhile
        sys.settrace(lines)
        said = attempt(target, data, seconds=STUCK, swells=2**40)
        sys.settrace(tracing)
        assert not said, f"a seed is refused: {said}"
    found: dict[str, tuple[str, bytes]] = {}  # by its first word, the place
    accepted, slowest, early, begun, lines.new = 0, 0.0, 0, time.perf_counter(), False
    for i in range(executions):
        data = mutations.mutate(chance, pool)[:LARGEST]
        _mark(data)
        start = time.process_time()
        sys.settrace(lines)
        said = attempt(target, data, seconds=seconds)
        sys.settrace(tracing)
        slowest = max(slowest, time.process_time() - start)
        accepted += said == ""
        if said:
            found.setdefault(said.split(": ")[0], (said, data))
        if lines.new:
            pool.append(data)
        lines.new = False
        if i == executions // 10:
            early = resident()
    took = time.perf_counter() - begun
    return Report(executions, took, slowest, resident() - early, accepted, str(lines), dict(found.values()))


def resident() -> int:
    """KiB of memory that this process has now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() // 1024


# A process of its own, which leaves its last input where it is found after a crash

_shared: mmap.mmap | None = None


def _mark(data):
    if _shared is not None:
        _shared[:16] = struct.pack("<QQ", time.monotonic_ns(), len(data))
        _shared[16 : 16 + len(data)] = data


def aside(function: Callable[[], None]) -> tuple[str, bytes]:
    """Call a function in a process of its own, within limits: how it ended, if not well, and on which input."""
    global _shared
    _shared = mmap.mmap(-1, LARGEST + 16)
    _mark(b"")
    child = os.fork()
    if not child:
        with contextlib.suppress(KeyboardInterrupt):
            _limit()
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libraries in C write about each damaged file
            warnings.simplefilter("error")  # a warning is a line that nobody asked for
            try:
                function()
                sys.stdout.flush()
                os._exit(0)
            except Exception:
                traceback.print_exc(file=sys.stdout)
                sys.stdout.flush()
        os._exit(1)
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        when, length = struct.unpack("<QQ", _shared[:16])
        if ended:
            how = "" if not status else f"its process ends with status {status}"
            return how, bytes(_shared[16 : 16 + length])
        if time.monotonic_ns() - when > STUCK * 1e9:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return "it does not end", bytes(_shared[16 : 16 + length])
        time.sleep(0.05)


def _limit() -> None:
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, now + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
