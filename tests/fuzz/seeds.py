"""Sound inputs to begin with, made by the product's own writers and by Pillow; all are small."""

import contextlib
import functools
import io
import json
import pathlib
import pickle
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable

import h5py
import numpy as np
import profiles
import scipy.io
from PIL import Image, ImageCms

from nst_jax.network import files, layers
from nst_jax.orders import checkpoints, record, snapshots, values, words
from nst_jax.orders.record import Record
from nst_jax.painting.job import Stage
from nst_jax.painting.memory import Plan
from nst_jax.painting.runs import Snapshot
from nst_jax.pictures import formats, images, metadata
from nst_jax.pictures.images import Extras
from nst_jax.recipes import Turn

RAN = "NST_JAX_FUZZ_RAN"  # a variable of the environment, where code in a file was run
TEXT = json.dumps({"recipe": "matching", "text": 'é<&"'}, ensure_ascii=False)


def _file(write) -> bytes:
    """The bytes of a file that a function of its path writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "seed"
        write(path)
        return path.read_bytes()


def _levels(channels: int) -> np.ndarray:
    return np.random.default_rng(channels).integers(0, 256, (17, 19, channels), np.uint8)


@functools.cache
def _profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _profiles() -> list[bytes]:
    """Profiles of curves by points, powers and formulas, of greys, and of tables."""
    forms = [(2.2,), (2.4, 0.9, 0.1), (2.4, 0.9, 0.1, 0.0), (2.4, 0.948, 0.052, 0.0774, 0.0404)]
    curves = [profiles.table(0.0, 0.4, 1.0), *(profiles.parametric(i, *form) for i, form in enumerate(forms))]
    primaries = profiles.WHITE | {b"rXYZ": profiles.R, b"gXYZ": profiles.G, b"bXYZ": profiles.B}
    made = [profiles.icc(b"RGB ", primaries | dict.fromkeys(profiles.CURVES, curve)) for curve in curves]
    return [*made, profiles.ADOBE, profiles.LINEAR_GREY, profiles.tables(), profiles.tables(back=False), _profile()]


@functools.cache
def _block() -> bytes:
    """An EXIF block with a directory of each kind."""
    known = Image.Exif()
    known[274], known[270], known[306], known[282] = 6, "a town", "2026:11:29 10:00:00", 72.5
    known[34665] = {0x9003: "2026:11:29 10:00:00", 0x829A: 0.01, 0x927C: b"notes" * 9, 0xA005: {1: "R98"}}
    known[34853] = {1: "N", 2: (1.0, 2.0, 3.0), 29: "2026:11:29"}
    return known.tobytes()


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _pictures() -> list[bytes]:
    """Pictures of every kind that is read, and of every mode that Pillow writes them in."""
    found, rgb = [], Image.fromarray(_levels(3))
    rgba, float32 = Image.fromarray(_levels(4)), Image.fromarray(_levels(3)[..., 0] / np.float32(255))
    deep = Image.fromarray((_levels(3)[..., 0] * np.uint16(257)).astype(np.uint16))
    other = {"exif": _block(), "icc_profile": _profile(), "xmp": metadata.xmp_packet(TEXT)}
    modes = [
        rgb,
        rgba,
        *map(rgb.convert, ("L", "1", "P", "CMYK")),
        rgba.convert("LA"),
        rgb.convert("LAB"),
        float32,
        deep,
    ]
    options = {
        "PNG": [{}, other],
        "JPEG": [{}, {"progressive": True}, other],
        "WEBP": [{}, {"lossless": True}, other],
        "TIFF": [{"compression": c} for c in ("raw", "tiff_lzw", "packbits", "tiff_adobe_deflate")],
        "GIF": [{}, {"save_all": True, "append_images": [rgb.rotate(90)], "transparency": 0}],
        "AVIF": [{"speed": 10}, {"speed": 10} | other],
        "TGA": [{}, {"compression": "tga_rle"}],
    }
    for kind in (*options, "PPM", "BMP", "DIB", "JPEG2000", "PCX", "QOI", "SGI"):
        for im in modes:
            for more in options.get(kind, [{}]):
                stream = io.BytesIO()
                with contextlib.suppress(OSError, ValueError):  # not in this mode
                    im.save(stream, kind, **more)
                    found.append(stream.getvalue())
    for mode, compression in (("1", "group4"), ("RGB", "jpeg"), ("L", "jpeg")):
        rgb.convert(mode).save(stream := io.BytesIO(), "TIFF", compression=compression)
        found.append(stream.getvalue())
    rgba.resize((24, 24)).save(stream := io.BytesIO(), "ICO", sizes=[(24, 24)])
    found.append(stream.getvalue())
    rgb.convert("P").save(stream := io.BytesIO(), "PNG", transparency=3)
    found.append(stream.getvalue())
    return [*found, *_deep_pictures(), b"P3 17 17 255 " + b"1 2 3 " * 289, _photoshop()]


def _photoshop() -> bytes:
    """A flat PSD of 17 × 17 pixels, which Pillow doesn't write."""
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 17, 17, 8, 3)
    return head + bytes(12) + struct.pack(">H", 0) + bytes(range(256)) * 4


