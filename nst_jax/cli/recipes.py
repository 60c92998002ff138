"""List the recipes: what each is, where its numbers come from, and what differs from there."""

import textwrap

from nst_jax import recipes
from nst_jax.cli import flags


def arguments(parser):
    parser.add_argument("recipe", metavar="NAME", nargs="?", type=flags.as_type(recipes.get), help="show only this one")


def run(args):
    for recipe in [args.recipe] if args.recipe else recipes.everything().values():
        print(describe(recipe))


def describe(recipe: recipes.Recipe) -> str:
    """A recipe in a few lines, its weights as they are at its own size, square."""
    edge = recipe.size if isinstance(recipe.size, int) else max(recipe.size or (512,))
    weights = recipe.weights((edge, edge))
    ladder = ", ".join(f"{size.steps} at {size.edge}" for size in recipe.schedule(edge))
    lines = [
        f"from       {recipe.source}",
        f"network    {recipe.family}, {recipe.pool} pooling, {recipe.padding} beyond the border",
    ]
    if weights.content:
        lines.append(f"content    {recipe.content_distance}: {_listed(weights.content)}")
    if weights.style:
        lines.append(f"style      {recipe.style_distance}: {_listed(weights.style)}")
    if weights.near:
        apart = f"; columns give way in the last {recipe.apart:.0%} of the steps" if recipe.apart else ""
        lines.append(f"nearest    {_listed(weights.near)}{apart}")
    if weights.variation:
        lines.append(f"variation  {recipe.variation_kind}: {weights.variation:g}")
    lines.append(f"optimizer  {', '.join([recipe.optimizer, *_settings(recipe.settings), *recipe.keep])}")
    lines.append(f"picture    {_size(recipe)}, starting from {recipe.start}; steps: {ladder}")
    if recipe.differs:
        lines.append(f"differs    {recipe.differs}")
    name = recipe.name + (" (default)" if recipe.name == recipes.DEFAULT else "")
    wrapped = ("\n".join(textwrap.wrap(line, 110, subsequent_indent=" " * 11)) for line in lines)
    return name + "\n" + textwrap.indent("\n".join(wrapped), "  ")


def _size(recipe):
    if recipe.size is None:
        return "as large as the content"
    if isinstance(recipe.size, tuple):
        return f"{recipe.size[1]}×{recipe.size[0]}"
    return f"{recipe.edge} edge {recipe.size} px"


def _listed(weights):
    return ", ".join(f"{layer} {value:.4g}" for layer, value in weights.items())


def _settings(settings):
    return [f"{name} {_numbers(value)}" for name, value in settings.items()]


def _numbers(value):
    return "/".join(f"{x:.3g}" for x in (value if isinstance(value, tuple) else (value,)))
