"""python scripts/same_pictures.py OTHER [--here CHECKOUT] [--folder DIR] [--only NAME …] → a row for each command.

Runs the same commands in two checkouts and compares the pixels of every .png that they write. What the other checkout
painted stays in DIR/before, so that it is painted once; DIR/after is painted anew each time. Both read the pictures in
DIR/inputs and keep compiled programs in DIR/cache. Remove DIR after changing what is drawn here. Exits with 1 if a
picture differs or a command fails.
"""

import argparse
import itertools
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

import numpy as np
from PIL import Image

HERE = pathlib.Path(__file__).parents[1]
FOLDER = pathlib.Path(tempfile.gettempdir(), "same-pictures")
PAINT = "stylize town.png night.png -o OUT/painting.png"
BLEND = "stylize town.png night.png wave.png -o OUT/painting.png"
FEW = "--content-layers relu3_1 --style-layers relu1_1,relu2_1,relu3_1"  # of the real network: soon compiled
TWO = "--content-layers relu1_1,relu2_1 --style-layers relu1_1,relu2_1"
NARROW = "--weights narrow.h5 --style-distance scaled-gram --style-weight .2 --content-weight 300"  # each term counts
SHORT = f"{NARROW} --ladder 64:6"
AGAIN = "--content town.png -o OUT/again.png"
FOUR = "XLA_FLAGS=--xla_force_host_platform_device_count=4"

