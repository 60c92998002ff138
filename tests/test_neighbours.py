"""Neighbours: NumPy's numbers and slope, what is kept of a painting, shares, regions, windows, finite runs."""

import conftest
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nst_jax import recipes
from nst_jax.network import vgg19
from nst_jax.objective import losses, neighbours, tiles
from nst_jax.objective.losses import Region, Style
from nst_jax.painting import painter, runs, vmapped
from nst_jax.painting.job import Job
from nst_jax.pictures import samples
from nst_jax.recipes import Weights

ALONE = Weights({}, {}, 0.0, {"relu1_1": 1.0})


def numpy_unit(x):
    return x / np.sqrt(np.maximum((x * x).sum(-1, keepdims=True), 1e-12))


def numpy_cosines(f, mean, rows):
    """(nearest, cosine) of every position, in float64: [h, w], [h, w]."""
    f, mean, rows = (np.asarray(x, np.float64) for x in (f, mean, rows))
    cosines = numpy_unit(f - mean) @ numpy_unit(rows - mean).T
    return cosines.argmax(-1), cosines.max(-1)


@pytest.fixture(scope="module")
def maps(bundled):
    """Maps of the real network: a photograph's and a painting's, of two layers."""
    pictures = samples.draw("skyline", (96, 128)), samples.draw("flow", (80, 112))
    features = jax.jit(lambda x: vgg19.features(bundled, x, ["relu1_1", "relu3_1"]))
    return [features(jnp.asarray(picture)) for picture in pictures]


def rows_of(f, guide):
    return len(np.unique(np.asarray(neighbours.study(f, jnp.asarray(guide)).rows[0]), axis=0))


