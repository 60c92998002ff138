"""nst_jax.published: each source's formula in its own units, its optimizer's steps; families, stages, the users' page.

`SOURCES` states the published losses in NumPy, from features in float64 on, in the units and sums of their sources: an
image in 0..255 less the mean where the source has it so, raw Gram matrices where it has those.
"""

import dataclasses
import functools
import itertools
import pathlib
import re
import shlex
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import drawn, network

from nst_jax import cli, recipes
from nst_jax.cli import flags
from nst_jax.network import vgg19
from nst_jax.objective import distances, losses
from nst_jax.orders import customise
from nst_jax.painting import job as jobs
from nst_jax.painting import painter, transfer
from nst_jax.recipes import names

WIDTHS = (4, 4, 8, 8, 8)
SHAPES = ((48, 64), (67, 50))
NAMES = [
    "ioankont",
    "tf-keras-a",
    "tf-keras-b",
    "tf-keras-c",
    "tf-keras-d",
    "tf-keras-e",
    "deeplearning.ai-v1",
    "deeplearning.ai-v2",
    "umudov",
    "cs20",
    "gatys-2015",
    "gatys-2016",
    "gatys-notebook",
    "jcjohnson",
    "jcjohnson-multires",
    "neural-style-pt",
    "anishathalye",
    "cysmith",
    "tf-tutorial",
    "keras",
    "pytorch-tutorial",
    "gordicaleksa",
    "pystiche",
    "crowson-2021",
    "crowson-2023",
    "crowson-caffe",
]
FIRSTS = tuple(f"relu{block}_1" for block in range(1, 6))
ALL = tuple(vgg19.layers_of())
each_name = pytest.mark.parametrize("name", NAMES)
pytestmark = pytest.mark.usefixtures("quick_compiler")


@pytest.fixture(scope="module")
def small():
    return network(WIDTHS)


# Names


def test_all_names_of_the_field_and_our_own_are_there():
    table = recipes.everything()
    assert {*NAMES, recipes.DEFAULT} <= set(table)
    assert len(NAMES) == 26
    assert next(iter(table)) == recipes.DEFAULT
    for name, recipe in table.items():
        assert recipes.get(name) is recipe
        assert recipe.name == name
        assert recipe.source


@each_name
def test_a_misspelt_name_is_answered_with_a_real_one(name):
    with pytest.raises(ValueError, match=r"recipe must be one of \d+ names, got .*: did you mean [a-z0-9.-]+\?"):
        recipes.get(name[:-1] + "_" + name[-1])


# The sources' formulae


@dataclasses.dataclass
class Case:
    """What a source's formula is of: features by layer [c, n], the picture x in [0, 1], and its shape."""

    f: dict[str, np.ndarray]  # of the picture
    p: dict[str, np.ndarray]  # of the photograph
    a: dict[str, np.ndarray]  # of the painting
    x: np.ndarray

    def caffe(self, top=255):
        """The variable of those who take 0..255 (or 0..256) less the mean."""
        return top * self.x - np.array([123.68, 116.779, 103.939])


def gram(f):
    return f @ f.T


def mean(d):
    return np.mean(d**2)


def total(d):
    return np.sum(d**2)


def neighbours(y):
    """Differences to the row below and to the column on the right."""
    return y[1:] - y[:-1], y[:, 1:] - y[:, :-1]


def absolutes(y):
    return sum(np.abs(d).sum() for d in neighbours(y))


def mean_squares(y):
    return sum(np.mean(d**2) for d in neighbours(y))


def over_positions(case, layers, weight):
    """weight · mean squares of Gram matrices that each are divided by their own number of positions."""
    f, a = case.f, case.a
    return {k: weight * mean(gram(f[k]) / f[k].shape[1] - gram(a[k]) / a[k].shape[1]) for k in layers}


def over_all(case, layers, weight, of=mean):
    """The same of Gram matrices divided by positions and channels."""
    f, a = case.f, case.a
    return {k: weight * of(gram(f[k]) / f[k].size - gram(a[k]) / a[k].size) for k in layers}


def layer_energy(case, k):
    """E = Σ(G − A)²/(4 C² N²), of raw Gram matrices: the painting has as many positions as the picture."""
    c, n = case.f[k].shape
    return total(gram(case.f[k]) - gram(case.a[k])) / (4 * c**2 * n**2)


def gatys(case):
    style = {k: 1e3 * 0.2 * layer_energy(case, k) for k in FIRSTS}
    return {"relu4_2": 0.5 * total(case.f["relu4_2"] - case.p["relu4_2"])}, style, 0


def gatys_notebook(case):
    f, a = case.f, case.a
    style = {k: 1e3 / len(f[k]) ** 2 * mean(gram(f[k]) / f[k].shape[1] - gram(a[k]) / a[k].shape[1]) for k in FIRSTS}
    return {"relu4_2": mean(f["relu4_2"] - case.p["relu4_2"])}, style, 0


def johnson(case, weight, variation):
    content = {"relu4_2": 5 * mean(case.f["relu4_2"] - case.p["relu4_2"])}
    return content, over_all(case, FIRSTS, weight), variation


