"""A drawing of a graph: SVG, PNG, one HTML page, or text."""

import sys
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from ...errors import UsageError
from ...look import format_bytes
from ..backward import BackwardPass
from ..graph import Graph
from ..nodes import Node
from ..nonfinite import NonFinite
from .cards import Card, make_card
from .facts import Facts
from .item import Item, Tree
from .scene import Scene, choose_open, compose
from .svg import Scale, key_of, scene_svg
from .tree import make_tree
from .words import count_text

#: Endings of files that a drawing can be.
FORMATS = (".svg", ".png", ".html", ".txt")


class Drawing:
    """A graph as it is drawn; notebooks show it.

    Attributes:
        graph: the graph.
        tree: what is drawn, in boxes.
        facts: what is known of its values.
        opened: the boxes that are open.
        color: what colors the nodes, or None.
        width: of the picture in pixels; None for the natural one.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        fold: str = "auto",
        depth: int | None = None,
        values: bool = True,
        backward: bool | BackwardPass | None = None,
        nonfinite: NonFinite | Node | None = None,
        color: str | None = None,
        width: float | None = None,
    ):
        if depth is not None and depth < 0:
            raise UsageError(f"depth={depth}: not below 0; 0 closes every box, None opens what fits")
        bad = nonfinite.node if isinstance(nonfinite, NonFinite) else nonfinite
        if bad is not None and bad not in graph.nodes:
            # Found in another tracing of the same function.
            bad = next((node for node in graph.nodes if node.id == bad.id), None)
        self.graph = graph
        self.tree: Tree = make_tree(graph, fold)
        self.facts = Facts(graph, values=values, backward=backward, nonfinite=bad)
        self.opened: set[Item] = choose_open(self.tree, depth)
        for item in self.tree.items():
            if bad is not None and item.node is bad:
                self.opened.update(item.ancestors()[:-1])
        self.color, self.width = color, width
        Scale(color, ())

    @cached_property
    def cards(self) -> dict[Item, Card]:
        """The card of every item."""
        return {item: make_card(item, self.facts) for item in self.tree.root.walk()}

    @cached_property
    def scene(self) -> Scene:
        """Everything with its place."""
        return compose(self.tree, self.cards, self.opened)

    @property
    def note(self) -> str:
        """What the graph is, in a line."""
        graph = self.graph
        count = sum(not node.blocks for node in graph.nodes)
        parts = [
            f"{count} operation{'' if count == 1 else 's'}",
            count_text(graph.operations, "op") + " a call",
        ]
        if self.facts.has_backward:
            pass_ = self.facts.back
            if pass_ is not None:
                parts.append(f"backward {pass_.cost.ratio:.1f}× forward")
                parts.append(f"{format_bytes(pass_.stored_bytes)} kept for it")
        return ", ".join(parts)

    def svg(self, theme: str = "light") -> str:
        """The picture as an SVG document.

        Args:
            theme: "light" or "dark".
        """
        seen = [place.item for place in self.scene.places]
        has_values = any(self.facts.forward(item) is not None for item in seen)
        key = key_of(seen, self.cards, self.facts.has_backward, has_values)
        return scene_svg(
            self.scene, self.tree.root.title, self.note, key, Scale(self.color, seen), theme, self.width
        )

    def png(self, theme: str = "light", scale: float = 2.0) -> bytes:
        """The picture as a PNG.

        Args:
            theme: "light" or "dark".
            scale: pixels of the picture for one of the drawing; less where it would be larger than a viewer opens.
        """
        import vl_convert

        most = 16_000 / max(self.scene.width + 100, self.scene.height + 200, 1)
        return vl_convert.svg_to_png(self.svg(theme), scale=min(scale, most))

    def html(self) -> str:
        """One page that needs no other file and no network: zoom, fold, search, numbers."""
        from .html import page

        return page(self)

    def text(self, width: int = 100) -> str:
        """The drawing for a terminal.

        Args:
            width: columns.
        """
        from .text import table

        return table(self, width)

    def save(self, path: str | Path) -> Path:
        """Write a file of the kind that its ending says.

        Args:
            path: ends in .svg, .png, .html or .txt.

        Returns:
            The path.

        Raises:
            UsageError: if it ends in something else.
        """
        path = Path(path)
        makers: dict[str, Callable[[], str | bytes]] = {
            ".svg": self.svg, ".png": self.png, ".html": self.html, ".txt": self.text,
        }  # fmt: skip
        if path.suffix.lower() not in makers:
            raise UsageError(
                f"path={str(path)!r}: a drawing is written as one of {', '.join(FORMATS)}; choose one"
            )
        made = makers[path.suffix.lower()]()
        path.write_bytes(made if isinstance(made, bytes) else made.encode())
        return path

    def _repr_svg_(self) -> str:
        return self.svg()

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"Drawing({self.graph.name}: {len(self.scene.places)} nodes seen, {len(self.opened) - 1} boxes open)"

    def show(self) -> None:
        """Show it: in a notebook as a picture, elsewhere as text."""
        notebook = sys.modules.get("IPython")
        shell = notebook.get_ipython() if notebook is not None else None
        if notebook is not None and hasattr(shell, "kernel"):
            notebook.display.display(self)
        else:
            print(self.text())
