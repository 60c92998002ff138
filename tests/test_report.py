"""The page that `--report` writes."""

import base64
import html.parser
import io
import os
import pathlib
import re
import shlex
import sys

import jax
import numpy as np
import pytest
from conftest import drawn, network
from PIL import Image
from test_film import shown
from test_sheets import flat

from nst_jax import cli
from nst_jax.cli import charts as page
from nst_jax.network import vgg19
from nst_jax.orders import record as runs
from nst_jax.painting import painter as painting
from nst_jax.pictures import images, metadata, sheets

FLAGS = ("--recipe", "gatys-notebook", "--optimizer", "adam", "--ladder", "32:10,48:20")


@pytest.fixture(autouse=True)
def _plots():
    pytest.importorskip("matplotlib")


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
    assert images.load(made / "all" / "of it" / page.SHEET).shape[1] == 3 * 400 + 4 * sheets.GAP


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
