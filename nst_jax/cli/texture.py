"""Paint nothing but a painting's manner: its texture, from noise, at any size.

nst-jax texture night.jpg -o texture.png --size 640x480
"""

from nst_jax.cli import launch, stylize


def arguments(parser):
    parser.add_argument("style", metavar="STYLE", nargs="+", help="the painting, or several: a blend of them")
    stylize.common(parser)


def run(args):
    return launch.run(args, _run)


def _run(args):
    return stylize.run_order(args, content=args.style[0], content_weight=0.0, init=args.init or "noise")
