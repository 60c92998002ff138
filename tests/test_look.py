"""The blind look: every recipe under a letter, the key in another file; a measure that no recipe minimises."""

import pathlib
import re
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from nst_jax.network import vgg19
from nst_jax.pictures import images

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "scripts"))

import compare
import look


@pytest.fixture
def small(narrow, monkeypatch):
    """A network that is quick to compile, in the place of the real one."""
    monkeypatch.setattr(vgg19, "load", lambda path=None: narrow)


def test_a_sheet_does_not_say_what_the_key_says(small, tmp_path, monkeypatch):
    words = ["tf-tutorial:1", "cs20:1", "deeplearning.ai-v1:1", "--size", "48", "--pairs", "skyline,flow"]
    orders = []
    for seed in "15":
        folder = tmp_path / seed
        monkeypatch.setattr(sys, "argv", ["look.py", *words, "--seed", seed, "-o", str(folder)])
        look.main()
        rows = [re.split(r" *\| *", line.strip("| ")) for line in (folder / "key.md").read_text("utf-8").splitlines()]
        assert rows[0] == ["pair", "letter", "recipe", "seconds", *compare.COLUMNS]
        assert [row[1] for row in rows[2:]] == ["A", "B", "C"]
        assert {row[2] for row in rows[2:]} == {*words[:3]}
        assert {path.name for path in folder.glob("*.png")} == {f"skyline-flow-{letter}.png" for letter in "ABC"}
        assert images.load(folder / "sheet.jpg").shape[1] > 5 * 48
        orders.append([row[2] for row in rows[2:]])
    assert orders[0] != orders[1]


def test_sliced_is_numpys(f):
    other = f[::-1] * 1.5 + 0.2
    lines = np.asarray(compare.jax.random.normal(compare.jax.random.key(0), (f.shape[-1], compare.SLICES)))
    at = (np.arange(compare.QUANTILES) + 0.5) / compare.QUANTILES
    ours, theirs = (np.quantile(x.reshape(-1, x.shape[-1]) @ lines, at, axis=0) for x in (f, other))
    wanted = np.square(ours - theirs).mean() / theirs.var(0).mean()
    assert float(compare.sliced(jnp.asarray(f), jnp.asarray(other))) == pytest.approx(wanted, rel=1e-4)
    assert float(compare.sliced(jnp.asarray(f), jnp.asarray(f[:, ::-1]))) == pytest.approx(0, abs=1e-6)


@pytest.fixture
def f():
    """A map of few channels."""
    return np.random.default_rng(0).gamma(2.0, size=(9, 11, 5)).astype(np.float32)
