"""The studio below the browser: what comes in, what is painted, steered, taken back, branched, kept; and who may."""

import contextlib
import io
import json
import os
import pathlib
import socket
import struct
import tempfile
import threading
import time
import urllib.request
import zipfile

import numpy as np
import pytest
from conftest import drawn
from PIL import Image

from nst_jax.network import vgg19
from nst_jax.orders import record as records
from nst_jax.orders import words, workshop
from nst_jax.painting import job, runs
from nst_jax.pictures import metadata, thumbnails
from nst_jax.recipes import Turn
from nst_jax.studio import app, asks, gallery, guard, paintings, serve, views

from starlette.testclient import TestClient  # isort: skip
from starlette.websockets import WebSocketDisconnect

pytestmark = pytest.mark.usefixtures("quick_compiler")

HERE = "http://localhost"
QUICK = {"recipe": "tf-tutorial", "quality": "full", "size": "48", "steps": "30"}
LONG = "1200"  # steps, so many that something can be done meanwhile


def png(picture, **options) -> bytes:
    stream = io.BytesIO()
    thumbnails.to_pillow(picture).save(stream, "PNG", **options)
    return stream.getvalue()


def client_of(rooms, **options) -> TestClient:
    made = app.make(rooms, host="127.0.0.1", password=options.pop("password", None))
    return TestClient(made, base_url=HERE, headers={"origin": HERE}, raise_server_exceptions=False, **options)


class House:
    """A gallery with a client, and what tests do with it."""

    def __init__(self, folder):
        self.folder, self.said = folder, []
        self.rooms = gallery.Gallery(folder, said=self.said.append)
        self.rooms.open()
        self.client = client_of(self.rooms)

    def post(self, path, body=None, *, code=200, **options):
        body = {"content": body} if isinstance(body, bytes) else {"json": body}
        answer = self.client.post(path, **body, **options)
        assert answer.status_code == code, answer.text
        return answer.json()

    def upload(self, picture):
        return self.post("/api/pictures", png(picture))["id"]

    def ask(self, **settings):
        pictures = {"content": self.upload(drawn(1, 36, 48)), "style": [self.upload(drawn(2, 40, 44))]}
        return pictures | {"settings": QUICK | settings}

    def paint(self, ask):
        return self.post("/api/paintings", ask, code=201)["id"]

    def state(self, name):
        return self.client.get(f"/api/paintings/{name}").json()

    def until(self, name, done):
        """The painting's state as soon as it is so."""
        known, deadline = self.rooms.paintings[name].view.bell.version, time.monotonic() + 120
        while not done(state := self.state(name)):
            assert time.monotonic() < deadline, state
            assert state["state"] != "failed", state
            with self.rooms.changed:  # rung by the worker's ends; frames come in between
                self.rooms.changed.wait(0.02)
        assert state["version"] >= known
        return state

    def result(self, name):
        return self.client.get(f"/api/paintings/{name}/result.png").content

    def close(self):
        self.rooms.close()


@pytest.fixture(scope="module", autouse=True)
def small_network(tmp_path_factory, narrow):
    """VGG19's shape, soon compiled and stepped."""
    path = tmp_path_factory.mktemp("network") / "narrow.h5"
    vgg19.save(path, narrow)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NST_JAX_WEIGHTS", str(path))
        asks._network.cache_clear()
        yield
    asks._network.cache_clear()


@pytest.fixture
def house(tmp_path):
    found = House(tmp_path / "studio")
    yield found
    found.close()


def state_is(*words):
    return lambda state: state["state"] in words


def pixels(data) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def record_in(data) -> records.Record:
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        file.write(data)
        file.flush()
        return records.parse(metadata.read(file.name))


def rerun(command, house, name, folder) -> np.ndarray:
    """The picture that `rerun` makes of what the studio gives away."""
    data = house.client.get(f"/api/paintings/{name}/bundle.zip").content
    with zipfile.ZipFile(io.BytesIO(data)) as zipped:
        zipped.extractall(folder)
    files = [f"--content {folder}/content.png", f"--style {' '.join(map(str, sorted(folder.glob('style-*.png'))))}"]
    words = f"rerun {folder}/result.png {' '.join(files)} -o {folder}/again.png --no-cache".split()
    code, _, err = command(*words)
    assert code == 0, err
    return pixels((folder / "again.png").read_bytes())


# Painting


def test_a_painting_from_upload_to_result(house, command, tmp_path):
    name = house.paint(house.ask())
    state = house.until(name, state_is("finished"))
    assert (state["step"], state["total"], state["width"], state["height"]) == (30, 30, 48, 36)
    assert state["history"][-1] == 30
    assert [row[0] for row in state["curve"]] == [10, 20, 30]
    assert state["curve"][-1][2] < state["curve"][0][2]
    data = house.result(name)
    assert record_in(data).steps == 30
    np.testing.assert_array_equal(pixels(data), rerun(command, house, name, tmp_path))
    frame = pixels(house.client.get(f"/api/paintings/{name}/frames/latest.jpg").content)
    np.testing.assert_allclose(frame.mean((0, 1)), pixels(data).mean((0, 1)), atol=4)
    jpg = house.client.get(f"/api/paintings/{name}/result.jpg").content
    assert Image.open(io.BytesIO(jpg)).format == "JPEG"
    film = house.client.get(f"/api/paintings/{name}/film")
    assert film.headers["content-type"] in ("video/mp4", "image/webp")
    assert len(film.content) > 500


