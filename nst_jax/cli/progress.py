"""How a run goes, for a person: its head, a bar on a terminal or plain lines elsewhere, and a stop by a signal."""

import contextlib
import math
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping

from nst_jax.cli import launch
from nst_jax.orders.record import Record

PLAIN_LINES = 20  # of a whole run, where there is no terminal
Show = Callable[[int, object], None]  # of steps done in all, and a frame


def say(text: str) -> None:
    """A line on the error stream, in one write: a signal between a text and its end would join two lines."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def network_name(said: Mapping) -> str:
    """Which weights a run uses, in words, from what their file or a record says."""
    return f"{said['precision']}, from {said.get('source', 'unknown')}, sha256 {said['sha256'][:12]}"


def say_head(record: Record, notes, plan: str) -> None:
    """What a run is made of."""
    sizes = ", ".join(f"{row['size'][0]}×{row['size'][1]}: {row['steps']}" for row in record.stages)
    lines = {
        "recipe": record.order["recipe"],
        "size": f"{sizes} steps",
        "plan": plan,
        "device": record.device,
        "network": network_name(record.network),
    }
    for name, text in lines.items():
        say(f"{name + ':':<9} {text}")
    for note in notes:
        say(note.replace("plan:     ladder", "plan:     --ladder"))


class Progress:
    """A watcher that shows how far a run is; the losses at fixed steps, the step whenever there is a frame."""

    every = None

    def begin(self, start) -> None:
        """Show that it compiles."""
        self.stack = contextlib.ExitStack()
        self.show = self.stack.enter_context(show_steps(start.record.total))
        self.way = None

    def see(self, frame) -> None:
        """Show a frame; say so where it was computed in another way than planned, for want of memory."""
        way = frame.image.shape, frame.plan._replace(direct=False)  # another network may convolve in another way
        if self.way and way != self.way and way[0] == self.way[0]:
            say(f"memory:   the device's was not enough, so the run goes on in {frame.plan}")
        self.way = way
        if frame.note:
            say(f"again:    {frame.note}")
        self.show(frame.step, frame)

    def end(self, result) -> None:
        """Leave the terminal as it was."""
        self.stack.close()


def show_steps(steps: int) -> contextlib.AbstractContextManager[Show]:
    """A function of steps and a frame, for a while, that shows how far a run is."""
    return _bar(steps) if sys.stderr.isatty() else _lines(steps)


@contextlib.contextmanager
def _bar(steps) -> Iterator[Show]:
    from rich import console, progress

    columns = (progress.TextColumn("{task.completed}/{task.total}"), progress.BarColumn(None))
    words, screen = Words(steps), console.Console(stderr=True)
    with progress.Progress(*columns, progress.TextColumn("{task.description}"), console=screen, expand=True) as bar:
        task = bar.add_task("compiling", total=steps)
        yield lambda step, frame: bar.update(task, completed=step, description=words(step, frame))


@contextlib.contextmanager
def _lines(steps) -> Iterator[Show]:
    words, last, begun = Words(steps), -1, time.perf_counter()
    say("compiling")

    def show(step, frame):
        nonlocal last, begun
        if begun:
            say(f"compiled in {time.perf_counter() - begun:.0f} s, the first steps among it")
            begun = 0.0
        text, due = words(step, frame), step * PLAIN_LINES // steps
        if due > last and frame.fixed:
            last = due
            say(f"step {step}/{steps}  {text}")

    yield show


class Words:
    """The losses and the pace of a run, in words; the pace since the first frame, which pays for compiling."""

    def __init__(self, steps: int):
        self.steps, self.first, self.losses = steps, None, ""

    def __call__(self, step, frame) -> str:
        if frame.fixed or not self.losses:
            kinds = ("content", "style")
            sums = [sum(float(v) for k, v in frame.terms.items() if k.startswith(kind)) for kind in kinds]
            self.losses = f"content {sums[0]:.3g}  style {sums[1]:.3g}"
        now = time.perf_counter()
        if self.first is None:
            self.first = step, now
            return self.losses
        speed = max(step - self.first[0], 1e-9) / max(now - self.first[1], 1e-9)
        minutes, seconds = divmod(math.ceil((self.steps - step) / speed), 60)
        return f"{self.losses}  {speed:.3g} steps/s  {minutes}:{seconds:02} left"


# Signals


class Terminated(KeyboardInterrupt):
    """SIGTERM before there is a picture."""


class Signals:
    """Which signal asked a run to stop, if one did."""

    number = 0

    @property
    def error(self) -> KeyboardInterrupt | None:
        """What it would have raised."""
        return None if not self.number else Terminated() if self.number == signal.SIGTERM else KeyboardInterrupt()


@contextlib.contextmanager
def stop_on_signals(controls) -> Iterator[Signals]:
    """Ctrl-C and SIGTERM stop a run after the chunk that it is at; before its first frame, or again, they end it."""
    found = Signals()
    if launch.is_with_others():  # one of several processes: they end together
        yield found
        return

    def handle(number, frame):
        first, found.number = not found.number, number
        controls.stop.set()  # also where what is raised gets lost, as in a callback of the garbage collector
        if not controls.running or not first:
            raise found.error or KeyboardInterrupt

    old = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield found
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
