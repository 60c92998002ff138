"""Who may come in: hosts and origins are checked, a password where the server can be reached from elsewhere.

A page of another site can make a browser send requests here. It can't choose the Host that the browser sends, nor hide
its Origin, nor use our cookie, which goes along from our own pages only.
"""

import base64
import hashlib
import hmac
import ipaddress
import secrets
import socket
import time
from http.cookies import CookieError, SimpleCookie
from typing import Any

LOOPBACK = ("127.0.0.1", "localhost", "::1")
COOKIE, LASTS = "nst_jax_studio", 30 * 24 * 3600  # seconds
OPEN = ("/login", "/static/studio.css")  # what is shown before the password
SAFE = ("GET", "HEAD")
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:;"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """An ASGI application around another: what may not come in ends here."""

    def __init__(self, app, *, host: str, password: str | None):
        self.app, self.password, self.key = app, password, secrets.token_bytes(32)
        self.hosts = {*LOOPBACK, host, socket.gethostname()}

    async def __call__(self, scope, receive, send):
        """Let a request through, or answer it."""
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        refused = self.refuse(scope)
        if refused is None:
            return await self.app(scope, receive, _with_headers(send))
        if scope["type"] == "websocket":
            await receive()
            return await send({"type": "websocket.close", "code": 1008})
        status, text = refused
        headers = [(b"content-type", b"application/json")]
        if status == 401 and scope["method"] in SAFE and not scope["path"].startswith("/api/"):
            status, headers = 303, [(b"location", b"/login")]
        send = _with_headers(send)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b'{"error": "%s"}' % text.encode()})

    def refuse(self, scope) -> tuple[int, str] | None:
        """Why a request may not come in; None: it may."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if not self.knows_host(headers.get("host", "")):
            return 403, "host must be this machine's, got another: open the address that the studio printed"
        secure = {"ws": "http", "wss": "https"}.get(scope["scheme"], scope["scheme"])
        needs = scope["type"] == "websocket" or scope["method"] not in SAFE
        if needs and headers.get("origin") != f"{secure}://{headers['host']}":
            return 403, "origin must be the studio's own page, got another: open the address that the studio printed"
        if self.password is not None and scope["path"] not in OPEN and not self.is_known(headers.get("cookie", "")):
            return 401, "password must be given first: open /login"
        return None

    def knows_host(self, host: str) -> bool:
        """Whether a Host header names this machine: by a name that we know, or by a number."""
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        name = name.strip("[]")
        if name in self.hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return self.password is not None

    # the password

    def admits(self, given: str) -> bool:
        """Whether this is the password, in the same time whatever is given."""
        one, other = (hashlib.sha256(text.encode()).digest() for text in (given, self.password or ""))
        return hmac.compare_digest(one, other)

    def cookie(self) -> str:
        """A cookie for who knew the password, as a header has it."""
        until = str(int(time.time()) + LASTS)
        return f"{COOKIE}={until}.{self._sign(until)}; Max-Age={LASTS}; Path=/; HttpOnly; SameSite=Strict"

    def is_known(self, header: str) -> bool:
        """Whether a Cookie header holds one of ours that still counts."""
        try:
            until, _, signed = SimpleCookie(header)[COOKIE].value.partition(".")
            return hmac.compare_digest(signed, self._sign(until)) and int(until) > time.time()
        except (CookieError, KeyError, ValueError, TypeError):
            return False

    def _sign(self, text: str) -> str:
        return base64.urlsafe_b64encode(hmac.digest(self.key, text.encode(), "sha256")).decode().rstrip("=")


def _with_headers(send) -> Any:
    """A sender that adds our headers to each answer; what has its own keeps them."""

    async def wrapped(message):
        if message["type"] in ("http.response.start", "websocket.accept"):
            known = {name.lower() for name, _ in message.get("headers", [])}
            more = [(k.lower().encode(), v.encode()) for k, v in HEADERS.items() if k.lower().encode() not in known]
            message = message | {"headers": [*message.get("headers", []), *more]}
        await send(message)

    return wrapped
