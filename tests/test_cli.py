"""The command line as its user meets it: what it does, what it says, what it refuses and leaves alone."""

import contextlib
import json
import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import sys
import time

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import nst_jax
from nst_jax import cli, recipes
from nst_jax.cli import doctor, flags, progress, stylize
from nst_jax.network import vgg19
from nst_jax.orders import compose, customise, record, watchers, words, workshop
from nst_jax.orders.order import Order
from nst_jax.painting import job as jobs
from nst_jax.painting import painter
from nst_jax.painting.runs import Frame
from nst_jax.pictures import images, kinds, metadata, samples

pytestmark = pytest.mark.usefixtures("quick_compiler")

ROOT = pathlib.Path(__file__).parents[1]
RECIPE = "gatys-notebook"  # names the short edge; --ladder: one size instead of its two
QUICK = ("--recipe", RECIPE, "--ladder", "48", "--optimizer", "adam")
STILL = (*QUICK, "--steps", "1", "--learning-rate", "1e-9")  # a run that shows where it started


@pytest.fixture(scope="session")
def studio(tmp_path_factory):
    """A folder of inputs, good and bad: two pictures of exactly the size asked for, a narrow network."""
    folder = tmp_path_factory.mktemp("studio")
    images.save(folder / "town.png", samples.draw("skyline", (48, 64)))
    images.save(folder / "night.png", samples.draw("mosaic", (48, 60)))
    images.save(folder / "small.png", np.full((15, 40, 3), 0.5))
    whole = (folder / "town.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.png").touch()
    (folder / "text.png").write_text("no picture")
    params = vgg19.init(jax.random.key(0), widths=(4,) * 5)
    vgg19.save(folder / "narrow.h5", params, source="a test")
    vgg19.save(folder / "other.h5", vgg19.init(jax.random.key(1), widths=(4,) * 5), source="another test")
    vgg19.save(folder / "nan.h5", params | {"conv2_1": {k: v * jnp.nan for k, v in params["conv2_1"].items()}})
    whole = (folder / "narrow.h5").read_bytes()
    (folder / "cut.h5").write_bytes(whole[: len(whole) // 2])
    with h5py.File(folder / "foreign.h5", "w") as file:
        file["dense"] = np.zeros(3)
    return folder


@pytest.fixture
def run(command, monkeypatch, tmp_path):
    """Runs a command in an empty folder: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    return command


@pytest.fixture
def paint(run, studio):
    """Runs `stylize` with the narrow network; `-o out.png` unless said otherwise."""

    def call(*flags, content="town.png", style="night.png", out="out.png"):
        return run("stylize", studio / content, studio / style, "-o", out, "--weights", studio / "narrow.h5", *flags)

    return call


def opened(path):
    """A picture file's levels as they are."""
    with Image.open(path) as im:
        return np.asarray(im).astype(int)


def asked(*given, content="town.png", style="night.png"):
    """The order that flags ask `stylize` for."""
    argv = ["stylize", content, style, "-o", "out.png", "--recipe", RECIPE, *given]
    return flags.order(cli.parser().parse_args(list(map(str, argv))))


def customised(*given):
    """The recipe that flags make."""
    return customise.recipe_of(asked(*given))


def weights(*given):
    """The weights that flags make of the recipe's, at some size."""
    order = asked(*given)
    return customise.recipe_of(order).with_turn(customise.turn_of(order)).weights((48, 64))


@pytest.fixture
def started_at(studio):
    """The levels of the picture that a run with these flags starts from."""

    def call(*given):
        order = asked("--ladder", "48", *given, content=studio / "town.png", style=studio / "night.png")
        job = compose.task(order).job
        return np.asarray(jobs.first_picture(job, *jobs.pictures_at(job, job.shape))) * 255

    return call


# What a run does and says


def test_paints_says_where_and_with_what_and_logs(paint, studio):
    code, out, err = paint(*QUICK, "--steps", "25", "--log", "run.jsonl")
    assert code == 0
    assert re.fullmatch(r"out\.png: painted in 25 steps, \d+ s\n", out)
    said = vgg19.info(studio / "narrow.h5")
    assert f"device:   {jax.devices()[0].platform} (" in err
    assert f"network:  float32, from a test, sha256 {said['sha256'][:12]}" in err
    assert "size:     64×48" in err
    assert "scaled up" not in err
    assert opened("out.png").shape == (48, 64, 3)
    assert f"recipe:   {RECIPE}\n" in err
    head, *rows = map(json.loads, pathlib.Path("run.jsonl").read_text().splitlines())
    assert head["network"]["sha256"] == said["sha256"]
    assert head["device"].startswith(jax.devices()[0].platform)
    [stage] = head["stages"]
    assert (stage["size"], stage["steps"], stage.keys()) == ([64, 48], 25, {"size", "steps", "plan"})
    known = {"recipe": RECIPE, "steps": "25", "ladder": "48", "optimizer": "adam"}
    assert head["order"] == known
    assert head["versions"]["jax"] == jax.__version__
    assert [file["name"] for file in head["inputs"]["style"]] == ["night.png"]
    assert head["settings"]["content"].keys() == {"relu4_2"}
    assert [row["step"] for row in rows] == [10, 20, 25]
    assert all({"content/relu4_2", "style/relu1_1", "variation", "seconds"} <= row.keys() for row in rows)
    assert rows[-1]["style/relu1_1"] < rows[0]["style/relu1_1"]
    stored = record.parse(metadata.read("out.png"))
    assert (stored.steps, stored.terms["style/relu1_1"]) == (25, rows[-1]["style/relu1_1"])
    assert {key: head[key] for key in ("order", "inputs", "network", "settings", "stages")} == {
        key: getattr(stored, key) for key in ("order", "inputs", "network", "settings", "stages")
    }


def test_steps_and_recipe_are_those_asked_for(studio):
    assert customised("--steps", "3").steps(512) == 3
    assert customised().name == RECIPE
    plain = flags.order(cli.parser().parse_args(["stylize", "a", "b", "-o", "o.png"]))
    assert plain == Order().with_values(content="a", style=("b",))
    assert customise.recipe_of(plain) == recipes.get(recipes.DEFAULT)


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [
        (".png", "PNG"),
        (".jpg", "JPEG"),
        (".JPEG", "JPEG"),
        (".webp", "WEBP"),
        (".tif", "TIFF"),
        (".tiff", "TIFF"),
        (".bmp", "BMP"),
    ],
)
def test_suffix_chooses_the_format(tmp_path, suffix, kind):
    """Of a picture that a run leaves; it says what made it wherever its kind of file can."""
    made = record.Record({"recipe": RECIPE}, record.versions(), {})
    flags.picture(path := str(tmp_path / f"out{suffix}"))
    workshop.Result(made, samples.draw("skyline", (48, 64)), images.Extras()).save(path)
    with Image.open(path) as im:
        assert im.format == kind
        assert im.size == (64, 48)
    if suffix.lower() in kinds.holding("text"):
        assert record.parse(metadata.read(path)) == made


def test_one_edge_is_the_recipes(studio):
    """The short one here; the style follows the same rule, and scaling up is said of each."""
    files = {"content": studio / "town.png", "style": studio / "night.png"}
    task = compose.task(asked("--ladder", "48", "--size", "60", **files))
    assert task.shape == (60, 80)
    assert task.notes == ("content: scaled up from 64×48 to 80×60", "style: scaled up from 60×48 to 75×60")
    assert compose.task(asked("--ladder", "48", **files)).notes == ()


def test_width_and_height_are_exact_by_cropping(started_at, studio):
    middle = images.load(studio / "town.png")[:, 16:48]
    np.testing.assert_allclose(started_at("--size", "32x48"), middle * 255, atol=1)


def test_starts(started_at, studio):
    town, night = images.load(studio / "town.png") * 255, images.load(studio / "night.png") * 255
    kinds = ("content", "noise", "style", "statistics", "mix:0.25", studio / "night.png")
    shown = {str(start): started_at("--init", start) for start in kinds}
    np.testing.assert_allclose(shown["content"], town, atol=1e-3)
    np.testing.assert_allclose(shown["mix:0.25"], 0.25 * shown["noise"] + 0.75 * town, atol=0.01)
    np.testing.assert_allclose(shown["statistics"].mean((0, 1)), night.mean((0, 1)), atol=12)
    np.testing.assert_allclose(shown["noise"].mean((0, 1)), 255 * np.array(vgg19.MEAN), atol=4)
    cut = images.load(studio / "night.png", size=(48, 64)).clip(0, 1) * 255
    np.testing.assert_allclose(shown[str(studio / "night.png")].clip(0, 255), cut, atol=0.01)
    assert np.abs(shown["style"] - cut).mean() < 12  # by another resampling


def test_a_run_starts_from_there(paint, started_at):
    assert paint(*STILL, "--init", "noise", "--seed", "7")[0] == 0
    np.testing.assert_allclose(opened("out.png"), started_at("--init", "noise", "--seed", "7").clip(0, 255), atol=1)


def test_seed_makes_the_noise(started_at):
    shown = [started_at("--init", "noise", "--seed", seed) for seed in ("1", "1", "4294967295")]
    np.testing.assert_array_equal(shown[0], shown[1])
    assert np.abs(shown[0] - shown[2]).mean() > 10


def test_weights_are_those_of_the_file(paint, studio):
    paint(*QUICK, "--steps", "5")
    first = opened("out.png")
    code, _, err = paint(*QUICK, "--steps", "5", "--weights", studio / "other.h5")
    assert code == 0
    assert "network:  float32, from another test" in err
    assert np.abs(opened("out.png") - first).max() > 2


@pytest.mark.parametrize(
    ("every", "steps", "names"),
    [
        (7, 23, ["07.png", "14.png", "21.png"]),
        (11, 30, ["11.png", "22.png"]),
        (25, 100, ["025.png", "050.png", "075.png", "100.png"]),
        (4, 9, ["4.png", "8.png"]),
        (50, 40, []),
    ],
)
def test_pictures_on_the_way(tmp_path, every, steps, names):
    stored = watchers.Stored(tmp_path / "way" / "there", every)
    stored.begin(watchers.Start(*unpainted(steps)))
    for step in (*range(1, steps), steps):
        stored.see(shown(step))
        stored.see(shown(step, fixed=False))
    assert sorted(os.listdir(tmp_path / "way" / "there")) == names


def unpainted(steps):
    """A task and its record, as far as watchers look at them."""
    task = compose.Task(Order(), None, lambda image: image, images.Extras(), {})  # type: ignore[arg-type]
    return task, record.Record({"recipe": RECIPE}, {}, {}, stages=[{"size": [64, 48], "steps": steps}])


def shown(step, loss=1.0, *, fixed=True, size=16):
    """A frame, as far as watchers look at it."""
    terms = {"content/relu4_2": loss, "style/relu1_1": 2.0}
    return Frame(step, np.zeros((size, size, 3)), terms, None, fixed=fixed)


def test_pictures_on_the_way_of_several_sizes(paint):
    more = ("--ladder", "32:16,48:7", "--save-every", "7", "--folder", "way/there")
    assert paint(*QUICK, *more)[0] == 0
    assert sorted(os.listdir("way/there")) == ["07.png", "14.png", "21.png"]
    assert [opened(f"way/there/{name}.png").shape for name in ("07", "21")] == [(32, 43, 3), (48, 64, 3)]


def test_pictures_on_the_way_of_a_recipe_with_more_sizes_than_steps(paint):
    few = ("--style-layers", "relu1_1", "--content-layers", "relu2_1", "--style-distance", "gram", "--keep", "none")
    assert paint(*few, "--size", "40", "--steps", "3", "--save-every", "1")[0] == 0
    assert sorted(os.listdir("out-steps")) == ["1.png", "2.png", "3.png"]


def test_a_picture_on_the_way_is_that_of_a_shorter_run(paint):
    paint(*QUICK, "--steps", "15", "--save-every", "11", out="long.png")
    paint(*QUICK, "--steps", "11", out="short.png")
    assert os.listdir("long-steps") == ["11.png"]
    np.testing.assert_allclose(opened("long-steps/11.png"), opened("short.png"), atol=1)


def test_plain_lines_are_few_and_show_the_pace(capsys):
    with progress.show_steps(600) as show:
        for step in range(5, 601, 5):
            show(step, shown(step, loss=600 / step, fixed=step % 10 == 0))
    lines = capsys.readouterr().err.splitlines()
    assert 21 <= len(lines) <= 23
    assert lines[0] == "compiling"
    assert re.fullmatch("compiled in [0-9]+ s, the first steps among it", lines[1])
    assert re.fullmatch("step 10/600  content 60  style 2(  .* left)?", lines[2])
    assert re.fullmatch(r"step 600/600  content 1  style 2  \S+ steps/s  0:00 left", lines[-1])


# Flags of the recipe


def test_weights_are_multiplied():
    base = weights()
    assert base == recipes.get(RECIPE).weights((48, 64))
    more = weights("--content-weight", "3", "--style-weight", "0.5")
    assert more.content == pytest.approx({k: 3 * v for k, v in base.content.items()})
    assert more.style == pytest.approx({k: v / 2 for k, v in base.style.items()})
    assert weights("--tv-weight", "2.5").variation == 2.5


def test_layers_with_and_without_weights():
    base = weights()
    assert weights("--content-layers", "relu2_2, relu5_2:0.5").content == {"relu2_2": 1, "relu5_2": 0.5}
    assert weights("--content-layers", "block4_conv2").content == base.content
    assert weights("--style-layers", "block1_conv1,pool3:2").style == {
        "relu1_1": base.style["relu1_1"],
        "pool3": 2.0,
    }
    both = weights("--content-layers", "relu4_2:4", "--content-weight", "0.5")
    assert both.content == {"relu4_2": 2.0}


def test_layers_are_those_that_are_painted_after(paint):
    code, *_ = paint(
        *QUICK, "--steps", "1", "--content-layers", "conv2_2", "--style-layers", "pool1:3", "--pool", "average",
        "--tv-weight", "1", "--log", "l",
    )  # fmt: skip
    record = json.loads(pathlib.Path("l").read_text().splitlines()[1])
    assert code == 0
    assert record.keys() - {"step", "seconds"} == {"content/conv2_2", "style/pool1", "variation"}
    assert record["variation"] > 0


def test_pool_and_start():
    base = recipes.get(RECIPE)
    assert base.pool == "max"
    assert customised("--pool", "average").pool == "average"
    assert base.start == "content"
    assert customised("--init", "noise").start == "noise"


@pytest.mark.parametrize(
    ("optimizer", "flag", "value"),
    [
        ("adam", "learning_rate", 0.5),
        ("adam", "b1", 0.8),
        ("adam", "b2", 0.9),
        ("adam", "eps", 1e-3),
        ("lbfgs", "memory", 7),
        ("lbfgs", "linesearch_steps", 9),
    ],
)
def test_settings_of_the_optimizer(run, optimizer, flag, value):
    name = "--" + flag.replace("_", "-")
    made = customised("--optimizer", optimizer, name, str(value))
    assert made.optimizer == optimizer
    assert made.settings[flag] == value
    jobs.solver(made, jobs.loss(made))  # which takes settings by their names
    other = "lbfgs" if optimizer == "adam" else "adam"
    code, _, err = run("stylize", "town.png", "night.png", "-o", "out.png", "--optimizer", other, name, value)
    assert code == 2
    assert "Traceback" not in err
    [line] = err.splitlines()
    assert line.startswith(f"nst-jax stylize: error: {name} must go with {optimizer}")
    assert line.endswith(f", got {other}: add --optimizer {optimizer} (see nst-jax stylize --help)")


def test_another_optimizer_forgets_the_recipes_settings():
    base = recipes.get(RECIPE)
    other = "adam" if base.optimizer == "lbfgs" else "lbfgs"
    assert base.settings
    assert dict(customised("--optimizer", other).settings) == {}
    assert customised("--optimizer", base.optimizer).settings == base.settings


# Bad input: one line, the right exit code, nothing lost


@pytest.fixture
def refused(run, studio, tmp_path):
    """Asserts that `stylize` refuses, in one line, before anything is written; gives that line."""

    def call(*flags, code, content="town.png", style="night.png", out="out.png"):
        (tmp_path / "out.png").write_bytes(b"mine")
        (tmp_path / "file").write_bytes(b"mine too")
        before = sorted(tmp_path.rglob("*"))
        argv = ("stylize", studio / content, studio / style, "-o", out, "--weights", studio / "narrow.h5")
        got, said, err = run(*argv, *QUICK, "--steps", "2", *(str(flag).format(studio=studio) for flag in flags))
        assert got == code
        assert said == ""
        assert "Traceback" not in err
        assert sorted(tmp_path.rglob("*")) == before
        assert (tmp_path / "out.png").read_bytes() == b"mine"
        assert (tmp_path / "file").read_bytes() == b"mine too"
        [line] = err.splitlines()
        if code == 1:
            assert line.startswith("nst-jax: ")
            return line.removeprefix("nst-jax: ")
        assert line.startswith("nst-jax stylize: error: ")
        assert line.endswith(" (see nst-jax stylize --help)")
        return line.removeprefix("nst-jax stylize: error: ").removesuffix(" (see nst-jax stylize --help)")

    return call


PICTURES = [
    ("missing.png", r"picture must be an existing file, got .*missing\.png.*: check its name"),
    ("empty.png", r"picture must be a file with something in it, got .*empty\.png"),
    ("cut.png", r"picture must be whole, got .*cut\.png"),
    ("text.png", r"file must be a picture .*, got .*text\.png"),
    ("small.png", r"picture must be at least 16 px wide and high, got 40×15 in .*small\.png"),
    (".", r"picture must be a file, got the folder"),
]


@pytest.mark.parametrize(("name", "said"), PICTURES)
@pytest.mark.parametrize("which", ["content", "style", "init"])
def test_bad_pictures(refused, studio, which, name, said):
    if which != "init":
        assert re.match(said, refused(code=1, **{which: name}))
    elif (studio / name).is_file():
        assert re.match(said, refused("--init", studio / name, code=1))
    else:
        assert re.match(r"argument --init: start must be one of content, .*or a picture file", refused(
            "--init", studio / name, code=2
        ))  # fmt: skip


def test_pictures_over_the_limit(refused, paint):
    assert re.match(
        r"picture must hold at most 3,071 pixels, got 3,072 in .*town\.png.*: raise --max-pixels",
        refused("--max-pixels", "3071", code=1),
    )
    said = "picture must hold at most 4,000 pixels, got 133×100: lower --size or raise --max-pixels"
    assert refused("--max-pixels", "4000", "--size", "100", code=1) == said
    assert paint(*STILL, "--max-pixels", "3072")[0] == 0


def test_a_picture_that_its_format_cannot_hold(refused):
    said = refused("--size", "16400x16", code=1, out="out.webp")
    assert said == "picture in .webp must be at most 16383 px long, got 16400×16: write a .png"


@pytest.mark.parametrize(
    ("out", "code", "said"),
    [
        ("no/where/out.png", 1, r"--output must be in an existing folder, got 'no/where/out\.png': make '.*' first"),
        (".", 2, r"argument -o/--output: suffix of '\.' must be one of \.png, "),
        ("folder.png", 1, r"--output must be a file, got the folder 'folder\.png': add a file's name"),
        ("out.xcf", 2, r"argument -o/--output: suffix of 'out\.xcf' must be one of \.png, .*got '\.xcf'"),
        ("out.pmg", 2, r".*got '\.pmg': did you mean \.png\?"),
        ("out", 2, r"argument -o/--output: suffix of 'out' must be one of"),
        ("file/out.png", 1, r"--output must be in a folder, got 'file/out\.png', but '.*file' is none: choose another"),
    ],
)
def test_outputs_that_cannot_be_written(refused, tmp_path, out, code, said):
    (tmp_path / "folder.png").mkdir()
    assert re.match(said, refused(code=code, out=out))


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="a folder in which even root cannot write")
def test_a_folder_that_cannot_be_written(refused, run, studio):
    assert re.match(r"--output must be writable, got '/proc/self/out\.png'", refused(code=1, out="/proc/self/out.png"))
    for more in (("--save-every", "1", "--folder", "/proc/self"), ("--log", "/proc/self/log")):
        argv = ("stylize", studio / "town.png", studio / "night.png", "-o", "new.png")
        code, out, err = run(*argv, "--weights", studio / "narrow.h5", *QUICK, *more)
        assert code == 1
        assert out == ""
        assert len(err.splitlines()) <= 5
        assert "Traceback" not in err
        assert not os.path.exists("new.png")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--log", "no/log"), r"--log must be in an existing folder, got 'no/log': make 'no' first"),
        (("--log", "."), r"--log must be a file, got the folder '\.'"),
        (("--save-every", "1", "--folder", "file"), r"folder must not be a file, got 'file': choose another name"),
        (("--save-every", "1", "--folder", "file/deep"), r"folder must not be a file, got 'file/deep'"),
        (("--weights", "{studio}/none.h5"), r"weights must be a file, got .*none\.h5"),
        (("--weights", "{studio}/cut.h5"), r"weights must be .*, got .*cut\.h5"),
        (("--weights", "{studio}/foreign.h5"), r"weights must be a file of ours, got .*foreign\.h5"),
        (("--weights", "{studio}/town.png"), r"weights must be .*, got .*town\.png"),
        (("--weights", "{studio}/nan.h5"), r".*nan\.h5.*"),
    ],
)
def test_files_that_are_no_good(refused, flags, said):
    assert re.match(said, refused(*flags, code=1))


