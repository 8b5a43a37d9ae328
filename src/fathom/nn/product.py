"""The products that layers are made of: what they are computed in, and in which form a CPU computes them fastest."""

import functools
import math
from contextlib import AbstractContextManager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from ..errors import one_of

PRECISIONS = ("float32", "bfloat16")
_MANY = 256  # rows: with fewer the gradient of the weight is no large product
_precision = jax.make_user_context(default_value="float32")


def products_in(precision: str) -> AbstractContextManager[Any]:
    """What the products of Fathom's layers are computed in, for what is traced inside a ``with``.

    With "bfloat16" both factors of a product are rounded to bfloat16 (8 significant bits, the range of float32), and
    so is the gradient that comes back to it; sums and results are float32, and so is everything else: weights,
    normalization, softmax, losses, the learning rule. Nothing leaves the range, so the loss needs no scaling.
    Processors with instructions for it take half the time or less for a large product. Depthwise convolutions on a
    CPU are no products and stay as they are; convolutions by XLA itself give bfloat16; the input bias of an LSTM or a
    GRU is a factor of its projection.

    Put it around the gradient, and not only around the loss. Only reverse derivatives are defined inside.

    Args:
        precision: a name in `PRECISIONS`.

    Returns:
        What ``with`` takes.

    Raises:
        UsageError: if the name is not known.

    Example:
        >>> third = jnp.full((1, 1), 1 / 3)
        >>> with products_in("bfloat16"):
        ...     print(contract("bi,io->bo", third, jnp.ones((1, 1))).item())
        0.333984375

    Reference: Micikevicius et al. 2018, "Mixed precision training"; Kalamkar et al. 2019, "A study of BFLOAT16 for deep
    learning training".
    """
    if precision not in PRECISIONS:
        raise one_of("precision", precision, PRECISIONS)
    return _precision(precision)


def precision_now() -> str:
    """What the products of what is traced now are computed in."""
    return _precision.value


def in_half() -> bool:
    """Whether that is bfloat16."""
    return precision_now() == "bfloat16"


def rounded(x: Any) -> Any:
    """An array as a product takes it where products are computed in bfloat16."""
    return x.astype(jnp.bfloat16)


def contract(spec: str, a: Any, b: Any) -> Any:
    """The sum of products that `jnp.einsum` calls `spec`, in the precision of `products_in`.

    Args:
        spec: as "bi,io->bo"; each letter stands in two or all of its three parts, once in each.
        a: the first factor.
        b: the second.

    Returns:
        The result, of the factors' type.

    Example:
        >>> contract("bi,io->bo", jnp.ones((2, 3)), jnp.ones((3, 4))).shape
        (2, 4)
    """
    return _contract_half(spec, a, b) if in_half() else jnp.einsum(spec, a, b)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _contract_half(spec: str, a: Any, b: Any) -> Any:
    return _contract_half_forward(spec, a, b)[0]


def _contract_half_forward(spec: str, a: Any, b: Any) -> Any:
    kept = rounded(a), rounded(b)
    return jnp.einsum(spec, *kept, preferred_element_type=a.dtype), kept


def _contract_half_backward(spec: str, kept: Any, slopes: Any) -> Any:
    (a, b), slope = kept, rounded(slopes)
    factors, result = spec.split("->")
    first, second = factors.split(",")
    da = jnp.einsum(f"{result},{second}->{first}", slope, b, preferred_element_type=slopes.dtype)
    return da, jnp.einsum(f"{first},{result}->{second}", a, slope, preferred_element_type=slopes.dtype)


_contract_half.defvjp(_contract_half_forward, _contract_half_backward)


def product(
    x: Float[Array, "*rows in"], weight: Float[Array, "in out"] | Float[np.ndarray, "in out"]
) -> Float[Array, "*rows out"]:
    """The product x W, whose gradient for W is computed the fast way round on a CPU.

    dL/dW = xᵀ g sums over the rows. As XLA runs it on a CPU, the operand with more columns had better be on
    the right: for 512 rows of 512 and 128 numbers xᵀ g runs at 55 GFLOP/s and gᵀ x at 98, for 1568 rows of
    288 and 64 at 64 and 85 (one core, Zen 4). So where W is taller than wide, W's transpose is what is
    differentiated. The barriers keep the compiler from turning the product back, and from computing a
    transposed g element by element. Differentiable forward and backward, as often as wanted.

    In bfloat16 (`products_in`) there is one form for all.

    Args:
        x: the rows; any leading axes.
        weight: W.

    Returns:
        The product, 2 · rows · in · out operations.

    Example:
        >>> import jax.numpy as jnp
        >>> product(jnp.ones((2, 3)), jnp.ones((3, 4))).shape
        (2, 4)
    """
    if in_half():
        letters = "abcdefgh"[: x.ndim - 1]
        return contract(f"{letters}i,io->{letters}o", x, weight)
    rows = math.prod(x.shape[:-1])
    counted = isinstance(rows, int)  # an exported function leaves the number of rows open
    if not counted or rows < _MANY or jax.default_backend() != "cpu":
        return x @ weight
    flat = x.reshape(rows, x.shape[-1])
    if weight.shape[0] <= weight.shape[1]:
        y = flat @ weight
    else:
        y = lax.dot_general(flat, lax.optimization_barrier(weight.T), (((1,), (1,)), ((), ())))
    return lax.optimization_barrier(y).reshape(*x.shape[:-1], weight.shape[1])
