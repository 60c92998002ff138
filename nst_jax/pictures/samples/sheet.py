"""What the pictures are drawn with: places in units of the short edge, for the same picture at any size.

x is 0 in the middle and grows to the right; y is 0 at the top and grows downwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

LONGEST = 3.0  # units; a longer picture is magnified instead, so that what is scattered need reach no further


class Sheet(NamedTuple):
    """What is drawn on: each pixel's place, in units that are the same at any size."""

    x: np.ndarray  # [1, w]
    y: np.ndarray  # [h, 1]
    width: float  # units
    height: float  # units
    unit: float  # pixels

    @property
    def shape(self) -> tuple[int, int]:
        """Pixels: (h, w)."""
        return self.y.shape[0], self.x.shape[1]

    def pixels(self, points) -> np.ndarray:
        """Places in units to places in pixels: [..., 2] (x, y) -> [..., 2]."""
        return (np.asarray(points, np.float64) + [self.width / 2, 0.0]) * self.unit

    def row(self, y: float) -> int:
        """The row of pixels at a height: units -> 0..h."""
        return int(np.clip(round(y * self.unit), 0, self.shape[0]))

    def column(self, x: float) -> int:
        """The column of pixels at a place: units -> 0..w."""
        return int(np.clip(round((x + self.width / 2) * self.unit), 0, self.shape[1]))

    def window(self, left: float, top: float, right: float, bottom: float) -> tuple[Sheet, tuple[slice, slice]]:
        """The part of the sheet within a box, and where its pixels lie."""
        rows = slice(self.row(top), self.row(bottom))
        columns = slice(self.column(left), self.column(right))
        return self._replace(x=self.x[:, columns], y=self.y[rows]), (rows, columns)


def blank(shape: tuple[int, int]) -> Sheet:
    """A sheet of [h, w] pixels."""
    h, w = shape
    unit = max(min(h, w), max(h, w) / LONGEST)
    x = ((np.arange(w) + 0.5 - w / 2) / unit).astype(np.float32)
    y = ((np.arange(h) + 0.5) / unit).astype(np.float32)
    return Sheet(x[None, :], y[:, None], w / unit, h / unit, unit)


