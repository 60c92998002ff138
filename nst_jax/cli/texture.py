"""Paint nothing but a painting's manner: its texture, from noise, at any size.

nst-jax texture night.jpg -o texture.png --size 640x480
"""

from nst_jax.cli import control, settings, stylize, values


def arguments(parser):
    parser.add_argument("style", metavar="STYLE", nargs="+", help="the painting, or several: a blend of them")
    parser.add_argument("-o", "--output", metavar="OUT", required=True, type=values.output, help="the picture to write")
    stylize.common(parser)
    settings.arguments(parser)
    control.arguments(parser)
    stylize.storing(parser)


def run(args):
    args.content, args.content_weight, args.init = args.style[0], 0.0, args.init or "noise"
    return stylize.run(args)
