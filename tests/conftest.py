"""Strict settings, the user's own files out of the way, and what several modules' tests share."""

import os
import tempfile

os.environ.pop("NST_JAX_WEIGHTS", None)
_CACHE = tempfile.TemporaryDirectory()  # empty: the bundled network is what `find` finds
os.environ["XDG_CACHE_HOME"] = _CACHE.name

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

from nst_jax.network import vgg19  # noqa: E402

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_enable_compilation_cache", False)
jax.config.update("jax_default_matmul_precision", "highest")  # the references' own: GPUs and TPUs round the factors


UNTUNED = {"xla_backend_optimization_level": 0}  # sooner compiled, where only XLA's buffers are read: they are the same


def drawn(seed: int, h: int, w: int) -> np.ndarray:
    """A picture with large and small forms: [h, w, 3] float32 in [0, 1]."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:h, 0:w].astype(np.float32) / 32
    waves = [np.sin(a * y + b * x + c) for a, b, c in random.uniform(0.5, 5, (3, 3))]
    picture = 0.5 + 0.3 * np.stack(waves, -1) + random.uniform(-0.15, 0.15, (h, w, 3))
    return np.clip(picture, 0, 1).astype(np.float32)


@pytest.fixture(scope="module", autouse=True)
def programs_of_a_module():
    """Compiled programs go when their module's tests are done: kept, those of a whole suite take gigabytes."""
    yield
    jax.clear_caches()


@pytest.fixture(scope="session")
def narrow() -> vgg19.Params:
    """A network of VGG19's shape, four to eight channels wide, with biases that are not zero."""
    return network((4, 5, 6, 7, 8))


def network(widths: tuple[int, ...], convs: tuple[int, ...] = vgg19.CONVS) -> vgg19.Params:
    """He's initialisation in NumPy, which compiles nothing; random biases, so that a forgotten one would show."""
    random, shapes = (
        np.random.default_rng(0),
        jax.eval_shape(lambda k: vgg19.init(jax.random.key(k), widths=widths, convs=convs), 0),
    )
    params: dict = {"input": {"mean": jnp.array(vgg19.MEAN), "std": jnp.array(vgg19.STD)}}
    for name, layer in shapes.items():
        if name != "input":
            kernel, bias = layer["kernel"].shape, layer["bias"].shape
            scale = (2 / np.prod(kernel[:3])) ** 0.5
            layer = {"kernel": random.normal(0, scale, kernel), "bias": random.normal(0, 3, bias)}
            params[name] = {k: jnp.asarray(v, jnp.float32) for k, v in layer.items()}
    return params


@pytest.fixture(scope="session")
def bundled() -> vgg19.Params:
    """The real network."""
    return vgg19.load(vgg19.bundled_path())


@pytest.fixture(scope="session")
def town() -> np.ndarray:
    """A content picture: [40, 48, 3]."""
    return drawn(1, 40, 48)


@pytest.fixture(scope="session")
def night() -> np.ndarray:
    """A style picture of another shape: [36, 52, 3]."""
    return drawn(2, 36, 52)


@pytest.fixture(scope="module")
def quick_compiler():
    """For programs that run for a moment only: compiling them well would take longer than they do."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture
def compilations():
    """A list that grows with each program that XLA compiles: by its name, as jax has it."""
    seen = []

    def heard(event, duration, *, fun_name="", **_):
        if event == "/jax/core/compile/backend_compile_duration":
            seen.append(fun_name)

    jax.monitoring.register_event_duration_secs_listener(heard)
    yield seen
    jax.monitoring.unregister_event_duration_listener(heard)


@pytest.fixture
def command(capsys):
    """Runs a command in this process: (exit code, stdout, stderr)."""
    from nst_jax import cli

    def call(*argv):
        capsys.readouterr()
        try:
            code = cli.main([str(word) for word in argv])
        except SystemExit as stop:
            code = stop.code
        return code, *capsys.readouterr()

    return call
