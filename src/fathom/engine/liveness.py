"""How many bytes a traced function holds at once, from its equations alone.

XLA fuses what it can and writes into what is no longer read. Here a value is held from the equation that makes it to
the last that reads it, unless its only reader takes it in passing (fusion); a loop writes its carry in place.
"""

import dataclasses
import hashlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

from jax.extend.core import ClosedJaxpr, Jaxpr, Var

from ..graph._jax import closed_parts, scan_counts

_LOOPS = ("scan", "while", "cond")
_SAME = (
    "reshape",
    "squeeze",
    "expand_dims",
    "optimization_barrier",
    "stop_gradient",
    "copy_p",
)  # no new memory
_LAPACK = frozenset(
    ("cholesky", "eig", "eigh", "lu", "qr", "schur", "svd", "triangular_solve", "tridiagonal")
)
# What reads its inputs from memory and writes its outputs there; anything else may be fused with its only reader.
_OPAQUE = frozenset(
    (
        *(
            *_LOOPS,
            "dot_general",
            "conv_general_dilated",
            "convolve_directly",
            "convolve_image_directly",
            "convolve_weight_directly",
            "gather",
            "scatter",
            "scatter-add",
            "scatter_add",
            "sort",
        ),
        *(
            "threefry2x32",
            "random_bits",
            *_LAPACK,
            "fft",
            "top_k",
        ),
        *(
            "reduce_window",
            "reduce_window_sum",
            "select_and_scatter_add",
            "cumsum",
            "cumlogsumexp",
            "ffi_call",
        ),
    )
)


@dataclasses.dataclass(frozen=True)
class _Equation:
    """An equation with its values as numbers; calls are opened, loops are not."""

    primitive: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    bodies: tuple[tuple[Jaxpr, tuple[Var, ...]], ...]  # each with the inputs that it may write over
    taken: tuple[int, ...]  # the inputs that a loop may write over, if nobody reads them any more

    @property
    def opaque(self) -> bool:
        return self.primitive in _OPAQUE


def live_bytes(jaxpr: Jaxpr, owned: Sequence[Var] = ()) -> int:
    """The most bytes that a traced function holds at once, beside inputs that it only reads.

    Args:
        jaxpr: the function.
        owned: inputs that it may write over; these count.

    Returns:
        Bytes.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> twice = jax.make_jaxpr(lambda x, w: jnp.tanh(x @ w) @ w)(jnp.ones((8, 64)), jnp.ones((64, 64)))
        >>> live_bytes(twice.jaxpr)  # two products, [8, 64] each
        4096
    """
    equations, sizes, names = _opened(jaxpr)
    kept = {names[v] for v in jaxpr.outvars if isinstance(v, Var) and v in names}
    readers: dict[int, list[int]] = {}
    for place, equation in enumerate(equations):
        for value in set(equation.inputs):
            readers.setdefault(value, []).append(place)
    made, read_at = _fused(equations, readers, kept)
    last = {value: max(read_at[place] for place in places) for value, places in readers.items()}
    last.update(dict.fromkeys(kept, len(equations)))
    dying: dict[int, list[int]] = {}
    for value, place in last.items():
        dying.setdefault(place, []).append(value)
    held = {names[variable]: sizes[names[variable]] for variable in owned}
    now = most = sum(held.values())
    for place, equation in enumerate(equations):
        if made[place]:
            over = set(dying.get(place, ()))  # what is fused with it is read here too
            over = over & set(equation.taken) if equation.opaque else over
            now -= sum(held.pop(value, 0) for value in over)
            inner = max((live_bytes(body, own) for body, own in equation.bodies), default=0)
            carried = max((sum(map(_nbytes, own)) for _, own in equation.bodies), default=0)
            held.update({value: sizes[value] for value in equation.outputs})
            now += sum(sizes[value] for value in equation.outputs)
            most = max(most, now + inner - carried)
        gone = [*dying.get(place, ()), *(value for value in equation.outputs if value not in last)]
        now -= sum(held.pop(value, 0) for value in gone)
    return most


def count_equations(jaxpr: Jaxpr) -> int:
    """How many equations a traced function has, calls opened and the bodies of loops counted once.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> count_equations(jax.make_jaxpr(lambda x: jnp.sin(x) + 1)(1.0).jaxpr)
        2
    """
    return sum(1 + sum(count_equations(body) for body, _ in e.bodies) for e in _opened(jaxpr)[0])


def batched_lapack(jaxpr: Jaxpr) -> str:
    """What a traced function asks LAPACK for of several matrices at once; "" if nothing.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> [batched_lapack(jax.make_jaxpr(jnp.linalg.qr)(jnp.ones(s)).jaxpr) for s in ((2, 3, 3), (3, 3))]
        ['qr', '']
    """
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        if name in _LAPACK and len(equation.invars[0].aval.shape) > 2:  # pyright: ignore[reportAttributeAccessIssue]
            return name
        for body, _ in _bodies(equation):
            if found := batched_lapack(body):
                return found
    return ""


