"""`nst-jax rerun`, and what a result's file holds: painted with a narrow network in a few steps."""

import getpass
import hashlib
import json
import os
import pathlib
import re
import socket

import jax
import numpy as np
import pytest
from PIL import Image
from test_record import FORMAT_1

import nst_jax
from nst_jax.network import vgg19
from nst_jax.orders import compose, networks, prepare, record, words, workshop
from nst_jax.painting import budget, devices, memory
from nst_jax.painting import job as jobs
from nst_jax.painting.memory import Machine, Plan
from nst_jax.pictures import images, kinds, metadata, samples
from nst_jax.pictures.images import Extras

LAYERS = ("--style-layers", "relu1_1:1,relu2_1:1", "--content-layers", "relu1_2:1")  # what is quick to compile
BRIEF = ("--recipe", "gatys-notebook", "--ladder", "48", "--optimizer", "adam", *LAYERS, "--steps", "2")
ORDER = {
    "recipe": "gatys-notebook",
    "ladder": "48",
    "optimizer": "adam",
    "style_layers": "relu1_1:1,relu2_1:1",
    "content_layers": "relu1_2:1",
    "steps": 2,
}
SHAPE = (48, 64)


@pytest.fixture(scope="module")
def studio(tmp_path_factory, narrow):
    """A folder of pictures and masks, and two narrow networks."""
    folder = tmp_path_factory.mktemp("unusualfolder")
    left = np.broadcast_to((np.arange(64) < 32)[None, :, None], (48, 64, 3)).astype("f")
    drawn = {
        "town.png": samples.draw("skyline", SHAPE),
        "night.png": samples.draw("mosaic", (48, 60)),
        "wave.png": samples.draw("woodcut", (56, 48)),
        "left.png": left,
        "coded.png": left * [1, 0, 0] + (1 - left) * [0, 0, 1],
        "part.png": left[:, :60],
        "map.png": left * 0.5 + 0.5,
        "bright.png": samples.draw("flow", (40, 40)),
    }
    for name, image in drawn.items():
        images.save(folder / name, image)
    vgg19.save(folder / "narrow.h5", narrow, source="a test")
    vgg19.save(folder / "other.h5", vgg19.init(jax.random.key(1), widths=(4,) * 5), source="another test")
    return folder


@pytest.fixture
def run(command, monkeypatch, studio):
    """Runs a command in the studio: (exit code, stdout, stderr)."""
    monkeypatch.chdir(studio)
    return command


@pytest.fixture
def order(monkeypatch, studio):
    """An order of two steps with the narrow network."""
    monkeypatch.chdir(studio)

    def call(*styles, **fields):
        return words.make("town.png", *(styles or ("night.png",)), weights="narrow.h5", **ORDER | fields)

    return call


@pytest.fixture
def paint(order, tmp_path):
    """Paints an order: the result's path."""

    def call(*styles, out="result.png", **fields):
        workshop.paint(order(*styles, **fields)).save(tmp_path / out)
        return tmp_path / out

    return call


@pytest.fixture
def again(run, tmp_path):
    """Runs a result again: (exit code, stderr, path)."""

    def call(result, *flags, content="town.png", styles=("night.png",), weights="narrow.h5", out="again.png"):
        path = tmp_path / out
        argv = ("rerun", result, "--content", content, "--style", *styles, "-o", path, "--weights", weights, *flags)
        code, _, err = run(*argv)
        return code, err, path

    return call


@pytest.fixture
def forged(tmp_path, studio):
    """Writes a picture whose record a stranger has changed, or that holds this text."""

    def call(text=None, *, asked=(), **changed):
        held = json.loads(record.text(sound(studio))) | changed
        held["order"] |= dict(asked)
        path = tmp_path / "forged.png"
        images.save(path, np.full((16, 16, 3), 0.5), extras=Extras(text=text or json.dumps(held)))
        return path

    return call


def sound(studio):
    """A record as a run writes it."""
    return record.Record(
        order={"recipe": "gatys-notebook", "ladder": "48", "optimizer": "adam", "steps": "2"}
        | {"style-layers": "relu1_1:1.0,relu2_1:1.0", "content-layers": "relu1_2:1.0"},
        versions=record.versions(),
        inputs={"content": record.digests([studio / "town.png"]), "style": record.digests([studio / "night.png"])},
        device=devices.describe(),
        network={"sha256": vgg19.info(studio / "narrow.h5")["sha256"], "source": "a test"},
        stages=[{"size": [64, 48], "steps": 2, "plan": {"direct": True}}],
        steps=2,
        terms={"content/relu1_2": 0.5},
    )


