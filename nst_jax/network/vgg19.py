"""VGG19 as pure functions of a plain dict of parameters.

Images are [h, w, 3] float32 RGB in [0, 1]; the network's own input convention (mean, std) travels with its parameters
and is applied inside `features`, after which every convolution pads with zeros, as the published network does. Layers'
names and weight files, which have modules of their own, can be had from here too.
"""

import functools
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import DTypeLike

from nst_jax.ground.choices import choose
from nst_jax.ground.once import once
from nst_jax.network import convolutions, strips
from nst_jax.network.convolutions import STRIPS
from nst_jax.network.files import activations as activations
from nst_jax.network.files import bundled_path as bundled_path
from nst_jax.network.files import cache_path as cache_path
from nst_jax.network.files import fast_path as fast_path
from nst_jax.network.files import find as find
from nst_jax.network.files import info as info
from nst_jax.network.files import read as read
from nst_jax.network.files import save as save
from nst_jax.network.layers import COLUMNS as COLUMNS
from nst_jax.network.layers import CONVS as CONVS
from nst_jax.network.layers import MEAN as MEAN
from nst_jax.network.layers import STD as STD
from nst_jax.network.layers import WIDTHS as WIDTHS
from nst_jax.network.layers import Activation as Activation
from nst_jax.network.layers import Activations as Activations
from nst_jax.network.layers import Params as Params
from nst_jax.network.layers import canonical as canonical
from nst_jax.network.layers import channels_at_stride as channels_at_stride
from nst_jax.network.layers import layers_of as layers_of
from nst_jax.network.layers import layers_of_block, own_shape
from nst_jax.network.layers import nearest as nearest
from nst_jax.network.layers import parts_of as parts_of
from nst_jax.network.layers import reach as reach
from nst_jax.network.layers import shape_of as shape_of
from nst_jax.network.layers import stride as stride
from nst_jax.network.layers import taps as taps


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def conv(x, kernel, made=None, strips=STRIPS):
    """3 × 3 convolution, its gradient by x one too: in a loop on CPU, three times as fast as autodiff's.

    `made` is what `ready` has made of the kernel, None for nothing; `strips`, how many a TPU makes of the map.
    """
    way = _way_of(x, kernel, made)
    return convolutions.plain(x, kernel, strips=strips) if way is None else way.forward(x, made)


def _conv_backward(strips, saved, g):
    x, kernel, made = saved
    way = _way_of(g, kernel, made)
    dx = convolutions.plain(g, _turned_once(kernel), strips=strips) if way is None else way.backward(g, made)
    (dkernel,) = jax.vjp(lambda k: convolutions.convolve(x, k), kernel)[1](g)  # dropped, unless a network is trained
    return dx, dkernel, jax.tree.map(jnp.zeros_like, made)


conv.defvjp(lambda x, kernel, made, strips: (conv(x, kernel, made, strips), (x, kernel, made)), _conv_backward)


def _way_of(x, kernel, made) -> convolutions.Way | None:
    """How a map, or its gradient, is convolved by what was made of a kernel."""
    way = convolutions.way(*kernel.shape[2:]) if made and x.dtype == jnp.float32 else None
    return way if way and x.shape[1] >= way.least else None


def _turned_once(kernel):
    """The kernel of the gradient, within limits that it never meets: in a loop XLA turns again what it only moves.

    A TPU's convolution reads a kernel in any order.
    """
    most = jnp.finfo(kernel.dtype).max
    within = lambda kernel: lax.clamp(-most, convolutions.turned(kernel), most)  # noqa: E731
    return lax.platform_dependent(kernel, tpu=convolutions.turned, default=within)


