"""The study and its result."""

from .plan import Plan as Plan
from .predictor import Predictor as Predictor
from .result import Result as Result
from .run import resume as resume
from .study import Study as Study
