"""Orders carried out: one picture, or several by one program. Watchers follow; a stop is asked for between chunks.

result = paint(words.make("town.jpg", "night.jpg", size=512, minutes=5))
result.save("painting.png")
"""

import contextlib
import itertools
import math
import os
import queue
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from nst_jax.ground.choices import one_line
from nst_jax.orders import compose, networks, prepare, words
from nst_jax.orders import record as records
from nst_jax.orders.checkpoints import Checkpoint, FolderKeeper, Keeper
from nst_jax.orders.compose import Recolouring
from nst_jax.orders.networks import Network
from nst_jax.orders.order import Order
from nst_jax.orders.prepare import Item
from nst_jax.orders.record import Record
from nst_jax.orders.watchers import Start, Still, Watcher, finite_terms, keep, picture_of
from nst_jax.painting import painter, runs, vmapped
from nst_jax.painting.memory import Machine
from nst_jax.painting.painter import Frame, Run
from nst_jax.painting.rewinding import Diverged, Rewinder
from nst_jax.pictures import images
from nst_jax.recipes import Turn

EVERY = 10  # steps between frames that every run has
NOTHING = np.zeros((0, 0, 3), np.float32)
CHUNK, LIVELY = 1.0, 1.5  # seconds: of a chunk of steps, and between frames that follow the clock


class Controls:
    """How a run is stopped and steered from outside, from any thread; it looks between chunks of a second or so.

    `last`: the step after which it stops by itself, where that is not the recipe's last.
    """

    def __init__(self, *, last: int | None = None):
        if last is not None and last < 1:
            raise ValueError(f"last must be a step from 1 on, got {last}: drop it")
        self.last = last
        self.stop = threading.Event()
        self.going = threading.Event()  # cleared: it waits where it is
        self.going.set()
        self.running = False  # there is a frame: a stop leaves a picture
        self.turns: queue.SimpleQueue[Turn] = queue.SimpleQueue()

    def wait(self) -> None:
        """Wait while the run is paused, and not stopped."""
        while not self.going.wait(0.1) and not self.stop.is_set():
            pass

    def ends(self, run: Run) -> bool:
        """Whether a run is to end where it stands."""
        return self.stop.is_set() or run.done == self.last

    def turn(self) -> Turn | None:
        """The last turn that was asked for since it was looked for."""
        found = None
        while not self.turns.empty():
            found = self.turns.get()
        return found


class Result(NamedTuple):
    """What came of an order: what made it, the finished picture, the last frame, and the error that ended it if any.

    Where a picture of several went wrong before its first frame, its image is empty.
    """

    record: Record
    image: np.ndarray
    extras: images.Extras
    frame: Frame | None = None
    error: BaseException | None = None

    def save(self, path) -> None:
        """Write the picture with its settings, alpha and metadata, as far as its kind of file holds them."""
        extras = self.extras._replace(text=records.text(self.record))
        images.save(path, self.image, extras=extras)


def save(result: Result, path) -> None:
    """Write a result's picture, or, where that fails, somewhere: hours of work are not thrown away for a full disk."""
    try:
        result.save(path)
    except (ValueError, OSError) as error:
        folder, name = os.path.split(os.path.abspath(path))
        for other in (folder, os.path.expanduser("~"), tempfile.gettempdir()):
            place = os.path.join(other, f"nst-jax-{os.getpid()}-{name[-100:]}")
            with contextlib.suppress(ValueError, OSError):
                result.save(place)
                break
        else:
            raise
        raise OSError(f"{one_line(error)}; the picture is in {place}") from error


# One picture


def paint(order: Order, *, watchers: Sequence[Watcher] = (), controls: Controls | None = None) -> Result:
    """Carry an order out: read its files, paint, finish; what stops it after the first frame is in the result."""
    with compose.with_local_files(order) as local:
        if local.only_colours:
            return recolour(compose.recolouring(local))
        network = Network(networks.weights_path(local))
        task = networks.with_network(compose.task(local), network)
        machine = prepare.machine_of(local, height=task.shape[0])
        return carry_out(prepare.item(task, machine, watchers=watchers), machine, controls=controls)


