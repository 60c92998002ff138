"""Several devices and several processes do what one does. Their work is in meshes.py."""

import argparse
import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import jax
import meshes
import numpy as np
import pytest
from conftest import drawn

from nst_jax import cli
from nst_jax.cli import launch, resume
from nst_jax.network import vgg19
from nst_jax.objective import losses, sharded
from nst_jax.orders import order as orders
from nst_jax.orders import prepare, values
from nst_jax.painting import devices
from nst_jax.pictures import images

HERE = pathlib.Path(__file__).parent
PATIENCE = 300  # seconds, for two busy cores
EVEN, ODD = meshes.HEIGHTS


def command(*argv):
    return [sys.executable, str(HERE / "meshes.py"), *map(str, argv)]


def environment(**more):
    known = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    paths = os.pathsep.join([str(HERE), str(HERE.parent)])
    return known | {"PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1", "JAX_PLATFORMS": "cpu"} | more


# Eight devices


@pytest.fixture(scope="module")
def eight(tmp_path_factory):
    """What eight devices, which are this one cut up, say of themselves."""
    out = tmp_path_factory.mktemp("eight") / "eight.json"
    fast = "--xla_backend_optimization_level=0"  # to compile
    env = environment(XLA_FLAGS=f"--xla_force_host_platform_device_count=8 {fast}")
    subprocess.run(command("eight", out), env=env, check=True, timeout=2 * PATIENCE)
    return json.loads(out.read_text())


@pytest.mark.parametrize("shape", ["data=8", "space=8", "data=2,space=4"])
@pytest.mark.parametrize("height", [EVEN, ODD])
def test_a_mesh_gives_one_devices_gradient(eight, shape, height):
    assert eight[f"{shape} {height}"]["relative"] < 1e-5


@pytest.mark.parametrize(
    "name", ["masks", "recomputed", "columns", "nearest", "wasserstein", "lbfgs", "painted", "by themselves"]
)
def test_rows_may_be_spread_whatever_the_loss_and_the_solver(eight, name):
    assert eight[name]["relative"] < 1e-5


@pytest.mark.parametrize("height", [EVEN, ODD])
def test_each_device_holds_its_rows_features_only(eight, height):
    said, whole = eight[f"space=8 {height}"], height * meshes.WIDTH * meshes.CHANNELS
    image = (height + 64) * meshes.WIDTH * 3
    assert said["kinds"]["collective-permute"] > 10
    assert max(said["gathered"], default=0) <= image, "features are gathered"
    assert said["largest"] < whole / 2
    assert said["memory"] < said["of one"] / 3
    assert said["held"] == ["P('space',)"], "the content's maps are whole on every device"


def test_runs_tell_each_other_nothing(eight):
    assert eight[f"data=8 {ODD}"]["kinds"] == {}


# Meshes


def test_a_mesh_takes_all_devices():
    assert devices.make_mesh().shape == {"data": 1, "space": 1}
    with pytest.raises(ValueError, match=r"places as there are devices, 1, got data=4 × space=2 = 8: write data=1"):
        devices.make_mesh(data=4, space=2)


@pytest.mark.parametrize(
    ("count", "runs", "height", "shape"),
    [
        (8, 1, 4000, (1, 8)),
        (8, 1, 300, (1, 4)),
        (8, 1, 40, (1, 1)),
        (8, 8, 300, (8, 1)),
        (8, 20, 300, (8, 1)),
        (8, 3, 300, (2, 4)),
        (6, 4, 1000, (3, 2)),
    ],
)
def test_runs_are_spread_first_and_rows_where_shares_are_long(monkeypatch, count, runs, height, shape):
    monkeypatch.setattr(jax, "devices", lambda: [jax.local_devices()[0]] * count)
    assert tuple(devices.mesh_for(runs=runs, height=height).shape.values()) == shape


def test_one_device_changes_nothing():
    loss = losses.loss()
    assert sharded.sharded(loss, devices.make_mesh()) is loss


@pytest.mark.parametrize(
    ("text", "found"), [("data=4,space=2", {"data": 4, "space": 2}), ("space=8", {"space": 8}), ("data=1", {"data": 1})]
)
def test_a_mesh_is_written(text, found):
    assert values.mesh(text) == found


