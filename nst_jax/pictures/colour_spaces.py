"""Colour spaces: sRGB, linear light and Oklab, of any numbers; those beyond [0, 1] go on oddly about zero."""

import numpy as np

_ROUNDING = 1e-5  # of float32 in these conversions: no colour outside sRGB

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


def to_linear(image):
    """sRGB to linear light (IEC 61966-2-1): [...] -> [...]."""
    size = np.abs(image)
    return np.copysign(np.where(size <= 0.04045, size / 12.92, ((size + 0.055) / 1.055) ** 2.4), image)


def from_linear(light):
    """The inverse of `to_linear`: [...] -> [...]."""
    size = np.abs(light)
    return np.copysign(np.where(size <= 0.0031308, size * 12.92, 1.055 * size ** (1 / 2.4) - 0.055), light)


def to_oklab(image):
    """sRGB to Oklab's L, a and b: [..., 3] -> [..., 3]."""
    light = to_linear(image)
    return np.cbrt(light @ _CONES.T.astype(light.dtype)) @ _LAB.T.astype(light.dtype)


def from_oklab(lab):
    """The inverse of `to_oklab`; what sRGB lacks lies outside [0, 1], for `map_to_gamut`: [..., 3] -> [..., 3]."""
    roots = lab @ np.linalg.inv(_LAB).T.astype(lab.dtype)
    return from_linear(roots**3 @ np.linalg.inv(_CONES).T.astype(lab.dtype))


def map_to_gamut(image):
    """Colours outside sRGB made paler until they are inside, at their lightness and hue: [..., 3] -> [..., 3]."""
    image = np.array(image)
    outside = ((image < -_ROUNDING) | (image > 1 + _ROUNDING)).any(-1)
    lab = to_oklab(image[outside])  # [n, 3]
    lab[:, 0] = np.clip(lab[:, 0], 0, 1)

    def with_chroma(share):
        return from_oklab(np.concatenate([lab[:, :1], lab[:, 1:] * share[:, None]], 1))

    low, high = np.zeros_like(lab[:, 0]), np.ones_like(lab[:, 0])
    for _ in range(12):  # to 1/4096 of the chroma
        middle = (low + high) / 2
        colours = with_chroma(middle)
        inside = ((colours >= -_ROUNDING) & (colours <= 1 + _ROUNDING)).all(-1)
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    image[outside] = with_chroma(low)
    return np.clip(image, 0, 1)
