"""`python -m nst_jax` is `nst-jax`."""

from nst_jax.cli import process

if __name__ == "__main__":
    process()
