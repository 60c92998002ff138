"""Paint a photograph after a painting.

nst-jax stylize town.jpg night.jpg -o painting.png
nst-jax stylize town.jpg night.jpg -o painting.png --size 640x480 --optimizer adam --steps 300 --style-weight 3
"""

import pathlib
import sys

from nst_jax import recipes
from nst_jax.cli import values

OPTIMIZERS = ("adam", "lbfgs")
SETTINGS = {
    "learning_rate": ("adam", values.positive, "Adam's learning rate, of pixels in [0, 1]"),
    "b1": ("adam", values.fraction, "Adam's decay of the mean gradient"),
    "b2": ("adam", values.fraction, "Adam's decay of the mean squared gradient"),
    "eps": ("adam", values.positive, "Adam's epsilon"),
    "memory": ("lbfgs", values.count, "steps that L-BFGS remembers"),
    "linesearch_steps": ("lbfgs", values.count, "evaluations at most of an L-BFGS line search"),
}


def arguments(parser):
    parser.add_argument("content", metavar="CONTENT", help="the photograph")
    parser.add_argument("style", metavar="STYLE", help="the painting")
    parser.add_argument("-o", "--output", metavar="OUT", required=True, type=values.output, help="the picture to write")
    common(parser)
    recipe_flags(parser)
    parser.add_argument("--save-every", metavar="N", type=values.count, help="also store a picture every N steps")
    parser.add_argument("--folder", metavar="DIR", help="where to store them (default: OUT's name and -steps)")
    parser.add_argument("--max-pixels", metavar="N", type=values.count, help="largest picture that is read")


def common(parser):
    """What every run takes."""
    parser.add_argument("--weights", metavar="FILE", help="the network (default: see `nst-jax weights info`)")
    parser.add_argument("--seed", metavar="N", type=values.seed, default=0, help="of random starts (default: 0)")
    parser.add_argument("--log", metavar="FILE", help="write losses as lines of JSON")


def recipe_flags(parser):
    """A recipe, and a flag for each of its settings."""
    about = "`nst-jax recipes` lists them; each flag replaces one of its settings"
    add = parser.add_argument_group("recipe", about).add_argument
    add("--recipe", metavar="NAME", default=recipes.DEFAULT, type=values.recipe, help="(default: %(default)s)")
    add("--size", metavar="N|WxH", type=values.size, help="pixels of the recipe's edge, or width and height exactly")
    add("--steps", metavar="N", type=values.count)
    add("--content-weight", metavar="X", type=values.weight, default=1.0, help="times the recipe's content weights")
    add("--style-weight", metavar="X", type=values.weight, default=1.0, help="times the recipe's style weights")
    add("--tv-weight", metavar="X", type=values.weight, help="of total variation: smoothness")
    add("--content-layers", metavar="LAYER[:W],…", type=values.layers, help="relu4_2, or relu4_2:1,relu5_2:0.5")
    add("--style-layers", metavar="LAYER[:W],…", type=values.layers, help="without a weight: the recipe's for it")
    add("--pool", choices=("max", "average"))
    add("--init", metavar="START", type=values.start, help="content, noise, style, statistics, mix:RATIO or a file")
    add("--optimizer", choices=OPTIMIZERS)
    for name, (optimizer, kind, text) in SETTINGS.items():
        add("--" + name.replace("_", "-"), metavar="X", type=kind, help=f"{text} ({optimizer})")


def run(args):
    recipe = customised(args)
    content, style, start = pictures(args, recipe)
    folder = None
    if args.save_every:
        out = pathlib.Path(args.output)
        folder = pathlib.Path(args.folder or out.with_name(f"{out.stem}-steps"))
        folder.mkdir(parents=True, exist_ok=True)
    return paint(args, recipe, content, style, start=start, folder=folder)


def customised(args) -> recipes.Recipe:
    """The recipe that the flags make."""
    recipe = args.recipe
    if args.content_layers:
        recipe = recipe._replace(content=_layers(args.content_layers, recipe.content))
    if args.style_layers:
        recipe = recipe._replace(style=_layers(args.style_layers, recipe.style))
    recipe = recipe.times(content=args.content_weight, style=args.style_weight)
    given = {"variation": args.tv_weight, "steps": args.steps, "pool": args.pool, "start": args.init}
    recipe = recipe._replace(**{name: value for name, value in given.items() if value is not None})
    return _optimized(recipe, args)


def _layers(asked, known):
    """Layers asked for; one without a weight at the recipe's own, or at that of its first layer."""
    first = next(iter(known.values()))
    return {layer: known.get(layer, first) if weight is None else weight for layer, weight in asked.items()}


def _optimized(recipe, args):
    optimizer = args.optimizer or recipe.optimizer
    settings = dict(recipe.settings) if optimizer == recipe.optimizer else {}
    for name, (owner, *_) in SETTINGS.items():
        value = getattr(args, name)
        if value is None:
            continue
        if owner != optimizer:
            raise ValueError(
                f"--{name.replace('_', '-')} must go with {owner}, got {optimizer}: add --optimizer {owner}"
            )
        settings[name] = value
    return recipe._replace(optimizer=optimizer, settings=settings)


def pictures(args, recipe):
    """(content, style, start): arrays at the sizes that recipe and flags say; start None where the recipe makes it."""
    from nst_jax import images, starts

    limit = {"max_pixels": args.max_pixels} if args.max_pixels else {}
    size = args.size or recipe.size
    content = sized("content", images.load(args.content, **limit), size, recipe.edge)
    edge = max(size) if isinstance(size, tuple) else size
    style = sized("style", images.load(args.style, **limit), edge, "long" if isinstance(size, tuple) else recipe.edge)
    if recipe.start in starts.NAMES or recipe.start.startswith("mix:"):
        return content, style, None
    return content, style, images.load(recipe.start, size=content.shape[:2], **limit)


def sized(what: str, image, size, edge: str):
    """A picture at its size; scaling up is said."""
    from nst_jax import images

    shape = images.fitted(image.shape, size, edge=edge)
    cut = images.crop(image, shape) if isinstance(size, tuple) else image
    if shape[0] > cut.shape[0] or shape[1] > cut.shape[1]:
        print(f"{what}: scaled up from {cut.shape[1]}×{cut.shape[0]} to {shape[1]}×{shape[0]}", file=sys.stderr)
    return images.resize(cut, shape)


def paint(args, recipe, content, style, *, start=None, folder=None) -> int:
    """Run a recipe, follow it, and save what comes out."""
    from nst_jax import images, losses, vgg19
    from nst_jax import paint as painting
    from nst_jax.cli import follow

    head = {
        "recipe": recipe.name,
        "size": f"{content.shape[1]}×{content.shape[0]}",
        "steps": recipe.steps,
        "optimizer": recipe.optimizer,
        "seed": args.seed,
        "device": follow.device(),
        "network": follow.network(args.weights),
    }
    for name in ("recipe", "size", "device", "network"):
        print(f"{name + ':':<9} {head[name]}", file=sys.stderr)
    params = vgg19.load(args.weights)
    every = follow.chunk(args.save_every)
    with follow.log(args.log, **head) as record:
        run = painting.frames(
            params, content, losses.everywhere(style), recipe, start=start, seed=args.seed, every=every
        )
        last, stopped = follow.follow(run, steps=recipe.steps, record=record, save_every=args.save_every, folder=folder)
    if last is None:
        print("stopped before the first steps were done: nothing to save", file=sys.stderr)
        return 130
    images.save(args.output, last.image)
    print(f"{args.output}: {'stopped, saved as it was after' if stopped else 'painted in'} {last.step} steps")
    return 130 if stopped else 0
