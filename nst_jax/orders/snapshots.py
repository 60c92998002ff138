"""Plain data and arrays as one file that is read whole or refused: what is kept of a run that may have to go on.

MAGIC, SHA-256 of all that follows, length of the head, the head (JSON), the arrays' bytes one after the other
"""

import hashlib
import json
import math
import pathlib
import struct
from typing import Any

import numpy as np

from nst_jax.ground import storage
from nst_jax.ground.choices import one_line
from nst_jax.orders import prepare
from nst_jax.orders import record as records
from nst_jax.painting.runs import Snapshot
from nst_jax.recipes import Turn

MAGIC = b"nst-jax checkpoint 1\n"
LENGTH = struct.Struct("<Q")
KINDS = ("bool", "uint8", "int32", "uint32", "int64", "float16", "float32", "float64")
ARRAY = "array"  # the key of what stands in an array's place


def write(path, tree: Any) -> None:
    """Write plain data with arrays in it, whole or not at all."""
    arrays: list[np.ndarray] = []
    plain = _without_arrays(tree, arrays)
    kinds = [[str(array.dtype), list(array.shape)] for array in arrays]
    head = json.dumps({"tree": plain, "arrays": kinds}).encode()  # in ASCII: names of files may hold any bytes
    parts = [LENGTH.pack(len(head)), head, *(array.data for array in arrays)]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    with storage.replacing(path, what="checkpoint") as file:
        for part in (MAGIC, digest.digest(), *parts):
            file.write(part)


def read(path) -> Any:
    """What `write` wrote, or one line that says that it is not."""
    stored = pathlib.Path(path).read_bytes()
    start = len(MAGIC) + hashlib.sha256().digest_size
    digest, body = stored[len(MAGIC) : start], memoryview(stored)[start:]
    if not stored.startswith(MAGIC) or hashlib.sha256(body).digest() != digest:
        raise ValueError(f"checkpoint must be whole, got {str(path)!r}, which is not as it was written: use another")
    try:
        return _parsed(body)
    except Exception as error:  # whoever has written it, its digest is right
        got = f"got {str(path)!r} ({one_line(error)})"
        raise ValueError(f"checkpoint must hold a run as this version writes it, {got}: use another") from error


def _parsed(body: memoryview) -> Any:
    (length,) = LENGTH.unpack(body[: LENGTH.size])
    head, at = json.loads(bytes(body[LENGTH.size : LENGTH.size + length])), LENGTH.size + length
    arrays = []
    for kind, shape in head["arrays"]:
        dtype = np.dtype(KINDS[KINDS.index(kind)])
        size = dtype.itemsize * math.prod(shape)
        if min(shape, default=0) < 0:
            raise ValueError(f"an array has no shape {shape}")
        arrays.append(np.frombuffer(body[at : at + size], dtype).reshape(shape))
        at += size
    return _with_arrays(head["tree"], arrays)


def _without_arrays(tree, arrays):
    if isinstance(tree, np.ndarray):
        arrays.append(np.ascontiguousarray(tree).reshape(tree.shape))
        return {ARRAY: len(arrays) - 1}
    if isinstance(tree, dict):
        return {key: _without_arrays(value, arrays) for key, value in tree.items()}
    return [_without_arrays(value, arrays) for value in tree] if isinstance(tree, list | tuple) else tree


def _with_arrays(tree, arrays):
    if isinstance(tree, dict):
        if tree.keys() == {ARRAY}:
            return arrays[tree[ARRAY]]
        return {key: _with_arrays(value, arrays) for key, value in tree.items()}
    return [_with_arrays(value, arrays) for value in tree] if isinstance(tree, list) else tree


# Snapshots


def as_tree(kept: Snapshot) -> dict[str, Any]:
    """A snapshot as plain data and arrays."""
    turn = None if kept.turn is None else records.write_turns([(0, kept.turn)])[0][1]
    found = {"stages": prepare.write_stages(kept.stages), "stage": kept.stage, "step": kept.step}
    found |= {"turn": turn, "turns": records.write_turns(kept.turns)}
    return found | {"leaves": list(kept.leaves), "aligned": dict(kept.aligned)}


def of_tree(tree: dict[str, Any]) -> Snapshot:
    """The snapshot that `as_tree` wrote."""
    rows = [*tree["turns"], *([] if tree["turn"] is None else [[0, tree["turn"]]])]
    sound = all(map(records.is_stage, tree["stages"])) and all(map(records.is_turn, rows))
    arrays = all(isinstance(each, np.ndarray) for each in (*tree["leaves"], *tree["aligned"].values()))
    counts = all(type(tree[name]) is int for name in ("stage", "step"))
    if not (sound and arrays and counts and _is_within(tree)):
        raise ValueError("its snapshot is of no run")
    turn = None if tree["turn"] is None else _turn(tree["turn"])
    turns = tuple((step, _turn(values)) for step, values in tree["turns"])
    stages = tuple(map(prepare.read_stage, tree["stages"]))
    return Snapshot(stages, tree["stage"], tree["step"], tuple(tree["leaves"]), turn, turns, tree["aligned"])


def _is_within(tree) -> bool:
    """Whether a snapshot stands in one of its stages."""
    stages, stage = tree["stages"], tree["stage"]
    return 0 <= stage < len(stages) and 0 <= tree["step"] <= stages[stage]["steps"]


def _turn(values) -> Turn:
    mix = values.get("mix")
    return Turn(**values | ({"mix": tuple(mix)} if mix is not None else {}))
