"""nst_jax.losses: sums against NumPy, the objective's gradient against finite differences and PyTorch, regions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nst_jax import recipes
from nst_jax.network import vgg19
from nst_jax.objective import distances, losses

WEIGHTS = recipes.Weights({"relu4_2": 1.0}, {"relu1_1": 3e-2, "relu3_1": 2e-2, "relu5_1": 1e-2}, 5.0)


def identity(params, image, layers):
    """A network whose every map is the image itself: what is tested then is the loss alone."""
    return dict.fromkeys(layers, jnp.asarray(image))


plain = losses.loss(identity)
alone = recipes.Weights({}, {"relu1_1": 1.0})


def numpy_moments(f, guide=None):
    """(count, Σx, Σxxᵀ) position by position, in float64."""
    guide = np.ones(f.shape[:2]) if guide is None else guide
    x, g = f.reshape(-1, f.shape[-1]).astype(np.float64), np.asarray(guide, np.float64).ravel()
    return (
        g.sum(),
        sum(w * v for w, v in zip(g, x, strict=True)),
        sum(w * np.outer(v, v) for w, v in zip(g, x, strict=True)),
    )


def numpy_gram(f, guide=None):
    count, _, outer = numpy_moments(f, guide)
    return outer / count


@pytest.fixture(scope="module")
def f():
    return np.random.default_rng(0).normal(1, 2, (6, 5, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def guides():
    return np.random.default_rng(1).uniform(size=(3, 6, 5)).astype(np.float32)


# Sums


def test_moments_are_numpys(f, guides):
    found = distances.moments(f)
    for ours, reference in zip(found, numpy_moments(f), strict=True):
        np.testing.assert_allclose(ours[0], reference, rtol=1e-5)
    found = distances.moments(f, guides)
    assert (found.count.shape, found.total.shape, found.outer.shape) == ((3,), (3, 4), (3, 4, 4))
    for r in range(3):
        for ours, reference in zip(found, numpy_moments(f, guides[r]), strict=True):
            np.testing.assert_allclose(ours[r], reference, rtol=1e-5)


def test_moments_under_jit_and_vmap_and_in_bfloat16(f, guides):
    expected = distances.moments(f, guides)
    many = jax.vmap(jax.jit(distances.moments))(f[None], guides[None])
    for a, b in zip(many, expected, strict=True):
        np.testing.assert_allclose(a[0], b, rtol=1e-5)
    low = distances.moments(jnp.asarray(f, jnp.bfloat16), guides)
    assert {x.dtype for x in low} == {jnp.dtype("float32")}
    np.testing.assert_allclose(low.outer, expected.outer, rtol=0.02, atol=2)


def test_moments_do_not_know_where_positions_are(f, guides):
    turned = distances.moments(f[::-1].swapaxes(0, 1), guides[:, ::-1].swapaxes(1, 2))
    for a, b in zip(turned, distances.moments(f, guides), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_the_moments_of_a_whole_are_the_sum_of_its_parts(f, guides):
    for g in (None, guides):
        top, low = (distances.moments(f[s], None if g is None else g[:, s]) for s in (slice(0, 2), slice(2, 6)))
        for a, b, whole in zip(top, low, distances.moments(f, g), strict=True):
            np.testing.assert_allclose(a + b, whole, rtol=1e-5)


def test_errors_are_numpys_and_add_up(f, guides):
    target = f[::-1].copy()
    d = (f - target).astype(np.float64)
    whole = distances.errors(f, target)
    energy = (target.astype(float) ** 2).sum()
    np.testing.assert_allclose(whole, (d.size, (d**2).sum(), abs(d).sum(), energy), rtol=1e-5)
    g = guides[0][..., None]
    guided = distances.errors(f, target, guides[0])
    expected = g.sum() * 4, (g * d**2).sum(), (g * abs(d)).sum(), (g * target.astype(float) ** 2).sum()
    np.testing.assert_allclose(guided, expected, rtol=1e-5)
    rest = distances.errors(f, target, 1 - guides[0])
    np.testing.assert_allclose(jnp.stack(guided) + jnp.stack(rest), whole, rtol=1e-5)
    assert float(distances.squared(whole)) == pytest.approx((d**2).mean(), rel=1e-5)


def test_gram_is_numpys(f):
    other = np.random.default_rng(5).normal(size=(3, 7, 4)).astype(np.float32)
    ours = distances.gram(*(distances.normalise(distances.moments(x)) for x in (f, other)))
    assert float(ours[0]) == pytest.approx(((numpy_gram(f) - numpy_gram(other)) ** 2).mean(), rel=1e-5)


def test_the_summary_of_a_whole_is_the_sum_of_what_two_guides_see(narrow, town, night):
    loss, h = losses.loss(), town.shape[:2]
    targets = loss.prepare(narrow, town, losses.everywhere(night), WEIGHTS)
    part = np.random.default_rng(0).uniform(size=h).astype(np.float32)

    def summarise_under(guide):
        content = {layer: losses.shrink_guide(guide, layer) for layer in WEIGHTS.content}
        style = {layer: losses.shrink_guide(guide[None], layer) for layer in WEIGHTS.style}
        spatial = targets.spatial._replace(guides=losses.Guides(content, style, jnp.asarray(guide)))
        return loss.summarise(narrow, town[::-1], targets._replace(spatial=spatial), WEIGHTS)

    both = jax.tree.map(jnp.add, summarise_under(part), summarise_under(1 - part))
    for a, b in zip(
        jax.tree.leaves(both),
        jax.tree.leaves(loss.summarise(narrow, town[::-1], targets, WEIGHTS)),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * float(jnp.abs(b).max()))


def test_guides_shrink_by_averages_as_pooling_does():
    guide = np.random.default_rng(0).uniform(size=(2, 13, 9)).astype(np.float32)
    small = losses.shrink_guide(guide, "relu3_1")
    assert small.shape == (2, 3, 2)
    np.testing.assert_allclose(small[1, 2, 1], guide[1, 8:12, 4:8].mean(), rtol=1e-6)
    np.testing.assert_array_equal(losses.shrink_guide(guide, "relu1_2"), guide)
    assert losses.shrink_guide(guide, "pool3").shape == (2, 1, 1)


# Total variation


def variation(image):
    kind = distances.SQUARES
    return float(kind.total(kind.local(jnp.asarray(image)).sum((0, 1))))


@pytest.mark.parametrize("shape", [(8, 8), (5, 9), (1, 6), (6, 1)])
def test_the_variation_of_a_checkerboard(shape):
    board = np.indices(shape).sum(0) % 2 * np.float32(0.5)
    pairs = (shape[0] > 1) + (shape[1] > 1)  # every neighbour differs by ½, in three channels
    assert variation(np.repeat(board[..., None], 3, 2)) == pytest.approx(pairs * 3 * 0.25 / 3)


def test_variation_is_numpys_and_none_where_flat(town):
    expected = np.square(np.diff(town, axis=0)).mean() + np.square(np.diff(town, axis=1)).mean()
    assert variation(town) == pytest.approx(expected, rel=1e-5)
    assert variation(np.full((4, 5, 3), 0.7, "f")) == 0


# Styles


def test_a_style_term_is_the_mean_squared_difference_of_gram_matrices(town, night):
    targets = plain.prepare(None, town, losses.everywhere(night), alone)
    terms = plain.terms(plain.summarise(None, town, targets, alone), targets, alone)
    expected = ((numpy_gram(town) - numpy_gram(night)) ** 2).mean()
    assert float(terms["style/relu1_1"]) == pytest.approx(expected, rel=1e-4)


def test_several_styles_are_mixed_as_moments_whatever_their_sizes(town, night):
    small = town[:17, :19] ** 3
    large = np.tile(night, (3, 3, 1))
    mix = plain.prepare(None, town, losses.everywhere(large, small), alone).style["relu1_1"]
    np.testing.assert_allclose(mix.outer[0], (numpy_gram(night) + numpy_gram(small)) / 2, rtol=1e-4)
    np.testing.assert_allclose(mix.total[0], (night.mean((0, 1)) + small.mean((0, 1))) / 2, rtol=1e-4)
    assert float(mix.count[0]) == pytest.approx(1)
    regions = (losses.Region((losses.Style(large, 3.0), losses.Style(small))),)
    uneven = plain.prepare(None, town, regions, alone).style["relu1_1"]
    np.testing.assert_allclose(uneven.outer[0], 0.75 * numpy_gram(night) + 0.25 * numpy_gram(small), rtol=1e-4)


def test_a_mixture_is_what_a_mixed_picture_would_have(town):
    halves = town[:, :24], town[:, 24:]
    mix = plain.prepare(None, town, losses.everywhere(*halves), alone).style["relu1_1"]
    np.testing.assert_allclose(mix.outer[0], numpy_gram(town), rtol=1e-4)


def test_part_of_a_painting(town, night):
    guide = np.zeros(night.shape[:2], "f")
    guide[:10, 5:30] = 1
    regions = (losses.Region((losses.Style(night, guide=guide),)),)
    target = plain.prepare(None, town, regions, alone).style["relu1_1"]
    np.testing.assert_allclose(target.outer[0], numpy_gram(night[:10, 5:30]), rtol=1e-4)


# Regions


def split(shape, columns):
    """(left, right) of hard edge."""
    left = np.zeros(shape[:2], np.float32)
    left[:, :columns] = 1
    return left, 1 - left


def test_each_style_has_its_region_and_strength_multiplies(night):
    styles = [losses.Style(night, scale=2.0), losses.Style(night**2)]
    ramp = np.linspace(0, 1, 6, dtype="f")
    guides = np.stack([np.tile(1 - ramp, (4, 1)), np.tile(ramp, (4, 1))])
    plain = losses.under_guides(styles, guides)
    assert [region.styles for region in plain] == [(styles[0],), (styles[1],)]
    np.testing.assert_array_equal(np.stack([region.guide for region in plain]), guides)
    strength = np.linspace(0, 1, 24, dtype="f").reshape(4, 6)
    weaker = losses.under_guides(styles, guides, strength)
    np.testing.assert_allclose(np.stack([region.guide for region in weaker]), guides * strength)


def test_regions_count_by_their_share_of_the_area(town, night):
    left, right = split(town.shape, 12)
    other = town[::-1] ** 2
    regions = (losses.Region((losses.Style(night),), left), losses.Region((losses.Style(other),), right))
    targets = plain.prepare(None, town, regions, alone)
    value = losses.objective(plain)(town, None, targets, alone)
    share = 12 / 48
    expected = share * ((numpy_gram(town[:, :12]) - numpy_gram(night)) ** 2).mean()
    expected += (1 - share) * ((numpy_gram(town[:, 12:]) - numpy_gram(other)) ** 2).mean()
    assert float(value) == pytest.approx(expected, rel=1e-4)


def test_one_region_that_is_everywhere_is_no_region(town, night):
    regions = (losses.Region((losses.Style(night),), np.ones(town.shape[:2], "f")),)
    guided, free = (plain.prepare(None, town, r, alone) for r in (regions, losses.everywhere(night)))
    assert free.spatial.guides == losses.Guides()
    value = losses.objective(plain)
    np.testing.assert_allclose(value(town, None, guided, alone), value(town, None, free, alone), rtol=1e-5)


def test_one_region_among_others_may_be_everywhere(town, night):
    left, _ = split(town.shape, 12)
    regions = (losses.Region((losses.Style(night),)), losses.Region((losses.Style(night),), left))
    targets = plain.prepare(None, town, regions, alone)
    assert targets.spatial.guides.style["relu1_1"].shape == (2, 40, 48)
    assert float(targets.spatial.guides.style["relu1_1"][0].min()) == 1


@pytest.fixture(scope="module")
def gradient():
    return jax.jit(jax.value_and_grad(losses.objective(losses.loss())))


def test_an_empty_region_is_nothing_and_not_nan(narrow, town, night, gradient):
    ones = np.ones(town.shape[:2], np.float32)
    regions = (losses.Region((losses.Style(night),), ones), losses.Region((losses.Style(town[::-1]),), 0 * ones))
    prepare = losses.loss().prepare
    targets = prepare(narrow, town, regions, WEIGHTS)
    value, slope = gradient(town[:, ::-1], narrow, targets, WEIGHTS)
    alone_value, alone_slope = gradient(town[:, ::-1], narrow, prepare(narrow, town, regions[:1], WEIGHTS), WEIGHTS)
    np.testing.assert_allclose(value, alone_value, rtol=1e-5)
    np.testing.assert_allclose(slope, alone_slope, rtol=1e-3, atol=1e-5 * float(jnp.abs(slope).max()))


def test_a_painting_of_which_no_part_counts_is_finite(town, night):
    nothing = np.zeros(night.shape[:2], "f")
    regions = (losses.Region((losses.Style(night, guide=nothing), losses.Style(town))),)
    assert all(np.isfinite(x).all() for x in plain.prepare(None, town, regions, alone).style["relu1_1"])


def test_a_single_style_is_what_it_is(town, night):
    regions = (losses.Region((losses.Style(night, weight=0.0),)),)
    found, known = (plain.prepare(None, town, each, alone).style for each in (regions, losses.everywhere(night)))
    np.testing.assert_array_equal(found["relu1_1"].outer, known["relu1_1"].outer)


def test_a_style_does_not_reach_positions_of_another_region(town, night):
    """At the maps themselves; through the network its receptive field blurs the edge."""
    left, right = split(town.shape, 20)
    regions = (losses.Region((losses.Style(night),), left), losses.Region((losses.Style(town**2),), right))
    targets = plain.prepare(None, town, regions, alone)

    def first_alone(m, t):
        return distances.gram(m, t) * jnp.array([1.0, 0.0])

    slope = jax.grad(losses.objective(losses.loss(identity, style=first_alone)))(town, None, targets, alone)
    assert (np.asarray(slope)[:, 20:] == 0).all()
    assert (np.asarray(slope)[:, :20] != 0).any()


def test_hard_edges_at_the_level_of_features(narrow, town, night):
    """From one region's style, no gradient whatever reaches a layer's positions that are the other's."""
    layer, guide = "relu2_1", np.zeros(town.shape[:2], "f")
    guide[:, :24] = 1
    pair = (losses.Region((losses.Style(night),), guide), losses.Region((losses.Style(town**2),), 1 - guide))
    weights = losses.Weights({}, {layer: 1.0})
    targets = losses.loss().prepare(narrow, town, pair, weights)
    maps = vgg19.features(narrow, jnp.asarray(town), [layer])[layer]

    for which, inside in ((0, np.s_[:, :12]), (1, np.s_[:, 12:])):

        def network(params, image, layers):
            return dict.fromkeys(layers, image)

        def one(m, t, which=which):
            return distances.gram(m, t) * jnp.eye(2)[which]

        bound = losses.loss(network, style=one)
        slope = np.array(jax.grad(_of_maps(bound))(maps, targets, weights))
        assert np.abs(slope[inside]).max() > 0
        slope[inside] = 0
        assert (slope == 0).all()


