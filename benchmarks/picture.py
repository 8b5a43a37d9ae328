"""The suite's picture: how many times as fast Fathom is as each peer, a row for each size of each workload."""

import json
import re
from pathlib import Path
from typing import Any

from fathom.look import CATEGORICAL, NAVY, THIN_SPACE, format_count

from .harness import WORKLOADS, workload
from .summary import by_size, ours_of, ratios

#: Heading of a workload's panel.
_ABOUT = {
    "mlp": "Perceptrons 64-W-W-10 on digits",
    "images": "Convolutional networks on images of 28 × 28 pixels",
    "sequences": "Recurrent networks and transformers on sequences of 128 steps",
    "folds": "Every setting on every fold, 64-64-64-10 on digits",
    "predict": "Prediction by a trained 64-128-128-10, rows at a call",
    "start": "From launch to the end of the first epoch, caches filled",
    "memory": "Memory of each further network 64-128-128-10: times as little",
    "stream": "Training on a Parquet file that stays on disk",
}
_ROW, _WIDTH, _NAMES = (
    21,
    520,
    215,
)  # pixels: height of a size, width of the ratios, of the strongest peer's name
#: What the parts of a size's name say: "w16-m64-e20" is W 16, 64 networks, 20 epochs.
_PARTS = {
    "w": "W {}",
    "m": "{} networks",
    "e": "{} epochs",
    "f": "{} folds",
    "g": "{} settings",
    "mb": "{} MB",
    "bf": "bf{}",
    "rows": "{} rows",
}
_FAMILIES = {"torch": "PyTorch", "jax": "JAX", "scikit-learn": "scikit-learn", "keras": "Keras on JAX"}


def in_words(size: str) -> str:
    """The name of a size, spelled out."""
    said = []
    for name, number in re.findall(r"([a-z]+)-?(\d*)", size):
        if not number:
            said.append(name.upper() if len(name) < 5 else name)
        else:
            word = _PARTS[name].format(format_count(int(number)))
            said.append(word.removesuffix("s") if number == "1" else word)
    return ", ".join(said)


