"""`fathom info`: versions, devices, the planner's rules, the cache."""

import dataclasses
import os
import platform
from importlib import metadata
from typing import Annotated, Any

from cyclopts import Parameter

from .. import native, process
from ..look import format_bytes, format_count
from .common import PLAIN, Common, verb
from .terminal import print_json, print_table, say

app = verb("info", "fathom info", "fathom info --json", "fathom info --calibrate")

_PACKAGES = ("jax", "jaxlib", "equinox", "optax", "numpy", "scikit-learn", "duckdb")
_OURS = ("FATHOM_", "JAX_", "XLA_")
_LANE_SIZES = (1_000, 10_000, 1_000_000)


@app.default
def info(
    *,
    calibrate: Annotated[
        bool,
        Parameter(
            negative=(),
            help="Measure the planner's rules on this machine, which takes a minute, and keep them.",
        ),
    ] = False,
    common: Common = PLAIN,
) -> None:
    """Show versions, devices, the planner's rules and the cache of compiled programs."""
    settings = process.configure()
    if calibrate:
        measure_rules(common)
        return
    shown = gather(settings)
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
        ("native code", "ready" if shown["native"] else "none: no C++ compiler, or FATHOM_NATIVE is empty"),
        ("planner's rules", shown["rules"]["from"]),
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
    from ..engine.lanes import lane_width, rules, rules_file

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
        "native": native.ready(native.PERCEPTRON),
        "rules": dataclasses.asdict(rules())
        | {"from": f"measured here: {rules_file()}" if rules_file().exists() else "as Fathom has them"},
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


def measure_rules(common: Common) -> None:
    """Measure the planner's rules again, print what was measured, and keep them for this machine."""
    from ..engine.calibrate import chosen, fit, keep, loss_of, measure
    from ..engine.lanes import rules_file

    measured = measure(tell=lambda text: None if common.quiet else say(text))
    found = fit(measured)
    keep(measured, found)
    rows = [
        {
            "network": f"64-{one.width}-{one.width}-10",
            "parameters": one.parameters,
            "microseconds": {
                str(c): {"least": 1e6 * one.least(c), "median": 1e6 * one.median(c)} for c in one.seconds
            },
            "chosen": str(one.as_measured(chosen(found, one.parameters))),
            "best": str(one.best),
            "loss": loss_of(found, one),
        }
        for one in measured
    ]
    if common.json:
        print_json({"rules": dataclasses.asdict(found), "measured": rows, "file": str(rules_file())})
        return
    shown = []
    for row in rows:
        first = (row["network"], format_count(row["parameters"]))
        for way, times in row["microseconds"].items():
            marks = "chosen" * (way == row["chosen"]), "best" * (way == row["best"])
            lost = f"{row['loss']:.0%}" if way == row["chosen"] else ""
            took = (f"{times['least']:.1f}", f"{times['median']:.1f}")
            shown.append((*first, way, *took, " ".join(filter(None, marks)), lost))
            first = ("", "")
    title = "Microseconds a step and member: the least and the median of the rounds"
    columns = ("network", "parameters", "way", "least", "median", "", "loss")
    print_table(title, columns, shown, right=("parameters", "least", "median", "loss"))
    kept = f"kept in {rules_file()}; delete it to go back"
    say(
        f"up to {format_count(found.together_up_to)} parameters x rows of a batch {found.width} members share a lane, "
        f"up to {format_count(found.packed[0])} parameters a network is one vector: "
        + ("as it stood" if not found.calibrated else kept)
    )
