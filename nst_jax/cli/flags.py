"""Flags: one for each field of an order, made from the table of fields, and those that say where things go."""

import argparse
import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from nst_jax.orders import order as orders
from nst_jax.orders import values, words
from nst_jax.orders.order import Order, Refused
from nst_jax.orders.values import count

ABOUT = {
    words.RECIPE: "`nst-jax recipes` lists them; each flag replaces one of its settings",
    words.CONTROL: None,
    words.NETWORK: "one of",
    words.MACHINE: None,
    words.RUN: None,
}
FACE = (
    *("save-every", "folder", "chunk", "share", "max-pixels", "output", "log", "report"),
    *("checkpoint", "checkpoint-every", "no-cache", "host", "port", "password-file"),
)  # flags that are no field's
LIVE_PORT = 8791
VAGUE = (
    "memory",
    "weights",
    "network",
    "recipe",
    "colour",
    "mask",
    "seed",
    "init",
    "folder",
)  # words of sentences, too


def as_type(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """A parser whose ValueErrors argparse shows as they are."""

    def convert(text: str):
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(as_flags(str(error))) from None

    return convert


def add(parser, *, without: Iterable[str] = (), only: Iterable[str] | None = None, sweep: bool = False) -> None:
    """A flag for each field of an order; in a sweep, those that may vary take several values."""
    groups: dict[str, Any] = {}
    for field in words.FIELDS:
        wanted = only is None or field.name in only
        if not field.heading or field.name in without or not wanted:
            continue
        if field.heading not in groups:
            groups[field.heading] = parser.add_argument_group(field.heading, ABOUT[field.heading])
        groups[field.heading].add_argument(f"--{field.name}", **_options(field, sweep))


def _options(field: words.Field, sweep: bool) -> dict[str, Any]:
    if field.flag:
        return {"action": "store_true", "default": None, "help": field.help}
    options: dict[str, Any] = {"help": field.help.replace("%", "%%"), "default": None}
    if field.files == 2:
        return options | {"metavar": field.metavar, "nargs": "+"}
    if field.choices:
        return options | {"choices": field.choices}
    parse = field.sweep if sweep and field.sweep else field.parse
    return options | {"metavar": field.metavar, "type": as_type(parse)}


def order(args, **more: Any) -> Order:
    """The order that flags make, with some fields besides."""
    found = {field.attribute: _value(args, field) for field in words.FIELDS}
    known = Order().with_values(**{name: value for name, value in (found | more).items() if value is not None})
    orders.check(known)
    return known


def axes(args) -> dict[str, list]:
    """What of a sweep's flags has several values."""
    attributes = (field.attribute for field in words.FIELDS if field.sweep)
    return {name: value for name in attributes if isinstance(value := getattr(args, name, None), list)}


def _value(args, field):
    value = getattr(args, field.attribute, None)
    if field.sweep and isinstance(value, list):  # of a sweep: its points have one each
        return None
    return tuple(value) if isinstance(value, list) else value


# Where things go


class Outputs(NamedTuple):
    """Where a face puts what comes of an order: it changes no pixel."""

    path: str
    log: str | None = None
    report: str | None = None
    save_every: int = 0  # none
    folder: str = ""


def add_outputs(parser, *, storing: bool = True) -> None:
    """A log, a report, pictures on the way, and whether compiled programs are kept."""
    group = parser.add_argument_group("output").add_argument
    group("--log", metavar="FILE", type=as_type(writable), help="write losses as lines of JSON")
    group("--report", metavar="DIR", help="write there how it went, as a page that opens anywhere")
    if storing:
        group("--save-every", metavar="N", type=as_type(count), help="also store a picture every N steps")
        group("--folder", metavar="DIR", help="where to store them (default: OUT's name and -steps)")
    add_cache(parser)


def add_cache(parser) -> None:
    """Whether compiled programs are kept."""
    text = "compile anew, and don't keep compiled programs for the next run"
    parser.add_argument("--no-cache", action="store_true", help=text)


def add_checkpoint(parser) -> None:
    """Where a run is kept while it is painted, and how often."""
    group = parser.add_argument_group("checkpoints").add_argument
    text = "keep the run there on its way: `nst-jax resume DIR` goes on with it, to the same bits, whatever ended it"
    group("--checkpoint", metavar="DIR", help=text)
    text = "how often: 90s, or a number of steps (default: 60s, of several processes 50 steps)"
    group("--checkpoint-every", metavar="TIME|N", type=as_type(values.pace), help=text)


def add_live(parser) -> None:
    """Whether the run is shown on the studio's page."""
    text = f"show the run on the studio's page, to watch and steer it there (default port: {LIVE_PORT})"
    add = parser.add_argument_group("page").add_argument
    add("--live", metavar="PORT", nargs="?", const=LIVE_PORT, type=as_type(values.port), help=text)


def outputs(args, store: int = 0) -> Outputs:
    """Where a run's results go; `store`: every so many steps the recipe's source stored a picture."""
    every = getattr(args, "save_every", None) or store
    folder = getattr(args, "folder", None)
    if folder and not every:
        raise Refused("folder must go with save-every, got no save-every: add save-every 50")
    stem = os.path.splitext(args.output)[0]
    return Outputs(args.output, args.log, args.report, every, (folder or f"{stem}-steps") if every else "")


def picture(text: str) -> str:
    """A picture file that can be written."""
    from nst_jax.pictures import images

    try:
        images.check_writable(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def writable(text: str) -> str:
    """A file that can be written, whatever its suffix; what is there stays as it is until the run begins."""
    folder = os.path.dirname(text) or "."
    if os.path.isdir(text):
        raise IsADirectoryError(f"log must be a file, got the folder {text!r}: add a file's name")
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"log must be in an existing folder, got {text!r}: make {folder!r} first")
    if not os.access(text if os.path.exists(text) else folder, os.W_OK):
        raise PermissionError(f"log must be writable, got {text!r}: choose another place")
    return text


def part(text: str) -> tuple[int, int]:
    """`2/5`: the second of five parts."""
    found = re.fullmatch("([0-9]{1,6})/([0-9]{1,6})", text)
    k, n = map(int, found.groups()) if found else (0, 0)
    if not 1 <= k <= n:
        raise ValueError(f"must be K/N with K from 1 to N, got {text!r}")
    return k, n


# Messages: a library's names fields, a command line's flags


NAMES = sorted({*FACE, *(field.name for field in words.FIELDS if field.heading)}, key=len, reverse=True)
FIELD = re.compile(rf"(?<![\w\-'./])({'|'.join(NAMES)})(?![\w\-'/])")


def as_flags(text: str, *, refused: bool = False) -> str:
    """A message with dashes before the fields that it is about, and those that its remedy names; all where refused."""
    head, colon, remedy = text.rpartition(": ")
    if not colon:
        head, remedy = text, ""
    first = head.split(" ")[0].rstrip(":")
    if first in NAMES and first != "weights" and (refused or first not in VAGUE):
        head = f"--{head}"
    if refused:
        before, got, after = head.partition(" must ")
        head = before + got + FIELD.sub(r"--\1", after)
    return head + colon + FIELD.sub(_add_dashes, remedy)


def _add_dashes(found) -> str:
    """A name in a remedy, with its dashes if it is a flag's there: `drop weights`, but not `choose a recipe`."""
    told = found.string[: found.start()].endswith(("add ", "drop ", "raise ", "lower "))
    return f"--{found[0]}" if told or found[0] not in VAGUE else found[0]


@contextlib.contextmanager
def usage(args) -> Iterator[None]:
    """What does not go together ends as what can't be parsed does."""
    try:
        yield
    except Refused as error:
        args.refuse(as_flags(str(error), refused=True))
