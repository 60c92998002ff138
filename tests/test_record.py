"""orders.record: what is stored, read and asked for again, and records from strangers. Nothing is painted here."""

import json
import re

import numpy as np
import pytest

from nst_jax.cli import show
from nst_jax.orders import customise, lists, order, prepare, record, words
from nst_jax.orders.order import Order
from nst_jax.orders.record import Record
from nst_jax.painting.job import FAST, Stage
from nst_jax.painting.memory import Plan
from nst_jax.pictures import download, images
from nst_jax.pictures.images import Extras
from nst_jax.recipes import Turn

# As version 0.1.0 of the program wrote it into a picture, but for the files' names
FORMAT_1 = (
    '{"format":"nst_jax run 1","versions":{"nst_jax":"0.1.0","jax":"0.10.2","jaxlib":"0.10.2","flax":"0.12.8",'
    '"optax":"0.2.8","numpy":"2.4.6","pillow":"13.0.0"},"device":"cpu (cpu)","network":{"sha256":"af80","source":'
    '"vgg19_notop_rebuilt.h5","family":"caffe","precision":"float16"},"recipe":"gatys-notebook","flags":{"size":"48",'
    '"steps":"8","content-weight":"1.0","style-weight":"1.0","content-layers":"relu3_1","style-layers":'
    '"relu1_1,relu2_1","keep":"none","optimizer":"adam","seed":"3","colour":"style","alpha":"keep","bits":"8",'
    '"precision":"float32"},"settings":{"content_distance":"squared","content":{"relu3_1":1.0},"settings":{},"keep":[]}'
    ',"ladder":[[41,31,6],[64,48,2]],"seed":3,"inputs":{"content":[{"name":"town.png","sha256":"bddd"}],"style":[{'
    '"name":"night.png","sha256":"8c4f"}]},"plan":["whole","whole, 1 block computed again"],"steps":8,"terms":{'
    '"content/relu3_1":73532.3046875,"style/relu1_1":175548.84375,"variation":0.0}}'
)
FILES = {"content": ["town.png"], "style": ["night.png"]}
INPUTS = {kind: [{"name": path, "sha256": "0" * 64} for path in paths] for kind, paths in FILES.items()}
ASKED = {"recipe": "gatys-notebook", "ladder": "48", "optimizer": "adam", "steps": "2", "style-layers": "relu1_1:1.0"}
STAGES = [{"size": [64, 48], "steps": 2, "plan": {"direct": True}}]
SOUND = Record(
    order=ASKED,
    versions=record.versions(),
    inputs=INPUTS,
    device="cpu (cpu)",
    network={"sha256": "af80", "source": "a test"},
    settings={"settings": {}},
    stages=STAGES,
    turns=[[1, {"style": 2.0}]],
    steps=2,
    terms={"content/relu4_2": 0.5},
)


def forged(*, asked=(), old=False, **changed) -> str:
    """A sound record's text, of either format, with something in it replaced, or left out where it is None."""
    held = json.loads(FORMAT_1 if old else record.text(SOUND)) | changed
    held["flags" if old else "order"] |= dict(asked)
    return json.dumps({key: value for key, value in held.items() if value is not None})


def asked_again(text: str, **files) -> Order:
    """The order that a record makes, as far as it is checked before any picture is read."""
    found = record.order_of(record.parse(text), FILES | files)
    order.check(found)
    customise.recipe_of(found)
    return found


# Written and read


def test_a_record_comes_back_as_it_was_written():
    assert record.parse(record.text(SOUND)) == SOUND
    going_on = SOUND._replace(steps=None, terms={}, turns=())
    assert record.parse(record.text(going_on)) == going_on
    assert "terms" not in json.loads(record.text(going_on))


def test_every_field_of_a_record_has_a_type_that_is_checked():
    assert record.TYPES.keys() == {"format", *Record._fields}


def test_digests_are_of_the_bytes_and_names_are_base_names(tmp_path):
    path = tmp_path / "a\x1b[31m\udcff.png"
    path.write_bytes(b"abc")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, of "abc"
    found = record.digests([path, "-"])
    assert found == [{"name": "a?[31m?.png", "sha256": digest}, {"name": "-", "sha256": "-"}]
    assert record.text(SOUND._replace(inputs={"content": found}))


