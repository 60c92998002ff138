"""What is fuzzed: functions of bytes, each of which takes its input, or refuses it with a ValueError or an OSError.

What a target asserts must hold of every input that is taken.
"""

import contextlib
import hashlib
import io
import json
import os
import pathlib
import tempfile
import types
import zlib
from collections.abc import Callable

import h5py
import numpy as np

from fuzz import seeds
from nst_jax.cli import show
from nst_jax.network import convert as conversion
from nst_jax.network import files, hdf5, layers, matlab, readers
from nst_jax.orders import checkpoints, customise, lists, order, prepare, record, snapshots, values, words
from nst_jax.orders.order import Order
from nst_jax.pictures import exif as exifs
from nst_jax.pictures import formats, icc, images, metadata
from nst_jax.pictures import masks as guides
from nst_jax.pictures.images import Extras

PIXELS = 100_000  # of a picture that is read
FOLDER = tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)


def _file(data: bytes, name: str = "input") -> pathlib.Path:
    path = pathlib.Path(FOLDER.name) / f"{os.getpid()}-{name}"
    path.write_bytes(data)
    return path


def _is_image(image, channels=(3,)) -> bool:
    """Whether these are finite floats in [0, 1]: a NaN compares as neither."""
    return image.dtype == np.float32 and image.shape[2:] == channels and bool(((image >= 0) & (image <= 1)).all())


# Pictures


def pictures(data: bytes) -> None:
    """A picture of whatever kind: floats in [0, 1], no larger than was allowed."""
    picture = images.read(_file(data), max_pixels=PIXELS)
    h, w = picture.image.shape[:2]
    assert _is_image(picture.image)
    assert min(h, w) >= images.SMALLEST
    assert h * w <= PIXELS
    assert picture.alpha is None or (picture.alpha.shape == (h, w) and _is_image(picture.alpha, ()))


def kept(data: bytes) -> None:
    """What a picture carries is kept in another of any kind, and the text beside it is found again."""
    picture = images.read(_file(data), max_pixels=PIXELS)
    _save_and_read(data, picture.image[:64, :64], picture)


def carried(data: bytes) -> None:
    """The same of any bytes as a profile and as an EXIF block."""
    image = np.linspace(0, 1, 20 * 24 * 3, dtype=np.float32).reshape(20, 24, 3)
    _save_and_read(data, image, images.Picture(image, None, data, data))


def _save_and_read(data, image, picture):
    suffix = (".png", ".jpg", ".webp", ".tif")[zlib.crc32(data) % 4]
    bits = 16 if suffix in (".png", ".tif") and zlib.crc32(data) & 4 else 8
    path, alpha = _file(b"", f"kept{suffix}"), None if picture.alpha is None else picture.alpha[:64, :64]
    try:
        extras = Extras(alpha=alpha, profile=picture.profile, exif=picture.exif, text="{}", bits=bits)
        images.save(path, image, extras=extras)
        assert metadata.read(path) == "{}"
        assert _is_image(images.read(path).image)
    except (ValueError, OSError) as error:
        raise AssertionError(f"{suffix} of {bits} bits: {error}") from error


def exif(data: bytes) -> None:
    """An EXIF block: what is kept of it is a block that is kept whole, and is written into a TIFF."""
    found = exifs.clean(data, (20, 24))
    if found is not None:
        assert len(found) <= metadata.MAX_BYTES
        assert exifs.clean(found, (20, 24)) is not None
        formats.write_tiff(io.BytesIO(), np.zeros((20, 24, 3), np.uint8), exifs.tiff_tags(found))


def profiles(data: bytes) -> None:
    """An ICC profile: colours stay colours, both ways."""
    ramp = np.linspace(0, 1, 300, dtype=np.float32).reshape(10, 10, 3)
    levels = (ramp * 65535).astype(np.uint16)
    assert _is_image(icc.to_srgb(levels, data))
    assert _is_image(icc.to_srgb(levels[..., 0], data))
    found = icc.from_srgb(ramp, data)
    assert icc.is_usable(data) == (found is not None)
    assert found is None or _is_image(found)


