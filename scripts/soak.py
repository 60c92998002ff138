"""python scripts/soak.py --kills 200 → a line for each run: where it was struck, and in the end: all pictures alike.

Runs are killed by SIGKILL at random moments, each in one of the phases below, resumed, perhaps killed again, and must
write the very bytes of a run that nobody disturbed. A phase that was never struck fails, too.

python scripts/soak.py --kills 20 --cases sizes sweep
"""

import argparse
import collections
import contextlib
import functools
import itertools
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

from nst_jax.pictures import images, samples

PHASES = {
    "compiling": 4,  # how often a case comes by at least, so that a moment can be drawn
    "painting": 3,
    "between sizes": 1,
    "writing a checkpoint": 2,
    "writing the result": 1,
}
SIZES = ["--ladder", "32:4,48:6"]
CASES = {
    "single": ["stylize", "town.png", "night.png", "--size", "48", "--recipe", "tf-tutorial", "--steps", "9"],
    "sizes": ["stylize", "town.png", "night.png", *SIZES, "--recipe", "gatys-notebook", "--optimizer", "adam"],
    "matching": ["stylize", "town.png", "night.png", *SIZES],
    "columns": ["stylize", "town.png", "night.png", *SIZES, "--recipe", "nnst"],
    "fast first": ["stylize", "town.png", "night.png", *SIZES, "--recipe", "gatys-notebook", "--fast-first", "3"],
    "tiled": ["stylize", "town.png", "night.png", "--size", "640x448", "--recipe", "tf-tutorial", "--steps", "4"],
    "sweep": ["sweep", "town.png", "night.png", *SIZES, "--style-weight", ".5,2"],
    "batch": ["batch", "jobs.csv", *SIZES],
}
MORE = {"tiled": ["--network", "fast", "--max-memory", "TILED", "--style-layers", "relu1_1,relu2_1"]}
WITHOUT = {"single": ["between sizes"], "tiled": ["between sizes"]}  # phases that a case doesn't come by


def command(case: str, out: str) -> list[str]:
    """The words of a case, what it writes being named."""
    words = [*CASES[case], *MORE.get(case, []), "-o", out]
    return [TILED if word == "TILED" else word for word in words]


TILED = "640MB"


def name_of(case: str) -> str:
    """What a case writes."""
    return f"{case.replace(' ', '-')}" + ("" if CASES[case][0] in ("sweep", "batch") else ".png")


def prepare(folder: pathlib.Path) -> None:
    """The pictures that all cases are painted of, and a list of jobs."""
    for name, sample, shape in ("town", "skyline", (96, 128)), ("night", "flow", (80, 112)):
        images.save(folder / f"{name}.png", samples.draw(sample, shape))
    (folder / "jobs.csv").write_text(
        "content,style,seed,output\ntown.png,night.png,1,1.png\ntown.png,night.png,2,2.png\n"
    )


# In a process that is to be killed


def strike(phase: str, moment: int) -> None:
    """Have this process killed when it has come by a phase so many times; before a file is put in place, or after."""
    from nst_jax.painting import programs, runs

    if phase == "compiling":
        programs.Program.ready = _struck(programs.Program.ready, moment)
    elif phase == "painting":
        runs._take_steps = _struck(runs._take_steps, moment)
    elif phase == "between sizes":
        runs._enter_next_stage = _struck(runs._enter_next_stage, moment)
    else:
        checkpoint, put = phase == "writing a checkpoint", os.replace
        mine = lambda path: str(path).endswith(".checkpoint") == checkpoint  # noqa: E731
        os.replace = _struck(put, moment, when=lambda old, new: mine(new), after=moment % 2 == 0)


def _struck(function, moment, *, when=lambda *args: True, after=False):
    seen = 0

    @functools.wraps(function)
    def call(*args, **options):
        nonlocal seen
        seen += when(*args)
        due = seen == moment and when(*args)
        if due and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        found = function(*args, **options)
        if due:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    return call


def child(argv: list[str]) -> int:
    """`PHASE MOMENT WORD …`: do a command, and be killed."""
    from nst_jax import cli

    strike(argv[0], int(argv[1]))
    return cli.main(argv[2:])


# Around it


def run(folder: pathlib.Path, words, *, struck: tuple[str, int] | None = None) -> int:
    """Do a command in a process of its own, perhaps one that is killed; its exit code."""
    before = [sys.executable, os.path.abspath(__file__), "--child", struck[0], str(struck[1])] if struck else []
    argv = before or [sys.executable, "-m", "nst_jax"]
    done = subprocess.run([*argv, *words], cwd=folder, capture_output=True, text=True, env=environment())
    if done.returncode not in (0, -signal.SIGKILL):
        raise SystemExit(f"{' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.returncode


def environment():
    """This process's, so that the package is found wherever a command runs."""
    root = str(pathlib.Path(__file__).resolve().parents[1])
    return os.environ | {"PYTHONPATH": root, "OPENBLAS_NUM_THREADS": "1"}


def written(path: pathlib.Path) -> dict[str, bytes]:
    """The bytes of a picture, or of every picture and table in a folder."""
    if path.is_file():
        return {"": path.read_bytes()}
    return {
        each.name: each.read_bytes() for each in sorted(path.iterdir()) if each.suffix in (".png", ".csv", ".jsonl")
    }


def survive(folder: pathlib.Path, case: str, strikes) -> collections.Counter:
    """Kill a run at these moments, one after the other, resume it to its end; how often each phase was struck."""
    kept, found = folder / f"{name_of(case)}-kept", collections.Counter()
    words = [*command(case, name_of(case)), "--checkpoint", kept.name, "--checkpoint-every", "2"]
    for phase, moment in strikes:
        if run(folder, words, struck=(phase, moment)):
            found[phase] += 1
        if list(kept.glob("*.checkpoint")):
            words = ["resume", kept.name]
    if run(folder, words):
        raise SystemExit(f"{case}: did not end")
    return found


def main():
    if sys.argv[1:2] == ["--child"]:
        return child(sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=[*CASES])
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    chance, total = random.Random(args.seed), collections.Counter()
    with tempfile.TemporaryDirectory() as name, contextlib.suppress(KeyboardInterrupt):
        folder = pathlib.Path(name)
        prepare(folder)
        known = {}
        for case in args.cases:
            run(folder, command(case, f"known-{name_of(case)}"))
            known[case] = written(folder / f"known-{name_of(case)}")
        for case in itertools.cycle(args.cases):
            if total.total() >= args.kills:
                break
            begun = time.perf_counter()
            phases = [phase for phase in PHASES if phase not in WITHOUT.get(case, ())]
            drawn = chance.sample(phases, chance.randint(1, 2))
            strikes = [(phase, chance.randint(1, PHASES[phase])) for phase in drawn]
            found = survive(folder, case, strikes)
            alike = written(folder / name_of(case)) == known[case]
            total += found
            said = ", ".join(f"{phase} {moment}" for phase, moment in strikes)
            print(f"{total.total():4} {case:10} {said:45} {time.perf_counter() - begun:.0f} s", flush=True)
            if not alike:
                raise SystemExit(f"{case}: other bytes than undisturbed, after {said}")
            for path in folder.glob(f"{name_of(case)}*"):
                subprocess.run(["rm", "-r", str(path)], check=True)
    if missing := {*PHASES} - {*total}:
        raise SystemExit(f"never struck: {', '.join(missing)}")
    print(f"{total.total()} kills, all pictures alike: " + ", ".join(f"{phase} {n}" for phase, n in total.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
