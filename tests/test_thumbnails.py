"""nst_jax.pictures.thumbnails: small pictures, and pictures as text."""

import base64
import io

import numpy as np
from conftest import drawn
from PIL import Image

from nst_jax.pictures import thumbnails


def test_a_thumbnail_has_its_long_edge():
    assert thumbnails.thumbnail(drawn(0, 24, 48), 16).size == (16, 8)
    assert thumbnails.thumbnail(drawn(0, 400, 3), 16).size == (1, 16)
    np.testing.assert_array_equal(np.asarray(thumbnails.to_pillow(np.full((2, 2, 3), 1.5))), 255)


def test_a_data_uri_is_the_picture():
    picture = drawn(0, 24, 32)
    kind, _, data = thumbnails.data_uri(picture).partition(",")
    assert kind == "data:image/webp;base64"
    with Image.open(io.BytesIO(base64.b64decode(data, validate=True))) as im:
        np.testing.assert_allclose(np.asarray(im) / 255, picture, atol=0.35)
