"""Runs that were cut off go on to the same bytes: checkpoints as files, what is refused, real processes killed."""

import hashlib
import json
import os
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest

from nst_jax import cli
from nst_jax.ground import storage
from nst_jax.network import vgg19
from nst_jax.orders import checkpoints, snapshots, values, workshop
from nst_jax.painting import runs
from nst_jax.painting.job import Stage
from nst_jax.painting.memory import Plan
from nst_jax.pictures import images, samples
from nst_jax.recipes import Turn

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "scripts"))

import soak

pytestmark = pytest.mark.usefixtures("quick_compiler")

LAYERS = ["--style-layers", "relu1_1:1,relu2_1:1", "--content-layers", "relu1_2:1", "--weights", "narrow.h5"]
QUICK = ["town.png", "night.png", "--recipe", "gatys-notebook", *LAYERS, "--no-cache"]
SIZES = ["--ladder", "24:12,32:13"]  # 25 steps, frames at 10, 12, 20 and 25
ADAM = [*QUICK, *SIZES, "--optimizer", "adam"]


class Gone(BaseException):
    """What ends a run here as a kill does: nothing is saved after it."""


@pytest.fixture
def here(tmp_path, narrow, monkeypatch):
    """A folder of pictures and a narrow network, in which commands are done."""
    images.save(tmp_path / "town.png", samples.draw("skyline", (32, 40)))
    images.save(tmp_path / "night.png", samples.draw("mosaic", (32, 36)))
    images.save(tmp_path / "wave.png", samples.draw("woodcut", (36, 32)))
    vgg19.save(tmp_path / "narrow.h5", narrow, source="a test")
    (tmp_path / "jobs.csv").write_text(
        "content,style,seed,output\n" + "".join(f"town.png,night.png,{n},{n}.png\n" for n in range(3))
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def do(capsys):
    """Does a command in this process: (exit code, what it said)."""

    def call(*words):
        code = cli.main([*map(str, words)])
        return code, "".join(capsys.readouterr())

    return call


@pytest.fixture
def cut_off(monkeypatch, do):
    """Does a command that is cut off after so many steps, perhaps not of the first picture."""

    def call(steps, *words, picture=None):
        take, begun = runs._take_steps, []

        def counted(run, *args):
            begun.extend([run] if run.done == 0 else [])
            if run.done >= steps and picture in (None, len(begun)):
                raise Gone
            return take(run, *args)

        with monkeypatch.context() as patch:
            patch.setattr(runs, "_take_steps", counted)
            with pytest.raises(Gone):
                do(*words)

    return call


def written(folder):
    """Bytes of all that a command wrote in a folder, but for what tells the time."""
    found = {}
    for path in sorted(path for path in pathlib.Path(folder).rglob("*") if path.is_file()):
        name = str(path.relative_to(folder))
        if path.suffix == ".log":
            rows = map(json.loads, path.read_text().splitlines())
            found[name] = [{key: value for key, value in row.items() if key != "seconds"} for row in rows]
        elif path.name != "index.html":
            found[name] = path.read_bytes()
    return found


# Runs

KEEP = ["--checkpoint", "kept", "--checkpoint-every", "1"]
WATCHED = ["--log", "out/run.log", "--report", "out/report", "--save-every", "5", "--folder", "out/steps"]
CASES = {
    "sizes": (["stylize", *ADAM], [10, 12, 20]),
    "watched": (["stylize", *ADAM, *WATCHED], [6, 16]),
    "lbfgs": (["stylize", *QUICK, *SIZES, "--optimizer", "lbfgs"], [12, 20]),
    "averaged": (["stylize", *QUICK, *SIZES, "--optimizer", "pyramid-adam", "--neighbour-layers", "columns"], [10, 20]),
    "blend": (["stylize", "town.png", "night.png", "wave.png", *ADAM[2:], "--style-mix", "2,1"], [13]),
    "still": (["stylize", *QUICK, "--size", "32", "--steps", "60", "--optimizer", "adam", "--still", "2.5"], [11]),
    "texture": (["texture", "night.png", *ADAM[2:], "--size", "32"], [11]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_was_cut_off_ends_with_the_same_bytes(name, here, do, cut_off):
    words, stops = CASES[name]
    os.mkdir("out")
    code, said = do(*words, "-o", "out/a.png")
    assert code == 0, said
    known = written("out")
    os.rename("out", "known")
    for stop in stops:
        os.mkdir("out")
        cut_off(stop, *words, "-o", "out/a.png", *KEEP)
        assert not os.path.exists("out/a.png")
        kept = checkpoints.find("kept", said=print)
        assert kept.snapshot, "else nothing is tested"
        code, said = do("resume", "kept")
        assert code == 0, said
        assert written("out") == known
        for folder in "out", "kept":
            subprocess.run(["rm", "-r", folder], check=True)


@pytest.mark.parametrize("chunk", [[], ["--chunk", "2"]])
def test_a_sweep_goes_on_with_the_pictures_that_are_missing(chunk, here, do, cut_off, monkeypatch):
    words = ["sweep", *ADAM, "--style-weight", "1,2,4", *chunk, "--log", "run.log"]
    assert do(*words, "-o", "known")[0] == 0
    log = written(".")["run.log"]
    cut_off(12, *words, "-o", "out", *KEEP, picture=2)
    there = {path.name for path in here.glob("out/[0-9]*.png")}
    assert 0 < len(there) < 3, "some are painted, and some are not"
    kept = checkpoints.find("kept", said=print)
    assert {*kept.rows} == there
    assert kept.snapshot
    painted, save = [], images.save
    monkeypatch.setattr(
        images, "save", lambda path, *args, **more: painted.append(os.path.basename(path)) or save(path, *args, **more)
    )
    code, said = do("resume", "kept")
    assert code == 0, said
    assert "3 pictures painted" in said
    assert not there & {*painted}
    assert written("out") == written("known")
    assert sorted(map(str, written(".")["run.log"])) == sorted(map(str, log))


def test_a_batch_goes_on_in_the_middle_of_a_picture(here, do, cut_off):
    words = ["batch", "jobs.csv", *ADAM[2:]]
    assert do(*words, "-o", "known")[0] == 0
    cut_off(12, *words, "-o", "out", *KEEP, picture=2)
    assert checkpoints.find("kept", said=print).snapshot
    code, said = do("resume", "kept")
    assert code == 0, said
    assert "already there" in said
    pictures = {name: stored for name, stored in written("out").items() if name.endswith(".png")}
    assert pictures == {name: stored for name, stored in written("known").items() if name.endswith(".png")}


def test_jobs_that_were_cut_off_together_go_on_together(here, do, cut_off, monkeypatch):
    """Also where one of them was saved already: alone it would be rounded otherwise."""
    words = ["batch", "jobs.csv", *ADAM[2:], "--chunk", "3"]
    assert do(*words, "-o", "known")[0] == 0
    save, count = workshop.Result.save, [1]

    def saved(self, path):
        if not count[0]:
            raise Gone
        count[0] -= 1
        return save(self, path)

    with monkeypatch.context() as patch:
        patch.setattr(workshop.Result, "save", saved)
        with pytest.raises(Gone):
            do(*words, "-o", "out", *KEEP)
    assert len([*here.glob("out/*.png")]) == 1
    assert do("resume", "kept")[0] == 0
    pictures = {name: stored for name, stored in written("out").items() if name.endswith(".png")}
    assert pictures == {name: stored for name, stored in written("known").items() if name.endswith(".png")}


def test_minutes_are_the_steps_that_they_became(here, do, cut_off, monkeypatch):
    from nst_jax.painting import budget
    from nst_jax.recipes import Size

    monkeypatch.setattr(budget, "fit_steps", lambda job, cost, seconds: (Size(24, 12), Size(32, 13)))
    words = ["stylize", *QUICK, "--optimizer", "adam", "--size", "32", "--minutes", "1"]
    assert do(*words, "-o", "known.png")[0] == 0
    cut_off(12, *words, "-o", "out.png", *KEEP)
    monkeypatch.setattr(budget, "fit_steps", lambda job, cost, seconds: pytest.fail("it was measured again"))
    code, said = do("resume", "kept")
    assert code == 0, said
    assert pathlib.Path("out.png").read_bytes() == pathlib.Path("known.png").read_bytes()


def test_a_steered_run_goes_on_as_it_was_steered(here, narrow):
    """Turns that were taken are in the snapshot, those to come in the order."""
    from nst_jax.orders import compose, networks, prepare, words

    fields = {"recipe": "gatys-notebook", "optimizer": "adam", "ladder": "24:12,32:13", "weights": "narrow.h5"}
    fields |= {"style_layers": "relu1_1:1,relu2_1:1", "content_layers": "relu1_2:1"}
    order = words.make("town.png", "night.png", **fields)
    order = order.with_values(turns=((3, Turn(style=4.0)), (14, Turn(rate=0.5))))
    task = networks.with_network(compose.task(order), networks.Network("narrow.h5"))
    item, machine = prepare.item(task, prepare.machine_of(order)), prepare.machine_of(order)
    known = workshop.carry_out(item, machine)
    command = checkpoints.Command((), "")
    for step in 4, 12, 20:

        class Stop(Spy):
            def see(self, frame, step=step):
                if frame.step >= step:
                    raise Gone

        with (
            pytest.raises(Gone),
            checkpoints.opened(f"kept{step}", command, every=values.Every(steps=1), resumed=None, said=print) as keeper,
        ):
            workshop.carry_out(item._replace(watchers=(Stop(every=1),)), machine, keeper=keeper)
        resumed = checkpoints.find(f"kept{step}", said=print)
        with checkpoints.opened(
            f"kept{step}", command, every=values.Every(steps=1), resumed=resumed, said=print
        ) as keeper:
            found = workshop.carry_out(item, machine, keeper=keeper)
        np.testing.assert_array_equal(found.image, known.image)
        assert found.record == known.record


class Spy:
    def __init__(self, every=None):
        self.every = every

    def begin(self, start):
        pass

    def see(self, frame):
        pass

    def end(self, result):
        pass


# What a folder says


def test_a_finished_run_says_so_and_can_be_followed_by_another(here, do):
    assert do("stylize", *ADAM, "-o", "a.png", *KEEP)[0] == 0
    before = pathlib.Path("a.png").stat().st_mtime_ns
    code, said = do("resume", "kept")
    assert code == 0
    assert said == "kept: finished before, a.png was written; nothing to do\n"
    assert pathlib.Path("a.png").stat().st_mtime_ns == before
    assert [path.suffix for path in sorted(here.glob("kept/*"))] == [".checkpoint", ""]
    assert do("stylize", *ADAM, "-o", "b.png", *KEEP)[0] == 0


def test_a_run_that_is_not_finished_is_not_written_over(here, do, cut_off):
    cut_off(12, "stylize", *ADAM, "-o", "a.png", *KEEP)
    before = written("kept")
    code, said = do("stylize", *ADAM, "-o", "a.png", *KEEP)
    assert code == 1
    assert said.splitlines()[-1] == (
        "nst-jax: --checkpoint must be a new folder, got 'kept', whose run is not finished: `nst-jax resume` goes on"
        " with it, or name another"
    )
    assert written("kept") == before


def test_a_folder_that_another_run_has_is_refused(here, do, cut_off):
    cut_off(12, "stylize", *ADAM, "-o", "a.png", *KEEP)
    with storage.locked("kept", what="checkpoint"):
        code, said = do("resume", "kept")
    assert code == 1
    assert "which another run has: wait for its end, or name another" in said
    assert do("resume", "kept")[0] == 0


@pytest.mark.parametrize("torn", ["cut", "flipped", "foreign", "empty"])
def test_the_checkpoint_before_a_torn_one_is_taken(torn, here, do, cut_off):
    assert do("stylize", *ADAM, "-o", "known.png")[0] == 0
    cut_off(20, "stylize", *ADAM, "-o", "a.png", *KEEP)
    last, _ = checkpoints.files("kept")
    stored = bytearray(last.read_bytes())
    stored[len(stored) // 2] ^= 1
    last.write_bytes({"cut": stored[: len(stored) // 2], "flipped": stored, "foreign": b"PNG" * 99, "empty": b""}[torn])
    code, said = do("resume", "kept")
    assert code == 0
    assert f"checkpoint: {last.name} can't be used (checkpoint must be whole, got" in said
    assert pathlib.Path("a.png").read_bytes() == pathlib.Path("known.png").read_bytes()


def test_files_of_other_names_are_left_alone(here, do, cut_off):
    os.mkdir("kept")
    pathlib.Path("kept/mine.checkpoint").write_text("a note")
    cut_off(12, "stylize", *ADAM, "-o", "a.png", *KEEP)
    assert do("resume", "kept")[0] == 0
    assert pathlib.Path("kept/mine.checkpoint").read_text() == "a note"


def test_without_a_whole_checkpoint_there_is_a_line(here, do):
    code, said = do("resume", "nowhere")
    assert code == 1
    assert said == (
        "nst-jax: resume must have a checkpoint to go on from, got none in 'nowhere': name the folder that --checkpoint"
        " named\n"
    )
    os.mkdir("bad")
    pathlib.Path("bad/00000001.checkpoint").write_bytes(b"nonsense")
    code, said = do("resume", "bad")
    assert code == 1
    assert (
        said.splitlines()[-1] == "nst-jax: resume must have a checkpoint that is whole, got none in 'bad': begin anew"
    )


@pytest.mark.parametrize("what", ["content", "style", "weights"])
def test_changed_inputs_and_weights_are_refused(what, here, do, cut_off, narrow):
    cut_off(12, "stylize", *ADAM, "-o", "a.png", *KEEP)
    if what == "weights":
        vgg19.save("narrow.h5", narrow | {"conv1_1": {k: 2 * v for k, v in narrow["conv1_1"].items()}}, source="a test")
    else:
        images.save("town.png" if what == "content" else "night.png", samples.draw("skyline", (32, 36)))
    code, said = do("resume", "kept")
    assert code == 1
    wanted = {
        "content": "content must be the file that the run began with, got another 'town.png': put it back",
        "style": "style must be the file that the run began with, got another 'night.png': put it back",
        "weights": "weights must be those that the run began with, got others: put them back",
    }
    assert wanted[what] in said
    assert not os.path.exists("a.png")


def test_another_version_is_said_and_goes_on(here, do, cut_off):
    cut_off(12, "stylize", *ADAM, "-o", "a.png", *KEEP)
    path = checkpoints.files("kept")[0]
    tree = snapshots.read(path)
    tree["records"][0]["versions"]["jax"] = "0.0.1"
    snapshots.write(path, tree)
    code, said = do("resume", "kept")
    assert code == 0
    assert "changed:" in said
    assert "0.0.1" in said


def test_another_number_of_devices_is_said_and_goes_on(here, do, monkeypatch):
    words = ["stylize", *ADAM, "--mesh", "space=2", "-o", "a.png", *KEEP]
    with monkeypatch.context() as patch:
        patch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
        assert soak.run(here, words, struck=("writing a checkpoint", 2)) == -signal.SIGKILL
    assert checkpoints.find("kept", said=print).snapshot
    code, said = do("resume", "kept")
    assert code == 0, said
    assert "changed:  mesh was space=2, is chosen anew for 1 device: the picture may differ" in said
    assert "changed:  device was cpu (cpu, 2 of them" in said
    assert images.load("a.png").shape == (32, 40, 3)


def test_the_folder_in_which_a_run_began_must_be_there(here, do, cut_off, monkeypatch):
    inside = here / "inside"
    inside.mkdir()
    for name in "town.png", "night.png", "narrow.h5":
        (inside / name).write_bytes((here / name).read_bytes())
    with monkeypatch.context() as patch:
        patch.chdir(inside)
        cut_off(12, "stylize", *ADAM, "-o", "a.png", "--checkpoint", here / "kept")
    inside.rename(here / "moved")
    code, said = do("resume", "kept")
    assert code == 1
    assert f"folder in which the run began must be there, got {str(inside)!r}: make it again" in said


def test_several_processes_keep_nothing_by_their_clocks(here, do, capsys):
    words = ["--checkpoint-every", "9s", "--coordinator", "localhost:9", "--processes", "2", "--process", "0"]
    with pytest.raises(SystemExit) as stopped:
        do("stylize", *ADAM, "-o", "a.png", *KEEP, *words)
    assert stopped.value.code == 2
    assert "--checkpoint-every must be a number with several processes" in capsys.readouterr().err


def test_where_it_is_kept_in_vain_the_run_goes_on(here, do, monkeypatch):
    write = snapshots.write

    def full(path, tree):
        if tree["snapshot"]:
            raise OSError("No space left on device")
        write(path, tree)

    monkeypatch.setattr(snapshots, "write", full)
    code, said = do("stylize", *ADAM, "-o", "a.png", *KEEP)
    assert code == 0
    assert "checkpoint: No space left on device; the run goes on, and can be resumed from an earlier one" in said


@pytest.mark.parametrize("text", ["0", "0s", "-1", "x", "1m", "1e3"])
def test_how_often_must_make_sense(text, here, do):
    with pytest.raises(SystemExit) as stopped:
        do("stylize", *ADAM, "-o", "a.png", "--checkpoint", "kept", "--checkpoint-every", text)
    assert stopped.value.code == 2


def test_how_often_goes_with_where(here, do, capsys):
    with pytest.raises(SystemExit) as stopped:
        do("stylize", *ADAM, "-o", "a.png", "--checkpoint-every", "9")
    assert stopped.value.code == 2
    assert "--checkpoint-every must go with --checkpoint, got none: add --checkpoint DIR" in capsys.readouterr().err


# Files


def test_a_tree_is_read_as_it_was_written(tmp_path):
    arrays = [np.arange(6.0, dtype=np.float32).reshape(2, 3), np.array(7, np.int32), np.zeros((0, 3), np.float16)]
    tree = {"a": [1, 2.5, None, "ü", True], "b": {"c": arrays[0][:, ::-1]}, "d": arrays[1:]}
    snapshots.write(tmp_path / "x", tree)
    found = snapshots.read(tmp_path / "x")
    assert found["a"] == tree["a"]
    for got, known in zip([found["b"]["c"], *found["d"]], [tree["b"]["c"], *arrays[1:]], strict=True):
        assert got.dtype == known.dtype
        np.testing.assert_array_equal(got, known)


def test_names_of_files_that_are_no_text_are_kept(tmp_path):
    snapshots.write(tmp_path / "x", {"argv": ["a\udcff.png"]})
    assert snapshots.read(tmp_path / "x") == {"argv": ["a\udcff.png"]}


@pytest.mark.parametrize("shape", ["[-1]", "[2]", "[1e9]", '"x"', "[99999999999999999999]"])
def test_a_checkpoint_with_a_right_digest_and_a_wrong_head_is_one_line(shape, tmp_path):
    snapshots.write(tmp_path / "1.checkpoint", {"a": np.zeros(1, np.float32)})
    body = (tmp_path / "1.checkpoint").read_bytes()[len(snapshots.MAGIC) + 32 :]
    head = body[8 : 8 + int.from_bytes(body[:8], "little")].replace(b"[1]", shape.encode())
    body = len(head).to_bytes(8, "little") + head + bytes(4)
    (tmp_path / "1.checkpoint").write_bytes(snapshots.MAGIC + hashlib.sha256(body).digest() + body)
    with pytest.raises(ValueError, match=r"checkpoint must hold a run as this version writes it, got .*1\.checkpoint"):
        snapshots.read(tmp_path / "1.checkpoint")
    said = []
    assert checkpoints.find(tmp_path, said=said.append) is None
    assert len(said) == 1


def test_a_snapshot_is_read_as_it_was_written(tmp_path):
    stages = Stage((20, 24), 3, "fast"), Stage((40, 48), 5, plan=Plan(again=1, window=512), near=("columns",))
    turns = ((2, Turn(style=1 / 3)), (4, Turn(mix=(0.1, 0.7), rate=0.5)))
    leaves = np.random.default_rng(0).normal(size=(40, 48, 3)).astype(np.float32), np.array(3, np.int32)
    kept = runs.Snapshot(stages, 1, 2, leaves, turns[-1][1], turns, {"columns": np.arange(4, dtype=np.int32)})
    snapshots.write(tmp_path / "x", snapshots.as_tree(kept))
    found = snapshots.of_tree(snapshots.read(tmp_path / "x"))
    assert found.done == 5
    assert found._replace(leaves=(), aligned={}) == kept._replace(leaves=(), aligned={})
    for got, known in zip((*found.leaves, found.aligned["columns"]), (*leaves, kept.aligned["columns"]), strict=True):
        np.testing.assert_array_equal(got, known)


@pytest.mark.parametrize("change", [{"stage": 2}, {"step": 6}, {"stage": 0, "step": 4}, {"stage": -1}], ids=str)
def test_a_snapshot_stands_in_one_of_its_stages(change):
    kept = runs.Snapshot((Stage((20, 24), 3), Stage((40, 48), 5)), 1, 5, ())
    assert snapshots.of_tree(snapshots.as_tree(kept)).done == 8
    with pytest.raises(ValueError, match="its snapshot is of no run"):
        snapshots.of_tree(snapshots.as_tree(kept) | change)


# Real processes


@pytest.mark.parametrize(
    ("phase", "moment"), [("painting", 3), ("between sizes", 1), ("writing a checkpoint", 2), ("writing the result", 1)]
)
def test_a_killed_process_is_survived(phase, moment, here):
    words = ["stylize", *ADAM, "-o", "a.png"]
    assert soak.run(here, words) == 0
    known = pathlib.Path("a.png").read_bytes()
    os.unlink("a.png")
    assert soak.run(here, [*words, *KEEP], struck=(phase, moment)) == -signal.SIGKILL
    assert not os.path.exists("a.png")
    assert soak.run(here, ["resume", "kept"]) == 0
    assert pathlib.Path("a.png").read_bytes() == known


def test_sigterm_keeps_the_run_and_exits_143(here, do):
    words = ["stylize", *QUICK, "--size", "32", "--steps", "100000", "--optimizer", "adam", "-o", "a.png", *KEEP[:2]]
    environment = soak.environment()
    argv = [sys.executable, "-m", "nst_jax", *words]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, env=environment) as process:
        while "step " not in process.stderr.readline():  # it paints
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        said = process.stderr.read()
    assert process.returncode == 143
    assert "`nst-jax resume " in said
    assert images.load("a.png").shape == (32, 40, 3)
    kept = checkpoints.find("kept", said=print)
    done = int(said.split("the picture after ")[1].split()[0])
    assert kept.snapshot.done == done
