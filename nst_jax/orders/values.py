"""What the words of an order mean, and how values are written; each parser raises one line: must be …, got …."""

import math
import os
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from nst_jax import recipes
from nst_jax.network import layers as network_layers
from nst_jax.recipes import names

MOST = {int: 10**15, float: 1e30}  # far enough from what floats hold to be multiplied by other numbers


def _number(text: str, kind, accept, expected: str):
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not accept(value):
        raise ValueError(f"must be {expected}, got {text!r}")
    if value > MOST[kind]:
        raise ValueError(f"must be at most {MOST[kind]:.0e}, got {text!r}")
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


def fraction(text: str) -> float:
    """A number from 0 to below 1."""
    return _number(text, float, lambda x: 0 <= x < 1, "a number from 0 to below 1")


def share(text: str) -> float:
    """A number from 0 to 1."""
    return _number(text, float, lambda x: 0 <= x <= 1, "a number from 0 to 1")


def bits(text: str) -> int:
    """8 or 16."""
    return _number(text, int, lambda n: n in (8, 16), "8 or 16")


def memory(text: str) -> int:
    """`4GB`, `512MB`, `1.5GiB`, or millions of bytes: bytes."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?(?:([kMGT])(i?))?B?", text, re.IGNORECASE)
    power = " kmgt".index((found[2] or " ").lower()) if found else 0
    size = float(found[1]) * (1024 if found[3] else 1000) ** power if found else 0
    if not 1e5 <= size < 1e18:
        raise ValueError(f"must be a size like 4GB or 512MB, got {text!r}")
    return int(size)


def size(text: str) -> int | tuple[int, int]:
    """`512`: one edge; `640x480`: width and height, given back as (h, w)."""
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(re.fullmatch("[0-9]{1,9}", part) and int(part) >= 16 for part in parts):
        raise ValueError(f"must be N or WIDTHxHEIGHT with edges from 16 px, got {text!r}")
    numbers = [int(part) for part in parts]
    return (numbers[1], numbers[0]) if len(numbers) == 2 else numbers[0]


def ladder(text: str) -> tuple[tuple[int, int | None], ...]:
    """`128:500,256`: sizes from coarse to fine, each with its steps or None."""
    found = []
    for part in text.split(","):
        edge, _, steps = part.strip().partition(":")
        pixels = _number(edge, int, lambda n: n >= 16, "whole numbers from 16, as in 128,181,256 or 128:500,256:250")
        found.append((pixels, count(steps) if steps else None))
    sizes = [edge for edge, _ in found]
    if sizes != sorted(set(sizes)):
        raise ValueError(f"must ascend, got {text!r}: write {','.join(map(str, sorted(set(sizes))))}")
    return tuple(found)


def layers(text: str) -> dict[str, float | None]:
    """`relu4_2,relu5_2:0.5`: layers, each with its weight or None."""
    found = near_layers(text)
    if network_layers.COLUMNS in found:
        raise ValueError(f"must be maps of one size, got {text!r}: columns are for neighbour-layers")
    return found


def near_layers(text: str) -> dict[str, float | None]:
    """The same, and columns, which are several layers beside each other."""
    found: dict[str, float | None] = {}
    for part in text.split(","):
        name, _, amount = part.strip().partition(":")
        name = network_layers.canonical(name)
        if name in found:
            raise ValueError(f"must name each layer once, got {name} twice in {text!r}")
        found[name] = weight(amount) if amount else None
    return found


def recipe(text: str) -> str:
    """A recipe's name."""
    return recipes.get(text).name


def mix(text: str) -> tuple[float, ...] | str:
    """`2,1`: shares; or `ramp`, from the first at the left to the last at the right."""
    return text if text == "ramp" else weights(text)


def weights(text: str) -> tuple[float, ...]:
    """`1,0.5`: numbers from 0, not all 0."""
    found = _each(text, weight)
    if not any(found):
        raise ValueError(f"must not all be 0, got {text!r}")
    return found


def positives(text: str) -> tuple[float, ...]:
    """`1,0.5`: numbers above 0."""
    return _each(text, positive)


def _each(text: str, one) -> tuple:
    return tuple(one(part.strip()) for part in text.split(","))


def colour(text: str) -> str:
    """A mode of colours."""
    names.parse_colour(text)
    return text


