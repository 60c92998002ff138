"""Windows: each position owned once, the whole image's numbers and gradient, no seams, bounded memory."""

import conftest
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nst_jax import recipes
from nst_jax.network import vgg19
from nst_jax.objective import distances, losses, tiles
from nst_jax.objective.losses import Region, Style
from nst_jax.painting import starts, transfer
from nst_jax.recipes import Weights

SHAPE = (421, 389)  # multiples of nothing
SIZE = 320
LAYERS = Weights({"relu4_2": 1.0}, {f"relu{b}_1": 10.0 for b in range(1, 6)} | {"relu5_4": 1.0}, 1e-3)
LEFT = np.broadcast_to(np.linspace(1, 0, SHAPE[1], dtype=np.float32), SHAPE)


@pytest.fixture(scope="module")
def pictures():
    """A content, an image to judge, and a painting larger than a window."""
    return conftest.drawn(1, *SHAPE), jnp.asarray(conftest.drawn(3, *SHAPE)), conftest.drawn(2, 350, 460)


def regions(painting, kind):
    """Everywhere after one painting, or two halves: a mixture, and part of a painting."""
    if kind == "everywhere":
        return losses.everywhere(painting)
    part = np.ones((350, 460), np.float32)
    part[:100] = 0
    small = conftest.drawn(5, 64, 80)
    return (
        Region((Style(painting, 2.0), Style(small, 1.0)), LEFT),
        Region((Style(painting, 1.0, part),), 1 - LEFT),
    )


def relative(a, b):
    return float(jnp.linalg.norm(a - b) / jnp.linalg.norm(b))


def evaluate(loss, params, pictures, regions, weights):
    """(value, gradient, targets) of a loss."""
    content, image, _ = pictures
    targets = jax.jit(loss.prepare)(params, content, regions, weights)
    value, grad = jax.jit(jax.value_and_grad(losses.objective(loss)))(image, params, targets, weights)
    return value, grad, targets


# Spans and halos


@pytest.mark.parametrize(("around", "unit"), [(80, 16), (128, 16), (2, 1), (24, 8)])
def test_every_position_is_owned_once_and_seen_whole(around, unit):
    smallest = 2 * around + 2 * unit - 1
    for length in (1, 15, 16, 17, 300, 333, 1000, 1024, 4001):
        for size in (smallest, smallest + 1, 512, 777):
            width, found = tiles.spans(length, size, around, unit)
            assert width <= max(size, 1)
            assert (width - length) % unit == 0
            at = 0
            for start, low, high in found:
                assert low == at
                assert start % unit == low % unit == 0
                assert 0 <= start <= length - width
                assert start == 0 or low - start >= around  # the halo, or a true border
                assert high == length if start + width == length else start + width - high >= around
                at = high
            assert at == length


def test_windows_are_as_few_as_their_size_allows_and_no_wider_than_they_need():
    width, found = tiles.spans(1000, 512, 80, 16)
    assert (width, len(found)) == (456, 3)
    assert tiles.spans(500, 512, 80, 16) == (500, (tiles.Span(0, 0, 500),))


@pytest.mark.parametrize(
    ("layer", "pixels"), [("relu5_1", 80), ("relu5_2", 96), ("relu5_3", 112), ("relu5_4", 128), ("relu1_1", 16)]
)
def test_the_halo_follows_from_the_deepest_layer(layer, pixels):
    assert tiles.halo(["relu1_1", layer])[0] == pixels
    assert tiles.halo([layer])[1] == 16
    assert tiles.halo([layer, "pool5"])[1] == 32


def test_a_halo_is_what_a_position_sees(narrow):
    """The pixels that a position's gradient reaches lie within `reach` of its own, and touch that bound."""
    image = jnp.asarray(conftest.drawn(4, 288, 288))
    for layer in ("relu2_2", "pool3", "relu5_1"):
        k = vgg19.stride(layer)
        at = 144 // k

        def one(image, layer=layer, at=at):
            return vgg19.features(narrow, image, [layer.replace("relu", "conv")], pool="average")[
                layer.replace("relu", "conv")
            ][at, at].sum()

        touched = np.flatnonzero(np.abs(jax.jit(jax.grad(one))(image)).sum((1, 2)))
        reach = vgg19.reach(layer)
        assert at * k - reach <= touched.min()
        assert touched.max() <= at * k + k - 1 + reach
        assert touched.max() - touched.min() + 1 >= 0.8 * (k + 2 * reach)


def test_a_window_too_small_is_refused_with_the_smallest(narrow, pictures):
    small = tiles.tiled(losses.loss(), size=190)
    assert tiles.smallest_window(("relu5_1",)) == 191
    with pytest.raises(ValueError, match=r"^window must be at least 191 px for these layers, got 190: raise it"):
        evaluate(small, narrow, pictures, losses.everywhere(pictures[2]), Weights({}, {"relu5_1": 1.0}))


