"""Every flag about styles, places, colours, alpha and metadata does something; bad input is one line."""

import json
import os
import pathlib
import re
import shutil

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms
from profiles import LINEAR_GREY, SWAPPED

from nst_jax import cli, recipes
from nst_jax.cli import flags, stylize
from nst_jax.network import vgg19
from nst_jax.objective.losses import Region, Style
from nst_jax.orders import compose, customise, record, words
from nst_jax.painting import budget, painter
from nst_jax.painting import job as jobs
from nst_jax.pictures import colour, download, images, metadata, samples
from nst_jax.pictures.images import Extras

pytestmark = pytest.mark.usefixtures("quick_compiler")

QUICK = ("--recipe", "gatys-notebook", "--ladder", "48", "--optimizer", "adam")
FEW = ("--style-layers", "relu1_1:1,relu2_1:1", "--content-layers", "relu1_2:1")  # what is quick to compile
BRIEF = (*QUICK, *FEW, "--steps", "2")
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SHAPE = (48, 64)
RED, BLUE = np.array([1.0, 0, 0]), np.array([0, 0, 1.0])


def half(h=48, w=64, *, left=1.0, right=0.0):
    """A grey picture of two halves."""
    return np.broadcast_to(np.where(np.arange(w) < w // 2, left, right)[None, :, None], (h, w, 3)).copy()


def sprite():
    """A house on nothing: (image, alpha), magenta under what is transparent."""
    y, x = np.mgrid[0:48, 0:64]
    alpha = np.clip(14.3 - np.hypot(y - 24, x - 32), 0, 1).astype("f")
    image = np.where(alpha[..., None] > 0.5, samples.draw("skyline", SHAPE) * 0.3 + [0, 0.6, 0], [1.0, 0, 1.0])
    return image.astype("f").clip(0, 1), alpha


@pytest.fixture(scope="module")
def studio(tmp_path_factory, narrow):
    """A folder of pictures and masks, and a narrow network."""
    folder = tmp_path_factory.mktemp("control")
    coded = half(left=1.0, right=0.0)[..., 0][..., None]
    drawn = {
        "town.png": samples.draw("skyline", SHAPE),
        "night.png": samples.draw("mosaic", (48, 60)),
        "wave.png": samples.draw("woodcut", (56, 48)),
        "left.png": half(),
        "right.png": half(left=0.0, right=1.0),
        "coded.png": coded * RED + (1 - coded) * BLUE,
        "map.png": half(left=0.25, right=1.0),
        "black.png": np.zeros((48, 64, 3)),
        "dot.png": np.pad(np.ones((3, 3, 3)), ((4, 41), (4, 57), (0, 0))),
        "square.png": half(64, 64),
        "part.png": half(48, 60),
        "grey.png": np.full((48, 64, 3), 0.4),
        "bright.png": samples.draw("flow", (40, 40)),
        "start.png": samples.draw("flow", SHAPE),
    }
    for name, image in drawn.items():
        images.save(folder / name, image)
    image, alpha = sprite()
    images.save(folder / "sprite.png", image, extras=Extras(alpha=alpha))
    vgg19.save(folder / "narrow.h5", narrow, source="a test")
    return folder


@pytest.fixture
def run(command, monkeypatch, studio):
    """Runs a command in the studio: (exit code, stdout, stderr)."""
    monkeypatch.chdir(studio)
    return command


@pytest.fixture
def paint(run, tmp_path):
    """Paints two steps with the narrow network, or one that flags say: the result's path."""

    def call(*flags, content="town.png", styles=("night.png",), out="out.png", more=BRIEF):
        path = tmp_path / out
        argv = ("stylize", content, *styles, "-o", path, "--weights", "narrow.h5", *more, *flags)
        code, _, err = run(*argv)
        assert code == 0, err
        return path

    return call


@pytest.fixture
def task(studio, monkeypatch):
    """Makes a task of flags, without painting."""
    monkeypatch.chdir(studio)
    return composed


def composed(*given, content="town.png", styles=("night.png",)):
    argv = ["stylize", content, *styles, "-o", "out.png", *QUICK, *map(str, given)]
    return compose.task(flags.order(cli.parser().parse_args(argv)))


@pytest.fixture
def job(task):
    """Makes a job of flags, without painting."""
    return lambda *given, **files: task(*given, **files).job


def values(params, job, *, image=None):
    """The terms of a job's loss at some picture."""
    loss = jobs.loss(job.recipe)
    content, regions = jobs.pictures_at(job, job.shape)
    weights = job.weights(job.shape, vgg19.shape_of(params)[0])
    targets = loss.prepare(params, content, regions, weights)
    image = samples.draw("flow", job.shape) if image is None else image
    terms = loss.terms(loss.summarise(params, image, targets, weights), targets, weights)
    return {name: float(value) for name, value in terms.items()}


def styled(terms):
    """The style terms alone."""
    return np.array([value for name, value in sorted(terms.items()) if name.startswith("style")])


TWO = ("night.png", "wave.png")


# Several styles


def test_several_styles_are_a_blend(job, narrow):
    first, second, both = (job(*FEW, styles=styles) for styles in (TWO[:1], TWO[1:], TWO))
    assert [len(each.regions[0].styles) for each in (first, second, both)] == [1, 1, 2]
    alone, other, blend = (styled(values(narrow, each)) for each in (first, second, both))
    assert not np.allclose(blend, alone, rtol=0.01)
    assert not np.allclose(blend, other, rtol=0.01)


def test_shares_of_a_blend(job, narrow):
    def mix(text):
        return job(*FEW, "--style-mix", text, styles=TWO)

    assert [style.weight for style in mix("3,1").regions[0].styles] == [3, 1]
    only = styled(values(narrow, job(*FEW)))
    np.testing.assert_allclose(styled(values(narrow, mix("1,0"))), only, rtol=1e-5)
    plain = styled(values(narrow, job(*FEW, styles=TWO)))
    np.testing.assert_allclose(styled(values(narrow, mix("2,2"))), plain, rtol=1e-5)
    assert not np.allclose(styled(values(narrow, mix("5,1"))), plain, rtol=0.01)


def test_a_ramp_leads_from_one_style_to_the_other(job):
    made = job("--style-mix", "ramp", styles=(*TWO, "bright.png"))
    guides = np.stack([region.guide for region in made.regions])
    assert guides.shape == (3, *SHAPE)
    assert (guides[[0, 2], :, [0, -1]] == 1).all()
    np.testing.assert_allclose(guides.sum(0), 1, atol=1e-6)
    assert [len(region.styles) for region in made.regions] == [1, 1, 1]


def edges(made):
    """How large each style is beside the painting."""
    return [style.image.shape[:2] for region in jobs.pictures_at(made, made.shape)[1] for style in region.styles]


def test_the_scale_of_strokes(job):
    assert edges(job(styles=TWO)) == [(48, 60), (56, 48)]
    assert edges(job("--style-scale", "2", styles=TWO)) == [(96, 120), (112, 96)]
    assert edges(job("--style-scale", "0.5,1.5", styles=TWO)) == [(24, 30), (84, 72)]


@pytest.mark.parametrize(("painting", "shape"), [((20, 400), (16, 320)), ((64, 80), (26, 32)), ((10, 200), None)])
def test_a_long_and_narrow_painting_keeps_what_the_network_needs(job, painting, shape):
    known = (Region((Style(np.zeros((*painting, 3), np.float32)),)),)
    made = job("--recipe", "matching", "--ladder", "32:1")._replace(regions=known, shape=(24, 32))
    if shape:
        assert edges(made) == [shape]
        return
    with pytest.raises(ValueError, match=r"^picture must be at least 16 px wide and high, got 32×2 from 200×10"):
        edges(made)


def test_scaling_up_is_said(task):
    assert task(*FEW).notes == ()
    assert task(*FEW, "--style-scale", "1.25").notes == ("style: scaled up from 60×48 to 75×60",)


def test_the_size_of_styles_whatever_the_pictures(job):
    assert edges(job("--style-size", "24")) == [(24, 30)]
    assert edges(job("--style-size", "24", "--ladder", "32")) == [(24, 30)]
    assert job("--style-size", "24").recipe.style_size == 24


# Places


def guides(made):
    return [np.asarray(region.guide) for region in made.regions]


def test_one_file_of_two_colours(job, narrow):
    made = job(*FEW, "--mask", "coded.png", styles=TWO)
    left, right = guides(made)
    np.testing.assert_array_equal(left, half()[..., 0])
    np.testing.assert_array_equal(right, 1 - half()[..., 0])
    assert [region.styles[0].image.shape[:2] for region in made.regions] == [(48, 60), (56, 48)]
    turned = job(*FEW, "--mask", "coded.png", styles=TWO[::-1])
    assert not np.allclose(styled(values(narrow, made)), styled(values(narrow, turned)), rtol=0.01)


def test_a_file_for_each_style(job):
    several = guides(job("--mask", "left.png", "right.png", styles=TWO))
    np.testing.assert_array_equal(several, guides(job("--mask", "coded.png", styles=TWO)))
    np.testing.assert_array_equal(guides(job("--mask", "left.png")), [half()[..., 0]])


def test_masks_are_cropped_as_the_content_is(job):
    left, right = guides(job("--mask", "left.png", "right.png", "--size", "32x48", styles=TWO))
    assert left.shape == (48, 32)
    assert (left[:, :16] == 1).all()
    assert (left[:, 16:] == 0).all()
    np.testing.assert_array_equal(right, 1 - left)


def test_weights_of_masks(job, narrow):
    """Above 1 as well: guides end there, so that the rest is the recipe's."""

    def terms(*flags):
        return styled(values(narrow, job(*FEW, "--mask", "coded.png", *flags, styles=TWO)))

    plain, first, second = terms(), terms("--mask-weights", "1,0"), terms("--mask-weights", "0,1")
    np.testing.assert_allclose(first + second, plain, rtol=1e-4)
    np.testing.assert_allclose(terms("--mask-weights", "0.5,1"), first / 2 + second, rtol=1e-4)
    np.testing.assert_allclose(terms("--mask-weights", "3,0.5"), 3 * first + second / 2, rtol=1e-4)


def test_part_of_a_painting(job, narrow):
    made = job(*FEW, "--style-mask", "part.png")
    [style] = made.regions[0].styles
    np.testing.assert_array_equal(style.guide, half(48, 60)[..., 0])
    assert not np.allclose(styled(values(narrow, made)), styled(values(narrow, job(*FEW))), rtol=0.01)
    first, second = job("--style-mask", "-", "square.png", styles=("night.png", "bright.png")).regions[0].styles
    assert first.guide is None
    assert second.guide.shape == (40, 40)


def test_what_is_transparent_in_a_style_does_not_count(job):
    [style] = job(styles=("sprite.png",)).regions[0].styles
    np.testing.assert_allclose(style.guide, sprite()[1], atol=1 / 255)


def test_how_much_style_anywhere(job, narrow):
    made = job(*FEW, "--strength-map", "map.png")
    np.testing.assert_allclose(made.regions[0].guide, half(left=0.25, right=1.0)[..., 0], atol=0.003)
    assert not np.allclose(styled(values(narrow, made)), styled(values(narrow, job(*FEW))), rtol=0.01)
    pair = guides(job("--strength-map", "map.png", "--mask", "coded.png", styles=TWO))
    assert pair[0].max() == pytest.approx(0.25, abs=0.003)
    assert pair[1].max() == 1


def test_a_region_that_is_too_small_is_said(task):
    said = ("region 2: smaller than one position of the deepest layer, 16×16 px",)
    assert task("--mask", "left.png", "dot.png", styles=TWO).notes == said
    assert task("--mask", "left.png", "dot.png", *FEW, styles=TWO).notes == ()
    assert task("--mask", "coded.png", "--mask-weights", "1,0.01", styles=TWO).notes == ()  # faint is not small
    assert task("--mask", "coded.png", "--mask-weights", "1,0", styles=TWO).notes == ()


def test_notes_are_said_on_lines_of_their_own(run, tmp_path):
    argv = ("stylize", "town.png", *TWO, "-o", tmp_path / "out.png", "--weights", "narrow.h5", *BRIEF)
    code, _, err = run(*argv, "--style-scale", "1.25,1")
    assert code == 0
    assert "style: scaled up from 60×48 to 75×60\n" in err


# Colours


def test_colours_of_the_style_are_usual(task):
    _, made, finish, *_ = task()
    np.testing.assert_array_equal(made.content, images.load("town.png"))
    np.testing.assert_array_equal(made.regions[0].styles[0].image, images.load("night.png"))
    image = samples.draw("flow", SHAPE)
    np.testing.assert_array_equal(finish(image), image)


def test_colours_of_the_content(task):
    _, made, finish, *_ = task("--colour", "content-luminance")
    assert np.ptp(made.content, axis=2).max() < 1e-6
    assert np.ptp(made.regions[0].styles[0].image, axis=2).max() < 1e-6
    town, grey = images.load("town.png"), np.full((*SHAPE, 3), 0.6, "f")
    np.testing.assert_allclose(finish(grey), colour.with_content_colours(grey, town), atol=1e-6)
    assert finish(np.full((24, 32, 3), 0.6, "f")).shape == (24, 32, 3)  # a run that was stopped early


@pytest.mark.parametrize("mode", ["match-chol", "match-pca", "match-sym"])
def test_colours_are_matched_before_the_run(task, mode):
    _, made, finish, *_ = task("--colour", mode, styles=TWO)
    town = images.load("town.png")
    for name, style in zip(TWO, made.regions[0].styles, strict=True):
        how = getattr(colour, mode.removeprefix("match-"))
        np.testing.assert_allclose(style.image, colour.match_colours(images.load(name), town, how=how), atol=1e-5)
    np.testing.assert_array_equal(finish(town), town)


def test_colours_of_a_third_picture(task):
    _, made, finish, *_ = task("--colour", "palette:bright.png")
    bright = images.load("bright.png")
    np.testing.assert_allclose(made.content, colour.match_colours(images.load("town.png"), bright), atol=1e-6)
    assert np.abs(finish(images.load("town.png")).mean((0, 1)) - bright.mean((0, 1))).max() < 0.03


def test_the_mode_of_colours_finishes_the_painting(paint):
    """What is stored is what the mode makes of what was painted."""
    plain, finished = (images.load(paint("--colour", mode)) for mode in ("style", "content-luminance"))
    assert np.abs(plain - finished).max() > 0.01
    np.testing.assert_allclose(finished, colour.with_content_colours(finished, images.load("town.png")), atol=0.02)


def test_colours_alone_paint_nothing(run, tmp_path, monkeypatch):
    monkeypatch.setattr(painter, "start", None)
    monkeypatch.setattr(vgg19, "read", None)
    out = tmp_path / "out.png"
    argv = ("stylize", "town.png", *TWO, "-o", out, "--colour", "only")
    code, said, err = run(*argv)
    assert (code, said, err) == (0, f"{out}: recoloured, nothing painted\n", "")
    town, styles = images.load("town.png"), [images.load(name) for name in TWO]
    np.testing.assert_allclose(images.load(out), colour.recolour(town, styles), atol=0.003)
    assert run(*argv, "--style-mix", "1,0")[0] == 0
    np.testing.assert_allclose(images.load(out), colour.recolour(town, styles, weights=[1, 0]), atol=0.003)
    for more, shape in ((("--size", "32x32"), (32, 32)), ((*QUICK, "--ladder", "24"), (24, 32))):
        assert run(*argv, *more)[0] == 0
        assert images.load(out).shape[:2] == shape
    stored = json.loads(metadata.read(out))
    assert stored["order"]["colour"] == "only"
    assert "network" not in stored


# Alpha, bits, metadata


def test_a_sprite_stays_a_sprite(paint):
    alpha = sprite()[1]
    result = images.read(paint(content="sprite.png"))
    np.testing.assert_allclose(result.alpha, alpha, atol=1 / 255)
    smaller = images.read(paint("--ladder", "32", content="sprite.png"))
    np.testing.assert_allclose(smaller.alpha, images.resize(alpha, (32, 43)).clip(0, 1), atol=1.5 / 255)
    flat = images.load(paint(content="sprite.png", out="out.jpg"))
    np.testing.assert_allclose(flat[:6, :6], 1, atol=0.02)


def test_a_sprite_has_no_halo(task, paint):
    """Magenta is under what is transparent, the disc is greenish: no pixel of any visibility is magenta."""
    _, made, _, extras, *_ = task(content="sprite.png")
    assert (made.content[..., 1] > made.content[..., 2]).all()
    np.testing.assert_allclose(made.regions[0].guide, sprite()[1], atol=1 / 255)
    assert extras.alpha.shape == SHAPE
    result = images.read(paint(content="sprite.png"))
    rim = (result.alpha > 0) & (result.alpha < 1)
    assert rim.any()
    assert (result.image[rim][:, 1] > result.image[rim][:, 0] + 0.1).all()


def test_or_it_is_painted_over(task):
    _, made, _, extras, *_ = task("--alpha", "stylise", content="sprite.png")
    assert extras.alpha is None
    np.testing.assert_allclose(made.content[0, 0], 1)
    assert made.regions[0].guide is None


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits(paint, suffix):
    for bits in (8, 16):
        levels = images.read(paint("--bits", bits, out=f"out{suffix}")).image * 65535
        assert (np.abs(levels / 257 - np.rint(levels / 257)).max() > 0.1) == (bits == 16)


@pytest.fixture
def photograph(studio, tmp_path):
    """Writes the town as a camera does: on its side, with a place, an ICC profile and a thumbnail's tags."""

    def call(profile=SWAPPED, orientation=6):
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        exif[ExifTags.Base.Artist] = "Ada"
        exif.get_ifd(ExifTags.IFD.GPSInfo)[1] = "N"
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExifImageWidth] = 9999
        path = tmp_path / "photo.png"
        with Image.open(studio / "town.png") as im:
            im.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif, icc_profile=profile)
        return path

    return call


