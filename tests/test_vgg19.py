"""nst_jax.vgg19: maps against NumPy and PyTorch, gradients against autodiff's, files, and what goes wrong."""

import math
import pathlib
import shutil

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import network
from jax import lax

from nst_jax.network import convolutions, files, vgg19

CONVS = (2, 2, 4, 4, 4)
ALL = [
    *["conv1_1", "relu1_1", "conv1_2", "relu1_2", "pool1"],
    *["conv2_1", "relu2_1", "conv2_2", "relu2_2", "pool2"],
    *["conv3_1", "relu3_1", "conv3_2", "relu3_2", "conv3_3", "relu3_3", "conv3_4", "relu3_4", "pool3"],
    *["conv4_1", "relu4_1", "conv4_2", "relu4_2", "conv4_3", "relu4_3", "conv4_4", "relu4_4", "pool4"],
    *["conv5_1", "relu5_1", "conv5_2", "relu5_2", "conv5_3", "relu5_3", "conv5_4", "relu5_4", "pool5"],
]


# References that know nothing of nst_jax


REDUCTIONS = {
    "max": np.max,
    "average": np.mean,
    "scaled-average": lambda x, axes: 2 * np.mean(x, axes),
    "l2": lambda x, axes: 0.78 * np.sqrt(np.square(x).sum(axes)),
}


def numpy_pool(x, kind):
    """[h, w, c] -> [h//2, w//2, c], window by window."""
    h, w = x.shape[0] // 2, x.shape[1] // 2
    reduce = REDUCTIONS[kind]
    rows = [[reduce(x[2 * i : 2 * i + 2, 2 * j : 2 * j + 2], (0, 1)) for j in range(w)] for i in range(h)]
    return np.array(rows)


def numpy_maps(params, image, *, convs=CONVS, pool="max", border="constant"):
    """All maps in float64: nine shifted products to a convolution; `border` of the image as np.pad calls it."""
    p = jax.tree.map(lambda a: np.asarray(a, np.float64), dict(params))
    x, out = (np.asarray(image, np.float64) - p["input"]["mean"]) / p["input"]["std"], {}
    for block, count in enumerate(convs, 1):
        for i in range(1, count + 1):
            kernel, bias = p[f"conv{block}_{i}"]["kernel"], p[f"conv{block}_{i}"]["bias"]
            (h, w, _), padded = x.shape, np.pad(x, ((1, 1), (1, 1), (0, 0)), border)
            taps = [padded[a : a + h, b : b + w] @ kernel[a, b] for a in range(3) for b in range(3)]
            x, border = sum(taps) + bias, "constant"
            out[f"conv{block}_{i}"] = x
            x = out[f"relu{block}_{i}"] = np.maximum(x, 0)
        x = out[f"pool{block}"] = numpy_pool(x, pool)
    return out


def torch_maps(torch, params, image):
    """All maps by PyTorch's own convolution and pooling, in float32."""
    functional = torch.nn.functional
    p = jax.tree.map(lambda a: torch.tensor(np.asarray(a)), dict(params))
    x = ((torch.tensor(image) - p["input"]["mean"]) / p["input"]["std"]).permute(2, 0, 1)[None]
    out = {}
    for block, count in enumerate(CONVS, 1):
        for i in range(1, count + 1):
            layer = p[f"conv{block}_{i}"]
            x = functional.conv2d(x, layer["kernel"].permute(3, 2, 0, 1), layer["bias"], padding=1)
            out[f"conv{block}_{i}"] = x
            x = out[f"relu{block}_{i}"] = functional.relu(x)
        x = out[f"pool{block}"] = functional.max_pool2d(x, 2)
    return {name: x[0].permute(1, 2, 0).numpy() for name, x in out.items()}


def largest_error(ours, reference):
    """The largest max |difference| / max |reference| of the maps, and whose it is."""
    assert ours.keys() == reference.keys()
    found = {k: np.abs(np.asarray(ours[k], np.float64) - v).max() / np.abs(v).max() for k, v in reference.items()}
    return max((error, name) for name, error in found.items())


features = jax.jit(vgg19.features, static_argnames=("layers", "pool", "padding", "dtype"))


# Maps


@pytest.fixture(scope="module")
def maps(narrow, town):
    return features(narrow, town, tuple(ALL))


