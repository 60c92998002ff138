"""Animations of a run: GIF, WebP, and MP4 with `pip install 'nst-jax[video]'`."""

import subprocess
from collections.abc import Iterable
from typing import Any

import numpy as np
from PIL import Image

from nst_jax.ground import extras, storage
from nst_jax.pictures import images, kinds
from nst_jax.pictures.thumbnails import to_pillow

FPS = 25  # of MP4, where each picture lasts for several frames


def save(path, frames: Iterable, *, seconds=4.0, hold=1.5) -> None:
    """Write pictures one after another within these seconds, the last held, whole or not at all: .gif, .webp or .mp4.

    All are brought to the largest one's size, so that a run from coarse to fine keeps still.
    """
    pictures, suffix = [np.asarray(frame, np.float32) for frame in frames], kinds.suffix_of(path)
    if suffix not in WRITERS:
        got = f"got {suffix!r}: .webp is usual"
        raise ValueError(f"suffix of an animation must be one of {', '.join(WRITERS)}, {got}")
    if not pictures:
        raise ValueError("frames must hold at least one picture, got none: save more of them on the way")
    shape = max((picture.shape[:2] for picture in pictures), key=np.prod)
    pages = [to_pillow(images.resize(picture, shape)) for picture in pictures]
    lengths = [seconds / len(pages)] * (len(pages) - 1) + [seconds / len(pages) + hold]
    WRITERS[suffix](path, pages, lengths)


def _save_webp(path, pages, lengths):
    _save_pages(path, pages, lengths, format="WEBP", quality=82, method=4)


def _save_gif(path, pages, lengths):
    palettes = [page.quantize(256) for page in pages]
    pairs = zip(pages, palettes, strict=True)
    dithered = [page.quantize(palette=colours, dither=Image.Dither.FLOYDSTEINBERG) for page, colours in pairs]
    _save_pages(path, dithered, lengths, format="GIF", disposal=1)


def _save_pages(path, pages, lengths, **options: Any):
    first, *others = pages
    durations = [round(1000 * length) for length in lengths]  # in milliseconds
    with storage.replacing(path, what="animation") as file:
        first.save(file, save_all=True, append_images=others, duration=durations, loop=0, **options)


def _save_mp4(path, pages, lengths):
    """H.264 by ffmpeg, started without a fork of our own: JAX has threads, and a fork among them may stand still."""
    with extras.required("video"):
        from imageio_ffmpeg import get_ffmpeg_exe
    width, height = (n - n % 2 for n in pages[0].size)  # H.264 halves its planes of colour
    source = f"-f rawvideo -pix_fmt rgb24 -s {width}x{height} -r {FPS} -i -".split()
    film = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "18", "-movflags", "+faststart", "-f", "mp4"]
    times = np.diff(np.rint(FPS * np.cumsum([0, *lengths])).astype(int))
    raw = [page.crop((0, 0, width, height)).tobytes() for page in pages]
    with storage.replacing(path, what="animation") as file:
        argv = [get_ffmpeg_exe(), "-v", "error", "-y", *source, *film, file.name]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            _, said = process.communicate(b"".join(x * int(n) for x, n in zip(raw, times, strict=True)))
        if process.returncode:
            raise OSError(f"ffmpeg: {said.decode(errors='replace').strip()[:200]}")


WRITERS = {".gif": _save_gif, ".webp": _save_webp, ".mp4": _save_mp4}
