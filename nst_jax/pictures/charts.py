"""Losses drawn: curves over steps, and content against style with pictures as markers.

They need matplotlib: `pip install 'nst-jax[plot]'`.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from nst_jax.ground import extras
from nst_jax.pictures.thumbnails import thumbnail

# Content cold, style warm and lighter with depth, the rest grey: colours that are told apart at every kind of sight
COLOURS = {"content": ("#0b4f6c", "#3aa0c9"), "style": ("#5c1a5e", "#c2335a", "#de8a1f"), "": ("#8a8f98", "#8a8f98")}
TEXT, QUIET, LINES, FAINT = "#28282a", "#6b6f76", "#b9bbbf", "#e4e4e2"  # titles, labels, axes, grid
LABEL = 0.048  # a curve's label's height, of the axes'
CROWDED = 0.25  # of a scatter plot's area that its pictures cover, at most
STEPS = 400  # in which they move apart
LABELLED = 24  # pictures of a scatter plot at most that have a label: beyond, a grid's places say more


def check_matplotlib() -> None:
    """Raise now what drawing would raise after a long run where matplotlib is missing."""
    with extras.required("plot"):
        import matplotlib.figure  # noqa: F401


def _new_figure(size):
    """An empty matplotlib Figure of this many inches."""
    with extras.required("plot"):
        from matplotlib.figure import Figure
    return Figure(size, dpi=160, facecolor="white")


def _pixels(figure) -> np.ndarray:
    """A matplotlib Figure drawn: [h, w, 3]."""
    with extras.required("plot"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba(), np.float32)[..., :3] / 255


def _style_axes(axes, title, *, sides):
    """Give axes a title, tick labels without marks, and lines at these sides only."""
    axes.set_title(title, loc="left", fontsize=12, color=TEXT, pad=10)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", length=0, labelsize=8.5, labelcolor=QUIET)
    for side, spine in axes.spines.items():
        spine.set_visible(side in sides)
        spine.set_color(LINES)


# Loss curves


def loss_curves(records: Iterable[dict]) -> np.ndarray:
    """Losses over steps, drawn: [h, w, 3]; see `loss_figure`."""
    return _pixels(loss_figure(records))


def loss_figure(records: Iterable[dict]):
    """Losses over steps, a line for each term that is not always 0: a matplotlib Figure.

    Records are a run's log: its head, whose ladder of sizes is marked, and one for each frame.
    """
    page = _new_figure((10, 5.2))
    steps, terms, ladder = _columns(list(records))
    axes = page.add_axes((0.065, 0.095, 0.76, 0.83), xlim=(0, steps[-1]), yscale="log")
    values = np.concatenate([*terms.values(), [np.nan]])
    low, high = (np.nanmin(values), np.nanmax(values)) if terms else (0.1, 1.0)
    axes.set_ylim(low := low / 1.6, high := high * 2.2)  # room for the names of sizes at the top
    ends = [int(np.flatnonzero(np.isfinite(line))[-1]) for line in terms.values()]
    heights = [line[end] / low for line, end in zip(terms.values(), ends, strict=True)]
    places = _spread_labels(np.log(heights) / np.log(high / low))
    rows = zip(terms.items(), ends, _colours(list(terms)), places, strict=True)
    for (name, line), end, colour, place in rows:
        style = {"color": colour, "linewidth": 1.8, "solid_capstyle": "round", "clip_on": False}
        axes.plot(steps, line, marker="o", markersize=3.5, markevery=[end], label=name, **style)
        _label(axes, name, colour, (steps[end] / steps[-1], line[end]), place)
    _mark_sizes(axes, ladder, steps[-1])
    _style_curves(axes, "major" if high > 10 * low else "both")
    return page


def _columns(records):
    """(steps, {term: its values, NaN where a logarithm has none}, [(name of a size, its first step, its last)])."""
    frames = [record for record in records if "step" in record]
    if not frames:
        raise ValueError("records must hold at least one step, got none: give a run's whole log")
    names = {name: None for frame in frames for name in frame if name not in ("step", "seconds")}
    terms = {name: np.array([frame.get(name, 0.0) for frame in frames], np.float64) for name in names}
    terms = {name: np.where(line > 0, line, np.nan) for name, line in terms.items() if (line > 0).any()}
    ladder: list = next((record["ladder"] for record in records if "ladder" in record), [])
    ends = np.cumsum([count for *_, count in ladder], dtype=int)
    stages = [(f"{w}×{h}", end - count, end) for (w, h, count), end in zip(ladder, ends, strict=True)]
    return np.array([frame["step"] for frame in frames]), terms, stages


def _colours(names):
    """A colour for each term: a kind's from the first of its layers to the last."""
    with extras.required("plot"):
        from matplotlib.colors import LinearSegmentedColormap
    kinds = [name.partition("/")[0] if "/" in name else "" for name in names]
    found = []
    for i, kind in enumerate(kinds):
        place = kinds[:i].count(kind) / max(1, kinds.count(kind) - 1)
        found.append(LinearSegmentedColormap.from_list(kind, COLOURS.get(kind, COLOURS[""]))(place))
    return found


