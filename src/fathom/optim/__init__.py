"""Question two, how the parameters are found: learning rules, schedules, clipping, decay, the recipe."""

from .clips import CLIPS as CLIPS
from .clips import Clip as Clip
from .clips import clip_adaptively as clip_adaptively
from .clips import clip_by_global_norm as clip_by_global_norm
from .clips import clip_by_value as clip_by_value
from .decay import decoupled_decay as decoupled_decay
from .decay import gradient_decay as gradient_decay
from .decay import matrix_mask as matrix_mask
from .parts import gradient_in_parts as gradient_in_parts
from .parts import outputs_in_parts as outputs_in_parts
from .recipe import Recipe as Recipe
from .recipe import update_rule as update_rule
from .rules import RULES as RULES
from .rules import Rule as Rule
from .rules import trust_region_radius as trust_region_radius
from .schedules import SCHEDULES as SCHEDULES
from .schedules import PlateauState as PlateauState
from .schedules import RobbinsMonro as RobbinsMonro
from .schedules import Schedule as Schedule
from .schedules import learning_rate_at as learning_rate_at
from .schedules import plateau_init as plateau_init
from .schedules import plateau_update as plateau_update
from .schedules import robbins_monro as robbins_monro
