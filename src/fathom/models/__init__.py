"""Architectures: frozen descriptions that build networks out of `fathom.nn`."""

from .architecture import MODELS, Architecture, Model, from_dict
from .linear import Linear, Polynomial, polynomial
from .mlp import MLP, DeepLinear, Perceptron

__all__ = [
    "MLP",
    "MODELS",
    "Architecture",
    "DeepLinear",
    "Linear",
    "Model",
    "Perceptron",
    "Polynomial",
    "from_dict",
    "polynomial",
]
