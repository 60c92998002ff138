"""Where a painting starts: pictures [h, w, 3], made from the content, a style and a random key, named by words.

content             the photograph                         noise[:A]    uniform, the network's mean colour ± A
style               the painting's middle, resampled       gaussian:S   normal about the mean colour
statistics          noise of the painting's colours        grain:A      the photograph ± A
mix:RATIO[:A]       RATIO of noise:A, the rest photograph
"""

import difflib
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from nst_jax.network import vgg19

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


def fitted(style, shape: tuple[int, int]) -> Array:
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


# A start's word, and the numbers that may follow it: (fewest, most)
NUMBERS = {
    "content": (0, 0),
    "style": (0, 0),
    "statistics": (0, 0),
    "noise": (0, 1),
    "gaussian": (1, 1),
    "grain": (1, 1),
    "mix": (1, 2),
}


def named(text: str) -> bool:
    """Whether this is meant as one of our words, and not as a picture file."""
    return text.split(":")[0] in NUMBERS


def parsed(text: str) -> tuple[str, list[float]]:
    """A start's word and numbers: `mix:0.6` is ("mix", [0.6])."""
    word, *rest = text.split(":")
    if word not in NUMBERS:
        close = difflib.get_close_matches(word, NUMBERS, 1)
        hint = f": did you mean {close[0]}?" if close else ""
        raise ValueError(f"start must be one of {', '.join(NUMBERS)}, got {text!r}{hint}")
    try:
        numbers = [float(part) for part in rest]
    except ValueError:
        numbers = [math.nan]
    fewest, most = NUMBERS[word]
    sound = fewest <= len(numbers) <= most and all(0 <= n < math.inf for n in numbers)
    if not sound or (word == "mix" and numbers[0] > 1):
        form = {"mix": "mix:RATIO with a share of noise from 0 to 1, as in mix:0.6", "noise": "noise or noise:0.25"}
        usual = f"{word}:0.25" if most else word
        raise ValueError(f"start must be {form.get(word, usual)}, got {text!r}")
    return word, numbers


def make(text: str, key, content, style) -> Array:
    """The start that a word names, of the content's shape and within [0, 1]."""
    word, numbers = parsed(text)
    content, shape = jnp.asarray(content), content.shape[:2]
    amplitude = numbers[-1] if len(numbers) == NUMBERS[word][1] and numbers else AMPLITUDE
    table: dict[str, Callable[[], Array]] = {
        "content": lambda: content,
        "style": lambda: fitted(jnp.asarray(style), shape),
        "statistics": lambda: statistics(key, style, shape),
        "noise": lambda: noise(key, shape, amplitude=amplitude),
        "gaussian": lambda: gaussian(key, shape, deviation=amplitude),
        "grain": lambda: grain(key, content, amplitude=amplitude),
        "mix": lambda: blend(content, noise(key, shape, amplitude=amplitude), ratio=numbers[0]),
    }
    return jnp.clip(table[word](), 0, 1)
