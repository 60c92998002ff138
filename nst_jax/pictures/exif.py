"""EXIF: what of a photograph's block goes into a new picture, and Pillow's errors and warnings about broken ones."""

import contextlib
import struct
import threading
import warnings

from PIL import Image, ImageCms

from nst_jax.pictures import metadata

PILLOW_ERRORS = (
    ImageCms.PyCMSError,
    SyntaxError,
    LookupError,
    OSError,
    TypeError,
    AttributeError,
    ValueError,
    ArithmeticError,
    EOFError,
    struct.error,
)  # what Pillow raises about broken EXIF blocks and profiles
# Tags that describe a photograph, and not how its file is laid out
_DESCRIBES = {270, 271, 272, 282, 283, 296, 305, 306, 315, 316, 18246, 33432, *range(40091, 40096)}
_LOCK = threading.RLock()


@contextlib.contextmanager
def without_warnings():
    """Silence Pillow's warnings in this block; filters of warnings are the whole process's, so one thread at a time."""
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def clean(block, shape) -> bytes | None:
    """An EXIF block (bytes or Pillow's) for a new picture of this (h, w): upright, nothing embedded. None: broken.

    Maker notes are left out too: they hold previews, and offsets that moving them makes wrong.
    """
    with contextlib.suppress(*PILLOW_ERRORS), without_warnings():
        known = block if isinstance(block, Image.Exif) else _parsed(block)
        kept = {tag: known[tag] for tag in known if tag in _DESCRIBES}
        inner, places = (dict(known.get_ifd(tag)) for tag in (34665, 34853))
        inner = {tag: inner[tag] for tag in inner if tag not in (0x927C, 0xA005)}  # MakerNote, Interoperability
        if inner:
            kept[34665] = inner | {0xA002: shape[1], 0xA003: shape[0]}
        kept |= {34853: places} if places else {}
        new = Image.Exif()
        for tag, value in (kept | {274: 1}).items():
            new[tag] = value
        data = new.tobytes()
        return data if kept and len(data) <= metadata.MAX_BYTES else None
    return None


def tiff_tags(block) -> dict:
    """The tags of an EXIF block that `clean` made, for a TIFF: {number: value, or {} of a directory}."""
    known = _parsed(block or b"")
    return {tag: dict(known.get_ifd(tag)) if tag in (34665, 34853) else known[tag] for tag in known}


def _parsed(block):
    """Pillow's EXIF of these bytes."""
    known = Image.Exif()
    known.load(block)
    return known
