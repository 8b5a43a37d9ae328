"""LSTM, GRU and a transformer on digits as sequences of 128 steps of 32 numbers: half rows of 64 x 64 pixels.

LSTM and GRU have 128 units; the transformer has 2 blocks of 128 features and 4 heads, normalized first, with
learned places. The mean over the steps of what comes out goes to the classes. The sides are those of
`networks.py`; PyTorch's vmap and compiler do not take its LSTM and GRU, so these are left out.
"""

import functools
from typing import Any

import numpy as np

from .networks import HALF, Network, digits, sides
from .networks import operations as count

TIME, SIZE, FEATURES, HEADS = 128, 32, 128, 4
MEASURES, COUNTS = "rounds", "steps"
HELD = 160
CHECK = {"members": 2, "epochs": 1}
SIZES: dict[str, dict[str, Any]] = {
    "lstm-m4": {"kind": "lstm", "members": 4, "epochs": 4},
    "gru-m4": {"kind": "gru", "members": 4, "epochs": 4},
    "transformer-m2": {"kind": "transformer", "members": 2, "epochs": 2},
    "lstm-m4-bf16": {"kind": "lstm", "members": 4, "epochs": 4, "precision": "bfloat16"},
    "transformer-m2-bf16": {"kind": "transformer", "members": 2, "epochs": 2, "precision": "bfloat16"},
    "lstm-m1": {"kind": "lstm", "members": 1, "epochs": 8},
    "transformer-m1": {"kind": "transformer", "members": 1, "epochs": 4},
}


def rows() -> list[np.ndarray]:
    """640 sequences [128, 32] to train on, 160 held."""
    return digits(640, 160, (TIME, SIZE), 64)


@functools.cache
def _classes() -> Any:
    """The classes of the networks, which are here and not above so that no other side imports JAX."""
    import equinox as eqx
    import jax

    from fathom import nn

    class Recurrent(eqx.Module):
        layer: eqx.Module
        head: nn.Linear

        def __call__(self, x: Any, inference: bool = False) -> Any:
            return self.head(self.layer(x)[0].mean(1))[0]

    class Transformer(eqx.Module):
        up: nn.Linear
        places: jax.Array
        blocks: list[nn.TransformerBlock]
        norm: nn.LayerNorm
        head: nn.Linear

        def __call__(self, x: Any, inference: bool = False) -> Any:
            x = self.up(x)[0] + self.places[None]
            for block in self.blocks:
                x = block(x)[0]
            return self.head(self.norm(x)[0].mean(1))[0]

    return Recurrent, Transformer


def recurrent(key: Any, kind: str, lowering: str = "auto") -> Any:
    """A recurrent network of Fathom's layers."""
    import jax

    from fathom import nn

    first, second = jax.random.split(key)
    return _classes()[0](
        getattr(nn, kind)(SIZE, FEATURES, first, lowering=lowering), nn.Linear(FEATURES, 10, second)
    )


def torch_recurrent(kind: str) -> Any:
    """A recurrent network of PyTorch's layers, first weights as Fathom draws them."""
    import torch
    from torch import nn

    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.head = (
                getattr(nn, kind)(SIZE, FEATURES, batch_first=True),
                _torch_affine(FEATURES, 10),
            )

        def forward(self, x: Any) -> Any:
            return self.head(self.layer(x)[0].mean(1))

    model = Recurrent()
    with torch.no_grad():
        for gate in model.layer.weight_ih_l0.split(FEATURES):
            nn.init.xavier_normal_(gate)
        for gate in model.layer.weight_hh_l0.split(FEATURES):
            nn.init.orthogonal_(gate)
        model.layer.bias_ih_l0.zero_()
        model.layer.bias_hh_l0.zero_()
        if kind == "LSTM":
            model.layer.bias_ih_l0[FEATURES : 2 * FEATURES] = 1
    return model


