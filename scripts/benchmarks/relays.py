"""Row `relay`: how soon other ways down, the fast network's and L-BFGS's among them, have a plain run's loss."""

import math
import statistics
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from benchmarks import cases, timing

from nst_jax.network import vgg19
from nst_jax.objective import losses
from nst_jax.painting import job as jobs
from nst_jax.painting import transfer

LOOP = 4  # steps of a turn that is timed
SOONER = 5  # of a plain run's steps one in so many is a second mark


class Part(NamedTuple):
    """So many steps with one network at a fraction of the full size."""

    network: str
    share: float
    steps: int
    optimizer: str = "adam"


# The same objective all along. VGG19 ends each of them at full size, by the last optimizer
COARSE = Part("VGG19", 1 / 4, 60), Part("VGG19", 1 / 2, 40)
FAST = Part("fast", 1 / 4, 60), Part("fast", 1 / 2, 40)
WAYS = {
    "coarse to fine": (COARSE, "adam"),
    "coarse to fine, L-BFGS": (COARSE, "lbfgs"),
    "L-BFGS": ((), "lbfgs"),
    "fast to half size": (FAST, "adam"),
    "fast to full size": ((*FAST, Part("fast", 1, 40)), "adam"),
    "fast, longer": ((Part("fast", 1 / 4, 100), Part("fast", 1 / 2, 80), Part("fast", 1, 80)), "adam"),
    "fast, then L-BFGS": ((*FAST, Part("fast", 1, 40)), "lbfgs"),
}


class Trail(NamedTuple):
    """Of a last part: the loss before each step, and how often it had been evaluated by then."""

    losses: list[float]
    evaluations: list[int]

    def until(self, goal: float) -> int | None:
        """Evaluations until a loss as low as this; None: it was not reached."""
        return next((n for n, loss in zip(self.evaluations, self.losses, strict=True) if loss <= goal), None)


def row(args, size: int) -> timing.Result:
    """Seconds until VGG19's loss is the lowest that `--descent` plain steps of Adam at full size reach.

    Evaluations are counted, which no other work on the machine changes; what each kind takes is measured in turns.
    """
    networks = {"VGG19": vgg19.load(args.weights), "fast": vgg19.load(vgg19.fast_path())}
    plain = Part("VGG19", 1, args.descent)
    known = _painted(networks, size, [plain], -math.inf)[1]
    goals = {count: min(known.losses[:count]) for count in (args.descent, max(1, args.descent // SOONER))}
    parts: dict[int, dict[str, list[Part]]] = {count: {"plain": [plain._replace(steps=count)]} for count in goals}
    for name in args.ways or WAYS:
        before, optimizer = WAYS[name]
        last = plain._replace(optimizer=optimizer)
        trail = _painted(networks, size, [*before, last], min(goals.values()))[1]
        print(f"  {name}: lowest loss {min(trail.losses):.5g} after {trail.evaluations[-1]} evaluations", flush=True)
        for count, goal in goals.items():
            if (reached := trail.until(goal)) is not None:
                parts[count][name] = [*before, last._replace(steps=reached)]
    return _told(args, size, networks, goals, parts)


def _told(args, size, networks, goals: Mapping[int, float], parts) -> timing.Result:
    """What counts and durations come to: the whole run's as values, the beginning's as ratios in notes."""
    kinds = {_kind(part, size): part for ways in parts.values() for each in ways.values() for part in each}
    works = {kind: _work(networks[part.network], part, size) for kind, part in kinds.items()}
    turns = timing.each(timing.alternate({kind: run for kind, (run, _) in works.items()}, args.repeats), 1)
    turns = {kind: [t / works[kind][1] for t in known] for kind, known in turns.items()}
    seconds: dict = {
        count: {
            name: [sum(part.steps * turns[_kind(part, size)][i] for part in each) for i in range(args.repeats)]
            for name, each in ways.items()
        }
        for count, ways in parts.items()
    }
    notes: dict = {}
    for count, goal in goals.items():
        notes[f"lowest loss of {count} plain steps"] = goal
        for name, each in parts[count].items():
            ratio = statistics.median(a / b for a, b in zip(seconds[count][name], seconds[count]["plain"], strict=True))
            counted = ", ".join(f"{_kind(part, size)}: {part.steps}" for part in each)
            notes[f"{name}, to that of {count}"] = f"{ratio:.3f} × the time ({counted})"
    notes |= {f"an evaluation of {kind}": f"{statistics.median(known):.3f} s" for kind, known in turns.items()}
    return timing.Result(size, seconds[args.descent], "plain", notes=notes)


def _kind(part, size) -> str:
    return f"{part.network} at {round(size * part.share)} px" + (", L-BFGS" if part.optimizer == "lbfgs" else "")


def _recipe(part):
    adam = part.optimizer == "adam"
    return cases.RECIPE if adam else cases.RECIPE._replace(optimizer=part.optimizer, settings={})


def _scene(params, size):
    """(start, arguments) of the case at this size."""
    content, style = map(jnp.asarray, cases.pictures(size)[:2])
    weights, loss = cases.RECIPE.weights((size, size)), jobs.loss(cases.RECIPE)
    targets = jax.jit(loss.prepare)(params, content, losses.everywhere(style), weights)
    return content, (vgg19.ready(params, cases.LAYERS), targets, weights)


def _painted(networks, size, parts, goal) -> tuple:
    """(picture, Trail of the last part), which ends where its loss is as low as the goal."""
    picture, trail = None, Trail([], [])
    for part in parts:
        solver = jobs.solver(_recipe(part), jobs.loss(cases.RECIPE))
        content, args = _scene(networks[part.network], round(size * part.share))
        picture = content if picture is None else jax.image.resize(picture, content.shape, "cubic").clip(0, 1)
        trail, done = Trail([], []), 0
        for _, state, info in transfer.frames(solver.step, solver.init(picture), *args, num_steps=part.steps, every=1):
            picture, done = solver.picture(state), done + _evaluated(state)
            trail.losses.append(float(info.loss))
            trail.evaluations.append(done)
            if part is parts[-1] and trail.losses[-1] <= goal:
                break
    return picture, trail


def _evaluated(state) -> int:
    """Evaluations of a step: as many as its line search took."""
    count = optax.tree.get(state, "num_linesearch_steps")
    return 1 if count is None else max(1, int(count))


def _work(params, part, size):
    """(steps to be timed, how many evaluations they are)"""
    solver = jobs.solver(_recipe(part), jobs.loss(cases.RECIPE))
    content, args = _scene(params, round(size * part.share))
    state = solver.init(content)

    def run():
        *_, (_, last, _) = transfer.frames(solver.step, state, *args, num_steps=LOOP, every=LOOP)
        return last

    begun, count = state, 0
    for _, begun, _ in transfer.frames(solver.step, state, *args, num_steps=LOOP, every=1):
        count += _evaluated(begun)
    return run, count
