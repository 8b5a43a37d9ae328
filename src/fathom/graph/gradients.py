"""Is a function's gradient the derivative of the function? Finite differences, judged by how their error scales."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.extend.core as jex
import jax.numpy as jnp
import numpy as np

from ..errors import UsageError
from ..look import format_number
from ._jax import closed_parts
from .graph import Graph, trace
from .nodes import Node
from .run import Forward
from .slopes import slopes_svg, slopes_text

# Two steps a decade, from a change as large as the numbers themselves to far below what can be resolved.
_STEPS = 10.0 ** -np.arange(0.5, 10.6, 0.5)


@dataclasses.dataclass(frozen=True)
class Direction:
    """One direction in the space of the arguments, each array changed in proportion to its own size.

    Attributes:
        derivative: what the gradient says: reverse mode where there is one, else forward mode.
        forward: the forward-mode derivative, or None where a rule has none.
        differences: central differences, one for each step.
        errors: their distance from `derivative`, relative to the larger of the two.
        floors: how far rounding alone may put them apart.
    """

    derivative: float
    forward: float | None
    differences: np.ndarray
    errors: np.ndarray
    floors: np.ndarray

    @property
    def best(self) -> int:
        """The position of the step with the smallest error."""
        return int(np.argmin(np.where(np.isfinite(self.errors), self.errors, np.inf)))

    @property
    def slope(self) -> float:
        """How the error falls with the step before rounding takes over: 2 for a smooth function and a right gradient.

        About 1 where the function has a kink nearby, 0 where the gradient is wrong; NaN where there is no such part
        (a function that is linear along the direction).
        """
        resolved = (self.errors > 10 * self.floors) & np.isfinite(self.errors) & (self.errors < 0.3)
        if resolved.sum() < 3:
            return float("nan")
        first = int(np.argmax(resolved))
        last = first
        while last + 1 < len(resolved) and resolved[last + 1]:
            last += 1
        if last - first < 2:
            return float("nan")
        part = slice(first, last + 1)
        return float(np.polyfit(np.log10(_STEPS[part]), np.log10(self.errors[part]), 1)[0])

    @property
    def rounding_slope(self) -> float:
        """How the error grows again below the best step: about -1, the mark of rounding; NaN if it does not."""
        tail = self.errors[self.best + 2 :]
        good = np.isfinite(tail) & (tail > 0)
        if good.sum() < 3:
            return float("nan")
        return float(np.polyfit(np.log10(_STEPS[self.best + 2 :][good]), np.log10(tail[good]), 1)[0])


@dataclasses.dataclass(frozen=True)
class GradientCheck:
    """A judged gradient; its text is the verdict.

    Attributes:
        ok: whether the gradient is the derivative.
        verdict: the judgement in a sentence.
        steps: the relative step sizes of the differences.
        directions: what was measured along each direction.
        disagreement: the largest relative distance of forward from reverse mode; None where one does not exist.
        wrong: the arguments whose gradient is wrong, by path.
        suspects: the nodes that make it wrong: with their rule replaced by the derivative of what they compute, the
            gradient is right.
        dtype: the precision that was used.
    """

    ok: bool
    verdict: str
    steps: np.ndarray
    directions: tuple[Direction, ...]
    disagreement: float | None
    wrong: tuple[str, ...]
    suspects: tuple[Node, ...]
    dtype: str

    def __str__(self) -> str:
        return self.verdict

    def draw(self, path: str | Path | None = None) -> str:
        """Error against step size, of every direction: as text for a terminal, or as an SVG.

        Args:
            path: where to write an SVG; None for text.

        Returns:
            The text, or the SVG.
        """
        errors = [direction.errors for direction in self.directions]
        title = "The gradient is right" if self.ok else "The gradient is not the derivative"
        draw = slopes_text if path is None else slopes_svg
        drawn = draw(title, self.steps, errors, self.directions[0].floors)
        if path is not None:
            Path(path).write_text(drawn, encoding="utf-8")
        return drawn


def check_gradients(
    fn: Callable[..., Any],
    *args: Any,
    wrt: int | Sequence[int] | None = None,
    directions: int = 3,
    seed: int = 0,
    double: bool = True,
    **kwargs: Any,
) -> GradientCheck:
    """Check that the gradient of a function is its derivative.

    Along random directions v the central difference (f(x + h v) - f(x - h v)) / 2h is compared with ⟨∇f, v⟩ over
    21 step sizes. A right gradient of a smooth function shows an error that falls as h² until rounding makes it
    grow as 1/h; a wrong one stays. Where it is wrong, the arguments concerned are named, and the custom rule or the
    stop_gradient that is the cause. Cost: 42 evaluations a direction.

    Args:
        fn: a function whose first result is a real scalar.
        *args: its arguments, at a point away from kinks.
        wrt: arguments by position; None for every floating-point one.
        directions: how many directions.
        seed: of the directions.
        double: whether to compute in double precision (without changing the process's setting). A function that
            insists on single precision is checked in single precision anyway.
        **kwargs: its keyword arguments.

    Returns:
        The check.

    Raises:
        UsageError: if there is no real scalar, or no direction is asked for.

    Example:
        >>> import jax.numpy as jnp
        >>> check = check_gradients(lambda x: jnp.sin(x).sum(), jnp.array([0.3, 1.0]))
        >>> check.ok, round(check.directions[0].slope, 1)
        (True, 2.0)
    """
    if directions < 1:
        raise UsageError(f"directions={directions!r}: give a whole number, 1 or more")
    with jax.enable_x64(double or bool(jax.config.jax_enable_x64)):  # pyright: ignore[reportAttributeAccessIssue]
        graph = trace(fn, *jax.tree.map(_widen, args), open=None, **jax.tree.map(_widen, kwargs))
        return _Check(graph, wrt).run(directions, np.random.default_rng(seed))


def _widen(leaf: Any) -> Any:
    if hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.floating):
        return jnp.asarray(leaf, jnp.promote_types(jnp.result_type(float), leaf.dtype))
    return leaf


class _Check:
    """The check of one graph at its own arguments."""

    def __init__(self, graph: Graph, wrt: int | Sequence[int] | None):
        self.graph = graph
        self.loss = graph.outputs.index(graph.scalar())
        self.moved = [graph.inputs.index(value) for value in graph.start(wrt)]
        self.leaves = [
            jnp.asarray(leaf) if i in self.moved else leaf for i, leaf in enumerate(graph.concrete())
        ]
        self.dtype = jnp.result_type(
            *(graph.inputs[i].dtype for i in self.moved), graph.outputs[self.loss].dtype
        )
        self.epsilon = float(
            max(
                jnp.finfo(graph.outputs[self.loss].dtype).eps,
                *(jnp.finfo(v.dtype).eps for v in _inexact(graph)),
            )
        )

    def value(self, moved: list[Any], override: Any = lambda node: None) -> Any:
        """The loss with other values of the arrays that move."""
        leaves = list(self.leaves)
        for i, leaf in zip(self.moved, moved, strict=True):
            leaves[i] = leaf
        env = self.graph.env(leaves)
        return Forward(override=override).run(self.graph.block, env)[self.loss]

    def run(self, count: int, draws: np.random.Generator) -> GradientCheck:
        at = [self.leaves[i] for i in self.moved]
        evaluate = jax.jit(self.value)
        gradient = _maybe(lambda: jax.jit(jax.grad(self.value))(at))
        found = [self._direction(evaluate, gradient, at, _draw(at, draws)) for _ in range(count)]
        is_right = [self._is_right(direction) for direction in found]
        gaps = [abs(d.forward - d.derivative) / max(abs(d.forward), abs(d.derivative), 1e-300)
                for d in found if d.forward is not None]  # fmt: skip
        disagreement = max(gaps, default=None) if gradient is not None else None
        ok = all(is_right) and (disagreement is None or disagreement < self._tolerance)
        wrong: dict[str, Direction] = {}
        suspects: list[Node] = []
        if not ok:
            wrong = self._wrong(evaluate, gradient, at, draws)
            suspects = self._suspects(evaluate, at, draws)
        verdict = self._verdict(ok, found, disagreement, wrong, suspects)
        return GradientCheck(
            ok, verdict, _STEPS, tuple(found), disagreement, tuple(wrong), tuple(suspects), str(self.dtype)
        )

    @property
    def _tolerance(self) -> float:
        # The best a central difference can do is ε^(2/3); a hundred times that is no accident.
        return 100 * self.epsilon ** (2 / 3)

    def _direction(
        self, evaluate: Any, gradient: Any, at: list[Any], along: list[Any], override: Any = None
    ) -> Direction:
        forward = _maybe(lambda: float(jax.jvp(evaluate, (at,), (along,))[1]))
        if override is not None:
            derivative = forward = _maybe(
                lambda: float(jax.jvp(lambda moved: self.value(moved, override), (at,), (along,))[1])
            )
        elif gradient is not None:
            derivative = float(sum(jnp.vdot(g, v) for g, v in zip(gradient, along, strict=True)))
        else:
            derivative = forward
        if derivative is None and override is not None:
            derivative = float("nan")
        if derivative is None:
            raise UsageError(
                f"fn={self.graph.name}: neither forward nor reverse mode can differentiate it here"
            )
        pairs = [
            [float(evaluate([x + sign * h * v for x, v in zip(at, along, strict=True)])) for sign in (1, -1)]
            for h in _STEPS
        ]
        differences = np.array(
            [(plus - minus) / (2 * h) for (plus, minus), h in zip(pairs, _STEPS, strict=True)]
        )
        size = max(abs(value) for pair in pairs[4:] for value in pair)
        floor = 4 * self.epsilon * max(size, 1e-300) / _STEPS
        scale = np.maximum(np.maximum(np.abs(differences), abs(derivative)), 1e-300)
        return Direction(
            derivative, forward, differences, np.abs(differences - derivative) / scale, floor / scale
        )

    def _is_right(self, direction: Direction) -> bool:
        # The smallest error must be small; or, for a derivative that rounding hides, no larger than rounding.
        near = direction.errors[4:16]
        floors = direction.floors[4:16]
        return bool(np.any(near < self._tolerance) or np.all(near < 100 * floors))

    def _wrong(
        self, evaluate: Any, gradient: Any, at: list[Any], draws: np.random.Generator
    ) -> dict[str, Direction]:
        """The arguments whose own derivative is wrong, by path."""
        names = {}
        for place, i in enumerate(self.moved):
            along = [v if j == place else jnp.zeros_like(v) for j, v in enumerate(_draw(at, draws))]
            direction = self._direction(evaluate, gradient, at, along)
            if not self._is_right(direction):
                names[self.graph.inputs[i].name] = direction
        return names

    def _suspects(self, evaluate: Any, at: list[Any], draws: np.random.Generator) -> list[Node]:
        """The custom rules and stop_gradients without which the derivative is right, each alone or all together."""
        candidates = [node for node in self.graph.nodes if _plain(node) is not None]
        along = _draw(at, draws)

        def helps(nodes: list[Node]) -> bool:
            ids = {node.id for node in nodes}
            return self._is_right(
                self._direction(
                    evaluate, None, at, along, lambda node: _plain(node) if node.id in ids else None
                )
            )

        alone = [node for node in candidates if helps([node])]
        return alone or (candidates if len(candidates) > 1 and helps(candidates) else [])

    def _verdict(
        self,
        ok: bool,
        found: list[Direction],
        gap: float | None,
        wrong: dict[str, Direction],
        suspects: list[Node],
    ) -> str:
        least = max(float(direction.errors[direction.best]) for direction in found)
        slopes = [direction.slope for direction in found if np.isfinite(direction.slope)]
        if ok:
            shape = (
                f"the error falls with slope {np.median(slopes):.1f}" if slopes else "it is linear along them"
            )
            modes = "" if gap is None else f"; forward and reverse mode agree to {gap:.0e}"
            return (
                f"The gradient of {self.graph.name} is right: along {len(found)} directions differences come within "
                f"{least:.0e} of it ({shape}){modes}."
            )
        looked = [*wrong.values()] or list(found)
        ratios = [
            d.derivative / np.median(d.differences[6:12]) for d in looked if np.median(d.differences[6:12])
        ]
        parts = [f"The gradient of {self.graph.name} is wrong: differences stay {least:.0e} away from it"]
        if ratios and np.allclose(ratios, -1, atol=1e-3):
            parts.append("its sign is turned")
        elif slopes and np.median(slopes) > 0.5:
            parts[0] = (
                f"The gradient of {self.graph.name} cannot be judged here: differences come no closer than "
                f"{least:.0e}, with an error that falls slowly, as near a kink; try another point"
            )
        if gap is not None and gap > self._tolerance:
            parts.append(f"forward and reverse mode differ by {format_number(gap)}")
        if wrong:
            parts.append("in " + ", ".join(wrong))
        if suspects:
            parts.append("the cause is " + " and ".join(node.where for node in suspects))
        return "; ".join(parts) + "."


def _inexact(graph: Graph) -> list[Any]:
    """What the loss is computed in: the floating-point values at the top."""
    return [value for node in graph.nodes for value in node.outputs if value.is_inexact] or list(
        graph.outputs
    )


def _draw(at: list[Any], draws: np.random.Generator) -> list[Any]:
    """A random direction; each array changes in proportion to the root of its mean square."""
    found = []
    for x in at:
        scale = float(jnp.sqrt(jnp.mean(jnp.square(x)))) if x.size else 0.0
        found.append(jnp.asarray(draws.standard_normal(x.shape) * (scale or 0.1), x.dtype))
    return found


def _maybe(compute: Callable[[], Any]) -> Any:
    """The result, or None where this mode of differentiation does not exist for the function."""
    try:
        return compute()
    except (TypeError, ValueError, NotImplementedError):
        return None


def _plain(node: Node) -> Callable[..., list[Any]] | None:
    """A node with a gradient of its own as the plain function that it computes; None for any other."""
    if node.primitive == "stop_gradient":
        return lambda x: [x]
    if node.kind == "call" and node.primitive.startswith("custom_"):
        inner, constants = closed_parts(node.params["call_jaxpr"])
        return jex.jaxpr_as_fun(jex.ClosedJaxpr(inner, list(constants)))
    return None
