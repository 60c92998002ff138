"""orders.batch and `nst-jax batch`: jobs that may be stopped, shared and started again."""

import csv
import itertools
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from test_record import FORMAT_1

from nst_jax.cli import progress
from nst_jax.network import vgg19
from nst_jax.orders import lists, record, values, words, workshop
from nst_jax.orders.batch import Batch
from nst_jax.orders.order import Order
from nst_jax.pictures import images, metadata, samples

BRIEF = ("--recipe", "gatys-notebook", "--ladder", "48:2", "--optimizer", "adam", "--size", "48x32")
FEW = ("--style-layers", "relu1_1:1,relu2_1:1", "--content-layers", "relu1_2:1", "--weights", "narrow.h5")
KNOWN = Order().with_values(
    recipe="gatys-notebook",
    ladder=values.ladder("48:2"),
    optimizer="adam",
    size=(32, 48),
    style_layers=values.layers("relu1_1:1,relu2_1:1"),
    content_layers=values.layers("relu1_2:1"),
    weights="narrow.h5",
)


@pytest.fixture(scope="module")
def studio(tmp_path_factory, narrow):
    """A folder of pictures, lists of jobs and a narrow network."""
    folder = tmp_path_factory.mktemp("fleet")
    drawn = {"town": "skyline", "night": "flow", "wave": "woodcut"}
    for name, sample in drawn.items():
        images.save(folder / f"{name}.png", samples.draw(sample, (32, 48)))
    whole = (folder / "town.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    vgg19.save(folder / "narrow.h5", narrow, source="a test")
    return folder


@pytest.fixture
def batch(command, monkeypatch, studio, tmp_path):
    """Runs the command into a folder: (exit code, stdout, stderr, {file: bytes})."""
    monkeypatch.chdir(studio)

    def call(*jobs, flags=(), out="out"):
        code, said, told = command("batch", *jobs, "-o", tmp_path / out, *BRIEF, *FEW, *flags)
        return code, said, told, contents(tmp_path / out)

    return call


@pytest.fixture
def make(monkeypatch, studio, tmp_path):
    """A Batch of the jobs in a text."""
    monkeypatch.chdir(studio)

    def call(text, known=KNOWN, out="out", **options):
        (tmp_path / out).mkdir(exist_ok=True)
        return Batch(known, tmp_path / out, lists.read([listed(studio, "made.csv", text)]), **options)

    return call


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())} if folder.is_dir() else {}


def listed(folder, name, text):
    (folder / name).write_text(text, "utf-8")
    return name


def table(files, name="batch.csv"):
    return list(csv.DictReader(files[name].decode().splitlines()))


def seeds(count):
    """A list of jobs alike but for their seeds."""
    return "content,style,output,seed,init\n" + "".join(f"town.png,night.png,{i}.png,{i},noise\n" for i in range(count))


def finished(batch):
    """Paints a batch: its last line."""
    batch.paint()
    return batch.finish()


# Stopped and started again

TWENTY = "content,style,output,style-weight,seed,init\n" + "".join(
    {
        4: "gone.png,night.png,4.png,,,\n",
        9: "town.png,night.png,9.png,-1,,\n",
        14: "town.png,cut.png,14.png,,,\n",
    }.get(i, f"town.png,{('night', 'wave')[i % 2]}.png,{i}.png,{1 + i},{i},noise\n")
    for i in range(20)
)
GOOD = {f"{i}.png" for i in range(20)} - {"4.png", "9.png", "14.png"}


def killed(argv, folder, enough):
    """Starts a batch and kills it with SIGKILL once there are so many pictures: how many there are."""
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        until = time.monotonic() + 300
        while process.poll() is None and len(list(folder.glob("[0-9]*.png"))) < enough:
            assert time.monotonic() < until, "no pictures"
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "it was done before"
    return len(list(folder.glob("[0-9]*.png")))


