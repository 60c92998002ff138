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

from nst_jax import distances, families, images, losses, paint, recipes, report, samples, vgg19

ROOT = pathlib.Path(__file__).parents[1]
TAPS = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_2", "relu5_1"]


@pytest.fixture(scope="module")
def plain():
    """A narrow network of the fast one's depth, without taps."""
    return network((4, 5, 6, 7, 8), (1, 1, 2, 3, 1))


@pytest.fixture(scope="module")
def tapped(plain):
    """The same with a projection at each tap."""
    random = np.random.default_rng(3)
    widths = {tap: len(plain[f"conv{tap[4:]}"]["bias"]) for tap in TAPS}
    return plain | {tap: {"projection": jnp.asarray(random.normal(size=(d, d)), "f4")} for tap, d in widths.items()}


# How it drops in


@pytest.mark.parametrize("shape", [(40, 48), (33, 47), (16, 16)])
def test_maps_are_projected_beside_the_path_to_the_next_layer(plain, tapped, shape):
    image = drawn(1, *shape)
    raw, maps = (vgg19.features(params, image, TAPS) for params in (plain, tapped))
    for tap in TAPS:
        k = vgg19.stride(tap)
        assert maps[tap].shape[:2] == (shape[0] // k, shape[1] // k)
        np.testing.assert_allclose(maps[tap], raw[tap] @ tapped[tap]["projection"], rtol=1e-4, atol=1e-3)


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
    assert families.of(tapped) == "caffe"
    assert vgg19.reach("relu3_4", convs=vgg19.shape_of(tapped)[1]) == 22  # a name that it has no layer of


def test_every_recipe_paints_with_it(tapped, town, night):
    for name, published in recipes.everything().items():
        recipe, params, done = families.fitted(published, tapped)
        assert params is tapped
        assert bool(done) == (published.family != "caffe")
        weights, loss = recipe.weights(town.shape, widths=vgg19.shape_of(params)[0]), paint.loss(recipe)
        targets = loss.prepare(params, town, losses.everywhere(night), weights)
        terms = loss.terms(loss.summarise(params, town, targets.spatial, weights), targets, weights)
        assert all(np.isfinite(v) for v in terms.values()), name


def test_published_weights_are_those_for_vgg19s_channels(tapped):
    recipe = recipes.get("gatys-2016")
    assert recipe.weights((64, 64), widths=vgg19.shape_of(tapped)[0]) == recipe.weights((64, 64))


def test_a_recipe_for_normalised_filters_is_rescaled(tapped):
    """By how much larger VGG19's features are than those of the network whose filters have a mean of one."""
    recipe = recipes.get("gatys-2016")
    assert recipe.family == "normalised"
    made, _, _ = families.fitted(recipe, tapped)
    known = vgg19.activations(vgg19.bundled_path())["relu4_2"]
    means = np.where(known.mean > 1e-4 * known.mean.max(), known.mean, 1)
    ratio = np.sqrt(known.square.mean() / (known.square / means**2).mean())
    ours, theirs = (r.weights((64, 64)).content["relu4_2"] for r in (made, recipe))
    assert ours == pytest.approx(theirs / ratio**2, rel=1e-4)


def test_pixels_learn_through_the_projections(plain, tapped, town, night):
    def distance(image, maps):
        a, b = (distances.normalised(distances.moments(maps(x))) for x in (image, night))
        return distances.gram(a, b)[0]

    def ours(image):
        return vgg19.features(tapped, image, ["relu3_1"])["relu3_1"]

    def apart(image):
        return vgg19.features(plain, image, ["relu3_1"])["relu3_1"] @ tapped["relu3_1"]["projection"]

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
    "value",
    [np.full((6, 6), np.nan), np.ones((6, 5)), np.ones((7, 7)), np.ones(6)],
    ids=["nan", "oblong", "wide", "flat"],
)
def test_a_projection_that_does_not_fit_is_refused(tapped, tmp_path, value):
    vgg19.save(tmp_path / "net.h5", {**tapped, "relu3_1": {"projection": value}})
    with pytest.raises(ValueError, match=r"relu3_1 of .*net\.h5 must have a finite projection \[6, 6\]"):
        vgg19.load(tmp_path / "net.h5")


