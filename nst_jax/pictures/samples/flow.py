"""A night of swirls in thick oil paint."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from nst_jax.pictures.samples.sheet import Sheet, Stencil, blurred, colour, mix, noise, ramp, smooth

STARS = (
    (-0.4, 0.12, 0.09),
    (-0.22, 0.27, 0.06),
    (-0.08, 0.09, 0.08),
    (0.13, 0.17, 0.065),
    (0.03, 0.44, 0.06),
)
STARS += (
    (-0.44, 0.42, 0.075),
    (0.45, 0.48, 0.07),
    (0.3, 0.07, 0.05),
    (0.36, 0.2, 0.16),
)  # the last is the moon
STARS += (
    (-0.75, 0.2, 0.09),
    (-1.1, 0.35, 0.1),
    (-1.4, 0.12, 0.08),
    (0.72, 0.33, 0.08),
    (1.0, 0.14, 0.1),
    (1.3, 0.36, 0.09),
)
SWIRLS = ((0.02, 0.3, 0.13), (0.2, 0.39, 0.09), (-0.62, 0.45, 0.12), (0.78, 0.52, 0.1))
SKY = {0.0: "0b1546", 0.3: "173a8c", 0.55: "2f6fc0", 0.8: "6fb0d0", 1.0: "cfe0c0"}
HALO = {0.0: "fff6c8", 0.22: "ffe36a", 0.45: "f2b83a", 0.7: "a9c98e", 1.0: "4f93c4"}
LAYERS = (
    (0.024, 0.1, 0.024, 1),
    (0.0165, 0.085, 0.0135, 2),
    (0.0165, 0.055, 0.0095, 3),
)  # spacing, length, width, seed
FOAM = {0.0: "1f52a8", 0.5: "6fb0d2", 1.0: "e4ecc8"}
PANE = ((-0.011, 0.006), (0.011, 0.006), (0.011, 0.03), (-0.011, 0.03))
BRISTLES = 4


def paint(sheet: Sheet) -> np.ndarray:
    """The whole picture: -> [h, w, 3]."""
    scene = _land(sheet, _sky(sheet))
    ground = np.concatenate([0.8 * scene, np.full((*sheet.shape, 1), 0.2)], axis=2)
    canvas = Image.fromarray((np.clip(ground, 0, 1) * 255).astype(np.uint8))
    for spacing, length, width, seed in LAYERS:
        _strokes(sheet, canvas, scene, spacing, length, width, seed)
    oil, thick = np.split(np.asarray(canvas, np.float32) / 255, [3], axis=2)
    relief = blurred(thick[..., 0], max(1, round(0.0022 * sheet.unit)))
    step = max(1, round(0.002 * sheet.unit))
    light = relief - np.roll(relief, (-step, -step), (0, 1)) + 0.5 * (relief - np.roll(relief, -step, 0))
    shine = np.clip(light - 0.18, 0, 1)
    return oil * (1 + 1.3 * np.clip(light, -0.35, 0.5))[..., None] + 0.4 * shine[..., None]


def _hill(sheet: Sheet, x: np.ndarray) -> np.ndarray:
    """The hills' outline."""
    return 0.72 * sheet.height - 0.09 * np.sin(3.1 * x + 0.4) + 0.03 * np.sin(9 * x) - 0.1 * np.clip(x, 0, 0.6)


def _sky(sheet: Sheet) -> np.ndarray:
    """The sky's colours that the strokes take up, a pale stream, swirls, stars and the moon: [h, w, 3]."""
    bands = noise(sheet, 101, 4, octaves=3, stretch=3)
    image = ramp(0.12 + 0.6 * (sheet.y / sheet.height) ** 1.3 + 0.3 * bands, SKY)
    stream = (sheet.y - 0.43 * sheet.height - 0.06 * np.sin(5.5 * sheet.x + 0.6)) / 0.07
    pale = ramp(0.5 + 0.5 * np.sin(4 * stream + 1), FOAM)
    image = mix(image, pale, 0.85 * smooth(1.1, 0.5, np.abs(stream)))
    for x, v, radius in SWIRLS:
        dx, dy = sheet.x - x, sheet.y - v * sheet.height
        away = np.hypot(dx, dy) / radius
        ring = 0.5 + 0.5 * np.sin(9 * away - 2 * np.arctan2(dy, dx))
        image = mix(image, ramp(ring, FOAM), smooth(1.3, 0.5, away))
    for x, v, radius in STARS:
        away = np.hypot(sheet.x - x, sheet.y - v * sheet.height) / radius
        image = mix(image, ramp(away + 0.09 * np.sin(16 * away), HALO), smooth(1.25, 0.75, away))
    moon = np.hypot(sheet.x - 0.36, sheet.y - 0.2 * sheet.height)
    bite = np.hypot(sheet.x - 0.338, sheet.y - 0.19 * sheet.height)
    return mix(image, colour("f7a823"), smooth(0.07, 0.066, moon) * smooth(0.05, 0.054, bite))


