"""All that Fathom takes from inside JAX, in one place: source lines, and the layout of a scan.

Everything else in this folder stands on public interfaces (`jax.make_jaxpr`, `jax.extend.core`, `jax.vjp`).
The tests of this folder hold it to JAX 0.10 and 0.12.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import Any

import jax.extend.core as jex
from jax._src import source_info_util

from .nodes import Line

# A frame of these is not where the user's own decision was taken.
_LIBRARIES = {
    "beartype",
    "equinox",
    "fathom",
    "flax",
    "haiku",
    "jax",
    "jaxlib",
    "jaxtyping",
    "optax",
}
_TRANSFORM = re.compile(r"(?:jvp|transpose|vmap|rematted_computation|checkpoint)\(|\)")


def _is_library(file: str) -> bool:
    parts = PurePath(file).parts
    return file.startswith("<") or any(
        part in _LIBRARIES and parts[i - 1] in ("site-packages", "src") for i, part in enumerate(parts) if i
    )


def lines_of(equation: jex.JaxprEqn) -> tuple[Line | None, Line | None]:
    """The user's source line of one equation, and the innermost line outside of JAX.

    The user's line is the innermost outside of libraries; where every frame belongs to a library, the
    innermost of those. None where JAX kept no traceback.
    """
    traceback = equation.source_info.traceback
    frames = list(source_info_util.user_frames(traceback)) if traceback is not None else []
    if not frames:
        return None, None
    lines = [Line(frame.file_name, frame.start_line, frame.function_name) for frame in frames]
    return next((line for line in lines if not _is_library(line.file)), lines[0]), lines[0]


def is_jax_function(jaxpr: jex.Jaxpr) -> bool:
    """Whether a traced function is one of JAX's own, such as `jax.nn.log_softmax`.

    JAX traces these once in a process: their equations keep the line of the first call, not of this one.
    """
    parts = PurePath(getattr(jaxpr.debug_info, "func_filename", None) or "").parts
    return "site-packages" in parts and parts[parts.index("site-packages") + 1] == "jax"


def scopes_of(equation: jex.JaxprEqn) -> str:
    """The named scopes around an equation, as ``outer/inner``; transformations are left out.

    So are those that are no layer's name: of an einsum, which is its formula, and of Equinox, a layer's class.
    """
    scopes = _TRANSFORM.sub("", str(equation.source_info.name_stack)).split("/")
    return "/".join(s for s in scopes if s and not s.startswith("eqx.") and "->" not in s)


def evaluator(equation: jex.JaxprEqn, jaxpr: jex.Jaxpr) -> Callable[..., list[Any]]:
    """One equation as a function of all of its inputs to a list of outputs; its own literals are built in."""
    places = [i for i, atom in enumerate(equation.invars) if not isinstance(atom, jex.Literal)]
    # Each place has a variable of its own: a product x x is a function of two factors like any other.
    atoms: list[Any] = [
        atom if isinstance(atom, jex.Literal) else jex.Var(atom.aval) for atom in equation.invars
    ]
    inputs = [atoms[i] for i in places]
    equation = equation.replace(invars=atoms)
    alone = jex.Jaxpr(
        (), inputs, equation.outvars, [equation], equation.effects, jaxpr.debug_info.with_unknown_names()
    )
    run = jex.jaxpr_as_fun(jex.ClosedJaxpr(alone, ()))
    return lambda *ins: run(*(ins[i] for i in places))


def scan_counts(equation: jex.JaxprEqn) -> tuple[int, int]:
    """How many inputs of a scan are constants, and how many are carried."""
    params = equation.params
    if "num_consts" in params:
        return params["num_consts"], params["num_carry"]
    constants, carried, _ = params["ft_in"].update(range(len(equation.invars))).unpack()
    return len(list(constants)), len(list(carried))


def closed_parts(jaxpr: Any) -> tuple[jex.Jaxpr, Sequence[Any]]:
    """The jaxpr and the constants of a closed or an open jaxpr; JAX 0.12 has one class for both."""
    inner = getattr(jaxpr, "jaxpr", jaxpr)
    return inner, tuple(getattr(jaxpr, "consts", None) or ())