def test_all_37_maps_with_their_names_shapes_and_strides(maps, narrow, town):
    assert vgg19.layers_of() == ALL
    assert maps.keys() == set(ALL)
    assert len(ALL) == len(maps) == 37
    widths, convs = vgg19.shape_of(narrow)
    assert (widths, convs) == ((4, 5, 6, 7, 8), CONVS)
    for name, x in maps.items():
        k, block = vgg19.stride(name), int(name[4])
        assert k == 2 ** (block - ("pool" not in name))
        assert x.shape == (town.shape[0] // k, town.shape[1] // k, widths[block - 1]), name
        assert x.dtype == jnp.float32


def test_vgg19_itself_is_the_default_shape():
    made = jax.eval_shape(vgg19.init, jax.random.key(0))
    assert vgg19.shape_of(made) == ((64, 128, 256, 512, 512), CONVS)
    assert sum(math.prod(a.shape) for k, v in made.items() if k != "input" for a in v.values()) == 20_024_384


@pytest.mark.parametrize("pool", ["max", "average"])
@pytest.mark.parametrize("shape", [(40, 48), (37, 45)])
def test_every_map_is_numpys(narrow, town, pool, shape):
    image = town[: shape[0], : shape[1]]
    assert largest_error(features(narrow, image, tuple(ALL), pool=pool), numpy_maps(narrow, image, pool=pool))[0] < 1e-5


def test_a_replicated_border_is_of_the_image_alone(narrow, town):
    layers = ("conv1_1", "relu1_2", "pool1")
    reference = numpy_maps(narrow, town, border="edge")
    ours = features(narrow, town, layers, padding="replicate")
    assert largest_error(ours, {name: reference[name] for name in layers})[0] < 1e-5
    with pytest.raises(ValueError, match="padding must be one of zeros, replicate, got 'wrap'"):
        vgg19.network(padding="wrap")


def test_every_map_is_pytorchs(maps, narrow, town):
    torch = pytest.importorskip("torch")
    assert largest_error(maps, torch_maps(torch, narrow, town))[0] < 1e-5


def test_every_map_of_the_real_network_is_numpys_and_pytorchs(bundled, town, night):
    image = np.pad(town, ((0, 24), (0, 16), (0, 0)), "reflect")  # 64 × 64
    ours = features(bundled, image, tuple(ALL))
    assert ours["relu5_4"].shape == (4, 4, 512)
    assert largest_error(ours, numpy_maps(bundled, image))[0] < 1e-5
    torch = pytest.importorskip("torch")
    assert largest_error(ours, torch_maps(torch, bundled, image))[0] < 1e-5


def test_keras_names_are_the_same_maps(maps, narrow, town):
    asked = ("block4_conv2", "block1_conv1", "block4_pool", "block5_pool")
    aliased = features(narrow, town, asked)
    assert set(aliased) == set(asked)
    for name, ours in zip(asked, ("relu4_2", "relu1_1", "pool4", "pool5"), strict=True):
        assert vgg19.canonical(name) == ours
        assert vgg19.stride(name) == vgg19.stride(ours)
        np.testing.assert_allclose(aliased[name], maps[ours], rtol=1e-5, atol=1e-4)


def test_an_unknown_layer_is_named_with_the_nearest():
    with pytest.raises(ValueError, match=r"one of the network's 37 maps, got 'relu4_5': did you mean relu4_\d\?"):
        vgg19.canonical("relu4_5")
    with pytest.raises(ValueError, match="did you mean block4_conv2"):
        vgg19.canonical("block4conv2")
    with pytest.raises(ValueError, match=r"got 'zzz': names run from conv1_1 to pool5\."):
        vgg19.canonical("zzz")


@pytest.mark.parametrize("kind", REDUCTIONS)
@pytest.mark.parametrize("shape", [(8, 6), (7, 6), (7, 5), (2, 3)])
def test_pooling_is_numpys_and_leaves_an_odd_edge_out(kind, shape):
    x = np.random.default_rng(0).normal(size=(*shape, 3)).astype(np.float32)
    np.testing.assert_allclose(vgg19.POOLS[kind](x[None])[0], numpy_pool(x, kind), rtol=1e-6, atol=1e-6)


def test_no_pooling_has_a_gradient_that_is_not_finite():
    flat = jnp.zeros((1, 4, 4, 1))
    for pool in vgg19.POOLS.values():
        assert np.isfinite(jax.grad(lambda x, pool=pool: pool(x).sum())(flat)).all()


def test_an_unknown_pooling_lists_the_known(narrow, town):
    with pytest.raises(ValueError, match=r"pool must be one of max, average.*, got 'min'"):
        vgg19.features(narrow, town, ["relu1_1"], pool="min")
    with pytest.raises(ValueError, match=r"pool must be one of max, average.*, got 'min'"):
        vgg19.network(pool="min")


@pytest.mark.parametrize(("layer", "convolutions"), [("relu1_1", 1), ("pool2", 4), ("conv4_1", 9), ("relu5_4", 16)])
def test_nothing_is_computed_beyond_the_deepest_layer(narrow, town, layer, convolutions):
    text = jax.jit(lambda image: vgg19.features(narrow, image, ["relu1_1", layer])).lower(town).as_text()
    assert text.count("stablehlo.convolution") == convolutions


def test_layers_may_come_one_by_one(narrow, town):
    wanted = ["relu1_1", "relu2_1"]
    assert vgg19.features(narrow, town, (layer for layer in wanted)).keys() == set(wanted)


def test_no_layers_is_no_work(narrow, town):
    assert vgg19.features(narrow, town, []) == {}


def test_jit_and_vmap_agree_with_plain(narrow, town):
    layers = ("relu1_2", "pool3")
    plain = vgg19.features(narrow, town, layers)
    assert largest_error(features(narrow, town, layers), jax.tree.map(np.asarray, plain))[0] < 1e-6
    pair = np.stack([town, town[::-1]])
    many = jax.vmap(lambda image: vgg19.features(narrow, image, layers))(pair)
    assert largest_error({k: v[0] for k, v in many.items()}, jax.tree.map(np.asarray, plain))[0] < 1e-6


def test_new_parameters_are_random_by_their_key():
    params, other = (vgg19.init(jax.random.key(seed), widths=(4, 4), convs=(1, 1)) for seed in (0, 1))
    assert vgg19.shape_of(params) == ((4, 4), (1, 1))
    files.check_params(params, "a new network")
    assert (params["conv2_1"]["kernel"] != other["conv2_1"]["kernel"]).all()
    np.testing.assert_allclose(params["input"]["mean"] * 255, (123.68, 116.779, 103.939), rtol=1e-6)


def test_another_vgg_shape_drops_in(town):
    convs, widths = (1, 1, 2, 2, 1), (3, 4, 5, 6, 7)
    params = network(widths, convs)
    assert vgg19.shape_of(params) == (widths, convs)
    files.check_params(params, "a VGG11")
    reference = numpy_maps(params, town, convs=convs)
    assert list(reference) == vgg19.layers_of(convs)
    assert largest_error(features(params, town, tuple(reference)), reference)[0] < 1e-5
    with pytest.raises(ValueError, match="one of the network's 19 maps, got 'relu5_4'"):
        vgg19.features(params, town, ["relu5_4"])


def test_bfloat16_maps_are_near_float32s(maps, narrow, town):
    half = features(narrow, town, tuple(ALL), dtype=jnp.bfloat16)
    assert {x.dtype for x in half.values()} == {jnp.dtype(jnp.bfloat16)}
    error, _ = largest_error(half, jax.tree.map(np.asarray, maps))
    assert 1e-6 < error < 0.1


def test_equal_options_are_one_network():
    assert vgg19.network(pool="average") is vgg19.network(pool="average")
    assert vgg19.network() is not vgg19.network(dtype=jnp.bfloat16)


def test_pictures_that_do_not_fit_are_named(narrow, town):
    with pytest.raises(ValueError, match=r"image must be \[h, w, 3\], got \[1, 40, 48, 3\]: batch with jax.vmap"):
        vgg19.features(narrow, town[None], ["relu1_1"])
    with pytest.raises(ValueError, match=r"image must be \[h, w, 3\], got \[40, 48, 1\]"):
        vgg19.features(narrow, town[..., :1], ["relu1_1"])
    message = r"image must be at least 16 px for relu1_1, relu5_1, got \[15, 48, 3\]: enlarge it"
    with pytest.raises(ValueError, match=message):
        vgg19.features(narrow, town[:15], ["relu1_1", "relu5_1"])
    assert vgg19.features(narrow, town[:16, :16], ["relu5_1"])["relu5_1"].shape == (1, 1, 8)


# The convolution's own backward pass


@pytest.mark.parametrize("shape", [(1, 9, 7, 3, 5), (2, 1, 1, 4, 2), (1, 2, 3, 3, 3)])
def test_both_gradients_of_conv_are_autodiffs(shape):
    n, h, w, c, d = shape
    random = np.random.default_rng(0)
    x, kernel = random.normal(size=(n, h, w, c)).astype("f"), random.normal(size=(3, 3, c, d)).astype("f")
    weights = random.normal(size=(n, h, w, d)).astype("f")

    def direct(x, kernel):
        numbers = ("NHWC", "HWIO", "NHWC")
        return (weights * lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=numbers)).sum()

    ours = jax.grad(lambda x, kernel: (weights * vgg19.conv(x, kernel)).sum(), (0, 1))(x, kernel)
    for a, b in zip(ours, jax.grad(direct, (0, 1))(x, kernel), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_the_networks_gradients_are_autodiffs(narrow, town, monkeypatch):
    def energy(params, image):
        return sum(jnp.square(x).mean() for x in vgg19.features(params, image, ["relu2_2", "relu4_1"]).values())

    ours = jax.jit(jax.grad(energy, (0, 1)))(narrow, town)
    text = str(jax.make_jaxpr(jax.grad(energy, 1))(narrow, town))
    assert "rev[" in text, "the flipped kernel of our own backward pass"
    monkeypatch.setattr(vgg19, "conv", lambda x, kernel, made, **_: convolutions.convolve(x, kernel))
    direct = jax.jit(jax.grad(lambda *args: energy(*args), (0, 1)))(narrow, town)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(direct), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * float(jnp.abs(b).max()))


