"""The network with taps that stands in for VGG19: how it drops in, its file, and a small training of one like it."""

import hashlib
import itertools
import json
import pathlib
import tomllib

import jax
import jax.numpy as jnp
import judge_fast
import numpy as np
import pytest
from conftest import drawn, network
from fast import pictures, student, teacher, training

from nst_jax import recipes
from nst_jax.network import calibration, vgg19
from nst_jax.objective import distances, losses
from nst_jax.painting import job
from nst_jax.pictures import images, samples, sheets

ROOT = pathlib.Path(__file__).parents[1]
TAPS = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_2", "relu5_1"]


@pytest.fixture(scope="module")
def plain():
    """A narrow network of the fast one's depth, without taps."""
    return network((4, 5, 6, 7, 8), (1, 1, 2, 3, 1))


CHANNELS = {"relu1_1": 4, "relu2_1": 3, "relu3_1": 7, "relu4_1": 5, "relu4_2": 9, "relu5_1": 6}


@pytest.fixture(scope="module")
def tapped(plain):
    """The same with taps: matrices of maps of its own, which make so many channels."""
    random, out = np.random.default_rng(3), dict(plain)
    for tap, k in CHANNELS.items():
        widths = vgg19.channels_at_stride(plain, vgg19.stride(tap))
        out[tap] = {own: jnp.asarray(random.normal(size=(widths[own], k)), "f4") for own in student.TAPS[tap]}
    return out


# How it drops in


def tap_map(plain, tapped, image, tap):
    """What a tap is to say, from the plain network's maps."""
    raw = vgg19.features(plain, image, tapped[tap])
    return sum(raw[own] @ matrix for own, matrix in tapped[tap].items())


