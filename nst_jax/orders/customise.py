"""The recipe that an order asks for: one by name, with what the order puts in its settings' place."""

import math
from typing import Any

from nst_jax import recipes
from nst_jax.orders.order import Order, Refused
from nst_jax.recipes import Recipe, Turn, Weights, names

PREVIEW = recipes.listed((128, 60), (256, 40))
DEEP = ("relu3_1", "relu4_1")  # layers with small maps, whose neighbours are soon found
# A distance that takes a third of the time to compile and half of it to step, and what a weight of it is beside one of
# the slower: both grow as features squared, and this is the median over layers and pictures of their ratios
LIGHTER = {"wasserstein": ("scaled-gram", 0.45)}


def recipe_of(order: Order) -> Recipe:
    """The recipe that an order asks for; what a Turn may change is left to `turn_of`."""
    changes = order.recipe
    recipe = recipes.get(changes.recipe)
    if order.machine.preview:
        recipe = preview_of(recipe, changes.style_distance)
    given = {
        "pool": changes.pool,
        "padding": changes.padding,
        "content_distance": changes.content_distance,
        "style_distance": changes.style_distance,
        "variation_kind": changes.variation_kind,
        "variation": changes.tv_weight,
        "start": changes.init,
        "keep": changes.keep,
        "size": changes.size,
        "style_size": order.blend.style_size,
    }
    recipe = recipe._replace(**{name: value for name, value in given.items() if value is not None})
    if changes.content_layers:
        recipe = recipe._replace(content=_layers(changes.content_layers, recipe.content))
    if changes.style_layers:
        recipe = recipe._replace(style=_layers(changes.style_layers, recipe.style), neighbours={})
    if changes.neighbour_layers:
        recipe = recipe._replace(neighbours=_layers(changes.neighbour_layers, recipe.neighbours))
    weights = recipe.with_turn(turn_of(order)).weights((512, 512))
    of_layers = (*weights.content.values(), *weights.style.values(), *weights.near.values())
    if not any((*of_layers, weights.variation)):
        raise Refused("weights must not all be zero, got nothing to paint after: raise one of them")
    return _with_optimizer(_with_schedule(recipe, order), changes)


def preview_of(recipe: Recipe, distance: str | None = None) -> Recipe:
    """A recipe for a first look: few steps, a distance that compiles soon unless one is given, few neighbours."""
    lighter, share = (distance, 1.0) if distance else LIGHTER.get(recipe.style_distance, (recipe.style_distance, 1.0))
    near = {layer: weight for layer, weight in recipe.neighbours.items() if layer in DEEP}
    return recipe.times(style=share)._replace(schedule=PREVIEW, style_distance=lighter, neighbours=near)


def turn_of(order: Order) -> Turn:
    """The factors of the recipe's weights that an order begins with."""
    changes = order.recipe
    strength = 0.5 if changes.strength is None else changes.strength
    return Turn(content=changes.content_weight, style=changes.style_weight, strength=strength)


def _layers(asked, known):
    """Layers asked for; one without a weight at the recipe's own, or at that of its first layer."""
    first = next(iter(known.values()), 1.0)
    return {layer: known.get(layer, first) if weight is None else weight for layer, weight in asked.items()}


def _with_schedule(recipe, order):
    if ladder := order.recipe.ladder:
        total = sum(size.steps for size in recipe.schedule(ladder[-1][0]))
        share = math.ceil(total / (len(ladder) + 1))  # the coarsest gets two
        stages = [(n, steps or share * (1 if i else 2)) for i, (n, steps) in enumerate(ladder)]
        recipe = recipe._replace(schedule=recipes.listed(*stages), size=order.recipe.size or stages[-1][0])
    return recipe.with_steps(order.ends.steps) if order.ends.steps else recipe


def _with_optimizer(recipe, changes):
    optimizer = changes.optimizer or recipe.optimizer
    settings = dict(recipe.settings) if optimizer == recipe.optimizer else {}
    for name, owners in names.SETTINGS.items():
        value = getattr(changes, name)
        if value is None:
            continue
        if optimizer not in owners:
            need = f"must go with {' or '.join(owners)}, got {optimizer}: add optimizer {owners[0]}"
            raise Refused(f"{name.replace('_', '-')} {need}")
        settings[name] = value
    return recipe._replace(optimizer=optimizer, settings=settings)


def describe(recipe: Recipe, weights: Weights) -> dict[str, Any]:
    """A recipe's settings as they were used, for a person who reads a record."""
    words = ("content_distance", "style_distance", "variation_kind", "pool", "padding", "start", "optimizer", "family")
    found = {word: getattr(recipe, word) for word in words}
    found["start"] = found["start"] if names.is_start(found["start"]) else "a picture"
    found |= {"content": dict(weights.content), "style": dict(weights.style)}
    found |= {"neighbours": dict(weights.near), "variation": weights.variation}
    return found | {"settings": dict(recipe.settings), "keep": list(recipe.keep)}


def for_content(order: Order, recipe: Recipe, shape) -> Recipe:
    """The recipe for a content of this shape, and for guides, which end at 1 whatever the masks' weights."""
    if recipe.size is None and order.recipe.size is None:
        recipe = recipe._replace(size=tuple(shape))
    return recipe.times(style=loudest(order))


def loudest(order) -> float:
    """What guides, which end at 1, leave to the recipe: the largest of the masks' weights, where it is above 1."""
    return max(1.0, *order.blend.mask_weights or [1.0])