def test_the_backward_pass_under_jit_and_vmap(town):
    kernel = np.random.default_rng(0).normal(size=(3, 3, 3, 2)).astype("f")
    gradient = jax.grad(lambda x: jnp.square(vgg19.conv(x[None], kernel)).sum())
    plain = gradient(town)
    np.testing.assert_allclose(jax.jit(gradient)(town), plain, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(jax.vmap(gradient)(town[None])[0], plain, rtol=1e-4, atol=1e-4)


# Files


def test_a_file_gives_back_the_parameters(narrow, tmp_path):
    path = tmp_path / "exact.h5"
    vgg19.save(path, narrow, source="a test")
    read = vgg19.load(path)
    assert jax.tree.structure(read) == jax.tree.structure(dict(narrow))
    assert all(jax.tree.leaves(jax.tree.map(lambda a, b: bool((a == b).all()), read, dict(narrow))))
    said = vgg19.info(path)
    assert (said["source"], said["precision"], said["path"]) == ("a test", "float32", str(path))
    np.testing.assert_allclose(said["mean"], vgg19.MEAN, rtol=1e-7)
    assert [p.name for p in tmp_path.iterdir()] == ["exact.h5"]


def test_half_precision_rounds_to_float16_and_reads_as_float32(narrow, tmp_path):
    vgg19.save(tmp_path / "half.h5", narrow, half=True)
    read = vgg19.load(tmp_path / "half.h5")
    for name, layer in read.items():
        for k, value in layer.items():
            assert value.dtype == jnp.float32
            exact = narrow[name][k] if name == "input" else np.float16(narrow[name][k]).astype(np.float32)
            np.testing.assert_array_equal(value, exact)
    with h5py.File(tmp_path / "half.h5") as file:
        kernel = file["conv3_2/kernel"]
        assert (kernel.dtype, kernel.chunks, kernel.compression) == (np.float16, (1, 1, 6, 6), "gzip")
    assert vgg19.info(tmp_path / "half.h5")["precision"] == "float16"


def test_a_failed_save_leaves_the_old_file_and_no_other(narrow, tmp_path):
    path = tmp_path / "kept.h5"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match=r"weights must be writable, got '.*kept\.h5' \(Object dtype .*\)"):
        vgg19.save(path, narrow, source=object())
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["kept.h5"]


