"""Following a run: a progress bar on a terminal, plain lines elsewhere, a log in JSON lines, pictures on the way."""

import contextlib
import json
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


def device() -> str:
    """The device that a run uses, in words."""
    import jax

    first = jax.devices()[0]
    return (
        f"{first.platform} ({first.device_kind}, {jax.device_count()} of them)"
        if jax.device_count() > 1
        else (f"{first.platform} ({first.device_kind})")
    )


def network(path) -> str:
    """Which weights a run uses, in words."""
    from nst_jax import vgg19

    said = vgg19.info(path)
    return f"{said['path']} ({said['precision']}, from {said.get('source', 'unknown')}, sha256 {said['sha256'][:12]})"


@contextlib.contextmanager
def log(path, **head):
    """A function that writes one record as a line of JSON; nothing without a path."""
    if path is None:
        yield lambda **record: None
        return
    with open(path, "w", encoding="utf-8") as stream:

        def write(**record: Any) -> None:
            stream.write(json.dumps(record) + "\n")
            stream.flush()

        write(**head)
        yield write


def follow(frames, *, steps: int, record, save_every: int | None = None, folder: pathlib.Path | None = None):
    """Go through the frames of a run, showing how it goes; (last frame or None, whether it was stopped by Ctrl-C)."""
    last, begun = None, time.perf_counter()
    show = _bar(steps) if sys.stderr.isatty() else _lines(steps)
    with show as shown:
        try:
            for frame in frames:
                last = frame
                terms = {name: float(value) for name, value in frame.terms.items()}
                shown(frame.step, terms)
                record(step=frame.step, seconds=round(time.perf_counter() - begun, 3), **terms)
                if save_every and folder and frame.step % save_every == 0:
                    _store(folder, frame, steps)
        except KeyboardInterrupt:
            return last, True
    return last, False


def _store(folder, frame, steps):
    from nst_jax import images

    images.save(folder / f"{frame.step:0{len(str(steps))}}.png", frame.image)


def _sums(terms: dict[str, float]) -> tuple[float, float]:
    """(content, style): the two numbers that a person watches."""
    return tuple(sum(v for k, v in terms.items() if k.startswith(kind)) for kind in ("content", "style"))  # type: ignore


@contextlib.contextmanager
def _bar(steps):
    from rich import progress

    columns = [
        progress.TextColumn("{task.completed}/{task.total}"),
        progress.BarColumn(),
        progress.TextColumn("content {task.fields[content]:.4g}  style {task.fields[style]:.4g}  {task.fields[speed]}"),
        progress.TimeRemainingColumn(),
    ]
    from rich.console import Console

    with progress.Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=steps, content=float("nan"), style=float("nan"), speed="compiling")

        def show(step, terms):
            content, style = _sums(terms)
            speed = bar.tasks[0].speed
            rate = f"{speed:.1f} steps/s" if speed else ""
            bar.update(task, completed=step, content=content, style=style, speed=rate)

        yield show


@contextlib.contextmanager
def _lines(steps):
    begun, said = time.perf_counter(), [0]

    def show(step, terms):
        if step < steps and step * PLAIN_LINES // steps == said[0]:
            return
        said[0] = step * PLAIN_LINES // steps
        content, style = _sums(terms)
        passed = time.perf_counter() - begun
        print(
            f"step {step}/{steps}  content {content:.4g}  style {style:.4g}  {passed:.1f} s",
            file=sys.stderr,
            flush=True,
        )

    yield show
