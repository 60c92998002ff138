"""nst_jax.sweep, its grids and `nst-jax sweep`: many pictures of one program, each as a run alone makes it."""

import csv
import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nst_jax
from nst_jax import recipes
from nst_jax.cli import values
from nst_jax.network import vgg19
from nst_jax.objective import losses
from nst_jax.objective.losses import Region, Style
from nst_jax.orders import record as runs
from nst_jax.painting import budget, painter, transfer, vmapped
from nst_jax.painting import memory as plans
from nst_jax.pictures import images, metadata, samples, sheets

QUICK = recipes.get("nst-jax")._replace(
    content={"relu2_1": 0.05},
    style={"relu1_1": 4.0, "relu2_1": 1.0},
    schedule=recipes.listed((24, 3), (48, 4)),
    variation=10.0,
)
EIGHT = np.geomspace(0.1, 100, 8)


def of(recipe, factors):
    return [recipe.times(style=float(x)) for x in factors]


def job(content, *styles, recipe=QUICK, **rest):
    regions = losses.everywhere(*styles)
    return painter.Job(content, regions, recipe, content.shape[:2], **rest)


def last(params, jobs, **options):
    found = {}
    for each in vmapped.frames(params, jobs, every=10, **options):
        found |= each
    return [found[n] for n in range(len(jobs))]


def programs():
    """How many programs of steps there are."""
    return sum(program.of(())._cache_size() for program in (transfer.advanced, transfer.consumed))


# Equal to single runs


def test_a_sweep_of_eight_is_eight_single_runs_to_the_last_bit(narrow, town, night):
    """Coarse to fine, averaged Adam, Wasserstein: and one compilation of a step for each size."""
    before = programs()
    pictures = vmapped.sweep(town, night, recipes=of(QUICK, EIGHT), params=narrow)
    assert programs() - before == 2
    assert pictures.shape == (8, *town.shape)
    for picture, recipe in zip(pictures, of(QUICK, EIGHT), strict=True):
        np.testing.assert_array_equal(picture, nst_jax.stylize(town, night, recipe=recipe, params=narrow))
    assert programs() - before == 2, "the same program paints a single run"
    assert float(abs(pictures[0] - pictures[7]).max()) > 0.05


def test_batches_compile_once_whatever_the_number(narrow, town, night, compilations):
    """Five in chunks of two: the last is filled up; eight others after them compile nothing at all."""
    before = programs()
    five = vmapped.sweep(town, night, recipes=of(QUICK, EIGHT[:5]), params=narrow, chunk=2)
    assert programs() - before == 2
    compilations.clear()
    eight = vmapped.sweep(town, night, recipes=of(QUICK.times(content=2.0), EIGHT), params=narrow, chunk=2)
    assert len(compilations) <= 1, "the stack of eight pictures"
    assert five.shape[0] == 5
    assert eight.shape[0] == 8
    for picture, recipe in zip(five, of(QUICK, EIGHT[:5]), strict=True):  # rounding, after seven steps
        np.testing.assert_allclose(picture, nst_jax.stylize(town, night, recipe=recipe, params=narrow), atol=2e-3)


@pytest.mark.parametrize("distance", ["gram", "wasserstein"])
def test_gradients_of_a_batch_are_the_single_ones(distance, narrow, town, night):
    recipe = QUICK._replace(style_distance=distance)
    jobs = [job(town, night, recipe=r) for r in of(recipe, EIGHT)]
    argued, gradient = (
        vmapped._arguments(narrow, jobs, painter.loss(recipe)),
        jax.value_and_grad(losses.objective(painter.loss(recipe))),
    )
    args = [argued(town.shape[:2], n)[1] for n in range(8)]
    axes, pictures = vmapped.varying(jobs), jnp.stack([jnp.asarray(town[::-1])] * 8)
    many = jax.jit(vmapped.mapped(gradient, axes))(pictures, *vmapped.joined(args, axes))
    single = jax.jit(gradient)
    for n, arg in enumerate(args):
        value, slope = single(pictures[n], *arg)
        np.testing.assert_allclose(many[0][n], value, rtol=1e-5)
        assert float(jnp.linalg.norm(many[1][n] - slope) / jnp.linalg.norm(slope)) < 1e-5


