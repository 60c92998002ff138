"""nst_jax.pictures.icc: profiles against lcms and closed forms, alone and in files."""

import io
import zlib

import numpy as np
import profiles
import pytest
from PIL import Image, ImageCms
from profiles import ADOBE, CURVES, LINEAR_GREY, SRGB, SWAPPED, WHITE, B, G, R, gamma, parametric, table, tables
from test_formats import deep_noise, filtered, floats, png

from nst_jax.pictures import formats, icc, images
from nst_jax.pictures.images import Extras


def converted(image, profile, *, inverse=False):
    """lcms's own answer in 8 bits."""
    ours, theirs = ImageCms.createProfile("sRGB"), ImageCms.ImageCmsProfile(io.BytesIO(profile))
    pair = (ours, theirs) if inverse else (theirs, ours)
    levels = Image.fromarray(np.rint(image * 255).astype(np.uint8))
    return np.asarray(ImageCms.profileToProfile(levels, *pair, ImageCms.Intent.RELATIVE_COLORIMETRIC)) / 255


@pytest.mark.parametrize("profile", [ADOBE, SRGB, SWAPPED], ids=["adobe", "srgb", "swapped"])
def test_colours_agree_with_lcms(profile):
    levels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint16) * 257
    assert np.abs(icc.to_srgb(levels, profile) - converted(floats(levels), profile)).max() < 1.1 / 255
    image = floats(levels)
    apart = np.abs(icc.from_srgb(image, profile) - converted(image, profile, inverse=True))
    assert np.percentile(apart, 98) < 1 / 255
    assert apart.max() < 3 / 255  # lcms computes 8 bits at 14


@pytest.mark.parametrize("profile", [ADOBE, SRGB, SWAPPED], ids=["adobe", "srgb", "swapped"])
def test_there_and_back_at_16_bits(profile):
    image = 0.1 + 0.8 * floats(deep_noise())
    levels = np.rint(icc.from_srgb(image, profile) * 65535).astype(np.uint16)
    assert np.abs(levels.astype(int) - np.rint(image * 65535)).max() > (0 if profile is SRGB else 1000)
    np.testing.assert_allclose(icc.to_srgb(levels, profile), image, atol=4e-4 if profile is SWAPPED else 1e-4)


def test_srgb_changes_nothing_at_16_bits():
    levels = np.arange(65536, dtype=np.uint16)[:, None, None].repeat(3, 2)
    np.testing.assert_allclose(icc.to_srgb(levels, SRGB), floats(levels), atol=2e-4)


@pytest.mark.parametrize(
    ("tag", "curve"),
    [
        (gamma(1.0), lambda x: x),
        (b"curv\0\0\0\0\0\0\0\0", lambda x: x),
        (gamma(2.0), lambda x: x**2),
        (table(0, 0.1, 1), lambda x: np.interp(x, [0, 0.5, 1], [0, 0.1, 1])),
        (parametric(0, 2.5), lambda x: x**2.5),
        (parametric(1, 2, 1.25, -0.25), lambda x: np.where(x >= 0.2, (1.25 * x - 0.25) ** 2, 0)),
        (parametric(2, 2, 0.9, 0.05, 0.0975), lambda x: (0.9 * x + 0.05) ** 2 + 0.0975),
        (parametric(3, 3, 0.9, 0.1, 0.05, 0.05), lambda x: np.where(x >= 0.05, (0.9 * x + 0.1) ** 3, 0.05 * x)),
        (
            parametric(4, 2, 0.9, 0.1, 0.2, 0.05, -0.01, 0),
            lambda x: np.where(x >= 0.05, (0.9 * x + 0.1) ** 2 - 0.01, 0.2 * x),
        ),
    ],
)
def test_curves(tag, curve):
    """Of a grey profile: light is the curve, and the sRGB level of that light comes out."""
    grey = deep_noise(30, 30)[..., 0]
    light = np.clip(curve(grey / 65535), 0, 1)
    expected = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    image = icc.to_srgb(grey, profiles.icc(b"GRAY", WHITE | {b"kTRC": tag}))
    np.testing.assert_allclose(image, expected[..., None].repeat(3, 2), atol=3e-4)


