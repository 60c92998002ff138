"""What people look at: sheets, curves, animations, and the page that `--report` writes."""

import base64
import html.parser
import io
import os
import pathlib
import re
import shlex
import subprocess
import sys

import jax
import numpy as np
import pytest
from conftest import drawn, network
from PIL import Image

from nst_jax import cli
from nst_jax.cli import charts as page
from nst_jax.network import vgg19
from nst_jax.orders import record as runs
from nst_jax.painting import painter as painting
from nst_jax.pictures import charts, images, metadata

TERMS = ("content/relu4_2", "style/relu1_1", "style/relu2_1", "variation")
FLAGS = ("--recipe", "gatys-notebook", "--optimizer", "adam", "--ladder", "32:10,48:20")


@pytest.fixture(autouse=True)
def _plots():
    pytest.importorskip("matplotlib")


def flat(h, w, *colour):
    """A picture of one colour."""
    return np.ones((h, w, 3), np.float32) * np.float32(colour)


# Sheets


def test_sheet_places_pictures_in_square_cells():
    red, green, blue = flat(20, 40, 1, 0, 0), flat(60, 30, 0, 1, 0), flat(10, 10, 0, 0, 1)
    made = charts.sheet([[red, green], [None, blue]], cell=80)
    gap = charts.GAP
    assert made.shape == (2 * 80 + 3 * gap, 2 * 80 + 3 * gap, 3)
    assert made.dtype == np.float32
    found = {}
    for name, channel in (("red", 0), ("green", 1), ("blue", 2)):
        only = np.delete(made, channel, axis=2).max(2) < 0.1
        ys, xs = np.nonzero(only & (made[..., channel] > 0.9))
        found[name] = ys.min(), ys.max() + 1, xs.min(), xs.max() + 1
    assert found["red"] == (gap + 20, gap + 60, gap, gap + 80)  # 40 high, in the middle of 80
    assert found["green"] == (gap, gap + 80, 2 * gap + 100, 2 * gap + 140)  # 40 wide, likewise
    assert found["blue"] == (2 * gap + 80, 2 * gap + 160, 2 * gap + 80, 2 * gap + 160)


def test_sheet_labels_columns_and_rows():
    picture = flat(40, 40, 1, 1, 1)
    plain = charts.sheet([[picture, picture]], cell=140)
    above = charts.sheet([[picture, picture]], columns=["content", "result"], cell=140)
    beside = charts.sheet([[picture, picture]], names=["some recipe"], cell=140)
    assert above.shape[1] == plain.shape[1]
    assert beside.shape[0] == plain.shape[0]
    band = above[: above.shape[0] - plain.shape[0] + charts.GAP].min(2) < 0.5
    half = band.shape[1] // 2
    assert band[:, :half].any()
    assert band[:, half:].any()
    assert (beside[:, : beside.shape[1] - plain.shape[1]].min(2) < 0.5).any()
    assert not (plain.min(2) < 0.5).any()


# Curves


def log(terms=TERMS, steps=range(10, 101, 10)):
    """A run's log: losses that fall, each a tenth of the one before."""
    return [{"step": n, "seconds": 0.1 * n} | {t: 10.0 ** (3 - i) / n for i, t in enumerate(terms)} for n in steps]


def lines(figure):
    """{label: (x, y)} of a figure's curves."""
    return {
        line.get_label(): (np.asarray(line.get_xdata()), np.asarray(line.get_ydata()))
        for line in figure.axes[0].get_lines()
        if not line.get_label().startswith("_")
    }


def test_curves_are_of_every_term_that_is_not_zero():
    records = log()
    for record in records:
        record["variation"] = 0.0
    records[3]["style/relu1_1"] = 0.0  # a gap, not an error
    made = charts.figure(records)
    shown = lines(made)
    assert list(shown) == list(TERMS[:3])
    for name, (x, y) in shown.items():
        assert x.tolist() == [record["step"] for record in records]
        expected = np.array([record[name] or np.nan for record in records])
        np.testing.assert_array_equal(y, expected)
    axes = made.axes[0]
    assert axes.get_yscale() == "log"
    written = {text.get_text() for text in axes.texts}
    assert set(TERMS[:3]) <= written
    assert "variation" not in written
    assert len({line.get_color() for line in axes.get_lines()}) == 3


