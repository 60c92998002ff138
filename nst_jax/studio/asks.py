"""What a visitor asks for: read as a stranger's record is, within bounds; the form; and what it will take.

An ask names pictures by their digests and everything else in words, as the command line's flags do.
"""

import functools
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from nst_jax import recipes
from nst_jax.orders import compose, customise, networks, prepare, words
from nst_jax.orders import order as orders
from nst_jax.orders import record as records
from nst_jax.orders.networks import Network
from nst_jax.orders.order import Order
from nst_jax.painting import job as jobs
from nst_jax.painting import memory
from nst_jax.pictures import samples
from nst_jax.recipes import Turn, names
from nst_jax.studio.uploads import BYTES, PIXELS

KINDS = ("content", "style", "mask", "strength-map")
MOST = 16  # paintings in one picture
LARGE = 1_500_000  # pixels from which a visitor is asked whether it is meant
MAIN = ("recipe", "strength", "size", "colour")  # what stands on the form's front
# Fields that are the server's own, or a stranger's only by the command line
NOT_OFFERED = (
    "weights",
    "max-memory",
    "max-pixels",
    "mesh",
    "minutes",
    "keep-metadata",
    "network",
    "preview",
    "fast-first",
)
QUALITIES = {  # words for the form: which network paints
    "quick": {"fast-first": "15"},
    "sketch": {"network": "fast"},
    "full": {},
}
QUALITY = "quick: the fast network first, VGG19 at the end; sketch: the fast network alone; full: VGG19 alone"
SIZE = 384  # px: the form's own, so that the first picture is soon there
STEERS = {  # of a Turn: in words, from, to, at rest, how a slider goes
    "strength": ("Strength", 0.0, 1.0, 0.5, "linear"),
    "content": ("Content", 0.05, 20.0, 1.0, "log"),
    "style": ("Style", 0.05, 20.0, 1.0, "log"),
    "variation": ("Smoothness", 0.05, 20.0, 1.0, "log"),
    "rate": ("Learning rate", 0.1, 4.0, 1.0, "log"),
}


class Ask(NamedTuple):
    """A painting that is asked for: digests of pictures by what they are for, settings in words, turns on the way."""

    files: dict[str, list[str]]
    settings: dict[str, str]
    turns: list

    def as_json(self) -> dict[str, Any]:
        """As the page has it."""
        one = {"content": (self.files.get("content") or [None])[0]}
        strength = {"strength-map": (self.files.get("strength-map") or [None])[0]}
        several = {kind: self.files.get(kind, []) for kind in ("style", "mask")}
        return {**one, **several, **strength, "settings": self.settings, "turns": self.turns}


def read(body: Any) -> Ask:
    """An ask from the page's JSON, or one line that says what is wrong with it."""
    if not isinstance(body, dict):
        raise ValueError("request must be an object of JSON, got something else: reload the page")
    files = {kind: _ids(kind, body.get(kind)) for kind in KINDS}
    for kind in ("content", "style"):
        if not files[kind]:
            what = "a photograph" if kind == "content" else "a painting"
            raise ValueError(f"{kind} must be {what}, got none: choose one")
    settings = body.get("settings", {})
    if not isinstance(settings, dict) or not all(isinstance(x, str) for pair in settings.items() for x in pair):
        raise ValueError("settings must be texts by name, got something else: reload the page")
    settings = {name: text.strip() for name, text in settings.items() if text.strip()}
    turns = body.get("turns") or []
    ask = Ask({kind: listed for kind, listed in files.items() if listed}, settings, turns)
    record_of(ask)
    return ask


def _ids(kind, value) -> list[str]:
    listed = value if isinstance(value, list) else [] if value is None else [value]
    if len(listed) > (MOST if kind in ("style", "mask") else 1) or not all(isinstance(x, str) for x in listed):
        raise ValueError(f"{kind} must be pictures that were uploaded, at most {MOST}, got something else")
    return listed


def record_of(ask: Ask) -> records.Record:
    """What is asked for as a record, checked as one that a stranger sent."""
    settings = dict(ask.settings)
    quality = settings.pop("quality", None)
    if quality is not None:
        if quality not in QUALITIES:
            raise ValueError(f"quality must be one of {', '.join(QUALITIES)}, got {quality[:40]!r}")
        own = QUALITIES[quality]
        settings = own | settings if not {"network", "preview", "fast-first"} & settings.keys() else settings
    order = {"recipe": recipes.DEFAULT} | settings
    for name in order:
        field = words.TABLE.get(name)
        if field is None or not field.recorded or name == "keep-metadata":
            raise ValueError(f"settings must be those of the form, got {name[:40]!r}: drop it")
    held = {"format": records.FORMAT, "order": order, "versions": {}, "inputs": {}, "turns": ask.turns}
    return records.parse(json.dumps(held), name="the request")


def order_of(ask: Ask, files: Mapping[str, list[str]]) -> Order:
    """The order of an ask, its pictures at these paths."""
    order = records.order_of(record_of(ask), files).with_values(max_pixels=PIXELS)
    orders.check(order)
    if order.only_colours:
        raise ValueError("colour must be one that is painted, got only: choose another")
    customise.recipe_of(order)
    return order


# Networks


@functools.lru_cache(maxsize=4)
def _network(path) -> Network:
    return Network(path)


def network(order: Order) -> Network:
    """The network that paints an order, read once."""
    return _network(networks.weights_path(order))


def task(order: Order) -> compose.Task:
    """An order made ready, its network with it."""
    return networks.with_network(compose.task(order), network(order))