@pytest.mark.parametrize("text", ["8", "data=0", "rows=2", "data=2,data=2", "data", "data=x"])
def test_a_mesh_that_makes_no_sense_is_refused(text):
    with pytest.raises(ValueError, match="must be"):
        values.mesh(text)


# Processes


def parse(*argv):
    parser = argparse.ArgumentParser()
    launch.arguments(parser)
    return parser.parse_args(argv)


SURROUNDINGS = {
    "SLURM": {"SLURM_STEP_NODELIST": "node[1-2]", "SLURM_NTASKS": "2"},
    "Open MPI": {"OMPI_MCA_orte_hnp_uri": "1.0;tcp://10.0.0.1:1", "OMPI_COMM_WORLD_SIZE": "2"},
    "Kubernetes": {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "1"},
}


@pytest.mark.parametrize("kind", SURROUNDINGS)
def test_processes_that_belong_together_are_found(monkeypatch, kind):
    monkeypatch.setattr(launch, "_is_installed", lambda package: package == "kubernetes")
    assert not launch.is_one_of_several(parse())
    for name, value in SURROUNDINGS[kind].items():
        monkeypatch.setenv(name, value)
    assert launch.is_one_of_several(parse())
    assert not launch.is_one_of_several(parse("--processes", "1")), "this one alone"


def test_one_task_of_slurm_is_not_several(monkeypatch):
    for name, value in {"SLURM_STEP_NODELIST": "node1", "SLURM_NTASKS": "1"}.items():
        monkeypatch.setenv(name, value)
    assert not launch.is_one_of_several(parse())


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (
            ["--processes", "2", "--process", "2", "--coordinator", "a:1"],
            "--process must be below --processes 2, got 2: count from 0",
        ),
        (
            ["--processes", "2", "--process", "1"],
            "processes must know of each other, got nothing found: add --coordinator",
        ),
        (["--coordinator", "a:1", "--process", "1"], "add --processes"),
    ],
)
def test_processes_are_told_of_each_other(argv, text):
    with pytest.raises(orders.Refused, match=text):
        launch.run(parse(*argv), lambda args: 0)


def test_one_picture_is_not_several_runs():
    order = orders.Order()
    spread = order._replace(machine=order.machine._replace(mesh={"data": 4, "space": 2}))
    with pytest.raises(orders.Refused, match=r"more runs than there are, 1, got data=4: write space=8"):
        prepare.machine_of(spread)
    assert prepare.machine_of(order).mesh is None, "one device"


def test_alone_a_command_runs_here():
    assert launch.run(parse(), lambda args: 7) == 7


@pytest.mark.parametrize(
    ("number", "log", "text"),
    [
        (signal.SIGABRT, "F1 c.cc:1] heartbeat timeout", "was aborted by JAX: another process of the run has gone"),
        (signal.SIGABRT, "F1121 c.cc:1] Check failed: x", "was aborted by JAX: Check failed: x"),
        (signal.SIGKILL, "", "was killed: by hand, or because its host ran out of memory"),
        (signal.SIGSEGV, "", "died of SIGSEGV"),
    ],
)
def test_why_a_process_died_is_said_on_one_line(number, log, text):
    said = launch.cause("process 1 of 2", number, log)
    assert said.startswith("process 1 of 2 ")
    assert text in said
    assert "\n" not in said


WATCHED = """
import sys, time
from nst_jax.cli import launch, resume

def work():
    print("at work", flush=True)
    if sys.argv[1] == "sleep":
        time.sleep(60)
    return int(sys.argv[1])

sys.exit(launch.finish(work) if launch.is_watched() else launch.supervise("this process"))
"""


@pytest.fixture
def start_script(tmp_path):
    """Starts a script that is watched, and works or sleeps."""
    (tmp_path / "work.py").write_text(WATCHED)
    with contextlib.ExitStack() as stack:

        def start(word):
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
            line = [sys.executable, str(tmp_path / "work.py"), word]
            process = stack.enter_context(subprocess.Popen(line, env=environment(), **pipes))
            stack.callback(process.kill)
            return process

        yield start


def child_of(process):
    return int(pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text())


def test_a_childs_exit_code_is_its_parents(start_script):
    process = start_script("3")
    assert process.communicate(timeout=60) == ("at work\n", "")
    assert process.returncode == 3


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_what_asks_a_parent_to_end_is_passed_on(start_script, number, code):
    process = start_script("sleep")
    assert process.stdout.readline() == "at work\n"
    process.send_signal(number)
    assert process.communicate(timeout=60)[1] == "nst-jax: stopped\n"
    assert process.returncode == code