def test_curves_mark_the_sizes_of_the_ladder():
    made = charts.figure([{"ladder": [[32, 24, 60], [64, 48, 30], [128, 96, 80]]}, *log()])  # and stopped early
    axes = made.axes[0]
    marks = [line.get_xdata()[0] for line in axes.get_lines() if line.get_label().startswith("_")]
    assert marks == [60, 90]
    assert {"32×24", "64×48"} <= {text.get_text() for text in axes.texts}
    assert not charts.figure(log()).axes[0].texts[len(TERMS) :]


@pytest.mark.parametrize("count", [1, 2, 7, 16, 40])
def test_labels_of_curves_do_not_touch(count):
    """Even where all curves end in one point."""
    terms = [f"style/{i}" for i in range(count)]
    [texts] = [charts.figure([{"step": 5, **dict.fromkeys(terms, 2.0)}]).axes[0].texts]
    places = sorted(text.xyann[1] for text in texts)
    assert len(places) == count
    assert -1e-9 <= places[0] <= places[-1] <= 1 + 1e-9
    assert np.diff(places).min(initial=1) >= min(charts.LABEL, 1 / max(1, count - 1)) - 1e-9


def test_labels_of_curves_stay_where_there_is_room():
    texts = charts.figure(log()).axes[0].texts
    heights = [text.xyann[1] for text in texts]
    assert heights == sorted(heights, reverse=True)
    figure = charts.figure(log())
    for text in figure.axes[0].texts:
        low, high = np.log(figure.axes[0].get_ylim())
        assert text.xyann[1] == pytest.approx((np.log(text.xy[1]) - low) / (high - low))


@pytest.mark.parametrize(
    "records",
    [
        log(),
        log(steps=[3]),
        [{"step": 1, "variation": 0.0}],
        [{"step": 1, "$x_$": 1.0}],
        log([f"style/{i}" for i in range(30)]),
    ],
)
def test_curves_are_a_picture(records):
    made = charts.curves(records)
    assert made.ndim == 3
    assert made.shape[2] == 3
    assert made.shape[1] > made.shape[0] > 500
    assert made.min() >= 0
    assert made.max() == 1
    assert np.ptp(made, axis=(0, 1)).min() > 0.5


def test_curves_of_nothing():
    with pytest.raises(ValueError, match=r"records must hold at least one step, got none: log a run with --log FILE"):
        charts.curves([{"ladder": [[32, 24, 60]]}])


def test_curves_and_films_say_which_extra_they_need(monkeypatch, tmp_path):
    for module in ("matplotlib.figure", "imageio_ffmpeg"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ValueError, match=r"matplotlib must be installed, got none: pip install 'nst-jax\[plot\]'"):
        charts.curves(log())
    with pytest.raises(ValueError, match=r"imageio_ffmpeg must be installed, got none: pip install 'nst-jax\[video\]'"):
        charts.animation(tmp_path / "run.mp4", [flat(16, 16, 0)])


# Animations

FRAMES = [flat(12, 16, 1, 0, 0), flat(12, 16, 0, 1, 0), flat(24, 32, 0, 0, 1), flat(24, 32, 1, 1, 1)]  # coarse to fine


def shown(path):
    """The pictures of an animation and how long each is shown, in milliseconds."""
    with Image.open(path) as im:
        found = []
        for number in range(getattr(im, "n_frames", 1)):
            im.seek(number)
            im.load()  # WebP knows a frame's time only then
            found.append((np.asarray(im.convert("RGB")).astype(int), im.info.get("duration")))
        return found


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".WEBP"])
def test_animation_has_one_size_its_time_and_holds_the_last(tmp_path, suffix):
    charts.animation(path := tmp_path / f"run{suffix}", FRAMES, seconds=2, hold=1)
    pictures, durations = zip(*shown(path), strict=True)
    assert list(durations) == [500, 500, 500, 1500]
    for picture, frame in zip(pictures, FRAMES, strict=True):
        assert picture.shape == (24, 32, 3)
        np.testing.assert_allclose(picture.mean((0, 1)), 255 * frame.mean((0, 1)), atol=6)
    with Image.open(path) as im:
        assert im.info["loop"] == 0  # for ever


