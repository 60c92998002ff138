"""Convolution with fewer multiplications: the numbers of the plain one, on CPUs only."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nst_jax.network import convolutions, vgg19


def drawn(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def difference(one, other):
    return float(jnp.linalg.norm(one - other) / jnp.linalg.norm(other))


@pytest.mark.parametrize("h", [1, 2, 3, 4, 5, 7, 8, 13])
@pytest.mark.parametrize("w", [1, 6])
def test_four_rows_at_a_time_are_the_plain_convolution(h, w):
    x, kernel = drawn(0, 2, h, w, 5), drawn(1, 3, 3, 5, 7)
    assert difference(convolutions.by_four_rows(x, kernel), convolutions.convolve(x, kernel)) < 2e-6


def test_its_six_products_are_exact_in_whole_numbers():
    x, kernel = (jnp.round(10 * a) for a in (drawn(0, 1, 9, 6, 4), 24 * drawn(1, 3, 3, 4, 3)))
    with jax.enable_x64(True):
        x, kernel = jnp.asarray(np.asarray(x, np.float64)), jnp.asarray(np.asarray(kernel, np.float64))
        ours, known = convolutions.by_four_rows(x, kernel), convolutions.convolve(x, kernel)
        np.testing.assert_allclose(ours, known, rtol=1e-13, atol=1e-9)


def test_large_layers_take_it_and_their_gradient_is_the_plain_ones():
    x, kernel, g = drawn(0, 1, 51, 10, 64), drawn(1, 3, 3, 64, 128) / 24, drawn(2, 1, 51, 10, 128)
    ours = jax.jit(lambda x: jax.vjp(vgg19.conv, x, kernel)[1](g)[0])
    known = jax.jit(lambda x: jax.vjp(lambda x: convolutions.convolve(x, kernel), x)[1](g)[0])
    assert ours.lower(x).as_text().count("stablehlo.convolution") == (6 if jax.default_backend() == "cpu" else 1)
    assert difference(ours(x), known(x)) < 2e-6


@pytest.mark.parametrize("shape", [(1, 1, 1, 4), (1, 2, 7, 16), (2, 9, 6, 16), (3, 5, 1, 32)])
def test_planes_are_the_plain_convolution(shape):
    x, kernel = drawn(0, *shape), drawn(1, 3, 3, shape[-1], 3)
    assert difference(convolutions.by_planes(x, kernel), convolutions.convolve(x, kernel)) < 2e-6


@pytest.mark.parametrize("way", [convolutions.winograd, convolutions.direct])
@pytest.mark.parametrize(("channels", "taken"), [((16, 3), True), ((64, 3), False), ((16, 8), False), ((8, 3), False)])
def test_planes_are_taken_from_few_channels_to_an_images(way, channels, taken):
    x, kernel = drawn(0, 1, 12, 9, channels[0]), drawn(1, 3, 3, *channels)
    for platform, count in ("cpu", 1 - taken), ("cuda", 1), ("tpu", 1):
        exported = jax.export.export(jax.jit(way), platforms=[platform])(x, kernel)
        assert exported.mlir_module().count("stablehlo.convolution") == count
    np.testing.assert_allclose(jax.jit(way)(x, kernel), convolutions.convolve(x, kernel), rtol=1e-4, atol=1e-4)


def test_a_batch_by_planes_is_each_of_its_pictures():
    x, kernel = drawn(0, 3, 1, 12, 9, 16), drawn(1, 3, 3, 16, 3)
    many = jax.jit(jax.vmap(convolutions.direct, in_axes=(0, None)))(x, kernel)
    np.testing.assert_allclose(many, jnp.stack([convolutions.convolve(one, kernel) for one in x]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("shape", "dtype"), [((64, 64), "float32"), ((64, 128), "bfloat16"), ((16, 3), "bfloat16")])
def test_small_layers_and_other_numbers_stay_plain(shape, dtype):
    x, kernel = jnp.zeros((1, 48, 8, shape[0]), dtype), jnp.zeros((3, 3, *shape), dtype)
    text = jax.jit(convolutions.winograd).lower(x, kernel).as_text()
    assert text.count("stablehlo.convolution") == 1


@pytest.mark.parametrize(
    ("channels", "count"), [((16, 64), 6), ((32, 32), 6), ((64, 16), 6), ((64, 8), 1), ((64, 64), 1)]
)
def test_few_channels_take_it_sooner(channels, count):
    x, kernel = drawn(0, 1, 12, 9, channels[0]), drawn(1, 3, 3, *channels)
    exported = jax.export.export(jax.jit(convolutions.winograd), platforms=["cpu"])(x, kernel)
    assert exported.mlir_module().count("stablehlo.convolution") == count


def test_small_maps_stay_plain():
    kernel = jnp.zeros((3, 3, 64, 128))
    for rows, count in (convolutions.ROWS - 1, 1), (convolutions.ROWS, 6):
        text = jax.jit(convolutions.winograd).lower(jnp.zeros((1, rows, 8, 64)), kernel).as_text()
        assert text.count("stablehlo.convolution") == (count if jax.default_backend() == "cpu" else 1)


def test_a_network_may_do_without_and_its_maps_and_gradient_are_equal():
    params, image = vgg19.init(jax.random.key(0), widths=(64, 128), convs=(1, 2)), drawn(0, 48, 40, 3)

    def energy(image, convolution):
        return jnp.square(vgg19.features(params, image, ["relu2_2"], convolution=convolution)["relu2_2"]).mean()

    texts = {}
    for name in vgg19.CONVOLUTIONS:
        gradient = jax.jit(jax.grad(lambda image, name=name: energy(image, name)))
        texts[name] = gradient.lower(image).as_text().count("stablehlo.convolution"), gradient(image)
    (many, faster), (few, plain) = texts["winograd"], texts["direct"]
    assert few == 6, "three convolutions and their gradients"
    assert many == (26 if jax.default_backend() == "cpu" else 6), "six in place of each of the larger two"
    assert difference(faster, plain) < 1e-5


@pytest.mark.parametrize(("platform", "count"), [("cpu", 6), ("cuda", 1), ("tpu", 1)])
def test_only_cpus_take_it(platform, count):
    x, kernel = jnp.zeros((1, 48, 8, 64)), jnp.zeros((3, 3, 64, 128))
    exported = jax.export.export(jax.jit(convolutions.winograd), platforms=[platform])(x, kernel)
    assert exported.mlir_module().count("stablehlo.convolution") == count


def test_a_batch_is_bit_for_bit_each_of_its_pictures():
    x, kernel = drawn(0, 3, 1, 50, 10, 64), drawn(1, 3, 3, 64, 128)
    many = jax.jit(jax.vmap(vgg19.conv, in_axes=(0, None)))(x, kernel)
    each = [jax.jit(vgg19.conv)(one, kernel) for one in x]
    if jax.default_backend() == "cpu":
        np.testing.assert_array_equal(many, jnp.stack(each))
    np.testing.assert_allclose(many, jnp.stack(each), rtol=1e-3, atol=1e-3)
