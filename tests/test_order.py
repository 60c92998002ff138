"""An Order as a value: immutable, comparable, replaced field by field; what does not go together is refused."""

import re

import pytest

from nst_jax.orders import order, words
from nst_jax.orders.order import Order, Refused
from nst_jax.recipes import Turn

TWO = words.make("town.png", "night.png", "wave.png")


def test_an_order_is_immutable_and_comparable():
    known = words.make("town.png", "night.png", size=64, strength=0.5)
    with pytest.raises(AttributeError):
        known.seed = 3
    with pytest.raises(AttributeError):
        known.recipe.size = 3
    assert known == words.make("town.png", "night.png", size=64, strength=0.5)
    assert known != known.with_values(seed=1)
    assert hash(known) == hash(words.make("town.png", "night.png", size=64, strength=0.5))
    assert known.with_values() == known


def test_fields_are_replaced_whichever_group_they_are_in():
    turns = ((3, Turn(style=2.0)),)
    changed = Order().with_values(content="a", size=64, style_size=9, bits=16, network="fast", still=1.0, turns=turns)
    assert (changed.pictures.content, changed.recipe.size, changed.blend.style_size) == ("a", 64, 9)
    assert (changed.finish.bits, changed.machine.network, changed.ends.still) == (16, "fast", 1.0)
    assert (changed.seed, changed.turns) == (0, turns)
    for group in order.GROUPS:  # names are of one group each, or `with_values` would replace two
        others = [name for other in order.GROUPS if other != group for name in getattr(Order(), other)._fields]
        assert not set(getattr(Order(), group)._fields) & {*others, "seed", "turns"}


def test_an_unknown_field_is_refused_with_a_hint():
    with pytest.raises(ValueError, match=r"^order must have a field to replace, got 'colours': .*(colour|settings)"):
        Order().with_values(colours="only")
    with pytest.raises(ValueError, match=r"^order must have a field to replace, got 'machine'"):
        Order().with_values(machine="nonsense", weights="x")


FILES = {
    "content": "town.png", "style": ("night.png", "wave.png"), "mask": ("m.png", "n.png"), "style_mask": ("-", "s.png"),
    "strength_map": "map.png", "init": "start.png", "colour": "palette:p:1.png",
}  # fmt: skip


def test_files_by_what_they_are_for():
    known = Order().with_values(**FILES)
    assert known.files() == {
        "content": ["town.png"],
        "style": ["night.png", "wave.png"],
        "mask": ["m.png", "n.png"],
        "style-mask": ["-", "s.png"],
        "init": ["start.png"],
        "strength-map": ["map.png"],
        "palette": ["p:1.png"],
    }
    assert TWO.files().keys() == TWO.with_values(init="noise:0.2", colour="match-pca").files().keys()
    assert TWO.files().keys() == {"content", "style"}


def test_each_file_is_moved():
    moved = Order().with_values(**FILES).with_files(lambda name: f"/tmp/{name}")
    assert all(path.startswith("/tmp/") for paths in moved.files().values() for path in paths)
    assert moved.files().keys() == Order().with_values(**FILES).files().keys()
    plain = TWO.with_values(init="noise", colour="only")
    assert plain.with_files(lambda name: name) == plain
    assert plain.with_files(lambda name: f"/{name}").recipe.init == "noise"


WRONG = [
    ({"mask": ("a", "b", "c")}, "mask must be one file or 2, one for each style, got 3"),
    ({"mask_weights": (1.0, 2.0)}, "mask-weights must go with mask, got no masks: add mask FILE"),
    ({"mask": ("a",), "mask_weights": (1.0, 2.0, 3.0)}, "mask-weights must have 2 values, one for each style, got 3"),
    (
        {"mask": ("a",), "style_mix": (2.0, 1.0)},
        "style-mix must not go with mask, got both: mask-weights says how much",
    ),
    (
        {"mask": ("a", "b"), "style_mix": "ramp"},
        "style-mix must not go with mask, got both: mask-weights says how much",
    ),
    ({"style_mix": (1.0, 2.0, 3.0)}, "style-mix must have 2 values, one for each style, got 3"),
    ({"style": ("a",), "style_mix": (1.0, 2.0)}, "style-mix must have 1 value, got 2"),
    ({"style": ("a",), "style_mix": "ramp"}, "style-mix ramp must have several styles, got 1: name another STYLE"),
    ({"style_scale": (1.0, 2.0, 3.0)}, "style-scale must have 2 values, one for each style, got 3"),
    ({"style_mask": ("a",)}, "style-mask must have 2 values, one for each style, got 1"),
    ({"colour": "only", "mask": ("a",)}, "mask must not go with colour only, which paints nothing: drop it"),
    ({"colour": "only", "minutes": 1.0}, "minutes must not go with colour only, which paints nothing: drop it"),
    ({"colour": "only", "still": 1.0}, "still must not go with colour only, which paints nothing: drop it"),
    ({"colour": "only", "fast_first": 1}, "fast-first must not go with colour only, which paints nothing: drop it"),
    ({"colour": "only", "preview": True}, "preview must not go with colour only, which paints nothing: drop it"),
    ({"colour": "only", "style_scale": (2.0,)}, "style-scale must not go with colour only, which paints nothing: "),
    ({"colour": "only", "style_size": 9}, "style-size must not go with colour only, which paints nothing: drop it"),
    ({"colour": "only", "style_mask": ("a", "b")}, "style-mask must not go with colour only, which paints nothing: "),
    ({"colour": "only", "strength_map": "a"}, "strength-map must not go with colour only, which paints nothing: "),
    ({"colour": "only", "style_mix": "ramp"}, "style-mix must be shares with colour only, got ramp: write 2,1"),
    ({"preview": True, "weights": "a"}, "network must be named once, got several of network, weights and preview: "),
    ({"preview": True, "network": "fast"}, "network must be named once, got several of network, weights and preview: "),
    ({"network": "vgg19", "weights": "a"}, "network must be named once, got several of network, weights and preview: "),
]


@pytest.mark.parametrize(("fields", "said"), WRONG, ids=lambda x: "-".join(x) if isinstance(x, dict) else "")
def test_what_does_not_go_together(fields, said):
    with pytest.raises(Refused, match=f"^{re.escape(said)}"):
        order.check(TWO.with_values(**fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"mask": ("a",)},
        {"mask": ("a", "b"), "mask_weights": (0.0, 1.0)},
        {"style_mix": "ramp"},
        {"style_mix": (1.0, 0.0)},
        {"style_scale": (2.0,)},
        {"style_scale": (2.0, 1.0)},
        {"colour": "only", "style_mix": (1.0, 0.0), "size": 64, "alpha": "stylise"},
        {"weights": "a"},
    ],
    ids=lambda fields: "-".join(fields),
)
def test_what_goes_together(fields):
    order.check(TWO.with_values(**fields))


def test_what_is_said_of_styles_waits_for_them():
    """A list of jobs has fields that hold for each of them."""
    order.check(Order().with_values(style_mix=(2.0, 1.0), mask_weights=(1.0, 0.0), style_mask=("a", "b")))
    with pytest.raises(Refused, match=r"^network must be named once"):
        order.check(Order().with_values(network="fast", preview=True))


def test_more_that_colours_alone_do_not_write():
    known = TWO.with_values(colour="only")
    order.check_only_colours(known)
    with pytest.raises(Refused, match=r"^log must not go with colour only, which paints nothing: drop it$"):
        order.check_only_colours(known, ("log",))
