"""The house rules, as tests: what is public, what imports what, how functions look, and that the README runs."""

import ast
import inspect
import pathlib
import re
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

import nst_jax
from nst_jax import recipes
from nst_jax.network import vgg19

PACKAGE = pathlib.Path(nst_jax.__file__).parent
ROOT = PACKAGE.parent
MODULES = sorted(PACKAGE.rglob("*.py"))
NAMES = {path: path.relative_to(PACKAGE).as_posix() for path in MODULES}
README = ROOT / "README.md"

# The floors from the ground up; those beside each other in a row do not import each other
FLOORS = (
    ("ground",),
    ("recipes", "pictures"),
    ("network",),
    ("objective",),
    ("painting",),
    ("orders",),
    ("studio",),
    ("cli",),
)
LEVEL = {floor: level for level, row in enumerate(FLOORS) for floor in row}
# Where a package outside the standard library may be imported: names of folders or files
ALLOWED = {
    "flax": ["network/"],
    "h5py": ["network/"],
    "optax": ["painting/"],
    "torch": ["network/readers.py"],
    "PIL": ["pictures/"],
    "pillow_heif": ["pictures/"],
    "matplotlib": ["pictures/"],
    "imageio_ffmpeg": ["pictures/"],
    "argparse": ["cli/"],
    "rich": ["cli/"],
    "starlette": ["studio/"],
    "uvicorn": ["studio/"],
    "websockets": ["studio/"],
    "jax": ["network/", "objective/", "painting/", "orders/"],
    "numpy": ["pictures/", "network/", "objective/", "painting/", "orders/", "studio/"],
}
# What can be used, or asked for help, without any of these
PLAIN = ("jax", "numpy", "rich", "h5py", "PIL", "optax", "flax", "matplotlib")

# Options that may be given by position: with None or no other meaning, they are the function's one subject
POSITIONAL: dict[str, str] = {
    "cli/__init__.py:main": "the convention for a command's entry point",
    "cli/__init__.py:process": "as main",
    "cli/flags.py:outputs": "what a recipe stores is data like the flags",
    "network/files.py:activations": "the one path, or none",
    "network/files.py:find": "the one path, or none",
    "network/files.py:info": "the one path, or none",
    "network/files.py:read": "the one path, or none",
    "network/layers.py:layers_of": "the network's shape is its one subject",
    "network/vgg19.py:conv": "what was made of the kernel is data like it",
    "network/vgg19.py:load": "the one path, or none",
    "objective/distances.py:errors": "the guide is data like the maps, and regularly given",
    "objective/distances.py:moments": "the guide is data like the map, and regularly given",
    "objective/losses.py:loss": "the network is the loss's subject; distances are its options",
    "objective/losses.py:under_guides": "the strength map is data like the guides",
    "objective/neighbours.py:likeness": "the guide is data like the map, and regularly given",
    "objective/neighbours.py:study": "the guide is data like the map, and regularly given",
    "orders/customise.py:preview_of": "the distance asked for is data like the recipe",
    "orders/compose.py:read": "pictures that are kept are data like those that are read",
    "orders/order.py:check_only_colours": "what else was asked for is data like the order",
    "orders/order.py:files": "the recipe's start is data like the order's",
    "studio/grids.py:set_state": "the message is data like the state",
    "studio/uploads.py:put": "the alpha is data like the image",
    "studio/paintings.py:set_state": "the message is data like the state",
    "painting/devices.py:describe": "the mesh is the one subject, or none",
    "painting/job.py:stages": "the machine is data like the job",
    "painting/job.py:weights": "a turn is data like the shape",
    "painting/painter.py:weights": "a turn is data like the stage",
    "painting/optimizers.py:adam": "the learning rate, as in every optimiser library",
    "painting/optimizers.py:keras_adam": "the learning rate, as in every optimiser library",
    "painting/optimizers.py:pyramid_adam": "the learning rate, as in every optimiser library",
    "painting/optimizers.py:sgd": "the learning rate, as in every optimiser library",
    "painting/batches.py:weights": "a turn is data like the job's number",
    "pictures/samples/sheet.py:disc": "how much of a stencil: a drawing's third coordinate",
    "pictures/samples/sheet.py:line": "how much of a stencil: a drawing's third coordinate",
    "pictures/samples/sheet.py:polygon": "how much of a stencil: a drawing's third coordinate",
}
LONGEST = 30  # lines of code of a function, its docstring left out
INTERFACES = {"network/fetch.py:redirect_request": "overrides a method of urllib"}