@pytest.mark.parametrize(
    ("flag", "values", "said"),
    [
        ("--size", ["0", "-5", "8", "nan", "1e3", "0x10", "64x", "64x8", "1x2x3", "", "9" * 5000], "must be N or"),
        ("--steps", ["0", "-1", "x", "1.5", "nan"], "must be a whole number from 1, got"),
        ("--save-every", ["0", "-1", "x"], "must be a whole number from 1, got"),
        ("--max-pixels", ["0", "x"], "must be a whole number from 1, got"),
        ("--memory", ["0", "x"], "must be a whole number from 1, got"),
        ("--content-weight", ["-1", "nan", "inf", "abc", "1e39"], "must be a number from 0 to 1e30, got"),
        ("--style-weight", ["-1", "nan", "inf", "abc"], "must be a number from 0 to 1e30, got"),
        ("--tv-weight", ["-1", "nan", "inf", "abc"], "must be a number from 0 to 1e30, got"),
        ("--learning-rate", ["0", "-1", "nan", "inf", "abc"], "must be a number above 0, got"),
        ("--b1", ["1", "-0.1", "nan"], "must be a number from 0 to below 1, got"),
        ("--seed", ["-1", "x", "4294967296", "0.5"], "must be a whole number from 0 to 4294967295, got"),
        ("--init", ["mix:2", "mix:-1", "mix:nan", "mix:"], "a share of noise from 0 to 1"),
        ("--init", ["contnt"], "got 'contnt': did you mean content?"),
        ("--content-layers", ["relu4_9"], "got 'relu4_9': did you mean relu4_"),
        ("--style-layers", ["block6_conv1"], "got 'block6_conv1': did you mean block"),
        ("--style-layers", ["relu1_1,relu1_1", "relu1_1,block1_conv1"], "must name each layer once, got relu1_1 twice"),
        ("--style-layers", ["relu1_1:-1", "relu1_1:nan", "relu1_1:x"], "must be a number from 0 to 1e30, got"),
        ("--style-layers", ["relu1_1,", "", ":1"], "layer must be one of the network's 37 maps, got ''"),
        ("--recipe", ["gatys-notebok"], "got 'gatys-notebok': did you mean gatys-notebook?"),
        ("--pool", ["mean"], "invalid choice: 'mean'"),
        ("--optimizer", ["adagrad"], "invalid choice: 'adagrad'"),
    ],
)  # fmt: skip
def test_values_that_mean_nothing(refused, flag, values, said):
    for value in values:
        line = refused(flag, value, code=2)
        assert line.startswith(f"argument {flag}: ")
        assert said in line
        assert len(line) < 200 or len(value) > 1000


