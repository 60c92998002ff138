"""Networks of other magnitudes: the same shape, other sizes of features, and so other loss weights for a picture.

A recipe names the family that it is for. `caffe` is the original network, which Keras has too; `torchvision` was
trained again on other inputs; `normalised` is caffe's with every filter scaled to a mean activation of one (Gatys et
al. 2016, section 2), exactly the same network otherwise. A network with taps answers in caffe's units; its filters
cannot be scaled, so that for it the weights of recipes for `normalised` are, by layer.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nst_jax.network import files, layers, vgg19
from nst_jax.network.layers import Activation, Activations, Params
from nst_jax.pictures import samples
from nst_jax.recipes import Recipe

CAFFE_TO_TORCHVISION = 80.0  # at every layer, where torchvision's own file has not been measured
SHAPE = (192, 256)  # of the sample pictures that activations are measured over


class Calibrated(NamedTuple):
    """A recipe and a network's parameters that fit each other, and what was changed for that: empty if nothing."""

    recipe: Recipe
    params: Params
    note: str


def calibrate(recipe: Recipe, params: Params, *, activations: Activations | None = None) -> Calibrated:
    """Make a recipe and a network fit each other, where the recipe is for a network of another family.

    `activations` are the network's own, if its file holds them; otherwise they are measured where they are needed.
    """
    family = family_of(params)
    if recipe.family == family:
        return Calibrated(recipe, params, "")
    if recipe.family == "normalised" and not layers.taps(params):  # a tap's matrices mix the filters
        note = f"filters of the {family} network scaled to a mean activation of 1"
        return Calibrated(recipe, normalise_filters(params, activations or measure_activations(params)), note)
    ratios = _magnitude_ratios(params, activations, recipe.family)
    low, high = min(ratios.values()), max(ratios.values())
    times = f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
    note = f"weights for {recipe.family} rescaled to {family}, whose features are {times} times as large"
    return Calibrated(recipe.rescaled(ratios), params, note)


def family_of(params: Params) -> str:
    """The family of a network, by its input's scale: Caffe's runs to 255, torchvision's to a few."""
    return "caffe" if np.asarray(params["input"]["std"]).max() < 0.05 else "torchvision"


def measure_activations(params: Params) -> dict[str, Activation]:
    """Each ReLU's activations over all sample pictures: drawn, so that they are the same everywhere."""
    each = [_activations(params, picture) for picture in _sample_pictures()]
    return jax.tree.map(lambda *leaves: np.mean(leaves, axis=0, dtype=np.float32), *each)


@functools.cache
def _sample_pictures():
    return [samples.draw(name, SHAPE) for name in (*samples.CONTENTS, *samples.STYLES)]


@jax.jit
def _activations(params, image):
    maps = vgg19.features(params, image, _relus(params))
    return {layer: Activation(f.mean((0, 1)), jnp.square(f).mean((0, 1))) for layer, f in maps.items()}


def _relus(params) -> list[str]:
    return [name for name in layers.layers_of(layers.shape_of(params)[1]) if name.startswith("relu")]


def magnitudes(activations: Activations) -> dict[str, float]:
    """The root mean square of each layer's features."""
    return {layer: float(np.sqrt(np.mean(each.square))) for layer, each in activations.items()}


def normalise_filters(params: Params, activations: Activations) -> Params:
    """The same network with each filter's mean activation scaled to one, the next layer's kernel making up for it."""
    out, before = {"input": params["input"]}, jnp.ones(3)
    for relu in _relus(params):
        name = relu.replace("relu", "conv")
        scale = jnp.asarray(_mean_activations(activations[relu]))
        kernel = params[name]["kernel"] * before[None, None, :, None] / scale[None, None, None]
        out[name], before = {"kernel": kernel, "bias": params[name]["bias"] / scale}, scale
    return out


def _mean_activations(activation):
    """Each filter's mean activation; one for a filter that hardly ever answers, so that it stays as it is."""
    return np.where(activation.mean > 1e-4 * activation.mean.max(), activation.mean, 1.0)


def _magnitude_ratios(params, activations, family: str) -> dict[str, float]:
    """How many times as large each layer's features are as in the network that a recipe is for."""
    if family == "torchvision":
        return dict.fromkeys(_relus(params), CAFFE_TO_TORCHVISION)
    caffe = files.activations(files.bundled_path())
    assert caffe is not None, "the bundled network is measured"
    if family == "normalised":
        return {layer: _caffe_to_normalised(activation) for layer, activation in caffe.items()}
    ours, theirs = magnitudes(activations or measure_activations(params)), magnitudes(caffe)
    return {layer: ours[layer] / theirs[layer] for layer in ours}


def _caffe_to_normalised(activation) -> float:
    """How many times as large a layer's features are as with every filter scaled to a mean activation of one."""
    scaled = np.mean(activation.square / _mean_activations(activation) ** 2)
    return float(np.sqrt(np.mean(activation.square) / scaled))
