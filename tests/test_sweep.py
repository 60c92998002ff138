"""orders.sweeps and `nst-jax sweep`: values of axes, points, pictures, sheets, plots and tables."""

import csv
import json
import signal

import numpy as np
import pytest

from nst_jax.cli import flags
from nst_jax.network import vgg19
from nst_jax.orders import record, sweeps, tables, values, words, workshop
from nst_jax.orders.order import Refused
from nst_jax.painting import budget
from nst_jax.pictures import charts, download, images, metadata, samples

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
        (values.words(values.start), "noise,nose", "start must be one of"),
        (flags.part, "3/2", "K/N with K from 1 to N"),
        (flags.part, "0/2", "K/N"),
        (flags.part, "one", "K/N"),
    ],
)
def test_ranges_that_are_none(kind, text, message):
    with pytest.raises(ValueError, match=message):
        kind(text)


def test_seeds_and_starts():
    assert values.seeds("0:7:8") == list(range(8))
    assert values.seeds("3,1") == [3, 1]
    assert values.words(values.start)("content, mix:0.6") == ["content", "mix:0.6"]
    assert flags.part("2/5") == (2, 5)


# Points


def test_every_combination_is_a_point_the_last_axis_fastest():
    asked = words.make("a.png", "b.png", "c.png", strength=0.3)
    given = {"style_weight": [1.0, 10.0], "style": [("b.png",), ("c.png",)], "seed": [7], "tv_weight": [0.0, 1.5]}
    found = sweeps.points(asked, given)
    assert [tuple(point.own.values()) for point in found] == [
        (style, tv, weight) for style in (("b.png",), ("c.png",)) for tv in (0.0, 1.5) for weight in (1.0, 10.0)
    ]
    assert list(found[0].own) == ["style", "tv_weight", "style_weight"]
    assert found[5].name == "6-style-c.png-tv-weight-0-style-weight-10.png"
    assert found[5].values == ("c.png", "0", "10")
    assert found[5].order == words.make("a.png", "c.png", strength=0.3, style_weight=10.0, tv_weight=0.0, seed=7)
    assert len({point.name for point in found}) == 8


def test_names_of_points_are_names_of_files(tmp_path):
    weird = tmp_path / "a b\x1b[31m;$(x).png"
    weird.touch()
    found = sweeps.points(words.make("a.png", "b.png"), {"init": ["noise", "mix:0.5", str(weird)], "seed": range(4)})
    assert [point.name for point in found][:5:4] == ["01-init-noise-seed-0.png", "05-init-mix_0.5-seed-0.png"]
    assert found[8].name == "09-init-a_b__31m___x_-seed-0.png"
    long = sweeps.points(words.make("a.png", "b.png"), {"content": ["x" * 300, "x" * 299]})
    assert [len(point.name) for point in long] == [104, 104]
    assert long[0].name != long[1].name


@pytest.mark.parametrize(
    ("given", "fields", "message"),
    [
        ({}, {}, "a sweep must paint from 2 to 10000 pictures, got 1: style-weight .1:100:8 makes eight"),
        ({"style_weight": [3.0]}, {}, "got 1"),
        ({"style_weight": range(999), "seed": range(99)}, {}, "got 98901"),
        ({"seed": [1, 2]}, {"colour": "only"}, "colour must paint something here, got only"),
        ({"seed": [1, 2]}, {"mask_weights": "1"}, "mask-weights must go with mask"),
        ({"style": [("b.png",), ("b.png", "c.png")]}, {"style_mix": "1"}, "style-mix must have 2 values"),
    ],
)
def test_sweeps_that_are_none(given, fields, message):
    with pytest.raises(Refused, match=message):
        sweeps.points(words.make("a.png", "b.png", **fields), given)


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

    def call(*given, sources=("town.png", "night.png"), out="out"):
        argv = ("sweep", *sources, "-o", tmp_path / out, "--weights", "narrow.h5", *BRIEF, *FEW, *given)
        return *command(*argv), tmp_path / out

    return call


