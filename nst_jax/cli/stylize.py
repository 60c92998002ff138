"""Paint a photograph after a painting.

nst-jax stylize town.jpg night.jpg -o painting.png
nst-jax stylize town.jpg night.jpg -o painting.png --size 640x480 --optimizer adam --steps 300 --style-weight 3
"""

import argparse
import functools
import os
import pathlib
import sys
import time
from typing import Any

import nst_jax
from nst_jax.cli import failed, follow, settings, values


def arguments(parser):
    parser.add_argument("content", metavar="CONTENT", help="the photograph")
    parser.add_argument("style", metavar="STYLE", help="the painting")
    parser.add_argument("-o", "--output", metavar="OUT", required=True, type=values.output, help="the picture to write")
    common(parser)
    settings.arguments(parser)
    parser.add_argument("--save-every", metavar="N", type=values.count, help="also store a picture every N steps")
    parser.add_argument("--folder", metavar="DIR", help="where to store them (default: OUT's name and -steps)")
    parser.add_argument("--max-pixels", metavar="N", type=values.count, help="largest picture that is read or painted")


def common(parser):
    """What every run takes."""
    parser.add_argument("--weights", metavar="FILE", help="the network (default: see `nst-jax weights info`)")
    parser.add_argument("--seed", metavar="N", type=values.seed, default=0, help="of random starts (default: 0)")
    parser.add_argument("--minutes", metavar="X", type=values.positive, help="as many steps as fit into this time")
    parser.add_argument("--log", metavar="FILE", type=values.log, help="write losses as lines of JSON")


def run(args):
    recipe = settings.customised(args)
    folder = steps_folder(args, recipe)
    check_apart(args, recipe, folder)
    return paint(args, read(args, recipe), folder=folder)


def steps_folder(args, recipe) -> pathlib.Path | None:
    """Where pictures on the way are stored, if they are: as flags say, or as the recipe's source did."""
    args.save_every = args.save_every or recipe.store or None
    if args.save_every:
        out = pathlib.Path(args.output)
        folder = pathlib.Path(args.folder or out.with_name(f"{out.stem}-steps"))
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(f"folder must not be a file, got {str(folder)!r}: choose another name")
        return folder
    if args.folder:
        raise argparse.ArgumentTypeError("--folder must go with --save-every, got it alone: add --save-every 50")
    return None


def made(folder: pathlib.Path) -> pathlib.Path:
    """This folder, there and writable."""
    from nst_jax import images

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise NotADirectoryError(f"folder must not be a file, got {str(folder)!r}: choose another name") from None
    images.check_writable(folder / "0.png")
    return folder


def check_apart(args, recipe, folder):
    """Raise if a file that is written is one that is read, or is written twice."""
    start = recipe.start if starts_from_file(recipe) else None
    taken = {os.path.realpath(path) for path in (args.content, args.style, start, args.weights) if path}
    written = [path for path in (args.output, args.log) if path]
    if folder:
        total = recipe.steps(512)
        steps = range(args.save_every, total + 1, args.save_every)
        written += [os.path.join(folder, follow.stored(step, total)) for step in steps]
    for path in written:
        real = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
        if not taken.isdisjoint({real, os.path.realpath(path)}):
            raise ValueError(f"output must not be a file that the run needs, got {path!r} twice: choose another name")
        taken.add(real)


def starts_from_file(recipe) -> bool:
    """Whether a recipe starts from a picture file."""
    from nst_jax import starts

    return not starts.named(recipe.start)


def read(args, recipe):
    """The job: full pictures, and the shape that recipe and flags say. Scaling up is said."""
    from nst_jax import images, losses
    from nst_jax import paint as painting

    load = functools.partial(images.load, max_pixels=args.max_pixels or images.MAX_PIXELS)
    content, style = load(args.content), load(args.style)
    start = load(recipe.start) if starts_from_file(recipe) else None
    shape = images.fitted(content.shape, recipe.size, edge=recipe.edge)
    _check_shape(shape, args)
    job = painting.Job(images.crop(content, shape), losses.everywhere(style), recipe, shape, start, args.seed)
    _, regions = painting.at(job, shape)
    _say_if_larger("content", job.content.shape, shape)
    _say_if_larger("style", style.shape, regions[0].styles[0].image.shape)
    return job


