"""The study and its result."""

from .compare import Comparison as Comparison
from .compare import compare as compare
from .plan import Plan as Plan
from .predictor import Predictor as Predictor
from .result import Result as Result
from .run import resume as resume
from .study import Study as Study
