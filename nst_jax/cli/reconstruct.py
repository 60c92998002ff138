"""Paint a photograph again from what one layer of the network knows of it, starting from noise.

nst-jax reconstruct town.jpg -o seen.png --layer relu4_2
"""

from nst_jax.cli import control, settings, stylize, values


def arguments(parser):
    parser.add_argument("content", metavar="CONTENT", help="the photograph")
    parser.add_argument("-o", "--output", metavar="OUT", required=True, type=values.output, help="the picture to write")
    parser.add_argument("--layer", metavar="LAYER", type=values.layers, help="any of the network's maps, or several")
    stylize.common(parser)
    settings.arguments(parser)
    control.arguments(parser)
    stylize.storing(parser)


def run(args):
    args.style, args.style_weight, args.init = [args.content], 0.0, args.init or "noise"
    args.content_layers = args.layer or args.content_layers
    return stylize.run(args)
