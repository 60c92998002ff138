"""List the recipes: what each is, where its numbers come from, and what differs from there."""

import textwrap

from nst_jax import recipes


def arguments(parser):
    parser.add_argument("name", nargs="?", help="show one recipe in full")


def run(args):
    for recipe in [recipes.get(args.name)] if args.name else recipes.RECIPES.values():
        print(describe(recipe))


def describe(recipe: recipes.Recipe) -> str:
    """A recipe in a few lines, its weights as they are at its own size, square."""
    weights = recipe.weights((recipe.size, recipe.size))
    lines = [
        f"from       {recipe.source}",
        f"content    {_listed(weights.content)}",
        f"style      {_listed(weights.style)}",
        f"optimizer  {recipe.optimizer} {_settings(recipe.settings)}, {recipe.steps} steps",
        f"picture    {recipe.edge} edge {recipe.size} px, starting from {recipe.start}, {recipe.pool} pooling",
    ]
    if weights.variation:
        lines.insert(3, f"variation  {weights.variation:g}")
    if recipe.differs:
        lines.append(f"differs    {recipe.differs}")
    name = recipe.name + (" (default)" if recipe.name == recipes.DEFAULT else "")
    wrapped = ("\n".join(textwrap.wrap(line, 110, subsequent_indent=" " * 11)) for line in lines)
    return name + "\n" + textwrap.indent("\n".join(wrapped), "  ")


def _listed(weights):
    return ", ".join(f"{layer} {value:.4g}" for layer, value in weights.items())


def _settings(settings):
    return ", ".join(f"{name} {value:g}" for name, value in settings.items())
