"""A city by the water at dusk."""

from __future__ import annotations

import numpy as np

from nst_jax.pictures.samples.sheet import Sheet, Stencil, blurred, colour, finished, mix, noise, ramp, smooth

WINDOW = (0.0085, 0.0125)  # units: across, down
SUN = 0.2
DUSK = {0.0: "1b2450", 0.35: "4a4080", 0.6: "a5577f", 0.8: "e98a5d", 0.93: "fbc271", 1.0: "ffe3a6"}
BOAT = (  # hull, sails, mast
    ((-0.42, -0.1), (0.45, -0.12), (0.3, 0.03), (-0.3, 0.03)),
    ((0.02, -1.1), (0.02, -0.17), (0.42, -0.17)),
    ((-0.02, -0.98), (-0.02, -0.17), (-0.34, -0.17)),
    ((0, -1.16), (0, -0.1)),
)


def paint(sheet: Sheet) -> np.ndarray:
    """The whole picture: -> [h, w, 3]."""
    horizon = 0.62 * sheet.height
    image = _sky(sheet, horizon)
    for seed, size, dark, lit in (
        (1, 0.8, "a9687f", 0.0),
        (2, 1.0, "5d4269", 0.12),
        (3, 0.86, "1d1b35", 0.42),
    ):
        image = _city(sheet, image, horizon, seed, size, colour(dark), lit)
    image = mix(image, colour("171429"), _bridge(sheet, horizon))
    image = _lamps(sheet, image, horizon)
    image = image + 0.55 * blurred(np.clip(image - 0.62, 0, 1), max(1, round(0.03 * sheet.unit)))
    image = _water(sheet, image, horizon)
    image = mix(image, colour("120f20"), _boats(sheet, horizon))
    return finished(image, sheet)


def _sky(sheet: Sheet, horizon: float) -> np.ndarray:
    """Dusk, a low sun, and clouds lit from below."""
    away = np.hypot(sheet.x - SUN, 1.6 * (sheet.y - horizon + 0.06))
    height = sheet.y / horizon + 0.16 * np.exp(-((away / 0.35) ** 2)) - 0.05 * np.abs(sheet.x - SUN)
    image = ramp(height, DUSK)
    cloud = noise(sheet, 301, 5, octaves=6, stretch=4)
    below = noise(sheet._replace(y=sheet.y + 0.02), 301, 5, octaves=6, stretch=4)
    body = smooth(0.0, 0.55, cloud + 0.2) * smooth(1.0, 0.75, sheet.y / horizon)
    glow = smooth(-0.2, 0.35, cloud - below)
    lit = ramp(sheet.y / horizon + 0 * sheet.x, {0.0: "5f4a8c", 0.35: "b8618c", 0.65: "ff8f70", 1.0: "ffd9a0"})
    image = mix(image, mix(0.72 * image, lit, glow), 0.85 * body)
    disc = smooth(0.053, 0.05, np.hypot(sheet.x - SUN, sheet.y - horizon + 0.085))
    return mix(image, colour("fff2cf"), disc) + np.exp(-away / 0.11)[..., None] * colour("4a2c10")


def _city(sheet: Sheet, image, horizon, seed, size, dark, lit) -> np.ndarray:
    """One row of buildings, in front of what is there."""
    rng, image, left = np.random.default_rng(seed), image.copy(), -1.6
    while left < 1.6:
        width = rng.uniform(0.035, 0.085)
        middle = left + width / 2
        rise = (
            0.07 + 0.3 * np.exp(-((middle + 0.14) ** 2) / 0.045) + 0.12 * np.exp(-((np.abs(middle) - 0.75) ** 2) / 0.05)
        )
        height = size * rise * rng.uniform(0.45, 1.08)
        _tower(sheet, image, (left, horizon - height, left + width, horizon), dark, lit, rng)
        left += width * rng.uniform(0.82, 1.12)
    return image


def _tower(sheet: Sheet, image, box, dark, lit, rng) -> None:
    """A building with its windows, and on some a smaller one on top, and a mast."""
    left, top, right, bottom = box
    part, place = sheet.window(*box)
    tint = dark * rng.uniform(0.8, 1.2)
    side = np.clip((part.x - left) / (right - left), 0, 1) ** 3
    haze = smooth(0.25, 0.0, bottom - part.y) * 0.25
    face = mix(tint * np.ones(image[place].shape, np.float32), colour("d98a72"), np.maximum(0.22 * side, haze))
    share, glow = _windows(part, left, top, lit * rng.uniform(0.4, 1.5), rng)
    image[place] = mix(face, glow, share)
    step = rng.random()
    if step < 0.5 and right - left > 0.025:
        inset = 0.2 * (right - left)
        _tower(sheet, image, (left + inset, top - rng.uniform(0.015, 0.05), right - inset, top), dark, lit, rng)
    elif step < 0.75:
        middle, thin = (left + right) / 2, 0.0012
        image[sheet.window(middle - thin, top - 0.05, middle + thin, top)[1]] = dark * 0.9