def test_contents_styles_guides_starts_and_seeds_may_vary(narrow, town, night):
    recipe = QUICK._replace(schedule=recipes.once(2), start="noise", style={"relu1_1": 1e-6}, style_distance="gram")
    half = np.broadcast_to(np.linspace(0, 1, 48, dtype="f"), (40, 48))
    guided = [(Region((Style(night),), half),), (Region((Style(night),), half[:, ::-1]),)]
    pairs = {
        "seeds": [job(town, night, recipe=recipe, seed=seed) for seed in (1, 2)],
        "contents": [job(each, night, recipe=recipe) for each in (town, town[::-1].copy())],
        "styles": [job(town, each, recipe=recipe) for each in (night, night[::-1].copy())],
        "starts": [job(town, night, recipe=recipe, start=each) for each in (town, None)],
        "guides": [painter.Job(town, regions, recipe, (40, 48)) for regions in guided],
    }
    for what, jobs in pairs.items():
        together = last(narrow, jobs, chunk=2)
        for one, frame in zip(jobs, together, strict=True):
            *_, alone = painter.frames(narrow, one)
            np.testing.assert_allclose(frame.image, alone.image, atol=2e-3, err_msg=what)
            assert frame.plan == alone.plan
            for name, value in alone.terms.items():
                np.testing.assert_allclose(frame.terms[name], value, rtol=0.02, err_msg=f"{what} {name}")
        assert float(abs(together[0].image - together[1].image).max()) > 1e-3, what


def test_what_does_not_vary_is_computed_once_and_not_batched(narrow, town, night, monkeypatch):
    made, part = [], vmapped._part
    monkeypatch.setattr(vmapped, "_part", lambda prepare, name, *args: made.append(name) or part(prepare, name, *args))
    jobs = [job(town, night, recipe=recipe) for recipe in of(QUICK, EIGHT)]
    last(narrow, jobs, chunk=2)
    assert sorted(made) == ["spatial"] * 2 + ["style"] * 2, "one of each for each size"
    axes = vmapped.varying(jobs)
    assert axes == (None, losses.Targets(losses.Spatial(None, None), None), losses.Weights(None, 0, None))
    assert vmapped.varying([job(town, night), job(night, night)])[1].spatial.content == 0


def test_a_judge_weighs_all_alike(narrow, town, night):
    jobs = [job(town, night, recipe=r._replace(schedule=recipes.once(2))) for r in of(QUICK, (1.0, 3.0))]
    frames = last(narrow, jobs)
    judge = vmapped.judge(narrow, [jobs[0], jobs[0]])
    for n, factor in enumerate((1.0, 3.0)):
        terms = judge(n, frames[n].image)
        assert float(terms["content/relu2_1"]) == float(frames[n].terms["content/relu2_1"])
        np.testing.assert_allclose(terms["style/relu1_1"] * factor, frames[n].terms["style/relu1_1"], rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": (32, 48)}, "one shape, got 48×40 and 48×32: give one size, as 640x480, which crops them alike"),
        ({"recipe": QUICK._replace(optimizer="lbfgs", settings={})}, "one optimizer, got adam .* and lbfgs"),
        ({"recipe": QUICK._replace(style={"relu1_1": 1.0})}, "one set of style layers, got .*'relu2_1'.* and "),
        ({"recipe": QUICK._replace(pool="average")}, "one loss, got .* max .* average .*: paint them apart"),
        ({"recipe": QUICK._replace(schedule=recipes.once(3))}, "one schedule, got 24: 3, 48: 4 and 48: 3"),
        ({"recipe": QUICK._replace(family="torchvision")}, "one family, got caffe and torchvision"),
    ],
)
def test_jobs_that_are_not_one_program(change, message, narrow, town, night):
    with pytest.raises(ValueError, match=message):
        next(vmapped.frames(narrow, [job(town, night), job(town, night)._replace(**change)]))


def test_no_jobs_at_all(narrow, town, night):
    with pytest.raises(ValueError, match="at least one, got none"):
        vmapped.sweep(town, night, recipes=[], params=narrow)


