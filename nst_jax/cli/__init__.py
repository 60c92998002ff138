"""The command line: one file per sub-command, each with `arguments(parser)` and `run(args)`.

The files import nothing heavy before `run`, so that every `--help` answers at once.
"""

import argparse
import importlib
import os
import sys

from nst_jax import __version__
from nst_jax.cli import devices, launch

COMMANDS = (
    "stylize",
    "sweep",
    "batch",
    "demo",
    "texture",
    "reconstruct",
    "plan",
    "show",
    "rerun",
    "recipes",
    "weights",
    "doctor",
)


def parser() -> argparse.ArgumentParser:
    """The parser of all sub-commands, each described by its module's docstring."""
    top = argparse.ArgumentParser(
        prog="nst-jax", description="Paint a photograph after a painting (neural style transfer).", allow_abbrev=False
    )
    top.add_argument("--version", action="version", version=f"nst-jax {__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    for name in COMMANDS:
        module = importlib.import_module(f"nst_jax.cli.{name}")
        text = (module.__doc__ or "").strip()
        one = commands.add_parser(
            name,
            help=text.splitlines()[0].rstrip("."),
            description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        module.arguments(one)
        one.set_defaults(run=module.run, refuse=one.error)
    return top


def main(argv: list[str] | None = None) -> int:
    """Run a command: 0 when it did what was asked, 1 with one line when it could not, 2 for usage, 130 after Ctrl-C."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # LAPACK's own threads spin, and quarrel with XLA's
    try:
        args = parser().parse_args(argv)
        try:
            code = args.run(args)
        except argparse.ArgumentTypeError as error:  # flags that are good one by one and do not go together
            args.refuse(str(error))
        sys.stdout.flush()
        return code or 0
    except (Exception, KeyboardInterrupt) as error:
        return failed(error)


def failed(error: BaseException, *, more: str = "") -> int:
    """Say on one line what stopped a command, and give its exit code; a mistake of ours is raised."""
    text = " ".join(str(error).split())
    if isinstance(error, BrokenPipeError):  # the reader of our output has gone: `nst-jax recipes | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python flushes once more at its end
        return 1
    if isinstance(error, KeyboardInterrupt):
        text = "stopped"
    elif isinstance(error, MemoryError) or text.startswith("RESOURCE_EXHAUSTED"):  # XLA's, of no class of its own
        text = "the run must fit into memory: choose a smaller --size"
    elif devices.lost(error):
        text = launch.GONE
    elif isinstance(error, (AssertionError, RuntimeError)) and (trouble := _no_device()):
        text = trouble
    elif not isinstance(error, (ValueError, OSError)):
        raise error
    print(f"nst-jax: {text}{more}", file=sys.stderr)
    return 130 if isinstance(error, KeyboardInterrupt) else 1


def _no_device() -> str:
    """Why jax has no device to run on; nothing where it has one."""
    from nst_jax.cli import follow

    try:
        follow.devices()
    except ValueError as error:
        return str(error)
    return ""
