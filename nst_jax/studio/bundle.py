"""What can be taken away: a picture, an animation, and a folder that repeats the painting elsewhere."""

import io
import pathlib
import shutil
import tempfile
import zipfile
from collections.abc import Mapping

from nst_jax.orders import record as records
from nst_jax.orders.order import WHOLE
from nst_jax.orders.record import Record
from nst_jax.pictures import film, images, metadata
from nst_jax.studio.paintings import AT_WORK, Shown, names_of

READ_ME = """\
This painting was made with nst-jax (pip install nst-jax). To paint it again, on the same machine to the last bit:

    {command}

or, with the same pictures and settings, in Python: again.py. `nst-jax show result.png` says how it was made.
"""
SCRIPT = '''"""Paint result.png again, from the pictures beside this file."""

import nst_jax

{made}
nst_jax.paint(order{stop}).save("again.png")
'''


def picture(painting: Shown, suffix: str) -> bytes:
    """The picture as it is, with its settings inside: .png or .jpg."""
    with tempfile.TemporaryDirectory(dir=painting.folder) as folder:
        return _write(painting, pathlib.Path(folder) / f"result{suffix}").read_bytes()


def _write(painting: Shown, path: pathlib.Path) -> pathlib.Path:
    """The picture as a file: as it was stored when the painting was put down, or else as it is now."""
    stored = painting.folder / "result.png"
    at_rest = stored.is_file() and painting.state not in AT_WORK
    result = None if at_rest else painting.view.result()
    if result is not None:
        result.save(path)
    elif not stored.is_file():
        raise ValueError("a painting must have a frame to be taken away, got none yet: let it go on to its next")
    elif path.suffix == stored.suffix:
        shutil.copyfile(stored, path)
    else:
        images.save(path, images.load(stored), extras=images.Extras(text=metadata.read(stored)))
    return path


def animation(painting: Shown) -> tuple[bytes, str]:
    """(the way to the picture as a film, its suffix): MP4 where ffmpeg is there, else WebP."""
    pages = painting.view.film()
    if not pages:
        raise ValueError("an animation must have frames, got none yet: let it go on")
    with tempfile.TemporaryDirectory(dir=painting.folder) as folder:
        for suffix in (".mp4", ".webp"):
            path = pathlib.Path(folder) / f"film{suffix}"
            try:
                film.save(path, pages)
            except ValueError:  # no ffmpeg
                continue
            return path.read_bytes(), suffix
    raise ValueError("an animation must be written, got no way to: pip install 'nst-jax[video]'")


def archive(painting: Shown) -> bytes:
    """The result, what it was made of, and how to make it again, as a zip."""
    stream = io.BytesIO()
    files = painting.files()
    names = {kind: _names_in_zip(kind, paths) for kind, paths in files.items()}
    with tempfile.TemporaryDirectory(dir=painting.folder) as folder, zipfile.ZipFile(stream, "w") as zipped:
        result = _write(painting, pathlib.Path(folder) / "result.png")
        zipped.write(result, result.name)
        for kind, paths in files.items():
            for path, name in zip(paths, names[kind], strict=True):
                if name != WHOLE:
                    zipped.write(path, name)
        zipped.writestr("again.py", script(records.parse(metadata.read(result)), names))
        zipped.writestr("README.txt", READ_ME.format(command=command(names)))
    return stream.getvalue()


def _names_in_zip(kind: str, paths) -> list[str]:
    """What pictures are called in the zip: by what they are for, whatever their files are called."""
    pairs = zip(paths, names_of(kind, len(paths)), strict=True)
    return [WHOLE if path == WHOLE else pathlib.Path(name).stem + pathlib.Path(path).suffix for path, name in pairs]


def command(names: Mapping[str, list[str]]) -> str:
    """The command that paints it again."""
    words = [f"--{kind} {' '.join(listed)}" for kind, listed in names.items()]
    return " ".join(["nst-jax rerun result.png", *words, "-o again.png"])


def script(record: Record, names: Mapping[str, list[str]]) -> str:
    """The same in Python, from what the result says of itself."""
    fields = {name.replace("-", "_"): text for name, text in record.order.items()}
    fields |= {kind.replace("-", "_"): names[kind] for kind in ("mask", "style-mask") if kind in names}
    fields |= {kind.replace("-", "_"): names[kind][0] for kind in ("strength-map", "init") if kind in names}
    fields |= {"colour": f"palette:{names['palette'][0]}"} if "palette" in names else {}
    given = [repr(name) for name in (*names["content"], *names["style"])]
    lines = [*given, *(f"{name}={value!r}" for name, value in fields.items())]
    made = f"order = nst_jax.order({_each_on_a_line(lines)})"
    turns = [
        f"({step}, nst_jax.Turn({', '.join(f'{name}={value!r}' for name, value in values.items())}))"
        for step, values in record.turns
    ]
    made += f"\norder = order.with_values(turns=({_each_on_a_line(turns)}))" if turns else ""
    stop = f", controls=nst_jax.Controls(last={record.stopped})" if record.stopped else ""
    return SCRIPT.format(made=made, stop=stop)


def _each_on_a_line(texts) -> str:
    return "\n" + "".join(f"    {text},\n" for text in texts)
