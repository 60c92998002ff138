"""The network that learns: VGG19's shape with fewer and narrower layers, and fits of the teacher's to its own maps.

Its map for a layer of the teacher's is made of several of its own, the deepest ones and what went into them: channels
for a fit cost little where they are there already. While it learns, its input is of size one; `to_network` folds that
into its first layer and makes taps of the fits.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from fast import teacher

from nst_jax.network import vgg19

WIDTHS = ((16,), (64,), (128, 96), (176, 176), (256,))  # of each convolution, block by block
TAPS = {  # by layer of the teacher's, of which maps it is made
    "relu1_1": ("relu1_1",),
    "relu2_1": ("pool1", "relu2_1"),
    "relu3_1": ("pool2", "relu3_1"),
    "relu4_1": ("pool3", "relu4_1"),
    "relu4_2": ("pool3", "relu4_1", "relu4_2"),
    "relu5_1": ("pool4", "relu5_1"),
}
AXES = {"relu1_1": 8, "relu2_1": 48, "relu3_1": 80, "relu4_1": 104, "relu4_2": 96, "relu5_1": 168}  # of a fit, kept
EMPHASIS = {"relu4_1": 1.25, "relu4_2": 0.75, "relu5_1": 1.75}  # what is worst learnt decides how a painting looks
MUON, ADAM = (4e-3, 1.2e-3), (2e-3, 2e-3)  # the highest rates at first, and later
FIRST = 2000  # steps at the first rates, of a short training a third
INPUT = 1 / 64  # input while it learns, of VGG19's


class State(NamedTuple):
    """Convolutions, fits {tap: [d, c]}, and the optimiser's own."""

    params: Any
    opt_state: optax.OptState


class Batch(NamedTuple):
    """Crops and the teacher's features of them, in bytes."""

    crops: np.ndarray
    features: dict[str, np.ndarray]


class Reference(NamedTuple):
    """What the student's loss needs of the teacher: its first layer, and how its features are packed."""

    first: dict
    top: dict
    variance: dict


def make_reference(params: vgg19.Params, scales: teacher.Scales) -> Reference:
    """Take from the teacher what the student's loss needs of it."""
    variance = {tap: jnp.float32(v) for tap, v in scales.variance.items()}
    top = {tap: jnp.asarray(t) for tap, t in scales.top.items()}
    return Reference({name: params[name] for name in ("conv1_1", "input")}, top, variance)


def init(seed: int, teacher_params: vgg19.Params, *, widths=WIDTHS) -> dict:
    """Random convolutions, and fits of nothing."""
    random, layers, before = np.random.default_rng(seed), {}, 3
    for block, each in enumerate(widths, 1):
        for i, width in enumerate(each, 1):
            kernel = random.normal(0, (2 / (9 * before)) ** 0.5, (3, 3, before, width))
            layers[f"conv{block}_{i}"] = {"kernel": np.float32(kernel), "bias": np.zeros(width, np.float32)}
            before = width
    fits = {}
    for tap in ("relu1_1", *teacher.taps(teacher_params)):
        channels = vgg19.channels_at_stride(layers, vgg19.stride(tap))
        shape = sum(channels[own] for own in TAPS[tap]), teacher_params[f"conv{tap[4:]}"]["bias"].shape[0]
        fits[tap] = np.zeros(shape, np.float32)
    return {"layers": layers, "fits": fits}


def maps_by_tap(layers, images, taps) -> dict:
    """The student's maps for each tap, beside each other: [n, h, w, 3] in [0, 1] -> {tap: [n, h', w', d]}."""
    maps, x = {}, _normalise(images) * INPUT
    for block, n in enumerate(vgg19.shape_of(layers)[1], 1):
        x = maps[f"pool{block - 1}"] = x if block == 1 else vgg19.POOLS["max"](x)
        for i in range(1, n + 1):
            layer = layers[f"conv{block}_{i}"]
            x = jax.nn.relu(vgg19.conv(x, layer["kernel"]) + layer["bias"][None, None, None])
            maps[f"relu{block}_{i}"] = x
    return {tap: jnp.concatenate([maps[own] for own in TAPS[tap]], -1) for tap in taps}


def _normalise(images):
    return (images - jnp.array(vgg19.MEAN)[None, None, None]) / jnp.array(vgg19.STD)[None, None, None]


def pairs(layers, batch: Batch, reference: Reference) -> dict:
    """Student's and teacher's maps at the kept positions, as rows: {tap: ([n, d], [n, c])}.

    The teacher's are in units of its standard deviation.
    """
    images = batch.crops.astype(jnp.float32) / 255
    ours = maps_by_tap(layers, images, {"relu1_1", *batch.features})
    theirs = {"relu1_1": teacher.first_map(reference.first, batch.crops) / jnp.sqrt(reference.variance["relu1_1"])}
    for tap, stored in batch.features.items():
        theirs[tap] = teacher.unpack(stored, reference.top[tap]) / jnp.sqrt(reference.variance[tap])
    out = {}
    for tap, target in theirs.items():
        step = teacher.FIRST if tap == "relu1_1" else teacher.STRIDES[tap]
        mine = ours[tap][:, ::step, ::step]
        out[tap] = mine.reshape(-1, mine.shape[-1]), target.reshape(-1, target.shape[-1])  # in 2-D: a faster gradient
    return out


