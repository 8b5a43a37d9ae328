"""A small convolutional network on digits of 28 x 28 pixels: 3 x 3 kernels, 16, 32 and 64 channels, strides 1, 2, 2.

The sides are those of `networks.py`. Scikit-learn's digits are drawn larger, because they come with it.
"""

import functools
from typing import Any

import numpy as np

from .networks import HALF, Network, digits, sides
from .networks import operations as count

MEASURES, COUNTS = "rounds", "steps"
HELD = 384
CHECK = {"members": 2, "epochs": 1}
SIZES: dict[str, dict[str, Any]] = {
    "cnn-m1": {"kind": "cnn", "members": 1, "epochs": 10},
    "cnn-m8": {"kind": "cnn", "members": 8, "epochs": 4},
    "cnn-m32": {"kind": "cnn", "members": 32, "epochs": 1},
    "cnn-m8-bf16": {"kind": "cnn", "members": 8, "epochs": 4, "precision": "bfloat16"},
}


def rows() -> list[np.ndarray]:
    """1,408 images [28, 28, 1] to train on, 384 held."""
    return digits(1408, 384, (28, 28, 1), 28)


def torch_rows() -> list[np.ndarray]:
    """The same with the channel first, as PyTorch has it."""
    return [np.moveaxis(a, 3, 1) if a.ndim == 4 else a for a in rows()]


@functools.cache
def _convolutional() -> Any:
    """The network's class, which is here and not above so that no other side imports JAX."""
    import equinox as eqx
    import jax

    from fathom import nn

    class Convolutional(eqx.Module):
        layers: list[nn.Conv2d]
        head: nn.Linear

        def __call__(self, x: Any, inference: bool = False) -> Any:
            for layer in self.layers:
                x = jax.nn.relu(layer(x, inference=inference)[0])
            return self.head(x.reshape(x.shape[0], -1))[0]

    return Convolutional


def module(key: Any, lowering: str = "auto") -> Any:
    """The network of Fathom's layers."""
    import jax

    from fathom import nn

    keys = jax.random.split(key, 4)
    shapes = [(1, 16, 1), (16, 32, 2), (32, 64, 2)]
    layers = [
        nn.Conv2d(i, o, 3, k, strides=stride, padding=1, lowering=lowering)
        for (i, o, stride), k in zip(shapes, keys, strict=False)
    ]
    return _convolutional()(layers, nn.Linear(7 * 7 * 64, 10, keys[3]))


def torch_module() -> Any:
    """The network of PyTorch's layers, first weights as Fathom draws them."""
    from torch import nn

    convolutions = [nn.Conv2d(1, 16, 3, 1, 1), nn.Conv2d(16, 32, 3, 2, 1), nn.Conv2d(32, 64, 3, 2, 1)]
    layers = [part for layer in convolutions for part in (layer, nn.ReLU())]
    net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(7 * 7 * 64, 10))
    for layer in net:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
            nn.init.zeros_(layer.bias)
    return net


_PLAIN = functools.partial(module, lowering="native")
_PRODUCTS = (28 * 28 * 9 * 16, 14 * 14 * 9 * 16 * 32 + 7 * 7 * 9 * 32 * 64 + 7 * 7 * 64 * 10)
NETWORKS = {"cnn": Network(rows, torch_rows, module, _PLAIN, torch_module, _PRODUCTS, parts=4)}
SIDES = sides(NETWORKS)
operations = functools.partial(count, NETWORKS)
NEEDS = {side: "torch" for side in SIDES if side.startswith("torch")}


def left_out(size: str) -> tuple[str, ...]:
    """Sides with nothing to do (one network is not shared), and those that another one of their kind is ahead of."""
    if SIZES[size]["members"] == 1:  # one process is all there is, and two threads make it faster
        return ("torch vmap", "torch vmap in 2", "torch vmap compiled", "torch eager", "torch compiled")
    if "precision" in SIZES[size]:
        return tuple(side for side in SIDES if side not in HALF)
    slow = ("torch vmap compiled", "torch compiled") if SIZES[size]["members"] > 8 else ()
    return ("torch 2 threads", "torch compiled 2 threads", "torch vmap", "torch vmap in 2", *slow)
