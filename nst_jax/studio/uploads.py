"""Pictures that visitors gave: decoded within limits, kept as plain PNG under the digest of what is kept.

What came is thrown away at once, with its name and whatever it told about its maker.
"""

import contextlib
import os
import pathlib
import re
import tempfile
import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from nst_jax.ground import storage
from nst_jax.orders import record as records
from nst_jax.pictures import images, samples, thumbnails

BYTES = 64_000_000  # of one upload
PIXELS = records.PIXELS
SAMPLE = 512  # px: the long edge of a drawn picture
AGE = 24 * 3600.0  # seconds that a picture is kept that no painting is made of
NAME = re.compile("[0-9a-f]{64}")


class Upload(NamedTuple):
    """A picture that is there: its digest, and its size."""

    id: str
    width: int
    height: int


class Uploads:
    """A folder of pictures by their digests."""

    def __init__(self, folder):
        self.folder = storage.ensure_folder(folder)

    def add(self, path) -> Upload:
        """Take the picture in a file that a stranger sent; the file is the caller's to remove."""
        try:
            images.check_decodable(path, max_pixels=PIXELS)
            picture = images.read(path, max_pixels=PIXELS)
        except (ValueError, OSError) as error:
            raise ValueError(str(error).replace(repr(os.fspath(path)), "this file")) from error
        return self.put(picture.image, picture.alpha)

    def put(self, image, alpha=None) -> Upload:
        """Keep a picture."""
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=".new-") as place:
            path = pathlib.Path(place) / "picture.png"
            images.save(path, image, extras=images.Extras(alpha=alpha))
            name = storage.digest(path)
            os.replace(path, self.folder / f"{name}.png")
        return Upload(name, image.shape[1], image.shape[0])

    def draw(self, name: str) -> Upload:
        """Keep a picture that our own code draws."""
        return self.put(samples.draw(name, (SAMPLE * 3 // 4, SAMPLE)))

    def __contains__(self, name) -> bool:
        return isinstance(name, str) and bool(NAME.fullmatch(name)) and (self.folder / f"{name}.png").is_file()

    def path(self, name) -> pathlib.Path:
        """Where a picture lies."""
        if name not in self:
            raise ValueError("picture must be one that was uploaded, got another: upload it again")
        path = self.folder / f"{name}.png"
        os.utime(path)
        return path

    def paths(self, files: Mapping[str, list[str]]) -> dict[str, list[str]]:
        """Where the pictures of an ask lie, by what they are for."""
        return {kind: [str(self.path(name)) for name in names] for kind, names in files.items()}

    def small(self, name, edge: int) -> bytes:
        """A picture as a JPEG with this long edge, over white."""
        return thumbnails.jpeg(images.load(self.path(name), size=edge))

    def forget(self, used: Iterable[str], *, age: float = AGE) -> None:
        """Remove pictures that no painting is made of and nobody has asked for so long."""
        kept = set(used)
        for path in self.folder.glob("*.png"):
            with contextlib.suppress(FileNotFoundError):  # another thread forgets, too
                if path.stem not in kept and time.time() - path.stat().st_mtime >= age:
                    path.unlink()