def _deep_pictures() -> list[bytes]:
    """16 bits as our own writers have them, and as others' do."""
    image = (_levels(3) / np.float32(255)).astype(np.float32)
    more = Extras(alpha=image[..., 0], profile=_profile(), exif=_block(), text=TEXT, bits=16)
    found = []
    for suffix in (".png", ".tif"):
        for extras in (Extras(bits=16), more, more._replace(bits=8)):
            found.append(_saved(suffix, image, extras))
    stream = io.BytesIO()
    formats.write_png(stream, _levels(3) * np.uint16(257), text=metadata.png_chunk(TEXT))
    whole = stream.getvalue()
    return [
        *found,
        whole[:33] + _chunk(b"tRNS", bytes(6)) + whole[33:],
        whole[:33] + _chunk(b"eXIf", _block()[6:]) + whole[33:],
    ]


def _saved(suffix, image, extras) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / f"a{suffix}"
        images.save(path, image, extras=extras)
        return path.read_bytes()


def _stored() -> list[bytes]:
    """A text in each way in which a file may hold it."""
    image, png = np.full((17, 17, 3), 0.5, np.float32), b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", bytes(13))
    texts = [b"nst_jax\0\1\0en\0word\0" + zlib.compress(TEXT.encode()), b"nst_jax\0\0\0en\0word\0" + TEXT.encode()]
    chunks = [_chunk(b"iTXt", text) for text in texts]
    chunks += [_chunk(b"zTXt", b"nst_jax\0\0" + zlib.compress(b"{}")), _chunk(b"tEXt", b"nst_jax\0{}")]
    attribute = (
        metadata.xmp_packet("").replace(b"<nst:text></nst:text>", b"").replace(b'about=""', b'about="" nst:text="{}"')
    )
    saved = [_saved(suffix, image, Extras(text=TEXT)) for suffix in (".png", ".jpg", ".webp", ".tif")]
    return [*saved, *(png + chunk for chunk in chunks), metadata.xmp_packet(TEXT), bytes(20) + attribute]


def _masks() -> list[bytes]:
    two = np.zeros((16, 16, 3), np.uint8)
    two[:, 8:] = 255
    four = np.zeros((16, 16, 3), np.uint8)
    four[:8, :8], four[8:, :8], four[:8, 8:] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    soft = two.copy()
    soft[:, 7:9] = 128
    return [
        b"\0\0\0" + two.tobytes(),
        b"\0\0\2" + four.tobytes(),
        b"\0\0\0" + soft.tobytes(),
        b"\4\7\0" + two.tobytes()[:900],
    ]


@functools.cache
def _params(convs: tuple[int, ...] = (2, 1)) -> dict:
    """A network of a few channels."""
    chance, channels = np.random.default_rng(0), 3
    params: dict = {"input": {"mean": np.array(layers.MEAN), "std": np.array(layers.STD)}}
    for name in layers.layers_of(convs):
        if name.startswith("conv"):
            kernel = chance.normal(size=(3, 3, channels, 2)).astype(np.float32)
            params[name], channels = {"kernel": kernel, "bias": np.ones(2, np.float32)}, 2
    return params


def _weights() -> list[bytes]:
    """Networks of our own, whole and in half precision, with activations and with taps."""
    plain, half = _params(), {"half": True, "activations": {"relu1_1": layers.Activation(np.ones(2), np.ones(2))}}
    taps = plain | {"relu1_2": {"relu1_2": np.ones((2, 64), np.float32)}}
    return [
        _file(lambda path: files.save(path, plain, source="a seed")),
        _file(lambda path: files.save(path, plain, **half)),
        _file(lambda path: files.save(path, taps)),
    ]