def start(text: str) -> str:
    """A start's words, or a picture file."""
    if not names.is_start(text) and (os.path.isfile(text) or text.lower().startswith(("https://", "http://"))):
        return text
    try:
        names.parse_start(text)
    except ValueError as error:
        known = str(error)
        raise ValueError(
            known if names.is_start(text) else known.replace(", got ", ", or a picture file, got ", 1)
        ) from None
    return text


def port(text: str) -> int:
    """A number of a port; 0: one that is free."""
    if not text.isdecimal() or len(text) > 5 or int(text) > 65535:
        raise ValueError(f"must be a number from 0 to 65535, got {text!r}")
    return int(text)


def mesh(text: str) -> dict[str, int]:
    """`data=4,space=2`: how many devices along each axis of a mesh."""
    found: dict[str, int] = {}
    for part in text.split(","):
        name, equals, number = part.strip().partition("=")
        if name not in ("data", "space") or not equals or name in found:
            raise ValueError(f"must be data=N, space=M or both, got {text!r}: write data=4,space=2")
        found[name] = count(number)
    return found


def one_of(*names: str) -> Callable[[str], str]:
    """A word of a list."""

    def parse(text: str) -> str:
        if text not in names:
            raise ValueError(f"must be one of {', '.join(names)}, got {text!r}")
        return text

    return parse


def yes(text: str) -> bool:
    """`yes` or `no`."""
    return one_of("yes", "no")(text) == "yes"


def same(text: str) -> str:
    """A text as it is."""
    return text


# Several values, for a sweep


def several(kind) -> Callable[[str], list]:
    """Values of a kind: `1,10,100`; `0.1:100:8`, in equal ratios; or `lin:0:1:5`, in equal steps."""

    def parse(text: str) -> list:
        return _distinct([kind(part) for part in _spread(text) or map(str.strip, text.split(","))], text)

    return parse


def words(kind) -> Callable[[str], list]:
    """Values of a kind: `noise,content`, or a file whose name holds commas."""

    def parse(text: str) -> list:
        return _distinct([kind(part.strip()) for part in ([text] if os.path.isfile(text) else text.split(","))], text)

    return parse


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
        raise ValueError(f"must be {form}, got {text!r}")
    shares = [i / (n - 1) for i in range(n)]
    if linear:
        return [f"{first + (last - first) * share:.4g}" for share in shares]
    return [f"{first * (last / first) ** share:.4g}" for share in shares]


def _distinct(found: list, text: str) -> list:
    if len(set(found)) < len(found):
        raise ValueError(f"must be values that differ, got {text!r}")
    return found


# How values are written, so that a parser reads them again


class Every(NamedTuple):
    """How often a run is kept: each so many seconds, or steps."""

    seconds: float = 0.0
    steps: int = 0


def pace(text: str) -> Every:
    """`90s` or `100`: seconds or steps."""
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)s|([0-9]{1,9})", text)
    seconds, steps = (float(found[1] or 0), int(found[2] or 0)) if found else (0.0, 0)
    if not seconds and not steps:
        raise ValueError(f"must be seconds or steps above 0, got {text!r}: write 90s, or 100")
    return Every(seconds, steps)


def write(value: Any) -> str:
    """Numbers and words, alone or in a row: `0.5`, `2.0,1.0`."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ",".join(x if isinstance(x, str) else repr(x.item() if hasattr(x, "item") else x) for x in value)
    return str(value)


def write_size(value) -> str:
    """`512` or `640x480`."""
    return f"{value[1]}x{value[0]}" if isinstance(value, tuple) else str(value)


def write_ladder(value) -> str:
    """`128:500,256`"""
    return ",".join(f"{n}:{steps}" if steps else str(n) for n, steps in value)


def write_layers(value: Mapping[str, float | None]) -> str:
    """`relu4_2,relu5_2:0.5`"""
    return ",".join(layer if weight is None else f"{layer}:{weight!r}" for layer, weight in value.items())


def write_keep(value) -> str:
    """`clamped,averaged:0.99`, or `none`."""
    return ",".join(value) or "none"


def write_mesh(value: Mapping[str, int]) -> str:
    """`data=4,space=2`"""
    return ",".join(f"{name}={number}" for name, number in value.items())
