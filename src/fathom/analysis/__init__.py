"""What was learned: pure functions of predictions, targets and a function that predicts."""

from .bootstrap import interval as interval
from .bootstrap import paired_differences as paired_differences
from .bootstrap import resampled as resampled
from .bootstrap import score_interval as score_interval
from .bootstrap import wilson as wilson
from .calibration import calibration as calibration
from .calibration import coverage as coverage
from .columns import RawPlace as RawPlace
from .columns import places as places
from .dependence import partial_dependence as partial_dependence
from .dependence import quantile_grid as quantile_grid
from .examples import hardest as hardest
from .examples import label_errors as label_errors
from .examples import losses as losses
from .examples import outlying as outlying
from .importance import permutation_importance as permutation_importance
from .scoring import COUNTED as COUNTED
from .scoring import scorer as scorer
from .thresholds import confusion as confusion
from .thresholds import cost_curve as cost_curve
from .thresholds import threshold_curve as threshold_curve
