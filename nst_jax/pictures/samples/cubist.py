"""A guitar, a bottle and a glass, taken apart into facets."""

from __future__ import annotations

import numpy as np

from nst_jax.pictures.samples.sheet import Sheet, Stencil, colour, mix, noise, ramp, rounded, smooth

EARTH = {0.0: "1c1712", 0.25: "4a3b2a", 0.45: "7d6a4c", 0.62: "a8946c", 0.8: "cfbd92", 1.0: "efe5c8"}
GREY = {0.0: "16191b", 0.25: "3c4345", 0.5: "747c7a", 0.75: "a9aea4", 1.0: "e6e4d6"}
OCHRE = {0.0: "2e1c0c", 0.3: "7a4a1c", 0.55: "b5782f", 0.8: "dcaa5e", 1.0: "f6dfa6"}
INK = colour("1a130e")
GUITAR = (  # along, half its width
    (-0.24, -0.2, -0.12, -0.02, 0.06, 0.15, 0.24, 0.3, 0.33),
    (0, 0.08, 0.112, 0.085, 0.1, 0.15, 0.145, 0.09, 0),
)


def paint(sheet: Sheet) -> np.ndarray:
    """The whole picture: -> [h, w, 3]."""
    y = sheet.y - sheet.height / 2
    image = ramp(0.34 + 0.12 * noise(sheet, 141, 3) + 0.1 * (sheet.x < 0.1), EARTH)
    rng = np.random.default_rng(142)
    for index in range(64):
        _facet(sheet, image, rng, index)
    image = _guitar(sheet, image, y)
    image = _bottle(sheet, image, y)
    image = _edges(sheet, image)
    brush = noise(sheet, 143, 60, octaves=2, stretch=3.5) + 0.6 * noise(sheet, 144, 26, octaves=2, stretch=0.4)
    away = np.hypot(sheet.x / (0.62 * sheet.width), y / (0.66 * sheet.height))
    return 1.14 * image * (1 + 0.055 * brush - 0.35 * smooth(0.45, 1.05, away))[..., None]


def _facet(sheet: Sheet, image: np.ndarray, rng, index: int) -> None:
    """A plane with three to five sides, light along one of them and dark along the other."""
    spread = np.array([0.24, 0.27]) if index > 14 else np.array([0.55, 0.4])
    at, size = rng.normal(0, 1, 2) * spread, rng.uniform(0.07, 0.2) * (1.7 if index < 14 else 1.0)
    lean, sides = rng.choice([-0.6, -0.25, 0.35, 0.75, 1.2]) + rng.normal(0, 0.08), rng.integers(3, 6)
    angles = np.sort(rng.uniform(0, 2 * np.pi, sides) * 0.35 + np.arange(sides) * 2 * np.pi / sides * 0.9) + lean
    corners = at + size * np.stack([np.cos(angles), 1.35 * np.sin(angles)], axis=-1) * rng.uniform(0.7, 1.3, (sides, 1))
    palette, tone, share = (
        (EARTH, GREY, OCHRE)[rng.choice(3, p=(0.4, 0.33, 0.27))],
        rng.uniform(0.25, 0.8),
        rng.uniform(0.7, 1.0),
    )
    corners = corners + [0, sheet.height / 2]
    part, place = sheet.window(*corners.min(0), *corners.max(0))
    along = ((part.x - at[0]) * np.cos(lean) + (part.y - sheet.height / 2 - at[1]) * np.sin(lean)) / size
    stencil = Stencil(sheet)
    stencil.polygon(corners)
    image[place] = mix(image[place], ramp(tone + 0.36 * along, palette), stencil.cut(place) * share)


def _outline(sheet: Sheet, image, points, *, width=0.005, share=0.85) -> np.ndarray:
    """A drawn line."""
    stencil = Stencil(sheet)
    stencil.line(np.asarray(points) + [0, sheet.height / 2], width)
    return mix(image, INK, stencil.mask * share)


