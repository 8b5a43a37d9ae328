"""Weights & Biases: one run, offline unless WANDB_MODE says otherwise, so that nobody is asked to log in."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..run_folder import CARD, MODEL, clean
from .tracking import Row


class WeightsAndBiases:
    """A run of its own, beside one that a user may have open; `wandb sync` uploads an offline one."""

    def __init__(self, name: str, folder: Path | None, settings: Mapping[str, str]) -> None:
        import wandb  # pyright: ignore[reportMissingImports]

        self._folder = folder
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "fathom"),
            name=name,
            dir=None if folder is None else str(folder),
            config=dict(settings),
            mode=os.environ.get("WANDB_MODE", "offline"),
            reinit="create_new",
            settings=wandb.Settings(console="off", silent=True, disable_git=True, disable_code=True),
        )

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        """Keep numbers of an epoch."""
        self._run.log(dict(values), step=epoch)

    def finish(self, scores: Mapping[str, float], answer: str, members: Sequence[Row]) -> None:
        """Keep what came out."""
        import wandb  # pyright: ignore[reportMissingImports]

        names = list(dict.fromkeys(name for row in members for name in row))
        cells = [[_cell(row.get(name)) for name in names] for row in members]
        self._run.log({"members": wandb.Table(columns=names, data=cells, allow_mixed_types=True)})
        self._run.summary.update({**scores, "answer": answer})
        if self._folder is not None:
            model = wandb.Artifact(f"model-{self._run.id}", type="model", description=answer)
            for file in (
                *(self._folder / MODEL).iterdir(),
                self._folder / CARD,
            ):  # a folder is told of on the screen
                model.add_file(str(file))
            self._run.log_artifact(model)

    def close(self, failed: bool) -> None:
        """End the run."""
        self._run.finish(exit_code=int(failed))


def _cell(value: object) -> object:
    plain = clean(value)
    return plain if plain is None or isinstance(plain, (bool, int, float, str)) else str(plain)
