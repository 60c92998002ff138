"""Published formats written by other means than ours, and every way in which a file can be wrong."""

import argparse
import io
import json
import os
import pathlib
import runpy
import struct
import subprocess
import sys
import zipfile

import h5py
import jax
import numpy as np
import pytest
import scipy.io

from nst_jax.cli import weights
from nst_jax.ground import untrusted
from nst_jax.network import convert, matlab, readers, vgg19

CONVS = [name for name in vgg19.layers_of() if name.startswith("conv")]


@pytest.fixture(scope="module")
def bundled():
    """The real network, in numpy: kernels upright, RGB."""
    return jax.tree.map(np.asarray, vgg19.load(vgg19.bundled_path()))


@pytest.fixture(scope="module")
def narrow():
    """A small random network with biases."""
    rng = np.random.default_rng(0)
    params, channels = {}, 3
    for name in CONVS:
        width = 2 + 2 * int(name[4])
        scale = np.sqrt(2 / (9 * channels))
        kernel = rng.normal(scale=scale, size=(3, 3, channels, width)).astype("f4")
        params[name] = {"kernel": kernel, "bias": rng.normal(scale=0.1, size=width).astype("f4")}
        channels = width
    return params


def same(params, expected):
    return all(np.array_equal(params[n][k], expected[n][k]) for n in CONVS for k in ("kernel", "bias"))


# MatConvNet


def cell(items):
    out = np.empty((1, len(items)), object)
    for i, item in enumerate(items):
        out[0, i] = item
    return out


def write_matconvnet(path, params, *, older=False, turned=False, average=None):
    """A file as MatConvNet publishes it: newer ones say `weights` and `meta`, older ones `filters`, `biases`."""
    layers = []
    for name in CONVS:
        kernel = params[name]["kernel"]
        kernel = kernel.swapaxes(0, 1) if turned else kernel
        bias = params[name]["bias"][None]
        values = {"filters": kernel, "biases": bias} if older else {"weights": cell([kernel, bias])}
        layers += [{"name": name, "type": "conv", **values}, {"name": name.replace("conv", "relu"), "type": "relu"}]
        if name.endswith("_4"):
            layers.append({"name": f"pool{name[4]}", "type": "pool", "pool": [2.0, 2.0]})
    layers.append(
        {"name": "fc6", "type": "conv", "weights": cell([np.zeros((7, 7, 2, 2), "f4"), np.zeros((1, 2), "f4")])}
    )
    average = np.full((224, 224, 3), (123.68, 116.779, 103.939), "f4") if average is None else average
    normalization = {"averageImage": average, "imageSize": [224.0, 224.0, 3.0]}
    rest = {"normalization": normalization} if older else {"meta": {"normalization": normalization, "classes": {}}}
    scipy.io.savemat(path, {"layers": cell(layers), **rest})


@pytest.mark.parametrize(("turned", "said"), [(False, "height first"), (True, "width first, turned to height first")])
def test_matconvnet_axes_are_found(bundled, tmp_path, turned, said):
    write_matconvnet(tmp_path / "net", bundled, turned=turned)
    params, attributes = convert.read(tmp_path / "net")
    assert attributes["axes"] == said
    assert attributes["family"] == "caffe"
    assert same(params, bundled)
    np.testing.assert_allclose(params["input"]["mean"], vgg19.MEAN, rtol=1e-6)
    np.testing.assert_array_equal(params["input"]["std"], vgg19.STD)


@pytest.mark.parametrize("average", [np.array([120, 110, 100], "f4"), np.ones((1, 1, 3)) * (120, 110, 100)])
def test_matconvnet_older_names(narrow, tmp_path, average):
    write_matconvnet(tmp_path / "net.mat", narrow, older=True, average=average)
    params, attributes = convert.read(tmp_path / "net.mat")
    assert same(params, narrow)
    assert attributes["axes"] == "height first (assumed: the kernels do not show it)"
    np.testing.assert_allclose(params["input"]["mean"], np.divide([120, 110, 100], 255), rtol=1e-6)


# torchvision


def state_dict(params):
    """OIHW, numbered as torchvision numbers its layers."""
    state, number = {}, 0
    for name in CONVS:
        if name.endswith("_1") and name != "conv1_1":
            number += 1
        state[f"features.{number}.weight"] = params[name]["kernel"].transpose(3, 2, 0, 1)
        state[f"features.{number}.bias"] = params[name]["bias"]
        number += 2
    return state | {"classifier.0.weight": np.zeros((4, 8), "f4")}


