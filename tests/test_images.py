"""nst_jax.pictures.images: files of many kinds against NumPy and closed forms, sizes, and what goes wrong."""

import io
import os
import struct
import sys
import threading
import types
import zlib

import numpy as np
import pytest
from PIL import Image
from profiles import CURVES, LINEAR_GREY, SRGB, SWAPPED, WHITE, B, G, R, black_only, gamma, icc

from nst_jax.pictures import images

KINDS = ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "PPM"]


def noise(h=24, w=32, c=3, seed=0):
    """Random levels, [h, w, c] uint8."""
    return np.random.default_rng(seed).integers(0, 256, (h, w, c), dtype=np.uint8)


def smooth(h=48, w=64):
    """A picture that lossy kinds keep well, [h, w, 3] float32."""
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    return np.stack([y / h, x / w, (x + y) / (w + h)], axis=-1)


def write(path, pixels, **options):
    """A file by Pillow from an array or a Pillow image."""
    im = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    im.save(path, **options)
    return path


# reading


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "ppm", "webp"])
def test_lossless_kinds_are_exact(tmp_path, suffix):
    pixels = noise()
    options = {"lossless": True} if suffix == "webp" else {}
    picture = images.read(write(tmp_path / f"a.{suffix}", pixels, **options))
    assert picture.image.dtype == np.float32
    np.testing.assert_array_equal(picture.image, pixels.astype(np.float32) / np.float32(255))
    assert picture.alpha is None
    assert picture.profile is None


@pytest.mark.parametrize("suffix", ["jpg", "webp", "avif"])
def test_lossy_kinds_are_near(tmp_path, suffix):
    images.save(tmp_path / f"a.{suffix}", smooth())
    assert np.abs(images.load(tmp_path / f"a.{suffix}") - smooth()).mean() < 0.01


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, suffix, orientation):
    stored = np.zeros((32, 48, 3), np.uint8)
    stored[:16, :16], stored[16:, :16], stored[:16, 32:] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    upright = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: np.rot90(a, 1),
    }[orientation](stored)
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = images.read(write(tmp_path / f"a.{suffix}", stored, exif=exif))
    assert picture.image.shape == upright.shape
    assert np.abs(picture.image - upright / 255).mean() < 0.03
    if picture.exif:
        kept = Image.Exif()
        kept.load(picture.exif)
        assert kept.get(0x0112, 1) == 1


def test_broken_exif_is_passed_over(tmp_path):
    path = write(tmp_path / "a.jpg", noise(), exif=b"Exif\0\0II*\0\xff\xff\xff\xff garbage")
    assert images.read(path).image.shape == (24, 32, 3)


def test_srgb_profile_changes_nothing(tmp_path):
    pixels = noise()
    picture = images.read(write(tmp_path / "a.png", pixels, icc_profile=SRGB))
    assert np.abs(picture.image - pixels / 255).max() < 1.5 / 255
    assert picture.profile == SRGB


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_swapped_primaries_swap_the_colours(tmp_path, suffix):
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:, :16, 0], pixels[:, 16:, 2] = 255, 255
    image = images.load(write(tmp_path / f"a.{suffix}", pixels, icc_profile=SWAPPED))
    np.testing.assert_allclose(image[0, 0], [0, 1, 0], atol=0.02)
    np.testing.assert_allclose(image[0, -1], [0, 0, 1], atol=0.02)


def test_grey_profile_follows_its_curve(tmp_path):
    image = images.load(write(tmp_path / "a.png", np.full((16, 16), 128, np.uint8), icc_profile=LINEAR_GREY))
    np.testing.assert_allclose(image, 1.055 * (128 / 255) ** (1 / 2.4) - 0.055, atol=0.005)


def test_rgb_profile_on_grey_follows_its_curve(tmp_path):
    linear = icc(b"RGB ", WHITE | dict.fromkeys(CURVES, gamma(1.0)) | {b"rXYZ": R, b"gXYZ": G, b"bXYZ": B})
    image = images.load(write(tmp_path / "a.png", np.full((16, 16), 128, np.uint8), icc_profile=linear))
    np.testing.assert_allclose(image, 1.055 * (128 / 255) ** (1 / 2.4) - 0.055, atol=0.01)


