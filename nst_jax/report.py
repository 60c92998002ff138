"""What people look at: contact sheets with labels."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from nst_jax import images

GAP = 12  # px around pictures
INK, PAPER = (40, 40, 40), (250, 250, 248)


def sheet(rows: Sequence[Sequence], *, columns: Sequence[str] = (), names: Sequence[str] = (), cell=256) -> np.ndarray:
    """Pictures in rows, each as large as fits a cell's width, labelled above columns and beside rows: [h, w, 3].

    None leaves a place empty.
    """
    size = max(12, cell // 14)
    font = ImageFont.load_default(size)
    heights = [max(_tall(picture, cell) for picture in row if picture is not None) for row in rows]
    left = GAP + (max(round(font.getlength(name)) for name in names) + GAP if names else 0)
    top = GAP + (size + GAP if columns else 0)
    wide = left + max(map(len, rows)) * (cell + GAP)
    page = Image.new("RGB", (wide, top + sum(heights) + GAP * len(rows)), PAPER)
    pen = ImageDraw.Draw(page)
    for i, text in enumerate(columns):
        pen.text((left + i * (cell + GAP) + cell / 2, GAP), text, INK, font, anchor="ma")
    for y, (row, high) in enumerate(zip(rows, heights, strict=True)):
        if names:
            pen.text((left - GAP, top + high / 2), names[y], INK, font, anchor="rm")
        for x, picture in enumerate(row):
            if picture is not None:
                page.paste(
                    _thumbnail(picture, cell), (left + x * (cell + GAP), top + (high - _tall(picture, cell)) // 2)
                )
        top += high + GAP
    return np.asarray(page, np.float32) / 255


def _tall(picture, cell) -> int:
    return round(cell * picture.shape[0] / picture.shape[1])


def _thumbnail(picture, cell):
    small = images.resize(picture, (_tall(picture, cell), cell)).clip(0, 1)
    return Image.fromarray((small * 255 + 0.5).astype(np.uint8))
