"""Where a painting starts: pictures [h, w, 3], made from the content, the styles and a random key."""

import jax
import jax.numpy as jnp
from jax import Array

from nst_jax import vgg19


def noise(key, shape: tuple[int, int], *, amplitude=0.25) -> Array:
    """White noise around the network's mean colour, uniform within ± amplitude."""
    grain = jax.random.uniform(key, (*shape, 3), minval=-amplitude, maxval=amplitude)
    return jnp.clip(jnp.asarray(vgg19.MEAN)[None, None] + grain, 0, 1)


def blend(content, grain, *, ratio) -> Array:
    """`ratio` of noise, the rest content."""
    return ratio * grain + (1 - ratio) * content


def fitted(style, shape: tuple[int, int]) -> Array:
    """The style picture at the content's shape: its middle, cropped to the aspect and resampled."""
    (h, w), (rows, columns) = style.shape[:2], shape
    scale = min(h / rows, w / columns)
    high, wide = round(rows * scale), round(columns * scale)
    top, left = (h - high) // 2, (w - wide) // 2
    return jnp.clip(jax.image.resize(style[top : top + high, left : left + wide], (*shape, 3), "cubic"), 0, 1)


def statistics(key, style, shape: tuple[int, int]) -> Array:
    """Gaussian noise with the mean and covariance of the style's colours."""
    flat = jnp.asarray(style).reshape(-1, 3)
    mean = flat.mean(0)
    centred = flat - mean[None]
    covariance = jnp.matmul(centred.T, centred, precision="highest") / len(flat)
    values, vectors = jnp.linalg.eigh(covariance)
    root = vectors * jnp.sqrt(jnp.maximum(values, 0))[None]
    grain = jnp.matmul(jax.random.normal(key, (*shape, 3)), root.T, precision="highest")
    return jnp.clip(mean[None, None] + grain, 0, 1)


NAMES = ("content", "noise", "style", "statistics", "mix:RATIO")


def ratio_of(word: str) -> float:
    """The share of noise in a start like `mix:0.6`."""
    try:
        ratio = float(word.removeprefix("mix:"))
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        raise ValueError(f"mix must be followed by a share of noise from 0 to 1, got {word!r}: write mix:0.6")
    return ratio


def check(word: str) -> None:
    """Raise unless this names a start."""
    if word.startswith("mix:"):
        ratio_of(word)
    elif word not in NAMES:
        raise ValueError(f"start must be one of {', '.join(NAMES)}, got {word!r}")


def make(word: str, key, content, style) -> Array:
    """The start that a word names, of the content's shape."""
    check(word)
    content, shape = jnp.asarray(content), content.shape[:2]
    if word == "content":
        return content
    if word == "noise":
        return noise(key, shape)
    if word == "style":
        return fitted(jnp.asarray(style), shape)
    if word == "statistics":
        return statistics(key, style, shape)
    return blend(content, noise(key, shape), ratio=ratio_of(word))
