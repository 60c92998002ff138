"""The report of a run: what it was made of, how it went and how to repeat it, as one page."""

import base64
import html
import os
import pathlib
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from nst_jax.ground import storage
from nst_jax.orders.compose import most_pixels
from nst_jax.orders.order import WHOLE
from nst_jax.orders.record import Record, in_words
from nst_jax.orders.watchers import Start, picture_of
from nst_jax.painting.painter import Frame
from nst_jax.pictures import charts, film, images, kinds, sheets, thumbnails

CURVES, SHEET, RUN, PAGE = FILES = ("curves.png", "sheet.jpg", "run.webp", "index.html")
SMALL, LARGE = 512, 1600  # px: long edges of pictures on the page, and of the result
PARTS = {
    "settings": "The recipe as it was used",
    "order": "What was asked for",
    "terms": "Losses at the end",
    "inputs": "Files",
    "network": "Network",
    "versions": "Versions",
}
KEPT = 32  # moments of a run at most, a power of two

# Nothing is fetched and nothing runs, whatever the names of files say.
DOCUMENT = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
<main>
<header><h1>{title}</h1><p>{lead}</p></header>
{body}
</main>
</html>
"""
STYLE = """
:root { --paper: #fafaf8; --card: #fff; --ink: #242427; --quiet: #6b6f76; --line: #e2e2de }
@media (prefers-color-scheme: dark) {
  :root { --paper: #161618; --card: #1e1e21; --ink: #e9e9e6; --quiet: #9a9ea6; --line: #323236 }
  .curves { filter: invert(0.882) hue-rotate(180deg) }
}
* { box-sizing: border-box }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1rem/1.55 system-ui, sans-serif }
main { max-width: 68rem; margin: 0 auto; padding: 3rem 1.5rem 5rem }
h1, h2 { font-family: "Iowan Old Style", "Palatino Linotype", Palatino, Georgia, serif; font-weight: 500; margin: 0 }
h1 { font-size: 2.4rem; line-height: 1.2; overflow-wrap: anywhere }
h2 { font-size: 1.5rem; margin: 3.5rem 0 1.1rem; padding-top: 1.1rem; border-top: 1px solid var(--line) }
header p { margin: .4rem 0 2rem; color: var(--quiet) }
figure { margin: 0 }
img { display: block; max-width: 100%; border-radius: 4px }
.hero img { width: 100%; max-height: 88vh; object-fit: contain; object-position: left }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: 1.5rem; align-items: end }
.card { max-width: 30rem }
.cards img, .run img { width: 100% }
.cards img { max-height: 20rem; object-fit: contain; object-position: left bottom }
.run { max-width: 40rem }
figcaption { margin-top: .5rem; font-size: .875rem; color: var(--quiet); overflow-wrap: anywhere }
figcaption b { color: var(--ink); font-weight: 600 }
pre { margin: 0; padding: 1rem 1.2rem; background: var(--card); border: 1px solid var(--line); border-radius: 6px;
  white-space: pre-wrap; overflow-wrap: anywhere; font: .9rem/1.6 ui-monospace, Menlo, Consolas, monospace }
table { width: 100%; border-collapse: collapse; font-size: .9rem }
th, td { padding: .38rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line) }
th { width: 13rem; padding-right: 1rem; font-weight: 400; color: var(--quiet) }
td { overflow-wrap: anywhere; font-variant-numeric: tabular-nums }
tbody > tr:first-child > th[colspan] { padding-top: 1.6rem; color: var(--ink); font-weight: 600 }
"""


class Source(NamedTuple):
    """A picture that a run was made of: what for, its file's name, and small."""

    kind: str
    name: str
    image: Any