def test_animation_of_one_picture(tmp_path):
    charts.animation(tmp_path / "run.webp", iter(FRAMES[:1]))
    assert len(shown(tmp_path / "run.webp")) == 1


def test_animation_as_a_film(tmp_path):
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    odd = [images.resize(frame, (25, 33)) for frame in FRAMES]
    charts.animation(tmp_path / "run.mp4", odd, seconds=1, hold=0.6)
    argv = [
        ffmpeg.get_ffmpeg_exe(),
        "-v",
        "error",
        "-i",
        tmp_path / "run.mp4",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-",
    ]
    raw = subprocess.run(argv, capture_output=True, check=True).stdout
    pictures = np.frombuffer(raw, np.uint8).reshape(-1, 24, 32, 3)  # edges are even now
    assert len(pictures) == round(1.6 * charts.FPS)
    assert pictures[0][..., 0].mean() > 180 > 60 > pictures[0][..., 2].mean()
    assert pictures[-1].min() > 220


def test_animations_that_cannot_be(tmp_path):
    said = r"suffix of an animation must be one of \.gif, \.webp, \.mp4, got '\.avi': \.webp is usual"
    with pytest.raises(ValueError, match=said):
        charts.animation(tmp_path / "run.avi", FRAMES)
    with pytest.raises(ValueError, match="frames must hold at least one picture, got none"):
        charts.animation(tmp_path / "run.gif", [])


def test_address_is_the_picture():
    picture = drawn(0, 24, 32)
    kind, _, data = charts.address(picture).partition(",")
    assert kind == "data:image/webp;base64"
    with Image.open(io.BytesIO(base64.b64decode(data, validate=True))) as im:
        np.testing.assert_allclose(np.asarray(im) / 255, picture, atol=0.35)


# The page

HOSTILE = {"content": '<script>alert("c")&.png', "style": "\"><img src=x onerror='y'>.png", "out": "-'\"><b>{x}.png"}