def test_records_are_bounded():
    with pytest.raises(ValueError, match="at most 60,000 bytes"):
        record.text(SOUND._replace(device="x" * 70_000))
    with pytest.raises(ValueError, match="at most 60,000 bytes"):
        record.text(SOUND._replace(device="x" * 58_000), room=record.ROOM)
    with pytest.raises(ValueError, match="settings must be at most 60000 bytes, got 60001 in a"):
        record.parse(" " * 60_001, name="a")


def test_an_order_comes_back_from_its_words():
    layers = {f"relu{b}_{i}": 0.123456789012 for b in (3, 4, 5) for i in (1, 2, 3, 4)} | {"pool1": None}
    asked = words.make(
        "town.png",
        "night.png",
        size="640x480",
        strength=0.3,
        style_layers=layers,
        keep=("clamped", "averaged:0.99"),
        init="mix:0.25",
        still=0.02,
        fast_first=7,
        max_memory="1.5GiB",
        style_scale=(0.1,),
        seed=4294967295,
    ).with_values(turns=((0, Turn(strength=0.25)), (9, Turn(mix=(2.0, 1.0), rate=0.5))))
    written = words.write(asked)
    assert all(len(value) < record.VALUE for value in written.values())
    kept = SOUND._replace(order=written, turns=record.write_turns(asked.turns))
    assert record.order_of(record.parse(record.text(kept)), FILES) == asked


def test_every_field_is_written_as_it_is_read():
    """But for names of files, which are given anew."""
    values = {
        "size": "64x48",
        "steps": "5",
        "ladder": "32:5,48",
        "content-layers": "relu4_2,relu5_2:0.5",
        "style-layers": "relu1_1:1.0",
        "neighbour-layers": "relu1_1:1.0",
        "init": "noise",
        "keep": "none",
        "colour": "content-luminance",
        "style-mix": "ramp",
        "style-scale": "0.5,2.0",
        "mask-weights": "1.0,0.0",
        "bits": "16",
        "recipe": "gatys-2016",
        "max-memory": "4000000000",
        "memory": "7",
        "linesearch-steps": "20",
        "seed": "7",
        "style-size": "300",
        "fast-first": "3",
        "keep-metadata": "yes",
        "preview": "yes",
    }
    for name, field in words.TABLE.items():
        if field.recorded:
            text = values.get(name) or (field.choices[-1] if field.choices else "0.25")
            found = words.write(words.replace(Order(), {name: text}))
            assert found[name] == text
            assert words.write(words.replace(Order(), found)) == found


def test_no_field_of_a_record_names_a_file_or_what_is_the_machines():
    recorded = {name for name, field in words.TABLE.items() if field.recorded}
    files = {"content", "style", "mask", "style-mask", "strength-map", "weights"}
    assert not recorded & (files | {"minutes", "max-pixels", "mesh", "output", "log", "folder", "report"})
    assert {name for name in recorded if words.TABLE[name].files} == {"init", "colour"}
    asked = words.make("a.png", "b.png", init=__file__, colour=f"palette:{__file__}", weights="w.h5", mask="m.png")
    written = words.write(asked)
    assert (written["colour"], "init" in written) == ("palette", False)
    assert not re.search(r"/|\.h5|\.png", json.dumps(written))


def test_stages_are_written_and_read():
    stages = (
        Stage((32, 48), 4, FAST, Plan(direct=True)),
        Stage((64, 96), 9, plan=Plan(again=1)),
        Stage((128, 192), 2, plan=Plan(window=64, recomputed=True)),
    )
    rows = prepare.write_stages(stages)
    assert rows == [
        {"size": [48, 32], "steps": 4, "plan": {"direct": True}, "network": "fast"},
        {"size": [96, 64], "steps": 9, "plan": {"again": 1}},
        {"size": [192, 128], "steps": 2, "plan": {"window": 64, "recomputed": True}},
    ]
    found = record.parse(record.text(SOUND._replace(stages=rows)))
    assert prepare.stages_of(found) == stages
    assert found.total == 15