def test_metadata_are_kept_only_where_asked_for(photograph, paint):
    path = photograph()
    plain = paint(content=path)
    kept = paint("--keep-metadata", content=path, out="kept.png")
    with Image.open(plain) as im:
        assert im.size == (64, 48)
        assert not im.getexif()
        assert "icc_profile" not in im.info
    assert b"Ada" not in plain.read_bytes()
    with Image.open(kept) as im:
        exif = im.getexif()
        assert im.size == (64, 48)
        assert im.info["icc_profile"] == SWAPPED
        assert exif[ExifTags.Base.Orientation] == 1
        assert exif[ExifTags.Base.Artist] == "Ada"
        assert exif.get_ifd(ExifTags.IFD.GPSInfo)[1] == "N"
        assert exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExifImageWidth] == 64
        levels = np.asarray(im.convert("RGB")) / 255
    np.testing.assert_allclose(images.load(kept), images.load(plain), atol=0.01)  # the same colours
    assert np.abs(levels - images.load(plain)).max() > 0.1  # by other numbers


def test_a_profile_that_is_not_for_rgb_is_said(photograph, paint, task):
    path = photograph(profile=LINEAR_GREY, orientation=1)
    notes = task("--keep-metadata", content=str(path)).notes
    assert notes == ("profile: the content's is not for RGB pictures, so the result is sRGB",)
    with Image.open(paint("--keep-metadata", content=path)) as im:
        assert "icc_profile" not in im.info


