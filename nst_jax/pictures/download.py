"""Pictures from addresses on the web that somebody else may have written: https, the internet alone, and bounded."""

import contextlib
import http.client
import ipaddress
import pathlib
import socket
import ssl
import threading
import time
import urllib.error
import urllib.parse
from collections.abc import Callable
from typing import NamedTuple

from nst_jax.ground.choices import printable

LARGEST = 64_000_000  # bytes of a picture
HOPS = 5  # redirects that are followed
REDIRECTS = (301, 302, 303, 307, 308)  # HTTP status codes
HEADERS = {"User-Agent": "nst-jax", "Accept-Encoding": "identity"}


class CheckedConnection(http.client.HTTPSConnection):
    """TLS to a host at addresses that were looked up and checked before: a second look-up may answer otherwise."""

    def __init__(self, host, port, addresses, timeout):
        self.addresses, self.context = addresses, ssl.create_default_context()
        super().__init__(host, port, timeout=timeout, context=self.context)

    def connect(self):
        """Connect to the first address that answers, and verify that it is the host."""
        plain = _connect(self.addresses, self.port, self.timeout)
        try:
            self.sock = self.context.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise


class _Limits(NamedTuple):
    largest: int  # bytes
    timeout: float  # seconds of silence
    deadline: float  # of `time.monotonic`


def is_public(address: str) -> bool:
    """Whether an IP address is on the public internet, and not this machine's or its network's, however disguised."""
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
    allowed: Callable[[str], bool] = is_public,
    connection: Callable[..., http.client.HTTPConnection] = CheckedConnection,
) -> pathlib.Path:
    """Download a picture into a folder, named after the last part of its address; bytes and seconds are limited.

    `timeout`: seconds of silence; `longest`: seconds in all. No proxy is used: it would look up hosts by itself, where
    `allowed` could not see the answer.
    """
    path = pathlib.Path(folder) / file_name(url)
    try:
        _download(url, path, _Limits(largest, timeout, time.monotonic() + longest), allowed, connection)
    except (OSError, ValueError, http.client.HTTPException) as error:
        path.unlink(missing_ok=True)
        got = f"got {printable(url, longest=200)} ({reason(error)})"
        raise OSError(f"picture must be one that can be fetched, {got}: save it, and name the file") from error
    return path


def is_address(text: str) -> bool:
    """Whether this is meant as an address on the web, and not as a file."""
    return text.lower().startswith(("https://", "http://"))


def file_name(url: str) -> str:
    """The last part of an address's path, as a file name that is safe anywhere."""
    try:
        last = urllib.parse.unquote(urllib.parse.urlsplit(url).path).rpartition("/")[2]
    except ValueError:
        last = ""
    plain = "".join(c if c.isprintable() and c not in '\\/:*?"<>|' else "_" for c in last)[-80:].strip(" .")
    return plain or "picture"


def reason(error: Exception) -> str:
    """Why a download failed, in the error's own words, some of them a server's; its answer in an error is closed."""
    if isinstance(error, urllib.error.HTTPError):
        error.close()  # it is the server's answer, too, with a socket
    elif isinstance(error, urllib.error.URLError):
        error = error.reason if isinstance(error.reason, Exception) else error
    return printable(" ".join(str(error).split()) or type(error).__name__, longest=300)


def _download(url, path, limits, allowed, connection):
    """Follow redirects to a picture, and write it."""
    for _ in range(HOPS):
        host, port, target = _split(url)
        line = connection(host, port, _look_up(host, port, allowed), limits.timeout)
        try:
            line.connect()
            with _cut_off(line.sock, limits.deadline):
                line.request("GET", target, headers=HEADERS)
                with line.getresponse() as answer:
                    if answer.status not in REDIRECTS:
                        return _write(answer, path, limits)
                    url = urllib.parse.urljoin(url, answer.headers.get("Location", ""))
        finally:
            line.close()
    raise OSError(f"it sends on more than {HOPS} times")


@contextlib.contextmanager
def _cut_off(sock, deadline):
    """A connection that ends at a deadline, whatever a server does: each of its bytes may come just in time."""
    late = threading.Event()

    def end():
        late.set()
        with contextlib.suppress(OSError):  # it has ended
            socket.socket.shutdown(sock, socket.SHUT_RDWR)

    timer = threading.Timer(max(0, deadline - time.monotonic()), end)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        raise (OSError("it takes too long") if late.is_set() else error) from error
    finally:
        timer.cancel()
    if late.is_set():  # what was read ended there, too
        raise OSError("it takes too long")


def _split(url) -> tuple[str, int, str]:
    """Host, port and what to ask for of a secure address without a user's name in it."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        raise ValueError(f"address must be https, got {printable(url, longest=200)}")
    if parts.username is not None or not url.isprintable() or " " in url:
        raise ValueError("address must hold no user name, space or control character")
    target = urllib.parse.quote(parts.path or "/", safe="/%:@!$&'()*+,;=~") + (f"?{parts.query}" if parts.query else "")
    return parts.hostname.encode("idna").decode(), parts.port or 443, target.encode("ascii", "replace").decode()


def _look_up(host, port, allowed) -> list[str]:
    """The addresses to connect to; a host with any that is not allowed is refused whole."""
    found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    for address in found:
        if not allowed(address):
            got = host if host == str(address) else f"{host}, which is {address}"
            raise OSError(f"host must be on the internet, got {got}")
    return found


def _connect(addresses, port, timeout):
    """A connection to the first of several addresses that answers."""
    for i, address in enumerate(addresses):
        try:
            return socket.create_connection((address, port), timeout)
        except OSError:
            if i == len(addresses) - 1:
                raise
    raise OSError("it has no address")


def _write(answer, path, limits):
    """Write the body of an answer, whole and not too large."""
    if answer.status != 200:
        raise OSError(f"HTTP {answer.status} {printable(answer.reason, longest=200)}")
    length = answer.headers.get("Content-Length", "")
    promised, done = int(length) if length.isdecimal() else None, 0
    if (promised or 0) > limits.largest:
        raise OSError(f"it offers {promised:,} bytes, more than {limits.largest:,}")
    with path.open("wb") as out:
        while chunk := answer.read1(2**16):
            done += out.write(chunk)
            if done > limits.largest:
                raise OSError(f"it sends more than {limits.largest:,} bytes")
            if time.monotonic() > limits.deadline:
                raise OSError("it takes too long")
    if promised is not None and done != promised:
        raise OSError(f"it was cut at {done} of {promised} bytes")
