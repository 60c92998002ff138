"""`nst-jax sweep`, its values, sheets and plots."""

import csv
import json

import jax.numpy as jnp
import numpy as np
import pytest

from nst_jax.cli import values
from nst_jax.network import vgg19
from nst_jax.orders import record as runs
from nst_jax.painting import budget, vmapped
from nst_jax.pictures import charts, images, metadata, samples

EIGHT = np.geomspace(0.1, 100, 8)


# Values of a command line


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (".1:100:4", [0.1, 1.0, 10.0, 100.0]),
        ("100:.1:4", [100.0, 10.0, 1.0, 0.1]),
        ("lin:0:1:5", [0.0, 0.25, 0.5, 0.75, 1.0]),
        ("1, 10,100", [1.0, 10.0, 100.0]),
        ("1:3:3", [1.0, 1.732, 3.0]),
        ("7", [7.0]),
    ],
)
def test_ranges(text, found):
    assert values.several(values.weight)(text) == found


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (values.several(values.weight), "0:1:3", "a list, FROM:TO:N above 0, or lin:FROM:TO:N"),
        (values.several(values.weight), "1:2", "got '1:2'"),
        (values.several(values.weight), "1:10:1", "N from 2 to 1000"),
        (values.several(values.weight), "1:10:1.5", "N from 2"),
        (values.several(values.weight), "1:inf:3", "FROM:TO:N"),
        (values.several(values.weight), "1,2,1", "values that differ, got '1,2,1'"),
        (values.several(values.weight), "1,,2", "a number from 0 to 1e30, got ''"),
        (values.several(values.share), "lin:0:2:3", "a number from 0 to 1, got '2'"),
        (values.seeds, "0:7:3", "a whole number from 0"),
        (values.listed(values.start), "noise,nose", "start must be one of"),
        (values.part, "3/2", "K/N with K from 1 to N"),
        (values.part, "0/2", "K/N"),
        (values.part, "one", "K/N"),
    ],
)
def test_ranges_that_are_none(kind, text, message):
    with pytest.raises(Exception, match=message):
        kind(text)


def test_seeds_and_starts():
    assert values.seeds("0:7:8") == list(range(8))
    assert values.seeds("3,1") == [3, 1]
    assert values.listed(values.start)("content, mix:0.6") == ["content", "mix:0.6"]
    assert values.part("2/5") == (2, 5)


# The command

BRIEF = ("--recipe", "gatys-notebook", "--ladder", "48:2", "--optimizer", "adam", "--size", "48x32")
FEW = ("--style-layers", "relu1_1:1,relu2_1:1", "--content-layers", "relu1_2:1")


@pytest.fixture(scope="module")
def studio(tmp_path_factory, narrow):
    """A folder of pictures and a narrow network."""
    folder = tmp_path_factory.mktemp("sweep")
    drawn = {"town": "skyline", "night": "flow", "wave": "woodcut"}
    for name, sample in drawn.items():
        images.save(folder / f"{name}.png", samples.draw(sample, (32, 48)))
    images.save(folder / "tall.png", samples.draw("landscape", (48, 32)))
    vgg19.save(folder / "narrow.h5", narrow, source="a test")
    return folder


@pytest.fixture
def swept(command, monkeypatch, studio, tmp_path):
    """Sweeps into a new folder: (exit code, stdout, stderr, the folder)."""
    monkeypatch.chdir(studio)

    def call(*flags, sources=("town.png", "night.png"), out="out"):
        words = ("sweep", *sources, "-o", tmp_path / out, "--weights", "narrow.h5", *BRIEF, *FEW, *flags)
        return *command(*words), tmp_path / out

    return call


def rows(folder):
    with open(folder / "sweep.csv", newline="") as file:
        table = list(csv.DictReader(file))
    lines = [json.loads(line) for line in (folder / "sweep.jsonl").read_text().splitlines()]
    assert [{k: str(v) for k, v in line.items()} for line in lines] == table
    return lines


