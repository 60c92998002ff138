"""Functions that are asked once for the same arguments, however these are written."""

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def once(function: Callable[P, R]) -> Callable[P, R]:
    """`functools.cache` for which an argument by its name, by its place, or left at its default is the same."""
    known, signature = functools.cache(function), inspect.signature(function)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return known(*bound.args, **bound.kwargs)

    return call
