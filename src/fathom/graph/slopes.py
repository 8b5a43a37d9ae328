"""Error of differences against step, drawn: it falls with slope 2, then grows with -1, where a gradient is right."""

from collections.abc import Sequence
from html import escape

import numpy as np

from .draw.palette import DARK, FONT, LIGHT, Theme

_DECADES = 13
_LEFT, _TOP, _WIDTH, _HEIGHT = 64, 46, 460, 286


def slopes_text(title: str, steps: np.ndarray, errors: Sequence[np.ndarray], floors: np.ndarray) -> str:
    """Both axes in decades, steps falling to the right as a table of them is read; for a terminal.

    Args:
        title: the line above.
        steps: relative step sizes, falling.
        errors: for each direction the relative error at each step.
        floors: what rounding alone may do at each step.

    Returns:
        The drawing: "o" an error, "." where rounding may put it.
    """
    grid = [[" "] * (2 * len(steps)) for _ in range(_DECADES)]
    for mark, rows in ((".", [floors]), ("o", errors)):
        for row in rows:
            for i, value in enumerate(row):
                if np.isfinite(value):
                    place = int(np.clip(round(-np.log10(max(value, 1e-300))), 0, _DECADES - 1))
                    grid[place][2 * i] = mark
    lines = [title, "error"]
    lines += [f"1e-{i:02d} │{''.join(row).rstrip()}" for i, row in enumerate(grid)]
    lines.append("      └" + "─" * (2 * len(steps)))
    ends = f"step {steps[0]:.0e}", f"{steps[-1]:.0e}"
    lines.append("       " + ends[0] + ends[1].rjust(2 * len(steps) - len(ends[0])))
    lines.append("       o error   . rounding alone")
    return "\n".join(lines)


def slopes_svg(title: str, steps: np.ndarray, errors: Sequence[np.ndarray], floors: np.ndarray) -> str:
    """The same for a page or a paper, on a light ground or, where the reader's is dark, a dark one.

    Args:
        title: the line above.
        steps: relative step sizes, falling.
        errors: for each direction the relative error at each step.
        floors: what rounding alone may do at each step.

    Returns:
        An SVG.
    """
    span = np.log10([steps[-1], steps[0]])

    def point(step: float, error: float) -> str:
        x = _LEFT + _WIDTH * (np.log10(step) - span[0]) / (span[1] - span[0])
        y = _TOP + _HEIGHT * min(max(-np.log10(max(error, 1e-300)), -0.3), _DECADES) / _DECADES
        return f"{x:.1f},{y:.1f}"

    def line(row: np.ndarray, kind: str) -> str:
        # What is below the last decade is left out, not laid on the edge.
        points = " ".join(point(h, e) for h, e in zip(steps, row, strict=True) if e > 10.0**-_DECADES)
        return f'<polyline class="{kind}" points="{points}"/>'

    parts = []
    for decade in range(0, _DECADES, 3):
        y = _TOP + _HEIGHT * decade / _DECADES
        parts.append(f'<line class="rule" x1="{_LEFT}" x2="{_LEFT + _WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(
            f'<text class="small" x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_power(-decade)}</text>'
        )
    for exponent in range(int(np.ceil(span[0])), int(np.floor(span[1])) + 1, 2):
        x = point(10.0**exponent, 1.0).split(",")[0]
        parts.append(
            f'<text class="small" x="{x}" y="{_TOP + _HEIGHT + 20}" text-anchor="middle">{_power(exponent)}</text>'
        )
    middle = _LEFT + _WIDTH / 2
    parts += [
        f'<text class="small" x="{middle}" y="{_TOP + _HEIGHT + 40}" text-anchor="middle">relative step</text>',
        f'<text class="small" x="{_LEFT - 8}" y="{_TOP - 12}" text-anchor="end">error</text>',
        f'<text class="title" x="{_LEFT}" y="22">{escape(title)}</text>',
        line(floors, "floor"),
        f'<text class="small" x="{_LEFT + 8}" y="{float(point(steps[-1], floors[-1]).split(",")[1]) - 8:.1f}">'
        "rounding alone</text>",
        *(line(row, "error") for row in errors),
    ]
    width, height = _LEFT + _WIDTH + 24, _TOP + _HEIGHT + 54
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{escape(title)}"><style>{_style()}</style>'
        f'<rect class="ground" width="{width}" height="{height}"/>{"".join(parts)}</svg>\n'
    )


def _power(exponent: int) -> str:
    digits = str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return "1" if exponent == 0 else f"10{digits}"


def _style() -> str:
    def rules(theme: Theme) -> str:
        return (
            f".ground{{fill:{theme.ground}}}text{{fill:{theme.muted}}}.title{{fill:{theme.ink}}}"
            f".rule{{stroke:{theme.rule}}}.error{{stroke:{theme.input[1]}}}.floor{{stroke:{theme.muted}}}"
        )

    shared = (
        f"text{{font-family:{FONT};font-size:12px}}.title{{font-size:14px;font-weight:600}}"
        "polyline{fill:none;stroke-width:1.75;stroke-linejoin:round}.floor{stroke-dasharray:3 3;stroke-width:1}"
    )
    return f"{shared}{rules(LIGHT)}@media (prefers-color-scheme:dark){{{rules(DARK)}}}"
