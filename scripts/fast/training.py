"""The training itself: rounds of asking the teacher about crops, and of learning from all that is known so far.

Everything follows from the seed and the plan. The state is put down every so often; who is killed goes on from there.
"""

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

from nst_jax import vgg19

VISITED = 0.4  # the share of a batch from pictures that optimisations passed through, once there are any
AT_LAST = 0.5  # the same in finishing rounds
REFIT = 150  # batches that a least-squares fit of the maps goes over


class Plan(NamedTuple):
    """What is done: all sizes there are."""

    steps: int
    fresh: tuple[int, ...]  # by round, crops of pictures that come in
    visits: tuple[int, ...]  # by round, pictures taken on the student's own ways
    finish: int = 0  # finishing rounds: half as many visited crops as the round before, rates that begin again
    seed: int = 0
    second: bool = False  # goes on from a network that a training has made
    batch: int = 4
    edge: int = 160
    every: int = 100  # steps from one line of progress to the next, and from one state put down to the next
    widths: tuple[int, ...] = student.WIDTHS
    convs: tuple[int, ...] = student.CONVS

    def bounds(self) -> list[int]:
        """Steps at which rounds begin, and the last ends: rounds are equally long, finishing ones half as long."""
        n, last = len(self.fresh), self.steps // (2 * len(self.fresh))
        return [self.steps * i // n for i in range(n)] + [self.steps + last * i for i in range(self.finish + 1)]

    def crops(self) -> list[tuple[int, int]]:
        """By round, how many crops of pictures and how many visited ones come in."""
        each = list(zip(self.fresh, self.visits, strict=True))
        return each + [(0, self.visits[-1] // 2)] * self.finish

    def kinds(self) -> np.ndarray:
        """Of each crop in the store, whether it was visited: [n] bool."""
        return np.concatenate([[False] * fresh + [True] * visits for fresh, visits in self.crops()])


def planned(steps: int, *, second: bool = False, finish: int = 1, seed: int = 0) -> Plan:
    """A plan in proportion to its steps: crops are seen four times or so."""
    share = max(steps // 100, 1)
    if second:
        return Plan(steps, (42 * share, 0, 0), (7 * share,) * 3, finish, seed, second)
    return Plan(steps, (60 * share, 10 * share, 10 * share), (0, 6 * share, 6 * share), finish, seed)


class Trainer(NamedTuple):
    """What a training works with."""

    plan: Plan
    params: vgg19.Params  # the teacher's
    first: dict | None  # of a second training: what it begins with
    seen: list[np.ndarray]
    work: pathlib.Path
    store: teacher.Store
    known: student.Known
    scales: teacher.Scales


def begun(
    plan: Plan, params: vgg19.Params, folder: pathlib.Path | None, work: pathlib.Path, first: vgg19.Params | None = None
) -> Trainer:
    """A training in a work folder, new or as it was left.

    `folder` holds its pictures, None: drawings alone; `first` is the network that a second training goes on from.
    """
    work.mkdir(parents=True, exist_ok=True)
    _agreed(plan, work / "plan.json")
    seen = pictures.gathered(folder, work / "pictures.bin") if folder else []
    print(f"{len(seen)} pictures to train on", flush=True)
    store = teacher.opened(work / "store", params, edge=plan.edge, size=len(plan.kinds()))
    scales = teacher.scales(work / "store", params, lambda i: pictures.crop((plan.seed, i), seen, plan.edge))
    layers = None if first is None else student.begun(first, params)
    return Trainer(plan, params, layers, seen, work, store, student.known(params, scales), scales)


def _agreed(plan, file):
    said = json.loads(json.dumps(plan._asdict()))
    if not file.exists():
        file.write_text(json.dumps(said))
    if json.loads(file.read_text()) | {"finish": plan.finish} != said:  # finishing rounds may be added
        raise ValueError(f"{file.parent} holds another training, {file.read_text()}: name another --work folder")


def trained(trainer: Trainer) -> Iterator[tuple[int, dict[str, float], student.State]]:
    """Learn; yield (steps done, mean errors since the last, state) every so often, and where a round begins."""
    done, state = _restored(trainer)
    bounds = trainer.plan.bounds()
    for number, (start, end) in enumerate(itertools.pairwise(bounds)):
        if start <= done < end:
            grown = sum(map(sum, trainer.plan.crops()[: number + 1]))
            _grow(trainer, number, state, grown)
            for seen in _round(trainer, (start, end), grown, done, state):
                yield seen
                done, _, state = seen


def _round(trainer, bounds, grown, done, state):
    """A round's steps, from wherever in it the state is."""
    plan, (start, end), errors = trainer.plan, bounds, []
    last = start >= plan.steps
    optimizer, emphasis = _lesson(plan, start, end)
    if done == start and (last or done == 0):
        params = fitted(trainer, state, grown)
        state = student.State(params, optimizer.init(params))
    while done < end:
        share = AT_LAST if last else VISITED
        state, each = student.step(optimizer, state, _batch(trainer, done, grown, share), trainer.known, emphasis)
        errors.append(each)
        done += 1
        if done % plan.every == 0 or done == end:
            _put_down(trainer.work / "state.pickle", (done, jax.device_get(state)))
            yield done, {tap: float(np.mean([e[tap] for e in errors])) for tap in errors[0]}, state
            errors = []


def _lesson(plan, start, end):
    """(the optimiser, and how much weight is given to what) of a round."""
    if start >= plan.steps:
        muon, adam = student.FINISH
        return student.optimizer(end - start, muon=muon, adam=adam), student.MOMENTS if plan.second else student.AT_LAST
    if plan.second:
        muon, adam = student.SECOND
        return student.optimizer(plan.steps, muon=muon, adam=adam), student.MOMENTS
    return student.optimizer(plan.steps), student.EMPHASIS


def _restored(trainer):
    file = trainer.work / "state.pickle"
    if file.exists():
        return pickle.loads(file.read_bytes())
    plan = trainer.plan
    params = trainer.first or student.init(plan.seed, trainer.params, widths=plan.widths, convs=plan.convs)
    return 0, student.State(params, student.optimizer(plan.steps).init(params))


def _put_down(file, content):
    partial = file.with_suffix(".partial")
    partial.write_bytes(pickle.dumps(content))
    partial.rename(file)


def _grow(trainer: Trainer, number: int, state, upto: int) -> None:
    """Ask the teacher about a round's crops: new pieces of pictures, then what the student visits."""
    plan, store = trainer.plan, trainer.store
    if store.done() >= upto:
        return
    visits = plan.crops()[number][1]
    first = upto - visits
    teacher.fill(store, trainer.params, trainer.scales, lambda i: _fresh(trainer, i), min(first, upto))
    if visits:
        teacher.fill(
            store, trainer.params, trainer.scales, _visits(trainer, network(trainer, state, first), number), upto
        )


def _fresh(trainer, i):
    return pictures.crop((trainer.plan.seed, i), trainer.seen, trainer.plan.edge)


def _visits(trainer, params, number) -> Callable[[int], np.ndarray]:
    """The crop of a number, from the batch of pictures that it is in."""
    kept: dict[int, np.ndarray] = {}
    size = len(visited.STEPS) * visited.AT_ONCE
    changed = number < len(trainer.plan.fresh)  # at last as what people paint

    def crop(i):
        if i // size not in kept:
            kept.clear()
            seed = trainer.plan.seed, 1, i // size
            kept[i // size] = visited.taken(params, seed, trainer.seen, trainer.plan.edge, changed=changed)
        return kept[i // size][i % size]

    return crop


def _batch(trainer, step, grown, share) -> student.Batch:
    """The batch of a step: any crops known by then, some of them visited ones."""
    plan = trainer.plan
    kinds, random = plan.kinds()[:grown], np.random.default_rng([plan.seed, 2, step])
    fresh, seen = np.flatnonzero(~kinds), np.flatnonzero(kinds)
    ours = [random.choice(seen if len(seen) and random.random() < share else fresh) for _ in range(plan.batch)]
    return _picked(trainer.store, np.sort(ours))


def _picked(store, indices):
    return student.Batch(store.crops[indices], {tap: stored[indices] for tap, stored in store.features.items()})


def refitted(trainer: Trainer, state: student.State, grown: int) -> tuple[dict, dict]:
    """Maps by least squares over what is known: (maps, what they leave), by tap."""
    return student.refitted(state.params, _evenly(trainer, grown), trainer.known)


def _evenly(trainer, grown) -> Iterator[student.Batch]:
    n, size = trainer.plan.batch, min(REFIT, grown // trainer.plan.batch)
    order = np.linspace(0, grown - 1, size * n).astype(int)
    return (_picked(trainer.store, order[i : i + n]) for i in range(0, len(order), n))


def fitted(trainer: Trainer, state: student.State, grown: int) -> dict:
    """What was learnt, with maps by least squares; a second training's, once there, have learnt moments and stay."""
    if trainer.plan.second and any(map(np.any, state.params["maps"].values())):
        return state.params
    return {**state.params, "maps": jax.tree.map(np.float32, refitted(trainer, state, grown)[0])}


def network(trainer: Trainer, state: student.State, grown: int) -> vgg19.Params:
    """The student as it is, as a network to paint with."""
    params = fitted(trainer, state, grown)
    energies = student.energies(params, _evenly(trainer, grown), trainer.known)
    print("energies of its maps are multiplied by " + said(energies), flush=True)
    return student.finished(params, energies, trainer.params, trainer.known)


def result(trainer: Trainer, state: student.State) -> vgg19.Params:
    """The finished network."""
    grown = trainer.store.done()
    print("left by least squares: " + said(refitted(trainer, state, grown)[1]), flush=True)
    return network(trainer, state, grown)


def said(errors: dict[str, float]) -> str:
    """Errors in one line."""
    return ", ".join(f"{tap} {e:.3f}" for tap, e in errors.items())


def watched(trainer: Trainer) -> student.State:
    """Learn with a line every so often; the last state."""
    begun, last = time.perf_counter(), _restored(trainer)[1]
    for done, errors, state in trained(trainer):
        minutes, last = (time.perf_counter() - begun) / 60, state
        print(f"step {done} of {trainer.plan.bounds()[-1]}, {minutes:.1f} min: {said(errors)}", flush=True)
    return last
