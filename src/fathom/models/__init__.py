"""Architectures: frozen descriptions that build networks out of `fathom.nn`."""

from .architecture import MODELS, Architecture, Model, from_dict
from .from_module import Adapter, FromModule
from .linear import Linear, Polynomial, polynomial
from .mlp import MLP, DeepLinear, Perceptron
from .tabular import EmbeddedPerceptron, Tabular

__all__ = [
    "MLP",
    "MODELS",
    "Adapter",
    "Architecture",
    "DeepLinear",
    "EmbeddedPerceptron",
    "FromModule",
    "Linear",
    "Model",
    "Perceptron",
    "Polynomial",
    "Tabular",
    "from_dict",
    "polynomial",
]