def drawn(paint: Callable[[Sheet], np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """A picture of a given size, from a larger drawing, for smooth edges: -> [h, w, 3]."""
    h, w = shape
    factor = max(2, -(-96 // min(h, w)))  # below 48 px single pixels of a drawing would decide its shapes
    image = np.clip(paint(blank((h * factor, w * factor))), 0.0, 1.0)
    planes = [Image.fromarray(plane).reduce(factor) for plane in np.moveaxis(image.astype(np.float32), 2, 0)]
    return np.clip(np.stack([np.asarray(plane) for plane in planes], axis=-1), 0.0, 1.0)


def colour(text: str) -> np.ndarray:
    """A colour from "rrggbb": -> [3]."""
    return np.array([int(text[i : i + 2], 16) / 255 for i in (0, 2, 4)], np.float32)


def ramp(t: np.ndarray, stops: dict[float, str]) -> np.ndarray:
    """Colours along a gradient: [...] -> [..., 3]."""
    places, colours = list(stops), np.stack([colour(text) for text in stops.values()])
    t = np.asarray(t, np.float32)
    return np.stack([np.interp(t, places, channel) for channel in colours.T], axis=-1).astype(np.float32)


def smooth(low, high: float, value: np.ndarray) -> np.ndarray:
    """0 below `low`, 1 above `high`, and an S between; the other way round where low > high."""
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return (t * t * (3.0 - 2.0 * t)).astype(np.float32)


def mix(under: np.ndarray, over: np.ndarray, share: np.ndarray) -> np.ndarray:
    """`over` laid on `under`: [..., 3], [..., 3], [...] -> [..., 3]."""
    return under + (over - under) * np.asarray(share, np.float32)[..., None]


def noise(sheet: Sheet, seed: int, cells: float, *, octaves: int = 4, stretch: float = 1.0) -> np.ndarray:
    """Smooth noise about 0, `cells` bumps per unit, each `stretch` times as wide as high: [h, w]."""
    rng, total = np.random.default_rng(seed), np.zeros(sheet.shape, np.float32)
    for octave in range(octaves if total.size else 0):  # a window may lie outside the sheet
        lattice = rng.random((64, 64), np.float32) - 0.5
        down = _span(float(sheet.y[0, 0]), sheet.shape[0], cells * 2**octave / sheet.unit, sheet.unit)
        across = _span(float(sheet.x[0, 0]), sheet.shape[1], cells * 2**octave / stretch / sheet.unit, sheet.unit)
        patch = lattice[np.ix_(down[0] % 64, across[0] % 64)]
        box = (across[1], down[1], across[2], down[2])
        picture = Image.fromarray(patch).resize((sheet.shape[1], sheet.shape[0]), Image.Resampling.BICUBIC, box=box)
        total += np.asarray(picture) * 0.5 ** (octave - 1)
    return total


def _span(first: float, count: int, step: float, unit: float) -> tuple[np.ndarray, float, float]:
    """Lattice points under a run of pixels, and where among them the run starts and ends."""
    start = first * unit * step
    base = int(np.floor(start)) - 2
    index = np.arange(base, int(np.ceil(start + count * step)) + 3)
    return index, start - base, start - base + count * step


def profile(x: np.ndarray, seed: int, cells: float, *, octaves: int = 5, fall: float = 0.5) -> np.ndarray:
    """A jagged line about 0, `cells` corners per unit: x -> same shape."""
    rng, total = np.random.default_rng(seed), np.zeros(x.shape, np.float32)
    for octave in range(octaves):
        knots = rng.random(256) - 0.5
        place = (x + LONGEST) * cells * 2**octave
        total += (np.interp(place, np.arange(4096), np.resize(knots, 4096)) * fall**octave).astype(np.float32)
    return total


def rounded(t: np.ndarray, places: Sequence, values: Sequence, *, by: float = 0.05) -> np.ndarray:
    """A line through knots with its corners rounded off, 0 outside: t -> same shape."""
    grid = np.linspace(places[0] - by, places[-1] + by, 601)
    table = np.interp(grid, places, values)
    width = max(1, round(300 * by / (grid[-1] - grid[0])))
    for _ in range(2):
        padded = np.pad(table, width, mode="edge")
        table = np.convolve(padded, np.full(2 * width + 1, 1 / (2 * width + 1)), mode="valid")
    return np.interp(t, grid, table, left=0.0, right=0.0).astype(np.float32)


def blurred(image: np.ndarray, factor: int) -> np.ndarray:
    """An image smeared over about `factor` pixels: [h, w] or [h, w, c] -> same."""
    h, w = image.shape[:2]
    small = (max(1, w // factor), max(1, h // factor))
    planes = image.reshape(h, w, -1).astype(np.float32)
    soft = [
        Image.fromarray(planes[..., c])
        .resize(small, Image.Resampling.BILINEAR)
        .resize((w, h), Image.Resampling.BICUBIC)
        for c in range(planes.shape[2])
    ]
    return np.stack([np.asarray(plane) for plane in soft], axis=-1).reshape(image.shape)


class Stencil:
    """A mask that shapes are cut into, in units; `mask` is [h, w] in [0, 1]."""

    def __init__(self, sheet: Sheet):
        self.sheet, self.image = sheet, Image.new("L", (sheet.shape[1], sheet.shape[0]))
        self.pen = ImageDraw.Draw(self.image)

    def line(self, points, width: float, value: int = 255) -> None:
        """A line through points."""
        wide = max(1, round(width * self.sheet.unit))
        self.pen.line([tuple(p) for p in self.sheet.pixels(points)], fill=value, width=wide, joint="curve")

    def polygon(self, points, value: int = 255) -> None:
        """A filled polygon."""
        self.pen.polygon([tuple(p) for p in self.sheet.pixels(points)], fill=value)

    def disc(self, x: float, y: float, radius: float, value: int = 255) -> None:
        """A filled circle."""
        low, high = self.sheet.pixels([(x - radius, y - radius), (x + radius, y + radius)])
        self.pen.ellipse([*low, *high], fill=value)

    def cut(self, place: tuple[slice, slice]) -> np.ndarray:
        """What was cut within a window: -> [h', w']."""
        rows, columns = place
        return np.asarray(self.image.crop((columns.start, rows.start, columns.stop, rows.stop)), np.float32) / 255

    @property
    def mask(self) -> np.ndarray:
        """What was cut: [h, w]."""
        return np.asarray(self.image, np.float32) / 255


def finished(image: np.ndarray, sheet: Sheet, *, grain: float = 0.012, vignette: float = 0.15) -> np.ndarray:
    """A picture with the fine grain and darker corners of a lens: [h, w, 3] -> [h, w, 3]."""
    away = (sheet.x / (sheet.width / 2)) ** 2 + (2 * sheet.y / sheet.height - 1) ** 2
    shade = 1.0 - vignette * away * 0.5 + grain * noise(sheet, 99, 220, octaves=1)
    return image * shade[..., None]