def test_turns_are_written_and_read():
    turns = ((0, Turn()), (30, Turn(content=2.0, mix=(1.0, 0.0))), (30, Turn(strength=1.0, variation=0.0, rate=0.1)))
    rows = record.write_turns(turns)
    assert rows == [
        [0, {}],
        [30, {"content": 2.0, "mix": (1.0, 0.0)}],
        [30, {"variation": 0.0, "strength": 1.0, "rate": 0.1}],
    ]
    assert asked_again(forged(turns=rows)).turns == turns


# Format 1


def test_a_record_of_format_1_is_read_as_what_it_asked_for():
    old = record.parse(FORMAT_1)
    flags = json.loads(FORMAT_1)["flags"]
    del flags["precision"]  # float32, which was said always, and is no wish
    assert old.order == {"recipe": "gatys-notebook", **flags}
    assert old.stages == [{"size": [41, 31], "steps": 6}, {"size": [64, 48], "steps": 2}]
    assert (old.steps, old.total, old.turns) == (8, 8, ())
    asked = words.make("town.png", "night.png", recipe="gatys-notebook", size=48, steps=8, optimizer="adam", seed=3)
    asked = asked.with_values(keep=(), content_layers={"relu3_1": None}, style_layers=dict.fromkeys(LAYERS))
    assert asked_again(FORMAT_1) == asked


LAYERS = ("relu1_1", "relu2_1")


def test_a_record_of_format_1_is_shown():
    text = show.describe(record.parse(FORMAT_1))
    for line in (r"  recipe +gatys-notebook", r"  seed +3", r"stages +size 41, 31, steps 6, ", r"steps +8\n"):
        assert re.search(line, text)


def test_a_finished_result_of_format_1_is_recognised(tmp_path):
    """Where it was asked for alike, as a list of jobs does today, and by this version."""
    path = tmp_path / "old.png"
    images.save(path, np.full((16, 16, 3), 0.5), extras=Extras(text=FORMAT_1))
    fields = {"recipe": "gatys-notebook", "size": "48", "steps": "8", "optimizer": "adam", "keep": "none", "seed": "3"}
    fields |= {"content-layers": "relu3_1", "style-layers": "relu1_1,relu2_1"}
    old = record.parse(FORMAT_1)
    wanted = Record(words.write(words.replace(Order(), fields)), old.versions, old.inputs, network={"sha256": "af80"})
    assert lists.find_finished(path, wanted) == old
    for other in (
        wanted._replace(order=wanted.order | {"seed": "4"}),
        wanted._replace(order=wanted.order | {"colour": "match-pca"}),
        wanted._replace(versions={"nst_jax": "0.2.0"}),
        wanted._replace(network={"sha256": "af81"}),
        wanted._replace(inputs=wanted.inputs | {"style": [{"name": "night.png", "sha256": "0"}]}),
        wanted._replace(turns=[[4, {"style": 2.0}]]),
    ):
        assert lists.find_finished(path, other) is None
    stopped = forged(old=True, steps=7)
    images.save(path, np.full((16, 16, 3), 0.5), extras=Extras(text=stopped))
    assert lists.find_finished(path, wanted) is None


def test_records_are_compared_by_what_was_asked_for():
    elsewhere = SOUND._replace(device="tpu", stages=[], steps=None, terms={}, settings={})
    assert record.asks_the_same(SOUND, elsewhere)
    assert record.asks_the_same(SOUND, SOUND._replace(order=SOUND.order | {"strength": "0.5", "seed": "0"})) is False
    assert record.asks_the_same(SOUND, SOUND._replace(order=SOUND.order | {"seed": "0", "bits": "8"}))
    assert not record.asks_the_same(SOUND, SOUND._replace(turns=[]))
    assert not record.asks_the_same(SOUND._replace(versions={}), SOUND)


# Asked for again


