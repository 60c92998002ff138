"""The one table of fields: what is written is read again; flags, records, lists and functions agree with it."""

import inspect
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

from nst_jax import recipes
from nst_jax.network import vgg19
from nst_jax.objective import losses
from nst_jax.orders import lists, order, words
from nst_jax.orders.order import Order
from nst_jax.painting import job as jobs
from nst_jax.painting import optimizers, starts
from nst_jax.pictures import colour
from nst_jax.recipes import Turn, names

VALUES = {
    "content": ["town.jpg", "a, b;c.png"],
    "recipe": list(recipes.everything()),
    "size": [16, 512, (480, 640)],
    "steps": [1, 10**6],
    "ladder": [((16, None),), ((128, 500), (181, None), (256, 1))],
    "strength": [0.0, 0.1, 1 / 3, 1.0],
    "content-weight": [0.0, 1.0, 1e-7, 1e30, 0.1 + 0.2],
    "style-weight": [0.0, 2.5],
    "tv-weight": [0.0, 1e6],
    "content-layers": [{"relu4_2": None}, {"relu4_2": 1.0, "conv5_2": 0.1, "pool3": None}],
    "style-layers": [{"relu1_1": 1e-9, "relu2_1": None}],
    "neighbour-layers": [{"relu3_1": 0.5, "relu4_1": None}],
    "init": ["content", "noise:0.25", "mix:0.6:0.1"],
    "keep": [(), ("clamped",), ("clamped", "best", "averaged:0.99")],
    "learning-rate": [1e-9, 0.1],
    "b1": [0.0, 0.999],
    "b2": [0.5],
    "eps": [1e-12],
    "memory": [1, 100],
    "linesearch-steps": [20],
    "seed": [0, 2**32 - 1],
    "style-mix": ["ramp", (1.0,), (2.0, 0.1, 0.0)],
    "style-scale": [(0.5,), (1.0, 2.5)],
    "style-size": [1, 512],
    "mask-weights": [(1.0, 0.0), (1e-3, 3.0)],
    "colour": ["style", "match-chol", "palette:my town.png", "only"],
    "bits": [8, 16],
    "max-memory": [10**5, 3 * 10**9 + 1],
    "max-pixels": [1, 10**9],
    "mesh": [{"data": 4}, {"data": 2, "space": 3}],
    "minutes": [0.1, 1 / 3, 60.0],
    "still": [0.02],
    "fast-first": [1, 40],
    "weights": ["my weights.h5"],
    "strength-map": ["map.png"],
}
SEVERAL = {"style": [("a.png",), ("a, b.png", "c.png")], "mask": [("m.png", "n.png")], "style-mask": [("-", "s.png")]}


def values_of(field):
    return VALUES.get(field.name) or (field.choices or ([True, False] if field.flag else []))


@pytest.mark.parametrize("field", [field for field in words.FIELDS if field.files != 2], ids=lambda field: field.name)
def test_what_is_written_is_read_again(field):
    assert values_of(field)
    for value in values_of(field):
        text = field.write(value)
        assert isinstance(text, str)
        found = words.parse(field, text)
        assert found == value
        assert type(found) is type(value)
        assert field.of(words.replace(Order(), {field.name: text})) == value


def test_fields_of_several_files_are_words_each():
    assert SEVERAL.keys() == {field.name for field in words.FIELDS if field.files == 2}
    for name, each in SEVERAL.items():
        for value in each:
            assert words.TABLE[name].of(words.replace(Order(), {name: list(value)})) == value


def test_each_attribute_of_an_order_is_a_field_and_the_reverse():
    attributes = [(group, name) for group in order.GROUPS for name in getattr(Order(), group)._fields]
    assert sorted([*attributes, ("", "seed")]) == sorted((field.group, field.attribute) for field in words.FIELDS)
    assert len(words.TABLE) == len(words.FIELDS)
    for field in words.FIELDS:
        assert field.help
        assert field.metavar or field.choices or field.flag


def test_an_order_is_written_and_read_again():
    """But for names of files, which a record never holds."""
    known = Order()
    for field in words.FIELDS:
        if field.recorded and field.name not in ("init", "colour"):
            known = known.with_values(**{field.attribute: values_of(field)[-1] if not field.flag else True})
    known = known.with_values(init="noise:0.5", colour="match-pca")
    text = words.write(known)
    assert text.keys() == {
        field.name for field in words.FIELDS if field.recorded and field.of(known) != field.of(Order())
    }
    assert words.replace(Order(), text) == known
    assert words.write(Order()) == {"recipe": recipes.DEFAULT}
    assert words.write(Order().with_values(init="/home/me/start.png", colour="palette:/home/me/a.png")) == {
        "recipe": recipes.DEFAULT,
        "colour": "palette",
    }


