"""nst_jax.embedded: texts and EXIF in pictures, and nothing else; texts from strangers."""

import json
import os
import struct
import sys
import tracemalloc
import types
import zlib

import numpy as np
import pytest
from PIL import ExifTags, Image
from test_images import message, noise, one_line, smooth

from nst_jax.pictures import images, metadata
from nst_jax.pictures.images import Extras

TEXT = json.dumps(
    {"recipe": "gatys", "lr": 0.02, "name": 'a<b>&"c" ]]> \\ é 漢 🎨', "text": "two\nlines"}, ensure_ascii=False
)
HOLDS = [suffix for suffix, writer in images.SUFFIXES.items() if "text" in writer.holds]
PNG = b"\x89PNG\r\n\x1a\n"


def png(*chunks):
    """A PNG of these chunks alone."""
    return PNG + b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)


def saved(path, text=TEXT, *, size=(48, 64), **extras):
    """A picture with a text in it."""
    images.save(path, smooth(*size), extras=Extras(text=text, **extras))
    return path


# texts


@pytest.mark.parametrize("suffix", HOLDS)
@pytest.mark.parametrize("text", [TEXT, "{}", "a\r\nb\rc\td ", "é" * 20_000], ids=["json", "short", "lines", "long"])
def test_texts_come_back(tmp_path, suffix, text):
    path = saved(tmp_path / f"a{suffix}", text)
    assert metadata.read(path) == text
    plain = tmp_path / f"b{suffix}"
    images.save(plain, smooth())
    assert metadata.read(plain) is None
    np.testing.assert_array_equal(images.load(path), images.load(plain))  # pixels are as they would be


def test_texts_stand_where_they_should(tmp_path):
    for bits in (8, 16):
        with Image.open(saved(tmp_path / "a.png", bits=bits)) as im:
            im.load()
            assert im.text == {"nst_jax": TEXT}
    for suffix in (".jpg", ".webp", ".tif", ".avif"):
        if suffix in images.SUFFIXES:
            with Image.open(saved(tmp_path / f"a{suffix}")) as im:
                assert im.info["xmp"] == metadata.packet(TEXT)


def test_kinds_without_room_leave_it_out(tmp_path):
    assert metadata.read(saved(tmp_path / "a.bmp", profile=b"x", exif=b"y")) is None


