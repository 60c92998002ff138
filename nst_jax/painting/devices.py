"""Many devices: the runs of a batch over the axis `data` of a mesh, the rows of each image over `space`.

XLA cuts the network along the rows and fetches what a convolution needs of a neighbour's. It does so only for shares
of equal length that pooling halves evenly; a picture of another height gets rows below, which the network keeps at
zero, so that they count for nothing. A device holds its rows' features and nobody else's.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from nst_jax.network import vgg19
from nst_jax.objective import losses
from nst_jax.objective.losses import Guides, Loss, Spatial, Summary, Targets

AXES = ("data", "space")
FEWEST = 64  # rows of a device's share that are worth it: the deepest layers' halos are as large as smaller ones


# Processes


def joined(
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


def first() -> bool:
    """Whether this process is the one that writes files and says how it goes."""
    return jax.process_index() == 0


# Meshes


def made(*, data: int = 1, space: int = 1) -> Mesh:
    """A mesh of all devices, those of every process."""
    count = len(jax.devices())
    if data * space != count:
        got = f"data={data} × space={space} = {data * space}"
        raise ValueError(f"mesh must have as many places as there are devices, {count}, got {got}: {remedy(count)}")
    return jax.make_mesh((data, space), AXES, axis_types=(AxisType.Auto,) * 2)


def remedy(count: int) -> str:
    """What to write for this many devices."""
    return f"write data={count} for a batch, space={count} for one picture"


def automatic(*, runs: int = 1, height: int | None = None) -> Mesh:
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


def placed(tree, mesh: Mesh, *, batched: bool = False):
    """Arrays on a mesh: the runs of a batch over `data`, rows of images over `space` where the shares are equal."""
    return _moved(jax.tree.map(lambda leaf: NamedSharding(mesh, _spec(leaf, mesh, batched)), tree))(tree)


def _spec(leaf, mesh, batched):
    shape = jnp.shape(leaf)
    spec: list[str | None] = [None] * len(shape)
    if len(shape) >= 3 + batched and shape[-1] == 3 and shape[-3] % mesh.shape["space"] == 0:
        spec[-3] = "space"
    if batched:
        spec[0] = "data"
    return P(*spec)


def collected(tree, mesh: Mesh):
    """Arrays as NumPy has them, whole, in every process; each of them must ask for it."""
    here = _moved(jax.tree.map(lambda _: NamedSharding(mesh, P()), tree))(tree)
    return jax.tree.map(np.asarray, here)


def _moved(shardings):
    leaves, structure = jax.tree.flatten(shardings)
    return _mover(structure, tuple(leaves))


@functools.cache
def _mover(structure, leaves):
    return jax.jit(lambda tree: tree, out_shardings=jax.tree.unflatten(structure, leaves))


# Steps


def mapped(step, in_axes, mesh: Mesh):
    """`jax.vmap(step, in_axes)` whose runs are spread over `data`, as many on each device; axes are 0 or None.

    Where each run has one device, they wait for nobody: the loop of a line search ends when it may. Where several
    devices share a run, all must go round as often, since what they tell each other inside is one program's.
    """
    if mesh.shape["space"] > 1:
        return jax.vmap(step, in_axes, spmd_axis_name="data")
    specs = jax.tree.map(lambda axis: P() if axis is None else P("data"), in_axes, is_leaf=_shared)
    own = functools.partial(_own, step, in_axes)
    return jax.shard_map(own, mesh=mesh, in_specs=specs, out_specs=P("data"), check_vma=False)


def _shared(axis):
    return axis is None


def _own(step, in_axes, *args):
    """A device's own runs; a single one is not mapped: both sides of its branches would be computed."""
    batched = jax.tree.map(lambda axis: axis is not None, in_axes, is_leaf=_shared)
    batched = jax.tree.leaves(jax.tree.broadcast(batched, args))
    leaves, structure = jax.tree.flatten(args)
    pairs = list(zip(leaves, batched, strict=True))
    if any(own and len(leaf) > 1 for leaf, own in pairs):
        return jax.vmap(step, in_axes)(*args)
    alone = jax.tree.unflatten(structure, [leaf[0] if own else leaf for leaf, own in pairs])
    return jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], step(*alone))


