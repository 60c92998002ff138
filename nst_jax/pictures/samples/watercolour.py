"""Poppies before hills, in transparent washes on rough paper."""

from __future__ import annotations

from typing import Any

import numpy as np

from nst_jax.pictures.samples.sheet import Sheet, colour, mix, noise, profile, smooth

PAPER = colour("fdfaf1")
PETALS = ((-0.32, -0.02, 0.7, "ff7a5c"), (0.36, -0.04, 0.68, "ff6a4a"), (0.02, 0.28, 0.7, "ff5a40"))
POPPIES = (
    *((-0.29, 0.62, 0.115), (0.03, 0.72, 0.095), (0.31, 0.66, 0.105), (-0.12, 0.86, 0.075)),
    *((0.21, 0.9, 0.065), (-0.41, 0.84, 0.06), (0.42, 0.86, 0.055), (-0.7, 0.7, 0.1)),
    *((0.72, 0.74, 0.11), (-1.05, 0.8, 0.08), (1.1, 0.68, 0.1), (-1.35, 0.7, 0.1)),
)


def paint(sheet: Sheet) -> np.ndarray:
    """The whole picture: -> [h, w, 3]."""
    grain = noise(sheet, 151, 120, octaves=3)
    light = np.broadcast_to(PAPER, (*sheet.shape, 3)).astype(np.float32)
    light = _sky(sheet, light, grain)
    light = _hills(sheet, light, grain)
    light = _field(sheet, light, grain)
    light = _flowers(sheet, light, grain)
    light = _spatter(sheet, light)
    shade = np.gradient(grain, axis=0) + np.gradient(grain, axis=1)
    return light * (1 + np.clip(0.0002 * sheet.unit * shade, -0.03, 0.03))[..., None]


def _wash(sheet: Sheet, light, inside, pigment, grain, seed, *, load: Any = 1.0, edge=0.012, wet=0.0) -> np.ndarray:
    """A wash of pigment where `inside` (units) is positive: it pools at its edge and in hollows."""
    ragged = inside + 0.010 * noise(sheet, seed, 14, octaves=4) + 0.0015 * grain
    body = smooth(-wet, wet + 0.0025, ragged)
    pool = np.exp(-np.maximum(ragged, 0) / edge) * body * (0.55 if wet < 0.01 else 0.0)
    bloom = noise(sheet, seed + 1, 4, octaves=4)
    rings = np.exp(-((bloom - 0.12) ** 2) / 0.002) * 0.22
    density = load * (body * (0.75 + 0.55 * bloom + 0.13 * grain + rings) + pool)
    absorbed = -np.log(np.clip(colour(pigment), 0.02, 0.99))
    return light * np.exp(-np.maximum(density, 0)[..., None] * absorbed)


def _sky(sheet: Sheet, light: np.ndarray, grain: np.ndarray) -> np.ndarray:
    """Wet in wet: blue above, rose below, a pale sun left open."""
    down = sheet.y / sheet.height
    sun = np.hypot(sheet.x - 0.2, sheet.y - 0.24 * sheet.height)
    cloud = noise(sheet, 152, 2.6, octaves=5, stretch=2.2)
    blue = 0.2 + 0.35 * cloud - 1.1 * (down - 0.14)
    light = _wash(sheet, light, np.minimum(blue, 1.3 * (sun - 0.13)), "6fb1de", grain, 153, load=0.85, wet=0.13)
    rose = 0.13 - np.abs(down - 0.45) - 0.12 * cloud
    light = _wash(sheet, light, np.minimum(rose, 1.3 * (sun - 0.1)), "fbb49a", grain, 155, load=0.8, wet=0.1)
    halo = _wash(sheet, light, 0.17 - sun, "fddb6a", grain, 157, load=0.7, wet=0.07)
    return _wash(sheet, halo, 0.062 - sun, "f9a63a", grain, 158, load=0.75)


def _hills(sheet: Sheet, light: np.ndarray, grain: np.ndarray) -> np.ndarray:
    """Hills, one wash over another, bluer the farther."""
    rows = (
        (0.5, 0.14, 2.0, "a9bfe6", 0.7),
        (0.55, 0.1, 2.6, "86a8d6", 0.8),
        (0.6, 0.07, 3.0, "6fa79c", 0.85),
    )
    for n, (v, rise, cells, pigment, load) in enumerate(rows):
        ridge = v * sheet.height - rise * profile(sheet.x, 160 + n, cells, octaves=3, fall=0.35)
        inside = np.minimum(sheet.y - ridge, 0.73 * sheet.height - sheet.y + 0.03 * np.sin(8 * sheet.x))
        fade = load * (1 - 0.75 * smooth(0.0, 0.24, sheet.y - ridge))
        light = _wash(sheet, light, inside, pigment, grain, 163 + 2 * n, load=fade)
    return light


