"""Which devices and processes a run uses: flags, and what they come to. Not a sub-command."""

import argparse
import glob
import importlib.util
import os

from nst_jax.cli import launch, machine, values

LOST = ("gloo", "nccl", "connection", "coordination", "heartbeat", "unavailable", "socket")  # in what JAX says of it


def arguments(parser):
    """Several devices, and several processes."""
    about = "TPU pods, SLURM, Open MPI and Kubernetes tell their processes of each other; elsewhere these flags do"
    add = parser.add_argument_group("devices", about).add_argument
    add("--mesh", metavar="data=N,space=M", type=layout, help="runs at once × devices for each (default: as they fit)")
    add("--coordinator", metavar="HOST:PORT", type=address, help="where process 0 listens")
    add("--processes", metavar="N", type=values.count, help="how many there are; 1: this one alone")
    add("--process", metavar="K", type=values.seed, help="which of them this is, from 0")
    add(
        "--heartbeat", metavar="SECONDS", type=values.count, default=100, help="silence that means death (default: 100)"
    )


def layout(text: str) -> dict[str, int]:
    """`data=4,space=2`: how many devices along each axis of a mesh."""
    found: dict[str, int] = {}
    for part in text.split(","):
        name, equals, number = part.strip().partition("=")
        if name not in ("data", "space") or not equals or name in found:
            raise argparse.ArgumentTypeError(f"must be data=N, space=M or both, got {text!r}: write data=4,space=2")
        found[name] = values.count(number)
    return found


def address(text: str) -> str:
    """`HOST:PORT`."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise argparse.ArgumentTypeError(f"must be HOST:PORT, got {text!r}: write host0:9999")
    return text


def run(args, work) -> int:
    """Do a command's work: here, or in a child that is watched where this process is one of several."""
    if "mesh" not in args:
        return work(args)
    check(args)
    if not several(args):
        return work(args)
    if not launch.watched():
        return launch.supervised(name(args))
    return launch.finished(lambda: _joined(args, work))


def check(args) -> None:
    """Raise if flags that are good one by one do not go together."""
    given = {"--coordinator": args.coordinator, "--processes": args.processes, "--process": args.process}
    missing = [flag for flag, value in given.items() if value is None]
    if args.process is not None and args.processes is not None and args.process >= args.processes:
        raise argparse.ArgumentTypeError(f"--process must be below --processes {args.processes}, got {args.process}")
    if missing and len(missing) < 3 and args.processes != 1 and not found():
        raise argparse.ArgumentTypeError(f"processes must know of each other, got nothing found: add {missing[0]}")
    if several(args) and getattr(args, "minutes", None):
        raise argparse.ArgumentTypeError("--minutes must not go with several processes, whose clocks differ: --steps")


def several(args) -> bool:
    """Whether this process is one of several."""
    return args.processes != 1 and (args.coordinator is not None or found())


def found() -> bool:
    """Whether something here starts processes that belong together, and JAX knows how to ask it."""
    here = os.environ
    many = {"SLURM_STEP_NODELIST": "SLURM_NTASKS", "OMPI_MCA_orte_hnp_uri": "OMPI_COMM_WORLD_SIZE"}
    if any(name in here and int(here.get(count, 1)) > 1 for name, count in many.items()):
        return True
    if "KUBERNETES_SERVICE_HOST" in here and "JOB_COMPLETION_INDEX" in here:
        return _installed("kubernetes")
    pod = glob.glob("/dev/accel*") or glob.glob("/dev/vfio/[0-9]*") if _installed("libtpu") else []
    return bool(pod) and here.get("JAX_PLATFORMS", "tpu") != "cpu"


def _installed(package):
    return importlib.util.find_spec(package) is not None


def share() -> tuple[int, int]:
    """(K, N): this is the K-th of N processes that were started together; alone it is the first of one."""
    here = os.environ
    for rank, count in ("SLURM_PROCID", "SLURM_NTASKS"), ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"):
        if here.get(rank, "").isdigit() and here.get(count, "").isdigit():
            return int(here[rank]) + 1, int(here[count])
    return 1, 1


def name(args) -> str:
    """This process, in words."""
    if args.process is None:
        return "this process"
    return f"process {args.process}" + (f" of {args.processes}" if args.processes else "")


def _joined(args, work):
    from nst_jax.painting import devices

    asked = {"coordinator": args.coordinator, "processes": args.processes, "process": args.process}
    devices.joined(**asked, heartbeat=args.heartbeat)
    if not devices.first():
        args.log = args.report = args.save_every = None
    return work(args)


def first() -> bool:
    """Whether this process writes files and says how it goes."""
    if not launch.watched():
        return True
    from nst_jax.painting import devices

    return devices.first()


def accompanied(frames) -> int:
    """Go through the frames of a run that another process shows and saves."""
    from nst_jax.cli import follow

    for frame in frames:
        follow.finite({name: float(value) for name, value in frame.terms.items()}, frame.step)
    return 0


def used(args, height: int):
    """What the flags say that a picture so high may use."""
    return machine.used(args)._replace(mesh=chosen(args, height=height))


def chosen(args, *, runs: int = 1, height: int | None = None):
    """The mesh that the flags ask for, or that fits; None for one device."""
    from nst_jax.painting import devices

    if "mesh" not in args:
        return None
    if runs < (data := (args.mesh or {}).get("data", 1)):
        got = f"got data={data}: write space={data * args.mesh.get('space', 1)}"
        raise argparse.ArgumentTypeError(f"--mesh must not spread more runs than there are, {runs}, {got}")
    made = devices.made(**args.mesh) if args.mesh else devices.automatic(runs=runs, height=height)
    return None if made.size == 1 else made


def lost(error: BaseException) -> bool:
    """Whether an error of JAX's says that another process has gone."""
    text = str(error).lower()
    return launch.watched() and isinstance(error, (RuntimeError, ValueError)) and any(word in text for word in LOST)
