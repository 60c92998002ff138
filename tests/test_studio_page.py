"""The studio's page in a real browser: what a visitor does and sees, with a real server in its own process."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
import zipfile

import numpy as np
import pytest
from conftest import drawn
from PIL import Image

from nst_jax.network import vgg19
from nst_jax.orders import record as records
from nst_jax.pictures import images, metadata

playwright = pytest.importorskip("playwright.sync_api", reason="drives a browser: pip install playwright")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, as `apt-get install chromium` brings it")

PATIENCE = 60  # seconds for what takes moments on a quiet machine
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}


class Server:
    """A studio in a process of its own."""

    def __init__(self, folder, *words):
        self.folder, self.words, self.said = folder, words, folder / f"said-{id(self)}.txt"
        self.port = "0"
        self.start()

    def start(self):
        code = "import sys; from nst_jax import cli; sys.exit(cli.main())"
        words = ("studio", "--port", self.port, "--no-browser", "--folder", self.folder / "studio", "--no-cache")
        env = os.environ | {"NST_JAX_WEIGHTS": str(self.folder / "narrow.h5"), "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
        argv = [sys.executable, "-c", code, *map(str, words), *map(str, self.words)]
        with open(self.said, "w") as said:
            self.process = subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=said, text=True)
        self.address = self.process.stdout.readline().split()[1]
        self.port = self.address.rstrip("/").rpartition(":")[2]

    def state(self, name):
        with urllib.request.urlopen(f"{self.address}api/paintings/{name}", timeout=30) as answer:
            return json.loads(answer.read())

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        self.process.wait(60)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, narrow):
    found = tmp_path_factory.mktemp("page")
    vgg19.save(found / "narrow.h5", narrow)
    images.save(found / "town.png", drawn(1, 120, 160))
    images.save(found / "night.png", drawn(2, 130, 140))
    images.save(found / "wave.png", drawn(3, 120, 150))
    (found / "hostile.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\xff" * 3000)
    return found


@pytest.fixture(scope="module")
def server(folder):
    found = Server(folder)
    yield found
    found.stop()


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def visit(browser, server):
    """A function that opens the page at an address; errors of its scripts fail the test."""
    opened, errors = [], []

    def open_page(path="", *, size=WIDE, address=None, **options):
        context = browser.new_context(viewport=size, accept_downloads=True, **options)
        page = context.new_page()
        page.set_default_timeout(1000 * PATIENCE)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto((address or server.address) + path)
        opened.append(context)
        return page

    yield open_page
    for context in opened:
        context.close()
    assert errors == []


def until(page, done, *args):
    """Wait until a function of the page's state says so."""
    deadline = time.monotonic() + PATIENCE
    while not (found := done(page, *args)):
        assert time.monotonic() < deadline, page.inner_text("body")[:600]
        page.wait_for_timeout(30)
    return found


def is_in(page, *words):
    return page.inner_text("#state") in words


def step(page) -> int:
    return int((page.inner_text("#step").split() or ["0"])[0])


def pixels(page, selector="#canvas") -> np.ndarray:
    """The colours of a canvas: [h, w, 3]."""
    script = """selector => { const c = document.querySelector(selector)
      return [c.width, c.height, [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]] }"""
    width, height, data = page.evaluate(script, selector)
    return np.array(data, np.uint8).reshape(height, width, 4)[..., :3]


def choose(page, folder, *, steps=3000, styles=("night.png",), **settings):
    """Fill the form in."""
    page.wait_for_selector("[data-sample=skyline]")  # it listens
    page.set_input_files("#file-content", folder / "town.png")
    page.set_input_files("#file-style", [folder / name for name in styles])
    page.wait_for_selector(f"#style-body .tile:nth-of-type({len(styles)})")
    page.click("#more summary")
    for name, value in ({"recipe": "tf-tutorial", "quality": "full"} | settings).items():
        page.select_option(f"[data-name={name}]", value)
    for name, value in {"size": 64, "steps": steps}.items():
        page.fill(f"[data-name={name}]", str(value))
    page.locator("[data-name=steps]").blur()


def begin(page, folder, **settings) -> str:
    """Start a painting; its name."""
    choose(page, folder, **settings)
    page.click("#paint")
    page.wait_for_selector("#painting:not([hidden])")
    return page.url.rpartition("/")[2]


