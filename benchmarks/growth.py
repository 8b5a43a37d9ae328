"""How the cost of an epoch grows: with members, width, depth, rows, the length of a sequence, and devices.

Every point is the seconds of an epoch in a steady state: the least and the median of several epochs, the first ones
left out. On logarithmic axes a cost that grows as a power is a line; its slope, fitted to the points from the middle
on, stands beside the one expected from the operations counted.

    python -m benchmarks.growth
    python -m benchmarks.growth members width --quick
"""

import argparse
import contextlib
import functools
import itertools
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
CURVES = ("members", "width", "depth", "rows", "recurrent", "attention", "devices")
#: What is on the axis, what is expected of the upper half, and the size of everything else.
ABOUT = {
    "members": ("networks of 64-32-32-10", "1", "digits, batches of 32"),
    "width": ("units of two hidden layers", "operations", "4 networks, digits, batches of 32"),
    "depth": ("hidden layers of 128", "1", "4 networks, digits, batches of 32"),
    "rows": ("training rows of 20 columns", "1", "2 networks 20-64-64-1, batches of 256"),
    "recurrent": ("steps of a sequence", "1", "2 GRUs of 64 units, batches of 32"),
    "attention": ("places of a sequence", "operations", "2 transformer blocks of 64, batches of 32"),
    "devices": ("virtual devices", "none beyond the cores", "64 networks of 64-128-128-10, digits"),
}
_SIZES = {
    "members": [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024],
    "width": [16, 32, 64, 128, 256, 512, 1024],
    "depth": [1, 2, 4, 8, 16],
    "rows": [1000, 4000, 16000, 64000, 256000],
    "recurrent": [16, 32, 64, 128, 256],
    "attention": [16, 32, 64, 128, 256],
    "devices": [1, 2, 4, 8],
}
_SKIPPED, _LEAST, _SECONDS = 2, 5, 2.0  # epochs left out, epochs measured at least, seconds measured about


class _Clock:
    """Listens to a run, takes the time between epochs, and ends it when it has measured enough."""

    class Enough(Exception):
        """There are enough epochs."""

    def __init__(self):
        self.times: list[float] = []

    def __call__(self, event: dict[str, Any]) -> None:
        if event["event"] == "epoch":
            self.times.append(time.perf_counter())
            measured = len(self.times) - _SKIPPED - 1
            if measured >= _LEAST and self.times[-1] - self.times[_SKIPPED] > _SECONDS:
                raise self.Enough

    @property
    def seconds(self) -> list[float]:
        """Of every epoch that counts."""
        times = self.times[_SKIPPED:]
        return [after - before for before, after in itertools.pairwise(times)]


def measure_study(data: Any, model: Any, members: int, batch: int) -> list[float]:
    """Seconds of epochs of members that differ in their learning rate, through `Study.run`."""
    import fathom as fm

    clock, rates = _Clock(), fm.log_grid(1e-5, 1e-2, members) if members > 1 else 1e-3
    recipe = fm.Recipe(learning_rate=rates, epochs=1000, batch_size=batch)
    with contextlib.suppress(_Clock.Enough):
        fm.Study(data, model, recipe, folds=1, rungs=()).run(baselines=False, callbacks=[clock])
    return clock.seconds


