"""Make a picture again from the settings inside it, and the pictures that it was made of.

nst-jax rerun painting.png --content town.jpg --style night.jpg -o again.png
"""

import argparse
import contextlib
import io
import os
import sys

from nst_jax.cli import control, values

FILES = ("mask", "style-mask", "strength-map", "init")
MOST = {"steps": 1_000_000, "memory": 1_000, "linesearch_steps": 1_000}  # what a stranger's settings may ask for


def arguments(parser):
    add = parser.add_argument
    add("result", metavar="RESULT", help="a picture that nst-jax has made")
    add("--content", metavar="FILE", required=True, help="the photograph that was used")
    add("--style", metavar="FILE", nargs="+", required=True, help="the paintings that were used, in their order")
    add("-o", "--output", metavar="OUT", required=True, type=values.output, help="the picture to write")
    for name in FILES:
        add(f"--{name}", metavar="FILE", nargs="+", help="as it was used, where it was")
    add("--palette", metavar="FILE", nargs=1, help="as it was used, where it was")
    add("--keep-metadata", action="store_true", help="the content's ICC profile and EXIF, where they were kept")
    add("--weights", metavar="FILE", help="the network (default: see `nst-jax weights info`)")
    add("--log", metavar="FILE", type=values.log, help="write losses as lines of JSON")


def run(args):
    from nst_jax.orders import record as runs
    from nst_jax.pictures import metadata

    record = runs.parsed(metadata.read(args.result), name=args.result)
    for path in (args.output, args.log):
        if path and os.path.realpath(path) == os.path.realpath(args.result):
            raise ValueError(f"output must not be the result itself, got {path!r}: choose another name")
    with control.fetched(args):
        given = {name: getattr(args, name.replace("-", "_")) or [] for name in (*FILES, "palette")}
        given |= {"content": [args.content], "style": args.style}
        for kind, paths in given.items():
            runs.same(record, kind, paths)
        parsed = again(record, args, given)
        _say_changes(record, parsed)
        try:
            return parsed.run(parsed)
        except argparse.ArgumentTypeError as error:
            raise ValueError(f"settings must be ones that go together, got: {error}") from None


def _say_changes(record, args):
    from nst_jax.cli import follow
    from nst_jax.network import vgg19
    from nst_jax.orders import record as runs

    now = {"versions": runs.versions(), "device": follow.device(), "network": vgg19.info(args.weights)}
    for change in runs.changes(record, now):
        print(f"changed:  {change}: the picture may differ", file=sys.stderr)
    if "keep-metadata" in record["flags"] and not args.keep_metadata:
        print("changed:  profile and EXIF were kept, are left out: --keep-metadata keeps them", file=sys.stderr)


def again(record, args, given) -> argparse.Namespace:
    """The arguments of `stylize` that made a record, parsed as if they had been typed."""
    from nst_jax import cli
    from nst_jax.orders import record as runs

    flags = runs.flags(record)
    if ("--colour=palette" in flags) != bool(given["palette"]):
        raise ValueError("settings must be ones that go together, got a palette without its colours, or the opposite")
    flags = [f"--colour=palette:{given['palette'][0]}" if flag == "--colour=palette" else flag for flag in flags]
    for name in FILES:
        flags += [f"--{name}", *given[name]] if given[name] else []
    for name in ("weights", "log"):
        flags += [f"--{name}", value] if (value := getattr(args, name)) else []
    flags += ["--keep-metadata"] if args.keep_metadata else []
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            typed = ["stylize", *flags, "-o", args.output, "--", args.content, *args.style]
            return bounded(cli.parser().parse_args(typed))
    except SystemExit:
        why = runs.plain(said.getvalue().splitlines()[-1].partition("error: ")[2], most=300)
        raise ValueError(f"settings must be ones that stylize takes, got: {why}") from None


def bounded(parsed: argparse.Namespace) -> argparse.Namespace:
    """These arguments, unless they ask for more than a stranger's settings may."""
    asked = {name: getattr(parsed, name) or 0 for name in MOST}
    asked["steps"] = max(asked["steps"], sum(steps or 0 for _, steps in parsed.ladder or []))
    for name, value in asked.items():
        if value > MOST[name]:
            raise ValueError(f"settings must ask for at most {MOST[name]} {name.replace('_', ' ')}, got {value}")
    return parsed
