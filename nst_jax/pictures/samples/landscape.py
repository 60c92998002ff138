"""Mountains, a river and trees on a bright morning."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from nst_jax.pictures.samples.sheet import Sheet, Stencil, colour, finished, mix, noise, profile, ramp, smooth

FIRS = (
    (-0.13, 0.63, 0.12),
    (-0.18, 0.635, 0.15),
    (0.42, 0.64, 0.17),
    (0.36, 0.635, 0.12),
    (-0.9, 0.66, 0.3),
    (0.9, 0.68, 0.36),
)
FIRS += (
    (-0.27, 0.68, 0.26),
    (0.47, 0.72, 0.4),
    (-0.47, 0.8, 0.62),
    (-0.36, 0.9, 0.56),
    (-1.2, 0.8, 0.5),
    (1.3, 0.8, 0.6),
)
HAZE = colour("c9d6e4")
SKY = {0.0: "2f6fb5", 0.3: "6ba3d6", 0.7: "b4d3ea", 1.0: "f6e6cf"}
SUMMIT = {0.0: "27324a", 0.45: "55607a", 0.75: "94897f", 1.0: "d6bf9c"}
FOOTHILL = {0.0: "1f3d38", 0.5: "3f6446", 1.0: "93a35c"}
MEADOW = {0.0: "2f4a22", 0.35: "587a2c", 0.65: "8aa03e", 1.0: "cfc469"}


def paint(sheet: Sheet) -> np.ndarray:
    """The whole picture: -> [h, w, 3]."""
    horizon = 0.56 * sheet.height
    image = _sky(sheet, horizon)
    image = _mountains(sheet, image, horizon, 31, 0.3, SUMMIT, 0.25)
    image = _mountains(sheet, image, horizon, 38, 0.125, FOOTHILL, 0.3)
    mist = smooth(-0.16, -0.03, sheet.y - horizon + 0.05 * noise(sheet, 39, 5, octaves=4, stretch=3))
    image = mix(image, colour("f4ece0"), 0.6 * mist)
    image = _forest(sheet, image, horizon - 0.018, 41, 0.028, 0.34)
    image = _forest(sheet, image, horizon + 0.02, 43, 0.05, 0.12)
    image = _meadow(sheet, image, horizon + 0.015)
    image = _river(sheet, _shadows(sheet, image), horizon + 0.018)
    image = _trees(sheet, image)
    return finished(image, sheet, vignette=0.1)


def _sky(sheet: Sheet, horizon: float) -> np.ndarray:
    """Blue above, warm below, with heaped clouds lit from the left."""
    high = sheet.y / horizon
    image = ramp(high + 0 * sheet.x, SKY)
    cloud = noise(sheet, 12, 2.6, octaves=7, stretch=1.7)
    toward = noise(sheet._replace(x=sheet.x - 0.022, y=sheet.y - 0.03), 12, 2.6, octaves=7, stretch=1.7)
    body = smooth(0.1, 0.5, cloud - 0.35 * (high - 0.42) ** 2) * smooth(1.05, 0.7, high)
    light = smooth(-0.35, 0.3, cloud - toward + 0.12 * (0.45 - cloud))
    return mix(image, ramp(light, {0.0: "8fa5c4", 0.5: "dbe2ec", 1.0: "fffaf0"}), body)


def _mountains(sheet: Sheet, image, foot, seed, rise, stone, haze) -> np.ndarray:
    """A range with lit and shaded flanks, snow on top and haze below."""
    ridge = foot - rise * (0.62 + profile(sheet.x, seed, 2.6, octaves=6, fall=0.48))
    depth = sheet.y - ridge
    rock = _crags(sheet, seed)
    step = max(1, round(0.006 * sheet.unit))
    tilt = rock - np.roll(rock, (-step // 2, -step), (0, 1))
    slope = _soft(np.gradient(ridge[0], 1 / sheet.unit)[None, :], sheet.unit)
    flank = -0.3 * np.tanh(1.5 * slope) * np.exp(-np.maximum(depth, 0) / 0.1)
    light = smooth(-0.5, 0.5, flank + 3.4 * tilt)
    snow = ramp(light, {0.0: "4f70ab", 0.4: "a3bbdf", 0.65: "f3ece6", 1.0: "fffdf8"})
    level = depth + 0.5 * (ridge - foot + rise) + 0.16 * rock - 0.2 * light * rise
    face = mix(ramp(light, stone), snow, smooth(0.025, -0.025, level - 0.11) * (rise > 0.2))
    face = mix(face, HAZE, haze * 0.75 + 0.5 * smooth(foot - 0.6 * rise, foot, sheet.y) * (1 - haze))
    return mix(image, face, np.clip(depth * sheet.unit + 0.5, 0, 1))


def _crags(sheet: Sheet, seed: int) -> np.ndarray:
    """Rock with sharp edges: [h, w], about 0."""
    octaves = (np.abs(noise(sheet, seed + n, 4.5 * 2**n, octaves=1, stretch=0.6)) * 0.45**n for n in range(6))
    return np.asarray(0.5 - sum(octaves))


def _soft(line: np.ndarray, unit: float) -> np.ndarray:
    """A line's average over a short way: [1, w] -> [1, w]."""
    width = max(1, round(0.03 * unit))
    padded = np.pad(line[0], (width, width), mode="edge")
    total = np.cumsum(padded)
    return ((total[2 * width :] - total[: -2 * width]) / (2 * width))[None, :].astype(np.float32)


