"""Paint one picture in many ways: weights, strengths, seeds, starts, styles or contents, on one sheet.

nst-jax sweep town.jpg night.jpg -o sweep --style-weight .1:100:8
nst-jax sweep town.jpg night.jpg -o sweep --content-weight 1,4,16 --tv-weight lin:0:2e4:3 --steps 200
nst-jax sweep town.jpg night.jpg wave.jpg -o sweep --each-style --strength .3,.5,.8
"""

import argparse
import itertools
import json
import math
import os
import pathlib
import re
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from nst_jax.cli import control, devices, failed, follow, machine, many, report, settings, stylize, values

# What may vary, from the slowest to the fastest: the last but one goes down a sheet, the last goes across
AXES = ("content", "style", "init", "seed", "content_weight", "tv_weight", "strength", "style_weight")
WEIGHTS = {"content_weight": 1.0, "style_weight": 1.0, "tv_weight": None, "strength": None}
SHEET, PLOT, TABLE, LINES = FILES = ("sheet.png", "plot.png", "sweep.csv", "sweep.jsonl")
MOST = 10_000  # pictures


def arguments(parser):
    parser.add_argument("content", metavar="CONTENT", help="the photograph")
    parser.add_argument("style", metavar="STYLE", nargs="+", help="the painting, or several: a blend of them")
    parser.add_argument("-o", "--output", metavar="DIR", required=True, help="folder for the pictures")
    parser.add_argument("--contents", metavar="FILE", nargs="+", help="more photographs: an axis")
    parser.add_argument("--each-style", action="store_true", help="the paintings one by one, not blended: an axis")
    many.arguments(parser)
    stylize.common(parser, seed=values.seeds)
    settings.arguments(parser, several=values.several, listed=values.listed)
    control.arguments(parser)
    stylize.storing(parser)
    devices.arguments(parser)


class Point(NamedTuple):
    """One of a sweep's pictures: its arguments as `stylize` has them, and what is its own, {axis: value}."""

    args: argparse.Namespace
    own: dict[str, Any]


def run(args):
    many.refuse(args)
    return devices.run(args, _run)


def _run(args):
    begun = time.perf_counter()
    with control.fetched(args):
        swept = points(args)
        plan = planned(args, swept)
        return painted(args, swept, plan, begun)


def points(args) -> list[Point]:
    """The pictures of a sweep, the last axis fastest."""
    given: dict[str, Any] = {"content": [args.content, *(args.contents or [])]}
    given["style"] = [[style] for style in args.style] if args.each_style else [args.style]
    given |= {name: value for name in AXES if isinstance(value := getattr(args, name), list) and name not in given}
    axes = {name: given[name] for name in AXES if name in given and len(given[name]) > 1}
    count = math.prod(map(len, axes.values()))
    if not 2 <= count <= MOST:
        got = f"must paint from 2 to {MOST} pictures, got {count}: --style-weight .1:100:8 makes eight"
        raise argparse.ArgumentTypeError(f"a sweep {got}")
    found, folder = [], args.output
    fixed = {name: value[0] for name, value in given.items() if len(value) == 1}
    for number, chosen in enumerate(itertools.product(*axes.values()), 1):
        own = dict(zip(axes, chosen, strict=True))
        one = argparse.Namespace(**vars(args) | fixed | own)
        stem = "-".join([f"{number:0{len(str(count))}}", *(f"{flag(name)}-{word(v)}" for name, v in own.items())])
        one.output = os.path.join(folder, re.sub(r"[^\w.+-]", "_", stem)[:100] + ".png")
        one.report = args.report and os.path.join(args.report, pathlib.Path(one.output).stem)
        one.folder = os.path.join(args.folder or folder, f"{pathlib.Path(one.output).stem}-steps")
        control.check(one)
        found.append(Point(one, own))
    return found


def flag(name: str) -> str:
    """An axis in words."""
    return name.replace("_", "-")


def word(value) -> str:
    """A value of an axis, short."""
    if isinstance(value, list):
        return "+".join(map(word, value))
    if isinstance(value, float):
        return f"{value:.4g}"
    return pathlib.Path(value).stem if isinstance(value, str) and os.path.isfile(value) else str(value)


def sources(swept: list[Point]) -> list[tuple]:
    """(job, what finishes its picture, what is written besides, its files) of each; what they share is made once."""
    kept, made, found = {}, {}, []
    for args, _ in swept:
        recipe = settings.customised(args)
        known = control.files(args, recipe)
        needed = [path for paths in known.values() for path in paths]
        written = [os.path.join(os.path.dirname(args.output), name) for name in FILES]
        stylize.check_apart(args, recipe, needed, pathlib.Path(args.folder) if args.save_every else None, more=written)
        pictures = control.read(args, recipe, kept=kept)
        key = args.content, *args.style
        if key not in made:
            made[key] = control.job(args, recipe, pictures)
            stylize.say_scaling(made[key][0])
        job, finish, extras = made[key]
        recipe = control.suited(args, recipe, pictures.content.image.shape[:2])
        found.append((job._replace(recipe=recipe, start=pictures.start, seed=args.seed), finish, extras, known))
    return found


def alike(point: Point, job):
    """The recipe of a point but for the weights that a sweep varies: it weighs all of its pictures alike."""
    same = {name: value for name, value in WEIGHTS.items() if name in point.own}
    args = argparse.Namespace(**vars(point.args) | same)
    return control.suited(args, settings.customised(args), job.content.shape[:2])


class Plan(NamedTuple):
    """What is painted: the network, the pictures, how many at once; and a judge that weighs all of them alike."""

    params: Any
    items: list[many.Item]
    size: int
    machine: Any
    judge: Callable


