"""One order in many ways: every combination of the values of its axes, painted by one program, on one sheet."""

import itertools
import math
import os
import pathlib
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from nst_jax.ground.choices import one_line
from nst_jax.orders import compose, customise, networks, prepare, tables, workshop
from nst_jax.orders import order as orders
from nst_jax.orders.checkpoints import FolderKeeper
from nst_jax.orders.networks import Network
from nst_jax.orders.order import Order, Refused
from nst_jax.orders.prepare import Item
from nst_jax.orders.watchers import Watcher
from nst_jax.orders.workshop import Controls, Result
from nst_jax.painting import devices, vmapped
from nst_jax.painting import job as jobs
from nst_jax.painting.memory import Machine
from nst_jax.painting.painter import Frame
from nst_jax.pictures import images

# What may vary, from the slowest to the fastest: the last but one goes down a sheet, the last goes across
AXES = ("content", "style", "init", "seed", "content_weight", "tv_weight", "strength", "style_weight")
NEUTRAL = {"content_weight": 1.0, "style_weight": 1.0, "tv_weight": None, "strength": None}
MOST = 10_000  # pictures


class Point(NamedTuple):
    """One of a sweep's pictures: its order, what is its own, {axis: value}, and its file's name."""

    order: Order
    own: dict[str, Any]
    name: str

    @property
    def values(self) -> tuple[str, ...]:
        """The values that are its own, short."""
        return tuple(map(short, self.own.values()))


def points(order: Order, given: Mapping[str, Sequence]) -> list[Point]:
    """The pictures of a sweep: every combination of the values of these axes, the last axis fastest."""
    axes = {name: given[name] for name in AXES if len(given.get(name, ())) > 1}
    fixed = {name: values[0] for name, values in given.items() if len(values) == 1}
    count = math.prod(map(len, axes.values()))
    if not 2 <= count <= MOST:
        got = f"must paint from 2 to {MOST} pictures, got {count}: style-weight .1:100:8 makes eight"
        raise Refused(f"a sweep {got}")
    found = []
    for number, chosen in enumerate(itertools.product(*axes.values()), 1):
        own = dict(zip(axes, chosen, strict=True))
        words = [f"{number:0{len(str(count))}}", *(f"{axis(name)}-{short(v)}" for name, v in own.items())]
        one = order.with_values(**fixed | own)
        orders.check(one)
        if one.only_colours:
            raise Refused("colour must paint something here, got only: use `nst-jax stylize` for that")
        found.append(Point(one, own, re.sub(r"[^\w.+-]", "_", "-".join(words))[:100] + ".png"))
    return found


def axis(name: str) -> str:
    """An axis in words."""
    return name.replace("_", "-")


def short(value) -> str:
    """A value of an axis, short."""
    if isinstance(value, tuple):
        return "+".join(map(short, value))
    if isinstance(value, float):
        return f"{value:.4g}"
    return pathlib.Path(value).stem if isinstance(value, str) and os.path.isfile(value) else str(value)


def cell(value):
    """A value of an axis as a table has it: a file's name without its folder."""
    if isinstance(value, tuple):
        return " ".join(map(cell, value))
    return os.path.basename(value) if isinstance(value, str) else value


class Sweep(NamedTuple):
    """A sweep made ready: its points and items, how many are painted at once; a judge that weighs all alike."""

    points: list[Point]
    items: list[Item]
    chunk: int
    machine: Machine
    judge: Callable
    keeper: FolderKeeper | None = None


def make(swept: list[Point], *, chunk: int | None = None, watchers: Callable[[Point], Sequence[Watcher]]) -> Sweep:
    """A sweep of points with local files, made ready; what is wrong with it is raised before anything is written."""
    begun, first, count = time.perf_counter(), swept[0].order, len(swept)
    network = Network(networks.weights_path(first))
    tasks = [networks.with_network(task, network) for task in _tasks(swept)]
    if first.ends.minutes:
        left = (60 * first.ends.minutes - (time.perf_counter() - begun)) / count
        timed = prepare.within_minutes(tasks[0], left)
        steps = {"ladder": timed.order.recipe.ladder, "steps": None, "minutes": None}
        tasks = [_with_schedule(task, timed.job.recipe.schedule, steps) for task in tasks]
        tasks[0] = tasks[0]._replace(notes=timed.notes)
    made = [task.job for task in tasks]
    vmapped.check(made)
    machine = prepare.machine_of(first, runs=count, height=made[0].shape[0])
    fitting = chunk or vmapped.fitting_chunk(tasks[0].params, made[0], count=count, machine=machine)
    size = vmapped.even_chunk(fitting, count, machine.mesh)
    plain = [_alike(point, task) for point, task in zip(swept, tasks, strict=True)]
    items = [item(task, size, machine, watchers(point)) for point, task in zip(swept, tasks, strict=True)]
    return Sweep(swept, items, size, machine, vmapped.judge(tasks[0].params, plain, machine=machine))


def item(task: compose.Task, chunk: int, machine: Machine, watchers: Sequence[Watcher]) -> Item:
    """A task that is painted with others: its stages are its own where it is painted alone."""
    alone = jobs.stages(task.params, task.job, machine) if chunk == 1 else tuple(jobs.stages_without_plans(task.job))
    return prepare.item(task, machine, stages=alone, watchers=watchers)


