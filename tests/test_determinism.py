"""The same command writes the same bytes: programs compiled anew, kept, or not kept; other work beside it."""

import os
import pathlib
import subprocess
import sys

import pytest

from nst_jax.network import vgg19
from nst_jax.pictures import images, samples

ROOT = pathlib.Path(__file__).parents[1]
WORDS = ["stylize", "town.png", "night.png", "--weights", "narrow.h5", "--ladder", "24:8,32:9"]
BUSY = "import time; end = time.monotonic() + 60\nwhile time.monotonic() < end: pass"


@pytest.mark.parametrize("recipe", ["matching", "nst-jax"])
def test_the_same_command_writes_the_same_bytes(recipe, tmp_path, narrow):
    images.save(tmp_path / "town.png", samples.draw("skyline", (32, 40)))
    images.save(tmp_path / "night.png", samples.draw("mosaic", (32, 36)))
    vgg19.save(tmp_path / "narrow.h5", narrow, source="a test")
    known = {name: value for name, value in os.environ.items() if not name.startswith("XLA_")}
    environment = known | {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}

    def painted(*flags):
        argv = [sys.executable, "-m", "nst_jax", *WORDS, "--recipe", recipe, "-o", "a.png", *flags]
        done = subprocess.run(argv, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return (tmp_path / "a.png").read_bytes()

    first = painted()
    assert any(path.is_file() for path in (tmp_path / "cache").rglob("*")), "programs are kept"
    with subprocess.Popen([sys.executable, "-c", BUSY]) as beside:
        assert painted() == first
        beside.kill()
    assert painted("--no-cache") == first
