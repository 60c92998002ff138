"""A list of jobs on its way: what is painted already is left alone, what can't be painted doesn't stop the others."""

import pathlib
from collections.abc import Callable, Sequence
from typing import Any

from nst_jax.ground import storage
from nst_jax.ground.choices import one_line
from nst_jax.orders import compose, customise, lists, networks, prepare, sweeps, tables, words, workshop
from nst_jax.orders import record as records
from nst_jax.orders.checkpoints import FolderKeeper
from nst_jax.orders.lists import Entry
from nst_jax.orders.networks import Network
from nst_jax.orders.order import Order, Refused
from nst_jax.orders.prepare import Item
from nst_jax.orders.workshop import Controls, Result
from nst_jax.painting import vmapped

KEPT = 24  # files whose pictures are kept for the next job


class Batch:
    """Jobs on their way: what waits to be painted together, and what came of each."""

    def __init__(
        self,
        known: Order,
        folder,
        entries: Sequence[Entry],
        *,
        share: tuple[int, int] = (1, 1),
        chunk: int | None = None,
    ):
        self.known, self.folder, self.entries, self.share = known, pathlib.Path(folder), entries, share
        self.network = Network(networks.weights_path(known))
        self.machine = prepare.machine_of(known, runs=max(1, len(entries)))
        self.chunk, self.controls = chunk, Controls()
        self.said: Callable[[str], None] = lambda text: None
        self.rows: dict[str, dict[str, Any]] = {}  # by a job's place in its list
        self.waiting: dict[tuple, list[tuple[Entry, Item]]] = {}  # jobs that are one program
        self.kept: dict = {}  # pictures that the next job may need
        self.keeper: FolderKeeper | None = None
        self.already = 0

    def paint(self) -> None:
        """Go through all jobs, until the controls say stop."""
        for entry in self.entries:
            if self.controls.stop.is_set():
                return
            self.take(entry)
        while self.waiting and not self.controls.stop.is_set():
            self.paint_group(self.waiting.pop(next(iter(self.waiting))))

    def take(self, entry: Entry) -> None:
        """Paint a job, or let it wait for others that are one program with it; if something is wrong, note it."""
        try:
            found = self.item(entry)
        except Exception as error:  # of whatever kind: the others go on
            return self.note(entry, "bad", reason=why(error))
        if found:
            key = tuple(str(of(found.task.job)) for of in vmapped.ALIKE.values())
            group = self.waiting.setdefault(key, [])
            group.append((entry, found))
            if len(group) >= self.size(found.task):
                self.paint_group(self.waiting.pop(key))
        return None

    def item(self, entry: Entry) -> Item | None:
        """A job made ready; None if it is painted already."""
        order = entry.order(self.known)
        if order.only_colours:
            raise Refused("colour must paint something here, got only: use `nst-jax stylize` for that")
        with compose.with_local_files(order) as local:
            output, paths = self.folder / entry.output, local.files(customise.recipe_of(local).start)
            if (
                output.exists()
                and not self.goes_on(entry)
                and (record := lists.find_finished(output, self.wanted(local, paths)))
            ):
                self.already += 1
                self.note(entry, "done", steps=record.steps, terms=record.terms)
                return None
            workshop.check_apart([path for of in paths.values() for path in of], [output, self.report])
            if len(self.kept) > KEPT:
                self.kept.clear()
            task = networks.with_network(compose.task(local, kept=self.kept), self.network)
            return sweeps.item(task, self.size(task), self.machine, ())

    def goes_on(self, entry: Entry) -> bool:
        """Whether a job is one of several that were cut off together, and go on together."""
        resumed = self.keeper and self.keeper.resumed
        return bool(resumed) and "\n" in resumed.group and entry.place in resumed.group.split("\n")

    def wanted(self, order: Order, paths) -> records.Record:
        """What a job's record would say of what was asked for."""
        inputs = prepare.inputs_of(paths)
        return records.Record(words.write(order), records.versions(), inputs, network=self.network.said)

    def size(self, task: compose.Task) -> int:
        """How many jobs like this one are painted at once."""
        count = len(self.entries)
        fitting = self.chunk or vmapped.fitting_chunk(task.params, task.job, count=count, machine=self.machine)
        return vmapped.even_chunk(fitting, count, self.machine.mesh)

    def paint_group(self, group: list[tuple[Entry, Item]]) -> None:
        """Paint jobs that are one program."""
        left, items = dict(enumerate(entry for entry, _ in group)), [item for _, item in group]
        size = self.size(items[0].task)
        kept = self.keeper and workshop.KeptPictures(self.keeper, [entry.place for entry, _ in group])
        try:
            for number, result in workshop.carry_out_all(
                items, self.machine, chunk=size, controls=self.controls, kept=kept
            ):
                if isinstance(result.error, workshop.Diverged):
                    self.note(left.pop(number), "bad", reason=str(result.error))
                elif result.record.steps == items[number].record.total:
                    self.save(left.pop(number), result)
        except Exception as error:
            for entry in left.values():
                self.note(entry, "bad", reason=why(error))

    def save(self, entry: Entry, result: Result) -> None:
        """Write a job's picture; one that is saved elsewhere costs no other."""
        try:
            workshop.save(result, self.folder / entry.output)
        except (ValueError, OSError) as error:
            return self.note(entry, "bad", reason=why(error))
        return self.note(entry, "done", steps=result.record.steps, terms=result.record.terms)

    def note(self, entry: Entry, state: str, *, reason="", steps=None, terms=None) -> None:
        """Keep what came of a job, and say it, if anything did."""
        row = {"job": entry.place, "picture": entry.output, "state": state, "reason": reason, "steps": steps}
        self.rows[entry.place] = row | tables.by_kind(terms or {}, word="term")
        if state != "left":
            self.said(f"{len(self.rows)}/{len(self.entries)}  {entry.output or entry.place}: {reason or state}")

    def bad(self) -> list[dict]:
        """What came of the jobs that can't be painted."""
        return [row for row in self.rows.values() if row["state"] == "bad"]

    @property
    def report(self) -> pathlib.Path:
        """Where it stands what came of each job: in a file for each share."""
        k, n = self.share
        return self.folder / ("batch.csv" if n == 1 else f"batch-{k}-of-{n}.csv")

    def finish(self) -> str:
        """Write the report, and give the whole in one line."""
        for entry in self.entries:
            if entry.place not in self.rows:
                self.note(entry, "left")
        rows = [self.rows[entry.place] for entry in self.entries]
        storage.write_text(self.report, tables.csv_text(rows))
        done, bad = sum(row["state"] == "done" for row in rows), len(self.bad())
        states = {
            "painted": done - self.already,
            "already there": self.already,
            "bad": bad,
            "left": len(rows) - done - bad,
        }
        text = ", ".join(f"{count} {state}" for state, count in states.items() if count or state == "painted")
        return f"{self.folder}: {len(rows)} job{'s' * (len(rows) > 1)}: {text} (see {self.report.name})"


def why(error: BaseException) -> str:
    """What is wrong with a job, on one line."""
    text = one_line(error)
    if isinstance(error, MemoryError) or text.startswith("RESOURCE_EXHAUSTED"):
        return "the run must fit into memory: choose a smaller size"
    return text if isinstance(error, (ValueError, OSError)) else f"{type(error).__name__}: {text}"
