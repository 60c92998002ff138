"""Lists of jobs: many pictures, painted by any number of machines, any of which may be stopped and started again.

A job's result is its own mark of being done: its file, which is there whole or not at all, says what made it.
"""

import csv
import json
import os
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

from nst_jax.ground import choices
from nst_jax.orders import order, words
from nst_jax.orders import record as records
from nst_jax.orders.order import Order
from nst_jax.orders.record import Record
from nst_jax.pictures import download, kinds, metadata
from nst_jax.recipes import names

FIELDS = {name: field for name, field in words.TABLE.items() if field.listed and name not in ("content", "style")}
FILES = tuple(name for name, field in FIELDS.items() if field.files and name != "colour")  # that name files
OWN = ("content", "style", "output")
SEVERAL = ";"  # between names in one place of a CSV file
LONGEST = 120  # characters of a name that is made up
OLD = 3600  # seconds after which an unfinished file is nobody's


class Entry(NamedTuple):
    """One job as it is listed: where, its fields in words, its result's name; or what is wrong with it."""

    place: str
    fields: dict[str, list[str]]
    output: str
    trouble: str = ""

    def order(self, known: Order) -> Order:
        """The order of this job: its own fields, another order's where it has none."""
        if self.trouble:
            raise ValueError(self.trouble)
        found = words.replace(known, self.fields)
        order.check(found)
        return found


def read(paths: Sequence[str]) -> list[Entry]:
    """The jobs of a list, .csv or .jsonl; or of a folder of contents and one of styles: each with each."""
    if len(paths) == 2:
        return _distinct(_crossed(*map(pathlib.Path, paths)))
    path = pathlib.Path(paths[0])
    if len(paths) > 2 or path.suffix.lower() not in LISTS:
        got = f"got {' '.join(map(repr, map(str, paths)))}"
        raise ValueError(f"jobs must be one .csv or .jsonl file, or two folders, {got}: list a job a line")
    if not path.is_file():
        raise FileNotFoundError(f"jobs must be an existing file, got {os.fspath(path)!r}: check its name")
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"jobs must be text in UTF-8, got {path.name}: save it as such") from None
    try:
        rows = list(LISTS[path.suffix.lower()](text))
    except csv.Error as error:
        raise ValueError(f"jobs must be rows of CSV, got {error} in {path.name}: close quotes") from None
    found = [_entry(f"{path.name}, line {line}", row, path.parent) for line, row in rows]
    if not found:
        raise ValueError(f"jobs must be at least one, got none in {path.name}: list a job a line")
    return _distinct(found)


def share_of(entries: Sequence[Entry], k: int, n: int) -> list[Entry]:
    """The k-th of n disjoint shares, k from 1: every n-th job, so that shares take about as long."""
    return list(entries[k - 1 :: n])


def _rows(text):
    """(line, {column: text}) of a CSV file with a header."""
    reader = csv.DictReader(text.splitlines(), strict=True)
    columns = [(name or "").strip() for name in reader.fieldnames or []]
    reader.fieldnames = columns
    if unknown := sorted({name.replace("_", "-") for name in columns} - {*OWN, *FIELDS}):
        raise ValueError(f"columns must be {', '.join(OWN)} or fields of a job, got {unknown[0]!r}{_hint(unknown[0])}")
    for row in reader:
        over = row.pop(None, None)  # type: ignore[call-overload]
        yield reader.line_num, {"": "more places than columns"} if over else {k: v or "" for k, v in row.items()}


