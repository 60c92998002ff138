"""Say what memory a painting takes and how it will be computed, before any of it is done.

nst-jax plan town.jpg --size 4000
nst-jax plan town.jpg night.jpg --size 6000 --max-memory 5GB --recipe gatys-notebook
"""

from nst_jax.cli import control, settings, stylize


def arguments(parser):
    parser.add_argument("content", metavar="CONTENT", help="the photograph")
    parser.add_argument("style", metavar="STYLE", nargs="*", help="the painting, or several (default: as large)")
    stylize.common(parser)
    settings.arguments(parser)
    control.arguments(parser)
    stylize.storing(parser)
    parser.set_defaults(output="plan.png")


def run(args):
    from nst_jax.cli import machine
    from nst_jax.network import vgg19
    from nst_jax.painting import memory as plans
    from nst_jax.painting import painter

    args.style = args.style or [args.content]
    control.check(args)
    recipe, uses = settings.customised(args), machine.used(args)
    with control.fetched(args):
        job, *_ = control.job(args, recipe, control.read(args, recipe))
    params = vgg19.load(args.weights)
    memory = uses.memory or plans.total()
    print(f"memory:   {plans.readable(memory)}" + (" (--max-memory)" if uses.memory else ", which the device has"))
    for shape, stage in painter.stages(job):
        load = painter.load(params, job, shape)
        plan = plans.chosen(load, memory)
        size = f"{shape[1]}×{shape[0]}, {stage.steps} steps"
        print(
            f"{size:<24} {plans.readable(plans.peak(plan, load)):>8}   {plan}, {plans.cost(plan, load):.1f} × the work"
        )
    largest = painter.load(params, job, job.shape)
    for plan in plans.candidates(largest):
        if plans.peak(plan, largest) > memory:
            print(f"{'too large:':<24} {plans.readable(plans.peak(plan, largest)):>8}   {plan}")
