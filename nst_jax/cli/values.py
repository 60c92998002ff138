"""What the words of a command line mean; each function raises one line that names the value and the remedy."""

import argparse
import contextlib
import math
import os
import re


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
    """A number from 0, far enough from the largest of float32 to be multiplied."""
    return _number(text, float, lambda x: 0 <= x <= 1e30, "a number from 0 to 1e30")


def positive(text: str) -> float:
    """A finite number above 0."""
    return _number(text, float, lambda x: math.isfinite(x) and x > 0, "a number above 0")


def memory(text: str) -> int:
    """`4GB`, `512MB`, `1.5GiB`, or millions of bytes: bytes."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?(?:([kMGT])(i?))?B?", text, re.IGNORECASE)
    power = " kmgt".index((found[2] or " ").lower()) if found else 0
    size = float(found[1]) * (1024 if found[3] else 1000) ** power if found else 0
    if not 1e5 <= size < 1e18:
        raise argparse.ArgumentTypeError(f"must be a size like 4GB or 512MB, got {text!r}")
    return int(size)


def fraction(text: str) -> float:
    """A number from 0 to below 1."""
    return _number(text, float, lambda x: 0 <= x < 1, "a number from 0 to below 1")


def size(text: str) -> int | tuple[int, int]:
    """`512`: one edge; `640x480`: width and height, given back as (h, w)."""
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(re.fullmatch("[0-9]{1,9}", part) and int(part) >= 16 for part in parts):
        raise argparse.ArgumentTypeError(f"must be N or WIDTHxHEIGHT with edges from 16 px, got {text!r}")
    numbers = [int(part) for part in parts]
    return (numbers[1], numbers[0]) if len(numbers) == 2 else numbers[0]


def layers(text: str) -> dict[str, float | None]:
    """`relu4_2,relu5_2:0.5`: layers, each with its weight or None."""
    from nst_jax.network import vgg19

    found: dict[str, float | None] = {}
    for part in text.split(","):
        name, _, share = part.strip().partition(":")
        with _refused():
            name = vgg19.canonical(name)
        if name in found:
            raise argparse.ArgumentTypeError(f"must name each layer once, got {name} twice in {text!r}")
        found[name] = weight(share) if share else None
    return found


def output(text: str) -> str:
    """A picture file that can be written."""
    from nst_jax.pictures import images

    with _refused():
        images.check_writable(text)
    return text


def log(text: str) -> str:
    """A file that can be written, whatever its suffix; what is there stays as it is until the run begins."""
    folder = os.path.dirname(text) or "."
    if os.path.isdir(text):
        raise IsADirectoryError(f"log must be a file, got the folder {text!r}: add a file's name")
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"log must be in an existing folder, got {text!r}: make {folder!r} first")
    if not os.access(text if os.path.exists(text) else folder, os.W_OK):
        raise PermissionError(f"log must be writable, got {text!r}: choose another place")
    return text


def recipe(text: str):
    """A recipe by name."""
    from nst_jax import recipes

    with _refused():
        return recipes.get(text)


def share(text: str) -> float:
    """A number from 0 to 1."""
    return _number(text, float, lambda x: 0 <= x <= 1, "a number from 0 to 1")


def ladder(text: str) -> list[tuple[int, int | None]]:
    """`128:500,256`: sizes from coarse to fine, each with its steps or None."""
    found = []
    for part in text.split(","):
        size, _, steps = part.strip().partition(":")
        edge = _number(size, int, lambda n: n >= 16, "whole numbers from 16, as in 128,181,256 or 128:500,256:250")
        found.append((edge, count(steps) if steps else None))
    sizes = [edge for edge, _ in found]
    if sizes != sorted(set(sizes)):
        raise argparse.ArgumentTypeError(f"must ascend, got {text!r}: write {','.join(map(str, sorted(set(sizes))))}")
    return found


def keep(text: str) -> tuple[str, ...]:
    """`clamped,averaged:0.99`: what is kept of a solver's pictures; `none` for the last one as it is."""
    words = tuple(word.strip() for word in text.split(",")) if text != "none" else ()
    for word in words:
        name, _, decay = word.partition(":")
        if word not in ("clamped", "best") and not (name == "averaged" and decay):
            raise argparse.ArgumentTypeError(f"must be clamped, best, averaged:DECAY or none, got {word!r}")
        if decay:
            fraction(decay)
    return words


