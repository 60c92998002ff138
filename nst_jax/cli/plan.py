"""Say what memory a painting takes and how it will be computed, before any of it is done.

nst-jax plan town.jpg --size 4000
nst-jax plan town.jpg night.jpg --size 6000 --max-memory 5GB --recipe gatys-notebook
"""

from nst_jax.cli import flags, progress


def arguments(parser):
    parser.add_argument("content", metavar="CONTENT", help="the photograph")
    parser.add_argument("style", metavar="STYLE", nargs="*", help="the painting, or several (default: as large)")
    flags.add(parser, without=("mesh", "minutes", "still"))


def run(args):
    from nst_jax.orders import compose, networks, prepare
    from nst_jax.painting import job as jobs
    from nst_jax.painting import memory

    order = flags.order(args, style=tuple(args.style or [args.content]))
    machine, network = prepare.machine_of(order, spread=False), networks.Network(networks.weights_path(order))
    with compose.with_local_files(order) as local:
        task = networks.with_network(compose.task(local), network)
    for note in task.notes:
        progress.say(note)
    most = machine.memory or memory.total()
    print(f"memory:   {memory.readable(most)}" + (" (--max-memory)" if machine.memory else ", which the device has"))
    for stage in jobs.stages(task.params, task.job, machine):
        load = jobs.load_at(jobs.params_of(task.params, task.job, stage), task.job, stage.shape, machine=machine)
        size, peak = f"{stage.shape[1]}×{stage.shape[0]}, {stage.steps} steps", memory.peak(stage.plan, load)
        work = f"{memory.cost(stage.plan, load):.1f} × the work"
        print(f"{size:<24} {memory.readable(peak):>8}   {stage.plan}, {work}")
    largest = jobs.load_at(task.params, task.job, task.shape, machine=machine)
    for plan in memory.candidates(largest):
        if (peak := memory.peak(plan, largest)) > most:
            print(f"{'too large:':<24} {memory.readable(peak):>8}   {plan}")
