"""nst_jax.network.strips: the first block by pairs of strips is the plain one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import drawn as drawn_picture
from conftest import network

from nst_jax import recipes
from nst_jax.network import convolutions, strips, vgg19
from nst_jax.objective import distances, losses, sharded
from nst_jax.objective.losses import Weights
from nst_jax.painting import job as jobs
from nst_jax.painting.memory import Machine


def drawn(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def test_packing_is_undone_by_unpacking():
    x = drawn(0, 1, 64, 6, 3)
    packed = strips.pack(x)
    assert packed.shape == (8, 4, 6, 6)
    np.testing.assert_array_equal(packed[1, :, :, :3], x[0, 8:12], "the first of the second pair")
    np.testing.assert_array_equal(packed[1, :, :, 3:], x[0, 12:16])
    np.testing.assert_array_equal(strips.unpack(packed), x)


@pytest.mark.parametrize("padding", strips.FIRSTS)
@pytest.mark.parametrize(("h", "count"), [(32, 8), (96, 8), (96, 24)])
def test_packed_strips_are_convolved_as_the_whole_and_so_are_gradients(padding, h, count):
    x, kernel, first = drawn(0, 1, h, 6, 3), drawn(1, 3, 3, 3, 5), strips.FIRSTS[padding]
    ours, back = jax.vjp(lambda x, kernel: strips.unpack(first(strips.pack(x, count=count), kernel)), x, kernel)
    known, slopes = jax.vjp(vgg19.PADDINGS[padding](convolutions.convolve), x, kernel)
    for one, other in zip((ours, *back(known)), (known, *slopes(known)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(("shape", "taken"), [((1, 32), True), ((1, 48), False), ((2, 32), False)])
def test_maps_that_strips_divide_are_taken(shape, taken):
    assert strips.fits((*shape, 8, 3), 64) == taken
    assert not strips.fits((*shape, 8, 3), 128)


@pytest.mark.parametrize("height", [None, 21])
@pytest.mark.parametrize("wanted", [("relu1_1",), ("conv1_2", "pool1")])
def test_a_block_by_strips_is_the_block(wanted, height):
    params, x = vgg19.init(jax.random.key(0), widths=(6,), convs=(2,)), drawn(0, 1, 32, 8, 3)
    module = vgg19.Block(1, (6, 6), vgg19.POOLS["max"], (vgg19.conv, vgg19.conv), frozenset(wanted), height)
    convs = [params["conv1_1"], params["conv1_2"]]
    asked = strips.Asked(1, module.wanted, height)
    ours = strips.block(convs, (strips.convolve, vgg19.POOLS["max"]), asked, strips.pack(x))
    known = module.apply({"params": {"conv1_1": convs[0], "conv1_2": convs[1]}}, x)
    assert ours.keys() == known.keys() == set(wanted)
    for name in wanted:
        np.testing.assert_allclose(ours[name], known[name], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("height", [1, 17, 31])
def test_rows_below_a_picture_stay_zero_in_packed_strips(height):
    x = drawn(0, 1, 32, 5, 6)
    ours = strips.unpack(strips.zero_below(strips.pack(x), height))
    np.testing.assert_array_equal(ours[0, :height], x[0, :height])
    assert not ours[0, height:].any()


@pytest.mark.parametrize("shape", [(32, 5, 4), (9, 5, 4)])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_products_of_features_by_strips_are_those_of_rows(shape, dtype):
    f, g = drawn(0, *shape).astype(dtype), drawn(1, 4, 4)
    rows = f.reshape(-1, 4)
    ours, known = distances._outer_by_strips(rows, shape), distances._outer_of_rows(rows)
    assert ours.dtype == known.dtype == jnp.float32
    np.testing.assert_allclose(ours, known, rtol=1e-5, atol=1e-4)
    ours, known = distances._slope_by_strips(rows, g, shape), distances._slope_of_rows(rows, g)
    assert ours.dtype == known.dtype == f.dtype
    rounding = 1e-2 if dtype == "bfloat16" else 1e-5
    np.testing.assert_allclose(ours.astype("float32"), known.astype("float32"), rtol=rounding, atol=1e-5)


def parts(height):
    """(content, regions, recipe, shape) of a job."""
    picture = jax.ShapeDtypeStruct((height, 512, 3), jnp.float32)
    few = recipes.get("tf-tutorial")._replace(content={"relu3_1": 1.0}, style={"relu1_1": 1.0})
    return picture, losses.everywhere(picture), few, (height, 512)


def energy(params, image, padding, pool, spread):
    maps = vgg19.features(params, image, ["relu1_1", "relu3_1"], padding=padding, pool=pool, spread=spread)
    moments = [distances.moments(f) for f in maps.values()]
    return sum(jnp.square(m.outer).mean() for m in moments) / 1e12


@pytest.mark.parametrize("h", [64, 80, 90])
@pytest.mark.parametrize(
    ("padding", "pool", "spread"), [("zeros", "max", 1), ("replicate", "average", 1), ("zeros", "max", 2)]
)
def test_a_tpus_program_gives_a_cpus_numbers(monkeypatch, h, padding, pool, spread):
    params, image = network((6, 7, 8), (2, 2, 1)), jnp.asarray(drawn_picture(0, h, 36))
    value = jax.value_and_grad(energy, 1)
    known, slope = jax.jit(value, static_argnums=(2, 3, 4))(params, image, padding, pool, spread)
    as_on_a_tpu(monkeypatch)
    ours, back = jax.jit(lambda *args: value(*args, padding, pool, spread))(params, image)
    assert float(ours) == pytest.approx(float(known), rel=1e-5)
    assert float(jnp.linalg.norm(back - slope) / jnp.linalg.norm(slope)) < 1e-5


def as_on_a_tpu(monkeypatch):
    """What is lowered takes a TPU's branches from here on."""
    branch = lambda *args, default, tpu=None, cpu=None: (tpu or default)(*args)  # noqa: E731
    monkeypatch.setattr(jax.lax, "platform_dependent", branch)


