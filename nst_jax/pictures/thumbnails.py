"""Small pictures of 8 bits, for sheets, charts, films and web pages."""

import base64
import io

import numpy as np
from PIL import Image

from nst_jax.pictures import images


def to_pillow(picture) -> Image.Image:
    """A picture [h, w, 3] in 8 bits, as Pillow's Image."""
    return Image.fromarray((np.asarray(picture, np.float32).clip(0, 1) * 255 + 0.5).astype(np.uint8))


def shrink(picture, edge: int) -> np.ndarray:
    """A picture whose long edge is at most this: one that is smaller stays as it is."""
    scale = min(1, edge / max(picture.shape[:2]))
    return images.resize(picture, [max(1, round(n * scale)) for n in picture.shape[:2]])


def thumbnail(picture, edge: int) -> Image.Image:
    """A picture resized to a long edge of so many pixels, as Pillow's Image."""
    longest = max(picture.shape[:2])
    return to_pillow(images.resize(picture, [max(1, round(edge * n / longest)) for n in picture.shape[:2]]))


def jpeg(picture, *, quality: int = 88) -> bytes:
    """A picture as the bytes of a JPEG."""
    stream = io.BytesIO()
    to_pillow(picture).save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def from_bytes(data: bytes) -> np.ndarray:
    """A picture of ours, as `jpeg` wrote it: [h, w, 3] float32 in [0, 1]."""
    with Image.open(io.BytesIO(data)) as im:
        return np.asarray(im, np.float32) / 255


def data_uri(picture) -> str:
    """A picture as text that a web page shows without a file: `data:image/webp;base64,…`."""
    stream = io.BytesIO()
    to_pillow(picture).save(stream, "WEBP", quality=90, method=4)
    return f"data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode()}"