def test_the_search_order(tmp_path, monkeypatch):
    bundled = vgg19.bundled_path()
    assert bundled.is_file()
    assert vgg19.find() == bundled
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert vgg19.find() == bundled, "an empty cache is passed over"
    cached = tmp_path / "cache" / "nst_jax" / "vgg19.h5"
    cached.parent.mkdir(parents=True)
    cached.touch()
    assert vgg19.cache_path() == vgg19.find() == cached
    monkeypatch.setenv("NST_JAX_WEIGHTS", str(tmp_path / "mine.h5"))
    assert vgg19.find() == tmp_path / "mine.h5", "what the user names is taken, there or not"
    assert vgg19.find(tmp_path / "given.h5") == tmp_path / "given.h5"
    with pytest.raises(FileNotFoundError, match=r"mine\.h5, which is not there"):
        vgg19.load()


def test_the_cache_is_at_home_without_xdg(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr("pathlib.Path.home", lambda: pathlib.Path("/home/somebody"))
    assert vgg19.cache_path().as_posix() == "/home/somebody/.cache/nst_jax/vgg19.h5"


def test_the_bundled_network_is_vgg19(bundled):
    assert vgg19.shape_of(bundled) == ((64, 128, 256, 512, 512), CONVS)
    said = vgg19.info(vgg19.bundled_path())
    assert said["precision"] == "float16"
    assert len(said["sha256"]) == 64
    np.testing.assert_allclose(bundled["input"]["mean"], vgg19.MEAN, rtol=1e-6)


@pytest.fixture
def file(narrow, tmp_path):
    path = tmp_path / "net.h5"
    vgg19.save(path, narrow)
    return path


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no\.h5, which is not there: make it with `nst-jax weights convert`"):
        vgg19.load(tmp_path / "no.h5")


def test_a_file_of_another_make(tmp_path):
    with h5py.File(tmp_path / "keras.h5", "w") as other:
        other.attrs["backend"] = "jax"
    with pytest.raises(ValueError, match=r"a file of ours, got .*keras\.h5: make it with `nst-jax weights convert`"):
        vgg19.load(tmp_path / "keras.h5")
    (tmp_path / "text.h5").write_text("not HDF5")
    with pytest.raises(ValueError, match=r"a whole HDF5 file, got .*text\.h5"):
        vgg19.load(tmp_path / "text.h5")


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_file_that_is_cut_short(file, share):
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ValueError, match=r"a whole HDF5 file, got .*net\.h5"):
        vgg19.load(file)
    file.write_bytes(b"")
    with pytest.raises(ValueError, match="a whole HDF5 file"):
        vgg19.info(file)


