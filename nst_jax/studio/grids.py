"""A small sweep by the fast network, to choose from: three values across, three down, each a picture of its own."""

from typing import Any

from nst_jax.orders import prepare, workshop
from nst_jax.pictures import thumbnails
from nst_jax.studio import asks
from nst_jax.studio.asks import Ask
from nst_jax.studio.bell import Bell
from nst_jax.studio.paintings import PAINTING, WAITING
from nst_jax.studio.uploads import Uploads

QUICK = {"network": "fast", "size": "160", "steps": "40"}
AXES = ("strength", "style-weight", "content-weight", "tv-weight", "seed")
MOST = 5  # values of an axis


class Grid:
    """Pictures by row and column; it lives as long as the server."""

    def __init__(self, name: str, ask: Ask, axes: dict[str, Any], uploads: Uploads):
        self.id, self.ask, self.uploads = name, ask, uploads
        self.across, self.down = (_axis(axes.get(word), word) for word in ("across", "down"))
        if self.across["name"] == self.down["name"]:
            raise ValueError(f"axes must be two, got {self.down['name']} twice: choose another")
        self.state, self.message, self.place, self.view = WAITING, "", 0, None
        self.controls, self.bell, self.cells = workshop.Controls(), Bell(), {}
        for row, column in self.places():
            asks.order_of(self.cell_ask(row, column), self.files())

    def files(self) -> dict[str, list[str]]:
        """Its pictures, by what they are for."""
        return self.uploads.paths(self.ask.files)

    def places(self) -> list[tuple[int, int]]:
        """Rows and columns, in the order in which they are painted."""
        return [(r, c) for r in range(len(self.down["values"])) for c in range(len(self.across["values"]))]

    def settings(self, row: int, column: int) -> dict[str, str]:
        """A cell's own settings."""
        own = {axis["name"]: axis["values"][n] for axis, n in ((self.down, row), (self.across, column))}
        return self.ask.settings | own

    def cell_ask(self, row: int, column: int) -> Ask:
        """What is painted for a cell: small, and by the fast network."""
        left = ("quality", "ladder", "fast-first", "preview", "still")
        settings = {k: v for k, v in self.settings(row, column).items() if k not in left}
        return self.ask._replace(settings=settings | QUICK, turns=[])

    def prepare(self) -> None:
        """Its turn has come."""
        self.set_state(PAINTING)

    def sit(self) -> None:
        """Paint its cells, one after another."""
        for row, column in self.places():
            if self.controls.stop.is_set():
                return
            task = asks.task(asks.order_of(self.cell_ask(row, column), self.files()))
            machine = prepare.machine_of(task.order, height=task.shape[0])
            result = workshop.carry_out(prepare.item(task, machine), machine, controls=self.controls)
            if result.error:
                raise result.error
            self.cells[row, column] = thumbnails.jpeg(result.image)
            self.bell.ring()

    def stop(self, wish: str) -> bool:
        """End it; whether there was something to end."""
        self.controls.stop.set()
        return self.state == PAINTING

    def set_state(self, state: str, message: str = "") -> None:
        """Be in a state."""
        self.state, self.message = state, message
        self.bell.ring()

    def as_json(self) -> dict[str, Any]:
        """As the page has it."""
        cells = [
            {"row": r, "column": c, "done": (r, c) in self.cells, "settings": self.settings(r, c)}
            for r, c in self.places()
        ]
        about = {"id": self.id, "state": self.state, "across": self.across, "down": self.down, "cells": cells}
        return about | {"ask": self.ask.as_json(), "message": self.message, "place": self.place}


def _axis(given, word) -> dict[str, Any]:
    values = given.get("values") if isinstance(given, dict) else None
    if not isinstance(values, list) or not 2 <= len(values) <= MOST or not all(isinstance(v, str) for v in values):
        raise ValueError(f"{word} must have from 2 to {MOST} values, got something else: reload the page")
    if given.get("name") not in AXES:
        raise ValueError(f"{word} must be one of {', '.join(AXES)}, got another")
    return {"name": given["name"], "values": values}
