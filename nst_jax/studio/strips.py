"""The small pictures of a painting's history on disk, for when it rests in no memory: a strip of them in one file."""

import contextlib
import pathlib
import zipfile
from collections.abc import Mapping

from nst_jax.ground import storage


class Strip:
    """A file of small pictures by their steps, which may not be there yet."""

    def __init__(self, path):
        self.path = pathlib.Path(path)

    def write(self, pictures: Mapping[int, bytes]) -> None:
        """Have these pictures, whole or not at all, in the place of those that were there."""
        with storage.replacing(self.path, what="history") as file, zipfile.ZipFile(file, "w") as zipped:
            for step, data in pictures.items():
                zipped.writestr(_name(step), data)

    def forget(self) -> None:
        """Have no pictures."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)

    def steps(self) -> list[int]:
        """The steps that it has, in their order; none if it can't be read."""
        try:
            with zipfile.ZipFile(self.path) as zipped:
                return sorted(int(name.removesuffix(".jpg")) for name in zipped.namelist())
        except (OSError, ValueError, zipfile.BadZipFile):
            return []

    def read(self, step: int) -> bytes:
        """The picture of a step; empty if it is not there."""
        try:
            with zipfile.ZipFile(self.path) as zipped:
                return zipped.read(_name(step))
        except (OSError, KeyError, ValueError, zipfile.BadZipFile):
            return b""


def _name(step: int) -> str:
    return f"{step}.jpg"
