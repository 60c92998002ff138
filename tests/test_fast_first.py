"""Fast first, exact after; and which network a command uses."""

import conftest
import jax
import numpy as np
import pytest

from nst_jax import cli, recipes
from nst_jax.cli import machine, settings
from nst_jax.network import vgg19
from nst_jax.objective import losses
from nst_jax.orders import record as runs
from nst_jax.painting import painter as paint
from nst_jax.painting import relay
from nst_jax.pictures import images, metadata, samples

RECIPE = recipes.get("nst-jax")


@pytest.fixture
def job():
    recipe = RECIPE._replace(style_distance="gram", schedule=recipes.listed((32, 2), (48, 5)))
    return paint.Job(conftest.drawn(1, 40, 48), losses.everywhere(conftest.drawn(2, 30, 36)), recipe, (40, 48))


def test_a_job_is_split_before_its_last_steps(job):
    before, after = relay.split(job, 2)
    assert [(shape, stage.steps) for shape, stage in paint.stages(before)] == [((27, 32), 2), ((40, 48), 3)]
    assert [(shape, stage.steps) for shape, stage in paint.stages(after)] == [((40, 48), 2)]
    for last in (0, 5, 9):
        with pytest.raises(
            ValueError, match=r"^last steps must be from 1 to 4 of those at full size, got \d: lower them"
        ):
            relay.split(job, last)


def test_each_leg_starts_from_the_picture_before_it(narrow, job):
    other = jax.tree.map(lambda leaf: leaf, narrow) | {"conv1_1": {k: 2 * v for k, v in narrow["conv1_1"].items()}}
    before, after = relay.split(job, 2)
    found = list(relay.frames([relay.Leg(other, before), relay.Leg(narrow, after)], every=1))
    assert [frame.step for frame in found] == [1, 2, 3, 4, 5, 6, 7]
    *_, first = paint.frames(other, before, every=1)
    np.testing.assert_array_equal(found[4].image, first.image)
    *_, second = paint.frames(narrow, after._replace(start=np.asarray(first.image)), every=1)
    np.testing.assert_array_equal(found[-1].image, second.image)
    *_, alone = paint.frames(narrow, job, every=1)
    *_, single = relay.frames([relay.Leg(narrow, job)], every=1)
    np.testing.assert_array_equal(single.image, alone.image)


def parsed(*words):
    return cli.parser().parse_args(["stylize", "a.png", "b.png", "-o", "c.png", *words])


def test_networks_are_chosen_by_name():
    assert (parsed().weights, parsed().preview) == (None, None)
    assert parsed("--network", "vgg19").weights is None
    assert parsed("--network", "fast").weights == parsed("--preview").weights == str(vgg19.fast_path())
    assert parsed("--preview").preview is True


def test_two_networks_are_refused(command):
    code, _, err = command("stylize", "a.png", "b.png", "-o", "c.png", "--preview", "--weights", "x.h5")
    assert (code, "not allowed with argument" in err) == (2, True)


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
    record = runs.parsed(metadata.read("a.png"), name="a.png")
    assert record["network"]["sha256"] == vgg19.info(vgg19.fast_path())["sha256"]
    assert repeated(command, here)


def test_a_preview_takes_no_roots_of_matrices_and_weighs_what_it_takes_alike(here, command):
    paint = ("stylize", "town.png", "night.png", "-o", "a.png", "--preview", "--size", "48", "--steps", "2", *QUICK[:4])
    assert command(*paint, "--style-weight", "0.7")[0] == 0
    record = runs.parsed(metadata.read("a.png"), name="a.png")
    assert (record["settings"]["style_distance"], record["flags"]["preview"]) == ("scaled-gram", "yes")
    share = record["settings"]["style"]["relu1_1"] / recipes.get("nst-jax").weights((36, 48)).style["relu1_1"]
    assert share == pytest.approx(0.7 * settings.LIGHTER["wasserstein"][1])
    assert repeated(command, here)