@pytest.mark.parametrize("profile", [b"garbage" * 30, LINEAR_GREY, SWAPPED[:150], SWAPPED[:128] + b"\xff" * 60])
def test_broken_and_foreign_profiles_are_passed_over(tmp_path, profile):
    pixels = noise()
    image = images.load(write(tmp_path / "a.png", pixels, icc_profile=profile))
    np.testing.assert_array_equal(image, pixels.astype(np.float32) / np.float32(255))


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_cmyk_without_profile(tmp_path, suffix):
    ink = Image.merge("CMYK", [Image.new("L", (32, 32), v) for v in (255, 0, 51, 102)])
    image = images.load(write(tmp_path / f"a.{suffix}", ink))
    expected = [(1 - c) * (1 - 0.4) for c in (1, 0, 0.2)]
    np.testing.assert_allclose(image, np.broadcast_to(expected, image.shape), atol=0.02)


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_cmyk_with_profile(tmp_path, suffix):
    for ink, expected in [((255, 0, 0, 0), 1.0), ((0, 0, 0, 255), 0.0)]:
        path = write(tmp_path / f"a.{suffix}", Image.new("CMYK", (32, 32), ink), icc_profile=black_only())
        np.testing.assert_allclose(images.load(path), expected, atol=0.02)


def test_other_modes(tmp_path):
    bits = noise(16, 16, 1)[..., 0] > 127
    image = images.load(write(tmp_path / "1.png", Image.fromarray(bits)))
    np.testing.assert_array_equal(image, np.repeat(bits[..., None], 3, axis=2))
    lab = images.load(write(tmp_path / "lab.tif", Image.new("LAB", (16, 16), (255, 128, 128))))
    np.testing.assert_allclose(lab, 1, atol=0.01)
    pixels = smooth()
    ycc = Image.fromarray((pixels * 255).astype(np.uint8)).convert("YCbCr")
    assert np.abs(images.load(write(tmp_path / "ycc.tif", ycc)) - pixels).max() < 0.02


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_sixteen_bit_grey_is_exact(tmp_path, suffix):
    grey = np.arange(65536, dtype=np.uint16)[::61][:1024].reshape(32, 32)
    image = images.load(write(tmp_path / f"a.{suffix}", grey))
    np.testing.assert_array_equal(image[..., 1], grey.astype(np.float32) / np.float32(65535))


def test_big_endian_and_wide_grey(tmp_path):
    grey = np.arange(1024, dtype=np.uint16).reshape(32, 32) * 60
    big = Image.frombytes("I;16B", (32, 32), grey.astype(">u2").tobytes())
    wide = Image.fromarray(grey.astype(np.int32))
    for name, im in [("b.tif", big), ("w.tif", wide)]:
        image = images.load(write(tmp_path / name, im))
        np.testing.assert_array_equal(image[..., 0], grey.astype(np.float32) / np.float32(65535))


def test_float_grey(tmp_path):
    grey = np.random.default_rng(0).random((20, 24), dtype=np.float32)
    np.testing.assert_array_equal(images.load(write(tmp_path / "a.tif", grey))[..., 2], grey)
    for bad in (grey * 255, grey * np.nan, grey - 1):
        with pytest.raises(ValueError, match="pixels must lie in 0 to 1, got "):
            images.load(write(tmp_path / "a.tif", bad))


def test_alpha_is_straight_in_read_and_over_white_in_load(tmp_path):
    pixels = noise(c=4)
    path = write(tmp_path / "a.png", pixels)
    picture, levels = images.read(path), pixels.astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(picture.image, levels[..., :3])
    np.testing.assert_array_equal(picture.alpha, levels[..., 3])
    a = levels[..., 3:]
    np.testing.assert_allclose(images.load(path), levels[..., :3] * a + (1 - a), atol=1e-6)


def test_opaque_alpha_is_none(tmp_path):
    pixels = noise(c=4)
    pixels[..., 3] = 255
    assert images.read(write(tmp_path / "a.png", pixels)).alpha is None


def test_grey_with_alpha(tmp_path):
    pixels = noise(c=2)
    picture = images.read(write(tmp_path / "a.png", pixels))
    np.testing.assert_array_equal(picture.image, np.repeat(pixels[..., :1], 3, 2) / np.float32(255))
    np.testing.assert_array_equal(picture.alpha, pixels[..., 1] / np.float32(255))