def johnson_lua(case):
    """What has the gradient that its total variation layer adds: ½ Σ(dx² + dy²), of 0..256."""
    return johnson(case, 100, 1e-3 * sum(0.5 * total(d) for d in neighbours(case.caffe(256))))


def athalye(case):
    def half(d):  # tf.nn.l2_loss
        return 0.5 * total(d)

    f, p, a = (each for each in (case.f, case.p, case.a))
    content = {"relu4_2": 5 * 2 * half(f["relu4_2"] - p["relu4_2"]) / f["relu4_2"].size}
    grams = {k: (gram(f[k]) / f[k].size, gram(a[k]) / a[k].size) for k in FIRSTS}
    style = {k: 500 * 0.2 * 2 * half(g - t) / t.size for k, (g, t) in grams.items()}
    variation = 100 * sum(2 * half(d) / d.size for d in neighbours(case.caffe()))
    return content, style, variation


def cysmith(case):
    c, n = case.f["conv4_2"].shape
    content = {"conv4_2": 5 * total(case.f["conv4_2"] - case.p["conv4_2"]) / (2 * c**0.5 * n**0.5)}
    style = {k: 1e4 * 0.2 / 5 * layer_energy(case, k) for k in FIRSTS}
    return content, style, 1e-3 * absolutes(case.caffe())


def tensorflow(case, layer, content, style, variation):
    return (
        {layer: content * mean(case.f[layer] - case.p[layer])},
        over_positions(case, FIRSTS, style / 5),
        variation,
    )


def keras(case):
    h, w = case.x.shape[:2]
    style = {k: 1e-6 / 5 * total(gram(case.f[k]) - gram(case.a[k])) / (4 * 3**2 * (h * w) ** 2) for k in FIRSTS}
    y = case.caffe()
    below, right = y[1:, :-1] - y[:-1, :-1], y[:-1, 1:] - y[:-1, :-1]
    content = {"relu5_2": 2.5e-8 * total(case.f["relu5_2"] - case.p["relu5_2"])}
    return content, style, 1e-6 * np.sum((below**2 + right**2) ** 1.25)


def pytorch_tutorial(case):
    layers = ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1")  # its conv_1 to conv_5, before their ReLUs
    return {"conv2_2": mean(case.f["conv2_2"] - case.p["conv2_2"])}, over_all(case, layers, 1e6), 0


def course(case, layer, content=10, weights=(0.2,) * 5, beta=40):
    d = case.f[layer] - case.p[layer]
    style = {k: beta * w * layer_energy(case, k) for k, w in zip(FIRSTS, weights, strict=True)}
    return {layer: content * total(d) / (4 * d.size)}, style, 0


def umudov(case):
    """.2 β mean((G − A)²)/(CN) of raw Grams, the painting's of as many positions as the picture's: the intent."""
    style = {}
    for k in FIRSTS:
        (c, n), own = case.f[k].shape, case.a[k].shape[1]
        style[k] = 0.2 * 1e6 * mean(gram(case.f[k]) - gram(case.a[k]) * n / own) / (c * n)
    return {"relu4_2": 1.0 * mean(case.f["relu4_2"] - case.p["relu4_2"])}, style, 0


def gordic(case):
    """Of the features that a torchvision network gives for 0..255 less the mean."""
    content = {"relu4_2": 1e5 * mean(case.f["relu4_2"] - case.p["relu4_2"])}
    return content, over_all(case, FIRSTS, 3e4 / 5, total), 1.0 * absolutes(case.caffe())


def pystiche(case):
    return {"relu4_2": mean(case.f["relu4_2"] - case.p["relu4_2"])}, over_positions(case, FIRSTS, 1e3 / 5), 0


def scaled(d):
    return np.sum(d**2) / (np.sum(np.abs(d)) + 1e-8)


def crowson_scaled(case, content, weights, variation):
    f, a = case.f, case.a
    style = {
        k: w * scaled(gram(f[k]) / f[k].shape[1] - gram(a[k]) / a[k].shape[1])
        for k, w in zip(FIRSTS, weights, strict=True)
    }
    return {"relu4_2": content * scaled(f["relu4_2"] - case.p["relu4_2"])}, style, variation


def root(symmetric):
    values, vectors = np.linalg.eigh(symmetric)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def gaussian(f, ridge=None):
    """(mean, covariance) of features [c, n] with a ridge, of a 1e-4th of the mean variance unless it is given."""
    s = np.cov(f, bias=True)
    ridge = 1e-4 * np.trace(s) / len(f) + 1e-12 if ridge is None else ridge
    return f.mean(1), s + ridge * np.eye(len(f)), ridge


def wasserstein(f, a):
    """Squared, over channels: |μ − μ*|² + tr(Σ + Σ* − 2 (Σ*^½ Σ Σ*^½)^½), by eigendecompositions."""
    to, target, ridge = gaussian(a)
    at, s, _ = gaussian(f, ridge)
    b = root(target)
    return (total(at - to) + np.trace(s + target - 2 * root(b @ s @ b))) / len(f)


