"""python scripts/stylize.py town.jpg night.jpg -o painting.png → painting.png; the options of `nst-jax stylize`."""

import sys

from nst_jax.cli import main

if __name__ == "__main__":
    sys.exit(main(["stylize", *sys.argv[1:]]))
