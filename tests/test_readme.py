"""Every command that the README shows runs as it is written, but for its size, its steps and the network."""

import pathlib
import re
import shlex
import shutil

import pytest

from nst_jax import cli

pytestmark = pytest.mark.usefixtures("quick_compiler")

README = (pathlib.Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
PLAIN = "nst-jax stylize town.jpg night.jpg -o painting.png"
QUICK = ["--style-layers", "relu1_1,relu2_1"]  # to compile
SCRIPTS = ("scripts/demo.sh", "scripts/test.sh", "scripts/check")


def commands():
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("nst-jax ")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, narrow):
    """A folder with every picture that the README names, and a narrow network."""
    from nst_jax.network import vgg19
    from nst_jax.pictures import images, samples

    here = tmp_path_factory.mktemp("readme")
    drawn = {"town.jpg": "skyline", "night.jpg": "flow", "wave.jpg": "woodcut"}
    for name, sample in drawn.items():
        images.save(here / name, samples.draw(sample, (48, 64)))
    sky = samples.draw("skyline", (48, 64)) * 0
    sky[:24] = 1
    images.save(here / "sky.png", sky)
    images.save(here / "ground.png", 1 - sky)
    for name, picture in {"photographs": "town.jpg", "paintings": "night.jpg"}.items():
        (here / name).mkdir()
        shutil.copy(here / picture, here / name)
    (here / "jobs.csv").write_text("content,style,seed\ntown.jpg,night.jpg,1\ntown.jpg,night.jpg;wave.jpg,2\n")
    vgg19.save(here / "narrow.h5", narrow)
    return here


@pytest.mark.parametrize("line", commands())
def test_commands_of_the_readme(line, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    words = [{"5": "0.3"}.get(word, word) if "--minutes" in line else word for word in shlex.split(line)[1:]]
    if words[0] in ("stylize", "texture", "reconstruct", "sweep", "batch"):
        if "--save-every" in words:
            words[words.index("--save-every") + 1] = "2"
        words += ["--size", "48x32", "--ladder", "48:30" if "--fast-first" in words else "48:3"]
        words += [] if {"--preview", "--network"} & {*words} else ["--weights", "narrow.h5"]
        words += QUICK if line != PLAIN else []
    if words[0] == "plan":
        words += ["--weights", "narrow.h5"]
    if words[0] == "studio":  # bound, and not served: tests/test_studio_page.py visits one
        (folder / "password").write_text("correct horse battery\n")
        monkeypatch.setattr("uvicorn.Server.run", lambda self, sockets: [bound.close() for bound in sockets])
        words += ["--port", "0", "--folder", "studio", "--no-browser"]
    words += ["--live", "0"] if "--live" in words else []
    if words[0] in ("show", "rerun"):
        paint = ["stylize", "town.jpg", "night.jpg", "-o", "painting.png", "--ladder", "32:2", *QUICK]
        assert cli.main([*paint, "--weights", "narrow.h5"]) == 0
        words += ["--weights", "narrow.h5"] if words[0] == "rerun" else []
    out = [folder / words[words.index("-o") + 1]] if "-o" in words else []
    for path in out:  # what another command has left there proves nothing
        shutil.rmtree(path, ignore_errors=True)
        path.unlink(missing_ok=True)
    assert cli.main(words) == 0, capsys.readouterr().err
    pictures = [found for path in out for found in ([*path.glob("*.png")] if path.is_dir() else [path])]
    assert bool(pictures) == bool(out)
    assert all(path.stat().st_size > 100 for path in pictures)


def test_the_readme_names_commands_and_files_that_are_there():
    assert len(commands()) >= 15
    assert PLAIN in commands()
    root = pathlib.Path(__file__).parent.parent
    for script in SCRIPTS:
        assert script in README
        assert (root / script).exists()
    for path in re.findall(r"\]\(((?!http)[^)#]+)\)", README):
        assert (root / path).exists(), path
    assert shutil.which("sh")
