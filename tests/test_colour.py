"""nst_jax.pictures.colour: maps against NumPy, modes on pictures plain and odd."""

import jax.numpy as jnp
import numpy as np
import pytest
from conftest import drawn

from nst_jax.pictures import colour, images, samples
from nst_jax.pictures.colour_spaces import from_oklab, map_to_gamut, to_oklab
from nst_jax.recipes import names

MAPS = {"chol": colour.chol, "pca": colour.pca, "sym": colour.sym}
FLAT = {
    "black": np.zeros((20, 24, 3), np.float32),
    "white": np.ones((20, 24, 3), np.float32),
    "red": np.zeros((20, 24, 3), np.float32) + np.float32([1, 0, 0]),
    "grey": np.repeat(drawn(3, 20, 24)[..., :1], 3, axis=2),
    "two greys": np.tile(np.float32([0.2, 0.7]), (3, 20, 12)).transpose(1, 2, 0),
    "one pixel": np.float32([[[0.2, 0.5, 0.9]]]),
}


@pytest.fixture(scope="module")
def town():
    """A photograph's stand-in, every colour well inside sRGB: [48, 64, 3]."""
    return 0.25 + 0.5 * samples.draw("landscape", (48, 64))


@pytest.fixture(scope="module")
def night():
    """A painting's stand-in, every colour well inside sRGB: [40, 56, 3]."""
    return 0.3 + 0.4 * samples.draw("mosaic", (40, 56))


def random_colours(*shape, seed=0):
    """Colours all over sRGB, float64."""
    return np.random.default_rng(seed).uniform(0, 1, (*shape, 3))


def covariance(image):
    """By NumPy, of all pixels."""
    return np.cov(np.asarray(image, np.float64).reshape(-1, 3).T, bias=True)


def distance(image, other):
    """Sliced Wasserstein distance of two pictures' colours in Oklab."""
    directions = np.random.default_rng(7).normal(size=(3, 40))
    directions /= np.linalg.norm(directions, axis=0)
    shares = np.linspace(0.01, 0.99, 99)
    a, b = (np.quantile(to_oklab(x).reshape(-1, 3) @ directions, shares, axis=0) for x in (image, other))
    return np.sqrt(np.mean((a - b) ** 2))


def run(name, content, styles, third=None):
    """A mode around a run that paints the mean of content and style."""
    mode = colour.palette_mode(third) if name == "palette" else colour.MODES[name]
    seen, painted = mode.before(content, styles)
    return mode.after((seen + images.resize(painted[0], seen.shape)) / 2, content)


# maps


def test_statistics_are_numpys(town):
    mean, spread = colour.statistics(town)
    np.testing.assert_allclose(mean, town.reshape(-1, 3).mean(0), atol=1e-6)
    np.testing.assert_allclose(spread, covariance(town), atol=1e-8)


def test_chunks_change_nothing(monkeypatch, town, night):
    whole = colour.match_colours(night, town), colour.statistics(town)[1]
    monkeypatch.setattr(colour, "_CHUNK", 100)
    np.testing.assert_allclose(colour.match_colours(night, town), whole[0], atol=1e-6)
    np.testing.assert_allclose(colour.statistics(town)[1], whole[1], atol=1e-12)


@pytest.mark.parametrize("how", MAPS.values(), ids=MAPS)
def test_maps_bring_one_covariance_to_another(town, night, how):
    source, target = colour.statistics(night), colour.statistics(town)
    a = how(source[1], target[1])
    np.testing.assert_allclose(a @ source[1] @ a.T, target[1], atol=1e-10)
    pixels = colour.affine_map(source, target, how=how)(night)  # before colours outside sRGB are mapped into it
    np.testing.assert_allclose(pixels.reshape(-1, 3).mean(0), town.reshape(-1, 3).mean(0), atol=1e-6)
    np.testing.assert_allclose(covariance(pixels), covariance(town), atol=1e-7)
    np.testing.assert_allclose(how(target[1], target[1]), np.eye(3), atol=1e-8)


def test_maps_are_three_and_each_of_its_kind(town, night):
    source, target = covariance(night), covariance(town)
    chol, pca, sym = (how(source, target) for how in MAPS.values())
    for a, b in [(chol, pca), (chol, sym), (pca, sym)]:
        assert np.abs(a - b).max() > 0.01
    np.testing.assert_allclose(chol, np.tril(chol), atol=1e-12)
    np.testing.assert_allclose(sym, sym.T, atol=1e-10)
    assert np.linalg.eigvalsh(sym).min() > 0
    moves = [np.trace((a - np.eye(3)) @ source @ (a - np.eye(3)).T) for a in (chol, pca, sym)]
    assert moves[2] < min(moves[:2])  # E|Ax - x|²: optimal transport