def fingerprint(jaxpr: Jaxpr) -> str:
    """What tells traced functions apart by their equations and the sizes of their values, constants aside.

    Example:
        >>> import jax
        >>> one, same, other = (fingerprint(jax.make_jaxpr(f)(1.0).jaxpr) for f in (abs, abs, lambda x: abs(x) + 1))
        >>> one == same, one == other
        (True, False)
    """
    equations, sizes, _ = _opened(jaxpr)
    inner = [[fingerprint(body) for body, _ in equation.bodies] for equation in equations]
    flat = [(equation.primitive, equation.inputs, equation.outputs) for equation in equations]
    return hashlib.sha256(repr((sizes, flat, inner)).encode()).hexdigest()


def _fused(
    equations: Sequence[_Equation], readers: dict[int, list[int]], kept: set[int]
) -> tuple[list[bool], list[int]]:
    """Which equations make values of their own, and where each reads its inputs: a fused one where its reader does."""
    made, read_at = [True] * len(equations), list(range(len(equations)))
    for place in reversed(range(len(equations))):
        equation = equations[place]
        if equation.opaque or len(equation.outputs) != 1 or equation.outputs[0] in kept:
            continue
        users = readers.get(equation.outputs[0], [])
        if len(users) == 1 and not equations[users[0]].opaque:
            made[place], read_at[place] = False, read_at[users[0]]
    return made, read_at


def _opened(jaxpr: Jaxpr) -> tuple[list[_Equation], list[int], dict[Var, int]]:
    """The equations with calls opened, the bytes of every value, and the numbers of the function's own values."""
    equations: list[_Equation] = []
    sizes: list[int] = []

    def new(variable: Var) -> int:
        sizes.append(_nbytes(variable))
        return len(sizes) - 1

    def walk(jaxpr: Jaxpr, names: dict[Var, int]) -> None:
        for equation in jaxpr.eqns:
            name, bodies = equation.primitive.name, tuple(_bodies(equation))
            given = [names.get(v) if isinstance(v, Var) else None for v in equation.invars]
            if name in _SAME:
                same = zip(equation.outvars, given, strict=False)
                names.update({out: new(out) if value is None else value for out, value in same})
            elif bodies and name not in _LOOPS:
                body = bodies[0][0]
                inside = dict(zip(reversed(body.invars), reversed(given), strict=False))
                known = {variable: value for variable, value in inside.items() if value is not None}
                walk(body, known)
                for out, result in zip(equation.outvars, body.outvars, strict=False):
                    found = known.get(result) if isinstance(result, Var) else None
                    names[out] = new(out) if found is None else found
            else:
                names.update({out: new(out) for out in equation.outvars})
                read = tuple(value for value in given if value is not None)
                taken: tuple[int, ...] = ()
                if name in ("scan", "while"):  # what it carries stands before what a scan reads step by step
                    end = len(given) - _stepped(equation)
                    taken = tuple(v for v in given[end - len(bodies[0][1]) : end] if v is not None)
                equations.append(
                    _Equation(name, read, tuple(names[o] for o in equation.outvars), bodies, taken)
                )

    names = {variable: new(variable) for variable in (*jaxpr.constvars, *jaxpr.invars)}
    walk(jaxpr, names)
    return equations, sizes, names


def _stepped(equation: Any) -> int:
    """How many inputs a loop reads step by step."""
    if equation.primitive.name == "while":
        return 0
    return len(equation.invars) - sum(scan_counts(equation))


def _bodies(equation: Any) -> Iterator[tuple[Jaxpr, tuple[Var, ...]]]:
    """The functions within an equation, each with the inputs that it may write over: what a loop carries."""
    params, name = equation.params, equation.primitive.name
    if name == "while":
        body, _ = closed_parts(params["body_jaxpr"])
        yield body, tuple(body.invars[params["body_nconsts"] :])
    elif name == "scan":
        (body, _), (first, carried) = closed_parts(params["jaxpr"]), scan_counts(equation)
        yield body, tuple(body.invars[first : first + carried])
    else:
        for value in params.values():
            for one in value if isinstance(value, (tuple, list)) else (value,):
                if isinstance(one, (ClosedJaxpr, Jaxpr)):
                    yield closed_parts(one)[0], ()


def _nbytes(variable: Any) -> int:
    aval = variable.aval
    if not hasattr(aval, "shape"):
        return 0
    return math.prod(aval.shape) * getattr(aval.dtype, "itemsize", 8)