def test_the_script_in_the_zip_paints_the_same(house, tmp_path, monkeypatch):
    ask = house.ask()
    turn = {"strength": 0.9, "content": 1, "style": 2.0, "variation": 1, "rate": 1, "mix": None}
    name = house.paint(ask | {"turns": [[10, {k: v for k, v in turn.items() if v is not None}]]})
    house.until(name, state_is("finished"))
    data = house.client.get(f"/api/paintings/{name}/bundle.zip").content
    with zipfile.ZipFile(io.BytesIO(data)) as zipped:
        assert sorted(zipped.namelist()) == ["README.txt", "again.py", "content.png", "result.png", "style-1.png"]
        zipped.extractall(tmp_path)
    monkeypatch.chdir(tmp_path)
    text = pathlib.Path("again.py").read_text()
    assert "(10, nst_jax.Turn(style=2.0, strength=0.9))" in text
    exec(compile(text, "again.py", "exec"), {"__name__": "again"})
    np.testing.assert_array_equal(*(pixels(pathlib.Path(f).read_bytes()) for f in ("again.png", "result.png")))


def test_steering_compiles_nothing_and_is_repeated(house, command, tmp_path, compilations):
    name = house.paint(house.ask(steps=LONG))
    house.until(name, lambda state: state["step"] >= 20)
    before = len(compilations)
    strong = {"strength": 0.9, "content": 0.5, "style": 3.0, "variation": 1, "rate": 0.5, "mix": None}
    house.post(f"/api/paintings/{name}/turn", strong)
    state = house.until(name, lambda state: state["turns"])
    assert state["turn"]["style"] == 3.0
    house.until(name, state_is("finished"))
    assert len(compilations) == before
    data = house.result(name)
    ((step, turn),) = record_in(data).turns
    assert step >= 20
    assert turn == {"strength": 0.9, "content": 0.5, "style": 3.0, "rate": 0.5}
    np.testing.assert_array_equal(pixels(data), rerun(command, house, name, tmp_path))


def paused(house, ask):
    name = house.paint(ask)
    house.until(name, lambda state: state["step"] >= 40)
    house.post(f"/api/paintings/{name}/pause")
    return name, house.until(name, state_is("paused"))


def test_pausing_changes_no_bit(house):
    ask = house.ask(steps=LONG)
    name, state = paused(house, ask)
    assert 40 <= state["step"] < int(LONG)
    assert pixels(house.result(name)).shape == (36, 48, 3)
    house.post(f"/api/paintings/{name}/go-on")
    whole = house.paint(ask)
    for each in (name, whole):
        house.until(each, state_is("finished"))
    np.testing.assert_array_equal(pixels(house.result(name)), pixels(house.result(whole)))


