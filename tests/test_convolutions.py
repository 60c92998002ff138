"""Convolution with fewer multiplications: the numbers of the plain one, on CPUs, by what was made of kernels before."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nst_jax.network import convolutions, vgg19


def drawn(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def difference(one, other):
    return float(jnp.linalg.norm(one - other) / jnp.linalg.norm(other))


WAYS = {"squares": convolutions.BY_SQUARES, "rows": convolutions.BY_ROWS}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("h", [1, 2, 3, 4, 5, 7, 8, 13])
@pytest.mark.parametrize("w", [1, 2, 3, 6])
def test_each_way_is_the_plain_convolution_and_its_gradient(way, h, w):
    x, kernel, g = drawn(0, 2, h, w, 5), drawn(1, 3, 3, 5, 7), drawn(2, 2, h, w, 7)
    made = WAYS[way].prepare(kernel)
    assert difference(WAYS[way].forward(x, made), convolutions.convolve(x, kernel)) < 2e-6
    (expected,) = jax.vjp(lambda x: convolutions.convolve(x, kernel), x)[1](g)
    assert difference(WAYS[way].backward(g, made), expected) < 2e-6


@pytest.mark.parametrize("way", WAYS)
def test_its_products_are_exact_in_whole_numbers(way):
    x, kernel = (jnp.round(10 * a) for a in (drawn(0, 1, 9, 6, 4), 24 * drawn(1, 3, 3, 4, 3)))
    with jax.enable_x64(True):
        x, kernel = jnp.asarray(np.asarray(x, np.float64)), jnp.asarray(np.asarray(kernel, np.float64))
        ours, known = WAYS[way].forward(x, WAYS[way].prepare(kernel)), convolutions.convolve(x, kernel)
        np.testing.assert_allclose(ours, known, rtol=1e-13, atol=1e-9)


@pytest.mark.parametrize("way", WAYS)
def test_numpy_and_jax_make_the_same_of_a_kernel(way):
    kernel = drawn(1, 3, 3, 5, 7)
    ours = jax.tree.leaves(WAYS[way].prepare(np.asarray(kernel)))
    for one, other in zip(ours, jax.tree.leaves(WAYS[way].prepare(kernel)), strict=True):
        assert isinstance(one, np.ndarray)
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("channels", "name"),
    [
        ((3, 64), None),
        ((64, 64), None),
        ((64, 128), "rows"),
        ((128, 128), "rows"),
        ((128, 256), "squares"),
        ((512, 512), "squares"),
        ((16, 64), "rows"),
        ((32, 32), "rows"),
        ((64, 8), None),
    ],
)
def test_the_way_follows_from_channels_alone(channels, name):
    assert convolutions.way(*channels) is (WAYS[name] if name else None)


@pytest.mark.parametrize("shape", [(1, 1, 1, 4), (1, 2, 7, 16), (2, 9, 6, 16), (3, 5, 1, 32)])
def test_planes_are_the_plain_convolution(shape):
    x, kernel = drawn(0, *shape), drawn(1, 3, 3, shape[-1], 3)
    assert difference(convolutions.by_planes(x, kernel), convolutions.convolve(x, kernel)) < 2e-6


@pytest.mark.parametrize(("channels", "taken"), [((16, 3), True), ((64, 3), False), ((16, 8), False), ((8, 3), False)])
def test_planes_are_taken_from_few_channels_to_an_images(channels, taken):
    x, kernel = drawn(0, 1, 12, 9, channels[0]), drawn(1, 3, 3, *channels)
    for platform, count in ("cpu", 1 - taken), ("cuda", 1), ("tpu", 1):
        exported = jax.export.export(jax.jit(convolutions.plain), platforms=[platform])(x, kernel)
        assert exported.mlir_module().count("stablehlo.convolution") == count
    ours, known = jax.jit(convolutions.plain)(x, kernel), convolutions.convolve(x, kernel)
    np.testing.assert_allclose(ours, known, rtol=1e-4, atol=1e-4)


def test_a_batch_by_planes_is_each_of_its_pictures():
    x, kernel = drawn(0, 3, 1, 12, 9, 16), drawn(1, 3, 3, 16, 3)
    many = jax.jit(jax.vmap(convolutions.plain, in_axes=(0, None)))(x, kernel)
    np.testing.assert_allclose(many, jnp.stack([convolutions.convolve(one, kernel) for one in x]), rtol=1e-4, atol=1e-4)


# In a network


@pytest.fixture(scope="module")
def wide():
    """A network whose later layers are wide enough for either way."""
    return vgg19.init(jax.random.key(0), widths=(64, 128, 256), convs=(1, 2, 2))


def taken(params, image):
    """How many products and convolutions a map and its gradient take."""
    gradient = jax.jit(jax.grad(lambda image, params: energy(params, image)))
    text = gradient.lower(image, params).as_text()
    return text.count("stablehlo.convolution"), text.count("stablehlo.dot_general")


def energy(params, image):
    return jnp.square(vgg19.features(params, image, ["relu3_2"])["relu3_2"]).mean()


def test_parameters_made_ready_give_equal_maps_and_gradients(wide):
    image, ready = drawn(0, 48, 40, 3), vgg19.ready(wide, ["relu3_2"])
    value = jax.jit(jax.value_and_grad(energy, 1))
    (one, slope), (other, plain) = value(ready, image), value(wide, image)
    assert float(one) == pytest.approx(float(other), rel=1e-5)
    assert difference(slope, plain) < 1e-5
    assert taken(wide, image) == (10, 0), "five convolutions and their gradients"
    if jax.default_backend() == "cpu":
        assert taken(ready, image) == (2 + 2 * 2 * 6, 2 * 2 * 16), "one by itself, two by rows, two by squares"


def test_only_what_is_looked_at_is_made_ready(wide):
    assert vgg19.ready(wide, ["relu2_2"])["made"].keys() == {"conv2_1", "conv2_2"}
    assert vgg19.ready(wide, [])["made"] == {}


def test_what_is_made_is_not_stored(wide, tmp_path):
    vgg19.save(tmp_path / "ready.h5", vgg19.ready(wide, ["relu3_2"]))
    vgg19.save(tmp_path / "plain.h5", wide)
    one, other = (vgg19.read(tmp_path / name) for name in ("ready.h5", "plain.h5"))
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_elsewhere_than_on_a_cpu_nothing_is_made(wide, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert vgg19.ready(wide, ["relu3_2"]) is wide


def test_other_numbers_and_small_maps_stay_plain(wide):
    ready = vgg19.ready(wide, ["relu3_2"])
    for x in jnp.zeros((1, 48, 8, 128), "bfloat16"), jnp.zeros((1, convolutions.LEAST_ROWS - 1, 8, 128)):
        args = x, ready["conv2_2"]["kernel"].astype(x.dtype), ready["made"]["conv2_2"]
        assert jax.jit(vgg19.conv).lower(*args).as_text().count("stablehlo.convolution") == 1


def test_a_gradient_by_the_kernel_is_the_plain_ones(wide):
    x, ready = drawn(0, 1, 9, 8, 128), vgg19.ready(wide, ["relu3_1"])
    args = x, ready["conv3_1"]["kernel"], ready["made"]["conv3_1"]
    ours = jax.jit(jax.grad(lambda x, kernel, made: jnp.square(vgg19.conv(x, kernel, made)).sum(), 1))(*args)
    plain = jax.jit(jax.grad(lambda x, kernel: jnp.square(convolutions.convolve(x, kernel)).sum(), 1))(*args[:2])
    assert difference(ours, plain) < 1e-5


def test_in_a_loop_kernels_are_turned_once():
    params = vgg19.init(jax.random.key(0), widths=(8, 16), convs=(1, 1))

    def descend(image, params):  # not constants, which XLA would turn itself
        step = jax.grad(lambda image: jnp.square(vgg19.features(params, image, ["relu2_1"])["relu2_1"]).sum())
        return jax.lax.fori_loop(0, 5, lambda _, image: image - 1e-3 * step(image), image)

    lines = jax.jit(descend).lower(drawn(0, 24, 24, 3), params).compile().as_text().splitlines()
    turned = [line for line in lines if " reverse(" in line]
    assert turned or jax.default_backend() != "cpu", "kernels are turned somewhere"
    loops = [line for line in lines if " while(" in line]
    assert len(loops) == 1, "one loop of steps"
    if jax.default_backend() == "cpu":
        body = loops[0].split("body=")[1].split(",")[0].strip()
        assert not _called(lines, body) & {_computation(lines, line) for line in turned}


def _computation(lines, wanted):
    """The computation that a line of a program stands in."""
    name = ""
    for line in lines:
        if line.endswith("{") and not line.startswith(" "):
            name = line.split()[0]
        if line is wanted:
            return name
    raise AssertionError(wanted)


def _called(lines, name):
    """All computations that one calls, itself included."""
    known, left = set(), {name}
    inside: dict[str, list[str]] = {}
    for line in lines:
        if line.endswith("{") and not line.startswith(" "):
            current = line.split()[0]
        elif line.startswith("  "):
            inside.setdefault(current, []).append(line)
    while left:
        one = left.pop()
        known.add(one)
        for line in inside.get(one, []):
            for word in "calls=", "to_apply=", "body=", "condition=":
                if word in line:
                    left |= {line.split(word)[1].split(",")[0].split()[0]} - known
    return known


@pytest.mark.parametrize("channels", [(64, 128), (128, 256)])
def test_a_batch_is_bit_for_bit_each_of_its_pictures(channels):
    x, kernel = drawn(0, 3, 1, 50, 10, channels[0]), drawn(1, 3, 3, *channels)
    made = convolutions.way(*channels).prepare(kernel)
    many = jax.jit(jax.vmap(vgg19.conv, in_axes=(0, None, None)))(x, kernel, made)
    each = [jax.jit(vgg19.conv)(one, kernel, made) for one in x]
    if jax.default_backend() == "cpu":
        np.testing.assert_array_equal(many, jnp.stack(each))
    np.testing.assert_allclose(many, jnp.stack(each), rtol=1e-3, atol=1e-3)


# On a TPU


@pytest.mark.parametrize("shape", [(1, 8, 5, 3), (1, 24, 7, 4), (1, 12, 5, 3), (2, 8, 5, 3)])
def test_strips_are_the_plain_convolution_and_its_gradient(shape):
    x, kernel = drawn(0, *shape), drawn(1, 3, 3, shape[-1], 6)
    both = convolutions.by_strips, convolutions.convolve
    (ours, back), (known, slope) = (jax.vjp(lambda x, way=way: way(x, kernel), x) for way in both)
    np.testing.assert_allclose(ours, known, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(back(ours)[0], slope(known)[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("pool", ["max", "average", "scaled-average", "l2"])
@pytest.mark.parametrize("shape", [(1, 32, 6, 4), (1, 9, 7, 3), (2, 6, 5, 3)])
def test_pooling_by_windows_is_pooling_by_pairs(monkeypatch, pool, shape):
    x = drawn(0, *shape)
    known, slope = jax.vjp(vgg19.POOLS[pool], x)
    monkeypatch.setattr(jax.lax, "platform_dependent", lambda *args, tpu, default=None: tpu(*args))
    ours, back = jax.vjp(vgg19.POOLS[pool], x)
    np.testing.assert_allclose(ours, known, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(back(known)[0], slope(known)[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("platform", "strips"), [("cpu", False), ("cuda", False), ("tpu", True)])
def test_strips_and_windows_are_a_tpus_own(wide, platform, strips):
    work = jax.jit(jax.grad(lambda image, params: energy(params, image)))
    text = jax.export.export(work, platforms=[platform])(drawn(0, 64, 40, 3), wide).mlir_module()
    assert ("tensor<8x4x40x6xf32>" in text) == ("select_and_scatter" in text) == strips, "pairs of strips; windows"
    assert text.count("stablehlo.convolution") == 10