def test_deep_grey_follows_its_profile(tmp_path):
    grey = deep_noise()[..., 0]
    Image.fromarray(grey).save(tmp_path / "a.png", icc_profile=LINEAR_GREY)
    np.testing.assert_array_equal(images.load(tmp_path / "a.png"), icc.to_srgb(grey, LINEAR_GREY))
    assert np.abs(images.load(tmp_path / "a.png")[..., 0] - floats(grey)).max() > 0.2


def test_tables_keep_more_than_8_bits(tmp_path):
    grey = (30_000 + np.arange(512, dtype=np.uint16).reshape(16, 32))[..., None].repeat(3, 2)
    image = icc.to_srgb(grey, tables())
    assert np.abs(image - converted(floats(grey), tables())).max() < 1.1 / 255
    assert len(np.unique(image)) > 100
    assert icc.is_usable(tables())
    assert not icc.is_usable(tables(back=False))


USABLE = {"adobe": ADOBE, "srgb": SRGB, "swapped": SWAPPED, "tables": tables()}
ZERO = b"XYZ \0\0\0\0" + bytes(12)
UNUSABLE = {
    "none": None,
    "empty": b"",
    "garbage": b"garbage" * 40,
    "grey": LINEAR_GREY,
    "cut": ADOBE[:170],
    "head": ADOBE[:140],
    "black": profiles.icc(b"RGB ", WHITE | CURVES | dict.fromkeys((b"rXYZ", b"gXYZ", b"bXYZ"), ZERO)),
    "falling": profiles.icc(
        b"RGB ", WHITE | dict.fromkeys(CURVES, table(1, 0)) | {b"rXYZ": ZERO, b"gXYZ": G, b"bXYZ": B}
    ),
    "cmyk": profiles.icc(b"CMYK", WHITE | CURVES | {b"rXYZ": R, b"gXYZ": G, b"bXYZ": B}),
}


def test_usable_profiles():
    assert {name: icc.is_usable(profile) for name, profile in (USABLE | UNUSABLE).items()} == dict.fromkeys(
        USABLE, True
    ) | dict.fromkeys(UNUSABLE, False)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".avif", ".tif"])
def test_profile_is_kept_and_the_colours_with_it(tmp_path, suffix):
    y, x = np.mgrid[0:48, 0:64] / 64
    image = np.stack([0.2 + y / 2, x * 0.8, 0.5 + 0 * x], -1).astype(np.float32)
    path = tmp_path / f"a{suffix}"
    images.save(path, image, extras=Extras(profile=ADOBE))
    picture = images.read(path)
    assert picture.profile == ADOBE
    assert np.abs(picture.image - image).mean() < 0.006
    with Image.open(path) as im:
        stored = np.asarray(im.convert("RGB")) / 255
    assert np.abs(stored - image).mean() > 0.015  # numbers in a wider space


@pytest.mark.parametrize("name", ["garbage", "grey", "cut", "cmyk"])
def test_unusable_profiles_are_left_out(tmp_path, name):
    image = floats(deep_noise())
    for suffix, bits in [(".png", 8), (".png", 16), (".tif", 16), (".jpg", 8)]:
        images.save(tmp_path / f"a{suffix}", image, extras=Extras(profile=UNUSABLE[name], bits=bits))
        picture = images.read(tmp_path / f"a{suffix}")
        assert picture.profile is None
        if suffix != ".jpg":
            np.testing.assert_allclose(picture.image, image, atol=0.51 / (2**bits - 1))


def test_16_bits_of_a_wide_picture_come_back(tmp_path):
    levels = (deep_noise() // 2 + 16_000).astype(np.uint16)
    (tmp_path / "a.png").write_bytes(
        png(levels, filtered(levels, [1] * 21), chunks=[(b"iCCP", b"x\0\0" + zlib.compress(ADOBE))])
    )
    picture = images.read(tmp_path / "a.png")
    inside = ((picture.image > 0) & (picture.image < 1)).all(-1)
    assert inside.mean() > 0.5
    for suffix in (".png", ".tif"):
        images.save(tmp_path / f"b{suffix}", picture.image, extras=Extras(profile=picture.profile, bits=16))
        with Image.open(tmp_path / f"b{suffix}") as im, open(tmp_path / f"b{suffix}", "rb") as file:
            again, _ = formats.read_16_bits(im, file)
        assert np.abs(again.astype(int) - levels)[inside].max() <= 3
