"""Whose colours a result has: functions on pictures before and after a run, so that no step or objective knows of it.

Pictures are [h, w, 3] float32 sRGB, and those that come back lie in [0, 1]. Lightness, hue and chroma are Oklab's.
A mode is one of `MODES` or made by `palette_mode`; `only` is no run at all but `recolour`.
"""

from collections.abc import Callable
from functools import reduce
from typing import NamedTuple

import numpy as np

from nst_jax.pictures import images
from nst_jax.pictures.colour_spaces import from_linear, from_oklab, map_to_gamut, to_oklab

MAX_GAIN = 8.0  # ours: of a linear map of colours; with more, the last bits of a grey picture become its colours
MAX_SLOPE = 1.5  # ours: of a curve of `recolour`, whose least is one over it; 2 shows as bands in a sky
ROTATIONS = 4  # ours: of the axes along which it compares colours; more come nearer to the painting's, and to bands
KNOTS = 10  # ours: of each of its curves
SAMPLES = 2**14  # pixels that these are measured from
GREY = 0.01  # ours, Oklab: chroma of a picture that looks grey, and spread of one that looks like a single colour
_CHUNK = 2**18  # pixels at a time: a picture of 24 megapixels costs its own memory twice, not ten times


class ColourMode(NamedTuple):
    """What is done to the pictures of a run before and after it."""

    before: Callable  # (content, styles) -> (content, styles): what to paint from
    after: Callable  # (result, content) -> result: the content as it was given


