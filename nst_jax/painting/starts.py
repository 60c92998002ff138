"""Where a painting starts: pictures [h, w, 3] from content, style and a random key; `recipes.names` has the words."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from nst_jax.network import vgg19
from nst_jax.recipes import names

AMPLITUDE = 0.25


def noise(key, shape: tuple[int, int], *, amplitude=AMPLITUDE) -> Array:
    """White noise around the network's mean colour, uniform within ± amplitude."""
    return jnp.asarray(vgg19.MEAN)[None, None] + _uniform(key, shape, amplitude)


def gaussian(key, shape: tuple[int, int], *, deviation) -> Array:
    """White noise around the network's mean colour, normal."""
    return jnp.asarray(vgg19.MEAN)[None, None] + deviation * jax.random.normal(key, (*shape, 3))


def grain(key, content, *, amplitude) -> Array:
    """The content with uniform noise within ± amplitude added."""
    return content + _uniform(key, content.shape[:2], amplitude)


def blend(content, other, *, ratio) -> Array:
    """`ratio` of another picture, the rest content."""
    return ratio * other + (1 - ratio) * content


def _uniform(key, shape, amplitude):
    return jax.random.uniform(key, (*shape, 3), minval=-amplitude, maxval=amplitude)


def crop_to(style, shape: tuple[int, int]) -> Array:
    """The style picture at the content's shape: its middle, cropped to the aspect and resampled."""
    (h, w), (rows, columns) = style.shape[:2], shape
    scale = min(h / rows, w / columns)
    high, wide = max(1, round(rows * scale)), max(1, round(columns * scale))
    top, left = (h - high) // 2, (w - wide) // 2
    return jax.image.resize(style[top : top + high, left : left + wide], (*shape, 3), "cubic")


def statistics(key, style, shape: tuple[int, int]) -> Array:
    """Gaussian noise with the mean and covariance of the style's colours."""
    flat = jnp.asarray(style).reshape(-1, 3)
    mean = flat.mean(0)
    centred = flat - mean[None]
    values, vectors = jnp.linalg.eigh(jnp.matmul(centred.T, centred, precision="highest") / len(flat))
    root = vectors * jnp.sqrt(jnp.maximum(values, 0))[None]
    colours = jnp.matmul(jax.random.normal(key, (*shape, 3)), root.T, precision="highest")
    return mean[None, None] + colours


def make(text: str, key, content, style) -> Array:
    """The start that a word names, of the content's shape and within [0, 1]."""
    word, numbers = names.parse_start(text)
    content, shape = jnp.asarray(content), content.shape[:2]
    amplitude = numbers[-1] if len(numbers) == names.STARTS[word][1] and numbers else AMPLITUDE
    table: dict[str, Callable[[], Array]] = {
        "content": lambda: content,
        "style": lambda: crop_to(jnp.asarray(style), shape),
        "statistics": lambda: statistics(key, style, shape),
        "noise": lambda: noise(key, shape, amplitude=amplitude),
        "gaussian": lambda: gaussian(key, shape, deviation=amplitude),
        "grain": lambda: grain(key, content, amplitude=amplitude),
        "mix": lambda: blend(content, noise(key, shape, amplitude=amplitude), ratio=numbers[0]),
    }
    return jnp.clip(table[word](), 0, 1)
