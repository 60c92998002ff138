"""VGG19 as pure functions of a plain dict of parameters.

Images are [h, w, 3] float32 RGB in [0, 1]; the network's own input convention (mean, std) travels with its parameters
and is applied inside `features`, after which every convolution pads with zeros, as the published network does.
"""

import contextlib
import difflib
import functools
import hashlib
import os
import pathlib
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import h5py
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import DTypeLike

from nst_jax.network import convolutions

Params = Mapping[str, Mapping[str, Any]]
"""{"conv1_1": {"kernel": [3, 3, 3, 64], "bias": [64]}, …, "input": {"mean": [3], "std": [3]}}

`input` may also say where a picture ends whose last row was repeated below it: {"height": int}. Maps are zero there.
A network that stands for VGG19 also has taps, {"relu4_1": {"pool3": [c, k], "relu4_1": [d, k]}, …}: what it answers for
a layer of VGG19's is the sum of its own maps named there, each times its matrix.
"""


class Activation(NamedTuple):
    """What a layer's channels give over natural pictures: mean [c] and mean square [c]."""

    mean: Any
    square: Any


Activations = Mapping[str, Activation]

WIDTHS = (64, 128, 256, 512, 512)
CONVS = (2, 2, 4, 4, 4)
MEAN = (123.68 / 255, 116.779 / 255, 103.939 / 255)  # the Caffe network's mean colour, which Keras keeps
STD = (1 / 255, 1 / 255, 1 / 255)


def _convolution(correlate):
    """A convolution whose gradient by x is one too: in a loop on CPU, three times as fast as autodiff's."""

    @jax.custom_vjp
    def convolve(x, kernel):
        return correlate(x, kernel)

    def backward(saved, g):
        x, kernel = saved
        dx = correlate(g, jnp.flip(kernel, (0, 1)).swapaxes(2, 3))
        (dkernel,) = jax.vjp(lambda k: convolutions.plain(x, k), kernel)[1](g)  # dropped, unless a network is trained
        return dx, dkernel

    convolve.defvjp(lambda x, kernel: (correlate(x, kernel), (x, kernel)), backward)
    return convolve


conv = _convolution(convolutions.correlate)
CONVOLUTIONS = {"winograd": conv, "direct": _convolution(convolutions.direct)}
"""What a 3 × 3 convolution is on a CPU: the direct one is slower, but compiles in a third of the time."""


