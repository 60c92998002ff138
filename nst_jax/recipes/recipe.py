"""Weights and recipes: plain data, without jax or numpy, so that listing them costs nothing; `published` has the named.

All losses are stated alike: contents as c · mean((F − P)²), styles as s · mean((Ĝ − Â)²), Ĝ = FFᵀ/N, on RGB in [0, 1];
neighbours as n · mean(1 − cosine of each position's feature and the painting's nearest).
"""

import itertools
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from nst_jax.ground import choices

WIDTHS = (64, 128, 256, 512, 512)
LARGEST = 3e38  # a little below the largest number of float32


class Weights(NamedTuple):
    """A pytree keyed by layer: keys say which layers, values how much; changing a value compiles nothing."""

    content: Mapping[str, Any]
    style: Mapping[str, Any]
    variation: Any = 0.0
    neighbours: Mapping[str, Any] | None = None

    @property
    def near(self) -> Mapping[str, Any]:
        """Weights of the layers whose neighbours are sought, if any."""
        return self.neighbours or {}

    @property
    def layers(self) -> tuple[str, ...]:
        """Every layer that is measured."""
        return tuple(dict.fromkeys((*self.content, *self.style, *self.near)))


class Map(NamedTuple):
    """What a published weight may depend on: a layer's channels C and positions N, and the picture's pixels."""

    channels: int
    positions: int
    pixels: int


Weight = float | Callable[[Map], float]


class Size(NamedTuple):
    """A size on the way from coarse to fine: how long the picture's edge is, and how many steps it gets."""

    edge: int
    steps: int


Schedule = Callable[[int], tuple[Size, ...]]


class Turn(NamedTuple):
    """What may change while a painting goes on: factors of the recipe's weights and of its learning rate, values only.

    `strength` is the recipe's own at 0.5; `mix` are shares of the styles, None: as they were given.
    """

    content: float = 1.0
    style: float = 1.0
    variation: float = 1.0
    strength: float = 0.5
    mix: tuple[float, ...] | None = None
    rate: float = 1.0


def once(steps: int) -> Schedule:
    """All steps at full size."""
    return lambda size: (Size(size, steps),)


def rising(first: int, later: int, *, smallest: int = 128, ratio: float = math.sqrt(2)) -> Schedule:
    """Coarse to fine: size, size / ratio, … down to `smallest`; the coarsest gets `first` steps, each other `later`."""

    def stages(size):
        divided = (round(size / ratio**i) for i in itertools.count())
        sizes = sorted(itertools.takewhile(lambda n: n >= min(smallest, size), divided))
        return tuple(Size(n, later if i else first) for i, n in enumerate(sizes))

    return stages


def listed(*stages: tuple[int, int]) -> Schedule:
    """These sizes and steps; at another end size, sizes in proportion."""
    last = stages[-1][0]
    return lambda size: tuple(Size(max(16, round(n * size / last)), steps) for n, steps in stages)


def shared(stages: tuple[Size, ...], steps: int) -> tuple[Size, ...]:
    """The same stages with another number of steps in all, each stage at least one."""
    if steps < len(stages):
        raise ValueError(
            f"steps must be at least {len(stages)}, one at each size, got {steps}: give more, or fewer sizes"
        )
    total, done, out = sum(stage.steps for stage in stages), 0, []
    passed = 0
    for i, stage in enumerate(stages):
        passed += stage.steps
        left = len(stages) - 1 - i
        end = min(max(round(steps * passed / total), done + 1), steps - left)
        out.append(Size(stage.edge, end - done))
        done = end
    return tuple(out)


