"""Results that know how they were made: what is stored, shown and made again, and records from strangers."""

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

import nst_jax
from nst_jax import cli
from nst_jax.cli import follow
from nst_jax.network import vgg19
from nst_jax.orders import record as runs
from nst_jax.painting import budget
from nst_jax.pictures import images, metadata, samples
from nst_jax.pictures.images import Extras

FEW = ("--style-layers", "relu1_1:1,relu2_1:1", "--content-layers", "relu1_2:1")  # what is quick to compile
BRIEF = ("--recipe", "gatys-notebook", "--ladder", "48", "--optimizer", "adam", *FEW, "--steps", "2")
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
def paint(run, tmp_path):
    """Paints two steps with the narrow network: the result's path."""

    def call(*flags, styles=("night.png",), out="result.png", more=BRIEF):
        path = tmp_path / out
        code, _, err = run("stylize", "town.png", *styles, "-o", path, "--weights", "narrow.h5", *more, *flags)
        assert code == 0, err
        return path

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
    """Writes a picture whose record a stranger has changed; `text` in place of all of it."""

    def call(text=None, *, flags=(), **changed):
        path = tmp_path / "forged.png"
        record = json.loads(runs.text(sound(studio))) | changed
        record["flags"] = record["flags"] | dict(flags) if isinstance(record["flags"], dict) else record["flags"]
        text = json.dumps({k: v for k, v in record.items() if v is not None}) if text is None else text
        images.save(path, np.full((16, 16, 3), 0.5), extras=Extras(text=text))
        return path

    return call


def sound(studio):
    """A record as a run writes it."""
    files = {"content": [studio / "town.png"], "style": [studio / "night.png"]}
    return {
        "versions": runs.versions(),
        "device": follow.device(),
        "network": {"sha256": vgg19.info(studio / "narrow.h5")["sha256"], "source": "a test"},
        "recipe": "gatys-notebook",
        "flags": {"ladder": "48", "optimizer": "adam", "steps": "2", "style-layers": "relu1_1:1.0"},
        "settings": {"settings": {}},
        "ladder": [[64, 48, 2]],
        "seed": 0,
        "steps": 2,
        "inputs": {kind: runs.files(paths) for kind, paths in files.items()},
        "terms": {"content/relu4_2": 0.5},
    }


def levels(path):
    """A picture's levels as they are in the file."""
    with Image.open(path) as im:
        return np.asarray(im)


# What is stored


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_everything_that_made_a_picture_is_stored_in_it(paint, studio, suffix):
    flags = ("--seed", "7", "--strength", "0.4", "--init", "mix:0.25", "--keep", "clamped,best")
    path = paint(*flags, out=f"result{suffix}")
    record = json.loads(metadata.read(path))
    assert record == runs.parsed(metadata.read(path))
    assert record.keys() == runs.KEYS.keys()
    assert record["versions"]["nst_jax"] == nst_jax.__version__
    assert record["versions"]["jax"] == jax.__version__
    assert record["device"] == follow.device()
    sha = vgg19.info(studio / "narrow.h5")["sha256"]
    assert record["network"] == {"sha256": sha, "source": "a test", "family": "unknown", "precision": "float32"}
    assert record["recipe"] == "gatys-notebook"
    assert record["seed"] == 7
    assert record["ladder"] == [[64, 48, 2]]
    assert record["steps"] == 2
    expected = {"seed": "7", "strength": "0.4", "init": "mix:0.25", "keep": "clamped,best", "steps": "2"}
    expected |= {"ladder": "48", "optimizer": "adam", "style-layers": "relu1_1:1.0,relu2_1:1.0"}
    assert expected.items() <= record["flags"].items()
    assert record["flags"].keys() <= set(runs.FLAGS)
    assert record["settings"]["optimizer"] == "adam"
    digest = hashlib.sha256((studio / "town.png").read_bytes()).hexdigest()
    assert record["inputs"]["content"] == [{"name": "town.png", "sha256": digest}]
    assert [entry["name"] for entry in record["inputs"]["style"]] == ["night.png"]
    assert record["terms"].keys() == {"content/relu1_2", "style/relu1_1", "style/relu2_1", "variation"}
    assert all(np.isfinite(value) for value in record["terms"].values())


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_nothing_else_is_stored(paint, studio, tmp_path, suffix):
    """Neither in the record nor anywhere: no path, no user, no host; not of masks, starts, logs or weights either."""
    flags = ("--mask", studio / "left.png", "--init", studio / "bright.png", "--log", tmp_path / "log.jsonl")
    path = paint(*flags, "--weights", studio / "narrow.h5", out=f"result{suffix}")
    words = {str(studio), str(tmp_path), "unusualfolder", str(pathlib.Path.home()), os.getcwd(), socket.gethostname()}
    words |= {getpass.getuser(), os.path.dirname(nst_jax.__file__)}
    data, text = path.read_bytes(), metadata.read(path)
    for word in (word for word in words if len(word) > 1):
        assert word.encode() not in data
        assert not re.search(rf"\b{re.escape(word)}\b", text)
    assert "/" not in re.sub(r'"(content|style)/(relu|conv|pool)\d', "", text)
    assert json.loads(text)["inputs"].keys() == {"content", "style", "mask", "init"}


