"""What comes of many pictures, for people and programs: CSV, JSON lines, a labelled sheet, a plot of two losses."""

import csv
import io
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from nst_jax.ground import storage
from nst_jax.pictures import charts, images, sheets

SHEET, PLOT, TABLE, LINES = FILES = ("sheet.png", "plot.png", "sweep.csv", "sweep.jsonl")


class Row(NamedTuple):
    """A picture of a sweep: what a table says of it, the values that are its own in words, the line of a plot."""

    cells: dict[str, Any]
    values: tuple[str, ...]
    line: int


def by_kind(terms: Mapping[str, float], *, word: str = "loss") -> dict[str, float | None]:
    """The sum of each kind's terms, over all of its layers; None where nothing is known.

    `word` ends their names: a `loss` weighs all pictures of a table alike, a `term` each as it was painted.
    """

    def of(kind):
        return sum(value for name, value in terms.items() if name.partition("/")[0] == kind)

    return {f"{kind}_{word}": of(kind) if terms else None for kind in ("content", "style", "variation")}


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as CSV, with a column for every name in any of them."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def write_sweep(folder, axes: Mapping[str, Sequence[str]], rows: Mapping[int, Row], count: int) -> str:
    """The tables, the sheet and, where matplotlib is installed, the plot of what there is of `count` pictures.

    Given back is why there is no plot, or nothing.
    """
    folder, ordered = pathlib.Path(folder), dict(sorted(rows.items()))
    cells = [row.cells for row in ordered.values()]
    storage.write_text(folder / TABLE, csv_text(cells))
    storage.write_text(folder / LINES, "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in cells))
    pictures = {
        n: images.load(folder / row.cells["picture"], size=sheets.LARGEST, max_pixels=2**31)
        for n, row in ordered.items()
    }
    images.save(folder / SHEET, sheets.grid([pictures.get(n) for n in range(count)], axes))
    points = [
        charts.Point(row.cells["content_loss"], row.cells["style_loss"], ", ".join(row.values), pictures[n], row.line)
        for n, row in ordered.items()
    ]
    try:
        images.save(folder / PLOT, charts.scatter(points, title=" and ".join(axes)))
    except ValueError as error:
        return str(error)
    return ""
