"""A bottle, a bowl of fruit and a cloth on a table, light from the left."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nst_jax.pictures.samples.sheet import Sheet, blurred, colour, finished, mix, noise, ramp, rounded, smooth

LIGHT = np.array([-0.55, -0.6, 0.58], np.float32)  # towards the lamp: left, up, to us
APPLE = {0.0: "4a0a0e", 0.45: "b3201d", 0.8: "e0502f", 1.0: "f2a35a"}
ORANGE = {0.0: "6a2404", 0.45: "d9700f", 0.8: "f59a25", 1.0: "ffc765"}
PEAR = {0.0: "3a3a0c", 0.45: "93942a", 0.8: "c9c04b", 1.0: "f0e58f"}
GRAPE = {0.0: "140a24", 0.45: "3f2152", 0.8: "6d4583", 1.0: "b79ac8"}
LEMON = {0.0: "6b4a05", 0.45: "d6a816", 0.8: "f3d03a", 1.0: "fff09a"}
BOTTLE = (  # down from the cork's top, half its width
    (0, 0.07, 0.075, 0.1, 0.34, 0.42, 0.5, 0.96, 1.0),
    (0.019, 0.019, 0.025, 0.021, 0.023, 0.05, 0.078, 0.08, 0.07),
)


def paint(sheet: Sheet) -> np.ndarray:
    """The whole picture: -> [h, w, 3]."""
    table = 0.6 * sheet.height
    image = _room(sheet, table)
    image = _cloth(sheet, image, table)
    shadows = (
        (-0.13, 0.055, 0.2, 0.03),
        (0.2, 0.15, 0.3, 0.05),
        (-0.2, 0.235, 0.13, 0.03),
        (-0.04, 0.265, 0.1, 0.025),
    )
    for x, down, wide, high in shadows:
        image = _shadow(sheet, image, x, table + down, wide, high)
    _bottle(sheet, image, -0.21, table + 0.06)
    _fruit_in_bowl(sheet, image, 0.12, table)
    _ball(sheet, image, -0.27, table + 0.165, 0.075, APPLE, 5)
    _ball(sheet, image, -0.115, table + 0.21, 0.062, LEMON, 6, squash=1.25)
    for x, y in ((-0.262, table + 0.107), (0.137, table - 0.158), (0.245, table - 0.2)):
        _stalk(sheet, image, x, y)
    image = image + 0.3 * blurred(np.clip(image - 0.75, 0, 1), max(1, round(0.02 * sheet.unit)))
    return finished(image, sheet, vignette=0.4)


def _room(sheet: Sheet, table: float) -> np.ndarray:
    """A plastered wall, lit from the left, and the edge of a table."""
    away = np.hypot(sheet.x + 0.42, 0.9 * (sheet.y - table + 0.42))
    plaster = noise(sheet, 81, 5, octaves=6)
    wall = ramp(0.95 - 0.85 * away + 0.1 * plaster, {0.0: "171512", 0.4: "473f33", 0.75: "87795c", 1.0: "b7a680"})
    grain = noise(sheet, 82, 9, octaves=5, stretch=14)
    wood = ramp(0.5 + 0.5 * grain - 0.45 * (sheet.x - 0.1), {0.0: "23120a", 0.5: "643618", 1.0: "b0753c"})
    depth = sheet.y - table
    wood = mix(wood, wall, 0.3 * smooth(0.05, 0.0, depth) + 0 * sheet.x)
    return mix(wall, wood, np.clip((depth + 0.02) * sheet.unit, 0, 1) + 0 * sheet.x)


def _cloth(sheet: Sheet, image: np.ndarray, table: float) -> np.ndarray:
    """A white cloth with blue stripes that falls in folds over the table's edge."""
    down = sheet.y - table
    top = 0.115 + 0.07 * np.sin(5 * sheet.x + 2.2) * np.cos(2 * sheet.x) + 0.02 * noise(sheet, 83, 6, octaves=2)
    fall = smooth(0.16, 0.3, down)
    bend = sheet.x + 0.05 * noise(sheet, 84, 3, octaves=2) + 0.12 * down
    folds = np.sin(26 * bend + 2.5 * np.sin(7 * bend)) * fall + 0.9 * noise(sheet, 85, 5, octaves=3, stretch=1.6) * (
        1 - 0.6 * fall
    )
    slope = np.gradient(folds, axis=1) * sheet.unit / 26
    light = 0.66 - 0.5 * slope - 0.12 * fall - 0.28 * sheet.x + 0.08 * folds
    linen = ramp(light, {0.0: "3a3640", 0.35: "8c8486", 0.7: "ddd3c3", 1.0: "fff8ea"})
    across = np.abs(((bend * 7.5 + 0.15 * folds * fall) % 1) - 0.5)
    stripe = smooth(0.1, 0.085, across) + smooth(0.02, 0.01, np.abs(across - 0.15))
    blue = ramp(light, {0.0: "0f1530", 0.5: "32508c", 1.0: "86a6d8"})
    weave = 1 + 0.03 * noise(sheet, 86, 200, octaves=1)
    face = mix(linen, blue, 0.85 * np.clip(stripe, 0, 1)) * weave[..., None]
    inside = np.minimum(down - top + 0.05, 0.62 - np.abs(sheet.x + 0.05 + 0.3 * down))
    image = mix(image, image * 0.5, smooth(-0.03, 0.0, inside))
    return mix(image, face, np.clip(inside * sheet.unit, 0, 1))