def test_a_tap_without_its_layer_is_refused(tapped, tmp_path):
    vgg19.save(tmp_path / "net.h5", {**tapped, "relu5_2": {"projection": np.ones((8, 8))}})
    with pytest.raises(ValueError, match="relu5_2 of"):
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
    ours, theirs = (vgg19.features(params, picture, TAPS) for params in (fast, bundled))
    for tap in TAPS:
        strength = jnp.square(ours[tap]).mean() / jnp.square(theirs[tap]).mean()
        assert 0.5 < strength < 1.5, f"{tap}: {strength:.2f}"


def test_its_gram_distances_are_nearly_vgg19s(fast, bundled):
    names = "skyline", "flow", "cubist", "woodcut"
    every = [[vgg19.features(p, samples.draw(n, (96, 128)), TAPS) for n in names] for p in (fast, bundled)]

    def far(maps, tap, i, j):
        a, b = (distances.normalised(distances.moments(maps[k][tap])) for k in (i, j))
        return float(distances.gram(a, b)[0])

    for tap in TAPS:
        ratios = [far(every[0], tap, i, j) / far(every[1], tap, i, j) for i, j in itertools.combinations(range(4), 2)]
        assert 0.6 < np.exp(np.mean(np.log(ratios))) < 1.6, f"{tap}: {ratios}"


# How it is made


def test_a_finished_network_has_its_maps_gram_distances():
    """With features f and maps M, Gram distances of f P in d channels are those of f M in C channels."""
    random = np.random.default_rng(0)
    params = student.init(0, network((8,) * 5), widths=(4, 5, 6, 7, 8), convs=(1, 1, 2, 2, 1))
    maps = {tap: random.normal(size=m.shape) for tap, m in params["maps"].items()}
    known = student.Known({}, {}, dict.fromkeys(maps, 9.0))
    left = dict.fromkeys(maps, 0.36)
    teacher_params = {"input": {"mean": jnp.array(vgg19.MEAN), "std": jnp.array(vgg19.STD)}}
    made = student.finished(params, maps, left, teacher_params, known)
    a, b = (drawn(seed, 32, 32) for seed in (1, 2))
    said = student.answers(params["layers"], np.stack([a, b]), set(TAPS))
    for tap, m in maps.items():
        mapped = [distances.normalised(distances.moments(f @ (m * 3.0 / 0.8))) for f in said[tap]]
        ours = [distances.normalised(distances.moments(vgg19.features(made, x, [tap])[tap])) for x in (a, b)]
        np.testing.assert_allclose(distances.gram(*ours), distances.gram(*mapped), rtol=1e-3)


def test_least_squares_finds_the_maps():
    params = network((5, 6, 7, 8, 9))
    layers = student.init(0, params, widths=(4,) * 5, convs=(1, 1, 2, 2, 1))
    random = np.random.default_rng(0)
    crops = random.integers(0, 256, (2, 32, 32, 3)).astype(np.uint8)
    features = {
        tap: random.integers(0, 256, f.shape).astype(np.uint8) for tap, f in teacher.asked(params, crops).items()
    }
    scales = teacher.Scales({tap: np.ones(f.shape[-1], "f4") for tap, f in features.items()}, dict.fromkeys(TAPS, 1.0))
    known, batch = student.known(params, scales), student.Batch(crops, features)
    _, left = student.refitted(layers, [batch], known)
    for tap, (mine, target) in student.pairs(layers["layers"], batch, known).items():
        best, *_ = np.linalg.lstsq(np.float64(mine), np.float64(target))
        rest = np.square(mine @ best - target).sum() / np.square(target).sum()
        assert left[tap] == pytest.approx(rest, abs=2e-2)