class Function(NamedTuple):
    """A function or method and where it stands."""

    where: str  # module.py:name
    node: ast.FunctionDef
    nested: bool

    @property
    def public(self):
        return not self.nested and not self.node.name.startswith("_")


def functions(path):
    """Every function of a module, with those in classes and in functions."""

    def within(node, nested):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef):
                yield Function(f"{NAMES[path]}:{child.name}", child, nested)
                yield from within(child, True)
            elif isinstance(child, ast.ClassDef):
                yield from within(child, nested or child.name.startswith("_"))
            else:
                yield from within(child, nested)

    return list(within(ast.parse(path.read_text("utf-8")), False))


FUNCTIONS = [function for path in MODULES for function in functions(path)]


def imported(path):
    """The full name of every module or name that a module imports, wherever it does so."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{NAMES[path]} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def floor_of(name: str) -> str:
    """The floor of a module of ours by its full name: `nst_jax.painting.job.Job` is of painting."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in LEVEL else ""


def test_all_is_exactly_the_public_names():
    assert list(nst_jax.__all__) == sorted(nst_jax.__all__)
    assert set(nst_jax.__all__) == {*nst_jax._HOMES, "__version__"}
    assert set(dir(nst_jax)) == set(nst_jax.__all__)
    assert len(nst_jax.__all__) <= 16, "a curated few: all else is imported by its path"
    for name in nst_jax.__all__:
        assert getattr(nst_jax, name) is not None
    for name in ("images", "losses", "recipes", "transfer", "vgg19", "sweep"):  # as the README imports them
        assert inspect.ismodule(getattr(nst_jax, name))
    with pytest.raises(AttributeError, match="module 'nst_jax' has no attribute 'styleize'"):
        nst_jax.styleize  # noqa: B018


