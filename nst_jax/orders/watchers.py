"""What follows a run: a log, pictures on the way, the end where a picture stands still. None of them prints."""

import json
import math
import os
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from nst_jax.ground import storage
from nst_jax.orders.compose import Task
from nst_jax.orders.record import Record
from nst_jax.painting.painter import Frame
from nst_jax.pictures import images


class Start(NamedTuple):
    """What a watcher is told before the first step: what is painted, and its record so far."""

    task: Task
    record: Record
    done: int = 0  # steps, of a run that goes on
    kept: Any = None  # what the watcher itself had kept of it


class Watcher(Protocol):
    """Follows one picture of a run."""

    @property
    def every(self) -> int | None:
        """Steps whose multiples it must see, besides the usual ones."""
        ...

    def begin(self, start: Start) -> None:
        """Called once, before the first step."""

    def see(self, frame: Frame) -> None:
        """Called for each frame, every second or two (or each step, if longer), and at fixed steps."""

    def end(self, result: Any) -> None:
        """Called once, with the workshop's Result, whatever ended the run."""


def keep(watcher: Watcher) -> Any:
    """What a watcher needs to go on from here, plain data and arrays: of those that need something."""
    return watcher.keep() if hasattr(watcher, "keep") else None  # type: ignore[attr-defined]


class Silent:
    """Does nothing, at the steps that another process's watchers see: all must look at the same, or they hang."""

    def __init__(self, every: int | None):
        self.every = every

    def begin(self, start: Start) -> None:
        """Nothing."""

    def see(self, frame: Frame) -> None:
        """Nothing."""

    def end(self, result: Any) -> None:
        """Nothing."""


def picture_of(image) -> np.ndarray:
    """A picture as NumPy has it, in [0, 1]."""
    return np.clip(np.asarray(image, np.float32), 0, 1)


def finite_terms(frame: Frame) -> dict[str, float]:
    """A frame's losses by name, unless one of them is no number."""
    found = frame.losses
    for name, value in found.items():
        if not math.isfinite(value):
            got = f"got {value} of {name} at step {frame.step}"
            raise ValueError(f"loss must stay finite, {got}: lower learning-rate")
    return found


class Log:
    """Losses as lines of JSON: the record, then one for each fixed frame; a run that goes on appends to it."""

    every = None

    def __init__(self, path, *, clock):
        self.path, self.clock = path, clock

    def begin(self, start: Start) -> None:
        """Open the file; what it held is replaced by a run that begins, and cut to what is done by one that goes on."""
        self.begun = self.clock() - (start.kept or 0.0)
        if start.done:
            cut_log(self.path, lambda row: "picture" in row or row.get("step", 0) <= start.done)
        self.stream = open(self.path, "a" if start.done else "w", encoding="utf-8")  # noqa: SIM115, `end` closes it
        if not self.stream.tell():
            self._write(head_of(start.record))

    def see(self, frame: Frame) -> None:
        """Write a line."""
        if frame.fixed:
            self._write({"step": frame.step, "seconds": round(self.clock() - self.begun, 3)} | frame.losses)

    def end(self, result: Any) -> None:
        """Close the file."""
        self.stream.close()

    def keep(self) -> float:
        """Seconds so far."""
        return self.clock() - self.begun

    def of_picture(self, name: str) -> "Watcher":
        """A watcher that writes into this log for one of several pictures."""
        return _LogOfPicture(self, name)

    def _write(self, row):
        self.stream.write(json.dumps(row, ensure_ascii=False) + "\n")
        self.stream.flush()


def cut_log(path, known: Callable[[dict], bool]) -> None:
    """Leave in a log the lines that are known: a run that was killed may have written more than was kept of it."""
    if not os.path.exists(path):
        return
    lines = pathlib.Path(path).read_text(encoding="utf-8").split("\n")[:-1]  # the last may be cut short
    whole = [line for line in lines if known(json.loads(line))]
    storage.write_text(path, "".join(line + "\n" for line in whole), what="log")


class _LogOfPicture:
    every = None

    def __init__(self, log: Log, name: str):
        self.log, self.name = log, name

    def begin(self, start: Start) -> None:
        """Nothing: the log is open."""

    def see(self, frame: Frame) -> None:
        """Write a line with the picture's name."""
        if frame.fixed:
            self.log._write({"picture": self.name, "step": frame.step} | frame.losses)

    def end(self, result: Any) -> None:
        """Nothing: the log stays open for the others."""


def head_of(record: Record) -> dict[str, Any]:
    """A record as plain data, without what is empty."""
    return {key: value for key, value in record._asdict().items() if value not in (None, "", (), [], {})}


class Stored:
    """Pictures on the way, finished as the result will be, each in a file named by its step."""

    def __init__(self, folder, every: int):
        self.folder, self.every = pathlib.Path(folder), every

    def begin(self, start: Start) -> None:
        """Make the folder."""
        storage.ensure_folder(self.folder)
        self.task, self.total = start.task, start.record.total

    def see(self, frame: Frame) -> None:
        """Store a frame whose step is a multiple of `every`."""
        if frame.step % self.every == 0 and frame.fixed:
            image = self.task.finish(picture_of(frame.image))
            alpha = self.task.extras.alpha
            alpha = None if alpha is None else images.resize(alpha, image.shape[:2]).clip(0, 1)
            extras = images.Extras(alpha=alpha, bits=self.task.extras.bits)
            images.save(self.folder / stored_name(frame.step, self.total), image, extras=extras)

    def end(self, result: Any) -> None:
        """Nothing is left to do."""


def stored_name(step: int, total: int) -> str:
    """The name of a stored picture, as wide as the last one's so that they sort."""
    return f"{step:0{len(str(total))}}.png"


class Still:
    """Whether a step at full size changes the picture by less than `least` of 255 on average: seen at fixed steps."""

    def __init__(self, shape, least: float | None):
        self.shape, self.least = shape, least
        self.before: tuple[int, np.ndarray] | None = None  # step and picture of the last look

    def keep(self) -> Any:
        """The last look."""
        return self.before

    def go_on(self, kept) -> None:
        """Compare with the last look of a run that was cut off."""
        self.before = kept and (kept[0], kept[1])

    def reached(self, frame: Frame) -> bool:
        """Whether the run may end here."""
        if self.least is None or not frame.fixed or frame.image.shape[:2] != tuple(self.shape):
            return False
        before, self.before = self.before, (frame.step, picture_of(frame.image))
        if before is None or before[0] == frame.step:
            return False
        change = 255 * abs(self.before[1] - before[1]).mean() / (frame.step - before[0])
        return bool(change < self.least)
