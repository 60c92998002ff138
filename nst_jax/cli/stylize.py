"""Paint a photograph after one or several paintings.

nst-jax stylize town.jpg night.jpg -o painting.png
nst-jax stylize town.jpg night.jpg -o painting.png --size 640x480 --steps 300 --strength 0.7
nst-jax stylize town.jpg night.jpg wave.jpg -o painting.png --mask sky.png water.png --colour content-luminance
"""

import argparse
import os
import pathlib
import sys
import time

from nst_jax.cli import control, devices, failed, follow, machine, report, settings, values


def arguments(parser):
    parser.add_argument("content", metavar="CONTENT", help="the photograph")
    parser.add_argument("style", metavar="STYLE", nargs="+", help="the painting, or several: a blend of them")
    parser.add_argument("-o", "--output", metavar="OUT", required=True, type=values.output, help="the picture to write")
    still = "end where a step changes the picture by less than X of 255 on average: 0.02"
    first = "paint with the fast network, but for the last N steps at full size"
    parser.add_argument("--fast-first", metavar="N", type=values.count, help=first)
    parser.add_argument("--still", metavar="X", type=values.positive, help=still)
    common(parser)
    settings.arguments(parser)
    control.arguments(parser)
    storing(parser)
    devices.arguments(parser)


def storing(parser):
    """Pictures on the way, and how large pictures may be."""
    parser.add_argument("--save-every", metavar="N", type=values.count, help="also store a picture every N steps")
    parser.add_argument("--folder", metavar="DIR", help="where to store them (default: OUT's name and -steps)")
    parser.add_argument("--max-pixels", metavar="N", type=values.count, help="largest picture that is read or painted")


def common(parser, *, seed=values.seed):
    """What every run takes."""
    machine.networks(parser)
    parser.add_argument("--seed", metavar="N", type=seed, default=0, help="of random starts (default: 0)")
    parser.add_argument("--minutes", metavar="X", type=values.positive, help="as many steps as fit into this time")
    parser.add_argument("--log", metavar="FILE", type=values.log, help="write losses as lines of JSON")
    parser.add_argument("--report", metavar="DIR", help="write there how it went, as a page that opens anywhere")
    machine.arguments(parser)


def run(args):
    return devices.run(args, painted)


def painted(args) -> int:
    """What flags ask for, on the devices that there are."""
    control.check(args)
    recipe = settings.customised(args)
    with control.fetched(args):
        return done(args, recipe)


def done(args, recipe) -> int:
    """What flags ask for, every file of it at hand."""
    report.check(args)
    folder = steps_folder(args, recipe)
    known = control.files(args, recipe)
    check_apart(args, recipe, [path for paths in known.values() for path in paths], folder)
    if args.colour != "only":
        machine.reading(args.weights)
    sources = control.read(args, recipe)
    if args.colour == "only":
        return recoloured(args, recipe, sources, known)
    job, finish, extras = control.job(args, recipe, sources)
    say_scaling(job)
    return paint(args, job, follow.Result(args.output, finish, extras, known), folder=folder)


def recoloured(args, recipe, sources, known) -> int:
    """The photograph in the styles' colours; nothing is painted."""
    from nst_jax.orders import record as runs
    from nst_jax.pictures import colour, images

    content, alpha = control.ground(sources.content, args.alpha)
    styles = [control.ground(style, "stylise")[0] for style in sources.styles]
    size = recipe.size if args.size or args.ladder else None  # a recipe's own is for painting
    shape = images.shape_for(content.shape, size, edge=recipe.edge)
    control.check_shape(shape, args)
    content = images.resize(images.crop(content, shape), shape)
    record = {"versions": runs.versions(), "recipe": recipe.name, "flags": settings.written(args)}
    record["inputs"] = {kind: runs.files(paths) for kind, paths in known.items()}
    extras = control.extras(args, sources.content, alpha, shape)._replace(text=runs.text(record))
    images.save(args.output, colour.recolour(content, styles, weights=args.style_mix), extras=extras)
    print(f"{args.output}: recoloured, nothing painted")
    return 0


def steps_folder(args, recipe) -> pathlib.Path | None:
    """Where pictures on the way are stored, if they are: as flags say, or as the recipe's source did."""
    args.save_every = args.save_every or recipe.store or None
    if args.save_every:
        out = pathlib.Path(args.output)
        return pathlib.Path(args.folder or out.with_name(f"{out.stem}-steps"))
    if args.folder:
        raise argparse.ArgumentTypeError("--folder must go with --save-every, got no such: add --save-every 50")
    return None


def made(folder: pathlib.Path) -> pathlib.Path:
    """This folder, there and writable."""
    from nst_jax.pictures import images

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise NotADirectoryError(f"folder must not be a file, got {str(folder)!r}: choose another name") from None
    images.check_writable(folder / "0.png")
    return folder