@pytest.mark.parametrize("shape", [(40, 48), (33, 47), (16, 16)])
def test_taps_are_made_of_maps_beside_the_path_to_the_next_layer(plain, tapped, shape):
    image = drawn(1, *shape)
    maps = vgg19.features(tapped, image, TAPS)
    for tap in TAPS:
        k = vgg19.stride(tap)
        assert maps[tap].shape == (shape[0] // k, shape[1] // k, CHANNELS[tap])
        np.testing.assert_allclose(maps[tap], tap_map(plain, tapped, image, tap), rtol=1e-4, atol=1e-3)


def test_maps_of_a_stride_by_name(plain, tapped):
    assert vgg19.channels_at_stride(plain, 8) == {"pool3": 6, "relu4_1": 7, "relu4_2": 7, "relu4_3": 7}
    assert vgg19.channels_at_stride(tapped, 1) == {"relu1_1": 4}
    assert vgg19.channels_at_stride(plain, 32) == {"pool5": 8}


def test_convolutions_of_a_block_may_differ_in_width(plain):
    random = np.random.default_rng(1)
    params = {**plain}
    for name, c, d in ("conv3_1", 5, 9), ("conv3_2", 9, 3), ("conv4_1", 3, 7):
        params[name] = {"kernel": jnp.asarray(random.normal(size=(3, 3, c, d)), "f4"), "bias": jnp.zeros(d)}
    maps = vgg19.features(params, drawn(1, 33, 40), ["relu3_1", "relu3_2", "pool3", "relu4_1"])
    assert [f.shape for f in maps.values()] == [(8, 10, 9), (8, 10, 3), (4, 5, 3), (4, 5, 7)]
    before = vgg19.conv(maps["pool3"][None], params["conv4_1"]["kernel"])[0]
    np.testing.assert_allclose(maps["relu4_1"], jax.nn.relu(before), rtol=1e-4, atol=1e-2)


def test_maps_under_jit_and_vmap(tapped):
    batch = np.stack([drawn(seed, 32, 35) for seed in range(2)])
    maps = jax.jit(jax.vmap(lambda x: vgg19.features(tapped, x, TAPS)))(batch)
    for i, image in enumerate(batch):
        for tap, f in vgg19.features(tapped, image, TAPS).items():
            np.testing.assert_allclose(maps[tap][i], f, rtol=1e-4, atol=2e-3)


@pytest.mark.parametrize(
    ("layer", "tap"),
    [
        *[(tap, tap) for tap in TAPS],
        ("conv1_1", "relu1_1"),
        ("relu1_2", "relu1_1"),
        ("pool1", "relu2_1"),
        ("relu2_2", "relu2_1"),
        ("relu3_4", "relu3_1"),
        ("block3_conv3", "relu3_1"),
        ("conv4_1", "relu4_1"),
        ("conv4_2", "relu4_2"),
        ("relu4_3", "relu4_2"),
        ("pool3", "relu4_1"),
        ("pool4", "relu5_1"),
        ("relu5_4", "relu5_1"),
    ],
)
def test_a_layer_it_lacks_is_the_nearest_tap_of_its_stride(narrow, tapped, layer, tap):
    assert vgg19.nearest(tapped, layer) == tap
    assert vgg19.nearest(narrow, layer) == vgg19.canonical(layer)  # VGG19 has them all
    image = drawn(4, 32, 32)
    (f,) = vgg19.features(tapped, image, [layer]).values()
    np.testing.assert_array_equal(f, vgg19.features(tapped, image, [tap])[tap])


def test_no_tap_has_the_stride_of_the_last_pooling(tapped):
    with pytest.raises(ValueError, match=r"stride of one of relu1_1, .*, relu5_1, got pool5: take VGG19 itself"):
        vgg19.features(tapped, drawn(1, 64, 64), ["pool5"])
    with pytest.raises(ValueError, match=r"one of the network's 37 maps, got 'relu6_1'"):
        vgg19.features(tapped, drawn(1, 64, 64), ["relu6_1"])


def test_losses_know_it_by_vgg19s_shape(tapped):
    assert vgg19.shape_of(tapped) == (vgg19.WIDTHS, vgg19.CONVS)
    assert vgg19.taps(tapped) == TAPS
    assert calibration.family_of(tapped) == "caffe"
    assert vgg19.reach("relu3_4", convs=vgg19.shape_of(tapped)[1]) == 22  # a name that it has no layer of


def test_every_recipe_paints_with_it(tapped, town, night):
    for name, published in recipes.everything().items():
        recipe, params, note = calibration.calibrate(published, tapped)
        assert params is tapped
        assert bool(note) == (published.family != "caffe")
        weights, loss = recipe.weights(town.shape, widths=vgg19.shape_of(params)[0]), job.loss(recipe)
        targets = loss.prepare(params, town, losses.everywhere(night), weights)
        terms = loss.terms(loss.summarise(params, town, targets, weights), targets, weights)
        assert all(np.isfinite(v) for v in terms.values()), name


def test_published_weights_are_those_for_vgg19s_channels(tapped):
    recipe = recipes.get("gatys-2016")
    assert recipe.weights((64, 64), widths=vgg19.shape_of(tapped)[0]) == recipe.weights((64, 64))


def test_a_recipe_for_normalised_filters_is_rescaled(tapped):
    """By how much larger VGG19's features are than those of the network whose filters have a mean of one."""
    recipe = recipes.get("gatys-2016")
    assert recipe.family == "normalised"
    calibrated = calibration.calibrate(recipe, tapped).recipe
    known = vgg19.activations(vgg19.bundled_path())["relu4_2"]
    means = np.where(known.mean > 1e-4 * known.mean.max(), known.mean, 1)
    ratio = np.sqrt(known.square.mean() / (known.square / means**2).mean())
    ours, theirs = (r.weights((64, 64)).content["relu4_2"] for r in (calibrated, recipe))
    assert ours == pytest.approx(theirs / ratio**2, rel=1e-4)


def test_pixels_learn_through_the_taps(plain, tapped, town, night):
    def distance(image, maps):
        a, b = (distances.normalise(distances.moments(maps(x))) for x in (image, night))
        return distances.gram(a, b)[0]

    def ours(image):
        return vgg19.features(tapped, image, ["relu3_1"])["relu3_1"]

    def apart(image):
        return tap_map(plain, tapped, image, "relu3_1")

    mine, theirs = (jax.grad(distance)(jnp.asarray(town), maps) for maps in (ours, apart))
    assert float(jnp.abs(theirs).max()) > 0
    np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-4 * float(jnp.abs(theirs).max()))


# Its file


@pytest.mark.parametrize("half", [False, True])
def test_saved_and_loaded(tapped, tmp_path, half):
    vgg19.save(tmp_path / "net.h5", tapped, half=half)
    loaded = vgg19.load(tmp_path / "net.h5")
    assert vgg19.taps(loaded) == sorted(TAPS)
    for name, layer in tapped.items():
        for key, value in layer.items():
            np.testing.assert_allclose(loaded[name][key], value, rtol=1e-3 if half else 0)


