"""What argparse is made of: a flag for each field of an order; a library's messages with a command line's dashes."""

import argparse
import re

import pytest

from nst_jax import cli
from nst_jax.cli import flags
from nst_jax.orders import networks, words
from nst_jax.orders import order as orders
from nst_jax.orders.order import Order


def options(command):
    """The flags of a command, as its parser knows them."""
    action = next(a for a in cli.parser()._actions if isinstance(a, argparse._SubParsersAction))
    return {flag: a for a in action.choices[command]._actions for flag in a.option_strings}


PAINTS = ("stylize", "texture", "reconstruct", "sweep", "batch", "plan")
LEFT = {
    "sweep": {"still", "fast-first"},
    "batch": {"minutes", "still", "fast-first"},
    "plan": {"mesh", "minutes", "still"},
}


@pytest.mark.parametrize("command", PAINTS)
def test_each_field_is_a_flag_and_is_explained_by_the_table(command):
    known = options(command)
    fields = {field.name for field in words.FIELDS if field.heading}
    own = {"chunk", "share", "contents", "each-style", "layer"}
    faces = {"help", "output", "live", *flags.FACE, "coordinator", "processes", "process", "heartbeat"}
    named = {flag[2:] for flag in known if flag.startswith("--")}
    assert fields - named == LEFT.get(command, set())
    assert named - fields <= faces | own
    for field in words.FIELDS:
        if field.heading and field.name in named:
            assert known[f"--{field.name}"].help == field.help.replace("%", "%%")


def test_flags_that_say_nothing_leave_the_order_as_it_is():
    args = cli.parser().parse_args(["stylize", "a.png", "b.png", "-o", "c.png"])
    assert flags.order(args) == Order().with_values(content="a.png", style=("b.png",))


def test_flags_make_the_order_that_the_same_words_make():
    given = {
        "recipe": "gatys-notebook", "size": "640x480", "steps": "7", "ladder": "32:3,64", "strength": "0.25",
        "content-layers": "relu4_2:0.5,conv1_1", "pool": "average", "keep": "none", "optimizer": "lbfgs", "memory": "9",
        "seed": "3", "style-scale": "0.5", "style-size": "90", "colour": "content-luminance", "alpha": "stylise",
        "bits": "16", "network": "fast", "max-memory": "4GB", "precision": "bfloat16", "mesh": "data=2",
        "still": "0.02", "fast-first": "3", "tv-weight": "0.5", "content-weight": "2",
    }  # fmt: skip
    typed = [word for name, text in given.items() for word in (f"--{name}", text)]
    argv = ["stylize", "a.png", "b.png", "-o", "c.png", *typed, "--keep-metadata", "--mask", "m.png"]
    known = flags.order(cli.parser().parse_args(argv))
    base = Order().with_values(content="a.png", style=("b.png",), keep_metadata=True, mask=("m.png",))
    assert known == words.replace(base, given)


