"""A sun, a sea and a leaping fish, laid in stone."""

from __future__ import annotations

import numpy as np

from nst_jax.pictures.samples.sheet import Sheet, colour, mix, noise, ramp, rounded, smooth

SIZE = 0.0205  # units: a stone with its joint
SUN = (0.14, 0.33)
SKY = {0.0: "f7ecc4", 0.2: "cfe0cf", 0.45: "8fc4c8", 0.75: "4f93b0", 1.0: "2a6488"}
SEA = {0.0: "f1ead2", 0.18: "8fc7bf", 0.4: "2f8f9c", 0.7: "17587d", 1.0: "0f2f57"}
FISH = {0.0: "3a1410", 0.14: "8c2a1a", 0.35: "d4582a", 0.65: "f0a541", 1.0: "fbe7b0"}
BORDER = {0.0: "2a1c1c", 0.49: "2a1c1c", 0.5: "efe2c2", 0.74: "efe2c2", 0.75: "a8402a", 1.0: "a8402a"}


def paint(sheet: Sheet) -> np.ndarray:
    """The whole picture: -> [h, w, 3]."""
    image, gap = _sky(sheet)
    for region in (_sea, _fish, _border):
        face, joint, inside = region(sheet)
        shown = inside > 0
        image = np.where(shown[..., None], face, image)
        gap = np.where(shown, np.minimum(joint, inside), np.minimum(gap, -inside))
    stone = smooth(0.0011, 0.0026, gap - 0.0006 * noise(sheet, 119, 150, octaves=1))
    bevel = smooth(0.0, 0.007, gap)
    lit = np.gradient(bevel, axis=0) + np.gradient(bevel, axis=1)
    rough = 1 + 0.09 * noise(sheet, 118, 70, octaves=3)
    image = image * (rough + np.clip(lit * sheet.unit * 0.0022, -0.22, 0.22))[..., None]
    grout = colour("5d5448") * (1 + 0.25 * noise(sheet, 117, 120, octaves=2))[..., None]
    return mix(grout * (0.65 + 0.35 * smooth(0.0, 0.0011, gap))[..., None], image, stone)


