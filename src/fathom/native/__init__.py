"""Code in C++ for what a compiler of array programs does slowly, built once where there is a C++ compiler.

Nothing needs it: every program has a form without it, equal to it within the rounding of float32. It is built for
the processor at hand into the cache folder, in a process that `fathom.configure()` arranges: the steps of perceptrons
(`PERCEPTRON`) while Python imports what it needs, in about a second; convolutions (`CONVOLUTION`) from the first
`Conv2d` on, in about two. Where Fathom was not configured, it does without.

The environment variable FATHOM_NATIVE names the folder; empty, it leaves native code out. CXX names the compiler.
"""

import ctypes
import dataclasses
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
_HERE = Path(__file__).parent
_SHARED = _HERE / "vectors.h"
_FLAGS = ("-std=c++17", "-O3", "-march=native", "-fno-math-errno", "-ffp-contract=fast", "-shared", "-fPIC")
_COMPILERS = ("c++", "g++", "clang++")
_PATIENCE = 120.0  # seconds that a compiler may take


@dataclasses.dataclass(frozen=True)
class Library:
    """Code that is built and loaded as one.

    Attributes:
        name: of its source, beside this file.
        targets: what it registers with JAX, for the CPU.
    """

    name: str
    targets: tuple[str, ...]

    @property
    def source(self) -> Path:
        """What is compiled."""
        return _HERE / f"{self.name}.cc"


PERCEPTRON = Library("perceptron", ("fathom_train_classes", "fathom_train_numbers"))
CONVOLUTION = Library("convolution", ("fathom_convolve", "fathom_convolve_image", "fathom_convolve_weight"))


def start(library: Library) -> None:
    """Begin to build what is not built yet; returns at once."""
    if folder := os.environ.get(FOLDER):
        _begun(library, folder)


@functools.cache
def ready(library: Library) -> bool:
    """Whether native code can be called from now on: built, loaded, and known to JAX.

    Waits for a compiler that is at work. Asked once in a process: what was decided then holds to its end.
    """
    folder = os.environ.get(FOLDER)
    if not folder:
        return False
    if building := _begun(library, folder):
        _finish(library, *building)
    found = _found(library, folder)
    return found is not None and _load(library, found)


def why_not() -> str:
    """Why it is not `ready`, in a few words.

    Example:
        >>> isinstance(why_not(), str)
        True
    """
    if not os.environ.get(FOLDER):
        return f"fathom.configure() was not called, or {FOLDER} is empty"
    return "there is no C++ compiler" if _compiler() is None else "it could not be built or loaded"


@functools.cache
def _begun(library: Library, folder: str) -> "tuple[subprocess.Popen[bytes], Path] | None":
    """The compiler at work and what it makes; None where that is made already, or cannot be. Begun once."""
    command, made = _compiler(), Path(folder) / f"building-{secrets.token_hex(8)}"
    if command is None or _found(library, folder):
        return None
    try:
        made.parent.mkdir(parents=True, exist_ok=True)
        command = [*command, str(library.source), "-o", str(made)]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL), made
    except OSError:
        return None


def _finish(library: Library, process: "subprocess.Popen[bytes]", made: Path) -> None:
    """Name what was built by the source's digest and its own, so that a file that was cut short is not loaded."""
    try:
        if process.wait(_PATIENCE) == 0 and made.exists():
            made.rename(made.with_name(f"{_stem(library)}-{_digest(made.read_bytes())}.so"))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    made.unlink(missing_ok=True)


def _found(library: Library, folder: str) -> Path | None:
    """The file that was built, if it is there and whole."""
    try:
        files = sorted(Path(folder).glob(f"{_stem(library)}-*.so"))
        return next((path for path in files if path.stem.endswith(_digest(path.read_bytes()))), None)
    except OSError:
        return None


def _load(library: Library, file: Path) -> bool:
    import jax

    try:
        code = ctypes.CDLL(str(file))
        for name in library.targets:
            jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(getattr(code, name)), platform="cpu")
    except Exception:  # whatever is wrong with it, programs do without
        return False
    return True


def _compiler() -> list[str] | None:
    """The compiler's command, without what it makes of what; None without a compiler or JAX's header."""
    jaxlib = importlib.util.find_spec("jaxlib")
    found = [path for path in map(shutil.which, _COMPILERS) if path]
    compiler = shlex.split(os.environ.get("CXX", "")) or found[:1]
    if not compiler or jaxlib is None or not jaxlib.submodule_search_locations:
        return None
    include = Path(jaxlib.submodule_search_locations[0]) / "include"
    return [*compiler, *_FLAGS, "-I", str(include)] if include.is_dir() else None


def _stem(library: Library) -> str:
    content = library.source.read_bytes() + _SHARED.read_bytes() + " ".join(_FLAGS).encode()
    return f"{library.name}-{_digest(content)}"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
