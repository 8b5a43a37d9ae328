"""Trackers: a study's run as one run in TensorBoard, MLflow or Weights & Biases."""

from .tracking import TRACKERS as TRACKERS
from .tracking import TrackerWarning as TrackerWarning
from .tracking import Tracking as Tracking
from .tracking import check_tracker as check_tracker
