"""Programs that hold little memory: how XLA orders them on a CPU, and what is given back after they are compiled."""

import ctypes
import functools
import os
import pathlib
import sys
from collections.abc import Callable

import jax
from jax.core import Tracer

from nst_jax.ground import storage

KEPT = 500_000_000  # bytes of compiled programs that are kept on disk, the oldest going first

# Left to itself XLA's CPU orders a program so that parts may run beside each other, and keeps what they made: half as
# much memory again, and no faster where each convolution fills all cores
ORDER = {"xla_cpu_scheduler_type": "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED"}


@functools.cache
def options() -> dict[str, str] | None:
    """What XLA is told for this process's devices; nothing where it does not know it."""
    if jax.default_backend() != "cpu":
        return None
    try:
        jax.jit(lambda x: x, compiler_options=ORDER).lower(0.0).compile()
    except Exception:  # another version of XLA, which says in its own way that it has no such option
        return None
    return ORDER


class Program:
    """`jax.jit(function, **how)` with these options; inside another program, that program's options hold."""

    def __init__(self, function: Callable, **how):
        self.plain = jax.jit(function, **how)
        self._thrifty = functools.cache(lambda: jax.jit(function, compiler_options=options(), **how))

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
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # a home that is not there or not ours to write: compile each time
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_compilation_cache_max_size", KEPT)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