def transformer(key: Any) -> Any:
    """The transformer of Fathom's layers."""
    import jax

    from fathom import nn

    keys = jax.random.split(key, 5)
    return _classes()[1](
        nn.Linear(SIZE, FEATURES, keys[0]),
        0.02 * jax.random.normal(keys[1], (TIME, FEATURES)),
        [nn.TransformerBlock(FEATURES, HEADS, key) for key in keys[2:4]],
        nn.LayerNorm(FEATURES),
        nn.Linear(FEATURES, 10, keys[4]),
    )


def torch_transformer() -> Any:
    """The transformer of PyTorch's parts, its attention PyTorch's own."""
    import torch
    from torch import nn
    from torch.nn import functional as f

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.LayerNorm(FEATURES), nn.LayerNorm(FEATURES)
            self.qkv, self.out = _torch_affine(FEATURES, 3 * FEATURES), _torch_affine(FEATURES, FEATURES)
            self.up, self.down = _torch_affine(FEATURES, 4 * FEATURES), _torch_affine(4 * FEATURES, FEATURES)

        def forward(self, x: Any) -> Any:
            batch, time, size = x.shape
            heads = self.qkv(self.first(x)).view(batch, time, 3, HEADS, size // HEADS).permute(2, 0, 3, 1, 4)
            mixed = (
                f.scaled_dot_product_attention(*heads.unbind(0)).transpose(1, 2).reshape(batch, time, size)
            )
            x = x + self.out(mixed)
            return x + self.down(f.gelu(self.up(self.second(x))))

    class Transformer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up, self.head = _torch_affine(SIZE, FEATURES), _torch_affine(FEATURES, 10)
            self.places = nn.Parameter(0.02 * torch.randn(TIME, FEATURES))
            self.blocks, self.norm = nn.Sequential(Block(), Block()), nn.LayerNorm(FEATURES)

        def forward(self, x: Any) -> Any:
            return self.head(self.norm(self.blocks(self.up(x) + self.places)).mean(1))

    return Transformer()


def _torch_affine(size_in: int, size_out: int) -> Any:
    from torch import nn

    layer = nn.Linear(size_in, size_out)
    nn.init.normal_(layer.weight, std=size_in**-0.5)
    nn.init.zeros_(layer.bias)
    return layer


def _recurrent(kind: str) -> Network:
    ours = functools.partial(recurrent, kind=kind)
    plain = functools.partial(recurrent, kind=kind, lowering="scan")
    gates = {"LSTM": 4, "GRU": 3}[kind] * TIME * FEATURES
    products = (gates * SIZE, gates * FEATURES + 10 * FEATURES)
    return Network(rows, rows, ours, plain, functools.partial(torch_recurrent, kind), products, parts=2)


# In a block, weights of 12 features x features, and of every pair of places twice a number a feature.
_BLOCK = TIME * 12 * FEATURES**2 + 2 * TIME**2 * FEATURES


NETWORKS = {
    "lstm": _recurrent("LSTM"),
    "gru": _recurrent("GRU"),
    "transformer": Network(
        rows,
        rows,
        transformer,
        transformer,
        torch_transformer,
        (TIME * SIZE * FEATURES, 2 * _BLOCK + 10 * FEATURES),
        parts=16,
    ),
}
SIDES = sides(NETWORKS)
operations = functools.partial(count, NETWORKS)
NEEDS = {side: "torch" for side in SIDES if side.startswith("torch")}


def left_out(size: str) -> tuple[str, ...]:
    """Sides that cannot do the work, have nothing to do, or that another one of their kind is ahead of.

    PyTorch's vmap and compiler do not take its LSTM and GRU; its vmap of transformers compiles longer than all
    others train. One network is not shared among processes.
    """
    out = ["torch vmap", "torch vmap in 2", "torch vmap compiled"]
    if "precision" in SIZES[size]:
        out += [side for side in SIDES if side not in HALF]
    if SIZES[size]["members"] == 1:
        out += ["torch eager", "torch compiled"]
    else:
        out += ["torch 2 threads", "torch compiled 2 threads"]
    if SIZES[size]["kind"] != "transformer":
        out += ["torch compiled", "torch compiled 2 threads"]
    return tuple(out)