@pytest.fixture
def repeated(command, tmp_path):
    """Whether a picture of a sweep is painted again, alone, to the last byte."""

    def call(path, *more, content="town.png", style="night.png"):
        argv = ("--content", content, "--style", style, "--weights", "narrow.h5", *more, "-o", tmp_path / "again.png")
        code, _, said = command("rerun", path, *argv)
        assert (code, "changed" in said) == (0, False), said
        return (tmp_path / "again.png").read_bytes() == path.read_bytes()

    return call


def rows(folder):
    """The lines of a sweep's tables, which say the same."""
    with open(folder / "sweep.csv", newline="") as file:
        table = list(csv.DictReader(file))
    lines = [json.loads(line) for line in (folder / "sweep.jsonl").read_text().splitlines()]
    assert [{k: str(v) for k, v in line.items()} for line in lines] == table
    return lines


def held(path):
    return record.parse(metadata.read(path))


def test_a_sweep_writes_pictures_a_sheet_a_plot_and_tables(swept, repeated):
    code, out, said, folder = swept("--style-weight", ".1:10:3")
    assert code == 0, said
    names = ["1-style-weight-0.1.png", "2-style-weight-1.png", "3-style-weight-10.png"]
    assert sorted(p.name for p in folder.iterdir()) == sorted([*names, *tables.FILES])
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
        terms = sum(value for name, value in row.items() if "/" in name) + row["variation"]
        np.testing.assert_allclose(row["loss"], terms, rtol=1e-6)
    assert images.load(folder / "sheet.png").shape[1] > 900
    assert images.load(folder / "plot.png").shape[0] > 900
    third = held(folder / names[2])
    assert (third.order["style-weight"], third.steps, third.total) == ("10.0", 2, 2)
    assert all(repeated(folder / name) for name in names)


def test_a_sweep_of_some_minutes_says_the_steps_that_it_took(swept, repeated, monkeypatch):
    monkeypatch.setattr(budget, "measure", lambda params, job, **more: budget.Cost(0.1, 0.0, 0.5 / 32 / 48))
    code, _, said, folder = swept("--strength", ".2,.8", "--minutes", "0.35")
    assert code == 0, said
    found = held(folder / "1-strength-0.2.png")
    [row] = found.stages
    assert (found.order["ladder"], row["steps"] != 2) == (f"32:{row['steps']}", True)
    assert "minutes" not in found.order
    assert repeated(folder / "1-strength-0.2.png")


def test_axes_multiply_and_go_to_rows_and_columns(swept, studio):
    given = ("--each-style", "--contents", "tall.png", "--tv-weight", "1,3", "--chunk", "3", "--log", "log.jsonl")
    code, _, said, folder = swept(*given, sources=("town.png", "night.png", "wave.png"))
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
    inputs = held(folder / found[7]["picture"]).inputs
    assert (inputs["content"][0]["name"], [file["name"] for file in inputs["style"]]) == ("tall.png", ["wave.png"])
    first, *lines = [json.loads(line) for line in (studio / "log.jsonl").read_text().splitlines()]
    assert first["order"]["recipe"] == "gatys-notebook"
    assert {line["picture"] for line in lines} == {row["picture"] for row in found}
    assert {line["step"] for line in lines} == {2}
    for row in found:
        [line] = [line for line in lines if line["picture"] == row["picture"]]
        assert line.items() - {("picture", row["picture"]), ("step", 2)} <= row.items()


def test_each_picture_is_the_one_that_is_painted_alone(swept, repeated):
    """Of styles and contents that go one by one, whose records name what is their own."""
    code, _, said, folder = swept(
        "--each-style", "--contents", "tall.png", sources=("town.png", "night.png", "wave.png")
    )
    assert code == 0, said
    for number, (content, style) in enumerate((c, s) for c in ("town", "tall") for s in ("night", "wave")):
        path = folder / f"{number + 1}-content-{content}-style-{style}.png"
        assert repeated(path, content=f"{content}.png", style=f"{style}.png")


