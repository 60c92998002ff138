"""A folder of all that a command may be given by mistake, each file named after what is wrong with it."""

import hashlib
import json
import os
import pathlib
import zipfile

import h5py
import numpy as np
from conftest import network
from PIL import Image

from nst_jax.network import hdf5, vgg19
from nst_jax.orders import checkpoints, record, snapshots
from nst_jax.pictures import images, samples

STYLIZE = ("stylize", "town.png", "night.png", "-o", "out.png")


def furnish(folder: pathlib.Path) -> None:
    """Put everything into a folder, which the current one must be: some of it names its neighbours."""
    (folder / "folder").mkdir()
    (folder / "folder.png").mkdir()
    (folder / "shared").mkdir()
    (folder / "shared").chmod(0o777)
    (folder / "text.txt").write_text("no picture, and no weights")
    _pictures(folder)
    _weights(folder)
    _published(folder)
    _results(folder)
    _checkpoints(folder)
    (folder / "latin.csv").write_bytes("content,style\ntür.png,night.png\n".encode("latin-1"))


def _cut(folder, whole, cut):
    known = (folder / whole).read_bytes()
    (folder / cut).write_bytes(known[: len(known) // 2])


def _pictures(folder):
    images.save(folder / "town.png", samples.draw("skyline", (48, 64)))
    images.save(folder / "night.png", samples.draw("mosaic", (48, 60)))
    images.save(folder / "small.png", np.full((15, 40, 3), 0.5))
    images.save(folder / "wide.png", np.full((16, 160, 3), 0.5))
    images.save(folder / "black.png", np.zeros((48, 64, 3)))
    for name, bands in {"halves.png": (0, 0.99), "thirds.png": (0, 0.5, 0.99)}.items():
        images.save(folder / name, np.repeat(np.repeat(np.array(bands), 64 // len(bands) + 1)[:64, None], 3, 1)[None]
                    .repeat(48, 0))  # fmt: skip
    Image.fromarray(np.full((48, 64), 2, np.float32)).save(folder / "bright.tif")
    (folder / "empty.png").touch()
    (folder / "text.png").write_text("no picture")
    (folder / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    _cut(folder, "town.png", "cut.png")


def _weights(folder):
    params = network((4,) * 5)
    vgg19.save(folder / "narrow.h5", params, source="a test", family="caffe")
    other = {"mean": np.array((0.485, 0.456, 0.406)), "std": np.array((0.229, 0.224, 0.225))}
    vgg19.save(folder / "torchvision.h5", params | {"input": other}, family="torchvision")
    first = params["conv2_1"]
    vgg19.save(folder / "nan.h5", params | {"conv2_1": {k: v * np.nan for k, v in first.items()}})
    vgg19.save(folder / "shape.h5", params | {"conv2_1": first | {"bias": np.zeros(5)}})
    vgg19.save(folder / "layerless.h5", {"input": params["input"]})
    vgg19.save(folder / "std.h5", params | {"input": {"mean": np.zeros(3), "std": np.zeros(3)}})
    vgg19.save(folder / "tap.h5", params | {"relu4_2": {"relu1_1": np.zeros((3, 9), np.float32)}})
    _cut(folder, "narrow.h5", "cut.h5")
    for name in ("linked", "outside", "huge", "textual"):
        vgg19.save(folder / f"{name}.h5", params)
        with h5py.File(folder / f"{name}.h5", "a") as file:
            if name == "linked":
                file["conv6_1"] = h5py.ExternalLink("narrow.h5", "conv1_1")
            if name == "outside":
                file.create_dataset("conv6_1", (3,), "f4", external=[(str(folder / "text.txt"), 0, 12)])
            if name == "huge":
                file.create_dataset("conv6_1", (hdf5.MOST,), "f4", chunks=(1024,))
            if name == "textual":
                del file["conv1_1"]
                file["conv1_1/kernel"] = "a text"


def _published(folder):
    kernel, bias = np.zeros((3, 3, 3, 4), np.float32), np.zeros(4, np.float32)
    with h5py.File(folder / "foreign.h5", "w") as file:
        file["dense"] = np.zeros(3)
    for name, layers in {"gap.h5": ("block1_conv2",), "numbered.h5": ("conv2d", "conv2d_1")}.items():
        with h5py.File(folder / name, "w") as file:
            for layer in layers:
                file[f"{layer}/kernel"], file[f"{layer}/bias"] = kernel, bias
    (folder / "new.mat").write_bytes(b"MATLAB 7.3 MAT-file".ljust(128))
    name = "features.0.weight"
    tensors = {
        "short": {name: {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}},
        "offsets": {name: {"dtype": "F32", "shape": [4], "data_offsets": [0, 4]}},
        "integers": {name: {"dtype": "I8", "shape": [4], "data_offsets": [0, 4]}},
        "normalised": {"features.1.weight": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}},
    }
    for stem, header in tensors.items():
        text = json.dumps(header).encode()
        (folder / f"{stem}.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + bytes(4))
    with zipfile.ZipFile(folder / "some.pth", "w") as archive:
        archive.writestr("archive/data.pkl", b"")
    with zipfile.ZipFile(folder / "damaged.keras", "w") as archive:
        archive.writestr("model.weights.h5", b"")


def _digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _record(folder, **changed):
    """The record of a picture painted of the two pictures there, with some of it changed."""
    inputs = {
        kind: [{"name": name, "sha256": _digest(folder / name)}]
        for kind, name in (("content", "town.png"), ("style", "night.png"))
    }
    known = {"sha256": _digest(folder / "narrow.h5"), "source": "a test", "family": "caffe", "precision": "float32"}
    made = {"order": {"recipe": "gatys-notebook"}, "versions": record.versions(), "inputs": inputs, "network": known}
    return made | changed


def _results(folder):
    (folder / "edited").mkdir()
    recipe = {"recipe": "gatys-notebook"}
    old = {"format": record.OLD, "versions": {}, "inputs": {}, "recipe": "gatys-notebook"}
    texts = {
        "../painted": _record(folder),
        "format": {"format": "another program's"},
        "spy": _record(folder, spy="here"),
        "nameless": _record(folder, order={}),
        "field": _record(folder, order=recipe | {"weights": "/etc/passwd"}),
        "inputs": _record(folder, inputs={"content": ["town.png"]}),
        "files": _record(folder, order=recipe | {"init": "/etc/passwd"}),
        "palette": _record(folder, order=recipe | {"colour": "palette"}),
        "value": _record(folder, order=recipe | {"size": "8"}),
        "greedy": _record(folder, order=recipe | {"steps": "9999999"}),
        "large": _record(folder, order=recipe | {"size": "9000x9000"}),
        "pair": _record(folder, order=recipe | {"style-mix": "2,1"}),
        "bare": {key: value for key, value in _record(folder).items() if key != "inputs"},
        "old": old,
        "older": old | {"flags": {}, "ladder": [128]},
        "oldest": old | {"flags": {}, "spy": "here"},
    }
    for name, made in texts.items():
        _store(folder / "edited" / f"{name}.png", json.dumps({"format": record.FORMAT, **made}))
    _store(folder / "torn.png", json.dumps({"format": record.FORMAT, **_record(folder)}))
    torn = (folder / "torn.png").read_bytes()
    (folder / "torn.png").write_bytes(torn.replace(b"gatys-notebook", b"gatys-notebooc"))


def _store(path, text):
    images.save(path, np.full((48, 64, 3), 0.5), extras=images.Extras(text=text))


def _checkpoints(folder):
    (folder / "damaged").mkdir()
    (folder / "damaged" / f"1{checkpoints.SUFFIX}").write_text("no checkpoint")
    weights = ("--weights", "narrow.h5", "--recipe", "gatys-notebook", "--ladder", "32")
    changed = {"content": [{"name": "town.png", "sha256": "of another"}], "style": []}
    made = {
        "moved": checkpoints.Checkpoint(checkpoints.Command(STYLIZE, "/no/such/folder")),
        "begun": _kept(folder, weights, inputs=changed),
        "reweighed": _kept(folder, weights, network={"sha256": "of another"}),
    }
    for name, kept in made.items():
        (folder / name).mkdir()
        snapshots.write(folder / name / f"1{checkpoints.SUFFIX}", checkpoints._as_tree(kept))


def _kept(folder, more, **changed):
    rows = record.Record(**_record(folder, **changed))._asdict()
    command = checkpoints.Command((*STYLIZE, *more), os.fspath(folder))
    return checkpoints.Checkpoint(command, records=(rows | {"stages": []},))