class Page(html.parser.HTMLParser):
    """A page's tags, addresses and text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "srcset", "data", "poster")]
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    """A folder of two pictures with names that would be code, and a narrow network."""
    folder = tmp_path_factory.mktemp("studio")
    images.save(folder / HOSTILE["content"], drawn(1, 48, 64))
    images.save(folder / HOSTILE["style"], drawn(2, 48, 60))
    vgg19.save(folder / "narrow.h5", network((4,) * 5), source="a test")
    return folder


def command(studio, folder, *flags):
    """A run of `stylize` that writes into a folder: its exit code."""
    content, style = (str(studio / HOSTILE[kind]) for kind in ("content", "style"))
    argv = ["stylize", content, style, "-o", str(folder / HOSTILE["out"]), "--weights", str(studio / "narrow.h5")]
    try:
        return cli.main([*argv, *FLAGS, *map(str, flags)])
    except SystemExit as stop:
        return stop.code


@pytest.fixture(scope="module")
def made(studio, tmp_path_factory):
    """The folder of one whole run with its report in `all/of it`."""
    folder = tmp_path_factory.mktemp("made")
    assert command(studio, folder, "--report", folder / "all" / "of it") == 0
    return folder


@pytest.fixture
def quick(monkeypatch):
    """Replaces painting by two sizes of plain pictures, in no time; what it is given is raised after some frames."""
    error = []

    def frames(params, job, *, every, **_):
        for step in (10, 20, 30):
            if step == 30 and error:
                raise error[0]
            shape = job.shape if step > 10 else (job.shape[0] // 2, job.shape[1] // 2)
            terms = {"content/relu4_2": 30.0 / step, "style/relu1_1": 3.0 / step, "variation": 0.0}
            yield painting.Frame(step, jax.numpy.full((*shape, 3), step / 60), terms, None)

    monkeypatch.setattr(painting, "frames", frames)
    return error


def test_report_is_four_files_beside_the_picture(made):
    assert sorted(os.listdir(made)) == sorted([HOSTILE["out"], "all"])
    assert sorted(os.listdir(made / "all" / "of it")) == sorted(page.FILES)
    assert images.load(made / HOSTILE["out"]).shape == (48, 64, 3)
    assert images.load(made / "all" / "of it" / page.CURVES).min() < 0.5
    assert images.load(made / "all" / "of it" / page.SHEET).shape[1] == 3 * 400 + 4 * charts.GAP


def test_report_shows_the_run_from_coarse_to_fine(made):
    pictures, durations = zip(*shown(made / "all" / "of it" / page.RUN), strict=True)
    assert len(pictures) == 3  # after 10, 20 and 30 steps
    assert {picture.shape for picture in pictures} == {(48, 64, 3)}
    assert durations[-1] > 2 * durations[0]
    light = np.array([0.299, 0.587, 0.114])  # WebP halves the planes of colour
    result = 255 * images.load(made / HOSTILE["out"]) @ light
    away = [np.abs(picture @ light - result).mean() for picture in pictures]
    assert away[2] < 0.7 * away[1] < 0.7 * away[0]


def test_page_needs_nothing_else(made):
    text = (made / "all" / "of it" / page.PAGE).read_text("utf-8")
    known = Page(text)
    assert len(known.addresses) == 5  # result, content, style, animation, curves
    for address in known.addresses:
        assert address.startswith("data:image/")
        with Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2], validate=True))) as im:
            im.load()
    rest = re.sub(r'"data:[^"]*"', '""', text)
    assert not re.search(r"//|@import|url\(|https?:|\bfile:", rest)
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & set(known.tags)
    assert "prefers-color-scheme: dark" in rest
    assert len(re.findall("default-src 'none'", rest)) == 1


def test_page_shows_names_as_text(made):
    text = (made / "all" / "of it" / page.PAGE).read_text("utf-8")
    known = Page(text)
    assert known.tags.count("img") == len(known.addresses)
    assert known.tags.count("b") == 2  # ours, in captions
    assert "<script" not in text
    for name in HOSTILE.values():
        assert name in known.text


def test_page_says_what_made_the_picture(made):
    text = Page((made / "all" / "of it" / page.PAGE).read_text("utf-8")).text
    record = runs.parsed(metadata.read(made / HOSTILE["out"]))
    assert "gatys-notebook · 64×48 px · 30 steps in " in text
    assert "43×32: 10 steps, 64×48: 20 steps" in text
    for file in (record["inputs"][kind][0] for kind in ("content", "style")):
        assert file["sha256"] in text
    for name, value in record["terms"].items():
        assert f"{name}{value:.6g}" in text
    assert record["network"]["sha256"] in text
    assert str(made) not in text


def test_page_repeats_the_run(made, monkeypatch):
    text = Page((made / "all" / "of it" / page.PAGE).read_text("utf-8")).text
    monkeypatch.chdir(made)
    [line] = [line for line in text.splitlines() if line.startswith("nst-jax rerun ")]
    args = cli.parser().parse_args(shlex.split(line)[1:])
    assert os.path.basename(args.result) == HOSTILE["out"]
    assert os.path.exists(args.result)
    assert (args.content, args.style) == (HOSTILE["content"], [HOSTILE["style"]])
    assert args.weights == "narrow.h5"


def test_page_repeats_masks_and_what_is_kept(quick, studio, tmp_path):
    images.save(tmp_path / "-m.png", flat(48, 60, 1))
    style, out = str(studio / HOSTILE["style"]), str(tmp_path / "out.png")
    argv = ["stylize", str(studio / HOSTILE["content"]), style, style, "-o", out, "--report", str(tmp_path / "r")]
    flags = ["--style-mask", "-", str(tmp_path / "-m.png"), "--keep-metadata", "--init", str(tmp_path / "-m.png")]
    assert cli.main([*argv, *flags, "--weights", str(studio / "narrow.h5"), *FLAGS]) == 0
    known = Page((tmp_path / "r" / page.PAGE).read_text("utf-8"))
    assert len(known.addresses) == 3 + 5  # result, animation, curves; content, two styles, a mask, a start
    [line] = [line for line in known.text.splitlines() if line.startswith("nst-jax rerun ")]
    assert "--style-mask - ./-m.png --init ./-m.png --weights narrow.h5 --keep-metadata -o again.png" in line


def test_no_report_unless_asked_for(quick, studio, tmp_path):
    assert command(studio, tmp_path) == 0
    assert os.listdir(tmp_path) == [HOSTILE["out"]]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError("the disk is full")])
def test_report_of_a_run_that_was_stopped(quick, studio, tmp_path, capsys, error):
    quick.append(error)
    assert command(studio, tmp_path, "--report", tmp_path / "r") == (130 if isinstance(error, KeyboardInterrupt) else 1)
    assert "the picture after 20 steps is in" in capsys.readouterr().err
    text = Page((tmp_path / "r" / page.PAGE).read_text("utf-8")).text
    assert "stopped after 20 of 30 steps" in text
    pictures, _ = zip(*shown(tmp_path / "r" / page.RUN), strict=True)
    assert [round(60 * picture.mean() / 255) for picture in pictures] == [10, 20]
    assert images.load(tmp_path / HOSTILE["out"]).mean() == pytest.approx(1 / 3, abs=0.01)


def test_report_is_in_the_colours_of_the_result(quick, studio, tmp_path):
    assert command(studio, tmp_path, "--report", tmp_path / "r", "--colour", "content-luminance") == 0
    result = images.load(tmp_path / HOSTILE["out"])
    assert np.ptp(result.mean((0, 1))) > 0.02
    for picture, _ in shown(tmp_path / "r" / page.RUN):  # grey before they are finished
        np.testing.assert_allclose(np.diff(picture.mean((0, 1)) / 255), np.diff(result.mean((0, 1))), atol=0.08)


def test_report_of_a_texture_shows_its_style_alone(quick, studio, tmp_path):
    style, out = str(studio / HOSTILE["style"]), str(tmp_path / "out.bmp")
    argv = ["texture", style, "-o", out, "--size", "32", "--weights", str(studio / "narrow.h5")]
    assert cli.main([*argv, "--report", str(tmp_path / "r")]) == 0
    known = Page((tmp_path / "r" / page.PAGE).read_text("utf-8"))
    assert len(known.addresses) == 4  # result, style, animation, curves
    assert "A .bmp file holds no settings to repeat: write a .png" in known.text


def test_a_story_keeps_few_and_small_pictures():
    story = page.Story(pathlib.Path(), None, [], [], 0.0, [], {})
    frames = (painting.Frame(10 * n, np.zeros((8, 2000 if n == 40 else 8, 3)), {}, None) for n in range(1, 101))
    counts = [len(story.moments) for _ in story.following(frames, {})]
    assert max(counts) <= page.KEPT
    steps = [step for step, _ in story.moments.values()]
    assert steps == list(range(10, 1001, 40))
    assert len(story.records) == 101
    shapes = {picture.shape for _, picture in story.moments.values()}
    assert max(max(shape) for shape in shapes) <= page.SMALL


def test_what_a_report_lacks_is_said_before_the_run(studio, tmp_path, capsys, monkeypatch):
    """One line, nothing painted, nothing written."""
    monkeypatch.setattr(painting, "frames", lambda *args, **options: pytest.fail("it began to paint"))
    (tmp_path / "file").write_text("mine")

    def refused(*flags):
        code = command(studio, tmp_path, *flags)
        assert os.listdir(tmp_path) == ["file"]
        return code, capsys.readouterr().err.splitlines()[-1]

    said = f"nst-jax: folder must not be a file, got {str(tmp_path / 'file')!r}: choose another name"
    assert refused("--report", tmp_path / "file") == (1, said)
    code, said = refused("--report", tmp_path / "r", "--colour", "only")
    assert code == 2
    assert said.endswith("--report must not go with --colour only, which paints nothing: leave it")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    said = "nst-jax: matplotlib must be installed, got none: pip install 'nst-jax[plot]'"
    assert refused("--report", tmp_path / "r") == (1, said)


def test_a_report_does_not_write_over_what_the_run_needs(studio, tmp_path, capsys):
    images.save(tmp_path / "sheet.jpg", drawn(3, 32, 32))
    before = (tmp_path / "sheet.jpg").read_bytes()
    argv = ["stylize", str(tmp_path / "sheet.jpg"), str(studio / HOSTILE["style"]), "-o", str(tmp_path / "out.png")]
    assert cli.main([*argv, "--report", str(tmp_path)]) == 1
    assert "output must not be a file that the run needs" in capsys.readouterr().err
    assert (tmp_path / "sheet.jpg").read_bytes() == before