def test_going_back_to_a_step_and_on_changes_no_bit(house, monkeypatch):
    monkeypatch.setattr(views, "BYTES", 1_000)  # only a first and a last snapshot are kept
    monkeypatch.setattr(views.thin, "__kwdefaults__", {"most": 96, "room": 1_000})
    ask = house.ask(steps=LONG)
    name, state = paused(house, ask)
    view = house.rooms.paintings[name].view
    steps = state["history"]
    middle = steps[len(steps) // 2]
    assert view.at(middle).snapshot is None
    assert view.before(middle).step == steps[0]
    house.post(f"/api/paintings/{name}/back", {"step": middle})
    state = house.state(name)
    assert (state["state"], state["step"], state["history"][-1]) == ("paused", middle, middle)
    house.post(f"/api/paintings/{name}/back", {"step": 10**6}, code=400)
    house.post(f"/api/paintings/{name}/go-on")
    whole = house.paint(ask)
    for each in (name, whole):
        house.until(each, state_is("finished"))
    np.testing.assert_array_equal(pixels(house.result(name)), pixels(house.result(whole)))


def test_a_step_that_was_left_is_not_taken_away(house):
    name, state = paused(house, house.ask(steps=LONG))
    house.post(f"/api/paintings/{name}/back", {"step": state["history"][1]})
    answer = house.client.get(f"/api/paintings/{name}/result.png")
    assert answer.status_code == 400
    assert "a painting must have a frame to be taken away" in answer.json()["error"]
    house.post(f"/api/paintings/{name}/go-on")
    house.until(name, lambda state: state["step"] > 60)
    house.post(f"/api/paintings/{name}/pause")
    state = house.until(name, state_is("paused"))
    assert record_in(house.result(name)).steps == state["step"]


def test_a_turn_made_while_going_back_holds_from_that_step(house, command, tmp_path):
    name, state = paused(house, house.ask(steps=LONG))
    step = state["history"][1]
    house.post(f"/api/paintings/{name}/back", {"step": step})
    strong = {"strength": 0.5, "content": 1, "style": 9.0, "variation": 1, "rate": 1, "mix": None}
    house.post(f"/api/paintings/{name}/turn", strong)
    assert house.state(name)["turn"]["style"] == 9.0
    house.post(f"/api/paintings/{name}/go-on")
    house.until(name, state_is("finished"))
    assert record_in(house.result(name)).turns == [[step, {"style": 9.0}]]
    np.testing.assert_array_equal(pixels(house.result(name)), rerun(command, house, name, tmp_path))


def test_a_branch_goes_its_own_way_and_is_repeated(house, command, tmp_path):
    name, state = paused(house, house.ask(steps=LONG))
    step = state["history"][-2]
    strong = {"strength": 0.9, "content": 1, "style": 1, "variation": 1, "rate": 1, "mix": None}
    other = house.post(f"/api/paintings/{name}/branch", {"step": step, "turn": strong}, code=201)["id"]
    assert house.state(other)["from"] == {"id": name, "step": step}
    assert house.state(other)["history"][0] == state["history"][0]
    house.post(f"/api/paintings/{name}/go-on")
    for each in (name, other):
        house.until(each, state_is("finished"))
    assert (pixels(house.result(name)) != pixels(house.result(other))).any()
    assert record_in(house.result(other)).turns == [[step, {"strength": 0.9}]]
    np.testing.assert_array_equal(pixels(house.result(other)), rerun(command, house, other, tmp_path))


def test_finishing_early_keeps_the_picture_as_it_is(house, command, tmp_path):
    """And what repeats it ends at the same step."""
    name, state = paused(house, house.ask(steps=LONG))
    house.post(f"/api/paintings/{name}/finish")
    assert house.state(name)["state"] == "finished"
    house.post(f"/api/paintings/{name}/go-on", code=400)
    assert record_in(house.result(name)).steps == state["step"]
    np.testing.assert_array_equal(pixels(house.result(name)), rerun(command, house, name, tmp_path))
    data = house.client.get(f"/api/paintings/{name}/bundle.zip").content
    with zipfile.ZipFile(io.BytesIO(data)) as zipped:
        assert f"nst_jax.paint(order, controls=nst_jax.Controls(last={state['step']}))" in str(zipped.read("again.py"))


def test_first_come_first_served(house):
    first = house.paint(house.ask(steps="9000"))
    house.until(first, state_is("painting"))
    second, third = (house.paint(house.ask(steps="20", seed=seed)) for seed in "12")
    assert [house.state(name)["place"] for name in (second, third)] == [1, 2]
    house.post(f"/api/paintings/{second}/pause")
    assert house.state(second)["state"] == "paused"
    assert house.state(third)["place"] == 1
    house.client.delete(f"/api/paintings/{first}")
    house.until(third, state_is("finished"))
    assert house.client.get(f"/api/paintings/{first}").status_code == 404
    assert [row["id"] for row in house.client.get("/api/paintings").json()] == [third, second]
    assert len(os.listdir(house.folder / "paintings")) == 2


def test_a_server_that_ends_goes_on_where_it_was(house):
    ask = house.ask(steps=LONG)
    name = house.paint(ask)
    state = house.until(name, lambda state: state["step"] >= 40)
    waiting = house.paint(ask)
    house.close()
    again = House(house.folder)
    try:
        assert again.state(name)["state"] in ("waiting", "preparing", "painting")
        for each in (name, waiting):
            again.until(each, state_is("finished"))
        assert again.state(name)["curve"][0][0] < state["step"]
        np.testing.assert_array_equal(pixels(again.result(name)), pixels(again.result(waiting)))
    finally:
        again.close()
    last = House(house.folder)
    try:  # finished ones are there without being painted
        assert last.state(name)["state"] == "finished"
        np.testing.assert_array_equal(pixels(last.result(name)), pixels(last.result(waiting)))
        assert last.client.get(f"/api/paintings/{name}/frames/latest.jpg?small=1").status_code == 200
    finally:
        last.close()


def test_the_history_is_there_when_another_server_goes_on(house):
    """Its small pictures lie on disk; a step of it is painted again from the beginning, and ends in the same bits."""
    name = house.paint(house.ask(steps="60"))
    state = house.until(name, state_is("finished"))
    known = house.result(name)
    before = [house.client.get(f"/api/paintings/{name}/frames/{step}.jpg?small=1").content for step in state["history"]]
    house.close()
    again = House(house.folder)
    try:
        assert again.state(name)["history"] == state["history"]
        assert again.state(name)["curve"] == state["curve"]
        after = [again.client.get(f"/api/paintings/{name}/frames/{step}.jpg").content for step in state["history"]]
        assert after == before
        assert again.client.get(f"/api/paintings/{name}/film").status_code == 200
        step = state["history"][len(before) // 2]
        other = again.post(f"/api/paintings/{name}/branch", {"step": step, "turn": {"style": 3.0}}, code=201)["id"]
        again.post(f"/api/paintings/{name}/back", {"step": step})
        assert again.state(name)["history"][-1] == step
        again.post(f"/api/paintings/{name}/go-on")
        for each in (other, name):
            again.until(each, state_is("finished"))
        np.testing.assert_array_equal(pixels(again.result(name)), pixels(known))
        assert [turn[0] for turn in again.state(other)["turns"]] == [step]
    finally:
        again.close()


def test_what_is_shown_stays_until_it_is_gone_back_from():
    """Whoever goes on after a restart sees the whole picture, not the small one of the history, until the next."""
    view = views.View()
    view.moments, view.frame_bytes = [views.Moment(5, b"five"), views.Moment(9, b"nine", b"large")], b"whole"
    view.step = 9
    view.cut(9)
    assert view.frame_bytes == b"whole"
    view.cut(5)
    assert (view.frame_bytes, view.small_bytes) == (b"five", b"five")
    view.frame_bytes = b""
    view.cut(5)
    assert view.frame_bytes == b"five"


def test_a_history_that_can_not_be_stored_stays_in_memory(house, monkeypatch):
    name = house.paint(house.ask())
    house.until(name, state_is("finished"))
    view = house.rooms.paintings[name].view
    monkeypatch.setattr(view.strip, "path", house.folder / "not" / "there" / "strip.zip")
    view.rest()
    assert all(moment.small for moment in view.moments)
    monkeypatch.undo()
    view.rest()
    assert not any(moment.small for moment in view.moments)
    assert all(map(view.small, view.moments))
    view.strip.path.write_bytes(b"torn")
    assert (view.strip.steps(), view.strip.read(10)) == ([], b"")


def test_what_goes_wrong_is_said_and_the_next_is_painted(house, monkeypatch):
    bad = house.paint(house.ask())
    house.until(bad, state_is("finished"))

    def fails(*args, **options):
        raise MemoryError

    monkeypatch.setattr(asks, "task", fails)
    bad = house.paint(house.ask(seed="3"))
    deadline = time.monotonic() + 60
    while (state := house.state(bad))["state"] != "failed":
        assert time.monotonic() < deadline
    assert state["message"] == "the painting must fit into memory: choose a smaller size"
    monkeypatch.undo()
    house.until(house.paint(house.ask(seed="4")), state_is("finished"))


def test_a_disk_that_is_full_ends_no_worker(house, monkeypatch):
    name = house.paint(house.ask(steps="9000"))
    house.until(name, state_is("painting"))

    def full(*args, **options):
        raise OSError(f"No space left on device, got '{house.folder}/paintings/x/result.png'")

    with monkeypatch.context() as patch:
        patch.setattr(workshop.Result, "save", full)
        patch.setattr(paintings.Painting, "_write", full)
        house.client.post(f"/api/paintings/{name}/pause")
        deadline = time.monotonic() + 60
        while (state := house.state(name))["state"] != "failed":
            assert time.monotonic() < deadline
    assert state["message"] == "No space left on device, got 'result.png'"
    assert str(house.folder) not in "".join(house.said)
    house.until(house.paint(house.ask()), state_is("finished"))


def test_what_goes_wrong_beside_painting_ends_no_worker(house, monkeypatch):
    def forget(used, **options):
        raise RuntimeError("a folder that changes")

    monkeypatch.setattr(house.rooms.uploads, "forget", forget)
    names = [house.paint(house.ask(steps="10")) for _ in range(2)]
    for name in names:
        house.until(name, state_is("finished"))
    assert house.said == [f"{name}: a folder that changes" for name in names]


def test_two_who_forget_the_same_pictures(house):
    errors = []
    for n in range(10):
        for i in range(60):
            path = house.rooms.uploads.folder / f"{n:032x}{i:032x}.png"
            path.write_bytes(b"")
            os.utime(path, (1, 1))

        def forget():
            try:
                house.rooms.uploads.forget(())
            except OSError as error:
                errors.append(error)

        both = [threading.Thread(target=forget) for _ in range(2)]
        for each in both:
            each.start()
        for each in both:
            each.join()
    assert errors == []


def test_the_last_turn_before_a_pause_is_the_one(house):
    name = house.paint(house.ask(steps=LONG))
    house.until(name, lambda state: state["step"] >= 30)
    painting = house.rooms.paintings[name]
    painting.steer(Turn(strength=0.2))
    house.rooms.stop(painting, paintings.PAUSED)
    painting.steer(Turn(strength=0.9))
    house.until(name, state_is("paused"))
    assert house.state(name)["turn"]["strength"] == 0.9
    assert painting.order().turns[-1][1].strength == 0.9


def test_nothing_is_finished_without_a_picture(house):
    """After going back a run has to paint before there is a picture with its settings inside."""
    name = house.paint(house.ask(steps=LONG))
    state = house.until(name, lambda state: state["step"] >= 30)
    assert state["takes"]
    assert not house.post(f"/api/paintings/{name}/back", {"step": state["history"][2]})
    assert not house.state(name)["takes"]
    refused = house.post(f"/api/paintings/{name}/finish", code=400)
    assert refused["error"].startswith("a painting must have a frame to be finished, got none yet")
    assert house.client.get(f"/api/paintings/{name}/film").status_code == 200
    house.post(f"/api/paintings/{name}/go-on")
    house.until(name, lambda state: state["takes"])
    house.post(f"/api/paintings/{name}/finish")
    house.until(name, state_is("finished"))
    assert record_in(house.result(name)).order["recipe"] == "tf-tutorial"


def test_who_asks_twice_is_second(house):
    name, _ = paused(house, house.ask(steps=LONG))
    blocker = house.paint(house.ask(steps="9000"))
    house.until(blocker, state_is("painting"))
    house.post(f"/api/paintings/{name}/go-on")
    assert "must be paused to go on" in house.post(f"/api/paintings/{name}/go-on", code=400)["error"]
    assert len(house.rooms.queue) == 1
    house.post(f"/api/paintings/{blocker}/finish")


def test_what_can_not_be_done_is_one_line(house):
    name = house.paint(house.ask())
    house.until(name, state_is("finished"))
    one = f"/api/paintings/{name}"
    turn = {"strength": 0.5, "content": 1, "style": 1, "variation": 1, "rate": 1, "mix": None}
    assert "must go on to be steered" in house.post(f"{one}/turn", turn, code=400)["error"]
    for path in ("back", "branch"):
        assert "step must be a whole number" in house.post(f"{one}/{path}", {"step": "x"}, code=400)["error"]
        assert "step must be one of the history's" in house.post(f"{one}/{path}", {"step": 7}, code=400)["error"]
    assert "edge must be from 16" in house.client.get(f"/api/pictures/{house.ask()['content']}?edge=5").json()["error"]
    assert "request must be JSON" in house.post("/api/plan", b"{", code=400)["error"]
    for path in ("/api/pictures/x", f"{one}/frames/7.jpg", "/api/grids/x", "/api/grids/x/0-0.jpg", "/api/paintings/x"):
        assert house.client.get(path).status_code == 404
    axes = {"across": {"name": "size", "values": ["1", "2"]}, "down": {"name": "seed", "values": ["1"]}}
    assert "across must be one of" in house.post("/api/grids", house.ask() | axes, code=400)["error"]
    axes["across"]["name"] = "strength"
    assert "down must have from 2 to 5 values" in house.post("/api/grids", house.ask() | axes, code=400)["error"]
    assert len(house.rooms.paintings) == 1  # a branch that was refused leaves nothing


def test_several_paintings_their_masks_and_mix(house, command, tmp_path):
    ask = house.ask()
    ask["style"].append(house.upload(drawn(3, 40, 40)))
    name = house.paint(ask)
    assert house.state(name)["steer"][-1] == "mix"
    turn = {"strength": 0.5, "content": 1, "style": 1, "variation": 1, "rate": 1, "mix": [1, 3]}
    house.post(f"/api/paintings/{name}/turn", turn | {"mix": [1, 2, 3]}, code=400)
    left = np.zeros((36, 48, 3), np.float32)
    left[:, :24] = 1
    name = house.paint(ask | {"mask": [house.upload(left), house.upload(1 - left)]})
    assert "mix" not in house.state(name)["steer"]
    house.post(f"/api/paintings/{name}/turn", turn, code=400)
    house.until(name, state_is("finished"))
    assert set(record_in(house.result(name)).inputs) == {"content", "style", "mask"}


def test_a_strength_map_holds_where_it_was_painted(house):
    right = np.zeros((36, 48, 3), np.float32)
    right[:, 24:] = 1
    settings = {"tv-weight": "0", "steps": "5", "style-layers": "relu1_1", "content-layers": "relu1_1"}
    ask = house.ask(**settings) | {"strength-map": house.upload(right)}
    name = house.paint(ask)
    house.until(name, state_is("finished"))
    content = pixels(house.client.get(f"/api/pictures/{ask['content']}").content).astype(int)
    change = abs(pixels(house.result(name)) - content).mean(axis=(0, 2))
    assert change[:8].max() <= 1  # only content, which it starts from
    assert change[-16:].min() > 2


# Watching


def watched(socket, known=-1):
    socket.send_text(json.dumps({"have": known}))
    data = socket.receive_bytes()
    (length,) = struct.unpack("<I", data[:4])
    return json.loads(data[4 : 4 + length]), data[4 + length :]


def test_a_watcher_gets_the_newest_frame_when_it_asks(house):
    name = house.paint(house.ask(steps=LONG))
    with house.client.websocket_connect(
        f"ws://localhost/api/paintings/{name}/watch", headers={"origin": HERE}
    ) as socket:
        state, known, frames = {"state": "", "step": 0}, -1, 0
        while state["state"] != "finished":
            state, frame = watched(socket, known)
            assert state["version"] != known
            known, frames = state["version"], frames + bool(frame)
            if frame:
                assert pixels(frame).shape[2] == 3
        again, frame = watched(socket)
        assert again["step"] == int(LONG)
        assert frame == b""  # it has it
    assert 1 < frames <= int(LONG)


def test_two_watch_the_same(house):
    name = house.paint(house.ask())
    house.until(name, state_is("finished"))
    path = f"ws://localhost/api/paintings/{name}/watch"
    connect = house.client.websocket_connect
    with connect(path, headers={"origin": HERE}) as one, connect(path, headers={"origin": HERE}) as other:
        assert watched(one) == watched(other)
    with pytest.raises(WebSocketDisconnect):
        house.client.websocket_connect(
            "/api/paintings/none/watch", headers={"origin": HERE}
        ).__enter__().receive_bytes()


# Grids, restoring


def test_a_grid_to_choose_from(house):
    axes = {
        "across": {"name": "style-weight", "values": ["0.1", "10"]},
        "down": {"name": "strength", "values": ["0.3", "0.9"]},
    }
    made = house.post("/api/grids", house.ask() | axes, code=201)["id"]
    deadline = time.monotonic() + 120
    while (grid := house.client.get(f"/api/grids/{made}").json())["state"] != "finished":
        assert time.monotonic() < deadline, grid
        time.sleep(0.05)
    assert [(cell["row"], cell["column"], cell["done"]) for cell in grid["cells"]] == [
        *((0, 0, True), (0, 1, True)),
        *((1, 0, True), (1, 1, True)),
    ]
    pictures = [
        house.client.get(f"/api/grids/{made}/{row}-{column}.jpg").content for row in (0, 1) for column in (0, 1)
    ]
    assert len(set(pictures)) == 4
    chosen = grid["ask"] | {"settings": grid["cells"][3]["settings"]}
    assert chosen["settings"]["strength"] == "0.9"
    house.until(house.paint(chosen), state_is("finished"))
    same = axes | {"down": axes["across"]}
    assert "axes must be two" in house.post("/api/grids", house.ask() | same, code=400)["error"]


def test_a_result_restores_its_settings(house):
    ask = house.ask(strength="0.7") | {"turns": [[5, {"style": 2.0}]]}
    name = house.paint(ask)
    house.until(name, state_is("finished"))
    data = house.result(name)
    found = house.post("/api/restore", data)
    assert found["turns"] == [[5, {"style": 2.0}]]
    assert found["settings"]["strength"] == "0.7"
    assert found["inputs"] == {
        "content": [{"name": "content.png", "id": ask["content"]}],
        "style": [{"name": "style-1.png", "id": ask["style"][0]}],
    }
    same = house.paint(ask | {"settings": found["settings"], "turns": found["turns"]})
    house.until(same, state_is("finished"))
    np.testing.assert_array_equal(pixels(data), pixels(house.result(same)))
    for path in house.rooms.uploads.folder.glob("*.png"):
        path.unlink()
    assert house.post("/api/restore", data)["inputs"]["content"] == [{"name": "content.png", "id": None}]
    house.upload(drawn(1, 36, 48))  # the same picture is found by what it is
    assert house.post("/api/restore", data)["inputs"]["content"][0]["id"] == ask["content"]
    assert "settings" in house.post("/api/restore", png(drawn(1, 36, 48)), code=400)["error"]


# What comes in


def test_an_upload_keeps_nothing_of_its_maker(house):
    block = Image.Exif()
    block[0x010E] = "at home"
    block[0x0112] = 6  # turned
    stream = io.BytesIO()
    thumbnails.to_pillow(drawn(1, 36, 48)).save(stream, "JPEG", exif=block, comment=b"secret")
    found = house.post("/api/pictures", stream.getvalue())
    assert (found["width"], found["height"]) == (36, 48)
    kept = house.client.get(f"/api/pictures/{found['id']}").content
    assert b"at home" not in kept
    assert b"secret" not in kept
    assert not Image.open(io.BytesIO(kept)).getexif()
    assert sorted(os.listdir(house.rooms.uploads.folder)) == [f"{found['id']}.png"]
    assert pixels(house.client.get(f"/api/pictures/{found['id']}?edge=24").content).shape == (24, 18, 3)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"no picture", "file must be a picture"),
        (b"", "picture must be a file with something in it"),
        (png(drawn(1, 36, 48))[:500], "picture must be whole"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 5000, "picture"),
        (png(drawn(1, 8, 48)), "picture must be at least 16 px"),
    ],
)
def test_a_hostile_upload_is_one_line(house, data, said):
    error = house.post("/api/pictures", data, code=400)["error"]
    assert said in error
    assert str(house.folder) not in error
    assert os.listdir(house.rooms.uploads.folder) == []


