"""Objectives: losses, penalties and metrics, each in a catalogue."""

from .losses import LOSSES, Loss, loss_of, outputs_for
from .metrics import METRICS, Metric, metric_of
from .penalties import PENALTIES, Penalty
from .scores import log_softmax

__all__ = [
    "LOSSES",
    "METRICS",
    "PENALTIES",
    "Loss",
    "Metric",
    "Penalty",
    "log_softmax",
    "loss_of",
    "metric_of",
    "outputs_for",
]