def test_files_are_those_that_were_used(tmp_path):
    for name in "ab":
        (tmp_path / name).write_text(name)
    kept = SOUND._replace(inputs={"content": record.digests([tmp_path / "a"])})
    record.check_files(kept, "content", [tmp_path / "a"])
    record.check_files(kept, "mask", [])
    for paths, message in [
        ([tmp_path / "b"], "content must be the picture that was used, a, got another, b: find the one that was"),
        ([], "content must be 1 file as in the record, got 0: give each of them"),
        ([tmp_path / "a"] * 2, "content must be 1 file as in the record, got 2"),
        ([tmp_path / "c"], "content must be an existing file, got '.*c': check its name"),
    ]:
        with pytest.raises((ValueError, OSError), match=message):
            record.check_files(kept, "content", paths)
    with pytest.raises(ValueError, match="style must be 0 files as in the record, got 1"):
        record.check_files(kept, "style", [tmp_path / "a"])


def test_a_changed_version_device_or_network_is_said():
    now = SOUND._replace(device="tpu (TPU v9)", network={"sha256": "be12" * 16})
    assert record.changes(SOUND, SOUND) == []
    was = SOUND.versions | {"jax": "0.1.2\x1b[31m"}
    assert record.changes(SOUND._replace(versions=was), now) == [
        f"jax was 0.1.2?[31m, is {SOUND.versions['jax']}",
        "device was cpu (cpu), is tpu (TPU v9)",
        "network was af80, is be12be12be12",
    ]


def test_where_a_picture_was_stopped():
    whole = SOUND._replace(stages=[{"size": [64, 48], "steps": 90}], steps=90)
    assert [whole._replace(steps=steps).stopped for steps in (40, 90, None, 0)] == [40, None, None, None]


def test_metadata_are_kept_by_nobody_elses_wish():
    held = record.parse(forged(asked={"keep-metadata": "yes"}))
    assert record.order_of(held, FILES).finish.keep_metadata is False
    assert record.order_of(held, FILES, keep_metadata=True).finish.keep_metadata is True


def test_a_palette_and_a_start_are_given_anew():
    text = forged(asked={"colour": "palette"})
    found = asked_again(text, palette=["p.png"], init=["s.png"], mask=["m.png"])
    assert (found.finish.colour, found.recipe.init, found.pictures.mask) == ("palette:p.png", "s.png", ("m.png",))
    with pytest.raises(ValueError, match="a palette without its colours"):
        asked_again(text)
    with pytest.raises(ValueError, match="a palette without its colours, or the opposite"):
        asked_again(forged(), palette=["p.png"])


# Records from strangers