def test_uploads_that_stall_keep_nobody_waiting(house):
    with serve.bind("127.0.0.1", 0) as bound:
        port = bound.getsockname()[1]
        head = f"POST /api/pictures HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n"
        with (
            serve.beside(app.make(house.rooms, host="127.0.0.1", password=None), bound),
            contextlib.ExitStack() as ours,
        ):
            for _ in range(app.DECODERS):
                stalled = ours.enter_context(socket.create_connection(("127.0.0.1", port)))
                stalled.sendall(head.encode() + b"Content-Length: 100000\r\n\r\n" + b"x" * 100)
            time.sleep(0.3)
            headers, url = {"Origin": f"http://127.0.0.1:{port}"}, f"http://127.0.0.1:{port}/api/pictures"
            asked = urllib.request.Request(url, data=png(drawn(1, 36, 48)), headers=headers)
            with urllib.request.urlopen(asked, timeout=60) as answer:
                assert answer.status == 200


def test_an_upload_that_is_too_long_is_cut_off(house, monkeypatch):
    monkeypatch.setattr("nst_jax.studio.routes_pictures.BYTES", 2_000_000)
    assert "at most 2 MB" in house.post("/api/pictures", b"x" * 2_000_001, code=413)["error"]
    assert "1,000,000 bytes" in house.post("/api/plan", b"[" * 1_000_001, code=413)["error"]
    assert os.listdir(house.rooms.uploads.folder) == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"weights": "/etc/passwd"}, "settings must be those of the form, got 'weights'"),
        ({"nonsense": "1"}, "settings must be those of the form, got 'nonsense'"),
        ({"keep-metadata": "yes"}, "settings must be those of the form, got 'keep-metadata'"),
        ({"init": "/etc/passwd"}, "settings must name no files"),
        ({"colour": "palette:/etc/passwd"}, "settings must name no files"),
        ({"steps": "999999999"}, "settings must ask for at most 1000000 steps"),
        ({"size": "99999"}, "picture must hold at most 64,000,000 pixels"),
        ({"strength": "2"}, "strength must be"),
        ({"quality": "best"}, "quality must be one of"),
        ({"colour": "only"}, "colour must be one that is painted"),
        ({"optimizer": "lbfgs", "learning-rate": "0.1"}, "learning-rate must go with"),
    ],
)
def test_a_setting_that_is_refused_is_one_line(house, settings, said):
    settings = {k: v for k, v in QUICK.items() if k not in ("steps", "size")} | settings
    ask = house.ask() | {"settings": settings}
    for path in ("/api/plan", "/api/paintings"):
        assert said in house.post(path, ask, code=400)["error"]
    assert os.listdir(house.folder / "paintings") == []


