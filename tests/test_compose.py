"""An order made ready: its recipe and first turn, its files read once, its stages, its network."""

import numpy as np
import pytest

from nst_jax import recipes
from nst_jax.network import calibration, vgg19
from nst_jax.orders import compose, customise, networks, prepare, words
from nst_jax.orders.order import Refused
from nst_jax.painting import job as jobs
from nst_jax.painting.job import Stage
from nst_jax.painting.memory import Machine, Plan
from nst_jax.pictures import images, samples
from nst_jax.recipes import Turn

RECIPE = recipes.get(recipes.DEFAULT)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, narrow):
    """A folder with pictures and a narrow network."""
    monkeypatch.chdir(tmp_path)
    images.save("town.png", samples.draw("skyline", (32, 40)))
    images.save("night.png", samples.draw("mosaic", (32, 36)))
    images.save("white.png", np.ones((32, 40, 3)))
    vgg19.save("narrow.h5", narrow, source="a test")
    return tmp_path


def asked(**fields):
    return words.make("town.png", "night.png", **fields)


# The recipe


def same(one, other):
    """Whether two recipes are equal, but for functions that make schedules."""
    edges = (16, 100, 512, 1000)
    plain = one._replace(schedule=None), other._replace(schedule=None)
    return plain[0] == plain[1] and all(one.schedule(edge) == other.schedule(edge) for edge in edges)


@pytest.mark.parametrize("name", list(recipes.everything()))
def test_an_order_that_says_no_more_is_the_recipe_itself(name):
    assert same(customise.recipe_of(asked(recipe=name)), recipes.get(name))
    assert customise.turn_of(asked(recipe=name)) == Turn()


@pytest.mark.parametrize(
    ("field", "value", "attribute"),
    [
        ("pool", "l2", "pool"),
        ("padding", "zeros", "padding"),
        ("content_distance", "scaled", "content_distance"),
        ("style_distance", "statistics", "style_distance"),
        ("variation_kind", "power", "variation_kind"),
        ("tv_weight", 0.25, "variation"),
        ("init", "grain:0.1", "start"),
        ("keep", ("best",), "keep"),
        ("size", (48, 64), "size"),
        ("style_size", 96, "style_size"),
    ],
)
def test_each_change_replaces_one_setting_of_the_recipe(field, value, attribute):
    changed = customise.recipe_of(asked(**{field: value}))
    assert getattr(changed, attribute) == value
    assert same(changed, RECIPE._replace(**{attribute: value}))


def test_what_a_turn_changes_is_left_to_it():
    order = asked(strength=0.7, content_weight=2.0, style_weight=3.0)
    assert same(customise.recipe_of(order), RECIPE)
    assert customise.turn_of(order) == Turn(content=2.0, style=3.0, strength=0.7)
    job = compose.task(order.with_values(size=32, weights="narrow.h5")).job
    assert job.turn == Turn(content=2.0, style=3.0, strength=0.7)


def test_steps_are_shared_as_the_recipe_has_them():
    known = RECIPE.schedule(512)
    changed = customise.recipe_of(asked(steps=100)).schedule(512)
    assert sum(size.steps for size in changed) == 100
    assert [size.edge for size in changed] == [size.edge for size in known][-len(changed) :]


def test_a_ladder_has_its_own_steps_or_the_recipes():
    total = sum(size.steps for size in RECIPE.schedule(64))
    found = customise.recipe_of(asked(ladder="32,48:7,64"))
    assert found.size == 64
    first, second, third = found.schedule(64)
    assert (first.edge, second, third.edge) == (32, recipes.Size(48, 7), 64)
    assert first.steps == 2 * third.steps
    assert third.steps == pytest.approx(total / 4, abs=1)
    exact = customise.recipe_of(asked(ladder="32:3,64:9", steps=24)).schedule(64)
    assert [size.steps for size in exact] == [6, 18]


def test_weights_that_are_all_zero_are_refused():
    for fields in ({"content_weight": 0.0, "style_weight": 0.0}, {"content_layers": "relu4_2:0", "strength": 0.0}):
        with pytest.raises(Refused, match=r"^weights must not all be zero, got nothing to paint after: raise one"):
            customise.recipe_of(asked(recipe="gatys-2016", tv_weight=0.0, **fields))
    customise.recipe_of(asked(content_weight=0.0, style_weight=0.0, tv_weight=1.0))


# The files