def levels(path):
    """A picture's levels as they are in the file."""
    with Image.open(path) as im:
        return np.asarray(im)


def held(path):
    """The record in a picture."""
    return record.parse(metadata.read(path))


# What is stored


@pytest.fixture(scope="module")
def painted(studio):
    """A result that used what an order may name: masks and a start, besides its pictures."""
    files = {name: str(studio / f"{name}.png") for name in ("town", "night", "left", "bright")}
    weights = str(studio / "narrow.h5")
    fields = {"seed": 7, "strength": 0.4, "keep": "clamped,best", "mask": files["left"], "init": files["bright"]}
    return workshop.paint(words.make(files["town"], files["night"], weights=weights, **ORDER | fields))


SUFFIXES = kinds.holding("text")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_everything_that_made_a_picture_is_stored_in_it(painted, studio, tmp_path, suffix):
    painted.save(tmp_path / f"result{suffix}")
    found = held(tmp_path / f"result{suffix}")
    assert found == record.parse(record.text(painted.record))
    assert found.versions["nst_jax"] == nst_jax.__version__
    assert found.versions["jax"] == jax.__version__
    assert found.device == devices.describe()
    sha = vgg19.info(studio / "narrow.h5")["sha256"]
    assert found.network == {"sha256": sha, "source": "a test", "family": "unknown", "precision": "float32"}
    assert found.order == {
        "recipe": "gatys-notebook",
        "seed": "7",
        "strength": "0.4",
        "keep": "clamped,best",
        "steps": "2",
        "ladder": "48",
        "optimizer": "adam",
        "style-layers": "relu1_1:1.0,relu2_1:1.0",
        "content-layers": "relu1_2:1.0",
    }
    assert [(row["size"], row["steps"]) for row in found.stages] == [([64, 48], 2)]
    assert (found.steps, found.total) == (2, 2)
    assert found.settings["optimizer"] == "adam"
    digest = hashlib.sha256((studio / "town.png").read_bytes()).hexdigest()
    assert found.inputs["content"] == [{"name": "town.png", "sha256": digest}]
    assert [entry["name"] for entry in found.inputs["style"]] == ["night.png"]
    assert found.terms.keys() == {"content/relu1_2", "style/relu1_1", "style/relu2_1", "variation"}
    assert all(np.isfinite(value) for value in found.terms.values())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_nothing_else_is_stored(painted, studio, tmp_path, suffix):
    """Neither in the record nor anywhere: no path, no user, no host; not of masks, starts or weights either."""
    path = tmp_path / f"result{suffix}"
    painted.save(path)
    told = {str(studio), str(tmp_path), "unusualfolder", str(pathlib.Path.home()), os.getcwd(), socket.gethostname()}
    told |= {getpass.getuser(), os.path.dirname(nst_jax.__file__)}
    data, text = path.read_bytes(), metadata.read(path) or ""
    for word in (word for word in told if len(word) > 1):
        assert word.encode() not in data
        assert not re.search(rf"\b{re.escape(word)}\b", text)
    assert "/" not in re.sub(r'"(content|style)/(relu|conv|pool)\d', "", text)
    assert json.loads(text)["inputs"].keys() == {"content", "style", "mask", "init"}


def test_what_cannot_be_stored_is_refused_before_the_run(run, tmp_path, monkeypatch):
    monkeypatch.setattr("nst_jax.painting.painter.start", None)
    out = tmp_path / "out.png"
    styles = ["night.png"] * 700
    code, _, err = run("stylize", "town.png", *styles, "-o", out, "--weights", "narrow.h5", *BRIEF)
    assert code == 1
    assert "text to store must take at most 60,000 bytes" in err.splitlines()[-1]
    assert not out.exists()


# Shown


def test_show_prints_it(forged, run):
    path = forged(asked={"seed": "3"})
    code, out, err = run("show", path)
    assert (code, err) == (0, "")
    for line in (
        r"recipe +gatys-notebook",
        r"name town\.png",
        r"seed +3",
        r"  jax +\d",
        r"  ladder +48",
        "direct True",
    ):
        assert re.search(line, out)
    code, out, _ = run("show", path, "--json")
    assert code == 0
    assert json.loads(out) == json.loads(metadata.read(path) or "")


