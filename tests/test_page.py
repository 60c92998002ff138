"""orders.page: the page that a Report writes, a watcher of a run."""

import base64
import html.parser
import io
import os
import re
import shlex
import sys

import numpy as np
import pytest
from conftest import drawn, network
from PIL import Image
from test_film import shown

from nst_jax import cli
from nst_jax.network import vgg19
from nst_jax.orders import compose, networks, page, prepare, record, words, workshop
from nst_jax.orders.watchers import Start
from nst_jax.painting.memory import Machine, Plan
from nst_jax.painting.painter import Frame
from nst_jax.pictures import images, metadata, sheets
from nst_jax.recipes import Turn

FIELDS = {
    "recipe": "gatys-notebook",
    "optimizer": "adam",
    "ladder": "32:10,48:20",
    "style_layers": "relu1_1,relu2_1",
    "content_layers": "relu1_2",
}


@pytest.fixture(autouse=True)
def _plots():
    pytest.importorskip("matplotlib")


HOSTILE = {"content": '<script>alert("c")&.png', "style": "\"><img src=x onerror='y'>.png", "out": "-'\"><b>{x}.png"}


class Page(html.parser.HTMLParser):
    """A page's tags, addresses, text, and the rows of its table."""

    def __init__(self, folder):
        super().__init__()
        self.tags, self.addresses, self.text = [], [], ""
        self.source = (folder / page.PAGE).read_text("utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "srcset", "data", "poster")]
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data):
        self.text += data

    @property
    def rows(self):
        """{name: text} of the table."""
        return dict(re.findall(r"<tr><th>(.*?)</th><td>(.*?)</td></tr>", self.source))

    @property
    def command(self):
        """The words that repeat the run."""
        [line] = [line for line in self.text.splitlines() if line.startswith("nst-jax rerun ")]
        return shlex.split(line)


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    """A folder of two pictures with names that would be code, and a narrow network."""
    folder = tmp_path_factory.mktemp("studio")
    images.save(folder / HOSTILE["content"], drawn(1, 48, 64))
    images.save(folder / HOSTILE["style"], drawn(2, 48, 60))
    vgg19.save(folder / "narrow.h5", network((4,) * 5), source="a test")
    return folder


@pytest.fixture
def order(studio):
    """An order with the narrow network; its styles are this often the same one."""

    def call(count=1, **fields):
        content, style = (str(studio / HOSTILE[kind]) for kind in ("content", "style"))
        return words.make(content, *[style] * count, weights=str(studio / "narrow.h5"), **FIELDS | fields)

    return call


@pytest.fixture(scope="module")
def made(studio, tmp_path_factory):
    """The folder of one whole run with its report in `all/of it`."""
    folder = tmp_path_factory.mktemp("made")
    argv = ["stylize", *(str(studio / HOSTILE[kind]) for kind in ("content", "style"))]
    argv += ["-o", str(folder / HOSTILE["out"]), "--weights", str(studio / "narrow.h5")]
    argv += [word for name, value in FIELDS.items() for word in (f"--{name.replace('_', '-')}", value)]
    assert cli.main([*argv, "--report", str(folder / "all" / "of it")]) == 0
    return folder


def item(asked):
    """What is painted, made ready."""
    task = networks.with_network(compose.task(asked), networks.Network(asked.machine.weights))
    return prepare.item(task, Machine())


def follow(report, asked, *, until=30):
    """Shows a report a run of two sizes of plain pictures, of which nothing is computed: its page."""
    ready = item(asked)
    task, shape = ready.task, ready.task.shape
    report.begin(Start(task, ready.record))
    for step in range(10, until + 1, 10):
        size = shape if step > 10 else (shape[0] // 2, shape[1] // 2)
        terms = {"content/relu1_2": 30.0 / step, "style/relu1_1": 3.0 / step, "variation": 0.0}
        frame = Frame(step, np.full((*size, 3), step / 60, "f"), terms, None, Plan())
        report.see(frame)
        report.see(frame._replace(step=step + 1, image=np.ones((*size, 3), "f"), fixed=False))  # by the clock
    image = task.finish(np.full((*shape, 3), until / 60, "f"))
    kept = ready.record._replace(steps=until, terms=terms)
    result = workshop.Result(kept, image, task.extras, frame)
    report.end(result)
    return Page(report.folder), result


def test_report_is_four_files_beside_the_picture(made):
    assert sorted(os.listdir(made)) == sorted([HOSTILE["out"], "all"])
    assert sorted(os.listdir(made / "all" / "of it")) == sorted(page.FILES)
    assert images.load(made / HOSTILE["out"]).shape == (48, 64, 3)
    assert images.load(made / "all" / "of it" / page.CURVES).min() < 0.5
    assert images.load(made / "all" / "of it" / page.SHEET).shape[1] == 3 * 400 + 4 * sheets.GAP
    assert page.files("x") == [os.path.join("x", name) for name in page.FILES]
    assert page.files(None) == page.files("") == []


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
    known = Page(made / "all" / "of it")
    assert len(known.addresses) == 5  # result, content, style, animation, curves
    for address in known.addresses:
        assert address.startswith("data:image/")
        with Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2], validate=True))) as im:
            im.load()
    rest = re.sub(r'"data:[^"]*"', '""', known.source)
    assert not re.search(r"//|@import|url\(|https?:|\bfile:", rest)
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & set(known.tags)
    assert "prefers-color-scheme: dark" in rest
    assert len(re.findall("default-src 'none'", rest)) == 1


