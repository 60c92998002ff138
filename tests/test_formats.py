"""nst_jax.pictures.formats: 16-bit files against a reference encoder, a reference decoder and tifffile."""

import io
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin
from profiles import ADOBE, SRGB
from test_images import message, one_line

from nst_jax.pictures import images
from nst_jax.pictures.images import Extras


def deep_noise(h=21, w=18, c=3, seed=0):
    """Random levels, [h, w, c] uint16."""
    return np.random.default_rng(seed).integers(0, 65536, (h, w, c), dtype=np.uint16)


def floats(levels):
    """The picture of 16-bit levels."""
    return levels.astype(np.float32) / np.float32(65535)


def paeth(a, b, c):
    """The specification's own words."""
    p = a + b - c
    pa, pb, pc = abs(p - a), abs(p - b), abs(p - c)
    return a if pa <= pb and pa <= pc else b if pb <= pc else c


PREDICTORS = [lambda a, b, c: 0, lambda a, b, c: a, lambda a, b, c: b, lambda a, b, c: (a + b) // 2, paeth]


def filtered(levels, kinds):
    """Reference encoder: rows of [h, w, c] uint16 by PNG's filters, one kind a row."""
    h, w, c = levels.shape
    rows, step = levels.astype(">u2").tobytes(), 2 * c
    size, out = w * step, bytearray()
    at = lambda y, x: rows[y * size + x] if y >= 0 and x >= 0 else 0  # noqa: E731
    for y, kind in zip(range(h), kinds, strict=False):
        out.append(kind)
        for x in range(size):
            guess = PREDICTORS[kind](at(y, x - step), at(y - 1, x), at(y - 1, x - step) if x >= step else 0)
            out.append((at(y, x) - guess) % 256)
    return bytes(out)


def png(levels, data, *, interlaced=0, chunks=()):
    """A 16-bit PNG around filtered rows."""
    h, w, c = levels.shape
    header = struct.pack(">IIBBBBB", w, h, 16, {1: 0, 2: 4, 3: 2, 4: 6}[c], 0, 0, interlaced)
    known = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in known)
    return b"\x89PNG\r\n\x1a\n" + body


def chunks_of(data):
    """{type: data} of a PNG, checked."""
    at, found = 8, {}
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + length]
        assert zlib.crc32(kind + body) == int.from_bytes(data[at + 8 + length : at + 12 + length])
        found[kind] = found.get(kind, b"") + body
        at += 12 + length
    return found


def unfiltered(data):
    """Reference decoder: [h, w, c] uint16 of our PNGs, whatever the rows' filters."""
    found = chunks_of(data)
    w, h, depth, kind, *rest = struct.unpack(">IIBBBBB", found[b"IHDR"])
    assert depth == 16
    assert rest == [0, 0, 0]
    c, raw = {2: 3, 6: 4}[kind], zlib.decompress(found[b"IDAT"])
    step, size = 2 * c, 2 * c * w
    assert len(raw) == h * (size + 1)
    above, rows = bytearray(size), []
    for y in range(h):
        row = bytearray(raw[y * (size + 1) + 1 : (y + 1) * (size + 1)])
        for x in range(size):
            a, corner = (row[x - step], above[x - step]) if x >= step else (0, 0)
            row[x] = (row[x] + PREDICTORS[raw[y * (size + 1)]](a, above[x], corner)) % 256
        rows.append(row)
        above = row
    return np.frombuffer(b"".join(rows), ">u2").reshape(h, w, c)


# PNG


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("kinds", [[0], [1], [2], [3], [4], [0, 1, 2, 3, 4], [4, 3, 2, 1, 0]])
def test_png_of_every_filter_is_read_exactly(tmp_path, channels, kinds):
    levels = deep_noise(c=channels)
    (tmp_path / "a.png").write_bytes(png(levels, filtered(levels, kinds * 30)))
    picture = images.read(tmp_path / "a.png")
    np.testing.assert_array_equal(picture.image, floats(levels[..., :3]))
    if channels == 4:
        np.testing.assert_array_equal(picture.alpha, floats(levels[..., 3]))
    else:
        assert picture.alpha is None


def test_interlaced_png_is_read_exactly(tmp_path):
    levels, data = deep_noise(), b""
    for y, x, dy, dx in [
        (0, 0, 8, 8),
        (0, 4, 8, 8),
        (4, 0, 8, 4),
        (0, 2, 4, 4),
        (2, 0, 4, 2),
        (0, 1, 2, 2),
        (1, 0, 2, 1),
    ]:
        part = levels[y::dy, x::dx]
        data += filtered(part, [4, 3, 1, 2, 0] * 30)
    (tmp_path / "a.png").write_bytes(png(levels, data, interlaced=1))
    np.testing.assert_array_equal(images.read(tmp_path / "a.png").image, floats(levels))