def test_twenty_jobs_three_bad_killed_twice_end_as_undisturbed_ones(batch, studio, tmp_path):
    jobs = listed(studio, "twenty.csv", TWENTY)
    code, said, told, whole = batch(jobs, out="whole")
    assert code == 1
    assert "20 jobs: 17 painted, 3 bad (see batch.csv)" in said
    assert set(whole) == GOOD | {"batch.csv"}
    reasons = [line for line in told.splitlines() if line.startswith("nst-jax: ")]
    assert [line.split(": ")[1] for line in reasons] == [f"twenty.csv, line {n}" for n in (6, 11, 16)]
    assert "gone.png" in reasons[0]
    assert "style-weight must be a number from 0 to 1e30, got '-1'" in reasons[1]
    assert "cut.png" in reasons[2]
    rows = table(whole)
    assert [(row["job"], row["picture"]) for row in rows] == [
        (f"twenty.csv, line {i + 2}", f"{i}.png") for i in range(20)
    ]
    assert [i for i, row in enumerate(rows) if row["state"] != "done"] == [4, 9, 14]
    assert all(row["steps"] == "2" and float(row["style_term"]) > 0 for row in rows if row["state"] == "done")
    out = tmp_path / "out"
    argv = [sys.executable, "-m", "nst_jax", "batch", jobs, "-o", str(out), *BRIEF, *FEW]
    first = killed(argv, out, 3)
    second = killed(argv, out, first + 3)
    assert 3 <= first < second < 17
    assert "batch.csv" not in contents(out)
    code, said, _, again = batch(jobs)
    assert code == 1
    assert f"20 jobs: {17 - second} painted, {second} already there, 3 bad" in said
    assert again == whole
    code, said, _, once_more = batch(jobs)
    assert "0 painted, 17 already there, 3 bad" in said
    assert once_more == whole


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_only_whole_pictures(batch, studio, monkeypatch, number, code):
    say = progress.say

    def said(text):
        say(text)
        if text.startswith("1/3"):
            signal.raise_signal(number)

    monkeypatch.setattr(progress, "say", said)
    got, _, told, files = batch(listed(studio, "three.csv", seeds(3)))
    assert got == code
    assert "nst-jax: stopped; " in told
    assert "3 jobs: 1 painted, 2 left (see batch.csv): the same command goes on from there" in told
    assert set(files) == {"0.png", "batch.csv"}
    assert [row["state"] for row in table(files)] == ["done", "left", "left"]


def test_a_picture_that_is_not_whole_is_not_written(make, tmp_path, monkeypatch):
    """Stopped between the steps of the second of three."""
    jobs = make(seeds(3), KNOWN.with_values(ladder=values.ladder("48:30")))
    said, chunks = [], []
    jobs.said = said.append

    def turn():  # asked for before each chunk of steps
        chunks.append(len(said))
        if chunks.count(1) == 2:
            jobs.controls.stop.set()

    monkeypatch.setattr(jobs.controls, "turn", turn)
    assert finished(jobs).endswith("3 jobs: 1 painted, 2 left (see batch.csv)")
    assert (len(said), chunks[-2:]) == (1, [1, 1])
    assert sorted(os.listdir(tmp_path / "out")) == ["0.png", "batch.csv"]


# What is painted, and what is there already


def test_jobs_of_equal_shape_share_a_compilation(make, compilations):
    first = "content,style,output,style-weight\ntown.png,night.png,a.png,1\n"
    assert "1 job: 1 painted" in finished(make(first))
    compilations.clear()
    more = first + "town.png,wave.png,b.png,2\nwave.png,night.png,c.png,3\nnight.png,town.png,d.png,4\n"
    jobs = make(more)
    assert finished(jobs).endswith("out: 4 jobs: 3 painted, 1 already there (see batch.csv)")
    assert len(compilations) == 0
    assert [row["state"] for row in table(contents(jobs.folder))] == ["done"] * 4


def test_batches_of_several_are_the_single_pictures_nearly(make):
    one, several = make(seeds(5), out="one"), make(seeds(5), out="several", chunk=2)
    for jobs in (one, several):
        assert "5 jobs: 5 painted" in finished(jobs)
    assert sorted(contents(one.folder)) == sorted(contents(several.folder))
    first, second = ([images.load(jobs.folder / f"{i}.png") for i in range(5)] for jobs in (one, several))
    np.testing.assert_allclose(second, first, rtol=0, atol=1.01 / 255)
    assert all(abs(a - b).max() > 0.1 for a, b in itertools.pairwise(first))


def test_a_job_of_a_batch_is_what_is_painted_alone(make, tmp_path):
    jobs = make(seeds(2))
    assert "2 painted" in finished(jobs)
    alone = workshop.paint(KNOWN.with_values(content="town.png", style=("night.png",), seed=1, init="noise"))
    alone.save(tmp_path / "alone.png")
    assert (tmp_path / "alone.png").read_bytes() == (jobs.folder / "1.png").read_bytes()