# What is compared, by name: variables of the environment, and the words after `nst-jax`. Commands run in DIR/inputs;
# OUT is where a command's pictures go, BEFORE/NAME where those of another command in the other checkout are.
COMMANDS = {
    # recipes of each kind, on the bundled networks
    "default": f"{PAINT} --ladder 32:4,48:4",
    "adam": f"{PAINT} --recipe gatys-notebook --optimizer adam --size 48 --steps 8 --keep none {FEW}",
    "lbfgs": f"{PAINT} --recipe gatys-notebook --ladder 48:6 {FEW}",
    "normalised": f"{PAINT} --recipe gatys-2016 --size 64 --steps 5 --seed 2 {FEW}",
    "keras-adam": f"{PAINT} --recipe tf-tutorial --size 64 --steps 8 --style-layers relu1_1,relu3_1",
    "torchvision": f"{PAINT} --recipe crowson-2021 --ladder 32:4,64:4 {FEW}",
    "bfloat16": f"{PAINT} --recipe gatys-notebook --optimizer adam --size 48x48 --steps 5 {FEW} --precision bfloat16",
    "fast-first": f"{PAINT} --fast-first 3 --ladder 32:4,64:6 --style-distance gram {FEW}",
    "preview": f"{PAINT} --preview --size 64 --ladder 32:4,64:4",
    "demo": "demo -o OUT --size 64 --steps 6",
    # settings of recipes, on a narrow network
    "wasserstein": f"{PAINT} {SHORT} --style-distance wasserstein --keep clamped,averaged:0.9",
    "ladder": f"{PAINT} {NARROW} --ladder 32:6,48:4,72:4,96:4",
    "weights": f"{PAINT} {SHORT} --strength .7 --content-weight 900 --style-weight .1 --tv-weight 2e4",
    "noise": f"{PAINT} {SHORT} --init noise --seed 7",
    "init-file": f"{PAINT} {SHORT} --init wave.png --keep clamped,best",
    "init-words": f"{PAINT} {SHORT} --init mix:0.6 --pool average --padding zeros --variation-kind absolutes",
    "statistics": f"{PAINT} {SHORT} --init statistics --style-distance statistics --content-distance scaled --pool l2",
    "lbfgs-narrow": f"{PAINT} --recipe gatys-notebook --weights narrow.h5 --style-weight 1e-6 --ladder 48:4,64:4 "
    "--memory 4",
    "sgd": f"{PAINT} --recipe keras --weights narrow.h5 --style-weight 30 --content-weight 3e4 --size 64 --steps 6 "
    "--learning-rate .02",
    "still": f"{PAINT} {NARROW} --ladder 48:60 --still 200",
    "stored": f"{PAINT} {NARROW} --ladder 32:4,64:8 --save-every 3 --folder OUT/steps --report OUT/report",
    # several paintings, places, colours, files
    "mix": f"{BLEND} {SHORT} --style-mix 2,1 --style-scale 1.5,.75 --style-size 56",
    "ramp": f"{BLEND} {SHORT} --style-mix ramp",
    "masks": f"{BLEND} {SHORT} --mask sky.png ground.png --mask-weights 1,.5",
    "coloured-mask": f"{BLEND} {SHORT} --mask parts.png --init noise",
    "style-mask": f"{BLEND} {SHORT} --style-mask half.png -",
    "strength-map": f"{PAINT} {SHORT} --strength-map faint.png",
    "luminance": f"{PAINT} {SHORT} --colour content-luminance",
    "matched": f"{PAINT} {SHORT} --colour match-sym",
    "palette": f"{PAINT} {SHORT} --colour palette:wave.png",
    "recoloured": f"{BLEND} --colour only --style-mix 1,3",
    "sprite": f"stylize sprite.png night.png -o OUT/painting.png {SHORT} --alpha keep",
    "stylised-sprite": f"stylize sprite.png sprite.png -o OUT/painting.png {SHORT} --alpha stylise --keep-metadata",
    "deep": f"stylize sprite.png night.png -o OUT/painting.png {SHORT} --bits 16",
    # other commands, and ways to compute
    "texture": f"texture night.png -o OUT/texture.png --size 56x40 --steps 6 {NARROW}",
    "reconstruct": "reconstruct town.png -o OUT/seen.png --layer relu2_2 --size 48 --steps 6",
    "windows": f"{PAINT} {NARROW} --ladder 256:4 {FEW} --max-memory 438MB",
    "windows-remade": f"{PAINT} {NARROW} --ladder 384:3 {TWO} --max-memory 444.3MB",  # content maps made again
    "blocks-again": f"{PAINT} --recipe nst-jax --ladder 256:3 --content-layers relu3_4 --style-layers relu2_1,relu3_1 "
    "--max-memory 741MB",
    "sweep": f"sweep town.png night.png -o OUT {SHORT} --strength .3,.8 --tv-weight 0,1e4",
    "sweep-styles": f"sweep town.png night.png wave.png -o OUT {SHORT} --each-style --seed 0:1:2 --init noise,content",
    "sweep-chunk": f"sweep town.png night.png -o OUT {SHORT} --style-weight .02:2:4 --chunk 3",
    "batch": f"batch jobs.csv -o OUT {SHORT}",
    "batch-chunk": f"batch jobs.csv -o OUT {SHORT} --chunk 2",
    "mesh-space": f"{FOUR} {PAINT} {NARROW} --ladder 64:5,96:4 --mesh space=4",
    "mesh-data": f"{FOUR} sweep town.png night.png -o OUT {SHORT} --style-weight .02:2:4 --mesh data=4",
    # what the other checkout recorded
    "rerun": f"rerun BEFORE/noise/painting.png {AGAIN} --style night.png --weights narrow.h5",
    "rerun-default": f"rerun BEFORE/default/painting.png {AGAIN} --style night.png",
    "rerun-preview": f"rerun BEFORE/preview/painting.png {AGAIN} --style night.png",
    "rerun-demo": "rerun BEFORE/demo/skyline-flow.png -o OUT/again.png --content BEFORE/demo/skyline.png "
    "--style BEFORE/demo/flow.png",
    "rerun-masks": f"rerun BEFORE/masks/painting.png {AGAIN} --style night.png wave.png --mask sky.png ground.png "
    "--weights narrow.h5",
    "rerun-palette": f"rerun BEFORE/palette/painting.png {AGAIN} --style night.png --palette wave.png "
    "--weights narrow.h5",
    "rerun-sweep": f"rerun BEFORE/sweep/2-tv-weight-0-strength-0.8.png {AGAIN} --style night.png --weights narrow.h5",
    "rerun-still": f"rerun BEFORE/still/painting.png {AGAIN} --style night.png --weights narrow.h5",
}
RENAMED: dict[str, str] = {}  # the same for the checkout that is judged, where its flags have other names
JOBS = """content,style,output,init,seed,tv-weight,style-mix,mask,colour
town.png,night.png,plain.png,,,,,,
town.png,night.png,noisy.png,noise,3,2e4,,,
town.png,night.png;wave.png,blend.png,,,,"2,1",,content-luminance
town.png,night.png;wave.png,parts.png,,,,,sky.png;ground.png,
"""
SAVE_NARROW = """import sys, jax
from nst_jax import vgg19
params = jax.jit(lambda key: vgg19.init(key, widths=(8, 8, 8, 8, 8)))(jax.random.key(0))
convolutions = {n: {"kernel": 1.4 * p["kernel"], "bias": p["bias"] + 3} for n, p in params.items() if n != "input"}
vgg19.save(sys.argv[1], convolutions | {"input": params["input"]})
"""


