"""Orders carried out: turned, stopped, watched; what the clock and watchers do changes no pixel."""

import json
import os
import threading

import numpy as np
import pytest

from nst_jax.network import vgg19
from nst_jax.orders import compose, networks, prepare, record, watchers, words, workshop
from nst_jax.orders.workshop import Controls
from nst_jax.painting import painter
from nst_jax.pictures import colour, images, metadata, samples
from nst_jax.recipes import Turn

pytestmark = pytest.mark.usefixtures("quick_compiler")

QUICK = {
    "recipe": "gatys-notebook",
    "optimizer": "adam",
    "style_layers": "relu1_1:1,relu2_1:1",
    "content_layers": "relu1_2:1",
    "ladder": "24:12,32:13",  # 25 steps, frames at 10, 12, 20 and 25
    "weights": "narrow.h5",
}
FRAMES = [10, 12, 20, 25]


@pytest.fixture(scope="module")
def studio(tmp_path_factory, narrow):
    """A folder of pictures and a mask, a sprite, a narrow network."""
    folder = tmp_path_factory.mktemp("workshop")
    images.save(folder / "town.png", samples.draw("skyline", (32, 40)))
    images.save(folder / "night.png", samples.draw("mosaic", (32, 36)))
    images.save(folder / "wave.png", samples.draw("woodcut", (36, 32)))
    left = np.zeros((32, 40, 3))
    left[:, :20] = 1
    images.save(folder / "coded.png", np.where(left > 0, [1.0, 0, 0], [0, 0, 1.0]))
    y, x = np.mgrid[0:32, 0:40]
    alpha = np.clip(13 - np.hypot(y - 16, x - 20), 0, 1).astype("f")
    images.save(folder / "sprite.png", samples.draw("skyline", (32, 40)), extras=images.Extras(alpha=alpha))
    vgg19.save(folder / "narrow.h5", narrow, source="a test")
    return folder


@pytest.fixture(autouse=True)
def here(studio, monkeypatch):
    """Names of files are the studio's."""
    monkeypatch.chdir(studio)


def asked(*styles, content="town.png", **fields):
    """An order for a small picture that is soon compiled."""
    return words.make(content, *(styles or ("night.png",)), **QUICK | fields)


def item(order, *seen):
    """An order made ready for its machine, with watchers: (item, machine)."""
    task = networks.with_network(compose.task(order), networks.Network(networks.weights_path(order)))
    machine = prepare.machine_of(order)
    return prepare.item(task, machine, watchers=seen), machine


class Spy:
    """A watcher that keeps what it is told, and does something at each frame."""

    def __init__(self, act=lambda frame: None, every=None):
        self.act, self.every = act, every
        self.started, self.frames, self.ended = [], [], []

    def begin(self, start):
        self.started.append(start)

    def see(self, frame):
        self.frames.append(frame)
        self.act(frame)

    def end(self, result):
        self.ended.append(result)

    def steps(self, *, fixed=True):
        """Steps of the frames that were seen."""
        return [frame.step for frame in self.frames if frame.fixed or not fixed]


@pytest.fixture(scope="module")
def plain(studio):
    """The picture of the plain order, undisturbed."""
    before = os.getcwd()
    os.chdir(studio)
    found = workshop.paint(asked())
    os.chdir(before)
    return found


# A run


def test_an_order_is_painted_watched_and_recorded(plain):
    spy = Spy()
    result = workshop.paint(asked(), watchers=[spy])
    assert spy.steps() == FRAMES
    [start], [end] = spy.started, spy.ended
    assert (start.done, start.record.steps, start.record.total) == (0, None, 25)
    assert end is result
    assert result.error is None
    assert (result.record.steps, result.frame.step) == (25, 25)
    assert result.record.terms.keys() == {"content/relu1_2", "style/relu1_1", "style/relu2_1", "variation"}
    assert [stage["steps"] for stage in result.record.stages] == [12, 13]
    assert result.image.shape == (32, 40, 3)
    np.testing.assert_array_equal(result.image, plain.image)
    np.testing.assert_array_equal(result.image, result.frame.image.clip(0, 1))


def test_frames_fall_on_what_each_watcher_must_see():
    spies = [Spy(every=7), Spy(every=5), Spy()]
    workshop.paint(asked(), watchers=spies)
    for spy in spies:
        assert spy.steps() == [5, 7, 10, 12, 14, 15, 20, 21, 25]


