"""Downloads: weights, resumed where they were cut and verified before they are used; pictures from public addresses."""

import hashlib
import http.client
import ipaddress
import os
import pathlib
import socket
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any

from nst_jax.network import convert, vgg19

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
) -> None:
    """Write the file of this size and md5 to `path`, whole or not at all; a `.part` file beside it is gone on with."""
    for url in urls:
        _secure(url)
    path = pathlib.Path(path)
    part = path.with_name(f"{path.name}.part")
    failures = []
    for url in urls:
        try:
            _append(url, part, size, progress, timeout)
            _verify(part, md5)
            return os.replace(part, path)
        except (OSError, ValueError, http.client.HTTPException) as error:
            failures.append(f"{urllib.parse.urlsplit(url).netloc}: {_reason(error)}")
    raise OSError(", ".join(failures))


def _append(url, part, size, progress, timeout):
    """Fetch what the part lacks; all of it, where the server gives no ranges."""
    done = part.stat().st_size if part.exists() else 0
    if done == size:
        return
    headers = {"User-Agent": "nst-jax", "Accept-Encoding": "identity"}
    headers |= {"Range": f"bytes={done}-"} if 0 < done < size else {}
    with _opener().open(urllib.request.Request(url, headers=headers), timeout=timeout) as answer:
        done = done if _resumes(answer, done) else 0
        length = answer.headers.get("Content-Length")
        if length is not None and done + int(length) != size:
            raise OSError(f"it offers {done + int(length)} bytes, not {size}")
        with part.open("ab" if done else "wb") as out:
            while chunk := answer.read(min(2**16, size - done)):
                done += out.write(chunk)
                progress(done, size)
    if done < size:
        raise OSError(f"it was cut at {done} of {size} bytes: run it again to go on")


def _resumes(answer, done) -> bool:
    return answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {done}-")


def _verify(part, md5):
    with part.open("rb") as stream:
        got = hashlib.file_digest(stream, "md5").hexdigest()
    if got != md5:
        part.unlink()
        raise OSError(f"its md5 must be {md5}, got {got}")


def _reason(error) -> str:
    if isinstance(error, urllib.error.HTTPError):
        error.close()  # it is the server's answer, too, with a socket
    elif isinstance(error, urllib.error.URLError):
        error = error.reason
    return str(error) or type(error).__name__


def _secure(url) -> None:
    """Raise where somebody on the way could read or change what it gives: it is https, or this machine's own http."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise ValueError(f"address must be https, got {url}")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """A secure address may not send on to an insecure one."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        try:
            _secure(newurl)
        except ValueError as error:
            raise urllib.error.HTTPError(newurl, code, str(error), headers, fp) from error
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener():
    return urllib.request.build_opener(_Redirects)


# Pictures, from addresses that somebody else may have written

LARGEST = 64_000_000  # bytes of a picture
HOPS = 5  # redirects that are followed
SENT_ON = (301, 302, 303, 307, 308)


class Secure(http.client.HTTPSConnection):
    """Speaks TLS with a host at addresses that were looked up, and checked, before: a second answer may differ."""

    def __init__(self, host, port, addresses, timeout):
        self.addresses, self.context = addresses, ssl.create_default_context()
        super().__init__(host, port, timeout=timeout, context=self.context)

    def connect(self):
        """Connect to the first address that answers, and verify that it is the host."""
        plain = _dialled(self.addresses, self.port, self.timeout)
        try:
            self.sock = self.context.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise


def _dialled(addresses, port, timeout):
    """A connection to the first of several addresses that answers."""
    for i, address in enumerate(addresses):
        try:
            return socket.create_connection((address, port), timeout)
        except OSError:
            if i == len(addresses) - 1:
                raise
    raise OSError("it has no address")


def public(address: str) -> bool:
    """Whether an IP address is one of the internet's own, not of this machine, its network or a disguise of these."""
    known = ipaddress.ip_address(address)
    if isinstance(known, ipaddress.IPv6Address) and (known.ipv4_mapped or known.sixtofour or known.teredo):
        return False
    local = isinstance(known, ipaddress.IPv6Address) and known.is_site_local
    return known.is_global and not (local or known.is_multicast or known.is_reserved or known.is_unspecified)


