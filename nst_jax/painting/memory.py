"""Memory known before the run: what a step will take, and the fastest way of computing it that fits.

Plans follow from the sizes of things and from a device's total memory, never from what happens to be free: the same
command makes the same program, and so the same picture.
"""

import functools
import math
import os
import pathlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax

from nst_jax.network import convolutions, vgg19
from nst_jax.objective import losses, neighbours, tiles
from nst_jax.objective.losses import Loss

SHARE = 0.75  # of a host's memory, which others use too
AGAIN = (1, 3)  # blocks computed again
WINDOWS = (2048, 1536, 1024, 768, 512, 384)
# What XLA's buffers hold, from `memory_analysis` of the compiled steps of two recipes at 512 and 1024 px, CPU, jax
# 0.10.2: in maps of the first block's width, besides the maps that a gradient needs, and at least in all; of the maps
# measured in regions, once for each region but the first
BESIDES, LEAST, REGIONAL = 0.4, 5.0, 1.5
ROOTED = 2.3, 5.75, 2.9  # the same where a distance takes roots of moments, for which XLA waits with all else
IMAGES = 2.2  # image-sized buffers that windows need besides: the gradient, and what is added to it
NEAREST = 2.1, 1.0  # maps of neighbours' layers, once for each region: features of length one; whole, in windows
MATRICES = 20  # of a layer's channels, and kernels turned round, at most at once
# Multiplications of one convolution in a run from which Winograd's ways pay: at 128 px they save a sixth of a step and
# take four seconds more to compile, which eighty steps repay; and programs are kept for the next runs
REPAID = 3e10
# Positions on a device, in all steps, from which a TPU's program repays the compiler's full effort: those of 3800 steps
# at 512 px, which by its cycles are twenty seconds shorter then
POSITIONS_REPAID = 1e9
# Maps of the first block's width that a CPU's libraries take besides XLA's buffers where nearest features are sought:
# what a process had more, at 512 and 1024 px, and in windows of 1024
SCRATCH = 2.0
# What libtpu's programs for a v5e hold, of what a CPU's do, at 1024 px: of smaller maps its fast memory holds a part
TPU = {None: 1.2, "bfloat16": 0.85}
PROCESS = 430e6  # bytes of Python, jax, XLA's compiler and its programs on a host: less where these are kept


class Machine(NamedTuple):
    """What a run may use: bytes in all (None: as the device has), what convolutions compute in, a mesh of devices.

    `target` is the platform that programs are compiled for where that is not here: nothing is run then.
    """

    memory: int | None = None
    dtype: str | None = None
    mesh: Any = None
    target: str | None = None

    @property
    def platform(self) -> str:
        """The platform of its devices: "cpu", "gpu" or "tpu"."""
        return self.target or jax.default_backend()


class Plan(NamedTuple):
    """How a loss is computed: blocks computed again, the window's size, whether content maps are made again.

    `direct` is for short runs, whose programs compile sooner and run longer: on CPUs convolutions are computed as they
    are written, on TPUs the compiler takes less effort.
    """

    again: int = 0
    window: int | None = None
    recomputed: bool = False
    direct: bool = False

    def __str__(self):
        if self.window:
            return f"windows of {self.window} px" + (", content maps made again" if self.recomputed else "")
        return f"whole, {self.again} block{'s' * (self.again > 1)} computed again" if self.again else "whole"


class Load(NamedTuple):
    """What a step works on: the picture's shape, what is measured, and what is held all the while."""

    shape: tuple[int, int]
    params: Any  # or their shapes
    content: tuple[str, ...]
    style: tuple[str, ...]
    guided: int = 0  # regions with guides
    held: int = 0  # bytes: states, and pictures kept beside them
    rooted: bool = True  # whether the style distance takes roots of moments
    neighbours: tuple[str, ...] = ()
    dtype: str | None = None  # what convolutions compute in; None: float32
    platform: str = "cpu"

    @property
    def layers(self) -> tuple[str, ...]:
        """Every layer that is measured."""
        return (*self.content, *self.style, *self.neighbours)