def recolour(asked: Recolouring) -> Result:
    """The photograph in the styles' colours; nothing is painted."""
    record = Record(words.write(asked.order), records.versions(), prepare.inputs_of(asked.paths))
    return Result(record, asked.paint(), asked.extras)


def carry_out(
    item: Item, machine: Machine, *, controls: Controls | None = None, keeper: Keeper | None = None
) -> Result:
    """Paint an item: the finished picture of its last good frame, and the error that ended it if one did.

    What ends it before the first frame is raised: there is nothing to show then. With a keeper, the run is kept on its
    way, and goes on where another process has left it.
    """
    task, stages = item.task, prepare.stages_of(item.record)
    subject = painter.subject(task.params, task.job, machine=machine, stages=stages)
    resumed = keeper.enter("", [item.record]) if keeper else None
    for result in _paint_together([item], _Work(subject, keeper, resumed), controls or Controls()):
        if result.frame is None and result.error:
            raise result.error
        return result
    raise KeyboardInterrupt  # it was stopped before its first frame


# Several


class KeptPictures(NamedTuple):
    """Who keeps several pictures on their way, their names, and which of them are there already."""

    keeper: FolderKeeper
    names: Sequence[str]
    there: frozenset[str] = frozenset()


def carry_out_all(
    items: Sequence[Item],
    machine: Machine,
    *,
    chunk: int,
    controls: Controls | None = None,
    progress: Callable[[int, Frame], None] = lambda done, frame: None,
    kept: KeptPictures | None = None,
) -> Iterator[tuple[int, Result]]:
    """Paint items that are one program, a chunk at a time; yield (number, result) as they are done.

    What ends the run is raised after what there is of the pictures that it was painting. A chunk all of whose pictures
    are there already is left out.
    """
    controls, total = controls or Controls(), items[0].record.total
    for before, numbers, work in _chunks(items, machine, chunk, kept):

        def shown(frame, before=before, numbers=numbers):
            progress(before * total + frame.step * len(numbers), frame)

        error = None
        each = _paint_together([items[n] for n in numbers], work, controls, shown)
        for number, result in zip(numbers, each, strict=False):
            error = error if isinstance(result.error, Diverged) else result.error
            yield number, result
        if controls.stop.is_set():
            return
        if error:
            raise error


def _chunks(items, machine, chunk, kept) -> Iterator[tuple[int, list[int], "_Work"]]:
    """For each chunk that is not there: how many pictures were before it, its numbers, what is to be done."""
    tasks, known, before = [item.task for item in items], [item.record for item in items], 0
    for numbers, subject in vmapped.chunks(tasks[0].params, [task.job for task in tasks], chunk=chunk, machine=machine):
        mine = list(dict.fromkeys(numbers))
        names = [kept.names[n] for n in mine] if kept else []
        if not kept:
            yield before, mine, _Work(subject)
        elif not kept.there.issuperset(names):
            resumed = kept.keeper.enter("\n".join(names), known)
            yield before, mine, _Work(subject, kept.keeper, resumed)
        before += len(mine)


def result_of(item: Item, frame: Frame, run: Run | None) -> Result:
    """A frame finished at the job's shape (it may still be coarse), with the record of the run up to it."""
    task = item.task
    record = item.record._replace(steps=frame.step, terms=frame.losses)
    if run is not None:
        turns = [turn for turn in run.turns if turn[0] < frame.step]  # one that was met at the end has turned nothing
        record = record._replace(turns=records.write_turns(turns), stages=prepare.write_stages(run.stages))
    image = task.finish(picture_of(images.resize(frame.image, task.shape)))
    return Result(record, image, task.extras, frame)


