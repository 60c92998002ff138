"""Addresses about paintings: what one will take, beginning, steering, going back, watching, taking away."""

import asyncio
import contextlib
import json
import os

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from nst_jax.studio import asks, bundle, paintings, routing

ONE = "/api/paintings/{id}"
ALIVE = 30  # seconds after which a watcher hears that nothing is new
KINDS = {".png": "image/png", ".jpg": "image/jpeg", ".mp4": "video/mp4", ".webp": "image/webp"}

routes = routing.Routes()


def of(request) -> paintings.Painting:
    """The painting that an address names."""
    return routing.named(request, request.app.state.gallery.paintings, "no such painting")


@routes.post("/api/plan")
async def plan(request):
    """What a painting will take; its first programs are compiled meanwhile, if nothing else is done."""
    gallery, ask = request.app.state.gallery, asks.read(await routing.read_json(request))
    return JSONResponse(await run_in_threadpool(gallery.plan, ask))


@routes.post("/api/paintings")
async def paint(request):
    """Begin a painting."""
    ask = asks.read(await routing.read_json(request))
    painting = await run_in_threadpool(request.app.state.gallery.paint, ask)
    return JSONResponse({"id": painting.id}, 201)


@routes.get("/api/paintings")
async def list_all(request):
    """All paintings, the newest first."""
    found = sorted(request.app.state.gallery.paintings.values(), key=lambda p: -p.about.get("created", 0))
    return JSONResponse([painting.in_short() for painting in found])


@routes.get(ONE)
async def show(request):
    """All that is known of a painting."""
    return JSONResponse(await run_in_threadpool(of(request).as_json))


@routes.delete(ONE)
async def remove(request):
    """Leave nothing of a painting."""
    await run_in_threadpool(request.app.state.gallery.remove, of(request))
    return JSONResponse({})


@routes.post(f"{ONE}/turn")
async def turn(request):
    """Other weights from the next frame on."""
    await run_in_threadpool(of(request).steer, asks.read_turn(await routing.read_json(request)))
    return JSONResponse({})


@routes.post(f"{ONE}/pause")
async def pause(request):
    """Pause: the device is free for others."""
    await run_in_threadpool(request.app.state.gallery.stop, of(request), paintings.PAUSED)
    return JSONResponse({})


@routes.post(f"{ONE}/finish")
async def finish(request):
    """Have the picture as it is as the result."""
    await run_in_threadpool(request.app.state.gallery.stop, of(request), paintings.FINISHED)
    return JSONResponse({})


@routes.post(f"{ONE}/go-on")
async def go_on(request):
    """Go on after a pause, to the same bits as without."""
    await run_in_threadpool(request.app.state.gallery.go_on, of(request))
    return JSONResponse({})


@routes.post(f"{ONE}/back")
async def back(request):
    """Be at an earlier step again."""
    step = routing.read_step(await routing.read_json(request))
    await run_in_threadpool(request.app.state.gallery.go_back, of(request), step)
    return JSONResponse({})


@routes.post(f"{ONE}/branch")
async def branch(request):
    """Begin another painting from a step of this one."""
    given = await routing.read_json(request)
    step, turn = routing.read_step(given), given.get("turn")
    turn = asks.read_turn(turn) if turn else None
    other = await run_in_threadpool(request.app.state.gallery.branch, of(request), step, turn)
    return JSONResponse({"id": other.id}, 201)


@routes.get(f"{ONE}/frames/{{step}}.jpg")
async def frame(request):
    """A frame of the history, or the newest."""
    step, small, view = request.path_params["step"], "small" in request.query_params, of(request).view
    moment = view.at(int(step)) if step.isdecimal() and len(step) < 16 else None
    if step == "latest":
        data = view.small_bytes if small else view.frame_bytes
    else:
        data = b"" if moment is None else await run_in_threadpool(view.page, moment, small)
    if not data:
        raise HTTPException(404, "no such frame")
    return routing.jpeg(data)


@routes.get(f"{ONE}/result.png")
@routes.get(f"{ONE}/result.jpg")
async def result(request):
    """The picture as it is, with its settings inside."""
    suffix = os.path.splitext(request.url.path)[1]
    data = await run_in_threadpool(bundle.picture, of(request), suffix)
    return routing.download(data, f"painting{suffix}", KINDS[suffix])


@routes.get(f"{ONE}/film")
async def film(request):
    """How it came to be, as an animation."""
    data, suffix = await run_in_threadpool(bundle.animation, of(request))
    return routing.download(data, f"painting{suffix}", KINDS[suffix])


@routes.get(f"{ONE}/bundle.zip")
async def archive(request):
    """All that it takes to paint it again."""
    return routing.download(await run_in_threadpool(bundle.archive, of(request)), "painting.zip", "application/zip")


async def watch(socket: WebSocket):
    """Answer each time that a watcher asks for something newer than it has: one frame is on its way, never two."""
    painting = socket.app.state.gallery.paintings.get(socket.path_params["id"])
    await socket.accept()
    if painting is None:
        return await socket.close(1000, "no such painting")
    shown, heard = None, _hear(socket)
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        while True:
            known = _version(await heard)
            heard = _hear(socket)
            await _first_of(painting.view.bell.newer(known), heard)
            if heard.done():  # it asks for something else, or has gone
                continue
            state = await run_in_threadpool(painting.as_json)
            frame = painting.view.frame_bytes
            await socket.send_bytes(routing.message(state, b"" if frame is shown else frame))
            shown = frame


def _hear(socket: WebSocket) -> asyncio.Future:
    """What a watcher says next, or that it has gone; nobody has to ask for it."""
    heard = asyncio.ensure_future(socket.receive_text())
    heard.add_done_callback(lambda done: done.cancelled() or done.exception())
    return heard


async def _first_of(news, heard) -> None:
    """Wait until something is new, or heard, or long enough."""
    news = asyncio.ensure_future(news)
    try:
        await asyncio.wait((news, heard), timeout=ALIVE, return_when=asyncio.FIRST_COMPLETED)
    finally:
        news.cancel()


routes.listed.append(WebSocketRoute(f"{ONE}/watch", watch))


def _version(text: str) -> int:
    try:
        return int(json.loads(text)["have"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return -1