@pytest.mark.parametrize(
    "body",
    [
        *([], "text", None, {}, {"content": 3, "style": [1]}, {"content": "../../x", "style": ["../../x"]}),
        *({"content": "a" * 64, "style": ["b" * 64]}, {"content": "a", "style": ["b"] * 99}),
    ],
)
def test_a_request_of_another_shape_is_one_line(house, body):
    for path in ("/api/plan", "/api/paintings", "/api/grids"):
        assert house.post(path, body, code=400)["error"].count("\n") == 0


@pytest.mark.parametrize(
    "turn",
    [None, [], {"style": "x"}, {"style": -1}, {"style": 1e40}, {"nonsense": 1}, {"strength": 2}, {"mix": "x"}],
)
def test_a_turn_of_another_shape_is_one_line(house, turn):
    name = house.paint(house.ask())
    assert "error" in house.post(f"/api/paintings/{name}/turn", turn, code=400)


def test_a_turn_beyond_what_a_number_holds_is_refused_at_once():
    order = words.make("town.png", "night.png", style_layers="relu1_1:1e20")
    asks.check_turn(order, Turn(style=2.0))
    with pytest.raises(ValueError, match="weight of relu1_1 must be at most 3e\\+38 in all, got 1e\\+50"):
        asks.check_turn(order, Turn(style=1e30))


