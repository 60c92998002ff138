"""Colours by a file's ICC profile, to sRGB and back, in float where Pillow has 8 bits."""

import contextlib
import functools
import io
import struct

import numpy as np
from PIL import Image, ImageCms

from nst_jax.pictures import exif
from nst_jax.pictures.colour_spaces import from_linear, to_linear

_ROWS = 256  # at a time, where a step needs wider numbers than the picture's
_SRGB = ImageCms.createProfile("sRGB")
_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
_TO_D50 = np.array(
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
)  # linear sRGB to a profile's XYZ: Bradford's adaptation, as in every ICC profile of sRGB


def to_srgb_8bit(im, profile):
    """Pillow's image in sRGB of 8 bits, by the file's profile; one that is broken, or for other colours, is ignored."""
    with contextlib.suppress(*exif.PILLOW_ERRORS):
        if im.mode == "LAB":
            source = ImageCms.createProfile("LAB")
        elif not profile:
            return im.convert("RGB")
        else:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            im = im.convert("RGB") if im.mode == "L" and profile[16:20] == b"RGB " else im
        return _convert(im, source, _SRGB)
    return im.convert("RGB")


def to_srgb(levels, profile) -> np.ndarray:
    """[h, w] or [h, w, 3] uint16 -> [h, w, 3] float32 sRGB: exact for curves and primaries, `_by_tables` for tables."""
    grey, shaper = levels.ndim == 2, _curves_and_matrix(profile or b"")
    if shaper is None or not (grey or profile[16:20] == b"RGB "):
        image = np.divide(np.stack([levels] * 3, -1) if grey else levels, 65535, dtype=np.float32)
        converted = _by_tables(image, _open(profile), _SRGB) if profile else None
        return image if converted is None else converted
    curves, matrix = shaper
    out = np.empty((*levels.shape[:2], 3), np.float32)
    for top in range(0, len(out), _ROWS):
        rows = levels[top : top + _ROWS]
        light = [curve[rows if grey else rows[..., c]] for c, curve in enumerate(curves)]
        out[top : top + _ROWS] = from_linear(np.clip(np.stack(light, -1) @ matrix.T, 0, 1))
    return out


def is_usable(profile) -> bool:
    """Whether `images.save` can convert a picture into this ICC profile: whole, for RGB, and invertible."""
    return from_srgb(np.full((1, 1, 3), 0.5, np.float32), profile) is not None


def from_srgb(image, profile) -> np.ndarray | None:
    """sRGB [h, w, 3] in [0, 1] -> the same colours in the profile's numbers; None: not `is_usable`."""
    if not profile or profile[16:20] != b"RGB ":
        return None
    shaper = _curves_and_matrix(profile)
    if shaper is None:
        return _by_tables(image, _SRGB, _open(profile))
    (curves, matrix), steps = shaper, np.linspace(0, 1, 65536)
    out = np.empty(image.shape, np.float32)
    for top in range(0, len(out), _ROWS):
        light = to_linear(np.asarray(image[top : top + _ROWS], np.float64)) @ np.linalg.inv(matrix).T
        for c, curve in enumerate(curves):
            out[top : top + _ROWS, :, c] = np.interp(light[..., c], curve, steps)
    return out


def _by_tables(image, source, target):
    """Pillow's conversion of 8 bits, plus what rounding took (exact where the slope is 1); None: Pillow can't."""
    levels = np.rint(image * 255).astype(np.uint8)
    with contextlib.suppress(*exif.PILLOW_ERRORS):
        converted = np.asarray(_convert(Image.fromarray(levels), source, target), np.float32) / 255
        return np.clip(converted + (image - levels / np.float32(255)), 0, 1)
    return None


def _convert(im, source, target):
    """Pillow's conversion between profiles, relative to white, with black point compensation."""
    flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
    return ImageCms.profileToProfile(im, source, target, _INTENT, "RGB", flags=flags)


def _open(profile):
    """These bytes as Pillow's profile; None: broken."""
    with contextlib.suppress(*exif.PILLOW_ERRORS):
        return ImageCms.ImageCmsProfile(io.BytesIO(profile))
    return None


@functools.lru_cache(maxsize=4)
def _curves_and_matrix(profile):
    """(curves to light [3, 65536], matrix to linear sRGB) of an RGB or grey profile; None: of tables, or broken."""
    count = int.from_bytes(profile[128:132])
    found = {}
    for at in range(132, 132 + 12 * min(count, 100), 12):
        with contextlib.suppress(struct.error):
            name, start, size = struct.unpack(">4sII", profile[at : at + 12])
            found[name] = profile[start : start + size]
    if profile[20:24] != b"XYZ " or {b"A2B0", b"A2B1", b"D2B0", b"D2B1"} & set(found):
        return None
    try:
        if profile[16:20] == b"GRAY":
            return (_tone_curve(found[b"kTRC"]),) * 3, np.eye(3)
        columns = [np.frombuffer(found[c + b"XYZ"], ">i4", 3, 8) / 65536 for c in (b"r", b"g", b"b")]
        matrix = np.linalg.solve(_TO_D50, np.stack(columns, -1))
        np.linalg.inv(matrix)  # raises for singular primaries: no way back
        return [_tone_curve(found[c + b"TRC"]) for c in (b"r", b"g", b"b")], matrix
    except (KeyError, ValueError, ArithmeticError, struct.error):  # LinAlgError is a ValueError
        return None


_PARAMETRIC = {
    0: lambda g: (g, 1, 0, 0, 0, 0, 0),
    1: lambda g, a, b: (g, a, b, 0, -b / a, 0, 0),
    2: lambda g, a, b, c: (g, a, b, 0, -b / a, c, c),
    3: lambda g, a, b, c, d: (g, a, b, c, d, 0, 0),
    4: lambda *parameters: parameters,
}  # ICC.1:2022, table 68, each as the last: (aX + b)^g + e from d on, cX + f below


def _tone_curve(tag):
    """A tone curve at 65,536 equal steps, rising from 0 to 1; ValueError: of another form, or not invertible."""
    steps = np.linspace(0, 1, 65536)
    kind, form = struct.unpack(">4s4xH", tag[:10])
    if kind == b"curv":
        values = np.frombuffer(tag, ">u2", int.from_bytes(tag[8:12]), 12).astype(np.float64)
        if len(values) > 1:
            curve = np.interp(steps, np.linspace(0, 1, len(values)), values / 65535)
        else:
            curve = steps ** (values[0] / 256 if len(values) else 1)
    elif kind == b"para" and form in _PARAMETRIC:
        count = (1, 3, 4, 5, 7)[form]
        g, a, b, c, d, e, f = _PARAMETRIC[form](*(float(v) / 65536 for v in struct.unpack_from(f">{count}i", tag, 12)))
        with np.errstate(all="ignore"):
            curve = np.where(steps >= d, np.maximum(a * steps + b, 0) ** g + e, c * steps + f)
    else:
        raise ValueError(f"curve must be curv or para, got {kind!r}: ignore the profile")
    if not (np.isfinite(curve).all() and np.diff(curve).min() > -1e-4 and -0.1 < curve[0] < 0.5 < curve[-1] < 1.1):
        raise ValueError("curve must rise from 0 to 1, got another: ignore the profile")
    return np.maximum.accumulate(curve)  # formulas of 16 bits may fall a little where their parts meet
