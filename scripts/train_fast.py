"""python scripts/train_fast.py --minutes 120 → weights/fast.h5, which stands in for VGG19 at a tenth of its cost.

Trained from the bundled VGG19 on pictures out of Debian packages, which it fetches itself where there is apt; elsewhere
give it a folder, --pictures DIR. Killed, it goes on where it was when it is called again. Equal --steps and --seed give
the same network on the same machine.
"""

import argparse
import pathlib
import sys

from fast import pictures, training

from nst_jax.network import vgg19

STEPS_A_MINUTE = 130  # on two cores, with all that belongs to a step


def options(argv=None):
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--steps", type=int, default=16000)
    length.add_argument("--minutes", type=float, help=f"{STEPS_A_MINUTE} steps for each, about what two cores do")
    parser.add_argument("--pictures", type=pathlib.Path, help="a folder to train on, in place of the packages")
    parser.add_argument("--work", type=pathlib.Path, default="build/fast", help="where all is kept (gigabytes)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=pathlib.Path, default=vgg19.fast_path())
    return parser.parse_args(argv)


def main(argv=None) -> int:
    """Fetch, ask, learn, write."""
    args = options(argv)
    folder = args.pictures or args.work / "pictures"
    if not args.pictures:
        pictures.fetch(folder)
    steps = args.steps if args.minutes is None else max(1, round(args.minutes * STEPS_A_MINUTE))
    trainer = training.start(
        training.make_plan(steps, seed=args.seed), vgg19.load(vgg19.bundled_path()), folder, args.work
    )
    params = training.finish(trainer, training.train_and_report(trainer))
    vgg19.save(args.output, params, half=True, teacher="VGG19 as bundled", steps=steps, seed=args.seed)
    print(f"{args.output}: {args.output.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