def nine_point(x):
    y = np.pad(x, ((1, 1), (1, 1), (0, 0)), mode="edge")
    here, right, below = y[1:-1, 1:-1], y[1:-1, 2:], y[2:, 1:-1]
    return 2 * ((mean(right - here) + mean(below - here)) / 3 + (mean(y[2:, 2:] - here) + mean(y[2:, :-2] - here)) / 12)


PYRAMID = tuple(w / 341 for w in (256, 64, 16, 4, 1))


def crowson_2023(case):
    content = {"relu4_2": 0.015 * mean(case.f["relu4_2"] - case.p["relu4_2"])}
    style = {k: w * wasserstein(case.f[k], case.a[k]) for k, w in zip(FIRSTS, PYRAMID, strict=True)}
    return content, style, 2 * nine_point(case.x)


SOURCES = {
    "ioankont": lambda case: tensorflow(case, "relu4_2", 1e4, 7, 10 * absolutes(case.caffe())),
    "tf-keras-a": lambda case: tensorflow(case, "relu4_2", 1e-4, 1e-2, 0),
    "tf-keras-b": lambda case: tensorflow(case, "relu4_2", 1e-4, 1, 0),
    "tf-keras-c": lambda case: tensorflow(case, "relu4_2", 1e-4, 1, 0),
    "tf-keras-d": lambda case: tensorflow(case, "relu4_2", 1e-1, 1, 0),
    "tf-keras-e": lambda case: tensorflow(case, "relu4_2", 1e-1, 1, 0),
    "deeplearning.ai-v1": lambda case: course(case, "relu4_2"),
    "deeplearning.ai-v2": lambda case: course(case, "relu5_4"),
    "umudov": umudov,
    "cs20": lambda case: course(case, "relu4_2", 0.01, (0.5, 1.0, 1.5, 3.0, 4.0), 1.0),
    "gatys-2015": gatys,
    "gatys-2016": gatys,
    "gatys-notebook": gatys_notebook,
    "jcjohnson": johnson_lua,
    "jcjohnson-multires": lambda case: johnson(case, 500, 0),
    "neural-style-pt": lambda case: johnson(case, 100, 1e-3 * absolutes(case.caffe())),
    "anishathalye": athalye,
    "cysmith": cysmith,
    "tf-tutorial": lambda case: tensorflow(case, "relu5_2", 1e4, 1e-2, 30 * absolutes(case.x)),
    "keras": keras,
    "pytorch-tutorial": pytorch_tutorial,
    "gordicaleksa": gordic,
    "pystiche": pystiche,
    "crowson-2021": lambda case: crowson_scaled(case, 0.015, PYRAMID, 2 * mean_squares(case.x)),
    "crowson-2023": crowson_2023,
    "crowson-caffe": lambda case: crowson_scaled(case, 0.05, (0.2,) * 5, 5 * mean_squares(case.x / (127.5 / 255))),
}
RAW = {"deeplearning.ai-v1", "deeplearning.ai-v2", "cs20", "gatys-2015", "gatys-2016", "cysmith", "keras"}
"""Whose formula has raw Gram matrices, of a painting that they bring to the picture's shape."""


@functools.cache
def maps(pool="max", padding="zeros"):
    """A network whose maps are all computed at once: one program for each shape, whatever the recipe asks for."""

    @jax.jit
    def everything(params, image):
        return vgg19.features(params, image, ALL, pool=pool, padding=padding)

    def some(params, image, layers):
        found = everything(params, jnp.asarray(image))
        return {layer: found[vgg19.canonical(layer)] for layer in layers}

    return some


@pytest.fixture
def shared_maps(monkeypatch):
    """Recipes' own losses over `maps`: which pooling and padding they ask for is theirs."""
    monkeypatch.setattr(vgg19, "network", lambda *, pool, padding, **_: maps(pool, padding))


def features(params, picture, pool, padding):
    found = maps(pool, padding)(params, picture, ALL)
    return {k: np.asarray(f, np.float64).reshape(-1, f.shape[-1]).T for k, f in found.items()}


def fed(params, std):
    return {**params, "input": {**params["input"], "std": jnp.full(3, std)}}


def unbiased(params):
    """The same network, linear in its input's magnitude, with torchvision's divisor, the same for all colours."""
    return {k: v if k == "input" else {**v, "bias": 0 * v["bias"]} for k, v in fed(params, 0.226).items()}