def texts(data: bytes) -> None:
    """A text that is stored in a file is read again as it was, whatever the kind of file."""
    text = data.decode("utf-8", "surrogateescape")
    packet, chunk = metadata.xmp_packet(text), metadata.png_chunk(text)
    stream = io.BytesIO()
    formats.write_png(stream, np.zeros((1, 1, 3), np.uint16), text=chunk)
    for stored in (bytes(64) + packet + bytes(64), stream.getvalue()):
        assert metadata.read(_file(stored)) == text


def stored(data: bytes) -> None:
    """The text in a picture, which is bounded."""
    found = metadata.read(_file(data))
    assert found is None or len(found) <= metadata.MAX_BYTES


def masks(data: bytes) -> None:
    """Masks of any colours, as guides that share each pixel; what is transparent is filled with colours."""
    head, body = data[:3].ljust(3, b"\0"), np.frombuffer(data[3:] or b"\0", np.uint8)
    h, w, count = 16 + head[0] % 24, 16 + head[1] % 24, 2 + head[2] % 4
    mask = (np.resize(body, (h, w, 3)) / np.float32(255)).astype(np.float32)
    filled = guides.fill_transparent(mask, mask[..., 0])
    assert _is_image(filled)
    grey = guides.fit_to_picture(guides.guide_from_grey(mask), (2 * h, 2 * w), "a mask")
    assert _is_image(grey, ())
    assert guides.is_too_small(grey, 4) in (True, False)
    each = guides.guides_from_colours(mask, count)
    assert each.shape == (count, h, w)
    np.testing.assert_allclose(each.sum(0), 1, atol=1e-5)


# Weights


def weights(data: bytes) -> None:
    """A weight file of our own: parameters that a network can run with."""
    path = _file(data)
    params, said = files.read(path), files.info(path)
    shapes = {name: {k: v.shape for k, v in layer.items()} for name, layer in params.items()}
    widths, convs = layers.own_shape(params)
    assert {n for n in layers.layers_of(convs) if n[:4] == "conv"} == {n for n in params if n[:4] == "conv"}
    assert all(name in ("input", *layers.layers_of()) or name.startswith("conv") for name in shapes)
    assert all(np.isfinite(v).all() and v.dtype == np.float32 for layer in params.values() for v in layer.values())
    assert len(widths) == len(convs)
    assert all(isinstance(value, str | int | float | list) for value in said.values())
    files.activations(path)


def published(data: bytes) -> None:
    """A weight file of somebody else's: HDF5, MATLAB, safetensors, zip or pickle. None runs code."""
    try:
        params, attributes = conversion.read(_file(data))
    finally:
        assert seeds.RAN not in os.environ
    out = _file(b"", "converted.h5")
    files.save(out, params, **attributes)
    again = files.read(out)
    assert {*again} == {*params}
    with h5py.File(out) as file:
        assert file.attrs["source_sha256"] == hashlib.sha256(data).hexdigest()


# Orders


def csv_lists(data: bytes) -> None:
    """A list of jobs as CSV: results stay within their folder."""
    _list(data, "list.csv")


def json_lists(data: bytes) -> None:
    """A list of jobs, a JSON object a line."""
    _list(data, "list.jsonl")


def _list(data, name):
    for entry in lists.read([str(_file(data, name))]):
        assert entry.trouble or (entry.output and os.path.basename(entry.output) == entry.output)
        assert not entry.output.startswith(".")
        with contextlib.suppress(ValueError):
            asked = entry.order(Order())
            assert all(isinstance(each, str) for kind in asked.files().values() for each in kind)


def fields(data: bytes) -> None:
    """Fields of an order, NAME=VALUE a line: what is written of an order is the same order."""
    asked = {}
    for line in data.decode("utf-8", "surrogateescape").split("\n"):
        name, equals, value = line.partition("=")
        if equals and name in words.TABLE:
            asked[name] = value
    found = words.replace(Order(), asked)
    written = {name: text for name, text in words.write(found).items() if text != "palette"}  # its file is given anew
    again = words.replace(Order(), written)
    assert words.write(again) == written
    assert all(words.TABLE[name].of(again) == words.TABLE[name].of(found) for name in written)
    order.check(found)
    customise.recipe_of(found)


PARSERS = {name: field.parse for name, field in words.TABLE.items()}
PARSERS |= {f"sweep {name}": field.sweep for name, field in words.TABLE.items() if field.sweep}
PARSERS |= {"seeds": values.seeds, "pace": values.pace}


