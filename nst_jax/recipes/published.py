"""The recipes of the field by name: numbers as published, converted to RGB in [0, 1] and means over positions.

A source whose image runs to 255 has Adam's rate divided by that and its ε multiplied, gradient descent's rate divided
by its square, absolute differences multiplied by 255 and squared ones by 255². Where a source stores or starts from
other things than ours, or its behaviour is a mistake and the intent is implemented, `differs` says so.
"""

import math

from nst_jax.recipes import names
from nst_jax.recipes.recipe import Recipe, Size, Weight, listed, once, rising

FIRSTS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
LBFGS = "Optax's L-BFGS searches its own way: equal loss, not equal path."
TORCHVISION = "Magnitudes not verified against the original weights where the bundled network is used."
MEMORY = "Weights from memory of the paper; its figures vary the ratio: --style-weight."
TF1 = {"b1": 0.9, "b2": 0.999, "eps": 1e-8 * 255}  # tf.train.AdamOptimizer's defaults, on 0..255
IMAGENET_STD = (0.229, 0.224, 0.225)
UNSCALED = 255 * 0.226  # a torchvision network fed 0..255 less the mean, undivided by std, sees this much more


def each(layers: tuple[str, ...], weight: Weight) -> dict[str, Weight]:
    """The same weight, or rule, at each of these layers."""
    return dict.fromkeys(layers, weight)


def gram_of(total: float):
    """total · mean((G/CN − A/CN)²): Gram matrices also divided by channels."""
    return lambda at: total / at.channels**2


def pyramid_weights() -> dict[str, Weight]:
    """256 : 64 : 16 : 4 : 1, from shallow to deep, of sum one."""
    return {layer: 4.0 ** (4 - i) / 341 for i, layer in enumerate(FIRSTS)}


GATYS = Recipe(
    name="gatys-2015",
    source="Gatys, Ecker & Bethge, A Neural Algorithm of Artistic Style, arXiv 1508.06576",
    content={"relu4_2": lambda at: at.channels * at.positions / 2},  # α/2 · Σ, α = 1
    style=each(FIRSTS, 1e3 / 20),  # β Σ w/(4C²N²) Σ(G − A)², w = 1/5, β = 1000
    schedule=once(500),
    size=512,
    family="normalised",
    pool="average",
    start="noise",
    differs=f"{MEMORY} {LBFGS}",
)

JOHNSON = Recipe(
    name="jcjohnson",
    source="J. Johnson, neural-style, neural_style.lua",
    content={"relu4_2": 5.0},
    style=each(FIRSTS, gram_of(100.0)),
    schedule=once(1000),
    size=512,
    variation=0.5e-3 * 256**2,  # its gradient is that of ½ Σ(dx² + dy²) on 0..256
    variation_kind="sum-squares",
    start=f"gaussian:{1e-3 / 256:.3g}",
    settings={"memory": 100},
    differs="Total variation is in the loss, not in its gradient alone, and reaches the last row and column;"
    f" the network sees 0..255, not 0..256. {LBFGS}",
)

COURSE = Recipe(
    name="deeplearning.ai-v1",
    source="deeplearning.ai, Convolutional Neural Networks, Art Generation (TensorFlow 1)",
    content={"relu4_2": 10 / 4},
    style=each(FIRSTS, 40 * 0.2 / 4),
    schedule=once(200),
    size=(300, 400),
    pool="average",
    start=f"mix:0.6:{20 / 255:.4g}",
    optimizer="keras-adam",
    settings={"learning_rate": 2 / 255, **TF1},
    store=100,
)

TUTORIAL = {"learning_rate": 0.02, "b1": 0.99, "b2": 0.999, "eps": 0.1}

CROWSON = Recipe(
    name="crowson-2023",
    source="K. Crowson, style-transfer-pytorch",
    content={"relu4_2": 0.015},
    style=pyramid_weights(),
    style_distance="wasserstein",
    schedule=rising(1000, 500),
    size=512,
    variation=2.0,
    variation_kind="nine-point",
    style_size="down",
    family="torchvision",
    padding="replicate",
    optimizer="adam",
    settings={"learning_rate": 0.02, "b1": 0.9, "b2": 0.99},
    keep=("clamped", "averaged:0.99"),
    differs=f"Roots exact instead of 12 Newton–Schulz steps; ridge relative to the style's variance. {TORCHVISION}",
)


