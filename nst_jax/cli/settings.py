"""A recipe from flags: one that is named, and a flag for each of its settings. Not a sub-command."""

import argparse
import math

from nst_jax import recipes
from nst_jax.cli import values

OPTIMIZERS = ("adam", "keras-adam", "sgd", "lbfgs")
ADAMS = ("adam", "keras-adam")
SETTINGS = {
    "learning_rate": (("adam", "keras-adam", "sgd"), values.positive, "step size, of pixels in [0, 1]"),
    "b1": (ADAMS, values.fraction, "decay of the mean gradient"),
    "b2": (ADAMS, values.fraction, "decay of the mean squared gradient"),
    "eps": (ADAMS, values.positive, "what is added below the fraction"),
    "memory": (("lbfgs",), values.count, "steps that are remembered"),
    "linesearch_steps": (("lbfgs",), values.count, "evaluations at most of a line search"),
}
CHOICES = {
    "pool": (("max", "average", "scaled-average", "l2"), "how the network shrinks its maps"),
    "padding": (("zeros", "replicate"), "what the first convolution sees beyond the border"),
    "content_distance": (("squared", "scaled"), "of content maps"),
    "style_distance": (("gram", "scaled-gram", "covariance", "statistics", "wasserstein"), "of a layer's moments"),
    "variation_kind": (("squares", "sum-squares", "absolutes", "power", "nine-point"), "which total variation"),
}


def arguments(parser, *, several=lambda kind: kind, listed=lambda kind: kind):
    """A recipe, and a flag for each of its settings; a sweep takes `several` numbers or `listed` words of some."""
    about = "`nst-jax recipes` lists them; each flag replaces one of its settings"
    add = parser.add_argument_group("recipe", about).add_argument
    add("--recipe", metavar="NAME", default=recipes.DEFAULT, type=values.recipe, help="(default: %(default)s)")
    add("--size", metavar="N|WxH", type=values.size, help="pixels of the recipe's edge, or width and height exactly")
    add("--steps", metavar="N", type=values.count, help="steps in all, shared among the sizes as the recipe does")
    add("--ladder", metavar="N[:STEPS],…", type=values.ladder, help="sizes from coarse to fine: 128,181,256")
    add("--strength", metavar="X", type=several(values.share), help="0 photograph, 0.5 the recipe, 1 pure style")
    for kind in ("content", "style"):
        text = f"times the recipe's {kind} weights"
        add(f"--{kind}-weight", metavar="X", type=several(values.weight), default=1.0, help=text)
    add("--tv-weight", metavar="X", type=several(values.weight), help="of total variation: smoothness")
    add("--content-layers", metavar="LAYER[:W],…", type=values.layers, help="relu4_2, or relu4_2:1,relu5_2:0.5")
    add("--style-layers", metavar="LAYER[:W],…", type=values.layers, help="without a weight: the recipe's for it")
    for name, (choices, text) in CHOICES.items():
        add(_flag(name), choices=choices, help=text)
    starts = "content, noise, style, statistics, mix:RATIO or a file"
    add("--init", metavar="START", type=listed(values.start), help=starts)
    add("--keep", metavar="WORDS", type=values.keep, help="clamped, best, averaged:DECAY, or none")
    add("--optimizer", choices=OPTIMIZERS, help="one that is not the recipe's has its own settings")
    for name, (owners, kind, text) in SETTINGS.items():
        add(_flag(name), metavar="X", type=kind, help=f"{text} ({', '.join(owners)})")


def _flag(name):
    return "--" + name.replace("_", "-")


def customised(args) -> recipes.Recipe:
    """The recipe that the flags make."""
    recipe, share = previewed(args.recipe, args.style_distance) if args.preview else (args.recipe, 1.0)
    given = {name: getattr(args, name) for name in CHOICES}
    given |= {
        "variation": args.tv_weight,
        "start": args.init,
        "keep": args.keep,
        "size": args.size,
        "style_size": args.style_size,
    }
    recipe = recipe._replace(**{name: value for name, value in given.items() if value is not None})
    if args.content_layers:
        recipe = recipe._replace(content=_layers(args.content_layers, recipe.content))
    if args.style_layers:
        recipe = recipe._replace(style=_layers(args.style_layers, recipe.style))
    recipe = recipe.times(content=args.content_weight, style=share * args.style_weight)
    if args.strength is not None:
        recipe = recipe.strength(args.strength)
    weights = recipe.weights((512, 512))
    if not any((*weights.content.values(), *weights.style.values(), weights.variation)):
        raise argparse.ArgumentTypeError("weights must not all be zero, got nothing to paint after: raise one of them")
    return _optimized(_scheduled(recipe, args), args)


