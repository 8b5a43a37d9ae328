"""TensorBoard: event files in the run's folder, by tensorboardX, which needs no TensorFlow."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from .tracking import Row

FOLDER = "tensorboard"
_MOST_MEMBERS = 1000  # in the table


class TensorBoard:
    """Event files: scalars by epoch, the settings, the answer and the members as text."""

    def __init__(self, name: str, folder: Path | None, settings: Mapping[str, str]) -> None:
        from tensorboardX import SummaryWriter  # pyright: ignore[reportMissingImports]

        place = Path(FOLDER) / f"{name}-{time.time_ns()}" if folder is None else folder / FOLDER
        self._writer = SummaryWriter(str(place))
        self._writer.add_text("settings", _table([{"setting": n, "value": v} for n, v in settings.items()]))

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        """Keep numbers of an epoch."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, epoch)

    def finish(self, scores: Mapping[str, float], answer: str, members: Sequence[Row]) -> None:
        """Keep what came out."""
        for name, value in scores.items():
            self._writer.add_scalar(f"final/{name}", value, 0)
        self._writer.add_text("answer", answer)
        self._writer.add_text("members", _table(members[:_MOST_MEMBERS]))

    def close(self, failed: bool) -> None:
        """End the run."""
        self._writer.close()


def _table(rows: Sequence[Row]) -> str:
    """Rows as a table of Markdown, which TensorBoard shows as one."""
    if not rows:
        return ""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [names, ["---"] * len(names), *([str(row.get(name, "")) for name in names] for row in rows)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