def _forest(sheet: Sheet, image, foot, seed, tall, haze) -> np.ndarray:
    """A row of firs along a hill."""
    rng, stencil = np.random.default_rng(seed), Stencil(sheet)
    for x in np.arange(-1.6, 1.6, tall * 0.24):
        base = foot + 0.05 * float(profile(np.array([x]), seed, 1.5, octaves=2)[0]) - 0.02 * abs(x)
        _fir(stencil, x + rng.uniform(-0.2, 0.2) * tall, base, tall * rng.uniform(0.6, 1.25))
        stencil.polygon([(x - tall / 2, base), (x + tall / 2, base), (x + tall / 2, 9), (x - tall / 2, 9)])
    shade = smooth(-0.7, 0.7, noise(sheet, seed, 45, octaves=2, stretch=0.5))
    green = ramp(shade, {0.0: "16301f", 0.6: "2f5230", 1.0: "5f7a3a"})
    return mix(image, mix(green, HAZE, haze + 0 * shade), stencil.mask)


def _fir(stencil: Stencil, x: float, y: float, tall: float) -> None:
    """A fir: tiers that widen downwards."""
    for top, bottom, wide in ((1.0, 0.6, 0.11), (0.78, 0.33, 0.17), (0.55, 0.0, 0.23)):
        stencil.polygon(
            [(x, y - top * tall), (x - wide * tall, y - bottom * tall), (x + wide * tall, y - bottom * tall)]
        )


def _meadow(sheet: Sheet, image: np.ndarray, horizon: float) -> np.ndarray:
    """Grass, whose tufts grow towards us, with flowers in front."""
    depth = np.maximum(sheet.y - horizon, 0.0)
    reach = np.log1p(depth / 0.05) / np.log1p((sheet.height - horizon) / 0.05)
    rows = (reach[:, 0] * (sheet.shape[0] - 1)).astype(int)
    patches = noise(sheet, 51, 7, octaves=5, stretch=2.5)[rows]
    tufts = noise(sheet, 52, 90, octaves=3, stretch=0.35)
    light = 0.55 + 0.5 * patches + 0.3 * tufts * reach + 0.12 * (1 - reach)
    grass = ramp(light, MEADOW)
    grass = mix(grass, HAZE, 0.3 * (1 - reach) + 0 * sheet.x)
    rise = horizon + 0.02 * profile(sheet.x, 53, 2, octaves=2)
    return mix(image, grass, np.clip((sheet.y - rise) * sheet.unit + 0.5, 0, 1))


