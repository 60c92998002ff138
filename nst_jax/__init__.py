"""Neural style transfer as pure JAX functions.

    import nst_jax
    picture = nst_jax.stylize(content, style)                                      # arrays in, an array out
    result = nst_jax.paint(nst_jax.order("town.jpg", "night.jpg", strength=0.7))   # all that the command line can

Names load on first use, from wherever they live, so that importing the package (and `nst-jax --help`) imports no jax.
Everything else can be imported by its path, and may move.
"""

import importlib
from typing import TYPE_CHECKING

from nst_jax.version import __version__

if TYPE_CHECKING:
    from nst_jax import recipes
    from nst_jax.network import vgg19
    from nst_jax.objective import losses
    from nst_jax.orders.order import Order
    from nst_jax.orders.words import make as order
    from nst_jax.orders.workshop import Controls, paint
    from nst_jax.painting import painter, transfer
    from nst_jax.painting import vmapped as sweep
    from nst_jax.painting.painter import stylize
    from nst_jax.pictures import images, samples
    from nst_jax.recipes import Turn

__all__ = [
    "Controls",
    "Order",
    "Turn",
    "__version__",
    "images",
    "losses",
    "order",
    "paint",
    "painter",
    "recipes",
    "samples",
    "stylize",
    "sweep",
    "transfer",
    "vgg19",
]

# Where each name lives: a module, or something in one
_HOMES = {
    "Controls": "nst_jax.orders.workshop:Controls",
    "Order": "nst_jax.orders.order:Order",
    "Turn": "nst_jax.recipes:Turn",
    "images": "nst_jax.pictures.images",
    "losses": "nst_jax.objective.losses",
    "order": "nst_jax.orders.words:make",
    "paint": "nst_jax.orders.workshop:paint",
    "painter": "nst_jax.painting.painter",
    "recipes": "nst_jax.recipes",
    "samples": "nst_jax.pictures.samples",
    "stylize": "nst_jax.painting.painter:stylize",
    "sweep": "nst_jax.painting.vmapped",
    "transfer": "nst_jax.painting.transfer",
    "vgg19": "nst_jax.network.vgg19",
}


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'nst_jax' has no attribute {name!r}")
    module, _, member = _HOMES[name].partition(":")
    found = importlib.import_module(module)
    return getattr(found, member) if member else found


def __dir__():
    return __all__
