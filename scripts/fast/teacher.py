"""VGG19's features of crops, computed once and kept: bytes after a square root, in files mapped into memory.

A store grows in order, and knows how far it is: after a kill it goes on where it was, with the same content.
"""

import pathlib
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nst_jax.network import vgg19

STRIDES = {"relu2_1": 2, "relu3_1": 2, "relu4_1": 1, "relu4_2": 1, "relu5_1": 1}  # of kept positions: one in four does
FIRST = 4  # relu1_1 is kept nowhere, but compared at every fourth position along each axis
CHUNK = 4  # crops in one call of the teacher, which keep one core busy
MEASURED = 64  # crops over which the scales are measured


class Scales(NamedTuple):
    """By tap and channel: what byte 255 stands for, and by tap, the variance over positions, mean over channels."""

    top: dict[str, np.ndarray]  # [c]
    variance: dict[str, float]


class Store(NamedTuple):
    """Crops [n, edge, edge, 3] and, by tap, features [n, h', w', c], both in bytes."""

    folder: pathlib.Path
    crops: np.ndarray
    features: Mapping[str, np.ndarray]

    def count(self) -> int:
        """How many crops are there, with their features."""
        file = self.folder / "done"
        return int(file.read_text()) if file.exists() else 0


def taps(params: vgg19.Params) -> list[str]:
    """The taps of this teacher that are kept; relu1_1 is quicker made than read."""
    return [tap for tap in STRIDES if f"conv{tap[4:]}" in params]


def open_store(folder: pathlib.Path, params: vgg19.Params, *, edge: int, size: int) -> Store:
    """The store in a folder, made with room for `size` crops if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    shapes = {"crops": (size, edge, edge, 3)}
    for tap in taps(params):
        side = -(-(edge // vgg19.stride(tap)) // STRIDES[tap])
        shapes[tap] = (size, side, side, params[f"conv{tap[4:]}"]["kernel"].shape[-1])
    arrays = {name: _map_array(folder / f"{name}.npy", shape) for name, shape in shapes.items()}
    return Store(folder, arrays.pop("crops"), arrays)


def _map_array(path, shape):
    if not path.exists():
        partial = path.with_suffix(".partial")
        np.lib.format.open_memmap(partial, "w+", np.uint8, shape).flush()
        partial.rename(path)
    mapped = np.lib.format.open_memmap(path, "r+")
    if mapped.shape[1:] == shape[1:] and mapped.shape[0] < shape[0]:
        mapped = _lengthen(path, mapped, shape)
    if mapped.shape != shape:
        raise ValueError(f"{path} must be {list(shape)}, got {list(mapped.shape)}: name another --work folder")
    return mapped


def _lengthen(path, mapped, shape):
    """The same file with more rows: its header says so in as many bytes, its end is zeros."""
    head = bytes(path.open("rb").read(mapped.offset))
    said = head.replace(str(mapped.shape).encode(), str(shape).encode()).rstrip(b" \n")
    with path.open("r+b") as stream:
        stream.write(said.ljust(mapped.offset - 1) + b"\n")
        stream.truncate(mapped.offset + int(np.prod(shape)))
    return np.lib.format.open_memmap(path, "r+")


@jax.jit
def maps_at_kept_positions(params, crops):
    """The teacher's maps at the kept positions: [n, edge, edge, 3] bytes -> {tap: [n, h', w', c]}."""
    maps = jax.vmap(lambda image: vgg19.features(params, image, taps(params)))(crops.astype(jnp.float32) / 255)
    return {tap: f[:, :: STRIDES[tap], :: STRIDES[tap]] for tap, f in maps.items()}


@jax.jit
def first_map(params, crops):
    """The teacher's relu1_1 at every fourth position: [n, edge, edge, 3] bytes -> [n, h', w', c]."""
    images = (crops.astype(jnp.float32) / 255 - params["input"]["mean"][None, None, None]) / params["input"]["std"][0]
    padded, numbers = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0))), ("NHWC", "HWIO", "NHWC")
    kernel, bias = params["conv1_1"]["kernel"], params["conv1_1"]["bias"][None, None, None]
    maps = lax.conv_general_dilated(padded, kernel, (FIRST, FIRST), "VALID", dimension_numbers=numbers)
    return jax.nn.relu(maps + bias)


def pack(features, top):
    """Bytes after a square root: small values keep their digits."""
    return jnp.round(255 * jnp.sqrt(jnp.clip(features / top[None, None, None], 0, 1))).astype(jnp.uint8)


def unpack(stored, top):
    """What `pack` was given, nearly: bytes, [c] -> [n, h', w', c]."""
    return jnp.square(stored.astype(jnp.float32) / 255) * top[None, None, None]


def measure_scales(folder: pathlib.Path, params: vgg19.Params, crop: Callable[[int], np.ndarray]) -> Scales:
    """Measure the features' ranges over the first crops, once."""
    file = folder / "scales.npz"
    if not file.exists():
        batches = [np.stack([crop(i + j) for j in range(CHUNK)]) for i in range(0, MEASURED, CHUNK)]
        maps = [jax.device_get(maps_at_kept_positions(params, batch)) for batch in batches]
        ranges: dict[str, Any] = {}  # arrays; Any, since to a checker `savez` may get each name as `allow_pickle` too
        ranges["variance relu1_1"] = np.concatenate([first_map(params, b) for b in batches]).var((0, 1, 2)).mean()
        for tap in taps(params):
            flat = np.concatenate([m[tap].reshape(-1, m[tap].shape[-1]) for m in maps])
            ranges[f"top {tap}"] = np.maximum(1.5 * flat.max(0), 1e-2 * flat.max())
            ranges[f"variance {tap}"] = flat.var(0).mean()
        partial = file.with_suffix(".partial.npz")
        np.savez(partial, **ranges)
        partial.rename(file)
    with np.load(file) as found:
        top = {tap: found[f"top {tap}"] for tap in taps(params)}
        return Scales(top, {tap: float(found[f"variance {tap}"]) for tap in ("relu1_1", *taps(params))})


def fill(store: Store, params: vgg19.Params, scales: Scales, crop: Callable[[int], np.ndarray], upto: int) -> None:
    """Compute the teacher's features of crops until there are `upto`; every hundred are flushed to disk."""
    begun, at = time.perf_counter(), store.count()
    first, top = at, {tap: jnp.asarray(t) for tap, t in scales.top.items()}
    ask = jax.jit(lambda params, crops: jax.tree.map(pack, maps_at_kept_positions(params, crops), top))
    while at < upto:
        indices = range(at, min(at + CHUNK, upto))
        crops = np.stack([crop(i) for i in indices])
        padded = np.concatenate([crops, crops[:1].repeat(CHUNK - len(crops), 0)])
        for tap, bytes_ in ask(params, padded).items():
            store.features[tap][indices.start : indices.stop] = bytes_[: len(crops)]
        store.crops[indices.start : indices.stop] = crops
        at = indices.stop
        if at // 100 > indices.start // 100 or at == upto:
            _flush(store, at)
            rate = (time.perf_counter() - begun) / (at - first)
            print(f"teacher asked about {at} of {upto} crops, {rate:.3f} s each", flush=True)


def _flush(store, at):
    for array in (store.crops, *store.features.values()):
        array.flush()
    partial = store.folder / "done.partial"
    partial.write_text(str(at))
    partial.rename(store.folder / "done")
