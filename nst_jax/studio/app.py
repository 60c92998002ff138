"""The server's application: the page, its files, the password; and all other addresses.

No path that a visitor sends is opened: names in addresses are looked up among what is there.
"""

import asyncio
import os
import pathlib
from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from nst_jax.studio import routes_grids, routes_paintings, routes_pictures, routing
from nst_jax.studio.guard import Guard
from nst_jax.studio.paintings import reason

STATIC = pathlib.Path(__file__).parent / "static"
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
DECODERS = 2  # uploads that are looked at beside each other
WRONG = 1.0  # seconds that a wrong password takes

routes = routing.Routes()


def make(gallery: Any, *, host: str, password: str | None, live: bool = False) -> Guard:
    """The application of a Gallery; `live`: of the run of a command, in a gallery's place."""
    listed = [
        *routes.listed,
        *routes_pictures.routes.listed,
        *routes_paintings.routes.listed,
        *routes_grids.routes.listed,
    ]
    app = Starlette(routes=listed, exception_handlers={ValueError: _refuse, OSError: _refuse, HTTPException: _refuse})
    guard = Guard(app, host=host, password=password)
    app.state.gallery, app.state.live, app.state.guard = gallery, live, guard
    app.state.decoders, app.state.logins = asyncio.Semaphore(DECODERS), asyncio.Lock()
    app.state.files = {path.name: path.read_bytes() for path in STATIC.iterdir() if path.suffix in KINDS}
    return guard


async def _refuse(request, error):
    """An error as the page reads it."""
    if isinstance(error, HTTPException):
        return JSONResponse({"error": error.detail}, error.status_code)
    return JSONResponse({"error": reason(error, request.app.state.gallery.folder)}, 400)


@routes.get("/")
@routes.get("/p/{id}")
@routes.get("/g/{id}")
async def page(request):
    """The page; it reads from its address what to show."""
    return HTMLResponse(request.app.state.files["index.html"])


@routes.get("/static/{name}")
async def file(request):
    """A file of the page."""
    name, files = request.path_params["name"], request.app.state.files
    if name not in files:
        raise HTTPException(404, "no such file")
    return Response(files[name], media_type=KINDS[os.path.splitext(name)[1]])


@routes.get("/login")
async def login(request):
    """The page that asks for the password."""
    return _login_page(request, "")


@routes.post("/login")
async def enter(request):
    """Let in who knows the password; one try after another, so that guessing takes its time."""
    guard = request.app.state.guard
    sent = parse_qs((await routing.body(request)).decode("utf-8", "replace"), keep_blank_values=True)
    given = sent.get("password", [""])[0]
    async with request.app.state.logins:
        if guard.password is None or guard.admits(given):
            return RedirectResponse("/", 303, {"set-cookie": guard.cookie()})
        await asyncio.sleep(WRONG)
    return _login_page(request, "That is not the password.", 403)


def _login_page(request, message: str, status: int = 200):
    return HTMLResponse(request.app.state.files["login.html"].decode().replace("{{message}}", message), status)
