"""The studio as a running server: bound, opened, closed in order."""

import contextlib
import pathlib
import socket
import threading
from collections.abc import Callable, Iterator

import uvicorn

from nst_jax.studio.guard import LOOPBACK

GRACE = 3  # seconds that open pages get at the end
LONGEST = 65536  # bytes of a message that a page may send


def bind(host: str, port: int) -> socket.socket:
    """The socket to listen at, or one line that it can't be had."""
    with contextlib.ExitStack() as opened:
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            found = opened.enter_context(socket.socket(family, socket.SOCK_STREAM))
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind((host, port))
            found.listen()  # who comes before it answers is not sent away
        except OSError as error:
            why = error.strerror or str(error)
            raise ValueError(f"port must be free at {host}, got {port} ({why}): choose another port") from None
        opened.pop_all()
        return found


def read_password(path: str | None, host: str) -> str | None:
    """The password in a file's first line; without one the server is reached from this machine alone."""
    if path is None:
        if host not in LOOPBACK:
            raise ValueError(
                f"host must be this machine's own, 127.0.0.1, without a password, got {host}: add password-file"
            )
        return None
    lines = pathlib.Path(path).read_text("utf-8").splitlines()
    if not lines or len(lines[0].strip()) < 8:
        got = f"got fewer in {path!r}: write a longer one"
        raise ValueError(f"password-file must hold at least 8 characters in its first line, {got}")
    return lines[0].strip()


def address(bound: socket.socket, host: str) -> str:
    """What to open in a browser."""
    name = "localhost" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    return f"http://{name}:{bound.getsockname()[1]}/"


def server(app, *, ready: Callable[[], None] = lambda: None) -> uvicorn.Server:
    """A server of an application; `ready` is called when it answers."""
    config = uvicorn.Config(
        app,
        log_level="error",
        log_config=None,  # the logging of the process stays as it is
        ws="websockets-sansio",
        ws_max_size=LONGEST,
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=GRACE,
        access_log=False,
    )

    class Ready(uvicorn.Server):
        """Says when it answers."""

        async def startup(self, sockets=None):
            await super().startup(sockets)
            ready()

    return Ready(config)


@contextlib.contextmanager
def beside(app, bound: socket.socket) -> Iterator[None]:
    """An application served in a thread while the block runs."""
    running = server(app)
    thread = threading.Thread(target=running.run, args=([bound],), daemon=True)
    thread.start()
    try:
        yield
    finally:
        running.should_exit = True
        thread.join(GRACE + 2)
