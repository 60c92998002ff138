"""Downloads of weights: resumed where they were cut, and verified before they are used."""

import hashlib
import http.client
import os
import pathlib
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from nst_jax.network import convert, vgg19
from nst_jax.pictures.download import HEADERS, reason

Progress = Callable[[int, int], None]
"""Called with the bytes that are there and the bytes that there will be."""

NAME = "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"
URLS = (
    f"https://storage.googleapis.com/tensorflow/keras-applications/vgg19/{NAME}",
    f"https://github.com/fchollet/deep-learning-models/releases/download/v0.1/{NAME}",
)
SIZE = 80_134_624
MD5 = "253f8cb515780f3b799900260a226db6"  # keras/src/applications/vgg19.py
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def vgg19_weights(
    *,
    urls: Sequence[str] = URLS,
    size: int = SIZE,
    md5: str = MD5,
    progress: Progress = lambda done, size: None,
) -> dict[str, Any]:
    """The official Keras network, downloaded, converted and put in the user's cache; what its file says of itself."""
    out = vgg19.cache_path()
    out.parent.mkdir(parents=True, exist_ok=True)
    original = out.with_name(NAME)
    try:
        download(urls, original, size=size, md5=md5, progress=progress)
    except OSError as error:
        remedy = f"get {urls[0]} by hand and run `nst-jax weights convert FILE`"
        raise OSError(f"weights could not be downloaded ({error}): {remedy}") from error
    try:
        return convert.convert(original, out)
    finally:
        original.unlink()


def download(
    urls: Sequence[str],
    path,
    *,
    size: int,
    md5: str,
    progress: Progress = lambda done, size: None,
    timeout: float = 30,
    longest: float = 3600,
) -> None:
    """Write the file of this size and md5 to `path`, whole or not at all; a `.part` file beside it is gone on with.

    `timeout`: seconds of silence; `longest`: seconds from which no more is read from a server that goes on sending.
    """
    for url in urls:
        _check_secure(url)
    path = pathlib.Path(path)
    part = path.with_name(f"{path.name}.part")
    failures = []
    for url in urls:
        try:
            _append(url, part, _Limits(size, timeout, longest), progress)
            _verify(part, md5)
            return os.replace(part, path)
        except (OSError, ValueError, http.client.HTTPException) as error:
            failures.append(f"{urllib.parse.urlsplit(url).netloc}: {reason(error)}")
    raise OSError(", ".join(failures))


class _Limits(NamedTuple):
    size: int
    timeout: float
    longest: float


def _append(url, part, limits, progress):
    """Fetch what the part lacks; all of it, where the server gives no ranges."""
    done, size = part.stat().st_size if part.exists() else 0, limits.size
    if done == size:
        return
    deadline = time.monotonic() + limits.longest
    headers = HEADERS | ({"Range": f"bytes={done}-"} if 0 < done < size else {})
    with _opener().open(urllib.request.Request(url, headers=headers), timeout=limits.timeout) as answer:
        if answer.status == 206 and not _resumes(answer, done):
            raise OSError("it sends another part than was asked for")
        done = done if answer.status == 206 else 0
        length = answer.headers.get("Content-Length")
        if length is not None and done + int(length) != size:
            raise OSError(f"it offers {done + int(length)} bytes, not {size}")
        with part.open("ab" if done else "wb") as out:
            while time.monotonic() < deadline and (chunk := answer.read1(min(2**16, size - done))):
                done += out.write(chunk)
                progress(done, size)
    if done < size and time.monotonic() >= deadline:
        raise OSError(f"it took more than {limits.longest:g} s for {done} of {size} bytes: run it again to go on")
    if done < size:
        raise OSError(f"it was cut at {done} of {size} bytes: run it again to go on")


def _resumes(answer, done) -> bool:
    return answer.headers.get("Content-Range", "").startswith(f"bytes {done}-")


def _verify(part, md5):
    with part.open("rb") as stream:
        got = hashlib.file_digest(stream, "md5").hexdigest()
    if got != md5:
        part.unlink()
        raise OSError(f"its md5 must be {md5}, got {got}")


def _check_secure(url, *, local: bool = True) -> None:
    """Raise where somebody on the way could read or change what it gives: it is https, or this machine's own http."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "https" and not (local and parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise ValueError(f"address must be https, got {url}")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """A secure address may not send on to an insecure one, and nobody else to this machine."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        try:
            _check_secure(newurl, local=urllib.parse.urlsplit(req.full_url).hostname in LOOPBACK)
        except ValueError as error:
            raise urllib.error.HTTPError(newurl, code, str(error), headers, fp) from error
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener():
    return urllib.request.build_opener(_Redirects)
