"""An afternoon by the river, in dots of pure colour."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from nst_jax.pictures.samples.sheet import Sheet, Stencil, colour, mix, noise, ramp, smooth

LAYERS = (
    (0.0108, 0.0082, 0.08, 121),
    (0.0094, 0.0064, 0.16, 122),
    (0.0094, 0.005, 0.24, 123),
)  # spacing, radius, contrast, seed
SHIFTS = np.array(
    [
        [0.9, 0.2, -0.9],
        [-0.8, -0.1, 0.9],
        [0.7, -0.7, 0.2],
        [-0.6, 0.7, -0.3],
        [0.6, 0.6, 0.2],
        [-0.2, -0.4, 0.5],
    ]
)
SKY = {0.0: "6fa8dc", 0.6: "bcd6e6", 1.0: "fbe6b8"}
BOATS = ((0.12, 0.09, 0.17), (0.34, 0.05, 0.1), (-0.12, 0.035, 0.07), (0.8, 0.1, 0.17), (-0.85, 0.08, 0.15))
BOAT = (
    (((0, -1.1), (0, -0.12), (0.45, -0.12)), "fff7e0"),
    (((-0.03, -1), (-0.03, -0.12), (-0.33, -0.12)), "f0b27a"),
    (((-0.4, -0.09), (0.48, -0.09), (0.33, 0), (-0.3, 0)), "8c2f39"),
)
DRESS = ((0.165, 0), (0.285, 0), (0.25, -0.12), (0.243, -0.2), (0.207, -0.2), (0.2, -0.12), (0.155, -0.1))


def paint(sheet: Sheet) -> np.ndarray:
    """The whole picture: -> [h, w, 3]."""
    scene = _scene(sheet)
    canvas = Image.new("RGB", (sheet.shape[1], sheet.shape[0]), (236, 224, 196))
    for spacing, radius, contrast, seed in LAYERS:
        _dots(sheet, canvas, scene, spacing, radius, contrast, seed)
    return np.asarray(canvas, np.float32) / 255


def _dots(sheet: Sheet, canvas, scene, spacing, radius, contrast, seed) -> None:
    """One layer of dots; neighbours lean to opposite hues, and the eye mixes them."""
    rng, count = np.random.default_rng(seed), int(3.1 / spacing)
    jitter = rng.uniform(-0.2, 1.2, (2, count, count))
    x, y = ((np.stack(np.meshgrid(np.arange(count), np.arange(count))) + jitter) * spacing).reshape(2, -1)
    kind, size = rng.integers(0, len(SHIFTS), x.size), rng.uniform(0.75, 1.15, x.size)
    order = rng.permutation(x.size)
    order = order[(np.abs(x[order] - 1.55) < sheet.width / 2 + 0.01) & (y[order] < sheet.height + 0.01)]
    places = sheet.pixels(np.stack([x[order] - 1.55, y[order]], axis=-1))
    columns, rows = np.clip(places.astype(int).T, 0, np.array([[sheet.shape[1] - 1], [sheet.shape[0] - 1]]))
    hue = np.clip(scene[rows, columns] + contrast * SHIFTS[kind[order]], 0, 1)
    fill = (hue * 255).astype(np.uint8).tolist()
    reach = (radius * size[order] * sheet.unit)[:, None]
    boxes = np.concatenate([places - reach, places + reach], axis=1).tolist()
    pen = ImageDraw.Draw(canvas)
    for box, tone in zip(boxes, fill, strict=True):
        pen.ellipse(box, fill=tuple(tone))


def _scene(sheet: Sheet) -> np.ndarray:
    """The colours of the dots: sky, far bank, water, lawn, and what stands on it."""
    far, near = 0.4 * sheet.height, 0.66 * sheet.height
    image = _river(sheet, far, near)
    image = _sails(sheet, image, far)
    light = 0.5 + 0.5 * noise(sheet, 127, 6, stretch=3) - 0.3 * (sheet.y - near)
    lawn = ramp(light, {0.0: "7d9a2c", 0.6: "b9c940", 1.0: "efe06a"})
    shade = noise(sheet, 128, 2.5, octaves=3, stretch=3) + 1.4 * (sheet.y - 0.87 * sheet.height)
    lawn = mix(lawn, colour("24506a"), 0.8 * smooth(-0.15, 0.15, shade))
    shore = near + 0.1 * sheet.x + 0.02 * np.sin(6 * sheet.x)
    image = mix(image, lawn, smooth(0.0, 0.004, sheet.y - shore))
    return _tree(sheet, _couple(sheet, image))


def _river(sheet: Sheet, far: float, near: float) -> np.ndarray:
    """Sky, a wooded bank and the water before it."""
    image = ramp(sheet.y / far + 0.1 * noise(sheet, 124, 3, stretch=3), SKY)
    woods = 0.05 * np.abs(np.sin(7 * sheet.x + 1)) * smooth(-0.4, 0.5, sheet.x) + 0.015 * np.sin(31 * sheet.x)
    wood = ramp(0.5 + 0.6 * noise(sheet, 125, 14), {0.0: "2f5f5a", 0.6: "6d9a56", 1.0: "c9c867"})
    image = mix(image, wood, smooth(0.0, 0.006, sheet.y - far + 0.035 + woods))
    ripple = noise(sheet, 126, 16, octaves=3, stretch=6)
    water = ramp((sheet.y - far) / (near - far) + 0.5 * ripple, {0.0: "f4dfae", 0.4: "8fc0d8", 1.0: "3a78b4"})
    return mix(image, water, smooth(0.0, 0.004, sheet.y - far))


def _sails(sheet: Sheet, image: np.ndarray, far: float) -> np.ndarray:
    """Boats, with light and shaded sails, and their mirror images."""
    for shape, tint in BOAT:
        stencil = Stencil(sheet)
        for x, down, size in BOATS:
            for flip, share in ((1.0, 255), (-0.6, 130)):
                stencil.polygon(np.array([x, far + down]) + size * np.array(shape) * [1.0, flip], share)
        image = mix(image, colour(tint), stencil.mask)
    return image


def _couple(sheet: Sheet, image: np.ndarray) -> np.ndarray:
    """A lady with a parasol, a gentleman, and their shadows."""
    foot = 0.9 * sheet.height
    dress, suit, skin, silk = (Stencil(sheet) for _ in range(4))
    shadow = np.hypot((sheet.x - 0.38) / 0.2, (sheet.y - foot) / 0.022)
    image = mix(image, colour("2a3f7a"), 0.8 * smooth(1.05, 0.9, shadow))
    dress.polygon(np.array(DRESS) + [0, foot])
    for low, high, wide in (
        (0.0, 0.22, 0.031),
        (0.265, 0.315, 0.02),
        (0.258, 0.268, 0.036),
    ):  # coat, hat, brim
        suit.polygon([(0.34 + dx * wide, foot - y) for dx, y in ((-1, low), (1, low), (1, high), (-1, high))])
    skin.disc(0.225, foot - 0.222, 0.021)
    skin.disc(0.34, foot - 0.242, 0.021)
    arc = np.linspace(0, np.pi, 24)
    silk.polygon(np.stack([0.2 + 0.12 * np.cos(arc), foot - 0.245 - 0.085 * np.sin(arc)], axis=-1))
    suit.line([(0.2, foot - 0.32), (0.218, foot - 0.15)], 0.005)
    lit = smooth(0.1, -0.05, sheet.x - 0.2 + 0.8 * (foot - 0.28 - sheet.y))
    gown = ramp(smooth(0.26, 0.17, sheet.x) + 0 * sheet.y, {0.0: "5b3a86", 1.0: "c77fb0"})
    image = mix(image, gown, dress.mask)
    image = mix(mix(image, colour("1f2547"), suit.mask), colour("f0c09a"), skin.mask)
    return mix(image, ramp(lit, {0.0: "b3202a", 1.0: "ff8a4a"}), silk.mask)


def _tree(sheet: Sheet, image: np.ndarray) -> np.ndarray:
    """A tree on the left whose leaves hang over the river."""
    foot = 0.83 * sheet.height
    bend = -0.36 + 0.03 * np.sin(4 * (sheet.y - foot))
    half = 0.028 + 0.03 * np.exp((sheet.y - foot) / 0.05)
    trunk = smooth(0.0, 0.006, half - np.abs(sheet.x - bend)) * (sheet.y < foot)
    bark = ramp((sheet.x - bend) / 0.06 + 0.5, {0.0: "d98a4a", 0.45: "6a3f4a", 1.0: "2b2350"})
    image = mix(image, bark, trunk)
    crown = 0.36 - np.hypot((sheet.x + 0.42) / 1.35, sheet.y - 0.06) + 0.1 * noise(sheet, 129, 6, octaves=3)
    light = 0.5 + 0.8 * noise(sheet, 130, 9, octaves=3) - 1.2 * (sheet.y - 0.15)
    leaves = ramp(light, {0.0: "173f4f", 0.4: "2f7a3f", 0.75: "9abf3a", 1.0: "f6e05a"})
    return mix(image, leaves, smooth(0.0, 0.02, crown))