def _of_maps(bound):
    """The style terms of maps that are given as the image: their variation is none of theirs."""

    def value(maps, targets, weights):
        guides = targets.spatial.guides.style
        moments = {name: distances.moments(maps, guides[name]) for name in weights.style}
        summary = losses.Summary({}, moments, jnp.ones(4))
        return sum(v for k, v in bound.terms(summary, targets, weights).items() if k.startswith("style"))

    return value


# The objective


def test_terms_have_names_and_sum_to_the_objective(narrow, town, night):
    loss = losses.loss()
    targets = loss.prepare(narrow, town, losses.everywhere(night), WEIGHTS)
    terms = loss.terms(loss.summarise(narrow, town[::-1], targets, WEIGHTS), targets, WEIGHTS)
    assert list(terms) == ["content/relu4_2", "style/relu1_1", "style/relu3_1", "style/relu5_1", "variation"]
    assert all(t.shape == () and t > 0 for t in terms.values())
    value = losses.objective(loss)(town[::-1], narrow, targets, WEIGHTS)
    np.testing.assert_allclose(value, sum(terms.values()), rtol=1e-6)


def test_equal_arguments_are_one_loss_and_one_objective():
    assert losses.loss() is losses.loss(vgg19.features) is losses.loss(style=losses.gram)
    assert vgg19.network() is vgg19.network(pool="max") is vgg19.network(padding="zeros", pool="max")
    assert losses.loss(vgg19.network(pool="average")) is losses.loss(vgg19.network(pool="average"))
    assert losses.objective(losses.loss()) is losses.objective(losses.loss())
    assert losses.loss() is not losses.loss(identity)