def errors(params, batch: Batch, reference: Reference) -> dict:
    """By tap, the squared error of the fitted features, of the teacher's variance."""
    each = pairs(params["layers"], batch, reference)
    return {tap: jnp.square(mine @ params["fits"][tap] - target).mean() for tap, (mine, target) in each.items()}


@functools.cache
def optimizer(steps: int, *, muon=MUON, adam=ADAM) -> optax.GradientTransformation:
    """Muon where there are matrices to turn, Adam elsewhere; both warm up, and end at zero."""

    def schedule(first, later):
        begun = optax.warmup_cosine_decay_schedule(0.0, 1.0, min(100, steps // 5), steps, end_value=0.01)
        return lambda step: begun(step) * jnp.where(step < min(FIRST, steps // 3), first, later)

    def chosen(params):
        turned = optax.contrib.MuonDimensionNumbers(reduction_axis=(0, 1, 2), output_axis=3)
        layers = {n: {"kernel": None if n == "conv1_1" else turned, "bias": None} for n in params["layers"]}
        return {"layers": layers, "fits": dict.fromkeys(params["fits"])}

    return optax.contrib.muon(
        schedule(*muon), consistent_rms=0.2, adam_learning_rate=schedule(*adam), muon_weight_dimension_numbers=chosen
    )


@functools.partial(jax.jit, static_argnums=0, donate_argnums=1)
def step(optimizer, state: State, batch: Batch, reference: Reference, emphasis: dict) -> tuple[State, dict]:
    """One step of learning: (the next state, errors by tap)."""

    def value(params):
        each = errors(params, batch, reference)
        return sum(emphasis.get(tap, 1.0) * e for tap, e in each.items()), each

    gradient, each = jax.grad(value, has_aux=True)(state.params)
    updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
    return State(optax.apply_updates(state.params, updates), opt_state), each


class Fit(NamedTuple):
    """What least squares finds for a tap: a matrix, what it leaves of the variance, and Σxxᵀ of what it gives."""

    matrix: np.ndarray  # [d, c]
    left: float
    outer: np.ndarray  # [c, c]


def refit(params, batches, reference: Reference) -> dict[str, Fit]:
    """The best fits over these batches, by tap."""

    @jax.jit
    def products(batch):
        each = pairs(params["layers"], batch, reference)
        return {tap: (a.T @ a, a.T @ b, jnp.square(b).sum()) for tap, (a, b) in each.items()}

    total = None
    for batch in batches:
        found = jax.tree.map(lambda x: np.asarray(x, np.float64), products(batch))
        total = found if total is None else jax.tree.map(np.add, total, found)
    return {tap: _fit(*sums) for tap, sums in (total or {}).items()}


def _fit(aa, ab, bb):
    matrix = np.linalg.solve(aa + 1e-5 * np.trace(aa) / len(aa) * np.eye(len(aa)), ab)
    outer = matrix.T @ aa @ matrix
    return Fit(matrix, float(1 - (2 * (matrix * ab).sum() - np.trace(outer)) / bb), outer)


def to_network(params, fits: dict[str, Fit], teacher_params: vgg19.Params, reference: Reference) -> vgg19.Params:
    """Parameters as `vgg19` knows them: input as VGG19's, and taps in VGG19's units.

    A tap's map is its fit's features turned to their principal axes, the first of which hold nearly all of their
    energy: distances between Gram matrices stay as they are, and cost less. Losses are means over channels, hence
    (k/C)^½; what least squares leaves out is missing from the features' energy, and is given back.
    """
    out = {name: {k: np.asarray(v) for k, v in layer.items()} for name, layer in params["layers"].items()}
    out["conv1_1"]["kernel"] = out["conv1_1"]["kernel"] * INPUT
    for tap, fit in fits.items():
        axes = principal_axes(fit.outer)[:, : AXES[tap]]
        scale = axes.shape[1] / len(axes) / (1 - fit.left) * float(reference.variance[tap])
        matrix = np.float32(fit.matrix @ axes * scale**0.5)
        widths = vgg19.channels_at_stride(params["layers"], vgg19.stride(tap))
        ends = np.cumsum([widths[own] for own in TAPS[tap]])
        out[tap] = dict(zip(TAPS[tap], np.split(matrix, ends[:-1]), strict=True))
    return {**jax.tree.map(jnp.asarray, out), "input": teacher_params["input"]}


def principal_axes(outer) -> np.ndarray:
    """The directions of these features, the one that holds most of their energy first: [c, c] -> [c, c]."""
    return np.linalg.eigh(outer)[1][:, ::-1]
