"""Published VGG weight files, told apart by what they begin with, into our own."""

import pathlib
from typing import Any

from nst_jax.ground import storage
from nst_jax.network import calibration, files, readers
from nst_jax.network.readers import Published


def convert(path, out, *, half: bool = False) -> dict[str, Any]:
    """Any published file -> our file at `out`, written whole or not at all; what the new file says of itself."""
    storage.check_writable(out, what="weights")
    params, attributes = read(path)
    activations = calibration.measure_activations(params)
    files.save(out, params, half=half, activations=activations, **attributes)
    return files.info(out)


def read(path) -> Published:
    """Parameters of a published file, checked, and attributes to keep with them: source, source_sha256, family, …"""
    path = pathlib.Path(path)
    reader = _reader(path)
    files.check_decodable(path, "nst_jax.network.convert:read")
    params, attributes = reader(path)
    _check_complete(params, path)
    files.check_params(params, path)
    return Published(params, {"source": path.name, "source_sha256": storage.digest(path), **attributes})


def _reader(path):
    if not path.is_file():
        raise FileNotFoundError(f"weights must be a file, got {path}, which is not there: check its name")
    with path.open("rb") as stream:
        head = stream.read(1024)
    for matches, reader in LAYOUTS.values():
        if matches(head):
            return reader
    known = ", ".join(name for name, (_, reader) in LAYOUTS.items() if reader is not readers.refuse_newer_matlab)
    raise ValueError(f"weights must be in a format known here, got {path}: take one of {known}")


def _check_complete(params, path):
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


def _is_hdf5(head) -> bool:
    return head.startswith(b"\x89HDF\r\n\x1a\n")


def _is_matlab5(head) -> bool:
    return head[124:128] in (b"\x00\x01IM", b"\x01\x00MI")


def _is_matlab73(head) -> bool:
    return head.startswith(b"MATLAB 7.3")


def _is_safetensors(head) -> bool:
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 2**27  # the format's own limit is 100 MB


def _is_zip(head) -> bool:
    return head.startswith(b"PK\x03\x04")


TORCH_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # what torch.save began with before version 1.6


def _is_old_torch(head) -> bool:
    return head.startswith(TORCH_MAGIC)


LAYOUTS = {
    "Keras or our own HDF5": (_is_hdf5, readers.read_hdf5),
    "MatConvNet's .mat": (_is_matlab5, readers.read_matconvnet),
    "MATLAB 7.3's .mat": (_is_matlab73, readers.refuse_newer_matlab),
    "torchvision's .safetensors": (_is_safetensors, readers.read_safetensors),
    "Keras' .keras or torchvision's .pth": (_is_zip, readers.read_zip),
    "torchvision's older .pth": (_is_old_torch, readers.read_pth),
}
"""How each kind of file begins, and its reader."""
