"""Files that are written whole or not at all, the folders that hold them, and the user's cache."""

import contextlib
import hashlib
import os
import pathlib
import secrets
import sys
import time
from collections.abc import Iterator
from typing import BinaryIO

from nst_jax.ground.choices import one_line

PREFIX, SUFFIX = ".nst-jax-", ".tmp"  # of files that are being written
LOCK = "lock"  # the file in a folder that says whose it is


@contextlib.contextmanager
def replacing(path, *, what: str = "output") -> Iterator[BinaryIO]:
    """A new file that takes the place of `path` when the block ends, and is gone if the block raises."""
    with _temporary(path, what) as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
        file.close()  # Windows moves no open file
        target = os.path.realpath(path)
        os.replace(file.name, target)
        _sync_folder(os.path.dirname(target))


def digest(path) -> str:
    """A file's sha256."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_text(path, text: str, *, what: str = "output") -> None:
    """Write a text file in UTF-8, whole or not at all; line ends stay as they are."""
    with replacing(path, what=what) as file:
        file.write(text.encode("utf-8", "replace"))


def _sync_folder(folder) -> None:
    """Have the names in a folder on disk, where a system lets one: a file that was moved is there after a power cut."""
    with contextlib.suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


@contextlib.contextmanager
def locked(folder, *, what: str) -> Iterator[None]:
    """A folder that no other process has while the block runs; the system lets go of it where a process is killed."""
    with open(pathlib.Path(folder) / LOCK, "a+b") as file:
        try:
            _lock(file)
        except OSError:
            got = f"got {str(folder)!r}, which another run has: wait for its end, or name another"
            raise ValueError(f"{what} must be a folder of its own, {got}") from None
        yield


def _lock(file) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def check_writable(path, *, what: str = "output") -> None:
    """Raise now what `replacing` would raise about `path` later; what is there stays as it is."""
    with _temporary(path, what):
        pass


def ensure_folder(path) -> pathlib.Path:
    """This folder, made if it was not there, and writable."""
    folder = pathlib.Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise NotADirectoryError(f"folder must not be a file, got {str(folder)!r}: choose another name") from None
    check_writable(folder / "0", what="folder")
    return folder


def remove_leftovers(folder, *, age: float) -> None:
    """Remove what writers that were killed have left in a folder at least so many seconds ago."""
    for path in pathlib.Path(folder).glob(f"{PREFIX}*{SUFFIX}"):
        if time.time() - path.stat().st_mtime >= age:
            path.unlink(missing_ok=True)


def cache_folder() -> pathlib.Path:
    """Our folder in the user's cache; it may not be there yet."""
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "nst_jax"


@contextlib.contextmanager
def _temporary(path, what):
    """A new file beside `path`, with an ordinary new file's permissions; gone at the end unless it was moved."""
    target = os.path.realpath(path)
    folder, name = os.path.dirname(target), repr(os.fspath(path))
    if os.path.isdir(target):
        raise IsADirectoryError(f"{what} must be a file, got the folder {name}: add a file's name")
    if not os.path.isdir(folder):
        if os.path.exists(folder):
            raise NotADirectoryError(f"{what} must be in a folder, got {name}, but {folder!r} is none: choose another")
        raise FileNotFoundError(f"{what} must be in an existing folder, got {name}: make {folder!r} first")
    temporary = os.path.join(folder, f"{PREFIX}{secrets.token_hex(8)}{SUFFIX}")
    try:
        with contextlib.suppress(FileNotFoundError):
            os.lstat(target)  # whether a system takes a name of this length
        with open(temporary, "xb") as file:
            yield file
    except Exception as error:
        kind = type(error) if isinstance(error, OSError) else ValueError
        raise kind(f"{what} must be writable, got {name} ({one_line(error)}): choose another place") from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