def test_a_command_and_an_order_in_python_make_the_same_picture(command, tmp_path):
    styles, more = ("night.png", "wave.png"), {"mask": "coded.png", "colour": "content-luminance", "seed": 3}
    more |= {"init": "noise", "bits": 16, "strength": 0.6, "mask_weights": "2,0.5"}
    workshop.paint(asked(*styles, **more)).save(tmp_path / "a.png")
    typed = [word for name, text in (QUICK | more).items() for word in (f"--{name.replace('_', '-')}", text)]
    code, _, err = command("stylize", "town.png", *styles, "-o", tmp_path / "b.png", *typed)
    assert code == 0, err
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_colours_alone_are_an_order_too():
    result = workshop.paint(words.make("town.png", "night.png", colour="only"))
    expected = colour.recolour(images.load("town.png"), [images.load("night.png")])
    np.testing.assert_allclose(result.image, expected, atol=1e-6)
    assert (result.frame, result.error, result.record.steps) == (None, None, None)


# Turns

TURNS = ((4, Turn(style=30.0)), (10, Turn(style=0.1, strength=0.7)), (17, Turn(rate=0.2)))


def rerun(command, path, tmp_path):
    """The bytes of what `rerun` makes of a result."""
    again = tmp_path / "again.png"
    known = ("--content", "town.png", "--style", "night.png", "--weights", "narrow.h5", "-o", again)
    code, _, err = command("rerun", path, *known)
    assert (code, "changed:" in err) == (0, False), err
    return again.read_bytes()


def test_turns_of_an_order_are_recorded_and_repeated(command, plain, tmp_path):
    result = workshop.paint(asked().with_values(turns=TURNS))
    assert np.abs(result.image - plain.image).max() > 0.02
    assert record.read_turns(result.record.turns) == TURNS
    result.save(path := tmp_path / "turned.png")
    assert record.parse(metadata.read(path)) == result.record
    assert rerun(command, path, tmp_path) == path.read_bytes()


def test_turns_that_are_asked_for_live_are_recorded_and_repeated(command, plain, tmp_path):
    """Also when they come at a stage's end; of several that wait the last one is taken."""
    controls = Controls()

    def steer(frame):
        if frame.step == 7:
            controls.turns.put(Turn(style=9.0))
            controls.turns.put(Turn(style=40.0))
        if frame.step == 12:
            controls.turns.put(Turn(content=0.0, rate=0.5))

    result = workshop.paint(asked(), watchers=[Spy(steer, every=7)], controls=controls)
    assert record.read_turns(result.record.turns) == ((7, Turn(style=40.0)), (12, Turn(content=0.0, rate=0.5)))
    assert np.abs(result.image - plain.image).max() > 0.02
    result.save(path := tmp_path / "steered.png")
    assert rerun(command, path, tmp_path) == path.read_bytes()
    controls = Controls()
    controls.turns.put(TURNS[0][1])  # before the first step
    first = workshop.paint(asked(), controls=controls)
    assert record.read_turns(first.record.turns) == ((0, TURNS[0][1]),)
    np.testing.assert_array_equal(first.image, workshop.paint(asked().with_values(turns=((0, TURNS[0][1]),))).image)


def test_a_turn_that_is_asked_for_live_goes_before_one_that_was_planned(command):
    planned, live, controls = ((10, Turn(style=3.0)), (20, Turn(content=2.0))), Turn(style=9.0), Controls()
    spy = Spy(lambda frame: controls.turns.put(live) if frame.step == 10 else None)
    result = workshop.paint(asked().with_values(turns=planned), watchers=[spy], controls=controls)
    assert record.read_turns(result.record.turns) == ((10, live), planned[1])


def test_a_turn_that_turned_nothing_is_not_recorded():
    """As a run has one that went back to where it then ends."""
    known, machine = item(asked())
    run = painter.advance(painter.start(known.task.params, known.task.job, machine=machine), 5)
    turned = run._replace(turns=((2, Turn(style=3.0)), (5, Turn(rate=0.5))))
    result = workshop.result_of(known, painter.look(turned)[0], turned)
    assert (result.record.steps, record.read_turns(result.record.turns)) == (5, ((2, Turn(style=3.0)),))


def test_turns_after_a_stop_are_not_recorded():
    controls = Controls()
    spy = Spy(lambda frame: frame.step == 10 and controls.stop.set())
    result = workshop.paint(asked().with_values(turns=TURNS), watchers=[spy], controls=controls)
    assert (result.record.steps, record.read_turns(result.record.turns)) == (10, TURNS[:1])


# Stops


