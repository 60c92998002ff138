"""What can be taken away: a picture, an animation, and a folder that repeats the painting elsewhere."""

import io
import pathlib
import tempfile
import zipfile

from nst_jax.orders import record as records
from nst_jax.orders.workshop import Result
from nst_jax.pictures import film, images, metadata
from nst_jax.studio.paintings import Painting

READ_ME = """\
This painting was made with nst-jax (pip install nst-jax). To paint it again, on the same machine to the last bit:

    {command}

or, with the same pictures and settings, in Python: again.py. `nst-jax show result.png` says how it was made.
"""
SCRIPT = '''"""Paint result.png again, from the pictures beside this file."""

import nst_jax

{made}
nst_jax.paint(order).save("again.png")
'''
LOSSLESS = (".png",)


def result_of(painting: Painting) -> Result:
    """A painting's picture as it is, or one line that there is none."""
    result = painting.view.result()
    if result is None:
        raise ValueError("a painting must have a frame to be taken away, got none yet: wait for the first")
    return result


def picture(painting: Painting, suffix: str) -> bytes:
    """The picture as it is, with its settings inside: .png or .jpg."""
    stored = painting.folder / "result.png"
    if suffix in LOSSLESS and painting.view.result() is None and stored.is_file():
        return stored.read_bytes()
    with tempfile.TemporaryDirectory(dir=painting.folder) as folder:
        path = pathlib.Path(folder) / f"result{suffix}"
        if painting.view.result() is None and stored.is_file():  # of a process that has ended
            images.save(path, images.load(stored), extras=images.Extras(text=metadata.read(stored)))
        else:
            result_of(painting).save(path)
        return path.read_bytes()


def animation(painting: Painting) -> tuple[bytes, str]:
    """(the way to the picture as a film, its suffix): MP4 where ffmpeg is there, else WebP."""
    pages = painting.view.film()
    if not pages:
        raise ValueError("an animation must have frames, got none in this server's memory: let it go on")
    with tempfile.TemporaryDirectory(dir=painting.folder) as folder:
        for suffix in (".mp4", ".webp"):
            path = pathlib.Path(folder) / f"film{suffix}"
            try:
                film.save(path, pages)
            except ValueError:  # no ffmpeg
                continue
            return path.read_bytes(), suffix
    raise ValueError("an animation must be written, got no way to: pip install 'nst-jax[video]'")


def archive(painting: Painting) -> bytes:
    """The result, what it was made of, and how to make it again, as a zip."""
    stream, files = io.BytesIO(), painting.files()
    with zipfile.ZipFile(stream, "w") as zipped:
        zipped.writestr("result.png", picture(painting, ".png"))
        for path in (pathlib.Path(name) for names in files.values() for name in names):
            zipped.write(path, path.name)
        zipped.writestr("again.py", script(painting))
        zipped.writestr("README.txt", READ_ME.format(command=command(files)))
    return stream.getvalue()


def command(files: dict[str, list[str]]) -> str:
    """The command that paints it again."""
    words = [f"--{kind} {' '.join(pathlib.Path(name).name for name in names)}" for kind, names in files.items()]
    return " ".join(["nst-jax rerun result.png", *words, "-o again.png"])


def script(painting: Painting) -> str:
    """The same in Python."""
    files = {kind: [pathlib.Path(name).name for name in names] for kind, names in painting.files().items()}
    record = records.parse(records.text(asks_record(painting)))
    more = {"mask": files.get("mask"), "strength_map": (files.get("strength-map") or [None])[0]}
    fields = {name.replace("-", "_"): text for name, text in record.order.items()}
    fields |= {name: value for name, value in more.items() if value}
    named = [repr(name) for name in (*files["content"], *files["style"])]
    lines = ",\n".join(f"    {text}" for text in (*named, *(f"{k}={v!r}" for k, v in fields.items())))
    made = f"order = nst_jax.order(\n{lines},\n)"
    turns = records.read_turns(record.turns)
    plain = type(turns[0][1])()._asdict() if turns else {}
    rows = [
        f"    ({step}, nst_jax.Turn({', '.join(f'{k}={v!r}' for k, v in t._asdict().items() if v != plain[k])}))"
        for step, t in turns
    ]
    made += "\norder = order.with_values(turns=(\n" + ",\n".join(rows) + ",\n))" if rows else ""
    return SCRIPT.format(made=made)


def asks_record(painting: Painting) -> records.Record:
    """What is asked for, with the turns that were made, as a record."""
    from nst_jax.studio import asks

    return asks.record_of(painting.ask)._replace(turns=records.write_turns(painting.turns))
