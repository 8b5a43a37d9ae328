"""The process that JAX runs in: a device for each core, and a cache of compiled programs on disk.

JAX reads these things once, when it is imported or first used. The command line sets them before that; a
program that uses the library asks for them with `fathom.configure()`. What the user has set stays as it is.
"""

import atexit
import dataclasses
import gc
import hashlib
import math
import os
import platform
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from .errors import UsageError

_DEVICES_FLAG = "--xla_force_host_platform_device_count"
_THREADS_FLAG = "--xla_cpu_multi_thread_eigen"
#: The variable that names the folder of programs that are found without tracing them; "" for none.
STORED = "FATHOM_PROGRAMS"
_CACHE = "JAX_COMPILATION_CACHE_DIR"
# Every program is worth keeping: a study has few, and each takes seconds to compile and milliseconds to read.
_CACHE_ALL = {
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
_COLLECT_AFTER = 50_000  # new objects
_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_PROCESSOR = Path("/proc/cpuinfo")


@dataclasses.dataclass(frozen=True)
class ProcessSettings:
    """What `configure` arranged.

    Attributes:
        devices: CPU devices that JAX will have.
        cache: folder of compiled programs; None where there is no place to write one.
        variables: environment variables that were set, those of the user left out.
    """

    devices: int
    cache: Path | None
    variables: Mapping[str, str]


def configure() -> ProcessSettings:
    """Make each CPU core a device for JAX and keep compiled programs on disk.

    Call it before any JAX computation. Each device then advances its own members, and a study of a shape seen
    before starts without compiling.
    Environment variables that are set already (XLA_FLAGS, JAX_COMPILATION_CACHE_DIR, ...) win.

    Returns:
        What was arranged.

    Raises:
        UsageError: if JAX has run a computation already; it reads these settings only once.
    """
    settings = arrange(os.environ)
    os.environ.update(settings.variables)
    if settings.cache is not None:
        os.environ.setdefault(STORED, str(settings.cache / "stored"))
    # Tracing makes objects by the million, few of them in cycles; looking for those less often saves a twentieth.
    if gc.get_threshold()[0] < _COLLECT_AFTER:
        gc.set_threshold(_COLLECT_AFTER, *gc.get_threshold()[1:])
    atexit.unregister(_leave)
    atexit.register(_leave)
    if "jax" in sys.modules:
        _tell_jax(settings)
    return settings


def _leave() -> None:
    """Let the process end without a last search for cycles among JAX's objects, which takes a third of a second.

    DuckDB's Python module counts its objects when the process ends, and would complain of those left.
    """
    if "duckdb" not in sys.modules:
        gc.freeze()


def arrange(environment: Mapping[str, str]) -> ProcessSettings:
    """What `configure` would set, given the variables that are set already.

    Args:
        environment: the environment's variables.

    Returns:
        The settings; nothing is changed, but for the cache folder, which is made.
    """
    variables: dict[str, str] = {}
    flags = environment.get("XLA_FLAGS", "")
    devices = _flag_value(flags, _DEVICES_FLAG)
    wanted = [] if devices else [f"{_DEVICES_FLAG}={usable_cores()}"]
    # With a device a core, threads within a matrix product would only get in each other's way.
    wanted += [] if _THREADS_FLAG in flags else [f"{_THREADS_FLAG}=false"]
    if wanted:
        variables["XLA_FLAGS"] = " ".join([*flags.split(), *wanted])
    cache = writable(Path(environment[_CACHE]) if environment.get(_CACHE) else cache_folder(environment))
    if cache is not None:
        wished = {_CACHE: str(cache), **_CACHE_ALL}
        variables |= {name: value for name, value in wished.items() if not environment.get(name)}
    return ProcessSettings(devices or usable_cores(), cache, variables)


def cache_folder(environment: Mapping[str, str]) -> Path:
    """The folder of compiled programs for this version of jaxlib on this processor.

    Args:
        environment: FATHOM_CACHE names the folder above it; else it is in the user's cache folder.

    Returns:
        The folder, which need not exist.
    """
    name = f"jaxlib-{metadata.version('jaxlib')}-{processor_key()}"
    return cache_root(environment) / "programs" / name


def cache_root(environment: Mapping[str, str]) -> Path:
    """The folder for what can be made again: $FATHOM_CACHE, or `fathom` in the user's cache folder."""
    if chosen := environment.get("FATHOM_CACHE"):
        return Path(chosen).expanduser().absolute()
    if chosen := environment.get("XDG_CACHE_HOME"):
        return Path(chosen).expanduser().absolute() / "fathom"
    home = Path("~").expanduser()
    by_system = {"win32": home / "AppData" / "Local", "darwin": home / "Library" / "Caches"}
    return by_system.get(sys.platform, home / ".cache") / "fathom"


def processor_key() -> str:
    """Eight letters for the processor: a program compiled for one may not run on another."""
    try:
        first = _PROCESSOR.read_text().partition("\n\n")[0].splitlines()
        described = [
            line for line in first if line.startswith(("flags", "Features", "model name", "CPU part"))
        ]
    except OSError:
        described = [platform.processor()]
    return hashlib.sha256("\n".join([platform.machine(), *described]).encode()).hexdigest()[:8]


def usable_cores() -> int:
    """Cores that this process may use: its affinity, and a container's share of time where that is less."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    try:
        quota, period = _QUOTA.read_text().split()
        cores = min(cores, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):  # no such file outside Linux; "max" where there is no limit
        pass
    return max(1, cores)


def _flag_value(flags: str, name: str) -> int | None:
    values = [flag.partition("=")[2] for flag in flags.split() if flag.startswith(f"{name}=")]
    return int(values[-1]) if values and values[-1].isdigit() else None


def writable(folder: Path) -> Path | None:
    """The folder, made if it is not there; None if nothing can be written into it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


def _tell_jax(settings: ProcessSettings) -> None:
    """JAX was imported, so it has read the environment; what has not run a computation can still be told."""
    import jax

    try:
        jax.config.update("jax_num_cpu_devices", settings.devices)
    except RuntimeError:
        raise UsageError(
            "fathom.configure() came after JAX's first computation, which fixes the devices; "
            "call it before any JAX call"
        ) from None
    if _CACHE in settings.variables:
        jax.config.update("jax_compilation_cache_dir", settings.variables[_CACHE])
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
