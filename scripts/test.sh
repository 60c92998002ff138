#!/bin/sh
# Sets nst_jax up for development inside this checkout (.venv) and runs every check; EXTRAS=dev,compare adds PyTorch.
set -eu
cd "$(dirname "$0")/.."
[ -x .venv/bin/python ] || python3 -m venv .venv
.venv/bin/pip install --quiet --disable-pip-version-check -e ".[${EXTRAS:-dev}]"
PATH="$PWD/.venv/bin:$PATH" exec sh scripts/check
