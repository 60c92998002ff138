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
    partners, notes = _partners(args, size, ours["ours"])
    works |= {name: functools.partial(known.run, args.steps) for name, known in partners.items()}
    times = timing.each(timing.alternate(works, args.repeats), args.steps)
    return timing.Result(size, times, timing.fastest(times, "torch"), notes=notes)


EXACT = 128  # pixels: the same statements as at any size


def _partners(args, size, ours):
    """PyTorch's steps by name, and how equal they are to ours: asserted before anything is timed.

    In float64 loss and gradient are equal, or the work is another; in float32 two sides may round to another choice of
    a maximum here and there, each a jump of the gradient, so that only the loss is asserted and the gradient told.
    """
    from benchmarks import partner

    def made(kind, size=size):
        return partner.step(kind, args.weights, cases.pictures(size), ours.rest[2])

    exact = min(size, EXACT)
    double = cases.assert_equal(cases.doubled(exact, args.weights), made("float64", exact).gradient(), 1e-6)
    notes: dict = {f"{name} in float64": value for name, value in double.items()}
    partner.exact(True)
    with jax.default_matmul_precision("highest"):
        known, theirs = cases.gradient(ours.loss)(ours.start, *ours.rest), made("eager").gradient()
    partner.exact(False)
    cases.assert_equal((known[0], theirs[1]), theirs)
    notes |= zip(("loss differs by", "gradient differs by"), cases.difference(known, theirs), strict=True)
    steps = {}
    for kind in partner.KINDS[partner.device()]:
        try:
            one = made(kind)
            one.run(1)
        except Exception as error:  # a compiler may be missing
            notes[f"torch {kind}"] = f"not measured: {type(error).__name__}"
        else:
            steps[f"torch {kind}"] = one
    return steps, notes


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
    np.testing.assert_allclose(alone().image, framed().image, atol=1e-3)
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