DEEP = json.loads("[" * 400 + "]" * 400)
HUGE = 10**400
ONLY = r"settings must hold only what a run writes, got "
TEXTS = [
    ("no json", r"settings must be of format 'nst_jax run 2', got something else in the picture$"),
    ("[]", r"settings must be of format"),
    ("3", r"settings must be of format"),
    ('{"format": "nst_jax run 3"}', r"settings must be of format"),
    ('{"format": ["nst_jax run 1"]}', r"settings must be of format"),
    ("[" * 25_000, r"settings must be of format"),
    ('{"format": "nst_jax run 2", "steps": ' + "9" * 5000 + "}", r"settings must be of format"),
    ('{"format": "nst_jax run 2", "steps": NaN}', r"settings must be of format"),
    ('{"format": "nst_jax run 1", "steps": -Infinity}', r"settings must be of format"),
    ('{"format": "nst_jax run 2"}', r"settings must hold versions, .*, got no versions"),
    ('{"format": "nst_jax run 1"}', r"settings must hold recipe and flags, got neither"),
    ('{"format": "nst_jax run 1", "recipe": "nst-jax", "flags": []}', r"settings must hold recipe and flags"),
]
CHANGED = [
    ({"order": None}, r"settings must hold .*, got no order"),
    ({"inputs": None}, r"settings must hold .*, got no inputs"),
    ({"order": {}}, r"settings must name a recipe, got none"),
    ({"order": []}, ONLY + "'order'"),
    ({"output": "/tmp/x"}, ONLY + "'output'"),
    ({"\x1b[31m": "x"}, ONLY + r"'\\x1b\[31m'"),
    ({"flags": {}}, ONLY + "'flags'"),
    ({"ladder": [[64, 48, 2]]}, ONLY + "'ladder'"),
    ({"device": 3}, ONLY + "'device'"),
    ({"steps": True}, ONLY + "'steps'"),
    ({"steps": -5}, ONLY + "'steps'"),
    ({"steps": HUGE}, ONLY + "'steps'"),
    ({"steps": 2.0}, ONLY + "'steps'"),
    ({"terms": {"a": "b"}}, ONLY + "'terms'"),
    ({"terms": {"a": HUGE}}, ONLY + "'terms'"),
    ({"terms": {"a": True}}, ONLY + "'terms'"),
    ({"settings": {"a": DEEP}}, ONLY + "'settings'"),
    ({"versions": {"a": DEEP}}, ONLY + "'versions'"),
    ({"inputs": {"weights": []}}, r"inputs must be names and digests, got 'weights'"),
    ({"inputs": {"content": "town.png"}}, r"inputs must be names and digests, got 'content'"),
    ({"inputs": {"content": [{"name": "/etc/passwd"}]}}, r"inputs must be names and digests, got 'content'"),
    ({"inputs": {"content": [{"name": 1, "sha256": "0"}]}}, r"inputs must be names and digests, got 'content'"),
]
STAGE = {"size": [64, 48], "steps": 2}
BAD_STAGES = [
    {},
    [{}],
    [3],
    [DEEP],
    [[64, 48, 2]],
    [{"size": [64, 48]}],
    [STAGE | {"size": [64]}],
    [STAGE | {"size": [64, 48, 3]}],
    [STAGE | {"size": "64"}],
    [STAGE | {"size": [64.0, 48]}],
    [STAGE | {"size": [0, 48]}],
    [STAGE | {"size": [HUGE, 48]}],
    [STAGE | {"steps": 0}],
    [STAGE | {"steps": -2}],
    [STAGE | {"steps": "9"}],
    [STAGE | {"steps": True}],
    [STAGE | {"steps": HUGE}],
    [STAGE | {"network": 1}],
    [STAGE | {"shape": [64, 48]}],
    [STAGE | {"plan": []}],
    [STAGE | {"plan": DEEP}],
    [STAGE | {"plan": {"window": "64"}}],
    [STAGE | {"plan": {"window": 64.0}}],
    [STAGE | {"plan": {"window": HUGE}}],
    [STAGE | {"plan": {"window": -64}}],
    [STAGE | {"plan": {"window": None}}],
    [STAGE | {"plan": {"again": True}}],
    [STAGE | {"plan": {"again": -1}}],
    [STAGE | {"plan": {"again": HUGE}}],
    [STAGE | {"plan": {"direct": 1}}],
    [STAGE | {"plan": {"recomputed": "yes"}}],
    [STAGE | {"plan": {"output": "/tmp/x"}}],
]
BAD_TURNS = [
    {},
    [3],
    [[]],
    [[1]],
    [[1, {}, {}]],
    [[1, [2.0]]],
    [[1.5, {}]],
    [[-1, {}]],
    [["1", {}]],
    [[True, {}]],
    [[HUGE, {}]],
    [DEEP],
    [[2, {}], [1, {}]],
    [[1, {"output": 1.0}]],
    [[1, {"style": "2"}]],
    [[1, {"style": True}]],
    [[1, {"style": None}]],
    [[1, {"style": -1.0}]],
    [[1, {"style": 1e31}]],
    [[1, {"style": HUGE}]],
    [[1, {"rate": DEEP}]],
    [[1, {"strength": 1.5}]],
    [[1, {"mix": 1.0}]],
    [[1, {"mix": [1.0, -1.0]}]],
    [[1, {"mix": [[1.0]]}]],
    [[1, {"mix": [1.0] * 101}]],
    [[1, {"mix": {"a": 1.0}}]],
]
BAD_LADDERS = [{}, [3], [[64, 48]], [[64, 48, -2]], [[64, 48, "9"]], [[64, 48, HUGE]], [[64, 48, 0]], [DEEP]]


def says(message, text):
    """Asserts that a record is refused by a ValueError that is one line for a terminal."""
    with pytest.raises(ValueError, match=message) as caught:
        asked_again(text)
    assert type(caught.value) in (ValueError, order.Refused)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(("text", "message"), TEXTS, ids=range(len(TEXTS)))
def test_texts_that_are_no_records(text, message):
    says(message, text)


