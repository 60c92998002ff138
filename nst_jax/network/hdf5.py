"""HDF5 files read with care: one may name other files, whose bytes would be read, or claim any size.

Names and items are listed before they are gone through: h5py holds its lock for as long as a walk is under way, and one
that an error has cut short would keep it from every other thread.
"""

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

MOST = 500_000_000  # numbers in a file of weights: VGG19 with its classifier and an optimizer of it has 432 million
DENSEST = 1100  # bytes that are made of one at most: zlib makes 1032


@contextlib.contextmanager
def opened(file) -> Iterator[h5py.File]:
    """A file, or a stream, open for reading, in which nothing lies elsewhere and nothing is larger than weights are."""
    with h5py.File(file, "r") as found:
        numbers = 0
        for name, dataset in datasets(found):
            numbers += (dataset.size or 0) * math.prod(dataset.dtype.shape)  # a number may be of many
            if dataset.external or dataset.is_virtual:
                raise ValueError(f"{name} lies in another file, which is not read")
            if numbers > MOST:
                raise ValueError(f"it claims more than {MOST:,} numbers, at {name}")
            if dataset.nbytes > DENSEST * dataset.id.get_storage_size():
                raise ValueError(f"{name} claims {dataset.nbytes:,} bytes, more than it holds")
        yield found


def datasets(group) -> Iterator[tuple[str, Any]]:
    """Every dataset below a group by its path; links to elsewhere, or to what another link has, are refused."""
    known, left = {group}, [("", group)]  # by where they lie in the file
    while left:
        prefix, group = left.pop()
        for name in list(group):
            path = f"{prefix}{name}"
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ValueError(f"{path} is a link to elsewhere, which is not followed")
            each = group[name]
            if each in known:  # paths may double with each level, or have no end
                raise ValueError(f"{path} is a second link to the same, which is not followed")
            known.add(each)
            if isinstance(each, h5py.Group):
                left.append((f"{path}/", each))
            elif isinstance(each, h5py.Dataset):
                yield path, each


def arrays(group, name: str) -> dict[str, np.ndarray]:
    """A group's datasets in float32."""
    found = dict(group.items()) if isinstance(group, h5py.Group) else {"": None}
    if not all(map(is_numbers, found.values())):
        raise ValueError(f"{name} is no group of arrays of numbers")
    return {key: np.asarray(value, np.float32) for key, value in found.items()}


def is_numbers(value) -> bool:
    """Whether this is a dataset of plain numbers."""
    return isinstance(value, h5py.Dataset) and value.dtype.kind in "fiu"


def attributes(file) -> dict[str, Any]:
    """What a file says of itself, as plain data; what is neither text nor numbers is left out."""
    return {key: value for key in list(file.attrs) if (value := _plain(_get(file.attrs, key))) is not None}


def _get(known, key):
    try:
        kind = known.get_id(key)
        if kind.shape and kind.dtype.kind not in "fiub":  # texts in a row may each be the same one, of any length
            return None
        return known[key]
    except (OSError, TypeError, ValueError):  # of a kind that h5py doesn't know
        return None


def _plain(value):
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "fiub" and value.ndim < 2:
        return value.tolist()
    return value if isinstance(value, str | int | float) else None
