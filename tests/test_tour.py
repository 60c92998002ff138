"""scripts/tour.ipynb and scripts/sweep.py run as they are, but for their size, their steps and the network."""

import itertools
import json
import pathlib
import re
import runpy

import pytest

from nst_jax import recipes
from nst_jax.network import vgg19
from nst_jax.pictures import images, samples

ROOT = pathlib.Path(__file__).parents[1]
TOUR = json.loads((ROOT / "scripts" / "tour.ipynb").read_text("utf-8"))
CODE = ["".join(cell["source"]) for cell in TOUR["cells"] if cell["cell_type"] == "code"]


def test_the_notebook_is_stored_without_what_came_out_of_it():
    assert (TOUR["nbformat"], TOUR["nbformat_minor"]) == (4, 5)
    assert TOUR["metadata"].keys() == {"kernelspec", "language_info"}
    assert TOUR["metadata"]["language_info"] == {"name": "python"}
    identifiers = [cell["id"] for cell in TOUR["cells"]]
    assert len(set(identifiers)) == len(identifiers)
    for cell in TOUR["cells"]:
        assert cell["metadata"] == {}
        assert cell["cell_type"] == "markdown" or (cell["outputs"], cell["execution_count"]) == ([], None)


def test_every_step_of_the_notebook_is_told():
    kinds = [cell["cell_type"] for cell in TOUR["cells"]]
    assert kinds[:2] == ["markdown", "code"]
    assert all("markdown" in pair for pair in itertools.pairwise(kinds))
    for word in ("vgg19.features", "distances.moments", "transfer.frames", "sweep.sweep", "jax.vmap", "jax.grad"):
        assert any(word in text for text in CODE), word


@pytest.fixture
def quick(monkeypatch, narrow, tmp_path):
    """The narrow network in place of the real one, few style layers, a folder of pictures."""
    get = recipes.get
    style = {"relu1_1": 1.0, "relu2_1": 1.0}
    monkeypatch.setattr(vgg19, "load", lambda: narrow)
    monkeypatch.setattr(recipes, "get", lambda name: get(name)._replace(style=style, content={"relu2_2": 1.0}))
    monkeypatch.chdir(tmp_path)
    for name, sample in {"town.jpg": "skyline", "night.jpg": "flow"}.items():
        images.save(tmp_path / name, samples.draw(sample, (48, 64)))


def test_the_notebook_runs(quick, capsys):
    shared = {"__name__": "tour"}
    for number, text in enumerate(CODE, 1):
        small = re.sub(r"^SIZE, STEPS = .*", "SIZE, STEPS = 32, 4", text, flags=re.MULTILINE)
        exec(compile(small, f"tour.ipynb, code cell {number}", "exec"), shared)
    out = capsys.readouterr().out
    assert "relu4_2  (3, 4, " in out
    slopes = re.findall(r"by the weight of \w+: ([+-][\d.e+-]+)", out)
    assert len(slopes) == 2
    assert any(float(slope) for slope in slopes)


def test_the_page_to_copy_runs(quick, capsys, tmp_path):
    page = ROOT / "scripts" / "sweep.py"
    main = runpy.run_path(str(page), run_name="page")["main"]
    main.__globals__.update(SIZE=32, STEPS=2)
    main("town.jpg", "night.jpg")
    assert len(capsys.readouterr().out.split()) == 9
    assert images.load(tmp_path / "sweep.png").shape[1] > 1500
    assert "sweep.png" in page.read_text("utf-8").splitlines()[0]