def test_nothing_to_paint_after(refused):
    zero = ("--content-weight", "0", "--style-weight", "0")
    said = "weights must not all be zero, got nothing to paint after: raise one of them"
    assert refused(*zero, code=2) == said
    assert refused("--content-layers", "relu4_2:0", "--style-layers", "relu1_1:0", code=2) == said
    assert weights(*zero, "--tv-weight", "1").variation == 1


def test_a_folder_for_nothing(refused):
    said = "--folder must go with --save-every, got no --save-every: add --save-every 50"
    assert refused("--folder", "steps", code=2) == said


def test_no_command_and_unknown_ones(run):
    assert run()[0] == 2
    assert run("stylise")[0] == 2
    code, _, err = run(
        "stylize", "a.png", "b.png", "-o", "o.png", "--save", "3"
    )  # no abbreviations: flags may be added
    assert code == 2
    assert err == "nst-jax: error: unrecognized arguments: --save 3 (see nst-jax --help)\n"


@pytest.mark.parametrize(
    "flags",
    [
        ("-o", "town.png"),
        ("-o", "sub/../town.png"),
        ("-o", "link.png"),
        ("-o", "night.png"),
        ("-o", "start.png", "--init", "start.png"),
        ("-o", "out.png", "--log", "town.png"),
        ("-o", "out.png", "--log", "out.png"),
        ("-o", "out.png", "--log", "narrow.h5"),
        ("-o", "out.png", "--init", "steps/2.png", "--save-every", "1", "--folder", "steps"),
        ("-o", "steps/1.png", "--save-every", "1", "--folder", "steps"),
    ],
)
def test_no_input_is_written_over(run, studio, tmp_path, flags):
    (tmp_path / "sub").mkdir()
    (tmp_path / "steps").mkdir()
    for name in ("town.png", "night.png", "narrow.h5"):
        shutil.copy(studio / name, tmp_path)
    for name in ("start.png", "steps/2.png"):
        shutil.copy(studio / "night.png", tmp_path / name)
    (tmp_path / "link.png").symlink_to("town.png")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    code, _, err = run("stylize", "town.png", "night.png", "--weights", "narrow.h5", *QUICK, "--steps", "2", *flags)
    assert code == 1
    assert len(err.splitlines()) == 1
    assert re.match(
        r"nst-jax: --output must not be a file that the run needs, got '.*' twice: choose another name", err
    )
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


