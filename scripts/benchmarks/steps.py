"""Rows `step`, `loop` and `tiles`: a step of ours beside PyTorch's, called alone, and in windows."""

import functools
import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
from benchmarks import cases, timing

from nst_jax.objective import tiles


def step(args, size: int) -> timing.Result:
    """A step of Adam, ours against PyTorch's, of every kind that this device knows."""
    on_gpu = jax.default_backend() != "cpu"
    dtypes = {"ours": None} | ({"ours bfloat16": jnp.bfloat16} if on_gpu else {})
    ours = {name: cases.case(size, args.weights, dtype=dtype) for name, dtype in dtypes.items()}
    works = {name: functools.partial(cases.steps, known, args.steps) for name, known in ours.items()}
    if importlib.util.find_spec("torch") is None:
        return timing.Result(
            size, timing.each(timing.alternate(works, args.repeats), args.steps), notes={"torch": "not installed"}
        )
    notes = assert_same_work(args.weights, size, ours["ours"])
    theirs, failed = partners(args.weights, size, ours["ours"])
    works |= {name: functools.partial(known.run, args.steps) for name, known in theirs.items()}
    times = timing.each(timing.alternate(works, args.repeats), args.steps)
    return timing.Result(size, times, timing.fastest(times, "torch"), notes=notes | failed)


EXACT = 128  # pixels: the same statements as at any size


def assert_same_work(weights, size: int, ours: cases.Case) -> dict[str, float]:
    """How equal PyTorch's step is to ours: raises unless it is, before anything is timed.

    In float64 loss and gradient are equal, or the work is another; in float32 two sides may round to another choice of
    a maximum here and there, each a jump of the gradient, so that only the loss is asserted and the gradient told.
    """
    from benchmarks import partner

    def made(kind, size=size):
        return partner.step(kind, weights, cases.pictures(size), ours.rest[2])

    exact = min(size, EXACT)
    double = cases.assert_equal(cases.doubled(exact, weights), made("float64", exact).gradient(), 1e-6)
    notes = {f"{name} in float64": value for name, value in double.items()}
    partner.exact(True)
    with jax.default_matmul_precision("highest"):
        known, theirs = cases.gradient(ours.loss)(ours.start, *ours.rest), made("eager").gradient()
    partner.exact(False)
    cases.assert_equal((known[0], theirs[1]), theirs)
    return notes | dict(zip(("loss differs by", "gradient differs by"), cases.difference(known, theirs), strict=True))


def partners(weights, size: int, ours: cases.Case):
    """PyTorch's steps by name, of every kind that this device knows; and why those are missing that do not run."""
    from benchmarks import partner

    partner.forget()
    steps, failed = {}, {}
    for kind in partner.KINDS[partner.device()]:
        try:
            one = partner.step(kind, weights, cases.pictures(size), ours.rest[2])
            one.run(1)
        except Exception as error:  # a compiler may be missing
            failed[f"torch {kind}"] = f"not measured: {type(error).__name__}"
        else:
            steps[f"torch {kind}"] = one
    return steps, failed


def loop(args, size: int) -> timing.Result:
    """A step inside `frames` against the same step called alone."""
    known = cases.case(size, args.weights)
    one = jax.jit(known.solver.step)

    def alone():
        current = known.solver.init(known.start)
        for _ in range(args.steps):
            current, _ = one(current, *known.rest)
        return current

    framed = functools.partial(cases.steps, known, args.steps)
    one_by_one, together = (known.solver.picture(run()) for run in (alone, framed))
    np.testing.assert_allclose(one_by_one, together, atol=1e-3)
    times = timing.alternate({"frames": framed, "alone": alone}, args.repeats)
    return timing.Result(size, timing.each(times, args.steps), "alone")


def tiled(args, size: int) -> timing.Result:
    """Loss and gradient in windows against the whole picture's."""
    known = cases.case(size, args.weights)
    smallest = tiles.smallest_window((*known.rest[2].content, *known.rest[2].style))
    windows = [window for window in args.windows if smallest <= window < size]
    losses = {f"windows of {window}": tiles.tiled(known.loss, size=window) for window in windows} | {
        "whole": known.loss
    }
    works = {name: functools.partial(cases.gradient(loss), known.start, *known.rest) for name, loss in losses.items()}
    whole = works["whole"]()
    notes = {
        f"{name}, gradient differs by": cases.assert_equal(work(), whole)["gradient differs by"]
        for name, work in works.items()
    }
    return timing.Result(size, timing.alternate(works, args.repeats), "whole", notes=notes)
