"""nst_jax.network.calibration: activations measured, filters normalised, recipes rescaled for another family."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import drawn, network

from nst_jax import recipes
from nst_jax.network import calibration, vgg19

WIDTHS = (4, 4, 8, 8, 8)
FIRSTS = tuple(f"relu{block}_1" for block in range(1, 6))
RELUS = [name for name in vgg19.layers_of() if name.startswith("relu")]
features = jax.jit(vgg19.features, static_argnames="layers")


@pytest.fixture(scope="module", autouse=True)
def quick_compiler():
    """These programs run for a moment only: compiling them well would take longer than they do."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="module")
def small():
    return network(WIDTHS)


@pytest.fixture(scope="module")
def activations(small):
    return calibration.measure_activations(small)


def test_magnitudes_are_measured_over_the_drawn_pictures(small, activations):
    assert list(activations) == RELUS
    assert [len(each.mean) for each in activations.values()] == [
        w for w, n in zip(WIDTHS, vgg19.CONVS, strict=True) for _ in range(n)
    ]
    sizes = calibration.magnitudes(activations)
    each = [features(small, p, ("relu1_2",))["relu1_2"] for p in calibration._sample_pictures()]
    assert sizes["relu1_2"] == pytest.approx(np.sqrt(np.mean(np.square(each))), rel=1e-4)


def test_the_normalised_network_answers_one_on_average_and_is_the_same_otherwise(small, activations):
    params = calibration.normalise_filters(small, activations)
    for layer, each in calibration.measure_activations(params).items():
        before = activations[layer].mean
        live = before > 1e-4 * before.max()
        assert live.any()
        np.testing.assert_allclose(each.mean[live], 1, rtol=1e-3)
    one, other = (features(p, drawn(3, 48, 64), tuple(RELUS)) for p in (small, params))
    for layer in RELUS:
        mean = activations[layer].mean
        scale = np.where(mean > 1e-4 * mean.max(), mean, 1)[None, None]
        np.testing.assert_allclose(other[layer] * scale, one[layer], rtol=1e-3, atol=1e-3 * scale.max())


@pytest.fixture(scope="module")
def torchvision(small):
    """A network whose input says that it is of torchvision's family."""
    constants = {"mean": jnp.array([0.485, 0.456, 0.406]), "std": jnp.array([0.229, 0.224, 0.225])}
    return {**small, "input": constants}


@pytest.fixture(scope="module")
def of_torchvision(torchvision):
    return calibration.measure_activations(torchvision)


def test_the_family_of_a_network_follows_from_its_inputs_scale(small, torchvision):
    assert calibration.family_of(small) == "caffe"
    assert calibration.family_of(torchvision) == "torchvision"


def test_a_recipe_of_the_networks_own_family_is_left_alone(small, torchvision):
    for name, params in (("crowson-2023", torchvision), ("tf-tutorial", small)):
        recipe = recipes.get(name)
        assert calibration.calibrate(recipe, params) == (recipe, params, "")


def test_a_torchvision_recipe_on_the_bundled_network_is_rescaled_by_eighty(small):
    recipe, activations = recipes.get("pystiche"), vgg19.activations(vgg19.bundled_path())
    calibrated = calibration.calibrate(recipe, small, activations=activations)
    assert calibrated.params is small
    assert calibrated.note == "weights for torchvision rescaled to caffe, whose features are 80 times as large"
    weights = calibrated.recipe.weights((64, 64))
    assert weights.content == {"relu4_2": pytest.approx(1 / 80**2)}
    assert weights.style == {layer: pytest.approx(1e3 / 5 / 80**4) for layer in FIRSTS}
    pyramid = (w / 341 for w in (256, 64, 16, 4, 1))
    assert calibration.calibrate(recipes.get("crowson-2021"), small).recipe.weights((64, 64)).style == {
        layer: pytest.approx(w / 80**2) for layer, w in zip(FIRSTS, pyramid, strict=True)
    }


def test_a_caffe_recipe_on_another_family_is_rescaled_by_measured_magnitudes(torchvision, of_torchvision):
    recipe = recipes.get("tf-tutorial")
    calibrated = calibration.calibrate(recipe, torchvision, activations=of_torchvision)
    assert calibrated.params is torchvision
    assert re.fullmatch(
        r"weights for caffe rescaled to torchvision, whose features are [\d.e-]+ to [\d.e-]+ times as large",
        calibrated.note,
    )
    known = of_torchvision, vgg19.activations(vgg19.bundled_path())
    ours, theirs = (calibration.magnitudes(each) for each in known)
    ratio = {layer: ours[layer] / theirs[layer] for layer in ours}
    weights = calibrated.recipe.weights((64, 64))
    assert weights.content == {"relu5_2": pytest.approx(1e4 / ratio["relu5_2"] ** 2)}
    assert weights.style == {layer: pytest.approx(1e-2 / 5 / ratio[layer] ** 4) for layer in FIRSTS}


def test_a_recipe_for_the_normalised_network_gets_it(small, activations):
    recipe = recipes.get("gatys-2016")
    calibrated = calibration.calibrate(recipe, small)
    assert calibrated.recipe is recipe
    assert calibrated.note == "filters of the caffe network scaled to a mean activation of 1"
    expected = calibration.normalise_filters(small, activations)
    for a, b in zip(jax.tree.leaves(calibrated.params), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(a, b)
