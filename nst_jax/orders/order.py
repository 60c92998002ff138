"""What is asked for, as immutable data: which pictures, by which recipe, where, in whose colours, and when it ends.

An Order holds names of files, never pictures; `words` says how each of its fields is written, `compose` makes it ready.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from nst_jax.recipes import DEFAULT, Turn, names

WHOLE = "-"  # in place of a mask over a painting: all of it counts


class Refused(ValueError):
    """Fields that are good one by one and do not go together."""


class Pictures(NamedTuple):
    """Names of files, or addresses on the web, by what they are for; a start and a palette may name one, too."""

    content: str = ""
    style: tuple[str, ...] = ()
    mask: tuple[str, ...] = ()
    style_mask: tuple[str, ...] = ()
    strength_map: str | None = None


class Changes(NamedTuple):
    """A recipe by name, and what replaces its settings; None: as the recipe has it."""

    recipe: str = DEFAULT
    size: int | tuple[int, int] | None = None
    ladder: tuple[tuple[int, int | None], ...] | None = None
    strength: float | None = None
    content_weight: float = 1.0
    style_weight: float = 1.0
    tv_weight: float | None = None
    content_layers: Mapping[str, float | None] | None = None
    style_layers: Mapping[str, float | None] | None = None
    neighbour_layers: Mapping[str, float | None] | None = None
    pool: str | None = None
    padding: str | None = None
    content_distance: str | None = None
    style_distance: str | None = None
    variation_kind: str | None = None
    init: str | None = None
    keep: tuple[str, ...] | None = None
    optimizer: str | None = None
    learning_rate: float | None = None
    b1: float | None = None
    b2: float | None = None
    eps: float | None = None
    memory: int | None = None
    linesearch_steps: int | None = None


class Blend(NamedTuple):
    """How several styles share the picture."""

    style_mix: tuple[float, ...] | str | None = None  # shares, or "ramp"
    style_scale: tuple[float, ...] | None = None
    style_size: int | None = None
    mask_weights: tuple[float, ...] | None = None


class Finish(NamedTuple):
    """What is done to the picture that comes out, and what its file holds."""

    colour: str = "style"
    alpha: str = "keep"
    bits: int = 8
    keep_metadata: bool = False


class Machine(NamedTuple):
    """Which network paints, and what a run may use."""

    network: str | None = None
    weights: str | None = None
    preview: bool = False
    precision: str | None = None  # as suits the device
    max_memory: int | None = None
    max_pixels: int | None = None
    mesh: Mapping[str, int] | None = None


class Ends(NamedTuple):
    """How long a run takes, and which part of it the fast network does."""

    steps: int | None = None
    minutes: float | None = None
    still: float | None = None
    fast_first: int | None = None


class Order(NamedTuple):
    """A painting that is asked for."""

    pictures: Pictures = Pictures()
    recipe: Changes = Changes()
    blend: Blend = Blend()
    finish: Finish = Finish()
    machine: Machine = Machine()
    ends: Ends = Ends()
    seed: int = 0
    turns: tuple[tuple[int, Turn], ...] = ()  # what changes while it is painted, after so many steps

    def with_values(self, **values: Any) -> "Order":
        """This order with some fields replaced, whichever group they are in."""
        own = {name: value for name, value in values.items() if name in ("seed", "turns")}
        groups: dict[str, Any] = {name: getattr(self, name) for name in GROUPS}
        known = {*own, *(field for group in groups.values() for field in group._fields)}
        if unknown := [name for name in values if name not in known]:
            raise ValueError(f"order must have a field to replace, got {unknown[0]!r}: see docs/settings.md")
        for name, group in groups.items():
            own[name] = group._replace(**{field: value for field, value in values.items() if field in group._fields})
        return self._replace(**own)

    @property
    def only_colours(self) -> bool:
        """Whether nothing is painted: the photograph gets the paintings' colours."""
        return self.finish.colour == "only"

    def files(self, start: str = "content") -> dict[str, list[str]]:
        """The files that a run reads, by what they are for; `start` is the recipe's own, where the order says none."""
        pictures, init = self.pictures, self.recipe.init or start
        palette = names.parse_colour(self.finish.colour)[1] if self.finish.colour != "palette" else ""
        found = {
            "content": [pictures.content],
            "style": list(pictures.style),
            "mask": list(pictures.mask),
            "style-mask": list(pictures.style_mask),
            "init": [] if names.is_start(init) else [init],
            "strength-map": [pictures.strength_map] if pictures.strength_map else [],
            "palette": [palette] if palette else [],
        }
        return {kind: paths for kind, paths in found.items() if paths}

    def with_files(self, place) -> "Order":
        """This order with a function applied to the name of each of its files."""
        pictures, init, colour = self.pictures, self.recipe.init, self.finish.colour
        moved = {
            "content": place(pictures.content),
            "style": tuple(map(place, pictures.style)),
            "mask": tuple(map(place, pictures.mask)),
            "style_mask": tuple(map(place, pictures.style_mask)),
            "strength_map": pictures.strength_map and place(pictures.strength_map),
        }
        if init and not names.is_start(init):
            moved["init"] = place(init)
        if colour.startswith("palette:"):
            moved["colour"] = f"palette:{place(names.parse_colour(colour)[1])}"
        return self.with_values(**moved)


