"""`fathom graph`: what a JAX function computes, drawn."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from .. import process
from ..errors import UsageError
from .common import PLAIN, Common, verb
from .terminal import console, print_json, say

app = verb(
    "graph",
    "fathom graph net.py:loss",
    "fathom graph net.py:loss --out loss.html",
    'fathom graph jax.nn:softmax --arg "f32[4,10]"',
    "fathom graph runs/digits --out network.svg",
    "fathom graph net.py:loss --find-nonfinite",
)


@app.default
def graph(
    target: Annotated[
        str,
        Parameter(
            help="file.py:function, package.module:function, or the folder of a run for its chosen network."
        ),
    ],
    /,
    *,
    args: Annotated[
        str | None,
        Parameter(
            help="Where the arguments are: a name beside the function, or file.py:name; a tuple, a mapping, or a "
            "function that returns one. FUNCTION_args and example_args are found by themselves."
        ),
    ] = None,
    arg: Annotated[
        tuple[str, ...],
        Parameter(
            negative=(),
            help="One argument, for each: f32[8,3] (random), i32[8]<10, bool[8], key, or a number.",
        ),
    ] = (),
    seed: Annotated[int, Parameter(help="For random arguments; 0 if left out.")] = 0,
    backward: Annotated[
        bool | None,
        Parameter(help="Gradients, too; where the function returns a loss they are there anyway."),
    ] = None,
    values: Annotated[
        bool,
        Parameter(
            negative="--no-values", help="Without values nothing runs: shapes, operations and lines only."
        ),
    ] = True,
    fold: Annotated[
        str, Parameter(help="What nodes are gathered by: auto, module, line, function or none.")
    ] = "auto",
    depth: Annotated[
        int | None, Parameter(help="Levels of boxes that are open; as many as fit if left out.")
    ] = None,
    open_custom: Annotated[bool, Parameter(negative=(), help="Look inside of custom derivatives.")] = False,
    color: Annotated[str | None, Parameter(help="What colors the nodes: operations or bytes.")] = None,
    find_nonfinite: Annotated[
        bool, Parameter(negative=(), help="Say where the first NaN or infinity comes from, and mark it.")
    ] = False,
    out: Annotated[
        tuple[Path, ...],
        Parameter(negative=(), help="A file to write: .html, .svg, .png or .txt; may be repeated."),
    ] = (),
    common: Common = PLAIN,
) -> None:
    """Draw what a JAX function computes: a tree in the terminal, or a picture, or a page."""
    process.configure()
    from ..graph.draw.drawing import FORMATS

    for path in out:
        if path.suffix.lower() not in FORMATS:
            raise UsageError(
                f"out={str(path)!r}: a drawing is written as one of {', '.join(FORMATS)}; choose one"
            )
        if not path.resolve().parent.is_dir():
            raise UsageError(f"out={str(path)!r}: the folder {path.parent} does not exist; make it first")
    drawing, found = _draw(
        target, args, arg, seed, fold, depth, values, backward, open_custom, color, find_nonfinite
    )
    written = [drawing.save(path) for path in out]
    if common.json:
        print_json({"graph": _as_json(drawing), "nonfinite": _nonfinite_json(found), "files": written})
        return
    if found is not None:
        say(str(found))
    if written:
        for path in written:
            say(str(path) if common.quiet else f"Drawing written to {path}; {_what_next(path)}.")
    elif found is None or found.found:
        console().print(drawing.text(console().width), soft_wrap=True)


def _draw(
    written: str, args: Any, arg: Any, seed: int, fold: str, depth: Any, values: bool, backward: Any,
    open_custom: bool, color: Any, find_nonfinite: bool,
) -> tuple[Any, Any]:  # fmt: skip
    """The drawing, and what is not finite where that was asked."""
    from ..errors import FathomError
    from ..graph import KINDS, trace
    from ..graph import find_nonfinite as find
    from ..graph.draw import Drawing
    from .target import find_target

    target = find_target(written, args, arg, seed)
    try:
        traced = trace(target.fn, *target.args, open=KINDS if open_custom else None, **target.kwargs)
    except FathomError:
        raise
    except Exception as error:
        first = str(error).strip().splitlines()
        raise UsageError(
            f"target={written!r}: calling {target.name} failed: {type(error).__name__}: {first[0] if first else ''}; "
            f"its arguments were {target.said}"
        ) from error
    found = find(target.fn, *target.args, **target.kwargs) if find_nonfinite else None
    node = found.node if found is not None and not open_custom else None
    drawing = Drawing(
        traced, fold=fold, depth=depth, values=values, backward=backward, nonfinite=node, color=color
    )
    return drawing, found


def _what_next(path: Path) -> str:
    return "open it in a browser" if path.suffix == ".html" else "open it in any viewer"


def _as_json(drawing: Any) -> dict[str, Any]:
    """The graph in the shape that docs/json.md gives."""
    graph = drawing.graph
    items = [item for item in drawing.tree.items() if not item.is_box and item.node is not None]
    nodes = []
    for item in items:
        if item.kind not in ("operation", "call"):
            continue
        node, forward, delta = item.node, drawing.facts.forward(item), drawing.facts.delta(item)
        nodes.append(
            {
                "id": node.id,
                "name": node.name,
                "primitive": node.primitive,
                "module": node.module,
                "shapes": [list(shape) for shape in node.shapes],
                "dtypes": [str(dtype) for dtype in node.dtypes],
                "operations": node.operations * node.times,
                "bytes": node.nbytes * node.times,
                "line": str(node.line) if node.line is not None else None,
                "rule": item.rule.rule.name if item.rule is not None else None,
                "value": _numbers(forward),
                "gradient": _numbers(delta),
            }
        )
    inputs = [{"name": v.name, "shape": list(v.shape), "dtype": str(v.dtype)} for v in graph.inputs]
    return {"name": drawing.tree.root.title, "operations": graph.operations, "inputs": inputs, "nodes": nodes}


def _numbers(measure: Any) -> dict[str, Any] | None:
    if measure is None:
        return None
    names = ("mean", "spread", "smallest", "largest", "norm", "zeros", "nonfinite")
    return {name: getattr(measure, name) for name in names}


def _nonfinite_json(found: Any) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "found": found.found,
        "direction": found.direction,
        "node": found.node.id if found.node is not None else None,
        "line": str(found.line) if found.line is not None else None,
        "step": list(found.step),
        "count": found.count,
        "sentence": str(found),
    }
