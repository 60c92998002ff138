"""Sample pictures, drawn by our own code: the same bits on every call, the same picture at any size.

Pictures are float32 [h, w, 3] RGB in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from nst_jax.ground import choices
from nst_jax.pictures.samples import (
    cubist,
    flow,
    landscape,
    mosaic,
    pointillism,
    skyline,
    stained_glass,
    still_life,
    watercolour,
    woodcut,
)
from nst_jax.pictures.samples.sheet import drawn

Drawing = Callable[[tuple[int, int]], np.ndarray]

CONTENTS: dict[str, Drawing] = {
    "skyline": partial(drawn, skyline.paint),
    "landscape": partial(drawn, landscape.paint),
    "still_life": partial(drawn, still_life.paint),
}
STYLES: dict[str, Drawing] = {
    "flow": partial(drawn, flow.paint),
    "mosaic": partial(drawn, mosaic.paint),
    "pointillism": partial(drawn, pointillism.paint),
    "woodcut": partial(drawn, woodcut.paint),
    "cubist": partial(drawn, cubist.paint),
    "watercolour": partial(drawn, watercolour.paint),
    "stained_glass": partial(drawn, stained_glass.paint),
}


def draw(name: str, shape: tuple[int, int]) -> np.ndarray:
    """A sample picture by name, at any size: (h, w) -> [h, w, 3]."""
    pictures = CONTENTS | STYLES
    if name not in pictures:
        remedy = choices.hint(name, pictures, otherwise="choose one of these")
        raise ValueError(f"sample must be one of {', '.join(pictures)}, got {name!r}{remedy}")
    if len(shape) != 2 or not all(isinstance(n, (int, np.integer)) and n > 0 for n in shape):
        raise ValueError(
            f"shape must be two positive whole numbers (h, w), got {shape!r}: give pixels, as in (512, 512)"
        )
    return pictures[name]((int(shape[0]), int(shape[1])))