def test_no_name_of_a_file_is_recorded():
    paths = {"content": "/home/a", "style": ("/home/b",), "mask": ("/home/c",), "style_mask": ("/home/d",)}
    more = {"strength_map": "/home/e", "init": "/home/f", "colour": "palette:/home/g", "weights": "/home/h"}
    assert "/home" not in str(words.write(Order().with_values(**paths, **more)))


def test_a_message_names_the_field_once():
    for name, text, said in (
        ("steps", "0", "steps must be a whole number from 1, got '0'"),
        ("keep", "all", "keep must be clamped, best, averaged:DECAY or none, got 'all'"),
        ("colour", "match", "colour must be one of style, "),
        ("recipe", "gatys", "recipe must be one of "),
        ("pool", "mean", "pool must be one of max, average, scaled-average, l2, got 'mean'"),
    ):
        with pytest.raises(ValueError, match=f"^{re.escape(said)}"):
            words.parse(words.TABLE[name], text)


# An order by hand


def test_an_order_is_made_of_values_or_words():
    by_values = words.make("a.jpg", "b.jpg", size=(480, 640), strength=0.7, keep_metadata=True, style_mix=[1.0], seed=3)
    by_words = words.make(
        "a.jpg", "b.jpg", size="640x480", strength="0.7", keep_metadata="yes", style_mix="1", seed="3"
    )
    known = {"size": (480, 640), "strength": 0.7, "keep_metadata": True, "style_mix": (1.0,), "seed": 3}
    assert by_values == by_words == Order().with_values(content="a.jpg", style=("b.jpg",), **known)
    assert words.make("a", "b", "c", mask="m.png").pictures.mask == ("m.png",)
    assert words.make("a", "b", "c", mask=["m.png", "n.png"]).pictures.mask == ("m.png", "n.png")
    assert words.make("a", "b", tv_weight=None, ladder=[(32, 4), (64, None)]).recipe.ladder == ((32, 4), (64, None))


def test_what_is_no_field_is_refused_with_a_hint():
    with pytest.raises(ValueError, match=r"^order must have fields of .*, got 'strenght': did you mean strength\?$"):
        words.make("a.jpg", "b.jpg", strenght=0.7)
    with pytest.raises(ValueError, match=r"^size must be N or WIDTHxHEIGHT"):
        words.make("a.jpg", "b.jpg", size="large")
    with pytest.raises(order.Refused, match=r"^mask-weights must go with mask"):
        words.make("a.jpg", "b.jpg", mask_weights="1")


# Names in plain data, and the functions behind them


def test_names_are_those_of_the_functions():
    assert tuple(vgg19.POOLS) == names.POOLS
    assert tuple(vgg19.PADDINGS) == names.PADDINGS
    assert tuple(losses.CONTENTS) == names.CONTENT_DISTANCES
    assert tuple(losses.STYLES) == names.STYLE_DISTANCES
    assert tuple(losses.VARIATIONS) == names.VARIATIONS
    assert tuple(optimizers.OPTIMIZERS) == names.OPTIMIZERS
    assert set(names.WRAPPERS) == {"clamped", *jobs.WRAPPERS}
    assert set(names.COLOURS) == {*colour.MODES, "palette", "only"}


def test_settings_are_keywords_of_the_optimizers_that_own_them():
    for setting, owners in names.SETTINGS.items():
        assert setting in words.TABLE[setting.replace("_", "-")].attribute
        for name, make in optimizers.OPTIMIZERS.items():
            assert (setting in inspect.signature(make).parameters) == (name in owners), (setting, name)


def test_starts_are_made(town, night):
    key = jax.random.key(0)
    for word, (fewest, most) in names.STARTS.items():
        for count in {fewest, most}:
            text = ":".join([word, *["0.5"] * count])
            assert names.parse_start(text) == (word, [0.5] * count)
            assert starts.make(text, key, jnp.asarray(town), jnp.asarray(night)).shape == town.shape


def test_a_turn_is_of_fields_that_are_there():
    turns = {field.turn for field in words.FIELDS if field.turn}
    assert turns == set(Turn._fields)


def test_lists_take_what_the_table_says():
    assert lists.FIELDS.keys() == {
        field.name for field in words.FIELDS if field.listed and field.name not in ("content", "style")
    }


@pytest.mark.parametrize("module", ["order", "words", "lists", "record"])
def test_what_is_asked_for_needs_no_arrays(module):
    code = f"import sys, nst_jax.orders.{module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found = {name.partition(".")[0] for name in done.stdout.split()}
    assert "nst_jax" in found
    assert not found & {"jax", "jaxlib", "numpy", "PIL", "flax", "optax", "h5py", "argparse", "rich"}
