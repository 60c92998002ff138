"""A great wave, cut in wood: cream paper, indigo and black."""

from __future__ import annotations

import numpy as np

from nst_jax.pictures.samples.sheet import Sheet, Stencil, colour, mix, noise, smooth

PAPER, INDIGO, PALE, BLACK, RED = (colour(c) for c in ("f0e4c8", "1f3a68", "8fabc0", "141a26", "c8402c"))
BACK = (
    (-1.9, 0.95),
    (-0.75, 0.78),
    (-0.5, 0.6),
    (-0.38, 0.38),
    (-0.2, 0.2),
    (0.02, 0.16),
    (0.19, 0.25),
    (0.23, 0.37),
)
FACE = (
    (1.9, 0.9),
    (0.75, 0.88),
    (0.4, 0.87),
    (0.12, 0.78),
    (-0.06, 0.6),
    (-0.08, 0.43),
    (0.05, 0.33),
    (0.23, 0.37),
)
SMALL = 0.52  # the second wave's size


def paint(sheet: Sheet) -> np.ndarray:
    """The whole picture: -> [h, w, 3]."""
    image = _sky(sheet)
    image = _mountain(sheet, image)
    image = _sea(sheet, image)
    for place in ((0.0, 0.0, 1.0), (0.18, 0.56, SMALL), (-0.36, 0.78, 0.34)):
        image = _wave(sheet, image, *place)
    fibre = noise(sheet, 139, 40, octaves=3, stretch=0.3)
    return image * (1 + 0.03 * fibre)[..., None]


def _curve(points, count: int) -> np.ndarray:
    """A smooth line through points (Catmull-Rom): [n, 2] -> [count, 2]."""
    p = np.array([points[0], *points, points[-1]], np.float64)
    t = np.linspace(0, len(points) - 1 - 1e-9, count)
    i, f = t.astype(int), (t % 1)[:, None]
    a, b, c, d = (p[i + k] for k in range(4))
    return 0.5 * (2 * b + (c - a) * f + (2 * a - 5 * b + 4 * c - d) * f**2 + (3 * b - a - 3 * c + d) * f**3)


def _hatched(tone: np.ndarray, along: np.ndarray, period: float, unit: float) -> np.ndarray:
    """Carved lines, as wide as the tone is dark: [h, w] -> [h, w]."""
    place = np.abs((along / period) % 1 - 0.5)
    return np.clip((tone / 2 - place) * period * unit + 0.5, 0, 1)


def _sky(sheet: Sheet) -> np.ndarray:
    """A sun, and lines that grow thicker upwards."""
    down = sheet.y / sheet.height
    warp = sheet.y + 0.006 * noise(sheet, 131, 5, octaves=3, stretch=4)
    cloud = smooth(0.1, 0.3, noise(sheet, 132, 2.6, octaves=3, stretch=4))
    tone = np.clip(0.78 - 1.25 * down, 0.0, 1) * (1 - 0.9 * cloud) + 0 * sheet.x
    image = mix(np.broadcast_to(PAPER, (*sheet.shape, 3)), INDIGO, _hatched(tone, warp, 0.0125, sheet.unit))
    away = np.hypot(sheet.x - 0.33, sheet.y - 0.24 * sheet.height)
    image = mix(image, PAPER, np.clip((0.107 - away) * sheet.unit, 0, 1))
    return mix(image, RED, np.clip((0.095 - away) * sheet.unit, 0, 1))


def _mountain(sheet: Sheet, image: np.ndarray) -> np.ndarray:
    """A far mountain with snow, in the hollow of the wave."""
    x, top, foot = 0.3, 0.56 * sheet.height, 0.8 * sheet.height
    away = np.abs(sheet.x - x)
    slope = top + 0.9 * away**1.15
    inside = np.clip((sheet.y - slope) * sheet.unit, 0, 1) * (sheet.y < foot)
    zigzag = top + 0.075 + 0.022 * np.abs((sheet.x * 22) % 2 - 1)
    tone = 0.45 + 0.5 * smooth(-0.05, 0.1, sheet.x - x)
    lines = _hatched(tone + 0 * sheet.y, (sheet.y - slope) * 0.6 + 0.25 * np.abs(sheet.x - x), 0.011, sheet.unit)
    body = mix(np.broadcast_to(PALE, image.shape), INDIGO, lines * (sheet.y > zigzag))
    body = mix(body, PAPER, np.clip((zigzag - sheet.y) * sheet.unit, 0, 1))
    image = mix(image, body, inside)
    return mix(image, BLACK, np.clip((0.0035 - np.abs(sheet.y - slope) * 0.7) * sheet.unit, 0, 1) * (sheet.y < foot))