def test_the_content_picture_itself_has_no_content_error(narrow, town, night):
    loss, weights = losses.loss(), WEIGHTS._replace(style={}, variation=0.0)
    targets = loss.prepare(narrow, town, losses.everywhere(night), weights)
    assert float(losses.objective(loss)(town, narrow, targets, weights)) == 0


def test_keras_names_are_the_same_terms(narrow, town, night):
    loss = losses.loss()

    def value(weights):
        targets = loss.prepare(narrow, town, losses.everywhere(night), weights)
        return losses.objective(loss)(town[::-1], narrow, targets, weights)

    keras = recipes.Weights({"block3_conv2": 1.0}, {"block1_conv1": 1.0, "block2_pool": 1.0})
    ours = recipes.Weights({"relu3_2": 1.0}, {"relu1_1": 1.0, "pool2": 1.0})
    np.testing.assert_allclose(value(keras), value(ours), rtol=1e-5)


def test_the_gradient_is_that_of_central_differences_in_float64(narrow, town, night):
    weights = recipes.Weights({"relu2_2": 1.0}, {"relu1_1": 3e-2, "relu3_1": 2e-2}, 5.0)
    with jax.enable_x64(True):

        def wide(tree):
            return jax.tree.map(lambda a: jnp.asarray(np.asarray(a, np.float64)), tree)

        params, picture, painting, image = wide((dict(narrow), town, night, town[::-1]))
        left, right = wide(split(town.shape, 20))
        regions = (losses.Region((losses.Style(painting),), left), losses.Region((losses.Style(picture),), right))
        loss = losses.loss()
        targets = jax.jit(loss.prepare)(params, picture, regions, weights)
        both = jax.jit(jax.value_and_grad(losses.objective(loss)))
        slope = both(image, params, targets, weights)[1]
        assert slope.dtype == jnp.float64
        for seed in range(4):
            way = np.random.default_rng(seed).normal(size=image.shape) * 1e-7
            rise = both(image + way, params, targets, weights)[0] - both(image - way, params, targets, weights)[0]
            np.testing.assert_allclose(rise / 2, (slope * way).sum(), rtol=1e-5)


