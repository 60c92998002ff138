"""Fast first, exact after: a run that one network begins and another finishes.

A small network finds the large forms at a tenth of the cost; VGG19 then needs few steps to make the picture its own.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from nst_jax import recipes
from nst_jax.painting import painter
from nst_jax.painting.memory import Machine
from nst_jax.painting.painter import ANY, Frame, Job
from nst_jax.pictures import images


class Leg(NamedTuple):
    """A part of a run: a network, and what is painted with it."""

    params: Any
    job: Job


def split(job: Job, last: int) -> tuple[Job, Job]:
    """The job without so many of its last steps at full size, and those steps alone."""
    stages = job.recipe.schedule(images.EDGES[job.recipe.edge](*job.shape))
    *coarse, final = stages
    if not 0 < last < final.steps:
        raise ValueError(
            f"last steps must be from 1 to {final.steps - 1} of those at full size, got {last}: lower them"
        )
    first = recipes.listed(*coarse, final._replace(steps=final.steps - last))
    after = recipes.listed(final._replace(steps=last))
    before, end = (job._replace(recipe=job.recipe._replace(schedule=schedule)) for schedule in (first, after))
    return before, end


def frames(legs: Sequence[Leg], *, every: int = 10, machine: Machine = ANY) -> Iterator[Frame]:
    """One leg after another, each from the picture that the one before ended with; steps count through."""
    picture, done, frame = None, 0, None
    for leg in legs:
        job = leg.job if picture is None else leg.job._replace(start=picture)
        for frame in painter.frames(leg.params, job, every=every, machine=machine):
            yield frame._replace(step=done + frame.step)
        if frame is not None:
            picture, done = np.asarray(frame.image), done + frame.step
