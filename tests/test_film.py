"""nst_jax.pictures.film: animations as other programs read them, whole or not at all."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from test_sheets import flat

from nst_jax.pictures import film, images

FRAMES = [flat(12, 16, 1, 0, 0), flat(12, 16, 0, 1, 0), flat(24, 32, 0, 0, 1), flat(24, 32, 1, 1, 1)]  # coarse to fine


def shown(path):
    """The pictures of an animation and how long each is shown, in milliseconds."""
    with Image.open(path) as im:
        found = []
        for number in range(getattr(im, "n_frames", 1)):
            im.seek(number)
            im.load()  # WebP knows a frame's time only then
            found.append((np.asarray(im.convert("RGB")).astype(int), im.info.get("duration")))
        return found


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".WEBP"])
def test_animation_has_one_size_its_time_and_holds_the_last(tmp_path, suffix):
    film.save(path := tmp_path / f"run{suffix}", FRAMES, seconds=2, hold=1)
    pictures, durations = zip(*shown(path), strict=True)
    assert list(durations) == [500, 500, 500, 1500]
    for picture, frame in zip(pictures, FRAMES, strict=True):
        assert picture.shape == (24, 32, 3)
        np.testing.assert_allclose(picture.mean((0, 1)), 255 * frame.mean((0, 1)), atol=6)
    with Image.open(path) as im:
        assert im.info["loop"] == 0  # for ever


def test_animation_of_one_picture(tmp_path):
    film.save(tmp_path / "run.webp", iter(FRAMES[:1]))
    assert len(shown(tmp_path / "run.webp")) == 1


def test_animation_as_a_film(tmp_path):
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    odd = [images.resize(frame, (25, 33)) for frame in FRAMES]
    film.save(tmp_path / "run.mp4", odd, seconds=1, hold=0.6)
    argv = [
        ffmpeg.get_ffmpeg_exe(),
        "-v",
        "error",
        "-i",
        tmp_path / "run.mp4",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-",
    ]
    raw = subprocess.run(argv, capture_output=True, check=True).stdout
    pictures = np.frombuffer(raw, np.uint8).reshape(-1, 24, 32, 3)  # edges are even now
    assert len(pictures) == round(1.6 * film.FPS)
    assert pictures[0][..., 0].mean() > 180 > 60 > pictures[0][..., 2].mean()
    assert pictures[-1].min() > 220


def test_animations_that_cannot_be(tmp_path):
    said = r"suffix of an animation must be one of \.gif, \.webp, \.mp4, got '\.avi': \.webp is usual"
    with pytest.raises(ValueError, match=said):
        film.save(tmp_path / "run.avi", FRAMES)
    with pytest.raises(ValueError, match="frames must hold at least one picture, got none"):
        film.save(tmp_path / "run.gif", [])


def test_films_say_which_extra_they_need(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(ValueError, match=r"imageio_ffmpeg must be installed, got none: pip install 'nst-jax\[video\]'"):
        film.save(tmp_path / "run.mp4", FRAMES)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_half_an_animation_is_never_left(monkeypatch, tmp_path, suffix):
    (path := tmp_path / f"run{suffix}").write_bytes(b"precious")

    def fail(self, file, **options):
        file.write(b"half a film")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match=r"animation must be writable, got .* \(No space left on device\): choose"):
        film.save(path, FRAMES)
    assert path.read_bytes() == b"precious"
    assert os.listdir(tmp_path) == [path.name]


def test_half_a_film_is_never_left(monkeypatch, tmp_path):
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    (path := tmp_path / "run.mp4").write_bytes(b"precious")
    program = tmp_path / "ffmpeg"
    lines = "#!/bin/sh", "for last; do :; done", 'echo half > "$last"', "cat > /dev/null", "echo broken >&2", "exit 1"
    program.write_text("\n".join(lines))
    program.chmod(0o755)
    monkeypatch.setattr(ffmpeg, "get_ffmpeg_exe", lambda: str(program))
    with pytest.raises(OSError, match=r"animation must be writable, got .* \(ffmpeg: broken\): choose another"):
        film.save(path, FRAMES)
    assert path.read_bytes() == b"precious"
    assert sorted(os.listdir(tmp_path)) == ["ffmpeg", "run.mp4"]
