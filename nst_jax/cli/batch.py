"""Paint a list of jobs, or each picture of a folder after each of another; what is painted already is left alone.

nst-jax batch jobs.csv -o out
nst-jax batch photographs paintings -o out --size 512 --strength .6
nst-jax batch photographs paintings -o looks --preview
nst-jax batch jobs.jsonl -o out --share 2/5

A list has a job a line: `content`, `style` (several with ; between), perhaps `output`, and any flags of `stylize`.
Names of files start at the list's folder. Stop it at any time, start it again: it goes on where it was.
"""

import argparse
import os
import pathlib
import sys
import time
from typing import Any

from nst_jax.cli import control, devices, failed, follow, machine, many, settings, stylize, values

KEPT = 24  # files whose pictures are kept for the next job


def arguments(parser):
    parser.add_argument("jobs", metavar="JOBS", nargs="+", help="a .csv or .jsonl file, or two folders")
    parser.add_argument("-o", "--output", metavar="DIR", required=True, help="folder for the pictures")
    parser.add_argument(
        "--share", metavar="K/N", type=values.part, help="the K-th of N parts of the jobs (default: SLURM's or MPI's)"
    )
    layout = "devices that paint at once × devices for each picture (default: as they fit)"
    parser.add_argument("--mesh", metavar="data=N,space=M", type=devices.layout, help=layout)
    many.arguments(parser)
    flags(parser)
    machine.arguments(parser)
    machine.networks(parser)


def flags(parser):
    """What a job may say, and the command for all that don't."""
    parser.add_argument("--seed", metavar="N", type=values.seed, default=0, help="of random starts (default: 0)")
    parser.add_argument("--max-pixels", metavar="N", type=values.count, help="largest picture that is read or painted")
    settings.arguments(parser)
    control.arguments(parser)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with a job's flags by an error of ours, and goes on."""

    def error(self, message):
        raise ValueError(message.removeprefix("argument "))


def run(args):
    from nst_jax.orders import lists

    many.refuse(args)
    args.share = args.share or devices.share()
    entries = lists.shared(lists.read(args.jobs), *args.share)
    folder = stylize.made(pathlib.Path(args.output))
    lists.cleaned(folder, age=0 if args.share == (1, 1) else lists.OLD)  # others may be writing there
    batch, begun = Batch(args, folder, entries), time.perf_counter()
    batch.begin()
    try:
        for entry in entries:
            batch.take(entry)
        batch.finish()
    except KeyboardInterrupt as error:
        return failed(error, more=f"; {batch.end()}: the same command goes on from there")
    print(f"{batch.end()}, {time.perf_counter() - begun:.0f} s")
    return 1 if batch.bad() else 0


def parsed(entry, args, folder) -> argparse.Namespace:
    """The arguments of `stylize` that a job stands for: its own flags, the command's where it has none."""
    parser = _Parser(allow_abbrev=False, add_help=False)
    flags(parser)
    words = [f"--{name}" for name, value in entry.flags.items() if name == "keep-metadata" and value == ["yes"]]
    for name, value in entry.flags.items():
        if name in fleet_files():
            words += [f"--{name}", *value]
        elif name != "keep-metadata":
            words.append(f"--{name}={value[0]}")
    others = _Parser(allow_abbrev=False, add_help=False)  # flags of `stylize` that no job has
    stylize.common(others)
    stylize.storing(others)
    known = vars(others.parse_args([])) | vars(args) | {"content": entry.content, "style": list(entry.styles)}
    plain = argparse.Namespace(**known)
    plain.output = str(folder / entry.output)
    return parser.parse_args(words, plain)


def fleet_files() -> tuple[str, ...]:
    """The flags of a job that name files, one or several."""
    from nst_jax.orders import lists

    return lists.FILES