@pytest.mark.parametrize(("changed", "message"), CHANGED, ids=range(len(CHANGED)))
def test_hostile_records(changed, message):
    says(message, json.dumps({k: v for k, v in (json.loads(record.text(SOUND)) | changed).items() if v is not None}))


@pytest.mark.parametrize("stages", BAD_STAGES, ids=range(len(BAD_STAGES)))
def test_hostile_stages(stages):
    says(ONLY + "'stages' in the picture", forged(stages=stages))


@pytest.mark.parametrize("turns", BAD_TURNS, ids=range(len(BAD_TURNS)))
def test_hostile_turns(turns):
    says(ONLY + "'turns' in the picture", forged(turns=turns))


@pytest.mark.parametrize("ladder", BAD_LADDERS, ids=range(len(BAD_LADDERS)))
def test_hostile_sizes_of_format_1(ladder):
    says(ONLY + "'(ladder|stages)'", forged(old=True, ladder=ladder))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"output": "/tmp/x"}, ONLY + "'output'"),
        ({"stages": STAGES}, ONLY + "'stages'"),
        ({"turns": [[1, {}]]}, ONLY + "'turns'"),
        ({"recipe": 3}, r"settings must hold recipe and flags"),
        ({"recipe": None}, r"settings must hold recipe and flags"),
        ({"versions": None}, r"got no versions"),
        ({"steps": -5}, ONLY + "'steps'"),
        ({"terms": {"a": "b"}}, ONLY + "'terms'"),
        ({"settings": {"a": DEEP}}, ONLY + "'settings'"),
        ({"recipe": "/etc/passwd"}, r"settings must be ones that stylize takes, got: recipe must be one of"),
    ],
)
def test_hostile_records_of_format_1(changed, message):
    says(message, forged(old=True, **changed))


TAKES = r"settings must be ones that stylize takes, got: "
FIELDS = [
    ("output", "/tmp/evil.png", r"settings must hold only fields of an order, got 'output'"),
    ("log", "evil", r"settings must hold only fields of an order, got 'log'"),
    ("weights", "evil.h5", r"settings must hold only fields of an order, got 'weights'"),
    ("content", "town.png", r"settings must hold only fields of an order, got 'content'"),
    ("mask", "left.png", r"settings must hold only fields of an order, got 'mask'"),
    ("folder", "evil", r"settings must hold only fields of an order, got 'folder'"),
    ("minutes", "5", r"settings must hold only fields of an order, got 'minutes'"),
    ("max-pixels", "5", r"settings must hold only fields of an order, got 'max-pixels'"),
    ("size=32 --log", "evil", r"settings must hold only fields of an order, got 'size=32 --log'"),
    ("size", 32, r"settings must hold only fields of an order, got 'size'"),
    ("size", ["32"], r"settings must hold only fields of an order, got 'size'"),
    ("size", "3" * 2001, r"settings must hold only fields of an order, got 'size'"),
    ("size", "9" * 400, TAKES + "size must be N or"),
    ("size", "32 --log=evil", TAKES + "size must be N or"),
    ("size", "--output=evil.png", TAKES + "size"),
    ("size", "32\n--log=evil", TAKES + r"size must be .*32\\n--log"),
    ("recipe", "gatys-notebook --log=x", TAKES + "recipe must be one of"),
    ("recipe", "/etc/passwd", TAKES + "recipe must be one of"),
    ("colour", "palette:/etc/passwd", r"settings must name no files, which are given anew, got colour 'pal"),
    ("colour", "palette", r"settings must be ones that go together, got a palette without its colours"),
    ("colour", "\x1b[31m" + "x" * 900, r"settings must name no files, .*got colour '\\x1b\[31mx+'"),
    ("init", "/etc/passwd", r"settings must name no files, which are given anew, got init '/etc/passwd'"),
    ("init", "night.png", r"settings must name no files, which are given anew, got init 'night\.png'"),
    ("init", "https://a/b.png", r"settings must name no files, which are given anew, got init 'https"),
    ("init", "noise:/etc/passwd", TAKES + "init: start must"),
    ("init", "mix:nan", TAKES + "init: start must"),
    ("strength", "nan", TAKES + "strength "),
    ("style-weight", "-1", TAKES + "style-weight "),
    ("style-weight", "1e999", TAKES + "style-weight "),
    ("style-weight", "9" * 400, TAKES + "style-weight "),
    ("learning-rate", "inf", TAKES + "learning-rate "),
    ("style-layers", "relu1_1:nan", TAKES + "style-layers"),
    ("style-layers", "/etc/passwd", TAKES + "style-layers"),
    ("keep", "averaged:9", TAKES + "keep "),
    ("seed", "\x1b[31m", TAKES + r"seed must be .*'\\x1b\[31m'"),
    ("seed", "9" * 400, TAKES + "seed "),
    ("steps", "999999999", r"settings must ask for at most 1000000 steps, got 999999999"),
    ("steps", "9" * 400, TAKES + r"steps must be at most 1e\+15, got '9+"),
    ("ladder", "48," + "9" * 400, TAKES + r"ladder must be at most 1e\+15, got"),
    ("style-scale", "1e308", TAKES + r"style-scale must be at most 1e\+30, got '1e308'"),
    ("style-size", "9" * 400, TAKES + r"style-size must be at most 1e\+15, got"),
    ("ladder", "32:999999999,48", r"settings must ask for at most 1000000 steps, got 999999999"),
    ("memory", "1000000", r"settings must ask for at most 1000 memory, got 1000000"),
    ("linesearch-steps", "1001", r"settings must ask for at most 1000 linesearch steps, got 1001"),
    ("max-memory", "9" * 400, TAKES + "max-memory "),
    ("style-mix", "1,2", r"style-mix must have 1 value, got 2"),
    ("style-mix", "0", TAKES + "style-mix "),
    ("mask-weights", "2", r"mask-weights must go with mask, got no masks"),
    ("memory", "5", r"memory must go with lbfgs"),
]


