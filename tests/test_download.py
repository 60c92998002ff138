"""Pictures from addresses on the web: the server here speaks no TLS, and stands in for public ones."""

import contextlib
import http.client
import http.server
import io
import socket
import ssl
import threading
import urllib.parse

import numpy as np
import pytest
from PIL import Image

from nst_jax.pictures import download


class Web(http.server.BaseHTTPRequestHandler):
    """/…: the body; /to?URL: sends on there; /loop: to itself; other names misbehave as they say."""

    server: "WebServer"

    def do_GET(self):
        path, _, query = self.path.partition("?")
        self.server.asked.append((self.path, self.headers["Host"], dict(self.headers)))
        if path in ("/to", "/loop"):
            self.send_response(302)
            self.send_header("Location", urllib.parse.unquote(query) or "/loop")
            return self.end_headers()
        if path == "/missing":
            return self.send_error(404)
        if path == "/raw":
            return self.send_pieces()
        body = self.server.body
        self.send_response(200)
        if path != "/unsaid":
            self.send_header("Content-Length", str(10**12 if path == "/huge" else len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):  # whoever asked has gone
            self.wfile.write(body[: len(body) // 2] if path == "/cut" else body)

    def send_pieces(self):
        """Send `pieces` as they are, each a little later than the one before."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            for piece in self.server.pieces:
                self.wfile.write(piece)
                self.server.sent += 1
                self.server.left.wait(0.01)

    def log_message(self, *args):
        pass


class WebServer(http.server.ThreadingHTTPServer):
    """Gives `body`, and writes down what it was asked for."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Web)
        buffer = io.BytesIO()
        Image.fromarray(np.full((32, 40, 3), 90, np.uint8)).save(buffer, "PNG")
        self.body, self.asked = buffer.getvalue(), []
        self.pieces, self.sent, self.left = [], 0, threading.Event()


class Plain(http.client.HTTPConnection):
    """A connection without TLS to a checked address, whatever port the host's address names."""

    def __init__(self, host, port, addresses, timeout):
        super().__init__(host, port, timeout=timeout)
        self.addresses = addresses

    def connect(self):
        self.sock = socket.create_connection((self.addresses[0], self.port), self.timeout)


@pytest.fixture
def web(monkeypatch):
    """A server of pictures, under the names of `names`: what each name's look-up answers."""
    with WebServer() as server:
        names = {"pictures.example": ["127.0.0.1"], "other.example": ["127.0.0.1"]}

        def lookup(host, port, **_):
            found = names.get(host) or [host]
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in found]

        monkeypatch.setattr(socket, "getaddrinfo", _first(lookup, socket.getaddrinfo, names))
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        server.names = names
        yield server
        server.left.set()
        server.shutdown()
        thread.join()


def _first(lookup, real, names):
    """The test's answers for its names, the real ones for addresses that are to be connected to."""
    return lambda host, port, *args, **more: lookup(host, port) if host in names else real(host, port, *args, **more)


@pytest.fixture
def taken(web, tmp_path):
    """Downloads from the test's server as if it were on the internet."""

    def call(path, *, host="pictures.example", allowed=lambda address: True, **options):
        url = path if path.startswith("https:") else f"https://{host}:{web.server_port}/{path}"
        return download.picture(url, tmp_path, allowed=allowed, connection=Plain, **options)

    return call


def test_a_picture_is_fetched_under_its_own_name(web, taken, tmp_path):
    path = taken("gallery/night%20sky.png?size=2")
    assert path == tmp_path / "night sky.png"
    assert path.read_bytes() == web.body
    [(asked, host, headers)] = web.asked
    assert asked == "/gallery/night%20sky.png?size=2"
    assert host == f"pictures.example:{web.server_port}"
    assert headers.keys() == {"Host", "User-Agent", "Accept-Encoding"}
    assert taken("unsaid").read_bytes() == web.body


@pytest.mark.parametrize(
    ("path", "options", "said"),
    [
        ("missing", {}, r"HTTP 404 Not Found"),
        ("huge", {}, r"it offers 1,000,000,000,000 bytes, more than 64,000,000"),
        ("a.png", {"largest": 50}, r"it offers \d+ bytes, more than 50"),
        ("unsaid", {"largest": 50}, r"it sends more than 50 bytes"),
        ("cut", {}, r"it was cut at \d+ of \d+ bytes"),
        ("a.png", {"longest": -1}, r"it takes too long"),
        ("loop", {}, r"it sends on more than 5 times"),
        ("to?http://pictures.example/a.png", {}, r"address must be https, got http://pictures\.example/a\.png"),
        ("to?file:///etc/hostname", {}, r"address must be https, got file:///etc/hostname"),
        ("to?ftp://pictures.example/a", {}, r"address must be https, got ftp://pictures\.example/a"),
        ("to?https://a:b@pictures.example/", {}, r"address must hold no user name"),
        ("a\x1b.png", {}, r"address must hold no user name, space or control character"),
        ("https://:443/a.png", {}, r"address must be https"),
        ("https://pictures.example:x/a.png", {}, r"Port could not be cast"),
        ("https://pictures.example:1/a.png", {}, r"Connection refused"),
    ],
)
def test_pictures_that_cannot_be_fetched(taken, tmp_path, path, options, said):
    with pytest.raises(
        OSError, match=rf"picture must be one that can be fetched, got https://.* \(.*{said}.*\): save it, "
    ) as e:
        taken(path, **options)
    assert str(e.value).isprintable()
    assert not list(tmp_path.iterdir())


HEAD = b"HTTP/1.1 200 OK\r\n"
DRIPS = {  # a byte, or a line, every hundredth of a second, which end in time for a timeout of silence
    "head": [HEAD, *[b"X"] * 400, b": 1\r\nContent-Length: 2\r\n\r\n{}"],
    "continue": [*[b"HTTP/1.1 100 Continue\r\n\r\n"] * 400, HEAD + b"Content-Length: 2\r\n\r\n{}"],
    "body": [HEAD + b"Content-Length: 400\r\n\r\n", *[b"x"] * 400],
    "unsaid": [HEAD + b"\r\n", *[b"x"] * 400],
    "chunk": [
        HEAD + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
        *[b"0"] * 400,
        b"2\r\n{}\r\n0\r\n\r\n",
    ],
}


@pytest.mark.parametrize("name", DRIPS)
def test_a_server_that_drips_is_left_at_the_deadline(name, web, taken, tmp_path):
    web.pieces = DRIPS[name]
    with pytest.raises(OSError, match=r"\(it takes too long\): save it, and name the file$"):
        taken("raw", longest=0.3)
    assert not list(tmp_path.iterdir())
    assert web.sent < 400


def test_a_deadline_costs_a_quick_server_nothing(web, taken):
    before = set(threading.enumerate())
    for name, pieces in DRIPS.items():
        web.pieces = [b"".join(pieces)]
        assert taken("raw").read_bytes() == (b"{}" if name in ("head", "continue", "chunk") else b"x" * 400)
    timers = [each for each in set(threading.enumerate()) - before if isinstance(each, threading.Timer)]
    for timer in timers:
        timer.join(5)  # one that is cancelled ends at once
    assert not any(timer.is_alive() for timer in timers)


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        ([], r"Remote end closed connection"),
        ([b"\x1b[31m\x9b\r\n"], r"\?\[31m\?"),
        ([HEAD + b"Content-Length: 9\r\n\r\n{}"], r"it was cut at 2 of 9 bytes"),
        ([HEAD + b"Transfer-Encoding: chunked\r\n\r\n9\r\n{}"], r"IncompleteRead\(.*\)"),
        ([HEAD + b"Transfer-Encoding: chunked\r\n\r\nx\r\n{}"], r"IncompleteRead|invalid literal"),
        (
            [HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n2\r\n{}\r\n0\r\n\r\n"],
            r"cut at 2 of 9 bytes",
        ),
        ([HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n{}"], r"Exceeds the limit|it offers"),
        ([HEAD + b"X: 1\r\n" * 200 + b"\r\n{}"], r"got more than 100 headers"),
        ([HEAD + b"X: " + b"1" * 70_000 + b"\r\n\r\n{}"], r"got more than 65536 bytes"),
        ([b"HTTP/1.1 204 No Content\r\n\r\n"], r"HTTP 204 No Content"),
        ([b"HTTP/1.1 206 \x1b[31m\r\n\r\n{}"], r"HTTP 206 \?\[31m"),
        ([b"HTTP/1.1 302 Found\r\n\r\n"], r"it sends on more than 5 times"),
        ([b"HTTP/1.1 302 Found\r\nLocation: https://[::1\r\n\r\n"], r"Invalid IPv6 URL"),
        ([b"HTTP/1.1 302 Found\r\nLocation: //inside.example/\r\n\r\n"], r"got inside\.example, which is 10\.0\.0\.7"),
    ],
)
def test_servers_that_lie(pieces, said, web, taken, tmp_path):
    web.pieces, web.names["inside.example"] = pieces, ["10.0.0.7"]
    with pytest.raises(
        OSError,
        match=rf"picture must be one that can be fetched, got https://.* \(.*{said}.*\): save it, and name the file$",
    ) as e:
        taken("raw", allowed=lambda address: address != "10.0.0.7")
    assert str(e.value).isprintable()
    assert not list(tmp_path.iterdir())


def test_a_silent_server_is_left(web, taken, tmp_path):
    web.pieces = [b"HTTP/1.1 200 OK\r\n"]
    web.left.wait, wait = (lambda _: wait(20)), web.left.wait
    with pytest.raises(OSError, match="timed out"):
        taken("raw", timeout=0.2)
    assert not list(tmp_path.iterdir())


def test_more_bytes_than_were_said_are_not_read(web, taken):
    web.pieces = [HEAD + b"Content-Length: 2\r\n\r\n{}" + bytes(10**6)]
    assert taken("raw").read_bytes() == b"{}"
    web.pieces = [HEAD + b"Content-Length: -5\r\n\r\n" + bytes(1000)]
    assert taken("raw").stat().st_size == 1000


def test_a_redirect_stays_on_the_internet(web, taken):
    port = web.server_port
    assert taken(f"to?https://other.example:{port}/b.png").name == "to"
    assert web.asked[-1][:2] == ("/b.png", f"other.example:{port}")
    assert taken("to?/c.png").exists()
    web.names["inside.example"] = ["10.0.0.7"]
    with pytest.raises(OSError, match=r"host must be on the internet, got inside\.example, which is 10\.0\.0\.7"):
        taken(f"to?https://inside.example:{port}/", allowed=lambda address: address != "10.0.0.7")
    with pytest.raises(OSError, match=r"got 169\.254\.169\.254\): save it"):
        taken("to?https://169.254.169.254/latest", allowed=lambda address: address == "127.0.0.1")


def test_one_local_address_among_several_is_enough(web, taken):
    web.names["both.example"] = ["8.8.8.8", "192.168.1.1"]
    with pytest.raises(OSError, match=r"got both\.example, which is 192\.168\.1\.1"):
        taken("a.png", host="both.example", allowed=download.is_public)
    assert not web.asked


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "0"])
def test_this_machine_is_not_asked(tmp_path, host):
    with pytest.raises(OSError, match="picture must be one that can be fetched") as caught:
        download.picture(f"https://{host}/a.png", tmp_path)
    assert "host must be on the internet" in str(caught.value) or "ame or service not known" in str(caught.value)


LOCAL = """
10.0.0.1 127.0.0.1 127.9.9.9 169.254.169.254 192.168.1.1 172.16.0.1 172.31.255.255 100.64.0.1 0.0.0.0 224.0.0.1
239.1.1.1 240.0.0.1 255.255.255.255 192.0.2.1 198.18.0.1
::1 :: fe80::1 fe80::1%eth0 fc00::1 fd12::1 fec0::1 ff02::1
ff0e::1 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::7f00:1 2002:7f00:1:: 2001:0:1:: 64:ff9b::7f00:1 64:ff9b:1::1 2001:db8::1"""


def test_which_addresses_are_public():
    assert not [address for address in LOCAL.split() if download.is_public(address)]
    assert all(
        map(download.is_public, ("8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450:4001::5"))
    )


def test_tls_goes_to_the_checked_address_in_the_hosts_name(monkeypatch):
    """The host is not looked up again, and its certificate is asked for by its name."""
    dialled, closed = [], []

    class Socket:
        def close(self):
            closed.append(self)

    def connected(address, timeout):
        dialled.append((address, timeout))
        if address[0] == "8.8.8.8":
            raise OSError("no route")
        return Socket()

    monkeypatch.setattr(socket, "create_connection", connected)
    line = download.CheckedConnection("pictures.example", 443, ["8.8.8.8", "9.9.9.9"], 7)
    assert line.context.check_hostname
    assert line.context.verify_mode == ssl.CERT_REQUIRED
    wrapped = []
    monkeypatch.setattr(line.context, "wrap_socket", lambda plain, **more: wrapped.append(more) or plain, raising=False)
    line.connect()
    assert dialled == [(("8.8.8.8", 443), 7), (("9.9.9.9", 443), 7)]
    assert wrapped == [{"server_hostname": "pictures.example"}]

    def refused(plain, **_):
        raise ssl.SSLError("certificate verify failed")

    monkeypatch.setattr(line.context, "wrap_socket", refused, raising=False)
    with pytest.raises(ssl.SSLError):
        line.connect()
    assert len(closed) == 1
    with pytest.raises(OSError, match="no route"):
        download.CheckedConnection("pictures.example", 443, ["8.8.8.8"], 7).connect()


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://a/b/town.jpg?x=1#y", "town.jpg"),
        ("https://a", "picture"),
        ("https://a/b/", "picture"),
        ("https://a/..", "picture"),
        ("https://a/%2e%2e%2fetc%2fpasswd", "passwd"),
        ("https://a/b%00%1b:c%5cd.png", "b___c_d.png"),
        ("https://a/" + "x" * 300 + ".png", "x" * 76 + ".png"),
        ("https://[a/b.png", "picture"),
    ],
)
def test_base_names_are_safe(url, name):
    assert download.file_name(url) == name
