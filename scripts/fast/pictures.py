"""Training pictures: files out of Debian packages or a folder, and crops of them made to look like anything.

A crop is [edge, edge, 3] uint8; the same seed gives the same crop.
"""

import pathlib
import re
import struct
import subprocess
from collections.abc import Callable, Sequence
from io import BytesIO

import numpy as np
from fast import drawings
from PIL import Image

PACKAGES = (  # freely licensed: weights/README.md says under what
    "desktop-base",
    "endless-sky-data",
    "gcompris-qt-data",
    "gnome-backgrounds",
    "lomiri-wallpapers-16.04",
    "lomiri-wallpapers-20.04",
    "lxqt-themes",
    "mate-backgrounds",
    "mypaint-data-extras",
    "plasma-workspace-wallpapers",
    "sway-backgrounds",
    "ukui-wallpapers",
    "wesnoth-1.16-data",
)
LONGEST, SHORTEST = 800, 180  # px: longer pictures are reduced, smaller ones left out
SUFFIXES = ".jpg", ".jpeg", ".png", ".webp"
DRAWN = 0.3  # the share of crops that are drawn, not photographed or painted

Crop = Callable[[np.random.Generator, int], np.ndarray]


def fetch(folder: pathlib.Path) -> None:
    """Download and unpack the packages that are not there yet: -> folder/PACKAGE/…"""
    folder.mkdir(parents=True, exist_ok=True)
    for package in PACKAGES:
        if not (folder / package).exists():
            print(f"fetching {package}", flush=True)
            subprocess.run(["apt-get", "download", package], cwd=folder, check=True, stdout=subprocess.DEVNULL)
            (archive,) = folder.glob(f"{package}_*.deb")
            subprocess.run(["dpkg-deb", "-x", archive, folder / "unpacking"], check=True)
            archive.unlink()
            (folder / "unpacking").rename(folder / package)


def collect(folder: pathlib.Path, cache: pathlib.Path) -> list[np.ndarray]:
    """Every usable picture under a folder, no two alike; kept in one mapped file, so that it is read once."""
    if not cache.exists():
        pictures = list(_without_copies(_read_pictures(folder)))
        partial = cache.with_suffix(".partial")
        with open(partial, "wb") as stream:
            for picture in pictures:
                stream.write(struct.pack("<II", *picture.shape[:2]) + picture.tobytes())
        partial.rename(cache)
    return _map_pictures(cache)


def _map_pictures(cache):
    flat, pictures, at = np.memmap(cache, np.uint8, "r"), [], 0
    while at < len(flat):
        h, w = struct.unpack("<II", flat[at : at + 8].tobytes())
        pictures.append(flat[at + 8 : at + 8 + h * w * 3].reshape(h, w, 3))
        at += 8 + h * w * 3
    return pictures


def _read_pictures(folder):
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_file() or {"doc", "help"} & set(path.parts):
            continue  # manuals show windows full of text
        if path.suffix.lower() in SUFFIXES and path.stat().st_size > 40_000:
            yield from _usable_pictures(path)
        elif path.suffix == ".rcc":  # Qt's archives hold WebP files as they are
            data = path.read_bytes()
            for found in re.finditer(rb"RIFF(....)WEBP", data, re.DOTALL):
                size = struct.unpack("<I", found[1])[0] + 8
                if size > 25_000:
                    yield from _usable_pictures(BytesIO(data[found.start() : found.start() + size]))


def _usable_pictures(file):
    """The picture as an array, unless it is broken, small or mostly transparent; what lies behind it is made plain."""
    try:
        image = Image.open(file)
        image.draft("RGB", (2 * LONGEST, 2 * LONGEST))
        image.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    except OSError:
        return
    *colours, alpha = np.moveaxis(np.asarray(image.convert("RGBA")), 2, 0)
    if min(image.size) >= SHORTEST and (alpha > 250).mean() > 0.3:
        colours, there = np.stack(colours, -1), alpha[..., None] / 255
        behind = colours[alpha > 250].mean(0)
        yield (colours * there + behind * (1 - there)).astype(np.uint8)


def _without_copies(pictures):
    """Those that look unlike all before them, as stamps of 12 × 12 grey pixels."""
    seen = np.zeros((0, 144), np.float32)
    for picture in pictures:
        stamp = np.asarray(Image.fromarray(picture).convert("L").resize((12, 12)), np.float32).reshape(1, -1)
        spread = stamp.std()
        stamp = (stamp - stamp.mean()) / (spread + 1e-3)
        if spread > 3 and (len(seen) == 0 or np.abs(seen - stamp).mean(1).min() > 0.15):
            seen = np.concatenate([seen, stamp])
            yield picture


# Crops


def crop(seed: Sequence[int], pictures: Sequence[np.ndarray], edge: int, *, changed: bool = True) -> np.ndarray:
    """A crop of any picture or a drawing, changed at random or not: -> [edge, edge, 3] uint8."""
    random = np.random.default_rng(seed)
    image = _random_picture(random, pictures, edge)
    if not changed:
        return (image.clip(0, 1) * 255 + 0.5).astype(np.uint8)
    if random.random() < 0.1:  # two at once, as nothing in nature
        share = random.uniform(0.2, 0.8)
        image = share * image + (1 - share) * _random_picture(random, pictures, edge)
    image = _change_colours(random, image)
    if random.random() < 0.35:
        image = _look_optimised(random, image)
    return (image.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def random_piece(random: np.random.Generator, picture: np.ndarray, edge: int) -> np.ndarray:
    """A square of any size and place within a picture, resized: -> [edge, edge, 3] in [0, 1]."""
    h, w = picture.shape[:2]
    longest = min(h, w)
    side = int(np.exp(random.uniform(np.log(min(edge, longest)), np.log(longest))))
    y, x = random.integers(h - side + 1), random.integers(w - side + 1)
    part = Image.fromarray(np.ascontiguousarray(picture[y : y + side, x : x + side]))
    return np.asarray(part.resize((edge, edge), Image.Resampling.LANCZOS), np.float32) / 255


def _random_picture(random, pictures, edge):
    if not pictures or random.random() < DRAWN:
        image = drawings.draw(random, edge)
    else:
        image = random_piece(random, pictures[random.integers(len(pictures))], edge)
    if random.random() < 0.5:
        image = image[:, ::-1]
    return np.rot90(image, random.integers(4)) if random.random() < 0.1 else image


def _change_colours(random, image):
    if random.random() < 0.15:
        image = image[..., random.permutation(3)]
    if random.random() < 0.05:
        image = 1 - image
    if random.random() < 0.5:  # saturation, contrast, brightness
        grey = image.mean(-1, keepdims=True)
        image = grey + random.uniform(0, 2) * (image - grey)
        image = (image - 0.5) * random.uniform(0.5, 1.6) + 0.5 + random.uniform(-0.15, 0.15)
    return image


def _look_optimised(random, image):
    """As an optimisation's pictures look: edges too sharp, grain, blotches of colour."""
    edge = image.shape[0]
    soft = image
    for axis in 0, 1:
        soft = sum(np.roll(soft, i, axis) for i in (-1, 0, 1)) / 3
    image = image + random.uniform(0, 3) * (image - soft)
    for cells in edge, edge // random.integers(2, 9):
        noise = random.normal(0, random.uniform(0, 0.12), (cells, cells, 3))
        image = image + drawings.enlarge(noise.astype(np.float32), edge)
    return image