class Batch:
    """Jobs on their way: what waits to be painted together, and what came of each."""

    def __init__(self, args, folder: pathlib.Path, entries: list):
        self.args, self.folder, self.entries = args, folder, entries
        self.rows: dict[str, dict[str, Any]] = {}  # by a job's place in its list
        self.waiting: dict[tuple, tuple[Any, list]] = {}  # the network, and jobs that are one program
        self.kept: dict = {}  # pictures that the next job may need
        self.already = 0

    def begin(self) -> None:
        """Load the network, and say what does the work."""
        from nst_jax.network import vgg19

        self.params, self.network = vgg19.load(self.args.weights), many.network(self.args)
        count = max(1, len(self.entries))
        self.uses = machine.used(self.args)._replace(mesh=devices.chosen(self.args, runs=count))
        print(f"device:   {follow.device()}", file=sys.stderr)
        print(f"network:  {follow.network(self.network)}", file=sys.stderr)

    def take(self, entry) -> None:
        """Paint a job, or let it wait for others that are one program with it; if something is wrong, say so."""
        from nst_jax.painting import vmapped

        try:
            found = self.prepared(entry)
        except Exception as error:  # of whatever kind: the others go on
            return self.note(entry, "bad", reason=why(error))
        if found:
            params, item = found
            key = tuple(str(of(item.job)) for of in vmapped.ALIKE.values())
            _, group = self.waiting.setdefault(key, (params, []))
            group.append((entry, item))
            if len(group) >= self.size(params, item.job):
                self.paint(*self.waiting.pop(key))
        return None

    def prepared(self, entry):
        """(the network that fits, a job's item); None if it is painted already."""
        from nst_jax.orders import lists

        if entry.trouble:
            raise ValueError(entry.trouble)
        args = parsed(entry, self.args, self.folder)
        with control.fetched(args):
            control.check(args)
            many.refuse(args)
            recipe = settings.customised(args)
            known = control.files(args, recipe)
            if os.path.exists(args.output) and (record := lists.finished(args.output, self.asked(args, recipe, known))):
                self.already += 1
                return self.note(entry, "done", steps=record["steps"], terms=record["terms"])
            return self.item(args, recipe, known)

    def item(self, args, recipe, known):
        """(the network that fits, the item of a job that is to be painted)."""
        needed = [path for paths in known.values() for path in paths]
        stylize.check_apart(args, recipe, needed, None, more=[str(self.report())])
        if len(self.kept) > KEPT:
            self.kept.clear()
        job, finish, extras = control.job(args, recipe, control.read(args, recipe, kept=self.kept))
        (recipe,), params, _ = many.fitted([job.recipe], args, self.params)
        job = job._replace(recipe=recipe)
        head = follow.head(args, job, known, network=self.network)
        head["plan"] = many.plan(params, job, self.size(params, job), self.uses)
        return params, many.Item(args, job, follow.Result(args.output, finish, extras, known), head)

    def size(self, params, job) -> int:
        """How many jobs like this one are painted at once."""
        from nst_jax.painting import vmapped

        size = self.args.chunk or vmapped.fitting(params, job, count=len(self.entries), machine=self.uses)
        return vmapped.rounded(size, len(self.entries), self.uses.mesh)

    def asked(self, args, recipe, known) -> dict[str, Any]:
        """What a job's record would say of what was asked for."""
        from nst_jax.orders import record as runs

        found = {"recipe": recipe.name, "flags": settings.written(args), "network": self.network}
        return found | {"versions": runs.versions(), "inputs": {kind: runs.files(of) for kind, of in known.items()}}

    def paint(self, params, group: list) -> None:
        """Paint jobs that are one program."""
        left = {number: entry for number, (entry, _) in enumerate(group)}
        items = [item for _, item in group]
        size = self.size(params, items[0].job)
        try:
            for watch in many.paint(params, items, size=size, uses=self.uses, record=_nothing, show=_nothing):
                if watch.trouble:
                    self.note(left.pop(watch.number), "bad", reason=watch.trouble)
                elif watch.frame and watch.frame.step == watch.item.steps:
                    watch.save()
                    self.note(left.pop(watch.number), "done", steps=watch.frame.step, terms=watch.terms)
        except Exception as error:
            for entry in left.values():
                self.note(entry, "bad", reason=why(error))

    def finish(self) -> None:
        """Paint what waits for more of its kind that don't come."""
        while self.waiting:
            self.paint(*self.waiting.pop(next(iter(self.waiting))))

    def note(self, entry, state: str, *, reason="", steps=None, terms=None) -> None:
        """Keep what came of a job, and say it, if anything did."""
        row = {"job": entry.place, "picture": entry.output, "state": state, "reason": reason, "steps": steps}
        self.rows[entry.place] = row | many.kinds(terms or {})
        if state != "left":
            said = f"{entry.output or entry.place}: {reason or state}"
            print(f"{len(self.rows)}/{len(self.entries)}  {said}", file=sys.stderr, flush=True)

    def bad(self) -> list[dict]:
        """What came of the jobs that can't be painted."""
        return [row for row in self.rows.values() if row["state"] == "bad"]

    def report(self) -> pathlib.Path:
        """Where it stands what came of each job: in a file for each share."""
        k, n = self.args.share
        return self.folder / ("batch.csv" if n == 1 else f"batch-{k}-of-{n}.csv")

    def end(self) -> str:
        """Write the report, say what is bad, and give the whole in one line."""
        for entry in self.entries:
            if entry.place not in self.rows:
                self.note(entry, "left")
        rows = [self.rows[entry.place] for entry in self.entries]
        many.write(self.report(), many.table(rows))
        for row in self.bad():
            print(f"nst-jax: {row['job']}: {row['reason']}", file=sys.stderr)
        done, bad = sum(row["state"] == "done" for row in rows), len(self.bad())
        kinds = {
            "painted": done - self.already,
            "already there": self.already,
            "bad": bad,
            "left": len(rows) - done - bad,
        }
        said = ", ".join(f"{count} {kind}" for kind, count in kinds.items() if count or kind == "painted")
        return f"{self.args.output}: {len(rows)} job{'s' * (len(rows) > 1)}: {said} (see {self.report().name})"


def why(error: BaseException) -> str:
    """What is wrong with a job, on one line."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError) or text.startswith("RESOURCE_EXHAUSTED"):
        return "the run must fit into memory: choose a smaller size"
    expected = isinstance(error, (ValueError, OSError, argparse.ArgumentTypeError))
    return text if expected and text else f"{type(error).__name__}: {text}"


def _nothing(*_, **__):
    """What is not asked for on the way."""
