"""Whose colours a result has: functions on pictures before and after a run, so that no step or objective knows of it.

Pictures are [h, w, 3] float32 sRGB, and those that come back lie in [0, 1]. Lightness, hue and chroma are Oklab's.
A mode is a `Plan`, from `MODES` or by `palette`; `only` is no run at all but `recoloured`.
"""

from collections.abc import Callable
from functools import reduce
from typing import NamedTuple

import numpy as np

from nst_jax.ground.choices import hint
from nst_jax.pictures import images

STRETCH = (
    8.0  # ours: the most that a linear map stretches any colours, or a grey picture's last bits become its colours
)
BEND = 1.5  # ours: steepest slope of a curve of `recoloured`, one over its shallowest; 2 shows as bands in a sky
TURNS = 4  # ours: of the axes along which it compares colours; more come nearer to the painting's, and to bands
KNOTS = 10  # ours: of each of its curves
SAMPLES = 2**14  # pixels that these are measured from
GREY = 0.01  # ours, Oklab: chroma of a picture that looks grey, and spread of one that looks like a single colour
_CHUNK = 2**18  # pixels at a time: a picture of 24 megapixels costs its own memory twice, not ten times
_RIM = 1e-5  # what float32 rounds: no colour outside sRGB

# Ottosson 2020, "A perceptual color space for image processing": linear sRGB to cones; their cube roots to L, a, b
_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


class Plan(NamedTuple):
    """What a mode does to the pictures of a run: before it and after it."""

    prepared: Callable  # (content, styles) -> (content, styles): what to paint from
    finished: Callable  # (result, content) -> result: the content as it was before `prepared`


# Conversions, of any numbers: those beyond [0, 1] go on oddly about zero


def linear(image):
    """sRGB to linear light (IEC 61966-2-1): [...] -> [...]."""
    size = np.abs(image)
    return np.copysign(np.where(size <= 0.04045, size / 12.92, ((size + 0.055) / 1.055) ** 2.4), image)


def encoded(light):
    """The inverse of `linear`: [...] -> [...]."""
    size = np.abs(light)
    return np.copysign(np.where(size <= 0.0031308, size * 12.92, 1.055 * size ** (1 / 2.4) - 0.055), light)


def oklab(image):
    """sRGB to Oklab's L, a and b: [..., 3] -> [..., 3]."""
    light = linear(image)
    return np.cbrt(light @ _CONES.T.astype(light.dtype)) @ _LAB.T.astype(light.dtype)


def srgb(lab):
    """The inverse of `oklab`; what sRGB lacks lies outside [0, 1], for `fitted`: [..., 3] -> [..., 3]."""
    roots = lab @ np.linalg.inv(_LAB).T.astype(lab.dtype)
    return encoded(roots**3 @ np.linalg.inv(_CONES).T.astype(lab.dtype))


def fitted(image):
    """Colours outside sRGB made paler until they are inside, at their lightness and hue: [..., 3] -> [..., 3]."""
    image = np.array(image)
    outside = ((image < -_RIM) | (image > 1 + _RIM)).any(-1)
    lab = oklab(image[outside])  # [n, 3]
    lab[:, 0] = np.clip(lab[:, 0], 0, 1)

    def paler(share):
        return srgb(np.concatenate([lab[:, :1], lab[:, 1:] * share[:, None]], 1))

    low, high = np.zeros_like(lab[:, 0]), np.ones_like(lab[:, 0])
    for _ in range(12):  # to 1/4096 of the chroma
        middle = (low + high) / 2
        colours = paler(middle)
        inside = ((colours >= -_RIM) & (colours <= 1 + _RIM)).all(-1)
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    image[outside] = paler(low)
    return np.clip(image, 0, 1)


