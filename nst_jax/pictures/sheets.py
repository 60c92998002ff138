"""Many pictures on one page: a sheet with its axes, and a plot of two losses with the pictures as its markers."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from nst_jax.pictures.charts import FAINT, GAP, INK, PAPER, QUIET, extra, thumbnail

WIDE, LARGEST = 1920, 320  # px: of a sheet, and of a picture on it
ROW = 8  # pictures of a sheet with one axis
CROWDED = 0.25  # of a plot's area that its pictures cover, at most
STEPS = 400  # in which they move apart
LABELLED = 24  # pictures of a plot at most that have a label, beyond which the sheet's places say more
LABEL = {"fontsize": 7.5, "color": "#28282a", "ha": "center", "va": "center", "parse_math": False} | {
    "bbox": {"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none"}
}


class Layout(NamedTuple):
    """What stands where on a sheet: pictures in rows, the labels above each, the names beside them, two titles."""

    rows: list[list]
    labels: list[Sequence[str]]
    names: list[str]
    across: str
    down: str


def sheet(pictures: Sequence, axes: Mapping[str, Sequence[str]], *, wide: int = WIDE) -> np.ndarray:
    """Pictures, of which the last axis changes fastest, with every axis' title and values: [h, w, 3].

    The last axis goes across, all others down; a single long one is broken into rows. None leaves a place empty.
    """
    if len(pictures) != math.prod(map(len, axes.values())):
        got = f"got {len(pictures)} for {' × '.join(str(len(values)) for values in axes.values())}"
        raise ValueError(f"pictures must be one for each place of the axes, {got}: None leaves one empty")
    *down, (across, values) = axes.items()
    names = [", ".join(each) for each in itertools.product(*(each for _, each in down))]
    per = len(values) if down else math.ceil(len(values) / math.ceil(len(values) / ROW))
    rows = [list(pictures[i : i + per]) for i in range(0, len(pictures), per)]
    labels = [values, *[()] * (len(rows) - 1)] if down else [values[i : i + per] for i in range(0, len(values), per)]
    layout = Layout(rows, labels, names if down else [""] * len(rows), across, " · ".join(title for title, _ in down))
    return _drawn(layout, min(LARGEST, max(48, (wide - 4 * GAP) // per - GAP)))


def _drawn(layout, cell) -> np.ndarray:
    size = min(24, max(13, cell // 9))
    font = ImageFont.load_default(size)
    shown = [[None if picture is None else thumbnail(picture, cell) for picture in row] for row in layout.rows]
    high = max((picture.height for row in shown for picture in row if picture), default=cell)
    left = GAP + (2 * size if layout.down else 0) + max(round(font.getlength(name)) + GAP for name in layout.names)
    per = max(map(len, shown))
    heights = [high + GAP + (size + GAP // 2 if labels else 0) for labels in layout.labels]
    page = Image.new("RGB", (left + per * (cell + GAP), 3 * GAP + size + sum(heights)), PAPER)
    pen, top = ImageDraw.Draw(page), 2 * GAP + size
    pen.text((left + per * (cell + GAP) / 2 - GAP / 2, GAP), layout.across, QUIET, font, anchor="ma")
    for row, labels, name, tall in zip(shown, layout.labels, layout.names, heights, strict=True):
        at = top + tall - high - GAP
        pen.text((left - GAP, at + high / 2), name, INK, font, anchor="rm")
        for i, picture in enumerate(row):
            x = left + i * (cell + GAP)
            if labels:
                pen.text((x + cell / 2, top), _short(font, labels[i], cell), INK, font, anchor="ma")
            if picture:
                page.paste(picture, (x + (cell - picture.width) // 2, at + (high - picture.height) // 2))
        top += tall
    if layout.down:
        _upwards(page, layout.down, font, (GAP, page.height // 2))
    return np.asarray(page, np.float32) / 255


def _short(font, text, wide):
    """A text that fits, its end left out where it must be."""
    while len(text) > 1 and font.getlength(text) > wide:
        text = text.rstrip("…")[:-1] + "…"
    return text


def _upwards(page, text, font, place):
    """A text from the bottom up, its left side and middle at a place."""
    _, _, wide, high = map(math.ceil, font.getbbox(text))
    stripe = Image.new("RGB", (wide, high + 4), PAPER)
    ImageDraw.Draw(stripe).text((0, 0), text, QUIET, font)
    stripe = stripe.rotate(90, expand=True)
    page.paste(stripe, (place[0], place[1] - stripe.height // 2))


class Point(NamedTuple):
    """A picture in a plot: two losses, what it is, and the line of others that it belongs to."""

    content: float
    style: float
    label: str
    picture: Any
    line: int = 0


def plot(points: Sequence[Point], *, title: str = "") -> np.ndarray:
    """Content against style loss with the pictures as markers, each beside its point: [h, w, 3].

    Both axes are logarithmic; a picture one of whose losses is 0 is said to be left out.
    """
    shown = [point for point in points if point.content > 0 and point.style > 0]
    page = extra("matplotlib.figure", "plot").Figure((11, 7.2), dpi=160, facecolor="white")
    canvas = extra("matplotlib.backends.backend_agg", "plot").FigureCanvasAgg(page)
    axes = page.add_axes((0.075, 0.085, 0.9, 0.84), xscale="log", yscale="log")
    _framed(axes, shown, title, len(points) - len(shown))
    for line in sorted({point.line for point in shown}):
        path = [(point.content, point.style) for point in shown if point.line == line]
        axes.plot(*zip(*path, strict=True), color="#b9bbbf", linewidth=1.2, zorder=1)
    if shown:
        _pictured(axes, shown)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba(), np.float32)[..., :3] / 255


def _framed(axes, shown, title, left_out):
    """Limits with room for pictures, titles, no lines that nobody reads."""
    for i, limit in enumerate((axes.set_xlim, axes.set_ylim)):
        values = [point[i] for point in shown] or [0.1, 1.0]
        low, high = min(values), max(values)
        room = max(1.4, (high / low) ** 0.22)
        limit(low / room, high * room)
    missing = f" ({left_out} without one of the losses left out)" if left_out else ""
    axes.set_title(title + missing, loc="left", fontsize=12, color="#28282a", pad=10)
    axes.set_xlabel("content loss", color=QUIET, fontsize=9.5, loc="right")
    axes.set_ylabel("style loss", color=QUIET, fontsize=9.5, loc="top")
    axes.grid(True, "major", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(extra("matplotlib.ticker", "plot").LogFormatter(minor_thresholds=(1.2, 0.5)))
    axes.tick_params(which="both", length=0, labelsize=8.5, labelcolor=QUIET)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("bottom", "left"))
        spine.set_color("#b9bbbf")


def _pictured(axes, shown):
    """Each picture beside its point, joined to it by a thin line, as few as can be on another."""
    box, labelled = axes.get_window_extent(), len(shown) <= LABELLED
    edge = min(150, math.sqrt(CROWDED * box.width * box.height / len(shown)))
    pictures = [np.asarray(thumbnail(point.picture, round(edge))) for point in shown]
    exact = axes.transData.transform([(point.content, point.style) for point in shown])
    room = np.array([[16, 40 if labelled else 10]])  # px: a frame, and a label
    sizes = np.array([picture.shape[1::-1] for picture in pictures]) + room
    places = spread(exact, sizes, np.array([[box.x0, box.y0], [box.x1, box.y1]]))
    boxes, line = extra("matplotlib.offsetbox", "plot"), {"color": "#8a8f98", "linewidth": 0.7}
    for point, picture, at, place in zip(shown, pictures, exact, places, strict=True):
        axes.plot(*zip(at, place, strict=True), transform=None, zorder=2, **line)
        middle, frame = place + ([0, 10] if labelled else [0, 0]), {"lw": 0.6, "ec": "#b9bbbf"}
        shot = boxes.OffsetImage(picture, zoom=72 / axes.figure.dpi)
        axes.add_artist(boxes.AnnotationBbox(shot, middle, None, "figure pixels", pad=0.1, bboxprops=frame))
        if labelled:
            below = middle - [0, picture.shape[0] / 2 + 14]
            axes.annotate(point.label, below, xycoords="figure pixels", zorder=4, **LABEL)
    axes.plot(*exact.T, "o", color="#c2335a", markersize=4, transform=None, zorder=5)


def spread(points: np.ndarray, sizes: np.ndarray, within: np.ndarray) -> np.ndarray:
    """Middles of boxes near these points, off them and each other as far as there is room: [n, 2], [n, 2], [2, 2]."""
    angle = 2.4 * np.arange(len(points))[:, None]  # the golden one: equal points go everywhere
    places = points + np.concatenate([np.cos(angle), np.sin(angle)], 1) * sizes * 0.1 + np.array([[0, 0.75]]) * sizes
    for step in range(STEPS):
        push = 0.03 * (1 - step / STEPS) * (points - places)  # in the end nothing pulls them together
        push += _overlap(places, places, (sizes[:, None] + sizes[None]) / 2)
        push += _overlap(places, points, np.broadcast_to(sizes[:, None] / 2 + 7, (len(points), len(points), 2)))
        places = np.clip(places + push, within[:1] + sizes / 2, within[1:] - sizes / 2)
    return places


def _overlap(places, others, reach):
    """Which way, and how far, each place is to go to be off the others: along the shorter side of what they share."""
    off = places[:, None] - others[None]
    shared = reach - np.abs(off)
    touching = (shared > 0).all(-1) & (np.abs(off).sum(-1) > 0)
    shorter = np.arange(2)[None, None] == shared.argmin(-1)[..., None]
    return (0.3 * np.sign(off) * shared * shorter * touching[..., None]).sum(1)
