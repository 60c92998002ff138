"""TPUs that libtpu compiles for without one: what is published of each, and how a program's arguments lie on it."""

import importlib.metadata
import os
import re
from typing import Any, NamedTuple

import jax

from nst_jax.ground import choices


class Chip(NamedTuple):
    """A chip as published: bytes of memory, bytes a second to and from it, multiplications and additions a second.

    `hertz` turns the compiler's cycles into seconds: the peak over what its arrays of multipliers do in a cycle.
    """

    memory: int
    bandwidth: float
    peak: float  # of bfloat16, in which a TPU multiplies float32 too, unless it is told otherwise
    hertz: float


CHIPS = {
    "v5e": Chip(16 * 2**30, 819e9, 197e12, 197e12 / (4 * 128 * 128 * 2)),
    "v6e": Chip(32 * 2**30, 1640e9, 918e12, 918e12 / (4 * 256 * 256 * 2)),
}
"""cloud.google.com/tpu/docs: v5e, v6e"""

TOPOLOGIES = {1: "2x2", 2: "2x2", 4: "2x2", 8: "2x4"}
"""How so many chips stand; fewer than four are some of four."""

# libtpu asks neither a metadata server nor a TPU, and shares this machine with other processes that compile
ALONE = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}


def described(target: str, count: int) -> list[Any]:
    """So many chips that nobody has to have."""
    choices.choose("target", target, CHIPS)
    if count not in TOPOLOGIES:
        raise ValueError(f"mesh must be of {', '.join(map(str, TOPOLOGIES))} chips, got {count}")
    check_compiler()
    os.environ.update({name: value for name, value in ALONE.items() if name not in os.environ})
    from jax.experimental import topologies

    found = topologies.get_topology_desc(platform="tpu", topology_name=f"{target}:{TOPOLOGIES[count]}")
    return list(found.devices[:count])


def check_compiler() -> None:
    """Raise unless libtpu is installed as this jax asks for it."""
    asked, found = wanted(), installed()
    if not re.fullmatch(re.escape(asked).replace(r"\*", ".*"), found):
        remedy = "pip install -e '.[aot]'"
        raise ValueError(f"libtpu must be {asked} for jax {jax.__version__}, got {found}: {remedy}")


def installed() -> str:
    """The version of libtpu that is here."""
    try:
        return importlib.metadata.version("libtpu")
    except importlib.metadata.PackageNotFoundError:
        return "none"


def wanted() -> str:
    """The version of libtpu that this jax's extra `tpu` asks for, `*` for any ending."""
    each = importlib.metadata.requires("jax") or []
    asked = next((re.match(r"libtpu==([\w.*]+)", one) for one in each if one.startswith("libtpu")), None)
    return asked[1] if asked else "*"
