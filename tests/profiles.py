"""ICC profiles made byte by byte, for tests of colours."""

import struct

import numpy as np
from PIL import ImageCms


def icc(space, tags, *, pcs=b"XYZ ", kind=b"mntr"):
    """A minimal ICC profile, version 2, by bytes."""
    start, table, body = 132 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + b"\0" * (-len(data) % 4)
    d50 = struct.pack(">3i", 63190, 65536, 54061)
    head = struct.pack(">I4xI", start + len(body), 0x02100000) + kind + space + pcs + struct.pack(">6H", 2024, *[1] * 5)
    head += b"acsp" + b"\0" * 28 + d50
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def xyz(*values):
    """An ICC tag of one XYZ colour."""
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in values))


def gamma(value):
    """An ICC tag of a power curve."""
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256))


WHITE = {b"wtpt": xyz(0.9642, 1, 0.8249)}
R, G, B = xyz(0.4361, 0.2225, 0.0139), xyz(0.3851, 0.7169, 0.0971), xyz(0.1431, 0.0606, 0.7141)
CURVES = {name: gamma(2.2) for name in (b"rTRC", b"gTRC", b"bTRC")}
SWAPPED = icc(b"RGB ", WHITE | CURVES | {b"rXYZ": G, b"gXYZ": R, b"bXYZ": B})
LINEAR_GREY = icc(b"GRAY", WHITE | {b"kTRC": gamma(1.0)})


def black_only():
    """A CMYK profile in which only K darkens the paper: a 2-point lookup table from CMYK to Lab."""
    ramp = bytes(range(256))
    clut = b"".join(bytes((255 * (1 - i % 2), 128, 128)) for i in range(16))  # K varies fastest
    matrix = struct.pack(">9i", *np.eye(3, dtype=int).ravel() * 65536)
    lut = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + matrix + ramp * 4 + clut + ramp * 3
    return icc(b"CMYK", WHITE | {b"A2B0": lut}, pcs=b"Lab ", kind=b"prtr")


ADOBE = icc(
    b"RGB ",
    WHITE
    | dict.fromkeys(CURVES, gamma(563 / 256))
    | {
        b"rXYZ": b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in (0.60974, 0.31111, 0.01947))),
        b"gXYZ": b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in (0.20528, 0.62567, 0.06087))),
        b"bXYZ": b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in (0.14919, 0.06322, 0.74457))),
    },
)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()  # parametric curves


def parametric(form, *values):
    """An ICC tag of a curve by formula."""
    return b"para\0\0\0\0" + struct.pack(f">HH{len(values)}i", form, 0, *(round(v * 65536) for v in values))


def table(*values):
    """An ICC tag of a curve by points."""
    return b"curv\0\0\0\0" + struct.pack(f">I{len(values)}H", len(values), *(round(v * 65535) for v in values))


def tables(shift=0.0, *, back=True):
    """An RGB profile of lookup tables: to Lab, L* = the mean of the channels, a* = b* = 0, and back."""
    ramp = b"".join(struct.pack(">H", round(i * 257)) for i in (0, 255))
    head = struct.pack(">9i", *np.eye(3, dtype=int).ravel() * 65536) + struct.pack(">HH", 2, 2)
    corners = [(i >> 2 & 1, i >> 1 & 1, i & 1) for i in range(8)]
    lab = b"".join(struct.pack(">3H", round(65280 * (shift + (1 - shift) * sum(c) / 3)), 32768, 32768) for c in corners)
    rgb = b"".join(struct.pack(">3H", *[65535 * c[0]] * 3) for c in corners)
    lut = lambda clut: b"mft2\0\0\0\0" + bytes((3, 3, 2, 0)) + head + ramp * 3 + clut + ramp * 3  # noqa: E731
    return icc(b"RGB ", WHITE | {b"A2B0": lut(lab)} | ({b"B2A0": lut(rgb)} if back else {}), pcs=b"Lab ")
