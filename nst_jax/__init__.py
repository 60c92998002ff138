"""Neural style transfer as pure JAX functions.

    import nst_jax
    picture = nst_jax.stylize(content, style)

Modules and names load on first use, so that importing the package (and `nst-jax --help`) imports no jax.
"""

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from nst_jax import (
        budget,
        colour,
        convert,
        convolutions,
        deep,
        distances,
        embedded,
        families,
        fetch,
        fleet,
        grids,
        images,
        losses,
        mesh,
        paint,
        plans,
        published,
        recipes,
        regions,
        relay,
        report,
        roots,
        runs,
        samples,
        starts,
        sweep,
        thrift,
        tiles,
        transfer,
        vgg19,
    )
    from nst_jax.paint import stylize

__all__ = [
    "__version__",
    "budget",
    "colour",
    "convert",
    "convolutions",
    "deep",
    "distances",
    "embedded",
    "families",
    "fetch",
    "fleet",
    "grids",
    "images",
    "losses",
    "mesh",
    "paint",
    "plans",
    "published",
    "recipes",
    "regions",
    "relay",
    "report",
    "roots",
    "runs",
    "samples",
    "starts",
    "stylize",
    "sweep",
    "thrift",
    "tiles",
    "transfer",
    "vgg19",
]

_NAMES = {"stylize": "paint"}


def __getattr__(name: str):
    if name in _NAMES:
        return getattr(importlib.import_module(f"nst_jax.{_NAMES[name]}"), name)
    if name in __all__:
        return importlib.import_module(f"nst_jax.{name}")
    raise AttributeError(f"module 'nst_jax' has no attribute {name!r}")


def __dir__():
    return __all__
