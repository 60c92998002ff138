"""nst_jax.pictures.charts: curves of losses, and content against style with pictures as markers."""

import sys

import numpy as np
import pytest
from test_sheets import shades

from nst_jax.pictures import charts

TERMS = ("content/relu4_2", "style/relu1_1", "style/relu2_1", "variation")


@pytest.fixture(autouse=True)
def _plots():
    pytest.importorskip("matplotlib")


# Curves


def log(terms=TERMS, steps=range(10, 101, 10)):
    """A run's log: losses that fall, each a tenth of the one before."""
    return [{"step": n, "seconds": 0.1 * n} | {t: 10.0 ** (3 - i) / n for i, t in enumerate(terms)} for n in steps]


def lines(figure):
    """{label: (x, y)} of a figure's curves."""
    return {
        line.get_label(): (np.asarray(line.get_xdata()), np.asarray(line.get_ydata()))
        for line in figure.axes[0].get_lines()
        if not line.get_label().startswith("_")
    }


def test_curves_are_of_every_term_that_is_not_zero():
    records = log()
    for record in records:
        record["variation"] = 0.0
    records[3]["style/relu1_1"] = 0.0  # a gap, not an error
    made = charts.loss_figure(records)
    shown = lines(made)
    assert list(shown) == list(TERMS[:3])
    for name, (x, y) in shown.items():
        assert x.tolist() == [record["step"] for record in records]
        expected = np.array([record[name] or np.nan for record in records])
        np.testing.assert_array_equal(y, expected)
    axes = made.axes[0]
    assert axes.get_yscale() == "log"
    written = {text.get_text() for text in axes.texts}
    assert set(TERMS[:3]) <= written
    assert "variation" not in written
    assert len({line.get_color() for line in axes.get_lines()}) == 3


def test_curves_mark_the_sizes_of_the_ladder():
    made = charts.loss_figure([{"ladder": [[32, 24, 60], [64, 48, 30], [128, 96, 80]]}, *log()])  # and stopped early
    axes = made.axes[0]
    marks = [line.get_xdata()[0] for line in axes.get_lines() if line.get_label().startswith("_")]
    assert marks == [60, 90]
    assert {"32×24", "64×48"} <= {text.get_text() for text in axes.texts}
    assert not charts.loss_figure(log()).axes[0].texts[len(TERMS) :]


@pytest.mark.parametrize("count", [1, 2, 7, 16, 40])
def test_labels_of_curves_do_not_touch(count):
    """Even where all curves end in one point."""
    terms = [f"style/{i}" for i in range(count)]
    [texts] = [charts.loss_figure([{"step": 5, **dict.fromkeys(terms, 2.0)}]).axes[0].texts]
    places = sorted(text.xyann[1] for text in texts)
    assert len(places) == count
    assert -1e-9 <= places[0] <= places[-1] <= 1 + 1e-9
    assert np.diff(places).min(initial=1) >= min(charts.LABEL, 1 / max(1, count - 1)) - 1e-9


def test_labels_of_curves_stay_where_there_is_room():
    texts = charts.loss_figure(log()).axes[0].texts
    heights = [text.xyann[1] for text in texts]
    assert heights == sorted(heights, reverse=True)
    figure = charts.loss_figure(log())
    for text in figure.axes[0].texts:
        low, high = np.log(figure.axes[0].get_ylim())
        assert text.xyann[1] == pytest.approx((np.log(text.xy[1]) - low) / (high - low))


@pytest.mark.parametrize(
    "records",
    [
        log(),
        log(steps=[3]),
        [{"step": 1, "variation": 0.0}],
        [{"step": 1, "$x_$": 1.0}],
        log([f"style/{i}" for i in range(30)]),
    ],
)
def test_curves_are_a_picture(records):
    made = charts.loss_curves(records)
    assert made.ndim == 3
    assert made.shape[2] == 3
    assert made.shape[1] > made.shape[0] > 500
    assert made.min() >= 0
    assert made.max() == 1
    assert np.ptp(made, axis=(0, 1)).min() > 0.5


def test_curves_of_nothing():
    with pytest.raises(ValueError, match=r"records must hold at least one step, got none: give a run's whole log"):
        charts.loss_curves([{"ladder": [[32, 24, 60]]}])


def test_what_needs_matplotlib_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    for draw in (charts.check_matplotlib, lambda: charts.loss_curves(log()), lambda: charts.scatter([])):
        with pytest.raises(ValueError, match=r"matplotlib must be installed, got none: pip install 'nst-jax\[plot\]'"):
            draw()


# Content against style


def test_pictures_of_a_plot_keep_off_each_other():
    random = np.random.default_rng(0)
    points = random.uniform(200, 800, (20, 2))
    sizes, within = np.full((20, 2), 80.0), np.array([[0.0, 0.0], [1000.0, 1000.0]])
    places = charts.push_apart(points, sizes, within)
    off = np.abs(places[:, None] - places[None]).max(-1) + 1e3 * np.eye(20)
    assert off.min() > 60, "of 80"
    assert (places >= 40).all()
    assert (places <= 960).all()
    assert np.isfinite(charts.push_apart(np.full((3, 2), 500.0), np.full((3, 2), 80.0), within)).all()


def test_a_plot_says_what_it_leaves_out():
    points = [charts.Point(0.0 if i == 0 else 2.0**i, 3.0**-i, str(i), picture) for i, picture in enumerate(shades(4))]
    whole, part = charts.scatter(points[1:], title="strength"), charts.scatter(points, title="strength")
    assert whole.shape == part.shape == (1152, 1760, 3)
    assert float(abs(whole - part)[:120].max()) > 0.3
    assert charts.scatter(points[:1]).shape == whole.shape