@pytest.mark.parametrize("transparency", [2, bytes([255, 128, 0])])
def test_palette_with_transparency(tmp_path, transparency):
    index = np.arange(256, dtype=np.uint8).reshape(16, 16) % 3
    im, palette = Image.fromarray(index), np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    im.putpalette(palette.tobytes())
    picture = images.read(write(tmp_path / "a.png", im, transparency=transparency))
    np.testing.assert_array_equal(picture.image, palette[index] / 255)
    alpha = np.array([255, 255 if transparency == 2 else 128, 0])
    np.testing.assert_allclose(picture.alpha, alpha[index] / 255, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_one_transparent_grey(tmp_path, dtype):
    grey = np.arange(256, dtype=dtype).reshape(16, 16) * (257 if dtype is np.uint16 else 1)
    picture = images.read(write(tmp_path / "a.png", grey, transparency=int(grey[3, 4])))
    assert np.argwhere(picture.alpha == 0).tolist() == [[3, 4]]
    np.testing.assert_array_equal(picture.image[..., 0], grey / np.float32(np.iinfo(dtype).max))


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_first_frame(tmp_path, suffix):
    frames = [Image.new("RGB", (20, 16), colour) for colour in ("red", "lime", "blue")]
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:])
    np.testing.assert_allclose(images.load(tmp_path / f"a.{suffix}")[5, 5], [1, 0, 0], atol=0.01)


def test_bytes_of_exif_are_handed_on(tmp_path):
    exif = Image.Exif()
    exif[0x010E] = "a town"
    picture = images.read(write(tmp_path / "a.jpg", noise(), exif=exif))
    assert b"a town" in picture.exif


