"""Whichever write fails, what was there before is there, or the whole new file: full disks, folders that go away."""

import contextlib
import errno
import io
import os
import pathlib
import shutil
import subprocess

import pytest
from PIL import Image

from nst_jax import cli
from nst_jax.ground import storage
from nst_jax.network import vgg19
from nst_jax.pictures import images, samples

pytestmark = pytest.mark.usefixtures("quick_compiler")

PICTURES = ["town.png", "night.png", "--recipe", "gatys-notebook", "--optimizer", "adam", "--ladder", "32"]
PICTURES += ["--style-layers", "relu1_1:1", "--content-layers", "relu1_2:1", "--weights", "narrow.h5", "--no-cache"]
WATCHED = ["--report", "out/report", "--save-every", "5", "--folder", "out/steps", "--log", "out/run.log"]
KEPT = ["--checkpoint", "out/kept", "--checkpoint-every", "1"]
COMMANDS = {
    "stylize": ["stylize", *PICTURES, "--steps", "10", "-o", "out/a.png", *WATCHED, *KEPT],
    "sweep": ["sweep", *PICTURES, "--steps", "2", "-o", "out", "--style-weight", "1,2"],
    "weights": ["weights", "convert", "narrow.h5", "--out", "out/vgg.h5"],
}


@pytest.fixture
def here(tmp_path, narrow, monkeypatch):
    """A folder of pictures and a narrow network, in which commands are done; a home of its own."""
    images.save(tmp_path / "town.png", samples.draw("skyline", (32, 40)))
    images.save(tmp_path / "night.png", samples.draw("mosaic", (32, 36)))
    vgg19.save(tmp_path / "narrow.h5", narrow, source="a test")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def stored(folder):
    """{name: bytes} of the files that must be whole: not of a log, which grows, nor of what tells the time."""
    paths = [path for path in pathlib.Path(folder).rglob("*") if path.is_file() and path.name != storage.LOCK]
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in paths if p.suffix not in (".log", ".html", ".checkpoint")
    }


def is_whole(bits, new):
    """Whether these are the new file, or a whole one of a run that the failure has ended early."""
    if bits == new or (bits.endswith(b"\n") and {*bits.splitlines()} <= {*new.splitlines()}):
        return True  # or the lines of the pictures that there are
    with contextlib.suppress(Exception), Image.open(io.BytesIO(bits)) as picture:
        picture.load()
        return True
    return False


def failing(monkeypatch, call, number):
    """Makes the n-th call of one of the system's functions fail as a full disk does; gives how often it was called."""
    known, seen = getattr(os, call), []

    def limited(*args, **more):
        seen.append(args)
        if len(seen) == number:
            raise OSError(errno.ENOSPC, "No space left on device")
        return known(*args, **more)

    monkeypatch.setattr(os, call, limited)
    return seen


@pytest.mark.parametrize("call", ["replace", "fsync"])
@pytest.mark.parametrize("name", COMMANDS)
def test_whichever_write_fails_old_or_new_files_are_whole(name, call, here, monkeypatch, capsys):
    os.mkdir("out")
    assert cli.main(COMMANDS[name]) == 0
    new = stored("out")
    shutil.rmtree("out")
    old = dict.fromkeys(new, b"what was there before")
    for number in range(1, 200):
        for file, text in old.items():
            path = here / "out" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text)
        capsys.readouterr()
        with monkeypatch.context() as patch:
            seen = failing(patch, call, number)
            code = cli.main(COMMANDS[name])
        said = capsys.readouterr().err
        assert "Traceback" not in said
        found = stored("out")
        for file in old:
            assert found[file] == old[file] or is_whole(found[file], new[file]), f"{file}, write {number}"
        assert not [*here.rglob(f"{storage.PREFIX}*")], "half a file is left"
        if len(seen) < number:
            assert code == 0
            assert found == new
            break
        if code:
            assert "No space left on device" in said.splitlines()[-1]
        for path in here.glob("out/nst-jax-*"):  # the picture, saved elsewhere
            path.unlink()
        shutil.rmtree("out")
    else:
        pytest.fail("it never ended")
    assert number > 1