def _pairs(x, combine):
    """2 × 2 pooling by pairs over a reshape, an odd last row or column left out: [n, h, w, c] -> [n, h//2, w//2, c]."""
    n, h, w, c = x.shape
    x = x[:, : h // 2 * 2, : w // 2 * 2].reshape(n, h // 2, 2, w // 2, 2, c)
    x = combine(x[:, :, 0], x[:, :, 1])
    return combine(x[:, :, :, 0], x[:, :, :, 1])


def _rooted(x):
    return jnp.sqrt(jnp.maximum(_pairs(x * x, jnp.add), 1e-12))  # a root has no slope at zero


_average = functools.partial(_pairs, combine=lambda a, b: (a + b) / 2)

POOLS = {
    "max": functools.partial(_pairs, combine=jnp.maximum),
    "average": _average,
    # These two at the magnitude of "max", so that the balance of layers stays: constants of style-transfer-pytorch
    "scaled-average": lambda x: 2.0 * _average(x),
    "l2": lambda x: 0.78 * _rooted(x),
}


def _replicating(convolve):
    """Convolution of the edge-replicated image: zeros around a mean-free image would look like a frame."""

    def first(x, kernel):
        x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
        return convolve(x, kernel)[:, 1:-1, 1:-1]

    return first


PADDINGS = {"zeros": lambda convolve: convolve, "replicate": _replicating}
"""How the first convolution sees the image's border; all others pad with zeros."""


def _ended(x, height):
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
            as_jax = lambda x, kernel, *_, convolve=convolve, **__: convolve(x, kernel)  # noqa: E731
            one = nn.Conv(width, (3, 3), name=f"conv{name}", dtype=x.dtype, conv_general_dilated=as_jax)
            x = _ended(one(x), self.height)
            out[f"conv{name}"] = x
            x = out[f"relu{name}"] = nn.relu(x)
            if self.wanted <= out.keys():
                break
        else:
            out[f"pool{self.number}"] = _ended(self.pool(x), self.height and self.height // 2)
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


def shape_of(params: Params) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(widths, convolutions per block) of the network that these parameters are, or, where they have taps, stand for.

    A network with taps answers in VGG19's units for all of its layers: losses and recipes know no other shape.
    """
    return (WIDTHS, CONVS) if taps(params) else _shape(params)


def taps(params: Params) -> list[str]:
    """Layers of VGG19's that this network answers for in VGG19's units; none of a network that stands for itself."""
    return [name for name in params if name.startswith("relu")]


def own(params: Params, step: int) -> dict[str, int]:
    """Channels of the maps that a network itself has at this stride, by name, whatever it stands for."""
    found, width = {}, 0
    for name in layers_of(_shape(params)[1]):
        if name.startswith("conv"):
            width = params[name]["kernel"].shape[-1]
        elif stride(name) == step:
            found[name] = width
    return found


def nearest(params: Params, layer: str) -> str:
    """The map that answers for a layer: itself, or in a network with taps the nearest one of the same stride."""
    name, ours = canonical(layer, convs=shape_of(params)[1]), taps(params)
    if not ours:
        return name
    known = layers_of()
    near = [tap for tap in ours if stride(tap) == stride(name)]
    if not near:
        raise ValueError(f"layer must be of the stride of one of {', '.join(ours)}, got {layer}: take VGG19 itself")
    return min(near, key=lambda tap: (abs(known.index(tap) - known.index(name)), -known.index(tap)))


def _shape(params):
    names = [name for name in params if name.startswith("conv")]
    blocks = max(int(name[4:].split("_")[0]) for name in names)
    convs = tuple(sum(name.startswith(f"conv{b}_") for name in names) for b in range(1, blocks + 1))
    return tuple(params[f"conv{b}_1"]["kernel"].shape[-1] for b in range(1, blocks + 1)), convs


def layers_of(convs: tuple[int, ...] = CONVS) -> list[str]:
    """Names of all maps in the order in which the network computes them."""
    return [name for block, n in enumerate(convs, 1) for name in _layers_of_block(block, n)]


def _layers_of_block(block, n):
    return [f"{kind}{block}_{i}" for i in range(1, n + 1) for kind in ("conv", "relu")] + [f"pool{block}"]


def canonical(layer: str, *, convs: tuple[int, ...] = CONVS) -> str:
    """Our name of a layer: Keras' `block4_conv2`, which includes the ReLU, is `relu4_2`, `block4_pool` is `pool4`."""
    known = layers_of(convs)
    keras = {f"block{n[4:].replace('_', '_conv')}": n for n in known if n.startswith("relu")}
    keras |= {f"block{n[4:]}_pool": n for n in known if n.startswith("pool")}
    name = keras.get(layer, layer)
    if name not in known:
        close = difflib.get_close_matches(layer, [*known, *keras], 1, 0.5)
        hint = f"did you mean {close[0]}?" if close else f"names run from {known[0]} to {known[-1]}."
        raise ValueError(f"layer must be one of the network's {len(known)} maps, got {layer!r}: {hint}")
    return name


def stride(layer: str) -> int:
    """Image pixels to one position of a layer, along each axis."""
    block = int(re.sub(r"\D*(\d+).*", r"\1", layer))
    return 2**block if "pool" in layer else 2 ** (block - 1)


def reach(layer: str, *, convs: tuple[int, ...] = CONVS) -> int:
    """How many pixels beyond its own a position of a layer sees, on each side."""
    names = layers_of(convs)
    before = names[: names.index(canonical(layer, convs=convs)) + 1]
    return sum(stride(name) for name in before if name.startswith("conv"))


def _again(block):
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


def features(
    params: Params,
    image,
    layers: Iterable[str],
    *,
    pool: str = "max",
    padding: str = "zeros",
    dtype: DTypeLike | None = None,
    again: int = 0,
    convolution: str = "winograd",
) -> dict[str, Array]:
    """Maps of the layers asked for, nothing deeper computed: [h, w, 3] -> {layer: [h', w', c]}.

    `dtype` is what the convolutions compute in (bfloat16, say), None the image's own. The first `again` blocks are
    computed again on the way back: VGG19's first holds a quarter of what a gradient needs, for a twentieth of the work.
    `convolution` says how 3 × 3 kernels are computed on a CPU, with equal maps but for rounding.
    """
    image = _image(image)
    others = choice("convolution", convolution, CONVOLUTIONS)
    convolve = choice("padding", padding, PADDINGS)(others), others
    names = {layer: nearest(params, layer) for layer in layers}
    deepest = max(map(stride, names.values()), default=1)
    if min(image.shape[:2]) < deepest:
        raise ValueError(
            f"image must be at least {deepest} px for {', '.join(names)}, got {list(image.shape)}: enlarge it"
        )
    mean, std = (jnp.asarray(params["input"][k], image.dtype)[None, None] for k in ("mean", "std"))
    x = ((image - mean) / std)[None].astype(dtype or image.dtype)
    if padding == "zeros":
        x = _ended(x, params["input"].get("height"))
    wanted = {own for name in names.values() for own in _made_of(params, name)}
    maps = _maps(params, x, wanted, choice("pool", pool, POOLS), convolve, again)
    return {layer: _answer(params, name, maps) for layer, name in names.items()}


def _image(image):
    image = jnp.asarray(image)
    if image.ndim != 3 or image.shape[-1] != 3:
        raise ValueError(f"image must be [h, w, 3], got {list(image.shape)}: batch with jax.vmap")
    if not jnp.issubdtype(image.dtype, jnp.floating):
        raise ValueError(f"image must be floats in [0, 1], got {image.dtype}: divide by its white")
    return image


def _made_of(params, name):
    """The network's own maps that its answer for a layer is made of: that layer's, or a tap's."""
    return list(params[name]) if name in taps(params) else [name]


def _answer(params, name, maps):
    """What the network says of a layer: [h, w, k]; a tap multiplies in two dimensions, which has a faster gradient."""
    if name not in taps(params):
        return maps[name][0]
    each = {own: maps[own][0] for own in params[name]}
    flat = [f.reshape(-1, f.shape[-1]) @ params[name][own].astype(f.dtype) for own, f in each.items()]
    h, w, _ = next(iter(each.values())).shape
    return sum(flat[1:], flat[0]).reshape(h, w, -1)


def _maps(params, x, wanted, pool, convolve, again) -> dict[str, Array]:
    """The maps wanted, block by block: [1, h, w, 3] -> {name: [1, h', w', c]}."""
    maps: dict[str, Any] = {}
    height = params["input"].get("height")
    for block, n in enumerate(_shape(params)[1], 1):
        if wanted <= maps.keys():
            break
        known = _layers_of_block(block, n)
        here = wanted & {*known}
        further = {known[-1]} if wanted - maps.keys() - here else set()
        convs = {name: params[name] for name in (f"conv{block}_{i}" for i in range(1, n + 1))}
        widths = tuple(layer["kernel"].shape[-1] for layer in convs.values())
        module = Block(block, widths, pool, convolve, frozenset(here | further), height and height >> (block - 1))
        run: Any = _again(module.apply) if block <= again else module.apply
        maps |= run({"params": convs}, x)
        x, convolve = maps.get(known[-1]), (convolve[1], convolve[1])
    return maps


@functools.cache
def network(*, pool="max", padding="zeros", dtype: DTypeLike | None = None, again=0, convolution="winograd"):
    """`features` with its options bound; equal options give the same function, and so the same compiled programs."""
    choice("pool", pool, POOLS)
    choice("padding", padding, PADDINGS)
    choice("convolution", convolution, CONVOLUTIONS)
    return functools.partial(features, pool=pool, padding=padding, dtype=dtype, again=again, convolution=convolution)


def choice(what: str, name: str, table: Mapping[str, Any]) -> Any:
    """The entry of a table of choices, or an error that lists them."""
    if name not in table:
        raise ValueError(f"{what} must be one of {', '.join(table)}, got {name!r}")
    return table[name]


# Files: one HDF5 layout, whatever the weights came from. Attributes say where from.

FORMAT = "nst_jax VGG 1"


def save(path, params: Params, *, half: bool = False, activations: Activations | None = None, **attributes) -> None:
    """Write parameters as our HDF5 file, atomically; `half`: float16, compressed in chunks of one kernel tap."""
    path = pathlib.Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with h5py.File(partial, "w") as file:
            file.attrs.update({"format": FORMAT, "precision": "float16" if half else "float32", **attributes})
            file.attrs.update({k: np.asarray(v, np.float64) for k, v in params["input"].items()})
            for name, layer in params.items():
                if name != "input":
                    _write(file.create_group(name), layer, half)
            for name, measured in (activations or {}).items():
                _write(file.create_group(f"activations/{name}"), measured._asdict(), False)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _write(group, layer, half):
    for name, value in layer.items():
        packed = {}
        if half and value.ndim == 4:
            packed = {"chunks": (1, 1, *value.shape[2:]), "compression": "gzip", "compression_opts": 9, "shuffle": True}
        group.create_dataset(name, data=np.asarray(value, "float16" if half else "float32"), **packed)


def load(path=None) -> Params:
    """Parameters of a file that `save` wrote, in float32; without a path, those that `find` finds."""
    return jax.device_put(read(path))  # `jnp.asarray` compiles a program for each shape


def read(path=None) -> Params:
    """What `load` gives, as NumPy's arrays: no device is asked for anything yet."""
    path = find(path)
    with opened(path) as file:
        params = {name: _arrays(group) for name, group in file.items() if name != "activations"}
        params["input"] = {k: np.asarray(file.attrs[k], np.float32) for k in ("mean", "std")}
    check(params, path)
    return params


def _arrays(group):
    return {name: np.asarray(value, np.float32) for name, value in group.items()}


def activations(path=None) -> Activations | None:
    """What a weight file's layers give over natural pictures, as measured when it was converted."""
    with opened(find(path)) as file:
        found = file.get("activations")
        if not isinstance(found, h5py.Group):
            return None
        return {name: Activation(**_arrays(group)) for name, group in found.items()}


@contextlib.contextmanager
def opened(path):
    """A file that `save` wrote, open for reading."""
    remedy = "make it with `nst-jax weights convert`"
    if not pathlib.Path(path).is_file():
        raise FileNotFoundError(f"weights must be a file, got {path}, which is not there: {remedy}")
    try:
        with h5py.File(path) as file:
            if file.attrs.get("format") != FORMAT:
                raise ValueError(f"weights must be a file of ours, got {path}: {remedy}")
            yield file
    except (OSError, KeyError, RuntimeError) as error:
        raise ValueError(f"weights must be a whole HDF5 file, got {path}: {remedy}") from error


def check(params: Params, source) -> None:
    """Raise unless these are the finite parameters of a VGG-shaped network."""
    try:
        convs = _shape(params)[1]
    except (KeyError, ValueError):  # no convolution, or a block without its first
        found = ", ".join(params) or "nothing"
        raise ValueError(
            f"layers of {source} must be conv1_1, conv1_2, …, got {found}: convert the file again"
        ) from None
    _check_input(params, source)
    channels = 3
    for name in layers_of(convs):
        if not name.startswith("conv"):
            continue
        layer = params.get(name, {})
        shapes = {k: np.shape(v) for k, v in layer.items()}
        width = shapes.get("kernel", (0,))[-1]
        if shapes.get("kernel") != (3, 3, channels, width) or shapes.get("bias") != (width,):
            raise ValueError(f"{name} of {source} must have kernel [3, 3, {channels}, d] and bias [d], got {shapes}")
        if not all(np.isfinite(v).all() for v in layer.values()):
            raise ValueError(f"{name} of {source} must be finite, got NaN or infinity: fetch or convert the file again")
        channels = width
    for name in taps(params):
        _check_tap(params, name, source)


def _check_tap(params, name, source):
    widths = own(params, stride(name)) if name in layers_of() else {}
    got = {each: np.shape(matrix) for each, matrix in params[name].items()}
    k = next(iter(got.values()), ())[-1:]
    fits = got and all(shape == (widths.get(each), *k) for each, shape in got.items())
    if not fits or not all(np.isfinite(matrix).all() for matrix in params[name].values()):
        need = ", ".join(f"{each} [{width}, k]" for each, width in widths.items()) or "a layer of VGG19's"
        raise ValueError(f"{name} of {source} must have finite matrices of {need}, got {got}: make the file again")


def _check_input(params, source):
    for name, low in ("mean", -np.inf), ("std", 0):
        value = np.asarray(params["input"][name])
        if value.shape != (3,) or not (np.isfinite(value) & (value > low)).all():
            bound = " above 0" if low == 0 else ""
            raise ValueError(f"{name} of {source} must be three numbers{bound}, got {value}: convert the file again")


def info(path=None) -> dict[str, Any]:
    """What a weight file says of itself, with its path and sha256."""
    path = find(path)
    with opened(path) as file:
        said = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in file.attrs.items()}
    with open(path, "rb") as stream:
        return {"path": str(path), "sha256": hashlib.file_digest(stream, "sha256").hexdigest(), **said}


def cache_path() -> pathlib.Path:
    """Where `weights fetch` and `weights convert` install: the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "nst_jax" / "vgg19.h5"


def bundled_path() -> pathlib.Path:
    """The network that comes with the package: beside the modules in a wheel, beside the package in a checkout."""
    return _beside("vgg19.h5")


def fast_path() -> pathlib.Path:
    """The small network that stands in for VGG19 at a tenth of the cost; it comes with the package too."""
    return _beside("fast.h5")


def _beside(name):
    package = pathlib.Path(__file__).parents[1]
    inside = package / "weights" / name
    return inside if inside.exists() else package.parent / "weights" / name


def find(path=None) -> pathlib.Path:
    """The weight file that is used: the path given, $NST_JAX_WEIGHTS, the user's cache, the bundled file."""
    chosen = path or os.environ.get("NST_JAX_WEIGHTS")
    if chosen:
        return pathlib.Path(chosen)
    return cache_path() if cache_path().exists() else bundled_path()