@pytest.mark.parametrize("shape", SHAPES)
@each_name
def test_a_recipes_loss_is_its_sources_formula(name, shape, small, shared_maps):
    recipe, x, photo = recipes.get(name), drawn(3, *shape), drawn(4, *shape)
    painting = drawn(5, *shape) if name in RAW else drawn(5, 51, 58)
    params = theirs = unbiased(small) if name == "gordicaleksa" else small
    if name == "gordicaleksa":
        theirs = fed(params, 1 / 255)  # not divided by std: what the source does
    pool = "average" if name in AVERAGE else "max"
    padding = "replicate" if name in ("crowson-2021", "crowson-2023") else "zeros"
    f, p, a = (features(theirs, picture, pool, padding) for picture in (x, photo, painting))
    content, style, variation = SOURCES[name](Case(f, p, a, x.astype(np.float64)))
    expected = {f"content/{k}": v for k, v in content.items()} | {f"style/{k}": v for k, v in style.items()}
    expected["variation"] = variation

    loss, weights = jobs.loss(recipe), recipe.weights(shape, widths=WIDTHS)
    targets = loss.prepare(params, photo, losses.everywhere(painting), weights)
    terms = loss.terms(loss.summarise(params, x, targets, weights), targets, weights)
    assert {k: float(v) for k, v in terms.items()} == {k: pytest.approx(v, rel=1e-5) for k, v in expected.items()}
    value = losses.objective(loss)(jnp.asarray(x), params, targets, weights)
    assert float(value) == pytest.approx(sum(expected.values()), rel=1e-5)
    assert sum(expected.values()) > 0


AVERAGE = {"gatys-2015", "gatys-2016", "cysmith", "deeplearning.ai-v1", "cs20", "ioankont"}


# What else a source fixes: family, size, edge, stages, start, optimizer, what is kept

TEN = [(512, 1000)]
ROWS: dict[str, tuple] = {
    "ioankont": ("caffe", (512, 512), "long", [(512, 2000)], ("gaussian", 1e-4 / 255), ("clamped", "best")),
    "tf-keras-a": ("caffe", 512, "long", TEN, ("content",), ("clamped",)),
    "tf-keras-b": ("caffe", 512, "long", [(512, 5000)], ("content",), ("clamped",)),
    "tf-keras-c": ("caffe", 512, "long", [(512, 5000)], ("content",), ("clamped",)),
    "tf-keras-d": ("caffe", 512, "long", [(512, 5000)], ("content",), ("clamped",)),
    "tf-keras-e": ("caffe", 512, "long", [(512, 10000)], ("content",), ("clamped",)),
    "deeplearning.ai-v1": ("caffe", (300, 400), "long", [(400, 200)], ("mix", 0.6, 20 / 255), ()),
    "deeplearning.ai-v2": ("caffe", (400, 400), "long", [(400, 2501)], ("grain", 0.25), ("clamped",)),
    "umudov": ("torchvision", 512, "short", TEN, ("content",), ("best",)),
    "cs20": ("caffe", (250, 333), "long", [(333, 300)], ("mix", 0.6, 20 / 255), ()),
    "gatys-2015": ("normalised", 512, "long", [(512, 500)], ("noise",), ()),
    "gatys-2016": ("normalised", 512, "long", [(512, 500)], ("noise",), ()),
    "gatys-notebook": ("caffe", 800, "short", [(512, 500), (800, 200)], ("content",), ()),
    "jcjohnson": ("caffe", 512, "long", TEN, ("gaussian", 1e-3 / 256), ()),
    "jcjohnson-multires": (
        "caffe",
        3620,
        "long",
        [(256, 1000), (512, 500), (1024, 200), (2048, 100), (3620, 50)],
        ("gaussian", 1e-3 / 256),
        (),
    ),
    "neural-style-pt": ("caffe", 512, "long", TEN, ("gaussian", 1e-3 / 255), ()),
    "anishathalye": ("caffe", None, "width", TEN, ("gaussian", 0.256 / 255), ("best",)),
    "cysmith": ("caffe", 512, "long", TEN, ("content",), ()),
    "tf-tutorial": ("caffe", 512, "long", TEN, ("content",), ("clamped",)),
    "keras": ("caffe", 400, "height", [(400, 4000)], ("content",), ()),
    "pytorch-tutorial": ("torchvision", 512, "short", [(512, 300)], ("content",), ()),
    "gordicaleksa": ("torchvision", 400, "height", [(400, 1000)], ("content",), ()),
    "pystiche": ("torchvision", 500, "short", [(500, 500)], ("content",), ()),
    "crowson-2021": (
        "torchvision",
        512,
        "long",
        [(128, 1000), (181, 500), (256, 500), (362, 500), (512, 500)],
        ("content",),
        ("clamped", "averaged:0.99"),
    ),
    "crowson-2023": (
        "torchvision",
        512,
        "long",
        [(128, 1000), (181, 500), (256, 500), (362, 500), (512, 500)],
        ("content",),
        ("clamped", "averaged:0.99"),
    ),
    "crowson-caffe": ("caffe", 256, "long", [(181, 200), (256, 100)], ("noise",), ("clamped", "averaged:0.95")),
}


@each_name
def test_a_recipe_fixes_what_its_source_fixes(name):
    recipe, (family, size, edge, stages, (word, *numbers), keep) = recipes.get(name), ROWS[name]
    assert (recipe.family, recipe.size, recipe.edge, recipe.keep) == (family, size, edge, keep)
    assert list(recipe.schedule(stages[-1][0])) == stages
    assert names.parse_start(recipe.start) == (word, pytest.approx(numbers, rel=2e-3))
    assert recipe.style_size == ("down" if name.startswith("crowson") else "same")


