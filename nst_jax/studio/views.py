"""What is seen of a run: the newest frame, its losses and pace, and the moments that one can go back to."""

import threading
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from nst_jax.orders import workshop
from nst_jax.orders.prepare import Item
from nst_jax.orders.watchers import Start, finite_terms, picture_of
from nst_jax.painting import runs
from nst_jax.painting.painter import Frame, Run
from nst_jax.painting.runs import Snapshot
from nst_jax.pictures import images, thumbnails
from nst_jax.studio.bell import Bell
from nst_jax.studio.strips import Strip

EDGE, SMALL = 2048, 160  # px: long edges of frames, and of those in a filmstrip
MOMENTS = 96  # in a filmstrip
BYTES = 256_000_000  # of a run's history
POINTS = 400  # of the curve
KINDS = ("content", "style", "variation")


class Moment(NamedTuple):
    """A step that one can go back to: its picture as JPEG, large (while there is room) and small; what goes on.

    Of a painting that nobody works on, even the small one is on disk alone.
    """

    step: int
    small: bytes = b""
    large: bytes | None = None
    snapshot: Snapshot | None = None
    watchers: tuple = ()

    @property
    def size(self) -> int:
        """Bytes."""
        snapshot = sum(leaf.nbytes for leaf in self.snapshot.leaves) if self.snapshot else 0
        return len(self.small) + len(self.large or b"") + snapshot


def thin(moments: Sequence[Moment], *, most: int = MOMENTS, room: int = BYTES) -> list[Moment]:
    """Fewer moments, and fewer of their snapshots, then of their large pictures: every other, but the first and last.

    A step whose snapshot is gone is painted again from the one before it.
    """
    found = list(moments)
    if len(found) > most:
        found = found[:1] + found[1:-1][1::2] + found[-1:]
    for field in ("snapshot", "large"):
        while sum(moment.size for moment in found) > room:
            held = [n for n, moment in enumerate(found[:-1]) if getattr(moment, field) is not None][1:]
            if not held:
                break
            for n in held[::2]:
                found[n] = found[n]._replace(**{field: None})
    return found