def apply(plan: Plan, loss: Loss) -> Loss:
    """The loss, computed as a plan says; blocks computed again are the network's own affair."""
    loss = tiles.recomputed(loss) if plan.recomputed else loss
    return tiles.tiled(loss, size=plan.window) if plan.window else loss


def total() -> int:
    """Bytes that a run may take: what the first device has, or most of what the host has."""
    device = jax.local_devices()[0]
    known = (device.memory_stats() or {}).get("bytes_limit") if device.platform != "cpu" else None
    return int(known or SHARE * host())


@functools.cache
def host() -> int:
    """Bytes of memory of this machine, or of the container that it is."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes":
        path = pathlib.Path(name)
        text = path.read_text().strip() if path.is_file() else ""
        if text.isdigit():
            whole = min(whole, int(text))
    return whole


def choose_plan(load: Load, memory: int) -> Plan:
    """The fastest plan that fits into so many bytes."""
    fitting = [plan for plan in candidates(load) if peak(plan, load) <= memory]
    if not fitting:
        least = min(peak(plan, load) for plan in candidates(load))
        h, w = load.shape
        need = f"must be at least {readable(least)} for {w}×{h} px"
        raise ValueError(f"memory {need}, got {readable(memory)}: choose a smaller size, or Adam for L-BFGS")
    return min(fitting, key=lambda plan: cost(plan, load))


def repays(params, shape: tuple[int, int], steps: int, *, platform: str, pictures: int = 1) -> bool:
    """Whether so many steps, of pictures with this shape on each device, repay what a faster program takes to compile.

    On a CPU each picture by itself: it is computed alike alone and among others.
    """
    if platform == "tpu":
        return pictures * steps * math.prod(shape) >= POSITIONS_REPAID
    kernels = {name: layer["kernel"].shape for name, layer in params.items() if name.startswith("conv")}
    each = {name: math.prod(k) for name, k in kernels.items() if convolutions.way(*k[2:])}
    most = max((count / vgg19.stride(name) ** 2 for name, count in each.items()), default=0)
    return steps * math.prod(shape) * most >= REPAID


def smaller(plan: Plan, load: Load) -> Plan:
    """The fastest plan whose steps take at most three quarters of what this one's were to take, and did not find.

    Where there is none, the one that takes least.
    """
    less = [other for other in candidates(load) if step(other, load) < step(plan, load)]
    fitting = [other for other in less if step(other, load) <= 0.75 * step(plan, load)]
    fitting = fitting or sorted(less, key=lambda other: step(other, load))[:1]
    if not fitting:
        h, w = load.shape
        raise ValueError(f"memory must be enough for {w}×{h} px, got too little even for {plan}: choose a smaller size")
    return min(fitting, key=lambda plan: cost(plan, load))._replace(direct=plan.direct)


def candidates(load: Load) -> Iterator[Plan]:
    """Every plan that a picture allows."""
    yield from (Plan(again) for again in (0, *AGAIN))
    smallest = tiles.smallest_window(load.layers, convs=vgg19.shape_of(load.params)[1])
    for size in sorted({*WINDOWS, smallest}):
        if smallest <= size < max(load.shape):
            yield Plan(window=size)
            if load.content:
                yield Plan(window=size, recomputed=True)


def cost(plan: Plan, load: Load) -> float:
    """Convolutions of a step, in those of the whole picture's: one pass forward, and one back that costs as much."""
    widths, convs = vgg19.shape_of(load.params)
    work = [n * width * width / 4**block for block, (n, width) in enumerate(zip(convs, widths, strict=True))]
    if not plan.window:
        return 1 + sum(work[: plan.again]) / sum(work) / 2
    passes = 2.5 if plan.recomputed else 1.5  # maps made again are made in each of two passes
    return passes * _windows(plan, load) / math.prod(load.shape)


