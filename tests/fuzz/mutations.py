"""Changes to inputs: of any bytes, and within formats, whose lengths and checksums are then made right again.

A mutation takes a source of chance and bytes, and gives bytes, or None where it doesn't fit.
"""

import contextlib
import hashlib
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence

import h5py
import numpy as np

PNG = b"\x89PNG\r\n\x1a\n"
CHECKPOINT = b"nst-jax checkpoint 1\n"
HDF5 = b"\x89HDF\r\n\x1a\n"
NUMBERS = [0, 1, 2, 3, 4, 7, 8, 15, 16, 17, 127, 128, 255, 256, 32767, 32768, 65535, 2**24, 2**31 - 1, 2**31, 2**32 - 1]
NUMBERS += [2**62, 2**63, 2**64 - 1]
WORDS = [
    b"0",
    b"-1",
    b"1e999",
    b"NaN",
    b"9" * 400,
    b"\0",
    b"\xff",
    b"\xed\xa0\x80",
    b"\x1b[31m",
    b",",
    b";",
    b":",
    b'"',
]
WORDS += [
    b"\n",
    b"../",
    b"/etc/passwd",
    b"file:///etc/passwd",
    b"https://127.0.0.1/",
    b"~",
    b"lin:",
    b"relu4_2",
    b"x",
    b"-",
]
WORDS += [
    b"[" * 5000,
    b"<nst:text>",
    b"<!DOCTYPE x>",
    b"&#0;",
    b"nst_jax\0",
    b"=",
    b"\n\n",
    b"1,",
    b"0.5",
    b"ramp",
    b"noise:1",
]
BOMBS = [zlib.compress(bytes(n), 9) for n in (100, 10**6, 3 * 10**7)]
VALUES = [None, True, False, 0, 1, -1, 2**31, 2**53, 2**64, 10**400, 0.5, -0.0, 1e308, "", "x", "\x1b[31m", "9" * 400]
VALUES += [[], {}, [[]], [0], {"array": 0}, {"": 0}, "relu4_2", "../x", "/etc/passwd", "\ud800", "x" * 3000, [1] * 200]


def mutate(chance, pool: Sequence[bytes]) -> bytes:
    """One of several inputs, changed once to four times."""
    data = chance.choice(pool)
    for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 4))):
        data = _once(chance, data, pool)
    return data


def _once(chance, data, pool):
    fitting = [change for begins, change in FORMATS if begins(data)]
    if fitting and chance.random() < 0.7:
        with contextlib.suppress(Exception):  # the input is too damaged to be changed in this way
            return chance.choice(fitting)(chance, data)
    if chance.random() < 0.05:
        other = chance.choice(pool)
        return data[: chance.randint(0, len(data))] + other[chance.randint(0, len(other)) :]
    return chance.choice(RAW)(chance, data)


# Of any bytes


def _flip(chance, data):
    changed = bytearray(data or b"\0")
    for _ in range(chance.choice((1, 1, 2, 4))):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _cut(chance, data):
    return data[: chance.randint(0, len(data))]


def _delete(chance, data):
    start = chance.randint(0, len(data))
    return data[:start] + data[start + chance.choice((1, 2, 4, 12, 40)) :]


def _repeat(chance, data):
    start, size = chance.randint(0, len(data)), chance.choice((1, 2, 4, 12, 40, 200))
    return data[: start + size] + data[start : start + size] * chance.choice((1, 1, 3, 60)) + data[start + size :]


def _number(chance, data):
    form = chance.choice(("B", "<H", ">H", "<I", ">I", "<Q", ">Q"))
    size = struct.calcsize(form)
    start = chance.randint(0, max(0, len(data) - size))
    return data[:start] + struct.pack(form, chance.choice(NUMBERS) % 256**size) + data[start + size :]


def _word(chance, data):
    start = chance.randint(0, len(data))
    return data[:start] + chance.choice(WORDS) + data[start + chance.choice((0, 0, 1, 4)) :]


RAW: tuple[Callable, ...] = (_flip, _flip, _cut, _delete, _repeat, _number, _number, _word)


def _raw(chance, data):
    return chance.choice(RAW)(chance, data)


def _of_list(chance, parts, change):
    """One part of a list changed, left out, repeated or moved."""
    at, way = chance.randrange(len(parts)), chance.random()
    if way < 0.7:
        parts[at] = change(parts[at])
    elif way < 0.8:
        del parts[at]
    elif way < 0.9:
        parts.insert(chance.randint(0, len(parts)), parts[at])
    else:
        parts.append(parts.pop(at))
    return parts


