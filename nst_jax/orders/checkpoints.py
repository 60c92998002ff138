"""A folder that holds a run while it is painted, so that it goes on after whatever has ended it, to the same bits.

Each checkpoint is one file, `snapshots` says how; the last two are kept. One is written before the first step, too,
so that there is always something to go on from.
"""

import concurrent.futures
import contextlib
import os
import pathlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from nst_jax.ground import storage
from nst_jax.ground.choices import one_line
from nst_jax.orders import record as records
from nst_jax.orders import snapshots
from nst_jax.orders.record import Record
from nst_jax.orders.values import Every
from nst_jax.painting import devices, runs
from nst_jax.painting.runs import Run, Snapshot

SUFFIX = ".checkpoint"
KEPT = 2  # checkpoints


class Command(NamedTuple):
    """What a run was begun with: its words, and the folder in which they were said."""

    argv: tuple[str, ...]
    folder: str


class Checkpoint(NamedTuple):
    """What a folder holds of a run."""

    command: Command
    finished: str = ""  # what was written at its end
    group: str = ""  # which of several pictures are painted
    records: tuple[dict[str, Any], ...] = ()  # one for each set of files that they are made of
    snapshot: Snapshot | None = None  # None: before the first step
    watchers: tuple = ()  # what they need to go on
    rows: Mapping[str, Any] = {}  # by name, what is known of pictures that are finished

    @property
    def ladder(self) -> str:
        """Its sizes and steps in words, where its order names them: minutes were turned into these."""
        return self.records[0]["order"].get("ladder", "") if self.records else ""


# Files


def files(folder) -> list[pathlib.Path]:
    """The checkpoints in a folder, the last one first."""
    found = [path for path in pathlib.Path(folder).glob(f"*{SUFFIX}") if path.stem.isdecimal()]
    return sorted(found, key=lambda path: int(path.stem), reverse=True)


def find(folder, *, said: Callable[[str], None]) -> Checkpoint | None:
    """The last checkpoint in a folder that is whole; what is not is said, and the one before it taken."""
    for path in files(folder):
        try:
            return _of_tree(snapshots.read(path))
        except (ValueError, OSError, KeyError, TypeError, IndexError, AttributeError) as error:
            said(f"checkpoint: {path.name} can't be used ({one_line(error)}): going on from the one before")
    return None


def where(kept: Checkpoint | None) -> str:
    """Where a run stands that goes on, in words that are alike if it is the same."""
    done = kept.snapshot.done if kept and kept.snapshot else None
    return str(kept and (kept.group, done, sorted(kept.rows), kept.records))


def store(folder, kept: Checkpoint) -> None:
    """Write what a run is to go on from into a folder, after what is there."""
    folder = storage.ensure_folder(folder)
    number = max([0, *(int(path.stem) for path in files(folder))]) + 1
    snapshots.write(folder / f"{number:08}{SUFFIX}", _as_tree(kept))


def _as_tree(kept: Checkpoint) -> dict[str, Any]:
    snapshot = None if kept.snapshot is None else snapshots.as_tree(kept.snapshot)
    return kept._asdict() | {"rows": dict(kept.rows), "command": kept.command._asdict(), "snapshot": snapshot}


def _of_tree(tree) -> Checkpoint:
    snapshot = None if tree["snapshot"] is None else snapshots.of_tree(tree["snapshot"])
    command = Command(tuple(tree["command"]["argv"]), tree["command"]["folder"])
    whole = tree | {"command": command, "snapshot": snapshot}
    kept = Checkpoint(**whole | {name: tuple(tree[name]) for name in ("records", "watchers")})
    words = (*command.argv, command.folder, kept.finished, kept.group)
    if not all(isinstance(word, str) for word in words) or not isinstance(kept.rows, dict):
        raise ValueError("it is of no run")
    for row in kept.records:
        records.check({key: value for key, value in row.items() if value is not None}, "its record")
    return kept


# While it is painted


class Keeper(Protocol):
    """Follows where a run stands, not only what is seen of it."""

    def enter(self, group: str, known: Sequence[Record]) -> Checkpoint | None:
        """A picture, or several, begin: what was kept of just these."""
        ...

    def see(self, run: Run, watchers: Callable[[], Sequence]) -> None:
        """A run has come so far."""

    def stop(self, run: Run, watchers: Callable[[], Sequence]) -> None:
        """A run is stopped here."""


