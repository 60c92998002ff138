"""orders.lists: jobs as they are listed, what is wrong with one, shares, and which results are there already."""

import json
import os
import re
import time

import numpy as np
import pytest

from nst_jax.ground import storage
from nst_jax.orders import lists, words
from nst_jax.orders.lists import Entry
from nst_jax.orders.order import Order
from nst_jax.orders.record import Record
from nst_jax.pictures import images, kinds


def listed(folder, text, name="jobs.csv"):
    (folder / name).write_text(text, "utf-8")
    return lists.read([folder / name])


def test_a_list_is_read_with_its_fields_and_folders(tmp_path):
    text = (
        "content,style,output,style_weight,mask\n"
        "a.png,b.png;sub/c.png,x.png,2,m.png;-\n\n"
        "/a.png,https://host/b.jpg?size=2,,,\n"
    )
    first, second = listed(tmp_path, "\ufeff" + text)
    near = str(tmp_path) + os.sep
    fields = {
        "content": [f"{near}a.png"],
        "style": [f"{near}b.png", f"{near}sub/c.png"],
        "style-weight": ["2"],
        "mask": [f"{near}m.png", "-"],
    }
    assert first == Entry("jobs.csv, line 2", fields, "x.png")
    fields = {"content": ["/a.png"], "style": ["https://host/b.jpg?size=2"]}
    assert second == Entry("jobs.csv, line 4", fields, "a-b.png")


def test_json_says_the_same(tmp_path):
    rows = [
        {"content": "a.png", "style": ["b.png", "c.png"], "seed": 3, "style-mix": [2, 1], "keep-metadata": True},
        {"content": "a.png", "style": "b.png", "init": "noise", "keep-metadata": False, "strength": None},
        {"content": "a.png", "style": "b.png;c.png", "init": "s.png", "style_scale": [0.5, 1], "size": "64x48"},
    ]
    first, second, third = listed(tmp_path, "\n".join(map(json.dumps, rows)), "jobs.jsonl")
    near = str(tmp_path) + os.sep
    pictures = {"content": [f"{near}a.png"], "style": [f"{near}b.png", f"{near}c.png"]}
    assert first.fields == pictures | {"seed": ["3"], "style-mix": ["2,1"], "keep-metadata": ["yes"]}
    assert first.output == "a-b-c.png"
    assert second.fields == pictures | {"style": [f"{near}b.png"], "init": ["noise"]}
    assert third.fields == pictures | {"init": [f"{near}s.png"], "style-scale": ["0.5,1"], "size": ["64x48"]}


def test_a_job_is_an_order_with_its_own_fields_and_those_for_all(tmp_path):
    [entry] = listed(tmp_path, "content,style,strength,style_mix,keep-metadata\na.png,b.png;c.png,.25,ramp,yes\n")
    known = Order().with_values(strength=0.9, steps=7, weights="narrow.h5")
    near = str(tmp_path) + os.sep
    made = words.make(f"{near}a.png", f"{near}b.png", f"{near}c.png", strength=0.25, steps=7, style_mix="ramp")
    assert entry.order(known) == made.with_values(weights="narrow.h5", keep_metadata=True)


def test_every_field_of_a_list_is_a_column(tmp_path):
    """But the machine's, which is the same for all, and how long the whole may take."""
    apart = {name for name in words.TABLE if name not in lists.FIELDS}
    assert apart == {"content", "style", "network", "weights", "preview", "max-memory", "precision", "mesh"} | {
        "minutes",
        "still",
        "fast-first",
    }
    [entry] = listed(tmp_path, f"content,style,{','.join(lists.FIELDS)}\na.png,b.png{',' * len(lists.FIELDS)}\n")
    assert entry.fields.keys() == {"content", "style"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("[1]", "job must be a row of its list, got no JSON object"),
        ("[" * 50_000, "got no JSON object"),
        ('{"content": "a.png"', "got no JSON object"),
        ('{"content": "a.png"}', "must have content and style, got no style"),
        ('{"content": "", "style": "b"}', "must have content and style, got no content"),
        ('{"content": "a", "style": "b", "stile-weight": 1}', "got 'stile-weight': did you mean style-weight"),
        ('{"content": "a", "style": "b", "Stile_Weight": 1}', "got 'Stile-Weight'"),
        ('{"content": "a", "style": "b", "report": "x"}', "got 'report'"),
        ('{"content": "a", "style": "b", "weights": "x"}', "got 'weights'"),
        ('{"content": "a", "style": "b", "minutes": 3}', "got 'minutes'"),
        ('{"content": "a", "style": "b", "output": "../x.png"}', "output must be a file's name .* got '../x.png'"),
        ('{"content": "a", "style": "b", "output": ".x.png"}', "output must be a file's name .* got '.x.png'"),
        ('{"content": "a", "style": "b", "output": "x.bmp"}', "got 'x.bmp': write name.png"),
        ('{"content": "a", "style": "b", "seed": {}}', "a text, a number or a list of them, got seed"),
        ('{"content": "a", "style": [["b"]]}', "a text, a number or a list of them, got style"),
    ],
)
def test_a_bad_job_is_kept_with_its_reason(row, message, tmp_path):
    good, bad = listed(tmp_path, f'{{"content": "a", "style": "b"}}\n{row}\n', "jobs.jsonl")
    assert good.trouble == ""
    assert bad.place == "jobs.jsonl, line 2"
    assert re.search(message, bad.trouble)
    with pytest.raises(ValueError, match=message):
        bad.order(Order())


