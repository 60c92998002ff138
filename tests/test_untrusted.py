"""Pictures from strangers: what crashes, swells or lasts in a decoder ends there, and is one line here."""

import shutil
import signal

import numpy as np
import pytest
from PIL import Image

from nst_jax.ground import untrusted
from nst_jax.network import convert, files, vgg19
from nst_jax.orders import compose
from nst_jax.pictures import download, images, samples


def test_a_good_picture_passes(tmp_path):
    images.save(tmp_path / "a.jpg", samples.draw("skyline", (32, 40)))
    images.check_decodable(tmp_path / "a.jpg", max_pixels=10_000)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.write_text("no picture"), "file must be a picture"),
        (lambda path: Image.new("RGB", (200, 100)).save(path, "PNG"), "picture must hold at most 10,000 pixels"),
        (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40)), "a.png"),
    ],
)
def test_what_is_no_picture_is_said_as_it_is_here(make, said, tmp_path):
    make(tmp_path / "a.png")
    with pytest.raises(ValueError, match=said) as there:
        images.check_decodable(tmp_path / "a.png", max_pixels=10_000)
    with pytest.raises(ValueError, match=said) as here:
        images.read(tmp_path / "a.png", max_pixels=10_000)
    assert str(there.value) == " ".join(str(here.value).split())


HEAD = "import sys; sys.path.insert(0, sys.argv[1]); from nst_jax.ground import untrusted; untrusted._limit(10**9); "
ENDS = {
    "crash": f"import os; os.kill(os.getpid(), {int(signal.SIGSEGV)})",
    "memory": HEAD + "bytearray(2 * 10**9)",
    "files": HEAD + "[open(sys.executable) for _ in range(100)]",
    "written": HEAD + "open('out', 'wb', 0).write(b'x' * 100)",
}


@pytest.mark.parametrize("name", ENDS)
def test_a_decoder_that_breaks_its_limits_ends_alone(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"got 'a\.png', which made its decoder crash: convert it"):
        untrusted.check("a.png", images.PICTURE, memory=10**9, start=ENDS[name])
    assert not (tmp_path / "out").exists() or not (tmp_path / "out").stat().st_size


def test_a_decoder_that_does_not_end_is_ended(monkeypatch):
    monkeypatch.setattr(untrusted, "SECONDS", 0.2)
    with pytest.raises(ValueError, match=r"picture must be decoded within 0\.2 s, got 'a\.png': fetch another"):
        untrusted.check("a.png", images.PICTURE, memory=10**9, start="while True: pass")


def test_pictures_at_addresses_are_decoded_there_first(tmp_path, monkeypatch):
    def fetched(url, folder):
        path = tmp_path / download.file_name(url)
        if "bad" in url:
            path.write_text("no picture")
        else:
            images.save(path, np.full((20, 20, 3), 0.5))
        return path

    monkeypatch.setattr(download, "picture", fetched)
    with compose.local_names() as local:
        assert local("https://example.org/good.png") == str(tmp_path / "good.png")
    with pytest.raises(ValueError, match=r"file must be a picture .* got 'https://example\.org/bad\.png'"):  # noqa: SIM117
        with compose.local_names() as local:
            local("https://example.org/bad.png")


# Weights


@pytest.fixture
def started(monkeypatch):
    """The command lines of processes that are started to check files."""
    seen, run = [], untrusted.subprocess.run

    def listened(argv, **more):
        seen.append(argv)
        return run(argv, **more)

    monkeypatch.setattr(untrusted.subprocess, "run", listened)
    return seen


def test_a_strangers_weights_are_read_there_first_and_once(tmp_path, narrow, started):
    vgg19.save(tmp_path / "narrow.h5", narrow)
    for read in (vgg19.info, vgg19.read, vgg19.activations):
        read(tmp_path / "narrow.h5")
    assert len(started) == 1
    convert.read(tmp_path / "narrow.h5")
    assert len(started) == 2, "by another reader"


def test_the_networks_of_the_package_and_their_copies_are_known(tmp_path, started):
    shutil.copy(vgg19.fast_path(), tmp_path / "copy.h5")
    for path in (vgg19.fast_path(), tmp_path / "copy.h5"):
        vgg19.read(path)
    assert started == []


def test_weights_that_make_their_decoder_crash_are_one_line(tmp_path, narrow, monkeypatch, command):
    vgg19.save(tmp_path / "narrow.h5", narrow)
    monkeypatch.setattr(untrusted.check, "__kwdefaults__", {"start": ENDS["crash"]})
    said = "which made its decoder crash: get it anew from where it was published"
    code, out, err = command("weights", "info", "--weights", tmp_path / "narrow.h5")
    assert (code, err) == (1, f"nst-jax: weights must be one that can be decoded, got '{tmp_path}/narrow.h5', {said}\n")
    with pytest.raises(ValueError, match=said):
        convert.read(tmp_path / "narrow.h5")
    assert files.FORMAT not in out
