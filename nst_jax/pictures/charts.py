"""What people look at: contact sheets with labels, loss curves, animations.

The two that need more than a plain installation say so: `pip install 'nst-jax[plot]'` for curves, `[video]` for MP4.
"""

import base64
import importlib
import io
import os
import subprocess
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from nst_jax.pictures import images

GAP = 12  # px around pictures
INK, PAPER = (40, 40, 40), (250, 250, 248)
FPS = 25  # of MP4, where each frame lasts for several
# Content cold, style warm and lighter with depth, the rest grey: colours that are told apart at every kind of sight
COLOURS = {"content": ("#0b4f6c", "#3aa0c9"), "style": ("#5c1a5e", "#c2335a", "#de8a1f"), "": ("#8a8f98", "#8a8f98")}
FAINT, QUIET = "#e4e4e2", "#6b6f76"
LABEL = 0.048  # a label's height, of the axes'


def sheet(rows: Sequence[Sequence], *, columns: Sequence[str] = (), names: Sequence[str] = (), cell=256) -> np.ndarray:
    """Pictures in rows, each as large as fits a square cell, labelled above columns and beside rows: [h, w, 3].

    None leaves a place empty.
    """
    size = max(12, cell // 14)
    font = ImageFont.load_default(size)
    shown = [[None if picture is None else thumbnail(picture, cell) for picture in row] for row in rows]
    heights = [max((picture.height for picture in row if picture), default=0) for row in shown]
    left = GAP + (max(round(font.getlength(name)) for name in names) + GAP if names else 0)
    top = GAP + (size + GAP if columns else 0)
    wide = left + max(map(len, rows)) * (cell + GAP)
    page = Image.new("RGB", (wide, top + sum(heights) + GAP * len(rows)), PAPER)
    pen = ImageDraw.Draw(page)
    for i, text in enumerate(columns):
        pen.text((left + i * (cell + GAP) + cell / 2, GAP), text, INK, font, anchor="ma")
    for y, (row, high) in enumerate(zip(shown, heights, strict=True)):
        if names:
            pen.text((left - GAP, top + high / 2), names[y], INK, font, anchor="rm")
        for x, picture in enumerate(row):
            if picture:
                aside = left + x * (cell + GAP) + (cell - picture.width) // 2
                page.paste(picture, (aside, top + (high - picture.height) // 2))
        top += high + GAP
    return np.asarray(page, np.float32) / 255


def thumbnail(picture, cell: int) -> Image.Image:
    """A picture with a long edge of `cell`, as Pillow has it."""
    long = max(picture.shape[:2])
    return _levels(images.resize(picture, [max(1, round(cell * n / long)) for n in picture.shape[:2]]))


def _levels(picture) -> Image.Image:
    """A picture of 8 bits, as Pillow has it."""
    return Image.fromarray((np.asarray(picture, np.float32).clip(0, 1) * 255 + 0.5).astype(np.uint8))


def curves(records: Iterable[dict]) -> np.ndarray:
    """Losses over steps, drawn: [h, w, 3]; see `figure`."""
    drawn = figure(records)
    canvas = extra("matplotlib.backends.backend_agg", "plot").FigureCanvasAgg(drawn)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba(), np.float32)[..., :3] / 255


def figure(records: Iterable[dict]):
    """Losses over steps, a line for each term that is not always 0: a matplotlib Figure.

    Records are a run's log: its head, whose ladder of sizes is marked, and one for each frame.
    """
    page = extra("matplotlib.figure", "plot").Figure((10, 5.2), dpi=160, facecolor="white")
    steps, terms, ladder = _columns(list(records))
    axes = page.add_axes((0.065, 0.095, 0.76, 0.83), xlim=(0, steps[-1]), yscale="log")
    values = np.concatenate([*terms.values(), [np.nan]])
    low, high = (np.nanmin(values), np.nanmax(values)) if terms else (0.1, 1.0)
    axes.set_ylim(low := low / 1.6, high := high * 2.2)  # room for the names of sizes at the top
    ends = [int(np.flatnonzero(np.isfinite(line))[-1]) for line in terms.values()]
    heights = [line[end] / low for line, end in zip(terms.values(), ends, strict=True)]
    rows = zip(terms.items(), ends, _colours(list(terms)), _apart(np.log(heights) / np.log(high / low)), strict=True)
    for (name, line), end, colour, place in rows:
        style = {"color": colour, "linewidth": 1.8, "solid_capstyle": "round", "clip_on": False}
        axes.plot(steps, line, marker="o", markersize=3.5, markevery=[end], label=name, **style)
        _label(axes, name, colour, (steps[end] / steps[-1], line[end]), place)
    _mark(axes, ladder, steps[-1])
    _plain(axes, "major" if high > 10 * low else "both")
    return page


def _columns(records):
    """(steps, {term: its values, NaN where a logarithm has none}, [(name of a size, its first step, its last)])."""
    frames = [record for record in records if "step" in record]
    if not frames:
        raise ValueError("records must hold at least one step, got none: log a run with --log FILE")
    names = {name: None for frame in frames for name in frame if name not in ("step", "seconds")}
    terms = {name: np.array([frame.get(name, 0.0) for frame in frames], np.float64) for name in names}
    terms = {name: np.where(line > 0, line, np.nan) for name, line in terms.items() if (line > 0).any()}
    ladder: list = next((record["ladder"] for record in records if "ladder" in record), [])
    ends = np.cumsum([count for *_, count in ladder], dtype=int)
    stages = [(f"{w}×{h}", end - count, end) for (w, h, count), end in zip(ladder, ends, strict=True)]
    return np.array([frame["step"] for frame in frames]), terms, stages


def _colours(names):
    """A colour for each term: a kind's from the first of its layers to the last."""
    ramp = extra("matplotlib.colors", "plot").LinearSegmentedColormap.from_list
    kinds = [name.partition("/")[0] if "/" in name else "" for name in names]
    found = []
    for i, kind in enumerate(kinds):
        place = kinds[:i].count(kind) / max(1, kinds.count(kind) - 1)
        found.append(ramp(kind, COLOURS.get(kind, COLOURS[""]))(place))
    return found


def _apart(places) -> np.ndarray:
    """Places in [0, 1] moved little, until each has room for a label; their order is kept."""
    places = np.asarray(places, np.float64)
    order, count = np.argsort(places, kind="stable"), len(places)
    gap = min(LABEL, 1 / max(1, count - 1))
    ranks = gap * np.arange(count)
    wanted = places[order] - ranks
    up, down = np.maximum.accumulate(wanted), np.minimum.accumulate(wanted[::-1])[::-1]
    moved = np.empty(count)
    moved[order] = np.clip((up + down) / 2, 0, 1 - gap * max(0, count - 1)) + ranks
    return moved


def _label(axes, name, colour, end, place):
    """A term's name beside the axes at a place of its own, and a thin line to where its curve ends."""
    axes.annotate(
        name, end, (1.035, place), ("axes fraction", "data"), "axes fraction", color=colour, fontsize=9, va="center",
        parse_math=False, annotation_clip=False,
        arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.7, "alpha": 0.6, "shrinkA": 2, "shrinkB": 3,
                    "relpos": (0, 0.5)},
    )  # fmt: skip


def _mark(axes, ladder, last):
    """Where a run went on to a larger size, and the name of each that there is room for."""
    for name, begin, end in ladder:
        if begin >= last:
            continue
        if begin:
            axes.axvline(begin, color=QUIET, linewidth=0.8, linestyle=(0, (1, 3)))
        if (min(end, last) - begin) / last > 0.013 * len(name):
            at = (begin / last + 0.007, 0.985)
            axes.annotate(name, at, xycoords="axes fraction", color=QUIET, fontsize=8, va="top", parse_math=False)


def _plain(axes, which):
    """Axes without what nobody reads, a line across at these ticks."""
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(extra("matplotlib.ticker", "plot").LogFormatter())
    axes.set_title("Loss of each term", loc="left", fontsize=12, color="#28282a", pad=10)
    axes.set_xlabel("step", color=QUIET, fontsize=9, loc="right")
    axes.grid(True, which, "y", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", length=0, labelsize=8.5, labelcolor=QUIET)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color("#b9bbbf")


def animation(path, frames: Iterable, *, seconds=4.0, hold=1.5) -> None:
    """Write pictures one after another within these seconds, the last held: .gif, .webp or .mp4.

    All are brought to the largest one's size, so that a run from coarse to fine keeps still.
    """
    shown, suffix = [np.asarray(frame, np.float32) for frame in frames], os.path.splitext(path)[1].lower()
    if suffix not in ANIMATIONS:
        raise ValueError(
            f"suffix of an animation must be one of {', '.join(ANIMATIONS)}, got {suffix!r}: .webp is usual"
        )
    if not shown:
        raise ValueError("frames must hold at least one picture, got none: save more of them on the way")
    shape = max((frame.shape[:2] for frame in shown), key=np.prod)
    levels = [_levels(images.resize(frame, shape)) for frame in shown]
    lengths = [seconds / len(levels)] * (len(levels) - 1) + [seconds / len(levels) + hold]
    ANIMATIONS[suffix](path, levels, lengths)


def _webp(path, levels, lengths):
    _pages(path, levels, lengths, format="WEBP", quality=82, method=4)


def _gif(path, levels, lengths):
    palettes = [picture.quantize(256) for picture in levels]
    pairs = zip(levels, palettes, strict=True)
    dithered = [picture.quantize(palette=colours, dither=Image.Dither.FLOYDSTEINBERG) for picture, colours in pairs]
    _pages(path, dithered, lengths, format="GIF", disposal=1)


def _pages(path, levels, lengths, **options: Any):
    first, *others = levels
    durations = [round(1000 * length) for length in lengths]  # in milliseconds
    first.save(path, save_all=True, append_images=others, duration=durations, loop=0, **options)


def _mp4(path, levels, lengths):
    """H.264 by ffmpeg, started without a fork of our own: JAX has threads, and a fork among them may stand still."""
    width, height = (n - n % 2 for n in levels[0].size)  # H.264 halves its planes of colour
    source = f"-f rawvideo -pix_fmt rgb24 -s {width}x{height} -r {FPS} -i -".split()
    film = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "18", "-movflags", "+faststart"]
    program = extra("imageio_ffmpeg", "video").get_ffmpeg_exe()
    times = np.diff(np.rint(FPS * np.cumsum([0, *lengths])).astype(int))
    pictures = [picture.crop((0, 0, width, height)).tobytes() for picture in levels]
    argv = [program, "-v", "error", "-y", *source, *film, os.path.abspath(path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        _, said = process.communicate(b"".join(x * int(n) for x, n in zip(pictures, times, strict=True)))
    if process.returncode:
        raise OSError(f"film must be written, got from ffmpeg: {said.decode(errors='replace').strip()[:200]}")


ANIMATIONS = {".gif": _gif, ".webp": _webp, ".mp4": _mp4}


def address(picture) -> str:
    """A picture as text that a web page shows without a file: `data:image/webp;base64,…`."""
    stream = io.BytesIO()
    _levels(picture).save(stream, "WEBP", quality=90, method=4)
    return f"data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode()}"


def check_plots() -> None:
    """Raise now what `curves` would raise after a long run."""
    extra("matplotlib.figure", "plot")


def extra(module: str, name: str):
    """A module that comes with one of our extras."""
    try:
        return importlib.import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        raise ValueError(f"{package} must be installed, got none: pip install 'nst-jax[{name}]'") from None
