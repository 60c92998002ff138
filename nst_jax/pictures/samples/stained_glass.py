"""A rose window: coloured glass in lead, with light behind it."""

from __future__ import annotations

import numpy as np

from nst_jax.pictures.samples.sheet import Sheet, blurred, mix, noise, ramp, smooth

PETALS = 12
LEAD = 0.0085  # units: how wide
RUBY = {0.0: "3a0410", 0.5: "b8122c", 1.0: "ff5a4a"}
SAPPHIRE = {0.0: "06103f", 0.5: "1a44b8", 1.0: "5fa4ff"}
EMERALD = {0.0: "03261c", 0.5: "0f8a55", 1.0: "7fe08a"}
GOLD = {0.0: "5a2c04", 0.5: "f0a018", 1.0: "fff09a"}
VIOLET = {0.0: "1c0838", 0.5: "6a2aa8", 1.0: "c68aff"}
GLASS = (RUBY, SAPPHIRE, EMERALD, GOLD, VIOLET)


def paint(sheet: Sheet) -> np.ndarray:
    """The whole picture: -> [h, w, 3]."""
    x, y = sheet.x, sheet.y - sheet.height / 2
    gap, piece, kind = _ground(x, y)
    for region in (_outer, _arches, _petals, _heart):
        edge, number, glass, inside = region(x, y)
        shown = inside > 0
        gap = np.where(shown, np.minimum(edge, inside), np.minimum(gap, -inside))
        piece, kind = np.where(shown, number, piece), np.where(shown, glass, kind)
    return _glazed(sheet, gap, piece.astype(int), kind.astype(int))


def _glazed(sheet: Sheet, gap: np.ndarray, piece: np.ndarray, kind: np.ndarray) -> np.ndarray:
    """Glass of uneven thickness, painted darker at its rim, and rounded lead: -> [h, w, 3]."""
    luck = np.random.default_rng(161).uniform(-0.16, 0.16, 997)[piece % 997]
    sun = np.hypot(sheet.x + 0.16, sheet.y - 0.36 * sheet.height)
    streaks = 0.16 * noise(sheet, 162, 9, octaves=4, stretch=2.5) + 0.1 * noise(sheet, 163, 60, octaves=2)
    light = 0.74 - 0.42 * sun + luck + streaks - 0.3 * smooth(0.02, 0.004, gap)
    image = np.zeros((*sheet.shape, 3), np.float32)
    for number, stops in enumerate(GLASS):
        image = np.where((kind == number)[..., None], ramp(light, stops), image)
    metal = ramp(0.35 + 0.5 * smooth(LEAD / 2, 0, gap) + 0.1 * noise(sheet, 164, 90), {0.0: "050505", 1.0: "34353a"})
    glow = blurred(image * smooth(0.0, LEAD, gap)[..., None], max(1, round(0.03 * sheet.unit)))
    image = mix(image, metal, smooth(LEAD / 2 + 0.0012, LEAD / 2 - 0.0004, gap))
    return image + 0.22 * glow


def _sector(turn: np.ndarray, away: np.ndarray, count: int, start: float) -> tuple[np.ndarray, np.ndarray]:
    """Equal sectors: the distance to the nearest spoke, and the sector's number."""
    place = (turn / (2 * np.pi) * count + start) % count
    return (0.5 - np.abs(place % 1 - 0.5)) / count * 2 * np.pi * away, np.floor(place)


def _ground(x: np.ndarray, y: np.ndarray):
    """Diamonds around the rose."""
    u, v = (x + y) / 0.13, (x - y) / 0.13
    edge = np.minimum(0.5 - np.abs(u % 1 - 0.5), 0.5 - np.abs(v % 1 - 0.5)) * 0.13 / np.sqrt(2)
    row, column = np.floor(u), np.floor(v)
    kind = np.where((row + column) % 2 == 0, 1, np.where(row % 3 == 0, 3, 4))
    return edge, row * 31 + column * 17 + 500, kind


def _outer(x: np.ndarray, y: np.ndarray):
    """A ring of small panes about everything."""
    away, turn = np.hypot(x, y), np.arctan2(y, x)
    spoke, number = _sector(turn, away, 4 * PETALS, 0.0)
    edge = np.minimum(spoke, np.abs(away - 0.445))
    kind = np.where(away > 0.445, np.where(number % 2 == 0, 0, 3), 1)
    return edge, number + 100 * (away > 0.445), kind, 0.478 - away


def _arches(x: np.ndarray, y: np.ndarray):
    """Round panes between the petals' ends, with a disc in each."""
    away, turn = np.hypot(x, y), np.arctan2(y, x)
    spoke, number = _sector(turn, away, PETALS, 0.5)
    middle = (number + 0.0) / PETALS * 2 * np.pi
    disc = np.hypot(x - 0.352 * np.cos(middle), y - 0.352 * np.sin(middle))
    edge = np.minimum(np.minimum(np.abs(disc - 0.06), np.abs(disc - 0.026)), np.where(disc > 0.06, spoke, 1.0))
    kind = np.where(disc < 0.026, 3, np.where(disc < 0.06, np.where(number % 2 == 0, 0, 4), 2))
    return edge, number + 200 + 50 * (disc < 0.06) + 90 * (disc < 0.026), kind, 0.425 - away


def _petals(x: np.ndarray, y: np.ndarray):
    """Pointed petals, each of an inner and an outer pane."""
    away, turn = np.hypot(x, y), np.arctan2(y, x)
    _, number = _sector(turn, away, PETALS, 0.0)
    middle = (number + 0.5) / PETALS * 2 * np.pi
    along, across = x * np.cos(middle) + y * np.sin(middle), -x * np.sin(middle) + y * np.cos(middle)
    half = 0.078 * np.sqrt(np.clip((along - 0.06) / 0.2, 0, 1)) * np.clip((0.372 - along) / 0.1, 0, 1) ** 0.6
    half = np.minimum(half, along * np.tan(np.pi / PETALS))
    heart = half * 0.5 - np.abs(across) - 0.25 * np.abs(along - 0.25) + 0.012
    edge = np.minimum(np.abs(heart) * 0.9, np.where(heart < 0, np.abs(along - 0.185), 1.0))
    kind = np.where(heart > 0, 3, np.where(along < 0.185, 4, np.where(number % 2 == 0, 1, 0)))
    return edge, number + 400 + 60 * (heart > 0) + 30 * (along < 0.185), kind, (half - np.abs(across)) * 0.9


def _heart(x: np.ndarray, y: np.ndarray):
    """The flower in the middle."""
    away, turn = np.hypot(x, y), np.arctan2(y, x)
    spoke, number = _sector(turn, away, PETALS // 2, 0.25)
    bloom = 0.068 + 0.014 * np.cos(turn * PETALS / 2 + np.pi / 2)
    edge = np.minimum(np.abs(away - 0.032), np.where(away > 0.032, np.minimum(spoke, np.abs(away - bloom)), 1.0))
    kind = np.where(away < 0.032, 3, np.where(away < bloom, 0, 2))
    return edge, number + 600 + 20 * (away < bloom), kind, 0.105 - away
