"""Paint one picture in many ways: weights, strengths, seeds, starts, styles or contents, on one sheet.

nst-jax sweep town.jpg night.jpg -o sweep --style-weight .1:100:8
nst-jax sweep town.jpg night.jpg -o sweep --content-weight 1,4,16 --tv-weight lin:0:2e4:3 --steps 200
nst-jax sweep town.jpg night.jpg wave.jpg -o sweep --each-style --strength .3,.5,.8
"""

import contextlib
import os
import pathlib
import time

from nst_jax.cli import flags, launch, progress, report_failure, resume, stylize
from nst_jax.cli.flags import Outputs
from nst_jax.orders.values import count


def arguments(parser):
    parser.add_argument("content", metavar="CONTENT", help="the photograph")
    parser.add_argument("style", metavar="STYLE", nargs="+", help="the painting, or several: a blend of them")
    parser.add_argument("-o", "--output", metavar="DIR", required=True, help="folder for the pictures")
    parser.add_argument("--contents", metavar="FILE", nargs="+", help="more photographs: an axis")
    parser.add_argument("--each-style", action="store_true", help="the paintings one by one, not blended: an axis")
    chunk(parser)
    flags.add(parser, without=("still", "fast-first"), sweep=True)
    flags.add_outputs(parser)
    flags.add_checkpoint(parser)
    launch.arguments(parser)


def chunk(parser) -> None:
    """How many pictures are painted at once."""
    text = "pictures painted at once (default: what the device's memory holds, on a CPU 1)"
    parser.add_argument("--chunk", metavar="N", type=flags.as_type(count), help=text)


def run(args):
    return launch.run(args, _run)


def _run(args):
    from nst_jax.orders import compose, sweeps

    begun, order = time.perf_counter(), resume.order_of(args, flags.order(args))
    contents = [args.content, *(args.contents or [])]
    styles = [(style,) for style in args.style] if args.each_style else [tuple(args.style)]
    with resume.keeper(args) as keeper, compose.local_names() as local:  # also fails early where an address does
        axes = flags.axes(args)
        starts = {"init": [*map(local, axes["init"])]} if "init" in axes else {}
        given = {"content": [*map(local, contents)], "style": [tuple(map(local, each)) for each in styles]}
        points = sweeps.points(order.with_files(local), given | axes | starts)
        return _paint(args, points, keeper, begun)


def _paint(args, points, keeper, begun) -> int:
    from nst_jax.ground import storage
    from nst_jax.orders import sweeps, tables
    from nst_jax.painting import programs

    outputs = {point.name: _outputs(args, point) for point in points}
    tables_of = [os.path.join(args.output, name) for name in tables.FILES]
    for point in points:
        stylize.check_outputs(point.order, outputs[point.name], more=tables_of)
    if not args.no_cache:
        programs.keep()
    sweep = sweeps.make(points, chunk=args.chunk, watchers=lambda point: stylize.watchers(outputs[point.name])[1:])
    sweep = sweep._replace(keeper=keeper)
    if not launch.is_first():
        return _accompany(sweep, args.output)
    first = sweep.items[0]
    alone = sweep.chunk == 1
    plan = str(_plan(first)) if alone else f"whole, in batches of {sweep.chunk}"
    progress.say_head(first.record, first.task.notes, plan)
    progress.say(f"sweep:    {len(points)} pictures, {_how_many(sweep.chunk, len(points))}")
    storage.ensure_folder(args.output)
    return _follow(args, sweep, begun)


def _follow(args, sweep, begun) -> int:
    from nst_jax.orders import sweeps, workshop

    there = sweeps.there(sweep, args.output)
    whole, bad, controls = len(there), 0, workshop.Controls()
    total = sweep.items[0].record.total
    steps = len(sweep.items) * total
    with (
        _with_log(args.log, sweep) as sweep,
        progress.show_steps(steps) as show,
        progress.stop_on_signals(controls) as stopped,
    ):
        error = None
        try:
            found = sweeps.paint(sweep, args.output, controls=controls, progress=show, said=progress.say)
            for point, result in found:
                whole += result.record.steps == total
                if isinstance(result.error, workshop.Diverged):
                    bad += 1
                    progress.say(f"nst-jax: {point.name}: {flags.as_flags(str(result.error))}")
        except (KeyboardInterrupt, Exception) as stop:
            error = stop
    if error := error or stopped.error:
        more = f"; `nst-jax resume {sweep.keeper.folder}` goes on from there" if sweep.keeper else ""
        return report_failure(error, more=f"; {whole} of {len(sweep.items)} pictures are whole in {args.output}{more}")
    if sweep.keeper:
        sweep.keeper.finish(args.output)
    print(f"{args.output}: {whole} picture{'s' * (whole != 1)} painted, {time.perf_counter() - begun:.0f} s")
    return 1 if bad else 0


@contextlib.contextmanager
def _with_log(path, sweep):
    """A sweep whose pictures write into one log, if there is one."""
    from nst_jax.orders.watchers import Log, Start, cut_log

    if not path:
        yield sweep
        return
    log, first = Log(path, clock=time.perf_counter), sweep.items[0]
    if going_on := sweep.keeper and sweep.keeper.resumed:
        cut_log(path, sweep.keeper.knows)
    log.begin(Start(first.task, first.record, int(bool(going_on))))
    pairs = zip(sweep.points, sweep.items, strict=True)
    items = [item._replace(watchers=(*item.watchers, log.of_picture(point.name))) for point, item in pairs]
    try:
        yield sweep._replace(items=items)
    finally:
        log.end(None)


def _accompany(sweep, folder) -> int:
    """Go through the frames of a sweep that another process shows and saves."""
    from nst_jax.orders import sweeps, workshop
    from nst_jax.orders.watchers import Silent

    plain = [item._replace(watchers=tuple(Silent(each.every) for each in item.watchers)) for item in sweep.items]
    kept = sweeps.kept_pictures(sweep, sweeps.there(sweep, folder))
    for _ in workshop.carry_out_all(plain, sweep.machine, chunk=sweep.chunk, kept=kept):
        pass
    return 0


def _outputs(args, point) -> Outputs:
    stem = pathlib.Path(point.name).stem
    report = args.report and os.path.join(args.report, stem)
    folder = os.path.join(args.folder or args.output, f"{stem}-steps") if args.save_every else ""
    return Outputs(os.path.join(args.output, point.name), None, report, args.save_every or 0, folder)


def _plan(item):
    from nst_jax.orders import prepare

    return ", ".join(dict.fromkeys(str(stage.plan) for stage in prepare.stages_of(item.record)))


def _how_many(size: int, count: int) -> str:
    """How many pictures are painted at once, and why, in words."""
    from nst_jax.painting import devices

    if size == 1 and count > 1 and devices.available()[0].platform == "cpu":
        return "one at a time: on a CPU a batch is not reliably faster, and equal to a single run only nearly"
    return f"{min(size, count)} at a time"
