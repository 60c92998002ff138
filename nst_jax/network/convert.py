"""Published VGG weight files, told apart by what they hold, into our parameters.

No file can run code: HDF5, MATLAB and safetensors files hold data only, and PyTorch's pickles are opened by torch's
own `weights_only` reader or not at all. Readers return plain arrays; `read` checks them.
"""

import contextlib
import hashlib
import io
import json
import math
import pathlib
import pickle  # for the name of an error; nothing is loaded with it
import re
import zipfile
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np
import scipy.io

from nst_jax.ground import choices
from nst_jax.network import calibration, files, vgg19

IMAGENET = {"mean": np.array((0.485, 0.456, 0.406)), "std": np.array((0.229, 0.224, 0.225))}  # as torchvision says
CAFFE = {"mean": np.array(vgg19.MEAN), "std": np.array(vgg19.STD)}
NAMED = re.compile(r"(?:block|conv)([1-9]\d?)_(?:conv)?([1-9]\d?)")  # Keras' block4_conv2, everybody else's conv4_2
NUMBERED = re.compile(r"conv2d(?:_(\d+))?")
TORCHVISION = re.compile(r"(?:.*\.)?features\.(\d+)\.(weight|bias)")
WIDEST = 8192  # channels: a damaged file may claim any size
CLEAR = 2.5  # the real network's 16 kernels give 5.5; random ones pass this bound one time in 300

Read = tuple[Mapping[str, Mapping[str, np.ndarray]], dict[str, Any]]
"""Parameters in numpy, and what is to be recorded of them."""


def convert(path, out, *, half: bool = False) -> dict[str, Any]:
    """Any published file -> our file at `out`, written atomically; what the new file says of itself."""
    path, out = pathlib.Path(path), pathlib.Path(out)
    if not out.parent.is_dir():
        raise FileNotFoundError(f"OUT must be in a folder that exists, got {out}: create {out.parent}")
    params, said = read(path)
    vgg19.save(out, params, half=half, activations=calibration.measure_activations(params), **said)
    return vgg19.info(out)


def read(path) -> tuple[vgg19.Params, dict[str, Any]]:
    """Parameters of a published file and attributes to keep with them: source, source_sha256, family, …"""
    path = pathlib.Path(path)
    params, said = _reader(path)(path)
    _complete(params, path)
    files.check_params(params, path)
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    return params, {"source": path.name, "source_sha256": sha256, **said}


def _reader(path):
    if not path.is_file():
        raise FileNotFoundError(f"weights must be a file, got {path}, which is not there")
    with path.open("rb") as stream:
        head = stream.read(1024)
    for matches, reader in LAYOUTS.values():
        if matches(head):
            return reader
    known = ", ".join(LAYOUTS)
    raise ValueError(f"weights must be in a format known here, got {path}: take one of {known}")


def _complete(params, path):
    """Raise unless the convolutions are numbered through from conv1_1."""
    last = {}
    for name in params:
        if name.startswith("conv"):
            block, i = map(int, name[4:].split("_"))
            last[block] = max(i, last.get(block, 0))
    if not last:
        raise ValueError(f"weights must be those of a VGG network, got {path}: it has no layers named as VGG's are")
    for block in range(1, max(last) + 1):
        for i in range(1, last.get(block, 1) + 1):
            if f"conv{block}_{i}" not in params:
                raise ValueError(f"weights must hold conv{block}_{i}, got {path} without it: get the whole file again")


@contextlib.contextmanager
def _whole(path):
    """One line for whatever a library raises on a damaged file: each fails in its own ways."""
    try:
        yield
    except Exception as error:
        reason = str(error).strip().split("\n")[0]
        raise ValueError(f"weights must be a whole file, got {path}: it is cut short or damaged ({reason})") from error


def _f32(value):
    return np.ascontiguousarray(value, np.float32)


# Keras: HDF5 in three layouts, and a zip around the third.


def _hdf5(path, stream=None) -> Read:
    with _whole(path), h5py.File(stream or path) as file:
        ours = file.attrs.get("format") == files.FORMAT
        layers = {} if ours else _kernels(file)
    return _canonical(path) if ours else _keras(layers, path)


