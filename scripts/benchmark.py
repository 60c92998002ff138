"""python scripts/benchmark.py loop --size 256 → a table of medians, and benchmark.json with every time.

Machines are shared and noisy: two things are compared only in alternating runs of one process, and what to quote is the
ratio of their medians. Each row first asserts that both sides compute the same.
"""

import argparse
import json
import pathlib
import platform
import statistics
import time

import jax
import numpy as np

from nst_jax import losses, paint, recipes, samples, transfer, vgg19


def seconds(work) -> float:
    """Wall time of a call, its arrays ready."""
    begun = time.perf_counter()
    jax.block_until_ready(work())
    return time.perf_counter() - begun


def alternate(works: dict, repeats: int) -> dict[str, list[float]]:
    """Times of several callables, taken in turn after one call of each to warm up."""
    for work in works.values():
        seconds(work)
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            times[name].append(seconds(work))
    return times


def case(size: int):
    """(solver, its start, (params, targets, weights)): a step of Adam with real weights on drawn pictures, 4:3."""
    shape = (size * 3 // 4, size)
    content, style = samples.draw("skyline", shape), samples.draw("flow", shape)
    recipe = recipes.get("gatys-notebook")._replace(optimizer="adam", settings={"learning_rate": 0.02})
    loss, params, weights = paint.loss(recipe), vgg19.load(vgg19.bundled_path()), recipe.weights(shape)
    targets = jax.jit(loss.prepare)(params, content, losses.everywhere(style), weights)
    painter = paint.solver(recipe, loss)
    return painter, painter.init(jax.numpy.asarray(content)), (params, targets, weights)


def loop(args) -> dict[str, list[float]]:
    """A step inside `frames` against the same step called alone."""
    painter, state, rest = case(args.size)
    step = jax.jit(painter.step)

    def alone():
        current = state
        for _ in range(args.steps):
            current, _ = step(current, *rest)
        return current

    def framed():
        *_, (_, last, _) = transfer.frames(painter.step, state, *rest, num_steps=args.steps, every=args.steps)
        return last

    np.testing.assert_allclose(alone().image, framed().image, atol=1e-3)
    times = alternate({"frames": framed, "alone": alone}, args.repeats)
    return {name: [t / args.steps for t in each] for name, each in times.items()}


ROWS = {"loop": loop}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("row", choices=ROWS)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("-o", "--output", type=pathlib.Path, default="benchmark.json")
    args = parser.parse_args()
    times = ROWS[args.row](args)
    device = jax.devices()[0]
    head = {"row": args.row, "size": args.size, "device": f"{device.platform} {device.device_kind}"}
    head |= {"machine": platform.machine(), "jax": jax.__version__, "date": time.strftime("%Y-%m-%d")}
    args.output.write_text(json.dumps(head | {"seconds": times}, indent=1))
    print(*(f"{k} {v}" for k, v in head.items()), sep=", ")
    medians = {name: statistics.median(each) for name, each in times.items()}
    base = list(medians)[-1]
    for name, each in times.items():
        ratio = medians[name] / medians[base]
        print(f"{name:<12} {medians[name]:8.4f} s  ({min(each):.4f} to {max(each):.4f})  {ratio:.2f} × {base}")


if __name__ == "__main__":
    main()