def test_the_rate_is_refused_where_a_line_is_searched(house):
    name = house.paint(house.ask(optimizer="lbfgs", steps="20"))
    assert "rate" not in house.state(name)["steer"]
    turn = {"strength": 0.5, "content": 1, "style": 1, "variation": 1, "rate": 0.5, "mix": None}
    assert (
        "a turn must change what this run can change"
        in house.post(f"/api/paintings/{name}/turn", turn, code=400)["error"]
    )


def test_the_plan_says_what_it_will_take(house):
    plan = house.post("/api/plan", ask := house.ask())
    assert (plan["width"], plan["height"], plan["large"], plan["seconds"]) == (48, 36, False, None)
    assert plan["memory"] > 1e7
    assert plan["stages"] == [{"width": 48, "height": 36, "steps": 30, "network": job.MAIN}]
    house.until(house.paint(ask), state_is("finished"))
    assert house.post("/api/plan", ask)["seconds"] > 0
    large = house.post("/api/plan", ask | {"settings": ask["settings"] | {"size": "3000"}})
    assert large["large"]
    assert large["memory"] > plan["memory"]


def test_every_field_of_the_form_can_be_asked_for(house):
    form = house.client.get("/api/form").json()
    assert [field["name"] for field in form["fields"] if field["heading"] == "main"] == [*asks.MAIN, "quality"]
    base = house.ask()
    for field in form["fields"]:
        assert field["help"]
        assert field["label"]
        for choice in field["choices"]:
            record = asks.record_of(asks.read(base | {"settings": {field["name"]: choice}}))
            assert field["name"] == "quality" or record.order[field["name"]] == choice
    assert {steer["name"] for steer in form["steer"]} <= set(Turn._fields)
    assert {recipe["name"] for recipe in form["recipes"]} > {"matching", "gatys-notebook"}
    for sample in form["samples"][:2]:
        assert pixels(house.client.get(f"/samples/{sample['name']}.jpg").content).shape == (240, 320, 3)
    assert house.post("/api/samples/flow")["width"] == 512


