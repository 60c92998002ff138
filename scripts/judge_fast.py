"""python scripts/judge_fast.py --pictures DIR → a table: fast network, VGG19, and a random one, judged by VGG19.

Each network paints the same pairs with the same recipe and steps; VGG19 then says how far each painting is from its
style and its content. Pairs are of drawings that the fast network has not learnt from, and of the content_* and style_*
files in DIR. Paintings are kept in --work, so that each is made once. `--sheet FILE` shows those of the
drawn pairs; `--time` compares a step's duration instead.
"""

import argparse
import functools
import hashlib
import pathlib
import statistics
import sys

import jax
import jax.numpy as jnp
import numpy as np
from benchmarks.timing import alternate

from nst_jax import recipes
from nst_jax.network import vgg19
from nst_jax.objective import losses
from nst_jax.painting import transfer
from nst_jax.pictures import images, samples, sheets

DRAWN = ("skyline", "flow"), ("still_life", "cubist"), ("skyline", "woodcut"), ("still_life", "flow")
STYLE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
STEP_SIZE = 0.02


def pairs(folder: pathlib.Path | None, size: int) -> dict:
    """{name: (content, style)}: files' names say which they are, drawings are among those not learnt from."""
    shape = (size * 3 // 4, size)
    found = {f"{c} × {s}": (samples.draw(c, shape), samples.draw(s, shape)) for c, s in DRAWN}
    if folder:
        for content in sorted(folder.glob("content_*")):
            for style in sorted(folder.glob("style_*")):
                name = f"{content.stem[8:]} × {style.stem[6:]}"
                found[name] = images.load(content, size=size), images.load(style, size=size)
    return found


@functools.cache
def make_solver():
    """Loss, and solver of it: the notebook's recipe with Adam."""
    loss = losses.loss(vgg19.network())
    return loss, transfer.clamped(transfer.solver(losses.objective(loss), transfer.adam(STEP_SIZE)))


@jax.jit
def begin(params, content, style, weights):
    """(the solver's start, its targets)."""
    loss, solve = make_solver()
    return solve.init(content), loss.prepare(params, content, losses.everywhere(style), weights)


def paint(params, content, style, *, steps: int):
    """The content after so many steps: [h, w, 3]."""
    content, style = jnp.asarray(content, jnp.float32), jnp.asarray(style, jnp.float32)
    weights = recipes.get("gatys-notebook").weights(content.shape)
    state, targets = begin(params, content, style, weights)
    ready = vgg19.ready(params, [*weights.content, *weights.style])
    run = transfer.frames(make_solver()[1].step, state, ready, targets, weights, num_steps=steps, every=steps)
    *_, (_, state, _) = run
    return make_solver()[1].picture(state)


@jax.jit
def distances(params, image, content, style):
    """VGG19's own judgement: (style by layer, |G − A|²/|A|²; content, |F − P|²/|P|² at relu4_2)."""

    def gram(picture):
        maps = vgg19.features(params, picture, STYLE)
        flat = [f.reshape(-1, f.shape[-1]) for f in maps.values()]
        return [f.T @ f / len(f) for f in flat]

    far = jnp.stack(
        [jnp.square(g - a).sum() / jnp.square(a).sum() for g, a in zip(gram(image), gram(style), strict=True)]
    )
    f, p = (vgg19.features(params, x, ["relu4_2"])["relu4_2"] for x in (image, content))
    return far, jnp.square(f - p).sum() / jnp.square(p).sum()


def random_like(params, vgg) -> vgg19.Params:
    """A random network of this one's shape, its taps as strong as VGG19's."""
    random, taps, picture = np.random.default_rng(0), vgg19.taps(params), samples.draw("skyline", (96, 128))
    out = {"input": params["input"]}
    for name, layer in params.items():
        if name != "input":  # matrices are [d, k], kernels [3, 3, c, d], biases [d]
            out[name] = {
                k: _random_matrix(random, np.shape(v)) if k != "bias" else jnp.zeros_like(v) for k, v in layer.items()
            }
    mine, theirs = (vgg19.features(net, picture, taps) for net in (out, vgg))
    for tap in taps:
        strength = jnp.sqrt(jnp.square(theirs[tap]).mean() / jnp.square(mine[tap]).mean())
        out[tap] = {own: strength * matrix for own, matrix in out[tap].items()}
    return out


def _random_matrix(random, shape):
    return jnp.asarray(random.normal(0, (2 / np.prod(shape[:-1])) ** 0.5, shape), jnp.float32)


def paint_once(work, name, params, pair, steps):
    """A painting, made once: by the network's digest, the pair and the steps."""
    digest = hashlib.sha256()
    for leaf in (*jax.tree.leaves(params), *pair):
        digest.update(np.asarray(leaf, np.float32).tobytes())
    file = work / f"{name} {digest.hexdigest()[:12]} {steps}.npy"
    if not file.exists():
        np.save(file, np.asarray(paint(params, *pair, steps=steps)))
        images.save(file.with_suffix(".png"), np.load(file))
    return np.load(file)


def print_table(args, networks) -> None:
    """Print a row for each pair: style and content of each network, and the first one's part of VGG19's style."""
    args.work.mkdir(parents=True, exist_ok=True)
    rows, shown = {}, []
    print("| pair | " + " | ".join(networks) + " | fast / VGG19 |\n|" + " --- |" * (len(networks) + 2))
    for pair, pictures in pairs(args.pictures, args.size).items():
        far, made = {}, []
        for name, params in networks.items():
            image = paint_once(args.work, f"{pair} {name}", params, pictures, args.steps)
            far[name] = jax.device_get(distances(networks["VGG19"], image, *pictures))
            made.append(image)
        rows[pair] = far
        shown.append([*pictures, *made])
        _print_row(pair, far)
    mean = {name: tuple(np.mean([row[name][i] for row in rows.values()], axis=0) for i in (0, 1)) for name in networks}
    _print_row(f"mean of {len(rows)}", mean)
    if args.sheet:  # drawn pairs come first
        sheet = sheets.contact_sheet(shown[: len(DRAWN)], columns=["content", "style", *networks])
        images.save(args.sheet, sheet, quality=85)
    for name, (by_layer, _) in mean.items():
        print(f"{name} by layer: " + ", ".join(f"{t} {d:.3f}" for t, d in zip(STYLE, by_layer, strict=True)))


def _print_row(label, far):
    cells = [f"{style.mean():.3f} / {content:.2f}" for style, content in far.values()]
    ratio = f" {far['fast'][0].mean() / far['VGG19'][0].mean():.2f} |" if "fast" in far else ""
    print(f"| {label} | " + " | ".join(cells) + " |" + ratio, flush=True)


LOOP = 10  # steps in one program, as every run has them: calling each would time the system's allocation of memory


def print_times(args, networks) -> None:
    """Print the median durations of a step at size², taken in turn, and their ratio."""
    square = (args.size, args.size)
    pictures = [jnp.asarray(samples.draw(name, square)) for name in ("skyline", "flow")]
    weights = recipes.get("gatys-notebook").weights(square)

    def run(params, state, targets):
        done = transfer.frames(make_solver()[1].step, state, params, targets, weights, num_steps=LOOP, every=LOOP)
        return [state.image for _, state, _ in done]

    started = {name: begin(networks[name], *pictures, weights) for name in ("VGG19", "fast")}
    ready = {name: vgg19.ready(networks[name], [*weights.content, *weights.style]) for name in started}
    works = {name: functools.partial(run, ready[name], *each) for name, each in started.items()}
    seconds = {name: statistics.median(each) / LOOP for name, each in alternate(works, args.repeats).items()}
    ratio = seconds["VGG19"] / seconds["fast"]
    print(", ".join(f"{name} {1000 * s:.1f} ms" for name, s in seconds.items()) + f": {ratio:.2f} ×", flush=True)


def main(argv=None) -> int:
    """Paint and judge, or time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", type=pathlib.Path, default=vgg19.fast_path(), help="the fast one")
    parser.add_argument("--only", nargs="*", choices=["VGG19", "fast", "random"], default=["VGG19", "fast", "random"])
    parser.add_argument("--pictures", type=pathlib.Path)
    parser.add_argument("--work", type=pathlib.Path, default="build/judged")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--sheet", type=pathlib.Path, help="where a sheet of the drawn pairs is stored")
    parser.add_argument("--time", action="store_true")
    parser.add_argument("--repeats", type=int, default=15)
    args = parser.parse_args(argv)
    networks = {"VGG19": vgg19.load(vgg19.bundled_path())}
    if "fast" in args.only or "random" in args.only:
        fast = vgg19.load(args.network)
        networks |= {"fast": fast, "random": random_like(fast, networks["VGG19"])}
    networks = {name: params for name, params in networks.items() if name in ("VGG19", *args.only)}
    (print_times if args.time else print_table)(args, networks)
    return 0


if __name__ == "__main__":
    sys.exit(main())
