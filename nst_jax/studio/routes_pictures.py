"""Addresses about pictures: the form, samples, uploads, and settings taken from a result."""

import functools
import tempfile

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from nst_jax.orders import record as records
from nst_jax.pictures import metadata, samples, thumbnails
from nst_jax.studio import asks, routing
from nst_jax.studio.uploads import BYTES

EDGE = 320  # px: of a sample on the form
A_DAY = "max-age=86400"

routes = routing.Routes()


@routes.get("/api/form")
async def form(request):
    """What the form is made of."""
    return JSONResponse(await run_in_threadpool(asks.form) | {"live": request.app.state.live})


@routes.get("/samples/{name}.jpg")
async def sample(request):
    """A drawn picture, small."""
    return routing.jpeg(await run_in_threadpool(_small_sample, request.path_params["name"]), keep=A_DAY)


@functools.lru_cache(maxsize=32)
def _small_sample(name: str) -> bytes:
    return thumbnails.jpeg(samples.draw(name, (EDGE * 3 // 4, EDGE)))


@routes.post("/api/samples/{name}")
async def take_sample(request):
    """A drawn picture among the uploads."""
    found = await run_in_threadpool(request.app.state.gallery.uploads.draw, request.path_params["name"])
    return JSONResponse(found._asdict())


@routes.post("/api/pictures")
async def upload(request):
    """Take a picture: into a file, to the decoder in its own process, and only then among the uploads."""
    uploads = request.app.state.gallery.uploads
    with tempfile.NamedTemporaryFile(dir=uploads.folder, prefix=".got-") as file:
        await routing.body_into(request, file, BYTES)
        async with request.app.state.decoders:
            found = await run_in_threadpool(uploads.add, file.name)
    return JSONResponse(found._asdict())


@routes.get("/api/pictures/{id}")
async def picture(request):
    """An upload, as it is kept or with a shorter edge."""
    name, edge = request.path_params["id"], request.query_params.get("edge")
    uploads = request.app.state.gallery.uploads
    if name not in uploads:
        raise HTTPException(404, "no such picture")
    if edge is None:
        return Response(await run_in_threadpool(uploads.path(name).read_bytes), media_type="image/png")
    if not edge.isdecimal() or not 16 <= int(edge[:6]) <= 4096:
        raise ValueError(f"edge must be from 16 to 4096, got {edge[:20]!r}")
    return routing.jpeg(await run_in_threadpool(uploads.small, name, int(edge)), keep=A_DAY)


@routes.post("/api/restore")
async def restore(request):
    """The settings inside a result, and which of its pictures are here."""
    uploads = request.app.state.gallery.uploads
    with tempfile.NamedTemporaryFile(dir=uploads.folder, prefix=".got-") as file:
        await routing.body_into(request, file, BYTES)
        text = await run_in_threadpool(metadata.read, file.name)
    record = records.parse(text, name="this file")
    inputs = {
        kind: [{"name": row["name"], "id": row["sha256"] if row["sha256"] in uploads else None} for row in listed]
        for kind, listed in record.inputs.items()
    }
    return JSONResponse({"settings": record.order, "turns": list(record.turns), "inputs": inputs})