def _guitar(sheet: Sheet, image: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The two halves of a guitar's body, shifted; its hole, neck and strings."""
    c, s = np.cos(0.42), np.sin(0.42)
    u, v = (sheet.x + 0.02) * c + (y - 0.13) * s, -(sheet.x + 0.02) * s + (y - 0.13) * c
    for part, shift, palette, tone in ((1, 0.0, OCHRE, 0.72), (-1, 0.035, EARTH, 0.4)):
        half = rounded(v + shift, *GUITAR, by=0.06)
        inside = np.minimum(half - np.abs(u), part * u + 0.002)
        image = mix(image, ramp(tone + 1.6 * u + 0.4 * v, palette), 0.88 * smooth(0.0, 0.002, inside))
        rim = smooth(0.006, 0.003, np.abs(half - np.abs(u))) * (part * u > 0) * (half > 0.002)
        image = mix(image, INK, 0.85 * rim)
    hole = np.hypot(u - 0.008, v - 0.04)
    image = mix(image, ramp(0.12 + 1.2 * hole + 0 * u, EARTH), smooth(0.047, 0.045, hole) * (u > -0.02))
    image = mix(image, colour("e8d9b0"), 0.9 * smooth(0.004, 0.002, np.abs(hole - 0.056)))
    return _strings(image, u, v)


def _strings(image: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The guitar's neck, frets, strings and bridge: u across, v along."""
    neck = smooth(0.024, 0.022, np.abs(u - 0.01 * np.sign(v + 0.35))) * (v < 0.0) * (v > -0.56)
    image = mix(image, ramp(0.28 + 9 * u + 0 * v, EARTH), neck)
    frets = smooth(0.0028, 0.0014, np.abs((v * 22) % 1 - 0.5) / 22) * neck
    image = mix(image, colour("d8c79c"), 0.7 * frets)
    strung = (np.abs(u) < 0.0255) & (v > -0.5) & (v < 0.21)
    strings = smooth(0.0016, 0.0008, np.abs(((u / 0.0085) % 1) - 0.5) * 0.0085) * strung
    image = mix(image, colour("f3e8c6"), 0.75 * strings)
    return mix(image, INK, smooth(0.0, 0.002, np.minimum(0.06 - np.abs(u), 0.011 - np.abs(v - 0.21))))


def _bottle(sheet: Sheet, image: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A bottle seen from the side and from above at once, and a glass."""
    t = y + 0.36
    steps = ([0, 0.12, 0.2, 0.24, 0.5, 0.52], [0.022, 0.022, 0.06, 0.07, 0.07, 0.0])
    for part, x, palette, tone in ((1, -0.275, GREY, 0.55), (-1, -0.262, EARTH, 0.3)):
        half = rounded(t, *steps, by=0.02)
        side = part * (sheet.x - x)
        inside = np.minimum(half - side, side) * (half > 0)
        image = mix(image, ramp(tone + 4 * (sheet.x - x) * part - 0.3 * t, palette), 0.8 * smooth(0.0, 0.002, inside))
        image = mix(image, INK, 0.8 * smooth(0.005, 0.003, np.abs(half - side)) * (half > 0.001))
    for height, wide in ((-0.36, 0.022), (0.14, 0.07)):
        ring = np.abs(np.hypot((sheet.x + 0.268) / wide, (y - height) / (0.35 * wide)) - 1) * wide * 0.5
        image = mix(image, INK, 0.8 * smooth(0.004, 0.002, ring))
    glass = np.hypot((sheet.x - 0.3) / 0.075, (y - 0.12) / 0.03)
    image = mix(image, ramp(0.75 - 3 * (sheet.x - 0.3) + 0 * y, GREY), 0.85 * smooth(1.0, 0.95, glass))
    image = mix(image, INK, 0.85 * smooth(0.005, 0.003, np.abs(glass - 1) * 0.05))
    for line in (
        [(0.225, 0.12), (0.255, 0.29), (0.345, 0.29), (0.375, 0.12)],
        [(0.3, 0.15), (0.3, 0.29), (0.37, 0.34)],
    ):
        image = _outline(sheet, image, line)
    return image


def _edges(sheet: Sheet, image: np.ndarray) -> np.ndarray:
    """Long straight cuts, each with a passage of light or dark beside it, and some drawn lines."""
    rng, half, image = np.random.default_rng(145), sheet.height / 2, image.copy()
    for _ in range(15):
        turn, place = rng.choice([0.35, 0.8, 1.25, 1.9, 2.5]) + rng.normal(0, 0.05), rng.normal(0, 0.22)
        along, length = rng.normal(0, 0.15), rng.uniform(0.12, 0.3)
        light = colour("f4e9c9") if rng.random() < 0.5 else colour("1d1812")
        at = np.array([np.cos(turn), np.sin(turn)]) * place + np.array([-np.sin(turn), np.cos(turn)]) * along
        part, where = sheet.window(*(at - 0.32 + [0, half]), *(at + 0.32 + [0, half]))
        side = (part.x - at[0]) * np.cos(turn) + (part.y - half - at[1]) * np.sin(turn)
        along = -(part.x - at[0]) * np.sin(turn) + (part.y - half - at[1]) * np.cos(turn)
        fade = (
            smooth(length, 0.6 * length, np.abs(along)) * smooth(0.0, 0.002, side) * np.exp(-np.maximum(side, 0) / 0.05)
        )
        piece = mix(image[where], light, 0.6 * fade)
        image[where] = mix(piece, INK, 0.7 * smooth(0.0025, 0.001, np.abs(side)) * (np.abs(along) < 0.8 * length))
    return image