@pytest.mark.parametrize("what", ["out", "out/kept"])
def test_a_folder_that_vanishes_while_it_paints_costs_no_picture(what, here, monkeypatch, capsys):
    """The picture is saved elsewhere, or the run goes on without checkpoints; the line says which."""
    from nst_jax.orders import workshop

    os.mkdir("out")
    results, carry_out = [], workshop.carry_out

    def vanishing(*args, **more):
        result = carry_out(*args, **more)
        shutil.rmtree(what)
        results.append(result)
        return result

    monkeypatch.setattr(workshop, "carry_out", vanishing)
    command = [word for word in COMMANDS["stylize"] if not word.startswith("out/report") and word != "--report"]
    code = cli.main(command)
    said = capsys.readouterr().err.splitlines()[-1]
    assert code == 1
    place = here / "out" / "a.png"
    if what == "out":
        assert "the picture is in " in said
        place = pathlib.Path(said.rpartition("the picture is in ")[2])
    assert images.load(place).shape == (32, 40, 3)


@pytest.fixture
def small_disk(here):
    """A folder that holds 32 kB and no more: a file system of its own, in memory."""
    place = here / "small"
    place.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", place], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"nobody may mount a file system here: {made.stderr.strip()}")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_full_disk_costs_no_picture_and_nothing_that_was_there(small_disk, here, capsys):
    (small_disk / "a.png").write_bytes(b"what was there before")
    with contextlib.suppress(OSError), open(small_disk / "full", "wb") as file:
        while True:
            file.write(bytes(1024))
            file.flush()
    assert cli.main(["stylize", *PICTURES, "--steps", "2", "-o", "small/a.png"]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert "No space left on device" in said
    assert images.load(said.rpartition("the picture is in ")[2]).shape == (32, 40, 3)
    assert (small_disk / "a.png").read_bytes() == b"what was there before"
    assert sorted(path.name for path in small_disk.iterdir()) == ["a.png", "full"]


def test_a_disk_that_fills_up_with_checkpoints_costs_no_picture(small_disk, here, capsys):
    """The one before the first step fits; those with a picture and its moments do not."""
    kept = ["--checkpoint", "small/kept", "--checkpoint-every", "1"]
    assert cli.main(["stylize", *PICTURES, "--steps", "30", "-o", "a.png", *kept]) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("checkpoint: ")]
    assert said
    assert all("No space left on device" in line and "the run goes on" in line for line in said)
    assert images.load("a.png").shape == (32, 40, 3)
    assert [path.name for path in (small_disk / "kept").iterdir() if path.suffix != ".checkpoint"] == [storage.LOCK]


@pytest.mark.parametrize("name", ["sweep", "batch"])
def test_of_several_pictures_each_that_cannot_be_saved_there_is_saved_elsewhere(name, here, monkeypatch, capsys):
    """The folder is full: both pictures that are painted together are in the home folder, and the lines say so."""
    (here / "jobs.csv").write_text(
        "content,style,seed,output\n" + "".join(f"town.png,night.png,{n},{n}.png\n" for n in "12")
    )
    words = {"sweep": COMMANDS["sweep"], "batch": ["batch", "jobs.csv", *PICTURES[2:], "--steps", "2", "-o", "out"]}
    save = images.save

    def full(path, *args, **more):
        if pathlib.Path(path).absolute().is_relative_to(here / "out"):
            raise OSError(errno.ENOSPC, "No space left on device")
        save(path, *args, **more)

    monkeypatch.setattr(images, "save", full)
    code = cli.main([*words[name], "--chunk", "2"])
    said = capsys.readouterr().err
    assert (code, "Traceback" in said) == (1, False)
    found = sorted(here.glob("nst-jax-*.png"))
    assert [images.load(path).shape for path in found] == [(32, 40, 3)] * 2
    assert all(f"No space left on device; the picture is in {path}" in said for path in found)
    if name == "sweep":
        assert said.splitlines()[-1].endswith("; 0 of 2 pictures are whole in out")