def _lines(text):
    """(line, {name: value}) of a file with a JSON object a line."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            yield number, row if isinstance(row, dict) else {"": "no JSON object"}


LISTS = {".csv": _rows, ".jsonl": _lines}


def _hint(name) -> str:
    return choices.hint(name, (*OWN, *FIELDS), otherwise="docs/settings.md lists them", cutoff=0.6)


def _entry(place, row, folder) -> Entry:
    """A row as a job; what is wrong with it is kept and not raised: the others go on."""
    try:
        if "" in row:
            raise ValueError(f"job must be a row of its list, got {row['']}: see the README")
        given = {name.strip().replace("_", "-"): _words(name, value) for name, value in row.items()}
        given = {name: texts for name, texts in given.items() if texts}
        if unknown := sorted(given.keys() - {*OWN, *FIELDS}):
            raise ValueError(f"job must have content, style and fields, got {unknown[0]!r}{_hint(unknown[0])}")
        for name in ("content", "style"):
            if name not in given:
                raise ValueError(f"job must have content and style, got no {name}: name a file")
        fields = {
            name: [_near(folder, text) for text in texts] if name in (*OWN[:2], *FILES) else texts
            for name, texts in given.items()
            if name != "output"
        }
        output = given.get("output", [_name_of(*fields["content"], *fields["style"])])[0]
        return Entry(place, fields, check_output(output))
    except ValueError as error:
        return Entry(place, {}, "", str(error))


def _words(name, value) -> list[str]:
    """A value as words of a command line: several where it names files."""
    if name.replace("_", "-") in ("style", *FILES):
        value = value.split(SEVERAL) if isinstance(value, str) else value
    if value is None or value is False:
        return []
    each = value if isinstance(value, list) else [value]
    if not all(isinstance(one, (str, int, float)) for one in each):
        raise ValueError(f"value of a job must be a text, a number or a list of them, got {name} {str(value)[:40]!r}")
    texts = [text for one in each if (text := "yes" if one is True else str(one).strip())]
    return texts if name.replace("_", "-") in ("style", *FILES) or not texts else [",".join(texts)]


def _near(folder, name) -> str:
    """A file that is named in a list: relative names start at the list's own folder."""
    if name == order.WHOLE or download.is_address(name) or names.is_start(name):
        return name
    return os.path.join(folder, os.path.expanduser(name))


def _name_of(content, *styles) -> str:
    """The name of a result: its content's and styles'."""
    stems = [pathlib.PurePosixPath(name.replace(os.sep, "/").split("?")[0]).stem for name in (content, *styles)]
    return "-".join(stems)[:LONGEST] + ".png"


def check_output(output) -> str:
    """A result's name, if it is one within the batch's folder and of a kind that says what made it."""
    able = kinds.holding("text")
    if os.path.basename(output) != output or output.startswith(".") or kinds.suffix_of(output) not in able:
        raise ValueError(f"output must be a file's name that ends in {', '.join(able)}, got {output!r}: write name.png")
    return output


def _distinct(entries) -> list[Entry]:
    """The same jobs, of which those whose result is another's already are in trouble."""
    first, found = {}, []
    for entry in entries:
        other = first.setdefault(entry.output.casefold(), entry)
        if other is not entry and not entry.trouble:
            text = f"output must be each job's own, got {entry.output} again: {other.place} has it, give another"
            entry = entry._replace(trouble=text)
        found.append(entry)
    return found


def _crossed(contents, styles) -> list[Entry]:
    """Each picture of a folder with each of another."""
    first, second = _pictures(contents), _pictures(styles)
    entries = []
    for content, one in first.items():
        for style, other in second.items():
            place = f"{content.name} × {style.name}"
            fields = {"content": [str(content)], "style": [str(style)]}
            entries.append(Entry(place, fields, f"{one}-{other}"[:LONGEST] + ".png"))
    return entries


def _pictures(folder) -> dict[pathlib.Path, str]:
    """The pictures in a folder, by name, and what each is called: without its suffix, where that is enough."""
    if not folder.is_dir():
        raise NotADirectoryError(f"jobs must be an existing folder, got {os.fspath(folder)!r}: check its name")
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in kinds.READ and p.name[0] != "." and p.is_file())
    if not paths:
        raise ValueError(f"folder must hold pictures, got none in {os.fspath(folder)!r}: put some there")
    stems = [path.stem for path in paths]
    return {path: path.stem if stems.count(path.stem) == 1 else path.name.replace(".", "_") for path in paths}


def find_finished(path, wanted: Record) -> Record | None:
    """The record in a result, if it was painted whole as this one asks, by this version and network.

    A picture that is not ours is left alone: somebody's own.
    """
    if not os.path.exists(path):
        return None
    try:
        record = records.parse(metadata.read(path), name=os.path.basename(path))
        same = records.asks_the_same(record, wanted)
    except ValueError as error:
        got = f"got {os.path.basename(path)}, which holds no settings"
        raise ValueError(f"output must not be another's picture, {got}: choose another folder or name") from error
    return record if record.steps == record.total and same else None