@pytest.mark.parametrize("old", [False, True], ids=["2", "1"])
@pytest.mark.parametrize(("field", "value", "message"), FIELDS, ids=range(len(FIELDS)))
def test_hostile_fields(field, value, message, old):
    if old and field == "recipe":
        says(message, forged(old=True, recipe=value))
    says(message, forged(asked={field: value}, old=old))


def test_what_a_stranger_may_ask_for_is_as_good_as_any():
    found = asked_again(forged(asked={"b1": "0.5", "keep-metadata": "yes", "steps": "1000000", "keep": "clamped"}))
    assert (found.recipe.b1, found.ends.steps, found.finish.keep_metadata) == (0.5, 1_000_000, False)


def test_names_of_files_are_only_ever_words_of_a_message(tmp_path):
    (tmp_path / "town.png").write_text("town")
    entry = {"name": "\x1b[31m/etc/passwd" + "x" * 1000, "sha256": "0" * 64}
    with pytest.raises(
        ValueError, match=r"was used, \?\[31m/etc/passwdx+…?, got another, town\.png: find the one that was$"
    ) as caught:
        record.check_files(record.parse(forged(inputs={"content": [entry]})), "content", [tmp_path / "town.png"])
    assert len(str(caught.value)) < 250
    assert not download.is_address(entry["name"])


def test_a_strangers_record_sends_nothing_to_the_terminal():
    evil = "\x1b]0;title\x07\x9b31m\u202e\ud800\r\n"
    stages = [STAGE | {"network": evil}]
    text = forged(device=evil, settings={evil: {evil: [evil, 1.0, None]}}, versions={"jax": evil}, stages=stages)
    assert all(c.isprintable() or c == "\n" for c in show.describe(record.parse(text)))


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "Infinity"])
def test_numbers_that_json_does_not_have_are_refused(number):
    says("settings must be of format", record.text(SOUND).replace('"settings":{}', f'"b1":{number}'))


def test_a_result_whose_settings_are_no_orders_is_not_ours(tmp_path):
    images.save(tmp_path / "a.png", np.full((16, 16, 3), 0.5), extras=Extras(text=forged(asked={"size": "x"})))
    with pytest.raises(ValueError, match=r"output must not be another's picture, got a\.png"):
        lists.find_finished(tmp_path / "a.png", SOUND)