def _published() -> list[bytes]:
    """The same network as others publish theirs."""
    convs = {name: layer for name, layer in _params().items() if name != "input"}
    ours = _weights()
    keras = [
        _file(functools.partial(_keras, convs=convs, form=form)) for form in ("block{}_conv{}", "layers/conv{}_{}/vars")
    ]
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("model.weights.h5", keras[1])
    pth = io.BytesIO()
    with zipfile.ZipFile(pth, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(_Code(), 2))
        archive.writestr("archive/version", "3\n")
    mats = [_file(functools.partial(_matconvnet, convs=convs, packed=packed)) for packed in (False, True)]
    return [*ours, *keras, stream.getvalue(), pth.getvalue(), *mats, _safetensors(convs)]


class _Code:
    """What a pickle runs, where it is opened as any other."""

    def __reduce__(self):
        return exec, (f"import os; os.environ[{RAN!r}] = '1'",)


def _keras(path, convs, form):
    with h5py.File(path, "w") as file:
        for name, layer in convs.items():
            group = file.create_group(form.format(*name[4:].split("_")))
            group["0"], group["1"] = layer["kernel"], layer["bias"]


def _matconvnet(path, convs, packed):
    structs = [
        {"name": name, "type": "conv", "weights": [layer["kernel"], layer["bias"]]} for name, layer in convs.items()
    ]
    cells = np.empty(len(structs), object)
    cells[:] = structs
    net = {"layers": cells, "meta": {"normalization": {"averageImage": np.full((1, 1, 3), 120.0)}}}
    with open(path, "wb") as file:
        scipy.io.savemat(file, net, do_compression=packed)


def _safetensors(convs) -> bytes:
    head, body = {}, b""
    for index, layer in zip((0, 2, 5), convs.values(), strict=True):
        for kind, array in (("weight", layer["kernel"].transpose(3, 2, 0, 1)), ("bias", layer["bias"])):
            span = [len(body), len(body) + array.nbytes]
            head[f"features.{index}.{kind}"] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": span}
            body += np.ascontiguousarray(array).tobytes()
    text = json.dumps(head).encode()
    return struct.pack("<Q", len(text)) + text + body


ORDER = {
    "recipe": "gatys-notebook",
    "ladder": "32:5,48",
    "style-layers": "relu1_1,relu2_1:0.5",
    "init": "mix:0.25:1",
    "colour": "match-pca",
    "keep": "clamped,averaged:0.99",
    "optimizer": "adam",
    "learning-rate": "0.02",
    "style-mix": "2,1",
    "style-scale": "0.5,2.0",
    "seed": "7",
    "steps": "30",
    "max-memory": "4000000000",
    "still": "0.02",
}


def _records() -> list[bytes]:
    """A record of each format, with all that it may hold."""
    inputs = {"content": 1, "style": 2, "palette": 1}
    order = ORDER | {"colour": "palette"}
    named = {kind: [{"name": f"{i}.png", "sha256": "0" * 64} for i in range(n)] for kind, n in inputs.items()}
    whole = Record(
        order,
        record.versions(),
        named,
        "cpu (cpu)",
        {"sha256": "af80", "source": "a seed"},
        {"settings": {"b1": 0.9}},
        [
            {
                "size": [64, 48],
                "steps": 2,
                "plan": {"direct": True, "window": 64},
                "network": "fast",
                "near": ["relu1_1"],
            }
        ],
        [[1, {"style": 2.0, "mix": [1.0, 0.5]}]],
        2,
        {"content/relu4_2": 0.5},
    )
    small = Record({"recipe": "matching"}, {"jax": "1"}, {"content": named["content"], "style": named["content"]})
    old = {
        "format": record.OLD,
        "versions": {"jax": "1"},
        "recipe": "gatys-notebook",
        "flags": {"size": "48", "keep": "none"},
    }
    old |= {"ladder": [[41, 31, 6], [64, 48, 2]], "seed": 3, "inputs": small.inputs, "plan": ["whole"], "steps": 8}
    return [record.text(whole).encode(), record.text(small).encode(), json.dumps(old).encode()]


