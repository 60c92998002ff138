"""The record kept with a result: everything that made it, as text that is stored inside the picture.

A record comes back from a stranger. It holds plain data and names no file to read or write; what it asks for is read
field by field as if it had been typed, within bounds.
"""

import importlib.metadata
import json
import math
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from nst_jax.ground import storage
from nst_jax.ground.choices import printable
from nst_jax.orders import words
from nst_jax.orders.order import WHOLE, Order
from nst_jax.pictures import metadata
from nst_jax.recipes import Turn, names
from nst_jax.version import __version__

FORMAT, OLD = "nst_jax run 2", "nst_jax run 1"
LONGEST = 60_000  # bytes of text in a picture
ROOM = 4_000  # bytes of what is known only after a run: its final terms
VALUE = 2_000  # characters of a field's value
DEEPEST = 5  # how deep a record's values are nested
MOST = {"steps": 1_000_000, "memory": 1_000, "linesearch_steps": 1_000}  # what a stranger's record may ask for
PIXELS = 64_000_000  # of a picture that such a record may ask for, unless somebody says otherwise
PLAN = {"again": int, "window": int, "recomputed": bool, "direct": bool}  # as `painting.memory` has it
INPUTS = ("content", "style", "mask", "style-mask", "strength-map", "init", "palette")
PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "pillow")


class Record(NamedTuple):
    """What made a picture; a run that goes on has no steps and terms yet."""

    order: dict[str, str]  # fields of the order in words, its recipe first
    versions: dict[str, str]
    inputs: dict[str, list[dict[str, str]]]  # names and digests by what they are for
    device: str = ""
    network: Mapping[str, Any] = {}
    settings: Mapping[str, Any] = {}  # the recipe's, as they were used
    stages: Sequence[dict[str, Any]] = ()  # {"size": [w, h], "steps": n, "network": …, "plan": {…}, "near": […]}
    turns: Sequence[list] = ()  # [steps done, {factor: value}]
    steps: int | None = None
    terms: Mapping[str, float] = {}

    @property
    def total(self) -> int:
        """Steps that were planned."""
        return sum(stage["steps"] for stage in self.stages)

    @property
    def stopped(self) -> int | None:
        """The step after which the picture was stopped, if it was."""
        return self.steps if self.steps and 0 < self.steps < self.total else None


# Made


def digests(paths: Sequence) -> list[dict[str, str]]:
    """Base name and digest of each file: enough to recognise it, nothing of where it lies."""
    return [_digest(path) for path in paths]


def _digest(path) -> dict[str, str]:
    if path == WHOLE:
        return {"name": WHOLE, "sha256": WHOLE}
    return {"name": printable(pathlib.Path(path).name), "sha256": storage.digest(path)}


def versions() -> dict[str, str]:
    """Versions that a picture's bits depend on."""
    return {"nst_jax": __version__, **{name: importlib.metadata.version(name) for name in PACKAGES}}


def write_turns(turns: Sequence[tuple[int, Turn]]) -> list[list]:
    """Turns as plain data: what differs from no turn."""
    plain = Turn()._asdict()
    return [[step, {k: v for k, v in turn._asdict().items() if v != plain[k]}] for step, turn in turns]


def text(record: Record, *, room: int = 0) -> str:
    """A record as the text that is stored, checked as it will be when it is read, with room for so many bytes more."""
    held = {key: value for key, value in record._asdict().items() if value not in (None, "", (), [], {})}
    needed = {"order": record.order, "versions": record.versions, "inputs": record.inputs}
    out = json.dumps({"format": FORMAT, **needed, **held}, ensure_ascii=False, separators=(",", ":"))
    metadata.xmp_packet(out + " " * room)
    parse(out)
    return out


# Read


def parse(stored: str | None, *, name: str = "the picture") -> Record:
    """The record in a stored text, or one line that says what is wrong with it."""
    if stored is None:
        raise ValueError(f"result must hold its settings, got none in {name}: it was not painted by nst-jax, or edited")
    if len(stored.encode()) > LONGEST:
        raise ValueError(f"settings must be at most {LONGEST} bytes, got {len(stored.encode())} in {name}")
    try:
        held = json.loads(stored, parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError):
        held = None
    if not isinstance(held, dict) or held.get("format") not in (FORMAT, OLD):
        raise ValueError(f"settings must be of format {FORMAT!r}, got something else in {name}")
    held = _from_format_1(held, name) if held["format"] == OLD else held
    check(held, name)
    return Record(**{key: value for key, value in held.items() if key != "format"})


def _no_number(word):
    raise ValueError(f"{word} is no number of JSON")


def _finite(word):
    return number if math.isfinite(number := float(word)) else _no_number(word)


