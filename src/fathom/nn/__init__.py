"""Layers: what networks are built of.

Every layer is a batch-first Equinox module with one way of being called:
``layer(x[batch, ...], *, key=None, state=None, inference=False) -> (y, state)``.
"""

from .activations import ACTIVATIONS, Activate, Activation
from .data_dependent import data_dependent
from .dropout import Dropout, set_dropout
from .embed import Periodic, Piecewise
from .inits import INITS, Init, draw_weights, relu_gain
from .linear import Linear
from .lru import Ring, lru_ring
from .sparsemax import sparsemax

__all__ = [
    "ACTIVATIONS",
    "INITS",
    "Activate",
    "Activation",
    "Dropout",
    "Init",
    "Linear",
    "Periodic",
    "Piecewise",
    "Ring",
    "data_dependent",
    "draw_weights",
    "lru_ring",
    "relu_gain",
    "set_dropout",
    "sparsemax",
]
