"""Many devices: the runs of a batch over the axis `data` of a mesh, the rows of each image over `space`.

How a loss is computed over rows of several devices is in `nst_jax.objective.sharded`.
"""

import functools
import hashlib
import os
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from nst_jax.ground import choices

AXES = ("data", "space")
FEWEST = 64  # rows of a device's share that are worth it: the deepest layers' halos are as large as smaller ones


# Processes


def join_processes(
    *,
    coordinator: str | None = None,
    processes: int | None = None,
    process: int | None = None,
    heartbeat: int = 100,
    patience: int = 300,
) -> None:
    """Make this process one of several that share their devices, before it uses any.

    What is not given is found where JAX knows how: TPU pods, SLURM, Open MPI, Kubernetes. A process that is silent for
    `heartbeat` seconds is taken for dead, which ends all; one that doesn't come is waited for `patience` seconds.
    """
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    try:
        jax.distributed.initialize(
            coordinator,
            processes,
            process,
            heartbeat_timeout_seconds=heartbeat,
            initialization_timeout=patience,
            shutdown_timeout_seconds=heartbeat,
        )
    except ValueError as error:
        got = f"{' '.join(str(error).split())}: give the coordinator's HOST:PORT, how many processes, and which this is"
        raise ValueError(f"processes must be told of each other where nothing is found, got {got}") from None


def leave_processes() -> None:
    """Leave the others in peace: each waits here until all are done."""
    jax.distributed.shutdown()


def is_first_process() -> bool:
    """Whether this process is the one that writes files and says how it goes."""
    return jax.process_index() == 0


def are_several_processes() -> bool:
    """Whether others have been joined."""
    return jax.process_count() > 1


def check_alike(text: str, what: str) -> None:
    """Raise in every process unless all of them have the same text; each of them must ask."""
    from jax.experimental import multihost_utils

    mine = np.frombuffer(hashlib.sha256(text.encode()).digest(), np.int32)
    if (multihost_utils.process_allgather(mine).reshape(-1, mine.size) != mine).any():
        raise ValueError(f"{what} must be the same in every process, got others: keep it where all of them see it")


def available() -> list:
    """The devices that jax finds."""
    try:
        return jax.devices()
    except (RuntimeError, AssertionError) as error:  # the latter, empty, where what $JAX_PLATFORMS names is not there
        asked = os.environ.get("JAX_PLATFORMS")
        got = f"none of JAX_PLATFORMS={asked}" if asked else choices.one_line(error)
        raise ValueError(f"jax must find a device, got {got}: `nst-jax doctor` says what to do") from error


def own_precision() -> str:
    """What convolutions compute in where nobody says: a TPU multiplies in bfloat16, and has less to move in it."""
    return "bfloat16" if jax.default_backend() == "tpu" else "float32"


def describe(mesh=None) -> str:
    """The device that a run uses, or the mesh of them, in words."""
    first, *others = available()
    more = f", the first of {len(others) + 1}" if others else ""
    if mesh is not None:
        more = f", {mesh.size} of them: {', '.join(f'{axis}={n}' for axis, n in mesh.shape.items())}"
    return f"{first.platform} ({first.device_kind}{more})"


# Meshes


def make_mesh(*, data: int = 1, space: int = 1) -> Mesh:
    """A mesh of all devices, those of every process."""
    return mesh_of(jax.devices(), data=data, space=space)


def mesh_of(devices: Sequence, *, data: int = 1, space: int = 1) -> Mesh:
    """A mesh of these devices."""
    count = len(devices)
    if data * space != count:
        got = f"data={data} × space={space} = {data * space}"
        raise ValueError(
            f"mesh must have as many places as there are devices, {count}, got {got}: {_mesh_advice(count)}"
        )
    return jax.make_mesh((data, space), AXES, axis_types=(AxisType.Auto,) * 2, devices=devices)


def _mesh_advice(count: int) -> str:
    """What to write for this many devices."""
    return f"write data={count} for a batch, space={count} for one picture"


def mesh_for(*, runs: int = 1, height: int | None = None) -> Mesh:
    """The mesh for so many runs of a picture so high: runs are spread first, since they need nothing of each other."""
    devices = jax.devices()
    data = max(n for n in _divisors(len(devices)) if n <= runs)
    space = len(devices) // data
    if height is not None and jax.process_count() == 1:  # every process must have a part
        space = max(n for n in _divisors(space) if n == 1 or n * FEWEST <= height)
    return Mesh(np.asarray(devices[: data * space]).reshape(data, space), AXES, axis_types=(AxisType.Auto,) * 2)


def _divisors(n):
    return [d for d in range(1, n + 1) if n % d == 0]


# Arrays


def place(tree, mesh: Mesh, *, batched: bool = False):
    """Arrays on a mesh: the runs of a batch over `data`, rows of images over `space` where the shares are equal."""
    return _reshard(shardings(tree, mesh, batched=batched))(tree)


def shardings(tree, mesh: Mesh, *, batched: bool = False):
    """Where `place` puts arrays, or shapes of some."""
    return jax.tree.map(lambda leaf: NamedSharding(mesh, _partition(leaf, mesh, batched)), tree)


def _partition(leaf, mesh, batched):
    shape = jnp.shape(leaf)
    spec: list[str | None] = [None] * len(shape)
    if len(shape) >= 3 + batched and shape[-1] == 3 and shape[-3] % mesh.shape["space"] == 0:
        spec[-3] = "space"
    if batched:
        spec[0] = "data"
    return P(*spec)


def collect(tree, mesh: Mesh):
    """Arrays as NumPy has them, whole, in every process; each of them must ask for it."""
    here = _reshard(jax.tree.map(lambda _: NamedSharding(mesh, P()), tree))(tree)
    return jax.tree.map(np.asarray, here)


def _reshard(shardings):
    leaves, structure = jax.tree.flatten(shardings)
    return _resharding(structure, tuple(leaves))


@functools.cache
def _resharding(structure, leaves):
    return jax.jit(lambda tree: tree, out_shardings=jax.tree.unflatten(structure, leaves))


# Steps


def map_over(step, in_axes, mesh: Mesh):
    """`jax.vmap(step, in_axes)` whose runs are spread over `data`, as many on each device; axes are 0 or None.

    Where each run has one device, they wait for nobody: the loop of a line search ends when it may. Where several
    devices share a run, all must go round as often, since what they tell each other inside is one program's.
    """
    if mesh.shape["space"] > 1:
        return jax.vmap(step, in_axes, spmd_axis_name="data")
    specs = jax.tree.map(lambda axis: P() if axis is None else P("data"), in_axes, is_leaf=_is_shared)
    own = functools.partial(_step_own_runs, step, in_axes)
    return jax.shard_map(own, mesh=mesh, in_specs=specs, out_specs=P("data"), check_vma=False)


def _is_shared(axis):
    return axis is None


def _step_own_runs(step, in_axes, *args):
    """A device's own runs; a single one is not mapped: both sides of its branches would be computed."""
    batched = jax.tree.map(lambda axis: axis is not None, in_axes, is_leaf=_is_shared)
    batched = jax.tree.leaves(jax.tree.broadcast(batched, args))
    leaves, structure = jax.tree.flatten(args)
    pairs = list(zip(leaves, batched, strict=True))
    if any(own and len(leaf) > 1 for leaf, own in pairs):
        return jax.vmap(step, in_axes)(*args)
    alone = jax.tree.unflatten(structure, [leaf[0] if own else leaf for leaf, own in pairs])
    return jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], step(*alone))