def test_half_a_painting_everywhere_is_all_of_it(maps):
    """A guide says how much of a painting counts, beside the rest of it."""
    f = maps[1]["relu3_1"]
    h, w = f.shape[:2]
    assert rows_of(f, np.ones((h, w))) == rows_of(f, np.full((h, w), 0.3)) > 100
    half = np.where(np.arange(w) < w // 2, 0.4, 0.1) * np.ones((h, 1))
    assert rows_of(f, half) == rows_of(f, half > 0.2)


def test_a_part_that_lies_along_the_edge_is_what_there_is(maps):
    f = maps[1]["relu3_1"]
    rim = np.zeros(f.shape[:2])
    rim[0] = 1
    assert rows_of(f, rim) == f.shape[1]


# Sums


@pytest.mark.parametrize("layer", ["relu1_1", "relu3_1"])
def test_likeness_is_numpys_on_real_maps(maps, layer):
    seen, painting = maps[0][layer], neighbours.study(maps[1][layer])
    guide = np.stack([np.tile(np.linspace(0, 1, seen.shape[1]), (seen.shape[0], 1)), np.ones(seen.shape[:2])])
    found = jax.jit(neighbours.likeness)(
        seen, neighbours.Painting(*(jnp.concatenate([x, x]) for x in painting)), jnp.asarray(guide, jnp.float32)
    )
    nearest, cosine = numpy_cosines(seen, painting.mean[0], painting.rows[0])
    np.testing.assert_allclose(found.cosine, [(guide[0] * cosine).sum(), cosine.sum()], rtol=1e-5)
    np.testing.assert_allclose(found.count, guide.sum((1, 2)), rtol=1e-6)
    unit = neighbours._unit
    ours = neighbours._nearest(unit(seen - painting.mean[None]), unit(painting.rows[0] - painting.mean))
    rows = np.asarray(painting.rows[0])
    assert (rows[ours] == rows[nearest]).all(-1).mean() > 0.999, "but for equals that rounding tells apart"


def test_the_gradient_is_that_of_finite_differences(maps):
    seen, painting = np.asarray(maps[0]["relu3_1"][:6, :7]), neighbours.study(maps[1]["relu3_1"])
    known = painting.mean[0], painting.rows[0]
    grad = jax.grad(lambda f: neighbours.likeness(f, painting).cosine.sum())(jnp.asarray(seen))
    way = np.random.default_rng(0).normal(size=seen.shape)
    step = 1e-4 * np.abs(seen).max()
    (before, low), (after, high) = (numpy_cosines(seen + s * way, *known) for s in (-step, step))
    still = before == after
    assert still.mean() > 0.9
    slope = (np.asarray(grad, np.float64) * way).sum(-1)[still]
    np.testing.assert_allclose(slope, ((high - low) / (2 * step))[still], rtol=2e-2, atol=1e-4 * np.abs(slope).max())


def test_equals_have_the_first():
    known = jnp.asarray([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    seen = jnp.asarray([[[2.0, 0.1], [0.1, 3.0], [-1.0, -1.0]]])
    assert neighbours._nearest(seen, known).tolist() == [[0, 1, 0]]


# What is kept of a painting


def test_features_are_the_paintings_and_none_of_its_edge(maps):
    f = np.asarray(maps[1]["relu3_1"])
    kept = neighbours.study(f)
    assert kept.rows.shape == (1, neighbours.ROWS, f.shape[-1])
    np.testing.assert_allclose(kept.mean[0], f.mean((0, 1)), rtol=1e-5)
    inner = {row.tobytes() for row in f[2:-2, 2:-2].reshape(-1, f.shape[-1])}
    assert {row.tobytes() for row in np.asarray(kept.rows[0])} == inner, "all of them, repeated"
    small = f[:8, :8]
    assert {row.tobytes() for row in np.asarray(neighbours.study(small).rows[0])} == {
        row.tobytes() for row in small.reshape(-1, f.shape[-1])
    }


def test_features_are_drawn_from_where_the_guide_is(maps):
    f = np.asarray(maps[1]["relu1_1"])
    guide = np.zeros(f.shape[:2], np.float32)
    guide[20:40, 30:90] = 1
    kept = neighbours.study(f, jnp.asarray(guide))
    inside = {row.tobytes() for row in f[20:40, 30:90].reshape(-1, f.shape[-1])}
    found = {row.tobytes() for row in np.asarray(kept.rows[0])}
    assert found <= inside
    assert len(found) > 0.8 * min(neighbours.ROWS, len(inside))
    np.testing.assert_allclose(kept.mean[0], f[20:40, 30:90].mean((0, 1)), rtol=1e-4)
    for bits in (kept, neighbours.study(f, jnp.zeros(f.shape[:2]))):
        assert all(np.isfinite(leaf).all() for leaf in bits)


@pytest.mark.parametrize("shares", [(1.0, 3.0), (1.0, 0.0), (2.0, 2.0)])
def test_shares_are_of_the_features(maps, shares):
    one, other = neighbours.study(maps[0]["relu3_1"]), neighbours.study(maps[1]["relu3_1"])
    mixed = jax.jit(neighbours.mix)([one, other], shares)
    first = (mixed.rows == one.rows).all(-1).mean()
    assert float(first) == pytest.approx(shares[0] / sum(shares), abs=1e-3)
    assert float(((mixed.rows == one.rows) | (mixed.rows == other.rows)).all(-1).mean()) == 1
    wanted = (shares[0] * one.mean + shares[1] * other.mean) / sum(shares)
    np.testing.assert_allclose(mixed.mean, wanted, rtol=1e-5, atol=1e-3)


# In a loss


def test_a_term_is_one_less_the_mean_cosine(narrow, town, night):
    loss = losses.loss()
    targets = loss.prepare(narrow, town, losses.everywhere(night), ALONE)
    terms = loss.terms(loss.summarise(narrow, town, targets, ALONE), targets, ALONE)
    f, painting = vgg19.features(narrow, town, ["relu1_1"])["relu1_1"], targets.neighbours["relu1_1"]
    _, cosine = numpy_cosines(f, painting.mean[0], painting.rows[0])
    assert {*terms} == {"style/relu1_1 neighbours", "variation"}
    assert float(terms["style/relu1_1 neighbours"]) == pytest.approx(1 - cosine.mean(), rel=1e-4)


def test_a_region_has_its_own_paintings_neighbours_only(narrow, town, night):
    left = np.zeros(town.shape[:2], np.float32)
    left[:, :24] = 1
    loss, other = losses.loss(), conftest.drawn(7, 40, 44)
    found = []
    for right in (night, other):
        parts = Region((Style(night),), left), Region((Style(right),), 1 - left)
        targets = loss.prepare(narrow, town, parts, ALONE)
        value = losses.objective(loss)
        found.append(jax.grad(value)(jnp.asarray(town), narrow, targets, ALONE))
    np.testing.assert_array_equal(found[0][:, :23], found[1][:, :23])
    assert not np.allclose(found[0][:, 26:], found[1][:, 26:])


@pytest.mark.parametrize("recomputed", [False, True])
def test_windows_have_the_wholes_features_value_and_gradient(narrow, recomputed):
    content, painting = conftest.drawn(1, 203, 187), conftest.drawn(2, 190, 230)
    image, left = jnp.asarray(conftest.drawn(3, 203, 187)), np.tile(np.linspace(1, 0, 187, dtype=np.float32), (203, 1))
    parts = Region((Style(painting),), left), Region((Style(content), Style(painting)), 1 - left)
    weights = Weights({"relu3_1": 1e-3}, {"relu2_1": 1e-3}, 0.1, {"relu2_1": 1.0, "relu3_1": 2.0})
    whole = losses.loss()
    windows = tiles.tiled(tiles.recomputed(whole) if recomputed else whole, size=128)
    kept = []
    for loss in (whole, windows):
        targets = jax.jit(loss.prepare)(narrow, content, parts, weights)
        kept.append((*jax.jit(jax.value_and_grad(losses.objective(loss)))(image, narrow, targets, weights), targets))
    (value, grad, known), (new, slope, made) = kept
    for a, b in zip(jax.tree.leaves(made.neighbours), jax.tree.leaves(known.neighbours), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * float(jnp.abs(b).max()))
    assert abs(float(new / value) - 1) < 1e-5
    assert float(jnp.linalg.norm(slope - grad) / jnp.linalg.norm(grad)) < 1e-5


# Runs


QUICK = recipes.get("matching")._replace(
    content={"relu2_1": 1e-3},
    style={"relu1_1": 0.6},
    neighbours={"relu1_1": 3.0, "relu2_1": 3.0},
    schedule=recipes.listed((24, 3), (48, 3)),
)


COLUMNS = recipes.get("nnst")._replace(
    neighbours={"columns": 1.0, "relu1_1": 1.0, "relu2_1": 1.0}, schedule=recipes.listed((24, 3), (48, 7)), apart=0.3
)
BOTH = pytest.mark.parametrize("recipe", [QUICK, COLUMNS], ids=["layers", "columns"])


def job(content, style, recipe=QUICK):
    return Job(content, losses.everywhere(style), recipe, content.shape[:2])


def test_a_run_goes_towards_its_neighbours(narrow, town, night):
    recipe = QUICK._replace(content={}, style={}, variation=0.0, schedule=recipes.once(40), keep=("clamped",))
    frames = [*painter.frames(narrow, job(town, night, recipe), every=10)]
    losses_seen = [sum(float(v) for k, v in frame.terms.items() if k.startswith("style")) for frame in frames]
    assert losses_seen[-1] < 0.8 * losses_seen[0]


def test_a_resumed_run_has_the_same_bits(narrow, town, night):
    asked = job(town, night)
    run = painter.advance(painter.start(narrow, asked), 4)
    resumed = painter.advance(painter.resume(narrow, asked, painter.snapshot(run)), 2)
    np.testing.assert_array_equal(painter.look(resumed)[0].image, painter.look(painter.advance(run, 2))[0].image)


def test_a_mix_may_change_on_the_way(narrow, town, night):
    asked = job(town, night)._replace(regions=losses.everywhere(night, conftest.drawn(7, 40, 44)))
    run = painter.advance(painter.start(narrow, asked), 3)
    one, other = (painter.advance(run, 1, turn=recipes.Turn(mix=mix)) for mix in ((1.0, 0.0), (0.0, 1.0)))
    assert not np.allclose(*(painter.look(each)[0].image for each in (one, other)), atol=1e-3)


@BOTH
def test_several_at_once_are_each_alone(narrow, town, night, recipe):
    """Paintings of two sizes, which have other numbers of columns."""
    styles = night, conftest.drawn(7, 40, 44)
    jobs = [job(town, style, recipe.times(style=weight)) for style in styles for weight in (1.0, 2.0)]
    together: dict = {}
    for found in vmapped.frames(narrow, jobs, every=10**9, chunk=4):
        together |= found
    for number, one in enumerate(jobs):
        *_, alone = painter.frames(narrow, one, every=10**9)
        off = np.abs(together[number].image - alone.image)  # a batch rounds otherwise, and may find another neighbour
        assert off.mean() < 1e-3


def test_each_of_several_follows_its_own_picture_when_it_is_aligned(narrow, town, night):
    shares = 0.0, 4.0
    recipe = COLUMNS._replace(schedule=recipes.listed((24, 2), (48, 2)))
    jobs = [job(town, night, recipe._replace(current_share=share)) for share in shares]
    ((_, many),) = vmapped.chunks(narrow, jobs, chunk=2)
    run = painter.advance(runs.begin(many), 3)
    for number, one in enumerate(jobs):
        alone = painter.advance(painter.start(narrow, one), 3)
        kept = np.asarray(run.aligned["columns"][number]), np.asarray(alone.aligned["columns"])
        assert (kept[0] != kept[1]).mean() < 0.1
    assert (run.aligned["columns"][0] != run.aligned["columns"][1]).mean() > 0.2


@BOTH
@pytest.mark.parametrize("kind", ["one colour", "tiny painting", "tiny picture", "no part of it"])
def test_nothing_turns_to_nan(narrow, town, night, kind, recipe):
    content = town[:24, :24] if kind == "tiny picture" else town
    style = {"one colour": np.full_like(night, 0.4), "tiny painting": night[:16, :17]}.get(kind, night)
    guide = np.zeros(night.shape[:2], np.float32) if kind == "no part of it" else None
    asked = job(content, style, recipe._replace(schedule=recipes.once(3)))
    asked = asked._replace(regions=(Region((Style(style, 1.0, guide),)),))
    *_, last = painter.frames(narrow, asked, every=1)
    assert np.isfinite(last.image).all()
    assert all(np.isfinite(value) for value in last.terms.values())


def test_neighbours_are_style_to_every_knob():
    recipe = recipes.get("matching")
    plain = recipe.weights((512, 512)).near
    assert plain.keys() == {"relu1_1", "relu2_1", "relu3_1", "relu4_1"}
    stronger = recipe.strength(0.75).weights((512, 512)).near
    turned = recipe.with_turn(recipes.Turn(style=3.0)).weights((512, 512)).near
    assert stronger == {k: pytest.approx(2.25 * v) for k, v in plain.items()}
    assert turned == {k: pytest.approx(3 * v) for k, v in plain.items()}
    assert "relu1_1" in recipe.layers
