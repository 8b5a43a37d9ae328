"""The function that `fathom graph` is asked about, and its arguments."""

import dataclasses
import importlib
import importlib.util
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import UsageError

_SPEC = re.compile(
    r"(?P<dtype>f16|bf16|f32|f64|i8|i32|i64|u8|u32|bool|c64)\[(?P<shape>[\d, ]*)\](?:<(?P<below>\d+))?"
)
_DTYPES = {
    "f16": "float16", "bf16": "bfloat16", "f32": "float32", "f64": "float64", "i8": "int8", "i32": "int32",
    "i64": "int64", "u8": "uint8", "u32": "uint32", "bool": "bool", "c64": "complex64",
}  # fmt: skip
_BELOW = 2


@dataclasses.dataclass(frozen=True)
class Target:
    """A function with arguments to trace it with.

    Attributes:
        name: what it is called.
        fn: the function.
        args: its positional arguments.
        kwargs: its keyword arguments.
        said: where the arguments come from, in words.
    """

    name: str
    fn: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    said: str


def find_target(written: str, args: str | None, specs: Sequence[str], seed: int) -> Target:
    """A function by its place, with arguments.

    They are, in this order: what `specs` describe; what `args` names; what the module has under the function's name
    with ``_args`` at its end, or under ``example_args``; nothing, for a function that takes none.

    Args:
        written: ``file.py:function``, ``package.module:function``, or the folder of a run.
        args: ``name`` in the same module, or ``file.py:name``: a tuple, a mapping of keyword arguments, or a function
            that returns one.
        specs: one argument each, as `read_spec` has it.
        seed: for random arguments.

    Returns:
        The target.

    Raises:
        UsageError: if something is not there or cannot be imported.
    """
    place, colon, name = written.rpartition(":")
    if not colon:
        if Path(written).is_dir():
            return _network(written, seed)
        raise UsageError(
            f"target={written!r}: there is no such run; name a function as file.py:function or "
            "package.module:function, or give the folder of a run"
        )
    module = load_module(place)
    fn = _attribute(module, name, written)
    if not callable(fn):
        raise UsageError(
            f"target={written!r}: {name} is {type(fn).__name__}, which cannot be called; name a function"
        )
    found, said = _arguments(module, name, fn, args, specs, seed, place)
    if isinstance(found, dict):
        return Target(name, fn, (), found, said)
    return Target(name, fn, tuple(found) if isinstance(found, (tuple, list)) else (found,), {}, said)


def load_module(place: str) -> ModuleType:
    """A module by its file or by its import path; the folder it is in can be imported from, too.

    Args:
        place: ``net.py`` or ``package.module``.

    Returns:
        The module.

    Raises:
        UsageError: if it is not there, or fails when it is imported.
    """
    path = Path(place)
    is_file = path.suffix == ".py"
    if is_file and not path.is_file():
        raise UsageError(
            f"target={place!r}: there is no such file; give the path of a Python file, or a module"
        )
    folder = str(path.resolve().parent if is_file else Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        if not is_file:
            return importlib.import_module(place)
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = module
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise UsageError(
            f"target={place!r}: importing it failed: {type(error).__name__}: {error}; mend it, or --debug shows where"
        ) from error
    return module


def _attribute(module: ModuleType, name: str, written: str) -> Any:
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            from ..errors import one_of

            public = [
                word for word in vars(found) if not word.startswith("_") and callable(getattr(found, word))
            ]
            raise one_of(f"target={written!r}: the name", part, public)
        found = getattr(found, part)
    return found


def _arguments(
    module: ModuleType, name: str, fn: Any, args: str | None, specs: Sequence[str], seed: int, place: str
) -> tuple[Any, str]:
    if specs and args is not None:
        raise UsageError("args and arg: arguments come from one of them; leave the other out")
    if specs:
        return tuple(read_spec(spec, seed + i) for i, spec in enumerate(specs)), f"random, seed {seed}"
    if args is not None:
        home, colon, word = args.rpartition(":")
        return _value(_attribute(load_module(home) if colon else module, word, args), args), args
    last = name.rpartition(".")[2]
    for word in (f"{last}_args", "example_args"):
        if hasattr(module, word):
            return _value(getattr(module, word), word), word
    wanted = _wanted(fn)
    if wanted == []:
        return (), "none"
    listed = f"({', '.join(wanted)})" if wanted else ""
    raise UsageError(
        f"target={place}:{name}: no arguments are known for {last}{listed}; give --arg 'f32[8,3]' for each, or write "
        f"{last}_args() beside it that returns them as a tuple"
    )


def _value(found: Any, name: str) -> Any:
    if not callable(found):
        return found
    try:
        return found()
    except Exception as error:
        raise UsageError(f"args={name!r}: it failed: {type(error).__name__}: {error}; mend it") from error


def _wanted(fn: Any) -> list[str] | None:
    """The names of the arguments that a function needs; None where Python does not say."""
    import inspect

    try:
        parameters = inspect.signature(fn).parameters.values()
    except (TypeError, ValueError):
        return None
    return [
        p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]


def read_spec(spec: str, seed: int) -> Any:
    """One argument out of a few characters.

    Args:
        spec: ``f32[8,3]`` for standard normal numbers, ``i32[8]<10`` for whole numbers below 10 (2 if not said),
            ``bool[8]``, ``key`` for a random key, or a number.
        seed: for what is random.

    Returns:
        An array, a key or a number.

    Raises:
        UsageError: if it is not understood.

    Example:
        >>> read_spec("f32[2,3]", 0).shape, read_spec("0.5", 0)
        ((2, 3), 0.5)
    """
    import jax
    import jax.numpy as jnp

    key = jax.random.key(seed)
    if spec == "key":
        return key
    for kind in (int, float):
        try:
            return kind(spec)
        except ValueError:
            continue
    found = _SPEC.fullmatch(spec.strip())
    if found is None:
        raise UsageError(
            f"arg={spec!r} is not understood; write f32[8,3], i32[8]<10, bool[8], key, or a number"
        )
    shape = tuple(int(part) for part in found["shape"].split(",") if part.strip())
    dtype = jnp.dtype(_DTYPES[found["dtype"]])
    if jnp.issubdtype(dtype, jnp.inexact):
        return jax.random.normal(key, shape, dtype)
    if found["dtype"] == "bool":
        return jax.random.bernoulli(key, shape=shape)
    return jax.random.randint(key, shape, 0, int(found["below"] or _BELOW), dtype)


_ROWS = 8


def _network(folder: str, seed: int) -> Target:
    """The chosen network of a run, on random inputs."""
    import jax

    from .. import load_model
    from ..engine.learner import answers, network_for

    part = load_model(folder).parts[0]
    spec = part.spec
    module = network_for(spec).module(part.kept["params"], part.kept["carried"])

    def chosen(model: Any, x: Any) -> Any:
        return answers(spec, model(x, key=None, state=part.kept["net"], inference=True)[0])

    x = jax.random.normal(jax.random.key(seed), (_ROWS, *spec.task.shape))
    name = f"the chosen network of {Path(folder).resolve().name}"
    chosen.__qualname__ = name
    return Target(name, chosen, (module, x), {}, f"{_ROWS} random rows, seed {seed}")
