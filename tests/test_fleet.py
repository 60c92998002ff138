"""nst_jax.fleet and `nst-jax batch`: lists of jobs that may be stopped, shared and started again."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from nst_jax.network import vgg19
from nst_jax.orders import lists
from nst_jax.orders import record as runs
from nst_jax.painting import vmapped
from nst_jax.pictures import images, metadata, samples

BRIEF = ("--recipe", "gatys-notebook", "--ladder", "48:2", "--optimizer", "adam", "--size", "48x32")
FEW = ("--style-layers", "relu1_1:1,relu2_1:1", "--content-layers", "relu1_2:1", "--weights", "narrow.h5")


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
    """Runs a batch into a folder: (exit code, stdout, stderr, {file: bytes})."""
    monkeypatch.chdir(studio)

    def call(*jobs, flags=(), out="out"):
        code, said, told = command("batch", *jobs, "-o", tmp_path / out, *BRIEF, *FEW, *flags)
        return code, said, told, contents(tmp_path / out)

    return call


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())} if folder.is_dir() else {}


def listed(folder, name, text):
    (folder / name).write_text(text, "utf-8")
    return name


def table(files, name="batch.csv"):
    return list(csv.DictReader(files[name].decode().splitlines()))


# Lists


def test_a_list_is_read_with_its_flags_and_folders(tmp_path):
    text = "content,style,output,style_weight,mask\na.png,b.png;sub/c.png,x.png,2,m.png;-\n\n/a.png,https://host/b.jpg?size=2,,,\n"
    path = tmp_path / "jobs.csv"
    path.write_text("\ufeff" + text, "utf-8")
    first, second = lists.read([str(path)])
    near = str(tmp_path) + os.sep
    assert first == lists.Entry(
        "jobs.csv, line 2",
        f"{near}a.png",
        (f"{near}b.png", f"{near}sub/c.png"),
        "x.png",
        {"style-weight": ["2"], "mask": [f"{near}m.png", "-"]},
    )
    assert second == lists.Entry("jobs.csv, line 4", "/a.png", ("https://host/b.jpg?size=2",), "a-b.png", {})


def test_json_says_the_same(tmp_path):
    path = tmp_path / "jobs.jsonl"
    rows = [
        {"content": "a.png", "style": ["b.png", "c.png"], "seed": 3, "style-mix": [2, 1], "keep-metadata": True},
        {"content": "a.png", "style": "b.png", "init": "noise", "keep-metadata": False, "strength": None},
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    first, second = lists.read([path])
    assert first.flags == {"seed": ["3"], "style-mix": ["2,1"], "keep-metadata": ["yes"]}
    assert first.output == "a-b-c.png"
    assert second.flags == {"init": ["noise"]}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("[1]", "job must be a row of its list, got no JSON object"),
        ('{"content": "a.png"', "got no JSON object"),
        ('{"content": "a.png"}', "must have content and style, got no style"),
        ('{"content": "a", "style": "b", "stile-weight": 1}', "got 'stile-weight': did you mean style-weight"),
        ('{"content": "a", "style": "b", "report": "x"}', "got 'report'"),
        ('{"content": "a", "style": "b", "output": "../x.png"}', "output must be a file's name .* got '../x.png'"),
        ('{"content": "a", "style": "b", "output": "x.bmp"}', "got 'x.bmp': write name.png"),
        ('{"content": "a", "style": "b", "seed": {}}', "a text, a number or a list of them, got seed"),
    ],
)
def test_a_bad_job_is_kept_with_its_reason(row, message, tmp_path):
    path = tmp_path / "jobs.jsonl"
    path.write_text(f'{{"content": "a", "style": "b"}}\n{row}\n')
    good, bad = lists.read([path])
    assert good.trouble == ""
    assert bad.place == "jobs.jsonl, line 2"
    assert re.search(message, bad.trouble)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "jobs.csv",
            "content,style,stile\na,b,c\n",
            "columns must be content, style, output or flags .* 'stile': did you",
        ),
        ("jobs.csv", "content,style\n", "at least one, got none in jobs.csv"),
        ("jobs.txt", "", "one .csv or .jsonl file, or two folders, got .*jobs.txt"),
    ],
)
def test_lists_that_are_none(name, text, message, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        lists.read([str(tmp_path / name)])
    with pytest.raises(FileNotFoundError, match="jobs must be an existing file"):
        lists.read([str(tmp_path / "gone.csv")])
    with pytest.raises(NotADirectoryError, match="jobs must be an existing folder"):
        lists.read([str(tmp_path / "gone"), str(tmp_path)])
    with pytest.raises(ValueError, match="folder must hold pictures, got none"):
        lists.read([str(tmp_path), str(tmp_path)])


def test_two_jobs_with_one_result(tmp_path):
    path = tmp_path / "jobs.csv"
    path.write_text("content,style,output\na,b,x.png\nc,d,X.png\na,b,y.png\n")
    assert [entry.trouble for entry in lists.read([path])] == [
        "",
        "output must be each job's own, got X.png again: jobs.csv, line 2 has it, give another",
        "",
    ]


def test_folders_are_crossed(tmp_path):
    for name in ("one/a.png", "one/b.jpg", "one/b.png", "one/.c.png", "one/notes.txt", "two/d.webp", "two/e.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    entries = lists.read([tmp_path / "one", tmp_path / "two"])
    outputs = ["a-d.png", "a-e.png", "b_jpg-d.png", "b_jpg-e.png", "b_png-d.png", "b_png-e.png"]
    assert [entry.output for entry in entries] == outputs
    assert entries[3].place == "b.jpg × e.png"


def test_shares_are_disjoint_and_whole():
    entries = [lists.Entry(str(i), "a", ("b",), f"{i}.png", {}) for i in range(11)]
    shares = [lists.shared(entries, k, 3) for k in (1, 2, 3)]
    assert sorted(int(entry.place) for share in shares for entry in share) == list(range(11))
    assert {len(share) for share in shares} == {3, 4}


def test_only_old_unfinished_files_are_removed(tmp_path):
    for name, age in {".nst-jax-old.tmp": 5000, ".nst-jax-new.tmp": 0, "mine.tmp": 5000}.items():
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    lists.cleaned(tmp_path)
    assert sorted(contents(tmp_path)) == [".nst-jax-new.tmp", "mine.tmp"]
    lists.cleaned(tmp_path, age=0)
    assert sorted(contents(tmp_path)) == ["mine.tmp"]


# The command

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
    assert "--style-weight: must be a number from 0 to 1e30, got '-1'" in reasons[1]
    assert "cut.png" in reasons[2]
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


def test_jobs_of_equal_shape_share_a_compilation(batch, studio, compilations):
    first = "content,style,output,style-weight\ntown.png,night.png,a.png,1\n"
    assert batch(listed(studio, "one.csv", first))[0] == 0
    compilations.clear()
    more = first + "town.png,wave.png,b.png,2\nwave.png,night.png,c.png,3\nnight.png,town.png,d.png,4\n"
    code, said, _, files = batch(listed(studio, "one.csv", more))
    assert code == 0
    assert "4 jobs: 3 painted, 1 already there (see batch.csv)" in said
    assert len(compilations) == 0
    assert [row["state"] for row in table(files)] == ["done"] * 4


def test_batches_of_several_are_the_single_pictures_nearly(batch, studio):
    text = "content,style,output,style-weight\n" + "".join(f"town.png,night.png,{i}.png,{i}\n" for i in range(1, 6))
    jobs = listed(studio, "five.csv", text)
    one, several = batch(jobs, out="one"), batch(jobs, out="several", flags=("--chunk", "2"))
    assert one[0] == several[0] == 0
    assert "5 jobs: 5 painted" in several[1]
    assert set(one[3]) == set(several[3])


def test_what_was_asked_for_decides_what_is_painted_again(batch, studio):
    jobs = listed(studio, "job.csv", "content,style,output\ntown.png,night.png,a.png\n")
    before = batch(jobs)[3]
    assert "0 painted, 1 already there" in batch(jobs)[1]
    code, said, _, after = batch(jobs, flags=("--style-weight", "7"))
    assert code == 0
    assert "1 job: 1 painted" in said
    assert after["a.png"] != before["a.png"]
    images.save(studio / "night2.png", samples.draw("mosaic", (32, 48)))
    changed = listed(studio, "job.csv", "content,style,output\ntown.png,night2.png,a.png\n")
    assert "1 painted" in batch(changed)[1]


def test_the_fast_network_paints_a_batch_and_knows_its_own(command, monkeypatch, studio, tmp_path):
    monkeypatch.chdir(studio)
    jobs = listed(studio, "fast.csv", "content,style\ntown.png,night.png\n")
    words = ("batch", jobs, "-o", tmp_path / "fast", *BRIEF, *FEW[:4], "--network")
    assert command(*words, "fast")[0] == 0
    record = runs.parsed(metadata.read(tmp_path / "fast" / "town-night.png"))
    assert record["network"]["sha256"] == vgg19.info(vgg19.fast_path())["sha256"]
    assert "1 already there" in command(*words, "fast")[1]
    code, _, err = command(*words, "fast", *FEW[4:])
    assert (code, "not allowed with argument --network" in err) == (2, True)


def test_a_picture_that_is_not_ours_is_left_alone(batch, studio, tmp_path):
    (tmp_path / "out").mkdir()
    images.save(tmp_path / "out" / "a.png", np.zeros((8, 8, 3)))
    mine = (tmp_path / "out" / "a.png").read_bytes()
    code, _, told, files = batch(listed(studio, "job.csv", "content,style,output\ntown.png,night.png,a.png\n"))
    assert code == 1
    assert "output must not be another's picture, got a.png, which holds no settings" in told
    assert files["a.png"] == mine


def test_shares_paint_their_part_and_together_the_whole(batch, studio):
    text = "content,style,output,seed\n" + "".join(f"town.png,night.png,{i}.png,{i}\n" for i in range(5))
    jobs = listed(studio, "five.csv", text)
    assert "3 painted" in batch(jobs, flags=("--share", "1/2"))[1]
    code, said, _, files = batch(jobs, flags=("--share", "2/2"))
    assert code == 0
    assert "2 jobs: 2 painted (see batch-2-of-2.csv)" in said
    assert set(files) == {f"{i}.png" for i in range(5)} | {"batch-1-of-2.csv", "batch-2-of-2.csv"}
    assert [row["picture"] for row in table(files, "batch-1-of-2.csv")] == ["0.png", "2.png", "4.png"]


def test_ctrl_c_leaves_only_whole_pictures(batch, studio, monkeypatch):
    frames, calls = vmapped.frames, []

    def stopped(params, jobs, **options):
        calls.append(jobs)
        if len(calls) == 2:
            yield next(frames(params, jobs, **options | {"every": 1}))
            raise KeyboardInterrupt
        yield from frames(params, jobs, **options)

    monkeypatch.setattr(vmapped, "frames", stopped)
    text = "content,style,output,seed\n" + "".join(f"town.png,night.png,{i}.png,{i}\n" for i in range(3))
    code, _, told, files = batch(listed(studio, "three.csv", text))
    assert code == 130
    assert "nst-jax: stopped; " in told
    assert "3 jobs: 1 painted, 2 left (see batch.csv): the same command goes on from there" in told
    assert set(files) == {"0.png", "batch.csv"}
    assert [row["state"] for row in table(files)] == ["done", "left", "left"]


def test_an_unexpected_error_is_one_jobs_own(batch, studio, monkeypatch):
    frames, calls = vmapped.frames, []

    def broken(params, jobs, **options):
        calls.append(jobs)
        if len(calls) == 1:
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory")
        yield from frames(params, jobs, **options)

    monkeypatch.setattr(vmapped, "frames", broken)
    text = "content,style,output,seed\n" + "".join(f"town.png,night.png,{i}.png,{i}\n" for i in range(2))
    code, said, told, _ = batch(listed(studio, "two.csv", text))
    assert code == 1
    assert "2 jobs: 1 painted, 1 bad" in said
    assert "nst-jax: two.csv, line 2: the run must fit into memory" in told


def test_folders_and_flags_for_all(batch, studio):
    for folder, name in {"photos": "town", "paintings": "night"}.items():
        (studio / folder).mkdir(exist_ok=True)
        (studio / folder / f"{name}.png").write_bytes((studio / f"{name}.png").read_bytes())
    code, said, _, files = batch("photos", "paintings", flags=("--strength", ".3"))
    assert code == 0
    assert "1 painted" in said
    assert set(files) == {"town-night.png", "batch.csv"}


@pytest.mark.parametrize(
    ("jobs", "flags", "code", "message"),
    [
        (("gone.csv",), (), 1, "jobs must be an existing file, got 'gone.csv'"),
        (("town.png",), (), 1, "jobs must be one .csv or .jsonl file, or two folders"),
        (("a", "b", "c"), (), 1, "two folders, got 'a' 'b' 'c'"),
        (("gone.csv",), ("--share", "3/2"), 2, "argument --share: must be K/N"),
        (("gone.csv",), ("--colour", "only"), 2, "--colour must paint something here"),
    ],
)
def test_what_a_batch_refuses(jobs, flags, code, message, batch):
    got, _, told, files = batch(*jobs, flags=flags)
    assert got == code
    assert message in told
    assert files == {}
