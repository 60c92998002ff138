"""The one table of an order's fields: how each is named, read, written and explained, and where it may be used.

Flags of the command line, columns of lists of jobs, keys of records and docs/settings.md are made from it.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from nst_jax.orders import order, values
from nst_jax.orders.order import Order
from nst_jax.recipes import DEFAULT, names


class Field(NamedTuple):
    """A field of an order: its name in words, its group and attribute, how it is read and written, and where used."""

    name: str
    group: str  # of the order; empty: the order itself
    parse: Callable[[str], Any]
    help: str
    metavar: str = ""
    write: Callable[[Any], str] = values.write
    heading: str = ""  # under which it stands in help and docs
    choices: tuple[str, ...] = ()
    files: int = 0  # 1: it names a file, 2: one or several, 3: its words may name one
    recorded: bool = True  # in a picture's record
    listed: bool = True  # in lists of jobs
    sweep: Callable | None = None  # reads several values for a sweep
    turn: str = ""  # what of a Turn changes it while a run goes on

    @property
    def attribute(self) -> str:
        """Its name in the order."""
        return self.name.replace("-", "_")

    @property
    def flag(self) -> bool:
        """Whether it is there or not, and has no value."""
        return self.parse is values.yes

    def of(self, known: Order) -> Any:
        """Its value in an order."""
        return getattr(getattr(known, self.group) if self.group else known, self.attribute)


RECIPE = "recipe"
CONTROL = "control"
NETWORK = "network"
MACHINE = "machine"
RUN = "run"


def _choice(name, known, text):
    return Field(name, "recipe", values.one_of(*known), text, heading=RECIPE, choices=known)


def _setting(name, parse, text):
    owners = ", ".join(names.SETTINGS[name.replace("-", "_")])
    return Field(name, "recipe", parse, f"{text} ({owners})", "X", heading=RECIPE)


several, same = values.several, values.same

# fmt: off
FIELDS: tuple[Field, ...] = (
    # which pictures
    Field("content", "pictures", same, "the photograph", "CONTENT", files=1, recorded=False),
    Field("style", "pictures", same, "the painting, or several: a blend of them", "STYLE", files=2, recorded=False),
    # by which recipe
    Field("recipe", "recipe", values.recipe, f"a recipe by name (default: {DEFAULT})", "NAME", heading=RECIPE),
    Field("size", "recipe", values.size, "pixels of the recipe's edge, or width and height exactly", "N|WxH",
          values.write_size, RECIPE),
    Field("steps", "ends", values.count, "steps in all, shared among the sizes as the recipe does", "N",
          heading=RECIPE),
    Field("ladder", "recipe", values.ladder, "sizes from coarse to fine: 128,181,256", "N[:STEPS],…",
          values.write_ladder, RECIPE),
    Field("strength", "recipe", values.share, "0 photograph, 0.5 the recipe, 1 pure style", "X", heading=RECIPE,
          sweep=several(values.share), turn="strength"),
    Field("content-weight", "recipe", values.weight, "times the recipe's content weights", "X", heading=RECIPE,
          sweep=several(values.weight), turn="content"),
    Field("style-weight", "recipe", values.weight, "times the recipe's style weights", "X", heading=RECIPE,
          sweep=several(values.weight), turn="style"),
    Field("tv-weight", "recipe", values.weight, "weight of total variation: smoothness", "X", heading=RECIPE,
          sweep=several(values.weight), turn="variation"),
    Field("content-layers", "recipe", values.layers,
          "which layers, perhaps with weights: relu4_2, or relu4_2:1,relu5_2:0.5", "LAYER[:W],…",
          values.write_layers, RECIPE),
    Field("style-layers", "recipe", values.layers,
          "the same of style, neighbours included; without a weight: the recipe's for it", "LAYER[:W],…",
          values.write_layers, RECIPE),
    Field("neighbour-layers", "recipe", values.near_layers,
          "layers where each position is to be like the painting's nearest feature", "LAYER[:W],…",
          values.write_layers, RECIPE),
    _choice("pool", names.POOLS, "how the network shrinks its maps"),
    _choice("padding", names.PADDINGS, "what the first convolution sees beyond the border"),
    _choice("content-distance", names.CONTENT_DISTANCES, "how errors of content maps are measured"),
    _choice("style-distance", names.STYLE_DISTANCES, "how the moments of a layer are compared"),
    _choice("variation-kind", names.VARIATIONS, "which kind of total variation"),
    Field("init", "recipe", values.start,
          "what it starts from: content, noise, style, statistics, mix:RATIO or a file", "START",
          heading=RECIPE, files=3, sweep=values.words(values.start)),
    Field("keep", "recipe", names.parse_keep, "what is kept of the steps: clamped, best, averaged:DECAY, or none",
          "WORDS",
          values.write_keep, RECIPE),
    _choice("optimizer", names.OPTIMIZERS, "one that is not the recipe's has its own settings"),
    _setting("learning-rate", values.positive, "step size, of pixels in [0, 1]")._replace(turn="rate"),
    _setting("b1", values.fraction, "decay of the mean gradient"),
    _setting("b2", values.fraction, "decay of the mean squared gradient"),
    _setting("eps", values.positive, "what is added below the fraction"),
    _setting("memory", values.count, "steps that are remembered"),
    _setting("linesearch-steps", values.count, "evaluations at most of a line search"),
    Field("seed", "", values.seed, "seed of random starts (default: 0)", "N", heading=RECIPE, sweep=values.seeds),
    # what goes where, in whose colours
    Field("style-mix", "blend", values.mix, "shares of several styles, or from left to right", "X,…|ramp",
          heading=CONTROL, turn="mix"),
    Field("style-scale", "blend", values.positives, "strokes as many times as large, for each style", "X,…",
          heading=CONTROL),
    Field("style-size", "blend", values.count, "edge of the styles in pixels, whatever the picture's", "N",
          heading=CONTROL),
    Field("mask", "pictures", same, "where each style goes: one file of as many colours, or one for each", "FILE",
          heading=CONTROL, files=2, recorded=False),
    Field("mask-weights", "blend", values.weights, "how much style under each mask", "X,…", heading=CONTROL),
    Field("style-mask", "pictures", same, "which part of each style counts; - for all of it", "FILE", heading=CONTROL,
          files=2, recorded=False),
    Field("strength-map", "pictures", same, "how much style anywhere: white as the recipe says, black none", "FILE",
          heading=CONTROL, files=1, recorded=False),
    Field("colour", "finish", values.colour,
          "whose colours: style, content-luminance, match-chol, match-pca, match-sym, palette:IMAGE or only",
          "MODE", heading=CONTROL,
          files=3),
    Field("alpha", "finish", values.one_of("keep", "stylise"), "what is transparent stays so, or is painted over white",
          heading=CONTROL, choices=("keep", "stylise")),
    Field("bits", "finish", values.bits, "bits a channel, of PNG and TIFF", "8|16", heading=CONTROL),
    Field("keep-metadata", "finish", values.yes, "keep the content's ICC profile and EXIF, which may tell where it was",
          heading=CONTROL),
    # by which network, on what machine
    Field("network", "machine", values.one_of("vgg19", "fast"), "fast: nearly VGG19's picture at a tenth of the cost",
          heading=NETWORK, choices=("vgg19", "fast"), listed=False),
    Field("weights", "machine", same, "the network's file (default: see `nst-jax weights info`)", "FILE",
          heading=NETWORK, recorded=False, listed=False),
    Field("preview", "machine", values.yes, "a first look: the fast network, coarse to fine, in a few steps",
          heading=NETWORK, listed=False),
    Field("max-memory", "machine", values.memory, "most memory the run may use, e.g. 4GB (default: the device's)",
          "SIZE", heading=MACHINE, listed=False),
    Field("precision", "machine", values.one_of("float32", "bfloat16"),
          "what convolutions compute in; all sums are in float32 (default: float32, on TPUs bfloat16)",
          heading=MACHINE, choices=("float32", "bfloat16"), listed=False),
    Field("max-pixels", "machine", values.count, "largest picture that is read or painted", "N", heading=MACHINE,
          recorded=False),
    Field("mesh", "machine", values.mesh, "runs at once × devices for each (default: as they fit)", "data=N,space=M",
          values.write_mesh, MACHINE, recorded=False, listed=False),
    # how long
    Field("minutes", "ends", values.positive, "as many steps as fit into this time", "X", heading=RUN, recorded=False,
          listed=False),
    Field("still", "ends", values.positive,
          "end where a step changes the picture by less than X of 255 on average: 0.02", "X", heading=RUN,
          listed=False),
    Field("fast-first", "ends", values.count, "paint with the fast network, but for the last N steps at full size", "N",
          heading=RUN, listed=False),
)
# fmt: on
TABLE: dict[str, Field] = {field.name: field for field in FIELDS}
PLAIN = Order()


def parse(field: Field, text: str) -> Any:
    """A field's value from words, or one line that names the field."""
    try:
        return field.parse(text)
    except ValueError as error:
        text = str(error).removeprefix(f"{field.name} ")  # some name themselves, some a part of theirs
        raise ValueError(f"{field.name}{' ' if text.startswith('must ') else ': '}{text}") from None


