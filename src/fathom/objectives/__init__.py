"""Objectives: losses, penalties and metrics, each in a catalogue."""

from .losses import LOSSES, Loss, loss_of, outputs_for
from .metrics import METRICS, Metric, metric_of
from .penalties import PENALTIES, Penalty

__all__ = [
    "LOSSES",
    "METRICS",
    "PENALTIES",
    "Loss",
    "Metric",
    "Penalty",
    "loss_of",
    "metric_of",
    "outputs_for",
]