def test_page_shows_names_as_text(made):
    known = Page(made / "all" / "of it")
    assert known.tags.count("img") == len(known.addresses)
    assert known.tags.count("b") == 2  # ours, in captions
    assert "<script" not in known.source
    for name in HOSTILE.values():
        assert name in known.text


def test_page_says_what_made_the_picture(made):
    text = Page(made / "all" / "of it").text
    found = record.parse(metadata.read(made / HOSTILE["out"]))
    assert "gatys-notebook · 64×48 px · 30 steps in " in text
    assert "43×32: 10 steps, 64×48: 20 steps" in text
    for file in (found.inputs[kind][0] for kind in ("content", "style")):
        assert file["sha256"] in text
    for name, value in found.terms.items():
        assert f"{name}{value:.6g}" in text
    for name, value in found.order.items():
        assert f"{name}{value}" in text
    assert found.network["sha256"] in text
    assert str(made) not in text
    assert "turns" not in text


def test_page_repeats_the_run(made, monkeypatch):
    monkeypatch.chdir(made)
    known = Page(made / "all" / "of it")
    args = cli.parser().parse_args(known.command[1:])
    assert os.path.basename(args.result) == HOSTILE["out"]
    assert os.path.exists(args.result)
    assert (args.content, args.style) == (HOSTILE["content"], [HOSTILE["style"]])
    assert args.weights == "narrow.h5"


def test_pages_command_paints_the_picture_again(made, studio, tmp_path, command, monkeypatch):
    """As it stands, in a folder where its files are."""
    for path in (*studio.iterdir(), made / HOSTILE["out"]):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    code, _, err = command(*Page(made / "all" / "of it").command[1:])
    assert (code, "changed" in err) == (0, False), err
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / HOSTILE["out"]).read_bytes()


def test_page_repeats_masks_and_what_is_kept(order, tmp_path):
    images.save(tmp_path / "-m.png", drawn(3, 48, 60))
    mask = str(tmp_path / "-m.png")
    asked = order(2, style_mask=["-", mask], keep_metadata=True, init=mask, colour=f"palette:{mask}")
    known, _ = follow(page.Report(tmp_path / "r", tmp_path / "out.png", more=["--log", "x"]), asked)
    assert len(known.addresses) == 3 + 6  # result, animation, curves; content, two styles, a mask, a start, a palette
    line = " ".join(known.command)
    assert "--style-mask - ./-m.png --init ./-m.png --palette ./-m.png --weights narrow.h5 --keep-metadata" in line
    assert line.endswith("--log x -o again.png")
    assert cli.parser().parse_args(known.command[1:]).style_mask == ["-", "./-m.png"]


def test_page_says_by_which_network_a_stage_was_painted(order, tmp_path):
    report = page.Report(tmp_path / "r", "out.png")
    _, result = follow(report, order())
    stages = [{"size": [64, 48], "steps": 20, "network": "fast"}, {"size": [64, 48], "steps": 10}]
    report.end(result._replace(record=result.record._replace(stages=stages)))
    assert Page(tmp_path / "r").rows["size"] == "64×48: 20 steps by the fast network, 64×48: 10 steps"


def test_page_says_what_was_changed_on_the_way(order, tmp_path):
    turns = ((10, Turn(style=2.5, rate=0.5)), (20, Turn(mix=(1.0, 3.0), strength=0.75)))
    known, _ = follow(page.Report(tmp_path / "r", "out.png"), order(2).with_values(turns=turns))
    assert known.rows["turns"] == "after 10 steps: style 2.5, rate 0.5; after 20 steps: strength 0.75, mix 1, 3"


def test_what_is_said_when_there_is_a_page_and_nothing_before(order, tmp_path):
    said = []
    report = page.Report(tmp_path / "r", tmp_path / "out.png", said=said.append)
    report.begin(Start(item(order()).task, item(order()).record))
    report.end(None)  # it ended before there was a picture
    assert (said, os.listdir(tmp_path / "r")) == ([], [])
    follow(report, order())
    assert said == [tmp_path / "r" / page.PAGE]


