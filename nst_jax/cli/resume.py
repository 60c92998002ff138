"""Go on with a run that was cut off, from the folder that holds it, to what it would have written.

nst-jax stylize town.jpg night.jpg -o painting.png --checkpoint kept
nst-jax resume kept
"""

import contextlib
import itertools
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
    from nst_jax.orders import checkpoints

    folder = os.path.abspath(args.folder)
    if not checkpoints.files(folder):
        got = f"got none in {args.folder!r}: name the folder that --checkpoint named"
        raise ValueError(f"resume must have a checkpoint to go on from, {got}")
    kept = checkpoints.find(folder, said=lambda text: None)
    if kept is not None and _works_alone(kept.command.argv):
        return _go_on(args)
    return launch.run(args, _go_on)


def _works_alone(argv) -> bool:
    """Whether a command paints by itself whatever is around it: a batch's processes share a list, and no picture."""
    return argv[:1] == ("batch",) or ("--processes", "1") in itertools.pairwise(argv) or "--processes=1" in argv


def _go_on(args):
    from nst_jax import cli
    from nst_jax.orders import checkpoints

    folder = os.path.abspath(args.folder)
    kept = checkpoints.find(folder, said=_say)
    if kept is None:
        got = f"got none in {args.folder!r}: begin anew"
        raise ValueError(f"resume must have a checkpoint that is whole, {got}")
    if kept.finished:
        if launch.is_first():
            print(f"{args.folder}: finished before, {kept.finished} was written; nothing to do")
        return 0
    if not os.path.isdir(kept.command.folder):
        got = f"got {kept.command.folder!r}: make it again, with the pictures in it"
        raise FileNotFoundError(f"folder in which the run began must be there, {got}")
    os.chdir(kept.command.folder)
    again = cli.parser().parse_args(kept.command.argv)
    again.argv, again.checkpoint, again.resumed = kept.command.argv, folder, kept
    again.processes = 1  # those that go on know of each other already
    with flags.usage(again):
        return again.run(again)


def _say(text: str) -> None:
    """A line that one of several processes says for all."""
    if launch.is_first():
        progress.say(text)


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
            _say(f"changed:  mesh was {values.write_mesh(mesh)}, {fits}: the picture may differ")
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
    from nst_jax.painting import devices

    command, resumed = checkpoints.Command(tuple(args.argv), os.getcwd()), getattr(args, "resumed", None)
    every, kind = args.checkpoint_every or EVERY, checkpoints.FolderKeeper
    if launch.is_with_others():
        every, kind = every if every.steps else EVERY_TOGETHER, checkpoints.SharedFolderKeeper
        devices.check_alike(checkpoints.where(resumed), "checkpoint")  # read by all before the first one writes
    more = {"every": every, "resumed": resumed, "said": _say}
    if launch.is_first():
        with checkpoints.opened(args.checkpoint, command, kind=kind, **more) as found:
            yield found
    else:  # the first one has the folder, and writes
        with contextlib.closing(kind(args.checkpoint, command, **more)) as found:
            yield found
