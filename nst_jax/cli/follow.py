"""Following a run: a progress bar on a terminal, plain lines elsewhere, a log in JSON lines, pictures on the way."""

import contextlib
import json
import math
import os
import pathlib
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

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


def device(*, mesh=None) -> str:
    """The device that a run uses, or the mesh of them, in words."""
    first, *others = devices()
    more = f", the first of {len(others) + 1}" if others else ""
    if mesh is not None:
        more = f", {mesh.size} of them: {', '.join(f'{axis}={n}' for axis, n in mesh.shape.items())}"
    return f"{first.platform} ({first.device_kind}{more})"


def network(said) -> str:
    """Which weights a run uses, in words, from what `vgg19.info` or a record says."""
    return f"{said['precision']}, from {said.get('source', 'unknown')}, sha256 {said['sha256'][:12]}"


class Result(NamedTuple):
    """Where a picture goes, what is done to it first, what is written besides, and the files it was made of."""

    path: str
    finish: Callable
    extras: Any
    inputs: dict[str, list[str]]

    def save(self, frame, shape, head) -> None:
        """Write a frame at the job's shape (one that was stopped may still be coarse), with everything that made it."""
        from nst_jax.orders import record as runs
        from nst_jax.pictures import images

        done = {"steps": frame.step, "terms": {name: float(value) for name, value in frame.terms.items()}}
        image = self.finish(np_image(images.resize(frame.image, shape)))
        images.save(self.path, image, extras=self.extras._replace(text=runs.text(head | done)))


def np_image(image):
    """A picture as NumPy has it, in [0, 1]."""
    import numpy as np

    return np.clip(np.asarray(image, np.float32), 0, 1)


def head(args, job, inputs, *, network=None, mesh=None) -> dict[str, Any]:
    """Everything that a result depends on, but for the files that it is made of only their names and digests."""
    from nst_jax.cli import settings
    from nst_jax.network import vgg19
    from nst_jax.orders import record as runs
    from nst_jax.painting import painter

    said = network or vgg19.info(args.weights)
    return {
        "versions": runs.versions(),
        "device": device(mesh=mesh),
        "network": {k: said.get(k, "unknown") for k in ("sha256", "source", "family", "precision")},
        "recipe": job.recipe.name,
        "flags": settings.written(args),
        "settings": settings.described(job),
        "ladder": [[w, h, stage.steps] for (h, w), stage in painter.stages(job)],
        "seed": args.seed,
        "inputs": {kind: runs.files(paths) for kind, paths in inputs.items()},
    }


def say(head, fitted: str, *, substitutes: str = "") -> None:
    """The head of a run for a person."""
    ladder = ", ".join(f"{w}×{h}: {steps}" for w, h, steps in head["ladder"])
    lines = {
        "recipe": head["recipe"],
        "size": f"{ladder} steps",
        "plan": ", ".join(dict.fromkeys(head.get("plan", []))),
        "device": head["device"],
        "network": network(head["network"]),
        "family": fitted,
        "layers": substitutes,
    }
    for name, text in lines.items():
        if text:
            print(f"{name + ':':<9} {text}", file=sys.stderr)


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
    from nst_jax.pictures import images

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
    with showing(steps) as show:
        try:
            for frame in frames:
                terms = finite({name: float(value) for name, value in frame.terms.items()}, frame.step)
                last = frame
                show(frame.step, terms)
                record(step=frame.step, seconds=round(time.perf_counter() - begun, 3), **terms)
                store(frame)
        except (KeyboardInterrupt, Exception) as error:
            if last is None:
                raise
            return last, error
    return last, None


def moving(frames, shape, least: float | None):
    """The same frames, up to where a step at full size changes the picture by less than `least` of 255 on average."""
    before = None
    for frame in frames:
        yield frame
        if least is None or frame.image.shape[:2] != shape:
            continue
        if before is not None:
            change = 255 * abs(np_image(frame.image) - np_image(before.image)).mean() / (frame.step - before.step)
            if change < least:
                return
        before = frame


def finite(terms: dict[str, float], step: int) -> dict[str, float]:
    """The same terms, unless one of them is no number."""
    for name, value in terms.items():
        if not math.isfinite(value):
            raise ValueError(f"loss must stay finite, got {value} of {name} at step {step}: lower --learning-rate")
    return terms


def showing(steps: int):
    """A function of a step and its terms, for a while, that shows how far a run is."""
    return _bar(steps) if sys.stderr.isatty() else _lines(steps)


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