class FolderKeeper:
    """Keeps where a run stands, beside its steps; and knows what was kept of it by a process that has ended."""

    def __init__(
        self, folder, command: Command, *, every: Every, resumed: Checkpoint | None, said: Callable[[str], None]
    ):
        self.folder, self.every, self.said = pathlib.Path(folder), every, said
        self.resumed = resumed  # until the group that it is of is painted
        self.kept = Checkpoint(command, rows=dict(resumed.rows) if resumed else {})
        self.number = max([0, *(int(path.stem) for path in files(folder))])
        self.at, self.step = time.monotonic(), 0
        self.writer = concurrent.futures.ThreadPoolExecutor(1)
        self.writing: concurrent.futures.Future | None = None

    def enter(self, group: str, known: Sequence[Record]) -> Checkpoint | None:
        """Begin with a picture, or with several: what was kept of just these, if their files are the same."""
        rows = tuple({str(record.inputs): _of_record(record) for record in reversed(known)}.values())[::-1]
        resumed = self.resumed if self.resumed and self.resumed.group == group else None
        self.resumed = None if resumed else self.resumed
        self.kept, self.step = self.kept._replace(group=group, records=rows, snapshot=None, watchers=()), 0
        if resumed is None or not resumed.records:
            self._write(self.kept)
            return None
        for old, new in zip(resumed.records, rows, strict=False):
            check_files(old, new)
        for change in records.changes(Record(**resumed.records[0]), Record(**rows[0])):
            self.said(f"changed:  {change}: the picture may differ")
        self.kept = self.kept._replace(snapshot=resumed.snapshot, watchers=resumed.watchers)
        self.step = resumed.snapshot.done if resumed.snapshot else 0
        return resumed

    def knows(self, row: dict[str, Any]) -> bool:
        """Whether a line of a log is of what was kept: of a picture that is there, or a step of one that goes on."""
        resumed, name = self.resumed, row.get("picture")
        begun = (
            resumed and resumed.snapshot and name in resumed.group.split("\n") and row["step"] <= resumed.snapshot.done
        )
        return name is None or name in self.kept.rows or bool(begun)

    def see(self, run: Run, watchers: Callable[[], Sequence]) -> None:
        """Keep a run if it is time to; the copy is made now, and written beside the next steps."""
        if not self._is_due(run) or (self.writing and not self.writing.done()):
            return
        self.at, self.step = time.monotonic(), run.done
        kept = self.kept = self.kept._replace(snapshot=runs.snapshot(run), watchers=tuple(watchers()))
        self.writing = self.writer.submit(self._write_aside, kept)

    def _is_due(self, run: Run) -> bool:
        due = run.done // self.every.steps > self.step // self.every.steps if self.every.steps else False
        late = self.every.seconds and time.monotonic() - self.at >= self.every.seconds
        return not run.finished and bool(due or late)

    def stop(self, run: Run, watchers: Callable[[], Sequence]) -> None:
        """Keep a run that was stopped, before anything else is done."""
        self._wait()
        if not run.finished:
            self.kept = self.kept._replace(snapshot=runs.snapshot(run), watchers=tuple(watchers()))
            self._write(self.kept)

    def note(self, name: str, row: Any) -> None:
        """Keep what is known of a picture that is finished and saved."""
        self._wait()
        self.kept = self.kept._replace(rows={**self.kept.rows, name: row})
        self._write(self.kept)

    def finish(self, what: str) -> None:
        """Keep no more than that the run is finished, and what it has written."""
        self._wait()
        self._write(Checkpoint(self.kept.command, finished=what))
        for path in files(self.folder)[1:]:
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Wait for what is being written."""
        self._wait()
        self.writer.shutdown()

    def _wait(self):
        if self.writing:
            self.writing.result()

    def _write_aside(self, kept):
        try:
            self._write(kept)
        except (ValueError, OSError) as error:
            self.said(f"checkpoint: {one_line(error)}; the run goes on, and can be resumed from an earlier one")

    def _write(self, kept):
        self.number += 1
        snapshots.write(self.folder / f"{self.number:08}{SUFFIX}", _as_tree(kept))
        for path in files(self.folder)[KEPT:]:
            path.unlink(missing_ok=True)


class SharedFolderKeeper(FolderKeeper):
    """Keeps a run of several processes: all gather it at the same steps, and the first one writes."""

    def see(self, run: Run, watchers: Callable[[], Sequence]) -> None:
        """Keep a run if it is time to, in every process: a file that is being written is waited for, not passed by."""
        if self._is_due(run):
            self._wait()
        super().see(run, watchers)

    def _write(self, kept):
        if devices.is_first_process():
            super()._write(kept)


Kind = TypeVar("Kind", bound=FolderKeeper)


def _of_record(record: Record) -> dict[str, Any]:
    """A record as plain data."""
    return record._asdict() | {"network": dict(record.network), "stages": list(record.stages)}


def check_files(old, new) -> None:
    """Raise if a picture, or the network, is not the one that a run began with."""
    for kind, rows in old["inputs"].items():
        now = new["inputs"].get(kind, [])
        for n, row in enumerate(rows):
            if n >= len(now) or now[n]["sha256"] != row["sha256"]:
                got = f"got another {row['name']!r}: put it back, or begin anew without resume"
                raise ValueError(f"{kind} must be the file that the run began with, {got}")
    if old["network"].get("sha256") != new["network"].get("sha256"):
        raise ValueError("weights must be those that the run began with, got others: put them back, or begin anew")


@contextlib.contextmanager
def opened(
    folder,
    command: Command,
    *,
    every: Every,
    resumed: Checkpoint | None,
    said,
    kind: Callable[..., Kind] = FolderKeeper,
) -> Iterator[Kind]:
    """A keeper of runs in a folder that is nobody else's meanwhile; a run that is not finished is not written over."""
    folder = storage.ensure_folder(folder)
    with storage.locked(folder, what="checkpoint"):
        storage.remove_leftovers(folder, age=0)
        if resumed is None and (known := find(folder, said=said)) and not known.finished:
            got = f"got {os.fspath(folder)!r}, whose run is not finished"
            raise ValueError(
                f"checkpoint must be a new folder, {got}: `nst-jax resume` goes on with it, or name another"
            )
        with contextlib.closing(kind(folder, command, every=every, resumed=resumed, said=said)) as keeper:
            yield keeper
