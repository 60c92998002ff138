"""Readers of published VGG weight files: Keras', MatConvNet's, PyTorch's and our own, each into plain NumPy arrays.

No file can run code: HDF5, MATLAB and safetensors files hold data only, and PyTorch's pickles are opened by torch's
own `weights_only` reader or not at all. What they return is checked by `nst_jax.network.convert`.
"""

import contextlib
import io
import json
import math
import pickle  # for the name of an error; nothing is loaded with it
import re
import zipfile
from collections.abc import Mapping
from typing import Any, NamedTuple

import h5py
import numpy as np

from nst_jax.ground import choices
from nst_jax.network import files, hdf5, layers, matlab

IMAGENET = {"mean": np.array((0.485, 0.456, 0.406)), "std": np.array((0.229, 0.224, 0.225))}  # as torchvision says
CAFFE = {"mean": np.array(layers.MEAN), "std": np.array(layers.STD)}
NAMED = re.compile(r"(?:block|conv)([1-9]\d?)_(?:conv)?([1-9]\d?)")  # Keras' block4_conv2, everybody else's conv4_2
NUMBERED = re.compile(r"conv2d(?:_(\d+))?")
TORCHVISION = re.compile(r"(?:.*\.)?features\.(\d+)\.(weight|bias)")
WIDEST = 8192  # channels: a damaged file may claim any size
LARGEST = 2_000_000_000  # bytes of what is packed in a .keras file: VGG19 with its optimizer's moments has 1.7 GB
CLEAR = 2.5  # the real network's 16 kernels give 5.5; random ones pass this bound one time in 300


class Published(NamedTuple):
    """What a published file holds: parameters in NumPy, and attributes to be kept with them."""

    params: Mapping[str, Mapping[str, np.ndarray]]
    attributes: dict[str, Any]


@contextlib.contextmanager
def _one_line_error(path):
    """Around a library that reads a file: whatever it raises on a damaged one becomes one line."""
    try:
        yield
    except Exception as error:
        reason = str(error).strip().split("\n")[0]
        got = f"got {path}, which is cut short or damaged ({reason})"
        raise ValueError(f"weights must be a whole file, {got}: get it again") from error


def _float32(value):
    with np.errstate(over="ignore"):  # not finite: the check's business
        return np.ascontiguousarray(value, np.float32)


# Keras: HDF5 in three layouts, and a zip around the third.


def read_hdf5(path, *, stream=None) -> Published:
    """Keras' HDF5 file, or our own."""
    with _one_line_error(path), hdf5.opened(stream or path) as file:
        ours = hdf5.attributes(file).get("format") == files.FORMAT
        convolutions = [] if ours else _find_convolutions(file)
    return _ours(path) if ours else _keras(convolutions, path)


def _ours(path) -> Published:
    info = files.info(path)
    dropped = {"path", "sha256", "format", "precision", "mean", "std"}
    kept = {key: value for key, value in info.items() if key not in dropped}
    params = {**files.read(path), "input": {k: np.array(info[k]) for k in ("mean", "std")}}
    return Published(params, {**kept, **({"rounded": "float16"} if info["precision"] == "float16" else {})})


class _Convolution(NamedTuple):
    """A convolution of Keras': its group's name, its layer's name, and {kernel, bias}."""

    group: str
    name: str
    layer: dict[str, np.ndarray]


def _find_convolutions(file) -> list[_Convolution]:
    """Every convolution, however deep in the file."""
    found = []

    def visit(name, dataset: Any):
        if not isinstance(dataset, h5py.Dataset) or name.startswith("optimizer"):
            return
        if dataset.ndim != 4 or max(dataset.shape) > WIDEST or not hdf5.is_numbers(dataset):
            return
        group: Any = dataset.parent
        biases = [v[()] for v in [*group.values()] if hdf5.is_numbers(v) and v.shape == dataset.shape[-1:]]
        layer = {"kernel": _float32(dataset[()]), **({"bias": _float32(biases[0])} if biases else {})}
        owner = (group.parent if group.name.endswith("/vars") else group).name.split("/").pop()  # conv2d_1/vars/0
        found.append(_Convolution(owner, str(hdf5.attributes(group).get("name", owner)), layer))

    file.visititems(visit)
    return found


