"""Many pictures on one page: rows of them with labels, and a grid with a title and values along each axis."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from nst_jax.pictures.thumbnails import thumbnail

GAP = 12  # px around pictures
INK, QUIET, PAPER = (40, 40, 40), "#6b6f76", (250, 250, 248)
WIDE, LARGEST = 1920, 320  # px: of a grid, and of a picture in it
ROW = 8  # pictures in a row of a grid with one axis


def contact_sheet(
    rows: Sequence[Sequence], *, columns: Sequence[str] = (), names: Sequence[str] = (), cell: int = 256
) -> np.ndarray:
    """Pictures in rows, each as large as fits a square cell, labelled above columns and beside rows: [h, w, 3].

    None leaves a place empty.
    """
    size = max(12, cell // 14)
    font = ImageFont.load_default(size)
    small = [[None if picture is None else thumbnail(picture, cell) for picture in row] for row in rows]
    heights = [max((picture.height for picture in row if picture), default=0) for row in small]
    left = GAP + (max(round(font.getlength(name)) for name in names) + GAP if names else 0)
    top = GAP + (size + GAP if columns else 0)
    width = left + max(map(len, rows)) * (cell + GAP)
    page = Image.new("RGB", (width, top + sum(heights) + GAP * len(rows)), PAPER)
    pen = ImageDraw.Draw(page)
    for i, text in enumerate(columns):
        pen.text((left + i * (cell + GAP) + cell / 2, GAP), text, INK, font, anchor="ma")
    for y, (row, height) in enumerate(zip(small, heights, strict=True)):
        if names:
            pen.text((left - GAP, top + height / 2), names[y], INK, font, anchor="rm")
        for x, picture in enumerate(row):
            if picture:
                _paste(page, picture, (left + x * (cell + GAP), top), (cell, height))
        top += height + GAP
    return np.asarray(page, np.float32) / 255


class Layout(NamedTuple):
    """What stands where in a grid: pictures in rows, the labels above each, the names beside them, two titles."""

    rows: list[list]
    labels: list[Sequence[str]]
    names: list[str]
    across: str
    down: str


def grid(pictures: Sequence, axes: Mapping[str, Sequence[str]], *, wide: int = WIDE) -> np.ndarray:
    """Pictures, of which the last axis changes fastest, with every axis' title and values: [h, w, 3].

    The last axis goes across, all others down; a single long one is broken into rows. None leaves a place empty.
    """
    if len(pictures) != math.prod(map(len, axes.values())):
        got = f"got {len(pictures)} for {' × '.join(str(len(values)) for values in axes.values())}"
        raise ValueError(f"pictures must be one for each place of the axes, {got}: None leaves one empty")
    *down, (across, values) = axes.items()
    names = [", ".join(each) for each in itertools.product(*(each for _, each in down))]
    count = len(values) if down else math.ceil(len(values) / math.ceil(len(values) / ROW))
    rows = [list(pictures[i : i + count]) for i in range(0, len(pictures), count)]
    if down:
        labels = [values, *[()] * (len(rows) - 1)]
    else:
        labels = [values[i : i + count] for i in range(0, len(values), count)]
    layout = Layout(rows, labels, names if down else [""] * len(rows), across, " · ".join(title for title, _ in down))
    return _draw(layout, min(LARGEST, max(48, (wide - 4 * GAP) // count - GAP)))


def _draw(layout, cell) -> np.ndarray:
    size = min(24, max(13, cell // 9))
    font = ImageFont.load_default(size)
    small = [[None if picture is None else thumbnail(picture, cell) for picture in row] for row in layout.rows]
    height = max((picture.height for row in small for picture in row if picture), default=cell)
    left = GAP + (2 * size if layout.down else 0) + max(round(font.getlength(name)) + GAP for name in layout.names)
    width = left + max(map(len, small)) * (cell + GAP)
    heights = [height + GAP + (size + GAP // 2 if labels else 0) for labels in layout.labels]
    page = Image.new("RGB", (width, 3 * GAP + size + sum(heights)), PAPER)
    pen, top = ImageDraw.Draw(page), 2 * GAP + size
    pen.text(((left + width) / 2 - GAP / 2, GAP), layout.across, QUIET, font, anchor="ma")
    for row, labels, name, tall in zip(small, layout.labels, layout.names, heights, strict=True):
        at = top + tall - height - GAP
        pen.text((left - GAP, at + height / 2), name, INK, font, anchor="rm")
        for i, picture in enumerate(row):
            x = left + i * (cell + GAP)
            if labels:
                pen.text((x + cell / 2, top), _shorten(font, labels[i], cell), INK, font, anchor="ma")
            if picture:
                _paste(page, picture, (x, at), (cell, height))
        top += tall
    if layout.down:
        _write_upwards(page, layout.down, font, (GAP, page.height // 2))
    return np.asarray(page, np.float32) / 255


def _paste(page, picture, corner, size):
    """Put a picture in the middle of a place: its upper left corner, its width and height."""
    page.paste(picture, (corner[0] + (size[0] - picture.width) // 2, corner[1] + (size[1] - picture.height) // 2))


def _shorten(font, text, width):
    """A text that fits a width, its end left out where it must be."""
    while len(text) > 1 and font.getlength(text) > width:
        text = text.rstrip("…")[:-1] + "…"
    return text


def _write_upwards(page, text, font, place):
    """Write a text from the bottom up, its left side and middle at a place."""
    _, _, wide, high = map(math.ceil, font.getbbox(text))
    stripe = Image.new("RGB", (wide, high + 4), PAPER)
    ImageDraw.Draw(stripe).text((0, 0), text, QUIET, font)
    stripe = stripe.rotate(90, expand=True)
    page.paste(stripe, (place[0], place[1] - stripe.height // 2))
