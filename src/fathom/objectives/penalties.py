"""Penalties: what is added to a loss to prefer some weights over others."""

import dataclasses
import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ..catalogue import Catalogue

Number = float | Float[Array, ""]
Scalar = Float[Array, ""]


@dataclasses.dataclass(frozen=True)
class Penalty:
    """One penalty.

    Attributes:
        name: the word a user types.
        fn: where `needs` is "params": (params, **settings) -> scalar; "loss": (loss, params) -> scalar;
            "cell": see `omega`.
        needs: what it is computed from.
        settings: names of the numbers that it takes, each of which may be traced.
        summary: one line for the user.
        reference: where it comes from.
    """

    name: str
    fn: Callable[..., Array]
    needs: str
    summary: str
    reference: str
    settings: tuple[str, ...] = ()


def _weights(params: PyTree, biases: bool) -> list[Array]:
    leaves = [leaf for leaf in jax.tree.leaves(params) if eqx.is_inexact_array(leaf)]
    return leaves if biases else [leaf for leaf in leaves if leaf.ndim >= 2]


def _total(params: PyTree, biases: bool, each: Callable[[Array], Array]) -> Scalar:
    return sum((each(leaf) for leaf in _weights(params, biases)), jnp.zeros((), jnp.float32))


def l1(params: PyTree, *, biases: bool = False) -> Scalar:
    """Σ|w|: many weights end at exactly 0; its gradient is sign(w).

    Args:
        params: any pytree; only arrays of two axes or more count.
        biases: whether arrays of fewer axes count too.

    Returns:
        The penalty.

    Example:
        >>> float(l1({"w": jnp.array([[1.0, -2.0]]), "b": jnp.array([5.0])}))
        3.0

    Reference: Tibshirani 1996, the lasso.
    """
    return _total(params, biases, lambda w: jnp.sum(jnp.abs(w)))


def l2(params: PyTree, *, biases: bool = False) -> Scalar:
    """Σw²/2: its gradient is w.

    Args:
        params: any pytree; only arrays of two axes or more count.
        biases: whether arrays of fewer axes count too.

    Returns:
        The penalty.

    Reference: Hoerl & Kennard 1970, ridge regression; Krogh & Hertz 1992.
    """
    return _total(params, biases, lambda w: jnp.sum(w**2) / 2)


def lp(params: PyTree, *, power: Number = 1.5, biases: bool = False) -> Scalar:
    """Σ|w|^p; the gradient at w = 0 is taken as 0.

    Args:
        params: any pytree; only arrays of two axes or more count.
        power: p > 0; may be traced.
        biases: whether arrays of fewer axes count too.

    Returns:
        The penalty.

    Reference: Frank & Friedman 1993, bridge regression.
    """

    def each(w: Array) -> Array:
        # Inside and outside: the power's own gradient at 0 is infinite for p < 1.
        size = jnp.where(w == 0, 1, jnp.abs(w))
        return jnp.sum(jnp.where(w == 0, 0, size**power))

    return _total(params, biases, each)


def elastic(params: PyTree, *, ratio: Number = 0.5, biases: bool = False) -> Scalar:
    """The elastic net: ratio · Σ|w| + (1 - ratio) · Σw²/2.

    Args:
        params: any pytree; only arrays of two axes or more count.
        ratio: share of L1, 0 to 1; may be traced.
        biases: whether arrays of fewer axes count too.

    Returns:
        The penalty.

    Reference: Zou & Hastie 2005.
    """
    return ratio * l1(params, biases=biases) + (1 - ratio) * l2(params, biases=biases)


def _matrix(w: Array) -> Array:
    return w.reshape(-1, w.shape[-1])


def spectral_norm(w: Float[Array, "rows *columns"], *, iterations: int = 30) -> Scalar:
    """The largest singular value of a matrix, from below, by power iteration.

    Args:
        w: a matrix; more axes are flattened into all-but-the-last by the last.
        iterations: products with WᵀW; the error shrinks by (σ₂/σ₁)⁴ with each.

    Returns:
        σ, with gradient u vᵀ for its singular vectors u, v.

    Example:
        >>> round(float(spectral_norm(jnp.array([[3.0, 0.0], [0.0, 1.0]]))), 4)
        3.0

    Reference: Yoshida & Miyato 2017.
    """
    w = _matrix(w)
    fixed = jax.lax.stop_gradient(w)
    smallest = jnp.finfo(w.dtype).tiny

    def unit(v: Array) -> Array:
        return v / jnp.maximum(jnp.linalg.norm(v), smallest)

    # The same random start each time: no direction of a real network is likely to be orthogonal to it.
    start = unit(jax.random.normal(jax.random.key(0), (w.shape[1],), w.dtype))
    v = jax.lax.fori_loop(0, iterations, lambda _, v: unit(fixed.T @ (fixed @ v)), start)
    return unit(fixed @ v) @ (w @ v)


def spectral(params: PyTree, *, iterations: int = 30) -> Scalar:
    """Σ σ(W)²/2 over the weight matrices, σ the largest singular value: bounds how steep the network is.

    Args:
        params: any pytree; only arrays of two axes or more count.
        iterations: of the power iteration.

    Returns:
        The penalty.

    Reference: Yoshida & Miyato 2017, "Spectral norm regularization".
    """
    return _total(params, False, lambda w: spectral_norm(w, iterations=iterations) ** 2 / 2)


