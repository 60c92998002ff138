"""Paint a sample picture that the program draws itself, offline, within a minute.

nst-jax demo
nst-jax demo --content still_life --style woodcut -o demo
"""

import pathlib

from nst_jax import recipes
from nst_jax.cli import stylize, values

STEPS = 120  # about forty seconds on two cores at 256 px
RECIPE = recipes.get("gatys-notebook")._replace(optimizer="adam", settings={"learning_rate": 0.04}, steps=STEPS)


def arguments(parser):
    add = parser.add_argument
    add("-o", "--output", metavar="DIR", default="demo", help="folder for the pictures (default: %(default)s)")
    add("--content", metavar="NAME", default="skyline", help="skyline, landscape, still_life (default: %(default)s)")
    add("--style", metavar="NAME", default="flow", help="flow, mosaic, woodcut, … (default: %(default)s)")
    add("--size", metavar="N", type=values.count, default=256, help="long edge in pixels (default: %(default)s)")
    add("--steps", metavar="N", type=values.count, default=STEPS, help="(default: %(default)s)")
    stylize.common(parser)


def run(args):
    from nst_jax import images, samples

    if args.size < 16:
        raise ValueError(f"--size must be at least 16 px, got {args.size}")
    shape = (max(16, args.size * 3 // 4), args.size)
    content, style = samples.draw(args.content, shape), samples.draw(args.style, shape)
    folder = pathlib.Path(args.output)
    folder.mkdir(parents=True, exist_ok=True)
    images.save(folder / f"{args.content}.png", content)
    images.save(folder / f"{args.style}.png", style)
    args.output, args.save_every = str(folder / f"{args.content}-{args.style}.png"), None
    return stylize.paint(args, RECIPE._replace(steps=args.steps), content, style)