def _river(sheet: Sheet, image: np.ndarray, horizon: float) -> np.ndarray:
    """A river that winds and widens towards us and holds the sky."""
    near = np.clip((sheet.y - horizon) / (sheet.height - horizon), 0, 1)
    middle = 0.1 + 0.2 * np.sin(5.6 * near**0.55 + 0.5) * (0.35 + 0.65 * near)
    middle = middle + 0.01 * profile(sheet.y, 61, 14, octaves=3)
    half = (0.006 + 0.235 * near**1.35) * (1 + 0.3 * profile(sheet.y, 63, 9, octaves=3))
    inside = half - np.abs(sheet.x - middle)
    first = sheet.row(horizon)
    index = np.clip(2 * first - np.arange(sheet.shape[0]) - round(0.02 * sheet.unit), 0, sheet.shape[0] - 1)
    ripple = noise(sheet, 62, 18, octaves=4, stretch=6)
    shift = (ripple * 0.05 * near * sheet.unit).astype(int)
    source = np.clip(index[:, None] + shift, 0, sheet.shape[0] - 1)
    sky = image[source, np.arange(sheet.shape[1])[None, :]]
    water = mix(sky * 0.92, colour("2c6aa6"), np.clip(0.3 + 0.2 * near + 0.4 * ripple, 0, 0.85))
    water = mix(water, colour("f8f4e6"), smooth(0.3, 0.65, ripple) * 0.7)
    bank = smooth(-0.006 - 0.03 * near, 0.0, inside + 0.02 * near * ripple) * (sheet.y > horizon)
    image = mix(image, ramp(0.5 + 0.5 * ripple, {0.0: "6b5a3c", 1.0: "c9b483"}), 0.8 * bank)
    shadow = smooth(0.03 * near + 0.003, 0.0, inside) * 0.5
    return mix(image, water * (1 - shadow)[..., None], np.clip(inside * sheet.unit, 0, 1) * (sheet.y > horizon))


def _shadows(sheet: Sheet, image: np.ndarray) -> np.ndarray:
    """The firs' shadows on the grass."""
    image = image.copy()
    for x, down, tall in FIRS:
        y = down * sheet.height
        part, place = sheet.window(x - 0.2 * tall, y - 0.04 * tall, x + 0.6 * tall, y + 0.04 * tall)
        away = np.hypot((part.x - x - 0.2 * tall) / (0.3 * tall), (part.y - y) / (0.03 * tall))
        image[place] = mix(image[place], colour("1b2c1c"), 0.75 * smooth(1.1, 0.2, away))
    return image


def _trees(sheet: Sheet, image: np.ndarray) -> np.ndarray:
    """Firs on both banks, branch by branch, light from the left."""
    rng = np.random.default_rng(71)
    picture = Image.fromarray((np.clip(image, 0, 1) * 255).astype(np.uint8))
    for x, down, tall in FIRS:
        _branches(sheet, ImageDraw.Draw(picture), rng, x, down * sheet.height, tall)
    return np.asarray(picture, np.float32) / 255


def _branches(sheet: Sheet, pen: ImageDraw.ImageDraw, rng, x: float, y: float, tall: float) -> None:
    """A fir: a trunk, then branches from the foot up, those that face us last and lightest."""
    pen.polygon(
        [tuple(p) for p in sheet.pixels([(x - 0.013 * tall, y), (x + 0.013 * tall, y), (x, y - tall)])],
        fill=(52, 38, 30),
    )
    t = np.repeat(np.linspace(0.96, 0.0, 64), 16)
    t = np.clip(t + rng.uniform(-0.008, 0.008, t.size), 0, 1)
    side = np.sin(rng.uniform(-np.pi / 2, np.pi / 2, t.size))
    reach = (0.022 + 0.2 * t**0.85) * (0.8 + 0.2 * np.sin(58 * t)) * rng.uniform(0.7, 1.1, t.size)
    root = np.stack([x + 0.35 * side * reach * tall, y - tall + (t * 0.93) * tall], axis=-1)
    drop = 0.02 + 0.34 * reach * (1.15 - 0.5 * np.abs(side))
    tip = root + tall * np.stack([0.65 * side * reach, drop], axis=-1)
    light = 0.42 - 0.42 * side + 0.16 * (1 - np.abs(side)) - 0.15 * t + rng.normal(0, 0.13, t.size)
    fill = (ramp(light, {0.0: "0f2219", 0.4: "25452b", 0.75: "587a36", 1.0: "b5b45a"}) * 255).astype(int).tolist()
    lines, wide = (
        sheet.pixels(np.stack([root, tip], axis=1)).reshape(-1, 4).tolist(),
        max(1, round(0.011 * tall * sheet.unit)),
    )
    for line, tint in zip(lines, fill, strict=True):
        pen.line(line, fill=tuple(tint), width=wide)
