"""What the words of a command line mean; each function raises one line that names the value and the remedy."""

import argparse
import math


def _number(text: str, kind, accept, expected: str):
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not accept(value):
        raise argparse.ArgumentTypeError(f"must be {expected}, got {text!r}")
    return value


def count(text: str) -> int:
    """A whole number from 1."""
    return _number(text, int, lambda n: n >= 1, "a whole number from 1")


def seed(text: str) -> int:
    """A seed of JAX's random numbers."""
    return _number(text, int, lambda n: 0 <= n < 2**32, "a whole number from 0 to 4294967295")


def weight(text: str) -> float:
    """A finite number from 0."""
    return _number(text, float, lambda x: math.isfinite(x) and x >= 0, "a number from 0")


def positive(text: str) -> float:
    """A finite number above 0."""
    return _number(text, float, lambda x: math.isfinite(x) and x > 0, "a number above 0")


def fraction(text: str) -> float:
    """A number from 0 to below 1."""
    return _number(text, float, lambda x: 0 <= x < 1, "a number from 0 to below 1")


def size(text: str) -> int | tuple[int, int]:
    """`512`: one edge; `640x480`: width and height, given back as (h, w)."""
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isascii() and part.isdigit() and int(part) >= 16 for part in parts):
        raise argparse.ArgumentTypeError(f"must be N or WIDTHxHEIGHT with edges from 16 px, got {text!r}")
    numbers = [int(part) for part in parts]
    return (numbers[1], numbers[0]) if len(numbers) == 2 else numbers[0]


def layers(text: str) -> dict[str, float | None]:
    """`relu4_2,relu5_2:0.5`: layers, each with its weight or None."""
    from nst_jax import vgg19

    found: dict[str, float | None] = {}
    for part in text.split(","):
        name, _, share = part.strip().partition(":")
        try:
            name = vgg19.canonical(name)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
        if name in found:
            raise argparse.ArgumentTypeError(f"must name each layer once, got {name} twice in {text!r}")
        found[name] = weight(share) if share else None
    return found


def output(text: str) -> str:
    """A picture file that can be written."""
    from nst_jax import images

    try:
        images.check_writable(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def recipe(text: str):
    """A recipe by name."""
    from nst_jax import recipes

    try:
        return recipes.get(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def start(text: str) -> str:
    """A start's name, or a picture file."""
    import os

    from nst_jax import starts

    try:
        starts.check(text)
    except ValueError as error:
        if text.startswith("mix:") or not os.path.isfile(text):
            raise argparse.ArgumentTypeError(f"{error}, or a picture file") from None
    return text
