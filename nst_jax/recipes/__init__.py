"""What can be asked of a painting, as plain data: recipes, their weights and sizes, by name."""

from nst_jax.recipes.recipe import DEFAULT as DEFAULT
from nst_jax.recipes.recipe import POWERS as POWERS
from nst_jax.recipes.recipe import WIDTHS as WIDTHS
from nst_jax.recipes.recipe import Map as Map
from nst_jax.recipes.recipe import Recipe as Recipe
from nst_jax.recipes.recipe import Schedule as Schedule
from nst_jax.recipes.recipe import Size as Size
from nst_jax.recipes.recipe import Turn as Turn
from nst_jax.recipes.recipe import Weight as Weight
from nst_jax.recipes.recipe import Weights as Weights
from nst_jax.recipes.recipe import everything as everything
from nst_jax.recipes.recipe import get as get
from nst_jax.recipes.recipe import listed as listed
from nst_jax.recipes.recipe import once as once
from nst_jax.recipes.recipe import rising as rising
from nst_jax.recipes.recipe import shared as shared