# The recipe


@pytest.mark.parametrize(
    ("flag", "choices"),
    [
        (f"--{field.name}", field.choices)
        for field in words.FIELDS
        if field.choices and field.group == "recipe" and field.name != "optimizer"
    ],
)
def test_each_word_of_a_recipe_is_another_loss(job, narrow, flag, choices):
    """Pooling, padding, distances and kinds of variation, each of which changes a term, and each differently."""
    more = ("--style-layers", "relu1_1:1,relu2_1:1", "--content-layers", "relu2_1:1", "--tv-weight", "1")
    seen = []
    for choice in choices:
        made = job(*more, flag, choice)
        assert getattr(made.recipe, flag[2:].replace("-", "_")) == choice
        seen.append(np.array([*values(narrow, made).values()]))
    for i, one in enumerate(seen):
        assert all(not np.allclose(one, other, rtol=1e-4) for other in seen[:i])


def test_strength_is_one_knob(job):
    found = {}
    for strength in ("0", "0.25", "0.5", "1"):
        weights = job("--strength", strength).weights(SHAPE, vgg19.WIDTHS)
        found[strength] = weights.content["relu4_2"], weights.style["relu1_1"]
    content, style = found["0.5"]
    base = job().weights(SHAPE, vgg19.WIDTHS)
    assert (content, style) == (base.content["relu4_2"], base.style["relu1_1"])
    assert found["0"] == (4 * content, 0)
    assert found["1"] == (0, 4 * style)
    assert found["0.25"] == pytest.approx((2.25 * content, style / 4))