def test_starts_seeds_masks_and_colours_are_flags_as_ever(swept, studio, repeated):
    mask = np.zeros((32, 48, 3))
    mask[:16] = 1
    images.save(studio / "mask.png", mask)
    given = ("--init", "noise,town.png", "--seed", "1,2", "--strength", "0.7", "--colour", "content-luminance")
    way = studio / "on-the-way"
    code, _, said, folder = swept(*given, "--mask", "mask.png", "--save-every", "1", "--folder", way)
    assert code == 0, said
    found = rows(folder)
    starts = [(row["init"], row["seed"]) for row in found]
    assert starts == [("noise", 1), ("noise", 2), ("town.png", 1), ("town.png", 2)]
    pictures = [images.load(folder / row["picture"]) for row in found]
    assert float(abs(pictures[0] - pictures[1]).max()) > 0.01, "seeds"
    np.testing.assert_array_equal(pictures[2], pictures[3])
    third = held(folder / found[2]["picture"])
    assert third.order["strength"] == "0.7"
    assert third.inputs.keys() == {"content", "style", "mask", "init"}
    stored = sorted(path.relative_to(way).as_posix() for path in way.rglob("*.png"))
    assert stored == sorted(f"{row['picture'][:-4]}-steps/{step}.png" for row in found for step in (1, 2))
    assert repeated(folder / found[2]["picture"], "--mask", "mask.png", "--init", "town.png")
    assert repeated(folder / found[0]["picture"], "--mask", "mask.png")


def test_pictures_of_a_sweep_may_lie_at_addresses(swept, studio, monkeypatch):
    """Each of them is fetched once."""
    fetched = []

    def picture(address, folder):
        name = address.rpartition("/")[2]
        images.save(f"{folder}/{name}", images.load(studio / name))
        fetched.append(name)
        return f"{folder}/{name}"

    monkeypatch.setattr(download, "picture", picture)
    web = {name: f"https://host/{name}.png" for name in ("town", "tall", "night", "wave")}
    given = ("--each-style", "--contents", web["tall"], "--init", f"noise,{web['wave']}")
    code, _, said, folder = swept(*given, sources=(web["town"], web["night"], web["wave"]))
    assert code == 0, said
    assert sorted(fetched) == ["night.png", "tall.png", "town.png", "wave.png"]
    assert rows(folder)[0]["picture"] == "1-content-town-style-night-init-noise.png"
    assert rows(folder)[7]["picture"] == "8-content-tall-style-wave-init-wave.png"
    assert held(folder / "8-content-tall-style-wave-init-wave.png").inputs["init"][0]["name"] == "wave.png"


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        ((), 2, "a sweep must paint from 2 to 10000 pictures, got 1"),
        (("--style-weight", "3"), 2, "got 1: --style-weight .1:100:8 makes eight"),
        (("--style-weight", "0:1:3"), 2, "argument --style-weight: must be a list"),
        (("--strength", "0,2"), 2, "argument --strength: must be a number from 0 to 1, got '2'"),
        (("--strength", "0,1", "--colour", "only"), 2, "--colour must paint something here, got only"),
        (("--strength", "0,1", "--chunk", "0"), 2, "argument --chunk: must be a whole number from 1"),
        (("--contents", "gone.png"), 1, "picture must be an existing file, got 'gone.png'"),
        (("--strength", "0,1", "--still", "1"), 2, "unrecognized arguments: --still"),
    ],
)
def test_what_a_sweep_refuses(given, code, message, swept):
    got, _, said, folder = swept(*given)
    assert got == code, said
    assert message in said
    assert len(said.splitlines()[-1]) < 200
    assert not folder.exists()


def test_contents_of_several_shapes(command, studio, monkeypatch, tmp_path):
    monkeypatch.chdir(studio)
    given = (*BRIEF[:-2], *FEW, "--weights", "narrow.h5")
    code, _, said = command("sweep", "town.png", "night.png", "-o", tmp_path / "out", "--contents", "tall.png", *given)
    assert code == 1
    assert "jobs of a sweep must have one shape, got 72×48 and 48×72: give one --size, as 640x480" in said
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_a_file(swept, tmp_path):
    (tmp_path / "out").write_text("mine")
    code, _, said, folder = swept("--strength", "0,1")
    assert code == 1
    assert "folder must not be a file" in said
    assert folder.read_text() == "mine"


