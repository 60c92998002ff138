"""nst_jax.painting.vmapped: several jobs as one program, each picture as a run alone makes it."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import drawn

import nst_jax
from nst_jax import recipes
from nst_jax.objective import losses, tiles
from nst_jax.objective.losses import Region, Style
from nst_jax.painting import batches, memory, painter, scenes, transfer, vmapped
from nst_jax.painting import job as one_job
from nst_jax.painting.job import ANY, FastFirst, Job, Stage
from nst_jax.recipes import Recipe, Turn

QUICK = recipes.get("nst-jax")._replace(
    content={"relu2_1": 0.05},
    style={"relu1_1": 4.0, "relu2_1": 1.0},
    schedule=recipes.listed((24, 3), (48, 4)),
    variation=10.0,
)
EIGHT = np.geomspace(0.1, 100, 8)
pytestmark = pytest.mark.usefixtures("quick_compiler")


def of(recipe, factors):
    return [recipe.times(style=float(x)) for x in factors]


def job(content, *styles, recipe=QUICK, **rest):
    regions = losses.everywhere(*styles)
    return Job(content, regions, recipe, content.shape[:2], **rest)


def last(params, jobs, **options):
    found = {}
    for each in vmapped.frames(params, jobs, every=10, **options):
        found |= each
    return [found[n] for n in range(len(jobs))]


def programs():
    """How many programs of steps there are."""
    return sum(program.of(())._cache_size() for program in (transfer.advance, transfer.consume))


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
    known, stage = batches.Known(narrow, jobs, ANY), Stage(town.shape[:2], 1)
    gradient = jax.value_and_grad(losses.objective(one_job.loss(recipe)))
    args = [known.arguments(stage, n, known.scene(stage, n), None, None) for n in range(8)]
    axes, pictures = batches.axes_of(jobs), jnp.stack([jnp.asarray(town[::-1])] * 8)
    many = jax.jit(batches.map_step(gradient, axes))(pictures, *batches.join(args, axes))
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
        "turns": [job(town, night, recipe=recipe, turn=Turn(style=x)) for x in (1.0, 30.0)],
        "guides": [Job(town, regions, recipe, (40, 48)) for regions in guided],
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


@pytest.mark.parametrize("changes", [{"style_size": 24}, {"edge": "short"}], ids=str)
def test_how_paintings_are_sized_may_vary(narrow, town, night, changes):
    recipe = QUICK._replace(schedule=recipes.once(3), style={"relu1_1": 1e4}, style_distance="gram")
    jobs = [job(town[:, :40], night, recipe=each) for each in (recipe, recipe._replace(**changes))]
    together = last(narrow, jobs, chunk=2)
    for one, frame in zip(jobs, together, strict=True):
        *_, alone = painter.frames(narrow, one)
        np.testing.assert_allclose(frame.image, alone.image, atol=2e-3)
    assert float(abs(together[0].image - together[1].image).max()) > 1e-2


VARY = {
    *("name", "source", "differs", "store", "size"),  # of no pixel, but by the shape
    *("content", "style", "neighbours", "variation"),  # values, of the same layers
    *("edge", "style_size", "current_share", "start"),  # of what is measured for each picture
}


def test_each_field_of_a_recipe_may_vary_or_must_be_one():
    """A field that is new is either made sure of here, or painted wrongly in a batch."""
    other = {"optimizer": "sgd", "keep": ("best",), "settings": {"b1": 0.5}, "schedule": recipes.once(3), "apart": 0.5}
    whole = Job(np.zeros((32, 32, 3)), (), QUICK, (32, 32))
    for name in Recipe._fields:
        changed = whole._replace(recipe=QUICK._replace(**{name: other.get(name, "another")}))
        if name not in VARY:
            assert any(of(changed) != of(whole) for of in vmapped.ALIKE.values()), name


def test_mixes_may_vary_and_another_network_may_begin(narrow, town, night):
    other = {**narrow, "conv1_1": {k: 2 * v for k, v in narrow["conv1_1"].items()}}
    recipe = QUICK._replace(schedule=recipes.once(3), style={"relu1_1": 1.0}, style_distance="gram")
    two = night, night[::-1, :, ::-1].copy()
    mixes = (1.0, 0.0), (1.0, 2.0)
    jobs = [job(town, *two, recipe=recipe, turn=Turn(mix=mix), first=FastFirst(other, 1)) for mix in mixes]
    assert batches.axes_of(jobs)[1].style == 0
    for one, frame in zip(jobs, last(narrow, jobs, chunk=2), strict=True):
        *_, alone = painter.frames(narrow, one)
        np.testing.assert_allclose(frame.image, alone.image, atol=2e-3)
        *_, plain = painter.frames(narrow, one._replace(first=None))
        assert float(abs(frame.image - plain.image).max()) > 4e-3


def test_a_chunk_has_no_smaller_plan(narrow, town, night):
    jobs = [job(town, night, recipe=recipe) for recipe in of(QUICK, EIGHT)]
    several = batches.Many(batches.Known(narrow, jobs, ANY), (0, 1, 2), batches.axes_of(jobs), ANY)
    message = "^memory must hold a chunk, got too little for 3 pictures of 48×40 px at once: lower chunk$"
    with pytest.raises(ValueError, match=message):
        several.smaller(several.stages()[-1])


def test_what_does_not_vary_is_computed_once_and_not_batched(narrow, town, night, monkeypatch):
    made = []
    for name in "measure_jitted", "study_jitted":
        known = getattr(scenes, name)
        monkeypatch.setattr(scenes, name, lambda *args, name=name, known=known: made.append(name) or known(*args))
    jobs = [job(town, night, recipe=recipe) for recipe in of(QUICK._replace(style_distance="gram"), EIGHT)]
    last(narrow, jobs, chunk=2)
    assert sorted(made) == ["measure_jitted"] * 2 + ["study_jitted"] * 2, "one of each for each size"
    axes = batches.axes_of(jobs)
    assert axes == (
        None,
        losses.Targets(losses.Spatial(None, None, 0), None, None),
        losses.Weights(None, 0, None, None),
    )
    assert batches.axes_of([job(town, night), job(night, night)])[1].spatial.content == 0


def test_a_judge_weighs_all_alike(narrow, town, night):
    jobs = [job(town, night, recipe=r._replace(schedule=recipes.once(2))) for r in of(QUICK, (1.0, 3.0))]
    frames = last(narrow, jobs)
    judge = vmapped.judge(narrow, [jobs[0], jobs[0]])
    for n, factor in enumerate((1.0, 3.0)):
        terms = judge(n, frames[n].image)
        assert float(terms["content/relu2_1"]) == float(frames[n].terms["content/relu2_1"])
        np.testing.assert_allclose(terms["style/relu1_1"] * factor, frames[n].terms["style/relu1_1"], rtol=1e-6)


def test_a_judge_goes_by_windows_where_a_picture_does(narrow, night, monkeypatch):
    town, picture = drawn(1, 100, 90), drawn(2, 100, 90)
    whole = vmapped.judge(narrow, [job(town, night)])(0, picture)
    plan = memory.Plan(window=64)
    monkeypatch.setattr(memory, "choose_plan", lambda load, most: plan if most == 10**9 else memory.Plan())
    windows, tiled = [], tiles.tiled
    monkeypatch.setattr(tiles, "tiled", lambda loss, *, size: windows.append(size) or tiled(loss, size=size))
    found = vmapped.judge(narrow, [job(town, night)], machine=memory.Machine(10**9))(0, picture)
    assert set(windows) == {64}
    for name, value in whole.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4)  # a root is of sums that were added otherwise


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": (32, 48)}, "one shape, got 48×40 and 48×32: give one size, as 640x480, which crops them alike"),
        ({"recipe": QUICK._replace(optimizer="lbfgs", settings={})}, "one optimizer, got adam .* and lbfgs"),
        ({"recipe": QUICK._replace(style={"relu1_1": 1.0})}, "one set of style layers, got .*'relu2_1'.* and "),
        ({"recipe": QUICK._replace(pool="average")}, "one loss, got .* max .* average .*: paint them apart"),
        ({"recipe": QUICK._replace(schedule=recipes.once(3))}, "one schedule, got 24: 3, 48: 4 and 48: 3"),
        ({"recipe": QUICK._replace(family="torchvision")}, "one family, got caffe and torchvision"),
        ({"turn": Turn(rate=0.5)}, r"one factor of the learning rate, got 1\.0 and 0\.5: paint them apart"),
        ({"first": FastFirst({}, 2)}, "one number of steps after the fast network's, got None and 2: paint them apart"),
    ],
)
def test_jobs_that_are_not_one_program(change, message, narrow, town, night):
    with pytest.raises(ValueError, match=message):
        next(vmapped.frames(narrow, [job(town, night), job(town, night)._replace(**change)]))


def test_two_networks_that_begin_are_not_one_program(narrow, town, night):
    with pytest.raises(
        ValueError, match=r"one fast network, got that at 0x[0-9a-f]* and that at 0x.*: paint them apart"
    ):
        next(vmapped.frames(narrow, [job(town, night, first=FastFirst({}, 1)) for _ in range(2)]))


def test_no_jobs_at_all(narrow, town, night):
    with pytest.raises(ValueError, match="at least one, got none"):
        vmapped.sweep(town, night, recipes=[], params=narrow)


def test_a_chunk_is_what_the_whole_memory_holds(bundled, monkeypatch):
    whole = Job(np.zeros((512, 512, 3)), (), QUICK, (512, 512))
    assert vmapped.fitting_chunk(bundled, whole, count=64) == 1, "on a CPU"
    monkeypatch.setattr(jax, "devices", lambda: [SimpleNamespace(platform="gpu")])

    def fit(most, count):
        return vmapped.fitting_chunk(bundled, whole, count=count, machine=memory.Machine(int(most)))

    most = fit(24e9, 10_000)
    load = one_job.load_at(bundled, whole, (512, 512))
    alone, more = memory.peak(memory.Plan(), load), memory.step(memory.Plan(), load) + load.held
    assert alone + (most - 1) * more <= 24e9 < alone + most * more
    assert fit(24e9, 4) == 4
    assert fit(24e9, most + 1) == -(-(most + 1) // 2), "two chunks alike"
    assert fit(1e6, 4) == 1