def _land(sheet: Sheet, image: np.ndarray) -> np.ndarray:
    """Hills, fields in rows, a village, and a cypress in front."""
    depth = sheet.y - _hill(sheet, sheet.x)
    rows = 0.5 + 0.5 * np.sin(depth * 95 + 6 * sheet.x) + 0.3 * noise(sheet, 102, 8)
    land = ramp(rows, {0.0: "0d2444", 0.4: "1d4a6b", 0.75: "2f7a6a", 1.0: "8fb45c"})
    land = mix(land, colour("0a1530"), 0.75 * smooth(0.1, 0.3, depth))
    image = _village(sheet, mix(image, land, smooth(0.0, 0.006, depth)))
    twist = 0.5 + 0.5 * np.sin(70 * sheet.x + 9 * np.sin(7 * sheet.y))
    bark = ramp(twist, {0.0: "08170f", 0.6: "14391f", 1.0: "4a6a2a"})
    return mix(image, bark, smooth(0.0, 0.008, _cypress(sheet, sheet.x, sheet.y)))


def _village(sheet: Sheet, image: np.ndarray) -> np.ndarray:
    """Houses with red roofs and lamps in their windows, and a church."""
    walls, roofs, lamps = Stencil(sheet), Stencil(sheet), Stencil(sheet)
    rng, ground = np.random.default_rng(103), 0.86 * sheet.height
    for x in np.concatenate([np.arange(-1.5, -0.42, 0.075), np.arange(-0.1, 1.5, 0.078)]):
        y, wide, high = ground + rng.uniform(-0.035, 0.05), rng.uniform(0.028, 0.04), rng.uniform(0.034, 0.05)
        walls.polygon([(x - wide, y), (x + wide, y), (x + wide, y - high), (x - wide, y - high)])
        roofs.polygon([(x - wide * 1.2, y - high), (x + wide * 1.2, y - high), (x, y - high * 1.9)])
        lamps.polygon([(x + dx, y - dy) for dx, dy in PANE])
    foot = ground - 0.01
    walls.polygon([(0.16, foot), (0.2, foot), (0.2, foot - 0.1), (0.16, foot - 0.1)])
    roofs.polygon([(0.155, foot - 0.1), (0.205, foot - 0.1), (0.18, foot - 0.25)])
    image = mix(image, colour("5d86b4"), walls.mask)
    return mix(mix(image, colour("a4523a"), roofs.mask), colour("ffcf3f"), lamps.mask)


