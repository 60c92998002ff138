"""python scripts/hero.py → docs/hero.jpg and docs/matching.jpg: the README's first picture, and recipes side by side.

Drawn samples by the real network; the second takes minutes for each recipe, `--only hero` makes the first alone.
"""

import argparse
import pathlib

import compare

from nst_jax.network import vgg19
from nst_jax.pictures import images, samples, sheets
from nst_jax.recipes import DEFAULT

DOCS = pathlib.Path(__file__).resolve().parents[1] / "docs"
QUALITY = 85
TITLES = ("a photograph (drawn)", "a painting (drawn)", "what comes out")


def rows_of(params, pairs, recipes, size):
    """Each pair, and what the recipes make of it."""
    for names in pairs:
        content, style = (samples.draw(name, (size * 3 // 4, size)) for name in names)
        made = [compare.painted(params, recipe._replace(edge="long"), content, style)[0] for _, recipe in recipes]
        yield [content, style, *made]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("hero", "matching"))
    args = parser.parse_args()
    params = vgg19.load(vgg19.bundled_path())
    if args.only != "matching":
        rows = [*rows_of(params, compare.PAIRS[:3], [compare.chosen(DEFAULT)], 480)]
        images.save(DOCS / "hero.jpg", sheets.contact_sheet(rows, columns=TITLES, cell=300), quality=QUALITY)
    if args.only != "hero":
        names = ("matching", "nst-jax", "crowson-2023:320", "nnst:400")
        recipes = [compare.chosen(name) for name in names]
        rows = [*rows_of(params, compare.PAIRS, recipes, 256)]
        columns = ["content", "style", *(name.partition(":")[0] for name in names)]
        images.save(DOCS / "matching.jpg", sheets.contact_sheet(rows, columns=columns, cell=256), quality=QUALITY)


if __name__ == "__main__":
    main()
