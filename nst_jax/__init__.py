"""Neural style transfer as pure JAX functions.

    import nst_jax
    picture = nst_jax.stylize(content, style)

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
    from nst_jax.painting import painter, transfer
    from nst_jax.painting import vmapped as sweep
    from nst_jax.painting.painter import stylize
    from nst_jax.pictures import colour, images, samples

__all__ = [
    "__version__",
    "colour",
    "images",
    "losses",
    "painter",
    "recipes",
    "samples",
    "stylize",
    "sweep",
    "transfer",
    "vgg19",
]

_MODULES = {
    "colour": "nst_jax.pictures.colour",
    "images": "nst_jax.pictures.images",
    "losses": "nst_jax.objective.losses",
    "painter": "nst_jax.painting.painter",
    "recipes": "nst_jax.recipes",
    "samples": "nst_jax.pictures.samples",
    "sweep": "nst_jax.painting.vmapped",
    "transfer": "nst_jax.painting.transfer",
    "vgg19": "nst_jax.network.vgg19",
}
_NAMES = {"stylize": "nst_jax.painting.painter"}


def __getattr__(name: str):
    if name in _MODULES:
        return importlib.import_module(_MODULES[name])
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'nst_jax' has no attribute {name!r}")


def __dir__():
    return __all__
