"""A population of Flax networks: the same model at sixteen learning rates and dropout rates at once.

The network is a Flax Linen module and the rule is Optax's Adam. What Fathom needs is one member as three
pure functions: `init`, `step` and `evaluate`. The rate of Adam is a traced number, so all members share one
program.

Run it with: python examples/population_flax.py   (it needs `pip install flax`)
"""

import flax.linen as nn
import jax
import numpy as np
import optax
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import fathom as fm


class Network(nn.Module):
    """Two hidden layers; the caller draws the dropout masks, so that the rate may be a setting."""

    width: int = 32

    @nn.compact
    def __call__(self, x, masks=(1.0, 1.0)):
        """Logits [rows, 10] for x [rows, 64]."""
        for mask in masks:
            x = nn.relu(nn.Dense(self.width)(x)) * mask
        return nn.Dense(10)(x)


network = Network()
rule = optax.scale_by_adam()


def init(key, settings):
    """Parameters, Adam's moments, and the member's own random key."""
    weights_key, dropout_key = jax.random.split(key)
    params = network.init(weights_key, np.zeros((1, 64), np.float32))
    return {"params": params, "moments": rule.init(params), "key": dropout_key}


def loss(params, batch, masks=(1.0, 1.0)):
    outputs = network.apply(params, batch["x"], masks)
    return optax.softmax_cross_entropy_with_integer_labels(outputs, batch["y"]).mean()


def step(state, batch, settings):
    """One step of Adam. Dropout is written out because its rate, a number of the member, is traced."""
    key, first, second = jax.random.split(state["key"], 3)
    keep, shape = 1 - settings["dropout"], (len(batch["x"]), network.width)
    masks = [jax.random.bernoulli(k, keep, shape) / keep for k in (first, second)]
    value, grads = jax.value_and_grad(loss)(state["params"], batch, masks)
    updates, moments = rule.update(grads, state["moments"])
    params = jax.tree.map(lambda p, u: p - settings["learning_rate"] * u, state["params"], updates)
    return {"params": params, "moments": moments, "key": key}, {"loss": value}


def evaluate(state, split):
    """Accuracy chooses; of two members that are equally right, the smaller loss is better."""
    right = network.apply(state["params"], split["x"]).argmax(1) == split["y"]
    return {"accuracy": right.mean(), "loss": loss(state["params"], split)}


def main() -> float:
    """Train sixteen members, print the best, and return its accuracy on rows that chose nothing."""
    x, y = load_digits(return_X_y=True)
    x, y = (x / 16).astype(np.float32), y.astype(np.int32)
    rest_x, test_x, rest_y, test_y = train_test_split(x, y, test_size=0.2, random_state=0, stratify=y)
    train_x, held_x, train_y, held_y = train_test_split(rest_x, rest_y, test_size=0.25, random_state=0)

    rates, dropouts = np.meshgrid(np.geomspace(3e-4, 3e-2, 4), [0.0, 0.1, 0.2, 0.4])
    population = fm.Population(
        init,
        step,
        evaluate,
        {"learning_rate": rates.ravel(), "dropout": dropouts.ravel(), "seed": np.arange(16)},
        score="accuracy",
        greater_is_better=True,
    )
    result = population.run(
        {"x": train_x, "y": train_y}, {"x": held_x, "y": held_y}, epochs=15, batch_size=32, patience=5
    )

    row = result.table()[0]
    print(
        f"best of {population.members}: learning rate {row['learning_rate']:.4f}, "
        f"dropout {row['dropout']:.1f}, epoch {row['best_epoch'] + 1}; "
        f"validation accuracy {row['best_score']:.3f}"
    )
    accuracy = float(evaluate(result.state(result.best), {"x": test_x, "y": test_y})["accuracy"])
    print(f"test accuracy {accuracy:.3f}")
    return accuracy


if __name__ == "__main__":
    main()