def _from_format_1(held, name) -> dict[str, Any]:
    """A record of format 1 as one of format 2: its flags are the order, its ladder the stages."""
    known = ("format", "versions", "device", "network", "recipe", "flags", "settings", "ladder", "plan", "seed")
    if unknown := [key for key in held if key not in (*known, "steps", "inputs", "terms")]:
        raise ValueError(f"settings must hold only what a run writes, got {unknown[0][:40]!r} in {name}")
    flags, ladder = held.get("flags"), held.get("ladder", [])
    if not isinstance(flags, dict) or not isinstance(held.get("recipe"), str):
        raise ValueError(f"settings must hold recipe and flags, got neither in {name}")
    if not isinstance(ladder, list) or not all(isinstance(row, list) and len(row) == 3 for row in ladder):
        raise ValueError(f"settings must hold only what a run writes, got 'ladder' in {name}")
    kept = {
        key: held[key]
        for key in ("versions", "device", "network", "settings", "steps", "inputs", "terms")
        if key in held
    }
    stages = [{"size": [w, h], "steps": steps} for w, h, steps in ladder]
    asked = {key: value for key, value in flags.items() if (key, value) != ("precision", "float32")}  # always said
    return {"order": {"recipe": held["recipe"], **asked}, "stages": stages, **kept}


TYPES = {
    "format": str,
    "order": dict,
    "versions": dict,
    "inputs": dict,
    "device": str,
    "network": dict,
    "settings": dict,
    "stages": list,
    "turns": list,
    "steps": int,
    "terms": dict,
}


def check(held: dict[str, Any], name: str) -> None:
    """Raise unless this is what a run writes into a record."""
    for key, value in held.items():
        if not isinstance(value, TYPES.get(key, ())) or isinstance(value, bool) or not _is_sound(key, value):
            raise ValueError(f"settings must hold only what a run writes, got {key[:40]!r} in {name}")
    if missing := [key for key in ("versions", "order", "inputs") if key not in held]:
        raise ValueError(f"settings must hold versions, order and inputs, got no {missing[0]} in {name}")
    for field, value in held["order"].items():
        recorded = field in words.TABLE and words.TABLE[field].recorded
        if not recorded or not isinstance(value, str) or len(value) > VALUE:
            raise ValueError(f"settings must hold only fields of an order, got {field[:40]!r} in {name}")
    if "recipe" not in held["order"]:
        raise ValueError(f"settings must name a recipe, got none in {name}")
    for kind, listed in held["inputs"].items():
        if kind not in INPUTS or not isinstance(listed, list) or not all(map(_is_file, listed)):
            raise ValueError(f"inputs must be names and digests, got {kind[:40]!r} in {name}")


def _is_sound(key, value) -> bool:
    """Whether a value is one that a run may have written under this key, as far as we go on from it."""
    if key == "terms":
        return all(_is_finite(x) for x in value.values())
    if key == "stages":
        return all(map(is_stage, value))
    if key == "turns":
        return all(map(is_turn, value)) and [step for step, _ in value] == sorted(step for step, _ in value)
    level = [value]
    for _ in range(DEEPEST):
        level = [x for v in level for x in (v.values() if isinstance(v, dict) else v if isinstance(v, list) else ())]
    return not level and (not isinstance(value, int) or 0 <= value < 2**53)


def _is_finite(number) -> bool:
    return (type(number) is float and math.isfinite(number)) or (type(number) is int and abs(number) < 2**53)


def _is_count(number, least: int = 1) -> bool:
    return type(number) is int and least <= number < 2**53


def is_stage(stage) -> bool:
    """Whether this is a row of `stages` as a run writes it."""
    known = {"size", "steps", "network", "plan", "near"}
    if not isinstance(stage, dict) or not {"size", "steps"} <= stage.keys() <= known:
        return False
    size, plan = stage["size"], stage.get("plan", {})
    sound = isinstance(plan, dict) and all(
        type(value) is PLAN.get(key) and 0 <= value < 2**53 for key, value in plan.items()
    )
    counts = isinstance(size, list) and len(size) == 2 and all(map(_is_count, size)) and _is_count(stage["steps"])
    near = stage.get("near", [])
    sound = sound and isinstance(near, list) and len(near) < 100 and all(isinstance(name, str) for name in near)
    return counts and sound and isinstance(stage.get("network", ""), str)


def is_turn(row) -> bool:
    """Whether this is a row of `turns` as a run writes it."""
    if not (isinstance(row, list) and len(row) == 2 and _is_count(row[0], 0) and isinstance(row[1], dict)):
        return False
    mix = row[1].get("mix", [])
    numbers = [value for key, value in row[1].items() if key != "mix"]
    known = row[1].keys() <= {*Turn._fields} and isinstance(mix, list) and len(mix) <= 100
    return known and all(_is_finite(x) and 0 <= x <= 1e30 for x in (*numbers, *mix)) and row[1].get("strength", 0) <= 1


def _is_file(entry) -> bool:
    keys = isinstance(entry, dict) and entry.keys() == {"name", "sha256"}
    return keys and all(isinstance(value, str) for value in entry.values())


