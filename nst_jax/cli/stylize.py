"""Paint a photograph after one or several paintings.

nst-jax stylize town.jpg night.jpg -o painting.png
nst-jax stylize town.jpg night.jpg -o painting.png --size 640x480 --steps 300 --strength 0.7
nst-jax stylize town.jpg night.jpg wave.jpg -o painting.png --mask sky.png water.png --colour content-luminance
"""

import contextlib
import os
import time

from nst_jax.cli import flags, launch, progress, report_failure, resume
from nst_jax.cli.flags import Outputs
from nst_jax.orders import order as orders
from nst_jax.orders.order import Order


def arguments(parser):
    parser.add_argument("content", metavar="CONTENT", help="the photograph")
    parser.add_argument("style", metavar="STYLE", nargs="+", help="the painting, or several: a blend of them")
    common(parser)


def common(parser, *, without=()):
    """What every command takes that paints one picture."""
    parser.add_argument("-o", "--output", metavar="OUT", required=True, type=flags.picture, help="the picture to write")
    flags.add(parser, without=without)
    flags.add_outputs(parser)
    flags.add_checkpoint(parser)
    flags.add_live(parser)
    launch.arguments(parser)


def run(args):
    return launch.run(args, run_order)


def run_order(args, **more) -> int:
    """What flags ask for, with some fields besides."""
    from nst_jax.orders import compose, customise

    order = resume.order_of(args, flags.order(args, **more))
    outputs = flags.outputs(args, store=customise.recipe_of(order).store)
    if order.only_colours:
        asked = {"log": args.log, "report": args.report, "save-every": args.save_every, "checkpoint": args.checkpoint}
        orders.check_only_colours(order, tuple(name for name, value in asked.items() if value))
    with resume.keeper(args) as keeper, compose.with_local_files(order) as local:
        return carry_out(local, outputs, keep=not args.no_cache, keeper=keeper, live=args.live)


def carry_out(order: Order, outputs: Outputs, *, keep: bool, record=None, keeper=None, live=None) -> int:
    """Paint an order with local files, and write what comes of it; `record`: of a run whose stages are followed.

    `live`: the port of a page on which the run is shown.
    """
    from nst_jax.orders import compose, networks, prepare, workshop
    from nst_jax.orders import record as records
    from nst_jax.painting import programs

    begun = time.perf_counter()
    check_outputs(order, outputs)
    if order.only_colours:
        return recolour(order, outputs)
    network = networks.Network(networks.weights_path(order))
    task = compose.task(order)
    check_kind(outputs.path, task)
    if record:
        records.check_shape(task.shape, order.machine.max_pixels or records.PIXELS)
    for note in task.notes:
        progress.say(note)
    if keep:
        programs.keep()
    machine = prepare.machine_of(order, height=task.shape[0])
    task = networks.with_network(task._replace(notes=()), network)
    followed = prepare.follow(task, record, machine) if record else prepare.Followed(())
    item = prepare.item(task, machine, stages=followed.stages)
    controls = workshop.Controls(last=record and record.stopped)
    if not launch.is_first():
        return _accompany(item, machine, outputs, controls=controls, keeper=keeper)
    item = item._replace(watchers=tuple(watchers(outputs)))
    notes = [*item.task.notes, *([f"changed:  {followed.why}"] if followed.why else [])]
    return follow(item, machine, outputs, notes, controls=controls, begun=begun, keeper=keeper, live=live)


def _accompany(item, machine, outputs: Outputs, **more) -> int:
    """Go through the frames of a run that another process shows and saves."""
    from nst_jax.orders import workshop
    from nst_jax.orders.watchers import Silent

    workshop.carry_out(item._replace(watchers=(Silent(outputs.save_every or None),)), machine, **more)
    return 0