def test_one_transparent_colour_is_compared_at_16_bits(tmp_path):
    levels = np.full((16, 16, 3), 0x1234, np.uint16)
    levels[2, 3, 1] = 0x1235
    chunk = (b"tRNS", struct.pack(">3H", *levels[2, 3]))
    (tmp_path / "a.png").write_bytes(png(levels, filtered(levels, [0] * 16), chunks=[chunk]))
    assert np.argwhere(images.read(tmp_path / "a.png").alpha == 0).tolist() == [[2, 3]]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_16_bits(tmp_path, orientation):
    levels, exif = deep_noise(), Image.Exif()
    exif[0x0112] = orientation
    chunk = (b"eXIf", exif.tobytes()[6:])
    (tmp_path / "a.png").write_bytes(png(levels, filtered(levels, [0] * 21), chunks=[chunk]))
    shallow = Image.fromarray((levels >> 8).astype(np.uint8))
    shallow.save(tmp_path / "b.png", exif=exif)
    image, known = images.load(tmp_path / "a.png"), images.load(tmp_path / "b.png")
    assert image.shape == known.shape
    np.testing.assert_array_equal((np.rint(image * 65535)).astype(int) >> 8, np.rint(known * 255))


@pytest.mark.parametrize("shape", [(21, 18), (300, 16), (16, 16), (257, 17)])
@pytest.mark.parametrize("alpha", [False, True])
def test_png_is_written_exactly(tmp_path, shape, alpha):
    levels = deep_noise(*shape, 4)
    extras = Extras(bits=16, alpha=floats(levels[..., 3]) if alpha else None)
    images.save(tmp_path / "a.png", floats(levels[..., :3]), extras=extras)
    data = (tmp_path / "a.png").read_bytes()
    if shape[0] < 300:
        np.testing.assert_array_equal(unfiltered(data), levels if alpha else levels[..., :3])
    with Image.open(tmp_path / "a.png") as im:  # 8 bits
        assert np.abs(np.asarray(im)[..., :3] * 256.0 - levels[..., :3]).max() < 257
    picture = images.read(tmp_path / "a.png")
    np.testing.assert_array_equal(picture.image, floats(levels[..., :3]))
    assert (picture.alpha is not None) == alpha


def test_only_16_bits_make_16_bits(tmp_path):
    ramp = np.broadcast_to(np.linspace(0.4, 0.41, 500, dtype=np.float32)[:, None], (16, 500, 3))
    for bits, count in [(8, 4), (16, 500)]:
        images.save(tmp_path / "a.png", ramp, extras=Extras(bits=bits))
        assert len(np.unique(images.load(tmp_path / "a.png"))) == count
    assert set(chunks_of((tmp_path / "a.png").read_bytes())) == {b"IHDR", b"IDAT", b"IEND"}


def test_smooth_pictures_pack_well(tmp_path):
    y, x = np.mgrid[0:256, 0:256] / 256
    images.save(tmp_path / "a.png", np.stack([x, y, x * y], -1), extras=Extras(bits=16))
    assert (tmp_path / "a.png").stat().st_size < 256 * 256 * 6 / 3


def test_bits_are_refused_with_the_choices(tmp_path):
    for name in ("a.jpg", "a.webp", "a.bmp"):
        text = message(images.save, tmp_path / name, floats(deep_noise()), extras=Extras(bits=16))
        assert "16 in .png, .tif, .tiff, got 16" in text
    for bits in (0, 12, "16", None):
        message(images.save, tmp_path / "a.png", floats(deep_noise()), extras=Extras(bits=bits))


def test_bombs_and_lies_of_16_bits(tmp_path):
    levels, path = deep_noise(), tmp_path / "a.png"
    data = filtered(levels, [0] * 21)
    path.write_bytes(png(levels, data + bytes(50_000_000)))  # more than the header promises: not unpacked
    start = time.process_time()
    np.testing.assert_array_equal(images.load(path), floats(levels))
    assert time.process_time() - start < 1
    path.write_bytes(png(levels, data[:-400]))
    message(images.read, path)
    huge = np.broadcast_to(np.uint16(0), (60_000, 50_000, 3))
    path.write_bytes(png(huge, data))
    assert "at most 300,000,000 pixels, got 3,000,000,000" in message(images.read, path)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_fuzz_of_16_bits(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    images.save(path, floats(deep_noise()), extras=Extras(bits=16, profile=ADOBE, text="{}"))
    rng, data, refused = np.random.default_rng(3), path.read_bytes(), []
    for i in range(150):
        damaged = np.frombuffer(data, np.uint8).copy()
        reach = (60, 1400, len(data))[i % 3]
        at = rng.integers(0, min(reach, len(data)), rng.integers(1, 5))
        damaged[at] ^= rng.integers(1, 256, at.size, dtype=np.uint8)
        if suffix == ".png":  # checksums that agree with the damage
            damaged = np.frombuffer(mended(damaged.tobytes()), np.uint8)
        path.write_bytes(damaged[: rng.integers(1, len(data)) if i % 5 == 4 else None].tobytes())
        try:
            picture = images.read(path, max_pixels=10**6)
        except ValueError as error:
            refused.append(str(error))
        else:
            assert picture.image.dtype == np.float32
            assert np.array_equal(picture.image, picture.image.clip(0, 1))
    assert 10 < len(refused) < 150
    assert all(map(one_line, refused))


def mended(data):
    """A PNG with its checksums put right, as far as its lengths lead."""
    data, at = bytearray(data), 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4])
        end = at + 8 + length
        if end + 4 > len(data):
            break
        data[end : end + 4] = struct.pack(">I", zlib.crc32(data[at + 4 : end]))
        at = end + 4
    return bytes(data)


