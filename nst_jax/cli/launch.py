"""Runs of several processes: their flags, and a parent that watches each of them.

Where one of them dies, JAX's runtime aborts the others from within: a parent that uses no device stays, says so on one
line, and leaves nothing running.
"""

import contextlib
import glob
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from typing import NoReturn

from nst_jax.cli.flags import as_flags, as_type
from nst_jax.orders.order import Refused
from nst_jax.orders.values import count, seed

MARK = "NST_JAX_WATCHED"  # in a child's environment: the pipe that ends with its parent, and where native logs go
GRACE = 20.0  # seconds from a signal that asks to one that doesn't
GONE = "another process of the run has gone, or its host: start all of them again"
LOST = ("gloo", "nccl", "connection", "coordination", "heartbeat", "unavailable", "socket")  # in what JAX says of it


def arguments(parser) -> None:
    """Several processes."""
    about = "TPU pods, SLURM, Open MPI and Kubernetes tell their processes of each other; elsewhere these flags do"
    add = parser.add_argument_group("processes", about).add_argument
    add("--coordinator", metavar="HOST:PORT", type=as_type(address), help="where process 0 listens")
    add("--processes", metavar="N", type=as_type(count), help="how many there are; 1: this one alone")
    add("--process", metavar="K", type=as_type(seed), help="which of them this is, from 0")
    text = "seconds without a heartbeat before a process counts as dead (default: 100)"
    add("--heartbeat", metavar="SECONDS", type=as_type(count), default=100, help=text)


def address(text: str) -> str:
    """`HOST:PORT`."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f"must be HOST:PORT, got {text!r}: write host0:9999")
    return text


def run(args, work) -> int:
    """Do a command's work: here, or in a child that is watched where this process is one of several."""
    check(args)
    if not is_one_of_several(args):
        return work(args)
    if not is_watched():
        return supervise(process_name(args))
    return finish(lambda: _join(args, work))


def check(args) -> None:
    """Raise if flags that are good one by one do not go together."""
    given = {"--coordinator": args.coordinator, "--processes": args.processes, "--process": args.process}
    missing = [flag for flag, value in given.items() if value is None]
    if args.process is not None and args.processes is not None and args.process >= args.processes:
        got = f"got {args.process}: count from 0"
        raise Refused(f"--process must be below --processes {args.processes}, {got}")
    if missing and len(missing) < 3 and args.processes != 1 and not found_here():
        raise Refused(f"processes must know of each other, got nothing found: add {missing[0]}")
    if args.coordinator is not None and is_one_of_several(args):
        check_several(args)


def check_several(args) -> None:
    """Raise if a command asks for what several processes can't agree on."""
    if (every := getattr(args, "checkpoint_every", None)) and every.seconds:
        got = f"got {every.seconds:g}s: write 100"
        raise Refused(f"--checkpoint-every must be a number with several processes, whose clocks differ, {got}")
    if getattr(args, "minutes", None):
        raise Refused("--minutes must not go with several processes, whose clocks differ, got both: use steps")
    if getattr(args, "live", None) is not None:
        raise Refused("--live must not go with several processes, which all paint the same, got both: drop it")


def is_one_of_several(args) -> bool:
    """Whether this process is one of several."""
    return args.processes != 1 and (args.coordinator is not None or found_here())


def found_here() -> bool:
    """Whether something here starts processes that belong together, and JAX knows how to ask it."""
    here = os.environ
    many = {"SLURM_STEP_NODELIST": "SLURM_NTASKS", "OMPI_MCA_orte_hnp_uri": "OMPI_COMM_WORLD_SIZE"}
    if any(name in here and int(here.get(count, 1)) > 1 for name, count in many.items()):
        return True
    if "KUBERNETES_SERVICE_HOST" in here and "JOB_COMPLETION_INDEX" in here:
        return _is_installed("kubernetes")
    pod = glob.glob("/dev/accel*") or glob.glob("/dev/vfio/[0-9]*") if _is_installed("libtpu") else []
    return bool(pod) and here.get("JAX_PLATFORMS", "tpu") != "cpu"


def _is_installed(package):
    return importlib.util.find_spec(package) is not None


def share() -> tuple[int, int]:
    """(K, N): this is the K-th of N processes that were started together; alone it is the first of one."""
    here = os.environ
    for rank, total in ("SLURM_PROCID", "SLURM_NTASKS"), ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"):
        if here.get(rank, "").isdigit() and here.get(total, "").isdigit():
            return int(here[rank]) + 1, int(here[total])
    return 1, 1


