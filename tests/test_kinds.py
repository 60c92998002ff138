"""nst_jax.pictures.kinds: facts about kinds of files, known without Pillow."""

import pathlib
import subprocess
import sys

import pytest
from test_images import message

from nst_jax.pictures import images, kinds


def test_images_writes_what_the_table_says():
    assert set(kinds.WRITTEN) - set(images.SUFFIXES) <= {".avif"}
    for suffix, writer in images.SUFFIXES.items():
        assert (writer.holds, writer.longest) == kinds.WRITTEN[suffix]


def test_suffixes_are_lower_case():
    assert kinds.suffix_of("a/B.PNG") == ".png"
    assert kinds.suffix_of(pathlib.Path("a.tar.Gz")) == ".gz"
    assert kinds.suffix_of(".png") == kinds.suffix_of("a") == ""


@pytest.mark.parametrize(("path", "ends"), [("a.pgn", "did you mean .png?"), ("a", ".png is usual")])
def test_a_wrong_suffix_is_said_with_the_choices(path, ends):
    text = message(kinds.check_suffix, path)
    assert text.startswith(
        f"suffix of {path!r} must be one of .png, .jpg, .jpeg, .webp, .tif, .tiff, .bmp, .avif, got "
    )
    assert text.endswith(ends)
    text = message(kinds.check_suffix, "a.png", table={".x": 1})
    assert text == "suffix of 'a.png' must be one of .x, got '.png': .x is usual"


def test_what_a_kind_cannot_hold():
    kinds.check_shape("a.jpg", (65_500, 3, 3))
    assert message(kinds.check_shape, "a.jpg", (65_501, 3, 3)) == (
        "picture in .jpg must be at most 65500 px long, got 3×65501: write a .png"
    )
    kinds.check_bits("a.tif", 16)
    text = message(kinds.check_bits, "a.jpg", 16)
    assert text == "bits must be 8, or 16 in .png, .tif, .tiff, got 16 for 'a.jpg': change either"
    assert kinds.holding("text") == [".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".avif"]


def test_nothing_heavy_is_imported():
    code = (
        "import sys; from nst_jax.pictures import kinds, metadata; print(*({'PIL', 'numpy', 'jax'} & {*sys.modules}))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"
