"""nst_jax.pictures.metadata: texts in pictures, and nothing else; texts from strangers."""

import json
import os
import struct
import subprocess
import sys
import tracemalloc
import zlib

import numpy as np
import profiles
import pytest
from PIL import Image
from test_images import message, one_line, smooth

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
                assert im.info["xmp"] == metadata.xmp_packet(TEXT)


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
        ((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + metadata.xmp_packet(TEXT)), TEXT),
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
    body = metadata.xmp_packet("&b;").decode().replace("&amp;b;", "&b;")
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
            assert text is None or len(text) <= metadata.MAX_BYTES
        except ValueError as error:
            refused.append(str(error))
    assert refused
    assert all(one_line(text) and text.startswith("stored text must be whole, got ") for text in refused)
    assert changed


def test_a_long_namespace_is_not_written_out_at_each_name(tmp_path):
    """A parser that reads prefixes does so: a megabyte of them made a terabyte."""
    names = " ".join(f'a:b{i}=""' for i in range(40_000))
    uri = "u" * 400_000
    packet = (
        metadata.xmp_packet(TEXT).decode().replace("<rdf:Description ", f'<rdf:Description xmlns:a="{uri}" {names} ', 1)
    )
    (tmp_path / "a.jpg").write_bytes(packet.encode())
    limited = "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (10**9, 10**9));"
    code = (
        f"{limited} from nst_jax.pictures import metadata; sys.stdout.buffer.write(metadata.read(sys.argv[1]).encode())"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "a.jpg"], capture_output=True, timeout=60, check=True)
    assert done.stdout.decode() == TEXT


@pytest.mark.parametrize("prefix", ["nst", "ns0", "a.b"])
def test_our_text_is_found_by_its_namespace_whatever_its_prefix(tmp_path, prefix):
    packet = (
        metadata.xmp_packet(TEXT).decode().replace("nst:text", f"{prefix}:text").replace("xmlns:nst", f"xmlns:{prefix}")
    )
    (tmp_path / "a.jpg").write_bytes(packet.encode())
    assert metadata.read(tmp_path / "a.jpg") == TEXT
    (tmp_path / "a.jpg").write_bytes(
        packet.replace(f"<{prefix}:text", "<other:text").replace(f"</{prefix}:text", "</other:text").encode()
    )
    assert metadata.read(tmp_path / "a.jpg") is None


@pytest.mark.parametrize("suffix", HOLDS)
def test_a_photographs_own_metadata_are_not_taken_for_ours(tmp_path, suffix):
    """A packet in its EXIF block or its profile would stand before ours in the file."""
    known, forged = Image.Exif(), metadata.xmp_packet('{"forged": true}')
    known[270] = forged.decode("latin-1")
    for extras in (Extras(text=TEXT, exif=known.tobytes()), Extras(text=TEXT, profile=profiles.SRGB + forged)):
        images.save(tmp_path / f"a{suffix}", smooth(), extras=extras)
        assert metadata.read(tmp_path / f"a{suffix}") == TEXT
        plain = images.load(tmp_path / f"a{suffix}")
        images.save(tmp_path / f"b{suffix}", smooth())
        np.testing.assert_array_equal(plain, images.load(tmp_path / f"b{suffix}"))
