"""What is painted where, in whose colours: flags, and the job that they make of files. Not a sub-command."""

import argparse
import functools
import os
import sys
from typing import Any, NamedTuple

from nst_jax.cli import values

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
    from nst_jax import colour, starts

    start = [] if starts.named(recipe.start) else [recipe.start]
    palette = colour.parsed(args.colour)[1]
    found = {"content": [args.content], "style": list(args.style), "mask": args.mask or []}
    found |= {"style-mask": [path for path in args.style_mask or [] if path != "-"], "init": start}
    found |= {"strength-map": [args.strength_map] if args.strength_map else [], "palette": [palette] if palette else []}
    return {kind: paths for kind, paths in found.items() if paths}


def check(args) -> None:
    """Raise if flags that are good one by one do not go together."""
    count = len(args.style)
    if args.mask and len(args.mask) not in (1, count):
        raise argparse.ArgumentTypeError(
            f"--mask must be one file or {count}, one for each style, got {len(args.mask)}"
        )
    if args.mask and len(args.mask) == 1 and args.style_mix:
        raise argparse.ArgumentTypeError("--style-mix must not go with --mask, got both: --mask-weights says how much")
    for flag in ("style_mix", "style_scale", "mask_weights", "style_mask"):
        given = getattr(args, flag)
        if given and given != "ramp" and len(given) != count and not (flag == "style_scale" and len(given) == 1):
            name = "--" + flag.replace("_", "-")
            raise argparse.ArgumentTypeError(f"{name} must have {count} values, one for each style, got {len(given)}")
    if args.mask_weights and not args.mask:
        raise argparse.ArgumentTypeError("--mask-weights must go with --mask, got no masks: add --mask FILE")


def read(args, recipe) -> Sources:
    """The pictures of a run."""
    from nst_jax import images

    known = files(args, recipe)
    limit = args.max_pixels or images.MAX_PIXELS
    load, picture = (functools.partial(f, max_pixels=limit) for f in (images.load, images.read))

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
    from nst_jax import colour, images
    from nst_jax import paint as painting

    content, alpha = ground(sources.content, args.alpha)
    if recipe.size is None and args.size is None:
        recipe = recipe._replace(size=content.shape[:2])
    shape = images.fitted(content.shape, recipe.size, edge=recipe.edge)
    content = images.crop(content, shape)
    plan = colour.palette(sources.palette) if sources.palette is not None else colour.MODES.get(args.colour)
    pictures = [ground(style, "stylise")[0] for style in sources.styles]
    before, pictures = plan.prepared(content, pictures) if plan else (content, pictures)
    regions = regions_of(args, sources, pictures, content.shape[:2], alpha)
    _say_if_small(regions, recipe, shape)
    made = painting.Job(before, regions, recipe, shape, sources.start, args.seed)
    original = functools.partial(images.resize, content)
    finish = (lambda image: plan.finished(image, original(image.shape[:2]))) if plan else (lambda image: image)
    return made, finish, extras(args, sources.content, alpha, shape)


def ground(picture, alpha: str):
    """(colour to paint, alpha or None): what is transparent is filled from nearby, or white."""
    from nst_jax import regions

    if picture.alpha is None:
        return picture.image, None
    if alpha == "keep":
        return regions.filled(picture.image, picture.alpha), picture.alpha
    return 1 + (picture.image - 1) * picture.alpha[..., None], None


def regions_of(args, sources: Sources, pictures, shape, alpha):
    """The styles and where each of them goes, over a content of this shape."""
    from nst_jax import images, regions
    from nst_jax.losses import Region

    styles = _styles(args, sources, pictures)
    strength = None if sources.strength is None else _guide(sources.strength, shape, args.strength_map)
    if alpha is not None:
        alpha = images.crop(alpha, shape)
        strength = alpha if strength is None else strength * alpha
    guides = _guides(args, sources.masks, len(styles), shape)
    if guides is None:
        return (Region(tuple(styles), strength),)
    return regions.each(styles, guides, strength)


def _styles(args, sources, pictures):
    from nst_jax import regions
    from nst_jax.losses import Style

    count = len(pictures)
    mix = args.style_mix if isinstance(args.style_mix, list) else [1.0] * count
    scales = args.style_scale or [1.0]
    scales = scales * count if len(scales) == 1 else scales
    masks = sources.style_masks or [None] * count
    guides = []
    for mask, picture, style in zip(masks, pictures, sources.styles, strict=True):
        guide = None if mask is None else regions.checked(regions.grey(mask), picture.shape[:2], "--style-mask")
        see = style.alpha
        guides.append(guide if see is None else see if guide is None else guide * see)
    rows = zip(pictures, mix, guides, scales, strict=True)
    return [Style(image, weight, guide, scale) for image, weight, guide, scale in rows]


def _guide(mask, shape, name):
    from nst_jax import images, regions

    return regions.checked(images.crop(regions.grey(mask), shape), shape, os.path.basename(name))


def _guides(args, masks, count, shape):
    from nst_jax import images, regions

    if args.style_mix == "ramp":
        return regions.ramp(count, shape)
    if not masks:
        return None
    if len(masks) == 1 and count > 1:
        coded = regions.coded(masks[0], count)
        guides = [regions.checked(images.crop(guide, shape), shape, os.path.basename(args.mask[0])) for guide in coded]
    else:
        guides = [_guide(mask, shape, name) for mask, name in zip(masks, args.mask, strict=True)]
    return [guide * weight for guide, weight in zip(guides, args.mask_weights or [1.0] * count, strict=True)]


def _say_if_small(found, recipe, shape):
    """Say which regions are smaller than a position of the deepest layer: little of their style will be seen."""
    from nst_jax import images, regions, vgg19

    deepest = max(map(vgg19.stride, recipe.style), default=1)
    for i, region in enumerate(found):
        if region.guide is not None and regions.small(images.resize(region.guide, shape), deepest):
            print(
                f"region {i + 1}: smaller than one position of the deepest layer, {deepest}×{deepest} px",
                file=sys.stderr,
            )


def extras(args, picture, alpha, shape):
    """What is written with the result: alpha, bits and, where asked for, the content's profile and EXIF."""
    from nst_jax import deep, images

    kept = images.resize(images.crop(alpha, shape), shape).clip(0, 1) if alpha is not None else None
    if not args.keep_metadata:
        return images.Extras(alpha=kept, bits=args.bits)
    if picture.profile and not deep.usable_profile(picture.profile):
        print("profile: the content's is not for RGB pictures, so the result is sRGB", file=sys.stderr)
    return images.Extras(alpha=kept, profile=picture.profile, exif=picture.exif, bits=args.bits)
