"""One entry of a table by its name, and what to say where there is none."""

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")


def choose(what: str, name: str, table: Mapping[str, T]) -> T:
    """The entry of a table, or an error that lists the names and suggests the nearest one."""
    if name not in table:
        raise ValueError(f"{what} must be one of {', '.join(table)}, got {name!r}{hint(name, table)}")
    return table[name]


def hint(name: str, names: Iterable[str], *, otherwise: str = "", cutoff: float = 0.5) -> str:
    """The end of a message about an unknown name: `: did you mean …?`, else `: otherwise`, else nothing."""
    near = difflib.get_close_matches(str(name), list(names), 1, cutoff)
    remedy = f"did you mean {near[0]}?" if near else otherwise
    return f": {remedy}" if remedy else ""


def printable(text: object, *, longest: int = 255) -> str:
    """A stranger's words on one line of a terminal or in a file's name, cut to a length."""
    return "".join(c if c.isprintable() else "?" for c in str(text)[:longest])


def one_line(error: object) -> str:
    """An error's own words on one line, without its number; its kind where it has none."""
    return " ".join(str(getattr(error, "strerror", None) or error).split()) or type(error).__name__