def test_show_of_a_strangers_record_sends_nothing_to_the_terminal(forged, run):
    evil = "\x1b]0;title\x07\x9b31m\u202e\ud800\r\n"
    path = forged(device=evil, settings={evil: {evil: [evil, 1.0, None]}}, versions={"jax": evil})
    for flags in ((), ("--json",)):
        code, out, err = run("show", path, *flags)
        assert (code, err) == (0, "")
        assert all(c.isprintable() or c == "\n" for c in out)
    assert json.loads(out)["device"] == evil


def test_show_of_a_picture_without_settings(run, studio):
    code, out, err = run("show", "town.png")
    assert (code, out) == (1, "")
    assert err == (
        "nst-jax: result must hold its settings, got none in town.png: it was not painted by nst-jax, or edited\n"
    )
    code, _, err = run("show", "none.png")
    assert (code, len(err.splitlines())) == (1, 1)


# Made again


def test_a_result_is_made_again_to_the_bit(paint, again):
    path = paint(seed=5, init="noise", strength=0.7, keep="averaged:0.5", bits=16, steps=3)
    code, err, out = again(path)
    assert code == 0, err
    assert "changed" not in err
    np.testing.assert_array_equal(images.read(out).image, images.read(path).image)
    assert metadata.read(out) == metadata.read(path)
    code, err, other = again(path, out="other.tif")
    assert code == 0
    np.testing.assert_array_equal(images.read(other).image, images.read(path).image)


def test_turns_are_taken_again_at_their_steps(order, again, tmp_path):
    plain = order(init="noise", steps=6)
    turned = plain.with_values(turns=((2, nst_jax.recipes.Turn(style=9.0, rate=0.5)),))
    pictures = []
    for name, one in {"plain.png": plain, "turned.png": turned}.items():
        workshop.paint(one).save(tmp_path / name)
        code, err, out = again(tmp_path / name, out=f"again-{name}")
        assert code == 0, err
        np.testing.assert_array_equal(levels(out), levels(tmp_path / name))
        assert held(out) == held(tmp_path / name)
        pictures.append(levels(out))
    assert held(tmp_path / "turned.png").turns == [[2, {"style": 9.0, "rate": 0.5}]]
    assert np.abs(pictures[0].astype(int) - pictures[1]).max() > 1


def test_everything_at_once_is_made_again(paint, again):
    files = (
        "--mask",
        "coded.png",
        "--style-mask",
        "-",
        "part.png",
        "--strength-map",
        "map.png",
        "--init",
        "bright.png",
    )
    named = {"mask": "coded.png", "style_mask": ["-", "part.png"], "strength_map": "map.png", "init": "bright.png"}
    fields = {"style_scale": "0.5,0.75", "mask_weights": "1,2", "size": "64x40", "style_distance": "covariance"}
    styles = ("wave.png", "night.png")
    path = paint(*styles, colour="palette:bright.png", **named, **fields)
    code, err, out = again(path, *files, "--palette", "bright.png", styles=styles)
    assert code == 0, err
    np.testing.assert_array_equal(levels(out), levels(path))
    assert metadata.read(out) == metadata.read(path)
    moved = tuple("part.png" if f == "-" else "-" if f == "part.png" else f for f in files)
    code, err, _ = again(path, *moved, "--palette", "bright.png", styles=styles, out="b.png")
    assert (code, err) == (
        1,
        "nst-jax: --style-mask must be the picture that was used, -, got another, part.png: find the one that was\n",
    )
    for missing in ("--mask", "--strength-map", "--init"):
        fewer = [f for i, f in enumerate(files) if missing not in (f, files[i - 1])]
        code, err, _ = again(path, *fewer, "--palette", "bright.png", styles=styles, out="b.png")
        kind = missing[2:]
        assert code == 1
        assert re.fullmatch(f"nst-jax: (--)?{kind} must be 1 file as in the record, got 0: give each of them\n", err)


def test_a_plan_for_some_minutes_is_followed_again(paint, again, monkeypatch):
    monkeypatch.setattr(budget, "measure", lambda params, job, **more: budget.Cost(0.1, 0.0, 0.5 / 48 / 64))
    monkeypatch.delitem(ORDER, "steps")
    path = paint(ladder="32,48", minutes=0.35)
    monkeypatch.setattr(budget, "measure", None)  # nothing is timed again
    code, err, out = again(path)
    assert code == 0, err
    np.testing.assert_array_equal(levels(out), levels(path))
    assert held(out) == held(path)
    assert len(held(path).stages) == 2