def test_report_of_a_run_that_was_stopped(order, tmp_path):
    known, result = follow(page.Report(tmp_path / "r", "out.png"), order(), until=20)
    assert "stopped after 20 of 30 steps" in known.text
    pictures, _ = zip(*shown(tmp_path / "r" / page.RUN), strict=True)
    assert [round(60 * picture.mean() / 255) for picture in pictures] == [10, 20]
    assert result.image.mean() == pytest.approx(1 / 3, abs=0.01)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError("the disk is full")])
def test_a_run_that_ends_early_has_its_page(studio, tmp_path, command, monkeypatch, error):
    """The command saves its picture, and the page of what there is."""
    drive = workshop.paint_in_chunks

    def stopped(*args, **options):
        for run, frames in drive(*args, **options):
            if frames[0].step > 10:
                raise error
            yield run, frames

    monkeypatch.setattr(workshop, "paint_in_chunks", stopped)
    argv = [word for name, value in FIELDS.items() for word in (f"--{name.replace('_', '-')}", value)]
    pictures = (studio / HOSTILE[kind] for kind in ("content", "style"))
    argv += ["--weights", studio / "narrow.h5", "-o", tmp_path / "out.png", "--report", tmp_path / "r"]
    code, _, err = command("stylize", *pictures, *argv)
    assert code == (130 if isinstance(error, KeyboardInterrupt) else 1)
    assert "the picture after 10 steps is in" in err
    assert "stopped after 10 of 30 steps" in Page(tmp_path / "r").text
    assert images.load(tmp_path / "out.png").shape == (48, 64, 3)


def test_report_is_in_the_colours_of_the_result(order, tmp_path):
    _, result = follow(page.Report(tmp_path / "r", "out.png"), order(colour="content-luminance"))
    assert np.ptp(result.image.mean((0, 1))) > 0.02
    for picture, _ in shown(tmp_path / "r" / page.RUN):  # grey before they are finished
        np.testing.assert_allclose(np.diff(picture.mean((0, 1)) / 255), np.diff(result.image.mean((0, 1))), atol=0.08)


def test_report_of_a_texture_shows_its_style_alone(studio, order, tmp_path):
    style = str(studio / HOSTILE["style"])
    asked = order(content_weight=0.0, init="noise", size=32).with_values(content=style)
    known, _ = follow(page.Report(tmp_path / "r", tmp_path / "out.bmp"), asked)
    assert len(known.addresses) == 4  # result, style, animation, curves
    assert "A .bmp file holds no settings to repeat: write a .png" in known.text


def test_a_report_keeps_few_and_small_pictures():
    report, counts = page.Report("", "out.png"), []
    for n in range(1, 101):
        image = np.zeros((8, 2000 if n == 40 else 8, 3))
        report.see(Frame(10 * n, image, {}, None))
        report.see(Frame(10 * n + 3, image, {}, None, fixed=False))
        counts.append(len(report.moments))
    assert max(counts) <= page.KEPT
    assert [step for step, _ in report.moments.values()] == list(range(10, 1001, 40))
    assert [row["step"] for row in report.rows] == list(range(10, 1001, 10))
    shapes = {picture.shape for _, picture in report.moments.values()}
    assert max(max(shape) for shape in shapes) <= page.SMALL


# The command


@pytest.fixture
def refused(studio, tmp_path, command, monkeypatch):
    """Asserts that a run with these flags writes nothing and does not begin to paint: (exit code, its last line)."""
    monkeypatch.setattr("nst_jax.painting.painter.start", lambda *args, **options: pytest.fail("it began to paint"))
    (tmp_path / "file").write_text("mine")

    def call(*flags, content=studio / HOSTILE["content"]):
        argv = ("-o", tmp_path / "out.png", "--weights", studio / "narrow.h5", *flags)
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        code, _, err = command("stylize", content, studio / HOSTILE["style"], *argv)
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
        return code, err.splitlines()[-1]

    return call


def test_what_a_report_lacks_is_said_before_the_run(refused, tmp_path, monkeypatch):
    said = f"nst-jax: folder must not be a file, got {str(tmp_path / 'file')!r}: choose another name"
    assert refused("--report", tmp_path / "file")[0] == 1
    assert refused("--report", tmp_path / "file")[1].replace("--folder", "folder") == said
    code, said = refused("--report", tmp_path / "r", "--colour", "only")
    assert code == 2
    assert "error: --report must not go with --colour only, which paints nothing: drop it" in said
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    said = "nst-jax: matplotlib must be installed, got none: pip install 'nst-jax[plot]'"
    assert refused("--report", tmp_path / "r") == (1, said)


def test_a_report_does_not_write_over_what_the_run_needs(refused, tmp_path):
    images.save(tmp_path / "sheet.jpg", drawn(3, 32, 32))
    code, said = refused("--report", tmp_path, content=tmp_path / "sheet.jpg")
    assert (code, "output must not be a file that the run needs" in said) == (1, True)
    code, said = refused("--report", tmp_path, "-o", tmp_path / "sheet.jpg")
    assert (code, "output must not be a file that the run needs" in said) == (1, True)
