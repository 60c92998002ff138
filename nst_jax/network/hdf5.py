"""HDF5 files read with care: one may name other files, whose bytes would be read, or claim any size.

Names and items are listed before they are gone through: h5py holds its lock for as long as a walk is under way, and one
that an error has cut short would keep it from every other thread.
"""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import h5py
import numpy as np

MOST = 500_000_000  # numbers in a file of weights: VGG19 with its classifier and an optimizer of it has 432 million


@contextlib.contextmanager
def opened(file) -> Iterator[h5py.File]:
    """A file, or a stream, open for reading, in which nothing lies elsewhere and nothing is larger than weights are."""
    with h5py.File(file, "r") as found:
        numbers = 0
        for name, dataset in datasets(found):
            numbers += dataset.size or 0
            if dataset.external or dataset.is_virtual:
                raise ValueError(f"{name} lies in another file, which is not read")
            if numbers > MOST:
                raise ValueError(f"it claims more than {MOST:,} numbers, at {name}")
        yield found


def datasets(group, *, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every dataset below a group by its path; links to elsewhere are refused."""
    for name in list(group):
        path = f"{prefix}{name}"
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise ValueError(f"{path} is a link to elsewhere, which is not followed")
        each = group[name]
        if isinstance(each, h5py.Group):
            yield from datasets(each, prefix=f"{path}/")
        elif isinstance(each, h5py.Dataset):
            yield path, each


def arrays(group, name: str) -> dict[str, np.ndarray]:
    """A group's datasets in float32."""
    found = dict(group.items()) if isinstance(group, h5py.Group) else {"": None}
    if not all(map(_is_numbers, found.values())):
        raise ValueError(f"{name} is no group of arrays of numbers")
    return {key: np.asarray(value, np.float32) for key, value in found.items()}


def _is_numbers(value) -> bool:
    return isinstance(value, h5py.Dataset) and value.dtype.kind in "fiu"


def attributes(file) -> dict[str, Any]:
    """What a file says of itself, as plain data; what is neither text nor numbers is left out."""
    return {key: value for key in file.attrs if (value := _plain(_get(file.attrs, key))) is not None}


def _get(known: Mapping, key):
    try:
        return known[key]
    except (OSError, TypeError, ValueError):  # of a kind that h5py doesn't know
        return None


def _plain(value):
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "fiub" and value.ndim < 2:
        return value.tolist()
    return value if isinstance(value, str | int | float) else None
