"""nst_jax.pictures.sheets: what stands where on pages of pictures."""

import numpy as np
import pytest

from nst_jax.pictures import sheets


def flat(h, w, *colour):
    """A picture of one colour."""
    return np.ones((h, w, 3), np.float32) * np.float32(colour)


def shades(count):
    """Pictures of one grey each, from dark to light."""
    return [np.full((30, 40, 3), 0.2 + 0.6 * i / count, np.float32) for i in range(count)]


# Contact sheets


def test_sheet_places_pictures_in_square_cells():
    red, green, blue = flat(20, 40, 1, 0, 0), flat(60, 30, 0, 1, 0), flat(10, 10, 0, 0, 1)
    made = sheets.contact_sheet([[red, green], [None, blue]], cell=80)
    gap = sheets.GAP
    assert made.shape == (2 * 80 + 3 * gap, 2 * 80 + 3 * gap, 3)
    assert made.dtype == np.float32
    found = {}
    for name, channel in (("red", 0), ("green", 1), ("blue", 2)):
        only = np.delete(made, channel, axis=2).max(2) < 0.1
        ys, xs = np.nonzero(only & (made[..., channel] > 0.9))
        found[name] = ys.min(), ys.max() + 1, xs.min(), xs.max() + 1
    assert found["red"] == (gap + 20, gap + 60, gap, gap + 80)  # 40 high, in the middle of 80
    assert found["green"] == (gap, gap + 80, 2 * gap + 100, 2 * gap + 140)  # 40 wide, likewise
    assert found["blue"] == (2 * gap + 80, 2 * gap + 160, 2 * gap + 80, 2 * gap + 160)


def test_sheet_labels_columns_and_rows():
    picture = flat(40, 40, 1, 1, 1)
    plain = sheets.contact_sheet([[picture, picture]], cell=140)
    above = sheets.contact_sheet([[picture, picture]], columns=["content", "result"], cell=140)
    beside = sheets.contact_sheet([[picture, picture]], names=["some recipe"], cell=140)
    assert above.shape[1] == plain.shape[1]
    assert beside.shape[0] == plain.shape[0]
    band = above[: above.shape[0] - plain.shape[0] + sheets.GAP].min(2) < 0.5
    half = band.shape[1] // 2
    assert band[:, :half].any()
    assert band[:, half:].any()
    assert (beside[:, : beside.shape[1] - plain.shape[1]].min(2) < 0.5).any()
    assert not (plain.min(2) < 0.5).any()


# Grids


def test_a_sheet_has_its_pictures_in_rows_and_columns():
    pictures = shades(6)
    page = sheets.grid(pictures, {"content weight": ["1", "4"], "style weight": ["1", "2", "3"]})
    greys = [float(p.mean()) for p in pictures]
    places = [np.argwhere(np.abs(page - grey).max(-1) < 0.004).mean(0) for grey in greys]
    down, across = np.array(places).reshape(2, 3, 2)[..., 0], np.array(places).reshape(2, 3, 2)[..., 1]
    assert np.ptp(down, axis=1).max() < 2
    assert np.ptp(across, axis=0).max() < 2
    assert (np.diff(across, axis=1) > 300).all()
    assert (np.diff(down, axis=0) > 200).all()


def test_a_long_axis_is_broken_and_a_missing_picture_leaves_its_place():
    full = sheets.grid(shades(10), {"seed": [str(i) for i in range(10)]})
    assert full.shape[0] > 500, "two rows of five"
    gaps = sheets.grid([*shades(9), None], {"seed": [str(i) for i in range(10)]})
    assert gaps.shape == full.shape
    assert (gaps[-200:, -200:] > 0.95).mean() > 0.8


def test_sixty_four_pictures_fit_a_page():
    labels = [f"{x:.4g}" for x in range(8)]
    page = sheets.grid(shades(64), {"tv weight": labels, "style weight": labels})
    assert page.shape[1] <= 2100
    with pytest.raises(ValueError, match="one for each place of the axes, got 63 for 8 × 8"):
        sheets.grid(shades(63), {"tv weight": labels, "style weight": labels})