def measure_sequences(kind: str, length: int, features: int = 64, rows: int = 128) -> list[float]:
    """Seconds of epochs of two networks on sequences, through `Population.run` with functions of one's own."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import numpy as np

    import fathom as fm
    from fathom import nn

    def build(key: Any) -> Any:
        layer = (
            nn.GRU(features, features, key) if kind == "recurrent" else nn.TransformerBlock(features, 4, key)
        )
        return eqx.filter(layer, eqx.is_inexact_array), layer

    still = eqx.filter_eval_shape(lambda key: build(key)[1], jax.random.key(0))
    fixed = eqx.filter(still, lambda leaf: not isinstance(leaf, jax.ShapeDtypeStruct))

    def init(key: Any, settings: Any) -> Any:
        return build(key)[0]

    def step(params: Any, batch: Any, settings: Any) -> Any:
        def loss(params: Any) -> Any:
            found = eqx.combine(params, fixed)(batch["x"])[0]
            return jnp.mean(jnp.square(found))

        value, slope = jax.value_and_grad(loss)(params)
        return jax.tree.map(lambda p, g: p - settings["rate"] * g, params, slope), {"loss": value}

    x = np.random.default_rng(0).normal(size=(rows, length, features)).astype(np.float32)
    clock = _Clock()
    with contextlib.suppress(_Clock.Enough):
        fm.Population(init, step, None, {"rate": [1e-4, 1e-3]}).run({"x": x}, epochs=1000, callbacks=[clock])
    return clock.seconds


def measure(curve: str, size: int) -> list[float]:
    """Seconds of epochs at one point of a curve."""
    import numpy as np

    import fathom as fm

    fm.configure()
    if curve in ("recurrent", "attention"):
        return measure_sequences(curve, size)
    if curve == "rows":
        random = np.random.default_rng(0)
        x = random.normal(size=(round(size / 0.68), 20)).astype(np.float32)
        return measure_study(
            fm.load((x, x[:, 0] * x[:, 1] + x[:, 2])), fm.models.MLP(width=64, depth=2), 2, 256
        )
    members = {"members": size, "devices": 64}.get(curve, 4)
    width = {"members": 32, "width": size}.get(curve, 128)
    model = fm.models.MLP(width=width, depth=size if curve == "depth" else 2)
    return measure_study("digits", model, members, 32)


def operations(curve: str, size: int) -> float:
    """Multiplications of a step of one network, about: what the cost is expected to follow."""
    if curve == "width":
        return 64 * size + size * size + 10 * size
    if curve == "attention":
        return size * (12 * 64 * 64 + 2 * 64 * size)
    return 1 / min(size, os.cpu_count() or 1) if curve == "devices" else size


def slope(points: list[dict[str, float]], field: str = "least") -> float:
    """The slope of a line through the points from the middle on, on logarithmic axes."""
    upper = points[len(points) // 2 :]
    across = [math.log(point["size"]) for point in upper]
    up = [math.log(point[field]) for point in upper]
    return statistics.linear_regression(across, up).slope


def run_curve(curve: str, sizes: list[int], cache: str) -> dict[str, Any]:
    """Every point of a curve, each in a process of its own."""
    points = []
    for size in sizes:
        variables = {**os.environ, "FATHOM_CACHE": cache}
        if curve == "devices":
            variables["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={size}"
        command = [sys.executable, "-m", "benchmarks.growth", "--point", curve, str(size)]
        done = subprocess.run(command, env=variables, text=True, capture_output=True)
        if done.returncode:
            raise RuntimeError(f"{curve} {size}: {done.stderr.strip().splitlines()[-1]}")
        seconds = json.loads(done.stdout.splitlines()[-1])
        points.append(
            {
                "size": size,
                "least": min(seconds),
                "median": statistics.median(seconds),
                "epochs": len(seconds),
                "operations": operations(curve, size),
            }
        )
        print(
            f"{curve:10s} {size:7d}  least {min(seconds) * 1e3:9.2f} ms  median {points[-1]['median'] * 1e3:9.2f} ms"
        )
    expected = slope(points, "operations")
    found = {"points": points, "slope": slope(points), "expected": expected}
    print(f"{curve:10s} slope {found['slope']:.2f}, expected {ABOUT[curve][1]} ({expected:.2f})\n")
    return found


def draw(curves: dict[str, Any], path: Path) -> None:
    """A picture of every curve, in the look of the report."""
    import altair as alt
    import vl_convert

    from fathom.look import TRAINING, VALIDATION
    from fathom.report.chart import config, log_ticks, vega_lite
    from fathom.report.palette import on_paper

    charts = []
    for name, curve in curves.items():
        points = curve["points"]
        last = points[-1]
        rows = [
            {
                "size": p["size"],
                "least": p["least"] * 1e3,
                "median": p["median"] * 1e3,
                # As the operations grow, through the last point.
                "expected": 1e3 * last["least"] * p["operations"] / last["operations"],
            }
            for p in points
        ]
        sizes, heights = [r["size"] for r in rows], [r[f] for r in rows for f in ("least", "median")]
        x = alt.X(
            "size:Q",
            title=ABOUT[name][0],
            scale=alt.Scale(type="log", domain=[min(sizes) / 1.1, max(sizes) * 1.1], nice=False),
            axis=alt.Axis(
                values=sizes[:: 1 if len(sizes) < 7 else 2], format="~s" if max(sizes) > 9999 else "d"
            ),
        )
        low, high = min(heights) / 1.3, max(heights) * 1.3
        scale = alt.Scale(type="log", domain=[low, high], nice=False)

        axis = alt.Axis(values=log_ticks(low, high), format="~g", grid=True)
        y = functools.partial(alt.Y, title="milliseconds an epoch", scale=scale, axis=axis)

        base = alt.Chart(alt.Data(values=rows))
        layers = [
            base.mark_line(color=VALIDATION, strokeWidth=2).encode(x=x, y=y("least:Q")),
            base.mark_point(color=VALIDATION, filled=True, size=45, opacity=1).encode(x=x, y=y("least:Q")),
            base.mark_point(color=TRAINING, size=40, shape="stroke", strokeWidth=2).encode(
                x=x, y=y("median:Q")
            ),
        ]
        line = base.mark_line(color=TRAINING, strokeDash=[4, 4], clip=True)
        layers.insert(0, line.encode(x=x, y=y("expected:Q")))
        said = f"slope {curve['slope']:.2f}, expected {curve['expected']:.2f}"
        title = alt.TitleParams(
            name, subtitle=[ABOUT[name][2], said], anchor="start", fontSize=14, fontWeight="normal"
        )
        charts.append(alt.layer(*layers).properties(width=230, height=200, title=title))
    spec = alt.concat(*charts, columns=4, spacing=28).to_dict(validate=False)
    spec["config"] = {**config(), "background": "white"}
    spec["config"]["padding"] = 12
    svg = vl_convert.vegalite_to_svg(on_paper(json.dumps(spec)), vl_version=vega_lite())
    path.write_text(svg, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "curves", nargs="*", default=CURVES, help=f"which of {', '.join(CURVES)}; all if left out"
    )
    parser.add_argument("--quick", action="store_true", help="leave out the largest sizes")
    parser.add_argument("--draw", action="store_true", help="only draw what is kept")
    parser.add_argument("--point", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.point:
        print(json.dumps(measure(asked.point[0], int(asked.point[1]))))
        return
    path = RESULTS / "growth.json"
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"curves": {}}
    with tempfile.TemporaryDirectory() as cache:
        for curve in () if asked.draw else asked.curves:
            sizes = _SIZES[curve][: -2 if asked.quick else None]
            kept["curves"][curve] = run_curve(curve, sizes, cache)
            kept["machine"] = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
            kept["curves"] = {name: kept["curves"][name] for name in CURVES if name in kept["curves"]}
            path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    draw(kept["curves"], RESULTS / "growth.svg")


if __name__ == "__main__":
    main()