def _layers(asked, known):
    """Layers asked for; one without a weight at the recipe's own, or at that of its first layer."""
    first = next(iter(known.values()), 1.0)
    return {layer: known.get(layer, first) if weight is None else weight for layer, weight in asked.items()}


PREVIEW = recipes.listed((128, 60), (256, 40))
# A distance that takes a third of the time to compile and half of it to step, and what a weight of it is beside one of
# the slower: both grow as features squared, and this is the median over layers and pictures of their ratios
LIGHTER = {"wasserstein": ("scaled-gram", 0.45)}


def previewed(recipe: recipes.Recipe, distance: str | None) -> tuple[recipes.Recipe, float]:
    """(a recipe for a first look, what its style weights are to be multiplied by), the distance as asked for."""
    lighter, share = (distance, 1.0) if distance else LIGHTER.get(recipe.style_distance, (recipe.style_distance, 1.0))
    return recipe._replace(schedule=PREVIEW, style_distance=lighter), share


def fixed(args, stages) -> None:
    """Let arguments say which sizes and steps were found for them: a repetition follows the plan that was made."""
    args.ladder, args.steps = [(stage.size, stage.steps) for _, stage in stages], None


def _scheduled(recipe, args):
    if args.ladder:
        total = sum(stage.steps for stage in recipe.schedule(args.ladder[-1][0]))
        share = math.ceil(total / (len(args.ladder) + 1))  # the coarsest gets two
        stages = [(n, steps or share * (1 if i else 2)) for i, (n, steps) in enumerate(args.ladder)]
        recipe = recipe._replace(schedule=recipes.listed(*stages), size=args.size or stages[-1][0])
    if args.steps:
        recipe = recipe.of_steps(args.steps)
    return recipe


def _optimized(recipe, args):
    optimizer = args.optimizer or recipe.optimizer
    settings = dict(recipe.settings) if optimizer == recipe.optimizer else {}
    for name, (owners, *_) in SETTINGS.items():
        value = getattr(args, name)
        if value is None:
            continue
        if optimizer not in owners:
            need = f"must go with {' or '.join(owners)}, got {optimizer}: add --optimizer {owners[0]}"
            raise argparse.ArgumentTypeError(f"{_flag(name)} {need}")
        settings[name] = value
    return recipe._replace(optimizer=optimizer, settings=settings)


def written(args) -> dict[str, str]:
    """The flags that say what a picture is, as they would be typed: what a record keeps of a command."""
    from nst_jax.orders import record
    from nst_jax.painting import starts

    found = {}
    for flag in record.FLAGS:
        value = getattr(args, flag.replace("-", "_"), None)
        if value is not None and value is not False and not (flag == "init" and not starts.named(value)):
            found[flag] = typed(flag, value)
    if found.get("colour", "").startswith("palette:"):
        found["colour"] = "palette"  # its file is given anew
    return {flag: found[flag] for flag in record.FLAGS if flag in found}


def typed(flag: str, value) -> str:
    """A flag's value as it would be typed; one without a value is there, or not."""
    if value is True:
        return "yes"
    if flag == "size" and isinstance(value, tuple):
        return f"{value[1]}x{value[0]}"
    if flag == "ladder":
        return ",".join(f"{n}:{steps}" if steps else str(n) for n, steps in value)
    if isinstance(value, dict):
        return ",".join(layer if weight is None else f"{layer}:{weight!r}" for layer, weight in value.items())
    if flag == "keep" and not value:
        return "none"
    if isinstance(value, (list, tuple)):
        return ",".join(x if isinstance(x, str) else repr(x) for x in value)
    return str(value)


def described(job) -> dict:
    """A recipe's settings as they were used, for a person who reads a record."""
    recipe = job.recipe
    weights = recipe.weights(job.shape)
    words = ("content_distance", "style_distance", "variation_kind", "pool", "padding", "start", "optimizer", "family")
    said = {word: getattr(recipe, word) for word in words}
    said["start"] = said["start"] if _is_word(said["start"]) else "a picture"
    said |= {"content": dict(weights.content), "style": dict(weights.style), "variation": weights.variation}
    return said | {"settings": dict(recipe.settings), "keep": list(recipe.keep)}


def _is_word(start):
    from nst_jax.painting import starts

    return starts.named(start)