def test_a_stop_leaves_the_picture_of_the_step_it_was_at(command, tmp_path):
    """And `rerun` stops there too, at whatever step that was."""
    controls = Controls()
    shorter = workshop.paint(asked(ladder="24:12"))
    spy = Spy(lambda frame: frame.step == 12 and controls.stop.set())
    result = workshop.paint(asked(), watchers=[spy], controls=controls)
    assert (result.record.steps, result.record.total, result.error) == (12, 25, None)
    assert spy.steps() == [10, 12]
    assert spy.ended == [result]
    assert result.image.shape == (32, 40, 3)  # still coarse, at the size that was asked for
    np.testing.assert_array_equal(spy.frames[-1].image, shorter.frame.image)
    np.testing.assert_allclose(result.image, images.resize(shorter.frame.image, (32, 40)).clip(0, 1), atol=1e-6)
    result.save(path := tmp_path / "stopped.png")
    assert rerun(command, path, tmp_path) == path.read_bytes()
    odd = workshop.paint(asked(), controls=Controls(last=13))
    assert (odd.record.steps, odd.record.total) == (13, 25)
    with pytest.raises(ValueError, match="last must be a step from 1 on, got 0: drop it"):
        Controls(last=0)
    odd.save(path := tmp_path / "odd.png")
    assert rerun(command, path, tmp_path) == path.read_bytes()


def test_a_stop_from_another_thread_ends_a_long_run_soon():
    controls, spy = Controls(), Spy()
    timer = threading.Timer(1.0, controls.stop.set)
    timer.start()
    result = workshop.paint(asked(ladder="24:100000"), watchers=[spy], controls=controls)
    timer.join()
    assert 0 < result.record.steps < 100000
    assert result.record.steps == spy.frames[-1].step


def test_a_stop_before_the_first_frame_paints_nothing():
    controls, spy = Controls(), Spy()
    controls.stop.set()
    with pytest.raises(KeyboardInterrupt):
        workshop.paint(asked(), watchers=[spy], controls=controls)
    assert (spy.frames, spy.ended) == ([], [None])


def test_no_thread_outlives_a_run():
    before = {*threading.enumerate()}

    def fail(frame):
        raise OSError("disk full")

    controls = Controls()
    for spy in (Spy(), Spy(fail), Spy(lambda frame: controls.stop.set())):
        workshop.paint(asked(), watchers=[spy], controls=controls)
        assert {*threading.enumerate()} <= before


# Watchers that fail


@pytest.mark.parametrize("first", [True, False])
def test_a_watcher_that_raises_ends_the_run_and_others_are_told(first):
    def fail(frame):
        if frame.step == 12:
            raise OSError("no space left")

    bad, good = Spy(fail), Spy()
    result = workshop.paint(asked(), watchers=[bad, good] if first else [good, bad])
    assert isinstance(result.error, OSError)
    assert str(result.error) == "no space left"
    assert result.record.steps == 12
    assert bad.ended == good.ended == [result]
    assert good.steps() == ([10] if first else [10, 12])


def test_a_watcher_that_cannot_begin_ends_the_run_and_those_that_began_are_told():
    def begin(start):
        raise OSError("log must be writable")

    first, bad, last = Spy(), Spy(), Spy()
    bad.begin = begin
    with pytest.raises(OSError, match="log must be writable"):
        workshop.paint(asked(), watchers=[first, bad, last])
    assert (first.ended, bad.ended, last.ended) == ([None], [], [])


def test_a_watcher_that_cannot_end_costs_no_picture(plain):
    def end(result):
        raise OSError("report must be writable")

    bad, good = Spy(), Spy()
    bad.end = end
    result = workshop.paint(asked(), watchers=[bad, good])
    assert isinstance(result.error, OSError)
    assert len(good.ended) == 1
    np.testing.assert_array_equal(result.image, plain.image)


def test_a_loss_that_is_lost_is_not_shown(monkeypatch):
    def wrong(run):
        return [frame._replace(terms={"style/relu1_1": np.nan}) if run.done > 10 else frame for frame in look(run)]

    look = workshop.painter.look
    monkeypatch.setattr(workshop.painter, "look", wrong)
    spy = Spy()
    result = workshop.paint(asked(), watchers=[spy])
    said = "loss must stay finite, got nan of style/relu1_1 at step 25: lower learning-rate"
    assert isinstance(result.error, workshop.Diverged)
    assert (str(result.error), result.record.steps, spy.steps()) == (said, 10, [10])


# The clock


