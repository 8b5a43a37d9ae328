"""Make optim.json: what PyTorch's optimizers do on one small problem, in float64.

Run with an environment that has PyTorch (made with 2.13.0, CPU): ``python tests/golden/make_optim.py``.
The problem: minimize the sum of log cosh(A w - y) from w0, ten steps.
"""

import json
import pathlib

import torch

A = [[1.0, -2.0, 0.5], [0.3, 0.8, -1.2], [-0.7, 0.1, 2.0], [1.5, 1.1, 0.4]]
Y = [0.7, -1.3, 2.1, 0.4]
W0 = [0.9, -0.6, 0.3]
STEPS = 10

OPTIMIZERS = {
    "sgd": (torch.optim.SGD, {"lr": 0.05}, {}),
    "momentum": (torch.optim.SGD, {"lr": 0.05, "momentum": 0.8}, {"momentum": 0.8}),
    "nesterov": (torch.optim.SGD, {"lr": 0.05, "momentum": 0.8, "nesterov": True}, {"momentum": 0.8}),
    "adam": (
        torch.optim.Adam,
        {"lr": 0.05, "betas": (0.8, 0.95), "weight_decay": 0.1},
        {"momentum": 0.8, "beta2": 0.95, "weight_decay": 0.1},
    ),
    "adamw": (
        torch.optim.AdamW,
        {"lr": 0.05, "betas": (0.8, 0.95), "weight_decay": 0.1},
        {"momentum": 0.8, "beta2": 0.95, "weight_decay": 0.1},
    ),
    "rmsprop": (torch.optim.RMSprop, {"lr": 0.05, "alpha": 0.95}, {"beta2": 0.95}),
    "adagrad": (torch.optim.Adagrad, {"lr": 0.05}, {}),
    "adadelta": (torch.optim.Adadelta, {"lr": 1.0, "rho": 0.95, "eps": 1e-6}, {"beta2": 0.95}),
    "adamax": (torch.optim.Adamax, {"lr": 0.05, "betas": (0.8, 0.95)}, {"momentum": 0.8, "beta2": 0.95}),
    "radam": (torch.optim.RAdam, {"lr": 0.05, "betas": (0.8, 0.99)}, {"momentum": 0.8, "beta2": 0.99}),
}


def path(make, options):
    """The parameters after each step."""
    a, y = torch.tensor(A, dtype=torch.float64), torch.tensor(Y, dtype=torch.float64)
    w = torch.tensor(W0, dtype=torch.float64, requires_grad=True)
    optimizer = make([w], **options)
    steps = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        torch.log(torch.cosh(a @ w - y)).sum().backward()
        optimizer.step()
        steps.append(w.detach().tolist())
    return steps


def plateau():
    """The multiplier that ReduceLROnPlateau has after each value."""
    values = [1.0, 0.9, 0.9, 0.9, 0.91, 0.9, 0.5, 0.5, 0.5, 0.5, 0.6, 0.49999, 0.2, 0.3, 0.3, 0.3, 0.3]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=2, threshold=1e-4, min_lr=0.2
    )
    out = []
    for value in values:
        scheduler.step(value)
        out.append(optimizer.param_groups[0]["lr"])
    return {"values": values, "factor": 0.5, "patience": 2, "floor": 0.2, "multipliers": out}


def main():
    """Write the file next to this script."""
    rules = {
        name: {"learning_rate": options["lr"], "numbers": numbers, "path": path(make, options)}
        for name, (make, options, numbers) in OPTIMIZERS.items()
    }
    golden = {"made_with": f"torch {torch.__version__}", "a": A, "y": Y, "w0": W0, "rules": rules}
    golden["plateau"] = plateau()
    target = pathlib.Path(__file__).with_name("optim.json")
    target.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