def _windows(plan, load) -> int:
    """Pixels of all windows together."""
    found = tiles.grid(load.params, load.shape, plan.window, load.layers)
    return math.prod(found.shape) * len(found.rows) * len(found.columns)


def peak(plan: Plan, load: Load) -> int:
    """Bytes of a whole run at its peak: the network, what is held, targets, and a step's own buffers."""
    network = sum(4 * math.prod(leaf.shape) for leaf in jax.tree.leaves(load.params))
    pixels = math.prod(load.shape)
    kept = 3 if plan.recomputed else sum(_floats(layer, load) for layer in load.content)
    guides = load.guided * sum(vgg19.stride(layer) ** -2 for layer in {*load.style, *load.neighbours})
    once = network + load.held + 4 * pixels * (kept + guides) + step(plan, load)
    return int(once + (_beside(plan, load) if load.platform == "cpu" else 0))


def _beside(plan, load) -> float:
    """Bytes of a host's process that are in none of XLA's buffers, and what it makes of kernels."""
    widths, _ = vgg19.shape_of(load.params)
    maps = 4 * widths[0] * math.prod(_area(plan, load))
    return PROCESS + vgg19.bytes_made(load.params) + (SCRATCH * maps if load.neighbours else 0)


def step(plan: Plan, load: Load) -> float:
    """Bytes of the buffers of one step of one picture."""
    widths, _ = vgg19.shape_of(load.params)
    pixels = math.prod(load.shape)
    of = _area(plan, load) if plan.window else None
    moments = MATRICES * sum(widths[_block(layer) - 1] ** 2 for layer in load.style)
    besides, least, share = ROOTED if load.rooted and not of else (BESIDES, LEAST, REGIONAL)
    regional = share * max(0, load.guided - 1) * sum(_floats(layer, load) for layer in load.style)
    columns = losses.aligned(load.neighbours)  # and what each of their positions keeps to, as large
    sought = NEAREST[bool(of)] * max(1, load.guided) * sum(_floats(k, load) for k in (*load.neighbours, *columns))
    channels = sum(_channels(layer, load) for layer in load.neighbours)
    known = neighbours.ROWS * (2 * neighbours.BLOCK + 3 * channels) if load.neighbours else 0  # a block, the features
    each = max(_kept(plan.again, load) + besides * widths[0], least * widths[0]) + regional + sought
    known += sum(min(neighbours.MOST, pixels // 16) * _channels(layer, load) for layer in columns)
    held = 4 * (moments + known + each * math.prod(of or load.shape) + (3 * IMAGES * pixels if of else 0))
    return held * (TPU.get(load.dtype, TPU[None]) if load.platform == "tpu" else 1)


def _area(plan, load) -> tuple[int, int]:
    """Rows and columns that are computed at once."""
    return tiles.grid(load.params, load.shape, plan.window, load.layers).shape if plan.window else load.shape


def _kept(again: int, load: Load) -> float:
    """Floats to a pixel of the maps that a gradient needs, to the deepest layer."""
    _, convs = vgg19.shape_of(load.params)
    names = vgg19.layers_of(convs)
    asked = {vgg19.canonical(layer, convs=convs) for layer in vgg19.parts_of(load.layers, convs=convs)}
    deepest = max((names.index(layer) for layer in asked), default=0)
    used = [name for name in names[: deepest + 1] if name.startswith("relu")]
    return sum(_floats(name, load) for name in used if _block(name) > again or name in asked)


def _floats(layer: str, load: Load) -> float:
    """Floats of a map to a pixel of the picture."""
    return _channels(layer, load) / vgg19.stride(layer) ** 2


def _channels(layer: str, load: Load) -> int:
    widths, convs = vgg19.shape_of(load.params)
    return sum(widths[_block(part) - 1] for part in vgg19.parts_of([layer], convs=convs))


def _block(layer: str) -> int:
    return int("".join(c for c in layer if c.isdigit())[0])


def readable(count: float) -> str:
    """Bytes for a person: 4.2 GB."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
