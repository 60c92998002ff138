"""Several pictures in one go: what `sweep` and `batch` have in common. Not a sub-command."""

import argparse
import os
import pathlib
import secrets
from collections.abc import Iterator
from typing import Any, NamedTuple

from nst_jax.cli import follow, machine, report, stylize, values


class Item(NamedTuple):
    """A picture to paint: its arguments as `stylize` has them, its job, where it goes, and what its file will say."""

    args: argparse.Namespace
    job: Any  # paint.Job
    result: follow.Result
    head: dict[str, Any]

    @property
    def name(self) -> str:
        """Its file's name."""
        return os.path.basename(self.result.path)

    @property
    def steps(self) -> int:
        """Steps that it takes."""
        return sum(count for *_, count in self.head["ladder"])


class Watch:
    """An item while it is painted: its last good frame, and why there is no later one."""

    def __init__(self, number: int, item: Item, record):
        self.number, self.item, self.record, self.trouble = number, item, record, ""
        self.frame: Any = None
        self.terms: dict[str, float] = {}
        self.story = report.begun(item.args, item.result)
        self.story.records.append(item.head)
        folder = stylize.made(pathlib.Path(item.args.folder)) if item.args.save_every else None
        self.store = follow.storing(folder, item.args.save_every, item.steps)

    def see(self, frame) -> None:
        """Take a frame: log it, store it, remember it for the report, as the item's arguments say."""
        terms = {name: float(value) for name, value in frame.terms.items()}
        try:
            follow.finite(terms, frame.step)
        except ValueError as error:
            self.trouble = self.trouble or str(error)
        if self.trouble:
            return
        self.frame, self.terms = frame, terms
        self.record(picture=self.item.name, step=frame.step, **terms)
        self.store(frame)
        if self.story.folder:
            self.story.remember(frame)

    def save(self) -> None:
        """Write the picture as it is, and its report."""
        if self.frame is not None:
            self.item.result.save(self.frame, self.item.job.shape, self.item.head)
            self.story.write(self.frame)


def paint(params, items: list[Item], *, size: int | None, uses, record, show) -> Iterator[Watch]:
    """Paint items that are one program; yield each when it is done, or what there is of it before the error is raised.

    `record` takes what a log does; `show` steps of all pictures together, and the terms of one.
    """
    from nst_jax.painting import vmapped

    watched: dict[int, Watch] = {}
    done, steps, every = 0, items[0].steps, follow.chunk(items[0].args.save_every)
    try:
        for found in vmapped.frames(params, [item.job for item in items], every=every, chunk=size, machine=uses):
            for number, frame in found.items():
                if number not in watched:
                    watched[number] = Watch(number, items[number], record)
                watched[number].see(frame)
            at = max(frame.step for frame in found.values())
            show(done * steps + at * len(found), watched[min(found)].terms)
            if at == steps:
                yield from (watched.pop(number) for number in found)
                done += len(found)
    except (KeyboardInterrupt, Exception):
        yield from watched.values()
        raise


def accompanied(params, items: list[Item], *, size: int | None, uses) -> int:
    """Go through the frames of items that another process shows and saves."""
    from nst_jax.painting import vmapped

    every = follow.chunk(items[0].args.save_every)
    for _ in vmapped.frames(params, [item.job for item in items], every=every, chunk=size, machine=uses):
        pass
    return 0


def arguments(parser) -> None:
    """How many pictures are painted at once."""
    text = "pictures painted at once (default: what the device's memory holds, on a CPU 1)"
    parser.add_argument("--chunk", metavar="N", type=values.count, help=text)


def refuse(args) -> None:
    """Raise if flags are not for several pictures that are painted together."""
    if args.colour == "only":
        raise argparse.ArgumentTypeError("--colour must paint something here, got only: that is `stylize`'s")


def said(size: int, count: int) -> str:
    """How many pictures are painted at once, and why, in words."""
    if size == 1 and count > 1 and follow.devices()[0].platform == "cpu":
        return "one at a time: on a CPU a batch is not reliably faster, and equal to a single run only nearly"
    return f"{min(size, count)} at a time"


def plan(params, job, size: int, uses) -> list[str]:
    """How the stages of jobs like this one are computed, in words."""
    return machine.plans_of(params, job, uses) if size == 1 else [f"whole, in batches of {size}"]


def network(args) -> dict[str, Any]:
    """What the weight file of these arguments says of itself."""
    from nst_jax.network import vgg19

    return vgg19.info(args.weights)


def fitted(recipes, args, params):
    """(recipes, params, what was done): fitted to each other, a network without measurements measured once."""
    from nst_jax.network import calibration, vgg19

    known, have = vgg19.activations(args.weights), calibration.of(params)
    if known is None and any(recipe.family != have for recipe in recipes):
        known = calibration.measured(params)
    found = [calibration.fitted(recipe, params, activations=known) for recipe in recipes]
    return [recipe for recipe, _, _ in found], *found[0][1:]  # of one family, which `sweep.check` asks for


def kinds(terms: dict[str, float]) -> dict[str, float | None]:
    """The loss of each kind, over all of its layers; None where nothing is known."""

    def of(kind):
        return sum(value for name, value in terms.items() if name.partition("/")[0] == kind)

    return {f"{kind}_loss": of(kind) if terms else None for kind in ("content", "style", "variation")}


def write(path, text: str) -> None:
    """A text file, whole or not at all."""
    path = pathlib.Path(path)
    temporary = path.with_name(f".nst-jax-{secrets.token_hex(8)}.tmp")
    try:
        temporary.write_text(text, "utf-8", newline="")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as CSV, with a column for every name in any of them."""
    import csv
    import io

    columns = list(dict.fromkeys(name for row in rows for name in row))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()