def process_name(args) -> str:
    """This process, in words."""
    if args.process is None:
        return "this process"
    return f"process {args.process}" + (f" of {args.processes}" if args.processes else "")


def _join(args, work):
    from nst_jax.painting import devices

    asked = {"coordinator": args.coordinator, "processes": args.processes, "process": args.process}
    devices.join_processes(**asked, heartbeat=args.heartbeat)
    if is_with_others():
        check_several(args)
    return work(args)


def is_first() -> bool:
    """Whether this process writes files and says how it goes."""
    if not is_watched():
        return True
    from nst_jax.painting import devices

    return devices.is_first_process()


def is_with_others() -> bool:
    """Whether there are others that this process has joined: a TPU host may turn out to be alone."""
    if not is_watched():
        return False
    from nst_jax.painting import devices

    return devices.are_several_processes()


def is_loss(error: BaseException) -> bool:
    """Whether an error of JAX's says that another process has gone."""
    text = str(error).lower()
    if "unable to initialize backend" in text:  # it names Gloo, too
        return False
    return is_watched() and isinstance(error, (RuntimeError, ValueError)) and any(word in text for word in LOST)


def is_watched() -> bool:
    """Whether this process has a parent that watches it."""
    return MARK in os.environ


def supervise(name: str) -> int:
    """Run this very command in a child and end as it does; where it dies, say on one line why."""
    heard, kept = os.pipe()
    with tempfile.TemporaryFile() as log:
        mine = {MARK: f"{heard},{log.fileno()}"}
        child = subprocess.Popen(
            [sys.executable, *sys.orig_argv[1:]],
            env=os.environ | mine,
            pass_fds=(heard, log.fileno()),
            process_group=0,
        )
        os.close(heard)
        code, asked = _wait_for(child)
        os.close(kept)
        log.seek(0)
        if code >= 0:
            return code
        why = "stopped" if asked else cause(name, -code, log.read().decode(errors="replace"))
        print(f"nst-jax: {why}", file=sys.stderr)
        return 128 + asked if asked else 1


def _wait_for(child) -> tuple[int, int]:
    """(a child's exit code, the signal that asked it to end or 0): it is passed on, and after a while enforced."""
    asked: dict[int, float] = {}

    def forward(number, frame):
        asked.setdefault(number, time.monotonic())
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)

    old = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        while child.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(0.5)
            if asked and time.monotonic() - min(asked.values()) > GRACE:
                child.kill()
        return child.returncode, next(iter(asked), 0)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        for number, handler in old.items():
            signal.signal(number, handler)


def cause(name: str, number: int, log: str) -> str:
    """Why a process died of a signal, on one line."""
    word = signal.Signals(number).name
    if number == signal.SIGABRT:
        lost = any(text in log for text in ("coordination", "heartbeat", "UNAVAILABLE", "Connection"))
        fatal = next((line.partition("] ")[2] for line in log.splitlines() if line.startswith("F")), "no reason given")
        return f"{name} was aborted by JAX: {GONE if lost else ' '.join(fatal.split())[:200]}"
    if number == signal.SIGKILL:
        return f"{name} was killed: by hand, or because its host ran out of memory"
    return f"{name} died of {word}: start all processes again"


def finish(work) -> NoReturn:
    """Do a watched process's work and end it there and then: JAX would wait for processes that have gone."""
    pipe, log = map(int, os.environ[MARK].split(","))
    threading.Thread(target=_end_with_parent, args=(pipe,), daemon=True).start()
    sys.stdout, sys.stderr = (os.fdopen(os.dup(number), "w", buffering=1) for number in (1, 2))
    for number in (1, 2):
        os.dup2(log, number)  # what is written from C++; people read the parent's line
    code = _exit_code(work)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _exit_code(work) -> int:
    """What a command's work comes to, its errors said."""
    from nst_jax import cli
    from nst_jax.painting import devices

    try:
        code = work() or 0
        if code == 0:
            devices.leave_processes()
        return code
    except Refused as error:
        print(f"nst-jax: {as_flags(str(error), refused=True)}", file=sys.stderr)
        return 2
    except SystemExit as error:  # argparse has said why
        return error.code if isinstance(error.code, int) else 1
    except (Exception, KeyboardInterrupt) as error:
        try:
            return cli.report_failure(error)
        except Exception:
            traceback.print_exc()
            return 1


def _end_with_parent(pipe):
    """End with the parent, whatever ended it."""
    os.read(pipe, 1)
    os.killpg(0, signal.SIGKILL)
