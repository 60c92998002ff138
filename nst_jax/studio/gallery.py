"""All paintings of a studio and the one worker that paints them, first come, first served."""

import collections
import contextlib
import gc
import json
import pathlib
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any

from nst_jax.ground import storage
from nst_jax.orders import compose, prepare
from nst_jax.orders.order import Order
from nst_jax.painting import painter, programs
from nst_jax.recipes import Turn
from nst_jax.studio import asks, paintings
from nst_jax.studio.asks import Ask
from nst_jax.studio.grids import Grid
from nst_jax.studio.paintings import Painting
from nst_jax.studio.uploads import Uploads

PACE = "pace.json"
GRIDS = 20  # that are kept
AT_HAND = 4  # paintings whose whole history is in memory: those that were last worked on


class Gallery:
    """A folder of paintings, the queue of those that wait, and the thread that paints."""

    def __init__(self, folder, *, said: Callable[[str], None]):
        self.folder, self.said = storage.ensure_folder(folder), said
        self.uploads = Uploads(self.folder / "pictures")
        self.paintings: dict[str, Painting] = {}
        self.grids: collections.OrderedDict[str, Grid] = collections.OrderedDict()
        self.pace: dict[str, float] = self._read_pace()
        self.queue: collections.deque[Any] = collections.deque()
        self.now: Any = None
        self.at_hand: list[Painting] = []
        self.next: Order | None = None  # what a visitor looks at, and may soon ask for
        self.changed, self.closing = threading.Condition(), False
        self.worker = threading.Thread(target=self._work, name="painter")
        self._load()

    # what visitors do

    def plan(self, ask: Ask) -> dict[str, Any]:
        """What a painting will take; the worker, if it has nothing to do, compiles its first programs meanwhile."""
        order = asks.order_of(ask, self.uploads.paths(ask.files))
        found = asks.plan(order, self.pace)
        with self.changed:
            self.next = None if found["large"] else order
            self.changed.notify_all()
        return found

    def paint(self, ask: Ask) -> Painting:
        """A new painting, which waits for its turn."""
        painting = self._new(ask, None)
        self._wait_in_line(painting)
        return painting

    def branch(self, painting: Painting, step: int, turn: Turn | None) -> Painting:
        """A new painting that goes on from a step of another."""
        if turn:
            asks.check_turn(painting.order(), turn)
        other = self._new(painting.ask, {"id": painting.id, "step": step})
        try:
            painting.branch_into(other, step, turn)
        except ValueError:
            self._forget(other)
            raise
        self._wait_in_line(other)
        return other

    def go_on(self, painting: Painting) -> None:
        """Let a painting that is paused, or has failed, go on."""
        with self.changed:
            if painting.state not in (paintings.PAUSED, paintings.FAILED) or painting in self.queue:
                raise ValueError(f"a painting must be paused to go on, this one is {painting.state}: choose another")
            self._wait_in_line(painting)  # at once: who asks twice is second

    def stop(self, painting: Painting, wish: str) -> None:
        """Have a painting end its sitting, or leave the queue, in a state."""
        if wish == paintings.FINISHED and not painting.can_be_taken:
            raise ValueError("a painting must have a frame to be finished, got none yet: let it go on to its next")
        with self.changed:
            waits = painting in self.queue
            if waits:
                self.queue.remove(painting)
        if not painting.stop(wish) and (waits or painting.state != paintings.FINISHED):
            painting.set_state(wish)
        self._tell_places()

    def go_back(self, painting: Painting, step: int) -> None:
        """Have a painting be at an earlier step; one that is being painted is paused first."""
        if painting.view.at(step) is None:
            raise ValueError(f"step must be one of the history's, got {step}: choose a frame")
        self.stop(painting, paintings.PAUSED)
        with self.changed:
            if not self.changed.wait_for(lambda: self.now is not painting, timeout=120):
                raise ValueError("painting must have paused within 120 s, got none: try again")
        painting.go_back(step)

    def remove(self, painting: Painting) -> None:
        """Leave nothing of a painting."""
        self.stop(painting, paintings.PAUSED)
        with self.changed:
            self.changed.wait_for(lambda: self.now is not painting, timeout=120)
        self._forget(painting)

    def grid(self, ask: Ask, axes: dict) -> Grid:
        """A new grid, which waits for its turn."""
        grid = Grid(secrets.token_urlsafe(9), ask, axes, self.uploads)
        self.grids[grid.id] = grid
        while len(self.grids) > GRIDS:
            self.grids.popitem(last=False)[1].stop("")
        self._wait_in_line(grid)
        return grid

    # the worker

    def open(self) -> None:
        """Begin to paint; what another process has left unfinished goes on."""
        for painting in sorted(self.paintings.values(), key=lambda painting: painting.about.get("created", 0)):
            if painting.state in paintings.AT_WORK:
                self._wait_in_line(painting)
        self.worker.start()

    def close(self) -> None:
        """Stop the worker; what it was painting waits on disk for the next process."""
        with self.changed:
            self.closing = True
            self.queue.clear()
            now = self.now
            self.changed.notify_all()
        if now is not None:
            now.stop(paintings.WAITING)
        if self.worker.is_alive():
            self.worker.join()

    def _work(self):
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.queue or self.closing or self.next)
                if self.closing:
                    return
                expected, self.next = self.next, None
                self.now = now = self.queue.popleft() if self.queue else None
                if now is not None:
                    now.prepare()  # from here on it can be stopped
            if now is None:
                _compile_first(expected)
                continue
            self._tell_places()
            self._take(now)

    def _take(self, work) -> None:
        """Have something painted; whatever goes wrong, the next gets its turn."""
        try:
            self._sit(work)
            self._let_rest(work)
            self.uploads.forget(self.used())
            gc.collect()  # a process of ours seldom looks for garbage by itself
            programs.release_memory()
        except Exception as error:
            with contextlib.suppress(Exception):  # where nobody is left who hears it
                self.said(f"{work.id}: {paintings.reason(error, self.folder)}")
        finally:
            with self.changed:
                self.now = None
                self.changed.notify_all()

    def _sit(self, work) -> None:
        begun = time.perf_counter()
        try:
            work.sit()
            state = getattr(work, "wish", "") or paintings.FINISHED
            if isinstance(work, Painting) and state == paintings.FINISHED:
                self._note_pace(work, time.perf_counter() - begun)
            work.set_state(state)
        except (Exception, KeyboardInterrupt) as error:
            why = paintings.reason(error, self.folder)
            work.set_state(paintings.FAILED, why)
            self.said(f"{work.id}: {why}")

    def _let_rest(self, work) -> None:
        """Bound what is in memory, however many paintings there are."""
        if isinstance(work, Painting):
            self.at_hand = [*(other for other in self.at_hand if other is not work), work]
            for old in self.at_hand[:-AT_HAND]:
                old.view.rest()
            self.at_hand = self.at_hand[-AT_HAND:]

    def _wait_in_line(self, work) -> None:
        work.set_state(paintings.WAITING)
        with self.changed:
            self.queue.append(work)
            self.changed.notify_all()
        self._tell_places()

    def _tell_places(self):
        with self.changed:
            waiting = list(self.queue)
        for place, work in enumerate(waiting, 1 if self.now is not None else 0):
            work.place = place
            if work.view:
                work.view.bell.ring()

    # on disk

    def _new(self, ask: Ask, came_from) -> Painting:
        folder = storage.ensure_folder(self.folder / "paintings" / secrets.token_urlsafe(9))
        painting = Painting(folder, ask, {"created": time.time(), "from": came_from})
        try:
            painting.take_files(self.uploads)
            compose.task(painting.order())  # what is wrong with it is said now
        except Exception:
            painting.remove()
            raise
        self.paintings[painting.id] = painting
        return painting

    def _forget(self, painting) -> None:
        self.paintings.pop(painting.id, None)
        painting.remove()
        self.uploads.forget(self.used())

    def used(self) -> set[str]:
        """The pictures that paintings are made of."""
        kinds = [painting.ask.files for painting in list(self.paintings.values())]
        return {name for files in kinds for names in files.values() for name in names}

    def _load(self):
        for folder in sorted(storage.ensure_folder(self.folder / "paintings").iterdir()):
            if found := paintings.load(folder):
                self.paintings[found.id] = found
        self.uploads.forget(self.used())

    def _read_pace(self) -> dict[str, float]:
        try:
            known = json.loads((pathlib.Path(self.folder) / PACE).read_text("utf-8"))
            return {name: float(value) for name, value in known.items()}
        except (OSError, ValueError, AttributeError):
            return {}

    def _note_pace(self, painting: Painting, seconds: float) -> None:
        """Remember how long a pixel's step took, compiling included: what the next plan says."""
        run = painting.view.run
        if run is None or painting.view.begun:  # it was painted in several sittings
            return
        work = sum(stage.steps * stage.shape[0] * stage.shape[1] for stage in run.stages)
        for stage in run.stages:
            self.pace[asks.pace_key(painting.order(), stage)] = seconds / work
        with contextlib.suppress(OSError):  # a plan without seconds is no reason to fail
            storage.write_text(self.folder / PACE, json.dumps(self.pace), what="pace")


def _compile_first(order) -> None:
    """Compile what the first steps of an order will call, so that they are soon there; nothing is painted."""
    with contextlib.suppress(Exception):  # what is wrong is said when it is asked for
        task = asks.task(order)
        subject = painter.subject(task.params, task.job, machine=prepare.machine_of(order, height=task.shape[0]))
        subject.compile(subject.stages()[0])
