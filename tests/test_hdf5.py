"""Weight files from strangers: nothing outside them is read, nothing larger than weights is made, one line each."""

import concurrent.futures
import itertools
import threading
import zipfile

import h5py
import numpy as np
import pytest

from nst_jax import cli
from nst_jax.network import convert, hdf5, vgg19


@pytest.fixture
def weights(tmp_path, narrow, monkeypatch):
    """A narrow network's file, and a secret beside it."""
    vgg19.save(tmp_path / "narrow.h5", narrow, source="a test")
    np.arange(64, dtype=np.float32).tofile(tmp_path / "secret.bin")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = np.arange(4, dtype=np.float32)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "narrow.h5"


def _external_storage(file):
    del file["conv1_1/bias"]
    file["conv1_1"].create_dataset("bias", (4,), "f4", external=[("secret.bin", 0, 16)])


def _external_link(file):
    del file["conv1_1/bias"]
    file["conv1_1/bias"] = h5py.ExternalLink("other.h5", "/x")


def _virtual(file):
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (4,))
    del file["conv1_1/bias"]
    file["conv1_1"].create_virtual_dataset("bias", layout)


def _soft_link(file):
    file["conv9_9"] = h5py.SoftLink("/conv1_1")


def _huge(file):
    del file["conv1_1/kernel"]
    file["conv1_1"].create_dataset("kernel", (3, 3, 3, 10**9), "f4", chunks=(1, 1, 1, 1024))


def _at_the_root(file):
    file["x"] = np.zeros(3)


def _words(file):
    del file["conv1_1/bias"]
    file["conv1_1/bias"] = [b"a", b"b", b"c", b"d"]


def _doubling(file):
    groups = [file.create_group(f"x{i}") for i in range(40)]
    for outer, inner in itertools.pairwise(groups):
        outer["a"], outer["b"] = inner, inner


def _endless(file):
    file["conv1_1/up"] = file["/"]


def _unwritten(file):
    del file["conv1_1/kernel"]
    file["conv1_1"].create_dataset("kernel", (3, 3, 3, 10**6), "f4", chunks=(1, 1, 1, 1024))


def _of_arrays(file):
    del file["conv1_1/kernel"]
    file["conv1_1"].create_dataset("kernel", (3, 3, 3, 4), np.dtype(("f4", (10**7,))), chunks=(1, 1, 1, 1))


HOSTILE = {
    _doubling: "is a second link to the same, which is not followed",
    _endless: "conv1_1/up is a second link to the same, which is not followed",
    _unwritten: "conv1_1/kernel claims 108,000,000 bytes, more than it holds",
    _of_arrays: "it claims more than 500,000,000 numbers, at conv1_1/kernel",
    _external_storage: "conv1_1/bias lies in another file, which is not read",
    _virtual: "conv1_1/bias lies in another file, which is not read",
    _external_link: "conv1_1/bias is a link to elsewhere, which is not followed",
    _soft_link: "conv9_9 is a link to elsewhere, which is not followed",
    _huge: "it claims more than 500,000,000 numbers, at conv1_1/kernel",
    _at_the_root: "x is no group of arrays of numbers",
    _words: "conv1_1 is no group of arrays of numbers",
}


@pytest.mark.parametrize("change", HOSTILE)
@pytest.mark.parametrize("by", [vgg19.read, convert.read])
def test_what_is_elsewhere_or_too_large_is_refused_in_one_line(change, by, weights):
    with h5py.File(weights, "r+") as file:
        change(file)
    with pytest.raises(ValueError, match=HOSTILE[change]) as raised:
        by(weights)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["made", "conv999999999_1", "conv1_", "pool1", "x"])
def test_layers_that_no_network_has_are_refused(name, weights):
    """Not counted up to, and not taken for what `vgg19.ready` has made."""
    with h5py.File(weights, "r+") as file:
        file.copy("conv1_1", name)
    with pytest.raises(ValueError, match=rf"must be conv1_1, conv1_2, ….*{name}"):
        vgg19.read(weights)


def test_numbers_too_large_for_float32_are_refused(weights):
    with h5py.File(weights, "r+") as file:
        file.attrs["mean"] = [1e300, 0, 0]
    with pytest.raises(ValueError, match=r"mean of .* must be three numbers, got \[inf"):
        vgg19.read(weights)


@pytest.mark.parametrize("value", [h5py.Empty("f"), np.bytes_(b"abc\xff"), np.zeros((2, 2)), 3, "ü"])
@pytest.mark.parametrize("name", ["precision", "source", "name"])
def test_whatever_a_file_says_of_itself_is_plain_data(name, value, weights, capsys):
    with h5py.File(weights, "r+") as file:
        file.attrs[name] = value
    said = vgg19.info(weights)
    assert all(isinstance(each, str | int | float | list) for each in said.values())
    assert isinstance(said["precision"], str | int)
    assert cli.main(["weights", "info", "--weights", str(weights)]) == 0
    assert "precision" in capsys.readouterr().out
    assert convert.read(weights).params["conv1_1"]["kernel"].shape == (3, 3, 3, 4)


def test_a_file_without_a_precision_is_read(weights):
    with h5py.File(weights, "r+") as file:
        del file.attrs["precision"]
    assert vgg19.info(weights)["precision"] == "unknown"
    assert {*vgg19.read(weights)} == {*convert.read(weights).params}


def test_a_bomb_is_not_unpacked(weights, monkeypatch):
    with zipfile.ZipFile("bomb.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", bytes(5000))
    monkeypatch.setattr("nst_jax.network.readers.LARGEST", 4999)
    monkeypatch.setattr("nst_jax.ground.untrusted._here", True)  # another process would not know
    with pytest.raises(ValueError, match=r"model\.weights\.h5 in it is larger than 4,999 bytes"):
        convert.read("bomb.keras")


def test_real_files_are_read_as_before(tmp_path, narrow):
    vgg19.save(tmp_path / "a.h5", narrow, half=True, source="a test")
    with hdf5.opened(tmp_path / "a.h5") as file:
        assert {name.partition("/")[0] for name, _ in hdf5.datasets(file)} == {*narrow} - {"input"}
        assert hdf5.attributes(file)["source"] == "a test"


def test_a_refused_file_keeps_no_other_thread_from_reading(weights, tmp_path):
    """h5py holds its lock while a group is gone through: a walk that is cut short must not be kept by an error."""
    known = weights.read_bytes()
    refused = tmp_path / "refused.h5"
    refused.write_bytes(known)
    with h5py.File(refused, "a") as file:
        del file["conv1_1/bias"]
        file["conv1_1/bias"] = "a text"
    ready = threading.Event()

    def read():
        ready.wait()
        vgg19.info(weights)

    other = threading.Thread(target=read, daemon=True)
    other.start()  # before the first ends, whose number a later one might get
    with concurrent.futures.ThreadPoolExecutor(1) as one:
        with pytest.raises(ValueError, match="no group of arrays") as kept:
            one.submit(vgg19.read, refused).result()
        ready.set()
        other.join(10)
    assert not other.is_alive(), kept.value
