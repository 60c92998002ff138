"""Arrays to files: what `images.save` writes, into which kinds of files, with which metadata."""

from typing import Any, NamedTuple

import numpy as np
from PIL import Image, PngImagePlugin, features

from nst_jax.ground import storage
from nst_jax.pictures import exif, formats, icc, kinds, metadata

QUALITY = 95


class Extras(NamedTuple):
    """What `save` writes besides the colours, where the kind of file can hold it; see `kinds`."""

    alpha: np.ndarray | None = None  # [h, w] in [0, 1], straight; a file without alpha: over white
    profile: bytes | None = None  # ICC: pixels converted into it; not `icc.is_usable`: sRGB and no profile
    exif: bytes | None = None  # a photograph's, of which `exif.clean` is kept: it may tell where and when
    text: str | None = None  # `metadata.read` finds it again
    bits: int = 8  # or 16


PLAIN = Extras()
_BLOCKS = ("profile", "exif", "text")


class Writer(NamedTuple):
    """How `save` writes a kind of file: Pillow's name and options, and what `kinds` says of it."""

    format: str
    options: dict[str, Any]
    holds: tuple[str, ...]
    longest: int


_PILLOW: dict[str, tuple[str, dict[str, Any]]] = {
    ".png": ("PNG", {}),
    ".jpg": ("JPEG", {"quality": QUALITY, "subsampling": "4:4:4"}),
    ".jpeg": ("JPEG", {"quality": QUALITY, "subsampling": "4:4:4"}),
    ".webp": ("WEBP", {"quality": QUALITY, "method": 4, "exact": True}),  # no halo from unseen pixels
    ".tif": ("TIFF", {}),
    ".tiff": ("TIFF", {}),
    ".bmp": ("BMP", {}),
    ".avif": ("AVIF", {"quality": QUALITY, "subsampling": "4:4:4"}),
}
SUFFIXES = {
    suffix: Writer(*_PILLOW[suffix], kind.holds, kind.longest)
    for suffix, kind in kinds.WRITTEN.items()
    if suffix != ".avif" or features.check("avif")
}


def save(path, image, *, quality=QUALITY, extras=PLAIN) -> None:
    """Write [h, w, 3], clipped and rounded to `extras.bits`, whole or not at all; the suffix says which kind."""
    writer, image = SUFFIXES[kinds.check_suffix(path, table=SUFFIXES)], _check_floats("image", image)
    kinds.check_shape(path, image.shape)
    kinds.check_bits(path, extras.bits)
    if quality not in range(1, 101):
        raise ValueError(f"quality must be a whole number from 1 to 100, got {quality!r}: {QUALITY} is usual")
    levels, blocks = _prepare(writer, image, extras)
    options = writer.options | ({"quality": int(quality)} if "quality" in writer.options else {})
    with storage.replacing(path) as file:
        _write(file, levels, writer._replace(options=options), blocks)


def check_writable(path) -> None:
    """Raise now what `save` would raise about `path` after a long run; what is there stays as it is."""
    kinds.check_suffix(path, table=SUFFIXES)
    storage.check_writable(path)


def _prepare(writer, image, extras):
    """The levels to write, [h, w, 3 or 4] of 8 or 16 bits, and what goes with them: {"profile": …, …}."""
    blocks = {name: getattr(extras, name) for name in _BLOCKS if name in writer.holds}
    alpha = None if extras.alpha is None else _check_floats("alpha", extras.alpha, shape=image.shape[:2])
    if alpha is not None and "alpha" not in writer.holds:
        image, alpha = 1 + (image - 1) * alpha[..., None], None
    usable = blocks.get("profile") and not metadata.is_like_ours(blocks["profile"])
    converted = icc.from_srgb(image, blocks["profile"]) if usable else None
    if converted is None:
        blocks["profile"] = None
    else:
        image = converted
    if blocks.get("exif"):
        block = exif.clean(blocks["exif"], image.shape[:2])
        blocks["exif"] = None if block and metadata.is_like_ours(block) else block
    image = image if alpha is None else np.dstack([image, alpha])
    white = 2**extras.bits - 1
    return np.rint(image * np.float32(white)).astype(np.uint16 if white > 255 else np.uint8), blocks


def _write(file, levels, writer, blocks):
    """Write levels and what goes with them, each in the kind's own way; empty ones are left out."""
    profile, block, text = map(blocks.get, _BLOCKS)
    if writer.format == "TIFF":
        packet = {700: metadata.xmp_packet(text)} if text else {}
        return formats.write_tiff(file, levels, exif.tiff_tags(block) | packet | ({34675: profile} if profile else {}))
    chunk = metadata.png_chunk(text) if text else b""
    if levels.dtype == np.uint16:
        return formats.write_png(file, levels, profile=profile, exif=block, text=chunk)
    options = {"icc_profile": profile, "exif": block} | writer.options
    if writer.format == "PNG":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add(b"iTXt", chunk) if chunk else None
    elif text and writer.holds:
        options["xmp"] = metadata.xmp_packet(text)
    Image.fromarray(levels).save(file, writer.format, **{name: value for name, value in options.items() if value})


def _check_floats(name, image, *, shape=None):
    """The clipped floats of a picture [h, w, 3], or of its alpha, which has this (h, w)."""
    image = np.asarray(image)
    if shape is not None and image.shape != shape:
        raise ValueError(f"{name} must be {list(shape)} like the image, got {list(image.shape)}: resize it")
    if shape is None and (image.ndim != 3 or image.shape[2] != 3 or not image.size):
        raise ValueError(f"{name} must be [h, w, 3], got {list(image.shape)}: save one RGB picture at a time")
    if image.dtype.kind in "biu":
        raise ValueError(f"{name} must be floats in [0, 1], got {image.dtype}: divide whole levels by 255")
    image = image.astype(np.float32)
    if bad := image.size - np.isfinite(image).sum():
        raise ValueError(f"{name} must be finite, got {bad} NaN or infinite values: lower the learning rate")
    return np.clip(image, 0, 1, out=image)