def test_digests_are_of_the_bytes_and_names_are_base_names(tmp_path):
    path = tmp_path / "a\x1b[31m\udcff.png"
    path.write_bytes(b"abc")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, of "abc"
    assert runs.files([path, "-"]) == [{"name": "a?[31m?.png", "sha256": digest}, {"name": "-", "sha256": "-"}]
    assert runs.text(sound_of(runs.files([path])))


def sound_of(files):
    return {"versions": {}, "recipe": "r", "flags": {}, "inputs": {"content": files}}


def test_records_are_bounded():
    record = sound_of([]) | {"device": "x" * 70_000}
    with pytest.raises(ValueError, match="at most 60,000 bytes"):
        runs.text(record)
    with pytest.raises(ValueError, match="at most 60,000 bytes"):
        runs.text(sound_of([]) | {"device": "x" * 58_000}, room=runs.ROOM)
    with pytest.raises(ValueError, match="settings must be at most 60000 bytes, got 60001 in a"):
        runs.parsed(" " * 60_001, name="a")


def test_what_cannot_be_stored_is_refused_before_the_run(run, studio, tmp_path, monkeypatch):
    monkeypatch.setattr("nst_jax.painting.painter.frames", None)
    out = tmp_path / "out.png"
    styles = ["night.png"] * 700
    code, _, err = run("stylize", "town.png", *styles, "-o", out, "--weights", "narrow.h5", *BRIEF)
    assert code == 1
    assert "text to store must take at most 60,000 bytes" in err.splitlines()[-1]
    assert not out.exists()


def test_all_layers_with_weights_fit(paint):
    layers = ",".join(f"{layer}:0.123456789012" for layer in ("relu1_1", "relu1_2", "relu2_1", "pool1", "conv2_2"))
    more = ("--style-layers", ",".join([layers, *(f"relu{b}_{i}:0.12345678" for b in (3, 4, 5) for i in (1, 2, 3, 4))]))
    args = cli.parser().parse_args(["stylize", "a", "b", "-o", "o.png", *more])
    assert len(",".join(args.style_layers)) < runs.VALUE
    from nst_jax.cli import settings

    text = runs.text(sound_of([]) | {"flags": settings.written(args)})
    assert len(runs.parsed(text)["flags"]["style-layers"]) > 300


# Shown