# Within formats


def _png(chance, data):
    """A chunk of a PNG, with its checksum; pixels and texts changed as they are when they are unpacked."""
    parts, at = [], 8
    while at + 12 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        parts.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += length + 12

    def change(part):
        kind, body = part
        if kind == b"IDAT" and chance.random() < 0.5:
            return kind, zlib.compress(_raw(chance, zlib.decompress(body)))
        if chance.random() < 0.1:
            return chance.choice(
                (b"tRNS", b"PLTE", b"iCCP", b"eXIf", b"iTXt", b"zTXt", b"acTL", b"fcTL", b"gAMA")
            ), body
        return kind, _raw(chance, body)

    if chance.random() < 0.1:
        bomb = chance.choice(BOMBS)
        kinds = ((b"zTXt", b"nst_jax\0\0"), (b"iTXt", b"nst_jax\0\1\0\0\0"), (b"iCCP", b"x\0\0"), (b"zTXt", b"x\0\0"))
        kind, head = chance.choice(kinds)
        parts.insert(1, (kind, head + bomb))
    else:
        parts = _of_list(chance, parts, change)
    return PNG + b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts)


def _jpeg(chance, data):
    """A segment before a JPEG's pixels, with its length."""
    parts, at = [], 2
    while data[at] == 0xFF and data[at + 1] != 0xDA:
        (length,) = struct.unpack(">H", data[at + 2 : at + 4])
        parts.append((data[at + 1], data[at + 4 : at + 2 + length]))
        at += 2 + length
    parts = _of_list(chance, parts, lambda part: (part[0], _raw(chance, part[1])[:65533]))
    return b"\xff\xd8" + b"".join(struct.pack(">BBH", 255, k, len(d) + 2) + d for k, d in parts) + data[at:]


def _tiff(chance, data):
    """A field of an entry of a TIFF's first directory."""
    end = "<" if data[:2] == b"II" else ">"
    (at,) = struct.unpack(f"{end}I", data[4:8])
    (count,) = struct.unpack(f"{end}H", data[at : at + 2])
    start = at + 2 + 12 * chance.randrange(count)
    tag, kind, many, value = struct.unpack(f"{end}HHII", data[start : start + 12])
    number, which = chance.choice(NUMBERS) % 2**32, chance.randrange(5)
    known = (256, 257, 258, 259, 262, 273, 277, 278, 279, 284, 317, 338, 322, 323, 330, 700, 34675, 34665, 34853)
    tag = chance.choice(known) if which == 0 else tag
    kind = chance.randint(0, 19) if which == 1 else kind
    many = number if which == 2 else many
    value = number if which == 3 else value + chance.randint(-2, 2) if which == 4 else value
    return data[:start] + struct.pack(f"{end}HHII", tag, kind, many, value % 2**32) + data[start + 12 :]