class _Watch:
    """An item while it is painted: its last good frame, and why there is no later one."""

    def __init__(self, item: Item, alone: bool):
        self.alone = alone
        self.item, self.frame, self.error, self.doubt = item, None, None, None
        self.good = None  # the last frame whose losses were looked at
        self.told: list[Watcher] = []  # of the beginning, and not yet of the end

    def begin(self, done: int, kept: Sequence) -> None:
        """Tell the watchers, those of a run that goes on what they kept."""
        for watcher, mine in itertools.zip_longest(self.item.watchers, kept[: len(self.item.watchers)]):
            watcher.begin(Start(self.item.task, self.item.record, done, mine))
            self.told.append(watcher)

    def see(self, frame: Frame) -> None:
        """Take a frame and show it to the watchers, unless the picture has gone wrong."""
        if self.error:
            return
        if frame.fixed:
            try:
                finite_terms(frame)
            except ValueError as error:
                self.doubt = Diverged(str(error))  # a run may be sent back; one of several may not
                self.error = None if self.alone else self.doubt
                return
            self.good, self.doubt = frame, None
        self.frame = frame
        for watcher in self.item.watchers:
            watcher.see(frame)

    def settle(self) -> None:
        """Go back to the last good frame, where one that followed the clock has gone wrong unseen."""
        if self.frame is not None and self.frame is not self.good:
            try:
                finite_terms(self.frame)
            except ValueError as error:
                self.frame, self.doubt = self.good, self.doubt or Diverged(str(error))

    def result(self, run: Run | None, error: BaseException | None) -> Result:
        """The picture as it is."""
        assert self.frame is not None
        return result_of(self.item, self.frame, run)._replace(error=self.error or error or self.doubt)

    def end(self, result: Result | None) -> Result | None:
        """Tell the watchers, once; what one of them can't do is the result's error, and costs no picture."""
        while self.told:
            try:
                self.told.pop(0).end(result)
            except Exception as error:
                result = result and result._replace(error=result.error or error)
        return result


class _Work(NamedTuple):
    """What a run paints, who keeps it, and what was kept of it."""

    subject: Any
    keeper: Keeper | None = None
    resumed: Checkpoint | None = None

    def begin(self) -> Run:
        """The run, from its beginning or from where it was kept."""
        if self.resumed and self.resumed.snapshot:
            return runs.restore(self.subject, self.resumed.snapshot)
        return runs.begin(self.subject)


def _paint_together(items, work: _Work, controls, shown=lambda frame: None) -> Iterator[Result]:
    """Paint one run; yield a result for each of its items, whatever ended it."""
    watches = [_Watch(item, len(items) == 1) for item in items]
    run, error = None, None
    order = items[0].task.order
    still = Still(items[0].task.shape, order.ends.still)
    every = [EVERY, *(watcher.every for item in items for watcher in item.watchers if watcher.every)]

    def kept():
        return [still.keep(), *([*map(keep, item.watchers)] for item in items)]

    try:
        _tell(watches, still, work.resumed)
        try:
            for run, frames in paint_in_chunks(work.begin(), controls, every=every, turns=order.turns):
                _show(frames, watches, controls)
                shown(frames[0])
                if still.reached(frames[0]) or all(watch.error for watch in watches):
                    break
                if work.keeper:
                    work.keeper.see(run, kept)
            if work.keeper and run and controls.stop.is_set():
                work.keeper.stop(run, kept)
        except (KeyboardInterrupt, Exception) as stop:
            error = stop
            if all(watch.frame is None for watch in watches):
                raise
        yield from _results(watches, run, error, controls)
    finally:
        for watch in watches:
            watch.end(None)


def _show(frames, watches, controls) -> None:
    """Let each picture's watchers see its frame; a stop meanwhile lets them finish."""
    controls.running = True
    for watch, frame in zip(watches, frames, strict=False):
        watch.see(frame)


