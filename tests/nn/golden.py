"""Golden numbers of layers: tests/golden/layers.json, and how a layer is held against them."""

import dataclasses
import json
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

_FILE = Path(__file__).parent.parent / "golden" / "layers.json"


@dataclasses.dataclass(frozen=True)
class Golden:
    """What a layer gives, and the gradients of Σ y² / 2."""

    settings: dict
    x: np.ndarray
    y: np.ndarray
    dx: np.ndarray
    weights: dict
    gradients: dict

    def check(self, layer, rtol=2e-4, atol=2e-5):
        """Hold a layer with the case's weights against it."""

        def value(layer, x):
            y = layer(x)[0]
            return jnp.square(y).sum() / 2, y

        (_, y), (grads, dx) = jax.jit(jax.value_and_grad(value, (0, 1), has_aux=True))(layer, self.x)
        np.testing.assert_allclose(y, self.y, rtol, atol)
        np.testing.assert_allclose(dx, self.dx, rtol, atol)
        for name, expected in self.gradients.items():
            np.testing.assert_allclose(at(grads, name), expected, rtol, atol, err_msg=name)


def golden(layer):
    """The cases of a layer."""

    def array(stored):
        return np.asarray(stored[0], np.float32).reshape(stored[1])

    return [
        Golden(
            c["settings"],
            *(array(c[part]) for part in ("x", "y", "dx")),
            *({n: array(a) for n, a in c[part].items()} for part in ("weights", "gradients")),
        )
        for c in json.loads(_FILE.read_text())
        if c["layer"] == layer
    ]


def at(tree, name):
    """The leaf at a dotted path."""
    for part in name.split("."):
        tree = getattr(tree, part)
    return tree


def with_weights(layer, weights):
    """The layer with these weights in place of its own, [name: array]."""
    names = list(weights)
    for name in names:
        assert at(layer, name).shape == weights[name].shape, name
    return eqx.tree_at(
        lambda tree: [at(tree, n) for n in names], layer, [jnp.asarray(weights[n]) for n in names]
    )
