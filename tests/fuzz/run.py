"""The long run, in one command:

python tests/fuzz/run.py --target all --executions 100000 --seed 1

For each target: executions, seconds, executions a second, the slowest one, growth of memory from a tenth of the run
to its end, how many inputs were taken, and the lines reached of the modules under test. What is found is stored.
"""

import argparse
import functools
import hashlib
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from fuzz import engine, seeds, targets

CORPUS = pathlib.Path(__file__).parent / "corpus"


def main(argv=None) -> int:
    """Run targets: 0 where nothing was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default="all", choices=["all", *targets.TARGETS])
    parser.add_argument("--executions", type=int, default=10_000, help="of each target (default: 10000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--found", type=pathlib.Path, default=CORPUS, help="where inputs that were found are stored")
    parser.add_argument("--missing", action="store_true", help="name the lines that were not reached")
    args = parser.parse_args(argv)
    names = list(targets.TARGETS) if args.target == "all" else [args.target]
    print("| target | executions | s | a second | slowest s | memory MB | taken | lines | found |\n" + "|---" * 9 + "|")
    return max(_run(name, args) for name in names)


def _run(name, args) -> int:
    sound = seeds.SEEDS[name]()
    how, data = engine.aside(functools.partial(_report, name, sound, args))
    if how:
        print(f"{name}: {how}: {_store(args.found, name, data)}", flush=True)
    return bool(how)


def _report(name, sound, args):
    lines = engine.Lines(targets.MODULES[name])
    report = engine.run(targets.TARGETS[name], sound, lines, executions=args.executions, seed=args.seed)
    rate = report.executions / report.seconds
    numbers = (
        f"{report.executions} | {report.seconds:.0f} | {rate:.0f} | {report.slowest:.2f} | {report.growth / 1000:.1f}"
    )
    print(f"| {name} | {numbers} | {report.accepted} | {report.lines} | {len(report.found)} |", flush=True)
    for said, data in report.found.items():
        print(f"{name}: {said}: {_store(args.found, name, data)}", flush=True)
    if args.missing:
        print(*lines.missing())


def _store(folder, name, data) -> pathlib.Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{hashlib.sha256(data).hexdigest()[:8]}"
    path.write_bytes(data)
    return path


if __name__ == "__main__":
    sys.exit(main())