@pytest.mark.parametrize(
    "tap",
    [
        {"relu3_1": np.full((6, 6), np.nan)},
        {"relu3_1": np.ones((7, 7))},
        {"relu3_1": np.ones(6)},
        {"relu3_1": np.ones((6, 4)), "pool2": np.ones((5, 3))},
        {"relu3_1": np.ones((6, 4)), "pool3": np.ones((6, 4))},
        {},
    ],
    ids=["nan", "wide", "flat", "unequal", "of another stride", "of nothing"],
)
def test_a_tap_that_does_not_fit_is_refused(tapped, tmp_path, tap):
    vgg19.save(tmp_path / "net.h5", {**tapped, "relu3_1": tap})
    need = r"finite matrices of pool2 \[5, k\], relu3_1 \[6, k\], relu3_2 \[6, k\], got \{.*\}: make the file again"
    with pytest.raises(ValueError, match=rf"relu3_1 of .*net\.h5 must have {need}"):
        vgg19.load(tmp_path / "net.h5")


def test_a_tap_for_a_layer_that_vgg19_lacks_is_refused(tapped, tmp_path):
    vgg19.save(tmp_path / "net.h5", {**tapped, "relu5_5": {"relu5_1": np.ones((8, 8))}})
    with pytest.raises(ValueError, match=r"relu5_5 of .* must have finite matrices of a layer of VGG19's, got"):
        vgg19.load(tmp_path / "net.h5")


@pytest.fixture(scope="module")
def fast():
    """The real one."""
    return vgg19.load(vgg19.fast_path())


def test_the_bundled_file_is_the_one_described():
    content = vgg19.fast_path().read_bytes()
    assert len(content) <= 3_000_000
    said = (ROOT / "weights" / "README.md").read_text("utf-8")
    assert f"| `fast.h5` | `{hashlib.sha256(content).hexdigest()}` |" in said
    assert vgg19.info(vgg19.fast_path())["precision"] == "float16"


def test_it_comes_in_the_wheel():
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"]["weights/fast.h5"] == "nst_jax/weights/fast.h5"


def test_the_card_names_every_package_that_was_trained_on():
    said = (ROOT / "weights" / "README.md").read_text("utf-8")
    assert [package for package in pictures.PACKAGES if f"| `{package}` |" not in said] == []


def test_its_features_are_in_vgg19s_units(fast, bundled):
    assert set(vgg19.taps(fast)) == set(TAPS)
    picture = samples.draw("skyline", (96, 128))
    maps = jax.jit(lambda params: vgg19.features(params, picture, TAPS))
    ours, theirs = maps(fast), maps(bundled)
    for tap in TAPS:
        strength = jnp.square(ours[tap]).mean() / jnp.square(theirs[tap]).mean()
        assert 0.5 < strength < 1.5, f"{tap}: {strength:.2f}"


def test_its_gram_distances_are_nearly_vgg19s(fast, bundled):
    names = "skyline", "flow", "cubist", "woodcut"
    maps = jax.jit(lambda params, image: vgg19.features(params, image, TAPS))
    every = [[maps(p, samples.draw(n, (96, 128))) for n in names] for p in (fast, bundled)]

    def far(maps, tap, i, j):
        a, b = (distances.normalise(distances.moments(maps[k][tap])) for k in (i, j))
        return float(distances.gram(a, b)[0])

    for tap in TAPS:
        ratios = [far(every[0], tap, i, j) / far(every[1], tap, i, j) for i, j in itertools.combinations(range(4), 2)]
        assert 0.6 < np.exp(np.mean(np.log(ratios))) < 1.6, f"{tap}: {ratios}"


# How it is made


