"""Names that recipes and orders use, and their small grammars; the functions behind them stand where they are computed.

A start is one of                                        and a mode of colours one of
content             the photograph                       style              the painting's
noise[:A]           uniform, the network's mean colour ± A
style               the painting's middle, resampled     content-luminance  the photograph's hue and chroma
gaussian:S          normal about the mean colour         match-…            the photograph's mean and covariance
statistics          noise of the painting's colours      palette:FILE       a third picture's
grain:A             the photograph ± A                   only               the painting's, and no strokes
mix:RATIO[:A]       RATIO of noise:A, the rest photograph
"""

import math

from nst_jax.ground import choices

POOLS = ("max", "average", "scaled-average", "l2")
PADDINGS = ("zeros", "replicate")
CONTENT_DISTANCES = ("squared", "relative", "scaled")
STYLE_DISTANCES = ("gram", "relative-gram", "scaled-gram", "covariance", "statistics", "wasserstein")
VARIATIONS = ("squares", "sum-squares", "absolutes", "power", "nine-point")
COLUMNS = "columns"  # a layer that is many: these, each over its number of channels, beside each other at stride 4
PARTS = tuple(f"relu{block}_{i}" for block, n in enumerate((2, 2, 3, 3), 1) for i in range(1, n + 1))
WRAPPERS = ("clamped", "best", "averaged")
ADAMS = ("adam", "pyramid-adam", "keras-adam")
OPTIMIZERS = (*ADAMS, "sgd", "lbfgs")
# Settings of optimizers, and which of these have them
SETTINGS = {
    "learning_rate": (*ADAMS, "sgd"),
    "b1": ADAMS,
    "b2": ADAMS,
    "eps": ADAMS,
    "memory": ("lbfgs",),
    "linesearch_steps": ("lbfgs",),
}

# Words of starts, and how many numbers may follow each: (fewest, most)
STARTS = {
    "content": (0, 0),
    "style": (0, 0),
    "statistics": (0, 0),
    "noise": (0, 1),
    "gaussian": (1, 1),
    "grain": (1, 1),
    "mix": (1, 2),
}

COLOURS = ("style", "content-luminance", "match-chol", "match-pca", "match-sym", "palette", "only")


def is_start(text: str) -> bool:
    """Whether this is meant as one of our words for a start, and not as a picture file."""
    return text.split(":")[0] in STARTS


def parse_start(text: str) -> tuple[str, list[float]]:
    """A start's word and numbers: `mix:0.6` is ("mix", [0.6])."""
    word, *rest = text.split(":")
    if word not in STARTS:
        raise ValueError(f"start must be one of {', '.join(STARTS)}, got {text!r}{choices.hint(word, STARTS)}")
    try:
        numbers = [float(part) for part in rest]
    except ValueError:
        numbers = [math.nan]
    fewest, most = STARTS[word]
    sound = fewest <= len(numbers) <= most and all(0 <= n < math.inf for n in numbers)
    if not sound or (word == "mix" and numbers[0] > 1):
        form = {"mix": "mix:RATIO with a share of noise from 0 to 1, as in mix:0.6", "noise": "noise or noise:0.25"}
        usual = f"{word}:0.25" if most else word
        raise ValueError(f"start must be {form.get(word, usual)}, got {text!r}")
    return word, numbers


def parse_colour(text: str) -> tuple[str, str]:
    """A mode of colours and, of a palette, its file: "palette:town.jpg" -> ("palette", "town.jpg")."""
    name, _, file = text.partition(":")
    known = [f"{mode}:FILE" if mode == "palette" else mode for mode in COLOURS]
    if name not in COLOURS or (name == "palette") != bool(file):
        hint = choices.hint(name, known, otherwise="style is usual", cutoff=0.4)
        raise ValueError(f"colour must be one of {', '.join(known)}, got {text!r}{hint}")
    return name, file


def parse_keep(text: str) -> tuple[str, ...]:
    """`clamped,averaged:0.99`: what is kept of a solver's pictures; `none` for the last one as it is."""
    words = tuple(word.strip() for word in text.split(",")) if text != "none" else ()
    for word in words:
        name, colon, decay = word.partition(":")
        averaged = name == "averaged" and _is_fraction(decay)
        if not averaged and (word not in WRAPPERS or name == "averaged" or colon):
            raise ValueError(f"must be clamped, best, averaged:DECAY or none, got {word!r}")
    return words


def _is_fraction(text):
    try:
        return 0 <= float(text) < 1
    except ValueError:
        return False
