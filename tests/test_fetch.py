"""nst_jax.network.fetch: downloads of weights, from a server of the test's own."""

import argparse
import contextlib
import functools
import hashlib
import http.client
import http.server
import re
import threading
import urllib.error
import urllib.request

import h5py
import jax
import numpy as np
import pytest

from nst_jax.cli import weights
from nst_jax.network import fetch, vgg19

BODY = np.random.default_rng(0).bytes(300_000)
MD5 = hashlib.md5(BODY).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """/whole honours ranges, /ranges-ignored does not, /cut stops half way, /drip sends for ever."""

    server: "Server"

    def do_GET(self):
        body, asked = self.server.body, self.headers.get("Range")
        self.server.asked.append((self.path, asked))
        if self.path == "/missing":
            return self.send_error(404)
        if self.path == "/elsewhere":
            self.send_response(302)
            self.send_header("Location", "http://example.com/file")
            return self.end_headers()
        if self.path in ("/stall", "/drip", "/other-part", "/unsaid", "/nonsense"):
            return self.misbehave(body)
        start = int(re.findall(r"\d+", asked)[0]) if asked and self.path != "/ranges-ignored" else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self.wfile.write(body[start : len(body) // 2] if self.path == "/cut" else body[start:])

    def misbehave(self, body):
        """/stall stops half way, /drip goes on by bytes; /other-part was not asked for; others lie about lengths."""
        self.send_response(206 if self.path == "/other-part" else 200)
        half = len(body) // 2
        if self.path in ("/stall", "/drip"):
            self.send_header("Content-Length", str(len(body)))
        elif self.path == "/other-part":
            self.send_header("Content-Range", f"bytes {half}-{len(body) - 1}/{len(body)}")
        elif self.path == "/nonsense":
            self.send_header("Content-Length", "-x")
        self.end_headers()
        with contextlib.suppress(OSError):  # whoever asked has gone
            while self.path == "/drip" and not self.server.left.wait(0.01):
                self.wfile.write(b"x")
            self.wfile.write(
                body[half:] if self.path == "/other-part" else body[:half] if self.path == "/stall" else body * 2
            )
        if self.path == "/stall":
            self.server.left.wait(20)

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    """Gives `body`, and writes down what it was asked for."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.body, self.asked, self.left = BODY, [], threading.Event()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.left.set()
        server.shutdown()
        thread.join()


def urls(server, *names):
    return [f"http://127.0.0.1:{server.server_port}/{name}" for name in names]


def test_a_whole_file(server, tmp_path):
    seen = []
    fetch.download(urls(server, "whole"), tmp_path / "f", size=len(BODY), md5=MD5, progress=lambda *a: seen.append(a))
    assert (tmp_path / "f").read_bytes() == BODY
    assert seen[-1] == (len(BODY), len(BODY))
    assert seen == sorted(seen)
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_a_cut_download_is_gone_on_with(server, tmp_path):
    with pytest.raises(OSError, match="it was cut at 150000 of 300000 bytes: run it again to go on"):
        fetch.download(urls(server, "cut"), tmp_path / "f", size=len(BODY), md5=MD5)
    assert not (tmp_path / "f").exists()
    fetch.download(urls(server, "whole"), tmp_path / "f", size=len(BODY), md5=MD5)
    assert (tmp_path / "f").read_bytes() == BODY
    assert server.asked[-1] == ("/whole", "bytes=150000-")


def test_a_server_without_ranges_starts_again(server, tmp_path):
    (tmp_path / "f.part").write_bytes(b"x" * 1000)
    fetch.download(urls(server, "ranges-ignored"), tmp_path / "f", size=len(BODY), md5=MD5)
    assert (tmp_path / "f").read_bytes() == BODY


@pytest.mark.parametrize("extra", [0, 7])
def test_a_part_that_is_whole_or_too_long(server, tmp_path, extra):
    (tmp_path / "f.part").write_bytes(BODY + b"x" * extra)
    fetch.download(urls(server, "whole"), tmp_path / "f", size=len(BODY), md5=MD5)
    assert (tmp_path / "f").read_bytes() == BODY
    assert len(server.asked) == (1 if extra else 0)


def test_wrong_content_installs_nothing(server, tmp_path):
    with pytest.raises(OSError, match=f"its md5 must be {'0' * 32}, got {MD5}"):
        fetch.download(urls(server, "whole"), tmp_path / "f", size=len(BODY), md5="0" * 32)
    assert not list(tmp_path.iterdir())


def test_another_size_is_not_even_read(server, tmp_path):
    with pytest.raises(OSError, match="it offers 300000 bytes, not 42"):
        fetch.download(urls(server, "whole"), tmp_path / "f", size=42, md5=MD5)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("first", ["missing", "cut", "elsewhere", "other-part", "nonsense"])
def test_the_mirror_when_the_first_fails(server, tmp_path, first):
    fetch.download(urls(server, first, "whole"), tmp_path / "f", size=len(BODY), md5=MD5)
    assert (tmp_path / "f").read_bytes() == BODY


def test_a_server_that_falls_silent_is_left_and_gone_on_with_elsewhere(server, tmp_path):
    fetch.download(urls(server, "stall", "whole"), tmp_path / "f", size=len(BODY), md5=MD5, timeout=1.0)
    assert (tmp_path / "f").read_bytes() == BODY
    assert server.asked[-1] == ("/whole", "bytes=150000-")


def test_a_server_that_drips_is_left_after_so_many_seconds(server, tmp_path):
    """Each byte comes long before the connection counts as silent."""
    with pytest.raises(OSError, match=r"it took more than 0\.2 s for \d+ of 300000 bytes"):
        fetch.download(urls(server, "drip"), tmp_path / "f", size=len(BODY), md5=MD5, longest=0.2)
    assert not (tmp_path / "f").exists()


def test_no_more_is_read_than_the_file_has(server, tmp_path):
    fetch.download(urls(server, "unsaid"), tmp_path / "f", size=len(BODY), md5=MD5)
    assert (tmp_path / "f").read_bytes() == BODY


def test_another_part_is_not_taken_for_the_first(server, tmp_path):
    with pytest.raises(OSError, match="it sends another part than was asked for"):
        fetch.download(urls(server, "other-part"), tmp_path / "f", size=len(BODY), md5=MD5)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080/", "http://localhost/", "http://[::1]/", "http://10.0.0.1/"])
def test_the_internet_may_not_send_on_to_this_machine(url):
    asked = urllib.request.Request("https://example.com/f")
    with pytest.raises(urllib.error.HTTPError, match="address must be https, got http://"):
        fetch._Redirects().redirect_request(asked, None, 302, "Found", {}, url)
    assert fetch._Redirects().redirect_request(asked, None, 302, "Found", {}, "https://example.org/f")


def test_a_secure_address_may_not_send_on_to_another(server, tmp_path):
    with pytest.raises(OSError, match=r"address must be https, got http://example\.com/file"):
        fetch.download(urls(server, "elsewhere"), tmp_path / "f", size=len(BODY), md5=MD5)


@pytest.mark.parametrize("url", ["http://example.com/f", "ftp://127.0.0.1/f", "file:///etc/hostname", "f"])
def test_only_https(tmp_path, url):
    with pytest.raises(ValueError, match="address must be https, got"):
        fetch.download([url], tmp_path / "f", size=1, md5="")


@pytest.fixture
def official(tmp_path, monkeypatch):
    """A narrow network in the official file's layout, and an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("NST_JAX_WEIGHTS", raising=False)
    params = vgg19.init(jax.random.key(0), widths=(4,) * 5)
    with h5py.File(tmp_path / "official.h5", "w") as file:
        for name in params.keys() - {"input"}:
            group = file.create_group(name.replace("conv", "block").replace("_", "_conv"))
            group["W"], group["b"] = np.asarray(params[name]["kernel"]), np.asarray(params[name]["bias"])
    return (tmp_path / "official.h5").read_bytes()


def test_vgg19_is_installed_where_load_finds_it(server, official):
    server.body = official
    said = fetch.vgg19_weights(urls=urls(server, "whole"), size=len(official), md5=hashlib.md5(official).hexdigest())
    assert said["source"] == fetch.NAME
    assert said["precision"] == "float32"
    assert vgg19.find() == vgg19.cache_path()
    assert said["path"] == str(vgg19.cache_path())
    assert vgg19.shape_of(vgg19.load())[0] == (4,) * 5
    assert [p.name for p in vgg19.cache_path().parent.iterdir()] == ["vgg19.h5"]


def test_without_internet_one_line_says_what_to_do(server, official):
    addresses = [*urls(server, "missing"), "http://127.0.0.1:1/nobody"]
    with pytest.raises(OSError, match="weights could not be downloaded") as caught:
        fetch.vgg19_weights(urls=addresses)
    line = str(caught.value)
    assert "\n" not in line
    assert "HTTP Error 404" in line
    assert "127.0.0.1:1: [Errno" in line
    assert line.endswith(f"get {addresses[0]} by hand and run `nst-jax weights convert FILE`")
    assert not vgg19.cache_path().exists()


def test_the_command_fetches(server, official, monkeypatch, capsys):
    server.body = official
    settings = {"urls": urls(server, "whole"), "size": len(official), "md5": hashlib.md5(official).hexdigest()}
    monkeypatch.setattr(fetch, "vgg19_weights", functools.partial(fetch.vgg19_weights, **settings))
    parser = argparse.ArgumentParser()
    weights.arguments(parser)
    weights.run(parser.parse_args(["fetch"]))
    out, err = capsys.readouterr()
    assert "100 % of 0 MB" in err
    assert f"wrote {vgg19.cache_path()}" in out
    assert "without --weights" not in out