# Equality


@pytest.mark.parametrize(
    ("style", "where", "weights"),
    [
        (distances.gram, "everywhere", LAYERS),
        (distances.wasserstein, "halves", LAYERS._replace(style={"relu2_1": 10.0, "relu5_1": 10.0})),
    ],
)
def test_value_and_gradient_are_the_whole_images(narrow, pictures, where, style, weights):
    whole = losses.loss(style=style, variation=distances.NINE_POINT)
    parts = regions(pictures[2], where)
    value, grad, targets = evaluate(whole, narrow, pictures, parts, weights)
    kept = whole if where == "everywhere" else tiles.recomputed(whole)
    new, slope, made = evaluate(tiles.tiled(kept, size=SIZE), narrow, pictures, parts, weights)
    assert abs(float(new / value) - 1) < 1e-5
    assert relative(slope, grad) < 1e-5
    for a, b in zip(jax.tree.leaves(made.style), jax.tree.leaves(targets.style), strict=True):
        assert relative(a, b) < 1e-5
    if kept is not whole:
        assert {*made.spatial.content} == {"input"}  # the picture alone
        np.testing.assert_array_equal(made.spatial.content["input"], pictures[0])


@pytest.mark.parametrize(
    "wrap",
    [
        lambda loss: loss,
        lambda loss: tiles.tiled(loss, size=96),
        tiles.recomputed,
        lambda loss: tiles.tiled(tiles.recomputed(loss), size=96),
    ],
    ids=["plain", "tiled", "recomputed", "both"],
)
def test_the_content_and_each_style_may_be_prepared_by_themselves_and_mixed(narrow, wrap):
    """The content beside no regions, a style beside any picture; for one style the same bits as both at once."""
    content, style, other = (jnp.asarray(conftest.drawn(seed, 130, 101)) for seed in (1, 2, 3))
    weights = Weights({"relu3_1": 1.0}, {"relu1_1": 1.0, "relu3_1": 1.0})
    prepare = jax.jit(wrap(losses.loss()).prepare)
    both = prepare(narrow, content, losses.everywhere(style), weights)
    spatial = prepare(narrow, content, (), weights)
    nowhere = jnp.zeros((1, 1, 3)), weights._replace(content={})
    moments, others = (prepare(narrow, nowhere[0], losses.everywhere(x), nowhere[1]) for x in (style, other))
    assert spatial.style == moments.spatial.content == {}
    assert moments.spatial.guides == losses.Guides()
    mix = jax.jit(losses.mix)
    kept, beside = (losses.Study(each.style) for each in (moments, others))
    apart = losses.aim(spatial.spatial, mix([kept], [3.0]))
    assert jax.tree.structure(apart) == jax.tree.structure(both)
    for a, b in zip(jax.tree.leaves(apart), jax.tree.leaves(both), strict=True):
        if jax.default_backend() == "cpu":
            np.testing.assert_array_equal(a, b)
        assert relative(a, b) < 1e-6
    region = Region((Style(style, 3.0), Style(other, 1.0)))
    expected = prepare(narrow, content, (region,), weights).style
    found = mix([kept, beside], [3.0, 1.0]).style
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert relative(a, b) < 1e-6


ODD = [(350, 333), (512, 20), (256, 301), (333, 300)]


@pytest.mark.parametrize(
    ("layer", "shape"),
    [*zip([*(f"relu{b}_1" for b in range(1, 6)), "relu5_4", "pool3", "block5_conv2"], ODD * 2, strict=True)],
)
def test_every_style_layer_at_shapes_that_are_multiples_of_nothing(narrow, layer, shape):
    pictures = conftest.drawn(1, *shape), jnp.asarray(conftest.drawn(3, *shape)), conftest.drawn(2, 70, 90)
    parts, weights = losses.everywhere(pictures[2]), Weights({"relu1_2": 1.0}, {layer: 10.0})
    value, grad, _ = evaluate(losses.loss(), narrow, pictures, parts, weights)
    new, slope, _ = evaluate(tiles.tiled(losses.loss(), size=288), narrow, pictures, parts, weights)
    assert abs(float(new / value) - 1) < 1e-5
    assert relative(slope, grad) < 1e-5


def test_the_real_networks_gradient(bundled, pictures):
    whole, few = losses.loss(vgg19.network(padding="replicate")), (pictures[0][:333, :190], pictures[1][:333, :190])
    pictures = *few, pictures[2][:200, :200]
    parts = losses.everywhere(pictures[2])
    value, grad, _ = evaluate(whole, bundled, pictures, parts, LAYERS)
    new, slope, _ = evaluate(tiles.tiled(whole, size=288), bundled, pictures, parts, LAYERS)
    assert abs(float(new / value) - 1) < 1e-5
    assert relative(slope, grad) < 1e-5