# TIFF


@pytest.mark.parametrize("byteorder", "<>")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"tile": (16, 16)},
        {"rowsperstrip": 5},
        {"compression": "zlib"},
        {"compression": "zlib", "predictor": 2},
        {"compression": "zlib", "tile": (16, 32)},
        {"bigtiff": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("extra", [None, "unassalpha", "unspecified"])
def test_tiff_is_read_exactly(tmp_path, byteorder, options, extra):
    tifffile = pytest.importorskip("tifffile")
    if byteorder == ">" and "bigtiff" in options:
        pytest.skip("Pillow reads none")
    levels = deep_noise(40, 50, 4 if extra else 3)
    extra = [extra] if extra else None
    tifffile.imwrite(tmp_path / "a.tif", levels, byteorder=byteorder, photometric="rgb", extrasamples=extra, **options)
    picture = images.read(tmp_path / "a.tif")
    np.testing.assert_array_equal(picture.image, floats(levels[..., :3]))
    if extra == ["unassalpha"]:
        np.testing.assert_array_equal(picture.alpha, floats(levels[..., 3]))
    else:
        assert picture.alpha is None


def test_multiplied_alpha_is_divided(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    colour, alpha = deep_noise(40, 50, 3), deep_noise(40, 50, 1, seed=1) // 2 + 20_000
    both = np.dstack([np.rint(colour * (alpha / 65535)).astype(np.uint16), alpha])
    tifffile.imwrite(tmp_path / "a.tif", both, photometric="rgb", extrasamples=["assocalpha"])
    picture = images.read(tmp_path / "a.tif")
    np.testing.assert_allclose(picture.image, floats(colour), atol=2 / 20_000)
    np.testing.assert_array_equal(picture.alpha, floats(alpha[..., 0]))


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits", None])
def test_every_packing_that_pillow_knows(tmp_path, compression):
    """Pillow writes no 16-bit RGB: a grey picture three times as wide, under other tags, is one."""
    levels, buffer = deep_noise(40, 50), io.BytesIO()
    Image.fromarray(levels.reshape(40, 150)).save(buffer, "TIFF", compression=compression)
    with Image.open(buffer) as im:
        kept = {tag: im.tag_v2[tag] for tag in (259, 273, 278, 279)}
    directory = TiffImagePlugin.ImageFileDirectory_v2(prefix=b"II")
    directory.tagtype[273] = 4
    for tag, value in (kept | {256: 50, 257: 40, 258: (16, 16, 16), 262: 2, 277: 3, 284: 1}).items():
        directory[tag] = value
    (tmp_path / "a.tif").write_bytes(b"II*\0" + struct.pack("<I", 8) + directory.tobytes(8) + buffer.getvalue())
    np.testing.assert_array_equal(images.load(tmp_path / "a.tif"), floats(levels))


def test_planes_one_by_one_have_8_bits(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    levels = deep_noise(40, 50)
    planes = levels.transpose(2, 0, 1)
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="rgb", planarconfig="separate", compression="zlib")
    np.testing.assert_allclose(images.load(tmp_path / "a.tif"), floats(levels), atol=1 / 255)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("alpha", [False, True])
def test_tiff_is_written_exactly(tmp_path, bits, alpha):
    tifffile, white = pytest.importorskip("tifffile"), 2**bits - 1
    levels = deep_noise(300, 18, 4) >> (16 - bits)
    image = levels.astype(np.float32) / np.float32(white)
    extras = Extras(bits=bits, alpha=image[..., 3] if alpha else None, profile=SRGB, text="{}")
    images.save(tmp_path / "a.tif", image[..., :3], extras=extras._replace(profile=None))
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        np.testing.assert_array_equal(file.pages[0].asarray(), levels if alpha else levels[..., :3])
        assert "Software" not in file.pages[0].tags
        assert [int(kind) for kind in file.pages[0].extrasamples] == [2] * alpha
    np.testing.assert_array_equal(images.read(tmp_path / "a.tif").image, image[..., :3])
    images.save(tmp_path / "a.tif", image[..., :3], extras=extras)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.pages[0].tags[34675].value == SRGB
    assert images.read(tmp_path / "a.tif").profile == SRGB
