"""The house rules, as tests: what is public, what imports what, how functions look, and that the README runs."""

import ast
import importlib
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

# Where a package outside the standard library may be imported: names of files or folders
ALLOWED = {
    "flax": ["vgg19.py"],
    "optax": ["transfer.py"],
    "h5py": ["vgg19.py", "convert.py"],
    "scipy": ["convert.py"],
    "safetensors": ["convert.py"],
    "torch": ["convert.py"],
    "PIL": ["images.py", "deep.py", "embedded.py", "report.py", "grids.py", "samples/"],
    "pillow_heif": ["images.py"],
    "matplotlib": ["report.py"],
    "imageio_ffmpeg": ["report.py"],
    "argparse": ["cli/"],
    "rich": ["cli/"],
    "jax": [""],
    "jaxlib": ["cli/doctor.py"],
    "numpy": [""],
}
LIGHT = ["__init__.py", "__main__.py", "recipes.py", "published.py", "cli/"]  # import nothing heavy before it is needed

# Options that may be given by position: with None or no other meaning, they are the function's one subject
POSITIONAL = {
    "cli/__init__.py:main": "the convention for a command's entry point",
    "distances.py:moments": "the guide is data like the map, and regularly given",
    "distances.py:errors": "the guide is data like the maps, and regularly given",
    "losses.py:loss": "the network is the loss's subject; distances are its options",
    "regions.py:each": "the strength map is data like the guides",
    "samples/sheet.py:disc": "how much of a stencil: a drawing's third coordinate",
    "samples/sheet.py:line": "how much of a stencil: a drawing's third coordinate",
    "samples/sheet.py:polygon": "how much of a stencil: a drawing's third coordinate",
    "transfer.py:adam": "the learning rate, as in every optimiser library",
    "transfer.py:keras_adam": "the learning rate, as in every optimiser library",
    "transfer.py:sgd": "the learning rate, as in every optimiser library",
    "vgg19.py:activations": "the one path, or none",
    "vgg19.py:find": "the one path, or none",
    "vgg19.py:info": "the one path, or none",
    "vgg19.py:layers_of": "the network's shape is its one subject",
    "vgg19.py:load": "the one path, or none",
    "vgg19.py:read": "the one path, or none",
}
LONGEST = 30  # lines of code of a function, its docstring left out
INTERFACES = {"fetch.py:redirect_request": "overrides a method of urllib"}


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


def imported(tree):
    """(package, whether at the top of the module) of every absolute import outside TYPE_CHECKING."""
    lazy = {id(n) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) for n in ast.walk(f)}
    checked = [n for n in ast.walk(tree) if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n.test)]
    lazy |= {id(n) for branch in checked for n in ast.walk(branch)}
    for node in ast.walk(tree):
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            modules = [node.module]
        for module in modules:
            yield module.split(".")[0], id(node) not in lazy


def test_all_is_exactly_the_public_names():
    modules = {p.stem for p in PACKAGE.glob("*.py") if not p.stem.startswith("_")}
    modules |= {p.parent.name for p in PACKAGE.glob("*/__init__.py")} - {"cli"}
    assert list(nst_jax.__all__) == sorted(nst_jax.__all__)
    assert set(nst_jax.__all__) == modules | set(nst_jax._NAMES) | {"__version__"}
    assert set(dir(nst_jax)) == set(nst_jax.__all__)
    for name in nst_jax.__all__:
        assert getattr(nst_jax, name) is not None
    for name in modules:
        assert getattr(nst_jax, name) is importlib.import_module(f"nst_jax.{name}")
    with pytest.raises(AttributeError, match="module 'nst_jax' has no attribute 'styleize'"):
        nst_jax.styleize  # noqa: B018


@pytest.mark.parametrize("statement", ["import nst_jax", "import nst_jax.cli; nst_jax.cli.parser()"])
def test_nothing_heavy_is_imported_before_it_is_needed(statement):
    heavy = "jax", "numpy", "rich", "h5py", "PIL", "optax", "flax"
    code = f"import sys; {statement}; print(*({{*{heavy}}} & {{*sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == []


@pytest.mark.parametrize("path", MODULES, ids=NAMES.values())
def test_packages_are_imported_where_they_belong(path):
    name, tree = NAMES[path], ast.parse(path.read_text("utf-8"))
    for package, at_once in imported(tree):
        if package in ALLOWED:
            allowed = any(
                name == place or (name.startswith(place) and place[-1:] in ("/", "")) for place in ALLOWED[package]
            )
            assert allowed, f"{name} imports {package}: only {', '.join(ALLOWED[package])} may"
        else:
            assert package == "nst_jax" or package in sys.stdlib_module_names, f"{name} imports {package}"
        light = any(name == place or (place[-1] == "/" and name.startswith(place)) for place in LIGHT)
        heavy = package in ALLOWED and package != "argparse"
        assert not (light and at_once and heavy), f"{name} imports {package} before it is needed"


@pytest.mark.parametrize("path", MODULES, ids=NAMES.values())
def test_only_the_command_line_imports_the_command_line(path):
    text = path.read_text("utf-8")
    inside = NAMES[path].startswith("cli/") or NAMES[path] == "__main__.py"
    assert inside or not re.search(r"nst_jax(\.| import (\w+, )*)cli\b", text)


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


def test_the_readmes_examples_run(tmp_path, monkeypatch):
    get = recipes.get  # whole recipes take minutes
    monkeypatch.setattr(recipes, "get", lambda name: get(name)._replace(schedule=recipes.once(2)))
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
    for name, said in rows:
        path = ROOT / name
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        real = sum(len(file.read_text("utf-8").splitlines()) for file in files)
        assert abs(int(said.replace(",", "")) - real) <= 0.1 * real, f"{name} has {real} lines, not {said}"
    if rows:
        told = {name.rstrip("/") for name, _ in rows}
        missing = [
            n for n in NAMES.values() if not {f"nst_jax/{n}", f"nst_jax/{n.split('/')[0]}"} & told and "__" not in n
        ]
        assert not missing, "modules that the map leaves out"
