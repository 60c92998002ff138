"""Files <-> arrays, and sizes. Images are [h, w, 3] float32 sRGB in [0, 1]; nothing clips except `save`."""

import contextlib
import operator
import os
import re
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps, PngImagePlugin, features
from PIL.Image import Resampling

from nst_jax.ground import storage
from nst_jax.ground.choices import choose, one_line
from nst_jax.pictures import exif, formats, icc, kinds, metadata

MAX_PIXELS = 300_000_000  # ours: Pillow's own limit refuses the 200-megapixel pictures of today's telephones
SMALLEST = 16  # px: an edge of one position in VGG19's deepest maps
QUALITY = 95


class Picture(NamedTuple):
    """A file's contents: straight colour [h, w, 3] (not yet over any ground), already sRGB and upright."""

    image: np.ndarray
    alpha: np.ndarray | None  # [h, w] float32 in [0, 1]; None: opaque
    profile: bytes | None  # the ICC profile that the file carried; `image` no longer needs it
    exif: bytes | None  # without its orientation, which `image` no longer needs


class Extras(NamedTuple):
    """What `save` writes besides the colours, where the kind of file can hold it; see `Writer.holds`."""

    alpha: np.ndarray | None = None  # [h, w] in [0, 1], straight; a file without alpha: over white
    profile: bytes | None = None  # ICC: pixels converted into it; not `icc.is_usable`: sRGB and no profile
    exif: bytes | None = None  # a photograph's, of which `exif.clean` is kept: it may tell where and when
    text: str | None = None  # `metadata.read` finds it again
    bits: int = 8  # or 16


PLAIN = Extras()
_TOLD = ("profile", "exif", "text")


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

EDGES = {"long": max, "short": min, "height": lambda h, w: h, "width": lambda h, w: w}

_WHITE = {"F": 1} | dict.fromkeys(("I", "I;16", "I;16B", "I;16L", "I;16N"), 65535)  # deep greys
_COLOUR = {mode: mode for mode in ("L", "CMYK", "LAB", *_WHITE)} | {"1": "L", "LA": "L"}  # any other: RGB
_KINDS = ["PNG", "JPEG", "WEBP", "TIFF", "AVIF", "GIF", "BMP", "DIB", "ICO"]  # and no PostScript, which is a program
_KINDS += ["JPEG2000", "PCX", "PPM", "PSD", "QOI", "SGI", "TGA"]
_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}  # brands, ISO/IEC 23008-12


def load(path, *, size=None, edge="long", max_pixels=MAX_PIXELS) -> np.ndarray:
    """A file over white: [h, w, 3]; `size` None: as it is; `edge` in pixels; (h, w): cropped to fit."""
    image, alpha, *_ = read(path, max_pixels=max_pixels)
    if alpha is not None:
        image = 1 + (image - 1) * alpha[..., None]
    shape = shape_for(image.shape, size, edge=edge)
    return resize(crop(image, shape) if isinstance(size, (tuple, list)) else image, shape)


def read(path, *, max_pixels=MAX_PIXELS) -> Picture:
    """A file's first picture, upright, in sRGB, colour straight; 16 bits of PNG and TIFF are kept."""
    _check_readable(path)
    tried = _kinds(path)
    with _pillow(path, max_pixels), open(path, "rb") as file, Image.open(file, formats=tried) as im:
        pixels, white, alpha, profile, block = _decoded(im, file)
    low, high = pixels.min(), pixels.max()
    if not 0 <= low <= high <= white:  # only float and 32-bit files can; NaN comes here too
        got = f"got {low:g} to {high:g} in {_name(path)}"
        raise ValueError(f"pixels must lie in 0 to {white}, {got}: rescale them")
    _check_edges(pixels.shape[0], pixels.shape[1], f"in {_name(path)}")
    image = np.divide(pixels, white, dtype=np.float32)
    if image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=2)
    return Picture(image, alpha, profile, block)