# Who may


def test_only_this_machine_is_a_host(house):
    for host in ("evil.example", "localhost.evil.example", "10.0.0.7:80", ""):
        assert house.client.get("/", headers={"host": host}).status_code == 403
    for host in ("localhost", "127.0.0.1:8790", "[::1]:8790"):
        assert house.client.get("/", headers={"host": host}).status_code == 200


def test_only_our_own_pages_may_change_anything(house):
    for origin in ("http://evil.example", "https://localhost", "http://localhost:81", "null"):
        assert house.client.post("/api/samples/flow", headers={"origin": origin}).status_code == 403
        with pytest.raises(WebSocketDisconnect):
            house.client.websocket_connect(
                "ws://localhost/api/paintings/x/watch", headers={"origin": origin}
            ).__enter__()
    bare = TestClient(house.client.app, base_url=HERE)
    assert bare.post("/api/samples/flow").status_code == 403  # a browser always says where it is from


def test_a_page_may_load_nothing_from_elsewhere(house):
    answer = house.client.get("/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    for name in ("studio.css", "main.js"):
        assert house.client.get(f"/static/{name}").status_code == 200
    for name in ("..%2fapp.py", "app.py", "%2e%2e/app.py", "nothing.js"):
        assert house.client.get(f"/static/{name}").status_code == 404
    text = "".join(path.read_text("utf-8") for path in sorted(app.STATIC.iterdir()))
    assert "innerHTML" not in text
    assert not [line for line in text.splitlines() if "http://" in line and "w3.org" not in line]
    assert "https://" not in text


def test_a_password_is_asked_for(tmp_path):
    rooms = gallery.Gallery(tmp_path / "studio", said=print)
    client = client_of(rooms, password="correct horse", follow_redirects=False)
    assert client.get("/api/form").status_code == 401
    assert client.get("/").headers["location"] == "/login"
    with pytest.raises(WebSocketDisconnect):
        client.websocket_connect("ws://localhost/api/paintings/x/watch", headers={"origin": HERE}).__enter__()
    assert client.get("/login").status_code == 200
    wrong = client.post("/login", data={"password": "wrong"})
    assert wrong.status_code == 403
    assert "not the password" in wrong.text
    assert "set-cookie" not in wrong.headers
    right = client.post("/login", data={"password": "correct horse"})
    cookie = right.headers["set-cookie"]
    assert right.status_code == 303
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert client.get("/api/form").status_code == 200
    value = cookie.split(";")[0].split("=", 1)[1]
    until, _, signed = value.partition(".")
    client.cookies.clear()
    for forged in (f"{int(until) + 1}.{signed}", f"{until}.{signed[:-2]}AA", "x", f"{until}."):
        assert client.get("/api/form", headers={"cookie": f"{guard.COOKIE}={forged}"}).status_code == 401
    assert client.get("/api/form", headers={"cookie": f"{guard.COOKIE}={value}"}).status_code == 200


def test_other_hosts_need_a_password(tmp_path, command):
    assert serve.read_password(None, "127.0.0.1") is None
    code, _, err = command("studio", "--host", "0.0.0.0", "--folder", tmp_path, "--no-browser")
    assert code == 1
    assert err == (
        "nst-jax: --host must be this machine's own, 127.0.0.1, without a password, got 0.0.0.0: add --password-file\n"
    )
    (tmp_path / "short").write_text("abc\n")
    code, _, err = command("studio", "--password-file", tmp_path / "short", "--folder", tmp_path, "--no-browser")
    assert code == 1
    assert "--password-file must hold at least 8 characters" in err


def test_a_port_that_is_taken_is_said(tmp_path, command):
    with serve.bind("127.0.0.1", 0) as taken:
        taken.listen()
        code, _, err = command("studio", "--port", taken.getsockname()[1], "--folder", tmp_path, "--no-browser")
    assert code == 1
    assert err.startswith("nst-jax: --port must be free at 127.0.0.1, got ")
    assert err.endswith("choose another --port\n")


# Parts


def moment(step, snapshot=True):
    leaves = (np.zeros(1000, np.float32),)
    return views.Moment(step, b"s" * 10, b"l" * 100, runs.Snapshot((), 0, step, leaves) if snapshot else None)


def test_a_history_is_bounded():
    many = [moment(step) for step in range(100)]
    assert views.thin(many, most=200, room=10**9) == many
    fewer = views.thin(many, most=99, room=10**9)
    assert (fewer[0], fewer[-1], len(fewer)) == (many[0], many[-1], 51)
    small = views.thin(many, most=200, room=50_000)
    assert sum(each.size for each in small) <= 50_000
    assert len(small) == 100
    assert small[0].snapshot
    assert small[-1].snapshot
    assert any(each.snapshot is None for each in small)
    assert all(each.large for each in small)
    least = views.thin(many, most=200, room=1)
    assert [each.step for each in least if each.snapshot] == [0, 99]
    assert [each.step for each in least if each.large] == [0, 99]


def test_paintings_that_nobody_works_on_take_little_memory(house, monkeypatch):
    monkeypatch.setattr(gallery, "AT_HAND", 1)
    old, new = (house.paint(house.ask(seed=seed)) for seed in "12")
    for name in (old, new):
        house.until(name, state_is("finished"))
    with house.rooms.changed:
        assert house.rooms.changed.wait_for(lambda: house.rooms.now is None, timeout=60)
    before, after = (house.rooms.paintings[name].view for name in (old, new))
    assert after.moments[0].snapshot
    assert not any(moment.snapshot or moment.large for moment in before.moments)
    assert record_in(house.result(old)).order["seed"] == "1"
    jpg = house.client.get(f"/api/paintings/{old}/result.jpg").content
    assert Image.open(io.BytesIO(jpg)).size == (48, 36)
    step = house.state(old)["history"][1]
    house.post(f"/api/paintings/{old}/back", {"step": step})  # from the beginning, for want of a snapshot
    house.post(f"/api/paintings/{old}/go-on")
    was = pixels(house.result(new))
    house.until(old, state_is("finished"))
    assert pixels(house.result(old)).shape == was.shape


def test_pictures_that_nobody_needs_go(house):
    ask = house.ask()
    name = house.paint(ask)
    house.upload(drawn(5, 30, 30))
    house.until(name, state_is("finished"))
    assert len(os.listdir(house.rooms.uploads.folder)) == 3
    house.rooms.uploads.forget(house.rooms.used(), age=0)
    assert sorted(os.listdir(house.rooms.uploads.folder)) == sorted(f"{x}.png" for x in (ask["content"], *ask["style"]))


def test_a_folder_that_is_no_painting_is_left_alone(tmp_path):
    (tmp_path / "paintings" / "broken").mkdir(parents=True)
    (tmp_path / "paintings" / "broken" / paintings.ABOUT).write_text("{")
    assert gallery.Gallery(tmp_path, said=print).paintings == {}