def test_the_gradient_is_that_of_pytorch(narrow, town, night, gradient):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    p = jax.tree.map(lambda a: torch.tensor(np.asarray(a)).double(), dict(narrow))

    def maps(x):
        x, out = ((x - p["input"]["mean"]) / p["input"]["std"]).permute(2, 0, 1)[None], {}
        for block, count in enumerate((2, 2, 4, 4, 1), 1):
            for i in range(1, count + 1):
                layer = p[f"conv{block}_{i}"]
                x = functional.relu(functional.conv2d(x, layer["kernel"].permute(3, 2, 0, 1), layer["bias"], padding=1))
                out[f"relu{block}_{i}"] = x[0]
            x = functional.max_pool2d(x, 2)
        return out

    def gram(x):
        flat = x.flatten(1)
        return flat @ flat.T / flat.shape[1]

    image = torch.tensor(town[::-1].copy()).double().requires_grad_()
    found, content, style = maps(image), maps(torch.tensor(town).double()), maps(torch.tensor(night).double())
    total = functional.mse_loss(found["relu4_2"], content["relu4_2"]) * WEIGHTS.content["relu4_2"]
    for layer, weight in WEIGHTS.style.items():
        total = total + weight * functional.mse_loss(gram(found[layer]), gram(style[layer]))
    squares = (image[1:] - image[:-1]).square().mean() + (image[:, 1:] - image[:, :-1]).square().mean()
    total = total + WEIGHTS.variation * squares
    total.backward()

    targets = losses.loss().prepare(narrow, town, losses.everywhere(night), WEIGHTS)
    value, slope = gradient(town[::-1], narrow, targets, WEIGHTS)
    assert float(value) == pytest.approx(total.item(), rel=1e-5)
    reference = image.grad.numpy()
    assert np.linalg.norm(slope - reference) < 1e-4 * np.linalg.norm(reference)


def test_the_objective_under_vmap(narrow, town, night, gradient):
    targets = losses.loss().prepare(narrow, town, losses.everywhere(night), WEIGHTS)
    pictures = np.stack([town[::-1], town[:, ::-1]])
    many = jax.jit(jax.vmap(losses.objective(losses.loss()), (0, None, None, None)))
    value = many(pictures, narrow, targets, WEIGHTS)[1]
    np.testing.assert_allclose(value, gradient(pictures[1], narrow, targets, WEIGHTS)[0], rtol=1e-5)
