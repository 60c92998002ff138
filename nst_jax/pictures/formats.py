"""PNG and TIFF of 16 bits a channel, which Pillow cannot write.

Reading leaves parsing, inflating and unfiltering to Pillow, with its limits and checks: it decodes a file twice, and
is told the second time that the bytes of each number stand in the other order, which makes it keep the low byte.
"""

import contextlib
import struct
import sys
import zlib

import numpy as np
from PIL import Image, ImageOps, TiffImagePlugin

_OTHER = {"B": "L", "L": "B", "N": {"little": "B", "big": "L"}[sys.byteorder]}  # the order that keeps the low byte
_ROWS = 256  # at a time, where a step needs wider numbers than the picture's


def read_16_bits(im, file) -> tuple[np.ndarray | None, np.ndarray | None]:
    """An open picture's straight colours [h, w, 3] uint16, upright, and its alpha; (None, None): not 16-bit RGB(A)."""
    args = im.tile[0].args if im.format in ("PNG", "TIFF") and im.tile else ""
    family, _, order = (args if isinstance(args, str) else str(args[0])).partition(";16")
    planes = im.format == "TIFF" and im.tag_v2.get(284, 1) != 1
    if family not in ("RGB", "RGBA", "RGBa", "RGBX") or order not in _OTHER or planes:
        return None, None
    high = _read_one_byte(im, family, order)
    file.seek(0)
    with Image.open(file, formats=[im.format]) as other:
        low = _read_one_byte(other, family, _OTHER[order])
    whole = np.left_shift(high, 8, dtype=np.uint16)
    whole |= low
    if family in ("RGBA", "RGBa"):
        alpha = whole[..., 3]
        whole = _divide_by_alpha(whole) if family == "RGBa" else whole
    else:
        one = im.info.get("transparency")
        alpha = np.uint16(65535) * (whole != np.array(one, int)).any(-1) if isinstance(one, tuple) else None
    opaque = alpha is None or alpha.min() == 65535
    return whole[..., :3], None if opaque or alpha is None else np.divide(alpha, 65535, dtype=np.float32)


def _read_one_byte(im, family, order):
    """One byte of every number, its high one in this order of bytes: [h, w, 3 or 4] uint8, upright."""
    mode = "RGB" if family == "RGB" else "RGBA"
    raw = f"{mode};16{order}"
    im._mode = mode
    im.tile = [t._replace(args=raw if isinstance(t.args, str) else (raw, *t.args[1:])) for t in im.tile]
    im.load()
    with contextlib.suppress(Exception):  # a broken EXIF block says nothing about the pixels
        ImageOps.exif_transpose(im, in_place=True)
    return np.asarray(im)


def _divide_by_alpha(whole):
    """Straight colours from those that were multiplied by their alpha, in place: [h, w, 4] uint16."""
    for block in np.array_split(whole, -(-len(whole) // _ROWS)):  # views
        alpha = np.maximum(block[..., 3:], 1)
        block[..., :3] = np.rint(np.minimum(block[..., :3] * (65535 / alpha), 65535))
    return whole


def write_png(file, levels, *, profile=None, exif=None, text=None) -> None:
    """Write [h, w, 3 or 4] uint16 as a PNG; `text`: the data of an iTXt chunk."""
    h, w, channels = levels.shape
    kind = {3: 2, 4: 6}[channels]
    file.write(b"\x89PNG\r\n\x1a\n")
    _write_chunk(file, b"IHDR", struct.pack(">IIBBBBB", w, h, 16, kind, 0, 0, 0))
    _write_chunk(file, b"iCCP", b"ICC Profile\0\0" + zlib.compress(profile) if profile else b"")
    _write_chunk(file, b"eXIf", (exif or b"").removeprefix(b"Exif\0\0"))
    _write_chunk(file, b"iTXt", text or b"")
    packer = zlib.compressobj(6)
    for top in range(0, h, _ROWS):
        _write_chunk(file, b"IDAT", packer.compress(_paeth_rows(levels, top)))
    _write_chunk(file, b"IDAT", packer.flush())
    _write_chunk(file, b"IEND", b"")


def _paeth_rows(levels, top):
    """Rows from `top` on, filtered by the fourth of PNG's filters, Paeth's, as bytes."""
    h, w, channels = levels.shape
    step, bottom = 2 * channels, min(h, top + _ROWS)
    rows = np.zeros((bottom - top + 1, (w + 1) * step), np.uint8)  # zeros above and to the left
    known = levels[max(0, top - 1) : bottom].astype(">u2")
    rows[-len(known) :, step:] = known.reshape(len(known), -1).view(np.uint8)
    left, above, corner = (part.astype(np.int16) for part in (rows[1:, :-step], rows[:-1, step:], rows[:-1, :-step]))
    by_left, by_above, by_corner = abs(above - corner), abs(left - corner), abs(left + above - 2 * corner)
    guess = np.where(by_above <= by_corner, above, corner)
    guess = np.where((by_left <= by_above) & (by_left <= by_corner), left, guess)
    filtered = np.full((bottom - top, 1 + w * step), 4, np.uint8)
    np.subtract(rows[1:, step:], guess.astype(np.uint8), out=filtered[:, 1:])  # modulo 256
    return filtered.tobytes()


def _write_chunk(file, name, data):
    """Write a PNG chunk, if it holds something or ends the file."""
    if data or name == b"IEND":
        file.write(struct.pack(">I", len(data)) + name)
        file.write(data)
        file.write(struct.pack(">I", zlib.crc32(data, zlib.crc32(name))))


def write_tiff(file, levels, tags) -> None:
    """Write [h, w, 3 or 4] uint8 or uint16 as a deflated TIFF; `tags`: {number: value, or {} of a directory}."""
    h, w, channels = levels.shape
    if levels.nbytes > 2**32 - 2**24:
        raise ValueError(f"TIFF must hold less than 4 GiB of pixels, got {levels.nbytes:,} bytes: save a PNG")
    strips = [zlib.compress(_horizontal_differences(levels[top : top + _ROWS]), 6) for top in range(0, h, _ROWS)]
    sizes = tuple(map(len, strips))
    starts = tuple(int(end) - size for end, size in zip(np.cumsum(sizes), sizes, strict=True))
    directory = TiffImagePlugin.ImageFileDirectory_v2(prefix=b"II")
    # TIFF 6.0: width, height, bits, deflate, RGB, channels, interleaved, differences of neighbours
    pixels = {256: w, 257: h, 258: (8 * levels.itemsize,) * channels, 259: 8, 262: 2, 277: channels, 284: 1, 317: 2}
    # where each strip starts, its rows, its bytes; a fourth channel is straight alpha
    layout = {273: starts, 278: _ROWS, 279: sizes} | ({338: 2} if channels == 4 else {})
    directory.tagtype.update({273: 4, 279: 4, 700: 1, 34675: 7})
    for tag, value in (tags | pixels | layout).items():
        directory[tag] = value
    file.write(b"II*\0" + struct.pack("<I", 8) + directory.tobytes(8))  # Pillow lets the strips follow the directory
    file.writelines(strips)


def _horizontal_differences(rows):
    """Each pixel less its left neighbour, which packs better, as little-endian bytes."""
    little = np.array(rows, dtype=rows.dtype.newbyteorder("<"))
    little[:, 1:] -= rows[:, :-1]  # modulo 2^16
    return little.tobytes()
