"""PyTorch's statement of the same work: the same weight file, pictures, losses and optimizer, without jax.

Written for its speed: convolutions of the functional interface, rectified in place, Gram matrices as one product.
"""

import functools
from typing import Any, NamedTuple

import h5py
import numpy as np
import torch  # pyright: ignore[reportMissingImports]
import torch.nn.functional as F  # pyright: ignore[reportMissingImports]

LAYERS = [(block, i) for block, n in enumerate((2, 2, 4, 4, 4), 1) for i in range(1, n + 1)]
PLAIN = ("eager", "channels_last")
KINDS = {"cpu": PLAIN, "cuda": (*PLAIN, "compiled", "bf16", "bf16 compiled", "bf16 graphs")}


class Network(NamedTuple):
    """Convolutions by name, (kernel, bias) in one dtype, and the input's mean and std."""

    layers: dict[str, tuple[torch.Tensor, torch.Tensor]]
    mean: torch.Tensor
    std: torch.Tensor
    dtype: torch.dtype
    format: torch.memory_format


def device() -> str:
    """Where PyTorch works."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def network(path, kind: str) -> Network:
    """A weight file of ours, for one kind of run."""
    dtype = torch.float64 if kind == "float64" else torch.bfloat16 if "bf16" in kind else torch.float32
    layout = torch.contiguous_format if kind == "eager" else torch.channels_last

    def read(array):
        return torch.from_numpy(np.asarray(array, np.float32)).to(device(), wide(dtype))

    with h5py.File(path) as file:
        layers = {}
        for block, i in LAYERS:
            group: Any = file[f"conv{block}_{i}"]
            kernel = read(group["kernel"]).permute(3, 2, 0, 1).to(dtype).contiguous(memory_format=layout)
            layers[f"{block}_{i}"] = kernel, read(group["bias"]).to(dtype)
        mean, std = (read(file.attrs[k])[None, :, None, None] for k in ("mean", "std"))
    return Network(layers, mean, std, dtype, layout)


def wide(dtype) -> torch.dtype:
    """What sums are taken in: float32 at least."""
    return torch.promote_types(dtype, torch.float32)


def features(net: Network, image, wanted) -> dict[str, torch.Tensor]:
    """Maps after the ReLUs: [1, 3, h, w] -> {relu…: [1, c, h', w']}, nothing deeper computed than wanted."""
    x, maps = ((image - net.mean) / net.std).to(net.dtype).contiguous(memory_format=net.format), {}
    for block, i in LAYERS:
        if block > 1 and i == 1:
            x = F.max_pool2d(x, 2)
        x = F.relu(F.conv2d(x, *net.layers[f"{block}_{i}"], padding=1), inplace=True)
        if f"relu{block}_{i}" in wanted:
            maps[f"relu{block}_{i}"] = x
        if len(maps) == len(wanted):
            break
    return maps


def gram(f):
    """FFᵀ/N over positions: [1, c, h, w] -> [c, c]."""
    flat = f[0].to(wide(f.dtype)).flatten(1)
    return flat @ flat.T / flat.shape[1]


def tensor(image):
    """[h, w, 3] -> [1, 3, h, w]"""
    return torch.from_numpy(np.asarray(image, np.float32)).permute(2, 0, 1)[None].contiguous().to(device())


class Step(NamedTuple):
    """A picture, what is minimised, and Adam on it."""

    image: torch.Tensor
    value: Any
    optimizer: torch.optim.Optimizer

    def gradient(self):
        """(loss, gradient [h, w, 3]) where the picture is."""
        (grad,) = torch.autograd.grad(loss := self.value(self.image), self.image)
        return loss.item(), grad[0].permute(1, 2, 0).cpu().numpy()

    def run(self, count: int) -> None:
        """So many steps of Adam, the picture kept in [0, 1], all of it done when this returns."""
        for _ in range(count):
            self.optimizer.zero_grad()
            self.value(self.image).backward()
            self.optimizer.step()
            with torch.no_grad():
                self.image.clamp_(0, 1)
        if device() == "cuda":
            torch.cuda.synchronize()


def step(kind: str, path, pictures, weights) -> Step:
    """The work of one kind of run on (content, style, start) under our loss weights."""
    net = network(path, kind)
    content, style, start = (tensor(picture).to(wide(net.dtype)) for picture in pictures)
    with torch.no_grad():
        contents = {layer: f.to(wide(f.dtype)) for layer, f in features(net, content, weights.content).items()}
        grams = {layer: gram(f) for layer, f in features(net, style, weights.style).items()}

    kept = [(w, layer, contents[layer]) for layer, w in weights.content.items()]

    def value(image):
        maps = features(net, image, {*weights.content, *weights.style})
        terms = [w * F.mse_loss(maps[layer].to(known.dtype), known) for w, layer, known in kept]
        return sum(terms + [w * F.mse_loss(gram(maps[layer]), grams[layer]) for layer, w in weights.style.items()])

    if "compiled" in kind or "graphs" in kind:
        value = torch.compile(value, mode="reduce-overhead" if "graphs" in kind else "default")
    image = start.requires_grad_()
    return Step(image, value, torch.optim.Adam([image], lr=0.02, eps=1e-8, fused=True))


def exact(on: bool) -> None:
    """Whether a GPU multiplies in float32, or rounds the factors as PyTorch does by default."""
    torch.backends.cudnn.allow_tf32 = not on


def forget() -> None:
    """Forget what was compiled: PyTorch compiles a function eight times at most, and from the second for any size."""
    torch.compiler.reset()


@functools.cache
def version() -> str:
    """PyTorch's own."""
    return torch.__version__
