"""Populations of networks as scikit-learn estimators; the only room of Fathom that imports scikit-learn at once."""

from .classifier import PopulationClassifier as PopulationClassifier
from .regressor import PopulationRegressor as PopulationRegressor

__all__ = ["PopulationClassifier", "PopulationRegressor"]
