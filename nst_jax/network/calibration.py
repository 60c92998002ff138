"""Families of networks: the same shape, other magnitudes of features, and so other loss weights for the same picture.

`caffe` is the original network, which Keras has too; `torchvision` was trained again on other inputs; `normalised` is
caffe's with every filter scaled to a mean activation of one (Gatys et al. 2016, section 2), exactly the same network
otherwise. A network with taps answers in caffe's units; its filters cannot be scaled, so that for `normalised` recipes'
weights are, by layer.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from nst_jax.network import vgg19
from nst_jax.network.vgg19 import Activation, Activations, Params
from nst_jax.pictures import samples
from nst_jax.recipes import Recipe

CAFFE_TO_TORCHVISION = 80.0  # at every layer, where torchvision's own file has not been measured
SHAPE = (192, 256)


def measured(params: Params) -> dict[str, Activation]:
    """Each ReLU's activations over all sample pictures: drawn, so that they are the same everywhere."""
    each = [_answers(params, picture) for picture in _pictures()]
    return jax.tree.map(lambda *leaves: np.mean(leaves, axis=0, dtype=np.float32), *each)


@functools.cache
def _pictures():
    return [samples.draw(name, SHAPE) for name in (*samples.CONTENTS, *samples.STYLES)]


@jax.jit
def _answers(params, image):
    layers = [name for name in vgg19.layers_of(vgg19.shape_of(params)[1]) if name.startswith("relu")]
    maps = vgg19.features(params, image, layers)
    return {layer: Activation(f.mean((0, 1)), jnp.square(f).mean((0, 1))) for layer, f in maps.items()}


def magnitudes(activations: Activations) -> dict[str, float]:
    """The root mean square of each layer's features."""
    return {layer: float(np.sqrt(np.mean(each.square))) for layer, each in activations.items()}


def normalised(params: Params, activations: Activations) -> Params:
    """The same network with each filter's mean activation scaled to one, the next layer's kernel making up for it."""
    out, before = {"input": params["input"]}, jnp.ones(3)
    for name in (name for name in vgg19.layers_of(vgg19.shape_of(params)[1]) if name.startswith("conv")):
        scale = jnp.asarray(_means(activations[name.replace("conv", "relu")]))
        kernel = params[name]["kernel"] * before[None, None, :, None] / scale[None, None, None]
        out[name], before = {"kernel": kernel, "bias": params[name]["bias"] / scale}, scale
    return out


def _means(activation):
    """A filter's mean activation; one that never answers stays as it is."""
    return np.where(activation.mean > 1e-4 * activation.mean.max(), activation.mean, 1.0)


def of(params: Params) -> str:
    """The family of a network, which its input's scale tells: Caffe's runs to 255, torchvision's to a few."""
    return "caffe" if np.asarray(params["input"]["std"]).max() < 0.05 else "torchvision"


def fitted(recipe: Recipe, params: Params, *, activations: Activations | None = None) -> tuple[Recipe, Params, str]:
    """(recipe, params, what was done): the two made to fit each other, where the recipe is for another family.

    `activations` are the network's own, if its file holds them; they are measured where they are needed.
    """
    have = of(params)
    if recipe.family == have:
        return recipe, params, ""
    if recipe.family == "normalised" and not vgg19.taps(params):  # its projections mix the filters
        done = f"filters of the {have} network scaled to a mean activation of 1"
        return recipe, normalised(params, activations or measured(params)), done
    ratios = _ratios(params, activations, recipe.family)
    low, high = min(ratios.values()), max(ratios.values())
    said = f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
    done = f"weights for {recipe.family} rescaled to {have}, whose features are {said} times as large"
    return recipe.rescaled(ratios), params, done


def _ratios(params, activations, family: str) -> dict[str, float]:
    """How many times as large each layer's features are as in the network that a recipe is for."""
    if family == "torchvision":
        layers = vgg19.layers_of(vgg19.shape_of(params)[1])
        return {layer: CAFFE_TO_TORCHVISION for layer in layers if layer.startswith("relu")}
    theirs = vgg19.activations(vgg19.bundled_path())
    assert theirs is not None, "the bundled network is measured"
    if family == "normalised":
        return {n: float(np.sqrt(np.mean(a.square) / np.mean(a.square / _means(a) ** 2))) for n, a in theirs.items()}
    ours, theirs = magnitudes(activations or measured(params)), magnitudes(theirs)
    return {layer: ours[layer] / theirs[layer] for layer in ours}