@pytest.mark.parametrize("suffix", HOLDS)
def test_texts_that_do_not_fit(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    for text in ("x" * 60_001, "&" * 12_500, "é" * 30_000):
        assert "at most 60,000 bytes" in message(images.save, path, smooth(), extras=Extras(text=text))
    for text in ("\0", "a\x1bb", "\ud800", "\ufffe"):
        assert "printable" in message(images.save, path, smooth(), extras=Extras(text=text))
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("suffix", images.SUFFIXES)
@pytest.mark.parametrize("bits", [8, 16])
def test_nothing_else_is_stored(tmp_path, suffix, bits):
    """No path, program or time: equal pixels and texts give equal files, whose only words are ours."""
    bits = bits if "bits" in images.SUFFIXES[suffix].holds else 8
    folder = tmp_path / "unusualfolder"
    folder.mkdir()
    one, two = saved(folder / f"a{suffix}", bits=bits), saved(tmp_path / f"b{suffix}", bits=bits)
    data = one.read_bytes()
    assert data == two.read_bytes()
    for word in (
        b"illow",
        b"PIL",
        b"ython",
        b"tifffile",
        b"libavif",
        b"libwebp",
        b"Lavf",
        b"unusual",
    ):
        assert word not in data
    if suffix == ".png":
        with Image.open(one) as im:
            im.load()
            assert set(im.info) <= {"nst_jax"}
    if suffix.startswith(".tif"):
        with Image.open(one) as im:
            assert set(im.tag_v2) <= {256, 257, 258, 259, 262, 273, 277, 278, 279, 284, 317, 700}


def test_the_other_ways_of_a_png(tmp_path):
    path, latin = tmp_path / "a.png", "é{}"
    long = b"nst_jax\0\1\0en\0word\0" + zlib.compress(TEXT.encode())
    for chunk, text in [
        ((b"iTXt", long), TEXT),
        ((b"iTXt", b"nst_jax\0\0\0en\0word\0" + TEXT.encode()), TEXT),
        ((b"zTXt", b"nst_jax\0\0" + zlib.compress(latin.encode("latin-1"))), latin),
        ((b"tEXt", b"nst_jax\0" + latin.encode("latin-1")), latin),
        ((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + metadata.packet(TEXT)), TEXT),
    ]:
        path.write_bytes(png((b"IHDR", bytes(13)), (b"tEXt", b"Comment\0nst_jax"), (b"IDAT", b"x" * 9), chunk))
        assert metadata.read(path) == text


def test_packets_that_other_programs_wrote(tmp_path):
    path, head = tmp_path / "a.jpg", '<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Tool">'
    attribute = (
        f'{head}<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        'xmlns:ns0="urn:nst-jax:1#" xmlns:dc="http://purl.org/dc/elements/1.1/" dc:title="x" '
        'ns0:text="{&quot;a&quot;: 1}"/>'
        "</rdf:RDF></x:xmpmeta>"
    )
    path.write_bytes(b"\xff\xd8" + bytes(5000) + attribute.encode() + bytes(300))
    assert metadata.read(path) == '{"a": 1}'


def test_expansion_is_bounded(tmp_path):
    path = tmp_path / "a.png"
    for kind, data in [
        (b"iTXt", b"nst_jax\0\1\0\0\0" + zlib.compress(bytes(10**7))),
        (b"zTXt", b"nst_jax\0\0" + zlib.compress(bytes(10**7))),
        (b"tEXt", b"nst_jax\0" + b"x" * 60_001),
    ]:
        path.write_bytes(png((b"IHDR", bytes(13)), (kind, data)))
        tracemalloc.start()
        assert "more than 60,000 bytes" in message(metadata.read, path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2_000_000


@pytest.mark.parametrize(
    "doctype",
    ['<!DOCTYPE x [<!ENTITY a "lol"><!ENTITY b "&a;&a;">]>', '<!DOCTYPE x SYSTEM "file:///etc/passwd">'],
)
def test_document_types_are_refused(tmp_path, doctype):
    body = metadata.packet("&b;").decode().replace("&amp;b;", "&b;")
    start = body.index("<x:xmpmeta")
    head = body.index(">", start) + 1
    for bad in (body[start:head] + doctype + body[head:], body.replace("&b;", "&undefined;")):
        (tmp_path / "a.jpg").write_bytes(bad.encode())
        message(metadata.read, tmp_path / "a.jpg")
    with pytest.raises(ValueError, match="a document type"):
        metadata._in_xml((doctype + body[start:]).encode())


def test_files_that_are_none(tmp_path):
    path = tmp_path / "a.png"
    for data in (b"", b"x", PNG, PNG + b"\xff" * 20, b"urn:nst-jax:1#", b"<x:xmpmeta urn:nst-jax:1#", bytes(70_000)):
        path.write_bytes(data)
        assert metadata.read(path) is None
    assert "existing file" in message(metadata.read, tmp_path / "no.png", kind=FileNotFoundError)
    message(metadata.read, tmp_path, kind=FileNotFoundError)


@pytest.mark.parametrize("suffix", HOLDS)
def test_fuzz(tmp_path, suffix):
    """Whatever the damage: a text, none, or one line."""
    rng, path = np.random.default_rng(5), saved(tmp_path / f"a{suffix}", size=(16, 16))
    data, refused, changed = path.read_bytes(), [], 0
    at = max(0, data.find(b"nst") - 100)
    for i in range(120):
        damaged = np.frombuffer(data, np.uint8).copy()
        places = (
            rng.integers(at, min(at + 900, len(data)), rng.integers(1, 4)) if i % 2 else rng.integers(0, len(data), 2)
        )
        damaged[places] ^= rng.integers(1, 256, places.size, dtype=np.uint8)
        path.write_bytes(damaged[: rng.integers(0, len(data)) if i % 4 == 0 else None].tobytes())
        try:
            text = metadata.read(path)
            changed += text != TEXT
            assert text is None or len(text) <= metadata.MOST
        except ValueError as error:
            refused.append(str(error))
    assert refused
    assert all(one_line(text) and text.startswith("stored text must be whole, got ") for text in refused)
    assert changed


# EXIF


def photograph(shape=(100, 200)):
    """What a camera writes, with a thumbnail, a maker's note and a place."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0112], exif[0x8298] = "Maker", "Model", 6, "someone"
    exif[0x0100], exif[0x0101], exif[0x02BC], exif[0x8649] = shape[1], shape[0], b"<xmp/>", b"thumbs"
    exif[0x8769] = {0x9003: "2024:01:02 03:04:05", 0xA002: shape[1], 0xA003: shape[0], 0x927C: b"M" * 900, 0x829A: 0.01}
    exif[0x8825] = {1: "N", 2: (52.0, 30.0, 0.0)}
    first = exif.tobytes()[6:]
    count = struct.unpack_from(">H", first, 8)[0]
    thumb, at = b"\xff\xd8THUMBNAIL\xff\xd9", len(first)
    directory = struct.pack(">HHHIIHHIII", 2, 0x201, 4, 1, at + 30, 0x202, 4, 1, len(thumb), 0)
    linked = bytearray(first + directory + thumb)
    struct.pack_into(">I", linked, 8 + 2 + 12 * count, at)
    return b"Exif\0\0" + bytes(linked)


def parsed(block):
    """(tags, inner tags, place, thumbnail's tags) of a block."""
    exif = Image.Exif()
    exif.load(block)
    return dict(exif), dict(exif.get_ifd(0x8769)), dict(exif.get_ifd(0x8825)), dict(exif.get_ifd(ExifTags.IFD.IFD1))


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
        exif = im.getexif()
        tags, inner, place = dict(exif), dict(exif.get_ifd(0x8769)), dict(exif.get_ifd(0x8825))
    assert (tags[0x010F], tags[0x0110], tags[0x8298], tags.get(0x0112, 1)) == ("Maker", "Model", "someone", 1)
    assert (inner[0x9003], inner[0xA002], inner[0xA003]) == ("2024:01:02 03:04:05", 64, 48)
    assert place == {1: "N", 2: (52.0, 30.0, 0.0)}
    assert 0x927C not in inner
    data = path.read_bytes()
    assert not any(word in data for word in (b"THUMBNAIL", b"thumbs", b"<xmp/>", b"M" * 99))
    picture = images.read(path)
    assert picture.image.shape == (48, 64, 3)  # not turned again
    again = parsed(metadata.exif(picture.exif, (10, 20)))
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
        assert metadata.exif(block, (48, 64)) is None
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


# alpha


@pytest.mark.parametrize("suffix", [s for s, w in images.SUFFIXES.items() if "alpha" in w.holds])
def test_alpha_is_kept_straight(tmp_path, suffix):
    y, x = np.mgrid[0:48, 0:64]
    alpha = np.clip((24 - np.hypot(y - 24, x - 32)) / 8 + 0.5, 0, 1).astype(np.float32)
    image = 0.2 + 0.6 * smooth()
    images.save(tmp_path / f"a{suffix}", image, extras=Extras(alpha=alpha))
    picture = images.read(tmp_path / f"a{suffix}")
    assert np.abs(picture.alpha - alpha).max() < 0.03
    assert picture.alpha.min() == 0
    assert np.abs(picture.image - image).max() < 0.06  # no halo, and none from unseen pixels


@pytest.mark.parametrize("suffix", [".jpg", ".bmp"])
def test_alpha_is_over_white_elsewhere(tmp_path, suffix):
    image, alpha = smooth(), np.broadcast_to(np.linspace(0, 1, 64, dtype=np.float32), (48, 64))
    images.save(tmp_path / f"a{suffix}", image, extras=Extras(alpha=alpha))
    picture = images.read(tmp_path / f"a{suffix}")
    assert picture.alpha is None
    assert np.abs(picture.image - (1 - (1 - image) * alpha[..., None])).mean() < 0.01


def test_alpha_is_refused(tmp_path):
    path = tmp_path / "a.png"
    for bad, why in [
        (np.zeros((48, 64, 1)), "[48, 64] like the image, got [48, 64, 1]"),
        (np.zeros((64, 48)), "got [64, 48]"),
        (np.full((48, 64), np.nan), "alpha must be finite"),
        (np.zeros((48, 64), np.uint8), "alpha must be floats"),
    ]:
        assert why in message(images.save, path, smooth(), extras=Extras(alpha=bad))


# kinds


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
    saved(tmp_path / "a.png")
    images.read(tmp_path / "a.png")


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
