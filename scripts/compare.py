"""python scripts/compare.py -o comparison gatys-notebook crowson-2023 nst-jax → comparison/*.png, sheet.jpg, table.md.

Runs recipes on the drawn samples at one size and judges every result under the same five numbers, of real VGG19: how
far its content is (relative squared error at relu4_2), how far its style is as Gram matrices and as Gaussians
(Wasserstein-2), both relative and over relu1_1 … relu5_1, and as what no recipe minimises (sliced Wasserstein-2 of
relu3_1 and relu5_1: features along random lines, as they are distributed), and how rough it is (nine-point variation).
A recipe's steps are NAME:STEPS; without steps, its own.
"""

import argparse
import pathlib
import time

import jax
import jax.numpy as jnp

from nst_jax import recipes
from nst_jax.network import calibration, vgg19
from nst_jax.objective import distances, losses
from nst_jax.painting import painter
from nst_jax.painting.job import Job
from nst_jax.pictures import images, samples, sheets
from nst_jax.recipes import published

PAIRS = (("skyline", "flow"), ("landscape", "woodcut"), ("still_life", "mosaic"), ("skyline", "watercolour"))
SLICES, QUANTILES = 128, 200
COLUMNS = ("content", "Gram", "Wasserstein-2", "sliced", "roughness")


def sliced(f, painting):
    """Mean squared distance of quantiles along random lines, over the painting's variance: [h, w, c], [h', w', c]."""
    lines = jax.random.normal(jax.random.key(0), (f.shape[-1], SLICES))
    at = (jnp.arange(QUANTILES) + 0.5) / QUANTILES
    ours, theirs = (jnp.quantile(x.reshape(-1, x.shape[-1]) @ lines, at, axis=0) for x in (f, painting))
    return jnp.square(ours - theirs).mean() / theirs.var(0).mean()


@jax.jit
def judged(params, image, content, style):
    """(content, Gram, Wasserstein-2, sliced, roughness) of a result."""
    maps = vgg19.features(params, image, (*published.FIRSTS, "relu4_2"))
    wanted = vgg19.features(params, content, ("relu4_2",))["relu4_2"]
    painting = vgg19.features(params, style, published.FIRSTS)
    grams, gaussians = [], []
    for layer, f in painting.items():
        m, t = (distances.normalise(distances.moments(x)) for x in (maps[layer], f))
        grams.append(jnp.square(m.outer - t.outer).sum() / jnp.square(t.outer).sum())
        gaussians.append(distances.wasserstein(m, t)[0] * f.shape[-1] / jnp.trace(t.outer[0]))
    far = jnp.square(maps["relu4_2"] - wanted).sum() / jnp.square(wanted).sum()
    rough = distances.NINE_POINT.total(distances.NINE_POINT.local(image).sum((0, 1)))
    lines = jnp.stack([sliced(maps[layer], painting[layer]) for layer in ("relu3_1", "relu5_1")]).mean()
    return jnp.stack([far, jnp.stack(grams).mean(), jnp.stack(gaussians).mean(), lines, rough])


def row(cells, numbers) -> str:
    """A line of a table: words, then the five numbers."""
    far, gram, gaussian, lines, rough = map(float, numbers)
    return f"| {' | '.join(cells)} | {far:.3f} | {gram:.4f} | {gaussian:.4f} | {lines:.4f} | {rough:.5f} |"


def head(*words) -> list[str]:
    """The first two lines of a table."""
    columns = (*words, *COLUMNS)
    return [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]


def painted(params, recipe, content, style):
    """(picture, seconds, compilation included)."""
    recipe, network, _ = calibration.calibrate(recipe, params)
    job = Job(content, losses.everywhere(style), recipe, content.shape[:2])
    begun = time.perf_counter()
    *_, last = painter.frames(network, job, every=10**9)
    return jax.block_until_ready(last.image), time.perf_counter() - begun


def chosen(text: str) -> tuple[str, recipes.Recipe]:
    """A recipe from NAME or NAME:STEPS, at its long edge."""
    name, _, steps = text.partition(":")
    recipe = recipes.get(name)
    return text, recipe.with_steps(int(steps)) if steps else recipe


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="+", type=chosen, metavar="NAME[:STEPS]")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--pairs", type=int, default=len(PAIRS))
    parser.add_argument("-o", "--output", type=pathlib.Path, default=pathlib.Path("comparison"))
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    params, shape = vgg19.load(vgg19.bundled_path()), (args.size * 3 // 4, args.size)
    lines, rows = head("pair", "recipe", "seconds"), []
    for names in PAIRS[: args.pairs]:
        content, style = (samples.draw(name, shape) for name in names)
        rows.append([content, style])
        for name, recipe in args.recipes:
            picture, seconds = painted(params, recipe._replace(edge="long"), content, style)
            numbers = judged(params, picture, content, style)
            lines.append(row((" × ".join(names), name, f"{seconds:.0f}"), numbers))
            print(lines[-1], flush=True)
            rows[-1].append(picture)
            images.save(args.output / f"{'-'.join(names)}-{name.replace(':', '-')}.png", picture)
    columns = ["content", "style", *(name for name, _ in args.recipes)]
    images.save(args.output / "sheet.jpg", sheets.contact_sheet(rows, columns=columns))
    (args.output / "table.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