def _spread_labels(places) -> np.ndarray:
    """Places in [0, 1], moved as little as gives each room for a label; their order is kept."""
    places = np.asarray(places, np.float64)
    order, count = np.argsort(places, kind="stable"), len(places)
    gap = min(LABEL, 1 / max(1, count - 1))
    ranks = gap * np.arange(count)
    wanted = places[order] - ranks
    up, down = np.maximum.accumulate(wanted), np.minimum.accumulate(wanted[::-1])[::-1]
    moved = np.empty(count)
    moved[order] = np.clip((up + down) / 2, 0, 1 - gap * max(0, count - 1)) + ranks
    return moved


def _label(axes, name, colour, end, place):
    """Write a term's name beside the axes at a place of its own, with a thin line to where its curve ends."""
    axes.annotate(
        name, end, (1.035, place), ("axes fraction", "data"), "axes fraction", color=colour, fontsize=9, va="center",
        parse_math=False, annotation_clip=False,
        arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.7, "alpha": 0.6, "shrinkA": 2, "shrinkB": 3,
                    "relpos": (0, 0.5)},
    )  # fmt: skip


def _mark_sizes(axes, ladder, last):
    """Mark where a run went on to a larger size, and write the name of each that there is room for."""
    for name, begin, end in ladder:
        if begin >= last:
            continue
        if begin:
            axes.axvline(begin, color=QUIET, linewidth=0.8, linestyle=(0, (1, 3)))
        if (min(end, last) - begin) / last > 0.013 * len(name):
            at = (begin / last + 0.007, 0.985)
            axes.annotate(name, at, xycoords="axes fraction", color=QUIET, fontsize=8, va="top", parse_math=False)


def _style_curves(axes, which):
    """Style the axes of curves, with a line across at these ticks: "major" or "both"."""
    with extras.required("plot"):
        from matplotlib.ticker import LogFormatter
    _style_axes(axes, "Loss of each term", sides=("bottom",))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(LogFormatter())
    axes.set_xlabel("step", color=QUIET, fontsize=9, loc="right")
    axes.grid(True, which, "y", color=FAINT, linewidth=0.8)


# Content against style


class Point(NamedTuple):
    """A picture in a plot: two losses, what it is, and the line of others that it belongs to."""

    content: float
    style: float
    label: str
    picture: Any
    line: int = 0


def scatter(points: Sequence[Point], *, title: str = "") -> np.ndarray:
    """Content against style loss with the pictures as markers, each beside its point: [h, w, 3].

    Both axes are logarithmic; a picture one of whose losses is 0 is said to be left out.
    """
    shown = [point for point in points if point.content > 0 and point.style > 0]
    page = _new_figure((11, 7.2))
    axes = page.add_axes((0.075, 0.085, 0.9, 0.84), xscale="log", yscale="log")
    _style_scatter(axes, shown, title, len(points) - len(shown))
    for line in sorted({point.line for point in shown}):
        path = [(point.content, point.style) for point in shown if point.line == line]
        axes.plot(*zip(*path, strict=True), color=LINES, linewidth=1.2, zorder=1)
    if shown:
        _place_pictures(axes, shown)
    return _pixels(page)


