"""Addresses about grids: small sweeps to choose from."""

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from nst_jax.studio import asks, routing

routes = routing.Routes()


def of(request):
    """The grid that an address names."""
    return routing.named(request, request.app.state.gallery.grids, "no such grid: it lasts as long as the server")


@routes.post("/api/grids")
async def paint(request):
    """Begin a grid."""
    given = await routing.read_json(request)
    grid = await run_in_threadpool(request.app.state.gallery.grid, asks.read(given), given)
    return JSONResponse({"id": grid.id}, 201)


@routes.get("/api/grids/{id}")
async def show(request):
    """A grid as it is."""
    return JSONResponse(of(request).as_json())


@routes.get("/api/grids/{id}/{row:int}-{column:int}.jpg")
async def cell(request):
    """A picture of a grid."""
    data = of(request).cells.get((request.path_params["row"], request.path_params["column"]))
    if data is None:
        raise HTTPException(404, "no such picture yet")
    return routing.jpeg(data)
