"""A painting of the studio: an order with its pictures in a folder of its own, and a run of it in sittings.

Whatever ends a sitting (a pause, a step back, the server's end), the next one goes on from a snapshot.
"""

import functools
import json
import os
import pathlib
import re
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from nst_jax.ground import storage
from nst_jax.ground.choices import one_line
from nst_jax.orders import checkpoints, customise, prepare, workshop
from nst_jax.orders import record as records
from nst_jax.orders.checkpoints import Checkpoint, Command, FolderKeeper
from nst_jax.orders.order import Order
from nst_jax.orders.values import Every
from nst_jax.pictures import images
from nst_jax.recipes import Turn
from nst_jax.studio import asks
from nst_jax.studio.asks import Ask
from nst_jax.studio.strips import Strip
from nst_jax.studio.uploads import Uploads
from nst_jax.studio.views import Moment, View

ABOUT = "painting.json"
COMMAND = Command(("studio",), "")
EVERY = Every(seconds=20.0)  # between checkpoints
WAITING, PREPARING, PAINTING, PAUSED, FINISHED, FAILED = (
    *("waiting", "preparing", "painting"),
    *("paused", "finished", "failed"),
)
AT_WORK = (WAITING, PREPARING, PAINTING)


class Shown:
    """A painting as the page has it."""

    id: str
    title: str
    folder: pathlib.Path
    ask: Ask
    view: View
    turns: list[tuple[int, Turn]]
    asked: Turn | None
    state: str
    message: str
    place: int
    about: dict[str, Any]
    asked_for: Any  # the Order

    def turn(self, order: Order) -> Turn:
        """What holds now."""
        done = [turn for step, turn in self.turns if step <= self.view.step]
        return self.asked or (done[-1] if done else customise.turn_of(order))

    def as_json(self) -> dict[str, Any]:
        """All that the page is told."""
        order = self.asked_for
        found = self.view.as_json() | {"id": self.id, "title": self.title, "state": self.state, "place": self.place}
        turn = self.turn(order)._asdict()
        found |= {"turn": turn, "turns": records.write_turns(self.turns), "steer": asks.steers(order)}
        found |= {"styles": len(order.pictures.style), "message": self.message, "settings": self.ask.settings}
        inputs = {k: v for k, v in self.ask.as_json().items() if k not in ("settings", "turns")}
        return found | {"takes": self.can_be_taken, "inputs": inputs, "from": self.about.get("from")}

    @property
    def can_be_taken(self) -> bool:
        """Whether there is a picture to be taken away; after going back there is none until the next frame."""
        return self.view.has_frame or (self.folder / "result.png").is_file()

    def files(self) -> dict[str, list[str]]:
        """Its pictures, by what they are for."""
        raise NotImplementedError

    def in_short(self) -> dict[str, Any]:
        """A line of the list."""
        h, w = self.view.shape
        row = {"id": self.id, "title": self.title, "state": self.state, "step": self.view.step}
        return row | {"total": self.view.total, "width": w, "height": h}


