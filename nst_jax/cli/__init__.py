"""The command line: one file per sub-command, each with `arguments(parser)` and `run(args)`.

The files import nothing heavy before `run`, so that every `--help` answers at once.
"""

import argparse
import importlib
import sys

from nst_jax import __version__

COMMANDS = ("stylize", "demo", "recipes", "weights", "doctor")


def parser() -> argparse.ArgumentParser:
    """The parser of all sub-commands, each described by its module's docstring."""
    top = argparse.ArgumentParser(
        prog="nst-jax", description="Paint a photograph after a painting (neural style transfer)."
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
        )
        module.arguments(one)
        one.set_defaults(run=module.run)
    return top


def main(argv: list[str] | None = None) -> int:
    """Run a command: 0 when it did what was asked, 1 with one line when it could not, 2 for usage, 130 after Ctrl-C."""
    try:
        args = parser().parse_args(argv)
        return args.run(args) or 0
    except KeyboardInterrupt:
        print("nst-jax: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone: `nst-jax recipes | head`
        sys.stderr.close()
        return 1
    except (ValueError, OSError) as error:
        print(f"nst-jax: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
