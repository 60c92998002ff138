"""Singular values summed: against NumPy in float64."""

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from nst_jax.objective import matrix_roots


def matrix(n=96, decay=1.5):
    """A matrix whose singular values fall as 1, 2^-decay, …, as those of features do."""
    random = np.random.default_rng(0)
    u, v = (np.linalg.qr(random.normal(size=(n, n)))[0] for _ in range(2))
    return (u * np.arange(1.0, n + 1) ** -decay) @ v


@pytest.mark.parametrize("polar", [matrix_roots.polar_by_svd, matrix_roots.polar_by_products])
def test_polar_factor_is_that_of_float64(polar):
    m = matrix()
    u, s, v = np.linalg.svd(m)
    factor = polar(jnp.float32(m))
    assert abs(float(jnp.vdot(factor, jnp.float32(m))) / s.sum() - 1) < 1e-5
    assert np.linalg.norm(factor - u @ v) / np.linalg.norm(u @ v) < 2e-3


def covariances(n=48):
    """Two covariances whose variances fall as those of features do."""
    m, other = matrix(n, 0.6), matrix(n, 0.9)
    return m @ m.T + 1e-3 * np.eye(n), other.T @ other + 1e-3 * np.eye(n)


def root(m):
    values, vectors = np.linalg.eigh(m)
    return (vectors * np.sqrt(values)) @ vectors.T


def test_value_and_both_slopes_are_those_of_float64():
    a, b = covariances()
    value, slopes = jax.value_and_grad(matrix_roots.trace_of_root, (0, 1))(jnp.float32(a), jnp.float32(b))
    assert float(value) == pytest.approx(np.trace(root(root(b) @ a @ root(b))), rel=1e-5)
    for slope, (x, y) in zip(slopes, ((a, b), (b, a)), strict=True):
        expected = 0.5 * root(y) @ np.linalg.inv(root(root(y) @ x @ root(y))) @ root(y)
        assert np.linalg.norm(slope - expected) / np.linalg.norm(expected) < 1e-3


def test_jit_and_vmap_agree_with_plain():
    a, b = (jnp.float32(m) for m in covariances(32))
    several = jnp.stack([a, 2 * a, b])
    plain = jnp.stack([jax.grad(matrix_roots.trace_of_root)(m, b) for m in several])
    np.testing.assert_allclose(
        jax.jit(jax.vmap(jax.grad(matrix_roots.trace_of_root), (0, None)))(several, b), plain, rtol=1e-4, atol=1e-5
    )


def test_lapack_gets_one_matrix_at_a_time():
    a, b = (jnp.float32(m) for m in covariances(16))
    text = jax.jit(jax.vmap(jax.grad(matrix_roots.trace_of_root), (0, None))).lower(jnp.stack([a, b]), b).as_text()
    calls = [line for line in text.splitlines() if "lapack" in line or "trsm" in line]
    assert calls
    assert not [line for line in calls if "tensor<2x16x16" in line]


def test_elsewhere_than_on_a_cpu_no_singular_value_decomposition_is_called():
    exported = jax.export.export(jax.jit(jax.grad(matrix_roots.trace_of_root)), platforms=("cuda",))(
        jnp.eye(16), jnp.eye(16)
    )
    assert "gesvd" not in exported.mlir_module().lower()


def test_a_matrix_of_zeros_has_no_singular_values():
    assert float(jnp.vdot(matrix_roots.polar_by_products(jnp.zeros((8, 8))), jnp.ones((8, 8)))) == 0