def test_pictures_that_orders_share_are_read_once(monkeypatch):
    read, loaded = images.read, []
    monkeypatch.setattr(images, "read", lambda path, **more: loaded.append(path) or read(path, **more))
    kept: dict = {}
    for seed in (1, 2):
        compose.task(asked(size=32, seed=seed), kept=kept)
    assert loaded == ["town.png", "night.png"]


def test_a_task_is_what_its_order_says_and_names_its_files():
    order = asked(size=(16, 20), mask="white.png", seed=5, init="white.png", bits=16)
    task = compose.task(order)
    assert (task.order, task.shape, task.job.seed, task.extras.bits) == (order, (16, 20), 5, 16)
    assert task.paths == {
        "content": ["town.png"],
        "style": ["night.png"],
        "mask": ["white.png"],
        "init": ["white.png"],
    }
    np.testing.assert_array_equal(task.job.start, 1)
    np.testing.assert_array_equal(task.job.regions[0].guide, 1)


def test_pictures_that_are_too_large_are_refused_before_they_are_made():
    with pytest.raises(
        ValueError, match=r"^picture must hold at most 5,000 pixels, got 100×80: lower size or raise max"
    ):
        compose.task(asked(size=(80, 100), max_pixels=5000))
    with pytest.raises(ValueError, match=r"^style must hold at most 5,000 pixels, got \d+×\d+: lower style-scale or"):
        compose.task(asked(size=(32, 40), style_size=200, max_pixels=5000))


# The network


def test_a_network_is_read_beside_and_what_is_wrong_is_said_when_it_is_asked_for():
    network = networks.Network("none.h5")
    with pytest.raises(OSError, match=r"^weights must be a file, got .*none\.h5"):
        _ = network.params
    good = networks.Network("narrow.h5")
    assert good.said["source"] == "a test"
    assert good.said.keys() == {"sha256", "source", "family", "precision"}
    assert vgg19.shape_of(good.params)[0] == (4, 5, 6, 7, 8)


def test_a_recipe_for_another_family_is_calibrated_and_that_is_said(narrow):
    mine = calibration.family_of(narrow)
    assert RECIPE.family == mine
    task = compose.task(asked(size=32, weights="narrow.h5"))
    found = networks.with_network(task, networks.Network("narrow.h5"))
    assert (found.job, found.notes) == (task.job, task.notes)
    other = next(known.name for known in recipes.everything().values() if known.family != mine)
    task = compose.task(asked(size=32, recipe=other, weights="narrow.h5"))
    found = networks.with_network(task, networks.Network("narrow.h5"))
    assert found.job.recipe.style != task.job.recipe.style
    assert [note.split(" ")[0] for note in found.notes if note not in task.notes] == ["family:"]
    assert found.network["source"] == "a test"


def test_recipes_of_a_family_share_their_network():
    """A sweep has a hundred tasks, and each network is 80 MB."""
    network = networks.Network("narrow.h5")
    one, other = (network.calibrate(recipes.get("gatys-2016").times(style=x)) for x in (1.0, 2.0))
    assert one.params is other.params is not network.params
    assert one.recipe != other.recipe


# Stages and record


def test_stages_are_written_and_read_again():
    stages = (
        Stage((24, 30), 5, jobs.FAST),
        Stage((32, 40), 7, plan=Plan(again=1)),
        Stage((480, 640), 9, plan=Plan(window=512, direct=True, recomputed=True)),
    )
    rows = prepare.write_stages(stages)
    assert rows[0] == {"size": [30, 24], "steps": 5, "plan": {}, "network": "fast"}
    assert rows[1] == {"size": [40, 32], "steps": 7, "plan": {"again": 1}}
    task = compose.task(asked(size=32))
    known = prepare.begin_record(task, stages, "a device")
    assert known.stages == rows
    assert prepare.stages_of(known) == stages
    assert (known.total, known.steps, known.device) == (21, None, "a device")
    assert known.order == words.write(task.order)


def test_an_item_has_its_stages_resolved():
    order = asked(ladder="24:4,32:5", recipe="gatys-notebook", optimizer="adam", weights="narrow.h5", seed=4)
    task = networks.with_network(compose.task(order), networks.Network("narrow.h5"))
    found = prepare.item(task, Machine(10**9))
    stages = prepare.stages_of(found.record)
    assert stages == jobs.stages(task.params, task.job, Machine(10**9))
    assert [(stage.shape, stage.steps) for stage in stages] == [((24, 30), 4), ((32, 40), 5)]
    assert found.record.settings["optimizer"] == "adam"
    assert [file["name"] for file in found.record.inputs["style"]] == ["night.png"]