def test_a_strangers_record_asks_for_few_pixels_unless_told_otherwise(paint, again, monkeypatch):
    path = paint()
    monkeypatch.setattr(record, "PIXELS", 48 * 64 - 1)
    code, err, _ = again(path)
    assert code == 1
    text = "settings must ask for at most 3,071 pixels, got 64×48: raise --max-pixels if you trust them"
    assert err.splitlines()[-1] == f"nst-jax: {text}"
    code, err, out = again(path, "--max-pixels", "3072")
    assert code == 0, err
    assert held(out) == held(path)


@pytest.mark.parametrize("name", ["texture", "reconstruct"])
def test_textures_and_reconstructions_are_made_again(run, again, tmp_path, name):
    path = tmp_path / "result.png"
    assert run(name, "town.png", "-o", path, "--weights", "narrow.h5", *BRIEF, "--size", "64x48")[0] == 0
    code, err, out = again(path, styles=("town.png",))
    assert code == 0, err
    np.testing.assert_array_equal(levels(out), levels(path))
    assert metadata.read(out) == metadata.read(path)


def test_colours_alone_are_made_again(run, again, tmp_path):
    path = tmp_path / "result.png"
    assert run("stylize", "town.png", "wave.png", "-o", path, "--colour", "only", "--size", "40")[0] == 0
    code, err, out = again(path, styles=("wave.png",))
    assert (code, err) == (0, "")
    np.testing.assert_array_equal(levels(out), levels(path))
    assert metadata.read(out) == metadata.read(path)


def test_metadata_are_kept_again_only_by_who_makes_it(run, studio, tmp_path, again):
    path, content = tmp_path / "result.png", tmp_path / "photo.png"
    exif = Image.Exif()
    exif[315] = "Ada"
    with Image.open(studio / "town.png") as im:
        im.save(content, exif=exif)
    argv = ("stylize", content, "wave.png", "-o", path, "--colour", "only", "--keep-metadata")
    assert run(*argv)[0] == 0
    assert held(path).order["keep-metadata"] == "yes"
    code, err, out = again(path, content=content, styles=("wave.png",))
    assert (code, b"Ada" in out.read_bytes()) == (0, False)
    assert err == "changed:  profile and EXIF were kept, are left out: --keep-metadata keeps them\n"
    code, err, out = again(path, "--keep-metadata", content=content, styles=("wave.png",))
    assert (code, err) == (0, "")
    assert out.read_bytes() == path.read_bytes()


# A record's plan is followed


@pytest.fixture
def computed(monkeypatch):
    """The plans by which losses are computed, in their order."""
    plans, apply = [], memory.apply

    def applied(plan, loss):
        plans.append(plan)
        return apply(plan, loss)

    monkeypatch.setattr(memory, "apply", applied)
    return plans


@pytest.mark.parametrize(
    "plan",
    [{}, {"again": 1}, {"window": 63}, {"window": 63, "recomputed": True}],
    ids=["whole", "again", "windows", "recomputed"],
)
def test_a_run_is_computed_as_its_record_says(forged, again, computed, plan):
    """Another way than this machine's own, which convolves directly where steps are few."""
    stages = [{"size": [64, 48], "steps": 2, "plan": plan}]
    code, err, out = again(forged(stages=stages))
    assert (code, "changed" in err) == (0, False), err
    assert f"plan:     {Plan(**plan)}\n" in err
    assert [list(held(out).stages)] == [stages]
    assert Plan(**plan) in computed
    own = again(forged())[2]
    assert held(own).stages[0]["plan"] == {"direct": True}


def test_each_stage_has_its_own_plan(forged, again):
    stages = [
        {"size": [43, 32], "steps": 1, "plan": {"again": 3}},
        {"size": [64, 48], "steps": 1, "plan": {"window": 63, "direct": True}},
    ]
    code, err, out = again(forged(asked={"ladder": "32:1,48:1"}, stages=stages))
    assert (code, "changed" in err) == (0, False), err
    assert held(out).stages == stages


@pytest.mark.parametrize(
    "plan", [{"window": 5000}, {"window": 1}, {"again": 2}, {"recomputed": True}, {"again": 1, "window": 63}]
)
def test_a_plan_that_is_none_here_is_said_and_not_followed(forged, again, plan):
    code, err, out = again(forged(stages=[{"size": [64, 48], "steps": 2, "plan": plan}]))
    assert code == 0, err
    [line] = [line for line in err.splitlines() if line.startswith("changed:")]
    assert line.startswith(f"changed:  was computed {Plan(**plan)}, which this machine does not hold")
    assert held(out).stages[0]["plan"] == {"direct": True}


