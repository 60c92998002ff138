"""Pictures drawn at random, for what photographs lack: strokes, tiles, hatching, leaves, clouds of any slope."""

import functools

import numpy as np
from PIL import Image, ImageDraw

from nst_jax.pictures import samples

SAMPLES = ("landscape", "mosaic", "pointillism", "watercolour", "stained_glass")  # the others are what we judge by


def draw(random: np.random.Generator, edge: int) -> np.ndarray:
    """Any drawing: -> [edge, edge, 3] float32 in [0, 1]."""
    kind = KINDS[random.integers(len(KINDS))]
    return kind(random, edge).clip(0, 1).astype(np.float32)


def enlarge(cells: np.ndarray, edge: int) -> np.ndarray:
    """A small picture made large and smooth: [n, n, 3] -> [edge, edge, 3]."""
    planes = [
        Image.fromarray(plane).resize((edge, edge), Image.Resampling.BICUBIC) for plane in np.moveaxis(cells, 2, 0)
    ]
    return np.stack([np.asarray(plane) for plane in planes], -1)


def palette(random: np.random.Generator) -> np.ndarray:
    """A few colours that may belong together: -> [n, 3]."""
    n, base = random.integers(2, 8), random.uniform(0, 1, 3)
    return (base + random.uniform(0.1, 0.6) * random.normal(size=(n, 3))).clip(0, 1)


def clouds(random: np.random.Generator, edge: int) -> np.ndarray:
    """Noise whose amplitude falls with frequency by any power, in correlated colours."""
    fy, fx = np.fft.fftfreq(edge)[:, None, None], np.fft.fftfreq(edge)[None, :, None]
    slope = (fy**2 + fx**2 + edge**-2.0) ** (-random.uniform(0.2, 1.2))
    waves = np.fft.fft2(random.normal(size=(edge, edge, 3)), axes=(0, 1)) * slope
    image = np.fft.ifft2(waves, axes=(0, 1)).real
    mix = np.eye(3) + random.uniform(0, 2) * random.normal(size=(3, 3))
    image = image / image.std() @ mix
    return 0.5 + random.uniform(0.1, 0.35) * image / image.std()


def leaves(random: np.random.Generator, edge: int) -> np.ndarray:
    """Discs, boxes and slivers over one another, of any size, as objects hide each other."""
    scale, colours = 2, palette(random)
    sheet = Image.new("RGB", (edge * scale, edge * scale), _rgb(colours[0]))
    pen, kind = ImageDraw.Draw(sheet), random.integers(3)
    for size in edge * scale * 0.5 * random.power(0.4, random.integers(40, 300)):
        x, y = random.uniform(0, edge * scale, 2)
        a, b = size * random.uniform(0.3, 1, 2)
        shade = _rgb(colours[random.integers(len(colours))] + random.normal(0, 0.08, 3))
        if kind == 0:
            pen.ellipse((x - a, y - b, x + a, y + b), fill=shade)
        elif kind == 1:
            pen.rectangle((x - a, y - b, x + a, y + b), fill=shade)
        else:
            pen.polygon([tuple(p) for p in (x, y) + size * random.normal(size=(random.integers(3, 6), 2))], fill=shade)
    return _reduce(sheet, scale)


def strokes(random: np.random.Generator, edge: int) -> np.ndarray:
    """Brush strokes along a smooth field of directions, coloured by a coarse picture."""
    scale, ground = 2, enlarge(palette(random)[random.integers(0, 2, (5, 5))].astype(np.float32), edge * 2)
    angle = enlarge(random.normal(0, random.uniform(0.3, 3), (4, 4, 3)).astype(np.float32), edge * 2)[..., 0]
    sheet = Image.fromarray((ground.clip(0, 1) * 255).astype(np.uint8))
    pen, width = ImageDraw.Draw(sheet), int(random.integers(2, 12))
    steps, spread = random.integers(3, 12), random.uniform(0.03, 0.25)
    for _ in range(random.integers(150, 900)):
        points = [random.uniform(0, edge * scale - 1, 2)]
        shade = ground[tuple(points[0].astype(int))] + random.normal(0, spread) + random.normal(0, spread / 2, 3)
        for _ in range(steps):
            turn = angle[tuple(points[-1].astype(int).clip(0, edge * scale - 1))]
            points.append(points[-1] + 1.5 * width * np.array([np.sin(turn), np.cos(turn)]))
        pen.line([(p[1], p[0]) for p in points], fill=_rgb(shade), width=width, joint="curve")
    return _reduce(sheet, scale)


def tiles(random: np.random.Generator, edge: int) -> np.ndarray:
    """Cells nearest to scattered points, with or without joints."""
    n, colours = random.integers(20, 250), palette(random)
    points = random.uniform(0, edge, (n, 2)).astype(np.float32)
    y, x = np.mgrid[0:edge, 0:edge].astype(np.float32)
    far = np.sqrt((y[..., None] - points[:, 0]) ** 2 + (x[..., None] - points[:, 1]) ** 2)
    near = np.partition(far, 1, axis=-1)
    shades = colours[random.integers(0, len(colours), n)] + random.normal(0, 0.1, (n, 3))
    image = shades[far.argmin(-1)]
    joint = (near[..., 1] - near[..., 0] < random.choice([0.0, 1.5, 3.0]))[..., None]
    return np.where(joint, colours[0], image)


def hatching(random: np.random.Generator, edge: int) -> np.ndarray:
    """Parallel and crossed lines whose weight follows a coarse picture: engravings, woodcuts, cloth."""
    y, x = np.mgrid[0:edge, 0:edge] / edge
    tone = enlarge(random.uniform(0, 1, (5, 5, 3)).astype(np.float32), edge)
    ink = np.zeros((edge, edge, 1))
    for _ in range(random.integers(1, 4)):
        turn, lines = random.uniform(0, np.pi), random.uniform(8, edge / 3)
        bend = random.uniform(0, 3) * tone[..., 1]
        phase = np.sin(2 * np.pi * lines * (np.cos(turn) * x + np.sin(turn) * y) + bend * np.pi)
        ink = np.maximum(ink, 1 / (1 + np.exp(-(phase - 2 * tone[..., 0] + random.uniform(0, 1)) * 8))[..., None])
    paper, dark = palette(random)[:2]
    return ink * dark + (1 - ink) * (paper + 0.2 * random.uniform() * (tone - 0.5))


def gradients(random: np.random.Generator, edge: int) -> np.ndarray:
    """Smooth skies, with some grain."""
    n = random.integers(2, 6)
    image = enlarge(random.uniform(0, 1, (n, n, 3)).astype(np.float32), edge)
    return image + random.normal(0, random.uniform(0, 0.05), image.shape)


def sample(random: np.random.Generator, edge: int) -> np.ndarray:
    """A piece of one of the package's own sample pictures, those left out that we judge by."""
    picture = _sample(SAMPLES[random.integers(len(SAMPLES))])
    side = random.integers(edge, max(edge + 1, 384))
    y, x = random.integers(0, 384 - side + 1, 2)
    part = Image.fromarray(picture[y : y + side, x : x + side])
    return np.asarray(part.resize((edge, edge), Image.Resampling.LANCZOS), np.float32) / 255


@functools.cache
def _sample(name):
    return (samples.draw(name, (384, 384)) * 255).astype(np.uint8)


KINDS = (clouds, leaves, leaves, strokes, strokes, tiles, hatching, gradients, sample)


def _rgb(colour):
    return tuple(int(c) for c in (np.clip(colour, 0, 1) * 255))


def _reduce(sheet, scale):
    return np.asarray(sheet.reduce(scale), np.float32) / 255
