"""Fathom: deep learning you can get to the bottom of.

It trains whole populations of networks as a few compiled programs, shows its working, and knows the field.
Names are imported when first used, so that ``import fathom`` costs nothing and starts no JAX.
"""

import importlib
from typing import TYPE_CHECKING, Any

from ._version import __version__ as __version__

if TYPE_CHECKING:
    from . import data as data
    from . import engine as engine
    from . import graph as graph
    from . import models as models
    from . import nn as nn
    from . import objectives as objectives
    from . import optim as optim
    from . import sklearn as sklearn
    from .data import load as load
    from .engine import Budget as Budget
    from .engine import Population as Population
    from .engine import PopulationResult as PopulationResult
    from .engine import Rung as Rung
    from .errors import FathomError as FathomError
    from .graph import check_gradients as check_gradients
    from .graph import find_nonfinite as find_nonfinite
    from .graph import summary as summary
    from .graph import trace as trace
    from .optim import Recipe as Recipe
    from .process import configure as configure
    from .report import write_report as write_report
    from .settings import linear_grid as linear_grid
    from .settings import linear_range as linear_range
    from .settings import log_grid as log_grid
    from .settings import log_range as log_range
    from .study import Plan as Plan
    from .study import Predictor as Predictor
    from .study import Result as Result
    from .study import Study as Study
    from .study import compare as compare
    from .study import resume as resume
    from .task import Task as Task

_ROOMS = ("data", "engine", "graph", "models", "nn", "objectives", "optim", "report", "sklearn", "study")
_HOMES = {
    "Budget": "engine",
    "FathomError": "errors",
    "Plan": "study",
    "Population": "engine",
    "PopulationResult": "engine",
    "Predictor": "study",
    "Recipe": "optim",
    "Result": "study",
    "Rung": "engine",
    "Study": "study",
    "Task": "task",
    "check_gradients": "graph",
    "compare": "study",
    "configure": "process",
    "find_nonfinite": "graph",
    "linear_grid": "settings",
    "linear_range": "settings",
    "load": "data",
    "log_grid": "settings",
    "log_range": "settings",
    "resume": "study",
    "summary": "graph",
    "trace": "graph",
    "write_report": "report",
}

__all__ = ["__version__", "load_model", "load_run", *_ROOMS, *_HOMES]


def load_model(folder: Any, architecture: Any = None) -> "Predictor":
    """The trained model of a run, ready to predict; needs neither the data nor the study.

    Args:
        folder: the run, or its ``model`` folder.
        architecture: the architecture, for one that was built from your own module.

    Returns:
        The predictor.
    """
    from .study import Predictor

    return Predictor.load(folder, architecture)


def load_run(folder: Any) -> "Result":
    """The result of a finished run.

    Args:
        folder: the run.

    Returns:
        The result.
    """
    from .study import Result

    return Result.load(folder)


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f".{name}", __name__)
    if name in _HOMES:
        return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
