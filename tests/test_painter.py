"""nst_jax.paint and nst_jax.stylize: one call, on a narrow network."""

import numpy as np
import pytest

import nst_jax
from nst_jax import recipes
from nst_jax.objective import losses
from nst_jax.painting import painter

QUICK = recipes.get("gatys-notebook")._replace(
    content={"relu2_2": 1.0},
    style={"relu1_1": 0.1, "relu2_1": 0.1, "relu3_1": 0.1},
    schedule=recipes.once(6),
    start="noise",
    optimizer="adam",
    settings={"learning_rate": 0.05},
)


@pytest.fixture(scope="module")
def painted(narrow, town, night):
    return nst_jax.stylize(town, night, recipe=QUICK, params=narrow, seed=1)


def test_a_painting_is_a_picture_of_the_contents_shape(painted, town):
    assert painted.shape == town.shape
    assert painted.dtype == np.float32
    assert 0 <= float(painted.min()) < float(painted.max()) <= 1
    assert nst_jax.stylize is painter.stylize


def test_a_painting_is_its_seeds_and_no_others(painted, narrow, town, night):
    again, other = (nst_jax.stylize(town, night, recipe=QUICK, params=narrow, seed=seed) for seed in (1, 2))
    np.testing.assert_array_equal(again, painted)
    assert float(abs(other - painted).max()) > 0.05


def test_the_loss_goes_down_and_its_terms_have_names(narrow, town, night):
    job = painter.Job(town, losses.everywhere(night), QUICK, town.shape[:2])
    frames = list(painter.frames(narrow, job, every=2))
    assert [frame.step for frame in frames] == [2, 4, 6]
    totals = [float(sum(frame.terms.values())) for frame in frames]
    assert totals[-1] < 0.9 * totals[0]
    assert float(frames[-1].info.loss) > totals[-1], "the step's loss is of the picture before it"
    assert list(frames[0].terms) == ["content/relu2_2", "style/relu1_1", "style/relu2_1", "style/relu3_1", "variation"]
    assert all(frame.image.min() >= 0 and frame.image.max() <= 1 for frame in frames)


def test_lbfgs_lowers_the_loss_more_than_it_was(narrow, town, night):
    recipe = QUICK._replace(optimizer="lbfgs", settings={"memory": 5}, start="content")
    job = painter.Job(town, losses.everywhere(night), recipe, town.shape[:2])
    first, *_, last = painter.frames(narrow, job, every=1)
    assert float(last.info.loss) < 0.5 * float(first.info.loss)


def test_another_run_of_the_same_shapes_compiles_nothing(painted, narrow, town, night, compilations):
    nst_jax.stylize(town[::-1], night[::-1], recipe=QUICK.times(style=3.0), params=narrow, seed=4)
    assert len(compilations) == 0


def test_several_styles_are_painted_between(painted, narrow, town, night):
    both = nst_jax.stylize(town, night, town[::-1], recipe=QUICK, params=narrow, seed=1)
    assert both.shape == town.shape
    assert float(abs(both - painted).max()) > 0.01


def test_a_picture_may_be_the_start(narrow, town, night):
    recipe = QUICK._replace(schedule=recipes.once(1), settings={"learning_rate": 1e-6})
    job = painter.Job(town, losses.everywhere(night), recipe, town.shape[:2], start=town[::-1])
    *_, last = painter.frames(narrow, job)
    np.testing.assert_allclose(last.image, town[::-1], atol=1e-4)


def test_coarse_to_fine_ends_at_the_jobs_own_shape(narrow, town, night):
    recipe = QUICK._replace(schedule=recipes.listed((24, 2), (48, 3)))
    job = painter.Job(town, losses.everywhere(night), recipe, town.shape[:2])
    frames = list(painter.frames(narrow, job, every=2))
    assert [(f.step, f.image.shape) for f in frames] == [(2, (20, 24, 3)), (4, (40, 48, 3)), (5, (40, 48, 3))]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": "adm"}, "optimizer must be one of adam, .*, got 'adm'"),
        ({"pool": "min"}, "pool must be one of max, .*, got 'min'"),
        ({"start": "nose"}, "start must be one of content, .*, got 'nose'"),
        ({"style": {"relu9_1": 1.0}}, "got 'relu9_1'"),
    ],
)
def test_a_word_that_nobody_knows(change, message, narrow, town, night):
    with pytest.raises(ValueError, match=message):
        nst_jax.stylize(town, night, recipe=QUICK._replace(**change), params=narrow)
    with pytest.raises(ValueError, match="recipe must be one of"):
        nst_jax.stylize(town, night, recipe="gatis", params=narrow)
