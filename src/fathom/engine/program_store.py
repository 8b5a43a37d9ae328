"""Compiled programs kept on disk, found again without tracing them.

JAX's own cache finds a compiled program only once the function is traced and lowered, which takes many times as long
as loading it. A program here is found by what it was made from: a description of the member, the shapes of the
arguments, Fathom's own source, and everything of the process that a compiler looks at. Only what is all Fathom's own
has such a description; a user's functions go through JAX's cache alone.

JAX's cache must not know these programs as well: one that it gave cannot be stored, because written a second time a
program loads and then misses its own functions (JAX 0.10 to 0.12). So each has a name that is never used again.

Files are as trusted as those of JAX's cache, beside which they are: loading one runs it.
"""

import contextlib
import functools
import hashlib
import importlib
import io
import json
import os
import platform
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import serialize_executable
from jax.sharding import NamedSharding

from ..process import STORED, processor_key, writable
from .checkpoint import write_bytes

_AGE = 30 * 24 * 3600.0  # seconds after which a program that nobody asked for is deleted
_LIBRARIES = ("jax", "jaxlib", "equinox", "optax", "numpy")


def named(function: Callable[..., Any], name: str, described: str) -> Callable[..., Any]:
    """A function under the name that its program is compiled by."""

    def run(*args: Any) -> Any:
        return function(*args)

    run.__name__ = f"{name}_{secrets.token_hex(8)}" if described and _folder() else name
    return run


def compiled(described: str, lowered: Any, args: Sequence[Any]) -> Any:
    """The program of a lowered function, stored if it can be.

    Args:
        described: what it was made from; "" where nothing says it.
        lowered: the function, lowered.
        args: as for `fetch`.

    Returns:
        The compiled program.
    """
    made = lowered.compile()
    path = _path(described, args)
    if path is not None:
        _keep(path, made)
    return made


def fetch(described: str, args: Sequence[Any]) -> Any:
    """The program for arguments of these shapes, or None if it is not there or cannot be loaded here.

    Args:
        described: what it was made from; "" where nothing says it.
        args: the arguments, or their abstract shapes, spread over one mesh of devices.

    Returns:
        The compiled program.
    """
    path = _path(described, args)
    if path is None or not path.is_file():
        return None
    try:
        with io.BytesIO(path.read_bytes()) as file:
            head = json.loads(file.readline())
            trees = [_tree(head[name]) for name in ("arguments", "results")]
            devices = _devices(args)
            loaded = serialize_executable.deserialize_and_load(
                file.read(), *trees, backend=devices[0].client, execution_devices=devices
            )
        os.utime(path)
    except Exception:  # whatever is wrong with a stored program, a new one is right
        path.unlink(missing_ok=True)
        return None
    return loaded


def stored(described: str, args: Sequence[Any]) -> bool:
    """Whether `fetch` would find a file."""
    path = _path(described, args)
    return path is not None and path.is_file()


def note(described: str, args: Sequence[Any]) -> None:
    """Let `stored` say from now on that there is something, which is kept elsewhere."""
    path = _path(described, args)
    if path is not None:
        with contextlib.suppress(OSError):
            path.touch()


def _keep(path: Path, made: Any) -> None:
    """Store a program; one that cannot be stored is made again by the next process."""
    try:
        program, *trees = serialize_executable.serialize(made)
        said = [tree.serialize_using_proto().hex() for tree in trees]
        head = json.dumps(dict(zip(("arguments", "results"), said, strict=True)))
        # Two processes may make the same program.
        mine = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        write_bytes(mine, head.encode() + b"\n" + program)
        mine.replace(path)
        _forget(path.parent)
    except Exception:  # a tree of a user's own nodes, a full disk
        return


def _folder() -> Path | None:
    """Where programs are stored; None where there is no such place, and for programs of several processes."""
    if jax.process_count() > 1:
        return None
    return writable(Path(os.environ[STORED])) if os.environ.get(STORED) else None


def _path(described: str, args: Sequence[Any]) -> Path | None:
    folder = _folder() if described else None
    if folder is None:
        return None
    leaves, tree = jax.tree.flatten(args)
    shapes = [(np.shape(a), str(a.dtype), str(a.sharding)) for a in leaves]
    parts = (described, str(tree), shapes, [d.id for d in _devices(args)], _process())
    return folder / hashlib.sha256(repr(parts).encode()).hexdigest()


def _devices(args: Sequence[Any]) -> list[Any]:
    """The devices of the mesh that the arguments are spread over, in its order."""
    places = [leaf.sharding for leaf in jax.tree.leaves(args)]
    meshes = [place.mesh for place in places if isinstance(place, NamedSharding)]
    return list(np.asarray(meshes[0].devices).flat) if meshes else [jax.local_devices()[0]]


@functools.cache
def _process() -> str:
    """Everything but the program that decides what is compiled."""
    digest = hashlib.sha256(processor_key().encode())
    for name in _LIBRARIES:
        digest.update(f"{name} {importlib.import_module(name).__version__}\n".encode())
    digest.update(platform.python_version().encode())
    digest.update(os.environ.get("XLA_FLAGS", "").encode())
    settings = {name: value for name, value in jax.config.values.items() if "cache" not in name}
    digest.update(repr(sorted(settings.items(), key=str)).encode())
    root = Path(__file__).parents[1]
    for path in sorted([*root.rglob("*.py"), *root.rglob("*.cc")]):
        digest.update(str(path.relative_to(root)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _tree(said: str) -> Any:
    return jax.tree_util.PyTreeDef.deserialize_using_proto(
        jax.tree_util.default_registry, bytes.fromhex(said)
    )


def _forget(folder: Path) -> None:
    """Delete the programs that nobody has asked for in a month: each version of Fathom leaves its own."""
    oldest = time.time() - _AGE
    for path in folder.iterdir():
        if path.stat().st_mtime < oldest:
            path.unlink(missing_ok=True)