def test_no_gain_is_over_the_limit(town):
    faint = FLAT["grey"] + 1e-4 * random_colours(20, 24).astype(np.float32)  # the last bits of a grey picture
    change = colour.affine_map(colour.statistics(faint), colour.statistics(town))
    matrix = change(np.eye(3)) - change(np.zeros((1, 3)))
    assert np.linalg.norm(matrix, 2) <= colour.MAX_GAIN + 1e-9


# modes


def test_modes_are_those_that_have_names():
    assert {*colour.MODES, "palette", "only"} == set(names.COLOURS)


@pytest.mark.parametrize("name", [*colour.MODES, "palette"])
def test_each_mode_does_something_of_its_own(town, night, name):
    third = samples.draw("woodcut", (30, 30)) * np.float32([0.9, 0.5, 0.3])
    others = [n for n in (*colour.MODES, "palette") if n != name]
    result = run(name, town, [night], third)
    assert result.shape == town.shape
    assert result.dtype == np.float32
    for other in others:
        assert np.abs(result - run(other, town, [night], third)).max() > 0.01
    np.testing.assert_array_equal(result, run(name, town, [night], third))


@pytest.mark.parametrize("name", ["match-chol", "match-pca", "match-sym"])
def test_every_style_gets_the_contents_colours(town, night, name):
    content, styles = colour.MODES[name].before(town, [night, night[:20] ** 1.2])
    assert content is town
    for style in styles:
        np.testing.assert_allclose(style.mean((0, 1)), town.mean((0, 1)), atol=5e-3)  # a few colours were mapped
        np.testing.assert_allclose(covariance(style), covariance(town), atol=2e-3)
    assert colour.MODES[name].after(night, town) is night


@pytest.mark.parametrize("how", MAPS.values(), ids=MAPS)
@pytest.mark.parametrize("name", FLAT)
def test_a_picture_matched_to_itself_is_itself(name, how):
    np.testing.assert_allclose(colour.match_colours(FLAT[name], FLAT[name], how=how), FLAT[name], atol=1e-5)


def test_content_luminance_is_the_results_lightness_and_the_contents_chroma(town, night):
    result = images.resize(night, town.shape)
    lab = to_oklab(colour.with_content_colours(result, town))
    painted, seen = to_oklab(result), to_oklab(town)
    np.testing.assert_allclose(lab[..., 0], painted[..., 0], atol=2e-3)
    wanted = from_oklab(np.concatenate([painted[..., :1], seen[..., 1:]], -1))
    fits = ((wanted >= 0) & (wanted <= 1)).all(-1)
    assert fits.mean() > 0.8
    np.testing.assert_allclose(lab[fits], np.concatenate([painted[..., :1], seen[..., 1:]], -1)[fits], atol=1e-4)
    assert (np.hypot(lab[..., 1], lab[..., 2]) <= np.hypot(seen[..., 1], seen[..., 2]) + 1e-3).all()
    np.testing.assert_allclose(colour.with_content_colours(town, town), town, atol=1e-5)


def test_content_luminance_takes_a_content_of_another_size(town, night):
    assert colour.with_content_colours(night, town).shape == night.shape


def test_content_luminance_paints_greys_with_the_contents_lightness(town, night):
    content, (style,) = colour.MODES["content-luminance"].before(town, [night])
    for picture in (content, style):
        np.testing.assert_array_equal(picture, np.repeat(picture[..., :1], 3, axis=2))
    np.testing.assert_allclose(to_oklab(content)[..., 0], to_oklab(town)[..., 0], atol=1e-5)
    light, wanted, before = (to_oklab(x)[..., 0] for x in (style, town, night))
    np.testing.assert_allclose([light.mean(), light.std()], [wanted.mean(), wanted.std()], atol=2e-3)
    np.testing.assert_allclose(np.corrcoef(light.ravel(), before.ravel())[0, 1], 1, atol=1e-3)


def test_palette_gives_all_pictures_the_thirds_colours(town, night):
    third = 0.2 + 0.5 * samples.draw("stained_glass", (40, 40))
    mode = colour.palette_mode(third)
    content, (style,) = mode.before(town, [night])
    for picture in (content, style, mode.after(town, town)):
        np.testing.assert_allclose(picture.mean((0, 1)), third.mean((0, 1)), atol=1e-2)
        assert distance(picture, third) < 0.35 * min(distance(town, third), distance(night, third))


@pytest.mark.parametrize(
    ("name", "got"),
    [("grey", "a grey one"), ("two greys", "a grey one"), ("black", "a grey one"), ("red", "one of a single colour")],
)
def test_a_palette_needs_colours(name, got):
    message = f"^palette must be a picture of several colours, got {got}: choose another picture$"
    with pytest.raises(ValueError, match=message):
        colour.palette_mode(FLAT[name])