def test_a_demos_preview_says_what_makes_it_again(here, command):
    code, _, err = command("demo", "--preview", "--size", "64", "--steps", "2", "-o", ".")
    assert code == 0, err
    known = "skyline.png", "--style", "flow.png", "-o", "again.png"
    record = runs.parsed(metadata.read("skyline-flow.png"), name="skyline-flow.png")
    assert record["flags"]["ladder"] == "32:1,64:1"
    code, _, err = command("rerun", "skyline-flow.png", "--content", *known)
    assert (code, "changed:" in err) == (0, False), err
    np.testing.assert_array_equal(images.load("skyline-flow.png"), images.load("again.png"))


def test_a_batch_of_previews_is_painted_by_the_fast_network(here, command):
    (here / "jobs.csv").write_text("content,style\ntown.png,night.png\nnight.png,town.png\n")
    paint = ("batch", "jobs.csv", "-o", "all", "--preview", "--size", "48", "--steps", "2", *QUICK)
    code, out, err = command(*paint)
    assert (code, out.partition(" (")[0]) == (0, "all: 2 jobs: 2 painted"), err
    record = runs.parsed(metadata.read("all/town-night.png"), name="town-night.png")
    assert record["network"]["sha256"] == vgg19.info(vgg19.fast_path())["sha256"]
    assert record["ladder"] == [[24, 18, 1], [48, 36, 1]]
    code, out, _ = command(*paint)
    assert out.partition(" (")[0] == "all: 2 jobs: 0 painted, 2 already there"
    code, out, _ = command(*paint[:4], *paint[5:], "--weights", str(vgg19.fast_path()))
    assert out.partition(" (")[0] == "all: 2 jobs: 2 painted", "the same network, not the same plan"


def test_a_distance_asked_for_is_a_previews_too():
    asked, share = settings.previewed(recipes.get("nst-jax"), "wasserstein")
    assert (asked.style_distance, share) == ("wasserstein", 1.0)
    other, share = settings.previewed(recipes.get("gatys-2016"), None)
    assert (other.style_distance, share) == ("gram", 1.0)
    assert [stage.size for stage in other.schedule(512)] == [256, 512]


def test_fast_first_runs_on_both_and_is_repeated(here, command):
    paint = ("stylize", "town.png", "night.png", "-o", "a.png", *QUICK, "--ladder", "32:2,48:3", "--fast-first", "1")
    code, out, err = command(*paint)
    assert (code, out.split(",")[0]) == (0, "a.png: painted in 5 steps"), err
    assert repeated(command, here)
    code, _, err = command(*paint[:-1], "3")
    assert (code, err) == (1, "nst-jax: last steps must be from 1 to 2 of those at full size, got 3: lower them\n")
    code, _, err = command(*paint, "--recipe", "gatys-2016")
    assert (code, "filters as they are" in err) == (1, True)
    params = vgg19.load(vgg19.bundled_path())
    params = {**params, "input": {**params["input"], "std": np.full(3, 0.226, np.float32)}}
    vgg19.save("torchvision.h5", params, source="a test")
    code, _, err = command(*paint, "--weights", "torchvision.h5")
    assert (code, "must go with a network of the caffe family, got torchvision: leave --weights" in err) == (1, True)
    code, _, err = command(*paint, "--colour", "only")
    assert (code, "--fast-first must not go with --colour only" in err) == (2, True)


def test_what_a_small_network_does_otherwise_is_said(narrow):
    fast = vgg19.load(vgg19.fast_path())
    assert machine.substitutes(fast, RECIPE) == ""
    asked = RECIPE._replace(style={"relu3_1": 1.0, "relu3_3": 1.0}, pool="average")
    assert (
        machine.substitutes(fast, asked)
        == "relu3_1 stands in for relu3_3; it was trained with max pooling, not average"
    )
    assert machine.substitutes(narrow, asked) == ""