def check_apart(args, recipe, needed, folder, *, more=()):
    """Raise if a file that is written is one that is read, or is written twice."""
    taken = {os.path.realpath(path) for path in (*needed, args.weights) if path}
    written = [path for path in (args.output, args.log, *report.files(args), *more) if path]
    if folder:
        total = args.steps or recipe.steps(512)  # more sizes than a small picture has
        steps = range(args.save_every, total + 1, args.save_every)
        written += [os.path.join(folder, follow.stored(step, total)) for step in steps]
    for path in written:
        real = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
        if not taken.isdisjoint({real, os.path.realpath(path)}):
            raise ValueError(f"output must not be a file that the run needs, got {path!r} twice: choose another name")
        taken.add(real)


def say_scaling(job):
    """Say which pictures a run enlarges."""
    from nst_jax.painting import painter as painting

    _, regions = painting.at(job, job.shape)
    painted = any(job.recipe.weights(job.shape).content.values())
    pairs = [("content", job.content, job.shape)] if painted else []
    for before, after in zip(job.regions, regions, strict=True):
        pairs += [("style", a.image, b.image.shape) for a, b in zip(before.styles, after.styles, strict=True)]
    for what, picture, shape in pairs:
        known = picture.shape
        if shape[0] > known[0] or shape[1] > known[1]:
            print(f"{what}: scaled up from {known[1]}×{known[0]} to {shape[1]}×{shape[0]}", file=sys.stderr)


def paint(args, job, result: follow.Result, *, folder=None) -> int:
    """Do a job, follow it, and save what comes out."""
    from nst_jax.network import calibration, vgg19
    from nst_jax.orders import record as runs
    from nst_jax.painting import painter as painting
    from nst_jax.painting import relay

    begun, story, uses = time.perf_counter(), report.begun(args, result), devices.used(args, job.shape[0])
    recipe, params, fitted = calibration.fitted(
        job.recipe, machine.network(args.weights), activations=vgg19.activations(args.weights)
    )
    job = job._replace(recipe=recipe)
    if args.minutes:
        job = planned(params, job, args.minutes - (time.perf_counter() - begun) / 60)
        settings.fixed(args, painting.stages(job))
    head: dict = follow.head(args, job, result.inputs, mesh=uses.mesh) | {"plan": machine.plans_of(params, job, uses)}
    runs.text(head, room=runs.ROOM)  # now, and not after the run
    run = relay.frames(legs(args, params, job), every=follow.chunk(args.save_every), machine=uses)
    run = follow.moving(run, job.shape, getattr(args, "still", None))
    if not devices.first():
        return devices.accompanied(run)
    steps = sum(count for *_, count in head["ladder"])
    store = follow.storing(made(folder) if folder else None, args.save_every, steps)
    follow.say(head, fitted, substitutes=machine.substitutes(params, recipe))
    run = story.following(machine.told(run), head)
    with follow.log(args.log, **head) as record:
        last, error = follow.follow(run, steps=steps, record=record, store=store)
    result.save(last, job.shape, head)
    story.write(last)
    if error:
        return failed(error, more=f"; the picture after {last.step} steps is in {args.output}")
    print(f"{args.output}: painted in {last.step} steps, {time.perf_counter() - begun:.0f} s")
    return 0


def legs(args, params, job) -> list:
    """The parts of a run, each with its network: one, or the fast network's and then the exact one's."""
    from nst_jax.network import calibration, vgg19
    from nst_jax.painting import relay

    last = getattr(args, "fast_first", None)
    if not last:
        return [relay.Leg(params, job)]
    if job.recipe.family == "normalised":
        got = f"got {job.recipe.name}: choose another"
        raise ValueError(f"--fast-first must go with a recipe for filters as they are, {got}")
    fast, (before, after) = vgg19.load(vgg19.fast_path()), relay.split(job, last)
    if (family := calibration.of(params)) != calibration.of(fast):  # the weights fit one of them only
        raise ValueError(f"--fast-first must go with a network of the caffe family, got {family}: leave --weights")
    return [relay.Leg(fast, before), relay.Leg(params, after)]


def planned(params, job, minutes):
    """The job with the steps that fit into the time left, which are said."""
    from nst_jax import recipes
    from nst_jax.painting import budget

    begun = time.perf_counter()
    cost = budget.measured(params, job)
    stages = budget.planned(job, cost, 60 * minutes - (time.perf_counter() - begun))
    ladder = ",".join(f"{stage.size}:{stage.steps}" for stage in stages)
    print(f"plan:     --ladder {ladder} (a step costs {cost.of(job.shape):.2f} s at full size)", file=sys.stderr)
    return job._replace(recipe=job.recipe._replace(schedule=recipes.listed(*stages)))