def _sea(sheet: Sheet, image: np.ndarray) -> np.ndarray:
    """The sea behind and below, in rolling lines."""
    swell = 0.8 * sheet.height + 0.025 * np.sin(9 * sheet.x + 0.5)
    depth = sheet.y - swell + 0 * sheet.x
    along = depth + 0.012 * np.sin(26 * sheet.x + 20 * depth)
    tone = 0.5 + 0.3 * np.sin(depth * 40 + 3 * sheet.x)
    water = mix(np.broadcast_to(PALE, image.shape), INDIGO, _hatched(tone, along, 0.016, sheet.unit))
    image = mix(image, water, np.clip(depth * sheet.unit, 0, 1))
    return mix(image, BLACK, np.clip((0.003 - np.abs(depth)) * sheet.unit, 0, 1))


def _wave(sheet: Sheet, image: np.ndarray, x: float, y: float, size: float) -> np.ndarray:
    """A wave that curls to the right, with lines that run up into its crest, and foam."""
    stretch = np.array([size, size]), np.array([x, y * sheet.height + (sheet.height - 1) * 0.5 * size])
    back, face = (_curve(points, 240) * stretch[0] + stretch[1] for points in (BACK, FACE))
    body, lines, light = Stencil(sheet), Stencil(sheet), Stencil(sheet)
    floor = [(3.0, 9.0), (-3.0, 9.0)]
    body.polygon([*back, *face[::-1], *floor])
    for k in np.linspace(0.06, 0.94, 17):
        bend = back + (face - back) * k
        _tapered(light, bend[36:-4], 0.016 * size, 0.8)
    for k in np.linspace(0.03, 0.97, 18):
        _tapered(lines, (back + (face - back) * k)[30:], 0.006 * size, 0.6)
    image = mix(image, INDIGO, body.mask)
    image = mix(image, PALE, light.mask)
    image = mix(image, BLACK, lines.mask * body.mask)
    rim = Stencil(sheet)
    for edge in (back, face):
        rim.line(edge, 0.007 * size)
    image = mix(image, BLACK, rim.mask)
    return _foam(sheet, image, back, face, size)


def _tapered(stencil: Stencil, points: np.ndarray, width: float, power: float) -> None:
    """A cut line that is thickest in the middle."""
    pieces = np.array_split(np.arange(len(points)), 14)
    for n, piece in enumerate(pieces):
        wide = width * np.sin(np.pi * (n + 0.6) / 14.2) ** power
        if wide * stencil.sheet.unit > 0.4:
            stencil.line(points[piece[0] : piece[-1] + 2], wide)


def _foam(sheet: Sheet, image, back, face, size) -> np.ndarray:
    """White claws along the crest, and spray."""
    rng, dark, white = np.random.default_rng(133), Stencil(sheet), Stencil(sheet)
    crest = np.concatenate([back[128:], face[:-62:-1]])
    for i in range(0, len(crest), 4):
        at, way = crest[i], crest[min(i + 3, len(crest) - 1)] - crest[max(i - 3, 0)]
        out = np.array([way[1], -way[0]]) / (np.hypot(*way) + 1e-9)
        for j in range(4):
            place = at + out * (0.008 + 0.011 * j) * size * rng.uniform(0.3, 1.5) + [0.006 * j * size, 0.004 * j * size]
            radius = size * (0.021 - 0.0036 * j) * rng.uniform(0.7, 1.2)
            dark.disc(place[0], place[1], radius + 0.004 * size)
            white.disc(place[0], place[1], radius)
    for _ in range(90):
        at = crest[rng.integers(20, len(crest) - 20)] + rng.normal([0.03, -0.005], 0.034) * size
        dark.disc(at[0], at[1], size * 0.0062)
        white.disc(at[0], at[1], size * rng.uniform(0.0035, 0.0055))
    return mix(mix(image, BLACK, dark.mask), PAPER, white.mask)
