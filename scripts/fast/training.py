"""The training itself: rounds of learning from all crops so far, while the teacher computes more.

A round's crops are prepared during the round before, with the student as it was when that began: two cores have work,
and everything follows from the seed and the plan. The state is saved every so often; a training that was killed goes on
there.
"""

import concurrent.futures
import functools
import itertools
import json
import pathlib
import pickle
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import numpy as np
from fast import pictures, student, teacher, visited

from nst_jax.network import vgg19

VISITED = 0.5  # the share of a batch from pictures that optimisations passed through, once there are any
ROUND = 200  # steps
FRESH, VISITS = 180, 4 * visited.TAKEN  # what comes in with a round: crops of pictures, and pictures visited
AT_FIRST = 1000  # crops of pictures that the first round begins with
REFIT = 400  # batches that a least-squares fit goes over


class Plan(NamedTuple):
    """What a training does: all its sizes."""

    steps: int
    fresh: tuple[int, ...]  # by round, crops of pictures that come in
    visits: tuple[int, ...]  # by round, pictures taken on the student's own ways
    seed: int = 0
    batch: int = 4
    edge: int = 128
    every: int = 100  # steps between lines of progress, and between saved states
    widths: tuple[tuple[int, ...], ...] = student.WIDTHS

    def bounds(self) -> list[int]:
        """Steps at which rounds begin, and the last ends: they are equally long."""
        n = len(self.fresh)
        return [self.steps * i // n for i in range(n + 1)]

    def upto(self, number: int) -> int:
        """How many crops there are in a round, those of the rounds before included."""
        return sum(self.fresh[: number + 1]) + sum(self.visits[: number + 1])

    def kinds(self) -> np.ndarray:
        """Of each crop in the store, whether it was visited: [n] bool."""
        rounds = zip(self.fresh, self.visits, strict=True)
        return np.concatenate([[False] * fresh + [True] * visits for fresh, visits in rounds])


def make_plan(steps: int, *, seed: int = 0) -> Plan:
    """A plan for so many steps: pictures are visited from a tenth of the way on."""
    rounds = max(2, round(steps / ROUND))
    share = min(1.0, steps / ROUND / rounds)  # of a full round's, where there are fewer steps
    fresh = [int(share * AT_FIRST)] + [int(share * FRESH)] * (rounds - 1)
    visits = [0 if i < max(1, rounds // 10) else VISITS for i in range(rounds)]
    return Plan(steps, tuple(fresh), tuple(visits), seed)


class Trainer(NamedTuple):
    """A training: its plan, the teacher, the pictures, and the folder that it works in."""

    plan: Plan
    params: vgg19.Params  # the teacher's
    pictures: list[np.ndarray]
    work: pathlib.Path
    store: teacher.Store
    reference: student.Reference
    scales: teacher.Scales


def start(plan: Plan, params: vgg19.Params, folder: pathlib.Path | None, work: pathlib.Path) -> Trainer:
    """Begin a training in a work folder, or go on with it; `folder` holds its pictures, None: drawings alone."""
    work.mkdir(parents=True, exist_ok=True)
    _check_same_plan(plan, work / "plan.json")
    found = pictures.collect(folder, work / "pictures.bin") if folder else []
    print(f"{len(found)} pictures to train on", flush=True)
    store = teacher.open_store(work / "store", params, edge=plan.edge, size=len(plan.kinds()))
    scales = teacher.measure_scales(work / "store", params, lambda i: pictures.crop((plan.seed, i), found, plan.edge))
    return Trainer(plan, params, found, work, store, student.make_reference(params, scales), scales)


def _check_same_plan(plan, file):
    asked = json.loads(json.dumps(plan._asdict()))
    if not file.exists():
        file.write_text(json.dumps(asked))
    if json.loads(file.read_text()) != asked:
        raise ValueError(f"{file.parent} holds another training, {file.read_text()}: name another --work folder")


def train(trainer: Trainer) -> Iterator[tuple[int, dict[str, float], student.State]]:
    """Learn; yield (steps done, mean errors since the last, state) every so often, and where a round begins."""
    done, state = _restore(trainer, "state")
    bounds = trainer.plan.bounds()
    for number, (start, end) in enumerate(itertools.pairwise(bounds)):
        if start <= done < end:
            if done == start:
                _save(trainer.work / f"round-{number}.pickle", (done, jax.device_get(state)))
            _grow(trainer, number)
            with concurrent.futures.ThreadPoolExecutor(1) as other:
                next_one = other.submit(_grow, trainer, number + 1)
                for seen in _round(trainer, (start, end), trainer.plan.upto(number), done, state):
                    yield seen
                    done, _, state = seen
                next_one.result()


def _round(trainer, bounds, grown, done, state):
    """A round's steps, from wherever in it the state is."""
    plan, (_, end), errors = trainer.plan, bounds, []
    optimizer = student.optimizer(plan.steps)
    if done == 0:  # fits to a random network's maps are a better start than none
        params = {**state.params, "fits": matrices(refit(trainer, state, grown))}
        state = student.State(params, optimizer.init(params))
    while done < end:
        state, each = student.step(optimizer, state, _batch(trainer, done, grown), trainer.reference, student.EMPHASIS)
        errors.append(each)
        done += 1
        if done % plan.every == 0 or done == end:
            _save(trainer.work / "state.pickle", (done, jax.device_get(state)))
            yield done, {tap: float(np.mean([e[tap] for e in errors])) for tap in errors[0]}, state
            errors = []


def matrices(fits: dict[str, student.Fit]) -> dict[str, np.ndarray]:
    """The matrix of each fit, which goes on learning."""
    return {tap: fit.matrix.astype(np.float32) for tap, fit in fits.items()}


def _restore(trainer, name):
    file = trainer.work / f"{name}.pickle"
    if file.exists():
        return pickle.loads(file.read_bytes())
    plan = trainer.plan
    params = student.init(plan.seed, trainer.params, widths=plan.widths)
    return 0, student.State(params, student.optimizer(plan.steps).init(params))


def _save(file, content):
    partial = file.with_suffix(".partial")
    partial.write_bytes(pickle.dumps(content))
    partial.rename(file)


def _grow(trainer: Trainer, number: int) -> None:
    """Add a round's crops: new pieces of pictures, then what the last round's student visits in optimisations."""
    plan, store = trainer.plan, trainer.store
    upto = plan.upto(number)
    if store.count() >= upto:
        return
    first = upto - plan.visits[number]
    teacher.fill(store, trainer.params, trainer.scales, lambda i: _fresh(trainer, i), first)
    if first < upto:
        _, state = _restore(trainer, f"round-{number - 1}")
        params = student.to_network(state.params, refit(trainer, state, first), trainer.params, trainer.reference)
        teacher.fill(store, trainer.params, trainer.scales, _visits(trainer, params, first), upto)


def _fresh(trainer, i):
    return pictures.crop((trainer.plan.seed, i), trainer.pictures, trainer.plan.edge)


def _visits(trainer, params, first) -> Callable[[int], np.ndarray]:
    """The crop of a number, from the transfers that it is of; `first` is the round's first."""

    @functools.lru_cache(1)
    def take(unit):
        return visited.take(params, (trainer.plan.seed, 1, first, unit), trainer.pictures, trainer.plan.edge)

    return lambda i: take((i - first) // visited.TAKEN)[(i - first) % visited.TAKEN]


def _batch(trainer, step, grown) -> student.Batch:
    """The batch of a step: any crops there by then, some of them visited; the earlier half of those is left out."""
    plan = trainer.plan
    kinds, random = plan.kinds()[:grown], np.random.default_rng([plan.seed, 2, step])
    fresh, seen = np.flatnonzero(~kinds), np.flatnonzero(kinds)
    seen = seen[len(seen) // 2 :]  # by a student that knew less
    ours = [random.choice(seen if len(seen) and random.random() < VISITED else fresh) for _ in range(plan.batch)]
    return _read_batch(trainer.store, np.sort(ours))


def _read_batch(store, indices):
    return student.Batch(store.crops[indices], {tap: stored[indices] for tap, stored in store.features.items()})


def refit(trainer: Trainer, state: student.State, grown: int) -> dict[str, student.Fit]:
    """Fit the taps by least squares over all crops so far, evenly spread."""
    n, size = trainer.plan.batch, min(REFIT, grown // trainer.plan.batch)
    order = np.linspace(0, grown - 1, size * n).astype(int)
    batches = (_read_batch(trainer.store, order[i : i + n]) for i in range(0, len(order), n))
    return student.refit(state.params, batches, trainer.reference)


def finish(trainer: Trainer, state: student.State) -> vgg19.Params:
    """Make the network of what was learnt."""
    fits = refit(trainer, state, trainer.store.count())
    print("left after the last fit: " + format_errors({tap: fit.left for tap, fit in fits.items()}), flush=True)
    return student.to_network(state.params, fits, trainer.params, trainer.reference)


def format_errors(errors: dict[str, float]) -> str:
    """Write errors on one line."""
    return ", ".join(f"{tap} {e:.3f}" for tap, e in errors.items())


def train_and_report(trainer: Trainer) -> student.State:
    """Learn, print a line every so often, and give the last state."""
    begun, last = time.perf_counter(), _restore(trainer, "state")[1]
    for done, errors, state in train(trainer):
        minutes, last = (time.perf_counter() - begun) / 60, state
        print(f"step {done} of {trainer.plan.bounds()[-1]}, {minutes:.1f} min: {format_errors(errors)}", flush=True)
    return last
