"""Files <-> arrays, and sizes. Images are [h, w, 3] float32 sRGB in [0, 1]; nothing clips except `save`."""

import contextlib
import operator
import os
import re
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps
from PIL.Image import Resampling

from nst_jax.ground import untrusted
from nst_jax.ground.choices import choose, one_line
from nst_jax.pictures import exif, formats, icc
from nst_jax.pictures.saving import PLAIN as PLAIN
from nst_jax.pictures.saving import QUALITY as QUALITY
from nst_jax.pictures.saving import SUFFIXES as SUFFIXES
from nst_jax.pictures.saving import Extras as Extras
from nst_jax.pictures.saving import check_writable as check_writable
from nst_jax.pictures.saving import save as save

MAX_PIXELS = 300_000_000  # ours: Pillow's own limit refuses the 200-megapixel pictures of today's telephones
SMALLEST = 16  # px: an edge of one position in VGG19's deepest maps

PICTURE = untrusted.Kind("picture", "nst_jax.pictures.images:read", "convert it to PNG where it is trusted")
_BYTES = 2_000_000_000  # of memory to read a stranger's picture in, besides what pixels take
_EACH = 40  # bytes for a pixel: floats of three channels, and what they are made of

EDGES = {"long": max, "short": min, "height": lambda h, w: h, "width": lambda h, w: w}

# Pillow's modes: what is white in those of more than 8 bits; into which each is converted, where not RGB
_WHITE = {"F": 1} | dict.fromkeys(("I", "I;16", "I;16B", "I;16L", "I;16N"), 65535)
_COLOUR = {mode: mode for mode in ("L", "CMYK", "LAB", *_WHITE)} | {"1": "L", "LA": "L"}
_FORMATS = ["PNG", "JPEG", "WEBP", "TIFF", "AVIF", "GIF", "BMP", "DIB", "ICO"]  # and no PostScript, which is a program
_FORMATS += ["JPEG2000", "PCX", "PPM", "PSD", "QOI", "SGI", "TGA"]
_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}  # brands, ISO/IEC 23008-12


class Picture(NamedTuple):
    """A file's contents: straight colour [h, w, 3] (not yet over any ground), already sRGB and upright."""

    image: np.ndarray
    alpha: np.ndarray | None  # [h, w] float32 in [0, 1]; None: opaque
    profile: bytes | None  # the ICC profile that the file carried; `image` no longer needs it
    exif: bytes | None  # without its orientation, which `image` no longer needs


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
    tried = _formats_to_try(path)
    with _limited_pillow(path, max_pixels), open(path, "rb") as file, Image.open(file, formats=tried) as im:
        pixels, white, alpha, profile, block = _decode(im, file)
    low, high = pixels.min(), pixels.max()
    if not 0 <= low <= high <= white:  # only float and 32-bit files can; NaN comes here too
        got = f"got {low:g} to {high:g} in {_quoted(path)}"
        raise ValueError(f"pixels must lie in 0 to {white}, {got}: rescale them")
    _check_edges(pixels.shape[0], pixels.shape[1], f"in {_quoted(path)}")
    image = np.divide(pixels, white, dtype=np.float32)
    if image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=2)
    return Picture(image, alpha, profile, block)