@pytest.mark.parametrize("height", [96, 119, 67])
@pytest.mark.parametrize(
    "changes",
    [{}, {"padding": "replicate", "pool": "average"}, {"near": {"columns": 1.0, "relu2_1": 1.0}}, {"guided": True}],
    ids=["plain", "replicate", "neighbours", "regions"],
)
def test_a_tpus_picture_of_any_height_has_a_cpus_gradient(monkeypatch, height, changes):
    """Rows are added until strips are even, and count for nothing."""
    params, (content, style, image) = network((4, 5, 6), (2, 1, 1)), (drawn_picture(i, height, 40) for i in range(3))
    near, guided = changes.get("near", {}), "guided" in changes
    weights = Weights({"relu3_1": 1.0}, {f"relu{b}_1": 1e-2 for b in (1, 2, 3)}, 1e-3)
    if near:  # alone: they are small beside all else
        weights = Weights({}, {}, 0.0, near)
    regions = losses.everywhere(style)
    if guided:
        left = jnp.broadcast_to(jnp.linspace(0, 1, 40)[None], (height, 40))
        regions = tuple(losses.Region((losses.Style(one),), g) for one, g in ((style, left), (content, 1 - left)))
    recipe = recipes.get("tf-tutorial")._replace(**{k: v for k, v in changes.items() if k in ("padding", "pool")})

    def gradient(platform):
        loss = jobs.loss(recipe, machine=Machine(target=platform))
        targets = jax.jit(loss.prepare)(params, content, regions, weights)
        aligned = jax.jit(loss.align)(params, content, targets, weights) if losses.aligned(near) else {}
        targets = losses.with_aligned(targets, aligned)
        return jax.jit(jax.value_and_grad(losses.objective(loss)))(image, params, targets, weights)

    known, slope = gradient("cpu")
    as_on_a_tpu(monkeypatch)
    ours, back = gradient("tpu")
    assert float(ours) == pytest.approx(float(known), rel=1e-4 if near else 1e-5)  # of one less a cosine little is left
    assert float(jnp.linalg.norm(back - slope) / jnp.linalg.norm(slope)) < 1e-5


def test_a_picture_that_is_too_low_is_refused_with_the_rows_below_it():
    low = drawn_picture(0, 20, 64)
    loss = jobs.loss(recipes.get("tf-tutorial"), machine=Machine(target="tpu"))
    with pytest.raises(ValueError, match="image must be at least 32 px for pool5"):
        jax.eval_shape(lambda image: loss.maps(network((4,) * 5, (1,) * 5), image, ("pool5",)), low)


@pytest.mark.parametrize(
    ("height", "space", "rows"),
    [(341, 1, 384), (341, 4, 384), (1000, 4, 1024), (85, 1, 96), (512, 4, 512), (512, 1, 512)],
)
def test_rows_are_added_until_strips_are_even_where_that_is_few(height, space, rows):
    mesh = jax.sharding.AbstractMesh((1, space), ("data", "space"))
    assert sharded.Cut(mesh, convolutions.STRIPS).rows(height, ["relu5_1"]) == rows
    assert sharded.Cut(None).rows(height, ["relu5_1"]) == height, "elsewhere one device takes any"


def test_a_device_is_planned_with_the_rows_that_are_added():
    job, narrow = jobs.Job(*parts(341)), network((4, 5, 6), (2, 1, 1))
    stage = jobs.stages_without_plans(job)[-1]
    here = {kind: jobs.load_here(narrow, job, stage, Machine(target=kind)).shape for kind in ("cpu", "tpu")}
    assert here == {"cpu": (341, 512), "tpu": (384, 512)}
