"""Columns and the recipe nnst: each of its stages beside NumPy's statement of it; windows, devices, runs that go on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import drawn
from test_neighbours import COLUMNS as QUICK

from nst_jax import recipes
from nst_jax.network import layers, vgg19
from nst_jax.objective import losses, neighbours, tiles
from nst_jax.objective.losses import Region, Style
from nst_jax.painting import job as jobs
from nst_jax.painting import optimizers, painter, scenes
from nst_jax.painting.job import FAST, MAIN, FastFirst, Job
from nst_jax.pictures import samples
from nst_jax.recipes import Weights

ALONE = Weights({}, {}, 0.0, {"columns": 1.0})


def numpy_columns(maps, shape):
    """The ten maps at a quarter of the picture's edge, one after the other, in float64."""
    h, w, found = shape[0] // 4, shape[1] // 4, []
    for layer in layers.PARTS:
        f = np.asarray(maps[layer], np.float64)
        k = 4 // vgg19.stride(layer)
        if k:
            mine = np.zeros((h, w, f.shape[2]))
            for i in range(k):
                for j in range(k):
                    mine += f[i : k * h : k, j : k * w : k] / k**2
        else:  # linearly between the middles of positions, the ends held
            rows, columns = ((np.arange(n) + 0.5) / 2 - 0.5 for n in (h, w))
            f = np.apply_along_axis(lambda a, at=rows: np.interp(at, np.arange(len(a)), a), 0, f)
            mine = np.apply_along_axis(lambda a, at=columns: np.interp(at, np.arange(len(a)), a), 1, f)
        found.append(mine / f.shape[2])
    return np.concatenate(found, -1)


def numpy_unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


@pytest.fixture(scope="module")
def maps(bundled):
    """Of the real network: (a photograph, a painting), each with its ten maps and its columns."""
    pictures = samples.draw("skyline", (72, 100)), samples.draw("flow", (68, 92))
    find = jax.jit(lambda x: vgg19.features(bundled, x, (*layers.PARTS, "columns")))
    return [(picture, find(jnp.asarray(picture))) for picture in pictures]


# What columns are


