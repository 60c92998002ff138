"""python scripts/convert_weights.py FILE OUT.h5 [--half]

Converts any published VGG19 file (Keras, MatConvNet, torchvision) and prints what the new file says of itself. The
bundled weights/vgg19.h5 was made by it, with --half.
"""

import argparse
import sys

from nst_jax.network import convert

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("file", help="what to read, in any format")
parser.add_argument("out", help="our HDF5 file, written whole or not at all")
parser.add_argument("--half", action="store_true", help="store float16, compressed")
args = parser.parse_args()
try:
    said = convert.convert(args.file, args.out, half=args.half)
except (ValueError, OSError) as error:
    sys.exit(f"convert_weights: {error}")
print("\n".join(f"{key:<14} {value}" for key, value in said.items()))
