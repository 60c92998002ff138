"""Weight files: one HDF5 layout, whatever the weights came from; its attributes say where from."""

import contextlib
import functools
import os
import pathlib
import re
from typing import Any

import h5py
import numpy as np

from nst_jax.ground import storage, untrusted
from nst_jax.ground.choices import one_line
from nst_jax.network import hdf5, layers
from nst_jax.network.layers import Activation, Activations, Params

FORMAT = "nst_jax VGG 1"
MEMORY = 12_000_000_000  # bytes to read a stranger's file in: 500 million numbers thrice, and PyTorch's libraries
CONVOLUTION = re.compile(r"conv[1-9][0-9]?_[1-9][0-9]?")


def save(path, params: Params, *, half: bool = False, activations: Activations | None = None, **attributes) -> None:
    """Write parameters as our HDF5 file, whole or not at all; `half`: float16, compressed in chunks of a kernel tap."""
    with storage.replacing(path, what="weights") as empty, h5py.File(empty.name, "w") as file:
        file.attrs.update({"format": FORMAT, "precision": "float16" if half else "float32", **attributes})
        file.attrs.update({k: np.asarray(v, np.float64) for k, v in params["input"].items()})
        for name, layer in params.items():
            if name not in ("input", "made"):  # what `vgg19.ready` makes is made again
                _write(file.create_group(name), layer, half)
        for name, activation in (activations or {}).items():
            _write(file.create_group(f"activations/{name}"), activation._asdict(), False)


def _write(group, layer, half):
    for name, value in layer.items():
        packed = {}
        if half and value.ndim == 4:
            packed = {"chunks": (1, 1, *value.shape[2:]), "compression": "gzip", "compression_opts": 9, "shuffle": True}
        group.create_dataset(name, data=np.asarray(value, "float16" if half else "float32"), **packed)


def read(path=None) -> Params:
    """Parameters of a file that `save` wrote, in float32; without a path, of the one that `find` finds.

    They are NumPy's arrays: no device is asked for anything yet.
    """
    path = find(path)
    with open_weights(path) as file, np.errstate(over="ignore"):  # what is not finite is refused below
        params = {name: hdf5.arrays(group, name) for name, group in [*file.items()] if name != "activations"}
        said = hdf5.attributes(file)
        params["input"] = {k: np.asarray(said[k], np.float32) for k in ("mean", "std")}
    check_params(params, path)
    return params


def activations(path=None) -> Activations | None:
    """What a weight file's layers give over natural pictures, as measured when it was converted."""
    with open_weights(find(path)) as file:
        found = file.get("activations")
        if not isinstance(found, h5py.Group):
            return None
        each = {name: hdf5.arrays(group, name) for name, group in [*found.items()]}
        return {name: Activation(known["mean"], known["square"]) for name, known in each.items()}


def info(path=None) -> dict[str, Any]:
    """What a weight file says of itself, with its path and sha256."""
    path = find(path)
    with open_weights(path) as file:
        said = {"precision": "unknown", **hdf5.attributes(file)}
    return said | {"path": str(path), "sha256": storage.digest(path)}


class _NotOurs(ValueError):
    """An HDF5 file of somebody else's."""


def check_decodable(path, reader: str) -> None:
    """Raise one line unless a reader can read this file, which a process with limits tries where it is a stranger's."""
    if pathlib.Path(path) not in (bundled_path(), fast_path()):
        known = os.stat(path)
        _check_once(os.fspath(path), reader, known.st_mtime_ns, known.st_size)


@functools.lru_cache(maxsize=64)
def _check_once(path: str, reader: str, *_) -> None:
    """Check a file, once as long as it stays as it is, unless it is a copy of one that comes with the package."""
    if storage.digest(path) not in _known_digests():
        kind = untrusted.Kind("weights", reader, "get it anew from where it was published")
        untrusted.check(path, kind, memory=MEMORY)


@functools.cache
def _known_digests() -> frozenset[str]:
    """Of the networks that come with the package."""
    return frozenset(storage.digest(path) for path in (bundled_path(), fast_path()) if path.is_file())