def bfloat16(values):
    return (np.ascontiguousarray(values).view("<u4") >> 16).astype("<u2")


def write_safetensors(path, state, dtype="F32", write=np.ascontiguousarray):
    header: dict[str, dict] = {"__metadata__": {"format": "pt"}}
    body = b""
    for name, value in state.items():
        raw = write(value).tobytes()
        header[name] = {"dtype": dtype, "shape": list(value.shape), "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    head = json.dumps(header).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + body)


def torch_maps(state, image):
    """The same network in PyTorch, from torchvision's own numbers: 36 layers, pooling after the gaps."""
    torch = pytest.importorskip("torch")
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = ((torch.tensor(image) - mean) / std).permute(2, 0, 1)[None]
    out, numbers = [], sorted({int(k.split(".")[1]) for k in state if k.startswith("features")})
    for number, after in zip(numbers, [*numbers[1:], None], strict=True):
        w, b = (torch.tensor(state[f"features.{number}.{k}"]) for k in ("weight", "bias"))
        x = torch.nn.functional.conv2d(x, w, b, padding=1)
        out.append(x[0].permute(1, 2, 0).numpy())
        x = torch.relu(x)
        x = torch.nn.functional.max_pool2d(x, 2) if after == number + 3 else x
    return out


def test_safetensors_against_torch(narrow, tmp_path):
    state = state_dict(narrow)
    assert sorted({int(k.split(".")[1]) for k in state if k.startswith("features")})[-1] == 34  # as vgg19 has it
    write_safetensors(tmp_path / "net.bin", state)
    params, said = convert.read(tmp_path / "net.bin")
    assert same(params, narrow)
    assert said["family"] == "torchvision"
    image = np.random.default_rng(1).uniform(size=(32, 48, 3)).astype("f4")
    with jax.default_matmul_precision("highest"):
        ours = vgg19.features(params, image, CONVS)
    for name, reference in zip(CONVS, torch_maps(state, image), strict=True):
        assert np.abs(ours[name] - reference).max() <= 1e-5 * np.abs(reference).max(), name


@pytest.mark.parametrize(
    ("dtype", "write", "error"), [("F16", np.float16, 1e-3), ("F64", np.float64, 0), ("BF16", bfloat16, 8e-3)]
)
def test_safetensors_other_precisions(narrow, tmp_path, dtype, write, error):
    write_safetensors(tmp_path / "net", state_dict(narrow), dtype, write)
    params, _ = convert.read(tmp_path / "net")
    for name in CONVS:
        assert params[name]["kernel"].dtype == np.float32
        np.testing.assert_allclose(params[name]["kernel"], narrow[name]["kernel"], rtol=error, atol=1e-6)


@pytest.mark.parametrize("older", [False, True])
def test_pth(narrow, tmp_path, older):
    torch = pytest.importorskip("torch")
    state = {k: torch.tensor(v) for k, v in state_dict(narrow).items()}
    torch.save(state, tmp_path / "net.h5", _use_new_zipfile_serialization=not older)  # the name does not matter
    params, said = convert.read(tmp_path / "net.h5")
    assert same(params, narrow)
    assert said["family"] == "torchvision"


@pytest.mark.parametrize("older", [False, True])
def test_no_code_of_a_file_runs(tmp_path, older):
    torch = pytest.importorskip("torch")

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"features.0.weight": Evil()}, tmp_path / "net.pth", _use_new_zipfile_serialization=not older)
    with pytest.raises(ValueError, match=r"holds more than tensors: save the model's state_dict\(\)"):
        convert.read(tmp_path / "net.pth")
    assert not (tmp_path / "ran").exists()


