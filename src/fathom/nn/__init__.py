"""Layers: what networks are built of.

Every layer is a batch-first Equinox module with one way of being called:
``layer(x[batch, ...], *, key=None, state=None, inference=False) -> (y, state)``.
"""

from .activations import ACTIVATIONS, Activate, Activation
from .attention import MultiHeadAttention, TransformerBlock
from .conv import Conv2d
from .data_dependent import data_dependent
from .dropout import Dropout, set_dropout
from .embed import Periodic, Piecewise
from .inits import INITS, Init, draw_weights, relu_gain
from .linear import Linear
from .lru import Ring, lru_ring
from .norm import LayerNorm
from .product import PRECISIONS, contract, product, products_in
from .recurrent import GRU, LSTM
from .sparsemax import sparsemax

__all__ = [
    "ACTIVATIONS",
    "GRU",
    "INITS",
    "LSTM",
    "PRECISIONS",
    "Activate",
    "Activation",
    "Conv2d",
    "Dropout",
    "Init",
    "LayerNorm",
    "Linear",
    "MultiHeadAttention",
    "Periodic",
    "Piecewise",
    "Ring",
    "TransformerBlock",
    "contract",
    "data_dependent",
    "draw_weights",
    "lru_ring",
    "product",
    "products_in",
    "relu_gain",
    "set_dropout",
    "sparsemax",
]
