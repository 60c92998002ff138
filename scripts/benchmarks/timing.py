"""How times are taken, compared and told."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax


class Result(NamedTuple):
    """What a row measured at one size: several values for each name, which name is the base, and further numbers."""

    size: int
    measured: Mapping[str, list[float]]
    base: str | None = None
    unit: str = "s"
    notes: Mapping[str, Any] = {}


def seconds(work: Callable[[], Any]) -> float:
    """Wall time of a call, its arrays ready."""
    begun = time.perf_counter()
    jax.block_until_ready(work())
    return time.perf_counter() - begun


def alternate(works: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    """Times of several callables, taken in turn after one call of each to warm up."""
    for work in works.values():
        seconds(work)
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            times[name].append(seconds(work))
    return times


def each(times: Mapping[str, list[float]], steps: int) -> dict[str, list[float]]:
    """Times of one step, of several callables that take as many at once."""
    return {name: [t / steps for t in known] for name, known in times.items()}


def fastest(measured: Mapping[str, list[float]], prefix: str) -> str | None:
    """The name, of those that begin so, with the smallest median."""
    names = [name for name in measured if name.startswith(prefix)]
    return min(names, key=lambda name: statistics.median(measured[name]), default=None)


def ratios(result: Result, name: str) -> list[float]:
    """A name's values over the base's, turn by turn."""
    if result.base is None:
        return []
    pairs = zip(result.measured[name], result.measured[result.base], strict=False)
    return [a / b for a, b in pairs if b]


def spread(ratios: list[float]) -> str:
    """A median, with the least and the most."""
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def markdown(results: Mapping[str, list[Result]]) -> str:
    """The rows' results as a table of the README: medians, and ratios to each one's base."""
    lines = ["| row | size | what | median | to the base |", "|---|---|---|---|---|"]
    for row, known in results.items():
        for result in known:
            for name, values in result.measured.items():
                of = ratios(result, name) if name != result.base else []
                told = f"{spread(of)} × {result.base}" if of else ""
                told = told or str(result.notes.get(f"{name}, to before", ""))
                lines.append(
                    f"| {row} | {result.size} px | {name} | {statistics.median(values):.3g} {result.unit} | {told} |"
                )
    return "\n".join(lines)


def table(result: Result) -> str:
    """A line for each name: median, (least to most), median ratio to the base (least to most)."""
    lines = [f"size {result.size}"]
    for name, values in result.measured.items():
        line = f"  {name:<24} {statistics.median(values):10.4f} {result.unit}  ({min(values):.4f} to {max(values):.4f})"
        if name != result.base and (known := ratios(result, name)):
            line += f"  {statistics.median(known):.3f} ({min(known):.3f} to {max(known):.3f}) × {result.base}"
        lines.append(line)
    lines += [
        f"  {name}: {f'{value:.3g}' if isinstance(value, float) else value}" for name, value in result.notes.items()
    ]
    return "\n".join(lines)


def record(result: Result) -> dict[str, Any]:
    """A result as JSON has it, every value kept."""
    known = {name: ratios(result, name) for name in result.measured if name != result.base}
    return result._asdict() | {"ratios": {name: each for name, each in known.items() if each}}
