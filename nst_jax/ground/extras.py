"""Packages that come only with one of our extras, such as `nst-jax[plot]`."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def required(extra: str) -> Iterator[None]:
    """Around imports: a package that is missing is named, with the command that installs it."""
    try:
        yield
    except ImportError as error:
        package = (error.name or "a package").partition(".")[0]
        raise ValueError(f"{package} must be installed, got none: pip install 'nst-jax[{extra}]'") from None