def _canonical(path) -> Read:
    said = vgg19.info(path)
    dropped = {"path", "sha256", "format", "precision", "mean", "std"}
    kept = {key: value for key, value in said.items() if key not in dropped}
    params = {**vgg19.load(path), "input": {k: np.array(said[k]) for k in ("mean", "std")}}
    return params, {**kept, **({"rounded": "float16"} if said["precision"] == "float16" else {})}


def _kernels(file) -> list[tuple[str, str, dict[str, np.ndarray]]]:
    """(group's name, layer's name, {kernel, bias}) of every convolution, however deep in the file."""
    found = []

    def visit(name, dataset: Any):
        if not isinstance(dataset, h5py.Dataset) or name.startswith("optimizer"):
            return
        if dataset.ndim != 4 or max(dataset.shape) > WIDEST:
            return
        group: Any = dataset.parent
        biases = [v[()] for v in group.values() if isinstance(v, h5py.Dataset) and v.shape == dataset.shape[-1:]]
        layer = {"kernel": _f32(dataset[()]), **({"bias": _f32(biases[0])} if biases else {})}
        owner = (group.parent if group.name.endswith("/vars") else group).name.split("/").pop()  # conv2d_1/vars/0
        found.append((owner, group.attrs.get("name", owner), layer))

    file.visititems(visit)
    return found


def _keras(layers, path) -> Read:
    """Names settled and conv1_1's input channels turned from BGR to RGB."""
    by_name = {f"conv{m[1]}_{m[2]}": layer for _, name, layer in layers if (m := NAMED.fullmatch(name))}
    params = dict(by_name or _numbered(layers, path))
    if "conv1_1" in params:
        params["conv1_1"] = {**params["conv1_1"], "kernel": _f32(params["conv1_1"]["kernel"][:, :, ::-1])}
    return {**params, "input": CAFFE}, {"family": "caffe"}


def _numbered(layers, path):
    """Layers named conv2d, conv2d_1, …: in order of the number, which HDF5's own order is not, VGG19's blocks."""
    found = sorted((int(m[1] or 0), i) for i, (owner, _, _) in enumerate(layers) if (m := NUMBERED.fullmatch(owner)))
    names = [name for name in vgg19.layers_of() if name.startswith("conv")]
    if found and len(found) != len(names):
        raise ValueError(
            f"weights must be VGG19's {len(names)} convolutions where layers are only numbered, "
            f"got {len(found)} in {path}: name the layers block1_conv1, …"
        )
    return {name: layers[i][2] for name, (_, i) in zip(names, found, strict=False)}


# MatConvNet: MATLAB structs.


def _matconvnet(path) -> Read:
    with _whole(path):
        mat = scipy.io.loadmat(path, simplify_cells=True, variable_names=("net", "layers", "meta", "normalization"))
        net = mat.get("net", mat)
        params = {name: layer for struct in net.get("layers", ()) for name, layer in _struct(struct)}
        mean = _average(net)
    ratio = _uprightness([layer["kernel"] for layer in params.values()])
    if ratio < 1 / CLEAR:
        params = {k: {**v, "kernel": _f32(v["kernel"].swapaxes(0, 1))} for k, v in params.items()}
    assumed = "" if max(ratio, 1 / ratio) > CLEAR else " (assumed: the kernels do not show it)"
    axes = "width first, turned to height first" if ratio < 1 / CLEAR else f"height first{assumed}"
    return {**params, "input": {**CAFFE, "mean": mean}}, {"family": "caffe", "axes": axes}


def _struct(struct):
    """(name, layer) of a MATLAB layer, if a convolution: its values stand under `weights` or under two older names."""
    if match := NAMED.fullmatch(str(struct.get("name"))):
        kernel, bias = struct["weights"][:2] if "weights" in struct else (struct["filters"], struct["biases"])
        yield f"conv{match[1]}_{match[2]}", {"kernel": _f32(kernel), "bias": _f32(np.ravel(bias))}


def _average(net):
    """The colour that the network takes off, in [0, 1]: from an average image or an average colour."""
    said = net.get("meta", net).get("normalization") or net["normalization"]
    return np.reshape(said["averageImage"], (-1, 3)).astype(float).mean(0) / 255


