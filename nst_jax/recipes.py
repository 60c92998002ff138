"""Weights and named recipes: plain data, without jax or numpy, so that listing them costs nothing."""

import difflib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

WIDTHS = (64, 128, 256, 512, 512)


class Weights(NamedTuple):
    """A pytree keyed by layer: keys say which layers, values how much; changing a value compiles nothing."""

    content: Mapping[str, Any]
    style: Mapping[str, Any]
    variation: Any = 0.0


class Map(NamedTuple):
    """What a published weight may depend on: a layer's channels C and positions N, and the picture's pixels."""

    channels: int
    positions: int
    pixels: int


Weight = float | Callable[[Map], float]


class Recipe(NamedTuple):
    """What an experiment fixes, and nothing else. Distances and optimizer are words, resolved where they are built."""

    name: str
    source: str
    content: Mapping[str, Weight]  # of mean((F − P)²), per layer
    style: Mapping[str, Weight]  # of mean((Ĝ − Â)²), Ĝ = FFᵀ/N, per layer
    steps: int
    size: int
    variation: Weight = 0.0
    edge: str = "long"  # which edge `size` names
    family: str = "caffe"
    pool: str = "max"
    start: str = "content"
    optimizer: str = "lbfgs"
    settings: Mapping[str, float] = {}  # of the optimizer
    differs: str = ""

    def weights(self, shape: tuple[int, ...], *, widths: tuple[int, ...] = WIDTHS) -> Weights:
        """The loss weights of a picture of this shape, (h, w) or (h, w, 3)."""
        h, w = shape[:2]

        def at(layer, weight):
            if not callable(weight):
                return float(weight)
            block = int(layer[4])
            k = 2 ** (block - 1)
            return float(weight(Map(widths[block - 1], (h // k) * (w // k), h * w)))

        content, style = ({k: at(k, v) for k, v in each.items()} for each in (self.content, self.style))
        return Weights(content, style, at("relu1_1", self.variation))

    def times(self, *, content: float = 1.0, style: float = 1.0) -> "Recipe":
        """This recipe with its content and style weights multiplied."""
        return self._replace(
            content={k: _times(v, content) for k, v in self.content.items()},
            style={k: _times(v, style) for k, v in self.style.items()},
        )


def _times(weight: Weight, factor: float) -> Weight:
    if callable(weight):
        return lambda at: factor * weight(at)
    return factor * weight


FIRSTS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


def each(layers: tuple[str, ...], weight: Weight) -> dict[str, Weight]:
    """The same weight, or rule, at each of these layers."""
    return dict.fromkeys(layers, weight)


_ALL = [
    Recipe(
        name="gatys-notebook",
        source="L. Gatys, PytorchNeuralStyleTransfer",
        content={"relu4_2": 1.0},
        style=each(FIRSTS, lambda at: 1e3 / at.channels**2),
        optimizer="lbfgs",
        settings={"memory": 100},
        steps=500,
        size=512,
        edge="short",
        differs="Optax's L-BFGS searches its own way: equal loss, not equal path; one scale.",
    ),
]

RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in _ALL}
DEFAULT = "gatys-notebook"


def get(name: str) -> Recipe:
    """The recipe of this name."""
    if name not in RECIPES:
        close = difflib.get_close_matches(name, RECIPES, 1, 0.4)
        hint = f"did you mean {close[0]}?" if close else "`nst-jax recipes` lists them."
        raise ValueError(f"recipe must be one of {len(RECIPES)} names, got {name!r}: {hint}")
    return RECIPES[name]