class Recipe(NamedTuple):
    """What an experiment fixes, and nothing else. Distances and optimizer are words, resolved where they are built."""

    name: str
    source: str
    content: Mapping[str, Weight]
    style: Mapping[str, Weight]
    schedule: Schedule
    size: int | tuple[int, int] | None  # of `edge`; (h, w) exactly; None: the content's own
    content_distance: str = "squared"
    style_distance: str = "gram"
    neighbours: Mapping[str, Weight] = {}  # layers whose every position is to be like the nearest of the painting's
    current_share: float = 0.25  # of the current picture, beside the photograph, in what columns are aligned by
    apart: float = 0.0  # share of the steps, at the end, in which columns give way to the other layers' neighbours
    variation: Weight = 0.0
    variation_kind: str = "squares"
    edge: str = "long"
    style_size: str | int = "same"  # as the content's edge; "down": but never above its own; or an edge in pixels
    family: str = "caffe"
    pool: str = "max"
    padding: str = "zeros"
    start: str = "content"
    optimizer: str = "lbfgs"
    settings: Mapping[str, Any] = {}  # of the optimizer, for an image in [0, 1]
    keep: tuple[str, ...] = ()  # wrappers of the solver, from the inside: clamped, best, averaged:DECAY
    store: int = 0  # the source stores a picture every so many steps
    differs: str = ""

    @property
    def layers(self) -> tuple[str, ...]:
        """Every layer that is measured."""
        return Weights(self.content, self.style, 0.0, self.neighbours).layers

    def weights(self, shape: tuple[int, ...], *, widths: tuple[int, ...] = WIDTHS) -> Weights:
        """The loss weights of a picture of this shape, (h, w) or (h, w, 3)."""
        h, w = shape[:2]

        def at(layer: str, weight: Any) -> float:
            if not callable(weight):
                return float(weight)
            if not (found := re.search(r"\d", layer)):
                raise ValueError(
                    f"weight of {layer} must be a number, got a function of a map: of {layer} there is none"
                )
            block = int(found[0])  # also of Keras' names: block4_conv2
            k = 2**block if "pool" in layer else 2 ** (block - 1)
            number: Any = weight(Map(widths[block - 1], (h // k) * (w // k), h * w))
            return float(number)

        kinds = self.content, self.style, self.neighbours
        content, style, neighbours = ({k: at(k, v) for k, v in each.items()} for each in kinds)
        variation = at("relu1_1", self.variation)
        for each in (content, style, neighbours, {"variation": variation}):
            _check_size(each)
        return Weights(content, style, variation, neighbours or None)

    def times(self, *, content: float = 1.0, style: float = 1.0) -> "Recipe":
        """This recipe with its content and style weights multiplied; neighbours are style."""

        def each(weights, factor):
            return {k: _times(v, factor) for k, v in weights.items()}

        neighbours = each(self.neighbours, style)
        return self._replace(content=each(self.content, content), style=each(self.style, style), neighbours=neighbours)

    def strength(self, amount: float) -> "Recipe":
        """One knob: 0 the photograph, 0.5 this recipe, 1 pure style; between, content and style change by squares."""
        style = (2 * amount) ** 2
        weaker = self.times(content=(2 - 2 * amount) ** 2, style=style)
        return weaker._replace(variation=_times(self.variation, min(1.0, style)))

    def with_turn(self, turn: Turn) -> "Recipe":
        """This recipe with its weights as a turn has them; the learning rate is the solver's state."""
        plain = self.times(content=turn.content, style=turn.style)
        return plain._replace(variation=_times(plain.variation, turn.variation)).strength(turn.strength)

    def steps(self, size: int) -> int:
        """Steps in all, up to this size."""
        return sum(stage.steps for stage in self.schedule(size))

    def with_steps(self, steps: int) -> "Recipe":
        """This recipe with so many steps in all, shared among its sizes as they were."""
        return self._replace(schedule=lambda size: shared(self.schedule(size), steps))

    def rescaled(self, ratios: Mapping[str, float]) -> "Recipe":
        """This recipe for a network whose features are so many times as large: equal terms, layer by layer."""

        def each(weights, power):
            return {k: _times(v, ratios[_rectified(k, ratios)] ** -power) for k, v in weights.items()}

        content, style = POWERS[self.content_distance], POWERS[self.style_distance]
        return self._replace(content=each(self.content, content), style=each(self.style, style))


POWERS = {
    "squared": 2,
    "relative": 0,
    "scaled": 1,
    "gram": 4,
    "relative-gram": 0,
    "scaled-gram": 2,
    "covariance": 4,
    "statistics": 2,
    "wasserstein": 2,
}
"""With which power of the features' magnitude a distance grows."""


def _rectified(layer: str, known: Mapping[str, float]) -> str:
    """The ReLU whose features are as large as this layer's: its own, or the last before a pooling."""
    block, *index = re.findall(r"\d+", layer)
    return f"relu{block}_{index[0]}" if index else max(name for name in known if name.startswith(f"relu{block}_"))


def _check_size(weights: Mapping[str, float]) -> None:
    for name, number in weights.items():
        if abs(number) > LARGEST:
            got = f"got {number:g}: lower content-weight, style-weight, tv-weight or its own"
            raise ValueError(f"weight of {name} must be at most {LARGEST:g} in all, {got}")


def _times(weight: Weight, factor: float) -> Weight:
    if callable(weight):
        return lambda at: factor * weight(at)
    return factor * weight


def get(name: str) -> Recipe:
    """The recipe of this name."""
    table = everything()
    if name not in table:
        remedy = choices.hint(name, table, otherwise="`nst-jax recipes` lists them.", cutoff=0.4)
        raise ValueError(f"recipe must be one of {len(table)} names, got {name!r}{remedy}")
    return table[name]


def everything() -> dict[str, Recipe]:
    """All named recipes, our own first."""
    from nst_jax.recipes import published  # it is made of this module's parts

    return published.RECIPES


DEFAULT = "matching"
