"""Following a run: a progress bar on a terminal, plain lines elsewhere, a log in JSON lines, pictures on the way."""

import contextlib
import json
import math
import os
import pathlib
import sys
import time
from typing import Any

PLAIN_LINES = 20  # of a whole run, where there is no terminal


def chunk(save_every: int | None) -> int:
    """Steps between frames: few enough to look alive, and a divisor of the steps between stored pictures."""
    if not save_every:
        return 10
    divisor = max(d for d in range(1, 26) if save_every % d == 0)
    return divisor if divisor >= 5 else save_every


def devices() -> list:
    """The devices that jax finds."""
    import jax

    try:
        return jax.devices()
    except (RuntimeError, AssertionError) as error:  # the latter, empty, where what $JAX_PLATFORMS names is not there
        asked = os.environ.get("JAX_PLATFORMS")
        got = f"none of JAX_PLATFORMS={asked}" if asked else " ".join(str(error).split())
        raise ValueError(f"jax must find a device, got {got}: `nst-jax doctor` says what to do") from error


def device() -> str:
    """The device that a run uses, in words."""
    first, *others = devices()
    more = f", the first of {len(others) + 1}" if others else ""
    return f"{first.platform} ({first.device_kind}{more})"


def network(said) -> str:
    """Which weights a run uses, in words, from what `vgg19.info` says."""
    return f"{said['path']} ({said['precision']}, from {said.get('source', 'unknown')}, sha256 {said['sha256'][:12]})"


@contextlib.contextmanager
def log(path, **head):
    """A function that writes one record as a line of JSON; nothing without a path."""
    if path is None:
        yield lambda **record: None
        return
    with open(path, "w", encoding="utf-8") as stream:

        def write(**record: Any) -> None:
            stream.write(json.dumps(record, ensure_ascii=False) + "\n")
            stream.flush()

        write(**head)
        yield write


def storing(folder: pathlib.Path | None, every: int | None, steps: int):
    """A function that stores a frame whose step is a multiple of `every`; nothing without a folder."""
    from nst_jax import images

    def store(frame):
        if folder and every and frame.step % every == 0:
            images.save(folder / stored(frame.step, steps), frame.image)

    return store


def stored(step: int, steps: int) -> str:
    """The name of a stored picture, as wide as the last one's so that they sort."""
    return f"{step:0{len(str(steps))}}.png"


def follow(frames, *, steps: int, record, store) -> tuple[Any, BaseException | None]:
    """Go through the frames of a run, showing how it goes: (the last good frame, the error that ended it or None).

    What ends it before the first frame is raised: there is nothing to save then.
    """
    last, begun = None, time.perf_counter()
    with _bar(steps) if sys.stderr.isatty() else _lines(steps) as show:
        try:
            for frame in frames:
                terms = _finite({name: float(value) for name, value in frame.terms.items()}, frame.step)
                last = frame
                show(frame.step, terms)
                record(step=frame.step, seconds=round(time.perf_counter() - begun, 3), **terms)
                store(frame)
        except (KeyboardInterrupt, Exception) as error:
            if last is None:
                raise
            return last, error
    return last, None


def _finite(terms, step):
    for name, value in terms.items():
        if not math.isfinite(value):
            raise ValueError(f"loss must stay finite, got {value} of {name} at step {step}: lower --learning-rate")
    return terms


@contextlib.contextmanager
def _bar(steps):
    from rich import console, progress

    columns = (progress.TextColumn("{task.completed}/{task.total}"), progress.BarColumn(None))
    words, shown = _words(steps), console.Console(stderr=True)
    with progress.Progress(*columns, progress.TextColumn("{task.description}"), console=shown, expand=True) as bar:
        task = bar.add_task("compiling", total=steps)
        yield lambda step, terms: bar.update(task, completed=step, description=words(step, terms))


@contextlib.contextmanager
def _lines(steps):
    words, said = _words(steps), -1

    def show(step, terms):
        nonlocal said
        text, due = words(step, terms), step * PLAIN_LINES // steps
        if due > said:
            said = due
            print(f"step {step}/{steps}  {text}", file=sys.stderr, flush=True)

    yield show


def _words(steps):
    """A function of a step and its terms: the losses, and the pace since the first frame, which pays for compiling."""
    first = None

    def words(step, terms):
        nonlocal first
        content, style = (sum(v for k, v in terms.items() if k.startswith(kind)) for kind in ("content", "style"))
        text, now = f"content {content:.3g}  style {style:.3g}", time.perf_counter()
        if first is None:
            first = step, now
            return text
        speed = (step - first[0]) / max(now - first[1], 1e-9)
        minutes, seconds = divmod(math.ceil((steps - step) / speed), 60)
        return f"{text}  {speed:.3g} steps/s  {minutes}:{seconds:02} left"

    return words