def orthogonality(params: PyTree) -> Scalar:
    """Σ ‖WᵀW - I‖² over the weight matrices (W Wᵀ where W is wide): 0 for orthonormal columns (rows).

    Args:
        params: any pytree; only arrays of two axes or more count.

    Returns:
        The penalty.

    Reference: Brock et al. 2017; Bansal, Chen & Wang 2018 ("soft orthogonality").
    """

    def each(w: Array) -> Array:
        w = _matrix(w)
        gram = w.T @ w if w.shape[0] >= w.shape[1] else w @ w.T
        return jnp.sum((gram - jnp.eye(gram.shape[0], dtype=w.dtype)) ** 2)

    return _total(params, False, each)


def gradient_norm(loss: Callable[[PyTree], Scalar], params: PyTree) -> Scalar:
    """‖∇loss(params)‖² over all parameters: what gradient descent of rate h adds, times h/4, by itself.

    Args:
        loss: params -> scalar.
        params: any pytree.

    Returns:
        The penalty; its own gradient is 2 H ∇loss, and costs about one more backward pass.

    Example:
        >>> float(gradient_norm(lambda w: jnp.sum(w**2), jnp.array([1.0, 2.0])))
        20.0

    Reference: Barrett & Dherin 2021, "Implicit gradient regularization".
    """
    return _total(eqx.filter_grad(loss)(params), True, lambda g: jnp.sum(g**2))


def omega(
    cell: Callable[[Array, Array], Array],
    states: Float[Array, "time hidden"],
    inputs: Float[Array, "time features"],
    errors: Float[Array, "time hidden"],
) -> Scalar:
    """Ω = Σ_k (‖e_{k+1} ∂h_{k+1}/∂h_k‖ / ‖e_{k+1}‖ - 1)²: keeps the error's length as it flows back in time.

    States, inputs and errors count as constants, as in the paper; the gradient reaches the cell's own
    parameters through its Jacobian.

    Args:
        cell: (state h_k [hidden], input [features]) -> h_{k+1} [hidden], closed over its parameters.
        states: h_k, before each step.
        inputs: the input of each step.
        errors: e_{k+1} = dL/dh_{k+1}, after each step. A step whose error is 0 does not count.

    Returns:
        The penalty of one sequence.

    Reference: Pascanu, Mikolov & Bengio 2013, "On the difficulty of training recurrent neural networks",
    equation 9.
    """
    states, inputs, errors = jax.lax.stop_gradient((states, inputs, errors))

    def each(state: Array, step_input: Array, error: Array) -> Array:
        _, backward = jax.vjp(lambda h: cell(h, step_input), state)
        (carried,) = backward(error)
        before, after = jnp.sum(error**2), jnp.sum(carried**2)
        counts = (before > 0) & (after > 0)
        # The square root has no gradient at 0: both lengths are replaced where either is.
        ratio = jnp.sqrt(jnp.where(counts, after, 1) / jnp.where(counts, before, 1))
        return jnp.where(counts, (ratio - 1) ** 2, jnp.where(before > 0, 1.0, 0.0))

    return jnp.sum(jax.vmap(each)(states, inputs, errors))


def gaussian_prior(params: PyTree, *, scale: Number = 1.0, biases: bool = False) -> Scalar:
    """-log Π N(w; 0, s²) = Σ w²/(2s²) + n log(s √2π): with -log likelihood, the posterior's mode (MAP).

    Args:
        params: any pytree; only arrays of two axes or more count.
        scale: s > 0; may be traced.
        biases: whether arrays of fewer axes count too.

    Returns:
        The penalty, in nats; L2 of strength 1/s² and a constant.

    Reference: MacKay 1992.
    """
    constant = jnp.log(scale) + math.log(2 * math.pi) / 2
    return _total(params, biases, lambda w: jnp.sum((w / scale) ** 2) / 2 + w.size * constant)


def laplace_prior(params: PyTree, *, scale: Number = 1.0, biases: bool = False) -> Scalar:
    """-log Π exp(-|w|/s)/(2s) = Σ|w|/s + n log 2s: with -log likelihood, the posterior's mode (MAP).

    Args:
        params: any pytree; only arrays of two axes or more count.
        scale: s > 0; may be traced.
        biases: whether arrays of fewer axes count too.

    Returns:
        The penalty, in nats; L1 of strength 1/s and a constant.

    Reference: Williams 1995.
    """
    constant = jnp.log(2 * jnp.asarray(scale))
    return _total(params, biases, lambda w: jnp.sum(jnp.abs(w)) / scale + w.size * constant)


PENALTIES: Catalogue[Penalty] = Catalogue("penalty")

for _record in (
    Penalty("l1", l1, "params", "Σ|w|", "Tibshirani 1996"),
    Penalty("l2", l2, "params", "Σw²/2", "Hoerl & Kennard 1970"),
    Penalty("lp", lp, "params", "Σ|w|^p", "Frank & Friedman 1993", ("power",)),
    Penalty("elastic", elastic, "params", "L1 and L2 mixed", "Zou & Hastie 2005", ("ratio",)),
    Penalty("spectral", spectral, "params", "largest singular values, squared", "Yoshida & Miyato 2017"),
    Penalty("orthogonality", orthogonality, "params", "‖WᵀW - I‖²", "Brock et al. 2017"),
    Penalty(
        "gradient_norm", gradient_norm, "loss", "squared length of the gradient", "Barrett & Dherin 2021"
    ),
    Penalty(
        "omega", omega, "cell", "keeps the error's length back through time", "Pascanu, Mikolov & Bengio 2013"
    ),
    Penalty("gaussian_prior", gaussian_prior, "params", "-log of a normal prior", "MacKay 1992", ("scale",)),
    Penalty("laplace_prior", laplace_prior, "params", "-log of a Laplace prior", "Williams 1995", ("scale",)),
):
    PENALTIES.add(_record)