def in_words(value: Any) -> str:
    """A value of a record for a person: dictionaries and lists in a row, numbers in six digits."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {in_words(each)}" for name, each in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(in_words, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


# Asked for again


def order_of(record: Record, files: Mapping[str, Sequence[str]], *, keep_metadata: bool = False) -> Order:
    """The order that made a record, with its files given anew; metadata are kept by nobody else's wish."""
    given = {name: value for name, value in record.order.items() if name != "keep-metadata"}
    mode, start = given.get("colour", "style"), given.get("init", "content")
    if mode not in names.COLOURS or not names.is_start(start):
        got = f"got colour {mode[:80]!r}" if mode not in names.COLOURS else f"got init {start[:80]!r}"
        raise ValueError(f"settings must name no files, which are given anew, {got}: it is not a run's own record")
    if (mode == "palette") != bool(files.get("palette")):
        raise ValueError("settings must be ones that go together, got a palette without its colours, or the opposite")
    given |= {"colour": f"palette:{files['palette'][0]}"} if mode == "palette" else {}
    try:
        found = words.replace(Order(), given)
    except ValueError as error:
        raise ValueError(f"settings must be ones that stylize takes, got: {printable(error, longest=300)}") from None
    found = found.with_values(turns=read_turns(record.turns), keep_metadata=keep_metadata)
    return check_bounds(_with_files(found, files))


def read_turns(turns: Sequence) -> tuple[tuple[int, Turn], ...]:
    """The turns of a record."""
    return tuple(
        (step, Turn()._replace(**{k: tuple(v) if k == "mix" else v for k, v in each.items()})) for step, each in turns
    )


def _with_files(found: Order, files) -> Order:
    named = {
        "content": files["content"][0],
        "style": tuple(files["style"]),
        "mask": tuple(files.get("mask", ())),
        "style_mask": tuple(files.get("style-mask", ())),
        "strength_map": next(iter(files.get("strength-map", ())), None),
    }
    return found.with_values(**named | ({"init": files["init"][0]} if files.get("init") else {}))


def check_bounds(asked: Order) -> Order:
    """This order, unless it asks for more than a stranger's record may."""
    found = {name: getattr(asked.recipe if name != "steps" else asked.ends, name) or 0 for name in MOST}
    found["steps"] = max(found["steps"], sum(steps or 0 for _, steps in asked.recipe.ladder or ()))
    for name, value in found.items():
        if value > MOST[name]:
            raise ValueError(f"settings must ask for at most {MOST[name]} {name.replace('_', ' ')}, got {value}")
    return asked


def check_shape(shape: tuple[int, int], most: int) -> None:
    """Raise if a record asks for a larger picture than it may."""
    h, w = shape
    if h * w > most:
        raise ValueError(
            f"settings must ask for at most {most:,} pixels, got {w}×{h}: raise max-pixels if you trust them"
        )


def check_files(record: Record, kind: str, paths: Sequence) -> None:
    """Raise unless these files are the ones that the record was made of."""
    listed = record.inputs.get(kind, [])
    if len(listed) != len(paths):
        many = f"{len(listed)} file{'' if len(listed) == 1 else 's'}"
        remedy = "give each of them" if listed else "drop it"
        raise ValueError(f"{kind} must be {many} as in the record, got {len(paths)}: {remedy}")
    for path, entry in zip(paths, listed, strict=True):
        if path != WHOLE and not os.path.isfile(path):
            raise FileNotFoundError(f"{kind} must be an existing file, got {os.fspath(path)!r}: check its name")
        if _digest(path)["sha256"] != entry["sha256"]:
            name, was = pathlib.Path(path).name, printable(entry["name"], longest=80)
            raise ValueError(
                f"{kind} must be the picture that was used, {was}, got another, {name}: find the one that was"
            )


def changes(before: Record, now: Record) -> list[str]:
    """What is not as it was when a record was made: versions, device, network, as far as it depends on them."""
    found = []
    for package, version in now.versions.items():
        if (was := before.versions.get(package)) != version:
            found.append(f"{package} was {printable(was, longest=40)}, is {version}")
    if before.device and before.device != now.device:
        found.append(f"device was {printable(before.device, longest=80)}, is {now.device}")
    if before.network and (was := before.network.get("sha256")) != now.network["sha256"]:
        found.append(f"network was {printable(was, longest=12)}, is {now.network['sha256'][:12]}")
    return found


def asks_the_same(one: Record, other: Record) -> bool:
    """Whether two records were asked for alike, wherever they were painted."""
    return _asked(one) == _asked(other)


def _asked(record):
    digests = {kind: [file["sha256"] for file in files] for kind, files in record.inputs.items()}
    plain = (
        words.write(words.replace(Order(), {**record.order, "colour": "style"})),
        record.order.get("colour", "style"),
    )
    same = record.versions.get("nst_jax"), record.network.get("sha256"), read_turns(record.turns)
    return *plain, *same, digests