def _uprightness(kernels) -> float:
    """How much more the kernels' energy differs between up and down than between left and right, if height is first.

    Photographs look much the same in a mirror, but not upside down. Geometric mean of the layers' ratios.
    """
    logs = [0.0]
    for kernel in kernels:
        with np.errstate(all="ignore"):  # not finite: the check's business
            energy = np.square(kernel, dtype=np.float64).mean(axis=tuple(range(2, kernel.ndim)))
            turned = [np.square(energy - np.flip(energy, axis)).sum() + np.finfo(float).tiny for axis in (0, 1)]
            logs.append(np.log(turned[0] / turned[1]))
    return float(np.exp(np.sum(logs) / max(1, len(kernels))))


# PyTorch: a state dict, as safetensors or as a pickle that torch itself opens.

DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


def _safetensors(path) -> Read:
    """A length in 8 bytes, a JSON header, raw arrays."""
    with _whole(path):
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


def _zip(path) -> Read:
    """Keras 3's `.keras`, with its HDF5 inside, or PyTorch's `.pth`."""
    with _whole(path), zipfile.ZipFile(path) as archive:
        keras = "model.weights.h5" in archive.namelist()
        weights = io.BytesIO(archive.read("model.weights.h5")) if keras else None
    return _hdf5(path, weights) if keras else _pth(path)


def _pth(path) -> Read:
    try:
        import torch  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        remedy = "pip install torch, or save the state dict as .safetensors where it is installed"
        raise ValueError(f"a .pth file must be read by PyTorch, got {path} without it: {remedy}") from error
    with _whole(path):
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:  # torch's own text advises to run the file's code
            raise ValueError("or holds more than tensors: save the model's state_dict()") from error
        state = {k: v.float().numpy() for k, v in state.items() if TORCHVISION.fullmatch(str(k))}
    return _torchvision(state, path)


def _torchvision(state, path) -> Read:
    """OIHW -> HWIO; blocks by the layers' numbers: a convolution and its ReLU take two, pooling after a block one."""
    found = {}
    for name, value in state.items():
        _, index, kind = name.rsplit(".", 2)
        found.setdefault(int(index), {})[{"weight": "kernel"}.get(kind, kind)] = value
    params, block, i, due = {}, 1, 1, 0
    for index, layer in sorted(found.items()):
        kernel = layer.get("kernel", np.empty(0))
        if kernel.ndim != 4 or index - due not in (0, 1):
            kind = "with batch normalisation" if kernel.ndim == 1 else f"with {list(kernel.shape)} there"
            raise ValueError(f"features.{index} of {path} must be a plain VGG's convolution, got a network {kind}")
        block, i, due = (block + 1, 1, index + 2) if index > due else (block, i, index + 2)
        params[f"conv{block}_{i}"] = {**layer, "kernel": kernel.transpose(2, 3, 1, 0)}
        i += 1
    params = {name: {k: _f32(v) for k, v in layer.items()} for name, layer in params.items()}
    return {**params, "input": IMAGENET}, {"family": "torchvision"}


# What each file begins with.


def _is_safetensors(head) -> bool:
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 2**27  # the format's own limit is 100 MB


def _is_matlab5(head) -> bool:
    return head[124:128] in (b"\x00\x01IM", b"\x01\x00MI")


def _newer_matlab(path) -> Read:
    raise ValueError(f"a .mat file must be of version 7 or older, got {path} of version 7.3: save it again with -v7")


TORCH_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # what torch.save began with before version 1.6
LAYOUTS = {
    "Keras or our own HDF5": (lambda head: head.startswith(b"\x89HDF\r\n\x1a\n"), _hdf5),
    "MatConvNet's .mat": (_is_matlab5, _matconvnet),
    "MATLAB 7.3's .mat": (lambda head: head.startswith(b"MATLAB 7.3"), _newer_matlab),
    "torchvision's .safetensors": (_is_safetensors, _safetensors),
    "Keras' .keras or torchvision's .pth": (lambda head: head.startswith(b"PK\x03\x04"), _zip),
    "torchvision's older .pth": (lambda head: head.startswith(TORCH_MAGIC), _pth),
}