def test_bytes_keep_features():
    top = np.array([4.0, 100.0], "f4")
    features = np.random.default_rng(0).uniform(0, 1, (1, 5, 5, 2)).astype("f4") ** 2 * top
    stored = teacher.packed(jnp.asarray(features), jnp.asarray(top))
    assert stored.dtype == jnp.uint8
    np.testing.assert_allclose(
        np.asarray(teacher.unpacked(stored, jnp.asarray(top))) / top, features / top, atol=2 / 255
    )


@pytest.fixture(scope="module")
def teaching():
    return network((4, 5, 6, 7, 8))


PLAN = training.Plan(48, (24, 8), (0, 16), 1, batch=2, edge=32, every=12, widths=(4, 6, 6, 8, 8), convs=(1, 1, 2, 2, 1))


@pytest.fixture(scope="module")
def trained(teaching, tmp_path_factory):
    """A whole training in small, on drawings alone: (trainer, [(step, errors, state)])."""
    work = tmp_path_factory.mktemp("whole")
    trainer = training.begun(PLAN, teaching, None, work)
    return trainer, list(training.trained(trainer))


def test_errors_fall(trained):
    trainer, seen = trained
    assert [step for step, _, _ in seen] == [12, 24, 36, 48, 60]
    params = student.init(0, trainer.params, widths=PLAN.widths, convs=PLAN.convs)
    before, after = (
        training.refitted(trainer, state, 56)[1] for state in (student.State(params, ()), seen[-1][2])
    )  # what the best maps leave: the layers themselves have learnt
    assert sum(after.values()) < 0.93 * sum(before.values())
    assert trainer.store.done() == 56


def test_its_result_is_a_network_with_taps(trained, tmp_path):
    trainer, seen = trained
    params = training.result(trainer, seen[-1][2])
    vgg19.save(tmp_path / "fast.h5", params, half=True)
    params = vgg19.load(tmp_path / "fast.h5")
    picture = drawn(7, 48, 48)
    ours, theirs = (vgg19.features(p, picture, TAPS) for p in (params, trainer.params))
    for tap in TAPS:
        assert 0.3 < jnp.square(ours[tap]).mean() / jnp.square(theirs[tap]).mean() < 3


def test_a_killed_training_goes_on_to_the_same_end(trained, teaching, tmp_path):
    for killed_after in 1, 1, 2, 5:
        trainer = training.begun(PLAN, teaching, None, tmp_path)
        seen = list(itertools.islice(training.trained(trainer), killed_after))
    assert trainer.store.done() == 56
    for mine, whole in zip(jax.tree.leaves(seen[-1][2]), jax.tree.leaves(trained[1][-1][2]), strict=True):
        np.testing.assert_array_equal(mine, whole)
    np.testing.assert_array_equal(trainer.store.crops, trained[0].store.crops)


def test_another_plan_in_the_same_folder_is_refused(trained, teaching):
    trainer, _ = trained
    with pytest.raises(ValueError, match="holds another training"):
        training.begun(PLAN._replace(seed=1), teaching, None, trainer.work)
    assert json.loads((trainer.work / "plan.json").read_text())["seed"] == 0


def test_crops_are_of_pictures_and_the_same_again(tmp_path):
    for i in range(3):
        images.save(tmp_path / f"{i}.png", drawn(i, 200, 220))
    images.save(tmp_path / "again.png", drawn(0, 200, 220))  # alike: counts once
    images.save(tmp_path / "small.png", drawn(9, 40, 220))
    found = pictures.gathered(tmp_path, tmp_path / "cache.bin")
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
    wanted = report.sheet([[*judge_fast.pairs(None, 64)["skyline × flow"], *kept]], columns=[*"1234"])
    sheet = images.load(tmp_path / "sheet.jpg")
    assert sheet.shape == wanted.shape
    assert np.abs(sheet - wanted)[60:].mean() < 0.03  # below the labels; each picture in its place