def test_show_prints_it(paint, run):
    path = paint("--seed", "3")
    code, out, err = run("show", path)
    assert (code, err) == (0, "")
    for line in (r"recipe +gatys-notebook", r"  town\.png|name town\.png", r"seed +3", r"  jax +\d", r"  ladder +48"):
        assert re.search(line, out)
    code, out, _ = run("show", path, "--json")
    assert code == 0
    assert json.loads(out) == json.loads(metadata.read(path))


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
    path = paint("--seed", "5", "--init", "noise", "--strength", "0.7", "--keep", "averaged:0.5", "--bits", "16")
    code, err, out = again(path)
    assert code == 0
    assert "changed" not in err
    np.testing.assert_array_equal(images.read(out).image, images.read(path).image)
    assert metadata.read(out) == metadata.read(path)
    code, err, other = again(path, out="other.tif")
    assert code == 0
    np.testing.assert_array_equal(images.read(other).image, images.read(path).image)


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
    flags = ("--colour", "palette:bright.png", "--style-scale", "0.5,0.75", "--mask-weights", "1,2", "--size", "64x40")
    styles = ("wave.png", "night.png")
    path = paint(*files, *flags, "--style-distance", "covariance", styles=styles)
    code, err, out = again(path, *files, "--palette", "bright.png", styles=styles)
    assert code == 0, err
    np.testing.assert_array_equal(levels(out), levels(path))
    assert metadata.read(out) == metadata.read(path)
    moved = tuple("part.png" if f == "-" else "-" if f == "part.png" else f for f in files)
    code, err, _ = again(path, *moved, "--palette", "bright.png", styles=styles, out="b.png")
    assert (code, err) == (1, "nst-jax: style-mask must be the picture that was used, -, got another: part.png\n")
    for missing in ("--mask", "--strength-map", "--init"):
        fewer = [f for i, f in enumerate(files) if missing not in (f, files[i - 1])]
        code, err, _ = again(path, *fewer, "--palette", "bright.png", styles=styles, out="b.png")
        kind = missing[2:]
        assert (code, err) == (1, f"nst-jax: {kind} must be 1 file as in the record, got 0: give each of them\n")


def test_a_plan_for_some_minutes_is_followed_again(paint, again, monkeypatch):
    monkeypatch.setattr(budget, "measured", lambda params, job: budget.Cost(0.1, 0.0, 0.5 / 48 / 64))
    more = ("--recipe", "gatys-notebook", "--ladder", "32,48", "--optimizer", "adam", *FEW)
    path = paint("--minutes", "0.35", more=more)
    record = json.loads(metadata.read(path))
    monkeypatch.setattr(budget, "measured", None)  # nothing is timed again
    code, err, out = again(path)
    assert code == 0, err
    np.testing.assert_array_equal(levels(out), levels(path))
    assert json.loads(metadata.read(out))["ladder"] == record["ladder"]
    assert len(record["ladder"]) == 2


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
    assert json.loads(metadata.read(path))["flags"]["keep-metadata"] == "yes"
    code, err, out = again(path, content=content, styles=("wave.png",))
    assert (code, b"Ada" in out.read_bytes()) == (0, False)
    assert err == "changed:  profile and EXIF were kept, are left out: --keep-metadata keeps them\n"
    code, err, out = again(path, "--keep-metadata", content=content, styles=("wave.png",))
    assert (code, err) == (0, "")
    assert out.read_bytes() == path.read_bytes()


def test_a_changed_version_device_or_network_is_said(forged, run, again, studio, monkeypatch):
    monkeypatch.setattr("nst_jax.cli.stylize.run", lambda args: 0)
    assert again(forged())[:2] == (0, "")
    old = runs.versions() | {"jax": "0.1.2\x1b[31m"}
    code, err, _ = again(forged(versions=old, device="tpu (TPU v9)"), weights="other.h5")
    assert code == 0
    jax_line, device, network = err.splitlines()
    assert jax_line == f"changed:  jax was 0.1.2?[31m, is {jax.__version__}: the picture may differ"
    assert device == f"changed:  device was tpu (TPU v9), is {follow.device()}: the picture may differ"
    assert network.startswith("changed:  network was ")
    code, err, _ = again(forged(ladder=[[64, 48, 90]], steps=40))
    assert err.startswith("changed:  the run was stopped after 40 of 90 steps, is done whole")


def test_other_inputs_are_refused(forged, again):
    for flags, said in [
        ({"content": "bright.png"}, "content must be the picture that was used, town.png, got another: bright.png"),
        ({"styles": ("wave.png",)}, "style must be the picture that was used, night.png, got another: wave.png"),
        ({"styles": ("night.png", "wave.png")}, "style must be 1 file as in the record, got 2: give each of them"),
        ({"content": "none.png"}, "content must be an existing file, got 'none.png': check its name"),
    ]:
        code, err, out = again(forged(), **flags)
        assert (code, err) == (1, f"nst-jax: {said}\n")
        assert not out.exists()
    assert again(forged(), "--mask", "left.png")[1].startswith("nst-jax: mask must be 0 files as in the record, got 1")
    assert again("town.png")[1].startswith("nst-jax: result must hold its settings, got none in town.png")


