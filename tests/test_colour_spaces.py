"""nst_jax.pictures.colour_spaces: published values, inverses, and colours that sRGB lacks."""

import numpy as np
import pytest

from nst_jax.pictures.colour_spaces import from_linear, from_oklab, map_to_gamut, to_linear, to_oklab


def random_colours(*shape, seed=0):
    """Colours all over sRGB, float64."""
    return np.random.default_rng(seed).uniform(0, 1, (*shape, 3))


def hue(lab):
    """In radians, around the circle."""
    return np.arctan2(lab[..., 2], lab[..., 1])


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [
        ([1, 1, 1], [1, 0, 0]),
        ([0, 0, 0], [0, 0, 0]),
        ([1, 0, 0], [0.62796, 0.22486, 0.12585]),
        ([0, 1, 0], [0.86644, -0.23389, 0.17950]),
        ([0, 0, 1], [0.45201, -0.03246, -0.31153]),
    ],
)
def test_oklab_of_the_corners_is_as_published(rgb, lab):
    np.testing.assert_allclose(to_oklab(np.array(rgb, np.float64)), lab, atol=6e-6)


def test_linear_light_is_as_the_standard_has_it():
    np.testing.assert_allclose(to_linear(np.array([0, 0.04045, 0.5, 1])), [0, 0.0031308, 0.214041, 1], atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_conversions_come_back_beyond_the_cube_too(dtype):
    x = (2 * random_colours(500) - 0.5).astype(dtype)
    tolerance = 5e-5 if dtype == np.float32 else 1e-7
    for there, back in [
        (to_linear, from_linear),
        (to_oklab, from_oklab),
    ]:
        assert there(x).dtype == dtype
        np.testing.assert_allclose(back(there(x)), x, atol=tolerance)


def test_greys_have_no_chroma():
    grey = np.repeat(np.linspace(0, 1, 50)[:, None], 3, axis=1)
    np.testing.assert_allclose(to_oklab(grey)[:, 1:], 0, atol=1e-7)


def test_map_to_gamut_keeps_what_fits_and_the_hue_and_lightness_of_what_does_not():
    inside = random_colours(400).astype(np.float32)
    np.testing.assert_array_equal(map_to_gamut(inside), inside)
    lab = np.stack(np.meshgrid(np.linspace(0.3, 0.9, 5), [-0.3, -0.1, 0.2], [-0.25, 0.05, 0.3]), -1).reshape(-1, 3)
    wild = from_oklab(lab)
    tame = map_to_gamut(wild)
    assert (wild.min(-1) < -0.01).any()
    assert 0 <= tame.min() <= tame.max() <= 1
    found = to_oklab(tame)
    np.testing.assert_allclose(found[:, 0], lab[:, 0], atol=2e-3)
    turn = np.angle(np.exp(1j * (hue(found) - hue(lab))))
    chroma, wanted = (np.hypot(x[:, 1], x[:, 2]) for x in (found, lab))
    assert np.abs(turn * chroma).max() < 2e-3  # not how much a plain clip turns it:
    assert np.abs(np.angle(np.exp(1j * (hue(to_oklab(np.clip(wild, 0, 1))) - hue(lab))))).max() > 0.1
    assert (chroma <= wanted + 2e-3).all()


def test_map_to_gamut_knows_blacker_than_black_and_whiter_than_white():
    wild = np.array([[1.4, 1.3, 1.5], [-0.3, -0.2, -0.25]])
    np.testing.assert_allclose(map_to_gamut(wild), [[1, 1, 1], [0, 0, 0]], atol=1e-3)