def tf_keras(name: str, rate: float, epochs: int, content: float, style: float, *, differs: str = "") -> Recipe:
    """One of the five published settings of a Keras program, 100 steps an epoch."""
    return Recipe(
        name=name,
        source="a Keras program's five published settings, after TensorFlow's tutorial",
        content={"relu4_2": content},
        style=each(FIRSTS, style / 5),
        schedule=once(100 * epochs),
        size=512,
        optimizer="keras-adam",
        settings={**TUTORIAL, "learning_rate": rate},
        keep=("clamped",),
        differs=differs,
    )


_ALL = [
    Recipe(
        name="ioankont",
        source="a TensorFlow 2 notebook: average pooling, 512 × 512",
        content={"relu4_2": 1e4},
        style=each(FIRSTS, 7 / 5),
        schedule=once(2000),
        size=(512, 512),
        variation=10 * 255.0,
        variation_kind="absolutes",
        pool="average",
        start=f"gaussian:{1e-4 / 255:.3g}",
        optimizer="keras-adam",
        settings={"learning_rate": 0.1 / 255, "eps": 1e-7 * 255},
        keep=("clamped", "best"),
        differs="The photograph is cropped to the square and the painting keeps its aspect; the source squeezes both.",
    ),
    tf_keras("tf-keras-a", 0.02, 10, 1e-4, 1e-2),
    tf_keras("tf-keras-b", 0.001, 50, 1e-4, 1.0, differs="The documented bad case: at this rate it stalls."),
    tf_keras("tf-keras-c", 0.01, 50, 1e-4, 1.0),
    tf_keras("tf-keras-d", 0.01, 50, 1e-1, 1.0),
    tf_keras("tf-keras-e", 0.01, 100, 1e-1, 1.0),
    COURSE,
    COURSE._replace(
        name="deeplearning.ai-v2",
        source="deeplearning.ai, Convolutional Neural Networks, Art Generation (TensorFlow 2)",
        content={"relu5_4": 10 / 4},
        schedule=once(2501),
        size=(400, 400),
        pool="max",
        start="grain:0.25",
        settings={"learning_rate": 0.01, "eps": 1e-7},
        keep=("clamped",),
        store=250,
        differs="The source feeds its network unprepared [0, 1]; here it sees what it was trained on.",
    ),
    Recipe(
        name="umudov",
        source="a PyTorch program with --alpha and --beta",
        content={"relu4_2": 1.0},
        style=each(FIRSTS, lambda at: 0.2 * 1e6 * at.positions / at.channels),
        schedule=once(1000),
        size=512,
        edge="short",
        family="torchvision",
        optimizer="adam",
        settings={
            "learning_rate": tuple(0.003 * s for s in IMAGENET_STD),
            "eps": tuple(1e-8 / s for s in IMAGENET_STD),
        },
        keep=("best",),
        differs="The source compares raw Grams, so that a larger painting asks for a larger Gram; here each is divided"
        f" by its own positions. {TORCHVISION}",
    ),
    Recipe(
        name="cs20",
        source="Stanford CS 20, TensorFlow for Deep Learning Research, assignment 2",
        content={"relu4_2": 0.01 / 4},
        style={layer: w / 4 for layer, w in zip(FIRSTS, (0.5, 1.0, 1.5, 3.0, 4.0), strict=True)},
        schedule=once(300),
        size=(250, 333),
        pool="average",
        start=f"mix:0.6:{20 / 255:.4g}",
        optimizer="keras-adam",
        settings={"learning_rate": 2 / 255, **TF1},
    ),
    GATYS,
    GATYS._replace(
        name="gatys-2016",
        source="Gatys, Ecker & Bethge, Image Style Transfer Using Convolutional Neural Networks, CVPR 2016",
    ),
    Recipe(
        name="gatys-notebook",
        source="L. Gatys, PytorchNeuralStyleTransfer",
        content={"relu4_2": 1.0},
        style=each(FIRSTS, gram_of(1e3)),
        schedule=listed((512, 500), (800, 200)),
        size=800,
        edge="short",
        settings={"memory": 100},
        differs=LBFGS,
    ),
    JOHNSON,
    JOHNSON._replace(
        name="jcjohnson-multires",
        source="J. Johnson, neural-style, examples/multigpu_scripts/starry_stanford.sh",
        style=each(FIRSTS, gram_of(500.0)),
        schedule=listed((256, 1000), (512, 500), (1024, 200), (2048, 100), (3620, 50)),
        size=3620,
        variation=0.0,
        settings={"memory": 5},
        differs=f"L-BFGS remembers 5 steps at every size, the source only at the last. {LBFGS}",
    ),
    JOHNSON._replace(
        name="neural-style-pt",
        source="ProGamerGov, neural-style-pt",
        variation=1e-3 * 255,
        variation_kind="absolutes",
        start=f"gaussian:{1e-3 / 255:.3g}",
        differs=LBFGS,
    ),
    Recipe(
        name="anishathalye",
        source="A. Athalye, neural-style",
        content={"relu4_2": 5.0},
        style=each(FIRSTS, gram_of(500 * 0.2)),
        schedule=once(1000),
        size=None,
        variation=100 * 255.0**2,
        edge="width",
        start=f"gaussian:{0.256 / 255:.4g}",
        optimizer="keras-adam",
        settings={"learning_rate": 10 / 255, **TF1},
        keep=("best",),
        differs="The best picture is chosen among all steps, not among those stored.",
    ),
    Recipe(
        name="cysmith",
        source="C. Smith, neural-style-tf",
        content={"conv4_2": lambda at: 2.5 * math.sqrt(at.channels * at.positions)},  # 5 Σ/(2√C√N)
        style=each(FIRSTS, 1e4 * 0.2 / 5 / 4),
        schedule=once(1000),
        size=512,
        variation=1e-3 * 255,
        variation_kind="absolutes",
        pool="average",
        differs=f"Paintings keep their aspect (the source squashes them to the content's shape). {LBFGS}",
    ),
    Recipe(
        name="tf-tutorial",
        source="tensorflow.org, Neural style transfer",
        content={"relu5_2": 1e4},
        style=each(FIRSTS, 1e-2 / 5),
        schedule=once(1000),
        size=512,
        variation=30.0,
        variation_kind="absolutes",
        optimizer="keras-adam",
        settings=TUTORIAL,
        keep=("clamped",),
        store=100,
    ),
    Recipe(
        name="keras",
        source="keras.io, Neural style transfer",
        content={"relu5_2": lambda at: 2.5e-8 * at.channels * at.positions},
        style=each(FIRSTS, lambda at: 1e-6 / 5 * (at.channels * at.positions / (6 * at.pixels)) ** 2),
        schedule=once(4000),
        size=400,
        variation=1e-6 * 255**2.5,
        variation_kind="power",
        edge="height",
        optimizer="sgd",
        settings={"learning_rate": 100 / 255**2, "decay": 0.96, "decay_steps": 100},
        store=100,
        differs="Its constants (3 channels, the picture's own size at every layer) are kept as part of its weights;"
        " paintings keep their aspect.",
    ),
    Recipe(
        name="pytorch-tutorial",
        source="pytorch.org, Neural Transfer Using PyTorch",
        content={"conv2_2": 1.0},
        style=each(("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"), gram_of(1e6)),
        schedule=once(300),
        size=512,
        edge="short",
        family="torchvision",
        settings={"memory": 100},
        differs=f"Pixels are clamped when shown: clamping between L-BFGS steps makes its gradients stale."
        f" {LBFGS} {TORCHVISION}",
    ),
    Recipe(
        name="gordicaleksa",
        source="A. Gordić, pytorch-neural-style-transfer",
        content={"relu4_2": 1e5 * UNSCALED**2},
        style=each(FIRSTS, 3e4 / 5 * UNSCALED**4),
        schedule=once(1000),
        size=400,
        variation=1.0 * 255,
        variation_kind="absolutes",
        edge="height",
        family="torchvision",
        settings={"memory": 100},
        differs="The source feeds torchvision's network 0..255 undivided by std; here it sees what it was trained on,"
        f" and the weights make up for the larger features. {LBFGS} {TORCHVISION}",
    ),
    Recipe(
        name="pystiche",
        source="pystiche's command line",
        content={"relu4_2": 1.0},
        style=each(FIRSTS, 1e3 / 5),
        schedule=once(500),
        size=500,
        edge="short",
        family="torchvision",
        settings={"memory": 100},
        differs=f"{LBFGS} {TORCHVISION}",
    ),
    CROWSON._replace(
        name="crowson-2021",
        source="K. Crowson, style-transfer-pytorch before 2023",
        content_distance="scaled",
        style_distance="scaled-gram",
        variation_kind="squares",
        settings={"learning_rate": 0.02, "b1": 0.9, "b2": 0.999},
        differs="Pictures are resized by a bicubic filter, not Lanczos'; total variation is a mean over pairs of"
        f" neighbours, not over pixels. {TORCHVISION}",
    ),
    CROWSON,
    Recipe(
        name="crowson-caffe",
        source="K. Crowson, style_transfer (Caffe)",
        content={"relu4_2": 0.05},
        style=each(FIRSTS, 0.2),
        content_distance="scaled",
        style_distance="scaled-gram",
        schedule=rising(200, 100, smallest=181),  # 256 / √2; the source says 182
        size=256,
        variation=5 * 2.0**2,  # on the image over 127.5
        style_size="down",
        start="noise",
        optimizer="adam",
        settings={"learning_rate": 15 / 255, "slowing": 0.05, "eps": 1e-8 * 255},
        keep=("clamped", "averaged:0.95"),
        differs="Gradients divided by their L1 norm became scaled squared errors; total variation is a mean, not a sum;"
        " its random roll and p-norm are left out.",
    ),
]