def test_pillow_is_left_as_it_was(tmp_path):
    path, before = write(tmp_path / "a.png", noise()), Image.MAX_IMAGE_PIXELS
    threads = [threading.Thread(target=images.load, args=(path,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    message(images.load, path, max_pixels=10)
    assert before == Image.MAX_IMAGE_PIXELS


# what cannot be read


def one_line(text):
    """Whether an error's text is one line of the house's grammar."""
    return "\n" not in text and "Errno" not in text and " must " in text and ", got " in text


def message(call, *args, kind=ValueError, **options):
    """The text of the error that a call raises, which must be one line of the house's grammar."""
    with pytest.raises(kind) as caught:
        call(*args, **options)
    text = str(caught.value)
    assert one_line(text)
    return text


def test_files_that_are_not_pictures(tmp_path):
    for name, content in [("empty.png", b""), ("text.png", b"hello\n" * 40), ("zeros.jpg", bytes(4000))]:
        (tmp_path / name).write_bytes(content)
        assert name in message(images.read, tmp_path / name)
    assert "existing file" in message(images.read, tmp_path / "no.png", kind=FileNotFoundError)
    assert "folder" in message(images.read, tmp_path, kind=IsADirectoryError)
    message(images.read, "", kind=FileNotFoundError)
    message(images.read, "a\0b", kind=FileNotFoundError)
    message(images.read, tmp_path / "two\nlines.png", kind=FileNotFoundError)


def test_unreadable_file(tmp_path, monkeypatch):
    path = write(tmp_path / "a.png", noise())
    monkeypatch.setattr(os, "access", lambda path, how: False)
    assert "permissions" in message(images.read, path, kind=PermissionError)


def test_fifo_is_refused(tmp_path):
    os.mkfifo(tmp_path / "fifo.png")
    message(images.read, tmp_path / "fifo.png")


@pytest.mark.parametrize("shape", [(15, 40), (40, 15), (1, 1)])
def test_too_small_a_picture(tmp_path, shape):
    path = write(tmp_path / "a.png", noise(*shape))
    assert f"at least 16 px wide and high, got {shape[1]}×{shape[0]}" in message(images.read, path)


def bomb(path, width, height):
    """A PNG whose header promises a picture of this size and which holds next to nothing."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"\0" * 99)),
    ]
    data = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    return path


def test_decompression_bomb_is_refused_by_its_header(tmp_path):
    text = message(images.read, bomb(tmp_path / "a.png", 60_000, 50_000))
    assert "at most 300,000,000 pixels, got 3,000,000,000" in text
    assert text.endswith("raise max-pixels")


def test_limit_of_pixels_is_exact_and_own(tmp_path, monkeypatch):
    path = write(tmp_path / "a.png", noise(21, 31))
    assert images.read(path, max_pixels=651).image.shape == (21, 31, 3)
    assert "at most 650 pixels, got 651" in message(images.read, path, max_pixels=650)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert images.read(path).image.shape == (21, 31, 3)


def encoded(kind):
    """The bytes of a small picture."""
    buffer = io.BytesIO()
    Image.fromarray(noise(20, 24)).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", KINDS)
def test_truncated(tmp_path, kind):
    data, path = encoded(kind), tmp_path / "a.bin"
    for cut in [1, 4, 10, len(data) // 4, len(data) // 2, len(data) * 7 // 8]:
        path.write_bytes(data[:cut])
        assert "a.bin" in message(images.read, path, max_pixels=10**6)


@pytest.mark.parametrize("kind", KINDS)
def test_fuzz(tmp_path, kind):
    """Damaged files are read or refused in one line; nothing else comes out."""
    rng, data, path, refused = np.random.default_rng(7), encoded(kind), tmp_path / "a.bin", []
    for i in range(24):
        damaged = np.frombuffer(data, np.uint8).copy()
        reach = 64 if i % 2 else len(data)
        at = rng.integers(0, min(reach, len(data)), rng.integers(1, 6))
        damaged[at] ^= rng.integers(1, 256, at.size, dtype=np.uint8)
        path.write_bytes(damaged[: rng.integers(1, len(data)) if i % 6 == 5 else None].tobytes())
        try:
            image = images.read(path, max_pixels=10**6).image
        except ValueError as error:
            refused.append(str(error))
        else:
            assert image.dtype == np.float32
            assert image.shape[2:] == (3,)
            assert np.array_equal(image, np.clip(image, 0, 1))
    assert refused
    assert all(map(one_line, refused))


@pytest.mark.parametrize(
    "error",
    [
        SyntaxError("x"),
        struct.error("x\ny"),
        EOFError(),
        KeyError("k"),
        zlib.error("z"),
        MemoryError(),
        OSError(5, "io"),
    ],
)
def test_whatever_pillow_raises(tmp_path, monkeypatch, error):
    path = write(tmp_path / "a.bmp", noise())

    def load(self):
        raise error

    monkeypatch.setattr(Image.Image, "load", load)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    assert "picture must be whole" in message(images.read, path)


def test_programs_are_no_pictures(tmp_path):
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\nshowpage\n"
    for name in ("a.eps", "a.png"):
        (tmp_path / name).write_bytes(eps)
        assert "must be a picture (PNG, JPEG" in message(images.read, tmp_path / name)


def heic(path, brand=b"heic", *more):
    """The beginning of a HEIC file."""
    body = b"ftyp" + brand + bytes(4) + b"".join((b"mif1", *more))
    path.write_bytes(struct.pack(">I", 4 + len(body)) + body + bytes(99))
    return path


def test_heic_without_its_reader(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    for brand in (b"heic", b"heix", b"mif1", b"hevc"):
        assert message(images.read, heic(tmp_path / "a.jpg", brand)).endswith("pip install 'nst-jax[heif]'")
    assert "heif" not in message(images.read, heic(tmp_path / "a.jpg", b"mif1", b"avif"))
    images.read(write(tmp_path / "a.png", noise()))


def test_heic_with_its_reader(tmp_path, monkeypatch):
    """A stand-in for pillow_heif, which registers an opener as it does."""

    def opened(file, name):
        im = Image.new("RGB", (32, 20), (255, 0, 0))
        im.format, im.tile = "HEIF", []
        return im

    known = dict(Image.OPEN)
    fake = types.SimpleNamespace(
        register_heif_opener=lambda: Image.OPEN.update(HEIF=(opened, lambda head: b"heic" in head))
    )
    monkeypatch.setitem(sys.modules, "pillow_heif", fake)
    try:
        image = images.load(heic(tmp_path / "a.heic"))
    finally:
        Image.OPEN.clear()
        Image.OPEN.update(known)
    np.testing.assert_array_equal(image, np.broadcast_to([1, 0, 0], (20, 32, 3)))


# sizes


def test_shape_for():
    assert images.shape_for((600, 800, 3), None) == (600, 800)
    assert images.shape_for((600, 800), 400) == (300, 400)
    assert images.shape_for((600, 800), 400, edge="short") == (400, 533)
    assert images.shape_for((600, 800), 300, edge="height") == (300, 400)
    assert images.shape_for((600, 800), 400, edge="width") == (300, 400)
    assert images.shape_for((600, 800), np.int64(1600)) == (1200, 1600)
    assert images.shape_for((600, 800), (100, 90)) == images.shape_for((600, 800), np.array([100, 90])) == (100, 90)
    assert images.shape_for((2001, 4000), 20 * 10, edge="long") == (100, 200)


def test_shape_for_refuses():
    assert "got 64×8 from 800×100: raise size to 128, or crop" in message(images.shape_for, (100, 800), 64)
    assert "did you mean width?" in message(images.shape_for, (100, 100), 64, edge="wide")
    for size in (0.5, "512", (1, 2, 3), (100.5, 20), [[1, 2]], -100, (0, 50)):
        message(images.shape_for, (600, 800), size)


def test_crop_is_central_and_has_the_aspect():
    image = np.arange(10 * 20).reshape(10, 20)
    np.testing.assert_array_equal(images.crop(image, (50, 50)), image[:, 5:15])
    np.testing.assert_array_equal(images.crop(image, (10, 100)), image[4:6])
    np.testing.assert_array_equal(images.crop(image, (1, 2)), image)
    assert images.crop(np.zeros((1000, 10, 3)), (1, 1000)).shape == (1, 10, 3)


def test_load_sizes(tmp_path):
    path = write(tmp_path / "a.png", noise(30, 60))
    assert images.load(path).shape == (30, 60, 3)
    assert images.load(path, size=40).shape == (20, 40, 3)
    assert images.load(path, size=40, edge="short").shape == (40, 80, 3)
    assert images.load(path, size=(50, 20)).shape == (50, 20, 3)


def test_load_to_a_shape_does_not_squash(tmp_path):
    y, x = np.mgrid[-32:32, -64:64]
    disc = np.where((y**2 + x**2 < 24**2)[..., None], np.uint8(255), np.uint8([0, 0, 0]))
    image = images.load(write(tmp_path / "a.png", disc), size=(64, 32))[..., 0] > 0.5
    assert images.load(tmp_path / "a.png", size=(32, 32)).shape == (32, 32, 3)
    assert image[32].sum() == 32
    assert abs(image[:, 16].sum() - 2 * 24) <= 2


# resizing


def test_resize_keeps_constants_and_shapes():
    for shape in [(9, 11), (9, 11, 1), (9, 11, 3), (9, 11, 7)]:
        image = np.full(shape, 0.3)
        for target in [(4, 30), (20, 5)]:
            resized = images.resize(image, target)
            assert resized.shape == (*target, *shape[2:])
            assert resized.dtype == np.float32
            np.testing.assert_allclose(resized, 0.3, atol=1e-6)


def test_resize_to_the_same_shape_is_the_same():
    image = smooth()
    assert images.resize(image, image.shape) is image
    assert images.resize(image.astype(np.float64), (48, 64)).dtype == np.float32


def test_resize_is_antialiased():
    checks = np.indices((64, 64)).sum(0) % 2
    np.testing.assert_allclose(images.resize(checks, (8, 8))[2:-2, 2:-2], 0.5, atol=1e-3)


def test_resize_treats_channels_alone_and_keeps_the_mean():
    image = np.random.default_rng(0).random((40, 60, 4), dtype=np.float32)
    resized = images.resize(image, (10, 15))
    for c in range(4):
        np.testing.assert_array_equal(resized[..., c], images.resize(image[..., c], (10, 15)))
    np.testing.assert_allclose(resized.mean((0, 1)), image.mean((0, 1)), atol=0.01)


def test_resize_follows_a_ramp_and_flips():
    ramp = np.broadcast_to((np.arange(64, dtype=np.float32) + 0.5) / 64, (32, 64))
    expected = np.broadcast_to((np.arange(16) + 0.5) / 16, (8, 16))
    np.testing.assert_allclose(images.resize(ramp, (8, 16))[:, 3:-3], expected[:, 3:-3], atol=1e-5)
    image = noise(31, 45) / 255
    np.testing.assert_allclose(
        images.resize(image[:, ::-1], (12, 17)), images.resize(image, (12, 17))[:, ::-1], atol=1e-6
    )


def test_resize_does_not_clip():
    step = np.repeat(np.array([0.0, 1.0], np.float32), 16) * np.ones((16, 1), np.float32)
    resized = images.resize(step, (64, 128))
    assert resized.min() < -0.01
    assert resized.max() > 1.01
