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
    works = sides(known, FACTORS, args.steps)
    one, other = (works[name]() for name in ("batch", "in turn"))
    pictures = jnp.stack([known.solver.picture(state) for state in other])
    differs = float(np.abs(jax.vmap(known.solver.picture)(one) - pictures).max())
    assert differs < 0.1, differs  # rounding, which steps enlarge
    times = timing.alternate(works, args.repeats)
    notes = {"pictures": len(FACTORS), "differs by": differs}
    return timing.Result(size, timing.each(times, args.steps * len(FACTORS)), "in turn", notes=notes)


def sides(known: cases.Case, factors, count: int):
    """So many steps of a case with each of these factors of its style weights: as one batch, and one after another."""
    params, targets, weights = known.rest
    each = [weights._replace(style={k: x * w for k, w in weights.style.items()}) for x in factors]
    axes = batches.Arguments(None, None, weights._replace(content=None, style=0, variation=None))
    several = batches.join([batches.Arguments(params, targets, one) for one in each], axes)
    step, start = batches.map_step(known.solver.step, axes), known.solver.init(known.start)
    starts = batches.join([start] * len(factors), 0)

    def last(step, state, *rest):
        *_, (_, state, _) = transfer.frames(step, state, *rest, num_steps=count, every=count)
        return state

    def batch():
        return last(step, starts, *several)

    def turn():
        return [last(known.solver.step, start, params, targets, one) for one in each]

    return {"batch": batch, "in turn": turn}
