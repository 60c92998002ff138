"""What a compiled program's own text says of one turn of its loop: bytes to and from memory, cycles, collectives.

XLA counts the bytes of everything that an operation reads or writes. On a TPU much of that never leaves the chip: a
layout whose memory space is not zero is a place in its fast memory, and there operations meet. What they hand each
other through the chip's large memory, rows and channels filled up to whole tiles, is counted here.
"""

import math
import re
from collections import defaultdict
from typing import NamedTuple

COLLECTIVES = ("all-gather", "all-reduce", "all-to-all", "collective-permute", "reduce-scatter")
BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s16": 2, "u16": 2, "f32": 4, "s32": 4, "u32": 4}
SHAPE = re.compile(rf"\b({'|'.join(BYTES)})\[([\d,]*)\](?:\{{([^}}]*)\}})?")
LINE = re.compile(r"\s+(?:ROOT )?(%[\w.\-]+) = (\(.*?\)|\S+) ([\w\-]+)\((.*)")
FREE = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "while", "conditional", "after-all"}


class Instruction(NamedTuple):
    """A line of a program: its name, what it makes, its operation, and all that follows."""

    name: str
    made: str
    operation: str
    rest: str


class Turn(NamedTuple):
    """One turn of a loop: bytes to and from large memory, cycles that the compiler reckons with, {kind: (n, bytes)}."""

    moved: int
    cycles: int
    collectives: dict[str, tuple[int, int]]


def turn_of_loop(text: str) -> Turn:
    """One turn of a program's outermost loop, loops in it as often as they go round."""
    known = computations(text)
    bodies = {body for lines in known.values() for body in map(_body, lines) if body}
    inner = {body for name in bodies for body in map(_body, known[name]) if body}
    return max((_turn(known, name) for name in bodies - inner), key=lambda turn: turn.moved)


def computations(text: str) -> dict[str, list[Instruction]]:
    """The instructions of each computation of a program, by its name."""
    found: dict[str, list[Instruction]] = defaultdict(list)
    name = ""
    for line in text.splitlines():
        if line.endswith("{") and not line.startswith(" "):
            name = line.removeprefix("ENTRY ").split()[0]
        elif match := LINE.match(line):
            found[name].append(Instruction(*match.groups()))
    return found


def _turn(known, name) -> Turn:
    """A computation once, with those that it calls."""
    made = {line.name: line.made for line in known[name]}
    moved, cycles, collectives = 0, 0, defaultdict(lambda: (0, 0))
    for line in known[name]:
        moved += _moved(line, made)
        cycles += int((re.search(r'"estimated_cycles":"(\d+)"', line.rest) or [0, 0])[1])
        kind = line.operation.removesuffix("-start")
        if kind in COLLECTIVES:
            _add(collectives, kind, 1, max((size for size, _ in shapes(line.made)), default=0))
        for times, called in _called(line, known):
            inside = _turn(known, called)
            moved, cycles = moved + times * inside.moved, cycles + times * inside.cycles
            for kind, (count, size) in inside.collectives.items():
                _add(collectives, kind, times * count, times * size)
    return Turn(moved, cycles, dict(collectives))


def _add(collectives, kind, count, size):
    before = collectives[kind]
    collectives[kind] = before[0] + count, before[1] + size


def _called(line, known):
    """What an instruction calls, and how often: a loop's body, or of a choice what is done if all is well."""
    if body := _body(line):
        times = re.search(r'known_trip_count":\{"n":"(\d+)"', line.rest)
        return [(int(times[1]) if times else 1, body)]
    if line.operation == "conditional":
        branches = re.search(r"branch_computations=\{([^}]*)\}", line.rest)
        return [(1, branches[1].split(", ")[-1])] if branches else []
    return []


def _body(line) -> str | None:
    match = re.search(r"body=(%[\w.\-]+)", line.rest) if line.operation == "while" else None
    return match[1] if match else None


def _moved(line, made) -> int:
    """Bytes that an instruction reads from and writes to large memory; what begins apart ends without moving more."""
    if line.operation in FREE or line.operation.endswith("-done"):
        return 0
    if line.operation.endswith("-start"):  # (to, from, …)
        return sum(size for size, large in shapes(line.made)[:2] if large)
    given = line.rest.split(")")[0]
    read = [made[name] for name in re.findall(r"%[\w.\-]+", given) if name in made]
    return sum(size for each in (line.made, *read) for size, large in shapes(each) if large)


def shapes(text: str) -> list[tuple[int, bool]]:
    """(bytes with what tiles are filled up with, whether in large memory) of each array that a text names."""
    found = []
    for kind, dimensions, layout in SHAPE.findall(text):
        lengths = [int(n) for n in dimensions.split(",") if n]
        order = [int(n) for n in layout.partition(":")[0].split(",") if n]
        tile = re.search(r"T\(([\d,]+)\)", layout)
        for axis, unit in zip(order, reversed(tile[1].split(",")) if tile else (), strict=False):
            lengths[axis] = math.ceil(lengths[axis] / int(unit)) * int(unit)
        found.append((BYTES[kind] * math.prod(lengths), "S(" not in layout))
    return found
