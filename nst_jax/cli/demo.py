"""Paint a sample picture that the program draws itself, offline, within a minute.

nst-jax demo
nst-jax demo --preview
nst-jax demo --content still_life --style woodcut -o demo
"""

import argparse
import pathlib

from nst_jax import recipes
from nst_jax.cli import follow, settings, stylize, values

STEPS, PREVIEW = 120, 100
RECIPE = recipes.get(recipes.DEFAULT)._replace(schedule=recipes.listed((128, 80), (256, 40)))  # two sizes to compile


def arguments(parser):
    add = parser.add_argument
    add("-o", "--output", metavar="DIR", default="demo", help="folder for the pictures (default: %(default)s)")
    add("--content", metavar="NAME", default="skyline", help="skyline, landscape, still_life (default: %(default)s)")
    add("--style", metavar="NAME", default="flow", help="flow, mosaic, woodcut, … (default: %(default)s)")
    add("--size", metavar="N|WxH", type=values.size, default=256, help="long edge in pixels (default: %(default)s)")
    add("--steps", metavar="N", type=values.count, help=f"(default: {STEPS}, of a preview {PREVIEW})")
    stylize.common(parser)
    parser.set_defaults(save_every=None)


def run(args):
    from nst_jax.objective import losses
    from nst_jax.painting import painter as painting
    from nst_jax.pictures import images

    content, style = _drawn(args.content, args.size), _drawn(args.style, args.size)
    folder = stylize.made(pathlib.Path(args.output))
    inputs = {"content": [str(folder / f"{args.content}.png")], "style": [str(folder / f"{args.style}.png")]}
    images.save(inputs["content"][0], content)
    images.save(inputs["style"][0], style)
    content, style = (images.load(path) for (path,) in inputs.values())  # as they will be read by whoever tries again
    args.output = str(folder / f"{args.content}-{args.style}.png")
    recipe, share = settings.previewed(RECIPE, None) if args.preview else (RECIPE, 1.0)
    recipe = (recipe.of_steps(args.steps) if args.steps else recipe).times(style=share)._replace(size=args.size)
    job = painting.Job(content, losses.everywhere(style), recipe, content.shape[:2], None, args.seed)
    settings.fixed(args, painting.stages(job))
    return stylize.paint(args, job, follow.Result(args.output, lambda image: image, images.Extras(), inputs))


def _drawn(name, size):
    from nst_jax.pictures import samples

    try:
        return samples.draw(name, size if isinstance(size, tuple) else (max(16, size * 3 // 4), size))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
