"""The population engine: members into cohorts and lanes, the epoch loop, rungs, divergence, saves."""

from .budget import Budget as Budget
from .population import Population as Population
from .population import PopulationResult as PopulationResult
from .rungs import Rung as Rung
from .rungs import halving as halving
from .training import MemberRecord as MemberRecord
from .training import Training as Training