@contextlib.contextmanager
def open_weights(path):
    """A file that `save` wrote, open for reading; a stranger's is read in a process with limits first."""
    remedy = "make it with `nst-jax weights convert`"
    if not pathlib.Path(path).is_file():
        raise FileNotFoundError(f"weights must be a file, got {path}, which is not there: {remedy}")
    check_decodable(path, "nst_jax.network.files:read")
    try:
        with hdf5.opened(path) as file:
            if hdf5.attributes(file).get("format") != FORMAT:
                raise _NotOurs(f"weights must be a file of ours, got {path}: {remedy}")
            yield file
    except _NotOurs:
        raise
    except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"weights must be a whole HDF5 file, got {path} ({one_line(error)}): {remedy}") from error


# Where they are


def find(path=None) -> pathlib.Path:
    """The weight file that is used: the path given, $NST_JAX_WEIGHTS, the user's cache, the bundled file."""
    chosen = path or os.environ.get("NST_JAX_WEIGHTS")
    if chosen:
        return pathlib.Path(chosen)
    return cache_path() if cache_path().exists() else bundled_path()


def cache_path() -> pathlib.Path:
    """Where `weights fetch` and `weights convert` install: the user's cache folder."""
    return storage.cache_folder() / "vgg19.h5"


def bundled_path() -> pathlib.Path:
    """The network that comes with the package: inside it in a wheel, beside it in a checkout."""
    return _bundled("vgg19.h5")


def fast_path() -> pathlib.Path:
    """The small network that stands in for VGG19 at a tenth of the cost; it comes with the package too."""
    return _bundled("fast.h5")


def _bundled(name):
    package = pathlib.Path(__file__).parents[1]
    inside = package / "weights" / name
    return inside if inside.exists() else package.parent / "weights" / name


# Whether they are a network's


def check_params(params: Params, source) -> None:
    """Raise unless these are the finite parameters of a VGG-shaped network."""
    try:
        if not all(name == "input" or CONVOLUTION.fullmatch(name) or name in layers.taps(params) for name in params):
            raise ValueError("a name that no layer has")
        convs = layers.own_shape(params)[1]
    except (KeyError, IndexError, ValueError):  # or no convolution, or a block without its first
        found = ", ".join(params) or "nothing"
        raise ValueError(
            f"layers of {source} must be conv1_1, conv1_2, …, got {found}: convert the file again"
        ) from None
    _check_input(params, source)
    channels = 3
    for name in layers.layers_of(convs):
        if name.startswith("conv"):
            channels = _check_convolution(params.get(name, {}), channels, f"{name} of {source}")
    for name in layers.taps(params):
        _check_tap(params, name, source)


def _check_input(params, source):
    for name, low in ("mean", -np.inf), ("std", 0):
        with np.errstate(over="ignore"):
            value = np.asarray(params["input"][name], np.float32)
        if value.shape != (3,) or not (np.isfinite(value) & (value > low)).all():
            bound = " above 0" if low == 0 else ""
            raise ValueError(f"{name} of {source} must be three numbers{bound}, got {value}: convert the file again")


def _check_convolution(layer, channels, which) -> int:
    """The channels that a convolution of so many channels gives, if its parameters are as they must be."""
    shapes = {k: np.shape(v) for k, v in layer.items()}
    width = (shapes.get("kernel") or (0,))[-1]
    if shapes.get("kernel") != (3, 3, channels, width) or shapes.get("bias") != (width,):
        raise ValueError(f"{which} must have kernel [3, 3, {channels}, d] and bias [d], got {shapes}: convert it again")
    if not all(np.isfinite(v).all() for v in layer.values()):
        raise ValueError(f"{which} must be finite, got NaN or infinity: fetch or convert the file again")
    return width


def _check_tap(params, name, source):
    widths = layers.channels_at_stride(params, layers.stride(name)) if name in layers.layers_of() else {}
    got = {each: np.shape(matrix) for each, matrix in params[name].items()}
    k = next(iter(got.values()), ())[-1:]
    fits = got and all(shape == (widths.get(each), *k) for each, shape in got.items())
    if not fits or not all(np.isfinite(matrix).all() for matrix in params[name].values()):
        need = ", ".join(f"{each} [{width}, k]" for each, width in widths.items()) or "a layer of VGG19's"
        raise ValueError(f"{name} of {source} must have finite matrices of {need}, got {got}: make the file again")