def test_what_is_not_as_in_the_source_is_said():
    for recipe in map(recipes.get, NAMES):
        said = recipe.differs.lower()
        assert ("magnitudes not verified against the original weights" in said) == (recipe.family == "torchvision")
        assert recipe.optimizer != "lbfgs" or "equal loss, not equal path" in said
        assert not recipe.differs or recipe.differs.endswith(".")
    for name, words in {
        "umudov": "divided by its own positions",
        "gordicaleksa": "undivided by std",
        "deeplearning.ai-v2": "unprepared [0, 1]",
        "keras": "3 channels",
        "jcjohnson": "in the loss, not in its gradient alone",
        "tf-keras-b": "stalls",
        "crowson-caffe": "scaled squared errors",
    }.items():
        assert words in recipes.get(name).differs


def test_the_course_stores_a_picture_every_hundred_steps():
    assert recipes.get("deeplearning.ai-v1").store == 100


# Optimizers: a source's variable is `unit` times ours, so that its gradients are ours over that

IMAGENET = np.array([0.229, 0.224, 0.225])
TF = {"b1": 0.9, "b2": 0.999, "eps": 1e-8}
KERAS = {**TF, "eps": 1e-7}
SLOW = {"b1": 0.99, "b2": 0.999, "eps": 0.1}
STEPS: dict[str, tuple[str, float, dict[str, Any], Any]] = {  # kind, rate, settings, unit
    "ioankont": ("tf", 0.1, KERAS, 255),
    "tf-keras-a": ("tf", 0.02, SLOW, 1),
    "tf-keras-b": ("tf", 0.001, SLOW, 1),
    "tf-keras-c": ("tf", 0.01, SLOW, 1),
    "tf-keras-d": ("tf", 0.01, SLOW, 1),
    "tf-keras-e": ("tf", 0.01, SLOW, 1),
    "deeplearning.ai-v1": ("tf", 2.0, TF, 255),
    "deeplearning.ai-v2": ("tf", 0.01, KERAS, 1),
    "umudov": ("torch", 0.003, TF, 1 / IMAGENET),
    "cs20": ("tf", 2.0, TF, 255),
    "anishathalye": ("tf", 10.0, TF, 255),
    "tf-tutorial": ("tf", 0.02, SLOW, 1),
    "keras": ("sgd", 100.0, {}, 255),
    "crowson-2021": ("torch", 0.02, TF, 1),
    "crowson-2023": ("torch", 0.02, {**TF, "b2": 0.99}, 1),
    "crowson-caffe": ("torch", 15.0, TF, 255),
}
MEMORY = {
    "gatys-2015": 10,
    "gatys-2016": 10,
    "gatys-notebook": 100,  # PyTorch's own, as of all who say nothing else
    "jcjohnson": 100,  # Torch's own
    "jcjohnson-multires": 5,
    "neural-style-pt": 100,
    "cysmith": 10,  # SciPy's own
    "pytorch-tutorial": 100,
    "gordicaleksa": 100,
    "pystiche": 100,
}


def path(kind, rate, settings, gradients):
    """A source's variable after each step from zero, in float64: {tf, torch} Adam, or Keras' decaying descent."""
    y = m = v = 0.0
    for t, g in enumerate(gradients, 1):
        if kind == "sgd":
            y = y - rate * 0.96 ** ((t - 1) / 100) * g
            yield y
            continue
        b1, b2, eps = settings["b1"], settings["b2"], settings["eps"]
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        if kind == "tf":
            y = y - rate * np.sqrt(1 - b2**t) / (1 - b1**t) * m / (np.sqrt(v) + eps)
        else:
            y = y - rate * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
        yield y