def replace(known: Order, texts: Mapping[str, str | list[str]]) -> Order:
    """An order with fields replaced by what these words say; a list of words where a field names files."""
    found = {}
    for name, text in texts.items():
        field = TABLE[name]
        several = [text] if isinstance(text, str) else text
        if field.files == 2:
            found[field.attribute] = tuple(several)
        else:
            found[field.attribute] = parse(field, several[0] if len(several) == 1 else ",".join(several))
    return known.with_values(**found)


def write(known: Order) -> dict[str, str]:
    """What an order says in words, but for the names of files: what a record keeps of it."""
    found = {}
    for field in FIELDS:
        value = field.of(known)
        if (field.recorded and value is not None and value != field.of(PLAIN)) or field.name == "recipe":
            found[field.name] = field.write(value)
    if "init" in found and not names.is_start(found["init"]):
        del found["init"]
    if found.get("colour", "").startswith("palette:"):
        found["colour"] = "palette"  # its file is given anew
    return found


def make(content: str, *style: str, **fields: Any) -> Order:
    """An order for a photograph and paintings; fields as the command line names them, values or words.

    make("town.jpg", "night.jpg", size=512, strength=0.7, colour="content-luminance")
    """
    known = Order().with_values(content=str(content), style=tuple(map(str, style)))
    for name, value in fields.items():
        field = TABLE.get(name.replace("_", "-"))
        if field is None:
            raise ValueError(f"order must have fields of docs/settings.md, got {name!r}{_hint(name)}")
        if value is not None:  # None is as the recipe, or an order, has it anyway
            known = replace(known, {field.name: _words(field, value)})
    order.check(known)
    return known


def _words(field, value) -> str | list[str]:
    if field.files == 2:
        return [str(value)] if isinstance(value, str) or not hasattr(value, "__iter__") else list(map(str, value))
    return value if isinstance(value, str) else field.write(tuple(value) if isinstance(value, list) else value)


def _hint(name):
    from nst_jax.ground import choices

    return choices.hint(name.replace("_", "-"), TABLE)