def shows(page, least):
    return step(page) >= least and bool(pixels(page).std() > 0)


def test_a_picture_is_uploaded_painted_and_taken_away(visit, server, folder, command, tmp_path):
    page = visit()
    name = begin(page, folder, steps=60)
    until(page, is_in, "Painting", "Finished")
    until(page, is_in, "Finished")
    before, after = np.asarray(Image.open(folder / "town.png").resize((64, 48))), pixels(page)
    assert abs(before.astype(int) - np.asarray(Image.fromarray(after).resize((64, 48)), int)).mean() > 10
    for word, suffix in {"png": ".png", "jpg": ".jpg", "film": (".webp", ".mp4"), "zip": ".zip"}.items():
        with page.expect_download() as found:
            page.click(f"#download-{word}")
        assert found.value.suggested_filename.endswith(suffix)
        found.value.save_as(tmp_path / word)
    with zipfile.ZipFile(tmp_path / "zip") as zipped:
        zipped.extractall(tmp_path / "out")
    assert (tmp_path / "out/result.png").read_bytes() == (tmp_path / "png").read_bytes()
    out = tmp_path / "out"
    words = ("rerun", out / "result.png", "--content", out / "content.png", "--style", out / "style-1.png")
    quick = os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "NST_JAX_WEIGHTS": str(folder / "narrow.h5")}
    argv = [sys.executable, "-m", "nst_jax", *map(str, words), "-o", str(out / "again.png"), "--no-cache"]
    subprocess.run(argv, env=quick, check=True, capture_output=True)
    np.testing.assert_array_equal(*(np.asarray(Image.open(out / name)) for name in ("result.png", "again.png")))
    assert server.state(name)["state"] == "finished"


def test_pictures_that_are_on_their_way_are_waited_for(visit, folder):
    page, held = visit(), []

    def hold(route):
        """The first upload, the photograph's, arrives after all others."""
        first = route.request.method == "POST" and not held
        held.append(route) if first else route.continue_()

    page.route("**/api/pictures", hold)
    choose(page, folder, steps=3)
    page.click("#paint")
    page.wait_for_selector("#paint[aria-busy=true]")
    assert page.locator("#content-body .tile").count() == 0
    held[0].continue_()
    page.wait_for_selector("#painting:not([hidden])")


PASTE = """async pictures => { for (const [name, url] of pictures) {
  const file = new File([await (await fetch(url)).blob()], name, {type: 'image/png'}), data = new DataTransfer()
  data.items.add(file)
  document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true})) } }"""


def names(page, place) -> list[str]:
    return page.locator(f"#{place}-body .tile-name").all_inner_texts()


def begun(visit):
    page = visit()
    page.wait_for_selector("[data-sample=skyline]")
    return page


def test_two_pictures_pasted_at_once_are_a_photograph_and_a_painting(visit):
    page = begun(visit)
    page.evaluate(PASTE, [["a.png", "/samples/skyline.jpg"], ["b.png", "/samples/flow.jpg"]])
    page.wait_for_selector("#style-body .tile")
    assert (names(page, "content"), names(page, "style")) == (["a.png"], ["b.png"])


def test_what_was_asked_for_last_stays(visit, server, folder):
    """Whatever answers come in what order: of photographs, and of turns."""
    page, held = begun(visit), {}

    def hold(route):
        kind = route.request.url.rpartition("/")[2]
        first = route.request.method == "POST" and kind not in held
        held.setdefault(kind, []).append(route) if first else route.continue_()

    page.route("**/api/pictures", hold)
    page.set_input_files("#file-content", folder / "town.png")
    page.set_input_files("#file-content", folder / "wave.png")
    page.wait_for_selector("#content-body .tile")
    held["pictures"][0].continue_()
    page.wait_for_selector("body:not(.busy)")
    assert names(page, "content") == ["wave.png"]
    name = begin(page, folder)
    until(page, shows, 10)
    page.route("**/turn", hold)
    move = (
        "v => { const i = document.querySelector('#steer-strength'); i.value = v; i.dispatchEvent(new Event('input')) }"
    )
    page.evaluate(move, 0.3)
    until(page, lambda page: "turn" in held)
    page.evaluate(move, 0.9)
    page.wait_for_timeout(600)
    held["turn"][0].continue_()
    until(page, lambda page: server.state(name)["turn"]["strength"] == 0.9)
    page.wait_for_timeout(600)
    assert server.state(name)["turn"]["strength"] == 0.9
    page.click("#finish")


