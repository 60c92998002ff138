"""The trace of a root of a product of covariances, which Wasserstein-2 needs, with its slope in closed form."""

import jax
import jax.numpy as jnp
from jax import Array, lax

# x ← x (a + b xᵀx + c (xᵀx)²) drives singular values to one. Each row is the best for the interval that those before
# leave of [1e-6, 1] (minimax by linear programming, as Amsel et al. 2025, "The Polar Express"), the last Newton–Schulz.
QUINTICS = (
    (8.51426003, -25.2815863, 18.7673178),
    (4.25707616, -3.16016758, 0.586477029),
    (4.2568288, -3.15999648, 0.586457508),
    (4.25577614, -3.15926832, 0.58637444),
    (4.25130223, -3.15617308, 0.586021338),
    (4.23238965, -3.14307948, 0.584527809),
    (4.15415744, -3.08875999, 0.578332686),
    (3.85836254, -2.88082952, 0.554632529),
    (3.04959601, -2.28498696, 0.487060621),
    (2.11205459, -1.49383522, 0.40010239),
    (1.87838357, -1.25375436, 0.375375602),
    (1.875, -1.25, 0.375),
)


@jax.custom_vjp
def trace_of_root(a, b) -> Array:
    """tr((b^½ a b^½)^½) of positive definite matrices: [n, n], [n, n] -> scalar.

    It is the sum of the singular values of chol(b)ᵀ chol(a), and its slope by `a` is ½ b^½ (b^½ a b^½)^-½ b^½.
    """
    return _forward(a, b)[0]


def _forward(a, b):
    value, *factors = _factorise(a, b)
    return value, factors


def _backward(factors, g):
    la, lb, u = factors
    return g * _gradient(la, lb, u), g * _gradient(lb, la, u.T)


# One matrix at a time, whatever is mapped: jaxlib 0.10's batched LAPACK calls wait for each other's threads for ever
# where two of them run at once on two cores.


@jax.custom_batching.sequential_vmap
def _factorise(a, b):
    la, lb = jnp.linalg.cholesky(a), jnp.linalg.cholesky(b)
    m = jnp.matmul(lb.T, la, precision=lax.Precision.HIGHEST)
    u = polar(m)
    return jnp.vdot(u, m), la, lb, u


@jax.custom_batching.sequential_vmap
def _gradient(la, lb, u):
    """½ lb u la⁻¹, which is symmetric but for rounding."""
    right = jnp.matmul(lb, u, precision=lax.Precision.HIGHEST)
    x = jax.scipy.linalg.solve_triangular(la, right.T, lower=True, trans=1)
    return (x + x.T) / 4


trace_of_root.defvjp(_forward, _backward)


def polar(m) -> Array:
    """The nearest orthogonal matrix, UVᵀ of m = U S Vᵀ: by LAPACK on a CPU, by matrix products alone elsewhere."""
    return lax.platform_dependent(m, cpu=polar_by_svd, default=polar_by_products)


def polar_by_svd(m) -> Array:
    """`polar` from a singular value decomposition."""
    u, _, v = jnp.linalg.svd(m)
    return jnp.matmul(u, v, precision=lax.Precision.HIGHEST)


def polar_by_products(m) -> Array:
    """`polar` by twelve quintics: singular values down to 1e-6 of the largest come to one. A loop: less to compile."""

    def quintic(x, row):
        a, b, c = row
        y = jnp.matmul(x.T, x, precision=lax.Precision.HIGHEST)
        y = b * y + c * jnp.matmul(y, y, precision=lax.Precision.HIGHEST)
        return a * x + jnp.matmul(x, y, precision=lax.Precision.HIGHEST), None

    x = m / jnp.maximum(jnp.linalg.norm(m), 1e-30)
    return lax.scan(quintic, x, jnp.asarray(QUINTICS, x.dtype))[0]
