"""An Order made ready: its recipe, its files read, its pictures, masks and colours as a job. Nothing is printed."""

import contextlib
import functools
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from nst_jax.network import vgg19
from nst_jax.objective import losses
from nst_jax.objective.losses import Region, Style
from nst_jax.orders import customise
from nst_jax.orders import order as orders
from nst_jax.orders.order import Order
from nst_jax.painting import job as jobs
from nst_jax.painting.job import Job
from nst_jax.pictures import colour, download, icc, images, masks


class Task(NamedTuple):
    """An order made ready: its job, what finishes the picture, what is written besides, files, notes for a person."""

    order: Order
    job: Job
    finish: Callable
    extras: images.Extras
    paths: dict[str, list[str]]
    notes: tuple[str, ...] = ()
    params: Any = None
    network: Mapping[str, Any] = {}  # what the weights' file says of itself

    @property
    def shape(self) -> tuple[int, int]:
        """The result's (h, w)."""
        return self.job.shape


class Recolouring(NamedTuple):
    """An order for the photograph in the styles' colours, made ready: nothing is painted after VGG19."""

    order: Order
    shape: tuple[int, int]
    paint: Callable[[], np.ndarray]
    extras: images.Extras
    paths: dict[str, list[str]]
    notes: tuple[str, ...] = ()


# The files


@contextlib.contextmanager
def with_local_files(order: Order) -> Iterator[Order]:
    """For a while, pictures that are named by addresses on the web are files, which this order names instead."""
    with local_names(max_pixels=most_pixels(order)) as local:
        yield order.with_files(local)


@contextlib.contextmanager
def local_names(*, max_pixels: int = images.MAX_PIXELS) -> Iterator[Callable[[str], str]]:
    """For a while, a function that gives addresses on the web the names of files, and leaves other names alone.

    What comes from there is decoded in a process with limits before it is used.
    """
    known: dict[str, str] = {}
    with contextlib.ExitStack() as folders:

        def local(name):
            if not download.is_address(name):
                return name
            if name not in known:
                place = folders.enter_context(tempfile.TemporaryDirectory(prefix="nst-jax-"))
                known[name] = str(download.picture(name, place))
                images.check_decodable(known[name], max_pixels=max_pixels)
            return known[name]

        try:
            yield local
        except (ValueError, OSError) as error:
            text = str(error)
            for name, path in known.items():  # say what was asked for, not where it lies for a while
                text = text.replace(path, name)
            if text == str(error):
                raise
            raise (OSError if isinstance(error, OSError) else ValueError)(text) from error


class Sources(NamedTuple):
    """What a run reads: pictures as they are in files, and the masks over them."""

    content: images.Picture
    styles: list[images.Picture]
    masks: list  # [h, w, 3]
    style_masks: list  # [h, w, 3] or None
    strength: Any = None
    start: Any = None
    palette: Any = None


def read(order: Order, paths: Mapping[str, list[str]], kept: dict | None = None) -> Sources:
    """The pictures of an order; those that are kept from another are not read again."""
    kept = {} if kept is None else kept

    def once(f, path):
        if (f, path) not in kept:
            kept[f, path] = f(path, max_pixels=most_pixels(order))
        return kept[f, path]

    load, picture = functools.partial(once, images.load), functools.partial(once, images.read)

    def one(kind):
        return load(paths[kind][0]) if kind in paths else None

    return Sources(
        picture(order.pictures.content),
        [picture(path) for path in order.pictures.style],
        [load(path) for path in paths.get("mask", [])],
        [None if path == orders.WHOLE else load(path) for path in order.pictures.style_mask],
        one("strength-map"),
        one("init"),
        one("palette"),
    )


def most_pixels(order: Order) -> int:
    """Pixels of the largest picture that is read or painted."""
    return order.machine.max_pixels or images.MAX_PIXELS


# The job


