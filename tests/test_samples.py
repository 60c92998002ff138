"""The sample pictures: repeatable, the same at any size, and different from each other."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from PIL import Image

from nst_jax.pictures import samples

NAMES = [*samples.CONTENTS, *samples.STYLES]


def reduced(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A smaller version by averages: [h, w, 3] -> [h', w', 3]."""
    planes = [Image.fromarray(plane).resize(shape[::-1], Image.Resampling.BOX) for plane in np.moveaxis(image, 2, 0)]
    return np.stack(planes, axis=-1)


def rms(difference: np.ndarray) -> float:
    """Root of the mean square."""
    return float(np.sqrt(np.mean(difference**2)))


@pytest.fixture(scope="module")
def pictures() -> dict[str, np.ndarray]:
    """Every sample, small."""
    return {name: samples.draw(name, (96, 96)) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_is_a_picture(pictures, name):
    image = pictures[name]
    assert image.shape == (96, 96, 3)
    assert image.dtype == np.float32
    assert np.isfinite(image).all()
    assert image.min() >= 0.0
    assert image.max() <= 1.0
    assert image.std() > 0.1


@pytest.mark.parametrize("name", NAMES)
def test_same_bits_on_every_call(pictures, name):
    np.testing.assert_array_equal(samples.draw(name, (96, 96)), pictures[name])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(16, 16), (37, 61), (16, 110), (110, 16), (1, 7)])
def test_any_shape(name, shape):
    image = samples.draw(name, shape)
    assert image.shape == (*shape, 3)
    assert np.isfinite(image).all()


@pytest.mark.parametrize("name", NAMES)
def test_same_picture_at_twice_the_size(pictures, name):
    again = reduced(samples.draw(name, (192, 192)), (48, 48))
    small = reduced(pictures[name], (48, 48))
    assert rms(again - small) < 0.06
    assert rms(again[:, ::-1] - small) > 0.1  # the bound above would notice another composition


def test_no_two_look_alike(pictures):
    tones = {name: np.concatenate([image.mean((0, 1)), image.std((0, 1))]) for name, image in pictures.items()}
    for one, other in itertools.combinations(NAMES, 2):
        assert rms(pictures[one] - pictures[other]) > 0.15
        assert np.abs(tones[one] - tones[other]).max() > 0.02


def test_tables_do_not_overlap():
    assert len(samples.CONTENTS) >= 3
    assert len(samples.STYLES) >= 6
    assert not set(samples.CONTENTS) & set(samples.STYLES)
    np.testing.assert_array_equal(samples.STYLES["mosaic"]((24, 24)), samples.draw("mosaic", (24, 24)))


def test_unknown_name_says_what_was_meant():
    with pytest.raises(ValueError, match="sample must be") as caught:
        samples.draw("skylin", (8, 8))
    text = str(caught.value)
    assert text == f"sample must be one of {', '.join(NAMES)}, got 'skylin': did you mean skyline?"


def test_unlike_any_name_lists_them():
    with pytest.raises(ValueError, match=r"got 'qqqq': choose one of these$"):
        samples.draw("qqqq", (8, 8))


@pytest.mark.parametrize("shape", [(0, 8), (8,), (8, 8, 3), (8.5, 8)])
def test_shape_is_checked(shape):
    with pytest.raises(ValueError, match=r"^shape must be two positive whole numbers \(h, w\), got .*: give pixels"):
        samples.draw("flow", shape)
