"""Programs that compile soon and hold little memory: what XLA is told, and what is given back afterwards."""

import ctypes
import functools
import os
import pathlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

import jax
from jax.core import Tracer

from nst_jax.ground import storage

KEPT = 500_000_000  # bytes of compiled programs that are kept on disk, the oldest going first

CPU: dict[str, Any] = {
    # Left to itself XLA's CPU orders a program so that parts may run beside each other, and keeps what they made: half
    # as much memory again, and no faster where each convolution fills all cores
    "xla_cpu_scheduler_type": "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED",
    # The older way of making loops compiles in two thirds of the time; steps take as long, being mostly convolutions
    "xla_cpu_use_fusion_emitters": False,
}

Effort = Mapping[str, Mapping[str, Any]]  # what XLA is told, by platform

FULL: Effort = {"cpu": CPU}
# A TPU's compiler takes a fifth of the time for steps that take twice as long; `docs/devices.md` has the measurements
LESS: Effort = {**FULL, "tpu": {"exec_time_optimization_effort": -0.5}}


def options(effort: Effort) -> dict[str, Any] | None:
    """What XLA is told for this process's devices, of that what it knows."""
    told = effort.get(jax.default_backend(), {})
    return {name: value for name, value in told.items() if _known(name, value)} or None


@functools.cache
def _known(name, value) -> bool:
    """Whether this version of XLA has such an option; each says in its own way that it has not."""
    try:
        jax.jit(lambda x: x, compiler_options={name: value}).lower(0.0).compile()
    except Exception:
        return False
    return True


class Program:
    """`jax.jit(function, **how)` with these options; inside another program, that program's options hold."""

    def __init__(self, function: Callable, *, effort: Effort = FULL, **how):
        self.plain = jax.jit(function, **how)
        self._thrifty = functools.cache(lambda: jax.jit(function, compiler_options=options(effort), **how))
        self._with_less_effort = functools.cache(lambda: Program(function, effort=LESS, **how))

    @property
    def with_less_effort(self) -> "Program":
        """The same for a short run: compiled with less effort, where the platform's compiler has the choice."""
        return self if options(LESS) == options(FULL) else self._with_less_effort()

    def __call__(self, *args):
        return self.of(args)(*args)

    def lower(self, *args):
        """What `jax.jit` lowers it to."""
        return self.of(args).lower(*args)

    def ready(self, *args) -> None:
        """Compile it for these arguments while their buffers are not there yet, and give back what that leaves."""
        self.lower(*args).compile()
        release_memory()

    def of(self, args):
        """The jitted function for these arguments."""
        traced = any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(args))
        return self.plain if traced else self._thrifty()


def release_memory() -> None:
    """Return to the system what was freed: compilers leave a lot, and C libraries keep it for themselves."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
        if trim:
            trim(0)


def keep() -> None:
    """Keep compiled programs on disk from now on, in a folder of our own that does not grow without end."""
    folder = pathlib.Path(os.environ.get("JAX_COMPILATION_CACHE_DIR") or storage.cache_folder() / "compiled")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError:  # a home that is not there or not ours to write: compile each time
        return
    _check_ours(folder)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_compilation_cache_max_size", KEPT)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.02)  # what is read is there in a few thousandths


def _check_ours(folder: pathlib.Path) -> None:
    """Raise if somebody else may write to a folder of programs, which are run as they are found."""
    if sys.platform == "win32":
        return
    known = folder.stat()
    if known.st_uid != os.getuid():
        got = f"got {str(folder)!r} of another user: set JAX_COMPILATION_CACHE_DIR to one of yours, or add no-cache"
        raise ValueError(f"compiled programs must be kept in a folder of your own, {got}")
    if known.st_mode & 0o022:
        got = f"got {str(folder)!r}: `chmod go-w` it, or add no-cache"
        raise ValueError(f"compiled programs must be kept where nobody else may write, {got}")