def test_a_ladder_of_sizes(job):
    def stages(*given):
        return [(stage.shape, stage.steps) for stage in jobs.stages_without_plans(job(*given))]

    assert stages("--ladder", "24:5,48:7") == [((24, 32), 5), ((48, 64), 7)]
    assert stages("--ladder", "24,36,48", "--steps", "40") == [((24, 32), 20), ((36, 48), 10), ((48, 64), 10)]
    assert stages("--ladder", "24:5,48:7", "--size", "36") == [((18, 24), 5), ((36, 48), 7)]
    assert stages("--ladder", "24:5,48:7", "--size", "96x48") == [((24, 48), 5), ((48, 96), 7)]


def test_what_is_kept_of_a_run(job, paint):
    assert job("--keep", "none").recipe.keep == ()
    assert job("--keep", "clamped,averaged:0.9").recipe.keep == ("clamped", "averaged:0.9")
    more = (*QUICK, *FEW, "--steps", "6", "--learning-rate", "0.2")
    shown = [images.load(paint("--keep", words, more=more)) for words in ("none", "clamped", "averaged:0.9", "best")]
    for i, one in enumerate(shown):
        assert all(np.abs(one - other).max() > 0.005 for other in shown[:i])


def test_as_many_steps_as_fit_into_the_time(paint, monkeypatch):
    costs = []

    def measure(params, job, **more):
        costs.append(budget.Cost(0.1, 0.0, 0.5 / 48 / 64))
        return costs[-1]

    monkeypatch.setattr(budget, "measure", measure)
    stored = record.parse(metadata.read(paint("--minutes", "0.2", more=(*QUICK, *FEW))))
    assert len(costs) == 1
    assert 15 <= stored.steps <= 0.85 * 12 / 0.5 + 1
    assert stored.order["ladder"] == f"48:{stored.steps}"
    assert "steps" not in stored.order
    assert "minutes" not in stored.order


