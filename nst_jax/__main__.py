"""`python -m nst_jax` is `nst-jax`."""

import sys

from nst_jax.cli import main

if __name__ == "__main__":
    sys.exit(main())
