"""Every chart of a report as files: SVG, PNG and PDF for a paper, and the data behind each."""

import csv
import io
import re
import textwrap
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from ..engine.checkpoint import write_whole
from ..errors import UsageError
from .chart import Figure, to_svg, to_vega
from .palette import INK, on_paper
from .record import Record
from .sections import figures_of

_SCALE = 3  # pixels of a PNG for each of the picture: about 290 an inch at the width of a column
_TITLE, _KEY = 22, 19  # height of a line of the title, of the key
_FONT = 'font-family="sans-serif"'


def write_figures(folder: str | Path, to: str | Path) -> list[Path]:
    """Write every chart of a run's report as SVG, PNG and PDF, and the data behind it as CSV.

    About half a second a chart. ``captions.md`` says what each shows.

    Args:
        folder: the run.
        to: where to; made if it is not there. Files of the same names are replaced.

    Returns:
        The files.

    Raises:
        RunError: if there is no run, it is not finished, or it is damaged.
        UsageError: if the folder cannot be made.
    """
    record, target = Record.read(folder), Path(to)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"figures={str(to)!r} cannot be made ({error.strerror}); give another folder"
        ) from None
    found, captions = (
        [],
        [f"# Figures of {record.summary['target']} from {record.summary['data']['name']}\n"],
    )
    for place, figure in enumerate(figures_of(record)):
        name = f"{place + 1:02d}-{figure.name}"
        found += [*_pictures(figure, target, name), *_data(figure, target, name)]
        captions.append(f"## {name}\n\n**{_plain(figure.title)}.** {_plain(figure.caption)}\n")
    write_whole(target / "captions.md", "\n".join(captions))
    return [*found, target / "captions.md"]


def _plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    return re.sub(r"([\\`*_<>#\[\]])", r"\\\1", text)


def _pictures(figure: Figure, target: Path, name: str) -> list[Path]:
    import vl_convert

    svg = paper_svg(figure)
    files = [target / f"{name}.{kind}" for kind in ("svg", "png", "pdf")]
    files[0].write_text(svg, encoding="utf-8")
    files[1].write_bytes(vl_convert.svg_to_png(svg, scale=_SCALE))
    files[2].write_bytes(vl_convert.svg_to_pdf(svg))
    return files


def paper_svg(figure: Figure) -> str:
    """A figure on white paper: its title, the chart, and its key.

    Args:
        figure: the figure.

    Returns:
        A whole SVG document.
    """
    chart = to_svg(to_vega(figure), figure.name)
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', chart)
    assert box is not None
    width, height = float(box[1]), float(box[2])
    title = textwrap.wrap(figure.title, int(width / 8.8)) or [""]
    top = _TITLE * len(title) + 12
    lines = [
        f'<text x="8" y="{_TITLE * (place + 1) - 2}" font-size="16" font-weight="bold" fill="var(--heading)" {_FONT}>'
        f"{escape(line)}</text>"
        for place, line in enumerate(title)
    ]
    under = top + height + 8
    for place, entry in enumerate(figure.key):
        y = under + _KEY * place
        lines.append(f'<rect x="8" y="{y + 4}" width="22" height="3" fill="{entry.color}"/>')
        lines.append(
            f'<text x="38" y="{y + 10}" font-size="12" fill="{INK}" {_FONT}>{escape(entry.text)}</text>'
        )
    whole_width, whole_height = width + 16, under + _KEY * len(figure.key) + 8
    inner = chart.replace(
        'class="still" aria-hidden="true"',
        f'x="8" y="{top}" width="{width}" height="{height}"',
    )
    inner = inner.replace("<text ", f"<text {_FONT} ")
    text = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'width="{whole_width:g}" height="{whole_height:g}" viewBox="0 0 {whole_width:g} {whole_height:g}">'
        f"<title>{escape(figure.title)}</title><desc>{escape(figure.caption)}</desc>"
        f'<rect width="100%" height="100%" fill="var(--ground)"/>{"".join(lines)}{inner}</svg>\n'
    )
    return on_paper(text)


def _data(figure: Figure, target: Path, name: str) -> list[Path]:
    """The rows of a chart, one file for each set of rows that is not empty."""
    filled = {word: rows for word, rows in figure.data.items() if rows and word not in _WORDS}
    files = []
    for word, rows in filled.items():
        path = target / (f"{name}.csv" if len(filled) == 1 else f"{name}-{word}.csv")
        path.write_text(_csv(rows), encoding="utf-8", newline="")
        files.append(path)
    return files


def _csv(rows: Sequence[Any]) -> str:
    """Rows as CSV, without what only draws them or says a number beside it in words."""
    fields = dict.fromkeys(name for row in rows for name in row)
    text = io.StringIO()
    kept = [name for name in fields if name not in _DRAWN and not name.startswith("say_")]
    writer = csv.DictWriter(text, kept, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


_WORDS = ("labels", "marks")  # rows that only write a word into the chart
_DRAWN = ("color", "text", "dark", "shade", "upper", "lower")