def drawn(seed: int, height: int, width: int) -> np.ndarray:
    """A picture with large and small forms: [h, w, 3] uint8."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / 32
    waves = [np.sin(a * y + b * x + c) for a, b, c in random.uniform(0.5, 5, (3, 3))]
    image = 0.5 + 0.3 * np.stack(waves, -1) + random.uniform(-0.15, 0.15, (height, width, 3))
    return np.asarray(255 * image.clip(0, 1), np.uint8)


def inputs() -> dict[str, np.ndarray]:
    """What the commands read, by the files' names: pictures, masks, a drawing with transparency."""
    town, (y, x) = drawn(1, 72, 96), np.mgrid[0:72, 0:96]
    sky = np.uint8(255 * np.clip((y - 28) / 16, 0, 1))
    disc = np.uint8(255 * np.clip(31 - np.hypot(y - 36, x - 50), 0, 1))
    parts = np.where((x + y < 80)[..., None], (230, 40, 30), (20, 60, 200))
    half = np.where(np.mgrid[0:64, 0:80][1] < 40, 255, 0)
    pictures = {"town": town, "night": drawn(2, 64, 80), "wave": drawn(3, 96, 72), "sky": sky, "ground": 255 - sky}
    pictures |= {"parts": parts, "half": half, "faint": x * 255 // 95, "sprite": np.dstack([town, disc])}
    return {f"{name}.png": np.asarray(picture).astype(np.uint8) for name, picture in pictures.items()}


def environment(checkout: pathlib.Path, folder: pathlib.Path) -> dict[str, str]:
    """Variables with which Python imports the package of a checkout, and the package computes as it does alone."""
    ours = ("NST_JAX_WEIGHTS", "JAX_COMPILATION_CACHE_DIR", "XLA_FLAGS")
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return kept | {"PYTHONPATH": str(checkout), "XDG_CACHE_HOME": str(folder / "cache"), "JAX_PLATFORMS": "cpu"}


def python(checkout: pathlib.Path, folder: pathlib.Path, *words) -> str:
    """What a piece of Python code prints with the package of a checkout."""
    known = {"env": environment(checkout, folder), "cwd": folder / "inputs", "check": True, "text": True}
    return subprocess.run([sys.executable, "-c", *words], stdout=subprocess.PIPE, **known).stdout


def prepare(other: pathlib.Path, here: pathlib.Path, folder: pathlib.Path) -> None:
    """Write what the commands read; raise unless each checkout's own package is imported."""
    (folder / "inputs").mkdir(parents=True, exist_ok=True)
    for name, picture in inputs().items():
        Image.fromarray(picture).save(folder / "inputs" / name)
    (folder / "inputs" / "jobs.csv").write_text(JOBS)
    for checkout in (other, here):
        found = python(checkout, folder, "import nst_jax; print(nst_jax.__file__)").strip()
        if not pathlib.Path(found).is_relative_to(checkout):
            raise SystemExit(f"checkout must hold the package nst_jax, got {checkout}: {found} is imported")
    if not (folder / "inputs" / "narrow.h5").exists():
        python(other, folder, SAVE_NARROW, "narrow.h5")


def paint(words: str, checkout: pathlib.Path, folder: pathlib.Path, out: pathlib.Path) -> dict:
    """Run a command anew with the package of a checkout: its words, exit code and seconds, which `out` holds too."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    split = [w.replace("OUT", str(out)).replace("BEFORE", str(folder / "before")) for w in shlex.split(words)]
    variables = dict(w.split("=", 1) for w in itertools.takewhile(re.compile("[A-Z_]+=").match, split))
    command = [sys.executable, "-m", "nst_jax", *split[len(variables) :]]
    started = time.perf_counter()
    with open(out / "log.txt", "w") as log:
        known = {"env": environment(checkout, folder) | variables, "cwd": folder / "inputs"}
        code = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, **known).returncode
    done = {"words": words, "checkout": str(checkout), "code": code, "seconds": time.perf_counter() - started}
    (out / "done.json").write_text(json.dumps(done))
    return done


def painted_before(name: str, other: pathlib.Path, folder: pathlib.Path) -> dict:
    """What came of a command in the other checkout, run if it is not there yet, after those that it reads from."""
    for needed in re.findall(r"BEFORE/([\w-]+)", COMMANDS[name]):
        painted_before(needed, other, folder)
    out = folder / "before" / name
    done = json.loads((out / "done.json").read_text()) if (out / "done.json").exists() else {}
    wanted = {"words": COMMANDS[name], "checkout": str(other), "code": 0}
    return done if wanted.items() <= done.items() else paint(COMMANDS[name], other, folder, out)


def levels(path: pathlib.Path) -> np.ndarray:
    """A PNG's numbers, of 8 or 16 bits: [h, w, c]. Of 16 bits Pillow keeps the byte that it takes for the high one."""
    with Image.open(path) as im:
        high = np.atleast_3d(np.asarray(im))
    if path.read_bytes()[24] == 8:
        return high
    with Image.open(path) as im:
        im.tile = [tile._replace(args=f"{im.mode};16L") for tile in im.tile]
        return high * np.uint16(256) + np.atleast_3d(np.asarray(im))


def difference(one: pathlib.Path, other: pathlib.Path) -> str:
    """How two pictures differ; nothing where all pixels are equal."""
    a, b = levels(one), levels(other)
    if (a.shape, a.dtype) != (b.shape, b.dtype):
        return f"{a.shape} of {a.dtype} and {b.shape} of {b.dtype}"
    apart = np.abs(a.astype(int) - b.astype(int)).max(2)
    largest = apart.max() * 255 / np.iinfo(a.dtype).max
    return f"{np.count_nonzero(apart)} of {apart.size} pixels, by up to {largest:.3g} of 255" if largest else ""


def compare(before: pathlib.Path, after: pathlib.Path) -> list[str]:
    """How the pictures in two folders differ, a line for each that does."""
    one, two = ({str(path.relative_to(folder)) for path in folder.rglob("*.png")} for folder in (before, after))
    alone = [f"{name}: only before" for name in one - two] + [f"{name}: only after" for name in two - one]
    both = {name: difference(before / name, after / name) for name in one & two}
    found = [*alone, *(f"{name}: {text}" for name, text in both.items() if text)]
    return sorted(found) if one | two else ["no pictures"]


def last_line(out: pathlib.Path) -> str:
    """The last line that a command wrote."""
    return next((line for line in reversed((out / "log.txt").read_text().splitlines()) if line), "nothing said")


def row(name: str, other: pathlib.Path, here: pathlib.Path, folder: pathlib.Path) -> bool:
    """Run a command in both checkouts, print its row, and say whether all of its pictures are equal."""
    before, after = folder / "before" / name, folder / "after" / name
    one, two = painted_before(name, other, folder), paint(RENAMED.get(name, COMMANDS[name]), here, folder, after)
    failed = [f"{out.parent.name}: {last_line(out)}" for out, run in ((before, one), (after, two)) if run["code"]]
    differences = failed or compare(before, after)
    said = "failed" if failed else "differs" if differences else f"equal ({len([*after.rglob('*.png')])})"
    print(f"{name:<16} {said:<10} {one['seconds']:6.1f} s {two['seconds']:6.1f} s", flush=True)
    print("".join(f"    {text}\n" for text in differences), end="", flush=True)
    return not differences


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=pathlib.Path, help="a checkout that paints as it should")
    parser.add_argument("--here", type=pathlib.Path, default=HERE, help="what is judged (default: this checkout)")
    parser.add_argument("--folder", metavar="DIR", type=pathlib.Path, default=FOLDER, help="(default: %(default)s)")
    parser.add_argument("--only", metavar="NAME", nargs="+", choices=COMMANDS, default=[*COMMANDS])
    args = parser.parse_args()
    other, here, folder = (path.resolve() for path in (args.other, args.here, args.folder))
    prepare(other, here, folder)
    equal = [row(name, other, here, folder) for name in args.only]
    print(f"{sum(equal)} of {len(equal)} equal")
    return 0 if all(equal) else 1


if __name__ == "__main__":
    raise SystemExit(main())