# Pictures on the web


@pytest.fixture
def web(studio, monkeypatch):
    """Addresses that are the studio's pictures; gives the folders that were downloaded into."""
    folders = []

    def picture(url, folder):
        if not url.startswith("https://"):
            return fetch_picture(url, folder)
        folders.append(pathlib.Path(folder))
        return shutil.copy(studio / url.rpartition("/")[2], folder)

    fetch_picture = download.picture
    monkeypatch.setattr(download, "picture", picture)
    return folders


def test_content_style_and_masks_from_the_web(web, paint, studio):
    at = "https://pictures.example/some/where"
    flags = ("--mask", f"{at}/coded.png", "--strength-map", f"{at}/map.png", "--style-mask", "-", f"{at}/part.png")
    styles = (f"{at}/wave.png", f"{at}/night.png")
    path = paint(*flags, content=f"{at}/town.png", styles=styles)
    assert len(web) == 6
    assert not any(folder.exists() for folder in web)
    flags = ("--mask", "coded.png", "--strength-map", "map.png", "--style-mask", "-", "part.png")
    local = paint(*flags, styles=TWO[::-1], out="local.png")
    assert json.loads(metadata.read(path)) == json.loads(metadata.read(local))
    np.testing.assert_array_equal(images.load(path), images.load(local))
    assert b"pictures.example" not in path.read_bytes()


