"""Paint a list of jobs, or each picture of a folder after each of another; what is painted already is left alone.

nst-jax batch jobs.csv -o out
nst-jax batch photographs paintings -o out --size 512 --strength .6
nst-jax batch photographs paintings -o looks --preview
nst-jax batch jobs.jsonl -o out --share 2/5

A list has a job a line: `content`, `style` (several with ; between), perhaps `output`, and any fields of an order.
Names of files start at the list's folder. Stop it at any time, start it again: it goes on where it was.
"""

import time

from nst_jax.cli import flags, launch, progress, report_failure, resume, sweep

WITHOUT = ("minutes", "still", "fast-first")


def arguments(parser):
    parser.add_argument("jobs", metavar="JOBS", nargs="+", help="a .csv or .jsonl file, or two folders")
    parser.add_argument("-o", "--output", metavar="DIR", required=True, help="folder for the pictures")
    text = "the K-th of N parts of the jobs (default: SLURM's or MPI's)"
    parser.add_argument("--share", metavar="K/N", type=flags.as_type(flags.part), help=text)
    sweep.chunk(parser)
    flags.add(parser, without=WITHOUT)
    flags.add_cache(parser)
    flags.add_checkpoint(parser)


def run(args):
    with resume.keeper(args) as keeper:
        batch, begun = _batch(args, keeper), time.perf_counter()
        with progress.stop_on_signals(batch.controls) as stopped:
            try:
                batch.paint()
            except KeyboardInterrupt as error:
                return _end(batch, error)
        if stopped.error:
            return _end(batch, stopped.error)
        print(f"{_finish(batch)}, {time.perf_counter() - begun:.0f} s")
        if keeper:
            keeper.finish(str(batch.report))
        return 1 if batch.bad() else 0


def _batch(args, keeper):
    """The jobs that are asked for, said and ready to be painted."""
    from nst_jax.ground import storage
    from nst_jax.orders import lists
    from nst_jax.orders.batch import Batch
    from nst_jax.orders.order import Refused
    from nst_jax.painting import devices, programs

    known = flags.order(args, style=None, content=None)
    if known.only_colours:
        raise Refused("colour must paint something here, got only: use `nst-jax stylize` for that")
    share = args.share or launch.share()
    entries = lists.share_of(lists.read(args.jobs), *share)
    folder = storage.ensure_folder(args.output)
    storage.remove_leftovers(folder, age=0 if share == (1, 1) else lists.OLD)  # others may be writing there
    if not args.no_cache:
        programs.keep()
    batch = Batch(known, folder, entries, share=share, chunk=args.chunk)
    batch.keeper = keeper
    batch.said = lambda text: progress.say(flags.as_flags(text))
    progress.say(f"device:   {devices.describe()}")
    progress.say(f"network:  {progress.network_name(batch.network.said)}")
    return batch


def _finish(batch) -> str:
    text = batch.finish()
    for row in batch.bad():
        progress.say(f"nst-jax: {row['job']}: {row['reason']}")
    return text


def _end(batch, error) -> int:
    return report_failure(error, more=f"; {_finish(batch)}: the same command goes on from there")