def test_what_is_pressed_twice_is_done_once(visit, server, folder):
    page = begun(visit)
    page.dblclick("[data-sample=flow]")
    page.wait_for_selector("#style-body .tile")
    page.wait_for_selector("body:not(.busy)")
    assert len(names(page, "style")) <= 1
    page = visit()
    begin(page, folder)
    until(page, shows, 30)
    page.click("#pause")
    until(page, is_in, "Paused")
    page.locator("#strip button").nth(1).click()
    page.wait_for_selector("#looking:not([hidden])")

    def known():
        with urllib.request.urlopen(f"{server.address}api/paintings") as answer:
            return len(json.loads(answer.read()))

    before = known()
    page.evaluate("() => { const b = document.querySelector('#branch'); b.click(); b.click() }")
    until(page, lambda page: known() > before)
    until(page, is_in, "Painting", "Finished")
    assert known() == before + 1
    assert not page.is_visible("#message")
    page.click("#finish")


def test_an_error_is_there_until_it_is_mended(visit, folder):
    page = begun(visit)
    page.set_input_files("#file-style", [folder / "hostile.png", folder / "night.png"])
    page.wait_for_selector("#style-body .tile")
    page.wait_for_selector("body:not(.busy)")
    assert page.inner_text("#message-text").startswith("hostile.png: ")
    page.click("#paint")
    page.wait_for_selector("#error-content:not([hidden])")
    page.set_input_files("#file-content", folder / "town.png")
    page.wait_for_selector("#content-body .tile")
    assert not page.is_visible("#error-content")
    assert not page.is_visible("#message")


def test_masks_that_are_on_their_way_are_gone_on_with(visit, folder):
    page, held = begun(visit), []
    page.set_input_files("#file-content", folder / "town.png")
    page.set_input_files("#file-style", folder / "night.png")
    page.wait_for_selector("#style-body .tile")
    page.wait_for_selector("#content-body .tile")

    def stroke(x):
        box = page.locator("#mask-canvas").bounding_box()
        page.mouse.move(box["x"] + x, box["y"] + 100)
        page.mouse.down()
        page.mouse.move(box["x"] + x + 60, box["y"] + 120, steps=4)
        page.mouse.up()
        return int((alpha(page) > 0).sum())

    page.click("#mask-open")
    page.wait_for_selector("#masks[open]")
    painted = stroke(100)
    assert painted > 0
    page.route("**/api/pictures", lambda route: route.continue_() if held else held.append(route))
    page.click("#mask-done")
    until(page, lambda page: held)
    page.click("#mask-open")
    held[0].continue_()
    page.wait_for_selector("#masks[open]")
    assert int((alpha(page) > 0).sum()) == painted
    assert stroke(300) > painted
    page.click("#mask-done")
    until(page, lambda page: "style by the map" in page.inner_text("#mask-note"))


def alpha(page) -> np.ndarray:
    script = """() => { const c = document.querySelector('#mask-canvas')
      return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data].filter((_, i) => i % 4 === 3) }"""
    return np.array(page.evaluate(script))


def test_nobody_goes_back_to_what_is_gone(visit, server, folder):
    page = begun(visit)
    page.evaluate("history.pushState(null, '', '/p/gone')")
    page.evaluate("history.pushState(null, '', '/')")
    page.go_back()
    until(page, lambda page: page.inner_text("#message-text") == "no such painting")
    assert page.url == server.address
    page.click("#message-close")
    page.go_back()
    page.wait_for_timeout(2000)  # it would be asked for again half a second later
    assert not page.is_visible("#message")


