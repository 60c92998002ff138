"""The record kept with a result: everything that made it, as text that is stored inside the picture.

A record comes back from a stranger. It holds plain data, names no file to read or write, and of its flags only those in
`FLAGS` are accepted, within bounds; each is then parsed as if it had been typed.
"""

import hashlib
import importlib.metadata
import json
import math
import os
import pathlib
from collections.abc import Sequence
from typing import Any

from nst_jax.pictures import metadata

FORMAT = "nst_jax run 1"
LONGEST = 60_000  # bytes of text in a picture
ROOM = 4_000  # bytes of what is known only after a run: its final terms
VALUE = 2_000  # characters of a flag's value
DEEPEST = 5  # how deep a record's values are nested
KEYS = {
    "format": str,
    "versions": dict,
    "device": str,
    "network": dict,
    "recipe": str,
    "flags": dict,
    "settings": dict,
    "ladder": list,
    "plan": list,
    "seed": int,
    "steps": int,
    "inputs": dict,
    "terms": dict,
}
NEEDED = ("versions", "recipe", "flags", "inputs")
ALL = "-"  # in place of a mask: all of it
# Flags of `stylize` that say what a picture is; those that name files are given anew by whoever runs it again.
# fmt: off
FLAGS = (
    "size", "steps", "ladder", "strength", "content-weight", "style-weight", "tv-weight", "content-layers",
    "style-layers", "pool", "padding", "content-distance", "style-distance", "variation-kind", "init", "keep",
    "optimizer", "learning-rate", "b1", "b2", "eps", "memory", "linesearch-steps", "seed", "style-mix",
    "style-scale", "style-size", "mask-weights", "colour", "alpha", "bits", "keep-metadata",
    "max-memory", "precision", "still", "network", "preview", "fast-first",
)
# fmt: on
BARE = ("keep-metadata", "preview")  # flags without a value: recorded as "yes"
INPUTS = ("content", "style", "mask", "style-mask", "strength-map", "init", "palette")


def sha256(path) -> str:
    """The digest of a file's bytes."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def files(paths: Sequence) -> list[dict[str, str]]:
    """Base name and digest of each file: enough to recognise it, nothing of where it lies."""
    return [_file(path) for path in paths]


def _file(path) -> dict[str, str]:
    if path == ALL:
        return {"name": ALL, "sha256": ALL}
    return {"name": plain(pathlib.Path(path).name), "sha256": sha256(path)}


def plain(words, *, most: int = 255) -> str:
    """Words of a stranger for one line of a terminal, or a file's name for a record."""
    return "".join(c if c.isprintable() else "?" for c in str(words)[:most])


def versions() -> dict[str, str]:
    """Versions that a picture's bits depend on."""
    from nst_jax import __version__

    names = ("jax", "jaxlib", "flax", "optax", "numpy", "pillow")
    return {"nst_jax": __version__, **{name: importlib.metadata.version(name) for name in names}}


def text(record: dict[str, Any], *, room: int = 0) -> str:
    """A record as the text that is stored, checked as it will be when it is read, with room for so many bytes more."""
    out = json.dumps({"format": FORMAT, **record}, ensure_ascii=False, separators=(",", ":"))
    metadata.packet(out + " " * room)
    parsed(out)
    return out


def parsed(stored: str | None, *, name: str = "the picture") -> dict[str, Any]:
    """The record in a stored text, or one line that says what is wrong with it."""
    if stored is None:
        raise ValueError(f"result must hold its settings, got none in {name}: it was not painted by nst-jax, or edited")
    if len(stored.encode()) > LONGEST:
        raise ValueError(f"settings must be at most {LONGEST} bytes, got {len(stored.encode())} in {name}")
    try:
        record = json.loads(stored, parse_constant=_no_number)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise ValueError(f"settings must be of format {FORMAT!r}, got something else in {name}")
    _check(record, name)
    return record


def _no_number(word):
    raise ValueError(f"{word} is no number of JSON")