def test_an_address_is_fetched_once(web, run, tmp_path):
    url = "https://pictures.example/night.png"
    code, *_ = run("texture", url, "-o", tmp_path / "out.png", "--weights", "narrow.h5", *BRIEF)
    assert code == 0
    assert len(web) == 1


def test_what_is_wrong_with_a_fetched_picture_is_said_of_its_address(web, run, studio, tmp_path):
    (studio / "text.html").write_text("<html>")
    url = "https://pictures.example/text.html"
    code, _, err = run("stylize", "town.png", url, "-o", tmp_path / "out.png", *BRIEF)
    assert code == 1
    assert re.fullmatch(rf"nst-jax: file must be a picture .*, got '{url}': convert it to PNG or JPEG\n", err)
    assert not any(folder.exists() for folder in web)


def test_this_machines_own_addresses_are_refused(run, tmp_path):
    code, _, err = run("stylize", "https://127.0.0.1/town.png", "night.png", "-o", tmp_path / "out.png", *BRIEF)
    assert code == 1
    assert err.endswith("(host must be on the internet, got 127.0.0.1): save it, and name the file\n")


def test_insecure_addresses_are_refused(web, run, tmp_path):
    code, _, err = run("stylize", "http://pictures.example/town.png", "night.png", "-o", tmp_path / "out.png", *BRIEF)
    assert code == 1
    assert err.endswith("(address must be https, got http://pictures.example/town.png): save it, and name the file\n")
    assert len(err.splitlines()) == 1


# Bad input: one line, and nothing written