@pytest.mark.parametrize("name", STEPS)
def test_three_steps_are_the_sources_in_its_own_units(name):
    kind, rate, settings, unit = STEPS[name]
    random, recipe = np.random.default_rng(0), recipes.get(name)
    gradients = random.normal(size=(3, 20, 5, 3)) * 10.0 ** random.uniform(-9, 1, (20, 5, 3))  # about every ε
    theirs = [y / unit for y in path(kind, rate, settings, gradients)]
    if name == "crowson-caffe":  # each step divided by (1 + .05 i)^½
        steps = np.diff([0 * theirs[0], *theirs], axis=0) / np.sqrt(1 + 0.05 * np.arange(3))[:, None, None, None]
        theirs = np.cumsum(steps, axis=0)
    optimizer = transfer.OPTIMIZERS[recipe.optimizer](**recipe.settings)
    x = np.zeros(theirs[0].shape)
    state = optimizer.init(jnp.zeros_like(x))
    for expected, gradient in zip(theirs, gradients, strict=True):
        update, state = optimizer.update(jnp.asarray(gradient * unit, jnp.float32), state, jnp.zeros_like(x))
        x = x + np.asarray(update, np.float64)
        np.testing.assert_allclose(x, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
        np.testing.assert_allclose(np.median(x / expected), 1, rtol=1e-5)


def test_tensorflows_epsilon_counts_more_at_first():
    """ε/√(1 − β2ᵗ): 31.6 times as much at the first step, against plain Adam's."""
    g = jnp.full((1, 1, 3), 1e-3)
    first = {}
    for name in ("adam", "keras-adam"):
        optimizer = transfer.OPTIMIZERS[name](learning_rate=1.0, b1=0.99, b2=0.999, eps=0.1)
        first[name] = -float(optimizer.update(g, optimizer.init(g), g)[0][0, 0, 0])
    assert first["adam"] == pytest.approx(1e-3 / (1e-3 + 0.1), rel=1e-5)
    assert first["keras-adam"] == pytest.approx(1e-3 / (1e-3 + 0.1 / 0.001**0.5), rel=1e-5)


def test_lbfgs_remembers_as_many_steps_as_the_source():
    found = {name: r for name, r in recipes.everything().items() if r.optimizer == "lbfgs" and name in NAMES}
    assert {name: r.settings.get("memory", 10) for name, r in found.items()} == MEMORY
    assert set(STEPS) | set(MEMORY) == set(NAMES)
    for r in found.values():
        assert transfer.OPTIMIZERS[r.optimizer](**r.settings)


# Families


def stretched(params, factors):
    """The same network with each ReLU's features multiplied by a factor of its own."""
    out, before = {"input": params["input"]}, 1.0
    for name in (name for name in ALL if name.startswith("conv")):
        k = factors[name.replace("conv", "relu")]
        kernel, bias = params[name]["kernel"], params[name]["bias"]
        out[name], before = {"kernel": kernel * k / before, "bias": bias * k}, k
    return out


RELUS = [name for name in ALL if name.startswith("relu")]
FACTORS = dict(zip(RELUS, np.random.default_rng(1).uniform(0.2, 5, len(RELUS)), strict=True))


@pytest.mark.parametrize(
    ("name", "style"),
    [
        ("tf-tutorial", "gram"),
        ("pytorch-tutorial", "gram"),
        ("keras", "gram"),
        ("tf-tutorial", "covariance"),
        ("tf-tutorial", "statistics"),
        ("crowson-2021", "scaled-gram"),
        ("crowson-2023", "wasserstein"),
    ],
)
def test_weights_rescaled_for_larger_features_give_equal_terms(name, style, small, shared_maps):
    recipe = recipes.get(name)._replace(style_distance=style)
    x, photo, painting = drawn(3, *SHAPES[0]), drawn(4, *SHAPES[0]), drawn(5, 51, 58)

    def terms(params, recipe):
        loss, weights = jobs.loss(recipe), recipe.weights(x.shape, widths=WIDTHS)
        targets = loss.prepare(params, photo, losses.everywhere(painting), weights)
        found = loss.terms(loss.summarise(params, x, targets, weights), targets, weights)
        return {k: float(v) for k, v in found.items()}

    expected = terms(small, recipe)
    other = stretched(small, FACTORS)
    assert terms(other, recipe.rescaled(FACTORS)) == {k: pytest.approx(v, rel=1e-3) for k, v in expected.items()}
    assert terms(other, recipe) != {k: pytest.approx(v, rel=0.1) for k, v in expected.items()}


def test_every_kind_of_layer_can_be_rescaled():
    layers = {"pool4": "relu4_4", "block4_pool": "relu4_4", "block3_conv2": "relu3_2", "conv2_1": "relu2_1"}
    recipe = recipes.get("tf-tutorial")._replace(content=dict.fromkeys(layers, 1.0))
    found = recipe.rescaled(FACTORS).content
    assert found == {layer: pytest.approx(FACTORS[relu] ** -2) for layer, relu in layers.items()}


# Stages


def test_a_rising_ladder_costs_as_much_as_its_first_stage_would_at_full_size():
    stages = recipes.rising(1000, 500)
    assert [s.edge for s in stages(512)] == [128, 181, 256, 362, 512]
    assert [s.steps for s in stages(512)] == [1000, 500, 500, 500, 500]
    for size in (512, 1024, 2896):
        assert sum(s.steps * (s.edge / size) ** 2 for s in stages(size)) == pytest.approx(1000, rel=3e-3)
    assert stages(128) == ((128, 1000),)
    assert stages(100) == ((100, 1000),), "smaller than the smallest: one stage"


def test_listed_stages_keep_their_proportions_at_another_size():
    stages = recipes.get("jcjohnson-multires").schedule(1810)
    assert [s.edge for s in stages] == [128, 256, 512, 1024, 1810]
    assert [s.steps for s in stages] == [1000, 500, 200, 100, 50]
    assert recipes.listed((512, 5), (800, 2))(16)[0].edge == 16, "no stage below what the network takes"


@pytest.mark.parametrize("steps", [5, 6, 17, 100, 999, 3000, 12345])
def test_shared_steps_add_up_and_keep_their_proportions(steps):
    before = recipes.rising(1000, 500)(512)
    after = recipes.shared(before, steps)
    assert [s.edge for s in after] == [s.edge for s in before]
    assert sum(s.steps for s in after) == steps
    for old, new in zip(before, after, strict=True):
        assert new.steps >= 1
        assert abs(new.steps - steps * old.steps / 3000) <= 1
    recipe = recipes.get("crowson-2023")
    assert recipe.with_steps(steps).steps(512) == steps


def test_too_few_steps_to_share_are_refused():
    with pytest.raises(ValueError, match="steps must be at least 5, one at each size, got 4"):
        recipes.get("crowson-2023").with_steps(4).steps(512)


@each_name
def test_strength_goes_from_the_photograph_to_pure_style(name):
    recipe = recipes.get(name)
    whole = recipe.weights((64, 80))

    def of(amount):
        w = recipe.strength(amount).weights((64, 80))
        return sum(w.content.values()), sum(w.style.values()), w.variation

    assert of(0)[1:] == (0, 0)
    assert of(0)[0] > 0
    assert of(0.5) == pytest.approx((sum(whole.content.values()), sum(whole.style.values()), whole.variation))
    assert of(1)[0] == 0
    assert of(1)[1] > 0
    content, style, variation = zip(*map(of, np.linspace(0, 1, 9)), strict=True)
    assert all(a > b for a, b in itertools.pairwise(content))
    assert all(a < b for a, b in itertools.pairwise(style))
    assert all(a <= b for a, b in itertools.pairwise(variation))


@each_name
def test_times_multiplies_what_is_a_number_and_what_is_a_rule(name):
    recipe = recipes.get(name)
    before, after = (r.weights((64, 80)) for r in (recipe, recipe.times(content=3.0, style=0.25)))
    assert after.content == {k: pytest.approx(3 * v) for k, v in before.content.items()}
    assert after.style == {k: pytest.approx(v / 4) for k, v in before.style.items()}
    assert after.variation == before.variation


# Each one runs


@functools.cache
def shallow(layers):
    """A network no deeper in any block than these layers are: it compiles in half the time."""
    seen = [re.findall(r"\d", layer) for layer in layers]
    return network(WIDTHS, tuple(max([1, *(int(i) for b, i in seen if int(b) == block)]) for block in range(1, 6)))


STAGED = {"crowson-2023", "gatys-notebook"}  # one of each optimizer that another size begins anew or goes on with


@pytest.mark.parametrize("name", [recipes.DEFAULT, *NAMES])
def test_each_recipe_paints(name):
    recipe = recipes.get(name)
    params = shallow(tuple({**recipe.content, **recipe.style}))
    stages = recipes.listed((48, 1), (64, 1)) if name in STAGED else recipes.once(2)
    recipe = recipe._replace(schedule=stages)
    job = jobs.Job(drawn(1, 64, 64), losses.everywhere(drawn(2, 70, 66)), recipe, (64, 64))
    *_, last = painter.frames(params, job, every=2)
    image = np.asarray(last.image)
    assert image.shape == (64, 64, 3)
    assert np.isfinite(image).all()
    assert 0 <= image.min() < image.max() <= 1
    assert all(np.isfinite(float(v)) for v in last.terms.values())
    assert last.step == 2


# Distances


def moments(f):
    """Our normalised moments of features [c, n]."""
    return distances.normalise(distances.moments(jnp.asarray(f.T[:, None], jnp.float32)))


def activity(seed, channels, positions):
    """Features as a ReLU leaves them, mixed so that channels go together."""
    random = np.random.default_rng(seed)
    mix = random.normal(size=(channels, channels)) / channels**0.5 * np.geomspace(3, 0.1, channels)
    return np.maximum(mix @ random.normal(0.3, 1, (channels, positions)), 0)


@pytest.mark.parametrize(("channels", "positions"), [(64, 900), (64, 20), (256, 64)])
def test_wasserstein_and_its_slopes_are_those_of_eigendecompositions(channels, positions):
    f, a = activity(0, channels, positions), activity(1, channels, positions + 37)
    m, t = moments(f), moments(a)
    found, slope = jax.value_and_grad(lambda m: distances.wasserstein(m, t).sum())(m)
    assert float(found) == pytest.approx(wasserstein(f, a), rel=1e-4)
    by_mean, by_outer = (np.float64(each[0]) for each in (slope.total, slope.outer))

    def close(found, expected):
        return np.linalg.norm(found - expected) < 1e-3 * np.linalg.norm(expected)

    # By the features, from float64 throughout
    (to, target, ridge), centred = gaussian(a), f - f.mean(1, keepdims=True)
    cross = 2 * slope_of_cross(gaussian(f, ridge)[1], target)
    expected = 2 * ((f.mean(1) - to)[:, None] + centred - cross @ centred) / (channels * positions)
    assert close((by_mean[:, None] + (by_outer + by_outer.T) @ f) / positions, expected)

    # By the covariance, from the moments that ours has: where it lacks rank, their roundings count beside the ridge
    s, target = (np.float64(each.outer[0]) - np.outer(*2 * [np.float64(each.total[0])]) for each in (m, t))
    floor = (1e-4 * np.trace(target) / channels + 1e-12) * np.eye(channels)
    cross = (np.eye(channels) - channels * by_outer) / 2
    assert close((cross + cross.T) / 2, slope_of_cross(s + floor, target + floor))


def slope_of_cross(s, target):
    """Of tr (BΣB)^½ by Σ, B = Σ*^½: ½ B (BΣB)^-½ B."""
    b = root(target)
    values, vectors = np.linalg.eigh(b @ s @ b)
    return 0.5 * b @ (vectors / np.sqrt(values)) @ vectors.T @ b


def test_wasserstein_of_equals_is_nothing():
    m = moments(activity(0, 64, 300))
    assert abs(float(distances.wasserstein(m, m)[0])) < 1e-5 * float(jnp.trace(m.outer[0])) / 64


@pytest.mark.parametrize(("channels", "positions"), [(64, 1), (512, 1), (512, 2)])
@pytest.mark.parametrize("larger", [1.0, 100.0])
def test_wasserstein_from_a_map_of_one_position_has_a_slope(channels, positions, larger):
    f, a = activity(0, channels, positions) * 30, activity(1, channels, 1) * 30 * larger
    value, slope = jax.value_and_grad(lambda m: distances.wasserstein(m, moments(a)).sum())(moments(f))
    expected = np.square(f.mean(1) - a[:, 0]).mean() + f.var(1).mean()
    assert float(value) == pytest.approx(expected, rel=0.01)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slope))


