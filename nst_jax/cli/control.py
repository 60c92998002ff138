"""What is painted where, in whose colours: flags, and the job that they make of files. Not a sub-command."""

import argparse
import contextlib
import functools
import os
import sys
import tempfile
from typing import Any, NamedTuple

from nst_jax.cli import values

PICTURES = ("content", "contents", "style", "mask", "style_mask", "strength_map", "init", "palette")  # that name files
# fmt: off
PAINTED = (
    "style_scale", "style_size", "mask", "mask_weights", "style_mask", "strength_map", "minutes", "save_every", "log",
    "report", "still", "fast_first", "preview",
)
# fmt: on
COLOURS = "style, content-luminance, match-chol, match-pca, match-sym, palette:IMAGE or only"


def arguments(parser):
    """Several styles, masks, colours, alpha and metadata."""
    add = parser.add_argument_group("control").add_argument
    add("--style-mix", metavar="X,…|ramp", type=values.mix, help="shares of several styles, or from left to right")
    add("--style-scale", metavar="X,…", type=values.positives, help="strokes as many times as large, for each style")
    add("--style-size", metavar="N", type=values.count, help="edge of the styles in pixels, whatever the picture's")
    add("--mask", metavar="FILE", nargs="+", help="where each style goes: one file of as many colours, or one for each")
    add("--mask-weights", metavar="X,…", type=values.weights, help="how much style under each mask")
    add("--style-mask", metavar="FILE", nargs="+", help="which part of each style counts; - for all of it")
    add("--strength-map", metavar="FILE", help="how much style anywhere: white as the recipe says, black none")
    add("--colour", metavar="MODE", type=values.colour, default="style", help=COLOURS)
    add("--alpha", choices=("keep", "stylise"), default="keep", help="a sprite stays one, or is painted over white")
    add("--bits", metavar="8|16", type=values.bits, default=8, help="of PNG and TIFF")
    add("--keep-metadata", action="store_true", help="the content's ICC profile and EXIF, which may tell where it was")


class Sources(NamedTuple):
    """What a run reads: pictures as they are in files, and the guides over them."""

    content: Any  # images.Picture
    styles: list  # images.Picture
    masks: list  # [h, w, 3]
    style_masks: list  # [h, w, 3] or None
    strength: Any = None
    start: Any = None
    palette: Any = None


def files(args, recipe) -> dict[str, list[str]]:
    """The files that a run reads, by what they are for."""
    from nst_jax.painting import starts
    from nst_jax.pictures import colour

    start = [] if starts.named(recipe.start) else [recipe.start]
    palette = colour.parse_mode(args.colour)[1]
    found = {"content": [args.content], "style": list(args.style), "mask": args.mask or []}
    found |= {"style-mask": args.style_mask or [], "init": start}
    found |= {"strength-map": [args.strength_map] if args.strength_map else [], "palette": [palette] if palette else []}
    return {kind: paths for kind, paths in found.items() if paths}


def check(args) -> None:
    """Raise if flags that are good one by one do not go together."""
    _check_counts(args, len(args.style))
    if args.mask and args.style_mix:
        raise argparse.ArgumentTypeError("--style-mix must not go with --mask, got both: --mask-weights says how much")
    if args.mask_weights and not args.mask:
        raise argparse.ArgumentTypeError("--mask-weights must go with --mask, got no masks: add --mask FILE")
    if args.style_mix == "ramp" and len(args.style) == 1:
        raise argparse.ArgumentTypeError("--style-mix ramp must have several styles, got 1: name another STYLE")
    if args.colour == "only":
        _check_only(args)


@contextlib.contextmanager
def fetched(args):
    """For a while, pictures that are named by addresses on the web are files, which the arguments name instead."""
    from nst_jax.pictures import download

    known: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="nst-jax-") as folder:

        def local(name):
            if not isinstance(name, str) or not download.is_address(name):
                return name
            if name not in known:
                os.mkdir(place := os.path.join(folder, str(len(known))))
                known[name] = str(download.picture(name, place))
            return known[name]

        for name in PICTURES:
            if given := getattr(args, name, None):
                setattr(args, name, [*map(local, given)] if isinstance(given, list) else local(given))
        try:
            yield
        except (ValueError, OSError) as error:
            text = str(error)
            for name, path in known.items():  # say what was asked for, not where it lies for a while
                text = text.replace(path, name)
            if text == str(error):
                raise
            raise (OSError if isinstance(error, OSError) else ValueError)(text) from error