@pytest.mark.parametrize(
    "statement",
    [
        "import nst_jax",
        "import nst_jax.cli; nst_jax.cli.parser()",
        "from nst_jax.orders import order, values, words, lists, record",
        "from nst_jax import recipes; recipes.everything()",
        "from nst_jax.ground import choices, extras, storage",
        "from nst_jax.pictures import kinds, metadata, download",
        "from nst_jax.network import layers",
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(statement):
    code = f"import sys; {statement}; print(*({{*{PLAIN}}} & {{*sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == []


@pytest.mark.parametrize("path", MODULES, ids=NAMES.values())
def test_packages_are_imported_where_they_belong(path):
    name = NAMES[path]
    for package in {full.split(".")[0] for full in imported(path)}:
        if package in ALLOWED:
            places = ALLOWED[package]
            assert any(name == place or (place.endswith("/") and name.startswith(place)) for place in places), (
                f"{name} imports {package}: only {', '.join(places)} may"
            )
        else:
            assert package == "nst_jax" or package in sys.stdlib_module_names, f"{name} imports {package}"


def test_the_rules_match_what_is_imported():
    found = {full.split(".")[0] for path in MODULES for full in imported(path)}
    assert set(ALLOWED) - found == set(), "rules about packages that no import statement names"


@pytest.mark.parametrize("path", MODULES, ids=NAMES.values())
def test_no_import_runs_upwards(path):
    floor = NAMES[path].split("/")[0]
    if floor not in LEVEL:  # the package's own door
        return
    for other in filter(None, map(floor_of, imported(path))):
        beside = LEVEL[other] == LEVEL[floor] and other != floor
        below = LEVEL[other] <= LEVEL[floor] and not beside
        assert below, f"{NAMES[path]} imports {other}, which is not below"


def test_only_cli_speaks_of_flags():
    """Below the faces a message names the field; the face adds the dashes."""
    for path in MODULES:
        if NAMES[path].split("/")[0] in ("cli", "__main__.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Raise):
                assert not re.search(r"(?<![\w-])--[a-z]", ast.unparse(node)), f"{NAMES[path]}: {ast.unparse(node)}"


def test_nothing_below_the_faces_prints():
    for path in MODULES:
        calls = (n for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Call))
        names = {n.func.id for n in calls if isinstance(n.func, ast.Name)}
        assert "print" not in names or NAMES[path].startswith("cli/"), NAMES[path]


@pytest.mark.parametrize("path", MODULES, ids=NAMES.values())
def test_everything_public_is_documented(path):
    tree = ast.parse(path.read_text("utf-8"))
    nodes = [f.node for f in functions(path) if f.public and f.where not in INTERFACES]
    if NAMES[path].startswith("cli/"):  # a sub-command's docstring says what `arguments` and `run` do
        nodes = [node for node in nodes if node.name not in ("arguments", "run")]
    nodes += [n for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and not n.name.startswith("_")]
    for node in (tree, *nodes):
        doc, name = ast.get_docstring(node), getattr(node, "name", "the module")
        if node is tree and not tree.body:
            continue
        assert doc, f"{NAMES[path]}: {name} has no docstring"
        line, *more = doc.splitlines()
        assert line, f"{NAMES[path]}: {name}'s docstring must begin on its first line"
        assert not more or not more[0], f"{NAMES[path]}: {name}'s docstring must begin with one line"


def test_options_are_given_by_name():
    found = {f.where for f in FUNCTIONS if f.node.args.defaults and not f.nested and not f.node.name.startswith("_")}
    assert found - set(POSITIONAL) == set(), "make them keyword-only"
    assert set(POSITIONAL) - found == set(), "no longer needed in POSITIONAL"


def test_functions_take_few_arguments_and_fit_on_a_screen():
    many, long = [], []
    for where, node, _ in FUNCTIONS:
        body = node.body
        documented = isinstance(body[0], ast.Expr) and isinstance(getattr(body[0], "value", None), ast.Constant)
        doc = body[0].end_lineno - body[0].lineno + 1 if documented else 0
        if node.end_lineno - node.lineno + 1 - doc > LONGEST:
            long.append(f"{where}: {node.end_lineno - node.lineno + 1 - doc} lines")
        count = len([a for a in (*node.args.posonlyargs, *node.args.args) if a.arg not in ("self", "cls")])
        if not node.name.startswith("_") and count > 5 and where not in INTERFACES:
            many.append(f"{where}: {count} arguments")
    assert long + many == []


def test_random_functions_take_a_key():
    names = {(f.where, a.arg) for f in FUNCTIONS if f.public for a in (*f.node.args.args, *f.node.args.kwonlyargs)}
    assert not [where for where, name in names if name in ("rng", "prng", "random_state")]


# The README


def blocks():
    """The README's Python examples."""
    return re.findall(r"^```python\n(.*?)^```", README.read_text("utf-8"), re.MULTILINE | re.DOTALL)


SMALLER = {r"size=512": "size=64", r"num_steps=500": "num_steps=2", r"every=50": "every=1"}


def run(texts, folder):
    """Run examples one after another in a folder, as a reader would, in small."""
    for name, shape in {"town.jpg": (64, 96), "night.jpg": (72, 80)}.items():
        pixels = np.random.default_rng(len(name)).integers(0, 256, (*shape, 3), np.uint8)
        Image.fromarray(pixels).save(folder / name)
    (folder / "weights").mkdir()
    (folder / "weights" / "vgg19.h5").symlink_to(vgg19.bundled_path())
    shared = {"__name__": "readme"}
    for number, text in enumerate(texts, 1):
        for known, small in SMALLER.items():
            text = re.sub(rf"\b{known}\b", small, text)
        exec(compile(text, f"README.md, example {number}", "exec"), shared)


def test_the_readmes_examples_run(tmp_path, monkeypatch, narrow):
    vgg19.save(tmp_path / "narrow.h5", narrow)
    monkeypatch.setenv("NST_JAX_WEIGHTS", str(tmp_path / "narrow.h5"))  # VGG19's shape, soon compiled
    get = recipes.get  # whole recipes take minutes
    quick = {"schedule": recipes.once(2), "style_distance": "gram"}  # another distance takes long to compile
    monkeypatch.setattr(recipes, "get", lambda name: get(name)._replace(**quick))
    monkeypatch.chdir(tmp_path)
    run(blocks(), tmp_path)


def test_an_example_that_fails_is_seen(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssertionError, match="64 px in 2 steps"):
        run(
            [
                "from nst_jax import images\nsize=512\nnum_steps=500",
                "assert images.load('town.jpg', size=size).shape == (43, 64, 3)",
                "assert False, f'{size} px in {num_steps} steps'",
            ],
            tmp_path,
        )


def test_the_readmes_map_of_modules_has_their_lengths():
    rows = re.findall(r"^\|\s*`(nst_jax/[^`]+)`\s*\|\s*([\d,]+)\s*\|", README.read_text("utf-8"), re.MULTILINE)
    assert {name.strip("/").split("/")[1] for name, _ in rows} == set(LEVEL), "a row for each floor"
    for name, lines in rows:
        files = sorted((ROOT / name).rglob("*.py"))
        real = sum(len(file.read_text("utf-8").splitlines()) for file in files)
        assert abs(int(lines.replace(",", "")) - real) <= 0.1 * real, f"{name} has {real} lines, not {lines}"