def _say_if_larger(what, known, shape):
    if shape[0] > known[0] or shape[1] > known[1]:
        print(f"{what}: scaled up from {known[1]}×{known[0]} to {shape[1]}×{shape[0]}", file=sys.stderr)


def _check_shape(shape, args):
    """Raise now if a picture of this shape is too large for us, or for the file that it goes into."""
    from nst_jax import images

    (h, w), most = shape, args.max_pixels or images.MAX_PIXELS
    if h * w > most:
        raise ValueError(f"picture must hold at most {most:,} pixels, got {w}×{h}: lower --size or raise --max-pixels")
    suffix = os.path.splitext(args.output)[1].lower()
    longest = images.SUFFIXES[suffix].longest
    if max(shape) > longest:
        raise ValueError(f"picture in {suffix} must be at most {longest} px long, got {w}×{h}: write a .png")


def paint(args, job, *, folder=None) -> int:
    """Do a job, follow it, and save what comes out."""
    from nst_jax import families, images, vgg19
    from nst_jax import paint as painting

    begun = time.perf_counter()
    recipe, params, fitted = families.fitted(job.recipe, vgg19.load(args.weights), path=args.weights)
    job = job._replace(recipe=recipe)
    if args.minutes:
        job = planned(params, job, args.minutes - (time.perf_counter() - begun) / 60)
    head = about(args, job)
    if fitted:
        head["family"] = fitted
    for name in ("recipe", "size", "device", "network", "family"):
        if name in head:
            print(f"{name + ':':<9} {head[name]}", file=sys.stderr)
    store = follow.storing(made(folder) if folder else None, args.save_every, head["steps"])
    run = painting.frames(params, job, every=follow.chunk(args.save_every))
    with follow.log(args.log, **head) as record:
        last, error = follow.follow(run, steps=head["steps"], record=record, store=store)
    images.save(args.output, images.resize(last.image, job.shape))  # a run that was stopped may still be coarse
    if error:
        return failed(error, more=f"; the picture after {last.step} steps is in {args.output}")
    print(f"{args.output}: painted in {last.step} steps, {time.perf_counter() - begun:.0f} s")
    return 0


def planned(params, job, minutes):
    """The job with the steps that fit into the time left, which are said, and recorded with what is made."""
    from nst_jax import budget, recipes

    begun = time.perf_counter()
    cost = budget.measured(params, job)
    stages = budget.planned(job, cost, 60 * minutes - (time.perf_counter() - begun))
    ladder = ",".join(f"{stage.size}:{stage.steps}" for stage in stages)
    print(f"plan:     --ladder {ladder} (a step costs {cost.of(job.shape):.2f} s at full size)", file=sys.stderr)
    return job._replace(recipe=job.recipe._replace(schedule=recipes.listed(*stages)))


def about(args, job) -> dict[str, Any]:
    """What a result depends on: the head of its log."""
    from nst_jax import paint as painting
    from nst_jax import vgg19

    said, stages = vgg19.info(args.weights), painting.stages(job)
    ladder = ", ".join(f"{w}×{h}: {stage.steps}" for (h, w), stage in stages)
    return {
        "version": nst_jax.__version__,
        "recipe": job.recipe.name,
        "content": args.content,
        "style": args.style,
        "size": f"{job.shape[1]}×{job.shape[0]} ({ladder} steps)",
        "start": job.recipe.start,
        "steps": sum(stage.steps for _, stage in stages),
        "ladder": [[w, h, stage.steps] for (h, w), stage in stages],
        "optimizer": job.recipe.optimizer,
        "settings": dict(job.recipe.settings),
        "seed": args.seed,
        "device": follow.device(),
        "network": follow.network(said),
        "sha256": said["sha256"],
    }
