"""nst_jax.pictures.saving: what is written and how, and what is refused or fails."""

import os
import stat

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin
from test_images import message, noise, smooth

from nst_jax.pictures import images
from nst_jax.pictures.images import Extras


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".tiff", ".PNG"])
def test_save_and_load_are_inverse(tmp_path, suffix):
    image = noise().astype(np.float32) / np.float32(255)
    images.save(tmp_path / f"a{suffix}", image)
    np.testing.assert_array_equal(images.load(tmp_path / f"a{suffix}"), image)


def test_every_suffix_is_written_as_its_kind(tmp_path):
    for suffix, writer in images.SUFFIXES.items():
        images.save(tmp_path / f"a{suffix}", smooth())
        with Image.open(tmp_path / f"a{suffix}") as im:
            assert im.format == writer.format
            assert im.size == (64, 48)


def test_save_rounds_and_clips(tmp_path):
    levels = np.array([-5, -0.4, 0.4, 0.6, 1.49, 1.51, 127.4, 127.6, 254.4, 254.6, 255.4, 900])
    image = np.broadcast_to(levels[:, None, None] / 255, (12, 20, 3))
    images.save(tmp_path / "a.png", image)
    with Image.open(tmp_path / "a.png") as im:
        got = np.asarray(im)[:, 0, 0]
    assert got.tolist() == [0, 0, 0, 1, 1, 2, 127, 128, 254, 255, 255, 255]


def test_save_does_not_touch_its_argument(tmp_path):
    image = smooth() * 2 - 0.5
    before = image.copy()
    images.save(tmp_path / "a.png", image)
    np.testing.assert_array_equal(image, before)


def test_save_takes_jax_arrays(tmp_path):
    jnp = pytest.importorskip("jax.numpy")
    for dtype in (jnp.float32, jnp.bfloat16):
        images.save(tmp_path / "a.png", jnp.full((16, 16, 3), 0.5, dtype))
        np.testing.assert_allclose(images.load(tmp_path / "a.png"), 128 / 255, atol=1e-6)


def test_jpeg_has_full_colour_and_quality(tmp_path):
    images.save(tmp_path / "a.jpg", smooth())
    with Image.open(tmp_path / "a.jpg") as im:
        assert JpegImagePlugin.get_sampling(im) == 0  # 4:4:4
        assert max(im.quantization[0]) <= 12  # the IJG tables' largest entry, 121, at quality 95
    images.save(tmp_path / "b.jpg", smooth(), quality=20)
    assert (tmp_path / "b.jpg").stat().st_size < (tmp_path / "a.jpg").stat().st_size


def test_save_refuses_arrays(tmp_path):
    path, image = tmp_path / "a.png", smooth()
    assert "got [1, 48, 64, 3]: save one RGB picture at a time" in message(images.save, path, image[None])
    for bad in (image[..., 0], image[..., :2], image[:0]):
        assert "image must be [h, w, 3]" in message(images.save, path, bad)
    assert "got uint8: divide" in message(images.save, path, noise())
    for value in (np.nan, np.inf, -np.inf):
        image[3, 4, 1] = value
        assert "finite, got 1 NaN or infinite" in message(images.save, path, image)
    assert not path.exists()


def test_save_refuses_options_and_sizes(tmp_path):
    for quality in (0, 101, 9.5, "high"):
        message(images.save, tmp_path / "a.jpg", smooth(), quality=quality)
    strip = np.zeros((1, 65_501, 3))
    for suffix in (".jpg", ".webp", ".avif"):
        assert "px long, got 65501×1: write a .png" in message(images.save, tmp_path / f"a{suffix}", strip)
    assert not list(tmp_path.iterdir())


def test_suffixes_are_refused_with_the_choices():
    text = message(images.save, "a.pgn", smooth())
    assert "did you mean .png?" in text
    assert all(suffix in text for suffix in images.SUFFIXES)
    message(images.check_writable, "no-suffix")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), OSError("encoder error"), RuntimeError("x")])
def test_a_failed_save_leaves_everything_as_it_was(tmp_path, monkeypatch, error):
    path = tmp_path / "a.png"
    path.write_bytes(b"precious")

    def fail(self, file, *args, **options):
        file.write(b"half a pic")
        raise error

    monkeypatch.setattr(Image.Image, "save", fail)
    kind = OSError if isinstance(error, OSError) else ValueError
    assert str(error.args[-1]) in message(images.save, path, smooth(), kind=kind)
    assert path.read_bytes() == b"precious"
    assert os.listdir(tmp_path) == ["a.png"]


def test_an_interrupted_save_leaves_no_trace(tmp_path, monkeypatch):
    def interrupt(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "save", interrupt)
    with pytest.raises(KeyboardInterrupt):
        images.save(tmp_path / "a.png", smooth())
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_mode_follows_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        images.save(tmp_path / "a.png", smooth())
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.png").stat().st_mode) == 0o666 & ~umask


def test_save_writes_through_a_link(tmp_path):
    images.save(tmp_path / "real.png", smooth())
    (tmp_path / "link.png").symlink_to(tmp_path / "real.png")
    images.save(tmp_path / "link.png", smooth() * 0)
    assert (tmp_path / "link.png").is_symlink()
    assert images.load(tmp_path / "real.png").max() == 0


def test_check_writable(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    images.check_writable(path)
    assert not os.listdir(tmp_path)
    path.write_bytes(b"precious")
    images.check_writable(path)
    assert path.read_bytes() == b"precious"
    assert os.listdir(tmp_path) == ["a.png"]
    (tmp_path / "folder.png").mkdir()
    message(images.check_writable, tmp_path / "folder.png", kind=IsADirectoryError)
    message(images.check_writable, path / "b.png", kind=NotADirectoryError)
    assert "make " in message(images.check_writable, tmp_path / "no" / "a.png", kind=FileNotFoundError)

    def refuse(*args, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    assert "Permission denied" in message(images.check_writable, path, kind=PermissionError)


def test_check_writable_takes_a_bare_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images.check_writable("a.png")
    images.save("a.png", smooth())
    assert os.listdir(tmp_path) == ["a.png"]


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
