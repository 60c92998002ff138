"""Requests read and answered: bodies within bounds, JSON, pictures, downloads; and a table of addresses."""

import json
import struct
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

JSON_BYTES = 1_000_000  # of a request that is no picture
LENGTH = struct.Struct("<I")
Thing = TypeVar("Thing")


def named(request, things: Mapping[str, Thing], missing: str) -> Thing:
    """The one of these that an address names."""
    found = things.get(request.path_params["id"])
    if found is None:
        raise HTTPException(404, missing)
    return found


class Routes:
    """Addresses and what answers them, each written above its function."""

    def __init__(self):
        self.listed: list[Any] = []

    def get(self, path: str) -> Callable:
        """The next function answers this address."""
        return self._add("GET", path)

    def post(self, path: str) -> Callable:
        """The next function does what is asked at this address."""
        return self._add("POST", path)

    def delete(self, path: str) -> Callable:
        """The next function removes what is at this address."""
        return self._add("DELETE", path)

    def _add(self, method, path):
        def keep(answer):
            self.listed.append(Route(path, answer, methods=[method]))
            return answer

        return keep


async def body(request, *, most: int = JSON_BYTES) -> bytes:
    """A request's body, refused as soon as it is known to be longer than this."""
    found = bytearray()
    async for part in request.stream():
        found += part
        if len(found) > most:
            raise HTTPException(413, f"request must be at most {most:,} bytes, got more: make it smaller")
    return bytes(found)


async def body_into(request, file, most: int) -> None:
    """Write a request's body into a file; one that is longer is refused as soon as that is known."""
    count = 0
    async for part in request.stream():
        count += len(part)
        if count > most:
            raise HTTPException(413, f"file must be at most {most // 1_000_000} MB, got more: make it smaller")
        file.write(part)
    file.flush()


async def read_json(request) -> Any:
    """A request's JSON."""
    try:
        return json.loads(await body(request))
    except (ValueError, RecursionError):
        raise ValueError("request must be JSON, got something else: reload the page") from None


def read_step(given) -> int:
    """The step that a request names."""
    step = given.get("step") if isinstance(given, dict) else None
    if type(step) is not int:
        raise ValueError("step must be a whole number, got something else: reload the page")
    return step


def jpeg(data: bytes, *, keep: str = "no-store") -> Response:
    """A JPEG, and how long a browser may keep it."""
    return Response(data, media_type="image/jpeg", headers={"cache-control": keep})


def download(data: bytes, name: str, kind: str) -> Response:
    """A file to be stored under this name."""
    return Response(data, media_type=kind, headers={"content-disposition": f'attachment; filename="{name}"'})


def message(state: Any, frame: bytes) -> bytes:
    """What a watcher gets: the length of the state's JSON, the JSON, the frame's bytes."""
    head = json.dumps(state).encode()
    return LENGTH.pack(len(head)) + head + frame