def shape_for(shape, size, *, edge="long") -> tuple[int, int]:
    """The (h, w) that `load` makes of this shape; `size`: None, `edge` in pixels (other rounded), (h, w)."""
    height, width = shape[:2]
    chosen = choose("edge", edge, EDGES)
    try:
        if size is None:
            size = height, width
        elif not np.ndim(size):
            size, known = operator.index(size), chosen(height, width)
            size = [(2 * n * size + known) // (2 * known) for n in (height, width)]  # halves up, exactly
        h, w = map(operator.index, size)
    except (TypeError, ValueError):
        got = f"got {size!r}: give one edge or (height, width)"
        raise ValueError(f"size must be whole pixels, {got}") from None
    _check_edges(h, w, f"from {height} × {width}")
    return h, w


def crop(image, shape) -> np.ndarray:
    """The largest centred window with the aspect of `shape`: [h, w, …] -> [h', w', …]."""
    image = np.asarray(image)
    (height, width), (h, w) = image.shape[:2], shape[:2]
    tall = min(height, max(1, (2 * width * h + w) // (2 * w)))
    wide = min(width, max(1, (2 * height * w + h) // (2 * h)))
    top, left = (height - tall) // 2, (width - wide) // 2
    return image[top : top + tall, left : left + wide]


def resize(image, shape) -> np.ndarray:
    """Antialiased bicubic: [h, w] or [h, w, c] -> float32; unclipped, so sharp edges ring past [0, 1]."""
    image, (h, w) = np.asarray(image, dtype=np.float32), shape[:2]
    if image.shape[:2] == (h, w):
        return image
    resized = np.empty((h, w, *image.shape[2:]), np.float32)
    for channel in np.ndindex(image.shape[2:]):
        plane = Image.fromarray(np.ascontiguousarray(image[..., *channel]))
        resized[..., *channel] = np.asarray(plane.resize((w, h), Resampling.BICUBIC))
    return resized


def save(path, image, *, quality=QUALITY, extras=PLAIN) -> None:
    """Write [h, w, 3], clipped and rounded to `extras.bits`, whole or not at all; the suffix says which kind."""
    writer, image = SUFFIXES[kinds.check_suffix(path, table=SUFFIXES)], _finite(image)
    kinds.check_shape(path, image.shape)
    kinds.check_bits(path, extras.bits)
    if quality not in range(1, 101):
        raise ValueError(f"quality must be a whole number from 1 to 100, got {quality!r}: {QUALITY} is usual")
    levels, told = _prepared(writer, image, extras)
    quality = {"quality": int(quality)} if "quality" in writer.options else {}
    with storage.replacing(path) as file:
        _write(file, levels, writer._replace(options=writer.options | quality), told)


def check_writable(path) -> None:
    """Raise now what `save` would raise about `path` after a long run; what is there stays as it is."""
    kinds.check_suffix(path, table=SUFFIXES)
    storage.check_writable(path)


def _decoded(im, file):
    """(pixels, their white, alpha, profile, exif) of an open file: sRGB [h, w, 3], or a deep grey [h, w]."""
    levels, opacity = formats.levels(im, file)
    if levels is None:
        im.load()
        with contextlib.suppress(*exif.PILLOW_ERRORS):  # a broken EXIF block says nothing about the pixels
            ImageOps.exif_transpose(im, in_place=True)
    profile, block, mode = im.info.get("icc_profile"), im.info.get("exif"), _COLOUR.get(im.mode, "RGB")
    if im.format == "TIFF":  # its tags are among the file's own
        with contextlib.suppress(*exif.PILLOW_ERRORS):
            block = exif.clean(im.getexif(), im.size[::-1])
    if levels is not None:
        return icc.to_srgb(levels, profile), 1, opacity, profile, block
    alpha = _alpha(im, mode) if im.has_transparency_data else None
    colour = im if im.mode == mode else im.convert(mode)
    if mode not in _WHITE:
        return np.asarray(icc.to_srgb_8bit(colour, profile)), 255, alpha, profile, block
    pixels, white = np.asarray(colour), _WHITE[mode]
    if profile and pixels.dtype.kind == "u":
        pixels, white = icc.to_srgb(pixels, profile), 1
    return pixels, white, alpha, profile, block


def _alpha(im, mode):
    """[h, w] float32 in [0, 1], or None where every pixel is opaque."""
    if mode in _WHITE:  # Pillow's own conversion compares 8 of the 16 bits
        opaque = np.not_equal(im, im.info["transparency"])
        return None if opaque.all() else opaque.astype(np.float32)
    plane = im.convert("RGBA" if mode == "RGB" else "LA").getchannel("A")
    return None if plane.getextrema()[0] == 255 else np.divide(plane, 255, dtype=np.float32)


def _prepared(writer, image, extras):
    """The levels to write, [h, w, 3 or 4] of 8 or 16 bits, and what is told of them: {"profile": …, …}."""
    told = {name: getattr(extras, name) for name in _TOLD if name in writer.holds}
    alpha = None if extras.alpha is None else _finite(extras.alpha, shape=image.shape[:2])
    if alpha is not None and "alpha" not in writer.holds:
        image, alpha = 1 + (image - 1) * alpha[..., None], None
    converted = icc.from_srgb(image, told["profile"]) if told.get("profile") else None
    if converted is None:
        told["profile"] = None
    else:
        image = converted
    if told.get("exif"):
        told["exif"] = exif.clean(told["exif"], image.shape[:2])
    image = image if alpha is None else np.dstack([image, alpha])
    white = 2**extras.bits - 1
    return np.rint(image * np.float32(white)).astype(np.uint16 if white > 255 else np.uint8), told


def _write(file, levels, writer, told):
    """Levels and what is told of them, each in the kind's own way; empty ones are left out."""
    profile, block, text = map(told.get, _TOLD)
    if writer.format == "TIFF":
        packet = {700: metadata.packet(text)} if text else {}
        return formats.write_tiff(file, levels, exif.tiff_tags(block) | packet | ({34675: profile} if profile else {}))
    chunk = metadata.chunk(text) if text else b""
    if levels.dtype == np.uint16:
        return formats.write_png(file, levels, profile=profile, exif=block, text=chunk)
    known = {"icc_profile": profile, "exif": block} | writer.options
    if writer.format == "PNG":
        known["pnginfo"] = PngImagePlugin.PngInfo()
        known["pnginfo"].add(b"iTXt", chunk) if chunk else None
    elif text and writer.holds:
        known["xmp"] = metadata.packet(text)
    Image.fromarray(levels).save(file, writer.format, **{name: value for name, value in known.items() if value})


@contextlib.contextmanager
def _pillow(path, max_pixels):
    """Pillow under our limit of pixels and without warnings, its many errors as ValueErrors of one line."""
    with exif.without_warnings():  # one reader at a time: the limit, too, belongs to the whole process
        kept, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, max_pixels / 2  # it raises at twice that
        try:
            yield
        except Exception as error:
            raise ValueError(_refusal(path, error, max_pixels)) from error
        finally:
            Image.MAX_IMAGE_PIXELS = kept


def _refusal(path, error, max_pixels):
    """What is wrong with a file, on one line, from what Pillow raised."""
    if isinstance(error, Image.DecompressionBombError):
        got = f"got {int(re.findall(r'[0-9]+', str(error))[0]):,} in {_name(path)}"
        return f"picture must hold at most {max_pixels:,} pixels, {got}: raise --max-pixels"
    if isinstance(error, Image.UnidentifiedImageError):
        return f"file must be a picture ({', '.join(_KINDS)}), got {_name(path)}: convert it to PNG or JPEG"
    return f"picture must be whole, got {_name(path)} ({one_line(error)}): fetch it again, or convert it to PNG"


def _kinds(path):
    """Pillow's names of the kinds to try, HEIC's among them if the file looks like it."""
    with open(path, "rb") as file:
        head = file.read(32)
    if head[4:8] != b"ftyp" or head[8:12] not in _HEIC or b"avif" in head:
        return _KINDS
    try:
        from pillow_heif import register_heif_opener  # pyright: ignore[reportMissingImports]
    except ImportError:
        got = f"got the HEIC file {_name(path)}"
        raise ValueError(f"picture must be of a kind that is installed, {got}: pip install 'nst-jax[heif]'") from None
    register_heif_opener()
    return [*_KINDS, "HEIF"]


def _check_readable(path):
    """Raise unless there is an ordinary file with something in it, in words instead of numbers."""
    if os.path.isdir(path):
        raise IsADirectoryError(f"picture must be a file, got the folder {_name(path)}: name one file in it")
    if not os.path.exists(path):
        raise FileNotFoundError(f"picture must be an existing file, got {_name(path)}: check its name")
    if not os.access(path, os.R_OK):
        raise PermissionError(f"picture must be readable, got {_name(path)}: change its permissions")
    if not os.path.isfile(path) or not os.path.getsize(path):
        raise ValueError(f"picture must be a file with something in it, got {_name(path)}: fetch it again")


def _check_edges(h, w, origin):
    """Raise if a picture is too small for the network."""
    if min(h, w) < SMALLEST:
        got = f"got {h} × {w} {origin}: choose a larger one"
        raise ValueError(f"picture must be at least {SMALLEST} px high and wide, {got}")


def _finite(image, *, shape=None):
    """Clipped floats of a picture, or of its alpha if a (h, w) is given."""
    image = np.asarray(image)
    if shape is not None and image.shape != shape:
        raise ValueError(f"alpha must be {list(shape)} like the image, got {list(image.shape)}: resize it")
    if shape is None and (image.ndim != 3 or image.shape[2] != 3 or not image.size):
        raise ValueError(f"image must be [h, w, 3], got {list(image.shape)}: save one RGB picture at a time")
    name = "image" if shape is None else "alpha"
    if image.dtype.kind in "biu":
        raise ValueError(f"{name} must be floats in [0, 1], got {image.dtype}: divide whole levels by 255")
    image = image.astype(np.float32)
    if bad := image.size - np.isfinite(image).sum():
        raise ValueError(f"{name} must be finite, got {bad} NaN or infinite values: lower the learning rate")
    return np.clip(image, 0, 1, out=image)


def _name(path):
    """A path for a message: quoted, on one line whatever it holds."""
    return repr(os.fspath(path))