def follow(item, machine, outputs: Outputs, notes, *, controls, begun: float, keeper, live=None) -> int:
    """Say what is ready, paint it, and write the picture, whatever ended it."""
    from nst_jax.orders import prepare, workshop

    plans = ", ".join(dict.fromkeys(str(stage.plan) for stage in prepare.stages_of(item.record)))
    with progress.stop_on_signals(controls) as stopped:
        try:
            progress.say_head(item.record, notes, plans)
            with _shown(item, controls, keeper, live) as (item, kept_by):
                result = workshop.carry_out(item, machine, controls=controls, keeper=kept_by)
        except KeyboardInterrupt as error:
            again = f"; `nst-jax resume {keeper.folder}` begins again" if keeper else ""
            return report_failure(stopped.error or error, more=f" before the first steps: no picture is written{again}")
        workshop.save(result, outputs.path)
        if keeper and not (result.error or stopped.error):
            keeper.finish(outputs.path)
    if error := result.error or stopped.error:
        more = f"; `nst-jax resume {keeper.folder}` goes on from there" if keeper else ""
        return report_failure(error, more=f"; the picture after {result.record.steps} steps is in {outputs.path}{more}")
    print(f"{outputs.path}: painted in {result.record.steps} steps, {time.perf_counter() - begun:.0f} s")
    return 0


@contextlib.contextmanager
def _shown(item, controls, keeper, live):
    """(the item, who keeps it), with a page that watches where that is asked for."""
    if live is None:
        yield item, keeper
        return
    from nst_jax import studio

    studio.check_installed()
    from nst_jax.studio import live as page

    with page.shown(item.task.order, controls, live, said=progress.say) as painting:
        item = item._replace(watchers=(*item.watchers, painting.view))
        yield item, page.Both(painting, keeper) if keeper else painting


def recolour(order: Order, outputs: Outputs) -> int:
    """The photograph in the styles' colours; nothing is painted."""
    from nst_jax.orders import compose, workshop

    asked = compose.recolouring(order)
    check_kind(outputs.path, asked)
    for note in asked.notes:
        progress.say(note)
    workshop.save(workshop.recolour(asked), outputs.path)
    print(f"{outputs.path}: recoloured, nothing painted")
    return 0


def watchers(outputs: Outputs) -> list:
    """What follows a run."""
    from nst_jax.orders import page
    from nst_jax.orders.watchers import Log, Stored

    found: list = [progress.Progress()]
    found += [Log(outputs.log, clock=time.perf_counter)] if outputs.log else []
    if outputs.save_every and outputs.folder:
        found.append(Stored(outputs.folder, outputs.save_every))
    if outputs.report:
        found.append(page.Report(outputs.report, outputs.path, said=lambda path: progress.say(f"report:   {path}")))
    return found


def check_outputs(order: Order, outputs: Outputs, *, more=()) -> None:
    """Raise now if something that is written can't be, or is something that the run reads."""
    from nst_jax.ground import storage
    from nst_jax.orders import customise, page, workshop
    from nst_jax.pictures import charts

    recipe = customise.recipe_of(order)
    read = [path for paths in order.files(recipe.start).values() for path in paths]
    written = [outputs.path, outputs.log, *page.files(outputs.report), *more]
    if outputs.save_every and outputs.folder:
        total = order.ends.steps or recipe.steps(512)  # more sizes than a small picture has
        taken = [path for path in (*read, outputs.path, outputs.log) if path]
        written += [path for path in taken if _would_be_stored(path, outputs, total)]
    workshop.check_apart([*read, order.machine.weights], written)
    if outputs.report:
        charts.check_matplotlib()
    for folder in (outputs.report, outputs.folder):
        if folder:
            storage.ensure_folder(folder)


def _would_be_stored(path, outputs: Outputs, total: int) -> bool:
    """Whether a file has the name of a picture that will be stored on the way."""
    from nst_jax.orders.watchers import stored_name

    folder, name = os.path.split(os.path.realpath(path))
    stem = name.partition(".")[0]
    if folder != os.path.realpath(outputs.folder) or not stem.isdigit():
        return False
    step = int(stem)
    return 0 < step <= total and step % outputs.save_every == 0 and stored_name(step, total) == name


def check_kind(path, task) -> None:
    """Raise now if a picture is more than the kind of file that it goes into can hold."""
    from nst_jax.pictures import kinds

    kinds.check_shape(path, task.shape)
    kinds.check_bits(path, task.order.finish.bits)
