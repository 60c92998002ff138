"""Make a picture again from the settings inside it, and the pictures that it was made of.

nst-jax rerun painting.png --content town.jpg --style night.jpg -o again.png
"""

import argparse
import contextlib
import io
import sys

from nst_jax.cli import values

FILES = ("mask", "style-mask", "strength-map", "init")


def arguments(parser):
    add = parser.add_argument
    add("result", metavar="RESULT", help="a picture that nst-jax has made")
    add("--content", metavar="FILE", required=True, help="the photograph that was used")
    add("--style", metavar="FILE", nargs="+", required=True, help="the paintings that were used, in their order")
    add("-o", "--output", metavar="OUT", required=True, type=values.output, help="the picture to write")
    for name in FILES:
        add(f"--{name}", metavar="FILE", nargs="+", help="as it was used, where it was")
    add("--palette", metavar="FILE", nargs=1, help="as it was used, where it was")
    add("--weights", metavar="FILE", help="the network (default: see `nst-jax weights info`)")
    add("--log", metavar="FILE", type=values.log, help="write losses as lines of JSON")


def run(args):
    from nst_jax import embedded, runs, vgg19
    from nst_jax.cli import follow

    record = runs.parsed(embedded.read(args.result), name=args.result)
    given = {name: getattr(args, name.replace("-", "_")) or [] for name in (*FILES, "palette")}
    given |= {"content": [args.content], "style": args.style}
    for kind, paths in given.items():
        runs.same(record, kind, [path for path in paths if path != "-"])
    now = {"versions": runs.versions(), "device": follow.device(), "network": vgg19.info(args.weights)}
    for change in runs.changes(record, now):
        print(f"changed:  {change}: the picture may differ in small things", file=sys.stderr)
    parsed = again(record, args, given)
    return parsed.run(parsed)


def again(record, args, given) -> argparse.Namespace:
    """The arguments of `stylize` that made a record, parsed as if they had been typed."""
    from nst_jax import cli, runs

    flags = [f"--colour=palette:{given['palette'][0]}" if f == "--colour=palette" else f for f in runs.flags(record)]
    for name in FILES:
        flags += [f"--{name}", *given[name]] if given[name] else []
    for name in ("weights", "log"):
        flags += [f"--{name}", value] if (value := getattr(args, name)) else []
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return cli.parser().parse_args(["stylize", *flags, "-o", args.output, "--", args.content, *args.style])
    except SystemExit:
        raise ValueError(f"settings must be ones that stylize takes, got {said.getvalue().splitlines()[-1]}") from None