def test_it_is_steered_paused_taken_back_and_branched(visit, server, folder):
    page = visit()
    name = begin(page, folder)
    until(page, shows, 20)
    box = page.locator("#canvas").bounding_box()
    page.locator(".steer input[data-name=style]").focus()
    for _ in range(12):
        page.keyboard.press("ArrowRight")
    until(page, lambda page: server.state(name)["turns"])
    assert server.state(name)["turn"]["style"] > 1
    first = pixels(page)
    until(page, lambda page: (pixels(page) != first).any())
    page.click("#pause")
    until(page, is_in, "Paused")
    stood = server.state(name)["step"]
    assert server.state(name)["curve"][-1][0] <= stood
    earlier = server.state(name)["history"][1]
    page.click(f"#strip button[data-step='{earlier}']")
    page.wait_for_selector("#looking:not([hidden])")
    assert page.locator("#canvas").bounding_box() == box  # nothing jumps
    page.click("#branch")
    until(page, lambda page: not page.url.endswith(name))
    branch = page.url.rpartition("/")[2]
    assert server.state(branch)["from"] == {"id": name, "step": earlier}
    until(page, lambda page: step(page) > earlier)
    page.click("#finish")
    until(page, is_in, "Finished")
    page.go_back()
    until(page, is_in, "Paused")
    page.click(f"#strip button[data-step='{earlier}']")
    page.click("#go-back")
    until(page, lambda page: step(page) == earlier)
    page.click("#pause")
    until(page, lambda page: step(page) > earlier)
    page.click("#finish")
    until(page, is_in, "Finished")


def test_a_mask_is_painted_and_holds_where_it_was_painted(visit, server, folder, tmp_path):
    page = visit()
    choose(page, folder, styles=("night.png", "wave.png"), steps=20)
    page.click("#mask-open")
    page.wait_for_selector("#masks[open]")
    box = page.locator("#mask-canvas").bounding_box()
    page.click("[data-layer='1']")
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.8, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.95, y, steps=8)
    page.mouse.up()
    page.click("#mask-done")
    page.click("#paint")
    page.wait_for_selector("#painting:not([hidden])")
    name = page.url.rpartition("/")[2]
    until(page, is_in, "Finished")
    masks = server.state(name)["inputs"]["mask"]
    assert len(masks) == 2
    guides = []
    for mask in masks:
        with urllib.request.urlopen(f"{server.address}api/pictures/{mask}") as answer:
            (tmp_path / mask).write_bytes(answer.read())
        guides.append(np.asarray(Image.open(tmp_path / mask).convert("L"), int))
    middle = guides[1].shape[0] // 2
    assert guides[1][middle, int(0.9 * guides[1].shape[1])] > 200
    assert guides[1][middle, int(0.1 * guides[1].shape[1])] < 20
    assert abs(guides[0] + guides[1] - 255).max() <= 2


def test_a_page_that_is_loaded_again_and_a_second_one(visit, folder):
    page = visit()
    name = begin(page, folder)
    until(page, shows, 10)
    page.reload()
    until(page, shows, 10)
    other = visit(f"p/{name}", size=NARROW, has_touch=True, is_mobile=True)
    until(other, shows, 10)
    other.tap("#finish")
    for each in (page, other):
        until(each, is_in, "Finished")
    assert step(page) == step(other)
    np.testing.assert_array_equal(pixels(page), pixels(other))


def test_a_server_that_is_killed_and_started_again(visit, folder):
    own = Server(folder, "--folder", folder / "killed")
    try:
        page = visit(address=own.address)
        name = begin(page, folder)
        until(page, shows, 10)
        page.click("#pause")
        until(page, is_in, "Paused")
        stood = own.state(name)["step"]
        page.click("#pause")
        until(page, lambda page: step(page) > stood)
        own.stop(signal.SIGKILL)
        own.start()
        until(page, lambda page: step(page) > stood and is_in(page, "Painting"))
        page.click("#finish")
        until(page, is_in, "Finished")
    finally:
        own.stop()


def test_a_server_that_ends_while_it_is_watched_says_no_more_than_that(visit, folder):
    own = Server(folder, "--folder", folder / "watched")
    page = visit(address=own.address)
    begin(page, folder)
    until(page, shows, 10)
    own.stop(signal.SIGINT)
    assert own.said.read_text() in ("nst-jax: stopped\n", "")  # where Ctrl-C is ignored, as in a shell's background


def test_a_hostile_upload_is_said(visit, folder):
    page = visit()
    page.wait_for_selector("[data-sample=skyline]")
    page.set_input_files("#file-content", folder / "hostile.png")
    page.wait_for_selector("#message:not([hidden])")
    said = page.inner_text("#message-text")
    assert "this file" in said or "picture" in said
    assert "Traceback" not in said
    assert str(folder) not in said


