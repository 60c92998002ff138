"""Go on with a run that was cut off, from the folder that holds it, to what it would have written.

nst-jax stylize town.jpg night.jpg -o painting.png --checkpoint kept
nst-jax resume kept
"""

import contextlib
import math
import os
from collections.abc import Iterator

from nst_jax.cli import flags, launch, progress
from nst_jax.orders import values
from nst_jax.orders.order import Order, Refused

EVERY = values.Every(seconds=60.0)
EVERY_TOGETHER = values.Every(steps=50)  # with several processes, whose clocks differ


def arguments(parser):
    parser.add_argument("folder", metavar="DIR", help="what --checkpoint named")
    launch.arguments(parser)


def run(args):
    return launch.run(args, _go_on)


def _go_on(args):
    from nst_jax import cli
    from nst_jax.orders import checkpoints

    folder = os.path.abspath(args.folder)
    if not checkpoints.files(folder):
        got = f"got none in {args.folder!r}: name the folder that --checkpoint named"
        raise ValueError(f"resume must have a checkpoint to go on from, {got}")
    kept = checkpoints.find(folder, said=progress.say)
    if kept is None:
        got = f"got none in {args.folder!r}: begin anew"
        raise ValueError(f"resume must have a checkpoint that is whole, {got}")
    if kept.finished:
        print(f"{args.folder}: finished before, {kept.finished} was written; nothing to do")
        return 0
    if not os.path.isdir(kept.command.folder):
        got = f"got {kept.command.folder!r}: make it again, with the pictures in it"
        raise FileNotFoundError(f"folder in which the run began must be there, {got}")
    os.chdir(kept.command.folder)
    first = cli.parser().parse_args(kept.command.argv)
    first.argv, first.checkpoint, first.resumed = kept.command.argv, folder, kept
    first.processes = 1  # those that go on know of each other already
    with flags.usage(first):
        return first.run(first)


def order_of(args, order: Order) -> Order:
    """An order as a run that goes on has it: minutes as the steps that they became, the mesh as devices are here."""
    resumed = getattr(args, "resumed", None)
    if resumed is None:
        return order
    if order.ends.minutes and resumed.ladder:
        order = order.with_values(ladder=values.ladder(resumed.ladder), steps=None, minutes=None)
    if mesh := order.machine.mesh:
        from nst_jax.painting import devices

        if (here := len(devices.available())) != math.prod(mesh.values()):
            fits = f"is chosen anew for {here} device{'s' * (here > 1)}"
            progress.say(f"changed:  mesh was {values.write_mesh(mesh)}, {fits}: the picture may differ")
            order = order.with_values(mesh=None)
    return order


@contextlib.contextmanager
def keeper(args) -> Iterator:
    """Who keeps a command's run, where it is asked for; else None."""
    if not getattr(args, "checkpoint", None):
        if getattr(args, "checkpoint_every", None):
            raise Refused("checkpoint-every must go with checkpoint, got none: add checkpoint DIR")
        yield None
        return
    from nst_jax.orders import checkpoints

    command = checkpoints.Command(tuple(args.argv), os.getcwd())
    every, kind = args.checkpoint_every or EVERY, checkpoints.Keeper
    if launch.is_watched():
        every, kind = every if every.steps else EVERY_TOGETHER, checkpoints.Together
    more = {"every": every, "resumed": getattr(args, "resumed", None)}
    if launch.is_first():
        with checkpoints.opened(args.checkpoint, command, said=progress.say, kind=kind, **more) as found:
            yield found
    else:  # the first one has the folder, writes and speaks
        with contextlib.closing(kind(args.checkpoint, command, said=lambda text: None, **more)) as found:
            yield found