def error_after(file, change):
    """What loading `file` says after a change to it: always its name."""
    with h5py.File(file, "r+") as opened:
        change(opened)
    with pytest.raises(ValueError, match=file.name) as caught:
        vgg19.load(file)
    return str(caught.value)


def replace(opened, name, value):
    del opened[name]
    opened[name] = value


def test_parameters_that_are_not_a_network_are_named(file):
    def spoil(opened):
        opened["conv2_2/bias"][1] = np.nan

    copy = shutil.copy(file, file.with_name("copy.h5"))
    assert f"conv2_2 of {file} must be finite, got NaN or infinity" in error_after(file, spoil)
    text = error_after(copy, lambda opened: replace(opened, "conv3_2/kernel", np.zeros((3, 3, 5, 6), "f")))
    assert f"conv3_2 of {copy} must have kernel [3, 3, 6, d] and bias [d], got " in text
    assert "(3, 3, 5, 6)" in text


@pytest.mark.parametrize("gone", ["conv3_2", "conv3_1", "conv3", "conv1_1", "conv2_1/bias", "conv4_1/kernel", "conv"])
def test_parameters_that_are_missing_are_named(file, gone):
    def remove(opened):
        for name in [gone] if "/" in gone else [name for name in opened if name.startswith(gone)]:
            del opened[name]

    error_after(file, remove)


@pytest.mark.parametrize(("name", "value"), [("mean", np.full(3, np.nan)), ("std", np.zeros(3)), ("std", np.ones(2))])
def test_an_input_convention_that_is_none(file, name, value):
    error_after(file, lambda opened: opened.attrs.__setitem__(name, value))


def test_a_file_without_the_input_convention(file):
    error_after(file, lambda opened: opened.attrs.__delitem__("mean"))


def test_whole_numbers_are_refused(narrow):
    with pytest.raises(ValueError, match=r"image must be floats in \[0, 1\], got uint8: divide by its white"):
        vgg19.features(narrow, np.zeros((32, 32, 3), np.uint8), ["relu1_1"])


@pytest.mark.parametrize("again", [1, 3, 5])
def test_blocks_computed_again_give_the_same_gradient(narrow, town, again):
    def energy(image, network):
        maps = network(narrow, image, ["relu1_1", "pool2", "relu4_2", "relu5_1"])
        return sum(jnp.square(f).mean() for f in maps.values())

    town = jnp.asarray(town)
    step = jax.jit(jax.value_and_grad(energy), static_argnums=1)
    value, grad = step(town, vgg19.network())
    thrifty = step.lower(town, vgg19.network(recompute=again)).compile()
    new, slope = thrifty(town)
    assert new == value
    np.testing.assert_allclose(slope, grad, rtol=1e-5, atol=1e-6 * float(jnp.abs(grad).max()))
    kept = step.lower(town, vgg19.network()).compile().as_text().count(" convolution(")
    assert thrifty.as_text().count(" convolution(") == kept + sum((2, 2, 4, 4, 1)[:again])  # and not kept after all
    several = jax.vmap(jax.grad(energy), in_axes=(0, None))(jnp.stack([town, town]), vgg19.network(recompute=again))
    np.testing.assert_allclose(several[1], grad, rtol=1e-4, atol=1e-5 * float(jnp.abs(grad).max()))
