"""Make a picture again from the settings inside it, and the pictures that it was made of.

nst-jax rerun painting.png --content town.jpg --style night.jpg -o again.png
"""

import os

from nst_jax.cli import flags, launch, progress, stylize
from nst_jax.orders import values

FILES = ("mask", "style-mask", "strength-map", "init", "palette")


def arguments(parser):
    add = parser.add_argument
    add("result", metavar="RESULT", help="a picture that nst-jax has made")
    add("--content", metavar="FILE", required=True, help="the photograph that was used")
    add("--style", metavar="FILE", nargs="+", required=True, help="the paintings that were used, in their order")
    add("-o", "--output", metavar="OUT", required=True, type=flags.picture, help="the picture to write")
    for name in FILES:
        add(f"--{name}", metavar="FILE", nargs="+", help="as it was used, where it was")
    add("--keep-metadata", action="store_true", help="the content's ICC profile and EXIF, where they were kept")
    add("--weights", metavar="FILE", help="the network (default: see `nst-jax weights info`)")
    text = "largest picture that is painted, whose settings may be a stranger's (default: 64000000)"
    add("--max-pixels", metavar="N", type=flags.as_type(values.count), help=text)
    flags.add_outputs(parser)
    launch.arguments(parser)


def run(args):
    return launch.run(args, _run)


def _run(args):
    from nst_jax.orders import compose, customise, prepare, record
    from nst_jax.orders import order as orders
    from nst_jax.pictures import metadata

    known = record.parse(metadata.read(args.result), name=args.result)
    outputs = flags.outputs(args)
    for path in (args.output, args.log):
        if path and os.path.realpath(path) == os.path.realpath(args.result):
            raise ValueError(f"output must not be the result itself, got {path!r}: choose another name")
    files = {name: getattr(args, name.replace("-", "_")) or [] for name in FILES}
    files |= {"content": [args.content], "style": args.style}
    order = record.order_of(known, files, keep_metadata=args.keep_metadata)
    order = prepare.as_then(order.with_values(max_pixels=args.max_pixels))
    if args.weights:
        order = order.with_values(weights=args.weights, network=None, preview=order.machine.preview)
    with compose.with_local_files(order) as local:
        for kind, paths in _local(files, order, local).items():
            record.check_files(known, kind, paths)
        try:
            orders.check(local)
            customise.recipe_of(local)
        except orders.Refused as error:
            raise ValueError(f"settings must be ones that go together, got: {error}") from None
        _say_changes(known, local, args)
        if known.stopped:
            progress.say(f"ended:    after {known.stopped} of {known.total} steps, and ends there again")
        return stylize.carry_out(local, outputs, keep=not args.no_cache, record=known)


def _local(files, order, local) -> dict[str, list[str]]:
    """The files that were given, those at addresses where they lie now."""
    pairs = zip(order.files().values(), local.files().values(), strict=True)
    where = {name: path for names, paths in pairs for name, path in zip(names, paths, strict=True)}
    return {kind: [where.get(name, name) for name in names] for kind, names in files.items()}


def _say_changes(known, order, args):
    from nst_jax.network import vgg19
    from nst_jax.orders import networks, record
    from nst_jax.painting import devices

    network = vgg19.info(networks.weights_path(order))
    now = record.Record({}, record.versions(), {}, device=devices.describe(), network=network)
    for change in record.changes(known, now):
        progress.say(f"changed:  {change}: the picture may differ")
    if "keep-metadata" in known.order and not args.keep_metadata:
        progress.say("changed:  profile and EXIF were kept, are left out: --keep-metadata keeps them")