def test_covariance_and_statistics_are_numpys():
    f, a = activity(0, 16, 300), activity(1, 16, 200) + 0.5
    m, t = moments(f), moments(a)
    expected = mean(np.cov(f, bias=True) - np.cov(a, bias=True))
    assert float(distances.covariance(m, t)[0]) == pytest.approx(expected, rel=1e-4)
    expected = mean(f.mean(1) - a.mean(1)) + mean(f.std(1) - a.std(1))
    assert float(distances.statistics(m, t)[0]) == pytest.approx(expected, rel=1e-4)
    moved = moments(f + 3)
    assert float(distances.covariance(moved, t)[0]) == pytest.approx(float(distances.covariance(m, t)[0]), rel=1e-2)
    assert float(distances.statistics(m, m)[0]) == 0


def of(variation, image):
    return float(variation.total(variation.local(jnp.asarray(image, jnp.float32)).sum((0, 1))))


def test_variations_are_numpys():
    x = drawn(6, 21, 34).astype(np.float64)
    dy, dx = neighbours(x)
    assert of(distances.ABSOLUTES, x) == pytest.approx(absolutes(x), rel=1e-5)
    assert of(distances.SUM_SQUARES, x) == pytest.approx(total(dy) + total(dx), rel=1e-5)
    assert of(distances.SQUARES, x) == pytest.approx(mean(dy) + mean(dx), rel=1e-5)
    assert of(distances.POWER, x) == pytest.approx(np.sum((dy[:, :-1] ** 2 + dx[:-1] ** 2) ** 1.25), rel=1e-5)
    assert of(distances.NINE_POINT, x) == pytest.approx(nine_point(x), rel=1e-5)


