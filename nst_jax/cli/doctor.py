"""Say what is installed, on which devices a run would go, which weights it would use, and what is wrong."""

import importlib.metadata
import os
import platform
import shlex
import shutil
import subprocess
import sys

from nst_jax.cli import progress

PACKAGES = ("nst-jax", "jax", "jaxlib", "flax", "optax", "numpy", "pillow", "h5py")
CUDA_13 = 580  # the oldest driver that CUDA 13 runs on (NVIDIA's CUDA release notes)


def arguments(parser):
    parser.add_argument("--weights", metavar="FILE", help="judge this file instead of the one that would be found")


def run(args):
    print(f"python     {platform.python_version()} on {platform.system()} {platform.machine()}")
    for package in PACKAGES:
        print(f"{package:<10} {_version(package)}")
    troubles = [trouble for look in (_devices, _weights) if (trouble := look(args))]
    for trouble in troubles:
        print(f"problem    {trouble}", file=sys.stderr)
    many = "1 problem found" if len(troubles) == 1 else f"{len(troubles)} problems found"
    print(many if troubles else "no problem found")
    return 1 if troubles else 0


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed" + (" (running from a checkout)" if package == PACKAGES[0] else "")


def _devices(args):
    """Print the devices; what is wrong with them, or None."""
    from nst_jax.painting import devices as found

    card = graphics_card()
    try:
        devices = found.available()
    except (ImportError, RuntimeError, ValueError) as error:
        return f"{_line(error).partition(': `nst-jax')[0]}: {_jax_on(card)}"
    print(f"devices    {', '.join(f'{device.platform} {device.id} ({device.device_kind})' for device in devices)}")
    if card and all(device.platform == "cpu" for device in devices):
        return f"{card} is there, but jax runs on the CPU: {_jax_on(card)}"
    return None


def _weights(args):
    """Print which weights a run would use; what is wrong with them, or None."""
    try:
        from nst_jax.network import vgg19

        vgg19.load(args.weights)
        said = vgg19.info(args.weights)
        print(f"weights    {said['path']} ({progress.network_name(said)})")
    except (ImportError, ValueError, OSError) as error:
        return _line(error)
    except (RuntimeError, AssertionError):  # no device to load them to, which has been said
        return None
    return None


def _line(error):
    return " ".join(str(error).split())


def _jax_on(card: str | None) -> str:
    """The command that makes jax run on this card, or without one."""
    if os.environ.get("JAX_PLATFORMS"):
        return f"unset JAX_PLATFORMS, which is {os.environ['JAX_PLATFORMS']}"
    extra = ""
    if card:
        driver = card.rpartition(" ")[2].partition(".")[0]
        extra = "[cuda12]" if driver.isdigit() and int(driver) < CUDA_13 else "[cuda13]"
    return f"{shlex.quote(sys.executable)} -m pip install -U 'jax{extra}'"


def graphics_card() -> str | None:
    """The NVIDIA card that its driver reports, whether or not jax can use it: `NVIDIA L4, driver 580.65.06`."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    query = [tool, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    cards = answer.stdout.strip().splitlines() if answer.returncode == 0 else []
    return cards[0].replace(", ", ", driver ") if cards else None
