"""A run of the command line on the studio's page: watched, steered, paused and ended there; the terminal keeps it.

It stands in a gallery's place, with one painting in it. What needs the studio's own worker is refused.
"""

import contextlib
import pathlib
import tempfile
from collections.abc import Iterator
from typing import Any

from nst_jax.ground import storage
from nst_jax.orders import workshop
from nst_jax.orders.order import WHOLE, Order
from nst_jax.pictures import images, thumbnails
from nst_jax.recipes import Turn
from nst_jax.studio import app, asks, serve
from nst_jax.studio.asks import Ask
from nst_jax.studio.paintings import FINISHED, PAINTING, PAUSED, PREPARING, Shown
from nst_jax.studio.views import View

NAME = "live"
HOST = "127.0.0.1"


class LivePainting(Shown):
    """The one painting: a run that somebody else carries out."""

    def __init__(self, order: Order, controls: workshop.Controls, folder):
        self.asked_for, self.controls, self.folder, self.id = order, controls, pathlib.Path(folder), NAME
        self.view, self.state, self.message, self.place = View(), PREPARING, "", 0
        self.about: dict[str, Any] = {}
        self.turns: list[tuple[int, Turn]] = list(order.turns)
        self.asked: Turn | None = None
        self.paths = order.files()
        ids = {path: storage.digest(path) for paths in self.paths.values() for path in paths if path != WHOLE}
        self.known = {name: path for path, name in ids.items()}
        kinds = {kind: [ids[path] for path in self.paths.get(kind, [])] for kind in asks.KINDS}
        self.ask = Ask(kinds, {}, [])
        self.title = f"{pathlib.Path(order.pictures.content).stem} on the command line"

    def files(self) -> dict[str, list[str]]:
        """Its pictures, by what they are for."""
        return self.paths

    def steer(self, turn: Turn) -> None:
        """Other weights from the next frame on."""
        asks.check_turn(self.asked_for, turn)
        self.asked = turn
        self.controls.turns.put(turn)
        self.view.bell.ring()

    def enter(self, group, known) -> None:
        """As a keeper's: nothing is kept."""

    def see(self, run, watchers) -> None:
        """As a keeper's: note where the run stands."""
        self.view.remember(run, (), snapshots=False)
        self.turns = list(run.turns)
        if self.state == PREPARING:
            self.set_state(PAINTING)

    def stop(self, run, watchers) -> None:
        """As a keeper's: nothing is kept."""

    def set_state(self, state: str) -> None:
        """Be in a state."""
        self.state = state
        self.view.bell.ring()


class LiveGallery:
    """A gallery of one painting, as the page asks for it."""

    def __init__(self, painting: LivePainting):
        self.paintings, self.grids, self.uploads = {painting.id: painting}, {}, self
        self.folder = painting.folder

    def stop(self, painting: LivePainting, wish: str) -> None:
        """Pause the run, or end it with the picture as it is."""
        if wish == PAUSED:
            painting.controls.going.clear()
        else:
            painting.controls.stop.set()
        painting.set_state(wish)

    def go_on(self, painting: LivePainting) -> None:
        """Let it go on."""
        painting.controls.going.set()
        painting.set_state(PAINTING)

    def refuse(self, *args) -> Any:
        """What needs a worker, or a folder of pictures, of the studio's own."""
        raise ValueError("a run of the command line can't do that: `nst-jax studio` can")

    plan = paint = branch = go_back = remove = grid = draw = add = refuse

    # the pictures that it is made of, as uploads

    def __contains__(self, name) -> bool:
        return any(name in painting.known for painting in self.paintings.values())

    def path(self, name) -> pathlib.Path:
        """Where a picture lies."""
        return pathlib.Path(next(p.known[name] for p in self.paintings.values() if name in p.known))

    def small(self, name, edge: int) -> bytes:
        """A picture as a JPEG with this long edge."""
        return thumbnails.jpeg(images.load(self.path(name), size=edge))


class Both:
    """Two keepers as one: the page's, and the command's own."""

    def __init__(self, page: LivePainting, own):
        self.page, self.own = page, own

    def enter(self, group, known):
        """What the command's own has kept."""
        return self.own.enter(group, known)

    def see(self, run, watchers) -> None:
        """Show it, and keep it now and then."""
        self.page.see(run, watchers)
        self.own.see(run, watchers)

    def stop(self, run, watchers) -> None:
        """Keep it."""
        self.own.stop(run, watchers)


@contextlib.contextmanager
def shown(order: Order, controls: workshop.Controls, port: int, *, said) -> Iterator[LivePainting]:
    """A run on a page while the block runs; its address is said."""
    with tempfile.TemporaryDirectory(prefix="nst-jax-") as folder, serve.bind(HOST, port) as bound:
        painting = LivePainting(order, controls, folder)
        guarded = app.make(LiveGallery(painting), host=HOST, password=None, live=True)
        with serve.beside(guarded, bound):
            said(f"live:     {serve.address(bound, HOST)}p/{NAME}")
            yield painting
            painting.set_state(FINISHED)
