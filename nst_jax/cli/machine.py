"""Which network a run uses, how much memory, how exactly it computes, where programs are kept. Not a sub-command."""

import argparse
import os
import pathlib
import sys

from nst_jax.cli import values

CACHE = 500_000_000  # bytes of compiled programs that are kept, the oldest going first
PRECISIONS = ("float32", "bfloat16")


NETWORKS = ("vgg19", "fast")


class Network(argparse.Action):
    """Names a network that comes with the program; a preview is painted with the fast one."""

    def __call__(self, parser, namespace, value, option=None):
        setattr(namespace, self.dest, value or True)
        if "fast" in (value, self.const):
            from nst_jax.network import vgg19

            namespace.weights = str(vgg19.fast_path())


def networks(parser):
    """Flags that say which network paints, a preview's among them."""
    add = which(parser).add_argument
    preview = "a first look: the fast network, coarse to fine, in a few steps"
    add("--preview", action=Network, nargs=0, const="fast", default=None, help=preview)


def which(parser):
    """Flags that name a network: the group of them, of which one may be given."""
    group = parser.add_argument_group("network").add_mutually_exclusive_group()
    group.add_argument("--weights", metavar="FILE", help="the network (default: see `nst-jax weights info`)")
    text = "fast: nearly VGG19's picture at a tenth of the cost"
    group.add_argument("--network", choices=NETWORKS, action=Network, help=text)
    return group


def arguments(parser):
    """Flags of every run."""
    add = parser.add_argument_group("machine").add_argument
    add("--max-memory", metavar="SIZE", type=values.memory, help="that the run may take: 4GB (default: the device's)")
    add("--precision", choices=PRECISIONS, default="float32", help="of convolutions; all sums are in float32")
    add("--no-cache", action="store_true", help="compile anew, and don't keep compiled programs for the next run")


_READING: dict = {}


def reading(path) -> None:
    """Read a network beside all else that is done until `network` is asked for it."""
    import concurrent.futures

    from nst_jax.network import vgg19

    reader = concurrent.futures.ThreadPoolExecutor(1)
    _READING[path] = reader.submit(vgg19.read, path)
    reader.shutdown(wait=False)


def network(path):
    """The parameters of a network, read already or now."""
    import jax

    from nst_jax.network import vgg19

    begun = _READING.pop(path, None)
    return jax.device_put(begun.result() if begun else vgg19.read(path))


def used(args):
    """What the flags say that a run may use; compiled programs are kept from now on, unless they say no."""
    from nst_jax.painting.memory import Machine

    if not args.no_cache:
        keep_programs()
    return Machine(args.max_memory, None if args.precision == "float32" else args.precision)


def keep_programs() -> None:
    """Keep compiled programs on disk, in a folder of our own that does not grow without end."""
    import jax

    from nst_jax.network import vgg19

    folder = pathlib.Path(os.environ.get("JAX_COMPILATION_CACHE_DIR") or vgg19.cache_path().parent / "compiled")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # a home that is not there or not ours to write: compile each time
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_compilation_cache_max_size", CACHE)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


def substitutes(params, recipe) -> str:
    """What a small network does in place of what the recipe asks for, in words; nothing where it has it all."""
    from nst_jax.network import vgg19

    if not vgg19.taps(params):
        return ""
    asked = dict.fromkeys((*recipe.content, *recipe.style))
    said = [f"{near} stands in for {layer}" for layer in asked if (near := vgg19.nearest(params, layer)) != layer]
    said += [f"it was trained with max pooling, not {recipe.pool}"] if recipe.pool != "max" else []
    return "; ".join(said)


def plans_of(params, job, machine) -> list[str]:
    """How each stage of a job is computed, in words."""
    from nst_jax.painting import painter

    return [str(painter.planned(params, job, shape, machine)) for shape, _ in painter.stages(job)]


def told(frames):
    """The same frames; says so where one was computed in another way than planned, for want of memory."""
    before = None
    for frame in frames:
        way = frame.image.shape, frame.plan._replace(direct=False)  # a relay's next network may convolve in another way
        if before and way != before and way[0] == before[0]:
            print(f"memory:   the device's was not enough, so the run goes on in {frame.plan}", file=sys.stderr)
        before = way
        yield frame