def planned(args, swept: list[Point]) -> Plan:
    """The plan of a sweep; what is wrong with it is raised here, before anything is written."""
    from nst_jax.network import vgg19
    from nst_jax.painting import painter as painting
    from nst_jax.painting import vmapped

    report.check(args)
    begun, made = time.perf_counter(), sources(swept)
    count, jobs = len(made), [job for job, *_ in made]
    recipes = [job.recipe for job in jobs] + [alike(point, job) for point, job in zip(swept, jobs, strict=True)]
    recipes, params, told = many.fitted(recipes, args, vgg19.load(args.weights))
    if args.minutes:
        left = (args.minutes - (time.perf_counter() - begun) / 60) / count
        schedule = stylize.planned(params, jobs[0]._replace(recipe=recipes[0]), left).recipe.schedule
        recipes = [recipe._replace(schedule=schedule) for recipe in recipes]
    jobs, plain = (
        [j._replace(recipe=r) for j, r in zip(jobs, rs, strict=True)] for rs in (recipes[:count], recipes[count:])
    )
    vmapped.check(jobs)
    uses = machine.used(args)._replace(mesh=devices.chosen(args, runs=count, height=jobs[0].shape[0]))
    size = args.chunk or vmapped.fitting(params, jobs[0], count=count, machine=uses)
    size = vmapped.rounded(size, count, uses.mesh)
    if args.minutes:
        for point, job in zip(swept, jobs, strict=True):
            settings.fixed(point.args, painting.stages(job))
    items = itemised(swept, made, jobs, many.plan(params, jobs[0], size, uses))
    follow.say(items[0].head, told)
    print(f"sweep:    {count} pictures, {many.said(size, count)}", file=sys.stderr)
    return Plan(params, items, size, uses, vmapped.judge(params, plain))


def itemised(swept, made, jobs, plan) -> list[many.Item]:
    """Each picture with the record that it will hold, checked now and not after the run."""
    from nst_jax.orders import record as runs

    network, items = many.network(swept[0].args), []
    for point, (_, finish, extras, known), job in zip(swept, made, jobs, strict=True):
        head = follow.head(point.args, job, known, network=network) | {"plan": plan}
        runs.text(head, room=runs.ROOM)
        items.append(many.Item(point.args, job, follow.Result(point.args.output, finish, extras, known), head))
    return items


def painted(args, swept: list[Point], plan: Plan, begun: float) -> int:
    """Paint a plan; save pictures as they are done, and in the end, whatever that is, the sheet, plot and tables."""
    if not devices.first():
        return many.accompanied(plan.params, plan.items, size=plan.size, uses=plan.machine)
    stylize.made(pathlib.Path(args.output))
    error, rows, bad = None, {}, 0
    steps = len(plan.items) * plan.items[0].steps
    with follow.log(args.log, **plan.items[0].head) as record, follow.showing(steps) as show:
        try:
            uses = {"size": plan.size, "uses": plan.machine}
            for watch in many.paint(plan.params, plan.items, **uses, record=record, show=show):
                watch.save()
                if watch.frame is not None:
                    rows[watch.number] = row(swept[watch.number], watch, plan.judge(watch.number, watch.frame.image))
                if watch.trouble:
                    bad += print(f"nst-jax: {watch.item.name}: {watch.trouble}", file=sys.stderr) or 1
        except (KeyboardInterrupt, Exception) as stop:
            error = stop
    if rows:
        write(args, swept, rows)
    whole = sum(row["steps"] == plan.items[0].steps for row in rows.values())
    if error:
        return failed(error, more=f"; {whole} of {len(swept)} pictures are whole in {args.output}")
    print(f"{args.output}: {whole} pictures painted, {time.perf_counter() - begun:.0f} s")
    return 1 if bad else 0


def row(point: Point, watch: many.Watch, judged) -> dict[str, Any]:
    """A picture's line in the tables: its axes, losses that all pictures share a scale of, and its own by name."""
    found = {"picture": watch.item.name, **{flag(name): plain(value) for name, value in point.own.items()}}
    alike = many.kinds({name: float(value) for name, value in judged.items()})
    return found | {"steps": watch.frame.step, **alike, "loss": sum(watch.terms.values()), **watch.terms}


def plain(value):
    """An axis' value as a table has it: a file's name without its folder."""
    if isinstance(value, list):
        return " ".join(map(plain, value))
    return os.path.basename(value) if isinstance(value, str) else value


def write(args, swept: list[Point], rows: dict[int, dict]) -> None:
    """The tables, the sheet and, where matplotlib is installed, the plot of the pictures that there are."""
    from nst_jax.pictures import charts, images, sheets

    folder, ordered = pathlib.Path(args.output), dict(sorted(rows.items()))
    many.write(folder / TABLE, many.table(list(ordered.values())))
    many.write(folder / LINES, "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in ordered.values()))
    axes = {
        name.replace("_", " "): list(dict.fromkeys(word(point.own[name]) for point in swept)) for name in swept[0].own
    }
    pictures = {
        n: images.load(folder / each["picture"], size=sheets.LARGEST, max_pixels=2**31) for n, each in rows.items()
    }
    images.save(folder / SHEET, sheets.grid([pictures.get(n) for n in range(len(swept))], axes))
    *_, last = axes.values()
    found = [
        charts.Point(
            each["content_loss"],
            each["style_loss"],
            ", ".join(map(word, swept[n].own.values())),
            pictures[n],
            n // len(last),
        )
        for n, each in ordered.items()
    ]
    try:
        images.save(folder / PLOT, charts.scatter(found, title=" and ".join(axes)))
    except ValueError as error:
        print(f"plot:     left out: {error}", file=sys.stderr)