# Runs that do not come to their end


@pytest.fixture
def acted(monkeypatch):
    """Has a run show these frames, without painting, and then raise this."""

    def call(frames, error=None):
        def drive(run, controls, **_):
            for one in frames:
                yield None, [one]
            if error is not None:
                raise error

        monkeypatch.setattr(painter, "start", lambda *_, **__: None)
        monkeypatch.setattr(workshop, "paint_in_chunks", drive)

    return call


def test_a_loss_that_is_lost_ends_the_run_at_the_last_good_picture(paint, acted):
    acted([shown(10), shown(20, np.nan)])
    code, out, err = paint(*QUICK, "--steps", "30", "--log", "log")
    said = "loss must stay finite, got nan of content/relu4_2 at step 20: lower --learning-rate"
    assert (code, out) == (1, "")
    assert err.splitlines()[-1] == f"nst-jax: {said}; the picture after 10 steps is in out.png"
    assert [json.loads(line)["step"] for line in pathlib.Path("log").read_text().splitlines()[1:]] == [10]
    acted([shown(10, np.inf)])
    code, _, err = paint(*QUICK, "--steps", "30", out="new.png")
    said = "nst-jax: loss must stay finite, got inf of content/relu4_2 at step 10: lower --learning-rate"
    assert (code, err.splitlines()[-1], os.path.exists("new.png")) == (1, said, False)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (OSError("No space left on device"), 1, "No space left on device"),
        (KeyboardInterrupt(), 130, "stopped"),
        (progress.Terminated(), 143, "stopped"),
        (MemoryError(), 1, "the run must fit into memory: choose a smaller --size"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory"), 1, "the run must fit into memory: choose a smaller --size"),
    ],
)
def test_what_was_painted_is_saved(paint, acted, error, code, said):
    acted([shown(10, size=20), shown(20, size=20)], error)
    got, out, err = paint(*QUICK, "--steps", "40")
    assert got == code
    assert out == ""
    assert err.splitlines()[-1] == f"nst-jax: {said}; the picture after 20 steps is in out.png"
    assert opened("out.png").shape == (48, 64, 3)
    assert record.parse(metadata.read("out.png")).steps == 20


