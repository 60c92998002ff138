"""nst_jax.starts: seeds, shapes and the statistics of colours."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nst_jax.network import vgg19
from nst_jax.painting import starts
from nst_jax.recipes import names

KEY = jax.random.key(0)


def test_noise_is_its_seeds_and_no_others():
    first, again, other = (starts.noise(jax.random.key(seed), (20, 30)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.99
    assert first.shape == (20, 30, 3)
    assert first.dtype == jnp.float32


@pytest.mark.parametrize("amplitude", [0.0, 0.1, 0.25])
def test_noise_is_around_the_mean_colour_within_its_amplitude(amplitude):
    away = np.asarray(starts.noise(KEY, (64, 64), amplitude=amplitude)) - np.array(vgg19.MEAN, np.float32)
    assert abs(away).max() <= amplitude + 1e-6
    assert abs(away.mean((0, 1))).max() <= 0.02
    np.testing.assert_allclose(away.std(), amplitude / np.sqrt(3), rtol=0.05)


def test_gaussian_noise_is_normal_about_the_mean_colour():
    away = np.asarray(starts.gaussian(KEY, (64, 64), deviation=0.1)) - np.array(vgg19.MEAN, np.float32)
    np.testing.assert_allclose(away.std(), 0.1, rtol=0.05)
    assert abs(away).max() > 0.3
    assert abs(away.mean((0, 1))).max() < 0.01


def test_grain_is_noise_added_to_the_photograph(town):
    away = np.asarray(starts.grain(KEY, town, amplitude=0.1)) - town
    assert 0.09 < abs(away).max() <= 0.1 + 1e-6


@pytest.mark.parametrize("ratio", [0.0, 0.3, 1.0])
def test_a_blend_is_ratio_of_noise_and_the_rest_content(ratio, town):
    grain = np.asarray(starts.noise(KEY, town.shape[:2]))
    np.testing.assert_allclose(starts.blend(town, grain, ratio=ratio), ratio * grain + (1 - ratio) * town, atol=1e-6)


def test_statistics_are_the_styles(night):
    style = 0.5 + 0.4 * (night - 0.5)  # far from 0 and 1, where clipping would change them
    made = np.asarray(starts.statistics(KEY, style, (120, 130))).reshape(-1, 3)
    flat = style.reshape(-1, 3)
    np.testing.assert_allclose(made.mean(0), flat.mean(0), atol=0.005)
    np.testing.assert_allclose(np.cov(made.T), np.cov(flat.T), atol=0.05 * np.cov(flat.T).max())


def test_statistics_of_one_colour_are_that_colour():
    grey = np.full((16, 16, 3), 0.25, np.float32)
    np.testing.assert_allclose(starts.statistics(KEY, grey, (8, 9)), np.full((8, 9, 3), 0.25), atol=1e-3)


def test_a_fitted_style_is_cropped_and_not_distorted():
    y, x = np.mgrid[0:90, 0:60]
    disc = ((y - 44.5) ** 2 + (x - 29.5) ** 2 < 20**2).astype(np.float32)
    fitted = np.asarray(starts.crop_to(np.repeat(disc[..., None], 3, 2), (40, 80)))
    assert fitted.shape == (40, 80, 3)
    inside = fitted[..., 0] > 0.5
    high, wide = inside.any(1).sum(), inside.any(0).sum()
    assert high == 40, "taller than what is left of it"
    area = inside[:, 40].sum() * 80  # the disc's diameter of 40 is 53 px wide at the new scale
    assert abs(wide - 40 * 80 / 60) <= 1.5
    assert area == 3200


def test_a_style_of_the_contents_shape_is_itself(town):
    np.testing.assert_allclose(starts.crop_to(jnp.asarray(town), town.shape[:2]), town, atol=1e-6)


@pytest.mark.parametrize("shape", [(16, 4000), (4000, 16)])
def test_a_style_fits_the_longest_picture(shape, night):
    assert starts.crop_to(jnp.asarray(night), shape).shape == (*shape, 3)


WORDS = ["content", "style", "statistics", "noise", "noise:0.1", "gaussian:0.2", "grain:0.3", "mix:0.6", "mix:0.6:0.5"]


@pytest.mark.parametrize("word", WORDS)
def test_every_word_makes_a_picture_of_the_contents_shape(word, town, night):
    made = starts.make(word, KEY, town, night)
    assert made.shape == town.shape
    assert made.dtype == jnp.float32
    assert 0 <= float(made.min()) <= float(made.max()) <= 1
    np.testing.assert_array_equal(made, starts.make(word, KEY, town, night))
    assert {names.parse_start(word)[0] for word in WORDS} == set(names.STARTS)


def test_what_the_words_mean(town, night):
    def made(word):
        return starts.make(word, KEY, town, night)

    np.testing.assert_array_equal(made("content"), town)
    np.testing.assert_allclose(made("noise"), starts.noise(KEY, town.shape[:2]), atol=1e-6)
    np.testing.assert_allclose(made("noise"), made("noise:0.25"), atol=1e-6)
    np.testing.assert_allclose(made("mix:0.25"), 0.25 * made("noise") + 0.75 * town, atol=1e-6)
    np.testing.assert_allclose(made("mix:0"), town, atol=1e-6)
    np.testing.assert_allclose(made("mix:1:0.1"), made("noise:0.1"), atol=1e-6)
    np.testing.assert_allclose(made("grain:0"), town, atol=1e-6)
    flat = np.broadcast_to(np.array(vgg19.MEAN, np.float32), town.shape)
    np.testing.assert_allclose(made("gaussian:0"), flat, atol=1e-6)
    assert made("grain:5").min() == 0
    assert made("grain:5").max() == 1


@pytest.mark.parametrize(
    ("word", "hint"), [("", ""), ("nose", ": did you mean noise?"), ("Content", ": did you mean content?")]
)
def test_an_unknown_word_is_answered_with_the_known(word, hint):
    known = "content, style, statistics, noise, gaussian, grain, mix"
    with pytest.raises(ValueError, match=re.escape(f"start must be one of {known}, got {word!r}{hint}") + "$"):
        names.parse_start(word)


@pytest.mark.parametrize(
    "word", ["mix", "mix:", "mix:1.2", "mix:-0.1", "mix:nan", "mix:half", "mix:0.5:inf", "mix:0:1:2"]
)
def test_a_ratio_is_from_0_to_1(word):
    message = f"mix:RATIO with a share of noise from 0 to 1, as in mix:0.6, got {word!r}"
    with pytest.raises(ValueError, match=message):
        names.parse_start(word)


@pytest.mark.parametrize(
    "word", ["content:1", "style:2", "noise:-1", "noise:1:2", "gaussian", "gaussian:x", "grain:nan"]
)
def test_the_numbers_that_a_word_takes(word):
    with pytest.raises(ValueError, match=f"start must be {word.split(':')[0]}.*, got {word!r}"):
        names.parse_start(word)


def test_starts_under_jit(town, night):
    shape = town.shape[:2]
    for plain in (starts.noise, lambda key, shape: starts.statistics(key, night, shape)):
        compiled = jax.jit(plain, static_argnums=1)(KEY, shape)
        np.testing.assert_allclose(compiled, plain(KEY, shape), atol=1e-5)
