"""scripts/same_pictures.py: it sees a difference, of 8 and of 16 bits, and runs commands of two checkouts."""

import json
import pathlib
import sys

import numpy as np
import pytest
import same_pictures

from nst_jax.pictures import images

ROOT = pathlib.Path(same_pictures.__file__).parents[1]


@pytest.mark.parametrize("bits", [8, 16])
def test_a_single_pixel_is_seen(tmp_path, bits):
    picture = np.full((20, 24, 3), 0.4, np.float32)
    for name in ("before", "after"):
        (tmp_path / name).mkdir()
        images.save(tmp_path / name / "one.png", picture, extras=images.Extras(bits=bits))
        assert not same_pictures.compare(tmp_path / name, tmp_path / name)
        picture[3, 4, 1] += 1 / 255
    assert same_pictures.compare(tmp_path / "before", tmp_path / "after") == [
        "one.png: 1 of 480 pixels, by up to 1 of 255"
    ]
    (tmp_path / "after" / "two.png").write_bytes(b"")
    assert "two.png: only after" in same_pictures.compare(tmp_path / "before", tmp_path / "after")


def test_commands_run_in_both_checkouts(tmp_path, monkeypatch, capfd):
    argv = ["same_pictures.py", str(ROOT), "--folder", str(tmp_path), "--only", "recoloured"]
    monkeypatch.setattr(sys, "argv", argv)
    assert same_pictures.main() == 0
    assert "1 of 1 equal" in capfd.readouterr().out
    done = json.loads((tmp_path / "after" / "recoloured" / "done.json").read_text())
    assert done["code"] == 0
    assert done["checkout"] == str(ROOT)
