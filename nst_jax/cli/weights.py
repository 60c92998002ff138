"""fetch, convert and inspect the network's weights"""

import contextlib
import os
import pathlib
import sys


def arguments(parser) -> None:
    commands = parser.add_subparsers(dest="weights_command", metavar="COMMAND", required=True)
    text = "download the official Keras file (80 MB), verify, convert and install it"
    commands.add_parser("fetch", help=text, description=text)
    text = "convert a published file: Keras .h5 or .keras, MatConvNet .mat, torchvision .safetensors or .pth"
    convert = commands.add_parser("convert", help=text, description=text)
    convert.add_argument("file", metavar="FILE", type=pathlib.Path, help="the file to read; its name does not matter")
    convert.add_argument(
        "-o", "--out", metavar="OUT", type=pathlib.Path, help="where to write; default: the user's cache"
    )
    convert.add_argument("--half", action="store_true", help="store float16, compressed (22 MB instead of 80)")
    text = "say what is there and which file would be used"
    info = commands.add_parser("info", help=text, description=text)
    info.add_argument("--weights", metavar="FILE", type=pathlib.Path, help="as the other commands take it")


def run(args) -> None:
    {"fetch": _fetch, "convert": _convert, "info": _info}[args.weights_command](args)


def _fetch(args):
    from nst_jax.network import fetch

    with _bar() as progress:
        said = fetch.vgg19_weights(progress=progress)
    _report(said)


def _convert(args):
    from nst_jax.network import convert, vgg19

    out = args.out
    if out is None:
        out = vgg19.cache_path()
        out.parent.mkdir(parents=True, exist_ok=True)
    _report(convert.convert(args.file, out, half=args.half))


def _report(said):
    from nst_jax.network import vgg19

    print(f"wrote {said['path']}")
    _attributes(said)
    used = vgg19.find()
    if pathlib.Path(said["path"]).resolve() != used.resolve():
        print(f"without --weights, {used} is used")


def _info(args):
    from nst_jax.network import vgg19

    named = os.environ.get("NST_JAX_WEIGHTS")
    used = vgg19.find(args.weights)
    places = {
        "--weights": args.weights,
        "$NST_JAX_WEIGHTS": pathlib.Path(named) if named else None,
        "cache": vgg19.cache_path(),
        "bundled": vgg19.bundled_path(),
    }
    first = next(place for place, path in places.items() if path == used)
    for place, path in places.items():
        state = "not given" if path is None else f"{path}{'' if path.exists() else ' (not there)'}"
        print(f"{'*' if place == first else ' '} {place:<17} {state}")
    _attributes(vgg19.info(used))


def _attributes(said):
    for key, value in said.items():
        value = ", ".join(f"{v:.4f}" for v in value) if isinstance(value, list) else value
        print(f"  {key:<17} {value}")


@contextlib.contextmanager
def _bar():
    """What a download reports to: a bar on a terminal, a line for every tenth elsewhere."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich import console, progress

    columns = (progress.BarColumn(), progress.DownloadColumn(), progress.TransferSpeedColumn())
    with progress.Progress(*columns, progress.TimeRemainingColumn(), console=console.Console(stderr=True)) as bar:
        task = bar.add_task("weights")
        yield lambda done, size: bar.update(task, completed=done, total=size)


def _lines():
    tenths = set()

    def progress(done, size):
        tenth = 10 * done // size
        if tenth not in tenths:
            tenths.add(tenth)
            print(f"{10 * tenth} % of {size / 1e6:.0f} MB", file=sys.stderr, flush=True)

    return progress
