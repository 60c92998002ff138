"""The report of a run: what it was made of, how it went and how to repeat it, as one page. Not a sub-command."""

import base64
import html
import os
import pathlib
import shlex
import sys
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from nst_jax.cli import follow

CURVES, SHEET, RUN, PAGE = FILES = ("curves.png", "sheet.jpg", "run.webp", "index.html")
SMALL, LARGE = 512, 1600  # px: long edges of pictures on the page, and of the result
PARTS = {
    "settings": "The recipe as it was used",
    "flags": "What was asked for",
    "terms": "Losses at the end",
    "inputs": "Files",
    "network": "Network",
    "versions": "Versions",
}
ALL = "-"  # a style mask that is none
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


class Story(NamedTuple):
    """What a report will tell, gathered while a run goes on; without a folder, nothing."""

    folder: pathlib.Path | None
    result: follow.Result
    sources: list[Source]
    more: list[str]  # flags that repeat it, besides those that name its sources
    begun: float
    records: list[dict]  # as in a log: the head, then one for each frame
    moments: dict[int, Any]  # frame's number: (step, small picture), evenly over the run

    def following(self, frames, head) -> Iterator:
        """The same frames, each remembered once its follower asks for the next."""
        self.records.append(head)
        for frame in frames:
            yield frame
            if self.folder:
                self.remember(frame)

    def remember(self, frame) -> None:
        """Keep a frame's losses; of the pictures every one, later every second, every fourth …"""
        number = len(self.records) - 1
        self.records.append({"step": frame.step, **{name: float(value) for name, value in frame.terms.items()}})
        stride = max(1, 2 ** number.bit_length() // KEPT)
        if number % stride == 0:
            self.moments[number] = frame.step, follow.np_image(_small(frame.image, SMALL)).astype("float16")
        for old in [n for n in self.moments if n % stride]:
            del self.moments[old]

    def write(self, last) -> None:
        """Write what was asked for, if anything, about a run whose last frame is in its result's file."""
        from nst_jax.pictures import charts, images

        if not self.folder:
            return
        if self.records[-1].get("step") != last.step:  # it was stopped right there
            self.remember(last)
        painting = images.load(self.result.path, max_pixels=2**31)
        images.save(self.folder / CURVES, charts.curves(self.records))
        images.save(self.folder / SHEET, self.sheet(painting))
        frames = [*self.finished(last.step, _small(painting, SMALL).shape), _small(painting, SMALL)]
        charts.animation(self.folder / RUN, frames, seconds=min(4, 0.25 * len(frames)))
        self.folder.joinpath(PAGE).write_text(self.page(painting, self.folder), "utf-8", "replace")
        print(f"report:   {self.folder / PAGE}", file=sys.stderr)

    def used(self) -> list[Source]:
        """The sources, but none twice for what counts nothing: a texture's content is its style."""
        weights, names = self.records[0]["settings"], [source.name for source in self.sources]
        return [s for s in self.sources if names.count(s.name) == 1 or any(weights.get(s.kind, {"": 1}).values())]

    def sheet(self, painting):
        """Content, styles and result in a row: [h, w, 3]."""
        from nst_jax.pictures import charts

        shown = [source for source in self.used() if source.kind in ("content", "style")]
        kinds = [source.kind for source in shown]
        several = [f" {1 + kinds[:i].count(k)}" if kinds.count(k) > 1 else "" for i, k in enumerate(kinds)]
        names = [kind + number for kind, number in zip(kinds, several, strict=True)]
        return charts.sheet([[*(source.image for source in shown), painting]], columns=[*names, "result"], cell=400)

    def finished(self, step, shape) -> Iterator:
        """The moments before a step as the result is: in its colours, this shape, over white."""
        from nst_jax.pictures import images

        alpha = self.result.extras.alpha
        for when, picture in self.moments.values():
            if when < step:
                image = self.result.finish(follow.np_image(images.resize(picture, shape)))
                yield image if alpha is None else 1 + (image - 1) * images.resize(alpha, shape)[..., None]

    def page(self, painting, folder: pathlib.Path) -> str:
        """The whole of it as HTML that needs nothing else, with the pictures of this folder in it."""
        from nst_jax.pictures import charts

        head, last = self.records[0], self.records[-1]
        done = {"steps": last["step"], "terms": {name: value for name, value in last.items() if name != "step"}}
        parts = [_figure(charts.address(_small(painting, LARGE)), "hero")]
        cards = [_figure(charts.address(s.image), "card", title=s.kind, text=s.name) for s in self.used()]
        parts += ["<h2>Made of</h2>", f'<div class="cards">{"".join(cards)}</div>']
        parts += ["<h2>On the way</h2>", _figure(_address(folder / RUN), "run")]
        parts += ["<h2>Losses</h2>", _figure(_address(folder / CURVES), "curves")]
        parts += ["<h2>Again</h2>", f"<pre>{html.escape(self.command())}</pre>"]
        parts += ["<h2>Settings</h2>", _table(head | done)]
        title, lead = html.escape(os.path.basename(self.result.path)), html.escape(self.lead())
        return DOCUMENT.format(title=title, lead=lead, style=STYLE, body="\n".join(parts))

    def lead(self) -> str:
        """A run in one line."""
        head, step = self.records[0], self.records[-1]["step"]
        (w, h, _), total = head["ladder"][-1], sum(count for *_, count in head["ladder"])
        steps = f"{step} steps" if step == total else f"stopped after {step} of {total} steps"
        seconds = time.perf_counter() - self.begun
        spent = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
        return " · ".join((head["recipe"], f"{w}×{h} px", f"{steps} in {spent}", head["device"]))

    def command(self) -> str:
        """What paints the picture again, where its file holds its settings."""
        from nst_jax.pictures import images

        name, suffix = os.path.basename(self.result.path), os.path.splitext(self.result.path)[1]
        if "text" not in images.SUFFIXES[suffix.lower()].holds:
            return f"A {suffix} file holds no settings to repeat: write a .png"
        words = ["nst-jax", "rerun", _word(name)]
        for kind, paths in self.result.inputs.items():
            words += [f"--{kind}", *(_word(os.path.basename(path)) for path in paths)]
        return shlex.join([*words, *self.more, "-o", f"again{suffix}"])


def check(args) -> None:
    """Raise if a report is asked for and there is nothing to draw its curves with."""
    if args.report:
        from nst_jax.pictures import charts

        charts.check_plots()


def begun(args, result: follow.Result) -> Story:
    """The story of a run that begins; what a report would need and is not there is said now."""
    from nst_jax.cli import stylize
    from nst_jax.pictures import images

    story = Story(None, result, [], [], time.perf_counter(), [], {})
    if not args.report:
        return story
    check(args)
    folder, limit = stylize.made(pathlib.Path(args.report)), getattr(args, "max_pixels", None) or images.MAX_PIXELS
    for kind, paths in result.inputs.items():
        for path in (path for path in paths if path != ALL):
            image = follow.np_image(_small(images.load(path, max_pixels=limit), SMALL))
            story.sources.append(Source(kind, os.path.basename(path), image))
    story.more.extend(["--weights", _word(os.path.basename(args.weights))] if args.weights else [])
    story.more.extend(["--keep-metadata"] if getattr(args, "keep_metadata", False) else [])
    return story._replace(folder=folder)


def files(args) -> list[str]:
    """The files that a report will be."""
    return [os.path.join(args.report, name) for name in FILES] if args.report else []


def _small(image, edge):
    """A picture whose long edge is at most this."""
    from nst_jax.pictures import images

    scale = min(1, edge / max(image.shape[:2]))
    return images.resize(image, [max(1, round(n * scale)) for n in image.shape[:2]])


def _word(name):
    """A file's name that is not taken for a flag."""
    return f"./{name}" if name.startswith("-") and name != ALL else name


def _address(path):
    """A file as text that a web page shows without it."""
    return f"data:image/{path.suffix[1:]};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _figure(address, kind, *, title="", text=""):
    caption = f"<figcaption><b>{html.escape(title)}</b> {html.escape(text)}</figcaption>" if title else ""
    return f'<figure class="{kind}"><img src="{address}" alt="{html.escape(title or kind)}">{caption}</figure>'


def _table(record) -> str:
    """A record as a table: what is plain first, then a part for each of its dictionaries."""
    sizes = [f"{w}×{h}: {steps} steps" for w, h, steps in record["ladder"]]
    files = {
        kind: [f"{file['name']} (sha256 {file['sha256']})" for file in of] for kind, of in record["inputs"].items()
    }
    record = record | {"ladder": sizes, "inputs": files}
    parts = [[_row(key, value) for key, value in record.items() if not isinstance(value, dict)]]
    for key, title in PARTS.items():
        rows = [_row(name, value) for name, value in record[key].items()]
        parts.append([f'<tr><th colspan="2">{title}</th></tr>', *rows])
    return "<table>" + "".join(f"<tbody>{''.join(rows)}</tbody>" for rows in parts) + "</table>"


def _row(name, value):
    return f"<tr><th>{html.escape(str(name))}</th><td>{html.escape(_plain(value))}</td></tr>"


def _plain(value) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(each)}" for name, each in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_plain, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)