def _check_only(args):
    """Raise if flags about painting go with colours alone, which paint nothing."""
    for flag in PAINTED:
        if getattr(args, flag, None):
            name = "--" + flag.replace("_", "-")
            raise argparse.ArgumentTypeError(f"{name} must not go with --colour only, which paints nothing: leave it")
    if args.style_mix == "ramp":
        raise argparse.ArgumentTypeError("--style-mix must be shares with --colour only, got ramp: write 2,1")


def _check_counts(args, count):
    """Raise unless there is one value, or file, for each style."""
    if args.mask and len(args.mask) not in (1, count):
        raise argparse.ArgumentTypeError(
            f"--mask must be one file or {count}, one for each style, got {len(args.mask)}"
        )
    for flag in ("style_mix", "style_scale", "mask_weights", "style_mask"):
        given = getattr(args, flag)
        if given and given != "ramp" and len(given) != count and not (flag == "style_scale" and len(given) == 1):
            name = "--" + flag.replace("_", "-")
            many = "1 value" if count == 1 else f"{count} values, one for each style"
            raise argparse.ArgumentTypeError(f"{name} must have {many}, got {len(given)}")


def read(args, recipe, *, kept: dict | None = None) -> Sources:
    """The pictures of a run; those that are kept from another are not read again."""
    from nst_jax.pictures import images

    known, kept = files(args, recipe), {} if kept is None else kept

    def once(f, path):
        if (f, path) not in kept:
            kept[f, path] = f(path, max_pixels=_most(args))
        return kept[f, path]

    load, picture = functools.partial(once, images.load), functools.partial(once, images.read)

    def one(kind):
        return load(known[kind][0]) if kind in known else None

    return Sources(
        picture(args.content),
        [picture(path) for path in args.style],
        [load(path) for path in known.get("mask", [])],
        [None if path == "-" else load(path) for path in args.style_mask or []],
        one("strength-map"),
        one("init"),
        one("palette"),
    )


def job(args, recipe, sources: Sources):
    """(the job, a function that finishes its picture, what `images.save` writes besides)."""
    from nst_jax.painting import painter as painting
    from nst_jax.pictures import colour, images

    content, alpha = ground(sources.content, args.alpha)
    recipe = suited(args, recipe, content.shape[:2])
    shape = images.shape_for(content.shape, recipe.size, edge=recipe.edge)
    check_shape(shape, args)
    content = images.crop(content, shape)
    plan = colour.palette_mode(sources.palette) if sources.palette is not None else colour.MODES.get(args.colour)
    pictures = [ground(style, "stylise")[0] for style in sources.styles]
    before, pictures = plan.before(content, pictures) if plan else (content, pictures)
    regions = regions_of(args, sources, pictures, content.shape[:2], alpha)
    _check_styles(regions, recipe, shape, _most(args))
    _say_if_small(args, regions, recipe, shape)
    made = painting.Job(before, regions, recipe, shape, sources.start, args.seed)
    original = functools.partial(images.resize, content)
    finish = (lambda image: plan.after(image, original(image.shape[:2]))) if plan else (lambda image: image)
    return made, finish, extras(args, sources.content, alpha, shape)


def suited(args, recipe, shape):
    """The recipe for a content of this shape, and for guides, which end at 1 whatever the masks' weights."""
    if recipe.size is None and args.size is None:
        recipe = recipe._replace(size=shape)
    return recipe.times(style=_loudest(args))


def _most(args) -> int:
    from nst_jax.pictures import images

    return args.max_pixels or images.MAX_PIXELS


def _loudest(args) -> float:
    """What guides, which end at 1, leave to the recipe: the largest of the masks' weights, where it is above 1."""
    return max(1.0, *args.mask_weights or [1.0])


def check_shape(shape, args) -> None:
    """Raise now if a picture of this shape is too large for us, or is more than the file that it goes into can hold."""
    from nst_jax.pictures import images

    (h, w), most = shape, _most(args)
    if h * w > most:
        raise ValueError(f"picture must hold at most {most:,} pixels, got {w}×{h}: lower --size or raise --max-pixels")
    suffix = os.path.splitext(args.output)[1].lower()
    writer = images.SUFFIXES[suffix]
    if max(shape) > writer.longest:
        raise ValueError(f"picture in {suffix} must be at most {writer.longest} px long, got {w}×{h}: write a .png")
    if args.bits != 8 and "bits" not in writer.holds:
        raise ValueError(f"picture in {suffix} must have 8 bits, got --bits {args.bits}: write a .png or .tif")