def test_a_finished_network_has_its_maps_gram_distances():
    """With features f and maps M, Gram distances of f P in d channels are those of f M in C channels."""
    random = np.random.default_rng(0)
    params = student.init(0, network((8,) * 5), widths=NARROW)
    a, b = (drawn(seed, 32, 32) for seed in (1, 2))
    said = student.maps_by_tap(params["layers"], np.stack([a, b]), set(TAPS))
    fits = {}
    for tap, zeros in params["fits"].items():
        matrix = random.normal(size=zeros.shape)
        flat = np.concatenate([f.reshape(-1, f.shape[-1]) for f in said[tap]]) @ matrix
        fits[tap] = student.Fit(matrix, 0.36, flat.T @ flat)
    reference = student.Reference({}, {}, dict.fromkeys(fits, 9.0))
    teacher_params = {"input": {"mean": jnp.array(vgg19.MEAN), "std": jnp.array(vgg19.STD)}}
    made = student.to_network(params, fits, teacher_params, reference)
    for tap, fit in fits.items():
        mapped = [distances.normalise(distances.moments(f @ (fit.matrix * 3.0 / 0.8))) for f in said[tap]]
        ours = [distances.normalise(distances.moments(vgg19.features(made, x, [tap])[tap])) for x in (a, b)]
        np.testing.assert_allclose(distances.gram(*ours), distances.gram(*mapped), rtol=1e-2)


def test_principal_axes_come_with_the_one_that_holds_most_energy_first():
    turned, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(40, 40)))
    energy = np.geomspace(1, 1e-6, 40)
    axes = student.principal_axes((turned * energy) @ turned.T)
    np.testing.assert_allclose(np.abs(axes.T @ turned), np.eye(40), atol=1e-6)


def test_a_tap_keeps_so_many_axes():
    params = vgg19.load(vgg19.fast_path())
    assert {tap: next(iter(params[tap].values())).shape[1] for tap in student.TAPS} == student.AXES


def test_least_squares_finds_the_maps():
    params = network((5, 6, 7, 8, 9))
    layers = student.init(0, params, widths=NARROW)
    random = np.random.default_rng(0)
    crops = random.integers(0, 256, (2, 32, 32, 3)).astype(np.uint8)
    features = {
        tap: random.integers(0, 256, f.shape).astype(np.uint8)
        for tap, f in teacher.maps_at_kept_positions(params, crops).items()
    }
    scales = teacher.Scales({tap: np.ones(f.shape[-1], "f4") for tap, f in features.items()}, dict.fromkeys(TAPS, 1.0))
    reference, batch = student.make_reference(params, scales), student.Batch(crops, features)
    fits = student.refit(layers, [batch], reference)
    for tap, (mine, target) in student.pairs(layers["layers"], batch, reference).items():
        best, *_ = np.linalg.lstsq(np.float64(mine), np.float64(target))
        rest = np.square(mine @ best - target).sum() / np.square(target).sum()
        assert fits[tap].left == pytest.approx(rest, abs=2e-2)
        flat = np.float64(mine) @ fits[tap].matrix
        np.testing.assert_allclose(fits[tap].outer, flat.T @ flat, rtol=1e-3, atol=1e-3 * np.abs(flat.T @ flat).max())


def test_bytes_keep_features():
    top = np.array([4.0, 100.0], "f4")
    features = np.random.default_rng(0).uniform(0, 1, (1, 5, 5, 2)).astype("f4") ** 2 * top
    stored = teacher.pack(jnp.asarray(features), jnp.asarray(top))
    assert stored.dtype == jnp.uint8
    np.testing.assert_allclose(np.asarray(teacher.unpack(stored, jnp.asarray(top))) / top, features / top, atol=2 / 255)


@pytest.fixture(scope="module")
def teaching():
    return network((4, 5, 6, 7, 8))


NARROW = ((4,), (6,), (6, 5), (8, 7), (8,))
PLAN = training.Plan(60, (24, 8, 0), (0, 0, 20), batch=2, edge=32, every=12, widths=NARROW)


@pytest.fixture(scope="module")
def trained(teaching, tmp_path_factory):
    """A whole training in small, on drawings alone: (trainer, [(step, errors, state)])."""
    work = tmp_path_factory.mktemp("whole")
    trainer = training.start(PLAN, teaching, None, work)
    return trainer, list(training.train(trainer))


def test_errors_fall(trained):
    trainer, seen = trained
    assert [step for step, _, _ in seen] == [12, 20, 24, 36, 40, 48, 60]
    params = student.init(0, trainer.params, widths=PLAN.widths)
    before, after = (
        sum(fit.left for fit in training.refit(trainer, state, 52).values())
        for state in (student.State(params, ()), seen[-1][2])
    )  # what the best fits leave: the layers themselves have learnt
    assert after < 0.93 * before
    assert trainer.store.count() == 52