class Painting(Shown):
    """One painting: what is asked for, what is seen of it, and what a visitor wishes."""

    def __init__(self, folder, ask: Ask, about: Mapping[str, Any]):
        self.folder, self.ask, self.about = pathlib.Path(folder), ask, dict(about)
        self.view, self.controls = View(Strip(self.folder / "strip.zip")), workshop.Controls()
        self.state, self.message, self.place = about.get("state", WAITING), about.get("message", ""), 0
        self.wish = ""  # what a sitting that was stopped ends in
        self.at: int | None = about.get("at")  # the step that was gone back to, at or after the last checkpoint
        self.asked: Turn | None = None  # the newest turn of a visitor
        self.pending: Turn | None = None  # a turn that the next sitting begins with
        self.turns: list[tuple[int, Turn]] = list(records.read_turns(ask.turns))
        self._lock = threading.RLock()
        self._restore()

    @property
    def id(self) -> str:
        """Its name in addresses."""
        return self.folder.name

    # its order

    def files(self) -> dict[str, list[str]]:
        """Its pictures, by what they are for."""
        kinds = self.ask.files.items()
        return {kind: [str(self.folder / name) for name in names_of(kind, len(ids))] for kind, ids in kinds}

    def order(self) -> Order:
        """What is asked for, with the turns that were made up to where the next sitting begins."""
        order = self.asked_for
        if not self.pending:
            return order.with_values(turns=tuple(self.turns))
        at = self.view.step if self.at is None else self.at
        turns = [*(turn for turn in self.turns if turn[0] != at), (at, self.pending)]
        return order.with_values(turns=tuple(sorted(turns, key=lambda turn: turn[0])))

    @functools.cached_property
    def asked_for(self) -> Order:
        """The order, as it was asked for."""
        return asks.order_of(self.ask, self.files())

    # what a visitor does

    def steer(self, turn: Turn) -> None:
        """Other weights from the next frame on."""
        asks.check_turn(self.asked_for, turn)
        with self._lock:
            if self.state in (FINISHED, FAILED):
                raise ValueError(f"a painting must go on to be steered, this one is {self.state}: branch from a frame")
            self.asked = turn
            if self.state in (PREPARING, PAINTING) and not self.wish:
                self.controls.turns.put(turn)
            else:
                self.pending = turn
        self.view.bell.ring()

    def stop(self, wish: str) -> bool:
        """Wish for an end of the sitting, in this state; whether there is a sitting that will end."""
        with self._lock:
            if self.state in (PREPARING, PAINTING):
                self.wish = wish
                self.controls.stop.set()
                return True
            return False

    def go_back(self, step: int) -> None:
        """Be at an earlier step again, paused; what came after is forgotten."""
        with self._lock:
            if self.view.at(step) is None:
                raise ValueError(f"step must be one of the history's, got {step}: choose a frame")
            self._keep(self, self.view.before(step))
            self.at, self.asked, self.pending = step, None, None
            self.turns = [turn for turn in self.turns if turn[0] < step]
            with self.view.lock:
                self.view.cut(step)
            self.view.store()
            (self.folder / "result.png").unlink(missing_ok=True)
            self.set_state(PAUSED)

    def branch_into(self, other: "Painting", step: int, turn: Turn | None) -> None:
        """Let another painting of the same pictures begin at a step of this one."""
        if self.view.at(step) is None:
            raise ValueError(f"step must be one of the history's, got {step}: choose a frame")
        other._keep(self, self.view.before(step))
        other.turns = [known for known in self.turns if known[0] < step]
        other.at, other.asked, other.pending = step, turn, turn
        with self.view.lock:
            view = other.view
            view.moments = [moment._replace(small=self.view.small(moment)) for moment in self.view.moments]
            view.curve = list(self.view.curve)
            view.shape, view.total, view.stage = self.view.shape, self.view.total, dict(self.view.stage)
        view.cut(step)
        view.store()

    def set_state(self, state: str, message: str = "") -> None:
        """Be in a state, on disk too."""
        with self._lock:
            self.state, self.message = state, message
            try:
                self._write()
            except (ValueError, OSError) as error:  # a full disk ends no worker
                self.message = message or one_line(error)
        self.view.bell.ring()

    # a sitting, in the worker's thread

    def prepare(self) -> None:
        """Its turn has come: from here on it can be stopped."""
        with self._lock:
            self.controls, self.wish, self.state = workshop.Controls(), "", PREPARING

    def sit(self) -> None:
        """Paint until it is done or stopped."""
        with self._lock:
            order = self.order()
            self.turns, self.pending, self.at = list(order.turns), None, None
        self.set_state(PREPARING)
        result = self._carry_out(order)
        self.pending = self.pending or self.controls.turn()  # asked for too late for this sitting
        self.view.store()
        if result is not None:
            result.save(self.folder / "result.png")
        if result and result.error and not self.wish:
            raise result.error

    def _carry_out(self, order: Order) -> workshop.Result | None:
        task = asks.task(order)
        machine = prepare.machine_of(order, height=task.shape[0])
        item = prepare.item(task, machine, watchers=(self.view,))
        resumed = self._resumed()
        with checkpoints.opened(
            self.folder / "kept", COMMAND, every=EVERY, resumed=resumed, said=self._say, kind=_Memory
        ) as keeper:
            keeper.painting = self
            try:
                return workshop.carry_out(item, machine, controls=self.controls, keeper=keeper)
            except KeyboardInterrupt:  # stopped before its first frame
                return None

    def _resumed(self) -> Checkpoint | None:
        """What the sitting goes on from."""
        folder = self.folder / "kept"
        kept = checkpoints.find(folder, said=self._say) if folder.is_dir() else None
        return kept and kept._replace(finished="")

    def _keep(self, other: "Painting", moment: Moment | None) -> None:
        """Have the next sitting begin at a moment of a painting; None: at the beginning."""
        kept = checkpoints.find(other.folder / "kept", said=self._say)
        if kept is None:
            raise ValueError("painting must have been kept to go back, got none: begin anew")
        pair = (moment.snapshot, moment.watchers) if moment else (None, ())
        checkpoints.store(self.folder / "kept", kept._replace(snapshot=pair[0], watchers=pair[1], finished=""))

    def _say(self, text: str) -> None:
        self.message = text

    # on disk

    def take_files(self, uploads: Uploads) -> None:
        """Have its pictures in its own folder."""
        for kind, paths in self.files().items():
            for path, upload in zip(paths, self.ask.files[kind], strict=True):
                shutil.copyfile(uploads.path(upload), path)
        self._write()

    def _write(self) -> None:
        about = self.about | {"state": self.state, "message": self.message, "files": self.ask.files}
        about |= {"settings": self.ask.settings, "turns": records.write_turns(self.turns)}
        about |= {"step": self.view.step, "total": self.view.total, "shape": list(self.view.shape)}
        about |= {"curve": self.view.curve}
        about |= {"at": self.at, "pending": self.pending and self.pending._asdict()}
        storage.write_text(self.folder / ABOUT, json.dumps(about), what="painting")

    def _restore(self) -> None:
        """Be as another process has left it."""
        about, view = self.about, self.view
        view.step, view.total, view.shape = (
            about.get("step", 0),
            about.get("total", 0),
            tuple(about.get("shape", (0, 0))),
        )
        view.curve = about.get("curve", [])
        self.pending = asks.read_turn(about["pending"]) if about.get("pending") else None
        if (result := self.folder / "result.png").is_file():
            view.show(images.load(result))

    @property
    def title(self) -> str:
        """A few words for lists."""
        recipe = self.ask.settings.get("recipe", "")
        made = time.strftime("%d %B, %H:%M", time.localtime(self.about.get("created", 0)))
        return f"{recipe} {made}".strip()

    def remove(self) -> None:
        """Leave nothing of it."""
        shutil.rmtree(self.folder, ignore_errors=True)