def test_a_child_ends_with_its_parent(start_script):
    process = start_script("sleep")
    assert process.stdout.readline() == "at work\n"
    child = child_of(process)
    process.kill()
    process.communicate(timeout=60)
    state, begun = pathlib.Path(f"/proc/{child}/stat"), time.monotonic()
    while state.exists() and state.read_text().split()[2] != "Z":
        assert time.monotonic() - begun < 60
        time.sleep(0.1)


def test_an_error_about_a_process_that_has_gone_is_one_line(monkeypatch, capsys):
    error = RuntimeError("UNKNOWN: Gloo all-reduce failed:\nConnection closed by peer")
    with pytest.raises(RuntimeError):
        cli.report_failure(error)
    monkeypatch.setenv(launch.MARK, "0,0")
    assert cli.report_failure(error) == 1
    assert capsys.readouterr().err == f"nst-jax: {launch.GONE}\n"


@contextlib.contextmanager
def two_processes(line):
    """Two processes of one run, line(k) and where they find each other, each with its launcher; nothing is left."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    places = ["--coordinator", f"127.0.0.1:{port}", "--processes", 2, "--heartbeat", 20]
    started = []
    try:
        for k in range(2):
            argv = [*map(str, [*line(k), *places, "--process", k])]
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
            started.append(subprocess.Popen(argv, env=environment(), **pipes))
        yield started
    finally:
        for process in started:
            process.kill()  # its child ends with it
            process.communicate()


def test_two_processes_paint_what_one_does(tmp_path):
    with two_processes(lambda k: command("shared", tmp_path / f"{k}.npz")) as started:
        said = [process.communicate(timeout=PATIENCE) for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    assert [text for _, text in said] == ["", ""]
    assert not (tmp_path / "1.npz").exists(), "the first one writes"
    found = np.load(tmp_path / "0.npz")
    for name, known in ("sweep", meshes.sweep(3)), ("picture", meshes.picture(3)):
        # Adam divides by a gradient's own size, so where there is hardly any its rounding moves a pixel: 1 of 1e4 here
        off = np.abs(found[name] - known)
        assert np.quantile(off, 0.999) < 1e-5, name
        assert off.max() < 1e-4, name


def test_processes_that_see_different_files_end(monkeypatch):
    from jax.experimental import multihost_utils

    devices.check_alike("one", "checkpoint")
    monkeypatch.setattr(multihost_utils, "process_allgather", lambda mine: np.stack([mine, mine + 1]))
    with pytest.raises(ValueError, match="checkpoint must be the same in every process, got others"):
        devices.check_alike("one", "checkpoint")


def test_a_host_that_is_alone_is_not_one_of_several(monkeypatch):
    """As on a TPU VM, where only joining tells whether there are others."""
    assert not launch.is_with_others()
    monkeypatch.setenv(launch.MARK, "0,0")
    assert not launch.is_with_others()
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    assert launch.is_with_others()


@pytest.mark.parametrize(
    ("argv", "alone"),
    [
        (("batch", "jobs.csv"), True),
        (("stylize", "a.png", "--processes", "1"), True),
        (("stylize", "a.png", "--processes=1"), True),
        (("sweep", "a.png", "--processes", "2"), False),
        (("stylize", "a.png"), False),
    ],
)
def test_which_commands_go_on_by_themselves(argv, alone):
    assert resume._works_alone(argv) == alone


NST_JAX = (sys.executable, "-m", "nst_jax")


@pytest.fixture
def do(capsys):
    """Runs a command in this process."""

    def call(*argv):
        return cli.main([*map(str, argv)]), *capsys.readouterr()

    return call


@pytest.fixture
def pictures(tmp_path, narrow):
    """Pictures and a narrow network, and the words of a command that paints with them."""
    for n, name in enumerate(("town", "night")):
        images.save(tmp_path / f"{name}.png", drawn(n, 64, 48))
    vgg19.save(tmp_path / "narrow.h5", narrow, source="a test")
    argv = [tmp_path / "town.png", tmp_path / "night.png", "--weights", tmp_path / "narrow.h5"]
    argv += ["--recipe", "gatys-notebook", "--optimizer", "adam", "--ladder", "48:12", "--size", "48x64"]
    return [*argv, "--style-layers", "relu1_1,relu2_1", "--content-layers", "relu1_2"]


@pytest.mark.parametrize(
    ("name", "flags", "written"),
    [
        ("stylize", ("--mesh", "space=2"), "out.png"),
        ("sweep", ("--mesh", "data=2", "--strength", ".4,.6"), "out/2-strength-0.6.png"),
    ],
)
def test_two_processes_do_a_command_and_the_first_one_writes(name, flags, written, pictures, tmp_path, do):
    """With pictures on the way at steps that are no run's own: all look at them, or wait for each other for ever."""
    out = "out.png" if name == "stylize" else "out"
    argv = [name, *pictures, "--save-every", 7, "--no-cache", "--log"]
    with two_processes(lambda k: [*NST_JAX, *argv, tmp_path / "log", *flags, "-o", tmp_path / out]) as started:
        said = [process.communicate(timeout=PATIENCE) for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    assert "painted" in said[0][0]
    assert said[1] == ("", "")
    (tmp_path / "one").mkdir()
    code, _, err = do(*argv, tmp_path / "one" / "log", *flags[2:], "-o", tmp_path / "one" / out)
    assert code == 0, err
    found, known = (images.load(folder / written) for folder in (tmp_path, tmp_path / "one"))
    np.testing.assert_allclose(found, known, atol=1.01 / 255)
    stored = [
        sorted(path.relative_to(folder) for path in folder.glob("out*/*")) for folder in (tmp_path, tmp_path / "one")
    ]
    assert stored[0] == stored[1] != []
    steps = [json.loads(line).get("step") for line in (tmp_path / "log").read_text().splitlines()]
    assert {7, 10, 12} <= {*steps}


@pytest.mark.parametrize(
    ("name", "flags"),
    [("stylize", ("--mesh", "space=2")), ("sweep", ("--mesh", "data=2", "--strength", ".2,.4,.6,.8", "--chunk", 2))],
)
def test_two_processes_go_on_to_the_same_bits(name, flags, pictures, tmp_path):
    """Killed together and begun again by `resume`; one of them keeps the run, and the other says nothing."""
    argv = [*NST_JAX, name, *pictures, "--steps", 40, "--no-cache", *flags]

    def out(folder):
        return tmp_path / folder / ("out.png" if name == "stylize" else "out")

    def written(path):
        return {each.name: each.read_bytes() for each in sorted([path, *path.glob("*")]) if each.suffix == ".png"}

    for folder in ("whole", "cut"):
        (tmp_path / folder).mkdir()
    with two_processes(lambda k: [*argv, "-o", out("whole")]) as started:
        said = [process.communicate(timeout=PATIENCE) for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    kept = tmp_path / "kept"
    with two_processes(lambda k: [*argv, "-o", out("cut"), "--checkpoint", kept, "--checkpoint-every", 4]) as started:
        deadline = time.monotonic() + PATIENCE
        while not [path for path in kept.glob("*.checkpoint") if int(path.stem) >= (3 if name == "stylize" else 8)]:
            running = None in [process.poll() for process in started]
            assert running, [path.name for path in kept.glob("*")]
            assert time.monotonic() < deadline
            time.sleep(0.005)
    assert not out("cut").is_file()
    with two_processes(lambda k: [*NST_JAX, "resume", kept]) as started:
        said = [process.communicate(timeout=PATIENCE) for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    assert said[1] == ("", "")
    assert "painted" in said[0][0]
    assert written(out("cut")) == written(out("whole")) != {}


@pytest.mark.parametrize("victim", [0, 1])
def test_where_a_process_is_killed_the_others_launcher_says_so_and_ends(tmp_path, victim):
    with two_processes(lambda k: command("heartbeat", tmp_path / f"{k}.npz")) as started:
        for process in started:
            assert process.stdout.readline(), process.stderr.read()  # it works
        os.kill(child_of(started[victim]), signal.SIGKILL)
        begun = time.monotonic()
        said = [process.communicate(timeout=60)[1] for process in started]
    assert time.monotonic() - begun < 60
    assert [process.returncode for process in started] == [1, 1]
    assert said[victim].startswith(f"nst-jax: process {victim} of 2 was killed")
    assert said[1 - victim].startswith("nst-jax: ")
    assert launch.GONE in said[1 - victim]
    assert [text.count("\n") for text in said] == [1, 1]
