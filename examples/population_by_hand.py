"""A population of classifiers from three plain functions, no layers and no optimizer library.

Softmax regression on the handwritten digits of scikit-learn, at thirty learning rates and weight decays at
once. The three functions describe one member; Fathom adds the population from outside, and nothing in them
knows of it.

Run it with: python examples/population_by_hand.py
"""

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import fathom as fm


def init(key, settings):
    """The state of a member may be any pytree of arrays; here it is its parameters and their momentum."""
    params = {"w": 0.01 * jax.random.normal(key, (64, 10)), "b": jnp.zeros(10)}
    return {"params": params, "momentum": jax.tree.map(jnp.zeros_like, params)}


def logits(params, x):
    return x @ params["w"] + params["b"][None, :]


def loss(params, batch, weight_decay):
    chances = jax.nn.log_softmax(logits(params, batch["x"]))
    fit = -jnp.take_along_axis(chances, batch["y"][:, None], axis=1).mean()
    return fit + weight_decay * jnp.square(params["w"]).sum()


def step(state, batch, settings):
    """One step of gradient descent; a setting is a number like any other."""
    value, grads = jax.value_and_grad(loss)(state["params"], batch, settings["weight_decay"])
    momentum = jax.tree.map(lambda m, g: 0.9 * m + g, state["momentum"], grads)
    params = jax.tree.map(lambda p, m: p - settings["learning_rate"] * m, state["params"], momentum)
    return {"params": params, "momentum": momentum}, {"loss": value}


def evaluate(state, split):
    """Judges a member after each epoch on the validation rows."""
    right = logits(state["params"], split["x"]).argmax(1) == split["y"]
    return {"accuracy": right.mean(), "loss": loss(state["params"], split, 0.0)}


def main() -> float:
    """Train thirty members, print the best, and return its accuracy on rows that chose nothing."""
    x, y = load_digits(return_X_y=True)
    x, y = (x / 16).astype(np.float32), y.astype(np.int32)
    rest_x, test_x, rest_y, test_y = train_test_split(x, y, test_size=0.2, random_state=0, stratify=y)
    train_x, held_x, train_y, held_y = train_test_split(rest_x, rest_y, test_size=0.25, random_state=0)

    rates, decays = np.meshgrid(np.geomspace(1e-3, 10, 10), [0.0, 1e-4, 1e-2])
    population = fm.Population(
        init,
        step,
        evaluate,
        {"learning_rate": rates.ravel(), "weight_decay": decays.ravel()},
        score="accuracy",
        greater_is_better=True,
    )
    result = population.run(
        {"x": train_x, "y": train_y},
        {"x": held_x, "y": held_y},
        epochs=15,
        batch_size=64,
        rungs=[fm.Rung(at=0.2, keep=12), fm.Rung(at=0.6, keep=4)],
    )

    print("member  learning rate  weight decay  status    epochs  validation accuracy")
    for row in result.table()[:5]:
        print(
            f"{row['member']:6d}  {row['learning_rate']:13.4f}  {row['weight_decay']:12.4f}  "
            f"{row['status']:8s}  {row['epochs']:6d}  {row['best_score']:.3f}"
        )
    state = result.state(result.best)
    accuracy = float(evaluate(state, {"x": test_x, "y": test_y})["accuracy"])
    best = population.settings["learning_rate"][result.best]
    print(f"best: member {result.best}, learning rate {best:.4f}; test accuracy {accuracy:.3f}")
    return accuracy


if __name__ == "__main__":
    main()