def test_a_chunk_is_what_the_whole_memory_holds(bundled, monkeypatch):
    whole = painter.Job(np.zeros((512, 512, 3)), (), QUICK, (512, 512))
    assert vmapped.fitting(bundled, whole, count=64) == 1, "on a CPU"
    monkeypatch.setattr(jax, "devices", lambda: [SimpleNamespace(platform="gpu")])

    def fit(memory, count):
        return vmapped.fitting(bundled, whole, count=count, machine=plans.Machine(int(memory)))

    most = fit(24e9, 10_000)
    load = painter.load(bundled, whole, (512, 512))
    alone, more = plans.peak(plans.Plan(), load), plans.step(plans.Plan(), load) + load.held
    assert alone + (most - 1) * more <= 24e9 < alone + most * more
    assert fit(24e9, 4) == 4
    assert fit(24e9, most + 1) == -(-(most + 1) // 2), "two chunks alike"
    assert fit(1e6, 4) == 1


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
    monkeypatch.setattr(budget, "measured", lambda params, job: budget.Cost(0.1, 0.0, 0.5 / 32 / 48))
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

    monkeypatch.setattr(sheets, "extra", none)
    code, _, said, folder = swept("--strength", ".2,.4")
    assert code == 0
    assert "plot:     left out: matplotlib must be installed" in said
    assert not (folder / "plot.png").exists()
    assert (folder / "sheet.png").exists()


# Sheets and plots


def shades(count):
    return [np.full((30, 40, 3), 0.2 + 0.6 * i / count, np.float32) for i in range(count)]


def test_a_sheet_has_its_pictures_in_rows_and_columns():
    pictures = shades(6)
    page = sheets.sheet(pictures, {"content weight": ["1", "4"], "style weight": ["1", "2", "3"]})
    greys = [float(p.mean()) for p in pictures]
    places = [np.argwhere(np.abs(page - grey).max(-1) < 0.004).mean(0) for grey in greys]
    down, across = np.array(places).reshape(2, 3, 2)[..., 0], np.array(places).reshape(2, 3, 2)[..., 1]
    assert np.ptp(down, axis=1).max() < 2
    assert np.ptp(across, axis=0).max() < 2
    assert (np.diff(across, axis=1) > 300).all()
    assert (np.diff(down, axis=0) > 200).all()


def test_a_long_axis_is_broken_and_a_missing_picture_leaves_its_place():
    full = sheets.sheet(shades(10), {"seed": [str(i) for i in range(10)]})
    assert full.shape[0] > 500, "two rows of five"
    gaps = sheets.sheet([*shades(9), None], {"seed": [str(i) for i in range(10)]})
    assert gaps.shape == full.shape
    assert (gaps[-200:, -200:] > 0.95).mean() > 0.8


def test_sixty_four_pictures_fit_a_page():
    labels = [f"{x:.4g}" for x in EIGHT]
    page = sheets.sheet(shades(64), {"tv weight": labels, "style weight": labels})
    assert page.shape[1] <= 2100
    with pytest.raises(ValueError, match="one for each place of the axes, got 63 for 8 × 8"):
        sheets.sheet(shades(63), {"tv weight": labels, "style weight": labels})


def test_pictures_of_a_plot_keep_off_each_other():
    random = np.random.default_rng(0)
    points = random.uniform(200, 800, (20, 2))
    sizes, within = np.full((20, 2), 80.0), np.array([[0.0, 0.0], [1000.0, 1000.0]])
    places = sheets.spread(points, sizes, within)
    off = np.abs(places[:, None] - places[None]).max(-1) + 1e3 * np.eye(20)
    assert off.min() > 60, "of 80"
    assert (places >= 40).all()
    assert (places <= 960).all()
    assert np.isfinite(sheets.spread(np.full((3, 2), 500.0), np.full((3, 2), 80.0), within)).all()


def test_a_plot_says_what_it_leaves_out():
    points = [sheets.Point(0.0 if i == 0 else 2.0**i, 3.0**-i, str(i), picture) for i, picture in enumerate(shades(4))]
    whole, part = sheets.plot(points[1:], title="strength"), sheets.plot(points, title="strength")
    assert whole.shape == part.shape == (1152, 1760, 3)
    assert float(abs(whole - part)[:120].max()) > 0.3
    assert sheets.plot(points[:1]).shape == whole.shape