def _field(sheet: Sheet, light: np.ndarray, grain: np.ndarray) -> np.ndarray:
    """A meadow that runs from yellow to green, with stalks."""
    inside = sheet.y - 0.665 * sheet.height - 0.02 * np.sin(5 * sheet.x)
    light = _wash(sheet, light, inside, "efe77e", grain, 171, load=0.7)
    light = _wash(sheet, light, inside - 0.08 + 0.08 * noise(sheet, 172, 3), "96c866", grain, 173, load=0.75, wet=0.05)
    light = _wash(sheet, light, inside - 0.2 + 0.1 * noise(sheet, 174, 4), "6aa878", grain, 175, load=0.6, wet=0.07)
    blades = noise(sheet, 176, 42, octaves=2, stretch=0.14) - 0.42 - 0.5 * smooth(0.2, 0.0, inside)
    return _wash(sheet, light, 0.05 * blades, "4a7a48", grain, 177, load=0.45 * smooth(0.0, 0.2, inside))


def _flowers(sheet: Sheet, light: np.ndarray, grain: np.ndarray) -> np.ndarray:
    """Poppies, the small and far ones first."""
    rng = np.random.default_rng(181)
    low, high = (-1.5, 0.69, 0.012), (1.5, 0.76, 0.022)
    places = [*(tuple(rng.uniform(low, high)) for _ in range(40)), *POPPIES]
    for n, (x, v, size) in enumerate(sorted(places, key=lambda place: place[2])):
        if abs(x) < sheet.width / 2 + size:
            light = _poppy(sheet, light, grain, (x, v * sheet.height, size), 200 + 5 * n)
    return light


def _poppy(sheet: Sheet, light: np.ndarray, grain: np.ndarray, place, seed: int) -> np.ndarray:
    """One flower, drawn within its own window."""
    x, y, size = place
    part, where = sheet.window(x - 1.6 * size, y - 1.5 * size, x + 1.6 * size, y + 4.5 * size)
    if 0 in part.shape:
        return light
    piece, rough, light = light[where], grain[where], light.copy()
    bend = x + 0.3 * size * np.sin((part.y - y) / size * 0.7)
    stalk = np.minimum(0.035 * size - np.abs(part.x - bend), part.y - y - 0.4 * size) * np.ones(part.shape)
    piece = _wash(part, piece, stalk, "6a9a55", rough, seed, load=0.9 * smooth(4.5 * size, 2 * size, part.y - y))
    dx, dy = (part.x - x) / size, (part.y - y) / size
    petals = [_petal(dx - px, dy - py, wide, seed) for px, py, wide, _ in PETALS]
    piece = mix(piece, PAPER, 0.93 * smooth(-0.1, 0.02, np.max(petals, axis=0)))  # kept free of the washes
    for petal, (*_, pigment) in zip(petals, PETALS, strict=True):
        piece = _wash(part, piece, petal * size, pigment, rough, seed + 1, load=0.8, edge=0.07 * size)
    heart = 0.17 - np.hypot(dx - 0.02, (dy - 0.06) * 1.3)
    light[where] = _wash(part, piece, heart * size, "1c1626", rough, seed + 3, load=0.95, wet=0.05 * size)
    return light


def _petal(dx: np.ndarray, dy: np.ndarray, wide: float, seed: int) -> np.ndarray:
    """How far inside a petal each place lies."""
    return wide + 0.07 * np.sin(5 * np.arctan2(dy, dx) + seed) - np.hypot(dx, dy * 1.25)


def _spatter(sheet: Sheet, light: np.ndarray) -> np.ndarray:
    """Drops that fell from the brush."""
    rng, light = np.random.default_rng(191), light.copy()
    tints = ("f2553c", "5f9fd0", "6fa04a", "fbd45e")
    for _ in range(90):
        x, v, radius = rng.uniform(-1.5, 1.5), rng.uniform(0.1, 0.98), rng.uniform(0.0015, 0.006) ** 1.0
        tint, y = tints[rng.integers(4)], v * sheet.height
        part, where = sheet.window(x - 2 * radius, y - 2 * radius, x + 2 * radius, y + 2 * radius)
        drop = smooth(radius, 0.8 * radius, np.hypot(part.x - x, part.y - y)) * 0.7
        light[where] = light[where] * (1 - drop[..., None] * (1 - colour(tint)))
    return light