def test_a_plan_that_takes_too_much_memory_is_said_and_not_followed(order, studio):
    """What is followed is decided before the first step."""
    asked = order(size="256x256", ladder="256", steps=2)
    task = networks.with_network(compose.task(asked), networks.Network("narrow.h5"))
    whole = prepare.item(task, Machine()).record
    load = jobs.load_at(task.params, task.job, task.shape)
    enough = memory.peak(Plan(), load)
    smallest = min(memory.peak(plan, load) for plan in memory.candidates(load))
    assert smallest < enough
    found = prepare.follow(task, whole, Machine(enough))
    assert found == prepare.Followed(prepare.stages_of(whole))
    found = prepare.follow(task, whole, Machine((smallest + enough) // 2))
    assert found.why == "was computed whole, which this machine does not hold: it goes on by its own plan"
    assert [memory.peak(stage.plan, load) <= (smallest + enough) // 2 for stage in found.stages] == [True]


@pytest.mark.parametrize(
    "stages",
    [
        [],
        [{"size": [64, 48], "steps": 2}],
        [{"size": [64, 48], "steps": 3, "plan": {}}],
        [{"size": [640, 480], "steps": 2, "plan": {}}],
        [{"size": [64, 48], "steps": 2, "plan": {}, "network": "fast"}],
        [{"size": [64, 48], "steps": 2, "plan": {}, "network": "/etc/passwd"}],
        [{"size": [64, 48], "steps": 1, "plan": {}}] * 2,
    ],
)
def test_stages_that_are_not_the_orders_own_are_not_followed(order, studio, stages):
    """The order says what is painted, and how long; stages only how it is computed."""
    task = networks.with_network(compose.task(order()), networks.Network("narrow.h5"))
    found = prepare.follow(task, sound(studio)._replace(stages=stages), Machine())
    assert found == prepare.Followed(jobs.stages(task.params, task.job))


def test_a_result_of_format_1_is_made_again(forged, again, studio):
    old = json.loads(FORMAT_1)
    kept = json.loads(record.text(sound(studio)))
    old |= {key: kept[key] for key in ("versions", "device", "network", "inputs")}
    old["flags"] |= {"content-layers": "relu1_2", "style-layers": "relu1_1,relu2_1"}
    code, err, out = again(forged(json.dumps(old)))
    assert code == 0, err
    assert "changed" not in err
    found = held(out)
    assert [(row["size"], row["steps"]) for row in found.stages] == [([41, 31], 6), ([64, 48], 2)]
    assert (found.order["seed"], found.order["keep"], found.steps) == ("3", "none", 8)
    assert record.asks_the_same(record.parse(json.dumps(old)), found)


# What has changed, and what is refused


def test_a_changed_version_device_or_network_is_said(forged, again, monkeypatch):
    monkeypatch.setattr("nst_jax.cli.stylize.carry_out", lambda *args, **options: 0)
    assert again(forged())[:2] == (0, "")
    old = record.versions() | {"jax": "0.1.2\x1b[31m"}
    code, err, _ = again(forged(versions=old, device="tpu (TPU v9)"), weights="other.h5")
    assert code == 0
    jax_line, device, network = err.splitlines()
    assert jax_line == f"changed:  jax was 0.1.2?[31m, is {jax.__version__}: the picture may differ"
    assert device == f"changed:  device was tpu (TPU v9), is {devices.describe()}: the picture may differ"
    assert network.startswith("changed:  network was ")
    code, err, _ = again(forged(stages=[{"size": [64, 48], "steps": 90}], steps=40))
    assert err == "ended:    after 40 of 90 steps, and ends there again\n"


def test_other_inputs_are_refused(forged, again):
    for flags, said in [
        (
            {"content": "bright.png"},
            "content must be the picture that was used, town.png, got another, bright.png: find the one that was",
        ),
        (
            {"styles": ("wave.png",)},
            "style must be the picture that was used, night.png, got another, wave.png: find the one that was",
        ),
        ({"styles": ("night.png", "wave.png")}, "style must be 1 file as in the record, got 2: give each of them"),
        ({"content": "none.png"}, "content must be an existing file, got 'none.png': check its name"),
    ]:
        code, err, out = again(forged(), **flags)
        assert (code, err) == (1, f"nst-jax: {said}\n")
        assert not out.exists()
    assert "mask must be 0 files as in the record, got 1" in again(forged(), "--mask", "left.png")[1]
    assert again("town.png")[1].startswith("nst-jax: result must hold its settings, got none in town.png")


def test_the_result_itself_is_not_written_over(forged, again):
    path = forged()
    before = path.read_bytes()
    code, err, _ = again(path, out="forged.png")
    assert code == 1
    assert "output must not be the result itself" in err
    assert again(path, "--log", path)[0] == 1
    assert path.read_bytes() == before


HUGE = "9" * 400
REFUSED = [
    ({"text": "no json"}, r"settings must be of format"),
    ({"inputs": {}}, r"(mask|content|style) must be 0 files as in the record, got 1"),
    ({"asked": {"output": "/tmp/evil.png"}}, r"settings must hold only fields of an order, got 'output'"),
    ({"asked": {"init": "/etc/passwd"}}, r"settings must name no files"),
    ({"asked": {"style-mix": "1,2"}}, r"settings must be ones that go together, got: (--)?style-mix must have 1 value"),
    ({"asked": {"mask-weights": "2"}}, r"settings must be ones that go together, got: (--)?mask-weights must go with"),
    ({"asked": {"memory": "5"}}, r"settings must be ones that go together, got: (--)?memory must go with lbfgs"),
    ({"asked": {"size": "999999"}}, r"picture must hold at most 300,000,000 pixels, got 1333332×999999"),
    ({"asked": {"size": "999999999x16"}}, r"picture must hold at most 300,000,000 pixels, got 999999999×16"),
    (
        {"asked": {"ladder": "48," + HUGE}},
        r"settings must be ones that stylize takes, got: (--)?ladder must be at most 1e\+15",
    ),
    ({"asked": {"ladder": HUGE + ":2", "size": "48"}}, r"settings must be ones that stylize takes, got: (--)?ladder"),
    ({"asked": {"ladder": "48:" + HUGE}}, r"settings must be ones that stylize takes, got: (--)?ladder"),
    ({"asked": {"style-scale": "100000"}}, r"style must hold at most 300,000,000 pixels, got "),
    ({"asked": {"style-scale": "1e30"}}, r"style must hold at most 300,000,000 pixels, got "),
    (
        {"asked": {"style-scale": "1e308"}},
        r"settings must be ones that stylize takes, got: (--)?style-scale must be at most",
    ),
    ({"asked": {"style-size": "999999"}}, r"style must hold at most 300,000,000 pixels, got "),
    (
        {"asked": {"style-size": HUGE}},
        r"settings must be ones that stylize takes, got: (--)?style-size must be",
    ),
    (
        {"asked": {"fast-first": HUGE}},
        r"settings must be ones that stylize takes, got: (--)?fast-first must be",
    ),
    ({"asked": {"max-memory": "100kB"}}, r"memory must be at least "),
    ({"turns": [[0, {"mix": []}]]}, r"mix must be "),
    ({"turns": [[0, {"mix": [1.0, 1.0]}]]}, r"mix must be "),
    ({"turns": [[0, {"mix": [0.0]}]]}, r"mix must be "),
    ({"turns": [[0, {"rate": 2.0}]], "asked": {"optimizer": "lbfgs"}}, r"(rate|learning.rate) must "),
    ({"turns": [[0, {"strength": -1}]]}, r"settings must hold only what a run writes, got 'turns'"),
]


@pytest.mark.parametrize(("changed", "said"), REFUSED, ids=range(len(REFUSED)))
def test_a_hostile_record_ends_on_one_line_and_writes_nothing(forged, again, tmp_path, studio, changed, said):
    path = forged(**changed)
    before = {p: p.read_bytes() for root in (tmp_path, studio) for p in root.rglob("*") if p.is_file()}
    code, err, _ = again(path)
    assert code == 1
    assert "Traceback" not in err
    *_, line = err.splitlines()
    assert sum(text.startswith("nst-jax: ") for text in err.splitlines()) == 1
    assert line.isprintable()
    assert len(line) < 600
    assert re.match(said, line.removeprefix("nst-jax: ").removeprefix("--")), line
    assert {p: p.read_bytes() for root in (tmp_path, studio) for p in root.rglob("*") if p.is_file()} == before