def _by_chunks(function, *pictures):
    """A function of pixels over whole pictures, in the memory of one chunk: n × [h, w, 3] -> [h, w, 3]."""
    pictures = [np.asarray(picture) for picture in pictures]
    height, width = pictures[0].shape[:2]
    rows, whole = max(1, _CHUNK // width), np.empty((height, width, 3), np.float32)
    for top in range(0, height, rows):
        whole[top : top + rows] = function(*(np.asarray(p[top : top + rows], np.float32) for p in pictures))
    return whole


# Linear maps of colours: covariances from and to, [3, 3], [3, 3] -> [3, 3]


def _power(covariance, exponent):
    """A power of a symmetric matrix, singular ones made regular below what float32 holds: [3, 3] -> [3, 3]."""
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.maximum(values, 1e-12) ** exponent @ vectors.T


def chol(source, target):
    """L_t L_s⁻¹, of the Cholesky factors (Gatys et al. 2016, "Preserving color", section 3)."""
    lower, goal = (np.linalg.cholesky(_power(covariance, 1)) for covariance in (source, target))
    return goal @ np.linalg.inv(lower)


def pca(source, target):
    """Σ_t^½ Σ_s^-½, along principal axes (Hertzmann et al. 2001; Gatys et al. 2016, "Preserving color", section 3)."""
    return _power(target, 0.5) @ _power(source, -0.5)


def sym(source, target):
    """Σ_s^-½ (Σ_s^½ Σ_t Σ_s^½)^½ Σ_s^-½, which moves colours least (Pitié & Kokaram 2007, Monge-Kantorovitch)."""
    root, back = _power(source, 0.5), _power(source, -0.5)
    return back @ _power(root @ target @ root, 0.5) @ back


def statistics(pixels):
    """Mean and covariance of colours, in float64: [..., 3] -> [3], [3, 3]."""
    flat = np.asarray(pixels).reshape(-1, 3)
    mean, outer = flat.mean(0, dtype=np.float64), np.zeros((3, 3))
    for start in range(0, len(flat), _CHUNK):
        centred = flat[start : start + _CHUNK] - mean
        outer += centred.T @ centred
    return mean, outer / len(flat)


def between(source, target, *, how=sym) -> Callable:
    """x -> A (x - μ_s) + μ_t with A = how(Σ_s, Σ_t), no gain over `STRETCH`: two `statistics` -> function."""
    (mean, covariance), (goal, spread) = source, target
    left, gains, right = np.linalg.svd(how(covariance, spread))
    matrix = left * np.minimum(gains, STRETCH) @ right
    return lambda pixels: (pixels - mean) @ matrix.T + goal


def matched(image, target, *, how=sym):
    """A picture with the mean and covariance of another's colours, `fitted`: [h, w, 3], [h', w', 3] -> [h, w, 3]."""
    change = between(statistics(image), statistics(target), how=how)
    return _by_chunks(lambda pixels: fitted(change(pixels)), image)


# Lightness alone


def _grey(lab, target):
    """A picture's lightness, its mean and deviation made those of another's, as greys: two [h, w, 3] -> [h, w, 3]."""
    (mean, spread), (goal, wanted) = (
        (x[..., 0].mean(dtype=np.float64), x[..., 0].std(dtype=np.float64)) for x in (lab, target)
    )
    gain = min(wanted / max(spread, 1e-6), STRETCH)
    return _by_chunks(lambda x: encoded(np.clip((x[..., :1] - mean) * gain + goal, 0, 1) ** 3), lab)


def greys(content, styles):
    """A run's pictures without colour, the styles' lightness with the content's mean and deviation: as given.

    L_S' = σ_C/σ_S (L_S - μ_S) + μ_C (Gatys et al. 2017, luminance-only transfer), of Oklab's L instead of luminance.
    """
    light = _by_chunks(oklab, content)
    return _grey(light, light), [_grey(_by_chunks(oklab, style), light) for style in styles]


def coloured(result, content):
    """The lightness of a result, hue and chroma of the content: [h, w, 3], [h', w', 3] -> [h, w, 3]."""

    def joined(painted, seen):
        return fitted(srgb(np.concatenate([oklab(painted)[..., :1], oklab(seen)[..., 1:]], -1)))

    return _by_chunks(joined, result, images.resize(content, result.shape))


# Colour alone


def _drawn(image, count):
    """Oklab of some pixels of a picture, the same ones each time: [h, w, 3], n -> [n, 3]."""
    flat = np.asarray(image).reshape(-1, 3)
    return oklab(flat[np.random.default_rng(0).integers(0, len(flat), count)].astype(np.float64))


def _curve(values, goal):
    """The knots of a curve that brings quantiles near others, its slopes within `BEND`: [n], [m] -> [k], [k]."""
    shares = (np.arange(KNOTS) + 0.5) / KNOTS
    x, aim = np.quantile(values, shares), np.quantile(goal, shares)
    slopes = np.clip((np.diff(aim) + 1e-6) / (np.diff(x) + 1e-6), 1 / BEND, BEND)
    y = np.concatenate([[0], np.cumsum(slopes * np.diff(x))])
    y += (aim - y).mean()
    x, y = (np.concatenate([z[:1] - 9, z, z[-1:] + 9]) for z in (x, y))  # slope 1 beyond them
    return x, y


def _bent(colours, goal, axes):
    """Each coordinate along these axes by its `_curve`: [n, 3], [m, 3], [3, 3] -> function of colours."""
    curves = [_curve(*pair) for pair in zip((colours @ axes).T, (goal @ axes).T, strict=True)]

    def change(pixels):
        turned = pixels @ axes
        return np.stack([np.interp(turned[..., i], x, y) for i, (x, y) in enumerate(curves)], -1) @ axes.T

    return change


def recoloured(content, styles, *, weights=None):
    """The photograph in the colours of the styles, nothing painted: [h, w, 3], n × [h', w', 3] -> [h, w, 3].

    `sym` in Oklab, then iterative distribution transfer (Pitié et al. 2007, "Automated colour grading"), with curves of
    few knots and limited slope for its histograms: it comes near the distribution, without bands or amplified noise.
    """
    shares = np.ones(len(styles)) if weights is None else np.asarray(weights, np.float64)
    if len(shares) != len(styles) or not (shares >= 0).all() or not shares.sum() > 0:
        got = f"got {shares.tolist()} for {len(styles)} styles: give each style its own"
        raise ValueError(f"weights must be numbers ≥ 0 and not all 0, {got}")
    counts = np.rint(SAMPLES * shares / shares.sum()).astype(int)
    goal = np.concatenate([_drawn(style, count) for style, count in zip(styles, counts, strict=True)])
    random, colours = np.random.default_rng(0), _drawn(content, SAMPLES)
    changes = [between(statistics(colours), statistics(goal))]
    for turn in range(TURNS):
        colours = changes[-1](colours)
        axes = np.linalg.qr(random.normal(size=(3, 3)))[0] if turn else np.eye(3)
        changes.append(_bent(colours, goal, axes))
    return _by_chunks(lambda pixels: fitted(srgb(reduce(lambda x, f: f(x), changes, oklab(pixels)))), content)


# Names on the command line


def _kept(result, _):
    return result


def _matching(how):
    return Plan(lambda content, styles: (content, [matched(style, content, how=how) for style in styles]), _kept)


MODES = {
    "style": Plan(lambda content, styles: (content, list(styles)), _kept),
    "content-luminance": Plan(greys, coloured),
    "match-chol": _matching(chol),
    "match-pca": _matching(pca),
    "match-sym": _matching(sym),
}
CHOICES = (*MODES, "palette:IMAGE", "only")


def palette(image) -> Plan:
    """The mode in which every picture, and the result too, gets a third one's colours by `sym`: [h, w, 3] -> Plan."""
    lab = _drawn(image, SAMPLES)
    chroma, spread = np.sqrt(np.square(lab[:, 1:]).sum(1).mean()), np.sqrt(lab.var(0).sum())
    if min(chroma, spread) < GREY:
        got = "a grey one" if chroma < GREY else "one of a single colour"
        raise ValueError(f"palette must be a picture of several colours, got {got}: choose another picture")
    return Plan(
        lambda content, styles: (matched(content, image), [matched(style, image) for style in styles]),
        lambda result, _: matched(result, image),
    )


def parsed(text) -> tuple[str, str | None]:
    """A mode's name and, for a palette, its file: "palette:town.jpg" -> ("palette", "town.jpg")."""
    name, _, file = text.partition(":")
    if name == "palette" and file:
        return name, file
    if text in CHOICES:
        return text, None
    remedy = hint(name, CHOICES, otherwise="style is usual")
    raise ValueError(f"colour must be one of {', '.join(CHOICES)}, got {text!r}{remedy}")