def _tell(watches, still, resumed) -> None:
    """Tell all watchers that it begins, or goes on, and from where."""
    before, *each = (resumed and resumed.snapshot and resumed.watchers) or (None, *((),) * len(watches))
    still.go_on(before)
    for watch, mine in zip(watches, each, strict=True):
        watch.begin(resumed.snapshot.done if resumed and resumed.snapshot else 0, mine)


def _results(watches, run, error, controls) -> Iterator[Result]:
    """What came of each picture of a run that has ended, for whatever reason."""
    for watch in watches:
        watch.settle()
        if watch.frame is not None:
            result = watch.result(run, error)
            yield watch.end(result) or result
        elif controls.stop.is_set():
            return
        elif wrong := watch.error or error or watch.doubt:
            yield Result(watch.item.record, NOTHING, watch.item.task.extras, error=wrong)
        else:
            raise error or RuntimeError("a run must have a frame, got none")


def paint_in_chunks(
    run: Run, controls: Controls, *, every: Sequence[int] = (EVERY,), turns: Sequence[tuple[int, Turn]] = ()
) -> Iterator[tuple[Run, list[Frame]]]:
    """Paint a run in chunks of about a second; yield it with its frames at fixed steps, and in between by the clock.

    Turns are taken at their steps, and from the controls between chunks; a stop ends it after one more frame.
    """
    known = [step for step, _ in turns] + ([controls.last] if controls.last else [])
    seconds, shown = None, -math.inf  # the first chunk, of one step, is shown
    planned = [turn for turn in turns if turn[0] >= run.done]  # one that goes on has taken those before
    rewinder = Rewinder.of(run)
    with runs.compiling_ahead() as ahead:
        while not run.finished and not controls.ends(run):
            controls.wait()
            turn, live = None, controls.turn()
            while planned and planned[0][0] <= run.done:
                turn = planned.pop(0)[1]
            marks = [runs.until(run, n) for n in every] + [step - run.done for step in known if step > run.done]
            compiled, begun = run.info is not None and run.step < run.now.steps, time.perf_counter()
            count = min(*marks, _chunk(seconds))
            run = painter.consume(run, count, turn=live or turn)
            jax.block_until_ready(run.info)
            seconds = (time.perf_counter() - begun) / count if compiled else seconds
            end = run.step == run.now.steps
            try:
                rewinder, run, note = rewinder.look(run) if end or run.done % EVERY == 0 else (rewinder, run, "")
            except Diverged as error:
                yield from _where_it_was_sound(error)
                raise
            fixed = any(run.done % n == 0 for n in every) or end or controls.ends(run) or bool(note)
            if fixed or (jax.process_count() == 1 and time.perf_counter() - shown > LIVELY):  # clocks differ
                yield run, [frame._replace(fixed=fixed, note=note) for frame in painter.look(run)]
                shown = time.perf_counter()
            ahead(run)


def _where_it_was_sound(error: Diverged) -> Iterator[tuple[Run, list[Frame]]]:
    """The run to end with, where one has gone wrong for good; none where nothing was painted before."""
    if error.before and error.before.done:
        yield error.before, painter.look(error.before)


def _chunk(seconds: float | None) -> int:
    """Steps of about a second, if one takes so long; as many as there may be where several processes must agree."""
    if jax.process_count() > 1:
        return 10**9
    return 1 if seconds is None else max(1, int(CHUNK / max(seconds, 1e-6)))


def check_apart(read: Sequence, written: Sequence) -> None:
    """Raise if a file that is written is one that is read, or is written twice."""
    taken = {os.path.realpath(path) for path in read if path}
    for path in (os.fspath(path) for path in written if path):
        real = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
        if not taken.isdisjoint({real, os.path.realpath(path)}):
            raise ValueError(f"output must not be a file that the run needs, got {path!r} twice: choose another name")
        taken.add(real)