def _cypress(sheet: Sheet, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """How far inside a dark tree like a flame each place lies, in units."""
    top, foot = 0.16 * sheet.height, 1.02 * sheet.height
    t = np.clip((y - top) / (foot - top), 0, 1)
    half = 0.115 * t**0.8 * (1 + 0.25 * np.sin(13 * t)) + 0.004
    lean = -0.3 + 0.02 * np.sin(9 * t) + 0.012 * np.sin(31 * t)
    return np.where(y > top, half - np.abs(x - lean), -1.0)


def _directions(sheet: Sheet, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where a stroke runs at each place: [n], [n] -> [n], [n]."""
    across = np.ones_like(x)
    down = 0.45 * np.sin(5.5 * x + 2.5 * y) + 0.2 * np.sin(11 * y)
    for i, (sx, v, radius) in enumerate(SWIRLS + STARS):
        dx, dy = x - sx, y - v * sheet.height
        away = np.hypot(dx, dy) + 1e-6
        pull = 4.5 * np.exp(-((away / (1.25 * radius)) ** 2)) * (1 if i % 2 else -1)
        across, down = across - pull * dy / away, down + pull * dx / away
    hill = _hill(sheet, x)
    slope = (_hill(sheet, x + 0.01) - hill) / 0.01
    land = y > hill
    across, down = np.where(land, 1.0, across), np.where(land, slope, down)
    tree = _cypress(sheet, x, y) > -0.008
    across, down = np.where(tree, 0.35 * np.sin(26 * y + 20 * x), across), np.where(tree, -1.0, down)
    size = np.hypot(across, down) + 1e-6
    return across / size, down / size


def _strokes(sheet: Sheet, canvas, scene, spacing, length, width, seed) -> None:
    """One layer of strokes, bristle by bristle; the canvas's fourth channel is how thick the paint lies."""
    x, y, rng = _scattered(sheet, spacing, seed)
    half = length / 2 * np.where(y > 0.76 * sheet.height, 0.4, 1.0)  # finer work in the village
    path = np.concatenate([_path(sheet, x, y, -half)[:, :, :0:-1], _path(sheet, x, y, half)], axis=2)
    steps = path.shape[2]
    dx, dy = np.gradient(path[0], axis=1), np.gradient(path[1], axis=1)
    normal = np.stack([-dy, dx]) / (np.hypot(dx, dy) + 1e-9) * np.sin(np.linspace(0.5, 2.9, steps))
    taken = _taken(sheet, scene, path[:, :, steps // 2])
    taken = taken * (1 + rng.normal(0, 0.1, (len(x), 1))) + rng.normal(0, 0.03, (len(x), 3))
    pen, wide = ImageDraw.Draw(canvas), max(1, round(1.25 * width / BRISTLES * sheet.unit))
    for bristle in range(BRISTLES):
        rim = bristle in (0, BRISTLES - 1)  # where the brush pushes paint aside: darker, and thick
        offset = (bristle - (BRISTLES - 1) / 2) / BRISTLES * width
        lines = sheet.pixels(np.moveaxis(path + normal * offset, 0, 2))
        shade = taken * (1 + rng.normal(0, 0.07, (len(x), 1))) * (0.86 if rim else 1.03)
        thick = rng.uniform(0.35, 1.0, len(x)) * (1.0 if rim else 0.72)
        fill = (np.clip(np.column_stack([shade, thick]), 0, 1) * 255).astype(int).tolist()
        start, stop = rng.integers(0, 3, len(x)), steps - rng.integers(0, 3, len(x))
        for line, tint, first, last in zip(lines, fill, start, stop, strict=True):
            pen.line(line[first:last].ravel().tolist(), fill=tuple(tint), width=wide)


def _path(sheet: Sheet, x: np.ndarray, y: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Where a brush goes that is set down at each place: [n], [n], [n] -> [2, n, 4]."""
    path = [(x, y)]
    for _ in range(3):
        dx, dy = _directions(sheet, x, y)
        x, y = x + dx * length / 4, y + dy * length / 4
        path.append((x, y))
    return np.moveaxis(np.array(path), 0, 2)


def _scattered(sheet: Sheet, spacing: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    """Places in a jittered grid over the sheet, in an order of chance: -> [n], [n]."""
    rng, count = np.random.default_rng(seed), int(3.2 / spacing)
    x, y = (np.stack(np.meshgrid(np.arange(count), np.arange(count))) + rng.uniform(0, 1, (2, count, count))) * spacing
    order = rng.permutation(count * count)
    x, y = x.ravel()[order] - 1.6, y.ravel()[order] - 0.05
    seen = (np.abs(x) < sheet.width / 2 + 0.05) & (y < sheet.height + 0.05)
    return x[seen], y[seen], rng


def _taken(sheet: Sheet, scene: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The scene's colour at places: [2, n] -> [n, 3]."""
    columns, rows = sheet.pixels(places.T).astype(int).T
    return scene[np.clip(rows, 0, sheet.shape[0] - 1), np.clip(columns, 0, sheet.shape[1] - 1)]