def _stones(sheet: Sheet, rows, along, seed) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Stones in courses: row number, a number of chance per stone, and how far the nearest joint is."""
    wobble = 0.0035 * noise(sheet, seed, 28, octaves=2)
    rows, row = rows + wobble, np.floor((rows + wobble) / SIZE)
    wide = SIZE * (0.85 + 0.5 * _chance(row, 0 * row, seed))
    place = along(row) / wide + 7 * _chance(row, 0 * row + 1, seed) + 2.2 * wobble / SIZE
    column = np.floor(place)
    lean = 0.16 * (_chance(row, column, seed + 1) - 0.5) * (place - column - 0.5)
    across = 0.5 - np.abs(rows / SIZE - row - 0.5 + lean)
    joint = np.minimum(across * SIZE, (0.5 - np.abs(place - column - 0.5)) * wide)
    return row, _chance(row, column, seed), joint


def _chance(row: np.ndarray, column: np.ndarray, seed: int) -> np.ndarray:
    """A number in [0, 1) that looks random, for each pair of whole numbers."""
    code = row.astype(np.int64) * 73856093 + column.astype(np.int64) * 19349663 + seed * 83492791
    code = (code & 0xFFFFFFFF).astype(np.uint32)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        code = (code ^ (code >> np.uint32(shift))) * np.uint32(factor)
    return ((code ^ (code >> np.uint32(16))) >> np.uint32(8)).astype(np.float32) / 2**24


def _sky(sheet: Sheet):
    """Rings about the sun, with rays."""
    dx, dy = sheet.x - SUN[0], sheet.y - SUN[1] * sheet.height
    away, turn = np.hypot(dx, dy), np.arctan2(dy, dx)
    row, luck, joint = _stones(sheet, away, lambda row: turn * (row + 0.5) * SIZE, 111)
    radius = (row + 0.5) * SIZE
    ray = np.abs(((turn / (2 * np.pi) * 16) % 1) - 0.5) * 2
    ray = smooth(0.48, 0.52, ray + 0.3 - 2.2 * (radius - 0.16)) * (radius < 0.37)
    image = ramp((radius - 0.15) * 1.5 + 0.12 * (luck - 0.5), SKY)
    image = mix(image, ramp(luck, {0.0: "e08a2c", 0.5: "f3bf4a", 1.0: "fbe08a"}), 0.9 * ray * (radius > 0.15))
    disc = ramp(luck + 0.6 * (radius / 0.15 - 0.5), {0.0: "fff3c0", 0.5: "ffd95a", 1.0: "f0992a"})
    image = np.where((radius < 0.15)[..., None], disc, image)
    image = np.where(((radius > 0.13) & (radius < 0.152))[..., None], ramp(luck, {0.0: "8f2d16", 1.0: "c9501f"}), image)
    return image * (0.9 + 0.2 * luck)[..., None], joint


def _sea(sheet: Sheet):
    """Courses that follow the waves."""
    down = sheet.y - 0.62 * sheet.height
    wave = 0.035 * np.sin(11 * sheet.x) * (1 + 0.5 * np.sin(4 * sheet.x + 1)) + 0.012 * np.sin(23 * sheet.x + 1)
    depth = down - wave * np.exp(-np.maximum(down, 0) / 0.5)
    row, luck, joint = _stones(sheet, depth, lambda row: sheet.x + 0 * row, 112)
    band = (row % 6) / 6
    tone = 0.12 + 0.75 * band + 0.25 * row * SIZE + 0.16 * (luck - 0.5)
    tone = np.where(row < 1, 0.05 + 0.1 * luck, tone)
    return ramp(tone, SEA) * (0.88 + 0.24 * luck)[..., None], joint, depth


def _fish(sheet: Sheet):
    """A fish that leaps to the left; its courses follow its outline."""
    dx, dy = sheet.x + 0.17, sheet.y - 0.6 * sheet.height
    along, across = dx * 0.93 - 0.36 * dy, dx * 0.36 + 0.93 * dy
    across = across - 1.5 * (along - 0.05) ** 2 + 0.03
    steps = (
        [-0.27, -0.22, -0.12, 0.0, 0.12, 0.18, 0.26, 0.28],
        [-0.03, 0.055, 0.105, 0.1, 0.05, 0.016, 0.115, -0.03],
    )
    half = rounded(along, *steps, by=0.03)
    fin = 0.05 * np.exp(-(((along + 0.01) / 0.07) ** 2)) * (across < 0)
    inside = half + fin - np.abs(across)
    row, luck, joint = _stones(sheet, inside, lambda row: along + 0 * row, 113)
    tone = 0.08 + 0.16 * row + 0.25 * (across > 0.02) + 0.15 * (luck - 0.5)
    scale = ((np.floor(along / 0.042) % 2) == 0) & (along < 0.14) & (along > -0.13)
    tone = np.where((row > 0) & scale, tone - 0.14, np.where(row < 1, 0.04 + 0.05 * luck, tone))
    face = ramp(tone, FISH) * (0.88 + 0.24 * luck)[..., None]
    eye = np.hypot(along + 0.185, across + 0.018)
    face = np.where((eye < 0.024)[..., None], colour("fdf6e0"), face)
    face = np.where((eye < 0.013)[..., None], colour("1a1412"), face)
    joint = np.where(eye < 0.028, np.minimum(np.abs(eye - 0.024), np.abs(eye - 0.013)), joint)
    return face, joint, inside


def _border(sheet: Sheet):
    """A frame of three courses and a band of triangles."""
    side = sheet.width / 2 - np.abs(sheet.x) + 0 * sheet.y
    end = sheet.height / 2 - np.abs(sheet.y - sheet.height / 2) + 0 * sheet.x
    away = np.minimum(side, end)
    place = np.where(side < end, sheet.y - sheet.height / 2 + 0 * sheet.x, sheet.x + 0 * sheet.y)
    row, luck, joint = _stones(sheet, away, lambda row: place, 114)
    tooth = np.abs((place / (4 * SIZE)) % 1 - 0.5) * 2
    tone = np.where(row == 1, 0.6, np.where(tooth > 0.5, 0.9, 0.6))
    tone = np.where((row == 0) | (row == 3), 0.2, tone)
    return ramp(tone, BORDER) * (0.85 + 0.3 * luck)[..., None], joint, 4 * SIZE - away