def test_pth_without_torch(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr("nst_jax.ground.untrusted._here", True)  # another process may have it
    (tmp_path / "net.pth").write_bytes(convert.TORCH_MAGIC)
    with pytest.raises(
        ValueError, match=r"must be read by PyTorch, got .*net\.pth without it: pip install torch, or save"
    ):
        convert.read(tmp_path / "net.pth")


# Our own file, and Keras' layouts that Keras no longer writes


def test_our_own_file_goes_through(narrow, tmp_path):
    write_safetensors(tmp_path / "net", state_dict(narrow))
    first = convert.convert(tmp_path / "net", tmp_path / "a.h5")
    half = convert.convert(tmp_path / "a.h5", tmp_path / "b.h5", half=True)
    again = convert.convert(tmp_path / "b.h5", tmp_path / "c.h5")
    kept = {"source", "source_sha256", "family", "mean", "std"}
    assert {k: first[k] for k in kept} == {k: half[k] for k in kept} == {k: again[k] for k in kept}
    assert (first["precision"], half["precision"], again["precision"]) == ("float32", "float16", "float32")
    assert again["rounded"] == "float16"
    assert "rounded" not in first
    assert same(vgg19.load(tmp_path / "a.h5"), narrow)
    assert same(vgg19.load(tmp_path / "b.h5"), vgg19.load(tmp_path / "c.h5"))
    assert convert.convert(tmp_path / "a.h5", tmp_path / "d.h5", half=True)["sha256"] == half["sha256"]


def test_the_bundled_file_says_where_it_is_from():
    said = vgg19.info(vgg19.bundled_path())
    readme = (pathlib.Path(__file__).parents[1] / "weights" / "README.md").read_text()
    assert said["family"] == "caffe"
    assert said["precision"] == "float16"
    assert said["sha256"] in readme
    assert said["source_sha256"] in readme


def write_keras(path, layers, *, group=lambda name: name):
    with h5py.File(path, "w") as file:
        for name, layer in layers.items():
            place = file.create_group(group(name))
            place["kernel:0"] = layer["kernel"]
            if "bias" in layer:
                place["bias:0"] = layer["bias"]


def bgr(params):
    """Under Keras' names, for BGR."""
    layers = {f"block{name[4]}_conv{name[6]}": layer for name, layer in params.items()}
    first = layers["block1_conv1"]
    return layers | {"block1_conv1": {**first, "kernel": first["kernel"][:, :, ::-1]}}


def test_a_network_inside_a_trained_model(narrow, tmp_path):
    write_keras(tmp_path / "f", bgr(narrow), group=lambda name: f"model_weights/vgg19/{name}")
    with h5py.File(tmp_path / "f", "a") as file:  # what Adam keeps of each kernel has the kernel's shape
        file["optimizer_weights/adam/block1_conv1/m"] = np.zeros_like(narrow["conv1_1"]["kernel"])
    assert same(convert.read(tmp_path / "f")[0], narrow)


def test_numbers_that_start_anywhere_are_in_order(narrow, tmp_path):
    numbers = {f"block{n[4]}_conv{n[6]}": i for i, n in enumerate(CONVS, 7)}
    write_keras(tmp_path / "f", bgr(narrow), group=lambda name: f"layers/conv2d_{numbers[name]}/vars")
    assert same(convert.read(tmp_path / "f")[0], narrow)


def test_another_number_of_convolutions(narrow, tmp_path):
    sixteen = {name: layer for name, layer in bgr(narrow).items() if not name.endswith("conv4")}
    write_keras(tmp_path / "f", sixteen)
    assert vgg19.shape_of(convert.read(tmp_path / "f")[0])[1] == (2, 2, 3, 3, 3)


# Files that are wrong


def error_line(path):
    with pytest.raises((ValueError, OSError)) as caught:
        convert.convert(path, path.with_name("out.h5"))
    assert "\n" not in str(caught.value)
    assert not path.with_name("out.h5").exists()
    return str(caught.value)


def test_numbered_layers_of_another_network(narrow, tmp_path):
    thirteen = dict(list(bgr(narrow).items())[:13])
    write_keras(tmp_path / "f", thirteen, group=lambda name: f"layers/conv2d_{list(thirteen).index(name)}/vars")
    assert "must be VGG19's 16 convolutions where layers are only numbered, got 13" in error_line(tmp_path / "f")


def test_another_network_of_keras(tmp_path):
    layer = {"kernel": np.zeros((7, 7, 3, 8), "f4"), "bias": np.zeros(8, "f4")}
    write_keras(tmp_path / "f", {"conv1_conv": layer, "conv2_block1_1_conv": layer})
    assert "must be those of a VGG network, got" in error_line(tmp_path / "f")
    write_keras(tmp_path / "f", {"block1_conv1": layer})
    assert "must have kernel [3, 3, 3, d] and bias [d], got {'kernel': (7, 7, 3, 8)" in error_line(tmp_path / "f")


def test_another_network_of_torch(narrow, tmp_path):
    state = state_dict(narrow)
    write_safetensors(tmp_path / "f", state | {"features.1.weight": np.ones(4, "f4")})
    assert "must be a plain VGG's convolution, got a network with batch normalisation" in error_line(tmp_path / "f")
    write_safetensors(tmp_path / "f", {"layer1.0.conv1.weight": np.ones((4, 3, 3, 3), "f4")})
    assert "must be those of a VGG network" in error_line(tmp_path / "f")


@pytest.mark.parametrize("missing", ["block1_conv1", "block3_conv2", "block4_conv1"])
def test_a_layer_missing(narrow, tmp_path, missing):
    write_keras(tmp_path / "f", {name: layer for name, layer in bgr(narrow).items() if name != missing})
    assert f"must hold {missing.replace('block', 'conv').replace('_conv', '_')}, got" in error_line(tmp_path / "f")


def test_a_bias_missing(narrow, tmp_path):
    layers = bgr(narrow)
    write_keras(tmp_path / "f", layers | {"block2_conv1": {"kernel": layers["block2_conv1"]["kernel"]}})
    assert "conv2_1 of" in (line := error_line(tmp_path / "f"))
    assert "and bias [d], got {'kernel'" in line


def test_not_finite(narrow, tmp_path):
    nan = {**narrow["conv3_1"], "bias": np.full(8, np.nan, "f4")}
    write_safetensors(tmp_path / "f", state_dict(narrow | {"conv3_1": nan}))
    assert "must be finite, got NaN or infinity" in error_line(tmp_path / "f")


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html>", b"\x80\x04\x95pickle", b"\x89PNG\r\n\x1a\n"])
def test_unknown_content(tmp_path, content):
    (tmp_path / "vgg19.h5").write_bytes(content)
    line = error_line(tmp_path / "vgg19.h5")
    assert "must be in a format known here" in line
    assert all(layout in line for layout in ("Keras", "MatConvNet's .mat", "torchvision's .safetensors", ".pth"))


def test_not_there(tmp_path):
    assert "must be a file, got" in error_line(tmp_path / "nothing.h5")
    assert "must be a file, got" in error_line(tmp_path)


def test_no_folder_to_write_to(narrow, tmp_path):
    write_safetensors(tmp_path / "f", state_dict(narrow))
    with pytest.raises(OSError, match=r"weights must be in an existing folder, got '.*out\.h5': make '.*no' first"):
        convert.convert(tmp_path / "f", tmp_path / "no" / "out.h5")


def write_zip(path, narrow):
    write_keras(path.with_name("inner"), bgr(narrow))
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(path.with_name("inner"), "model.weights.h5")


WRITERS = {
    "hdf5": lambda path, narrow: write_keras(path, bgr(narrow)),
    "ours": lambda path, narrow: vgg19.save(path, {**narrow, "input": readers.CAFFE}),
    "mat": write_matconvnet,
    "safetensors": lambda path, narrow: write_safetensors(path, state_dict(narrow)),
    "zip": write_zip,
}


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("layout", WRITERS)
def test_cut_short(narrow, tmp_path, layout, share):
    path = tmp_path / "f"
    WRITERS[layout](path, narrow)
    convert.read(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert "must be a whole" in error_line(path)


@pytest.mark.parametrize("older", [False, True])
def test_pth_cut_short(narrow, tmp_path, older):
    torch = pytest.importorskip("torch")
    state = {k: torch.tensor(v) for k, v in state_dict(narrow).items()}
    torch.save(state, tmp_path / "f", _use_new_zipfile_serialization=not older)
    content = (tmp_path / "f").read_bytes()
    (tmp_path / "f").write_bytes(content[: len(content) // 2])
    assert "must be a whole file, got" in error_line(tmp_path / "f")


@pytest.mark.parametrize("offsets", [[-4, 428], [0, 4], [8, 4]])
def test_safetensors_offsets_outside_the_file(narrow, tmp_path, offsets):
    entry = {"dtype": "F32", "shape": [4, 3, 3, 3], "data_offsets": offsets}
    head = json.dumps({"features.0.weight": entry}).encode()
    (tmp_path / "f").write_bytes(len(head).to_bytes(8, "little") + head + bytes(432))
    assert f"offsets {offsets[0]} to {offsets[1]} of 432 bytes do not hold" in error_line(tmp_path / "f")


def test_safetensors_header_of_any_size(tmp_path):
    (tmp_path / "f").write_bytes((2**26).to_bytes(8, "little") + b'{"features.0.weight": {}}')
    assert "must be a whole file, got" in error_line(tmp_path / "f")


def test_newer_matlab(tmp_path):
    (tmp_path / "f").write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(600))
    assert "of version 7 or older, got" in error_line(tmp_path / "f")


# The command, and the script


def command(*words):
    parser = argparse.ArgumentParser()
    weights.arguments(parser)
    return weights.run(parser.parse_args(list(map(str, words))))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("NST_JAX_WEIGHTS", raising=False)


def test_the_command_installs_what_load_finds(narrow, tmp_path, cache, capsys):
    write_safetensors(tmp_path / "f", state_dict(narrow))
    command("convert", tmp_path / "f", "--half")
    out = capsys.readouterr().out
    assert f"wrote {vgg19.cache_path()}" in out
    assert "float16" in out
    assert "torchvision" in out
    assert vgg19.shape_of(vgg19.load())[0] == (4, 6, 8, 10, 12)


def test_the_command_writes_elsewhere_and_says_what_is_used(narrow, tmp_path, cache, capsys):
    write_matconvnet(tmp_path / "f", narrow)
    command("convert", tmp_path / "f", "-o", tmp_path / "out.h5")
    out = capsys.readouterr().out
    assert f"wrote {tmp_path / 'out.h5'}" in out
    assert "height first" in out
    assert f"without --weights, {vgg19.bundled_path()} is used" in out


def test_info_lists_the_search_order(narrow, tmp_path, cache, capsys, monkeypatch):
    command("info")
    out = capsys.readouterr().out
    assert "  --weights         not given" in out
    assert f"{vgg19.cache_path()} (not there)" in out
    assert f"* bundled           {vgg19.bundled_path()}\n" in out
    assert "sha256" in out
    vgg19.save(tmp_path / "a.h5", {**narrow, "input": readers.CAFFE})
    monkeypatch.setenv("NST_JAX_WEIGHTS", str(tmp_path / "a.h5"))
    command("info")
    assert f"* $NST_JAX_WEIGHTS  {tmp_path / 'a.h5'}" in capsys.readouterr().out
    with pytest.raises(OSError, match="which is not there"):
        command("info", "--weights", tmp_path / "b.h5")
    assert f"* --weights         {tmp_path / 'b.h5'} (not there)" in capsys.readouterr().out


def test_the_command_imports_nothing_heavy():
    code = (
        "import argparse, sys; from nst_jax.cli import weights; weights.arguments(argparse.ArgumentParser());"
        "sys.exit(str(sys.modules.keys() & {'jax', 'numpy', 'rich', 'h5py'} or ''))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == "", done.stderr


def test_the_script(narrow, tmp_path, monkeypatch, capsys):
    script = str(pathlib.Path(__file__).parents[1] / "scripts" / "convert_weights.py")
    write_safetensors(tmp_path / "f", state_dict(narrow))
    monkeypatch.setattr(sys, "argv", [script, str(tmp_path / "f"), str(tmp_path / "out.h5")])
    runpy.run_path(script, run_name="__main__")
    assert "torchvision" in capsys.readouterr().out
    assert same(vgg19.load(tmp_path / "out.h5"), narrow)
    monkeypatch.setattr(sys, "argv", [script, str(tmp_path / "none"), str(tmp_path / "out.h5")])
    with pytest.raises(SystemExit, match="convert_weights: weights must be a file"):
        runpy.run_path(script, run_name="__main__")


@pytest.mark.parametrize("order", ["<", ">"])
def test_matlab_in_either_order_of_bytes_packed_or_not(order, tmp_path):
    stream = io.BytesIO()
    known = {"a": np.arange(6.0).reshape(2, 3), "b": "é", "c": {"d": 1.0, "e": np.zeros((0, 2))}, "f": {}}
    scipy.io.savemat(stream, known, do_compression=order == "<")
    plain = stream.getvalue()
    if order == ">":  # SciPy writes in the machine's order: one array by hand
        element = lambda kind, data: struct.pack(">II", kind, len(data)) + data + bytes(-len(data) % 8)  # noqa: E731
        inner = element(6, bytes((0, 0, 0, 6)) + bytes(4)) + element(5, struct.pack(">2i", 2, 3)) + element(1, b"a")
        plain = bytes(124) + b"\1\0MI" + element(14, inner + element(9, known["a"].astype(">f8").T.tobytes()))
    found = matlab.read(plain)
    np.testing.assert_array_equal(found["a"], known["a"])
    if order == "<":
        assert found["b"] == "é"
        assert found["c"]["d"] == [[1.0]]
        assert found["c"]["e"].shape == (0, 2)
        assert found["f"] == {}


def test_matlab_that_unpacks_to_too_much(tmp_path, monkeypatch):
    scipy.io.savemat(tmp_path / "a.mat", {"layers": np.zeros(10_000)}, do_compression=True)
    monkeypatch.setattr(matlab, "LARGEST", 9_999)
    monkeypatch.setattr(untrusted, "_here", True)  # not in a process of its own, which knows another number
    assert "it unpacks to more than 9,999 bytes" in error_line(tmp_path / "a.mat")