def _webp(chance, data):
    """A chunk of a RIFF file, with lengths."""
    parts, at = [], 12
    while at + 8 <= len(data):
        kind, length = struct.unpack("<4sI", data[at : at + 8])
        parts.append((kind, data[at + 8 : at + 8 + length]))
        at += 8 + length + length % 2
    parts = _of_list(chance, parts, lambda part: (part[0], _raw(chance, part[1])))
    body = b"".join(struct.pack("<4sI", k, len(d)) + d + b"\0" * (len(d) % 2) for k, d in parts)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _zip(chance, data):
    """A member of a zip file."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]

    def change(member):
        name, body = member
        if chance.random() < 0.2:
            return chance.choice(("model.weights.h5", "../x", "archive/data.pkl", "x")), body
        return name, _once(chance, body, [body])

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for name, body in _of_list(chance, members, change):
            archive.writestr(name, body)
    return out.getvalue()


def _json(chance, data):
    """A value, a key or an item somewhere in JSON, alone or in one of its lines."""
    lines = data.split(b"\n")
    at = chance.randrange(len(lines))
    lines[at] = json.dumps(_tree(chance, json.loads(lines[at])), ensure_ascii=chance.random() < 0.5).encode(
        "utf-8", "surrogatepass"
    )
    return b"\n".join(lines)


def _tree(chance, tree):
    """Plain data with one value in it changed, left out, repeated, or put under another key."""
    inside = isinstance(tree, dict | list) and tree
    if not inside or chance.random() < 0.1:
        if isinstance(tree, str) and chance.random() < 0.5:
            return _raw(chance, tree.encode("utf-8", "replace")).decode("utf-8", "replace")
        return chance.choice(VALUES)
    keys = [*tree] if isinstance(tree, dict) else list(range(len(tree)))
    key, way = chance.choice(keys), chance.random()
    if way < 0.8:
        tree[key] = _tree(chance, tree[key])
    elif way < 0.87:
        del tree[key]
    elif isinstance(tree, list):
        tree.append(tree[key])
    else:
        tree[chance.choice([*map(str, keys), "x", "recipe", "size", "turns", "\ud800"])] = chance.choice(
            [*VALUES, tree[key]]
        )
    return tree


def _checkpoint(chance, data):
    """The head, or the rest, of a checkpoint; with its length and its digest."""
    body = data[len(CHECKPOINT) + 32 :]
    (length,) = struct.unpack("<Q", body[:8])
    head, rest = body[8 : 8 + length], body[8 + length :]
    if chance.random() < 0.8:
        body = (head := _json(chance, head)) and struct.pack("<Q", len(head)) + head + rest
    else:
        body = _raw(chance, body)
    return CHECKPOINT + hashlib.sha256(body).digest() + body


def _safetensors(chance, data):
    """The header of a safetensors file, with its length."""
    (length,) = struct.unpack("<Q", data[:8])
    head = _json(chance, data[8 : 8 + length])
    return struct.pack("<Q", len(head)) + head + data[8 + length :]


def _hdf5(chance, data):
    """A dataset, a link or an attribute of an HDF5 file."""
    stream = io.BytesIO(data)
    with h5py.File(stream, "r+") as file:
        names: list[str] = []
        file.visit(names.append)
        name = chance.choice(names)
        at, other = chance.choice([file, file[name], file[name].parent]), chance.choice(names)
        way = chance.randrange(5)
        if way == 0:
            values = [h5py.Empty("f"), np.bytes_(b"\xff"), np.zeros((2, 2)), 3, "ü", np.nan, np.zeros(3), [b"a", b"b"]]
            at.attrs[chance.choice([*at.attrs, "mean", "std", "name"])] = chance.choice(values)
        elif way == 1:
            fresh = chance.choice(("conv99_1", "conv9_", "convx", "relu9_9", "x", "made", "input", "activations/x"))
            file[fresh] = file[name]
        elif way == 2:
            del file[name]
            if chance.random() < 0.5:
                file[name] = chance.choice([file[other], h5py.SoftLink("/"), h5py.ExternalLink("x.h5", "/")])
        elif way == 3:
            file.move(name, chance.choice((other + "x", "conv1_3", "conv99999_1", "conv1_1/kernel/x", "relu4_1")))
        else:
            shape = tuple(chance.choice((0, 1, 3, 4, 8192, 10**6)) for _ in range(chance.randint(0, 5)))
            kind = chance.choice(("f2", "f4", "f8", "i1", "i8", "S9", "c8", np.dtype(("f4", (1000,)))))
            del file[name]
            file.create_dataset(name, shape, kind, chunks=True if np.prod(shape) > 10**5 else None)
    return stream.getvalue()


def _matlab(chance, data):
    """An element of a MATLAB file; what is packed is changed as it is when it is unpacked."""
    parts, at = [], 128
    while at + 8 <= len(data):
        kind, length = struct.unpack("<II", data[at : at + 8])
        parts.append((kind, data[at + 8 : at + 8 + length]))
        at += 8 + length

    def change(part):
        kind, body = part
        packed = kind == 15 and chance.random() < 0.8
        body = _raw(chance, zlib.decompress(body) if packed else body)
        return kind, zlib.compress(body) if packed else body

    parts = _of_list(chance, parts, change)
    return data[:128] + b"".join(struct.pack("<II", kind, len(body)) + body for kind, body in parts)


FORMATS: tuple[tuple[Callable, Callable], ...] = (
    (lambda data: data.startswith(PNG), _png),
    (lambda data: data.startswith(b"\xff\xd8"), _jpeg),
    (lambda data: data[:4] in (b"II*\0", b"MM\0*"), _tiff),
    (lambda data: data[:4] == b"Exif", lambda chance, data: b"Exif\0\0" + _tiff(chance, data[6:])),
    (lambda data: data[:4] == b"RIFF", _webp),
    (lambda data: data[:4] == b"PK\3\4", _zip),
    (lambda data: data[:1] in (b"{", b"["), _json),
    (lambda data: data.startswith(CHECKPOINT), _checkpoint),
    (lambda data: data[8:9] == b"{", _safetensors),
    (lambda data: data.startswith(HDF5), _hdf5),
    (lambda data: data[:6] == b"MATLAB", _matlab),
)
