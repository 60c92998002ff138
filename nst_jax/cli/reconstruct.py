"""Paint a photograph again from what one layer of the network knows of it, starting from noise.

nst-jax reconstruct town.jpg -o seen.png --layer relu4_2
"""

from nst_jax.cli import flags, launch, stylize
from nst_jax.orders import values


def arguments(parser):
    parser.add_argument("content", metavar="CONTENT", help="the photograph")
    text = "any of the network's maps, or several"
    parser.add_argument("--layer", metavar="LAYER", type=flags.as_type(values.layers), help=text)
    stylize.common(parser)


def run(args):
    return launch.run(args, _run)


def _run(args):
    asked = {"style": (args.content,), "style_weight": 0.0, "init": args.init or "noise"}
    return stylize.run_order(args, **asked, content_layers=args.layer or args.content_layers)