# Losses


@functools.cache
def sharded(loss: Loss, mesh: Mesh) -> Loss:
    """The same loss, the rows of its images over `space`; other wrappers of losses go around this one."""
    if mesh.shape["space"] == 1:
        return loss
    return Loss(functools.partial(_prepare, loss, mesh), functools.partial(_summarise, loss, mesh), loss.terms)


def _prepare(loss, mesh, params, picture, regions, weights) -> Targets:
    picture = jnp.asarray(picture)
    rows = _Rows(mesh, picture.shape[0], weights.content)
    only = weights._replace(style={})
    found = loss.prepare(rows.params(params), rows.image(picture), (), only).spatial.content
    summarise = functools.partial(_summarise, loss, mesh)
    measured = losses.blended(regions, lambda style: losses.summed(summarise, params, style, weights.style))
    guides = losses.guides(regions, picture.shape[:2], weights.style)
    return Targets(Spatial(found, guides), measured)


def _summarise(loss, mesh, params, image, spatial, weights) -> Summary:
    rows = _Rows(mesh, image.shape[0], (*weights.content, *weights.style))
    content = {layer: rows.map(f, layer) for layer, f in spatial.content.items()}
    known = spatial.guides
    guides = Guides(rows.guides(known.content), rows.guides(known.style), known.variation)
    if rows.tall == rows.height:
        return loss.summarise(params, rows.image(image), Spatial(content, guides), weights)
    tall = Spatial(content, guides._replace(variation=None))
    summary = loss.summarise(rows.params(params), rows.image(image), tall, weights)
    low = weights._replace(content={}, style={})  # neighbours differ at the true border: of three channels, so anywhere
    rough = loss.summarise(params, image, Spatial({}, Guides(variation=known.variation)), low).variation
    return _counted(summary._replace(variation=rough), rows, image.shape[1], known, content)


def _counted(summary, rows, width, known, content) -> Summary:
    """A summary that counts only true positions where no guide has counted them."""

    def positions(layer):
        return rows.of(layer, rows.height) * (width // vgg19.stride(layer))

    errors, moments = summary.content, summary.style
    if known.content is None:
        numbers = {layer: positions(layer) * content[layer].shape[-1] for layer in errors}
        errors = {layer: e._replace(count=jnp.full_like(e.count, numbers[layer])) for layer, e in errors.items()}
    if known.style is None:
        moments = {layer: m._replace(count=jnp.full_like(m.count, positions(layer))) for layer, m in moments.items()}
    return summary._replace(content=errors, style=moments)


class _Rows:
    """How images of a height are cut: into shares that every pooling halves, rows being added below for that."""

    def __init__(self, mesh, height, layers):
        self.mesh, self.height = mesh, height
        unit = mesh.shape["space"] * max(map(vgg19.stride, layers), default=1)
        self.tall = math.ceil(height / unit) * unit

    def of(self, layer, height):
        return height // vgg19.stride(layer)

    def params(self, params):
        """Parameters that tell the network where the picture ends."""
        return {**params, "input": {**params["input"], "height": self.height}}

    def image(self, image):
        return self._spread(jnp.pad(image, ((0, self.tall - self.height), (0, 0), (0, 0)), mode="edge"), 0)

    def map(self, f, layer):
        """A layer's map with rows of zeros below, unless it has them."""
        return self._spread(self._lengthened(f, layer, 0), 0)

    def guides(self, guides):
        if guides is None:
            return None
        return {layer: self._spread(self._lengthened(g, layer, g.ndim - 2), g.ndim - 2) for layer, g in guides.items()}

    def _lengthened(self, a, layer, axis):
        below = [(0, 0)] * a.ndim
        below[axis] = (0, self.of(layer, self.tall) - a.shape[axis])
        return jnp.pad(a, below)

    def _spread(self, a, axis):
        spec = P(*[None] * axis, "space")
        inside = jax.sharding.get_abstract_mesh().axis_names  # of a step that is mapped: its mesh is meant then
        return lax.with_sharding_constraint(a, spec if inside else NamedSharding(self.mesh, spec))