def task(order: Order, *, kept: dict | None = None) -> Task:
    """An order with local files made ready, but for its network; `kept`: pictures that other orders share."""
    orders.check(order)
    recipe = customise.recipe_of(order)
    paths = order.files(recipe.start)
    sources = read(order, paths, kept)
    content, alpha = separate_alpha(sources.content, order.finish.alpha)
    recipe = customise.for_content(order, recipe, content.shape[:2])
    shape = images.shape_for(content.shape, recipe.size, edge=recipe.edge)
    check_shape(order, shape)
    content = images.crop(content, shape)
    mode = (
        colour.palette_mode(sources.palette) if sources.palette is not None else colour.MODES.get(order.finish.colour)
    )
    pictures = [separate_alpha(style, "stylise")[0] for style in sources.styles]
    before, pictures = mode.before(content, pictures) if mode else (content, pictures)
    regions = _regions(order, sources, pictures, content.shape[:2], alpha)
    job = Job(before, regions, recipe, shape, sources.start, order.seed, customise.turn_of(order))
    _check_styles(order, job)
    original = functools.partial(images.resize, content)
    finish = (lambda image: mode.after(image, original(image.shape[:2]))) if mode else (lambda image: image)
    extras, notes = _extras(order, sources.content, alpha, shape)
    notes = (*_small_regions(order, job), *notes, *_enlarged(job))
    return Task(order, job, finish, extras, paths, notes)


def recolouring(order: Order) -> Recolouring:
    """An order with local files, for colours alone, made ready."""
    orders.check(order)
    recipe = customise.recipe_of(order)
    paths = order.files(recipe.start)
    sources = read(order, paths)
    content, alpha = separate_alpha(sources.content, order.finish.alpha)
    styles = [separate_alpha(style, "stylise")[0] for style in sources.styles]
    size = recipe.size if order.recipe.size or order.recipe.ladder else None  # a recipe's own is for painting
    shape = images.shape_for(content.shape, size, edge=recipe.edge)
    check_shape(order, shape)
    content = images.resize(images.crop(content, shape), shape)
    extras, notes = _extras(order, sources.content, alpha, shape)
    paint = functools.partial(colour.recolour, content, styles, weights=order.blend.style_mix)
    return Recolouring(order, shape, paint, extras, paths, tuple(notes))


def check_shape(order: Order, shape) -> None:
    """Raise now if a picture of this shape is larger than asked for or usual."""
    (h, w), most = shape, most_pixels(order)
    if h * w > most:
        raise ValueError(f"picture must hold at most {most:,} pixels, got {w}×{h}: lower size or raise max-pixels")


def _check_styles(order, job):
    """Raise now if a style would be enlarged beyond what a picture may hold."""
    edge, most = images.EDGES[job.recipe.edge](*job.shape), most_pixels(order)
    for style in (style for region in job.regions for style in region.styles):
        wanted = jobs.style_edge(job.recipe, style, edge)
        h, w = images.shape_for(style.image.shape, wanted, edge=job.recipe.edge)
        if h * w > most:
            raise ValueError(f"style must hold at most {most:,} pixels, got {w}×{h}: lower style-scale or style-size")


def separate_alpha(picture: images.Picture, alpha: str) -> tuple[np.ndarray, np.ndarray | None]:
    """(colour to paint, alpha or None): what is transparent is filled from nearby, or white."""
    if picture.alpha is None:
        return picture.image, None
    if alpha == "keep":
        return masks.fill_transparent(picture.image, picture.alpha), picture.alpha
    return 1 + (picture.image - 1) * picture.alpha[..., None], None


def _regions(order, sources, pictures, shape, alpha) -> tuple[Region, ...]:
    """The styles and where each of them goes, over a content of this shape."""
    styles, whole = _styles(order, sources, pictures), sources.content.image.shape[:2]
    strength = sources.strength
    if strength is not None:
        strength = _guide(masks.guide_from_grey(strength), whole, shape, order.pictures.strength_map)
    if alpha is not None:
        alpha = images.crop(alpha, shape)
        strength = alpha if strength is None else strength * alpha
    guides = _guides(order, sources.masks, whole, shape)
    if guides is None:
        return (Region(tuple(styles), strength),)
    return losses.under_guides(styles, guides, strength)