def test_guides_over_content_and_variation_are_cut_too(narrow, pictures):
    weights = Weights({"relu2_2": 1.0}, {"relu1_1": 1.0}, 1e-3)
    whole, parts = losses.loss(), losses.everywhere(pictures[2])
    guides = losses.Guides({"relu2_2": losses.shrink_guide(LEFT, "relu2_2")}, None, jnp.asarray(LEFT))
    found = []
    for loss in (whole, tiles.tiled(whole, size=100)):
        targets = jax.jit(loss.prepare)(narrow, pictures[0], parts, weights)
        targets = targets._replace(spatial=targets.spatial._replace(guides=guides))
        found.append(jax.jit(jax.grad(losses.objective(loss)))(pictures[1], narrow, targets, weights))
    assert relative(found[1], found[0]) < 5e-5  # on some CPUs rounding depends on where a pixel is, and turns a ReLU


def test_several_weights_at_once(narrow, pictures):
    small, weights = tuple(p[:90, :70] for p in pictures), Weights({}, {"relu1_1": 1.0, "relu2_1": 1.0}, 1e-3)
    loss = tiles.tiled(losses.loss(), size=64)
    _, _, targets = evaluate(loss, narrow, small, losses.everywhere(small[2]), weights)
    axes = weights._replace(style=None, variation=0)
    several = weights._replace(variation=jnp.array([0.0, 1e3]))
    values = jax.vmap(losses.objective(loss), (None, None, None, axes))(small[1], narrow, targets, several)
    one = losses.objective(loss)(small[1], narrow, targets, weights._replace(variation=1e3))
    np.testing.assert_allclose(values[1], one, rtol=1e-5)


# Runs


@pytest.mark.parametrize(("optimizer", "steps"), [(transfer.adam(0.02), 10), (transfer.lbfgs(), 3)])
def test_a_run_in_windows_has_no_seams(narrow, pictures, optimizer, steps):
    """After some steps, what differs from the whole image's run is no more at the windows' borders than elsewhere."""
    content, _, painting = pictures
    start = starts.make("noise", jax.random.key(0), content, painting)
    whole, ends = losses.loss(), []
    weights = recipes.get("gatys-notebook").weights(SHAPE)
    for loss in (whole, tiles.tiled(whole, size=256)):
        targets = jax.jit(loss.prepare)(narrow, content, losses.everywhere(painting), weights)
        s = transfer.solver(losses.objective(loss), optimizer)
        *_, (_, state, _) = transfer.frames(s.step, s.init(start), narrow, targets, weights, num_steps=steps, every=10)
        ends.append(np.asarray(s.picture(state)))
    apart = np.abs(ends[1] - ends[0]).max(2)
    windows = tiles.grid(narrow, SHAPE, 256, (*weights.content, *weights.style))
    assert len(windows.rows) > 1
    assert len(windows.columns) > 1
    border = np.zeros(SHAPE, bool)
    for span in windows.rows[1:]:
        border[span.low - 2 : span.low + 2] = True
    for span in windows.columns[1:]:
        border[:, span.low - 2 : span.low + 2] = True
    assert apart.mean() < 1e-2  # Adam's steps are as large where a gradient is mere rounding
    assert apart[border].mean() <= 2 * apart[~border].mean() + 1e-6


def test_memory_is_a_windows_and_not_the_pictures(narrow):
    weights = Weights({}, {"relu1_1": 1.0, "relu4_1": 1.0})

    def temporary(loss, edge):
        image = jax.ShapeDtypeStruct((edge, edge, 3), jnp.float32)
        targets = jax.eval_shape(lambda p, x: loss.prepare(p, x, losses.everywhere(x), weights), narrow, image)
        step = jax.jit(jax.grad(losses.objective(loss))).lower(image, narrow, targets, weights)
        return step.compile(conftest.UNTUNED).memory_analysis().temp_size_in_bytes

    whole, parts = losses.loss(), tiles.tiled(losses.loss(), size=256)
    assert temporary(whole, 1024) > 3.5 * temporary(whole, 512)
    assert temporary(parts, 1024) < temporary(whole, 1024) / 2
    assert temporary(parts, 1024) - temporary(parts, 512) < 60 * (1024**2 - 512**2)  # a few images, no maps


def test_equal_settings_are_one_loss():
    assert tiles.tiled(losses.loss(), size=256) is tiles.tiled(losses.loss(), size=256)
    assert tiles.recomputed(losses.loss()) is tiles.recomputed(losses.loss())