def test_its_result_is_a_network_with_taps(trained, tmp_path):
    trainer, seen = trained
    params = training.finish(trainer, seen[-1][2])
    vgg19.save(tmp_path / "fast.h5", params, half=True)
    params = vgg19.load(tmp_path / "fast.h5")
    crops = np.stack([pictures.crop((1, i), [], 32) for i in range(16)]).astype("f4") / 255  # of the kind learnt from
    ours, theirs = (jax.vmap(lambda x, p=p: vgg19.features(p, x, TAPS))(crops) for p in (params, trainer.params))
    for tap in TAPS:
        assert 0.3 < jnp.square(ours[tap]).mean() / jnp.square(theirs[tap]).mean() < 3


def test_a_killed_training_goes_on_to_the_same_end(trained, teaching, tmp_path):
    for killed_after in 1, 1, 2, 5:
        trainer = training.start(PLAN, teaching, None, tmp_path)
        seen = list(itertools.islice(training.train(trainer), killed_after))
    assert trainer.store.count() == 52
    for mine, whole in zip(jax.tree.leaves(seen[-1][2]), jax.tree.leaves(trained[1][-1][2]), strict=True):
        np.testing.assert_array_equal(mine, whole)
    np.testing.assert_array_equal(trainer.store.crops, trained[0].store.crops)


def test_another_plan_in_the_same_folder_is_refused(trained, teaching):
    trainer, _ = trained
    with pytest.raises(ValueError, match="holds another training"):
        training.start(PLAN._replace(seed=1), teaching, None, trainer.work)
    assert json.loads((trainer.work / "plan.json").read_text())["seed"] == 0


def test_crops_are_of_pictures_and_the_same_again(tmp_path):
    for i in range(3):
        images.save(tmp_path / f"{i}.png", drawn(i, 200, 220))
    images.save(tmp_path / "again.png", drawn(0, 200, 220))  # alike: counts once
    images.save(tmp_path / "small.png", drawn(9, 40, 220))
    found = pictures.collect(tmp_path, tmp_path / "cache.bin")
    assert [p.shape for p in found] == [(200, 220, 3)] * 3
    for i in range(20):
        crop = pictures.crop((0, i), found, 32)
        assert crop.shape == (32, 32, 3)
        assert crop.dtype == np.uint8
        np.testing.assert_array_equal(crop, pictures.crop((0, i), found, 32))


# What judges it


def test_paintings_are_judged_in_a_table_and_shown_on_a_sheet(tapped, tmp_path, monkeypatch, capsys):
    vgg19.save(tmp_path / "vgg.h5", network((4, 5, 6, 7, 8)))
    vgg19.save(tmp_path / "fast.h5", tapped)
    monkeypatch.setattr(vgg19, "bundled_path", lambda: tmp_path / "vgg.h5")
    monkeypatch.setattr(judge_fast, "DRAWN", [("skyline", "flow")])
    flags = f"--network {tmp_path}/fast.h5 --only VGG19 fast --work {tmp_path}/kept --size 64 --steps 2"
    assert judge_fast.main([*flags.split(), "--sheet", str(tmp_path / "sheet.jpg")]) == 0
    row, mean = (line.split(" | ") for line in capsys.readouterr().out.splitlines()[2:4])
    assert (row[0], mean[0]) == ("| skyline × flow", "| mean of 1")
    assert row[1:] == mean[1:]
    vgg, fast = (float(cell.split(" / ")[0]) for cell in row[1:3])
    assert float(row[3].strip("| ")) == pytest.approx(fast / vgg, abs=0.01 + 0.001 / vgg)
    kept = [np.load(next((tmp_path / "kept").glob(f"*{name}*.npy"))) for name in ("VGG19", "fast")]
    assert kept[1].shape == (48, 64, 3)
    wanted = sheets.contact_sheet([[*judge_fast.pairs(None, 64)["skyline × flow"], *kept]], columns=[*"1234"])
    sheet = images.load(tmp_path / "sheet.jpg")
    assert sheet.shape == wanted.shape
    assert np.abs(sheet - wanted)[60:].mean() < 0.03  # below the labels; each picture in its place