GROUPS = ("pictures", "recipe", "blend", "finish", "machine", "ends")


# What does not go together

PAINTS = (
    ("blend", "style_scale"),
    ("blend", "style_size"),
    ("pictures", "mask"),
    ("blend", "mask_weights"),
    ("pictures", "style_mask"),
    ("pictures", "strength_map"),
    ("ends", "minutes"),
    ("ends", "still"),
    ("ends", "fast_first"),
    ("machine", "preview"),
)


def check(order: Order) -> None:
    """Raise if fields that are good one by one do not go together; about styles only where the order names them."""
    if sum(map(bool, (order.machine.weights, order.machine.network, order.machine.preview))) > 1:
        raise Refused("network must be named once, got several of network, weights and preview: drop all but one")
    if order.only_colours:
        check_only_colours(order)
    if order.ends.minutes and order.ends.steps:
        raise Refused("minutes must not go with steps, got both, and either says how many there are: drop one of them")
    if order.pictures.style:
        _check_styles(order, len(order.pictures.style))


def _check_styles(order, count):
    """Raise if what is said of styles and masks does not go together."""
    pictures, blend = order.pictures, order.blend
    _check_counts(order, count)
    if pictures.mask and blend.style_mix:
        raise Refused("style-mix must not go with mask, got both: mask-weights says how much")
    if blend.mask_weights and not pictures.mask:
        raise Refused("mask-weights must go with mask, got no masks: add mask FILE")
    if blend.style_mix == "ramp" and count == 1:
        raise Refused("style-mix ramp must have several styles, got 1: name another STYLE")


def check_only_colours(order: Order, more: tuple[str, ...] = ()) -> None:
    """Raise if fields about painting go with colours alone, which paint nothing; `more`: what else was asked for."""
    asked = [name for group, name in PAINTS if getattr(getattr(order, group), name)]
    for name in (*asked, *more):
        raise Refused(f"{name.replace('_', '-')} must not go with colour only, which paints nothing: drop it")
    if order.blend.style_mix == "ramp":
        raise Refused("style-mix must be shares with colour only, got ramp: write 2,1")


def _check_counts(order, count):
    """Raise unless there is one value, or file, for each style."""
    pictures, blend = order.pictures, order.blend
    if pictures.mask and len(pictures.mask) not in (1, count):
        raise Refused(f"mask must be one file or {count}, one for each style, got {len(pictures.mask)}")
    each = {"style-mix": blend.style_mix, "style-scale": blend.style_scale, "mask-weights": blend.mask_weights}
    for name, given in (each | {"style-mask": pictures.style_mask}).items():
        if given and given != "ramp" and len(given) != count and not (name == "style-scale" and len(given) == 1):
            many = "1 value" if count == 1 else f"{count} values, one for each style"
            raise Refused(f"{name} must have {many}, got {len(given)}")