def _keras(convolutions, path) -> Published:
    """Names settled and conv1_1's input channels turned from BGR to RGB."""
    by_name = {f"conv{m[1]}_{m[2]}": each.layer for each in convolutions if (m := NAMED.fullmatch(each.name))}
    params = dict(by_name or _by_number(convolutions, path))
    if "conv1_1" in params:
        params["conv1_1"] = {**params["conv1_1"], "kernel": _float32(params["conv1_1"]["kernel"][:, :, ::-1])}
    return Published({**params, "input": CAFFE}, {"family": "caffe"})


def _by_number(convolutions, path):
    """Layers named conv2d, conv2d_1, …: in order of the number, which HDF5's own order is not, VGG19's blocks."""
    numbers = ((NUMBERED.fullmatch(each.group), i) for i, each in enumerate(convolutions))
    found = sorted((int(m[1] or 0), i) for m, i in numbers if m)
    names = [name for name in layers.layers_of() if name.startswith("conv")]
    if found and len(found) != len(names):
        raise ValueError(
            f"weights must be VGG19's {len(names)} convolutions where layers are only numbered, "
            f"got {len(found)} in {path}: name the layers block1_conv1, …"
        )
    return {name: convolutions[i].layer for name, (_, i) in zip(names, found, strict=False)}


# MatConvNet: MATLAB structs.


def read_matconvnet(path) -> Published:
    """MatConvNet's .mat file, of either age."""
    with _one_line_error(path):
        mat = matlab.read(path.read_bytes())
        net = mat.get("net", mat)
        params = {name: layer for struct in net.get("layers", ()) for name, layer in _struct(struct)}
        mean = _mean_colour(net)
    ratio = _uprightness([layer["kernel"] for layer in params.values()])
    if ratio < 1 / CLEAR:
        params = {k: {**v, "kernel": _float32(v["kernel"].swapaxes(0, 1))} for k, v in params.items()}
    assumed = "" if max(ratio, 1 / ratio) > CLEAR else " (assumed: the kernels do not show it)"
    axes = "width first, turned to height first" if ratio < 1 / CLEAR else f"height first{assumed}"
    return Published({**params, "input": {**CAFFE, "mean": mean}}, {"family": "caffe", "axes": axes})


def refuse_newer_matlab(path) -> Published:
    """MATLAB 7.3's .mat files are another format, which no published network has."""
    raise ValueError(f"a .mat file must be of version 7 or older, got {path} of version 7.3: save it again with -v7")


def _struct(struct):
    """(name, layer) of a MATLAB layer, if a convolution: its values stand under `weights` or under two older names."""
    if match := NAMED.fullmatch(str(struct.get("name"))):
        kernel, bias = struct["weights"][:2] if "weights" in struct else (struct["filters"], struct["biases"])
        yield f"conv{match[1]}_{match[2]}", {"kernel": _float32(kernel), "bias": _float32(np.ravel(bias))}


def _mean_colour(net):
    """The colour that the network takes off, in [0, 1]: from an average image or an average colour."""
    normalization = net.get("meta", net).get("normalization") or net["normalization"]
    return np.reshape(normalization["averageImage"], (-1, 3)).astype(float).mean(0) / 255


def _uprightness(kernels) -> float:
    """How much more the kernels' energy differs between up and down than between left and right, if height is first.

    Photographs look much the same in a mirror, but not upside down. Geometric mean of the layers' ratios.
    """
    logs = [0.0]
    for kernel in kernels:
        with np.errstate(all="ignore"):  # not finite: the check's business
            energy = np.square(kernel, dtype=np.float64).mean(axis=tuple(range(2, kernel.ndim)))
            flipped = [np.square(energy - np.flip(energy, axis)).sum() + np.finfo(float).tiny for axis in (0, 1)]
            logs.append(np.log(flipped[0] / flipped[1]))
    return float(np.exp(np.sum(logs) / max(1, len(kernels))))


