"""The record kept with a result: everything that made it, as text that is stored inside the picture.

A record comes back from a stranger. It holds plain data, names no file to read or write, and of its flags only those in
`FLAGS` are accepted, within bounds; each is then parsed as if it had been typed.
"""

import hashlib
import importlib.metadata
import json
import pathlib
from collections.abc import Sequence
from typing import Any

FORMAT = "nst_jax run 1"
LONGEST = 60_000  # bytes of text in a picture
VALUE = 400  # characters of a flag's value
KEYS = {
    "format": str,
    "versions": dict,
    "device": str,
    "network": dict,
    "recipe": str,
    "flags": dict,
    "settings": dict,
    "ladder": list,
    "seed": int,
    "steps": int,
    "inputs": dict,
    "terms": dict,
}
# Flags of `stylize` that say what a picture is; those that name files are given anew by whoever runs it again.
# fmt: off
FLAGS = (
    "size", "steps", "ladder", "strength", "content-weight", "style-weight", "tv-weight", "content-layers",
    "style-layers", "pool", "padding", "content-distance", "style-distance", "variation-kind", "init", "keep",
    "optimizer", "learning-rate", "b1", "b2", "eps", "memory", "linesearch-steps", "seed", "style-mix",
    "style-scale", "style-size", "mask-weights", "colour", "alpha", "bits",
)
# fmt: on
INPUTS = ("content", "style", "mask", "style-mask", "strength-map", "init", "palette")


def sha256(path) -> str:
    """The digest of a file's bytes."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def files(paths: Sequence) -> list[dict[str, str]]:
    """Base name and digest of each file: enough to recognise it, nothing of where it lies."""
    return [{"name": pathlib.Path(path).name, "sha256": sha256(path)} for path in paths]


def versions() -> dict[str, str]:
    """Versions that a picture's bits depend on."""
    from nst_jax import __version__

    names = ("jax", "jaxlib", "flax", "optax", "numpy", "pillow")
    return {"nst_jax": __version__, **{name: importlib.metadata.version(name) for name in names}}


def text(record: dict[str, Any]) -> str:
    """A record as the text that is stored, checked as it will be when it is read."""
    out = json.dumps({"format": FORMAT, **record}, ensure_ascii=False, separators=(",", ":"))
    parsed(out)
    return out


def parsed(stored: str | None, *, name: str = "the picture") -> dict[str, Any]:
    """The record in a stored text, or one line that says what is wrong with it."""
    if stored is None:
        raise ValueError(f"result must hold its settings, got none in {name}: it was not painted by nst-jax, or edited")
    if len(stored.encode()) > LONGEST:
        raise ValueError(f"settings must be at most {LONGEST} bytes, got {len(stored.encode())} in {name}")
    try:
        record = json.loads(stored)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise ValueError(f"settings must be of format {FORMAT!r}, got something else in {name}")
    _check(record, name)
    return record


def _check(record, name):
    for key, value in record.items():
        if not isinstance(value, KEYS.get(key, ())) or isinstance(value, bool):
            raise ValueError(f"settings must hold only what a run writes, got {key[:40]!r} in {name}")
    for flag, value in record.get("flags", {}).items():
        if flag not in FLAGS or not isinstance(value, str) or len(value) > VALUE:
            raise ValueError(f"settings must hold only flags of stylize, got {flag[:40]!r} in {name}")
    for kind, listed in record.get("inputs", {}).items():
        if kind not in INPUTS or not isinstance(listed, list) or not all(map(_is_file, listed)):
            raise ValueError(f"inputs must be names and digests, got {kind[:40]!r} in {name}")


def _is_file(entry) -> bool:
    return (
        isinstance(entry, dict)
        and entry.keys() == {"name", "sha256"}
        and all(isinstance(v, str) for v in entry.values())
    )


def flags(record: dict[str, Any]) -> list[str]:
    """The arguments of `stylize` that a record stands for, its recipe first; each is one word with its value."""
    given = [f"--recipe={record['recipe']}"]
    return given + [f"--{name}={value}" for name, value in record.get("flags", {}).items()]


def same(record: dict[str, Any], kind: str, paths: Sequence) -> None:
    """Raise unless these files are the ones that the record was made of."""
    listed = record.get("inputs", {}).get(kind, [])
    if len(listed) != len(paths):
        raise ValueError(f"{kind} must be {len(listed)} files as in the record, got {len(paths)}: give each of them")
    for path, entry in zip(paths, listed, strict=True):
        if sha256(path) != entry["sha256"]:
            name = pathlib.Path(path).name
            raise ValueError(f"{kind} must be the picture that was used, {entry['name'][:80]}, got another: {name}")


def changes(record: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What is not as it was when the record was made: versions, device, network."""
    found = []
    for package, version in now["versions"].items():
        if (was := record.get("versions", {}).get(package)) != version:
            found.append(f"{package} was {str(was)[:40]}, is {version}")
    if record.get("device") != now["device"]:
        found.append(f"device was {str(record.get('device'))[:80]}, is {now['device']}")
    if (was := record.get("network", {}).get("sha256")) != now["network"]["sha256"]:
        found.append(f"network was {str(was)[:12]}, is {now['network']['sha256'][:12]}")
    return found
