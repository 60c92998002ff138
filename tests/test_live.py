"""A run of the command line on the studio's page: a real server beside a real run, in another process."""

import io
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile

import pytest
from conftest import drawn

from nst_jax.network import vgg19
from nst_jax.orders import record as records
from nst_jax.pictures import images, metadata

pytestmark = pytest.mark.usefixtures("quick_compiler")


@pytest.fixture
def folder(tmp_path, narrow, monkeypatch):
    vgg19.save(tmp_path / "narrow.h5", narrow)
    monkeypatch.setenv("NST_JAX_WEIGHTS", str(tmp_path / "narrow.h5"))
    images.save(tmp_path / "town.png", drawn(1, 36, 48))
    images.save(tmp_path / "night.png", drawn(2, 40, 44))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(base, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(base + path, data, {"Origin": base.rstrip("/")})
    with urllib.request.urlopen(request, timeout=30) as answer:
        found = answer.read()
        return json.loads(found) if answer.headers["content-type"] == "application/json" else found


@pytest.mark.parametrize("keeping", [(), ("--checkpoint", "kept")])
def test_a_run_is_watched_steered_and_ended_on_the_page(folder, keeping):
    words = ("stylize", "town.png", "night.png", "-o", "out.png", "--recipe", "tf-tutorial", "--size", "48")
    words += ("--init", "night.png", "--seed", "3", "--steps", "100000", "--live", "0", "--no-cache", *keeping)
    code = "import sys; from nst_jax import cli; sys.exit(cli.main())"
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    quick = os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    process = subprocess.Popen([sys.executable, "-c", code, *words], env=quick, **piped)
    try:
        line = next(line for line in process.stderr if line.startswith("live:"))
        base = line.split()[1].removesuffix("p/live")
        one = "api/paintings/live"
        state = until(base, lambda state: state["step"] > 10)
        assert (state["state"], state["total"], state["width"]) == ("painting", 100000, 48)
        assert call(base, "api/form")["live"]
        assert [row["id"] for row in call(base, "api/paintings")] == ["live"]
        assert call(base, f"{one}/frames/latest.jpg")[:2] == b"\xff\xd8"
        assert call(base, f"api/pictures/{state['inputs']['content']}?edge=48")[:2] == b"\xff\xd8"
        turn = {"strength": 0.5, "content": 1, "style": 7.0, "variation": 1, "rate": 1, "mix": None}
        call(base, f"{one}/turn", turn)
        assert until(base, lambda state: state["turns"])["turn"]["style"] == 7.0
        assert records.parse(text_of(folder, call(base, f"{one}/result.png"))).turns[0][1] == {"style": 7.0}
        with zipfile.ZipFile(io.BytesIO(call(base, f"{one}/bundle.zip"))) as zipped:
            script = zipped.read("again.py").decode()
            names = {"content.png", "style-1.png", "init.png", "result.png", "again.py", "README.txt"}
            assert set(zipped.namelist()) == names
        for text in ("recipe='tf-tutorial'", "seed='3'", "init='init.png'", "nst_jax.Turn(style=7.0)"):
            assert text in script
        call(base, f"{one}/pause", {})
        assert until(base, lambda state: state["state"] == "paused")
        with pytest.raises(urllib.error.HTTPError) as refused:
            call(base, f"{one}/back", {"step": 10})
        assert "a run of the command line can't do that" in json.loads(refused.value.read())["error"]
        refused.value.close()
        call(base, f"{one}/go-on", {})
        call(base, f"{one}/finish", {})
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, err
    found = records.parse(metadata.read("out.png"))
    assert out == f"out.png: painted in {found.steps} steps, {out.split()[-2]} s\n"
    assert found.steps < 100000
    assert found.turns[0][1] == {"style": 7.0}


def until(base, done):
    while not done(state := call(base, "api/paintings/live")):
        pass
    return state


def text_of(folder, data):
    (folder / "taken.png").write_bytes(data)
    return metadata.read(folder / "taken.png")


def test_a_port_that_is_taken_costs_no_run(folder, command):
    from nst_jax.studio import serve

    with serve.bind("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        code, _, err = command("stylize", "town.png", "night.png", "-o", "out.png", "--live", port, "--no-cache")
    assert code == 1
    assert f"port must be free at 127.0.0.1, got {port}" in err
    assert not (folder / "out.png").exists()