def test_a_sweep_writes_pictures_a_sheet_a_plot_and_tables(swept, command, tmp_path):
    code, out, said, folder = swept("--style-weight", ".1:10:3")
    assert code == 0, said
    names = ["1-style-weight-0.1.png", "2-style-weight-1.png", "3-style-weight-10.png"]
    assert sorted(p.name for p in folder.iterdir()) == sorted(
        [*names, *("plot.png", "sheet.png", "sweep.csv", "sweep.jsonl")]
    )
    assert "3 pictures, one at a time: on a CPU" in said
    assert "3 pictures painted" in out
    found = rows(folder)
    assert [row["picture"] for row in found] == names
    assert [row["style-weight"] for row in found] == [0.1, 1.0, 10.0]
    losses_of = [(row["content_loss"], row["style_loss"]) for row in found]
    assert losses_of[0][0] < losses_of[2][0], "by the same weights, less style is more content"
    for row in found:
        np.testing.assert_allclose(
            row["style/relu1_1"] + row["style/relu2_1"], row["style-weight"] * row["style_loss"], rtol=1e-5
        )
    assert images.load(folder / "sheet.png").shape[1] > 900
    assert images.load(folder / "plot.png").shape[0] > 900
    record = runs.parsed(metadata.read(folder / names[2]))
    assert record["flags"]["style-weight"] == "10.0"
    assert record["steps"] == 2
    argv = ("--content", "town.png", "--style", "night.png", "--weights", "narrow.h5", "-o", tmp_path / "again.png")
    assert command("rerun", folder / names[2], *argv)[0] == 0
    assert (tmp_path / "again.png").read_bytes() == (folder / names[2]).read_bytes()


def test_a_sweep_of_some_minutes_says_the_steps_that_it_took(swept, command, tmp_path, monkeypatch):
    monkeypatch.setattr(budget, "measure", lambda params, job: budget.Cost(0.1, 0.0, 0.5 / 32 / 48))
    code, _, said, folder = swept("--strength", ".2,.8", "--minutes", "0.35")
    assert code == 0, said
    record = runs.parsed(metadata.read(folder / "1-strength-0.2.png"))
    [[*_, steps]] = record["ladder"]
    assert (record["flags"]["ladder"], steps != 2) == (f"32:{steps}", True)
    argv = ("--content", "town.png", "--style", "night.png", "--weights", "narrow.h5", "-o", tmp_path / "again.png")
    assert command("rerun", folder / "1-strength-0.2.png", *argv)[0] == 0
    assert (tmp_path / "again.png").read_bytes() == (folder / "1-strength-0.2.png").read_bytes()


def test_axes_multiply_and_go_to_rows_and_columns(swept, studio):
    flags = ("--each-style", "--contents", "tall.png", "--tv-weight", "1,3", "--chunk", "3", "--log", "log.jsonl")
    code, _, said, folder = swept(*flags, sources=("town.png", "night.png", "wave.png"))
    assert code == 0, said
    assert "8 pictures, 3 at a time" in said
    found = rows(folder)
    assert [tuple(row[k] for k in ("content", "style", "tv-weight")) for row in found] == [
        (content, style, weight)
        for content in ("town.png", "tall.png")
        for style in ("night.png", "wave.png")
        for weight in (1.0, 3.0)
    ]
    assert found[7]["picture"] == "8-content-tall-style-wave-tv-weight-3.png"
    assert runs.parsed(metadata.read(folder / found[7]["picture"]))["inputs"]["content"][0]["name"] == "tall.png"
    lines = [json.loads(line) for line in (studio / "log.jsonl").read_text().splitlines()]
    assert "recipe" in lines[0]
    assert sorted({line["picture"] for line in lines[1:]}) == [row["picture"] for row in found]


def test_starts_seeds_masks_and_colours_are_flags_as_ever(swept, studio):
    mask = np.zeros((32, 48, 3))
    mask[:16] = 1
    images.save(studio / "mask.png", mask)
    flags = ("--init", "noise,town.png", "--seed", "1,2", "--strength", "0.7", "--colour", "content-luminance")
    code, _, said, folder = swept(*flags, "--mask", "mask.png", "--save-every", "1", "--folder", str(folder_of(studio)))
    assert code == 0, said
    found = rows(folder)
    assert [(row["init"], row["seed"]) for row in found] == [
        ("noise", 1),
        ("noise", 2),
        ("town.png", 1),
        ("town.png", 2),
    ]
    pictures = [images.load(folder / row["picture"]) for row in found]
    assert float(abs(pictures[0] - pictures[1]).max()) > 0.01, "seeds"
    np.testing.assert_array_equal(pictures[2], pictures[3])
    record = runs.parsed(metadata.read(folder / found[2]["picture"]))
    assert record["flags"]["strength"] == "0.7"
    assert record["inputs"].keys() == {"content", "style", "mask", "init"}
    assert len(list(folder_of(studio).glob("*-steps/*.png"))) == 8


