"""Draw what the README shows of the studio: a real painting of drawn pictures, in a real browser.

python scripts/screens.py        # docs/studio.jpg; needs playwright and Chromium
"""

import math
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from PIL import Image
from playwright.sync_api import sync_playwright

DOCS = pathlib.Path(__file__).parents[1] / "docs"
WIDE = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 800}


def main() -> None:
    """Paint, look, and save."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        code = "import sys; from nst_jax import cli; sys.exit(cli.main())"
        words = ("studio", "--port", "0", "--no-browser", "--folder", folder)
        server = subprocess.Popen([sys.executable, "-c", code, *words], stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            address = server.stdout.readline().split()[1]
            browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            shots = _shots(browser, address, pathlib.Path(folder))
        finally:
            server.terminate()
            server.wait()
        height = max(shot.height for shot in shots)
        gap = 24
        canvas = Image.new("RGB", (sum(s.width for s in shots) + gap * (len(shots) - 1), height), "#808080")
        x = 0
        for shot in shots:
            canvas.paste(shot, (x, 0))
            x += shot.width + gap
        canvas.save(DOCS / "studio.jpg", quality=86)


def _shots(browser, address, folder) -> list[Image.Image]:
    page = browser.new_page(viewport=WIDE, color_scheme="dark")
    page.set_default_timeout(120_000)
    page.goto(address)
    page.click("[data-sample=skyline]")
    page.click("[data-sample=flow]")
    page.wait_for_selector("#style-body .tile")
    page.click("#paint")
    page.wait_for_selector("#strip button:nth-child(9)")
    page.locator(".steer input[data-name=style]").fill(str(_log(3.0)))
    _until(page, lambda: int(page.inner_text("#step").split()[0]) >= 78)
    page.wait_for_timeout(300)
    shots = [_shot(page, folder / "wide.png")]
    phone = browser.new_page(viewport=PHONE, color_scheme="light", has_touch=True, is_mobile=True)
    phone.goto(page.url)
    _until(page, lambda: page.inner_text("#state") == "Finished")
    phone.wait_for_timeout(1500)
    return [*shots, _shot(phone, folder / "phone.png")]


def _log(factor: float) -> float:
    """Where a factor stands on a slider of 200 places, from 1/20 to 20."""
    return round(100 + 100 * math.log(factor) / math.log(20))


def _until(page, done, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, page.inner_text("body")
        page.wait_for_timeout(50)


def _shot(page, path) -> Image.Image:
    page.screenshot(path=path)
    return Image.open(path).convert("RGB").copy()


if __name__ == "__main__":
    main()
