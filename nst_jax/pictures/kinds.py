"""The kinds of picture files by their suffixes, as plain data: no NumPy, no Pillow. `images` reads and writes them."""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from nst_jax.ground.choices import hint


class Kind(NamedTuple):
    """What a kind of file can hold besides 8-bit colours, and its longest edge."""

    holds: tuple[str, ...]  # of "alpha", "profile", "exif", "text" and "bits": 16 of them
    longest: int = 2**31 - 1  # px


_DEEP = Kind(("alpha", "profile", "exif", "text", "bits"))
_JPEG = Kind(("profile", "exif", "text"), 65_500)

WRITTEN = {
    ".png": _DEEP,
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".webp": Kind(("alpha", "profile", "exif", "text"), 16_383),
    ".tif": _DEEP,
    ".tiff": _DEEP,
    ".bmp": Kind(()),
    ".avif": Kind(("alpha", "profile", "exif", "text"), 16_384),  # not by every Pillow: see `images.SUFFIXES`
}
READ = (*WRITTEN, ".gif", ".heic", ".heif", ".jp2", ".ppm", ".psd", ".qoi", ".tga")  # and more, by their contents


def suffix_of(path) -> str:
    """The suffix of a file's name in lower case, with its dot; "" where there is none."""
    return os.path.splitext(os.fspath(path))[1].lower()


def check_suffix(path, *, table: Mapping[str, Any] = WRITTEN) -> str:
    """The suffix of a file that is to be written; an error where it is none of the table's."""
    suffix = suffix_of(path)
    if suffix not in table:
        remedy = hint(suffix, table, otherwise=f"{next(iter(table))} is usual")
        raise ValueError(f"suffix of {os.fspath(path)!r} must be one of {', '.join(table)}, got {suffix!r}{remedy}")
    return suffix


def check_shape(path, shape) -> None:
    """Raise if a picture [h, w, …] is longer than this kind of file can hold."""
    suffix = check_suffix(path)
    if max(shape[:2]) > (longest := WRITTEN[suffix].longest):
        got = f"got {shape[1]}×{shape[0]}: write a .png"
        raise ValueError(f"picture in {suffix} must be at most {longest} px long, {got}")


def check_bits(path, bits) -> None:
    """Raise if this kind of file cannot hold so many bits a channel."""
    able = holding("bits")
    if bits not in ((8, 16) if check_suffix(path) in able else (8,)):
        got = f"got {bits!r} for {os.fspath(path)!r}: change either"
        raise ValueError(f"bits must be 8, or 16 in {', '.join(able)}, {got}")


def holding(what: str) -> list[str]:
    """The suffixes of the kinds that can hold this, such as "text"."""
    return [suffix for suffix, kind in WRITTEN.items() if what in kind.holds]