# The plan


def plan(order: Order, pace: Mapping[str, float]) -> dict[str, Any]:
    """What an order will take: sizes and steps, bytes, seconds by the pace of earlier runs, how it is computed."""
    ready = task(order)
    machine = prepare.machine_of(order, height=ready.shape[0])
    stages = jobs.stages(ready.params, ready.job, machine)
    peaks, seconds = [], 0.0
    for stage in stages:
        load = jobs.load_at(jobs.params_of(ready.params, ready.job, stage), ready.job, stage.shape, machine=machine)
        peaks.append(memory.peak(stage.plan, load))
        seconds += pace.get(pace_key(order, stage), float("nan")) * stage.steps * stage.shape[0] * stage.shape[1]
    height, width = ready.shape
    rows = [{"width": s.shape[1], "height": s.shape[0], "steps": s.steps, "network": s.network} for s in stages]
    found = {"width": width, "height": height, "stages": rows, "memory": int(max(peaks))}
    known = round(seconds, 1) if seconds == seconds else None
    found |= {"seconds": known, "how": str(stages[-1].plan), "notes": list(ready.notes)}
    return found | {"large": height * width >= LARGE or bool(stages[-1].plan.window)}


def pace_key(order: Order, stage) -> str:
    """Runs whose steps take equally long for each pixel."""
    return f"{order.recipe.recipe} {networks.weights_path(order) and 'fast'} {stage.network}"


# The form


def form() -> dict[str, Any]:
    """What the page's form is made of: every field of an order that a visitor may fill in."""
    listed = [{"name": recipe.name, "about": recipe.source} for recipe in recipes.everything().values()]
    drawn = [{"name": name, "kind": "content"} for name in samples.CONTENTS]
    drawn += [{"name": name, "kind": "style"} for name in samples.STYLES]
    steer = [
        {"name": name, "label": label, "min": low, "max": high, "neutral": rest, "scale": scale}
        for name, (label, low, high, rest, scale) in STEERS.items()
    ]
    return {
        "recipes": listed,
        "recipe": recipes.DEFAULT,
        "fields": sorted(_fields(), key=lambda row: row["heading"] != "main"),
        "steer": steer,
        "samples": drawn,
        "limits": {"bytes": BYTES, "pixels": PIXELS},
    }


def _fields() -> list[dict[str, Any]]:
    wanted = [f for f in words.FIELDS if f.heading and f.files in (0, 3) and f.name not in NOT_OFFERED and f.recorded]
    main = [words.TABLE[name] for name in MAIN]
    rows = [_row(field, "main" if field in main else field.heading) for field in wanted]
    rows.sort(key=lambda row: MAIN.index(row["name"]) if row["name"] in MAIN else len(MAIN))
    choices = {"kind": "choice", "choices": list(QUALITIES), "default": "quick", "placeholder": ""}
    return [*rows, {"name": "quality", "label": "Quality", "heading": "main", "help": QUALITY, **choices}]


def _row(field: words.Field, heading: str) -> dict[str, Any]:
    known = {"colour": names.COLOURS[:-2], "recipe": tuple(recipe.name for recipe in recipes.everything().values())}
    choices = known.get(field.name, field.choices)
    kind = "flag" if field.flag else "choice" if choices else "number" if field.metavar in ("X", "N") else "text"
    own = {"recipe": recipes.DEFAULT, "size": str(SIZE), "strength": "0.5", "colour": "style"}
    return {
        "name": field.name,
        "label": field.name.replace("-", " ").capitalize(),
        "heading": heading,
        "help": field.help.replace(" or only", "").replace("palette:IMAGE", "").replace(" or a file", ""),
        "kind": kind,
        "choices": list(choices),
        "default": own.get(field.name, ""),
        "placeholder": field.metavar,
    }


# Turns


def read_turn(body: Any) -> Turn:
    """A turn from the page's JSON."""
    values = {k: v for k, v in body.items() if v is not None} if isinstance(body, dict) else None
    if values is None or not records.is_turn([0, values]):
        raise ValueError("a turn must be numbers by name, got something else: reload the page")
    ((_, turn),) = records.read_turns([[0, values]])
    return turn


def check_turn(order: Order, turn: Turn) -> None:
    """Raise now what a run would raise later."""
    known = steers(order)
    plain = Turn()
    for name in Turn._fields:
        if name not in known and getattr(turn, name) != getattr(plain, name):
            got = f"got {name} {records.in_words(getattr(turn, name))}"
            raise ValueError(f"a turn must change what this run can change, {', '.join(known)}, {got}: drop it")
    if turn.mix is not None and (len(turn.mix) != len(order.pictures.style) or not any(turn.mix)):
        raise ValueError(f"mix must be {len(order.pictures.style)} shares, not all 0, got {len(turn.mix)}: reload")
    customise.recipe_of(order).with_turn(turn).weights((512, 512))  # raises where they are too large for a number


def steers(order: Order) -> list[str]:
    """What of a turn this order's run can change."""
    recipe = customise.recipe_of(order)
    found = ["strength"]
    found += ["content"] if any(recipe.content.values()) else []
    found += ["style"] if recipe.style or recipe.neighbours else []
    found += ["variation"] if recipe.variation else []
    found += ["rate"] if recipe.optimizer != "lbfgs" else []
    mixed = len(order.pictures.style) > 1 and not order.pictures.mask and order.blend.style_mix != "ramp"
    return found + (["mix"] if mixed else [])