@pytest.mark.parametrize("angle", [0, 22.5, 45, 90, 130])
def test_nine_points_see_a_ramp_as_two_do_whatever_its_direction(angle):
    y, x = np.mgrid[0:64, 0:64] / 64
    ramp = (np.cos(np.radians(angle)) * x + np.sin(np.radians(angle)) * y)[..., None] * np.ones(3)
    energy = total(ramp[1:-1, 1:-1] - ramp[:-2, 1:-1]) + total(ramp[1:-1, 1:-1] - ramp[1:-1, :-2])
    inner = distances.NINE_POINT.local(jnp.asarray(ramp, jnp.float32))[1:-1, 1:-1].sum((0, 1))
    assert float(distances.NINE_POINT.total(inner)) == pytest.approx(energy / (62 * 62 * 3), rel=1e-3)
    assert energy / (62 * 62 * 3) == pytest.approx(1 / 64**2, rel=1e-6)


# The page for users of other programs

PAGE = pathlib.Path(__file__).parent.parent / "docs" / "migration.md"


def our_words():
    """The page without the first column of its tables, which is the other programs'."""
    lines = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        lines.append("|".join(line.split("|")[2:]) if line.startswith("|") else line)
    return "\n".join(lines)


def test_the_migration_page_names_flags_and_recipes_that_exist(capsys):
    with pytest.raises(SystemExit):
        cli.parser().parse_args(["stylize", "--help"])
    known = set(re.findall(r"--[a-z][a-z0-9-]+", capsys.readouterr().out))
    words = our_words()
    assert set(re.findall(r"--[a-z][a-z0-9-]+", words)) <= known
    named = set(re.findall(r"--recipe ([\w.-]+)", words)) - {"NAME"}
    assert named <= set(recipes.everything())
    assert all(f"`{name}`" in words or name in named for name in NAMES)


def test_the_migration_pages_commands_are_understood(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"^nst-jax stylize .*$", PAGE.read_text(encoding="utf-8"), re.M)
    assert len(commands) >= 5
    for command in commands:
        args = cli.parser().parse_args(shlex.split(command, comments=True)[1:])
        assert customise.recipe_of(flags.order(args)).content
