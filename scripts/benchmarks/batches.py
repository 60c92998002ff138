"""Row `sweep`: a batch of four style weights as one program beside the same four one after another."""

import jax
import jax.numpy as jnp
import numpy as np
from benchmarks import cases, timing

from nst_jax.painting import batches, transfer

FACTORS = (0.1, 1.0, 10.0, 100.0)


def row(args, size: int) -> timing.Result:
    """Steps of a batch against steps in turn; times are of one step of one picture."""
    known = cases.case(size, args.weights)
    params, targets, weights = known.rest
    each = [weights._replace(style={k: x * w for k, w in weights.style.items()}) for x in FACTORS]
    axes = batches.Arguments(None, None, weights._replace(content=None, style=0, variation=None))
    several = batches.join([batches.Arguments(params, targets, one) for one in each], axes)
    step, start = batches.map_step(known.solver.step, axes), known.solver.init(known.start)
    starts = batches.join([start] * len(FACTORS), 0)

    def last(step, state, *rest):
        *_, (_, state, _) = transfer.frames(step, state, *rest, num_steps=args.steps, every=args.steps)
        return state

    def batch():
        return last(step, starts, *several)

    def turn():
        return [last(known.solver.step, start, params, targets, one) for one in each]

    pictures = jnp.stack([known.solver.picture(state) for state in turn()])
    differs = float(np.abs(jax.vmap(known.solver.picture)(batch()) - pictures).max())
    assert differs < 0.1, differs  # rounding, which steps enlarge
    times = timing.alternate({"batch": batch, "in turn": turn}, args.repeats)
    notes = {"pictures": len(FACTORS), "differs by": differs}
    return timing.Result(size, timing.each(times, args.steps * len(FACTORS)), "in turn", notes=notes)
