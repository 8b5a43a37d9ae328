"""Items into boxes, without circles between the boxes."""

import linecache
from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import Any

from ..nodes import Node
from .item import Flow, Item
from .words import control_title

#: What an item is asked to be in: the kind of a box, and what tells it from others.
Key = tuple[Any, ...]
#: The keys of an item, the outermost box first.
Path = tuple[Key, ...]


def gather_fixed(paths: Sequence[tuple[Item, Path]], flows: Iterable[Flow]) -> list[tuple[Item, Path]]:
    """Operations that depend on no argument go to what reads them, and several that make one number into one box.

    Args:
        paths: what each item is asked to be in, in the order of execution.
        flows: what goes where.

    Returns:
        The paths anew.
    """
    readers: dict[int, list[Item]] = {}
    for flow in flows:
        readers.setdefault(id(flow.source), []).append(flow.target)
    found = dict[int, Path]((id(item), path) for item, path in paths)
    ends: dict[int, Item] = {}  # the last operation on the way to what depends on an argument
    made: dict[int, list[Item]] = {}
    for item, path in reversed(paths):
        if not _is_fixed(item):
            continue
        after = readers.get(id(item), [])
        last = {id(ends.get(id(reader))): ends.get(id(reader)) for reader in after}
        only = next(iter(last.values())) if len(last) == 1 else None
        ends[id(item)] = only if only is not None else item
        made.setdefault(id(ends[id(item)]), []).append(item)
        if after:
            found[id(item)] = _shared([found[id(reader)] for reader in after if id(reader) in found], path)
    for end, items in made.items():
        if len(items) > 1:
            path = (*found[end], ("fixed", end, items[0]))
            found.update((id(item), path) for item in items)
    return [(item, found[id(item)]) for item, _ in paths]


def _is_fixed(item: Item) -> bool:
    return item.node is not None and item.kind in ("operation", "call") and not item.node.is_dependent


def _shared(paths: Sequence[Path], own: Path) -> Path:
    """The modules that all readers are in, where an item of no module is outside of them."""
    if own and own[-1][0] not in ("control", "block"):
        return own
    shared = list(own)
    for keys in zip(*(path[len(own) :] for path in paths), strict=False):
        if keys[0][0] != "module" or any(key != keys[0] for key in keys):
            break
        shared.append(keys[0])
    return tuple(shared) if paths and all(path[: len(own)] == own for path in paths) else own


def gather(
    box: Item, paths: Sequence[tuple[Item, Path]], depth: int, incoming: dict[int, list[Item]]
) -> None:
    """Put items into boxes by their next key, starting a new box where the old one would make a circle.

    Args:
        box: where they go.
        paths: the items in the order of execution.
        depth: which key is the next.
        incoming: what each item reads.
    """
    boxes: dict[Key, int] = {}
    children: list[tuple[Item, list[tuple[Item, Path]]]] = []
    before: list[int] = []  # for each child, the children it depends on, as bits
    home: dict[int, int] = {}
    whole = _read_by_opened(paths, depth, incoming)
    for item, path in paths:
        fed = 0
        opened = _opened(path, depth)
        for source in incoming.get(id(item), ()) if opened is None else whole[opened]:
            if id(source) in home:
                fed |= 1 << home[id(source)]
        key = path[depth] if len(path) > depth else None
        place = boxes.get(key) if key is not None else None
        if place is not None and _reaches(place, fed & ~(1 << place), before):
            place = None
        if place is None:
            place = len(children)
            child = item if key is None else _box(key)
            child.parent = box
            children.append((child, []))
            before.append(0)
            if key is not None:
                boxes[key] = place
        children[place][1].append((item, path))
        home[id(item)] = place
        new = fed & ~(1 << place)
        for other in _bits(new):
            new |= before[other]
        if new & ~before[place]:
            before[place] |= new
            # What depends on an older box depends on what that one now does.
            for other in range(place + 1 if place == len(before) - 1 else 0, len(before)):
                if before[other] >> place & 1:
                    before[other] |= before[place]
    for child, inside in children:
        box.children.append(child)
        if child is not inside[0][0]:
            gather(child, inside, depth + 1, incoming)


def _opened(path: Path, depth: int) -> Node | None:
    """The outermost opened node that an item is in, below some boxes."""
    return next((key[1] for key in path[depth:] if key[0] == "control"), None)


def _read_by_opened(
    paths: Sequence[tuple[Item, Path]], depth: int, incoming: dict[int, list[Item]]
) -> dict[Node, list[Item]]:
    """What is read anywhere inside of an opened node: it stays in one piece, and starts when all of that is there."""
    found: dict[Node, list[Item]] = {}
    for item, path in paths:
        opened = _opened(path, depth)
        if opened is not None:
            found.setdefault(opened, []).extend(incoming.get(id(item), ()))
    return found


def _bits(number: int) -> Iterable[int]:
    while number:
        low = number & -number
        yield low.bit_length() - 1
        number ^= low


def _reaches(place: int, fed: int, before: list[int]) -> bool:
    """Whether one of the children in `fed` depends on the child at `place`."""
    return any(before[other] >> place & 1 for other in _bits(fed))


def _box(key: Key) -> Item:
    kind = key[0]
    if kind == "control":
        return Item(key[1].kind, control_title(key[1]), node=key[1])
    if kind == "block":
        return Item("block", key[1], node=key[2], place=key[3])
    if kind == "fixed":
        return Item("fixed", "computed from constants", key[2].value)
    if kind == "rule":
        return Item("rule", key[1].rule.name, key[1].output, rule=key[1])
    if kind == "line":
        return Item("line", linecache.getline(key[1], key[2]).strip() or f"{PurePath(key[1]).name}:{key[2]}")
    return Item(kind, key[2] if kind == "function" else key[1])


def simplify(box: Item) -> None:
    """A box with one thing inside is that thing.

    Args:
        box: the root; it stays.
    """
    for place, child in enumerate(list(box.children)):
        if child.kind == box.kind == "module" and child.title.startswith("["):
            child.title = box.title + child.title
        simplify(child)
        while len(child.children) == 1 and child.kind in ("module", "line", "function", "rule"):
            only = child.children[0]
            if only.kind == child.kind == "module" and not only.title.startswith(child.title):
                only.title = f"{child.title}.{only.title}"
            only.parent = box
            box.children[place] = child = only
