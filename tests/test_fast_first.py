"""Fast first, exact after; and which network a command uses."""

import numpy as np
import pytest

from nst_jax import recipes
from nst_jax.network import vgg19
from nst_jax.orders import compose, customise, networks, record, words
from nst_jax.pictures import images, metadata, samples

pytestmark = pytest.mark.usefixtures("quick_compiler")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images.save("town.png", samples.draw("skyline", (48, 64)))
    images.save("night.png", samples.draw("flow", (48, 60)))
    return tmp_path


QUICK = ("--style-layers", "relu1_1", "--content-layers", "relu2_1", "--style-distance", "gram")  # to compile


def repeated(command, here):
    """Whether the settings inside a.png make the same file again."""
    code, _, err = command("rerun", "a.png", "--content", "town.png", "--style", "night.png", "-o", "b.png")
    assert (code, "changed:" in err) == (0, False), err
    return (here / "a.png").read_bytes() == (here / "b.png").read_bytes()


def test_a_preview_is_painted_by_the_fast_network_and_says_so(here, command):
    paint = ("stylize", "town.png", "night.png", "-o", "a.png", "--preview", "--size", "48", "--steps", "4", *QUICK)
    code, out, err = command(*paint)
    assert (code, out.split(",")[0]) == (0, "a.png: painted in 4 steps"), err
    assert "size:     24×18: 2, 48×36: 2 steps\n" in err
    known = record.parse(metadata.read("a.png"))
    assert known.network["sha256"] == vgg19.info(vgg19.fast_path())["sha256"]
    assert repeated(command, here)


def test_a_preview_takes_no_roots_of_matrices_and_weighs_what_it_takes_alike(here, command):
    paint = ("stylize", "town.png", "night.png", "-o", "a.png", "--preview", "--size", "48", "--steps", "2")
    assert command(*paint, *QUICK[:4], "--recipe", "nst-jax", "--style-weight", "0.7")[0] == 0
    known = record.parse(metadata.read("a.png"))
    assert (known.settings["style_distance"], known.order["preview"]) == ("scaled-gram", "yes")
    share = known.settings["style"]["relu1_1"] / recipes.get("nst-jax").weights((36, 48)).style["relu1_1"]
    assert share == pytest.approx(0.7 * customise.LIGHTER["wasserstein"][1])
    assert repeated(command, here)


def test_a_demos_preview_says_what_makes_it_again(here, command):
    code, _, err = command("demo", "--preview", "--size", "64", "--steps", "2", "-o", ".")
    assert code == 0, err
    files = "skyline.png", "--style", "flow.png", "-o", "again.png"
    known = record.parse(metadata.read("skyline-flow.png"))
    assert [(stage["size"], stage["steps"]) for stage in known.stages] == [([32, 24], 1), ([64, 48], 1)]
    code, _, err = command("rerun", "skyline-flow.png", "--content", *files)
    assert (code, "changed:" in err) == (0, False), err
    np.testing.assert_array_equal(images.load("skyline-flow.png"), images.load("again.png"))


def test_a_batch_of_previews_is_painted_by_the_fast_network(here, command):
    (here / "jobs.csv").write_text("content,style\ntown.png,night.png\nnight.png,town.png\n")
    paint = ("batch", "jobs.csv", "-o", "all", "--preview", "--size", "48", "--steps", "2", *QUICK)
    code, out, err = command(*paint)
    assert (code, out.partition(" (")[0]) == (0, "all: 2 jobs: 2 painted"), err
    known = record.parse(metadata.read("all/town-night.png"))
    assert known.network["sha256"] == vgg19.info(vgg19.fast_path())["sha256"]
    assert [(stage["size"], stage["steps"]) for stage in known.stages] == [([24, 18], 1), ([48, 36], 1)]
    code, out, _ = command(*paint)
    assert out.partition(" (")[0] == "all: 2 jobs: 0 painted, 2 already there"
    code, out, _ = command(*paint[:4], *paint[5:], "--weights", str(vgg19.fast_path()))
    assert out.partition(" (")[0] == "all: 2 jobs: 2 painted", "the same network, not the same plan"


def test_a_distance_asked_for_is_a_previews_too():
    known = recipes.get("nst-jax")
    lighter = customise.preview_of(known)
    assert (lighter.style_distance, lighter.style) == ("scaled-gram", known.times(style=0.45).style)
    asked = customise.preview_of(known, "wasserstein")
    assert (asked.style_distance, asked.style) == ("wasserstein", known.style)
    other = customise.preview_of(recipes.get("gatys-2016"))
    assert (other.style_distance, other.style) == ("gram", recipes.get("gatys-2016").style)
    assert [size.edge for size in other.schedule(512)] == [256, 512]
    order = words.make("a", "b", preview=True, style_distance="wasserstein")
    assert customise.recipe_of(order).style_distance == "wasserstein"


def test_fast_first_runs_on_both_and_is_repeated(here, command):
    paint = ("stylize", "town.png", "night.png", "-o", "a.png", *QUICK, "--ladder", "32:2,48:3", "--fast-first", "1")
    code, out, err = command(*paint)
    assert (code, out.split(",")[0]) == (0, "a.png: painted in 5 steps"), err
    known = record.parse(metadata.read("a.png"))
    assert [(stage["steps"], stage.get("network")) for stage in known.stages] == [(2, "fast"), (2, "fast"), (1, None)]
    assert repeated(command, here)
    code, _, err = command(*paint[:-1], "3")
    said = "nst-jax: --fast-first must leave from 1 to 2 of the steps at full size, got 3: lower --fast-first"
    assert (code, err.splitlines()[-1]) == (1, said)
    code, _, err = command(*paint, "--recipe", "gatys-2016")
    assert (code, "filters as they are" in err) == (1, True)
    params = vgg19.load(vgg19.bundled_path())
    params = {**params, "input": {**params["input"], "std": np.full(3, 0.226, np.float32)}}
    vgg19.save("torchvision.h5", params, source="a test")
    code, _, err = command(*paint, "--weights", "torchvision.h5")
    assert (code, "must go with a network of the caffe family, got torchvision: drop --weights" in err) == (1, True)
    code, _, err = command(*paint, "--colour", "only")
    assert (code, "--fast-first must not go with --colour only" in err) == (2, True)


def test_what_a_small_network_does_otherwise_is_said(narrow, here):
    def notes(params, **fields):
        order = words.make("town.png", "night.png", ladder="32:1", **fields)
        network = networks.Network(None)
        network.__dict__ |= {"params": params, "said": {}}
        return [note for note in networks.with_network(compose.task(order), network).notes if note[:7] == "layers:"]

    fast = vgg19.load(vgg19.fast_path())
    assert notes(fast) == []
    more = {"style_layers": "relu3_1:1,relu3_3:1", "pool": "average"}
    said = "layers:   relu3_1 stands in for relu3_3; it was trained with max pooling, not average"
    assert notes(fast, **more) == [said]
    assert notes(narrow, **more) == []
