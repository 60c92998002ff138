"""Singular values summed: against NumPy in float64."""

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from nst_jax import roots


def matrix(n=96, decay=1.5):
    """A matrix whose singular values fall as 1, 2^-decay, …, as those of features do."""
    random = np.random.default_rng(0)
    u, v = (np.linalg.qr(random.normal(size=(n, n)))[0] for _ in range(2))
    return (u * np.arange(1.0, n + 1) ** -decay) @ v


@pytest.mark.parametrize("polar", [roots.by_decomposition, roots.by_products])
def test_polar_factor_is_that_of_float64(polar):
    m = matrix()
    u, s, v = np.linalg.svd(m)
    factor = polar(jnp.float32(m))
    assert abs(float(jnp.vdot(factor, jnp.float32(m))) / s.sum() - 1) < 1e-5
    assert np.linalg.norm(factor - u @ v) / np.linalg.norm(u @ v) < 2e-3


def test_value_and_gradient():
    m = matrix(48, 1.0)
    u, s, v = np.linalg.svd(m)
    value, gradient = jax.value_and_grad(roots.nuclear)(jnp.float32(m))
    assert float(value) == pytest.approx(s.sum(), rel=1e-5)
    np.testing.assert_allclose(gradient, u @ v, atol=1e-3)


def test_jit_and_vmap_agree_with_plain():
    several = jnp.stack([jnp.float32(matrix(32, d)) for d in (0.5, 1.0, 1.5)])
    plain = jnp.stack([roots.nuclear(m) for m in several])
    np.testing.assert_allclose(jax.jit(jax.vmap(roots.nuclear))(several), plain, rtol=1e-6)


def test_elsewhere_than_on_a_cpu_no_decomposition_is_called():
    exported = jax.export.export(jax.jit(jax.grad(roots.nuclear)), platforms=("cuda",))(jnp.eye(16))
    assert "svd" not in exported.mlir_module().lower()


def test_a_matrix_of_zeros_has_no_singular_values():
    assert float(jnp.vdot(roots.by_products(jnp.zeros((8, 8))), jnp.ones((8, 8)))) == 0
