"""The process that JAX runs in: a device for each core, a cache of compiled programs on disk, other processes.

JAX reads these things once, when it is imported or first used. The command line sets them before that; a
program that uses the library asks for them with `fathom.configure()`. What the user has set stays as it is.
"""

import atexit
import dataclasses
import functools
import gc
import hashlib
import math
import os
import platform
import re
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from . import native
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
#: In place of an address: the cluster says where the processes meet.
AUTO = "auto"
_LEAST_THREADS = 4  # of XLA, in a process that exchanges numbers with others while it trains
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


def configure(
    *, coordinator: str | None = None, processes: int | None = None, process: int | None = None
) -> ProcessSettings:
    """Make each CPU core a device for JAX, keep compiled programs on disk, and meet other processes if there are any.

    Call it before any JAX computation. Each device then advances its own members, and a study of a shape seen
    before starts without compiling.
    Environment variables that are set already (XLA_FLAGS, JAX_COMPILATION_CACHE_DIR, ...) win.

    With a coordinator this process trains with others, on this machine or on several: each makes the same call with
    its own number and then runs the same program. docs/processes.md says what that does.

    Args:
        coordinator: "HOST:PORT" where process 0 listens, or "auto" where the cluster says it all (Slurm, Open MPI,
            Kubernetes, Cloud TPU); None for a process alone.
        processes: how many there are; may be left out with "auto".
        process: which one this is, from 0; may be left out with "auto".

    Returns:
        What was arranged.

    Raises:
        UsageError: if JAX has run a computation already with other devices, which it reads only once; if an argument
            is missing or wrong; or if the processes did not meet. A second call is fine.
    """
    check_meeting(coordinator, processes, process)
    settings = arrange(os.environ)
    os.environ.update(settings.variables)
    if settings.cache is not None:
        os.environ.setdefault(STORED, str(settings.cache / "stored"))
        os.environ.setdefault(native.FOLDER, str(settings.cache / "native"))
        native.start(native.PERCEPTRON)
    # Tracing makes objects by the million, few of them in cycles; looking for those less often saves a twentieth.
    if gc.get_threshold()[0] < _COLLECT_AFTER:
        gc.set_threshold(_COLLECT_AFTER, *gc.get_threshold()[1:])
    atexit.unregister(_leave)
    atexit.register(_leave)
    if "jax" in sys.modules:
        _tell_jax(settings)
    if coordinator is not None:
        _meet(None if coordinator == AUTO else coordinator, processes, process)
    return settings


def check_meeting(coordinator: str | None, processes: int | None, process: int | None) -> None:
    """Refuse what says only half of where processes meet; arguments as `configure` takes them.

    Raises:
        UsageError: if an argument is missing or wrong.

    Example:
        >>> check_meeting("10.0.0.1:9000", 2, 0)
    """
    if coordinator is None:
        for name, value in (("processes", processes), ("process", process)):
            if value is not None:
                raise UsageError(
                    f"{name}={value!r} is given without coordinator; say where: coordinator=HOST:PORT"
                )
        return
    if coordinator == AUTO and processes is None and process is None:
        return
    if coordinator != AUTO and not re.fullmatch(r".+:\d+", coordinator):
        raise UsageError(
            f"coordinator={coordinator!r} is no address; give HOST:PORT of process 0, or {AUTO!r}"
        )
    if not isinstance(processes, int) or isinstance(processes, bool) or processes < 1:
        raise UsageError(f"processes={processes!r} is not allowed; say how many there are, 1 or more")
    if not isinstance(process, int) or isinstance(process, bool) or not 0 <= process < processes:
        raise UsageError(f"process={process!r} is not allowed; say which one this is, 0 to {processes - 1}")


def _meet(coordinator: str | None, processes: int | None, process: int | None) -> None:
    """Meet the other processes, and talk to them once."""
    import jax
    from jax.experimental import multihost_utils

    # Where programs exchange something a thread of XLA waits; with one thread all processes can wait for ever.
    if usable_cores() < _LEAST_THREADS:
        os.environ.setdefault("NPROC", str(_LEAST_THREADS))
    jax.config.update("jax_enable_preemption_service", False)  # with it, a process no longer heeds SIGTERM
    try:
        jax.distributed.initialize(coordinator, processes, process)
    except (ValueError, RuntimeError) as error:  # JAX's own are RuntimeErrors
        raise UsageError(
            f"coordinator={coordinator or AUTO!r}: the processes did not meet ({error}); check the address, and that "
            "all are started with the same number of processes"
        ) from None
    # Registered after JAX's own farewell, so that it comes before: a process that failed must not wait for others.
    atexit.unregister(_fail)
    atexit.register(_fail)
    # Gloo greets on standard output, which is for the answer.
    sys.stdout.flush()
    out = os.dup(1)
    try:
        os.dup2(2, 1)
        multihost_utils.sync_global_devices("fathom")
    finally:
        os.dup2(out, 1)
        os.close(out)


def _fail() -> None:
    """At the end of a process that an exception has ended."""
    if getattr(sys, "last_value", None) is not None:
        fail(1)


def fail(code: int) -> None:
    """End a process that failed at once where others wait for it, so that they learn of it now and not in minutes.

    Args:
        code: what the process ends with.
    """
    if "jax" in sys.modules and sys.modules["jax"].distributed.is_initialized():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


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
    return cache_root(environment) / "programs" / f"jaxlib-{_jaxlib_version()}-{processor_key()}"


@functools.cache
def _jaxlib_version() -> str:
    return metadata.version("jaxlib")


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
    return _key_of(_PROCESSOR)


@functools.cache
def _key_of(file: Path) -> str:
    try:
        first = file.read_text().partition("\n\n")[0].splitlines()
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
        # A second call, as of a notebook's first cell, finds the devices as it wants them.
        if len(jax.local_devices(backend="cpu")) != settings.devices:
            raise UsageError(
                "fathom.configure() came after JAX's first computation, which fixes the devices; "
                "call it before any JAX call"
            ) from None
    if _CACHE in settings.variables:
        jax.config.update("jax_compilation_cache_dir", settings.variables[_CACHE])
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
