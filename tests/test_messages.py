"""Every line about a user's mistake: said as the table has it, before anything is written, and none is missing."""

import ast
import contextlib
import os
import pathlib
import re
import shlex
import sys

import messages
import mistakes
import pytest
import studio

import nst_jax
from nst_jax.ground import storage, untrusted

pytestmark = pytest.mark.usefixtures("quick_compiler")

PACKAGE = pathlib.Path(nst_jax.__file__).parent
ROWS = [row for rows in mistakes.TOPICS.values() for row in rows]
LOCKED = "{}/" + storage.LOCK  # the file that says whose a folder is


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studio")
    studio.furnish(folder)
    return folder


def pattern(line: str) -> str:
    """A row's line as a regular expression."""
    return ".+".join(map(re.escape, re.split("<[A-Za-z]+>", line)))


def stored(folder):
    """{name: what it is} of all that lies in a folder, but for locks."""
    paths = [path for path in folder.rglob("*") if path.name != storage.LOCK]
    return {str(path.relative_to(folder)): path.is_dir() or path.read_bytes() for path in paths}


@contextlib.contextmanager
def situation(row, monkeypatch):
    """What a row's command meets."""
    for name, text in row.texts.items():
        pathlib.Path(name).write_text(text, "utf-8")
    if row.missing:
        known = [name for name in sys.modules if name.partition(".")[0] == row.missing]
        for name in (row.missing, *known):
            monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.setattr(untrusted, "_here", True)  # it would be there in a process of its own
    for name, value in row.env.items():
        monkeypatch.setenv(name, value)
    with storage.locked(row.busy, what="folder") if row.busy else contextlib.nullcontext():
        yield
    for name in row.texts:
        os.unlink(name)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.cause)
def test_a_mistake_is_said_on_one_line_and_nothing_is_written(row, here, command, monkeypatch):
    if "/proc/" in row.command and not os.path.isdir("/proc/self"):
        pytest.skip("a folder in which even root cannot write")
    monkeypatch.chdir(here)
    monkeypatch.setenv("NST_JAX_WEIGHTS", str(here / "narrow.h5"))
    with situation(row, monkeypatch):
        before = stored(here)
        code, _, err = command(*shlex.split(row.command))
        monkeypatch.chdir(here)  # one that goes on is in the folder where it began
        after = stored(here)
    for name in row.leaves:
        assert after.pop(name)
        os.unlink(name)
    assert {name: what for name, what in after.items() if what is not True or name in before} == before
    said = err.splitlines()[-1]
    assert "Traceback" not in err
    assert code == row.code
    if code == 2:
        assert re.fullmatch(rf"nst-jax( \w+)?: error: {pattern(row.line)} \(see nst-jax( \w+)? --help\)", said)
    else:
        assert re.fullmatch(rf"(nst-jax: |problem    ){pattern(row.line)}", said)


def test_the_page_is_made_from_the_table():
    assert messages.PAGE.read_text("utf-8") == messages.page(), "run `python scripts/messages.py`"


def test_every_message_is_on_the_page():
    text = messages.page()
    assert all(row.line in text and row.command in text for row in ROWS)


# Whether any is missing

# Literal parts of messages that no row shows, and why
ELSEWHERE: dict[str, tuple[str, ...]] = {
    "only a library's user calls this so": (
        "module 'nst_jax' has no attribute",
        "shape must be two positive",
        "records must hold at least one step",
        "weights must be numbers ≥ 0",
        "suffix of an animation",
        "frames must hold at least one picture",
        "size must be whole pixels",
        "text to store must",
        "order must have a field to replace",
        "order must have fields of docs",
        "rate must stay 1 with lbfgs",
        "quality must be a whole number",
        "saving.py: … must be",
        "mix must be a share from 0",
        "pictures must be one for each place",
        "window must be at least",
        "num_steps and every must",
        "count must be at least 0",
        "must be a number, got a function of a map",
        "jobs must be at least one, got none: name values",
        "image must be",
        "last must be a step",
    ),
    "a server says so, or breaks off, or a decoder does": (
        "it has no address",
        "it offers",
        "it sends",
        "it takes too long",
        "it was cut at",
        "it took more than",
        "its md5 must be",
        "weights could not be downloaded",
        " must be decoded within",
        " must be one that can be decoded",
    ),
    "memory is less than was planned with": (
        "the run must fit into memory",
        "memory must hold a chunk",
        "memory must be enough for",
    ),
    "no device, or no other process, is there": (
        "jax must find a device",
        "processes must be told of each other",
        " must be the same in every process",
    ),
    "the disk is full, or a folder goes while it paints": ("; the picture is in",),
    "a test's folders are all of one user": ("compiled programs must be kept in a folder of your own",),
    "a user who may read every file does not meet it": ("picture must be readable",),
    "4 GiB of pixels take too long": ("TIFF must hold less than",),
    "2 GB of weights take too long": ("model.weights.h5 in it is larger",),
    "only PyTorch finds it, which is not among what tests need": ("or holds more than tensors",),
    "it is caught where it is raised": (
        "curve must",
        "is no number of JSON",
        "a document type",
        "metadata.py: more than",
        "checkpoint must be whole",
        "checkpoint must hold a run",
        "an array has no shape",
        "it is of no run",
        "its snapshot is of no run",
    ),
    "a file that other tests damage on purpose": (
        "a name that no layer has",
        "it claims more than",
        "is a second link to the same",
        "an element is longer than what holds it",
        "it unpacks to more than",
    ),
    "another check comes before it": (
        "settings must be at most",
        "snapshot must be of a picture",
        "a run must have a frame",
    ),
}


def skeletons():
    """{regular expression: where} of every message in the source: what is raised, and what says that it must be."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.parent.name == "studio" and path.name != "serve.py":
            continue  # the page shows these; tests/test_studio.py has them
        tree = ast.parse(path.read_text("utf-8"))
        raised = {id(n) for r in ast.walk(tree) if isinstance(r, ast.Raise) and r.exc for n in ast.walk(r.exc)}
        inside = {id(n) for s in ast.walk(tree) if isinstance(s, ast.JoinedStr) for n in s.values}
        docs = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
        for node in ast.walk(tree):
            if id(node) in inside | docs or not isinstance(node, ast.JoinedStr | ast.Constant):
                continue
            parts = literal(node)
            text = "".join(parts)
            if len(text) > 8 and (" must " in text or (id(node) in raised and " " in text.strip())):
                found[".*".join(re.escape(part.replace("--", "")) for part in parts)] = (
                    f"{path.name}: {'…'.join(parts)}"
                )
    return found


def literal(node) -> list[str]:
    """The literal parts of a string, between which values stand."""
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    parts = [""]
    for value in node.values:
        if isinstance(value, ast.Constant):
            parts[-1] += value.value
        else:
            parts.append("")
    return parts


def test_every_message_of_the_source_is_in_the_table_or_has_its_reason():
    lines = [row.line.replace("--", "") for row in ROWS]
    unseen = {where for shape, where in skeletons().items() if not any(re.search(shape, line) for line in lines)}
    reasons = [begin for begins in ELSEWHERE.values() for begin in begins]
    assert [where for where in sorted(unseen) if not any(begin in where for begin in reasons)] == []
    assert [begin for begin in reasons if not any(begin in where for where in unseen)] == [], "no longer needed"