class View:
    """Follows one picture's run, as the workshop's watcher, and rings when there is something new to see."""

    every = None

    def __init__(self, strip: Strip | None = None):
        self.bell, self.lock, self.strip = Bell(), threading.Lock(), strip
        self._storing = threading.Lock()
        self.moments = [Moment(step) for step in strip.steps()] if strip else []
        self.curve: list[list[float]] = []
        self.shape, self.total, self.step = (0, 0), 0, 0
        self.begun = 0  # the step at which this sitting began
        self.frame_bytes = self.small_bytes = b""
        self.stage: dict[str, Any] = {}
        self.pace: tuple[float, float] | None = None  # steps a second, seconds left
        self.run: Run | None = None  # where it stands, without its arrays
        self._item: Item | None = None
        self._frame: Frame | None = None
        self._first: tuple[int, float] | None = None

    # as a watcher

    def begin(self, start: Start) -> None:
        """A run begins, or goes on after so many steps."""
        with self.lock:
            self._item, self._first, self.begun = Item(start.task, start.record), None, start.done
            self.shape, self.total = start.task.shape, start.record.total
            if start.kept and len(start.kept) > len(self.curve):
                self.curve = [list(row) for row in start.kept]
            self.cut(start.done)
        self.bell.ring()

    def see(self, frame: Frame) -> None:
        """A frame: make it a picture for the page."""
        assert self._item is not None
        image = self._item.task.finish(picture_of(frame.image))
        large, small = (thumbnails.jpeg(thumbnails.shrink(image, n)) for n in (EDGE, SMALL))
        losses = _losses(frame) if frame.fixed else None
        with self.lock:
            self._frame, self.step = frame, frame.step
            self.frame_bytes, self.small_bytes = large, small
            if losses:
                self.curve = [row for row in self.curve if row[0] < frame.step] + [[frame.step, *losses]]
                self.curve = self.curve[::2] + self.curve[-1:] if len(self.curve) > POINTS else self.curve
            self.moments = [m for m in self.moments if m.step < frame.step] + [Moment(frame.step, small, large)]
            self._measure_pace(frame.step)
        self.bell.ring()

    def end(self, result: Any) -> None:
        """The run has ended; what came of it is the worker's to say."""

    def keep(self) -> list[list[float]]:
        """What a run that goes on in another process shows at once."""
        return self.curve

    # as what a keeper tells

    def remember(self, run: Run, watchers: tuple, *, snapshots: bool) -> None:
        """Note where a run stands that has just been seen; with what it takes to go on from there."""
        snapshot = runs.snapshot(run) if snapshots else None
        with self.lock:
            self.run = run._replace(state=None, scene=None, aligned=None, args=None, info=None, subject=None)
            now = run.now
            self.stage = {"width": now.shape[1], "height": now.shape[0], "network": now.network}
            if self.moments and snapshot:
                last = self.moments[-1]._replace(snapshot=snapshot, watchers=watchers)
                self.moments = thin([*self.moments[:-1], last])
        self.bell.ring()

    def store(self) -> bool:
        """Have the history's small pictures on disk as well; whether they are."""
        if self.strip is None:
            return False
        with self._storing:
            with self.lock:
                pictures = {moment.step: data for moment in self.moments if (data := self.small(moment))}
            try:
                self.strip.write(pictures)
            except (ValueError, OSError):  # a full disk: it stays in memory, and nothing that is forgotten on disk
                self.strip.forget()
                return False
        return True

    def rest(self) -> None:
        """Keep little of a run that nobody works on: the newest picture as it is shown, the others on disk."""
        stored = self.store()
        with self.lock:
            self.moments = [Moment(moment.step, b"" if stored else moment.small) for moment in self.moments]
            self._item = self._frame = None

    # as a page asks

    def small(self, moment: Moment) -> bytes:
        """A moment's small picture, wherever it is."""
        return moment.small or (self.strip.read(moment.step) if self.strip else b"")

    def page(self, moment: Moment, small: bool) -> bytes:
        """A moment's picture as large as it is there, or small."""
        return (None if small else moment.large) or self.small(moment)

    def cut(self, step: int) -> None:
        """Forget what came after a step; where that is shown, show what was there."""
        show = self.step > step or not self.frame_bytes
        self.moments = [moment for moment in self.moments if moment.step <= step]
        self.curve = [row for row in self.curve if row[0] <= step]
        self.step = step
        if self._frame is not None and self._frame.step > step:
            self._frame = None  # no longer what the run shows
        if self.moments and show:
            last = self.moments[-1]
            self.frame_bytes, self.small_bytes = self.page(last, small=False), self.small(last)

    def result(self) -> workshop.Result | None:
        """The picture as it is, with its settings inside; None before the first frame."""
        with self.lock:
            item, frame, run = self._item, self._frame, self.run
        if item is None or frame is None or run is None:
            return None
        return workshop.result_of(item, frame, run)

    @property
    def has_frame(self) -> bool:
        """Whether there is a picture of this process's own to be taken away."""
        return self._frame is not None and self._item is not None

    def at(self, step: int) -> Moment | None:
        """The moment of a step."""
        with self.lock:
            return next((moment for moment in self.moments if moment.step == step), None)

    def before(self, step: int) -> Moment | None:
        """The last moment up to a step that a run can go on from."""
        with self.lock:
            return next((m for m in reversed(self.moments) if m.step <= step and m.snapshot), None)

    def film(self) -> list[np.ndarray]:
        """The pictures of the history, all of one size."""
        with self.lock:
            pages = [page for moment in self.moments if (page := self.page(moment, small=False))]
        shape = images.shape_for((*self.shape, 3), min(720, max(self.shape)))
        return [images.resize(thumbnails.from_bytes(page), shape).clip(0, 1) for page in pages]

    def show(self, image) -> None:
        """Show a picture that another process has painted."""
        self.frame_bytes, self.small_bytes = (thumbnails.jpeg(thumbnails.shrink(image, n)) for n in (EDGE, SMALL))

    def as_json(self) -> dict[str, Any]:
        """What the page is told."""
        with self.lock:
            losses = dict(zip(KINDS, self.curve[-1][1:], strict=True)) if self.curve else None
            speed, left = self.pace or (None, None)
            return {
                "version": self.bell.version,
                "step": self.step,
                "total": self.total,
                "width": self.shape[1],
                "height": self.shape[0],
                "stage": self.stage,
                "frame": self.step,
                "losses": losses,
                "curve": self.curve,
                "steps_per_second": speed,
                "seconds_left": left,
                "history": [moment.step for moment in self.moments],
            }

    def _measure_pace(self, step):
        now = time.monotonic()
        if self._first is None or step <= self._first[0]:
            self._first = step, now
            return
        speed = (step - self._first[0]) / max(now - self._first[1], 1e-9)
        self.pace = round(speed, 3), round((self.total - step) / speed, 1)


def _losses(frame) -> list[float] | None:
    try:
        terms = finite_terms(frame)
    except ValueError:
        return None
    return [float(f"{sum(v for k, v in terms.items() if k.startswith(kind)):.5g}") for kind in KINDS]