def test_the_result_itself_is_not_written_over(forged, again):
    path = forged()
    before = path.read_bytes()
    code, err, _ = again(path, out="forged.png")
    assert code == 1
    assert "output must not be the result itself" in err
    assert again(path, "--log", path)[0] == 1
    assert path.read_bytes() == before


# Records from strangers

DEEP = "[" * 400 + "]" * 400
HOSTILE = [
    ({"text": "no json"}, r"settings must be of format 'nst_jax run 1', got something else"),
    ({"text": "[]"}, r"settings must be of format"),
    ({"text": '{"format": "nst_jax run 2"}'}, r"settings must be of format"),
    ({"text": "[" * 25_000}, r"settings must be of format"),
    ({"text": '{"format": "nst_jax run 1", "seed": ' + "9" * 5000 + "}"}, r"settings must be of format"),
    ({"text": '{"format": "nst_jax run 1", "seed": NaN}'}, r"settings must be of format"),
    ({"text": '{"format": "nst_jax run 1"}'}, r"settings must hold versions, .*, got no versions"),
    ({"recipe": None}, r"settings must hold .*, got no recipe"),
    ({"inputs": None}, r"settings must hold .*, got no inputs"),
    ({"output": "/tmp/x"}, r"settings must hold only what a run writes, got 'output'"),
    ({"\x1b[31m": "x"}, r"settings must hold only what a run writes, got '\\x1b\[31m'"),
    ({"recipe": 3}, r"settings must hold only what a run writes, got 'recipe'"),
    ({"seed": True}, r"settings must hold only what a run writes, got 'seed'"),
    ({"seed": -1}, r"settings must hold only what a run writes, got 'seed'"),
    ({"seed": 10**400}, r"settings must hold only what a run writes, got 'seed'"),
    ({"steps": -5}, r"settings must hold only what a run writes, got 'steps'"),
    ({"ladder": [[64, 48, -2]]}, r"settings must hold only what a run writes, got 'ladder'"),
    ({"ladder": [[64, 48]]}, r"settings must hold only what a run writes, got 'ladder'"),
    ({"ladder": [[64, 48, "9"]]}, r"settings must hold only what a run writes, got 'ladder'"),
    ({"terms": {"a": "b"}}, r"settings must hold only what a run writes, got 'terms'"),
    ({"terms": {"a": float("nan")}}, r"settings must be of format"),
    ({"settings": {"a": json.loads(DEEP)}}, r"settings must hold only what a run writes, got 'settings'"),
    ({"versions": {"a": json.loads(DEEP)}}, r"settings must hold only what a run writes, got 'versions'"),
    ({"text": '{"format": "nst_jax run 1", "flags": []}'}, r"settings must hold only what a run writes, got 'flags'"),
    ({"inputs": {"weights": []}}, r"inputs must be names and digests, got 'weights'"),
    ({"inputs": {"content": "town.png"}}, r"inputs must be names and digests, got 'content'"),
    ({"inputs": {"content": [{"name": "/etc/passwd"}]}}, r"inputs must be names and digests, got 'content'"),
    ({"inputs": {}}, r"(mask|content|style) must be 0 files as in the record, got 1"),
    ({"recipe": "gatys-notebook --log=x"}, r"settings must be ones that stylize takes, got: argument --recipe: "),
    ({"recipe": "/etc/passwd"}, r"settings must be ones that stylize takes, got: argument --recipe: "),
]
FLAGS = [
    ("output", "/tmp/evil.png", r"settings must hold only flags of stylize, got 'output'"),
    ("log", "evil", r"settings must hold only flags of stylize, got 'log'"),
    ("weights", "evil.h5", r"settings must hold only flags of stylize, got 'weights'"),
    ("mask", "left.png", r"settings must hold only flags of stylize, got 'mask'"),
    ("folder", "evil", r"settings must hold only flags of stylize, got 'folder'"),
    ("size=32 --log", "evil", r"settings must hold only flags of stylize, got 'size=32 --log'"),
    ("size", 32, r"settings must hold only flags of stylize, got 'size'"),
    ("size", "3" * 2001, r"settings must hold only flags of stylize, got 'size'"),
    ("size", "999999", r"picture must hold at most 300,000,000 pixels, got 1333332×999999"),
    ("size", "32 --log=evil", r"settings must be ones that stylize takes, got: argument --size: must be N or"),
    ("size", "--output=evil.png", r"settings must be ones that stylize takes, got: argument --size"),
    ("size", "32\n--log=evil", r"settings must be ones that stylize takes, got: argument --size"),
    ("colour", "palette:/etc/passwd", r"settings must name no files, which are given anew, got colour 'pal"),
    ("colour", "palette", r"settings must be ones that go together, got a palette without its colours"),
    ("init", "/etc/passwd", r"settings must name no files, which are given anew, got init '/etc/passwd'"),
    ("init", "night.png", r"settings must name no files, which are given anew, got init 'night\.png'"),
    ("init", "noise:/etc/passwd", r"settings must be ones that stylize takes, got: argument --init: "),
    ("strength", "nan", r"settings must be ones that stylize takes, got: argument --strength: "),
    ("style-weight", "-1", r"settings must be ones that stylize takes, got: argument --style-weight: "),
    ("style-weight", "1e999", r"settings must be ones that stylize takes, got: argument --style-weight: "),
    ("learning-rate", "inf", r"settings must be ones that stylize takes, got: argument --learning-rate: "),
    ("seed", "\x1b[31m", r"settings must be ones that stylize takes, got: argument --seed: must be .*'\\x1b\[31m'"),
    ("steps", "999999999", r"settings must ask for at most 1000000 steps, got 999999999"),
    ("ladder", "32:999999999,48", r"settings must ask for at most 1000000 steps, got 999999999"),
    ("memory", "1000000", r"settings must ask for at most 1000 memory, got 1000000"),
    ("style-scale", "100000", r"style must hold at most 300,000,000 pixels, got "),
    ("style-size", "999999", r"style must hold at most 300,000,000 pixels, got "),
    ("style-mix", "1,2", r"settings must be ones that go together, got: --style-mix must have 1 value, got 2"),
    ("mask-weights", "2", r"settings must be ones that go together, got: --mask-weights must go with --mask"),
    ("b1", "0.5", None),
    ("keep-metadata", "yes", None),
]  # fmt: skip


