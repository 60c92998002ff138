"""The network that learns: VGG19's shape with fewer and narrower layers, and maps from its taps to the teacher's.

While it learns its input is of size one; `finished` folds that into its first layer and makes projections of the maps.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from fast import teacher

from nst_jax import vgg19

WIDTHS = (16, 64, 128, 192, 288)  # with CONVS, as much as 3 MB allow
CONVS = (1, 1, 2, 2, 1)
EMPHASIS = {"relu4_1": 1.25, "relu4_2": 0.75, "relu5_1": 1.75}  # what is worst learnt decides how a painting looks
AT_LAST = {"relu4_1": 2.0, "relu5_1": 3.0}  # the same in finishing rounds
MUON, ADAM = (4e-3, 1.2e-3), (2e-3, 2e-3)  # the highest rates at first, and later
FIRST = 2000  # steps at the first rates, of a short training a third
FINISH = (1e-3, 1e-3), (1e-3, 1e-3)  # in a finishing round
INPUT = 1 / 64  # input while it learns, of VGG19's


class State(NamedTuple):
    """Convolutions, maps {tap: [d, c]}, and the optimiser's own."""

    params: Any
    opt_state: optax.OptState


class Batch(NamedTuple):
    """Crops and what the teacher says of them, in bytes."""

    crops: np.ndarray
    features: dict[str, np.ndarray]


class Known(NamedTuple):
    """Of the teacher: its first layer, and how its features are packed."""

    first: dict
    top: dict
    variance: dict


def known(params: vgg19.Params, scales: teacher.Scales) -> Known:
    """What the student's loss needs of the teacher."""
    variance = {tap: jnp.float32(v) for tap, v in scales.variance.items()}
    top = {tap: jnp.asarray(t) for tap, t in scales.top.items()}
    return Known({name: params[name] for name in ("conv1_1", "input")}, top, variance)


def init(seed: int, teacher_params: vgg19.Params, *, widths=WIDTHS, convs=CONVS) -> dict:
    """Random convolutions and maps."""
    layers = vgg19.init(jax.random.key(seed), widths=widths, convs=convs)
    layers = {name: dict(layer) for name, layer in layers.items() if name != "input"}
    for layer in layers.values():
        layer["kernel"] = layer["kernel"] * 2**0.5  # Flax's is for layers without ReLU
    keys = iter(jax.random.split(jax.random.key(seed + 1), 6))
    maps = {}
    for tap in ("relu1_1", *teacher.taps(teacher_params)):
        shape = layers[f"conv{tap[4:]}"]["bias"].shape[0], teacher_params[f"conv{tap[4:]}"]["bias"].shape[0]
        maps[tap] = jax.random.normal(next(keys), shape) / shape[0] ** 0.5
    return {"layers": layers, "maps": maps}


def answers(layers, images, taps) -> dict:
    """The student's taps: [n, h, w, 3] in [0, 1] -> {tap: [n, h', w', d]}."""
    out, x = {}, _normalised(images) * INPUT
    for block, n in enumerate(vgg19.shape_of(layers)[1], 1):
        x = x if block == 1 else vgg19.POOLS["max"](x)
        for i in range(1, n + 1):
            layer = layers[f"conv{block}_{i}"]
            x = jax.nn.relu(vgg19.conv(x, layer["kernel"]) + layer["bias"][None, None, None])
            if f"relu{block}_{i}" in taps:
                out[f"relu{block}_{i}"] = x
    return out


def _normalised(images):
    return (images - jnp.array(vgg19.MEAN)[None, None, None]) / jnp.array(vgg19.STD)[None, None, None]


def pairs(layers, batch: Batch, known: Known) -> dict:
    """What student and teacher say at the kept positions, as rows: {tap: ([n, d], [n, c])}, the teacher's in units
    of its standard deviation."""
    images = batch.crops.astype(jnp.float32) / 255
    said = answers(layers, images, {"relu1_1", *batch.features})
    there = {"relu1_1": teacher.first(known.first, batch.crops) / jnp.sqrt(known.variance["relu1_1"])}
    for tap, stored in batch.features.items():
        there[tap] = teacher.unpacked(stored, known.top[tap]) / jnp.sqrt(known.variance[tap])
    out = {}
    for tap, target in there.items():
        step = teacher.FIRST if tap == "relu1_1" else teacher.STRIDES[tap]
        mine = said[tap][:, ::step, ::step]
        out[tap] = mine.reshape(-1, mine.shape[-1]), target.reshape(-1, target.shape[-1])  # in 2-D: a faster gradient
    return out


