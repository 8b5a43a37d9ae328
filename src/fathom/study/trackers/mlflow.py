"""MLflow: one run in the experiment that MLFLOW_EXPERIMENT_NAME names, where MLFLOW_TRACKING_URI points."""

import os
import time
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

from ..run_folder import CARD, MODEL, REPORT, RESULT, STUDY, clean
from .tracking import Row

_LONGEST = 6000  # characters of a parameter
_AT_ONCE = 100  # parameters in a request


class MLflow:
    """A run through MLflow's client, which leaves the run that a user may have open alone."""

    def __init__(self, name: str, folder: Path | None, settings: Mapping[str, str]) -> None:
        from mlflow import MlflowClient  # pyright: ignore[reportMissingImports]
        from mlflow.entities import Param  # pyright: ignore[reportMissingImports]

        self._client, self._folder = MlflowClient(), folder
        wanted = os.environ.get("MLFLOW_EXPERIMENT_NAME", "fathom")
        known = self._client.get_experiment_by_name(wanted)
        experiment = known.experiment_id if known is not None else self._client.create_experiment(wanted)
        self._run = self._client.create_run(experiment, run_name=name).info.run_id
        given = iter([Param(name, value[:_LONGEST]) for name, value in settings.items()])
        while some := list(islice(given, _AT_ONCE)):
            self._client.log_batch(self._run, params=some)

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        """Keep numbers of an epoch."""
        from mlflow.entities import Metric  # pyright: ignore[reportMissingImports]

        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, epoch) for name, value in values.items()]
        self._client.log_batch(self._run, metrics=metrics)

    def finish(self, scores: Mapping[str, float], answer: str, members: Sequence[Row]) -> None:
        """Keep what came out."""
        self.log(0, {f"final/{name}": value for name, value in scores.items()})
        self._client.set_tag(self._run, "mlflow.note.content", answer)
        self._client.log_dict(self._run, {"members": clean(list(members))}, "members.json")
        if self._folder is not None:
            for name in (CARD, RESULT, REPORT, STUDY):
                self._client.log_artifact(self._run, str(self._folder / name))
            self._client.log_artifacts(self._run, str(self._folder / MODEL), MODEL)

    def close(self, failed: bool) -> None:
        """End the run."""
        self._client.set_terminated(self._run, "FAILED" if failed else "FINISHED")