def folder_of(studio):
    return studio / "on-the-way"


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        ((), 2, "a sweep must paint from 2 to 10000 pictures, got 1"),
        (("--style-weight", "3"), 2, "got 1: --style-weight .1:100:8 makes eight"),
        (("--style-weight", "1:9:999", "--seed", "0:98:99"), 2, "got 98901"),
        (("--style-weight", "0:1:3"), 2, "argument --style-weight: must be a list"),
        (("--strength", "0,2"), 2, "argument --strength: must be a number from 0 to 1, got '2'"),
        (("--strength", "0,1", "--colour", "only"), 2, "--colour must paint something here, got only"),
        (("--strength", "0,1", "--chunk", "0"), 2, "argument --chunk: must be a whole number from 1"),
        (("--contents", "gone.png"), 1, "picture must be an existing file, got 'gone.png'"),
        (("--strength", "0,1", "--mask", "night.png"), 0, ""),
    ],
)
def test_what_a_sweep_refuses(flags, code, message, swept):
    got, _, said, folder = swept(*flags)
    assert got == code, said
    if code:
        assert message in said
        assert len(said.splitlines()[-1]) < 200
        assert not folder.exists()


def test_contents_of_several_shapes(command, studio, monkeypatch, tmp_path):
    monkeypatch.chdir(studio)
    flags = (*BRIEF[:-2], *FEW, "--weights", "narrow.h5")
    code, _, said = command("sweep", "town.png", "night.png", "-o", tmp_path / "out", "--contents", "tall.png", *flags)
    assert code == 1
    assert "jobs of a sweep must have one shape, got 72×48 and 48×72: give one size, as 640x480" in said
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_a_file(swept, tmp_path):
    (tmp_path / "out").write_text("mine")
    code, _, said, folder = swept("--strength", "0,1")
    assert code == 1
    assert "folder must not be a file" in said
    assert folder.read_text() == "mine"


def test_ctrl_c_saves_what_there_is(swept, monkeypatch):
    frames = vmapped.frames

    def stopped(params, jobs, **options):
        yield from frames(params, jobs[:1], **options)
        frame = next(frames(params, jobs[1:2], every=1, chunk=1))
        yield {1: frame[0]}
        raise KeyboardInterrupt

    monkeypatch.setattr(vmapped, "frames", stopped)
    code, _, said, folder = swept("--strength", ".2,.4,.6")
    assert code == 130
    assert "nst-jax: stopped; 1 of 3 pictures are whole" in said
    assert [(row["picture"], row["steps"]) for row in rows(folder)] == [
        ("1-strength-0.2.png", 2),
        ("2-strength-0.4.png", 1),
    ]
    assert sorted(p.name for p in folder.glob("*.png")) == [
        "1-strength-0.2.png",
        "2-strength-0.4.png",
        "plot.png",
        "sheet.png",
    ]


def test_one_that_goes_wrong_does_not_stop_the_others(swept, monkeypatch):
    frames = vmapped.frames

    def broken(params, jobs, **options):
        for found in frames(params, jobs, **options):
            yield {n: f._replace(terms={"variation": jnp.nan}) if n == 0 else f for n, f in found.items()}

    monkeypatch.setattr(vmapped, "frames", broken)
    code, _, said, folder = swept("--strength", ".2,.4")
    assert code == 1
    assert "nst-jax: 1-strength-0.2.png: loss must stay finite, got nan of variation at step 2" in said
    assert [row["picture"] for row in rows(folder)] == ["2-strength-0.4.png"]


def test_without_matplotlib_there_is_no_plot(swept, monkeypatch):
    def none(*_, **__):
        raise ValueError("matplotlib must be installed, got none: pip install 'nst-jax[plot]'")

    monkeypatch.setattr(charts, "scatter", none)
    code, _, said, folder = swept("--strength", ".2,.4")
    assert code == 0
    assert "plot:     left out: matplotlib must be installed" in said
    assert not (folder / "plot.png").exists()
    assert (folder / "sheet.png").exists()