def test_a_result_restores_its_settings(visit, server, folder, tmp_path):
    page = visit()
    begin(page, folder, steps=30)
    until(page, is_in, "Finished")
    with page.expect_download() as found:
        page.click("#download-png")
    found.value.save_as(tmp_path / "result.png")
    assert records.parse(metadata.read(tmp_path / "result.png")).steps == 30
    other = visit()
    other.wait_for_selector("[data-sample=skyline]")
    other.set_input_files("#file-restore", tmp_path / "result.png")
    other.wait_for_selector("#restored:not([hidden])")
    assert other.input_value("[data-name=steps]") == "30"
    assert other.input_value("[data-name=recipe]") == "tf-tutorial"
    other.click("#paint")
    until(other, is_in, "Finished")
    np.testing.assert_array_equal(pixels(page), pixels(other))


def test_by_keyboard_alone(visit, folder):
    page = visit()
    page.wait_for_selector("[data-sample=skyline]")
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        where = page.evaluate("document.activeElement.dataset.sample || document.activeElement.id || ''")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        reached.add(where)
        if where in ("skyline", "flow"):
            assert outline != "none"
            page.keyboard.press("Enter")
            page.wait_for_selector(f"#{'content' if where == 'skyline' else 'style'}-body .tile")
        if {"skyline", "flow"} <= reached:
            break
    assert {"skyline", "flow"} <= reached
    page.focus("[data-name=size]")
    page.keyboard.press("Control+a")
    page.keyboard.type("64")
    page.focus("#paint")
    page.keyboard.press("Enter")
    page.wait_for_selector("#painting:not([hidden])")
    until(page, lambda page: not is_in(page, "Waiting", "Preparing"))
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open]")
    page.keyboard.press("Escape")
    until(page, lambda page: page.locator("dialog[open]").count() == 0)


def test_nothing_is_wider_than_a_telephone(visit, folder):
    page = visit(size=NARROW, has_touch=True, is_mobile=True)
    wider = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    assert not page.evaluate(wider)
    begin(page, folder, steps=30)
    until(page, is_in, "Finished")
    assert not page.evaluate(wider)
    small = """[...document.querySelectorAll('button')]
      .filter(b => b.offsetParent && b.getBoundingClientRect().height < 40).map(b => b.id || b.textContent)"""
    assert page.evaluate(small) == []


@pytest.fixture(scope="module")
def axe(tmp_path_factory):
    """The script of axe-core, which looks for what keeps people out."""
    place = tmp_path_factory.mktemp("axe")
    try:
        argv = ["npm", "install", "--silent", "--prefix", str(place), "axe-core@4"]
        subprocess.run(argv, check=True, capture_output=True, timeout=120)
    except (OSError, subprocess.SubprocessError):
        pytest.skip("needs npm, and where it finds packages")
    return (place / "node_modules/axe-core/axe.min.js").read_text("utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_nobody_is_kept_out(visit, folder, axe, scheme, size):
    page = visit(size=size, color_scheme=scheme, bypass_csp=True)

    def violations():
        page.evaluate(axe)
        page.wait_for_timeout(400)  # colours change slowly; one in between has another contrast
        return [(v["id"], [n["html"][:150] for n in v["nodes"]]) for v in page.evaluate("axe.run()")["violations"]]

    page.wait_for_selector("[data-sample=skyline] img")
    assert violations() == []
    begin(page, folder, steps=30)
    until(page, is_in, "Finished")
    assert violations() == []
    for key, shown in {"p": "#drawer[open]", "?": "dialog[open]"}.items():
        page.focus("#panes")
        page.keyboard.press(key)
        page.wait_for_selector(shown)
        assert violations() == []
        page.keyboard.press("Escape")


def test_a_password_lets_one_in(visit, folder):
    (folder / "password").write_text("correct horse battery\n")
    own = Server(folder, "--password-file", folder / "password", "--folder", folder / "closed")
    try:
        page = visit(address=own.address)
        assert page.url.endswith("/login")
        page.fill("input[type=password]", "wrong")
        page.keyboard.press("Enter")
        page.wait_for_selector("text=not the password")
        page.fill("input[type=password]", "correct horse battery")
        page.keyboard.press("Enter")
        page.wait_for_selector("[data-sample=skyline]")
    finally:
        own.stop()