def _shadow(sheet: Sheet, image, x, y, wide, high) -> np.ndarray:
    """A soft shadow on the table, to the right of what throws it."""
    away = np.hypot((sheet.x - x - 0.3 * wide) / wide, (sheet.y - y) / high)
    near = np.hypot((sheet.x - x) / (0.72 * wide), (sheet.y - y) / (0.6 * high))
    dark = 0.62 * smooth(1.25, 0.2, away) + 0.3 * smooth(1.1, 0.5, near)
    return mix(image, colour("120b10"), np.clip(dark, 0, 0.88))


def _lit(nx: np.ndarray, ny: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Light and highlight of a surface from where it faces: [...], [...] -> [...], [...]."""
    nz = np.sqrt(np.maximum(1 - nx**2 - ny**2, 0))
    facing = LIGHT[0] * nx + LIGHT[1] * ny + LIGHT[2] * nz
    bounce = 0.16 * np.maximum(0.7 * nx + 0.6 * ny, 0)  # from the wall and the cloth
    mirrored = 2 * facing * nz - LIGHT[2]
    return np.clip(0.1 + 0.85 * np.maximum(facing, 0) + bounce, 0, 1), np.maximum(mirrored, 0) ** 28


def _ball(sheet: Sheet, image, x, y, radius, palette, seed, *, squash: float = 1.0, stalk: bool = True) -> None:
    """A fruit, painted into the image."""
    reach = radius * max(squash, 1.0) * 1.1
    part, place = sheet.window(x - reach, y - reach, x + reach, y + reach)
    nx, ny = (part.x - x) / (radius * squash), (part.y - y) / radius
    ny = ny + 0.05 * np.cos(3 * nx) * (ny < 0)
    away = np.hypot(nx, ny)
    light, shine = _lit(nx, ny)
    skin = noise(part, seed, 6, octaves=3, stretch=0.4) * 0.12 + noise(part, seed + 1, 110, octaves=1) * 0.06
    dimple = 0.35 * np.exp(-(((nx - 0.1) / 0.3) ** 2) - ((ny + 0.78) / 0.13) ** 2) * stalk
    face = ramp(light * (1 + skin) + 0.3 * skin - dimple, palette) + 0.75 * shine[..., None]
    image[place] = mix(image[place], face, np.clip((1 - away) * radius * sheet.unit + 0.5, 0, 1))


def _stalk(sheet: Sheet, image: np.ndarray, x: float, y: float) -> None:
    """The stalk of a fruit."""
    part, place = sheet.window(x - 0.03, y - 0.04, x + 0.03, y + 0.01)
    bend = x + 6.0 * (part.y - y) ** 2
    half = 0.0042 - 0.02 * (part.y - y + 0.02)
    inside = np.clip((half - np.abs(part.x - bend)) * sheet.unit, 0, 1) * (part.y > y - 0.035)
    bark = ramp(0.5 - (part.x - bend) / 0.008, {0.0: "1c110a", 1.0: "8a6238"})
    image[place] = mix(image[place], bark, inside)


def _revolved(sheet: Sheet, x, top, bottom, half: Callable) -> tuple[Sheet, tuple, np.ndarray, np.ndarray]:
    """A turned shape: its window, its place, where it faces sideways, and its mask."""
    part, place = sheet.window(x - 0.4, top, x + 0.4, bottom)
    radius = half((part.y - top) / (bottom - top)).astype(np.float32)
    nx = np.clip((part.x - x) / np.maximum(radius, 1e-4), -1, 1)
    return part, place, nx, np.clip((radius - np.abs(part.x - x)) * sheet.unit + 0.5, 0, 1)


def _bottle(sheet: Sheet, image: np.ndarray, x: float, foot: float) -> None:
    """A green bottle of wine, with a cork and a label."""
    top, bottom = foot - 0.53, foot + 0.015
    part, place, nx, mask = _revolved(sheet, x, top, bottom, lambda t: rounded(t, *BOTTLE, by=0.03))
    t = (part.y - top) / (bottom - top)
    light, _ = _lit(0.95 * nx, -0.1 + 0 * part.y + 0 * nx)
    through = np.exp(-(((nx - 0.55) / 0.28) ** 2)) * smooth(0.35, 0.9, t)
    glass = ramp(0.28 * light + 0.6 * through, {0.0: "060d08", 0.4: "1a3a1c", 0.8: "5d8a34", 1.0: "b6cf6c"})
    glass = mix(glass, colour("1a0508"), 0.55 * smooth(0.44, 0.45, t) * (1 - 0.7 * through))
    shine = np.exp(-(((nx + 0.58) / 0.07) ** 2)) * smooth(0.1, 0.2, t) * smooth(0.97, 0.88, t)
    glint = 0.4 * np.exp(-(((nx - 0.82) / 0.05) ** 2)) * smooth(0.45, 0.6, t)
    label = smooth(0.6, 0.603, t) * smooth(0.86, 0.857, t) * (np.abs(nx) < 0.93)
    paper = _label(light + 0.05 * noise(part, 91, 60), nx, t)
    glass = mix(glass, paper, label) + (0.85 * shine * (1 - 0.7 * label) + glint)[..., None]
    cork = ramp(light, {0.0: "3b2312", 1.0: "d8ac74"})
    image[place] = mix(image[place], mix(glass, cork, smooth(0.073, 0.068, t) + 0 * nx), mask)


def _label(light: np.ndarray, nx: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Old paper with two red rules and a seal."""
    paper = ramp(light, {0.0: "3d2f20", 0.5: "b39b6c", 1.0: "f3e3b8"})
    rule = smooth(0.008, 0.004, np.abs(np.abs(t - 0.73) - 0.105))
    seal = smooth(0.032, 0.03, np.hypot(nx * 0.08, (t - 0.7) * 0.5))
    return mix(paper, colour("6b1f1a"), 0.8 * np.maximum(rule, seal))


def _fruit_in_bowl(sheet: Sheet, image: np.ndarray, x: float, table: float) -> None:
    """A glazed bowl, heaped with fruit."""
    rim, foot = table - 0.0, table + 0.15
    part, place = sheet.window(x - 0.22, rim - 0.06, x + 0.22, rim + 0.06)
    away = np.hypot((part.x - x) / 0.205, (part.y - rim) / 0.045)
    inner = ramp(0.45 + 1.5 * (part.x - x) + 0 * part.y, {0.0: "2c2a33", 1.0: "bfc3cc"})
    image[place] = mix(image[place], inner, np.clip((1 - away) * 0.045 * sheet.unit, 0, 1))
    _pear(sheet, image, x + 0.125, rim - 0.085)
    _ball(sheet, image, x - 0.1, rim - 0.035, 0.074, ORANGE, 2)
    _ball(sheet, image, x + 0.01, rim - 0.095, 0.078, APPLE, 3)
    _ball(sheet, image, x + 0.03, rim - 0.015, 0.07, ORANGE, 4)
    rng = np.random.default_rng(92)
    fall = np.sqrt(rng.uniform(0, 1, 34))
    grapes = np.stack([x - 0.09 + rng.uniform(-0.055, 0.055, 34) * (1.15 - fall), rim - 0.02 + 0.125 * fall], axis=-1)
    _bowl(sheet, image, x, rim, foot)
    for gx, gy in grapes[np.argsort(grapes[:, 1])]:
        _ball(sheet, image, gx - 0.03, gy, 0.0205, GRAPE, 7, stalk=False)


def _pear(sheet: Sheet, image: np.ndarray, x: float, y: float) -> None:
    """A pear, standing."""
    steps = ([0, 0.05, 0.3, 0.5, 0.75, 0.93, 1.0], [0.012, 0.03, 0.042, 0.062, 0.075, 0.06, 0.03])
    top, bottom = y - 0.12, y + 0.1
    part, place, nx, mask = _revolved(sheet, x, top, bottom, lambda t: rounded(t, *steps, by=0.08))
    t = (part.y - top) / (bottom - top)
    light, shine = _lit(0.97 * nx, np.clip(0.7 * (t - 0.55), -0.9, 0.9) * np.sqrt(1 - 0.94 * nx**2))
    blush = 0.2 * noise(part, 93, 8, octaves=3) + 0.08 * noise(part, 94, 130, octaves=1)
    face = ramp(light * (1 + blush), PEAR) + 0.6 * shine[..., None]
    image[place] = mix(image[place], mix(face, colour("b4562c"), 0.35 * smooth(0.1, 0.8, nx) + 0 * t), mask)


def _bowl(sheet: Sheet, image: np.ndarray, x: float, rim: float, foot: float) -> None:
    """The bowl's outside, with a painted band."""
    part, place = sheet.window(x - 0.24, rim, x + 0.24, foot + 0.03)
    t = (part.y - rim) / (foot - rim)
    radius = 0.207 * np.sqrt(np.clip(1 - (np.clip(t - 0.05, 0, 1) * 0.95) ** 2.4, 0, 1))
    radius = np.where(t > 0.84, np.maximum(radius, 0.085 + 0.02 * (t - 0.84)), radius) * (t < 1.08)
    nx = np.clip((part.x - x) / np.maximum(radius, 1e-4), -1, 1)
    lip = np.hypot((part.x - x) / 0.207, (part.y - rim) / 0.048)
    light, shine = _lit(0.97 * nx, 0.75 * np.clip(t, 0, 1) * np.sqrt(1 - 0.94 * nx**2))
    light = light * (1 - 0.35 * smooth(0.6, 1.0, t))
    glaze = ramp(light, {0.0: "23242e", 0.4: "7f8796", 0.8: "e0e0da", 1.0: "ffffff"})
    turn = np.arcsin(nx) * 6
    band = smooth(0.05, 0.04, np.abs(t - 0.45 - 0.08 * np.sin(3 * turn) - 0.9 * (lip - lip))) + smooth(
        0.03, 0.02, np.abs(np.abs(t - 0.45) - 0.2)
    )
    blue = ramp(light, {0.0: "070b24", 0.5: "1f3f86", 1.0: "6f95d8"})
    glaze = mix(glaze, blue, 0.9 * np.clip(band, 0, 1)) + 0.9 * shine[..., None]
    mask = np.clip((radius - np.abs(part.x - x)) * sheet.unit + 0.5, 0, 1) * np.clip(
        (lip - 1) * 0.045 * sheet.unit, 0, 1
    )
    image[place] = mix(image[place], glaze, mask)
