"""nst_jax.recipes: weights as numbers and rules, and recipes by name."""

import subprocess
import sys

import pytest

from nst_jax import recipes

NOTEBOOK = recipes.get("gatys-notebook")


def test_the_notebooks_weights_are_1000_over_the_channels_squared():
    weights = NOTEBOOK.weights((384, 512, 3))
    assert weights.content == {"relu4_2": 1.0}
    assert weights.style == {f"relu{b}_1": pytest.approx(1e3 / c**2) for b, c in enumerate((64, 128, 256, 512, 512), 1)}
    assert weights.variation == 0
    narrow = NOTEBOOK.weights((384, 512), widths=(4,) * 5)
    assert set(narrow.style.values()) == {1e3 / 16}


def test_a_rule_sees_the_channels_positions_and_pixels_of_its_layer():
    seen = {}

    def rule(layer):
        return lambda at: seen.setdefault(layer, at).channels

    layers = ("relu1_2", "conv3_4", "relu5_1")
    recipe = NOTEBOOK._replace(
        content={}, style={layer: rule(layer) for layer in layers}, variation=lambda at: at.pixels
    )
    weights = recipe.weights((101, 67))
    assert seen == {
        "relu1_2": (64, 101 * 67, 101 * 67),
        "conv3_4": (256, 25 * 16, 101 * 67),
        "relu5_1": (512, 6 * 4, 101 * 67),
    }
    assert weights.style == {"relu1_2": 64, "conv3_4": 256, "relu5_1": 512}
    assert weights.variation == 101 * 67
    assert all(type(w) is float for w in weights.style.values())


def test_pooled_layers_and_keras_names_have_the_positions_of_their_own_maps():
    layers = {"pool4": 6 * 4, "block4_pool": 6 * 4, "block4_conv2": 12 * 8}
    recipe = NOTEBOOK._replace(content={}, style=dict.fromkeys(layers, lambda at: at.positions))
    assert recipe.weights((101, 67)).style == layers


def test_a_rule_wants_a_map():
    recipe = NOTEBOOK._replace(neighbours={"columns": lambda at: at.channels})
    with pytest.raises(
        ValueError, match=r"^weight of columns must be a number, got a function of a map: of columns there"
    ):
        recipe.weights((64, 64))


def test_times_multiplies_numbers_and_rules_and_leaves_the_recipe():
    recipe = NOTEBOOK._replace(variation=3.0)
    before, after = (r.weights((64, 64)) for r in (recipe, recipe.times(content=2.0, style=0.5)))
    assert after.content == {layer: 2 * w for layer, w in before.content.items()}
    assert after.style == {layer: pytest.approx(w / 2) for layer, w in before.style.items()}
    assert after.variation == 3
    assert recipe.weights((64, 64)) == before
    assert recipe.times().weights((64, 64)) == before


def test_recipes_by_name():
    assert NOTEBOOK.name == "gatys-notebook"
    assert recipes.get(recipes.DEFAULT).name == recipes.DEFAULT
    for name in ("gatys-notebok", "gatys_notebook"):
        with pytest.raises(
            ValueError, match=rf"recipe must be one of \d+ names, got '{name}': did you mean gatys-notebook\?"
        ):
            recipes.get(name)
    with pytest.raises(ValueError, match=r"got 'zzz': `nst-jax recipes` lists them\."):
        recipes.get("zzz")


def test_listing_recipes_imports_neither_jax_nor_numpy():
    code = "import sys; from nst_jax import recipes as r; r.get(r.DEFAULT); print({'jax', 'numpy'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