def test_columns_are_ten_maps_beside_each_other(maps):
    for picture, found in maps:
        wanted = numpy_columns(found, picture.shape)
        assert wanted.shape == (picture.shape[0] // 4, picture.shape[1] // 4, 2688)
        np.testing.assert_allclose(found["columns"], wanted, rtol=1e-5, atol=1e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("length", [10, 11])
def test_a_deeper_map_is_made_larger_as_pytorch_does_it(length):
    torch = pytest.importorskip("torch")
    f = np.random.default_rng(0).normal(size=(5, 5, 2)).astype(np.float32)
    ours = vgg19._doubled(vgg19._doubled(jnp.asarray(f), 0, length), 1, length)
    theirs = torch.nn.functional.interpolate(torch.tensor(f.transpose(2, 0, 1))[None], scale_factor=2, mode="bilinear")
    np.testing.assert_allclose(ours[:10, :10], theirs[0].numpy().transpose(1, 2, 0), atol=1e-6)
    np.testing.assert_array_equal(ours[-1], ours[9])


def test_a_small_network_has_columns_of_what_it_has(narrow):
    assert vgg19.features(narrow, drawn(1, 40, 48), ["columns"])["columns"].shape == (10, 12, 2 * (4 + 5) + 3 * (6 + 7))
    fast = vgg19.load(vgg19.fast_path())  # its maps stand in for several of VGG19's
    found = vgg19.features(fast, drawn(1, 40, 48), (*layers.PARTS, "columns"))
    columns, *parts = (found[layer].shape[-1] for layer in ("columns", *layers.PARTS))
    assert found["columns"].shape == (10, 12, columns)
    assert columns == sum(parts)


def test_columns_see_as_far_as_they_say(narrow):
    """One pixel changes no column farther away: windows are as much larger than what they own."""
    seen, image = vgg19.reach("columns"), jnp.asarray(drawn(1, 16, 256))
    columns = jax.jit(lambda x: vgg19.features(narrow, x, ["columns"])["columns"])
    changed = np.flatnonzero((columns(image) != columns(image.at[8, 128].add(0.5))).any((0, 2)))
    assert 4 * changed.min() >= 128 - seen - 4
    assert 4 * changed.max() <= 128 + seen
    assert 4 * changed.max() > 128 + seen / 2


# What positions keep to


def test_the_nearest_is_numpys_each_sides_mean_taken_off(maps):
    seen, painting = (numpy_columns(found, picture.shape) for picture, found in maps)
    known = neighbours.study(jnp.asarray(painting, jnp.float32), rows=painting[:, :, 0].size)
    rows, flat = np.asarray(known.rows[0], np.float64), seen.reshape(-1, seen.shape[-1])
    mean = painting.reshape(-1, painting.shape[-1]).mean(0)
    cosines = numpy_unit(flat - flat.mean(0)) @ numpy_unit(rows - mean).T
    found = np.asarray(neighbours.align(jnp.asarray(seen, jnp.float32), known))[0].ravel()
    assert (found == cosines.argmax(1)).mean() > 0.99, "but for equals that rounding tells apart"


def test_a_term_is_one_less_the_cosine_to_what_a_position_keeps_to(maps, bundled):
    (content, found), (style, _) = maps
    loss = losses.loss()
    targets = jax.jit(loss.prepare)(bundled, content, losses.everywhere(style), ALONE)
    image = jnp.asarray(drawn(3, *content.shape[:2]))
    targets = losses.with_aligned(targets, jax.jit(loss.align)(bundled, jnp.asarray(content), targets, ALONE))
    rows, kept = np.asarray(targets.neighbours["columns"].rows[0]), np.asarray(targets.spatial.aligned["columns"][0])
    np.testing.assert_array_equal(kept, neighbours.align(found["columns"], targets.neighbours["columns"])[0])
    seen = numpy_columns(jax.jit(lambda x: vgg19.features(bundled, x, layers.PARTS))(image), image.shape)
    wanted = 1 - (numpy_unit(seen) * numpy_unit(rows[kept].astype(np.float64))).sum(-1).mean()
    terms = loss.terms(jax.jit(loss.summarise)(bundled, image, targets, ALONE), targets, ALONE)
    assert float(terms["style/columns neighbours"]) == pytest.approx(wanted, rel=1e-5)


def test_the_gradient_is_that_of_finite_differences(maps):
    seen, rows = np.asarray(maps[0][1]["columns"], np.float64), np.asarray(maps[1][1]["columns"]).reshape(1, -1, 2688)
    kept = np.random.default_rng(0).integers(0, rows.shape[1], (1, *seen.shape[:2]))
    painting = neighbours.Painting(jnp.zeros((1, 2688)), jnp.asarray(rows))
    grad = jax.grad(lambda f: neighbours.likeness(f, painting, None, kept).cosine.sum())(jnp.asarray(seen, jnp.float32))
    way, step = np.random.default_rng(1).normal(size=seen.shape), 1e-5 * np.abs(seen).max()
    low, high = ((numpy_unit(seen + s * way) * numpy_unit(rows[0][kept[0]])).sum(-1) for s in (-step, step))
    wanted = (high - low) / (2 * step)
    np.testing.assert_allclose((np.asarray(grad) * way).sum(-1), wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())


def test_matches_are_found_by_the_photograph_and_the_pictures_broad_forms():
    """(1 − a) · photograph + a · (the picture's coarser levels with the photograph's finest)."""
    photograph, picture, a = (x.astype(np.float64) for x in (drawn(1, 40, 48), drawn(2, 40, 48), np.float32(0.25)))

    def broad(x):
        half = np.stack([x[i::2, j::2] for i in (0, 1) for j in (0, 1)]).mean(0)
        return np.asarray(vgg19._doubled(vgg19._doubled(jnp.asarray(half, jnp.float32), 0, 40), 1, 48), np.float64)

    found = scenes.mix_with_current(jnp.asarray(photograph), jnp.asarray(picture), 0.25)
    wanted = (1 - a) * photograph + a * (photograph - broad(photograph) + broad(picture))
    np.testing.assert_allclose(found, wanted.clip(0, 1), atol=1e-6)


# Windows, regions, several


@pytest.mark.parametrize("shape", [(203, 187), (192, 210)])
def test_windows_find_the_same_and_have_the_wholes_value_and_gradient(narrow, shape):
    content, painting, image = drawn(1, *shape), drawn(2, 190, 230), jnp.asarray(drawn(3, *shape))
    left = np.tile(np.linspace(1, 0, shape[1], dtype=np.float32), (shape[0], 1))
    parts = Region((Style(painting),), left), Region((Style(content[:120, :100]), Style(painting)), 1 - left)
    loss, kept = losses.loss(), []
    windows = tiles.tiled(loss, size=176)
    for one in loss, windows:
        targets = jax.jit(one.prepare)(narrow, content, parts, ALONE)
        kept.append(losses.with_aligned(targets, jax.jit(one.align)(narrow, content, targets, ALONE)))
    whole, new = (np.asarray(targets.spatial.aligned["columns"]) for targets in kept)
    assert whole.shape == new.shape == (2, shape[0] // 4, shape[1] // 4)
    assert (whole == new).mean() > 0.999
    known, got = (
        jax.jit(jax.value_and_grad(losses.objective(one)))(image, narrow, kept[0], ALONE) for one in (loss, windows)
    )
    assert abs(float(got[0] / known[0]) - 1) < 1e-5
    assert float(jnp.linalg.norm(got[1] - known[1]) / jnp.linalg.norm(known[1])) < 1e-5


def test_a_region_keeps_to_its_own_paintings(narrow, night):
    """What is painted on the right is unseen on the left, farther away than a column sees."""
    content, left = drawn(1, 40, 192), np.zeros((40, 192), np.float32)
    left[:, :128] = 1
    loss, found = losses.loss(), []
    gradient = jax.jit(jax.grad(losses.objective(loss)))
    for right in (night, drawn(7, 64, 44)):  # of other sizes: the fewer columns are repeated
        parts = Region((Style(night),), left), Region((Style(right),), 1 - left)
        targets = jax.jit(loss.prepare)(narrow, content, parts, ALONE)
        targets = losses.with_aligned(targets, jax.jit(loss.align)(narrow, content, targets, ALONE))
        found.append(gradient(jnp.asarray(content), narrow, targets, ALONE))
    clear = 128 - vgg19.reach("columns") - 4
    assert clear > 40
    scale = float(jnp.abs(found[0]).max())
    np.testing.assert_allclose(found[0][:, :clear], found[1][:, :clear], atol=1e-6 * scale)
    assert not np.allclose(found[0][:, 132:], found[1][:, 132:], atol=1e-3 * scale)


def test_shares_are_of_paintings_of_any_size(maps):
    one, other = (neighbours.study(found["columns"], rows=n) for (_, found), n in zip(maps, (300, 200), strict=True))
    mixed = neighbours.mix([one, other], [1.0, 2.0])
    assert mixed.rows.shape[1] == 300
    assert float((mixed.rows[0] == one.rows[0]).all(-1).mean()) == pytest.approx(1 / 3, abs=0.01)
    known = {row.tobytes() for row in np.asarray(other.rows[0])}
    assert all(row.tobytes() in known for row in np.asarray(mixed.rows[0, 101:]))


# The variable


def numpy_compose(bands):
    image = np.asarray(bands[-1], np.float64)
    for band in bands[-2::-1]:
        for axis in 0, 1:
            at = (np.arange(band.shape[axis]) + 0.5) * image.shape[axis] / band.shape[axis] - 0.5
            image = np.apply_along_axis(lambda a, at=at: np.interp(at, np.arange(len(a)), a), axis, image)
        image = image + band
    return image


def test_a_step_of_pyramid_adam_is_adams_on_the_bands():
    """Beside Adam in NumPy, whose variables are the bands, and whose gradient goes through their matrix."""
    shape, levels, rate = (11, 14), 3, 0.01
    random = np.random.default_rng(0)
    goal, image = random.uniform(size=(2, *shape, 3))
    shapes = [(max(1, shape[0] >> i), max(1, shape[1] >> i), 3) for i in range(levels + 1)]
    sizes = np.cumsum([0, *(np.prod(s) for s in shapes)])

    def bands(flat):
        return [flat[a:b].reshape(s) for a, b, s in zip(sizes, sizes[1:], shapes, strict=False)]

    matrix = np.stack([numpy_compose(bands(row)).ravel() for row in np.eye(sizes[-1])], 1)  # [pixels, bands]
    flat, mean, square = np.linalg.lstsq(matrix, image.ravel(), rcond=None)[0], 0.0, 0.0
    optimizer = optimizers.pyramid_adam(rate, levels=levels)
    ours = jnp.asarray(image, jnp.float32)
    state = optimizer.init(ours)
    for t in range(1, 6):
        slope = matrix.T @ (2 * (matrix @ flat - goal.ravel()))
        mean, square = 0.9 * mean + 0.1 * slope, 0.999 * square + 0.001 * slope**2
        flat = flat - rate * (mean / (1 - 0.9**t)) / (np.sqrt(square / (1 - 0.999**t)) + 1e-8)
        update, state = optimizer.update(2 * (ours - goal.astype(np.float32)), state, ours)
        ours = ours + update
    np.testing.assert_allclose(ours.ravel(), matrix @ flat, atol=2e-5)


def test_bands_are_carried_to_another_size(narrow, town, night):
    run = painter.start(narrow, job(town, night))
    run = painter.advance(run, 3)
    before = [leaf.shape for leaf in jax.tree.leaves(run.state) if leaf.ndim == 3]
    after = painter.advance(run, 1)
    assert [leaf.shape for leaf in jax.tree.leaves(after.state) if leaf.ndim == 3] != before
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(after.state.inner))


# Runs


def job(content, style, recipe=QUICK):
    return Job(content, losses.everywhere(style), recipe, content.shape[:2])


def test_columns_give_way_at_the_end(narrow, town, night):
    asked = job(town, night)
    found = jobs.stages_without_plans(asked)
    assert [(stage.shape, stage.steps, stage.near) for stage in found] == [
        ((20, 24), 3, ("columns",)),
        ((40, 48), 4, ("columns",)),
        ((40, 48), 3, ("relu1_1", "relu2_1")),
    ]
    first = asked._replace(first=FastFirst(narrow, 5))
    assert [(stage.steps, stage.network, len(stage.near)) for stage in jobs.stages_without_plans(first)] == [
        (3, FAST, 1), (2, FAST, 1), (2, MAIN, 1), (3, MAIN, 2)
    ]  # fmt: skip
    *_, last = painter.frames(narrow, asked, every=1)
    assert {*last.terms} == {"style/relu1_1 neighbours", "style/relu2_1 neighbours", "variation"}


def test_a_run_goes_towards_what_it_keeps_to(narrow, town, night):
    recipe = QUICK._replace(neighbours={"columns": 1.0}, schedule=recipes.once(40), settings={"learning_rate": 0.01})
    found = [float(sum(frame.terms.values())) for frame in painter.frames(narrow, job(town, night, recipe), every=10)]
    assert found[-1] < 0.7 * found[0]


@pytest.mark.parametrize("at", [1, 3, 5, 8])
def test_a_resumed_run_has_the_same_bits(narrow, town, night, at):
    """Also in the middle of a stage whose columns were aligned by a picture that is no more."""
    asked = job(town, night)
    run = painter.advance(painter.start(narrow, asked), at)
    kept = painter.snapshot(run)
    resumed = painter.advance(painter.resume(narrow, asked, kept), 10 - at)
    np.testing.assert_array_equal(painter.look(resumed)[0].image, painter.look(painter.advance(run, 10 - at))[0].image)
    assert ("columns" in kept.aligned) == (at < 8)


def test_a_turn_finds_matches_anew(narrow, town, night):
    asked = job(town, night)._replace(regions=losses.everywhere(night, drawn(7, 40, 44)))
    run = painter.advance(painter.start(narrow, asked), 5)
    turns = [recipes.Turn(mix=mix) for mix in ((1.0, 0.0), (0.0, 1.0))]
    one, other = (painter.advance(run, 1, turn=turn) for turn in turns)
    assert not np.array_equal(one.aligned["columns"], other.aligned["columns"])
    assert not np.allclose(*(painter.look(each)[0].image for each in (one, other)), atol=1e-4)
