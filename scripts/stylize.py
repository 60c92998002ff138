"""python scripts/stylize.py town.jpg night.jpg -o painting.png → painting.png; the options of `nst-jax stylize`."""

import sys

from nst_jax.cli import process

if __name__ == "__main__":
    process(["stylize", *sys.argv[1:]])
