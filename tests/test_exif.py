"""nst_jax.pictures.exif: what of a photograph's block is kept, in files of every kind."""

import struct

import numpy as np
import pytest
from PIL import ExifTags, Image
from test_images import noise, smooth

from nst_jax.pictures import exif, images
from nst_jax.pictures.images import Extras

HOLDS = [suffix for suffix, writer in images.SUFFIXES.items() if "exif" in writer.holds]


def photograph(shape=(100, 200)):
    """What a camera writes, with a thumbnail, a maker's note and a place."""
    block = Image.Exif()
    block[0x010F], block[0x0110], block[0x0112], block[0x8298] = "Maker", "Model", 6, "someone"
    block[0x0100], block[0x0101], block[0x02BC], block[0x8649] = shape[1], shape[0], b"<xmp/>", b"thumbs"
    block[0x8769] = {
        0x9003: "2024:01:02 03:04:05",
        0xA002: shape[1],
        0xA003: shape[0],
        0x927C: b"M" * 900,
        0x829A: 0.01,
    }
    block[0x8825] = {1: "N", 2: (52.0, 30.0, 0.0)}
    first = block.tobytes()[6:]
    count = struct.unpack_from(">H", first, 8)[0]
    thumb, at = b"\xff\xd8THUMBNAIL\xff\xd9", len(first)
    directory = struct.pack(">HHHIIHHIII", 2, 0x201, 4, 1, at + 30, 0x202, 4, 1, len(thumb), 0)
    linked = bytearray(first + directory + thumb)
    struct.pack_into(">I", linked, 8 + 2 + 12 * count, at)
    return b"Exif\0\0" + bytes(linked)


def parsed(data):
    """(tags, inner tags, place, thumbnail's tags) of a block."""
    block = Image.Exif()
    block.load(data)
    return dict(block), dict(block.get_ifd(0x8769)), dict(block.get_ifd(0x8825)), dict(block.get_ifd(ExifTags.IFD.IFD1))


def test_the_photograph_has_what_is_removed():
    tags, inner, _, thumbnail = parsed(photograph())
    assert tags[0x0112] == 6
    assert {0x0100, 0x02BC, 0x8649} <= set(tags)
    assert 0x927C in inner
    assert thumbnail[0x202] == len(b"\xff\xd8THUMBNAIL\xff\xd9")


@pytest.mark.parametrize("suffix", [*HOLDS, "16.png", "16.tif"])
def test_exif_of_a_photograph(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    images.save(path, smooth(), extras=Extras(exif=photograph(), bits=16 if "16" in suffix else 8))
    with Image.open(path) as im:
        im.load()
        block = im.getexif()
        tags, inner, place = dict(block), dict(block.get_ifd(0x8769)), dict(block.get_ifd(0x8825))
    assert (tags[0x010F], tags[0x0110], tags[0x8298], tags.get(0x0112, 1)) == ("Maker", "Model", "someone", 1)
    assert (inner[0x9003], inner[0xA002], inner[0xA003]) == ("2024:01:02 03:04:05", 64, 48)
    assert place == {1: "N", 2: (52.0, 30.0, 0.0)}
    assert 0x927C not in inner
    data = path.read_bytes()
    assert not any(word in data for word in (b"THUMBNAIL", b"thumbs", b"<xmp/>", b"M" * 99))
    picture = images.read(path)
    assert picture.image.shape == (48, 64, 3)  # not turned again
    again = parsed(exif.clean(picture.exif, (10, 20)))
    assert (again[1][0xA002], again[1][0xA003]) == (20, 10)
    assert again[2][1] == "N"


def test_exif_is_not_kept_unasked(tmp_path):
    noise_image = Image.fromarray(noise())
    noise_image.save(tmp_path / "a.jpg", exif=photograph())
    images.save(tmp_path / "b.jpg", images.load(tmp_path / "a.jpg"))
    assert images.read(tmp_path / "a.jpg").exif
    assert images.read(tmp_path / "b.jpg").exif is None
    assert b"Maker" not in (tmp_path / "b.jpg").read_bytes()


def test_broken_exif_is_left_out(tmp_path):
    rng, whole = np.random.default_rng(0), photograph()
    large = Image.Exif()
    large[0x010E] = "x" * 70_000
    bare = Image.Exif()
    bare[0x0112] = 6
    for block in (b"", b"Exif\0\0", b"garbage" * 9, whole[:20], large.tobytes(), bare.tobytes()):
        assert exif.clean(block, (48, 64)) is None
        images.save(tmp_path / "a.jpg", smooth(), extras=Extras(exif=block))
        assert images.read(tmp_path / "a.jpg").exif is None
    for i in range(150):
        damaged = np.frombuffer(whole, np.uint8).copy()
        at = rng.integers(6, len(whole), 3)
        damaged[at] ^= rng.integers(1, 256, 3, dtype=np.uint8)
        block = damaged[: rng.integers(6, len(whole)) if i % 3 == 0 else None].tobytes()
        for suffix in (".jpg", ".tif"):
            images.save(tmp_path / f"a{suffix}", smooth(16, 16), extras=Extras(exif=block))
            assert images.load(tmp_path / f"a{suffix}").shape == (16, 16, 3)
