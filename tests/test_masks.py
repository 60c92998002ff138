"""nst_jax.pictures.masks: guides from masks, ramps and alpha."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from nst_jax.pictures import masks

RED, GREEN, BLUE = np.eye(3, dtype=np.float32)
BLACK, WHITE, GREY = np.zeros(3, "f"), np.ones(3, "f"), np.full(3, 0.5, "f")


def stripes(*colours, width=12, height=20):
    """Vertical stripes of colours, from the left: [height, n * width, 3]."""
    row = np.repeat(np.stack(colours), width, axis=0)
    return np.broadcast_to(row, (height, *row.shape)).astype(np.float32)


def blurred(mask, radius):
    """A mask with soft edges."""
    levels = Image.fromarray((mask * 255).astype(np.uint8))
    return np.asarray(levels.filter(ImageFilter.GaussianBlur(radius)), np.float32) / 255


# Masks


def test_grey_is_white_where_it_counts():
    np.testing.assert_allclose(masks.guide_from_grey(stripes(BLACK, GREY, WHITE, width=1, height=1)), [[0, 0.5, 1]])


@pytest.mark.parametrize("colours", [(RED, GREEN), (BLUE, RED, WHITE), (BLACK, GREY, WHITE, RED, BLUE)])
def test_a_coded_mask_gives_each_colour_its_guide_in_order_of_appearance(colours):
    guides = masks.guides_from_colours(stripes(*colours), len(colours))
    assert guides.shape == (len(colours), 20, 12 * len(colours))
    for i, guide in enumerate(guides):
        np.testing.assert_array_equal(guide, np.broadcast_to(np.arange(12 * len(colours)) // 12 == i, guide.shape))
    turned = masks.guides_from_colours(stripes(*colours[::-1]), len(colours))
    np.testing.assert_array_equal(turned, guides)


def test_order_is_of_appearance_and_not_of_size():
    mask = stripes(RED, BLUE, BLUE, BLUE)
    assert masks.guides_from_colours(mask, 2)[0].mean() == pytest.approx(0.25)
    assert masks.guides_from_colours(mask[:, ::-1], 2)[0].mean() == pytest.approx(0.75)


@pytest.mark.parametrize("colours", [(BLACK, WHITE), (RED, GREEN), (RED, GREEN, BLUE)])
def test_at_a_soft_edge_shares_sum_to_one(colours):
    hard, mask = stripes(*colours), blurred(stripes(*colours), 1.5)
    guides = masks.guides_from_colours(mask, len(colours))
    np.testing.assert_allclose(guides.sum(0), 1, atol=1e-6)
    assert (guides >= 0).all()
    soft = (guides > 0.1) & (guides < 0.9)
    assert soft.any()
    assert not soft[:, :, [0, 6, -7, -1]].any()
    np.testing.assert_array_equal(guides.argmax(0), masks.guides_from_colours(hard, len(colours)).argmax(0))


def test_the_share_is_how_near_the_colour_is():
    mask = stripes(BLACK, BLACK, BLACK, WHITE, WHITE, WHITE)
    mask[:, 36] = 0.8
    mask[:, 35] = 0.3
    guides = masks.guides_from_colours(mask, 2)
    np.testing.assert_allclose(guides[1, 0, 34:38], [0, 0.3, 0.8, 1], atol=1e-6)


def test_a_mask_as_a_jpeg_has_it():
    noise = np.random.default_rng(0).uniform(-0.03, 0.03, (20, 36, 3))
    guides = masks.guides_from_colours((stripes(RED, GREEN, BLUE) + noise).clip(0, 1).astype("f"), 3)
    np.testing.assert_allclose(guides, masks.guides_from_colours(stripes(RED, GREEN, BLUE), 3), atol=0.1)


@pytest.mark.parametrize(
    ("mask", "count", "got"),
    [
        (stripes(RED), 2, "1"),
        (stripes(RED, GREEN), 3, "2"),
        (blurred(stripes(BLACK, WHITE, width=60), 4), 3, "2"),
        (stripes(RED, GREEN, BLUE), 2, "more"),
        (stripes(BLACK, RED, WHITE, BLUE), 3, "more"),
    ],
)
def test_a_wrong_number_of_colours(mask, count, got):
    said = f"mask must show {count} colours, one for each style, got {got}: give as many styles as colours"
    with pytest.raises(ValueError, match=said):
        masks.guides_from_colours(mask, count)


# Ramps and sizes


def test_a_ramp_leads_from_the_first_style_to_the_last():
    two = masks.ramp(2, (3, 5))
    np.testing.assert_allclose(two[:, 0], [[1, 0.75, 0.5, 0.25, 0], [0, 0.25, 0.5, 0.75, 1]])
    three = masks.ramp(3, (4, 9))
    assert three.shape == (3, 4, 9)
    np.testing.assert_allclose(three.sum(0), 1, atol=1e-6)
    assert (three[[0, 1, 2], 2, [0, 4, 8]] == 1).all()
    assert (masks.ramp(1, (3, 5)) == 1).all()


def test_a_mask_of_another_size_is_resized_and_of_another_aspect_refused():
    guide = np.zeros((30, 40), "f")
    guide[:, 20:] = 1
    assert masks.fit_to_picture(guide, (60, 80), "m.png").shape == (60, 80)
    assert masks.fit_to_picture(guide, (15, 20), "m.png")[:, 12:].min() > 0.99
    assert (masks.fit_to_picture(guide, (90, 121), "m.png") <= 1).all()  # resampling rings
    with pytest.raises(ValueError, match=r"mask must have its picture's aspect, 40×40, got 40×30 in m\.png: crop it"):
        masks.fit_to_picture(guide, (40, 40), "m.png")
    with pytest.raises(ValueError, match=r"aspect, 30×40, got 40×30"):
        masks.fit_to_picture(guide, (40, 30), "m.png")


def test_an_empty_mask_is_refused():
    with pytest.raises(ValueError, match=r"mask must not be empty, got no white in m\.png: white is where it counts"):
        masks.fit_to_picture(np.zeros((30, 40), "f"), (30, 40), "m.png")


def test_small_is_less_than_a_position_of_the_deepest_layer():
    guide = np.zeros((64, 64), "f")
    assert masks.is_too_small(guide, 1)
    guide[8:24, 8:24] = 1
    assert not masks.is_too_small(guide, 16)
    assert masks.is_too_small(guide, 32)
    assert not masks.is_too_small(guide * 0.01, 16)  # faint, and not small
    guide[8, 8] = 0
    assert masks.is_too_small(guide, 16)


# Alpha


def sprite(h=48, w=64, radius=12.0):
    """A disc of one colour with an antialiased edge, magenta under what is transparent: (image, alpha)."""
    y, x = np.mgrid[0:h, 0:w]
    alpha = np.clip(radius + 0.5 - np.hypot(y - h / 2, x - w / 2), 0, 1).astype("f")
    image = np.where(alpha[..., None] > 0.5, np.array([0.2, 0.6, 0.3]), np.array([1.0, 0, 1.0]))
    return image.astype("f"), alpha


def test_what_is_transparent_is_filled_from_nearby():
    image, alpha = sprite()
    filled = masks.fill_transparent(image, alpha)
    np.testing.assert_array_equal(filled[alpha > 0.5], image[alpha > 0.5])
    np.testing.assert_allclose(filled, np.broadcast_to([0.2, 0.6, 0.3], filled.shape), atol=0.02)


@pytest.mark.parametrize("radius", [3.0, 30.0])
def test_no_matte_stays_however_large_the_ground(radius):
    image, alpha = sprite(160, 160, radius)
    filled = masks.fill_transparent(image, alpha)
    assert np.abs(filled - [0.2, 0.6, 0.3]).max() < 0.05


def test_each_edge_is_filled_from_its_own_side():
    alpha = np.zeros((40, 80), "f")
    alpha[10:30, 5:25] = alpha[10:30, 55:75] = 1
    image = np.where(np.arange(80)[None, :, None] < 40, RED, BLUE) * (alpha[..., None] > 0)
    filled = masks.fill_transparent(image.astype("f"), alpha)
    assert filled[20, 2] @ RED > 0.9
    assert filled[20, 78] @ BLUE > 0.9
    assert 0.2 < filled[20, 40] @ RED < 0.8
    assert ((filled >= 0) & (filled <= 1)).all()


def test_glass_keeps_its_own_colours(town):
    """What is half transparent all over is a picture, and not an edge."""
    alpha = np.full(town.shape[:2], 0.3, "f")
    np.testing.assert_array_equal(masks.fill_transparent(town, alpha), town)
    alpha[:, 20:] = 1
    np.testing.assert_array_equal(masks.fill_transparent(town, alpha)[:, :18], town[:, :18])


def test_opaque_and_wholly_transparent_pictures_are_left(town):
    np.testing.assert_array_equal(masks.fill_transparent(town, np.ones(town.shape[:2], "f")), town)
    assert np.isfinite(masks.fill_transparent(town, np.zeros(town.shape[:2], "f"))).all()
