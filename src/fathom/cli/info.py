"""`fathom info`: versions, devices, lanes, the cache."""

import os
import platform
from importlib import metadata
from typing import Any

from .. import process
from ..look import format_bytes, format_count
from .common import PLAIN, Common, verb
from .terminal import print_json, print_table

app = verb("info", "fathom info", "fathom info --json")

_PACKAGES = ("jax", "jaxlib", "equinox", "optax", "numpy", "scikit-learn", "duckdb")
_OURS = ("FATHOM_", "JAX_", "XLA_")
_LANE_SIZES = (1_000, 10_000, 1_000_000)


@app.default
def info(*, common: Common = PLAIN) -> None:
    """Show versions, devices and the cache of compiled programs."""
    shown = gather(process.configure())
    if common.json:
        print_json(shown)
        return
    cache = shown["cache"]
    lanes = [f"{lane['members']} of {format_count(lane['parameters'])} parameters" for lane in shown["lanes"]]
    rows = [
        *shown["versions"].items(),
        ("machine", f"{shown['machine']}, {shown['cores']} cores to use"),
        ("devices", ", ".join(shown["devices"])),
        ("members in a lane", ", ".join(lanes)),
        ("cache", cache["folder"] or "none: the cache folder cannot be written; FATHOM_CACHE names another"),
        ("", f"{format_count(cache['programs'])} programs, {format_bytes(cache['bytes'])}"),
    ]
    print_table("", ("what", "value"), rows)


def gather(settings: process.ProcessSettings) -> dict[str, Any]:
    """Everything that `fathom info --json` prints.

    Args:
        settings: how the process was set up.

    Returns:
        JSON-safe values.
    """
    import jax

    from .._version import __version__
    from ..engine.lanes import lane_width

    devices = jax.devices()
    versions = {"fathom": __version__, "python": platform.python_version()}
    many = 1 << 20
    widths = [
        {"parameters": size, "members": lane_width(devices[0].platform, size, many)} for size in _LANE_SIZES
    ]
    return {
        "versions": versions | {package: metadata.version(package) for package in _PACKAGES},
        "machine": f"{platform.system()} {platform.machine()}",
        "cores": process.usable_cores(),
        "devices": [f"{device.platform}:{device.id} ({device.device_kind})" for device in devices],
        "lanes": widths,
        "cache": _cache(settings),
        "environment": {name: os.environ[name] for name in sorted(os.environ) if name.startswith(_OURS)},
    }


def _cache(settings: process.ProcessSettings) -> dict[str, Any]:
    if settings.cache is None:
        return {"folder": None, "programs": 0, "bytes": 0}
    files = [entry for entry in settings.cache.rglob("*") if entry.is_file()]
    programs = [entry for entry in files if entry.name.endswith("-cache")]
    size = sum(entry.stat().st_size for entry in files)
    return {"folder": str(settings.cache), "programs": len(programs), "bytes": size}