def paint(
    sweep: Sweep,
    folder,
    *,
    controls: Controls,
    progress: Callable[[int, Frame], None] = lambda done, frame: None,
    said: Callable[[str], None] = lambda text: None,
) -> Iterator[tuple[Point, Result]]:
    """Paint a sweep into a folder; yield each picture when it is saved, and in the end write what there is."""
    rows, lost = there(sweep, folder), []
    more = {"controls": controls, "progress": progress, "kept": kept_pictures(sweep, rows)}
    try:
        found = workshop.carry_out_all(sweep.items, sweep.machine, chunk=sweep.chunk, **more)
        for number, result in found:
            try:
                rows |= {number: _save(sweep, number, result, folder)} if result.frame else {}
            except (ValueError, OSError) as error:  # those painted with it are saved, too, before it ends
                lost.append(one_line(error))
                controls.stop.set()
            else:
                yield sweep.points[number], result
    finally:
        try:
            _write_tables(sweep, folder, rows, said)
        except (ValueError, OSError):
            if not lost:
                raise
    if lost:
        raise OSError("; ".join(lost))


def _write_tables(sweep: Sweep, folder, rows: dict[int, tables.Row], said: Callable[[str], None]) -> None:
    """Write the sheet, the tables and the plot of the pictures that there are."""
    if not rows:
        return
    values = zip(*(point.values for point in sweep.points), strict=True)
    axes = {
        name.replace("_", " "): list(dict.fromkeys(each))
        for name, each in zip(sweep.points[0].own, values, strict=True)
    }
    if why := tables.write_sweep(folder, axes, rows, len(sweep.points)):
        said(f"plot:     left out: {why}")


def _save(sweep, number, result, folder) -> tables.Row:
    """Write a picture; its row, which is kept where a run is and the picture is whole."""
    point = sweep.points[number]
    workshop.save(result, os.path.join(folder, point.name))
    image = images.resize(result.frame.image, sweep.items[number].task.shape)  # one that was stopped may be coarse
    cells = _cells(point, result, sweep.judge(number, image))
    across = len(dict.fromkeys(point.values[-1] for point in sweep.points))
    row = tables.Row(cells, point.values, number // across)
    if sweep.keeper and result.record.steps == sweep.items[number].record.total:
        sweep.keeper.note(point.name, row._asdict())
    return row


def there(sweep: Sweep, folder) -> dict[int, tables.Row]:
    """What is known of pictures that a run which goes on has painted already, by number."""
    known = sweep.keeper.kept.rows if sweep.keeper else {}
    names = {point.name: number for number, point in enumerate(sweep.points)}
    several = devices.are_several_processes()  # which see other disks, and must agree
    rows = {name: row for name, row in known.items() if several or os.path.isfile(os.path.join(folder, name))}
    return {names[name]: tables.Row(**row | {"values": tuple(row["values"])}) for name, row in rows.items()}


def kept_pictures(sweep: Sweep, rows: Collection[int]) -> workshop.KeptPictures | None:
    """Who keeps a sweep's pictures, if somebody does; those of these numbers are there."""
    names = [point.name for point in sweep.points]
    return sweep.keeper and workshop.KeptPictures(sweep.keeper, names, frozenset(names[number] for number in rows))


def _cells(point, result, judged) -> dict[str, Any]:
    """A picture's line in the tables: its axes, losses that all pictures share a scale of, and its own by name."""
    cells = {"picture": point.name, **{axis(name): cell(value) for name, value in point.own.items()}}
    alike = tables.by_kind({name: float(value) for name, value in judged.items()})
    terms = result.record.terms
    return cells | {"steps": result.record.steps, **alike, "loss": sum(terms.values()), **terms}


def _tasks(swept) -> Iterator[compose.Task]:
    """The task of each point; what they share is read and made once, so that it is seen to be the same."""
    kept, made = {}, {}
    for order, _, _ in swept:
        key = order.pictures.content, order.pictures.style
        if key not in made:
            made[key] = compose.task(order, kept=kept)
        task, recipe = made[key], customise.recipe_of(order)
        paths = order.files(recipe.start)
        sources = compose.read(order, paths, kept)
        recipe = customise.for_content(order, recipe, sources.content.image.shape[:2])
        job = task.job._replace(recipe=recipe, start=sources.start, seed=order.seed, turn=customise.turn_of(order))
        notes = task.notes if len(made) == 1 and order is swept[0].order else ()
        yield task._replace(order=order, job=job, paths=paths, notes=notes)


def _with_schedule(task, schedule, steps):
    recipe = task.job.recipe._replace(schedule=schedule)
    return task._replace(order=task.order.with_values(**steps), job=task.job._replace(recipe=recipe))


def _alike(point: Point, task: compose.Task):
    """A point's job but for the weights that a sweep varies: it weighs all of its pictures alike."""
    same = {name: value for name, value in NEUTRAL.items() if name in point.own}
    neutral = point.order.with_values(**same)
    variation = task.job.recipe.variation
    if "tv_weight" in same:
        variation = customise.recipe_of(neutral).variation
    recipe = task.job.recipe._replace(variation=variation)
    return task.job._replace(recipe=recipe, turn=customise.turn_of(neutral))