@pytest.mark.parametrize(
    ("columns", "values", "message"),
    [
        ("style-weight", "-1", "style-weight must be a number from 0 to 1e30, got '-1'"),
        ("size", "big", "size must be N or WIDTHxHEIGHT"),
        ("pool", "min", "pool must be one of max, average"),
        ("recipe", "nst-jaxx", "^recipe must be one of .* got 'nst-jaxx': did you mean nst-jax?"),
        ("init", "nose", "init.* must be an existing file|init: start must be"),
        ("keep-metadata", "true", "keep-metadata must be one of yes, no, got 'true'"),
        ("style-mix", '"1,2"', "style-mix must have 1 value, got 2"),
        ("mask-weights", "1", "mask-weights must go with mask"),
        ("mask,style-mix", "m.png,1", "style-mix must not go with mask"),
    ],
)
def test_fields_that_make_no_order_are_said_by_name(columns, values, message, tmp_path):
    [entry] = listed(tmp_path, f"content,style,{columns}\na.png,b.png,{values}\n")
    with pytest.raises(ValueError, match=message) as caught:
        entry.order(Order())
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "jobs.csv",
            "content,style,stile\na,b,c\n",
            "columns must be content, style, output or fields of a job, got 'stile': did you mean style",
        ),
        ("jobs.csv", "content,style,zzz\na,b,c\n", "got 'zzz': docs/settings.md lists them"),
        ("jobs.csv", "content,style\n", "at least one, got none in jobs.csv"),
        ("jobs.csv", 'content,style\n"a,b\n', "jobs must be rows of CSV, got unexpected end of data in jobs.csv"),
        ("jobs.csv", "content,style\n" + "a" * 200_000 + ",b\n", "rows of CSV, got field larger than"),
        ("jobs.csv", "", "at least one, got none in jobs.csv"),
        ("jobs.jsonl", "\n\n", "at least one, got none in jobs.jsonl"),
        ("jobs.txt", "", "one .csv or .jsonl file, or two folders, got .*jobs.txt"),
    ],
)
def test_lists_that_are_none(name, text, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        listed(tmp_path, text, name)


def test_lists_that_are_not_there_or_no_text(tmp_path):
    with pytest.raises(FileNotFoundError, match="jobs must be an existing file"):
        lists.read([str(tmp_path / "gone.csv")])
    with pytest.raises(NotADirectoryError, match="jobs must be an existing folder"):
        lists.read([str(tmp_path / "gone"), str(tmp_path)])
    with pytest.raises(ValueError, match="folder must hold pictures, got none"):
        lists.read([str(tmp_path), str(tmp_path)])
    with pytest.raises(ValueError, match="two folders, got 'a' 'b' 'c': list a job a line"):
        lists.read(["a", "b", "c"])
    (tmp_path / "jobs.csv").write_bytes(b"content,style\n\xff,b\n")
    with pytest.raises(ValueError, match="jobs must be text in UTF-8, got "):
        lists.read([tmp_path / "jobs.csv"])


def test_rows_that_are_too_long_or_short(tmp_path):
    long, short = listed(tmp_path, "content,style\na,b,c\na\n")
    assert "got more places than columns" in long.trouble
    assert "got no style" in short.trouble


def test_two_jobs_with_one_result(tmp_path):
    assert [entry.trouble for entry in listed(tmp_path, "content,style,output\na,b,x.png\nc,d,X.png\na,b,y.png\n")] == [
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
    assert entries[3].fields == {"content": [str(tmp_path / "one/b.jpg")], "style": [str(tmp_path / "two/e.png")]}


def test_shares_are_disjoint_and_whole():
    entries = [Entry(str(i), {}, f"{i}.png") for i in range(11)]
    shares = [lists.share_of(entries, k, 3) for k in (1, 2, 3)]
    assert sorted(int(entry.place) for share in shares for entry in share) == list(range(11))
    assert {len(share) for share in shares} == {3, 4}
    assert lists.share_of(entries, 1, 1) == entries


def test_results_are_of_a_kind_that_says_what_made_it():
    for suffix in kinds.holding("text"):
        assert lists.check_output(f"a{suffix}") == f"a{suffix}"


def test_only_old_unfinished_files_are_removed(tmp_path):
    for name, age in {".nst-jax-old.tmp": 5000, ".nst-jax-new.tmp": 0, "mine.tmp": 5000}.items():
        (tmp_path / name).touch()
        then = time.time() - age
        os.utime(tmp_path / name, (then, then))
    storage.remove_leftovers(tmp_path, age=lists.OLD)
    assert sorted(os.listdir(tmp_path)) == [".nst-jax-new.tmp", "mine.tmp"]
    storage.remove_leftovers(tmp_path, age=0)
    assert sorted(os.listdir(tmp_path)) == ["mine.tmp"]


def test_a_picture_that_is_not_ours_is_never_taken_for_a_result(tmp_path):
    wanted = Record({"recipe": "nst-jax"}, {}, {})
    assert lists.find_finished(tmp_path / "a.png", wanted) is None
    for text in (None, "Painted by Ada", '{"format": "nst_jax run 9"}'):
        images.save(tmp_path / "a.png", np.zeros((8, 8, 3)), extras=images.Extras(text=text))
        with pytest.raises(
            ValueError, match=r"output must not be another's picture, got a[.]png, which holds no settings"
        ):
            lists.find_finished(tmp_path / "a.png", wanted)
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match="output must not be another's picture"):
        lists.find_finished(tmp_path / "a.png", wanted)
