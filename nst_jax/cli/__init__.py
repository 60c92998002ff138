"""The command line: words in, lines out. One file per sub-command, each with `arguments(parser)` and `run(args)`.

The files import nothing heavy before `run`, so that every `--help` answers at once.
"""

import argparse
import gc
import importlib
import os
import sys
from typing import NoReturn

from nst_jax.cli import flags, launch
from nst_jax.ground.choices import one_line
from nst_jax.version import __version__

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
    "resume",
    "studio",
    "recipes",
    "weights",
    "doctor",
)


class Parser(argparse.ArgumentParser):
    """Says what is wrong on one line; argparse's own puts all flags before it."""

    def error(self, message):
        """End with the message and exit code 2."""
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def parser() -> argparse.ArgumentParser:
    """The parser of all sub-commands, each described by its module's docstring."""
    top = Parser(
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


def process(argv: list[str] | None = None) -> NoReturn:
    """`main` as a whole process, with little time for garbage: of a short command that was a seventh."""
    gc.set_threshold(50_000)  # of new objects, of which tracing makes millions
    code = main(argv)
    gc.freeze()  # what is left goes with the process
    sys.exit(code)


def main(argv: list[str] | None = None) -> int:
    """Run a command: 0 when it did what was asked, 1 with one line when it could not, 2 for usage, 130 after Ctrl-C."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # LAPACK's own threads spin, and quarrel with XLA's
    try:
        args = parser().parse_args(argv)
        args.argv = sys.argv[1:] if argv is None else argv
        with flags.usage(args):
            code = args.run(args)
        sys.stdout.flush()
        return code or 0
    except (Exception, KeyboardInterrupt) as error:
        return report_failure(error)


def report_failure(error: BaseException, *, more: str = "") -> int:
    """Say on one line what stopped a command, and give its exit code; a mistake of ours is raised."""
    from nst_jax.cli.progress import Terminated

    text, code = flags.as_flags(one_line(error)), 1
    if isinstance(error, BrokenPipeError):  # the reader of our output has gone: `nst-jax recipes | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python flushes once more at its end
        return 1
    if isinstance(error, KeyboardInterrupt):
        text, code = "stopped", 143 if isinstance(error, Terminated) else 130
    elif isinstance(error, MemoryError) or text.startswith("RESOURCE_EXHAUSTED"):  # XLA's, of no class of its own
        text = "the run must fit into memory: choose a smaller --size"
    elif launch.is_loss(error):
        text = launch.GONE
    elif isinstance(error, (AssertionError, RuntimeError)) and (trouble := _no_device()):
        text = trouble
    elif not isinstance(error, (ValueError, OSError)):
        raise error
    sys.stderr.write(f"nst-jax: {text}{more}\n")
    return code


def _no_device() -> str:
    """Why jax has no device to run on; nothing where it has one."""
    from nst_jax.painting import devices

    try:
        devices.available()
    except ValueError as error:
        return str(error)
    return ""