def test_what_was_asked_for_decides_what_is_painted_again(make, studio):
    text = "content,style,output\ntown.png,night.png,a.png\n"
    jobs = make(text)
    assert "1 job: 1 painted" in finished(jobs)
    before = (jobs.folder / "a.png").read_bytes()
    assert "0 painted, 1 already there" in finished(make(text))
    assert "0 painted, 1 already there" in finished(make(text, KNOWN.with_values(seed=0, strength=None)))
    assert "1 job: 1 painted" in finished(make(text, KNOWN.with_values(style_weight=7.0)))
    assert (jobs.folder / "a.png").read_bytes() != before
    images.save(studio / "night2.png", samples.draw("mosaic", (32, 48)))
    assert "1 painted" in finished(make("content,style,output\ntown.png,night2.png,a.png\n"))


def test_a_result_of_the_program_before_is_there_already(make, studio, monkeypatch):
    """A record of format 1 in it, which says in its words what is asked for now."""
    monkeypatch.chdir(studio)
    old = json.loads(FORMAT_1)
    network = vgg19.info("narrow.h5")["sha256"]
    old |= {"versions": record.versions(), "network": {"sha256": network}, "steps": 2, "ladder": [[48, 32, 2]]}
    old["inputs"] = {"content": record.digests(["town.png"]), "style": record.digests(["night.png"])}
    old["flags"] = {"size": "48x32", "ladder": "48:2", "content-weight": "1.0", "style-weight": "1.0", "seed": "0"}
    old["flags"] |= {"content-layers": "relu1_2:1.0", "style-layers": "relu1_1:1.0,relu2_1:1.0", "optimizer": "adam"}
    old["flags"] |= {"colour": "style", "alpha": "keep", "bits": "8", "precision": "float32"}
    jobs = make("content,style,output\ntown.png,night.png,a.png\n")
    images.save(jobs.folder / "a.png", np.zeros((32, 48, 3)), extras=images.Extras(text=json.dumps(old)))
    before = (jobs.folder / "a.png").read_bytes()
    assert "0 painted, 1 already there" in finished(jobs)
    assert (jobs.folder / "a.png").read_bytes() == before
    [row] = table(contents(jobs.folder))
    assert (row["state"], row["steps"], row["content_term"]) == ("done", "2", "73532.3046875")


def test_a_picture_that_is_not_ours_is_left_alone(make):
    jobs = make("content,style,output\ntown.png,night.png,a.png\n")
    images.save(jobs.folder / "a.png", np.zeros((8, 8, 3)))
    mine = (jobs.folder / "a.png").read_bytes()
    assert "1 job: 0 painted, 1 bad" in finished(jobs)
    assert jobs.bad()[0]["reason"] == (
        "output must not be another's picture, got a.png, which holds no settings: choose another folder or name"
    )
    assert (jobs.folder / "a.png").read_bytes() == mine


def test_a_picture_that_a_stranger_has_forged_is_painted_anew(make):
    """Its record is sound, and holds nothing of what a result's does."""
    jobs = make("content,style,output\ntown.png,night.png,a.png\n")
    forged = json.dumps({"format": record.FORMAT, "versions": {}, "order": {"recipe": "nst-jax"}, "inputs": {}})
    images.save(jobs.folder / "a.png", np.zeros((8, 8, 3)), extras=images.Extras(text=forged))
    assert "1 job: 1 painted" in finished(jobs)


# Bad jobs


def test_bad_jobs_are_said_and_do_not_stop_the_others(make):
    text = (
        "content,style,output,size,colour,init\n"
        "gone.png,night.png,1.png,,,\n"
        "town.png,night.png,2.png,huge,,\n"
        "town.png,night.png,3.png,,only,\n"
        "town.png,night.png,4.png,,,gone.png\n"
        "town.png,night.png,5.png,99999x99999,,\n"
        "town.png,night.png,6.png,,,\n"
        "town.png,,7.png,,,\n"
    )
    jobs, said = make(text), []
    jobs.said = said.append
    assert "7 jobs: 1 painted, 6 bad" in finished(jobs)
    states = {row["picture"]: row["state"] for row in table(contents(jobs.folder))}
    assert [name for name, state in states.items() if state == "done"] == ["6.png"]
    reasons = [row["reason"] for row in jobs.bad()]
    for reason, words_ in zip(
        reasons,
        ("gone.png", "size must be N", "colour must paint", "gone.png", "picture must hold at most", "got no style"),
        strict=True,
    ):
        assert words_ in reason
        assert reason.isprintable()
    assert len(said) == 7
    assert said[-1].startswith("7/7  ")