@pytest.fixture
def refused(again, forged, tmp_path, studio):
    """Asserts that a forged record is refused on one line and nothing is written; gives that line."""

    def call(**changed):
        path = forged(**changed)
        before = {p: p.read_bytes() for root in (tmp_path, studio) for p in root.rglob("*") if p.is_file()}
        code, err, _ = again(path)
        assert code == 1
        assert "Traceback" not in err
        lines = [line for line in err.splitlines() if not line.startswith("changed:")]
        assert len(lines) == 1
        assert lines[0].isprintable()
        assert len(lines[0]) < 600
        assert {p: p.read_bytes() for root in (tmp_path, studio) for p in root.rglob("*") if p.is_file()} == before
        return lines[0].removeprefix("nst-jax: ")

    return call


@pytest.mark.parametrize(("changed", "said"), HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_records(refused, changed, said):
    assert re.match(said, refused(**changed))


@pytest.mark.parametrize(("flag", "value", "said"), FLAGS, ids=range(len(FLAGS)))
def test_hostile_flags(refused, forged, again, monkeypatch, flag, value, said):
    if said is not None:
        assert re.match(said, refused(flags={flag: value}))
        return
    seen = []  # these are as good as any
    monkeypatch.setattr("nst_jax.cli.stylize.run", lambda args: seen.append(args) or 0)
    assert again(forged(flags={flag: value}))[0] == 0
    assert not seen[0].keep_metadata


def test_hostile_base_names(refused):
    """They are only ever words of a message."""
    entry = {"name": "\x1b[31m/etc/passwd" + "x" * 1000, "sha256": "0" * 64}
    said = r"content must be the picture that was used, \?\[31m/etc/passwdx+, got another: town\.png$"
    assert re.match(said, refused(inputs={"content": [entry], "style": []}))


def test_every_flag_of_a_record_is_one_of_stylize():
    help_ = cli.parser().parse_args(["stylize", "a", "b", "-o", "o.png"])
    assert all(hasattr(help_, flag.replace("-", "_")) for flag in runs.FLAGS)
    files = {"output", "log", "weights", "mask", "style-mask", "strength-map", "folder", "minutes", "max-pixels"}
    assert not files & set(runs.FLAGS)
