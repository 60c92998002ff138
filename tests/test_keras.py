"""Every format that Keras writes, written by Keras itself with the bundled network, against Keras' own convolutions."""

import importlib.util
import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest

from nst_jax.network import convert, vgg19

if importlib.util.find_spec("keras") is None:  # not importorskip: without a backend chosen, importing it fails
    pytest.skip("keras is not installed", allow_module_level=True)

WHOLE = ("notop.h5", "model.h5", "model.keras", "keras3.weights.h5")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files and maps that Keras wrote, in a process of its own."""
    folder = tmp_path_factory.mktemp("keras")
    np.save(folder / "image.npy", np.random.default_rng(0).uniform(size=(64, 48, 3)).astype(np.float32))
    script = pathlib.Path(__file__).with_name("keras_formats.py")
    env = {k: v for k, v in os.environ.items() if k != "JAX_NUMPY_RANK_PROMOTION"}
    env |= {"KERAS_BACKEND": "jax", "KERAS_HOME": str(folder), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, str(script), str(vgg19.bundled_path()), str(folder)]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def errors(params, image, reference):
    """{layer: max |difference| / max |reference|}"""
    with jax.default_matmul_precision("highest"):
        ours = vgg19.features(params, image, list(reference))
    return {name: float(np.abs(ours[name] - value).max() / np.abs(value).max()) for name, value in reference.items()}


@pytest.mark.parametrize("name", WHOLE)
def test_every_convolution_is_keras_own(folder, name):
    params, said = convert.read(folder / name)
    reference = dict(np.load(folder / "vgg19.npz"))
    assert len(reference) == 32
    found = errors(params, np.load(folder / "image.npy"), reference)
    assert max(found.values()) <= 1e-5, found
    assert said["family"] == "caffe"
    assert said["source"] == name


@pytest.mark.parametrize("name", ["top.h5", "numbered.weights.h5"])
def test_a_narrow_network_with_the_top_and_numbered(folder, name):
    params, _ = convert.read(folder / name)
    assert vgg19.shape_of(params) == ((4, 6, 6, 8, 8), vgg19.CONVS)
    found = errors(params, np.load(folder / "image.npy")[:32, :32], dict(np.load(folder / "narrow.npz")))
    assert len(found) == 32
    assert max(found.values()) <= 1e-5, found


def test_the_file_written_gives_the_same_maps(folder, tmp_path):
    convert.convert(folder / "top.h5", tmp_path / "ours.h5")
    found = errors(
        vgg19.load(tmp_path / "ours.h5"), np.load(folder / "image.npy")[:32, :32], dict(np.load(folder / "narrow.npz"))
    )
    assert max(found.values()) <= 1e-5, found