def _windows(sheet: Sheet, left: float, top: float, lit: float, rng) -> tuple[np.ndarray, np.ndarray]:
    """Where light falls out of windows, and its colour: -> [h, w], [h, w, 3]."""
    across, down = (sheet.x - left) / WINDOW[0], (sheet.y - top) / WINDOW[1]
    brightness = np.where(rng.random((80, 12)) < lit, rng.uniform(0.35, 1.0, (80, 12)), 0.0)
    warmth = rng.random((80, 12))
    cell = np.ix_(down[:, 0].astype(int) % 80, across[0].astype(int) % 12)
    pane = (np.abs(across % 1 - 0.5) < 0.29) & (np.abs(down % 1 - 0.5) < 0.3) & (down > 0.6)
    return brightness[cell] * pane, ramp(warmth[cell], {0.0: "ff9f4a", 0.6: "ffd88a", 1.0: "e8f1ff"})


def _bridge(sheet: Sheet, horizon: float) -> np.ndarray:
    """A hanging bridge, from the city to the right: -> [h, w]."""
    stencil, deck, top = Stencil(sheet), horizon - 0.032, horizon - 0.225
    stencil.polygon([(0.06, deck), (1.7, deck), (1.7, deck + 0.009), (0.06, deck + 0.009)])
    for tower in (0.33, 0.93, 1.53):
        for leg in (tower - 0.012, tower + 0.012):
            stencil.line([(leg, top), (leg, horizon + 0.004)], 0.007)
        for beam in (top + 0.01, top + 0.07, top + 0.13):
            stencil.line([(tower - 0.012, beam), (tower + 0.012, beam)], 0.006)
    for span in ((-0.03, 0.33), (0.33, 0.93), (0.93, 1.53)):
        x = np.linspace(*span, 41)
        sag = 4 * (x - span[0]) * (span[1] - x) / (span[1] - span[0]) ** 2
        cable = top + (deck - 0.006 - top) * sag
        if span[0] < 0:
            cable = deck + (top - deck) * np.clip((x - 0.06) / 0.27, 0, 1) ** 1.6
        stencil.line(np.stack([x, cable], axis=-1), 0.0035)
        for at, hang in zip(x[1::2], cable[1::2], strict=True):
            stencil.line([(at, hang), (at, max(hang, deck))], 0.0012, 190)
    return stencil.mask


def _lamps(sheet: Sheet, image: np.ndarray, horizon: float) -> np.ndarray:
    """Lamps along the bridge and the quay, each with its glow."""
    image = image.copy()
    quay = np.arange(-1.5, 0.1, 0.043)
    lamps = [(x, horizon - 0.008) for x in quay] + [(x, horizon - 0.037) for x in np.arange(0.1, 1.6, 0.04)]
    for x, y in lamps:
        part, place = sheet.window(x - 0.03, y - 0.03, x + 0.03, y + 0.03)
        away = np.hypot(part.x - x, part.y - y)
        light = np.clip(np.exp(-((away / 0.0035) ** 2)) + 0.3 * np.exp(-away / 0.008), 0, 1)
        image[place] = mix(image[place], colour("ffe2a0"), light * smooth(0.03, 0.015, away))
    return image


def _water(sheet: Sheet, image: np.ndarray, horizon: float) -> np.ndarray:
    """The picture above the horizon, broken by ripples that widen towards us."""
    first = sheet.row(horizon)
    part, place = sheet.window(-9, horizon, 9, 9)
    depth = part.y - horizon
    reach = np.log1p(depth / 0.02) / np.log1p((sheet.height - horizon) / 0.02)
    rows = (reach[:, 0] * (sheet.shape[0] - 1)).astype(int)
    wave = noise(sheet, 21, 22, octaves=3, stretch=5)[rows]
    source = horizon - depth * 1.25 + (0.006 + 0.16 * depth) * wave
    index = np.clip((source * sheet.unit).astype(int), 0, max(first - 1, 0))
    seen = image[index, np.arange(sheet.shape[1])[None, :]]
    seen = 0.6 * seen + 0.4 * blurred(seen, max(1, round(0.012 * sheet.unit)))
    fade = smooth(0.0, 0.42 * sheet.height, depth)
    water = mix(seen * 0.86, colour("141c3c"), 0.22 + 0.42 * fade - 0.12 * np.clip(wave, -1, 1))
    glitter = smooth(0.25, 0.7, wave) * np.exp(-((part.x - SUN) ** 2) / (0.006 + 0.05 * depth)) * (1 - fade)
    image = image.copy()
    image[place] = mix(water, colour("ffd49a"), 0.75 * glitter)
    image[first : first + max(1, round(0.004 * sheet.unit))] *= 0.45
    return image


def _boats(sheet: Sheet, horizon: float) -> np.ndarray:
    """Sailing boats on the water and their shadows: -> [h, w]."""
    stencil, deep = Stencil(sheet), sheet.height - horizon
    for x, down, size in ((-0.27, 0.5, 0.15), (0.06, 0.2, 0.06), (-0.95, 0.3, 0.1), (0.8, 0.6, 0.16)):
        for flip, share in ((1.0, 255), (-0.35, 95)):
            hull, main, jib, mast = (
                np.array([x, horizon + down * deep]) + size * np.array(shape) * [1.0, flip] for shape in BOAT
            )
            for sail in (hull, main, jib):
                stencil.polygon(sail, share)
            stencil.line(mast, size * 0.018, share)
    return stencil.mask