class Report:
    """Gathers what a report shows while a run goes on, and writes it as one page at the end."""

    every = None

    def __init__(self, folder, output, *, more: Sequence[str] = (), said: Callable[[pathlib.Path], None] | None = None):
        self.folder, self.output, self.more, self.said = pathlib.Path(folder), output, list(more), said
        self.sources: list[Source] = []
        self.rows: list[dict] = []  # as in a log, one for each fixed frame
        self.moments: dict[int, Any] = {}  # frame's number: (step, small picture), evenly over the run

    def begin(self, start: Start) -> None:
        """Take what the run is made of; what a report needs and is not there is said now."""
        self.begun, self.task, self.record = time.perf_counter(), start.task, start.record
        charts.check_matplotlib()
        storage.ensure_folder(self.folder)
        limit = most_pixels(self.task.order)
        for kind, paths in self.task.paths.items():
            for path in (path for path in paths if path != WHOLE):
                image = picture_of(thumbnails.shrink(images.load(path, max_pixels=limit), SMALL))
                self.sources.append(Source(kind, os.path.basename(path), image))

        if start.kept:
            self.rows = start.kept["rows"]
            self.moments = {int(n): tuple(moment) for n, moment in start.kept["moments"].items()}

    def keep(self) -> Any:
        """The curves and the pictures so far."""
        return {"rows": list(self.rows), "moments": {str(n): moment for n, moment in self.moments.items()}}

    def see(self, frame: Frame) -> None:
        """Keep a frame's losses; of the pictures every one, later every second, every fourth …"""
        if not frame.fixed:
            return
        self.rows = [row for row in self.rows if row["step"] < frame.step]  # a run may have been sent back
        number = len(self.rows)
        self.moments = {n: moment for n, moment in self.moments.items() if n < number}
        self.rows.append({"step": frame.step} | frame.losses)
        stride = max(1, 2 ** number.bit_length() // KEPT)
        if number % stride == 0:
            self.moments[number] = frame.step, picture_of(thumbnails.shrink(frame.image, SMALL)).astype("float16")
        for old in [n for n in self.moments if n % stride]:
            del self.moments[old]

    def end(self, result) -> None:
        """Write the page, where there is a picture."""
        if result is None or not self.rows:
            return
        painting, record = result.image, result.record
        if (alpha := result.extras.alpha) is not None:
            painting = 1 + (painting - 1) * alpha[..., None]
        images.save(self.folder / CURVES, charts.loss_curves([_ladder(record), *self.rows]))
        images.save(self.folder / SHEET, self.sheet(painting))
        frames = [
            *self.on_the_way(record.steps, thumbnails.shrink(painting, SMALL).shape, alpha),
            thumbnails.shrink(painting, SMALL),
        ]
        film.save(self.folder / RUN, frames, seconds=min(4, 0.25 * len(frames)))
        storage.write_text(self.folder / PAGE, self.page(painting, record))
        if self.said:
            self.said(self.folder / PAGE)

    def used(self) -> list[Source]:
        """The sources, but none twice for what counts nothing: a texture's content is its style."""
        weights, names = self.record.settings, [source.name for source in self.sources]
        return [s for s in self.sources if names.count(s.name) == 1 or any(weights.get(s.kind, {"": 1}).values())]

    def sheet(self, painting):
        """Content, styles and result in a row: [h, w, 3]."""
        shown = [source for source in self.used() if source.kind in ("content", "style")]
        kinds = [source.kind for source in shown]
        several = [f" {1 + kinds[:i].count(k)}" if kinds.count(k) > 1 else "" for i, k in enumerate(kinds)]
        names = [kind + number for kind, number in zip(kinds, several, strict=True)]
        return sheets.contact_sheet(
            [[*(source.image for source in shown), painting]], columns=[*names, "result"], cell=400
        )

    def on_the_way(self, step, shape, alpha) -> Iterator:
        """The moments before a step as the result is: in its colours, this shape, over white."""
        for when, picture in self.moments.values():
            if when < step:
                image = self.task.finish(picture_of(images.resize(picture, shape)))
                yield image if alpha is None else 1 + (image - 1) * images.resize(alpha, shape)[..., None]

    def page(self, painting, record: Record) -> str:
        """The whole of it as HTML that needs nothing else, with the folder's pictures in it."""
        parts = [_figure(thumbnails.data_uri(thumbnails.shrink(painting, LARGE)), "hero")]
        cards = [_figure(thumbnails.data_uri(s.image), "card", title=s.kind, text=s.name) for s in self.used()]
        parts += ["<h2>Made of</h2>", f'<div class="cards">{"".join(cards)}</div>']
        parts += ["<h2>On the way</h2>", _figure(_address(self.folder / RUN), "run")]
        parts += ["<h2>Losses</h2>", _figure(_address(self.folder / CURVES), "curves")]
        parts += ["<h2>Again</h2>", f"<pre>{html.escape(self.command())}</pre>"]
        parts += ["<h2>Settings</h2>", _table(record)]
        title, lead = html.escape(os.path.basename(self.output)), html.escape(self.lead(record))
        return DOCUMENT.format(title=title, lead=lead, style=STYLE, body="\n".join(parts))

    def lead(self, record: Record) -> str:
        """A run in one line."""
        w, h = record.stages[-1]["size"]
        stopped = f"stopped after {record.steps} of {record.total} steps"
        steps = f"{record.steps} steps" if record.steps == record.total else stopped
        seconds = time.perf_counter() - self.begun
        spent = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
        return " · ".join((record.order["recipe"], f"{w}×{h} px", f"{steps} in {spent}", record.device))

    def command(self) -> str:
        """What paints the picture again, where its file holds its settings."""
        name, suffix = os.path.basename(self.output), os.path.splitext(self.output)[1]
        if suffix.lower() not in kinds.holding("text"):
            return f"A {suffix} file holds no settings to repeat: write a .png"
        words = ["nst-jax", "rerun", _word(name)]
        for kind, paths in self.task.paths.items():
            words += [f"--{kind}", *(_word(os.path.basename(path)) for path in paths)]
        if weights := self.task.order.machine.weights:
            words += ["--weights", _word(os.path.basename(weights))]
        words += ["--keep-metadata"] if self.task.order.finish.keep_metadata else []
        return shlex.join([*words, *self.more, "-o", f"again{suffix}"])


def files(folder) -> list[str]:
    """The files that a report will be."""
    return [os.path.join(folder, name) for name in FILES] if folder else []


def _word(name):
    """A file's name that is not taken for a flag."""
    return f"./{name}" if name.startswith("-") and name != WHOLE else name


def _address(path):
    """A file as text that a web page shows without it."""
    return f"data:image/{path.suffix[1:]};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _figure(address, kind, *, title="", text=""):
    caption = f"<figcaption><b>{html.escape(title)}</b> {html.escape(text)}</figcaption>" if title else ""
    return f'<figure class="{kind}"><img src="{address}" alt="{html.escape(title or kind)}">{caption}</figure>'


def _table(record: Record) -> str:
    """A record as a table: what is plain first, then a part for each of its dictionaries."""
    parts = [[_row("device", record.device), _row("steps", record.steps)]]
    parts[0] += [_row("size", ", ".join(map(_stage, record.stages)))]
    turns = "; ".join(f"after {n} steps: {in_words(turn)}" for n, turn in record.turns)
    parts[0] += [_row("turns", turns)] if turns else []
    files = {kind: [f"{file['name']} (sha256 {file['sha256']})" for file in of] for kind, of in record.inputs.items()}
    for key, title in PARTS.items():
        known = files if key == "inputs" else getattr(record, key)
        parts.append([f'<tr><th colspan="2">{title}</th></tr>', *(_row(name, value) for name, value in known.items())])
    return "<table>" + "".join(f"<tbody>{''.join(rows)}</tbody>" for rows in parts) + "</table>"


def _stage(row) -> str:
    by = f" by the {row['network']} network" if "network" in row else ""
    return f"{row['size'][0]}×{row['size'][1]}: {row['steps']} steps{by}"


def _ladder(record: Record) -> dict:
    """The sizes of a run, as its curves mark them."""
    return {"ladder": [[*row["size"], row["steps"]] for row in record.stages]}


def _row(name, value):
    return f"<tr><th>{html.escape(str(name))}</th><td>{html.escape(in_words(value))}</td></tr>"