def test_an_unexpected_error_is_one_jobs_own(batch, studio, monkeypatch):
    carry_out, calls = workshop.carry_out_all, []

    def broken(items, *args, **options):
        calls.append(items)
        if len(calls) == 1:
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory")
        if len(calls) == 2:
            raise ZeroDivisionError("of\nours")
        yield from carry_out(items, *args, **options)

    monkeypatch.setattr(workshop, "carry_out_all", broken)
    code, said, told, _ = batch(listed(studio, "three.csv", seeds(3)))
    assert code == 1
    assert "3 jobs: 1 painted, 2 bad" in said
    assert "nst-jax: three.csv, line 2: the run must fit into memory" in told
    assert "nst-jax: three.csv, line 3: ZeroDivisionError: of ours" in told


def test_a_loss_that_is_no_number_is_one_jobs_own(make):
    text = "content,style,output,style-weight,style-layers\ntown.png,night.png,a.png,1,\n"
    text += 'town.png,night.png,b.png,1e30,"relu1_1:1e8,relu2_1:1e8"\ntown.png,night.png,c.png,2,\n'
    jobs = make(text, chunk=3)
    assert "3 jobs: 2 painted, 1 bad" in finished(jobs), jobs.bad()
    assert jobs.bad()[0]["reason"].startswith("loss must stay finite, got ")
    assert sorted(os.listdir(jobs.folder)) == ["a.png", "batch.csv", "c.png"]


# Shares, folders, networks


def test_shares_paint_their_part_and_together_the_whole(batch, studio):
    jobs = listed(studio, "five.csv", seeds(5))
    assert "3 painted" in batch(jobs, flags=("--share", "1/2"))[1]
    code, said, _, files = batch(jobs, flags=("--share", "2/2"))
    assert code == 0
    assert "2 jobs: 2 painted (see batch-2-of-2.csv)" in said
    assert set(files) == {f"{i}.png" for i in range(5)} | {"batch-1-of-2.csv", "batch-2-of-2.csv"}
    assert [row["picture"] for row in table(files, "batch-1-of-2.csv")] == ["0.png", "2.png", "4.png"]


def test_a_share_is_the_schedulers_where_there_is_one(batch, studio, monkeypatch):
    for name, value in {"SLURM_PROCID": "1", "SLURM_NTASKS": "3"}.items():
        monkeypatch.setenv(name, value)
    code, said, _, files = batch(listed(studio, "two.csv", seeds(2)))
    assert (code, "1 job: 1 painted (see batch-2-of-3.csv)" in said) == (0, True)
    assert set(files) == {"1.png", "batch-2-of-3.csv"}


def test_the_fast_network_paints_a_batch_and_knows_its_own(command, monkeypatch, studio, tmp_path):
    monkeypatch.chdir(studio)
    jobs = listed(studio, "fast.csv", "content,style\ntown.png,night.png\n")
    argv = ("batch", jobs, "-o", tmp_path / "fast", *BRIEF, *FEW[:4], "--network")
    assert command(*argv, "fast")[0] == 0
    found = record.parse(metadata.read(tmp_path / "fast" / "town-night.png"))
    assert found.network["sha256"] == vgg19.info(vgg19.fast_path())["sha256"]
    assert found.order["network"] == "fast"
    assert "1 already there" in command(*argv, "fast")[1]
    code, _, err = command(*argv, "fast", *FEW[4:])
    assert (code, "network must be named once" in err) == (2, True)


def test_folders_and_flags_for_all(batch, studio, tmp_path):
    for folder, name in {"photos": "town", "paintings": "night"}.items():
        (studio / folder).mkdir(exist_ok=True)
        (studio / folder / f"{name}.png").write_bytes((studio / f"{name}.png").read_bytes())
    code, said, _, files = batch("photos", "paintings", flags=("--strength", ".3"))
    assert code == 0
    assert "1 painted" in said
    assert set(files) == {"town-night.png", "batch.csv"}
    found = record.parse(metadata.read(tmp_path / "out" / "town-night.png"))
    assert words.replace(Order(), found.order).recipe.strength == 0.3


@pytest.mark.parametrize(
    ("jobs", "flags", "code", "message"),
    [
        (("gone.csv",), (), 1, "jobs must be an existing file, got 'gone.csv'"),
        (("town.png",), (), 1, "jobs must be one .csv or .jsonl file, or two folders"),
        (("a", "b", "c"), (), 1, "two folders, got 'a' 'b' 'c'"),
        (("gone.csv",), ("--share", "3/2"), 2, "argument --share: must be K/N"),
        (("gone.csv",), ("--colour", "only"), 2, "--colour must paint something here"),
        (("gone.csv",), ("--minutes", "3"), 2, "unrecognized arguments: --minutes"),
    ],
)
def test_what_a_batch_refuses(jobs, flags, code, message, batch):
    got, _, told, files = batch(*jobs, flags=flags)
    assert got == code
    assert message in told
    assert files == {}