@pytest.mark.parametrize(("chunk", "lively"), [(0, 0), (0, 1e9), (1e9, 0), (1e9, 1e9)])
def test_the_clock_changes_no_pixel(plain, monkeypatch, chunk, lively):
    monkeypatch.setattr(workshop, "CHUNK", chunk)
    monkeypatch.setattr(workshop, "LIVELY", lively)
    spy = Spy()
    result = workshop.paint(asked(), watchers=[spy])
    np.testing.assert_array_equal(result.image, plain.image)
    assert result.record == plain.record
    assert spy.steps() == FRAMES
    if (chunk, lively) == (0, 0):
        assert spy.steps(fixed=False) == list(range(1, 26))


@pytest.mark.parametrize(("chunk", "lively"), [(0, 0), (1e9, 1e9)])
def test_where_it_stands_still_is_seen_at_fixed_steps(monkeypatch, chunk, lively):
    monkeypatch.setattr(workshop, "CHUNK", chunk)
    monkeypatch.setattr(workshop, "LIVELY", lively)
    assert workshop.paint(asked(still=200)).record.steps == 25  # the second fixed frame at full size: 20 is the first
    assert workshop.paint(asked(ladder="32:40", still=200)).record.steps == 20


# What is written on the way


def test_stored_pictures_are_finished_as_the_result_is(tmp_path):
    stored = watchers.Stored(tmp_path / "way", 5)
    order = asked(content="sprite.png", colour="content-luminance", bits=16)
    result = workshop.paint(order, watchers=[stored])
    result.save(tmp_path / "out.png")
    assert sorted(os.listdir(tmp_path / "way")) == ["05.png", "10.png", "15.png", "20.png", "25.png"]
    final, last, coarse = (
        images.read(tmp_path / name)
        for name in ("out.png", os.path.join("way", "25.png"), os.path.join("way", "05.png"))
    )
    np.testing.assert_array_equal(last.image, final.image)
    np.testing.assert_array_equal(last.alpha, final.alpha)
    assert np.abs(last.image * 255 - np.rint(last.image * 255)).max() > 0.1  # 16 bits
    assert coarse.image.shape[:2] == coarse.alpha.shape == (24, 30)
    town = images.resize(images.load("town.png"), (24, 30))
    seen = coarse.alpha == 1
    recoloured = colour.with_content_colours(coarse.image, town)
    np.testing.assert_allclose(coarse.image[seen], recoloured[seen], atol=0.05)


def lines(path):
    return list(map(json.loads, path.read_text("utf-8").splitlines()))


def test_a_log_is_replaced_by_a_new_run_and_goes_on_with_an_old_one(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text("another's\n")
    made, _ = item(asked())
    for _ in range(2):
        log = watchers.Log(path, clock=iter(range(100)).__next__)
        log.begin(watchers.Start(made.task, made.record))
        log.see(painter.Frame(10, None, {"style/relu1_1": 2.0}, None))
        log.see(painter.Frame(11, None, {"style/relu1_1": 2.0}, None, fixed=False))
        log.end(None)
    head, line = lines(path)
    assert head == json.loads(json.dumps(watchers.head_of(made.record)))
    assert list(head) == ["order", "versions", "inputs", "device", "network", "settings", "stages"]
    assert line == {"step": 10, "seconds": 1, "style/relu1_1": 2.0}
    log = watchers.Log(path, clock=iter(range(100)).__next__)
    log.begin(watchers.Start(made.task, made.record, done=10))
    log.see(painter.Frame(20, None, {"style/relu1_1": 1.0}, None))
    log.end(None)
    assert [row.get("step") for row in lines(path)] == [None, 10, 20]


def test_the_record_says_the_steps_that_minutes_became(monkeypatch):
    from nst_jax.painting import budget

    monkeypatch.setattr(budget, "measure", lambda params, job, **more: budget.Cost(0.0, 0.0, 0.5 / 32 / 40))
    order = asked(ladder="32:40", minutes=0.3)
    made, _ = item(order)
    assert made.record.order["ladder"] == f"32:{made.record.total}"
    assert made.record.total < 40
    assert "minutes" not in made.record.order


# Files


def test_what_is_read_is_not_written(tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / name).touch()
    (tmp_path / "link.png").symlink_to("a.png")
    a, link, new = (str(tmp_path / name) for name in ("a.png", "link.png", "new.png"))
    workshop.check_apart([a, None], [new, None])
    for read, written in (([a], [a]), ([a], [link]), ([link], [a]), ([], [new, new]), ([], [new, None, new])):
        with pytest.raises(ValueError, match=r"^output must not be a file that the run needs, got .* twice: choose"):
            workshop.check_apart(read, written)