def _pool_pairs(x, combine):
    """2 × 2 pooling by pairs over a reshape, an odd last row or column left out: [n, h, w, c] -> [n, h//2, w//2, c]."""
    n, h, w, c = x.shape
    x = x[:, : h // 2 * 2, : w // 2 * 2].reshape(n, h // 2, 2, w // 2, 2, c)
    x = combine(x[:, :, 0], x[:, :, 1])
    return combine(x[:, :, :, 0], x[:, :, :, 1])


def _pool_windows(x, count, start, combine):
    """The same by windows, over strips of rows where convolutions are."""
    n, h, w, c = x.shape
    parts = convolutions.in_strips(x, count) if n == 1 and h % (2 * count) == 0 else x
    return lax.reduce_window(parts, start, combine, (1, 2, 2, 1), (1, 2, 2, 1), "VALID").reshape(n, h // 2, w // 2, c)


def _by_platform(tpu, default) -> Any:
    """A function of a map with one way for TPUs, by strips, and one for all else, its gradient too."""

    @functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
    def run(x, strips=STRIPS):
        return lax.platform_dependent(x, tpu=lambda x: tpu(x, strips), default=default)

    def backward(strips, x, g):
        return lax.platform_dependent(
            x,
            g,
            tpu=lambda x, g: jax.vjp(lambda x: tpu(x, strips), x)[1](g),
            default=lambda x, g: jax.vjp(default, x)[1](g),
        )

    run.defvjp(lambda x, strips: (run(x, strips), x), backward)
    return run


_pool_maximum = _by_platform(
    functools.partial(_pool_windows, start=-jnp.inf, combine=lax.max),
    functools.partial(_pool_pairs, combine=jnp.maximum),
)
_pool_average = _by_platform(
    lambda x, count: _pool_windows(x, count, 0.0, lax.add) / 4,
    functools.partial(_pool_pairs, combine=lambda a, b: (a + b) / 2),
)


def _pool_root(x):
    return jnp.sqrt(jnp.maximum(_pool_pairs(x * x, jnp.add), 1e-12))  # a root has no slope at zero


POOLS = {
    "max": _pool_maximum,
    "average": _pool_average,
    # These two at the magnitude of "max", so that the balance of layers stays: constants of style-transfer-pytorch
    "scaled-average": lambda x, strips=STRIPS: 2.0 * _pool_average(x, strips),
    "l2": lambda x, strips=STRIPS: 0.78 * _pool_root(x),
}


def _pad_by_edge(convolve):
    """Convolution of the edge-replicated image: zeros around a mean-free image would look like a frame."""

    def convolve_image(x, *kernel):
        x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
        return convolve(x, *kernel)[:, 1:-1, 1:-1]

    return convolve_image


PADDINGS = {"zeros": lambda convolve: convolve, "replicate": _pad_by_edge}
"""How the first convolution sees the image's border; all others pad with zeros."""


def _zero_below(x, height):
    """A map whose rows from `height` on are zero, as if the picture ended there; None for all of it."""
    return x if height is None else jnp.where((jnp.arange(x.shape[1]) < height)[None, :, None, None], x, 0)


class Block(nn.Module):
    """Convolutions and the pooling after them, as far as the maps wanted: [1, h, w, c] -> {name: map}."""

    number: int
    widths: tuple[int, ...]  # of each convolution
    pool: Any
    convolve: Any  # the first convolution, and the others
    wanted: frozenset[str]
    height: int | None = None

    @nn.compact
    def __call__(self, x):
        out = {}
        for i, width in enumerate(self.widths, 1):
            name, convolve = f"{self.number}_{i}", self.convolve[i > 1]
            made = self.get_variable("made", f"conv{name}")
            as_jax = lambda x, kernel, *_, how=(convolve, made), **__: how[0](x, kernel, how[1])  # noqa: E731
            one = nn.Conv(width, (3, 3), name=f"conv{name}", dtype=x.dtype, conv_general_dilated=as_jax)
            x = _zero_below(one(x), self.height)
            out[f"conv{name}"] = x
            x = out[f"relu{name}"] = nn.relu(x)
            if self.wanted <= out.keys():
                break
        else:
            out[f"pool{self.number}"] = _zero_below(self.pool(x), self.height and self.height // 2)
        return {name: out[name] for name in self.wanted}


def init(key, *, widths: tuple[int, ...] = WIDTHS, convs: tuple[int, ...] = CONVS) -> Params:
    """Random parameters of a network of this shape; narrow ones make tests fast."""
    params: dict = {"input": {"mean": jnp.array(MEAN), "std": jnp.array(STD)}}
    channels = 3
    for block, (n, width) in enumerate(zip(convs, widths, strict=True), 1):
        module = Block(block, (width,) * n, POOLS["max"], (conv, conv), frozenset([f"relu{block}_{n}"]))
        params |= module.init(jax.random.fold_in(key, block), jnp.zeros((1, 1, 1, channels)))["params"]
        channels = width
    return params


def load(path=None) -> Params:
    """Parameters of a file that `save` wrote, in float32; without a path, of the one that `find` finds."""
    return jax.device_put(read(path))  # `jnp.asarray` compiles a program for each shape


def ready(params: Params, layers: Iterable[str]) -> Params:
    """Parameters with sums of kernels, made once, that let a CPU take these layers' maps sooner.

    They are for painting alone: the sums stay as they are when a kernel is changed, so make them last. Elsewhere than
    on a CPU, the parameters.
    """
    if jax.default_backend() != "cpu":
        return params
    names, made = layers_of(own_shape(params)[1]), {}
    parts = parts_of(layers, convs=shape_of(params)[1])
    deepest = max((names.index(own) for name in parts for own in _own_maps(params, nearest(params, name))), default=0)
    for name in (name for name in names[: deepest + 1] if name.startswith("conv")):
        kernel = np.asarray(params[name]["kernel"])
        if kernel.dtype == np.float32 and (way := convolutions.way(*kernel.shape[2:])):
            made[name] = way.prepare(kernel)
    return {**params, "made": jax.device_put(made)}


def bytes_made(params: Params) -> int:
    """Bytes of what `ready` makes at most: on CPUs, of kernels in float32, sixteen sums for nine."""
    kernels = [layer["kernel"].shape for name, layer in params.items() if name.startswith("conv")]
    large = sum(4 * math.prod(shape) for shape in kernels if convolutions.way(*shape[2:]))
    return large * 16 // 9 if jax.default_backend() == "cpu" else 0


def features(
    params: Params,
    image,
    layers: Iterable[str],
    *,
    pool: str = "max",
    padding: str = "zeros",
    dtype: DTypeLike | None = None,
    recompute: int = 0,
    spread: int = 1,
) -> dict[str, Array]:
    """Maps of the layers asked for, nothing deeper computed: [h, w, 3] -> {layer: [h', w', c]}.

    `dtype` is what the convolutions compute in (bfloat16, say), None the image's own. The first `recompute` blocks are
    computed again on the way back: VGG19's first holds a quarter of what a gradient needs, for a twentieth of the work.
    `spread` is over how many devices a map's rows lie, each of which takes its own in strips where it is a TPU.
    """
    image, layers = _check_image(image), tuple(layers)
    names = {layer: nearest(params, layer) for layer in parts_of(layers, convs=shape_of(params)[1])}
    deepest = max(map(stride, names.values()), default=1)
    if min(params["input"].get("height", image.shape[0]), image.shape[1]) < deepest:
        raise ValueError(
            f"image must be at least {deepest} px for {', '.join(names)}, got {list(image.shape)}: enlarge it"
        )
    mean, std = (jnp.asarray(params["input"][k], image.dtype)[None, None] for k in ("mean", "std"))
    x = ((image - mean) / std)[None].astype(dtype or image.dtype)
    if padding == "zeros":
        x = _zero_below(x, params["input"].get("height"))
    wanted = {own for name in names.values() for own in _own_maps(params, name)}
    maps = _compute_maps(params, x, wanted, _ways(pool, padding, STRIPS * spread), recompute)
    found = {layer: _map_of(params, name, maps) for layer, name in names.items()}
    if COLUMNS in layers:
        shape = image.shape[0] // 4, image.shape[1] // 4
        parts = {layer: found[layer] for layer in parts_of([COLUMNS], convs=shape_of(params)[1])}
        found[COLUMNS] = _columns(parts, shape, params["input"].get("height"))
    return {layer: found[layer] for layer in layers}


def _columns(maps, shape, height):
    """Maps beside each other at stride 4, each over its number of channels: {layer: [h, w, c]} -> [h', w', Σc]."""

    def at_stride_4(layer, f):
        k, f = 4 // stride(layer), f / f.shape[-1]
        if k:  # the mean of k × k positions
            return f[: k * shape[0], : k * shape[1]].reshape(shape[0], k, shape[1], k, -1).mean((1, 3))
        if height is not None:  # rows below the picture are zero, and count for what lies at its end
            end = (jnp.arange(len(f)) == height // stride(layer))[:, None, None]
            f = jnp.where(end, jnp.roll(f, 1, 0), f)
        return _doubled(_doubled(f, 0, shape[0]), 1, shape[1])

    found = jnp.concatenate([at_stride_4(layer, f) for layer, f in maps.items()], -1)
    return _zero_below(found[None], height and height // 4)[0]


def _doubled(f, axis, length):
    """A map twice as long, its positions mixed linearly, the ends repeated; one longer where pooling left one out."""
    f = jnp.moveaxis(f, axis, 0)
    before, after = jnp.concatenate([f[:1], f[:-1]]), jnp.concatenate([f[1:], f[-1:]])
    each = jnp.stack([0.25 * before + 0.75 * f, 0.75 * f + 0.25 * after], 1).reshape(-1, *f.shape[1:])
    return jnp.moveaxis(jnp.pad(each, ((0, length - len(each)), (0, 0), (0, 0)), mode="edge"), 0, axis)


def _check_image(image):
    image = jnp.asarray(image)
    if image.ndim != 3 or image.shape[-1] != 3:
        raise ValueError(f"image must be [h, w, 3], got {list(image.shape)}: batch with jax.vmap")
    if not jnp.issubdtype(image.dtype, jnp.floating):
        raise ValueError(f"image must be floats in [0, 1], got {image.dtype}: divide by its white")
    return image


def _own_maps(params, name):
    """The network's own maps that its map for a layer is made of: that layer's, or a tap's."""
    return list(params[name]) if name in taps(params) else [name]


def _map_of(params, name, maps):
    """The network's map for a layer: [h, w, k]; a tap multiplies in two dimensions, which has a faster gradient."""
    if name not in taps(params):
        return maps[name][0]
    each = {own: maps[own][0] for own in params[name]}
    flat = [f.reshape(-1, f.shape[-1]) @ params[name][own].astype(f.dtype) for own, f in each.items()]
    h, w, _ = next(iter(each.values())).shape
    return sum(flat[1:], flat[0]).reshape(h, w, -1)


class _Ways(NamedTuple):
    """How maps are convolved and pooled: the first one, on TPUs in pairs of strips too, and all others."""

    first: Any
    packed: Any
    others: Any
    pool: Any
    strips: int


def _ways(pool, padding, count) -> _Ways:
    pooled, others = choose("pool", pool, POOLS), functools.partial(conv, strips=count)
    first = choose("padding", padding, PADDINGS)(others)
    return _Ways(first, strips.FIRSTS[padding], others, functools.partial(pooled, strips=count), count)


def _compute_maps(params, x: Any, wanted, ways: _Ways, recompute) -> dict[str, Array]:
    """The maps wanted, block by block: [1, h, w, 3] -> {name: [1, h', w', c]}."""
    maps: dict[str, Any] = {}
    height = params["input"].get("height")
    for block, n in enumerate(own_shape(params)[1], 1):
        if wanted <= maps.keys():
            break
        known = layers_of_block(block, n)
        here = wanted & {*known}
        further = {known[-1]} if wanted - maps.keys() - here else set()
        convs = {name: params[name] for name in (f"conv{block}_{i}" for i in range(1, n + 1))}
        made = {name: kernels for name, kernels in params.get("made", {}).items() if name in convs}
        widths = tuple(layer["kernel"].shape[-1] for layer in convs.values())
        convolve = (ways.first if block == 1 else ways.others), ways.others
        module = Block(block, widths, ways.pool, convolve, frozenset(here | further), height and height >> (block - 1))
        apply = module.apply
        if block == 1 and strips.fits(x.shape, max(widths), count=ways.strips):
            apply = functools.partial(_apply_by_platform, module, ways)
        run: Any = _recompute(apply) if block <= recompute else apply
        maps |= run({"params": convs, "made": made}, x)
        x = maps.get(known[-1])
    return maps


def _apply_by_platform(module, ways, params, x):
    """The first block's maps, on a TPU by pairs of strips."""

    def by_strips(params, x):
        packed = strips.pack(x, count=ways.strips)
        convs = [*params["params"].values()]
        asked = strips.Asked(module.number, module.wanted, module.height)
        return strips.block(convs, (ways.packed, ways.pool), asked, packed)

    return lax.platform_dependent(params, x, tpu=by_strips, default=module.apply)


def _recompute(block):
    """A block whose maps are not kept for its gradient but computed again from its input.

    `jax.checkpoint` says the same; but XLA's CPU compiler sees through it and keeps them after all, unless the input
    depends on the gradient that comes back.
    """

    @jax.custom_vjp
    def run(params, x):
        return block(params, x)

    def backward(saved, g):
        params, x = saved
        late = sum((0 * leaf.ravel()[0] for leaf in jax.tree.leaves(g)), jnp.zeros((), x.dtype))
        return jax.vjp(block, params, x + late.astype(x.dtype))[1](g)

    run.defvjp(lambda params, x: (block(params, x), (params, x)), backward)
    return run


@once
def network(*, pool="max", padding="zeros", dtype: DTypeLike | None = None, recompute=0, spread=1):
    """`features` with its options bound; equal options give the same function, and so the same compiled programs."""
    choose("pool", pool, POOLS)
    choose("padding", padding, PADDINGS)
    options = {"pool": pool, "padding": padding, "dtype": dtype, "recompute": recompute, "spread": spread}
    return functools.partial(features, **options)
