"""The figures of `scripts/on_device.py`: one line for each, on a terminal and in a table."""

import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple


class Line(NamedTuple):
    """A figure: of what, every value measured, their unit, and what to read beside their median."""

    what: str
    values: Sequence[float]
    unit: str
    note: str = ""


class Missing(Exception):
    """Something that a row needs is not on this machine."""


def as_text(line: Line) -> str:
    """A line on a terminal."""
    if not line.values:
        return f"  {line.what:<34} {line.note}"
    return f"  {line.what:<34} {number(statistics.median(line.values)):>8} {line.unit:<4} {spread(line)} {line.note}"


def number(value: float) -> str:
    """Three digits that count, or all before the point."""
    return f"{value:.0f}" if value >= 100 else f"{value:#.3g}"


def spread(line: Line) -> str:
    """The least and the most of several values."""
    several = len(line.values) > 1
    return f"({number(min(line.values))} to {number(max(line.values))})" if several else ""


def ending(row: dict[str, Any]) -> str:
    """How a row ended, in words."""
    took = f"{row['seconds']:.0f} s" if "seconds" in row else ""
    return ": ".join(filter(None, (row["ended"], row["why"] or took)))


def table(record: dict[str, Any]) -> str:
    """The record for a README, under the device and the date."""
    where = f"{record['device'].partition(' ')[2] or record['device']}, {record['date'].split()[0]}"
    lines = [f"| {where} | median | least to most | |", "| --- | --- | --- | --- |"]
    for name, row in record["rows"].items():
        for line in (Line(**known) for known in row["lines"]):
            median = f"{number(statistics.median(line.values))} {line.unit}" if line.values else ""
            lines.append(f"| {name}: {line.what} | {median} | {spread(line).strip('()')} | {_cell(line.note)} |")
        if row["ended"] != "done":
            lines.append(f"| {name} | | | {_cell(ending(row))} |")
    versions = ", ".join(f"{key} {record[key]}" for key in ("jax", "torch") if key in record)
    return "\n".join([*lines, "", f"{record.get('machine', '')}; {versions}; `scripts/on_device.py`."]) + "\n"


def _cell(text):
    return text.replace("|", "\\|")