def test_a_sweep_does_not_write_over_what_it_needs(swept, studio, tmp_path):
    (tmp_path / "out").mkdir()
    own = tmp_path / "out" / "sheet.png"
    own.write_bytes((studio / "town.png").read_bytes())
    code, _, said, _ = swept("--strength", "0,1", sources=(own, "night.png"))
    assert (code, "output must not be a file that the run needs" in said) == (1, True)
    assert own.read_bytes() == (studio / "town.png").read_bytes()


# Stopped


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_sweep_writes_what_there_is(swept, monkeypatch, number, code):
    """Stopped between the two steps of the second of three; what was asked for is not forgotten where it is stored."""
    drive = workshop.paint_in_chunks
    runs = []

    def driven(run, controls, **options):
        runs.append(run)
        options["every"] = (1,)
        for now, frames in drive(run, controls, **options):
            yield now, frames
            if len(runs) == 2:
                signal.raise_signal(number)

    monkeypatch.setattr(workshop, "paint_in_chunks", driven)
    got, _, said, folder = swept("--strength", ".2,.4,.6", "--log", "stopped.jsonl")
    assert got == code
    assert "nst-jax: stopped; 1 of 3 pictures are whole" in said
    names = ["1-strength-0.2.png", "2-strength-0.4.png"]
    assert [(row["picture"], row["steps"]) for row in rows(folder)] == list(zip(names, (2, 1), strict=True))
    assert sorted(p.name for p in folder.iterdir()) == sorted([*names, *tables.FILES])
    assert [(held(folder / name).steps, held(folder / name).total) for name in names] == [(2, 2), (1, 2)]


def test_an_error_leaves_what_there_is(swept, monkeypatch):
    drive, runs = workshop.paint_in_chunks, []

    def broken(run, controls, **options):
        runs.append(run)
        if len(runs) == 2:
            raise OSError("the disk is full")
        yield from drive(run, controls, **options)

    monkeypatch.setattr(workshop, "paint_in_chunks", broken)
    code, _, said, folder = swept("--strength", ".2,.4,.6")
    assert code == 1
    assert "nst-jax: the disk is full; 1 of 3 pictures are whole" in said
    assert [row["picture"] for row in rows(folder)] == ["1-strength-0.2.png"]


def test_a_sweep_that_is_stopped_at_a_coarse_size_writes_the_picture_at_the_full_one(swept, monkeypatch):
    drive = workshop.paint_in_chunks

    def driven(run, controls, **options):
        for now, frames in drive(run, controls, **options | {"every": (1,)}):
            yield now, frames
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(workshop, "paint_in_chunks", driven)
    got, _, said, folder = swept("--strength", ".2,.4", "--ladder", "24:2,48:2")
    assert (got, "Traceback" in said) == (130, False)
    [row] = rows(folder)
    assert row["steps"] == 1
    assert images.load(folder / row["picture"]).shape == (32, 48, 3)


@pytest.mark.parametrize("chunk", ["1", "2"])
def test_one_that_goes_wrong_does_not_stop_the_others(swept, monkeypatch, chunk):
    """Though frames between the fixed ones, whose losses nobody looks at, have gone wrong before."""
    monkeypatch.setattr(workshop, "LIVELY", 0.0)
    layers = ("--style-layers", "relu1_1:1e9,relu2_1:1e9")
    code, out, said, folder = swept("--style-weight", "1e29,1e-9", *layers, "--chunk", chunk)
    assert code == 1
    assert "nst-jax: 1-style-weight-1e+29.png: loss must stay finite, got " in said
    assert "1 picture painted" in out
    assert [row["picture"] for row in rows(folder)] == ["2-style-weight-1e-09.png"]
    assert sorted(p.name for p in folder.iterdir()) == sorted(["2-style-weight-1e-09.png", *tables.FILES])


def test_without_matplotlib_there_is_no_plot(swept, monkeypatch):
    def none(*_, **__):
        raise ValueError("matplotlib must be installed, got none: pip install 'nst-jax[plot]'")

    monkeypatch.setattr(charts, "scatter", none)
    code, _, said, folder = swept("--strength", ".2,.4")
    assert code == 0
    assert "plot:     left out: matplotlib must be installed" in said
    assert not (folder / "plot.png").exists()
    assert (folder / "sheet.png").exists()