def _lists() -> list[dict[str, str]]:
    return [
        {
            "content": "town.jpg",
            "style": "night.jpg;day.jpg",
            "output": "a.png",
            "strength": "0.7",
            "mask": "m.png;n.png",
        },
        {"content": "https://example.org/a.jpg", "style": "night.jpg", "size": "640x480", "colour": "palette:b.png"},
        {"content": "town.jpg", "style": "night.jpg", "init": "noise:0.5", "ladder": "32:5,48", "keep-metadata": "yes"},
    ]


def _csv() -> list[bytes]:
    return [f"{','.join(row)}\n{','.join(map(json.dumps, row.values()))}\n".encode() for row in _lists()]


def _jsonl() -> list[bytes]:
    rows = [
        *_lists(),
        {"content": "a.png", "style": ["b.png", "c.png"], "style_mix": [1, 0.5], "steps": 10, "preview": True},
    ]
    return [b"\n".join(json.dumps(row).encode() for row in rows), json.dumps(rows[-1]).encode()]


EXAMPLES = ORDER | {
    "size": "640x480",
    "neighbour-layers": "columns:2,relu4_1",
    "colour": "palette:a.png",
    "precision": "bfloat16",
    "mesh": "data=2,space=1",
    "strength": "0.7",
    "bits": "16",
    "preview": "yes",
    "memory": "5",
    "tv-weight": "1e-3",
    "mask-weights": "1,0.5",
    "alpha": "stylise",
}


def _fields() -> list[bytes]:
    lines = [f"{name}={text}" for name, text in EXAMPLES.items()]
    return ["\n".join(lines[:14]).encode(), "\n".join(lines[i] for i in (0, 2, 15, 20, 21)).encode()]


def _example(name) -> str:
    field = words.TABLE[name]
    known = EXAMPLES.get(name) or (field.choices[-1] if field.choices else "yes" if field.flag else "")
    return known or ("relu4_2,relu5_2:0.5" if "layers" in name else "5" if field.parse is values.count else "0.5")


def _values() -> list[bytes]:
    """An example for every parser, and for each way of naming several values."""
    ranges = ("1,10,100", "0.1:100:8", "lin:0:1:5")
    found = [f"{name}={_example(name)}" for name in words.TABLE]
    weights = ("content-weight", "style-weight", "tv-weight")
    found += [f"sweep {name}={text}" for name in weights for text in ranges]
    found += ["sweep strength=0.1,0.5", "sweep init=noise,content", "sweep seed=1,2"]
    return [text.encode() for text in (*found, "seeds=0:7:8", "pace=90s", "pace=100", "max-memory=1.5GiB", "size=512")]


def _checkpoints() -> list[bytes]:
    """Checkpoints before, while, and after a picture is painted."""
    stages = (Stage((48, 64), 2, plan=Plan(window=64)), Stage((96, 128), 3, near=("relu1_1",)))
    leaves = (np.zeros((4, 5, 3), np.float32), np.int32(3), np.zeros((0, 2)))
    kept = Snapshot(
        stages, 1, 2, tuple(map(np.asarray, leaves)), Turn(style=2.0), ((1, Turn(mix=(1.0, 2.0))),), {"a": leaves[0]}
    )
    command = checkpoints.Command(("stylize", "a.png", "b.png"), "/nowhere")
    rows = json.loads(_records()[0])
    rows.pop("format")
    whole = checkpoints.Checkpoint(command, "", "a.png", (rows,), kept, ({"seen": 3},), {"b.png": [1, None]})
    each = (whole, checkpoints.Checkpoint(command), checkpoints.Checkpoint(command, finished="a.png"))
    return [_file(lambda path, kept=kept: snapshots.write(path, checkpoints._as_tree(kept))) for kept in each]


SEEDS: dict[str, Callable[[], list[bytes]]] = {
    "pictures": _pictures,
    "kept": lambda: [*_deep_pictures(), *_pictures()],
    "carried": lambda: [_block(), *_profiles()],
    "exif": lambda: [_block()],
    "profiles": _profiles,
    "texts": lambda: [TEXT.encode(), b"a\r\nb\tc", "é漢🎨".encode() * 9],
    "stored": _stored,
    "masks": _masks,
    "weights": _weights,
    "published": _published,
    "csv-lists": _csv,
    "json-lists": _jsonl,
    "fields": _fields,
    "value": _values,
    "records": _records,
    "trees": _checkpoints,
    "kept-runs": _checkpoints,
}
"""What each target begins with."""