def picture(
    url: str,
    folder,
    *,
    largest: int = LARGEST,
    timeout: float = 20,
    longest: float = 300,
    allowed: Callable[[str], bool] = public,
    connection: Callable[..., http.client.HTTPConnection] = Secure,
) -> pathlib.Path:
    """Download a picture into a folder, under the last part of its address; seconds of silence and in all are bounded.

    No proxy is asked: it would look hosts up by itself, where `allowed` could not see the answer.
    """
    path = pathlib.Path(folder) / base_name(url)
    try:
        _picture(url, path, (largest, timeout, time.monotonic() + longest), allowed, connection)
    except (OSError, ValueError, http.client.HTTPException) as error:
        path.unlink(missing_ok=True)
        raise OSError(f"picture must be one that can be fetched, got {_shown(url)} ({_reason(error)})") from error
    return path


def remote(text: str) -> bool:
    """Whether this is meant as an address on the web, and not as a file."""
    return text.lower().startswith(("https://", "http://"))


def base_name(url: str) -> str:
    """The last part of an address's path, as a file name that is safe anywhere."""
    try:
        last = urllib.parse.unquote(urllib.parse.urlsplit(url).path).rpartition("/")[2]
    except ValueError:
        last = ""
    plain = "".join(c if c.isprintable() and c not in '\\/:*?"<>|' else "_" for c in last)[-80:].strip(" .")
    return plain or "picture"


def _picture(url, path, bounds, allowed, connection):
    for _ in range(HOPS):
        host, port, target = _parts(url)
        line = connection(host, port, _addresses(host, port, allowed), bounds[1])
        try:
            line.request("GET", target, headers={"User-Agent": "nst-jax", "Accept-Encoding": "identity"})
            with line.getresponse() as answer:
                if answer.status not in SENT_ON:
                    return _written(answer, path, *bounds)
                url = urllib.parse.urljoin(url, answer.headers.get("Location", ""))
        finally:
            line.close()
    raise OSError(f"it sends on more than {HOPS} times")


def _parts(url) -> tuple[str, int, str]:
    """Host, port and what to ask for of a secure address without a user's name in it."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        raise ValueError(f"address must be https, got {_shown(url)}")
    if parts.username is not None or not url.isprintable() or " " in url:
        raise ValueError("address must hold no user name, space or control character")
    target = urllib.parse.quote(parts.path or "/", safe="/%:@!$&'()*+,;=~") + (f"?{parts.query}" if parts.query else "")
    return parts.hostname.encode("idna").decode(), parts.port or 443, target.encode("ascii", "replace").decode()


def _addresses(host, port, allowed) -> list[str]:
    """The addresses to connect to; a host with any that is not allowed is refused whole."""
    found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    for address in found:
        if not allowed(address):
            raise OSError(f"host must be on the internet, got {host}, which is {address}")
    return found


def _written(answer, path, largest, _, end):
    """Write the body of an answer, whole and not too large."""
    if answer.status != 200:
        raise OSError(f"HTTP {answer.status} {_shown(answer.reason)}")
    length = answer.headers.get("Content-Length", "")
    said, done = int(length) if length.isdecimal() else None, 0
    if (said or 0) > largest:
        raise OSError(f"it offers {said:,} bytes, more than {largest:,}")
    with path.open("wb") as out:
        while chunk := answer.read1(2**16):
            done += out.write(chunk)
            if done > largest:
                raise OSError(f"it sends more than {largest:,} bytes")
            if time.monotonic() > end:
                raise OSError("it takes too long")
    if said is not None and done != said:
        raise OSError(f"it was cut at {done} of {said} bytes")


def _shown(text) -> str:
    """A stranger's words for a message: on one line, and not many."""
    return "".join(c if c.isprintable() else "?" for c in str(text))[:200]