def value(data: bytes) -> None:
    """NAME=VALUE, of every parser there is: a value that is written is read again as it was."""
    name, _, text = data.decode("utf-8", "surrogateescape").partition("=")
    parse = PARSERS.get(name)
    if parse is not None:
        found = words.parse(words.TABLE[name], text) if name in words.TABLE else parse(text)
        if name in words.TABLE and words.TABLE[name].recorded:
            assert parse(words.TABLE[name].write(found)) == found


def records(data: bytes) -> None:
    """A record from a stranger's picture: it names no file, asks for no more than it may, and is written as it was."""
    found = record.parse(data.decode("utf-8", "replace"))
    assert all(c.isprintable() or c == "\n" for c in show.describe(found))
    assert found.total >= 0
    prepare.stages_of(found)
    record.changes(found, found._replace(network={"sha256": ""}))
    given = {kind: [f"{kind}-{i}" for i, _ in enumerate(each)] for kind, each in found.inputs.items()}
    given = {"content": ["content"], "style": ["style"]} | {kind: each for kind, each in given.items() if each}
    asked = record.order_of(found, given)
    named = {name for kind in asked.files().values() for name in kind}
    assert named <= {name for each in given.values() for name in each}
    assert (asked.ends.steps or 0) <= record.MOST["steps"]
    assert asked.machine.weights is None
    assert not asked.finish.keep_metadata
    order.check(asked)
    recipe = customise.recipe_of(asked)
    assert sum(size.steps for size in recipe.schedule(512)) <= record.MOST["steps"]
    assert record.asks_the_same(found, found)
    assert _plain(record.parse(record.text(found))) == _plain(found)


def _plain(found):
    return json.dumps(found._replace(network=dict(found.network))._asdict(), sort_keys=True)


def trees(data: bytes) -> None:
    """A file of a run that is kept: as it was written, or refused."""
    tree = snapshots.read(_file(data))
    start = len(snapshots.MAGIC) + 32
    assert data[start - 32 : start] == hashlib.sha256(data[start:]).digest()
    snapshots.write(_file(b"", "again"), tree)


def kept_runs(data: bytes) -> None:
    """A folder with one checkpoint: what it holds of a run, or a line about why it can't be used."""
    folder = pathlib.Path(FOLDER.name) / f"{os.getpid()}-kept"
    folder.mkdir(exist_ok=True)
    (folder / f"00000001{checkpoints.SUFFIX}").write_bytes(data)
    said: list[str] = []
    found = checkpoints.find(folder, said=said.append)
    assert (found is None) == bool(said)
    assert all("\n" not in line for line in said)
    if found is not None:
        assert all(isinstance(word, str) for word in (*found.command.argv, found.command.folder))
        assert isinstance(found.finished, str)
        assert isinstance(found.group.split("\n"), list)
        assert isinstance(found.ladder, str)
        assert dict(found.rows) is not None
        known = [record.Record(**each) for each in found.records]
        assert not known or record.changes(known[0], known[0]) is not None
        if found.snapshot:
            assert 0 <= found.snapshot.stage <= len(found.snapshot.stages)
            assert found.snapshot.done >= 0


TARGETS: dict[str, Callable[[bytes], None]] = {
    "pictures": pictures,
    "kept": kept,
    "carried": carried,
    "exif": exif,
    "profiles": profiles,
    "texts": texts,
    "stored": stored,
    "masks": masks,
    "weights": weights,
    "published": published,
    "csv-lists": csv_lists,
    "json-lists": json_lists,
    "fields": fields,
    "value": value,
    "records": records,
    "trees": trees,
    "kept-runs": kept_runs,
}
MODULES: dict[str, tuple[types.ModuleType, ...]] = {
    "pictures": (images, formats),
    "kept": (images, formats, metadata, exifs),
    "carried": (exifs, icc, formats),
    "exif": (exifs,),
    "profiles": (icc,),
    "texts": (metadata,),
    "stored": (metadata,),
    "masks": (guides,),
    "weights": (files, hdf5),
    "published": (conversion, readers, hdf5, matlab),
    "csv-lists": (lists,),
    "json-lists": (lists,),
    "fields": (words, values),
    "value": (values,),
    "records": (record,),
    "trees": (snapshots,),
    "kept-runs": (checkpoints, snapshots),
}
"""The modules whose lines guide a target."""