WRONG = [
    (TWO, ("--mask", "square.png"), 1, r"mask must have its picture's aspect, 64×48, got 64×64 in square"),
    (TWO, ("--mask", "square.png", "left.png"), 1, r"mask must have its picture's aspect, 64×48, got 64×64 in square"),
    (TWO, ("--mask", "left.png", "black.png"), 1, r"mask must not be empty, got no white in black\.png: white is"),
    ((*TWO, "bright.png"), ("--mask", "coded.png"), 1, r"mask must show 3 colours, one for each style, got 2: give as"),
    (TWO, ("--mask", "left.png", "right.png", "dot.png"), 2, r"--mask must be one file or 2, one for each .* got 3"),
    (TWO, ("--mask", "none.png"), 1, r"picture must be an existing file, got 'none\.png': check its name"),
    (TWO, ("--mask-weights", "1,2"), 2, r"--mask-weights must go with --mask, got no masks: add --mask FILE"),
    (TWO, ("--mask", "coded.png", "--mask-weights", "1,2,3"), 2, r"--mask-weights must have 2 values, .* got 3"),
    (TWO, ("--mask", "coded.png", "--mask-weights", "0,0"), 2, r"argument --mask-weights: must not all be 0, got"),
    (TWO, ("--mask", "coded.png", "--style-mix", "2,1"), 2, r"--style-mix must not go with --mask, got both: --mask-w"),
    (TWO, ("--mask", "left.png", "right.png", "--style-mix", "2,1"), 2, r"--style-mix must not go with --mask"),
    (TWO, ("--mask", "left.png", "right.png", "--style-mix", "ramp"), 2, r"--style-mix must not go with --mask"),
    (TWO, ("--style-mix", "1,2,3"), 2, r"--style-mix must have 2 values, one for each style, got 3"),
    (TWO[:1], ("--style-mix", "1,2"), 2, r"--style-mix must have 1 value, got 2"),
    (TWO[:1], ("--style-mix", "ramp"), 2, r"--style-mix ramp must have several styles, got 1: name another STYLE"),
    (TWO, ("--style-mix", "1,nan"), 2, r"argument --style-mix: must be a number from 0 to 1e30, got 'nan'"),
    (TWO, ("--style-mix", "0,0"), 2, r"argument --style-mix: must not all be 0, got '0,0'"),
    (TWO, ("--style-scale", "1,2,3"), 2, r"--style-scale must have 2 values, one for each style, got 3"),
    (TWO, ("--style-scale", "0"), 2, r"argument --style-scale: must be a number above 0, got '0'"),
    (TWO, ("--style-scale", "1e6"), 1, r"style must hold at most 300,000,000 pixels, got 60\d*×48\d*: lower"),
    (TWO, ("--style-size", "999999"), 1, r"style must hold at most 300,000,000 pixels, got .*: lower --style-scale or"),
    (TWO, ("--style-size", "0"), 2, r"argument --style-size: must be a whole number from 1, got '0'"),
    (TWO, ("--style-mask", "part.png"), 2, r"--style-mask must have 2 values, one for each style, got 1"),
    (TWO, ("--style-mask", "square.png", "-"), 1, r"mask must have its picture's aspect, 60×48, got 64×64"),
    (TWO, ("--strength-map", "square.png"), 1, r"mask must have its picture's aspect, 64×48, got 64×64 in square\.png"),
    (TWO, ("--strength-map", "black.png"), 1, r"mask must not be empty, got no white in black\.png"),
    (TWO, ("--colour", "match"), 2, r"argument --colour: colour must be one of style, .*, got 'match': did you"),
    (TWO, ("--colour", "palette"), 2, r"argument --colour: colour must be one of .*: did you mean palette:FILE\?"),
    (TWO, ("--colour", "palette:none.png"), 1, r"picture must be an existing file, got 'none\.png'"),
    (TWO, ("--colour", "palette:grey.png"), 1, r"palette must be a picture of several colours, got a grey one: choose"),
    (TWO, ("--colour", "only", "--mask", "coded.png"), 2, r"--mask must not go with --colour only, which paints"),
    (TWO, ("--colour", "only", "--minutes", "1"), 2, r"--minutes must not go with --colour only"),
    (TWO, ("--colour", "only", "--log", "new.jsonl"), 2, r"--log must not go with --colour only"),
    (TWO, ("--colour", "only", "--report", "new"), 2, r"--report must not go with --colour only"),
    (TWO, ("--colour", "only", "--style-mix", "ramp"), 2, r"--style-mix must be shares with --colour only, got ramp"),
    (TWO, ("--alpha", "drop"), 2, r"argument --alpha: invalid choice: 'drop'"),
    (TWO, ("--bits", "12"), 2, r"argument --bits: must be 8 or 16, got '12'"),
    (TWO, ("--bits", "16", "-o", "new.jpg"), 1, r"--bits must be 8, or 16 in \.png, .* got 16 for 'new\.jpg': change"),
    (TWO, ("--size", "999999"), 1, r"picture must hold at most 300,000,000 pixels, got 1333332×999999: lower --size"),
    (TWO, ("--keep", "everything"), 2, r"argument --keep: must be clamped, best, averaged:DECAY or none, got 'every"),
    (TWO, ("--keep", "averaged:2"), 2, r"argument --keep: must be clamped, best, .* none, got 'averaged:2'"),
    (TWO, ("--ladder", "64,32"), 2, r"argument --ladder: must ascend, got '64,32': write 32,64"),
    (TWO, ("--ladder", "8"), 2, r"argument --ladder: must be whole numbers from 16, .*, got '8'"),
    (TWO, ("--strength", "1.5"), 2, r"argument --strength: must be a number from 0 to 1, got '1\.5'"),
    (TWO, ("--minutes", "0"), 2, r"argument --minutes: must be a number above 0, got '0'"),
    (TWO, ("--padding", "mirror"), 2, r"argument --padding: invalid choice: 'mirror'"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("styles", "flags", "code", "said"), WRONG, ids=lambda x: "_".join(x) if type(x) is tuple else ""
)
def test_what_is_refused(run, studio, styles, flags, code, said):
    before = sorted(studio.rglob("*"))
    got, out, err = run("stylize", "town.png", *styles, "-o", "new.png", "--weights", "narrow.h5", *BRIEF, *flags)
    lines = err.splitlines()
    assert (got, out) == (code, "")
    assert "Traceback" not in err
    assert sum("error:" in line for line in lines) == (1 if code == 2 else 0)
    assert len(lines) == 1
    assert re.match(said, re.sub("^nst-jax( stylize: error)?: ", "", lines[-1])), lines[-1]
    assert sorted(studio.rglob("*")) == before


def test_a_huge_size_is_refused_before_guides_are_made(run, studio):
    """An alpha and masks at that size would not fit into memory."""
    code, _, err = run("stylize", "sprite.png", *TWO, "-o", "new.png", "--mask", "coded.png", "--size", "999999")
    assert code == 1
    assert "picture must hold at most" in err


def test_a_recipe_without_content_takes_layers(monkeypatch):
    known = recipes.get(recipes.DEFAULT)._replace(content={})
    monkeypatch.setattr(recipes, "get", lambda name: known)
    order = words.make("a", "b", content_layers="relu4_2")
    assert customise.recipe_of(order).content == {"relu4_2": 1.0}


# Textures and reconstructions


@pytest.fixture
def carried(monkeypatch):
    """The tasks of orders that are to be carried out, which are not."""
    made = []
    monkeypatch.setattr(stylize, "carry_out", lambda order, outputs, **_: made.append(compose.task(order)))
    return made


def test_a_texture_starts_from_noise_and_knows_no_content(run, tmp_path, carried):
    out = tmp_path / "out.png"
    assert run("texture", *TWO, "-o", out, *BRIEF, "--size", "40x32", "--style-scale", "2")[0] == 0
    job = carried[0].job
    assert job.shape == (32, 40)
    assert job.recipe.start == "noise"
    assert not any(job.weights(SHAPE, vgg19.WIDTHS).content.values())
    assert len(job.regions[0].styles) == 2
    assert run("texture", "night.png", "-o", out, *BRIEF, "--init", "statistics")[0] == 0
    assert carried[1].job.recipe.start == "statistics"


def test_a_reconstruction_is_of_the_layer_asked_for(run, tmp_path, carried):
    assert run("reconstruct", "town.png", "-o", tmp_path / "out.png", *BRIEF, "--layer", "relu2_2,relu3_1:2")[0] == 0
    weights = carried[0].job.weights(SHAPE, vgg19.WIDTHS)
    assert weights.content.keys() == {"relu2_2", "relu3_1"}
    assert weights.content["relu3_1"] == 2
    assert not any(weights.style.values())
    assert carried[0].job.recipe.start == "noise"


def test_texture_and_reconstruction_are_painted(run, tmp_path):
    for command, shape in (("texture", (32, 40)), ("reconstruct", SHAPE)):
        out = tmp_path / f"{command}.png"
        more = ("--size", "40x32") if command == "texture" else ()
        code, said, err = run(command, "town.png", "-o", out, "--weights", "narrow.h5", *BRIEF, *more)
        assert (code, said.startswith(f"{out}: painted in 2 steps")) == (0, True), err
        assert images.load(out).shape[:2] == shape
    assert not os.path.exists("out.png")


# Files in any place of a command


@pytest.mark.parametrize(
    "words",
    [
        "town.png night.png wave.png -o out.png --mask left.png right.png",
        "town.png -o out.png night.png wave.png --mask left.png right.png",
        "-o out.png --mask left.png right.png -- town.png night.png wave.png",
        "--mask left.png right.png -o out.png town.png night.png wave.png",
        "--mask left.png right.png --style-mask - - -o out.png town.png night.png wave.png",
    ],
)
def test_files_are_told_apart(words):
    args = cli.parser().parse_args(["stylize", *words.split()])
    assert (args.content, args.style, args.mask) == ("town.png", [*TWO], ["left.png", "right.png"])
    assert args.output == "out.png"


@pytest.mark.parametrize(
    "words",
    [
        "town.png night.png -o out.png wave.png",
        "--mask left.png right.png town.png night.png -o out.png",
        "-o o.png t.png",
    ],
)
def test_files_that_cannot_be_told_apart_are_refused(run, words):
    code, _, err = run("stylize", *words.split())
    assert code == 2
    assert re.search(r"error: (unrecognized arguments: wave\.png|the following arguments are required: .*STYLE)", err)