def errors(params, batch: Batch, known: Known) -> dict:
    """By tap, the squared error of the mapped features, of the teacher's variance."""
    each = pairs(params["layers"], batch, known)
    return {tap: jnp.square(mine @ params["maps"][tap] - target).mean() for tap, (mine, target) in each.items()}


@functools.cache
def optimizer(steps: int, *, muon=MUON, adam=ADAM) -> optax.GradientTransformation:
    """Muon where there are matrices to turn, Adam elsewhere; both warm up, and end at zero."""

    def schedule(first, later):
        begun = optax.warmup_cosine_decay_schedule(0.0, 1.0, min(100, steps // 5), steps, end_value=0.01)
        return lambda step: begun(step) * jnp.where(step < min(FIRST, steps // 3), first, later)

    def chosen(params):
        turned = optax.contrib.MuonDimensionNumbers(reduction_axis=(0, 1, 2), output_axis=3)
        layers = {n: {"kernel": None if n == "conv1_1" else turned, "bias": None} for n in params["layers"]}
        return {"layers": layers, "maps": dict.fromkeys(params["maps"])}

    return optax.contrib.muon(
        schedule(*muon), consistent_rms=0.2, adam_learning_rate=schedule(*adam), muon_weight_dimension_numbers=chosen
    )


@functools.partial(jax.jit, static_argnums=0, donate_argnums=1)
def step(optimizer, state: State, batch: Batch, known: Known, emphasis: dict) -> tuple[State, dict]:
    """One step of learning: (the next state, errors by tap)."""

    def value(params):
        each = errors(params, batch, known)
        return sum(emphasis.get(tap, 1.0) * e for tap, e in each.items()), each

    gradient, each = jax.grad(value, has_aux=True)(state.params)
    updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
    return State(optax.apply_updates(state.params, updates), opt_state), each


def refitted(params, batches, known: Known) -> tuple[dict, dict]:
    """(the maps that least squares gives over these batches, what they leave of the teacher's variance), by tap."""

    @jax.jit
    def products(batch):
        each = pairs(params["layers"], batch, known)
        return {tap: (a.T @ a, a.T @ b, jnp.square(b).sum(), len(b)) for tap, (a, b) in each.items()}

    total = None
    for batch in batches:
        found = jax.tree.map(lambda x: np.asarray(x, np.float64), products(batch))
        total = found if total is None else jax.tree.map(np.add, total, found)
    maps, left = {}, {}
    for tap, (aa, ab, bb, _) in (total or {}).items():
        ridge = 1e-5 * np.trace(aa) / len(aa) * np.eye(len(aa))
        maps[tap] = np.linalg.solve(aa + ridge, ab)
        left[tap] = float(1 - (2 * (maps[tap] * ab).sum() - (maps[tap] * (aa @ maps[tap])).sum()) / bb)
    return maps, left


def finished(params, maps, left, teacher_params: vgg19.Params, known: Known) -> vgg19.Params:
    """Parameters as `vgg19` knows them: input as VGG19's, and at each tap (d/C)^½ (M Mᵀ)^½ for a projection.

    The features so projected have nearly the teacher's Gram matrix, turned; losses are means over channels, hence d/C.
    What least squares leaves out is missing from their energy, and is given back.
    """
    out = {name: {k: np.asarray(v) for k, v in layer.items()} for name, layer in params["layers"].items()}
    out["conv1_1"]["kernel"] = out["conv1_1"]["kernel"] * INPUT
    for tap, m in maps.items():
        d, c = m.shape
        scale = d / c / (1 - left[tap]) * float(known.variance[tap])
        out[tap] = {"projection": _root(m @ m.T * scale).astype(np.float32)}
    return {**jax.tree.map(jnp.asarray, out), "input": teacher_params["input"]}


def _root(square):
    values, vectors = np.linalg.eigh(square)
    return vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
