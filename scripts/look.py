"""python scripts/look.py -o look matching nst-jax crowson-2023 → look/sheet.jpg, look/key.md.

A blind look. Each pair of pictures is painted by every recipe; on the sheet they stand under letters, in an order of
its own for each pair. Write down what is seen, then open the key, which also has the numbers of `scripts/compare.py`.

python scripts/look.py matching nst-jax --pairs town.jpg,night.jpg boats.jpg,wave.jpg --size 512   # one's own pictures
python scripts/look.py matching nst-jax --minutes 2                                                # as long for each
"""

import argparse
import pathlib
import random
import string

import compare

from nst_jax.network import calibration, vgg19
from nst_jax.objective import losses
from nst_jax.painting import budget
from nst_jax.painting.job import Job
from nst_jax.pictures import images, samples, sheets


def pair(text: str) -> tuple[str, ...]:
    """A photograph and a painting: two files, or two samples' names."""
    names = tuple(text.split(","))
    if len(names) != 2:
        raise argparse.ArgumentTypeError(f"must be CONTENT,STYLE, got {text!r}: give two names")
    return names


def picture(name: str, size: int):
    """A file at this long edge, or a sample by name."""
    if name in (*samples.CONTENTS, *samples.STYLES):
        return samples.draw(name, (size * 3 // 4, size))
    return images.load(name, size=size)


def fitted(params, recipe, content, style, seconds):
    """The recipe with as many steps as take so long, compiling included."""
    calibrated, network, _ = calibration.calibrate(recipe, params)
    job = Job(content, losses.everywhere(style), calibrated, content.shape[:2])
    sizes = budget.fit_steps(job, budget.measure(network, job), seconds)
    return recipe._replace(schedule=lambda _: sizes)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="+", type=compare.chosen, metavar="NAME[:STEPS]")
    parser.add_argument("--pairs", nargs="+", type=pair, metavar="CONTENT,STYLE", default=compare.PAIRS)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--minutes", type=float, help="the same for every recipe (default: each its own steps)")
    parser.add_argument("--seed", type=int, default=0, help="of the order on the sheet (default: %(default)s)")
    parser.add_argument("-o", "--output", type=pathlib.Path, default=pathlib.Path("look"))
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    params, shuffle = vgg19.load(vgg19.bundled_path()), random.Random(args.seed)
    key, rows = compare.head("pair", "letter", "recipe", "seconds"), []
    for names in args.pairs:
        content, style = (picture(name, args.size) for name in names)
        rows.append([content, style])
        for letter, (name, recipe) in zip(
            string.ascii_uppercase, shuffle.sample(args.recipes, len(args.recipes)), strict=False
        ):
            one = recipe._replace(edge="long")
            if args.minutes:
                one = fitted(params, one, content, style, 60 * args.minutes)
            made, seconds = compare.painted(params, one, content, style)
            called = " × ".join(pathlib.Path(each).stem for each in names)
            key.append(
                compare.row((called, letter, name, f"{seconds:.0f}"), compare.judged(params, made, content, style))
            )
            rows[-1].append(made)
            images.save(args.output / f"{called.replace(' × ', '-')}-{letter}.png", made)
            (args.output / "key.md").write_text("\n".join(key) + "\n")
        columns = ["content", "style", *string.ascii_uppercase[: len(args.recipes)]]
        images.save(args.output / "sheet.jpg", sheets.contact_sheet(rows, columns=columns, cell=args.size))


if __name__ == "__main__":
    main()