def test_a_mistake_of_ours_is_not_hidden(run, monkeypatch):
    monkeypatch.setattr(doctor, "run", lambda args: {}["missing"])
    with pytest.raises(KeyError):
        run("doctor")


def environment(**more):
    """Ours, for a subprocess that finds this package and counts 100 columns."""
    path = os.pathsep.join(filter(None, [str(pathlib.Path(nst_jax.__file__).parents[1]), os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": path, "COLUMNS": "100", "TERM": "xterm"} | more


# A shell without job control starts what runs in its background deaf to Ctrl-C, and so all that this starts.
HEARS = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from nst_jax.cli import main
sys.exit(main())
"""


def started(studio, tmp_path, *flags, **options):
    """A `stylize` in a process of its own, whose stderr is read line by line."""
    argv = [sys.executable, "-c", HEARS, "stylize", studio / "town.png", studio / "night.png", "-o", "out.png"]
    argv += ["--weights", studio / "narrow.h5", *QUICK, *flags]
    return subprocess.Popen(argv, cwd=tmp_path, env=environment(), text=True, **options)


def interrupted(process, sign, number=signal.SIGINT):
    """Sends a signal, Ctrl-C's, once a line of stderr begins with this: (exit code, stdout, stderr from there on)."""
    try:
        for line in process.stderr:
            if line.startswith(sign):
                break
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, out, err


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_the_picture_as_it_is(studio, tmp_path, number, expected):
    more = ("--steps", "20000", "--log", "run.jsonl")
    process = started(studio, tmp_path, *more, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    code, out, err = interrupted(process, "step 10/", number)
    assert code == expected
    assert out == ""
    assert "Traceback" not in err
    last = [line for line in err.splitlines() if not line.startswith("step ")]
    assert len(last) == 1
    assert re.fullmatch(r"nst-jax: stopped; the picture after \d+ steps is in out\.png", last[0])
    assert opened(tmp_path / "out.png").shape == (48, 64, 3)
    assert sorted(os.listdir(tmp_path)) == ["out.png", "run.jsonl"]
    *_, final = map(json.loads, (tmp_path / "run.jsonl").read_text().splitlines())
    steps = int(re.findall(r"after (\d+) steps", last[0])[0])
    assert steps == final["step"] == record.parse(metadata.read(tmp_path / "out.png")).steps >= 10


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_before_the_first_picture(studio, tmp_path, number, expected):
    process = started(studio, tmp_path, "--steps", "20000", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    code, out, err = interrupted(process, "network:", number)
    assert (code, out) == (expected, "")
    last = err.splitlines()[-1]
    if os.listdir(tmp_path):  # it was heard between two chunks only: what it raised was lost in a callback of Python's
        assert re.fullmatch(r"nst-jax: stopped; the picture after [0-9]+ steps is in \S+", last)
    else:
        assert last == "nst-jax: stopped before the first steps: no picture is written"


def test_a_signal_whose_exception_is_lost_stops_a_run_all_the_same():
    """Python drops what is raised in a callback of its garbage collector: a run went on to its end."""
    controls = workshop.Controls()
    with progress.stop_on_signals(controls) as stopped:
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        assert controls.stop.is_set()
        assert isinstance(stopped.error, progress.Terminated)


@pytest.mark.parametrize("kind", ["full", "gone"])
def test_a_picture_that_can_not_be_saved_where_it_was_to_is_saved_elsewhere(kind, tmp_path, monkeypatch, capsys):
    home, out = tmp_path / "home", tmp_path / "out"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    places = []

    class Result:
        def save(self, path):
            places.append(path)
            if path.startswith(str(out)):
                raise OSError("No space left on device" if kind == "full" else "it is gone")
            pathlib.Path(path).write_bytes(b"saved")

    with pytest.raises(
        OSError, match=r"(No space left on device|it is gone); the picture is in \S+/home/nst-jax-\d+-a\.png"
    ):
        workshop.save(Result(), str(out / "a.png"))
    assert len(places) == 3
    assert [path.suffix for path in home.iterdir()] == [".png"]


def test_a_name_that_is_too_long_is_said_before_anything_is_painted(studio, tmp_path, run):
    code, _, err = run("stylize", "town.png", "night.png", "-o", tmp_path / f"{'a' * 300}.png")
    assert code == 1
    assert err.startswith("nst-jax: --output must be writable, got ")
    assert "File name too long" in err
    assert err.count("\n") == 1


@pytest.mark.skipif(os.name != "posix", reason="a pseudo-terminal")
def test_progress_bar_on_a_terminal(studio, tmp_path):
    ours, theirs = os.openpty()
    process = started(studio, tmp_path, "--steps", "400", stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    shown, end = b"", time.monotonic() + 60
    while time.monotonic() < end and select.select([ours], [], [], 60)[0]:
        try:
            shown += os.read(ours, 65536)
        except OSError:  # Linux says that the other side has closed
            break
    os.close(ours)
    assert process.wait(timeout=60) == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    assert "compiling" in text
    assert "step " not in text
    final = re.split(r"[\r\n]+", text.strip())[-1]
    assert re.fullmatch(r"400/400 ━+ content \S+  style \S+  \S+ steps/s  0:00 left\s*", final)


# Ways in, and help


HELPS = [(), *((name,) for name in cli.COMMANDS), ("weights", "fetch"), ("weights", "convert"), ("weights", "info")]


@pytest.mark.parametrize("words", HELPS, ids=" ".join)
def test_help_imports_nothing_heavy(words):
    argv = [sys.executable, "-X", "importtime", "-m", "nst_jax", *words, "--help"]
    done = subprocess.run(argv, env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout.startswith(" ".join(["usage: nst-jax", *words]))
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "nst_jax" in imported
    assert not imported & {"jax", "jaxlib", "numpy", "rich", "PIL", "h5py", "flax", "optax", "scipy"}


def test_help_names_every_flag(run):
    code, out, _ = run("stylize", "--help")
    assert code == 0
    for flag in ("-o OUT", "--weights FILE", "--seed N", "--log FILE", "--recipe NAME", "--size N|WxH", "--steps N"):
        assert flag in out
    assert all(f"--{field.name}" in out for field in words.FIELDS if field.heading)


def test_version_in_three_ways(run):
    assert run("--version")[:2] == (0, f"nst-jax {nst_jax.__version__}\n")
    argv = [sys.executable, "-m", "nst_jax", "--version"]
    assert subprocess.run(argv, env=environment(), capture_output=True, text=True).stdout.startswith("nst-jax ")


@pytest.mark.skipif(not (ROOT / "scripts" / "stylize.py").exists(), reason="not in a checkout")
def test_script_is_stylize(tmp_path):
    argv = [sys.executable, ROOT / "scripts" / "stylize.py", "town.png", "night.png", "-o", "out.png"]
    done = subprocess.run(argv, cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "nst-jax: picture must be an existing file, got 'town.png': check its name\n"


def test_a_reader_that_goes_away():
    argv = [sys.executable, "-m", "nst_jax", "recipes"]
    process = subprocess.Popen(argv, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(timeout=60) == 1
    process.stderr.close()


# The other commands


def test_demo_paints_offline_with_the_bundled_network(run):
    drawn = "--content", "still_life", "--style", "woodcut"
    code, out, err = run("demo", "--size", "64", "--steps", "2", "--seed", "1", *drawn)
    assert code == 0
    assert out.startswith("demo/still_life-woodcut.png: painted in 2 steps")
    assert "network:" in err
    assert "device:" in err
    names = ["still_life-woodcut.png", "still_life.png", "woodcut.png"]
    assert sorted(os.listdir("demo")) == names
    first, content, style = (opened(f"demo/{name}") for name in names)
    assert first.shape == content.shape == style.shape == (48, 64, 3)
    assert np.abs(first - content).max() > 5
    known = record.parse(metadata.read(f"demo/{names[0]}"))
    assert [(stage["size"], stage["steps"]) for stage in known.stages] == [([32, 24], 1), ([64, 48], 1)]
    known = "--content", f"demo/{names[1]}", "--style", f"demo/{names[2]}", "-o", "again.png"
    code, _, err = run("rerun", f"demo/{names[0]}", *known)
    assert (code, "changed:" in err) == (0, False), err
    np.testing.assert_array_equal(opened("again.png"), first)


def test_demo_in_any_size_into_any_folder(run, monkeypatch):
    carried = []
    monkeypatch.setattr(stylize, "carry_out", lambda order, outputs, **_: carried.append((order, outputs)))
    assert run("demo", "--size", "40x48", "--steps", "9", "--seed", "3", "-o", "a/b")[0] == 0
    assert sorted(os.listdir("a/b")) == ["flow.png", "skyline.png"]
    assert opened("a/b/skyline.png").shape == (48, 40, 3)
    [(order, outputs)] = carried
    job = compose.task(order).job
    assert (outputs.path, job.seed, job.shape) == ("a/b/skyline-flow.png", 3, (48, 40))
    assert job.recipe.steps(48) == 9


def test_demo_of_an_unknown_picture(run):
    for flag, name, meant in (("--content", "skylin", "skyline"), ("--style", "wodcut", "woodcut")):
        code, _, err = run("demo", flag, name)
        assert code == 2
        assert f"got {name!r}: did you mean {meant}?" in err
    assert not os.path.exists("demo")


@pytest.mark.parametrize(("flag", "value"), [("--size", "8"), ("--size", "x"), ("--steps", "0"), ("--seed", "-1")])
def test_demo_of_impossible_numbers(run, flag, value):
    assert run("demo", flag, value)[0] == 2
    assert not os.path.exists("demo")


def test_demo_into_a_file(run):
    pathlib.Path("demo").write_text("mine")
    code, _, err = run("demo", "--size", "16")
    assert code == 1
    assert err == "nst-jax: folder must not be a file, got 'demo': choose another name\n"
    assert pathlib.Path("demo").read_text() == "mine"


def test_recipes_are_listed(run):
    code, out, _ = run("recipes")
    assert code == 0
    assert f"{recipes.DEFAULT} (default)" in out
    assert "\n  from  " in out
    assert "\n  nearest    relu1_1 3.3, relu2_1" in out
    alone = run("recipes", RECIPE)[1]
    assert alone.startswith(RECIPE)
    assert alone in out
    assert "relu4_2" in alone
    code, _, err = run("recipes", "gatys-notebok")
    assert code == 2
    assert "did you mean gatys-notebook?" in err


@pytest.fixture
def card(monkeypatch):
    """Puts a graphics card, or none, into this machine."""
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    return lambda name: monkeypatch.setattr(doctor, "graphics_card", lambda: name)


def test_doctor_finds_nothing_wrong(run, studio, card):
    card(None)
    code, out, err = run("doctor", "--weights", studio / "narrow.h5")
    assert (code, err) == (0, "")
    assert out.endswith("\nno problem found\n")
    sha = vgg19.info(studio / "narrow.h5")["sha256"][:12]
    assert f"jax        {jax.__version__}\n" in out
    assert f"sha256 {sha}" in out
    assert re.search(rf"^devices    {jax.devices()[0].platform} 0", out, re.MULTILINE)


@pytest.mark.parametrize("name", ["none.h5", "cut.h5", "nan.h5", "foreign.h5"])
def test_doctor_judges_weights(run, studio, card, name):
    card(None)
    code, out, err = run("doctor", "--weights", studio / name)
    assert code == 1
    assert len(err.splitlines()) == 1
    assert re.match(rf"problem    .*{name}", err)
    assert out.endswith("\n1 problem found\n")


@pytest.mark.parametrize(("driver", "extra"), [("580.65.06", "jax[cuda13]"), ("550.54", "jax[cuda12]")])
@pytest.mark.skipif(jax.default_backend() != "cpu", reason="jax runs on the card")
def test_doctor_sees_a_card_that_jax_does_not(run, studio, card, monkeypatch, driver, extra):
    card(f"NVIDIA L4, driver {driver}")
    code, _, err = run("doctor", "--weights", studio / "narrow.h5")
    mend = f"{sys.executable} -m pip install -U '{extra}'"
    assert code == 1
    assert err == f"problem    NVIDIA L4, driver {driver} is there, but jax runs on the CPU: {mend}\n"
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert run("doctor", "--weights", studio / "narrow.h5")[2].endswith(": unset JAX_PLATFORMS, which is cpu\n")


@pytest.mark.skipif(os.name != "posix", reason="a shell script in place of a tool")
@pytest.mark.parametrize(
    ("script", "seen"),
    [
        ("echo NVIDIA L4, 580.65.06; echo NVIDIA L4, 580.65.06", "NVIDIA L4, driver 580.65.06"),
        ("echo no driver; exit 9", None),
        ("exit 0", None),
    ],
)
def test_cards_are_those_that_the_driver_reports(monkeypatch, tmp_path, script, seen):
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert doctor.graphics_card() == seen


def test_no_device_where_one_was_asked_for(run, studio, monkeypatch):
    def none():
        raise AssertionError  # what jax raises where the platform's package is not installed

    monkeypatch.setattr(jax, "devices", none)
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    code, _, err = run("doctor", "--weights", studio / "narrow.h5")
    said = "jax must find a device, got none of JAX_PLATFORMS=cuda: "
    assert code == 1
    assert err == f"problem    {said}unset JAX_PLATFORMS, which is cuda\n"
    argv = ("stylize", studio / "town.png", studio / "night.png", "-o", "out.png", *QUICK)
    monkeypatch.setattr(vgg19, "read", lambda path: none())
    code, _, err = run(*argv, "--weights", studio / "narrow.h5")
    assert (code, err) == (1, f"nst-jax: {said}`nst-jax doctor` says what to do\n")
