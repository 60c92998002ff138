"""python tests/keras_formats.py BUNDLED FOLDER: Keras itself writes every format of its own, and what its layers give.

Runs in a process of its own, with KERAS_BACKEND=jax, and imports nothing of nst_jax.
"""

import pathlib
import sys

import h5py
import keras
import numpy as np
from keras.src.legacy.saving import legacy_h5_format

MEAN = np.float32(
    [103.939, 116.779, 123.68]
)  # of the BGR input, as keras.applications.vgg19.preprocess_input takes it off


def narrow():
    """The shape of the official file with its top, in small; zeros because Keras draws random numbers slowly."""
    x = inputs = keras.Input((32, 32, 3), name="input_1")
    for block, (width, convs) in enumerate(zip((4, 6, 6, 8, 8), (2, 2, 4, 4, 4), strict=True), 1):
        for i in range(1, convs + 1):
            x = convolution(width, name=f"block{block}_conv{i}")(x)
        x = keras.layers.MaxPooling2D(name=f"block{block}_pool")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    x = keras.layers.Dense(16, "relu", kernel_initializer="zeros", name="fc1")(x)
    x = keras.layers.Dense(10, "softmax", kernel_initializer="zeros", name="predictions")(x)
    model, rng = keras.Model(inputs, x), np.random.default_rng(0)
    model.set_weights([rng.normal(scale=0.2, size=value.shape) for value in model.get_weights()])
    return model


def numbered(model):
    """The same convolutions under the names that Keras gives: conv2d, conv2d_1, …"""
    layers = [convolution(layer.filters) for layer in convolutions(model)]
    copy = keras.Sequential([keras.Input((None, None, 3)), *layers])
    for layer, original in zip(layers, convolutions(model), strict=True):
        layer.set_weights(original.get_weights())
    return copy


def convolution(width, **name):
    return keras.layers.Conv2D(width, 3, padding="same", activation="relu", kernel_initializer="zeros", **name)


def filled(bundled):
    """Keras' own VGG19 with the bundled network's values, the first kernel for BGR again."""
    model = keras.applications.VGG19(weights=None, include_top=False)
    with h5py.File(bundled) as file:
        for layer in convolutions(model):
            group = file[layer.name.replace("block", "conv").replace("_conv", "_")]
            kernel = np.float32(group["kernel"])
            layer.set_weights([kernel[:, :, ::-1] if kernel.shape[2] == 3 else kernel, np.float32(group["bias"])])
    return model


def convolutions(model):
    return [layer for layer in model.layers if "conv" in layer.name]


def maps(model, rgb):
    """{conv1_1, relu1_1, …} as Keras computes them, each from the layer before it."""
    x, out = np.float32(rgb[None, :, :, ::-1] * np.float32(255) - MEAN), {}
    for layer in model.layers[1:]:
        if layer.name == "flatten":
            break
        if "conv" in layer.name:
            name = layer.name.removeprefix("block").replace("_conv", "_")
            layer.activation = keras.activations.linear
            out[f"conv{name}"] = np.asarray(layer(x))[0]
            layer.activation = keras.activations.relu
            x = layer(x)
            out[f"relu{name}"] = np.asarray(x)[0]
        else:
            x = layer(x)
    return out


def legacy(model, path):
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)


def main(bundled, folder):
    folder = pathlib.Path(folder)
    rgb = np.load(folder / "image.npy")
    model, small = filled(bundled), narrow()
    legacy(model, folder / "notop.h5")
    legacy(small, folder / "top.h5")
    model.save(folder / "model.h5")
    model.save(folder / "model.keras")
    model.save_weights(folder / "keras3.weights.h5")
    numbered(small).save_weights(folder / "numbered.weights.h5")
    np.savez(folder / "vgg19.npz", **maps(model, rgb))
    np.savez(folder / "narrow.npz", **maps(small, rgb[:32, :32]))


if __name__ == "__main__":
    main(*sys.argv[1:])
