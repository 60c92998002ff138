"""nst_jax.transfer: steps against their formulas, the one loop, what compiles and what does not."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nst_jax import recipes
from nst_jax.network import vgg19
from nst_jax.objective import losses
from nst_jax.painting import transfer

WEIGHTS = recipes.Weights({"relu2_2": 1.0}, {"relu1_1": 1e-2, "relu3_1": 1e-2}, 1.0)
OPTIMIZERS = {"adam": transfer.adam(0.02), "lbfgs": transfer.lbfgs()}
each_optimizer = pytest.mark.parametrize("name", OPTIMIZERS)


def bowl(image, middle, steepness):
    """A quadratic whose curvature differs by channel."""
    return 0.5 * (steepness * jnp.square(image - middle)).sum()


@pytest.fixture(scope="module")
def start():
    return np.random.default_rng(0).uniform(size=(4, 5, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def shape():
    """(middle, steepness) of a bowl, its bottom partly outside [0, 1]."""
    middle = np.random.default_rng(1).uniform(-0.5, 1.5, (4, 5, 3)).astype(np.float32)
    return middle, np.array([1.0, 10.0, 100.0], np.float32)[None, None]


def counted(objective=bowl):
    """(objective, a list that grows by one whenever Python runs it, that is, whenever it is traced)."""
    traces = []

    def wrapped(*args):
        traces.append(1)
        return objective(*args)

    return wrapped, traces


def last(step, state, *args, num_steps, every=None):
    *_, (_, state, info) = transfer.frames(step, state, *args, num_steps=num_steps, every=every or num_steps)
    return state, info


def equal(a, b):
    return all(bool((np.asarray(x) == np.asarray(y)).all()) for x, y in zip(*map(jax.tree.leaves, (a, b)), strict=True))


# The step


def test_adam_is_its_formula(start, shape):
    solver = transfer.solver(bowl, transfer.adam(0.03, b1=0.8, b2=0.99, eps=1e-6))
    state, x = solver.init(start), start.astype(np.float64)
    m = v = 0
    for t in range(1, 6):
        g = shape[1] * (x - shape[0])
        value = 0.5 * (shape[1] * (x - shape[0]) ** 2).sum()
        m, v = 0.8 * m + 0.2 * g, 0.99 * v + 0.01 * g**2
        x = x - 0.03 * (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.99**t)) + 1e-6)
        state, info = solver.step(state, *shape)
        np.testing.assert_allclose(state.image, x, rtol=1e-5, atol=1e-6)
        assert float(info.loss) == pytest.approx(value, rel=1e-5), "the loss is of the picture before the step"
        assert float(info.grad_norm) == pytest.approx(np.sqrt((g**2).sum()), rel=1e-5)


def test_lbfgs_finds_the_bottom_in_few_steps(start, shape):
    solver = transfer.solver(bowl, transfer.lbfgs())
    state, info = last(solver.step, solver.init(start), *shape, num_steps=15)
    np.testing.assert_allclose(state.image, shape[0], atol=1e-3)
    assert float(info.loss) < 1e-6 * bowl(start, *shape)


def test_lbfgs_evaluates_nothing_that_its_line_search_has(start, shape):
    runs = []

    def watched(image, *args):
        jax.debug.callback(lambda: runs.append(1))
        return bowl(image, *args)

    solver = transfer.solver(watched, transfer.lbfgs())
    step, state, searched = jax.jit(solver.step), solver.init(start), 0
    for _ in range(4):
        state, info = step(state, *shape)
        jax.effects_barrier()
        searched += int(optax.tree.get(state.opt_state, "num_linesearch_steps"))
        assert len(runs) == 1 + searched, "one for the very first gradient, the others by the line search"
        assert float(optax.tree.get(state.opt_state, "value")) == pytest.approx(
            float(bowl(state.image, *shape)), rel=1e-5
        )
    assert float(info.loss) < float(bowl(start, *shape))


def test_equal_settings_are_one_solver():
    assert transfer.adam(0.1) is transfer.adam(0.1) is transfer.adam(learning_rate=0.1, b1=0.9)
    assert transfer.adam(0.1) is not transfer.adam(0.1, b1=0.8)
    assert transfer.lbfgs(memory=5) is transfer.lbfgs(memory=5)
    assert transfer.solver(bowl, transfer.adam(0.1)) is transfer.solver(bowl, transfer.adam(0.1))
    clamped = transfer.clamped(transfer.solver(bowl, transfer.adam(0.1)))
    assert clamped is transfer.clamped(transfer.solver(bowl, transfer.adam(0.1)))


def test_clamped_keeps_adams_image_and_shows_it(start, shape):
    solver = transfer.clamped(transfer.solver(bowl, transfer.adam(0.3)))
    state, _ = last(solver.step, solver.init(start), *shape, num_steps=9)
    assert 0 == float(state.image.min()) < float(state.image.max()) == 1
    assert equal(solver.picture(state), state.image)
    np.testing.assert_array_equal(solver.picture(solver.init(start * 3 - 1)), np.clip(start * 3 - 1, 0, 1))


@pytest.mark.parametrize("wrap", [transfer.best, lambda solver: transfer.averaged(solver, 0.9), transfer.watched])
def test_clamped_goes_around_other_wrappers(wrap, start, shape):
    solver = transfer.clamped(wrap(transfer.solver(bowl, transfer.adam(0.3))))
    inner = transfer.clamped(transfer.solver(bowl, transfer.adam(0.3)))
    (state, _), (plain, _) = (last(s.step, s.init(start), *shape, num_steps=9) for s in (solver, inner))
    assert equal(state.inner, plain)
    assert 0 <= float(solver.picture(state).min()) <= float(solver.picture(state).max()) <= 1


def test_clamped_leaves_the_point_that_lbfgs_remembers(start, shape):
    inner = transfer.solver(bowl, transfer.lbfgs())
    solver = transfer.clamped(inner)
    free, _ = last(inner.step, inner.init(start), *shape, num_steps=5)
    state, _ = last(solver.step, solver.init(start), *shape, num_steps=5)
    assert equal(state, free)
    assert float(state.image.min()) < 0
    assert float(state.image.max()) > 1
    np.testing.assert_array_equal(solver.picture(state), np.clip(state.image, 0, 1))


# frames


@each_optimizer
def test_frames_are_the_steps_one_by_one(name, start, shape):
    solver = transfer.solver(bowl, OPTIMIZERS[name])
    found = list(transfer.frames(solver.step, solver.init(start), *shape, num_steps=25, every=10))
    assert [i for i, *_ in found] == [10, 20, 25]
    state, step, reached = solver.init(start), jax.jit(solver.step), {}
    for i in range(1, 26):
        state, info = step(state, *shape)
        reached[i] = state, info
    for i, state, info in found:  # all still valid after the last
        assert equal(state, reached[i][0]), i
        # the same sums, whose order XLA chooses for each program by itself: on AVX2 the loop's loss has other last bits
        np.testing.assert_allclose(info, reached[i][1], rtol=1e-6, err_msg=str(i))


def test_frames_are_lazy_and_may_be_left(start, shape):
    solver = transfer.solver(bowl, OPTIMIZERS["adam"])
    run = transfer.frames(solver.step, solver.init(start), *shape, num_steps=10**9, every=2)
    assert [next(run)[0], next(run)[0]] == [2, 4]
    run.close()
    (i, _, _), *more = transfer.frames(solver.step, solver.init(start), *shape, num_steps=3, every=100)
    assert (i, more) == (3, [])


@each_optimizer
def test_nothing_is_traced_or_compiled_twice(name, start, shape, compilations):
    objective, traces = counted()
    solver = transfer.clamped(transfer.solver(objective, OPTIMIZERS[name]))
    ready = solver.init(start), solver.init(start[::-1])
    run = transfer.frames(solver.step, ready[0], *shape, num_steps=7, every=3)
    next(run)
    seen = len(traces), len(compilations)
    assert min(seen) > 0
    state = list(run)[-1][1]
    assert (len(traces), len(compilations)) == seen, "a second chunk, and a shorter last one"
    last(solver.step, state, *shape, num_steps=2)
    assert (len(traces), len(compilations)) == seen, "going on"
    last(solver.step, ready[1], shape[0] + 1, shape[1] * 2, num_steps=5, every=4)
    assert (len(traces), len(compilations)) == seen, "another run with other values"


@each_optimizer
def test_a_start_without_a_firm_type_compiles_once(name, shape, compilations):
    objective, traces = counted()
    solver = transfer.solver(objective, OPTIMIZERS[name])
    run = transfer.frames(solver.step, solver.init(jnp.full((4, 5, 3), 0.5)), *shape, num_steps=4, every=2)
    next(run)
    seen = len(traces), len(compilations)
    next(run)
    assert (len(traces), len(compilations)) == seen


@pytest.mark.parametrize(("num_steps", "every"), [(0, 1), (1, 0), (-3, 2)])
def test_frames_wants_steps(num_steps, every, start):
    solver = transfer.solver(bowl, OPTIMIZERS["adam"])
    run = transfer.frames(solver.step, solver.init(start), num_steps=num_steps, every=every)
    with pytest.raises(ValueError, match=f"num_steps and every must be at least 1, got {num_steps} and {every}"):
        next(run)


# With the real objective


class Job:
    """A solver of the real objective on a narrow network, and its arguments."""

    def __init__(self, params, content, style, optimizer, *, dtype=None):
        loss = losses.loss(vgg19.network(dtype=dtype))
        targets = jax.jit(loss.prepare)(params, content, losses.everywhere(style), WEIGHTS)
        self.solver = transfer.clamped(transfer.solver(losses.objective(loss), optimizer))
        self.state, self.args = self.solver.init(content), (params, targets, WEIGHTS)


@pytest.fixture(scope="module")
def jobs(narrow, town, night):
    """(optimizer, dtype) -> Job"""
    return functools.cache(lambda name, dtype=None: Job(narrow, town, night, OPTIMIZERS[name], dtype=dtype))


def constants(jaxpr):
    """Sizes of all constants of a program and of those that it calls."""
    sizes = [np.size(c) for c in getattr(jaxpr, "consts", ())]
    inner = getattr(jaxpr, "jaxpr", jaxpr)
    for equation in inner.eqns:
        for value in jax.tree.leaves(equation.params, is_leaf=lambda x: hasattr(x, "eqns") or hasattr(x, "jaxpr")):
            if hasattr(value, "eqns") or hasattr(value, "jaxpr"):
                sizes += constants(value)
    return sizes


@each_optimizer
def test_no_array_is_closed_over(name, jobs):
    job = jobs(name)
    program = jax.make_jaxpr(job.solver.step)(job.state, *job.args)
    assert max(constants(program), default=0) <= 16
    assert sum(constants(program)) <= 64


def test_constants_are_found_where_they_hide():
    table = np.arange(1000.0)
    program = jax.make_jaxpr(
        jax.jit(lambda x: jax.lax.cond(x > 0, lambda: table.sum() * jnp.asarray(table), lambda: table))
    )
    assert max(constants(program(1.0))) == 1000


@each_optimizer
def test_another_weight_compiles_nothing(name, jobs, compilations):
    job = jobs(name)
    params, targets, weights = job.args
    _, first = last(job.solver.step, job.state, *job.args, num_steps=1)
    seen = len(compilations)
    other = weights._replace(style={layer: 5 * w for layer, w in weights.style.items()}, variation=0.25)
    _, second = last(job.solver.step, job.state, params, targets, other, num_steps=3, every=2)
    assert len(compilations) == seen
    assert float(second.loss) != float(first.loss)


def test_a_sweep_by_vmap_is_the_loop(jobs):
    job = jobs("adam")
    params, targets, weights = job.args
    factors = np.array([1.0, 10.0, 100.0], np.float32)
    sweep = weights._replace(style={layer: w * factors for layer, w in weights.style.items()})
    axes = recipes.Weights(None, dict.fromkeys(weights.style, 0), None)
    step = jax.vmap(job.solver.step, in_axes=(0, None, None, axes))
    states = jax.tree.map(lambda a: jnp.stack([a] * 3), job.state)
    many, info = last(step, states, params, targets, sweep, num_steps=10)
    assert info.loss.shape == (3,)
    for k, factor in enumerate(factors):
        one = weights._replace(style={layer: w * factor for layer, w in weights.style.items()})
        single, _ = last(job.solver.step, job.state, params, targets, one, num_steps=10)
        np.testing.assert_allclose(many.image[k], single.image, atol=1e-5)
    assert float(jnp.abs(many.image[0] - many.image[2]).max()) > 1e-3


@each_optimizer
@pytest.mark.parametrize("dtype", [None, jnp.bfloat16], ids=["float32", "bfloat16"])
def test_the_step_lowers_for_tpu_and_cuda(name, dtype, jobs):
    job = jobs(name, dtype)
    exported = jax.export.export(jax.jit(job.solver.step), platforms=("tpu", "cuda"))(job.state, *job.args)
    assert set(exported.platforms) == {"tpu", "cuda"}
    assert ("bf16" in exported.mlir_module()) == (dtype is not None)


@each_optimizer
def test_the_loss_goes_down_in_either_precision(name, jobs):
    job = jobs(name)
    value = [
        float(info.loss) for *_, info in transfer.frames(job.solver.step, job.state, *job.args, num_steps=8, every=1)
    ]
    assert value[-1] < 0.7 * value[0]


# Wrappers


def test_averaged_is_the_weighted_mean_of_all_pictures(start, shape):
    inner = transfer.solver(bowl, transfer.adam(0.1))
    solver = transfer.averaged(inner, 0.9)
    state, plain, pictures = solver.init(start), inner.init(start), [start]
    np.testing.assert_allclose(solver.picture(state), start, rtol=1e-6)
    for _ in range(4):
        state, _ = solver.step(state, *shape)
        plain, _ = inner.step(plain, *shape)
        pictures.append(np.asarray(plain.image))
    np.testing.assert_allclose(solver.picture(state), np.average(pictures, 0, 0.9 ** np.arange(4, -1, -1)), rtol=1e-5)


def test_best_shows_the_picture_of_the_lowest_loss(shape):
    inner = transfer.solver(bowl, transfer.adam(0.8))  # too fast: it overshoots
    solver = transfer.best(inner)
    near = shape[0] + 0.01
    state, plain, seen = solver.init(near), inner.init(near), []
    for _ in range(12):
        seen.append((float(bowl(plain.image, *shape)), np.asarray(plain.image)))
        state, _ = solver.step(state, *shape)
        plain, _ = inner.step(plain, *shape)
    value, image = min(seen, key=lambda pair: pair[0])
    assert min(v for v, _ in seen) < seen[-1][0], "the last is not the best"
    np.testing.assert_allclose(solver.picture(state), image, rtol=1e-5)
    assert float(state.loss) == pytest.approx(value, rel=1e-5)


def test_guarded_starts_again_where_a_step_is_not_finite(start, shape):
    inner = transfer.solver(bowl, transfer.adam(0.1))
    solver = transfer.guarded(inner)
    sound, _ = solver.step(solver.init(start), *shape)
    assert equal(sound, inner.step(inner.init(start), *shape)[0])
    again, info = solver.step(sound, shape[0] * np.nan, shape[1])
    assert not np.isfinite(info.loss)
    assert equal(again, solver.init(sound.image))
    after, _ = solver.step(again, *shape)
    assert np.isfinite(after.image).all()


def test_wrappers_nest_and_run_in_frames(start, shape):
    solver = transfer.clamped(transfer.solver(bowl, transfer.adam(0.1)))
    solver = transfer.averaged(transfer.best(transfer.guarded(solver)), 0.5)
    state, info = last(solver.step, solver.init(start), *shape, num_steps=5, every=2)
    assert solver.picture(state).shape == start.shape
    assert np.isfinite(info.loss)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_state_goes_on_at_another_scale(name, start, shape):
    solver = transfer.averaged(transfer.clamped(transfer.solver(bowl, OPTIMIZERS[name])), 0.9)
    state, _ = last(solver.step, solver.init(start), *shape, num_steps=3)
    larger = transfer.carry(solver, state, (8, 10))
    picture = solver.picture(larger)
    assert picture.shape == (8, 10, 3)
    assert float(picture.min()) >= 0
    assert float(picture.max()) <= 1
    if name == "adam":
        nu = optax.tree.get(larger, "nu")
        assert nu.shape == (8, 10, 3)
        assert float(nu.min()) >= 0
        assert int(optax.tree.get(larger, "count")) == 3
    middle = np.zeros((8, 10, 3), np.float32)
    assert np.isfinite(last(solver.step, larger, middle, shape[1], num_steps=2)[1].loss)


def test_a_tpu_chooses_where_others_branch():
    plain = transfer.solver(lambda image: jnp.square(image).sum(), transfer.adam())
    step = jax.jit(transfer.guarded(plain).step)
    state = plain.init(jnp.ones((4, 4, 3)))
    texts = {p: jax.export.export(step, platforms=[p])(state).mlir_module() for p in ("cpu", "cuda", "tpu")}
    counts = {platform: text.count("stablehlo.case") for platform, text in texts.items()}
    assert counts["tpu"] == counts["cpu"] - 1 == counts["cuda"] - 1