def test_a_sweep_takes_several_values_where_a_field_may_vary():
    argv = ["sweep", "a.png", "b.png", "-o", "d", "--seed", "0:3:4", "--style-weight", "1,10", "--size", "48"]
    args = cli.parser().parse_args(argv)
    assert flags.axes(args) == {"seed": [0, 1, 2, 3], "style_weight": [1.0, 10.0]}
    assert flags.order(args) == Order().with_values(content="a.png", style=("b.png",), size=48)
    with pytest.raises(SystemExit):
        cli.parser().parse_args([*argv, "--size", "48,64"])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("size must be N, got 'x'", "--size must be N, got 'x'"),
        ("picture must hold 3 pixels, got 4: lower size or raise max-pixels",
         "picture must hold 3 pixels, got 4: lower --size or raise --max-pixels"),
        ("loss must stay finite, got nan of style/relu1_1 at step 3: lower learning-rate",
         "loss must stay finite, got nan of style/relu1_1 at step 3: lower --learning-rate"),
        ("network must be of the caffe family, got another: drop weights",
         "network must be of the caffe family, got another: drop --weights"),
        ("style must be smaller, got 9: lower style-scale or style-size",
         "style must be smaller, got 9: lower --style-scale or --style-size"),
        ("weights must be a file of ours, got 'my weights.h5'", "weights must be a file of ours, got 'my weights.h5'"),
        ("memory must be at least 3 GB, got 2 GB: choose a smaller size",
         "memory must be at least 3 GB, got 2 GB: choose a smaller --size"),
        ("folder must not be a file, got 'size': choose another name",
         "folder must not be a file, got 'size': choose another name"),
        ("recipe must be one of a, b, got 'size-steps'", "recipe must be one of a, b, got 'size-steps'"),
        ("No space left on device", "No space left on device"),
        ("file must be there, got './size': check its name", "file must be there, got './size': check its name"),
    ],
)  # fmt: skip
def test_a_message_gets_the_dashes_that_its_reader_types(text, shown):
    assert flags.as_flags(text) == shown
    assert flags.as_flags(shown) == shown  # once


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mask must not go with colour only, which paints nothing: drop it",
         "--mask must not go with --colour only, which paints nothing: drop it"),
        ("memory must go with lbfgs, got adam: add optimizer lbfgs",
         "--memory must go with lbfgs, got adam: add --optimizer lbfgs"),
        ("network must be named once, got several of network, weights and preview: drop all but one",
         "--network must be named once, got several of --network, --weights and --preview: drop all but one"),
        ("style-mix must not go with mask, got both: mask-weights says how much",
         "--style-mix must not go with --mask, got both: --mask-weights says how much"),
        ("weights must not all be zero, got nothing to paint after: raise one of them",
         "weights must not all be zero, got nothing to paint after: raise one of them"),
        ("a sweep must paint from 2 to 9 pictures, got 1: style-weight .1:100:8 makes eight",
         "a sweep must paint from 2 to 9 pictures, got 1: --style-weight .1:100:8 makes eight"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_names_flags(text, shown):
    assert flags.as_flags(text, refused=True) == shown


def test_two_networks_are_refused(command):
    for more in (("--preview", "--weights", "x.h5"), ("--network", "fast", "--preview")):
        code, out, err = command("stylize", "a.png", "b.png", "-o", "c.png", *more)
        assert (code, out) == (2, "")
        said = "nst-jax stylize: error: --network must be named once, got several of --network, --weights and --preview"
        assert err == f"{said}: drop all but one (see nst-jax stylize --help)\n"


def test_networks_are_chosen_by_name():
    from nst_jax.network import vgg19

    def path(*more):
        return networks.weights_path(flags.order(cli.parser().parse_args(["stylize", "a", "b", "-o", "c.png", *more])))

    assert path() is None
    assert path("--network", "vgg19") is None
    assert path("--network", "fast") == path("--preview") == vgg19.fast_path()
    assert path("--weights", "x.h5") == "x.h5"


def test_outputs_are_named_after_the_result(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d").mkdir()

    def outputs(*more, store=0):
        return flags.outputs(cli.parser().parse_args(["stylize", "a", "b", "-o", "d/out.png", *more]), store)

    assert outputs() == flags.Outputs("d/out.png")
    assert outputs("--save-every", "5") == flags.Outputs("d/out.png", save_every=5, folder="d/out-steps")
    assert outputs("--save-every", "5", "--folder", "x").folder == "x"
    assert outputs(store=3) == flags.Outputs("d/out.png", save_every=3, folder="d/out-steps")
    with pytest.raises(orders.Refused, match=r"^folder must go with save-every"):
        outputs("--folder", "x")


@pytest.mark.parametrize("text", ["0/3", "4/3", "1/0", "x", "1", "-1/2", "1/2/3", ""])
def test_shares_that_mean_nothing(text):
    with pytest.raises(ValueError, match=re.escape(f"must be K/N with K from 1 to N, got {text!r}")):
        flags.part(text)
    assert flags.part("2/5") == (2, 5)