def _styles(order, sources, pictures) -> list[Style]:
    count, mix = len(pictures), order.blend.style_mix
    shares = [1.0] * count if mix is None or mix == "ramp" else mix
    scales = order.blend.style_scale or (1.0,)
    scales = scales * count if len(scales) == 1 else scales
    guides = []
    for mask, picture, style in zip(sources.style_masks or [None] * count, pictures, sources.styles, strict=True):
        guide = (
            None if mask is None else masks.fit_to_picture(masks.guide_from_grey(mask), picture.shape[:2], "style-mask")
        )
        seen = style.alpha
        guides.append(guide if seen is None else seen if guide is None else guide * seen)
    rows = zip(pictures, shares, guides, scales, strict=True)
    return [Style(image, weight, guide, scale) for image, weight, guide, scale in rows]


def _guide(guide, whole, shape, name):
    """A guide over the whole content, cropped as the content is."""
    return images.crop(masks.fit_to_picture(guide, whole, os.path.basename(name)), shape)


def _guides(order, pictures, whole, shape):
    count, weights = len(order.pictures.style), order.blend.mask_weights
    if order.blend.style_mix == "ramp":
        return masks.ramp(count, shape)
    if not pictures:
        return None
    one = len(pictures) == 1 and count > 1
    each = masks.guides_from_colours(pictures[0], count) if one else map(masks.guide_from_grey, pictures)
    files = order.pictures.mask * count if one else order.pictures.mask
    guides = [_guide(guide, whole, shape, name) for guide, name in zip(each, files, strict=True)]
    pairs = zip(guides, weights or [1.0] * count, strict=True)
    return [guide * (weight / customise.loudest(order)) for guide, weight in pairs]


def _extras(order, picture, alpha, shape) -> tuple[images.Extras, list[str]]:
    """What is written with the result: alpha, bits and, where asked for, the content's profile and EXIF."""
    kept = images.resize(images.crop(alpha, shape), shape).clip(0, 1) if alpha is not None else None
    if not order.finish.keep_metadata:
        return images.Extras(alpha=kept, bits=order.finish.bits), []
    usable = not picture.profile or icc.is_usable(picture.profile)
    notes = [] if usable else ["profile: the content's is not for RGB pictures, so the result is sRGB"]
    return images.Extras(alpha=kept, profile=picture.profile, exif=picture.exif, bits=order.finish.bits), notes


def _small_regions(order, job) -> list[str]:
    """Which regions are smaller than a position of the deepest layer: little of their style will be seen."""
    deepest, notes = max(map(vgg19.stride, (*job.recipe.style, *job.recipe.neighbours)), default=1), []
    meant = [weight == 0 for weight in order.blend.mask_weights or [1.0] * len(job.regions)]
    for i, region in enumerate(job.regions):
        if (
            region.guide is not None
            and not meant[i]
            and masks.is_too_small(images.resize(region.guide, job.shape), deepest)
        ):
            notes.append(f"region {i + 1}: smaller than one position of the deepest layer, {deepest}×{deepest} px")
    return notes


def _enlarged(job) -> list[str]:
    """Which pictures a run enlarges."""
    edge = images.EDGES[job.recipe.edge](*job.shape)
    pairs = [("content", np.shape(job.content), job.shape)] if any(job.recipe.content.values()) else []
    for style in (style for region in job.regions for style in region.styles):
        wanted = jobs.style_edge(job.recipe, style, edge)
        pairs.append(("style", style.image.shape, images.shape_for(style.image.shape, wanted, edge=job.recipe.edge)))
    return [
        f"{what}: scaled up from {known[1]}×{known[0]} to {shape[1]}×{shape[0]}"
        for what, known, shape in pairs
        if shape[0] > known[0] or shape[1] > known[1]
    ]