# PyTorch: a state dict, as safetensors or as a pickle that torch itself opens.

DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


def read_safetensors(path) -> Published:
    """torchvision's .safetensors file: a length in 8 bytes, a JSON header, raw arrays."""
    with _one_line_error(path):
        data = memoryview(path.read_bytes())
        body = 8 + int.from_bytes(data[:8], "little")
        header = json.loads(bytes(data[8:body]))
        header.pop("__metadata__", None)
        if max(entry["data_offsets"][1] for entry in header.values()) > len(data) - body:
            raise ValueError("its header promises more")
        state = {name: _tensor(entry, data[body:]) for name, entry in header.items() if TORCHVISION.fullmatch(name)}
    return _torchvision(state, path)


def _tensor(entry, body):
    start, end = entry["data_offsets"]
    dtype = np.dtype(choices.choose("dtype", entry["dtype"], DTYPES))
    if not 0 <= start <= end <= len(body) or end - start != dtype.itemsize * math.prod(entry["shape"]):
        raise ValueError(f"offsets {start} to {end} of {len(body)} bytes do not hold {entry['shape']}")
    values = np.frombuffer(body[start:end], dtype)
    if entry["dtype"] == "BF16":  # the upper half of a float32, and unknown to numpy
        values = (values.astype("<u4") << 16).view("<f4")
    return values.reshape(entry["shape"])


def read_zip(path) -> Published:
    """Keras 3's `.keras`, with its HDF5 inside, or PyTorch's `.pth`."""
    with _one_line_error(path), zipfile.ZipFile(path) as archive:
        keras = "model.weights.h5" in archive.namelist()
        if keras and archive.getinfo("model.weights.h5").file_size > LARGEST:
            raise ValueError(f"model.weights.h5 in it is larger than {LARGEST:,} bytes")
        weights = io.BytesIO(archive.read("model.weights.h5")) if keras else None
    return read_hdf5(path, stream=weights) if keras else read_pth(path)


def read_pth(path) -> Published:
    """torchvision's `.pth`, by PyTorch's own reader of tensors alone."""
    try:
        import torch  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        remedy = "pip install torch, or save the state dict as .safetensors where it is installed"
        raise ValueError(f"a .pth file must be read by PyTorch, got {path} without it: {remedy}") from error
    with _one_line_error(path):
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:  # torch's own text advises to run the file's code
            raise ValueError("or holds more than tensors: save the model's state_dict()") from error
        state = {k: v.float().numpy() for k, v in state.items() if TORCHVISION.fullmatch(str(k))}
    return _torchvision(state, path)


def _torchvision(state, path) -> Published:
    """OIHW -> HWIO; blocks by the layers' numbers: a convolution and its ReLU take two, pooling after a block one."""
    found = {}
    for name, value in state.items():
        _, index, kind = name.rsplit(".", 2)
        found.setdefault(int(index), {})[{"weight": "kernel"}.get(kind, kind)] = value
    params, block, i, expected = {}, 1, 1, 0
    for index, layer in sorted(found.items()):
        kernel = layer.get("kernel", np.empty(0))
        if kernel.ndim != 4 or index - expected not in (0, 1):
            kind = "with batch normalisation" if kernel.ndim == 1 else f"with {list(kernel.shape)} there"
            raise ValueError(
                f"features.{index} of {path} must be a plain VGG's convolution, got a network {kind}: take vgg19"
            )
        block, i, expected = (block + 1, 1, index + 2) if index > expected else (block, i, index + 2)
        params[f"conv{block}_{i}"] = {**layer, "kernel": kernel.transpose(2, 3, 1, 0)}
        i += 1
    params = {name: {k: _float32(v) for k, v in layer.items()} for name, layer in params.items()}
    return Published({**params, "input": IMAGENET}, {"family": "torchvision"})
