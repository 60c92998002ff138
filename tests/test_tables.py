"""orders.tables: what comes of many pictures, as CSV, JSON lines, a sheet and a plot."""

import csv
import io
import json

import numpy as np
import pytest

from nst_jax.orders import tables
from nst_jax.pictures import charts, images


def row(folder, number, *, line=0, **cells):
    """A picture's row, and the picture."""
    name = f"{number}, {chr(8212)}.png"
    images.save(folder / name, np.full((24, 32, 3), number / 8))
    cells = {"picture": name, "seed": number, "content_loss": 2.0 * number, "style_loss": 1.0 / number} | cells
    return tables.Row(cells, (str(number),), line)


def test_losses_are_added_up_by_kind():
    terms = {"content/relu4_2": 1.0, "style/relu1_1": 2.0, "style/relu2_1": 3.5, "variation": 0.25}
    assert tables.by_kind(terms) == {"content_loss": 1.0, "style_loss": 5.5, "variation_loss": 0.25}
    assert tables.by_kind({"style/relu1_1": 2.0}) == {"content_loss": 0, "style_loss": 2.0, "variation_loss": 0}
    assert tables.by_kind(terms, word="term") == {"content_term": 1.0, "style_term": 5.5, "variation_term": 0.25}
    assert tables.by_kind({}) == {"content_loss": None, "style_loss": None, "variation_loss": None}


def test_csv_has_a_column_for_every_name_and_comes_back():
    rows = [{"a": 'x,"y"\n', "b": 1.5}, {"a": "ü", "c": None}]
    text = tables.csv_text(rows)
    assert text.startswith("a,b,c\n")
    assert "\r" not in text
    assert list(csv.DictReader(io.StringIO(text, newline=""))) == [
        {"a": 'x,"y"\n', "b": "1.5", "c": ""},
        {"a": "ü", "b": "", "c": ""},
    ]


def test_what_there_is_of_a_sweep_is_written_in_its_order(tmp_path):
    pytest.importorskip("matplotlib")
    rows = {3: row(tmp_path, 4), 0: row(tmp_path, 1)}
    assert tables.write_sweep(tmp_path, {"seed": ["1", "2", "3", "4"]}, rows, 4) == ""
    lines = [json.loads(line) for line in (tmp_path / tables.LINES).read_text("utf-8").splitlines()]
    assert lines == [rows[0].cells, rows[3].cells]
    with open(tmp_path / tables.TABLE, newline="", encoding="utf-8") as stream:
        assert list(csv.DictReader(stream)) == [{k: str(v) for k, v in line.items()} for line in lines]
    assert {path.name for path in tmp_path.iterdir()} == {*tables.FILES, *(line["picture"] for line in lines)}
    sheet = images.load(tmp_path / tables.SHEET)
    found = [n for n in (1, 2, 3, 4) if (abs(sheet - n / 8).max(-1) < 0.01).sum() > 500]
    assert found == [1, 4], "two have their place and no picture"


def test_a_plot_shows_content_beside_style_a_line_for_each_row(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    seen = []

    def scatter(points, *, title):
        seen.append((title, points))
        return np.zeros((24, 16, 3))

    monkeypatch.setattr(charts, "scatter", scatter)
    rows = {0: row(tmp_path, 1), 1: row(tmp_path, 2, line=1)}
    tables.write_sweep(tmp_path, {"tv weight": ["1"], "seed": ["1", "2"]}, rows, 2)
    [(title, (first, second))] = seen
    assert title == "tv weight and seed"
    assert (first[:3], second[:3]) == ((2.0, 1.0, "1"), (4.0, 0.5, "2"))
    assert (first.line, second.line) == (0, 1)
    assert images.load(tmp_path / tables.PLOT).shape == (24, 16, 3)


def test_without_a_plot_the_rest_is_there_and_why_is_said(tmp_path, monkeypatch):
    def none(*_, **__):
        raise ValueError("matplotlib must be installed, got none")

    monkeypatch.setattr(charts, "scatter", none)
    assert tables.write_sweep(tmp_path, {"seed": ["1"]}, {0: row(tmp_path, 1)}, 1) == (
        "matplotlib must be installed, got none"
    )
    assert {tables.SHEET, tables.TABLE, tables.LINES} < {path.name for path in tmp_path.iterdir()}
    assert not (tmp_path / tables.PLOT).exists()
