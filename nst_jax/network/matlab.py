"""MATLAB's files of versions 5 to 7, as far as networks are published in them: numbers, texts, cells and structs.

They are read here, with no more memory than they hold: the C code of SciPy's reader crashes on damaged ones.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

LARGEST = 2_000_000_000  # bytes of what is packed in a file: the published networks have 0.6 GB
ORDERS = {b"IM": "<", b"MI": ">"}  # of the bytes in a number
KINDS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8", 16: "u1", 17: "u2"}
MATRIX, PACKED = 14, 15  # elements that are no numbers
CELL, STRUCT, TEXT, NUMBERS = 1, 2, 4, range(6, 16)  # classes of matrices

Element = tuple[int, memoryview]  # its kind and its bytes


def read(data: bytes) -> dict[str, Any]:
    """The variables of a file: arrays, texts, cells as lists, structs as dictionaries; anything else as None."""
    order, room, found = ORDERS[data[126:128]], LARGEST, {}
    for kind, body in _elements(memoryview(data)[128:], order):
        if kind == PACKED:
            unpacked = zlib.decompressobj().decompress(body, room + 1)
            room -= len(unpacked)
            if room < 0:
                raise ValueError(f"it unpacks to more than {LARGEST:,} bytes")
            kind, body = next(_elements(memoryview(unpacked), order))
        if kind == MATRIX:
            name, value = _matrix(body, order)
            found[name] = value
    return found


def _elements(data: memoryview, order: str) -> Iterator[Element]:
    """The elements that lie one after the other: a kind, a length, as many bytes, and what fills up eight."""
    at = 0
    while at + 8 <= len(data):
        kind, size = struct.unpack_from(f"{order}II", data, at)
        start, end = at + 8, at + 8 + (size if kind == PACKED else -(-size // 8) * 8)
        if kind >> 16:  # a small one, whose bytes stand in its head
            kind, size, start, end = kind & 0xFFFF, kind >> 16, at + 4, at + 8
        if start + size > min(len(data), end):
            raise ValueError("an element is longer than what holds it")
        yield kind, data[start : start + size]
        at = end


def _matrix(body: memoryview, order: str) -> tuple[str, Any]:
    """The name and value of an array of whatever class."""
    if not body:
        return "", None
    flags, dimensions, title, *parts = _elements(body, order)
    kind, name = int(_numbers(flags, order)[0]) & 0xFF, _text(title, order)
    if kind in NUMBERS:
        return name, _numbers(parts[0], order).reshape(_numbers(dimensions, order), order="F")
    if kind == TEXT:
        return name, _text(parts[0], order)
    if kind == CELL:
        return name, [_matrix(each, order)[1] for _, each in parts]
    return name, _structs(parts, order) if kind == STRUCT else None


def _structs(parts: list[Element], order: str) -> Any:
    """Structs as dictionaries: one alone, or a list of several."""
    width, (_, raw), *values = parts
    size = int(_numbers(width, order)[0])
    names = [bytes(raw[i : i + size]).split(b"\0")[0].decode() for i in range(0, len(raw), size)]
    each = [_matrix(body, order)[1] for _, body in values]
    if not each:
        return {}
    rows = [dict(zip(names, each[i : i + len(names)], strict=True)) for i in range(0, len(each), len(names))]
    return rows[0] if len(rows) == 1 else rows


def _numbers(element: Element, order: str) -> np.ndarray:
    kind, body = element
    return np.frombuffer(body, order + KINDS[kind])


def _text(element: Element, order: str) -> str:
    kind, body = element
    wide = {"<": "utf-16-le", ">": "utf-16-be"}[order]
    return bytes(body).decode(wide if KINDS[kind] in ("i2", "u2") else "utf-8")