def _check(record, name):
    for key, value in record.items():
        if not isinstance(value, KEYS.get(key, ())) or isinstance(value, bool) or not _sound(key, value):
            raise ValueError(f"settings must hold only what a run writes, got {key[:40]!r} in {name}")
    if missing := [key for key in NEEDED if key not in record]:
        raise ValueError(f"settings must hold {', '.join(NEEDED)}, got no {missing[0]} in {name}")
    for flag, value in record["flags"].items():
        if flag not in FLAGS or not isinstance(value, str) or len(value) > VALUE:
            raise ValueError(f"settings must hold only flags of stylize, got {flag[:40]!r} in {name}")
    for kind, listed in record["inputs"].items():
        if kind not in INPUTS or not isinstance(listed, list) or not all(map(_is_file, listed)):
            raise ValueError(f"inputs must be names and digests, got {kind[:40]!r} in {name}")


def _sound(key, value) -> bool:
    """Whether a value is one that a run may have written under this key, as far as we go on from it."""
    if key == "terms":
        return all(type(x) in (int, float) and math.isfinite(x) for x in value.values())
    if key == "ladder":
        return all(isinstance(stage, list) and len(stage) == 3 and all(map(_counts, stage)) for stage in value)
    level = [value]
    for _ in range(DEEPEST):
        level = [x for v in level for x in (v.values() if isinstance(v, dict) else v if isinstance(v, list) else ())]
    return not level and (not isinstance(value, int) or 0 <= value < 2**53)


def _counts(number) -> bool:
    return type(number) is int and 1 <= number < 2**53


def _is_file(entry) -> bool:
    return (
        isinstance(entry, dict)
        and entry.keys() == {"name", "sha256"}
        and all(isinstance(v, str) for v in entry.values())
    )


def flags(record: dict[str, Any]) -> list[str]:
    """The arguments of `stylize` that a record stands for, its recipe first; each is one word with its value.

    None of them names a file, and metadata, which may tell where a picture was taken, are kept by nobody else's wish.
    """
    from nst_jax.painting import starts
    from nst_jax.pictures import colour

    given = {name: value for name, value in record["flags"].items() if name != "keep-metadata"}
    mode, start = given.get("colour", "style"), given.get("init", "content")
    known = mode in (*colour.MODES, "palette", "only")
    if not known or not starts.named(start):
        got = f"got colour {mode[:80]!r}" if not known else f"got init {start[:80]!r}"
        raise ValueError(f"settings must name no files, which are given anew, {got}: it is not a run's own record")
    words = [f"--{name}" if name in BARE else f"--{name}={value}" for name, value in given.items()]
    return [f"--recipe={record['recipe']}", *words]


def same(record: dict[str, Any], kind: str, paths: Sequence) -> None:
    """Raise unless these files are the ones that the record was made of."""
    listed = record["inputs"].get(kind, [])
    if len(listed) != len(paths):
        many = f"{len(listed)} file{'' if len(listed) == 1 else 's'}"
        raise ValueError(f"{kind} must be {many} as in the record, got {len(paths)}: give each of them")
    for path, entry in zip(paths, listed, strict=True):
        if path != ALL and not os.path.isfile(path):
            raise FileNotFoundError(f"{kind} must be an existing file, got {os.fspath(path)!r}: check its name")
        if _file(path)["sha256"] != entry["sha256"]:
            name, was = pathlib.Path(path).name, plain(entry["name"], most=80)
            raise ValueError(f"{kind} must be the picture that was used, {was}, got another: {name}")


def changes(record: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What is not as it was when the record was made: versions, device, network, as far as it depends on them."""
    before, found = record["versions"], []
    for package, version in now["versions"].items():
        if (was := before.get(package)) != version:
            found.append(f"{package} was {plain(was, most=40)}, is {version}")
    if "device" in record and record["device"] != now["device"]:
        found.append(f"device was {plain(record['device'], most=80)}, is {now['device']}")
    if "network" in record and (was := record["network"].get("sha256")) != now["network"]["sha256"]:
        found.append(f"network was {plain(was, most=12)}, is {now['network']['sha256'][:12]}")
    done, planned = record.get("steps"), sum(steps for *_, steps in record.get("ladder", []))
    if done is not None and done < planned:
        found.append(f"the run was stopped after {done} of {planned} steps, is done whole")
    return found