# colour alone


@pytest.mark.parametrize("pair", [("skyline", "pointillism"), ("landscape", "flow")])
def test_only_reaches_the_styles_colours_and_keeps_the_structure(pair):
    content, style = (samples.draw(name, (96, 120)) for name in pair)
    result = colour.recolour(content, [style])
    linear = colour.affine_map(*(colour.statistics(to_oklab(x)) for x in (content, style)))(to_oklab(content))
    assert distance(result, style) < distance(content, style) / 4
    assert distance(result, style) < 0.75 * distance(map_to_gamut(from_oklab(linear)), style)  # the curves' share
    before, after = (to_oklab(x)[..., 0] for x in (content, result))
    for axis in (0, 1):
        assert np.corrcoef(np.diff(before, axis=axis).ravel(), np.diff(after, axis=axis).ravel())[0, 1] > 0.8


def test_only_is_the_same_each_time_and_leaves_its_own_colours(town, night):
    np.testing.assert_array_equal(colour.recolour(town, [night]), colour.recolour(town, [night]))
    np.testing.assert_allclose(colour.recolour(town, [town]), town, atol=1e-4)


def test_only_turns_a_smooth_ramp_into_a_smooth_ramp():
    y, x = np.mgrid[0:64, 0:256] / np.array([64, 256])[:, None, None]
    ramp = np.stack([0.3 + 0.3 * x, 0.4 + 0.2 * y, 0.7 - 0.2 * x * y], -1).astype(np.float32)
    result = colour.recolour(ramp, [samples.draw("mosaic", (64, 64))])
    assert np.abs(np.diff(result, axis=1)).max() < 8 / 255  # the whole way is 256 px: no step that an eye finds
    assert np.abs(np.diff(result, n=2, axis=1)).max() < 4 / 255


def test_only_mixes_styles_by_their_weights(town, night):
    third = samples.draw("stained_glass", (40, 40))
    first = colour.recolour(town, [night])
    np.testing.assert_array_equal(colour.recolour(town, [night, third], weights=[1, 0]), first)
    mixed = [distance(colour.recolour(town, [night, third], weights=[1, w]), third) for w in (0.2, 1, 5)]
    assert mixed == sorted(mixed, reverse=True)
    assert mixed[0] > 1.5 * mixed[2]


@pytest.mark.parametrize("weights", [[1], [1, -1], [0, 0], [1, float("nan")]])
def test_only_wants_a_weight_for_each_style(town, night, weights):
    with pytest.raises(ValueError, match=r"^weights must be numbers ≥ 0 and not all 0, got \[.*\] for 2 styles: give "):
        colour.recolour(town, [night, night], weights=weights)


# any picture


@pytest.mark.parametrize("name", FLAT)
def test_degenerate_pictures_stay_finite_and_inside(town, name):
    odd = FLAT[name]
    for content, style in [(odd, town), (town, odd), (odd, odd)]:
        results = {content.shape: [colour.recolour(content, [style])], style.shape: []}
        for mode in (*colour.MODES.values(), colour.palette_mode(town)):
            seen, (painted,) = mode.before(content, [style])
            results[content.shape] += [seen, mode.after(seen, content)]
            results[style.shape] += [painted]
        for shape, pictures in results.items():
            for picture in pictures:
                assert picture.shape == shape
                assert np.isfinite(picture).all()
                assert 0 <= picture.min() <= picture.max() <= 1


def test_a_grey_pictures_colours_are_greys(town):
    matched = [colour.match_colours(town, FLAT["grey"], how=how) for how in MAPS.values()]
    for picture in (*matched, colour.recolour(town, [FLAT["grey"]])):
        assert np.ptp(picture, axis=2).max() < 2 / 255
        assert picture.std() > 0.05


def test_pictures_are_left_as_they_were_and_may_come_from_jax(town, night):
    kept = town.copy(), night.copy()
    for mode in colour.MODES:
        near = run(mode, jnp.asarray(town), [jnp.asarray(night)])
        np.testing.assert_allclose(near, run(mode, town, [night]), atol=1e-5)
    colour.recolour(town, [night])
    np.testing.assert_array_equal(town, kept[0])
    np.testing.assert_array_equal(night, kept[1])


def test_values_that_ring_past_the_range_do_no_harm(town, night):
    ringing = 3 * town - 1
    assert ringing.min() < -0.1
    assert ringing.max() > 1.1
    for result in (
        colour.with_content_colours(ringing, night),
        colour.recolour(ringing, [night]),
        colour.match_colours(ringing, night),
    ):
        assert np.isfinite(result).all()
        assert 0 <= result.min() <= result.max() <= 1
