"""Paint a sample picture that the program draws itself, offline, within a minute.

nst-jax demo
nst-jax demo --preview
nst-jax demo --content still_life --style woodcut -o demo
"""

from nst_jax.cli import flags, launch, stylize
from nst_jax.orders import values
from nst_jax.orders.order import Refused

STEPS, PREVIEW = 120, 100
SIZES = ((128, 80), (256, 40))  # two sizes to compile


def arguments(parser):
    add = parser.add_argument
    size = flags.as_type(values.size)
    add("-o", "--output", metavar="DIR", default="demo", help="folder for the pictures (default: %(default)s)")
    add("--content", metavar="NAME", default="skyline", help="skyline, landscape, still_life (default: %(default)s)")
    add("--style", metavar="NAME", default="flow", help="flow, mosaic, woodcut, … (default: %(default)s)")
    add("--size", metavar="N|WxH", type=size, default=256, help="long edge in pixels (default: %(default)s)")
    text = f"(default: {STEPS}, of a preview {PREVIEW})"
    add("--steps", metavar="N", type=flags.as_type(values.count), help=text)
    only = ("seed", "network", "weights", "preview", "max-memory", "precision", "minutes", "still", "fast-first")
    flags.add(parser, only=only)
    flags.add_outputs(parser, storing=False)
    launch.arguments(parser)


def run(args):
    return launch.run(args, _run)


def _run(args):
    from nst_jax.ground import storage
    from nst_jax.pictures import images

    drawn = _draw(args.content, args.size), _draw(args.style, args.size)
    folder = storage.ensure_folder(args.output)
    content, style = (str(folder / f"{name}.png") for name in (args.content, args.style))
    for path, picture in zip((content, style), drawn, strict=True):
        images.save(path, picture)
    ladder = None if args.preview else SIZES
    order = flags.order(args, content=content, style=(style,), ladder=ladder)
    outputs = flags.Outputs(str(folder / f"{args.content}-{args.style}.png"), args.log, args.report)
    return stylize.carry_out(order, outputs, keep=not args.no_cache)


def _draw(name, size):
    from nst_jax.pictures import samples

    try:
        return samples.draw(name, size if isinstance(size, tuple) else (max(16, size * 3 // 4), size))
    except ValueError as error:
        raise Refused(str(error)) from None