def _several(text: str, one) -> list[float]:
    return [one(part.strip()) for part in text.split(",")]


def weights(text: str) -> list[float]:
    """`1,0.5`: numbers from 0, not all 0."""
    found = _several(text, weight)
    if not any(found):
        raise argparse.ArgumentTypeError(f"must not all be 0, got {text!r}")
    return found


def several(kind):
    """Values of a kind: `1,10,100`; `0.1:100:8`, in equal ratios; or `lin:0:1:5`, in equal steps."""

    def parsed(text: str) -> list:
        return _distinct([kind(part) for part in _spread(text) or map(str.strip, text.split(","))], text)

    return parsed


def listed(kind):
    """Values of a kind: `noise,content`, or a file whose name holds commas."""

    def parsed(text: str) -> list:
        return _distinct([kind(part.strip()) for part in ([text] if os.path.isfile(text) else text.split(","))], text)

    return parsed


def seeds(text: str) -> list[int]:
    """Seeds: `1,2,3`, or `0:7:8`, which is `lin:0:7:8`."""
    return several(seed)(f"lin:{text}" if re.fullmatch("[0-9]+:[0-9]+:[0-9]+", text) else text)


def _spread(text: str) -> list[str]:
    """The values of a range, in four digits so that they may be typed again; nothing where it is none."""
    linear = text.startswith("lin:")
    parts = text.removeprefix("lin:").split(":")
    if not linear and len(parts) == 1:
        return []
    form = "a list, FROM:TO:N above 0, or lin:FROM:TO:N, N from 2 to 1000"
    try:
        (first, last), n = map(float, parts[:-1]), int(parts[-1])
    except ValueError:
        first, last, n = math.nan, math.nan, 0
    sound = 2 <= n <= 1000 and all(map(math.isfinite, (first, last))) and (linear or min(first, last) > 0)
    if not sound:
        raise argparse.ArgumentTypeError(f"must be {form}, got {text!r}")
    shares = [i / (n - 1) for i in range(n)]
    if linear:
        return [f"{first + (last - first) * share:.4g}" for share in shares]
    return [f"{first * (last / first) ** share:.4g}" for share in shares]


def _distinct(found: list, text: str) -> list:
    if len(set(found)) < len(found):
        raise argparse.ArgumentTypeError(f"must be values that differ, got {text!r}")
    return found


def part(text: str) -> tuple[int, int]:
    """`2/5`: the second of five parts."""
    found = re.fullmatch("([0-9]{1,6})/([0-9]{1,6})", text)
    k, n = map(int, found.groups()) if found else (0, 0)
    if not 1 <= k <= n:
        raise argparse.ArgumentTypeError(f"must be K/N with K from 1 to N, got {text!r}")
    return k, n


def positives(text: str) -> list[float]:
    """`1,0.5`: numbers above 0."""
    return _several(text, positive)


def mix(text: str) -> list[float] | str:
    """`2,1`: shares; or `ramp`, from the first at the left to the last at the right."""
    return text if text == "ramp" else weights(text)


def bits(text: str) -> int:
    """8 or 16."""
    return _number(text, int, lambda n: n in (8, 16), "8 or 16")


def colour(text: str) -> str:
    """A mode of colours."""
    from nst_jax.pictures import colour

    with _refused():
        colour.parse_mode(text)
    return text


def start(text: str) -> str:
    """A start's words, or a picture file."""
    from nst_jax.painting import starts

    if not starts.named(text) and os.path.isfile(text):
        return text
    try:
        starts.parsed(text)
    except ValueError as error:
        if starts.named(text):
            raise argparse.ArgumentTypeError(str(error)) from None
        raise argparse.ArgumentTypeError(f"{error}; or a picture file") from None
    return text


@contextlib.contextmanager
def _refused():
    """A ValueError of the library, as one of usage."""
    try:
        yield
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