class _Memory(FolderKeeper):
    """A keeper that also lets the view remember what one can go back to."""

    painting: Painting

    def see(self, run, watchers: Callable) -> None:
        """Remember where a run stands, and keep it now and then."""
        self.painting.view.remember(run, tuple(watchers()), snapshots=True)
        self.painting.turns = [*run.turns, *(turn for turn in self.painting.turns if turn[0] >= run.done)]
        if self.painting.state == PREPARING:
            self.painting.set_state(PAINTING)
        before = self.writing
        super().see(run, watchers)
        if self.writing is not before:  # as much as a checkpoint goes back to
            self.painting.view.store()


def names_of(kind: str, count: int) -> list[str]:
    """The names of a painting's pictures of a kind."""
    several = kind in ("style", "mask", "style-mask")
    return [f"{kind}-{n + 1}.png" for n in range(count)] if several else [f"{kind}.png"]


def load(folder) -> "Painting | None":
    """The painting in a folder; None if there is none that can be read."""
    try:
        about = json.loads((pathlib.Path(folder) / ABOUT).read_text("utf-8"))
        return Painting(folder, Ask(about["files"], about["settings"], about["turns"]), about)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def reason(error: BaseException, folder) -> str:
    """What went wrong, for a visitor: without the studio's folder, and those in it."""
    text = one_line(error)
    if isinstance(error, MemoryError) or text.startswith("RESOURCE_EXHAUSTED"):
        return "the painting must fit into memory: choose a smaller size"
    return re.sub(re.escape(f"{folder}{os.sep}") + r"(?:[^/\\'\s]+[/\\])*", "", text)