def check_decodable(path, *, max_pixels: int = MAX_PIXELS) -> None:
    """Raise one line unless a stranger's file can be read, which a process with limits tries."""
    untrusted.check(path, PICTURE, memory=_BYTES + _EACH * max_pixels, max_pixels=max_pixels)


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
    enough = -(-SMALLEST * chosen(height, width) // min(height, width))
    _check_edges(h, w, f"from {width}×{height}", remedy=f"raise size to {enough}, or crop the picture")
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


class _Decoded(NamedTuple):
    pixels: np.ndarray  # sRGB [h, w, 3], or a grey of more than 8 bits [h, w]
    white: int
    alpha: np.ndarray | None
    profile: bytes | None
    exif: bytes | None


def _decode(im, file) -> _Decoded:
    """What an open file holds, upright."""
    levels, alpha = formats.read_16_bits(im, file)
    if levels is None:
        im.load()
        with contextlib.suppress(*exif.PILLOW_ERRORS):  # a broken EXIF block says nothing about the pixels
            ImageOps.exif_transpose(im, in_place=True)
    profile, block = (im.info.get(name) for name in ("icc_profile", "exif"))
    profile, mode = profile if isinstance(profile, bytes) else None, _COLOUR.get(im.mode, "RGB")  # a TIFF's tag: or any
    if im.format == "TIFF":  # its tags are among the file's own
        with contextlib.suppress(*exif.PILLOW_ERRORS):
            block = exif.clean(im.getexif(), im.size[::-1])
    if levels is not None:
        return _Decoded(icc.to_srgb(levels, profile), 1, alpha, profile, block)
    alpha = _read_alpha(im, mode) if im.has_transparency_data else None
    colour = im if im.mode == mode else im.convert(mode)
    if mode not in _WHITE:
        return _Decoded(np.asarray(icc.to_srgb_8bit(colour, profile)), 255, alpha, profile, block)
    pixels, white = np.asarray(colour), _WHITE[mode]
    if profile and pixels.dtype.kind == "u":
        pixels, white = icc.to_srgb(pixels, profile), 1
    return _Decoded(pixels, white, alpha, profile, block)


def _read_alpha(im, mode):
    """[h, w] float32 in [0, 1], or None where every pixel is opaque."""
    if mode in _WHITE:  # Pillow's own conversion compares 8 of the 16 bits
        opaque = np.not_equal(im, im.info["transparency"])
        return None if opaque.all() else opaque.astype(np.float32)
    plane = im.convert("RGBA" if mode == "RGB" else "LA").getchannel("A")
    return None if plane.getextrema()[0] == 255 else np.divide(plane, 255, dtype=np.float32)


@contextlib.contextmanager
def _limited_pillow(path, max_pixels):
    """Use Pillow under our limit of pixels and without warnings, its many errors as ValueErrors of one line."""
    with exif.without_warnings():  # one reader at a time: the limit, too, belongs to the whole process
        kept, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, max_pixels / 2  # it raises at twice that
        try:
            yield
        except Exception as error:
            raise ValueError(_explain(path, error, max_pixels)) from error
        finally:
            Image.MAX_IMAGE_PIXELS = kept


def _explain(path, error, max_pixels):
    """What is wrong with a file, on one line, from what Pillow raised."""
    if isinstance(error, Image.DecompressionBombError):
        got = f"got {int(re.findall(r'[0-9]+', str(error))[0]):,} in {_quoted(path)}"
        return f"picture must hold at most {max_pixels:,} pixels, {got}: raise max-pixels"
    if isinstance(error, Image.UnidentifiedImageError):
        return f"file must be a picture ({', '.join(_FORMATS)}), got {_quoted(path)}: convert it to PNG or JPEG"
    return f"picture must be whole, got {_quoted(path)} ({one_line(error)}): fetch it again, or convert it to PNG"


def _formats_to_try(path):
    """Pillow's names of the kinds to try, HEIC's among them if the file looks like it."""
    with open(path, "rb") as file:
        head = file.read(32)
    if head[4:8] != b"ftyp" or head[8:12] not in _HEIC or b"avif" in head:
        return _FORMATS
    try:
        from pillow_heif import register_heif_opener  # pyright: ignore[reportMissingImports]
    except ImportError:
        got = f"got the HEIC file {_quoted(path)}"
        raise ValueError(f"picture must be of a kind that is installed, {got}: pip install 'nst-jax[heif]'") from None
    register_heif_opener()
    return [*_FORMATS, "HEIF"]


def _check_readable(path):
    """Raise unless there is an ordinary file with something in it, in plain words."""
    if os.path.isdir(path):
        raise IsADirectoryError(f"picture must be a file, got the folder {_quoted(path)}: name one file in it")
    if not os.path.exists(path):
        raise FileNotFoundError(f"picture must be an existing file, got {_quoted(path)}: check its name")
    if not os.access(path, os.R_OK):
        raise PermissionError(f"picture must be readable, got {_quoted(path)}: change its permissions")
    if not os.path.isfile(path) or not os.path.getsize(path):
        raise ValueError(f"picture must be a file with something in it, got {_quoted(path)}: fetch it again")


def _check_edges(h, w, origin, *, remedy="choose a larger one"):
    """Raise if a picture is too small for the network."""
    if min(h, w) < SMALLEST:
        raise ValueError(f"picture must be at least {SMALLEST} px wide and high, got {w}×{h} {origin}: {remedy}")


def _quoted(path):
    """A path for a message: quoted, on one line whatever it holds."""
    return repr(os.fspath(path))