def _style_scatter(axes, shown, title, left_out):
    """Style the axes of a scatter plot, their limits with room for pictures."""
    with extras.required("plot"):
        from matplotlib.ticker import LogFormatter
    for i, limit in enumerate((axes.set_xlim, axes.set_ylim)):
        values = [point[i] for point in shown] or [0.1, 1.0]
        low, high = min(values), max(values)
        room = max(1.4, (high / low) ** 0.22)
        limit(low / room, high * room)
    missing = f" ({left_out} without one of the losses left out)" if left_out else ""
    _style_axes(axes, title + missing, sides=("bottom", "left"))
    axes.set_xlabel("content loss", color=QUIET, fontsize=9.5, loc="right")
    axes.set_ylabel("style loss", color=QUIET, fontsize=9.5, loc="top")
    axes.grid(True, "major", color=FAINT, linewidth=0.8)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(LogFormatter(minor_thresholds=(1.2, 0.5)))


def _place_pictures(axes, shown):
    """Draw each picture beside its point, joined to it by a thin line, with as little overlap as there is room for."""
    with extras.required("plot"):
        from matplotlib.offsetbox import AnnotationBbox, OffsetImage
    box, labelled = axes.get_window_extent(), len(shown) <= LABELLED
    edge = min(150, math.sqrt(CROWDED * box.width * box.height / len(shown)))
    pictures = [np.asarray(thumbnail(point.picture, round(edge))) for point in shown]
    exact = axes.transData.transform([(point.content, point.style) for point in shown])
    room = np.array([[16, 40 if labelled else 10]])  # px: a frame, and a label
    sizes = np.array([picture.shape[1::-1] for picture in pictures]) + room
    places = push_apart(exact, sizes, np.array([[box.x0, box.y0], [box.x1, box.y1]]))
    for point, picture, at, place in zip(shown, pictures, exact, places, strict=True):
        axes.plot(*zip(at, place, strict=True), transform=None, zorder=2, color="#8a8f98", linewidth=0.7)
        middle, frame = place + ([0, 10] if labelled else [0, 0]), {"lw": 0.6, "ec": LINES}
        image = OffsetImage(picture, zoom=72 / axes.figure.dpi)
        axes.add_artist(AnnotationBbox(image, middle, None, "figure pixels", pad=0.1, bboxprops=frame))
        if labelled:
            _write_label(axes, point.label, middle - [0, picture.shape[0] / 2 + 14])
    axes.plot(*exact.T, "o", color="#c2335a", markersize=4, transform=None, zorder=5)


def _write_label(axes, text, place):
    """Write a label in a white box around a place in pixels."""
    box = {"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none"}
    style: dict[str, Any] = {"fontsize": 7.5, "color": TEXT, "ha": "center", "va": "center", "bbox": box}
    axes.annotate(text, place, xycoords="figure pixels", zorder=4, parse_math=False, **style)


def push_apart(points: np.ndarray, sizes: np.ndarray, within: np.ndarray) -> np.ndarray:
    """Centres of boxes near these points, but off them and each other: points [n, 2], sizes [n, 2], bounds [2, 2]."""
    angle = 2.4 * np.arange(len(points))[:, None]  # the golden one: equal points go everywhere
    places = points + np.concatenate([np.cos(angle), np.sin(angle)], 1) * sizes * 0.1 + np.array([[0, 0.75]]) * sizes
    for step in range(STEPS):
        push = 0.03 * (1 - step / STEPS) * (points - places)  # the pull to the points ends at 0
        push += _overlap(places, places, (sizes[:, None] + sizes[None]) / 2)
        push += _overlap(places, points, np.broadcast_to(sizes[:, None] / 2 + 7, (len(points), len(points), 2)))
        places = np.clip(places + push, within[:1] + sizes / 2, within[1:] - sizes / 2)
    return places


def _overlap(places, others, reach):
    """How far each box must move to be off the others: [n, 2], along the shorter side of each overlap."""
    off = places[:, None] - others[None]
    shared = reach - np.abs(off)
    touching = (shared > 0).all(-1) & (np.abs(off).sum(-1) > 0)
    shorter = np.arange(2)[None, None] == shared.argmin(-1)[..., None]
    return (0.3 * np.sign(off) * shared * shorter * touching[..., None]).sum(1)
