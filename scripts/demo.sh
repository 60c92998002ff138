#!/bin/sh
# Sets nst_jax up inside this checkout (.venv) and paints a sample picture into demo/.
#   sh scripts/demo.sh [options of `nst-jax demo`]
set -eu
cd "$(dirname "$0")/.."
if ! [ -x .venv/bin/nst-jax ]; then
    echo "setting up .venv (once; about 600 MB with jax)"
    python3 -m venv .venv
    .venv/bin/pip install --quiet --disable-pip-version-check -e .
fi
exec .venv/bin/nst-jax demo "$@"
