"""A run that goes wrong is sent back to where it was sound, and goes on from there with half the learning rate.

When it has gone wrong is counted in steps, and looked at after fixed steps, never by the clock: the same command goes
back to the same step. That is a turn like any other: a rerun of the record takes it, and does not go wrong.
"""

import math
from typing import NamedTuple

import jax
import numpy as np

from nst_jax.painting import runs, transfer
from nst_jax.painting.painter import One
from nst_jax.painting.runs import Run, Snapshot
from nst_jax.recipes import Turn

MOST = 3  # times that a run is sent back
EVERY = 50  # steps between snapshots that it can be sent back to


class Diverged(ValueError):
    """A picture's loss has gone wrong for good; others that are painted with it go on. `before`: where it was sound."""

    before: Run | None = None


class Rewinder(NamedTuple):
    """What a run would be sent back to, and how often it was."""

    kept: Snapshot | None = None
    times: int = 0

    @classmethod
    def of(cls, run: Run) -> "Rewinder":
        """One that can send a run back to where it stands now."""
        return cls(_snapshot(run)) if _can_go_back(run) and transfer.is_sound(run.state) else cls()

    def look(self, run: Run) -> tuple["Rewinder", Run, str]:
        """(what to go on with, the run, why it was sent back or nothing) after a look at a run, at a fixed step."""
        if not _can_go_back(run):
            return self, run, ""
        if not transfer.has_gone_wrong(run.state):
            due = transfer.is_sound(run.state) and run.done // EVERY > (self.kept.done // EVERY if self.kept else -1)
            return (self._replace(kept=_snapshot(run)) if due else self), run, ""
        got = f"got {_times(run)} at step {run.done}"
        if self.kept is None or self.times == MOST:
            again = f" after going back {self.times} times" if self.times else ""
            must = "not grow a hundredfold" if math.isfinite(float(run.info.loss)) else "stay finite"
            error = Diverged(f"loss must {must}, {got}{again}: lower learning-rate")
            error.before = self.kept and runs.turned(runs.restore(run.subject, self.kept), _now(run))
            raise error
        before = runs.restore(run.subject, self.kept)
        turn = _now(run)
        lower = turn._replace(rate=turn.rate / 2) if transfer.has_rate(before.state) else turn
        how = "half the learning rate" if lower is not turn else "a fresh line search"
        why = f"the loss has gone wrong, {got}: back to step {before.done}, with {how}"
        return self._replace(times=self.times + 1), runs.turned(before, lower), why


def _snapshot(run: Run) -> Snapshot:
    """A run's snapshot without what the turn that goes back begins anew: L-BFGS's memory, most of its state."""
    kept = runs.snapshot(run._replace(state=transfer.without_memory(run.state)))
    whole = [np.broadcast_to(x, y.shape) for x, y in zip(kept.leaves, jax.tree.leaves(run.state), strict=True)]
    return kept._replace(leaves=tuple(whole))


def _can_go_back(run) -> bool:
    """Whether a run is of one picture, and not in windows, where a picture fills the memory that there is."""
    return isinstance(run.subject, One) and not run.now.plan.window


def _now(run) -> Turn:
    """What holds where a run stands."""
    return run.turn or run.subject.turn


def _times(run) -> str:
    """How the loss is beside its lowest."""
    loss, lowest = float(run.info.loss), float(run.state.lowest)
    return f"{loss / lowest:.3g} times its lowest" if math.isfinite(loss / lowest) and loss else f"{loss}"