def points(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A point for each peer of each size: its ratio in the main way compared; the least is the strongest peer's."""
    drawn = []
    for (name, size), rows in by_size(found).items():
        ours = ours_of(rows)
        peers = [(row["side"], ratios(row, ours, found)[0]) for row in rows if row is not ours]
        peers = [(side, ratio) for side, ratio in peers if ratio]
        least = min((ratio for _, ratio in peers), default=None)
        drawn += [
            {
                "workload": name,
                "size": in_words(size),
                "peer": side,
                "family": next(said for start, said in _FAMILIES.items() if side.startswith(start)),
                "ratio": ratio,
                "strongest": ratio == least,
                "label": f"{ratio:.2f}{THIN_SPACE}×  {side}"
                if ratio < 10
                else f"{ratio:.0f}{THIN_SPACE}×  {side}",
            }
            for side, ratio in peers
        ]
    return drawn


def draw(results: dict[str, Any], path: Path) -> None:
    """Draw what is kept.

    Args:
        results: the contents of suite.json.
        path: of the SVG file to write.
    """
    import altair as alt
    import vl_convert

    from fathom.report.chart import config, vega_lite
    from fathom.report.palette import MUTED, on_paper

    drawn = points(results["runs"])
    if not drawn:
        return
    domain = [min(0.5, min(p["ratio"] for p in drawn) / 1.3), max(2.0, max(p["ratio"] for p in drawn)) * 1.3]
    panels = [
        _panel([p for p in drawn if p["workload"] == name], name, domain)
        for name in WORKLOADS
        if any(p["workload"] == name for p in drawn)
    ]
    versions = results["versions"]
    title = alt.TitleParams(
        _statement(drawn),
        subtitle=[
            "Each point: the median time of a peer, divided by Fathom's, for the same work in steady rounds, or as the"
            " panel says.",
            "Right of the line Fathom is ahead. Filled: the strongest peer of the row, named beside it.",
            f"{results['cores']} cores, {results['machine']}; JAX {versions.get('jax')}, PyTorch "
            f"{versions.get('torch', 'not there')}, scikit-learn {versions.get('scikit-learn')}; {results['when']}",
        ],
        anchor="start",
        fontSize=18,
        fontWeight=600,
        color=NAVY,
        subtitleColor=MUTED,
        subtitleFontSize=13,
        subtitleLineHeight=19,
        offset=14,
        subtitlePadding=6,
    )
    spec = alt.vconcat(*panels, spacing=16, title=title).to_dict(validate=False)
    spec["config"] = {**config(), "background": "white", "padding": 20}
    spec["config"]["concat"] = {"spacing": 0}
    svg = vl_convert.vegalite_to_svg(on_paper(json.dumps(spec)), vl_version=vega_lite())
    path.write_text(svg, encoding="utf-8")


def _statement(drawn: list[dict[str, Any]]) -> str:
    """What the picture shows, in one sentence."""
    strongest = [p["ratio"] for p in drawn if p["strongest"]]
    ahead = sum(ratio > 1 for ratio in strongest)
    return f"Fathom is ahead of its strongest peer in {ahead} of {len(strongest)} jobs"


def _panel(rows: list[dict[str, Any]], name: str, domain: list[float]) -> Any:
    """The sizes of a workload, one under the other."""
    import altair as alt

    sizes = [size for size in map(in_words, workload(name).SIZES) if any(row["size"] == size for row in rows)]
    y = alt.Y(
        "size:N",
        sort=sizes,
        title=None,
        axis=alt.Axis(domain=False, ticks=False, grid=False, minExtent=205, labelLimit=240),
    )
    ticks = [float(f"{step}e{power}") for power in range(-2, 4) for step in (1, 2, 5)]
    axis = alt.Axis(
        values=[tick for tick in ticks if domain[0] <= tick <= domain[1]],
        format="~g",
        grid=True,
        domain=False,
        ticks=False,
    )
    scale = alt.Scale(type="log", domain=domain, nice=False)
    x = alt.X("ratio:Q", title=None, scale=scale, axis=axis)
    families = list(_FAMILIES.values())
    color = alt.Color(
        "family:N",
        scale=alt.Scale(domain=families, range=[CATEGORICAL[place] for place in (5, 0, 2, 3)]),
        legend=alt.Legend(
            title=None, symbolType="circle", symbolStrokeWidth=0, symbolOpacity=1, symbolSize=85
        ),
    )
    base = alt.Chart(alt.Data(values=rows))
    line = alt.Chart(alt.Data(values=[{"ratio": 1}])).mark_rule(color=NAVY, strokeWidth=1.5).encode(x=x)
    stem = base.transform_filter("datum.strongest").mark_rule(strokeWidth=2, opacity=0.45)
    others = base.transform_filter("!datum.strongest").mark_point(
        size=42, strokeWidth=1.6, filled=False, opacity=0.9
    )
    strongest = base.transform_filter("datum.strongest").mark_point(size=85, filled=True, opacity=1)
    heading = alt.TitleParams(
        _ABOUT[name], anchor="start", fontSize=14, fontWeight="normal", color=NAVY, offset=6
    )
    height = _ROW * len(sizes)
    one = alt.X2Datum(1)
    layers = [stem.encode(x=x, x2=one, y=y, color=color), line]
    layers += [marks.encode(x=x, y=y, color=color) for marks in (others, strongest)]
    named = (
        base.transform_filter("datum.strongest")
        .mark_text(align="left", x=0)
        .encode(y=alt.Y("size:N", sort=sizes, axis=None), text="label:N")
        .properties(width=_NAMES, height=height)
    )
    return alt.hconcat(
        alt.layer(*layers).properties(width=_WIDTH, height=height, title=heading), named, spacing=10
    )
