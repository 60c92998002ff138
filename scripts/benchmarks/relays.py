"""Row `relay`: how soon a run that the fast network begins has VGG19's loss of a plain run's end."""

import math
import statistics
from typing import NamedTuple

import jax
import jax.numpy as jnp
from benchmarks import cases, timing

from nst_jax import losses, paint, transfer, vgg19

LOOP = 4  # steps of a turn that is timed


class Part(NamedTuple):
    """So many steps with one network at a fraction of the full size."""

    network: str
    share: float
    steps: int


# The same objective all along; VGG19 ends each of them at full size
WAYS = {
    "VGG19, coarse to fine": (Part("VGG19", 1 / 4, 60), Part("VGG19", 1 / 2, 40)),
    "fast, to half size": (Part("fast", 1 / 4, 60), Part("fast", 1 / 2, 40)),
    "fast, to full size": (Part("fast", 1 / 4, 60), Part("fast", 1 / 2, 40), Part("fast", 1, 20)),
    "fast, longer": (Part("fast", 1 / 4, 100), Part("fast", 1 / 2, 80), Part("fast", 1, 40)),
    "fast, then half of VGG19": (Part("fast", 1 / 4, 60), Part("fast", 1 / 2, 40), Part("VGG19", 1 / 2, 20)),
}


def row(args, size: int) -> timing.Result:
    """Seconds until VGG19's loss is what `--descent` plain steps of Adam at full size reach.

    Steps are counted, which no other work on the machine changes; what each kind of step takes is measured in turns.
    """
    networks = {"VGG19": vgg19.load(args.weights), "fast": vgg19.load(vgg19.fast_path())}
    plain = Part("VGG19", 1, args.descent)
    goal = min(_painted(networks, size, [plain], math.inf)[1])
    parts = {"plain": [plain]}
    for name, before in WAYS.items():
        reached = _painted(networks, size, [*before, plain], goal)[1]
        if reached[-1] <= goal:
            parts[name] = [*before, plain._replace(steps=len(reached))]
    kinds = {_kind(part, size): part for each in parts.values() for part in each}
    works = {kind: _work(networks[part.network], round(size * part.share)) for kind, part in kinds.items()}
    turns = timing.each(timing.alternate(works, args.repeats), LOOP)
    measured = {
        name: [sum(part.steps * turns[_kind(part, size)][i] for part in each) for i in range(args.repeats)]
        for name, each in parts.items()
    }
    notes = {
        f"{name}, steps": ", ".join(f"{_kind(part, size)}: {part.steps}" for part in each)
        for name, each in parts.items()
    }
    notes |= {f"a step of {kind}": f"{statistics.median(seconds):.3f} s" for kind, seconds in turns.items()}
    return timing.Result(size, measured, "plain", notes={"loss": goal} | notes)


def _kind(part, size) -> str:
    return f"{part.network} at {round(size * part.share)} px"


def _scene(params, size):
    """(start, arguments) of the case at this size."""
    content, style = map(jnp.asarray, cases.pictures(size)[:2])
    weights, loss = cases.RECIPE.weights((size, size)), paint.loss(cases.RECIPE)
    return content, (params, jax.jit(loss.prepare)(params, content, losses.everywhere(style), weights), weights)


def _painted(networks, size, parts, goal):
    """(picture, losses before each step of the last part), which ends where its loss is as low as the goal."""
    painter, picture, found = paint.solver(cases.RECIPE, paint.loss(cases.RECIPE)), None, []
    for part in parts:
        small = round(size * part.share)
        content, args = _scene(networks[part.network], small)
        picture = content if picture is None else jax.image.resize(picture, content.shape, "cubic").clip(0, 1)
        found = []
        steps = transfer.frames(painter.step, painter.init(picture), *args, num_steps=part.steps, every=1)
        for _, state, info in steps:
            picture = painter.picture(state)
            found.append(float(info.loss))
            if part is parts[-1] and found[-1] <= goal:
                break
    return picture, found


def _work(params, size):
    """Steps to be timed."""
    painter = paint.solver(cases.RECIPE, paint.loss(cases.RECIPE))
    content, args = _scene(params, size)
    state = painter.init(content)

    def run():
        *_, (_, last, _) = transfer.frames(painter.step, state, *args, num_steps=LOOP, every=LOOP)
        return last.image

    return run
