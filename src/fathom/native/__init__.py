"""Code in C++ for what a compiler of array programs does slowly, built once where there is a C++ compiler.

Nothing needs it: every program has a form without it, equal to it within the rounding of float32. It is built for
the processor at hand into the cache folder, by the process that `fathom.configure()` arranges (which starts the
compiler while Python imports what it needs; it takes about a second). A library that was not configured does without.

The environment variable FATHOM_NATIVE names the folder; empty, it leaves native code out. CXX names the compiler.
"""

import ctypes
import functools
import hashlib
import importlib.util
import os
import secrets
import shlex
import shutil
import subprocess
from pathlib import Path

#: The variable that names the folder of built code; "" for none.
FOLDER = "FATHOM_NATIVE"
SOURCE = Path(__file__).with_name("perceptron.cc")
#: What the library registers with JAX, for the CPU.
TARGETS = ("fathom_train_classes", "fathom_train_numbers")
_FLAGS = ("-std=c++17", "-O3", "-march=native", "-fno-math-errno", "-ffp-contract=fast", "-shared", "-fPIC")
_COMPILERS = ("c++", "g++", "clang++")
_PATIENCE = 120.0  # seconds that a compiler may take


_started: "list[tuple[subprocess.Popen[bytes], Path]]" = []


def start() -> None:
    """Begin to build what is not built yet; returns at once."""
    command = None if _found() or _started else _command()
    if command is None:
        return
    made = Path(command[-1])
    try:
        made.parent.mkdir(parents=True, exist_ok=True)
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except OSError:
        return
    _started.append((process, made))


@functools.cache
def ready() -> bool:
    """Whether native code can be called from now on: built, loaded, and known to JAX.

    Waits for a compiler that is at work. Asked once in a process: what was decided then holds to its end.
    """
    start()
    while _started:
        _finish(*_started.pop())
    library = _found()
    return library is not None and _load(library)


def why_not() -> str:
    """Why it is not `ready`, in a few words.

    Example:
        >>> isinstance(why_not(), str)
        True
    """
    if not os.environ.get(FOLDER):
        return f"fathom.configure() was not called, or {FOLDER} is empty"
    return "there is no C++ compiler" if _command() is None else "it could not be built or loaded"


def _finish(process: "subprocess.Popen[bytes]", made: Path) -> None:
    """Name what was built by the source's digest and its own, so that a file that was cut short is not loaded."""
    try:
        if process.wait(_PATIENCE) == 0:
            made.rename(made.with_name(f"{_stem()}-{_digest(made.read_bytes())}.so"))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    made.unlink(missing_ok=True)


def _found() -> Path | None:
    """The library, if it is there and whole."""
    folder = os.environ.get(FOLDER)
    if not folder:
        return None
    try:
        libraries = sorted(Path(folder).glob(f"{_stem()}-*.so"))
        return next((path for path in libraries if path.stem.endswith(_digest(path.read_bytes()))), None)
    except OSError:
        return None


def _load(library: Path) -> bool:
    import jax

    try:
        code = ctypes.CDLL(str(library))
        for name in TARGETS:
            jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(getattr(code, name)), platform="cpu")
    except Exception:  # whatever is wrong with it, programs do without
        return False
    return True


def _command() -> list[str] | None:
    """The compiler's command, its last word what it makes; None without a folder, a compiler or JAX's header."""
    folder, jaxlib = os.environ.get(FOLDER), importlib.util.find_spec("jaxlib")
    found = [path for path in map(shutil.which, _COMPILERS) if path][:1]
    compiler = shlex.split(os.environ.get("CXX", "")) or found
    if not folder or not compiler or jaxlib is None or not jaxlib.submodule_search_locations:
        return None
    include = Path(jaxlib.submodule_search_locations[0]) / "include"
    made = Path(folder) / f"building-{secrets.token_hex(8)}"
    return (
        [*compiler, *_FLAGS, "-I", str(include), str(SOURCE), "-o", str(made)] if include.is_dir() else None
    )


def _stem() -> str:
    return f"perceptron-{_digest(SOURCE.read_bytes() + ' '.join(_FLAGS).encode())}"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