def _check_styles(found, recipe, shape, most):
    """Raise now if a style would be enlarged beyond what a picture may hold."""
    from nst_jax.painting import painter as painting
    from nst_jax.pictures import images

    edge = images.EDGES[recipe.edge](*shape)
    for style in (style for region in found for style in region.styles):
        known = style.image.shape
        h, w = images.shape_for(known, painting.style_edge(recipe, style, known, edge), edge=recipe.edge)
        if h * w > most:
            got = f"got {w}×{h}: lower --style-scale or --style-size"
            raise ValueError(f"style must hold at most {most:,} pixels, {got}")


def ground(picture, alpha: str):
    """(colour to paint, alpha or None): what is transparent is filled from nearby, or white."""
    from nst_jax.pictures import masks as regions

    if picture.alpha is None:
        return picture.image, None
    if alpha == "keep":
        return regions.fill_transparent(picture.image, picture.alpha), picture.alpha
    return 1 + (picture.image - 1) * picture.alpha[..., None], None


def regions_of(args, sources: Sources, pictures, shape, alpha):
    """The styles and where each of them goes, over a content of this shape."""
    from nst_jax.objective import losses
    from nst_jax.pictures import images
    from nst_jax.pictures import masks as regions

    styles = _styles(args, sources, pictures)
    whole = sources.content.image.shape[:2]
    strength = sources.strength
    if strength is not None:
        strength = _guide(regions.guide_from_grey(sources.strength), whole, shape, args.strength_map)
    if alpha is not None:
        alpha = images.crop(alpha, shape)
        strength = alpha if strength is None else strength * alpha
    guides = _guides(args, sources.masks, whole, shape)
    if guides is None:
        return (losses.Region(tuple(styles), strength),)
    return losses.under_guides(styles, guides, strength)


def _styles(args, sources, pictures):
    from nst_jax.objective.losses import Style
    from nst_jax.pictures import masks as regions

    count = len(pictures)
    mix = args.style_mix if isinstance(args.style_mix, list) else [1.0] * count
    scales = args.style_scale or [1.0]
    scales = scales * count if len(scales) == 1 else scales
    masks = sources.style_masks or [None] * count
    guides = []
    for mask, picture, style in zip(masks, pictures, sources.styles, strict=True):
        guide = (
            None
            if mask is None
            else regions.fit_to_picture(regions.guide_from_grey(mask), picture.shape[:2], "--style-mask")
        )
        see = style.alpha
        guides.append(guide if see is None else see if guide is None else guide * see)
    rows = zip(pictures, mix, guides, scales, strict=True)
    return [Style(image, weight, guide, scale) for image, weight, guide, scale in rows]


def _guide(guide, whole, shape, name):
    """A guide over the whole content, cropped as the content is."""
    from nst_jax.pictures import images
    from nst_jax.pictures import masks as regions

    return images.crop(regions.fit_to_picture(guide, whole, os.path.basename(name)), shape)


def _guides(args, masks, whole, shape):
    from nst_jax.pictures import masks as regions

    count = len(args.style)
    if args.style_mix == "ramp":
        return regions.ramp(count, shape)
    if not masks:
        return None
    one = len(masks) == 1 and count > 1
    each = regions.guides_from_colours(masks[0], count) if one else map(regions.guide_from_grey, masks)
    names = args.mask * count if one else args.mask
    guides = [_guide(guide, whole, shape, name) for guide, name in zip(each, names, strict=True)]
    weights = args.mask_weights or [1.0] * count
    return [guide * (weight / _loudest(args)) for guide, weight in zip(guides, weights, strict=True)]


def _say_if_small(args, found, recipe, shape):
    """Say which regions are smaller than a position of the deepest layer: little of their style will be seen."""
    from nst_jax.network import vgg19
    from nst_jax.pictures import images
    from nst_jax.pictures import masks as regions

    deepest = max(map(vgg19.stride, recipe.style), default=1)
    meant = [weight == 0 for weight in args.mask_weights or [1.0] * len(found)]
    for i, region in enumerate(found):
        if (
            region.guide is not None
            and not meant[i]
            and regions.is_too_small(images.resize(region.guide, shape), deepest)
        ):
            print(
                f"region {i + 1}: smaller than one position of the deepest layer, {deepest}×{deepest} px",
                file=sys.stderr,
            )


def extras(args, picture, alpha, shape):
    """What is written with the result: alpha, bits and, where asked for, the content's profile and EXIF."""
    from nst_jax.pictures import icc, images

    kept = images.resize(images.crop(alpha, shape), shape).clip(0, 1) if alpha is not None else None
    if not args.keep_metadata:
        return images.Extras(alpha=kept, bits=args.bits)
    if picture.profile and not icc.is_usable(picture.profile):
        print("profile: the content's is not for RGB pictures, so the result is sRGB", file=sys.stderr)
    return images.Extras(alpha=kept, profile=picture.profile, exif=picture.exif, bits=args.bits)