def _by_chunks(function, *pictures):
    """Apply a function of pixels to whole pictures, some rows at a time: n × [h, w, 3] -> [h, w, 3]."""
    pictures = [np.asarray(picture) for picture in pictures]
    height, width = pictures[0].shape[:2]
    rows, whole = max(1, _CHUNK // width), np.empty((height, width, 3), np.float32)
    for top in range(0, height, rows):
        whole[top : top + rows] = function(*(np.asarray(p[top : top + rows], np.float32) for p in pictures))
    return whole


# Linear maps of colours: covariances from and to, [3, 3], [3, 3] -> [3, 3]


def _power(covariance, exponent):
    """A power of a symmetric matrix, its eigenvalues at least what float32 resolves: [3, 3] -> [3, 3]."""
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


def affine_map(source, target, *, how=sym) -> Callable:
    """x -> A (x - μ_s) + μ_t with A = how(Σ_s, Σ_t), no gain over `MAX_GAIN`: two `statistics` -> function."""
    (mean, covariance), (goal, spread) = source, target
    left, gains, right = np.linalg.svd(how(covariance, spread))
    matrix = left * np.minimum(gains, MAX_GAIN) @ right
    return lambda pixels: (pixels - mean) @ matrix.T + goal


def match_colours(image, target, *, how=sym):
    """A picture with the mean and covariance of another's colours, in sRGB: [h, w, 3], [h', w', 3] -> [h, w, 3]."""
    change = affine_map(statistics(image), statistics(target), how=how)
    return _by_chunks(lambda pixels: map_to_gamut(change(pixels)), image)


# Lightness alone


def _lightness_as_greys(lab, target):
    """A picture's lightness with the mean and deviation of another's, as greys: Oklab [h, w, 3] twice -> sRGB."""
    (mean, spread), (goal, wanted) = (
        (x[..., 0].mean(dtype=np.float64), x[..., 0].std(dtype=np.float64)) for x in (lab, target)
    )
    gain = min(wanted / max(spread, 1e-6), MAX_GAIN)
    return _by_chunks(lambda x: from_linear(np.clip((x[..., :1] - mean) * gain + goal, 0, 1) ** 3), lab)


def match_lightness(content, styles):
    """A run's pictures without colour, the styles' lightness with the content's mean and deviation: as given.

    L_S' = σ_C/σ_S (L_S - μ_S) + μ_C (Gatys et al. 2017, luminance-only transfer), of Oklab's L instead of luminance.
    """
    target = _by_chunks(to_oklab, content)
    greys = [_lightness_as_greys(_by_chunks(to_oklab, style), target) for style in styles]
    return _lightness_as_greys(target, target), greys


def with_content_colours(result, content):
    """The lightness of a result with the hue and chroma of the content: [h, w, 3], [h', w', 3] -> [h, w, 3]."""

    def joined(painted, seen):
        return map_to_gamut(from_oklab(np.concatenate([to_oklab(painted)[..., :1], to_oklab(seen)[..., 1:]], -1)))

    return _by_chunks(joined, result, images.resize(content, result.shape))


# Colour alone


def _sample(image, count):
    """Oklab of some pixels of a picture, the same ones each time: [h, w, 3], n -> [n, 3]."""
    flat = np.asarray(image).reshape(-1, 3)
    return to_oklab(flat[np.random.default_rng(0).integers(0, len(flat), count)].astype(np.float64))


def _quantile_curve(values, goal):
    """The knots of a curve that brings quantiles near others, its slopes within `MAX_SLOPE`: [n], [m] -> [k], [k]."""
    shares = (np.arange(KNOTS) + 0.5) / KNOTS
    x, aim = np.quantile(values, shares), np.quantile(goal, shares)
    slopes = np.clip((np.diff(aim) + 1e-6) / (np.diff(x) + 1e-6), 1 / MAX_SLOPE, MAX_SLOPE)
    y = np.concatenate([[0], np.cumsum(slopes * np.diff(x))])
    y += (aim - y).mean()
    x, y = (np.concatenate([z[:1] - 9, z, z[-1:] + 9]) for z in (x, y))  # slope 1 beyond them
    return x, y


def _curves_along(colours, goal, axes):
    """Each coordinate along these axes by its `_quantile_curve`: [n, 3], [m, 3], [3, 3] -> function of colours."""
    curves = [_quantile_curve(*pair) for pair in zip((colours @ axes).T, (goal @ axes).T, strict=True)]

    def change(pixels):
        turned = pixels @ axes
        return np.stack([np.interp(turned[..., i], x, y) for i, (x, y) in enumerate(curves)], -1) @ axes.T

    return change


def recolour(content, styles, *, weights=None):
    """The photograph in the colours of the styles, nothing painted: [h, w, 3], n × [h', w', 3] -> [h, w, 3].

    `sym` in Oklab, then iterative distribution transfer (Pitié et al. 2007, "Automated colour grading"), with curves of
    few knots and limited slope for its histograms: it comes near the distribution, without bands or amplified noise.
    """
    shares = np.ones(len(styles)) if weights is None else np.asarray(weights, np.float64)
    if len(shares) != len(styles) or not (shares >= 0).all() or not shares.sum() > 0:
        got = f"got {shares.tolist()} for {len(styles)} styles: give each style its own"
        raise ValueError(f"weights must be numbers ≥ 0 and not all 0, {got}")
    counts = np.rint(SAMPLES * shares / shares.sum()).astype(int)
    goal = np.concatenate([_sample(style, count) for style, count in zip(styles, counts, strict=True)])
    random, colours = np.random.default_rng(0), _sample(content, SAMPLES)
    changes = [affine_map(statistics(colours), statistics(goal))]
    for turn in range(ROTATIONS):
        colours = changes[-1](colours)
        axes = np.linalg.qr(random.normal(size=(3, 3)))[0] if turn else np.eye(3)
        changes.append(_curves_along(colours, goal, axes))

    def change(pixels):
        return map_to_gamut(from_oklab(reduce(lambda lab, function: function(lab), changes, to_oklab(pixels))))

    return _by_chunks(change, content)


# Modes by name


def _unchanged(result, _):
    return result


def _styles_matched(how):
    """The mode in which every style gets the content's colours."""

    def before(content, styles):
        return content, [match_colours(style, content, how=how) for style in styles]

    return ColourMode(before, _unchanged)


MODES = {
    "style": ColourMode(lambda content, styles: (content, list(styles)), _unchanged),
    "content-luminance": ColourMode(match_lightness, with_content_colours),
    "match-chol": _styles_matched(chol),
    "match-pca": _styles_matched(pca),
    "match-sym": _styles_matched(sym),
}


def palette_mode(image) -> ColourMode:
    """The mode in which all pictures, and the result too, get the colours of this one: [h, w, 3] -> ColourMode."""
    lab = _sample(image, SAMPLES)
    chroma, spread = np.sqrt(np.square(lab[:, 1:]).sum(1).mean()), np.sqrt(lab.var(0).sum())
    if min(chroma, spread) < GREY:
        got = "a grey one" if chroma < GREY else "one of a single colour"
        raise ValueError(f"palette must be a picture of several colours, got {got}: choose another picture")
    return ColourMode(
        lambda content, styles: (match_colours(content, image), [match_colours(style, image) for style in styles]),
        lambda result, _: match_colours(result, image),
    )
