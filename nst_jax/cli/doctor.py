"""Say what is installed, on which devices a run would go, which weights it would use, and what is wrong."""

import importlib.metadata
import platform
import shutil
import subprocess
import sys


def arguments(parser):
    parser.add_argument("--weights", help="also judge this weight file")


def run(args):
    from nst_jax import vgg19

    troubles = []
    print(f"python     {platform.python_version()} on {platform.system()} {platform.machine()}")
    for package in ("nst-jax", "jax", "jaxlib", "flax", "optax", "numpy", "pillow", "h5py"):
        print(f"{package:<10} {_version(package)}")
    devices = _devices(troubles)
    print(f"devices    {', '.join(map(str, devices)) or 'none'}")
    gpu = graphics_card()
    if gpu and all(device.platform == "cpu" for device in devices):
        troubles.append(f"{gpu} is there, but jax runs on the CPU: pip install 'nst-jax[cuda]'")
    try:
        said = vgg19.info(args.weights)
        vgg19.load(args.weights)
        print(f"weights    {said['path']} ({said['precision']}, sha256 {said['sha256'][:12]})")
    except (ValueError, OSError) as error:
        troubles.append(str(error))
    for trouble in troubles:
        print(f"wrong      {trouble}", file=sys.stderr)
    print("nothing is wrong" if not troubles else f"{len(troubles)} to mend")
    return 1 if troubles else 0


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed (running from a checkout)"


def _devices(troubles):
    import jax

    try:
        return jax.devices()
    except RuntimeError as error:
        troubles.append(f"jax finds no device it was told to use: {error}")
        return []


def graphics_card() -> str | None:
    """The name of an NVIDIA card that its driver reports, whether or not jax can use it."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    query = [tool, "--query-gpu=name", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    names = answer.stdout.strip().splitlines() if answer.returncode == 0 else []
    return names[0] if names else None