OURS = CROWSON._replace(
    name="nst-jax",
    source="ours, chosen by looking: docs/default-recipe.md",
    content={"relu4_2": 0.006},
    schedule=rising(160, 80),
    variation=12800.0,
    family="caffe",
    settings={"learning_rate": 0.04, "b1": 0.9, "b2": 0.99},
    keep=("clamped", "averaged:0.97"),
    differs="crowson-2023 on the Caffe network, its content weight 0.4 times, its rate twice, its steps a sixth.",
)

MATCHING = Recipe(
    name="matching",
    source="ours, chosen by looking: each position after the painting's nearest feature",
    content={"relu4_2": lambda at: 36 / at.pixels**0.25},  # coarse sizes say what stands where, fine ones paint
    content_distance="relative",
    style=each(FIRSTS[:2], 3.0) | each(FIRSTS[2:], 1.2),
    style_distance="relative-gram",
    neighbours=each(FIRSTS[:4], 3.3),
    variation=10.0,
    schedule=rising(30, 30, smallest=64, ratio=2),
    size=512,
    style_size="down",
    padding="replicate",
    optimizer="adam",
    settings={"learning_rate": 0.04, "b1": 0.8, "b2": 0.95},
    keep=("clamped", "averaged:0.8"),
    differs="After Kolkin et al. 2022, Neural Neighbor Style Transfer: its last phase all through, with all positions,"
    " a content term, Gram matrices and smoothness, on pixels.",
)

NNST = Recipe(
    name="nnst",
    source="Kolkin et al. 2022, Neural Neighbor Style Transfer, as its code has it",
    content={},
    style={},
    neighbours=each((names.COLUMNS, *names.PARTS), 1.0),
    apart=0.2,
    schedule=lambda size: (*rising(200, 200, smallest=64, ratio=2)(size)[:-1], Size(size, 400)),
    size=512,
    padding="replicate",
    optimizer="pyramid-adam",
    settings={"learning_rate": 0.002},
    keep=("clamped",),
    differs="On VGG19, whose first three convolutions of a block stand for VGG16's; the painting is not rotated; at the"
    " end all positions count, not 64 × 64 at random, the painting's mean being taken off both sides; Adam's moments go"
    " on from size to size; colours are not matched afterwards.",
)

RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in [MATCHING, OURS, NNST, *_ALL]}
