"""The colors of a drawing, on a light and on a dark ground, and the style sheet made of them."""

import dataclasses

from ...look import BAD, NAVY

FONT = '"Helvetica Neue", Helvetica, Arial, "Liberation Sans", sans-serif'


@dataclasses.dataclass(frozen=True)
class Theme:
    """Colors by meaning; a pair is (fill, line)."""

    ground: str
    wash: str
    ink: str
    muted: str
    rule: str
    line: str
    heading: str
    bad: str
    operation: tuple[str, str]
    input: tuple[str, str]
    parameter: tuple[str, str]
    constant: tuple[str, str]
    loss: tuple[str, str]
    port: tuple[str, str]
    choice: tuple[str, str]
    loss_ink: str = "#ffffff"


LIGHT = Theme(
    ground="#ffffff",
    wash="#f4f6f9",
    ink="#16202e",
    muted="#566375",
    rule="#cbd3dc",
    line="#8793a3",
    heading=NAVY,
    bad=BAD,
    operation=("#ffffff", "#aab5c2"),
    input=("#e9f3fb", "#0072b2"),
    parameter=("#e8f6f1", "#009e73"),
    constant=("#f1f1ee", "#8a8a80"),
    loss=(NAVY, NAVY),
    port=("#ffffff", "#7a8798"),
    choice=("#fbf1f7", "#b05c8c"),
)
DARK = Theme(
    ground="#0c121b",
    wash="#121b27",
    ink="#e3e9f1",
    muted="#9aa8ba",
    rule="#2c3846",
    line="#66758a",
    heading="#dbe8fb",
    bad="#f0756b",
    operation=("#182230", "#445366"),
    input=("#10283c", "#56b4e9"),
    parameter=("#0f2b26", "#2fc79b"),
    constant=("#232622", "#9a9a8e"),
    loss=("#dbe8fb", "#dbe8fb"),
    port=("#0c121b", "#8b9bb2"),
    choice=("#2c1c29", "#dd92bd"),
    loss_ink="#0b2545",
)
#: Ordered quantities: viridis in eleven steps, from few to many.
VIRIDIS = (
    "#440154", "#482475", "#414487", "#355f8d", "#2a788e", "#21918c", "#22a884", "#44bf70", "#7ad151", "#bddf26",
    "#fde725",
)  # fmt: skip


def viridis(share: float) -> tuple[str, str]:
    """The color of a share between 0 and 1, and black or white, whichever is read better on it."""
    place = min(max(share, 0.0), 1.0) * (len(VIRIDIS) - 1)
    low = min(int(place), len(VIRIDIS) - 2)
    parts = [[int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in VIRIDIS[low : low + 2]]
    mixed = [round(a + (b - a) * (place - low)) for a, b in zip(*parts, strict=True)]
    bright = 0.299 * mixed[0] + 0.587 * mixed[1] + 0.114 * mixed[2] > 125
    return "#{:02x}{:02x}{:02x}".format(*mixed), "#0c121b" if bright else "#ffffff"


def style(theme: Theme, scope: str = ".fathom-graph") -> str:
    """The style sheet of a drawing.

    Args:
        theme: the colors.
        scope: the selector of the drawing, so that a page around it keeps its own style.

    Returns:
        CSS without variables, which not every renderer knows.
    """
    rules = {
        "": f"font-family:{FONT};font-size:12px",
        "text": f"fill:{theme.ink};white-space:pre",
        ".title": "font-size:13.5px;font-weight:600",
        ".soft": f"fill:{theme.muted}",
        ".head": f"fill:{theme.heading};font-weight:600;font-size:13px",
        ".formula": "font-style:italic",
        ".code": 'font-family:"SF Mono",Menlo,Consolas,"Liberation Mono","DejaVu Sans Mono",monospace;font-size:12px',
        ".badtext": f"fill:{theme.bad};font-weight:600",
        ".flow": f"fill:none;stroke:{theme.line};stroke-width:1.4",
        ".light": f"fill:none;stroke:{theme.rule};stroke-width:1.2",
        ".tip": f"fill:{theme.line};stroke:none",
        ".frame": f"fill:{theme.ground};stroke:{theme.rule};stroke-width:1.2",
        ".frame.deep": f"fill:{theme.wash}",
        ".frame.cond,.s.cond": "stroke-dasharray:6 4",
        ".frame.block": "stroke-dasharray:2 4",
        ".frame.remat,.s.remat": "stroke-dasharray:9 3 2 3",
        ".loop": f"fill:none;stroke:{theme.muted};stroke-width:1.4",
        ".s": f"fill:{theme.operation[0]};stroke:{theme.operation[1]};stroke-width:1.2",
        ".under": f"fill:{theme.operation[0]};stroke:{theme.operation[1]};stroke-width:1.2",
        ".mark": f"stroke:{theme.operation[1]};stroke-width:1.2;fill:none",
        ".bar": f"fill:{theme.input[1]}",
        ".kept": f"fill:{theme.ink}",
        ".bad": f"stroke:{theme.bad};stroke-width:3",
        ".halo": f"fill:{theme.ground}",
        ".deep.halo": f"fill:{theme.wash}",
    }
    for name in ("input", "parameter", "constant", "loss", "choice"):
        fill, line = getattr(theme, name)
        rules[f".s.{name}"] = f"fill:{fill};stroke:{line};stroke-width:1.4"
    rules[".s.output"] = f"fill:{theme.ground};stroke:{theme.heading};stroke-width:1.4"
    rules[".mark.output"] = f"stroke:{theme.heading}"
    rules[".port"] = f"fill:{theme.port[0]};stroke:{theme.port[1]};stroke-width:1.2;stroke-dasharray:3 2"
    rules[".mark.loss"] = f"stroke:{theme.loss[1]};fill:none;stroke-width:1.2"
    rules["g.loss text"] = f"fill:{theme.loss_ink}"
    rules[".s.bad"] = f"stroke:{theme.bad};stroke-width:3"
    lines = []
    for selector, body in rules.items():
        scoped = ",".join(f"{scope} {part}".rstrip() for part in selector.split(","))
        lines.append(f"{scoped}{{{body}}}")
    return "\n".join(lines)
