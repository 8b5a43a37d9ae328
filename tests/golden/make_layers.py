"""Golden numbers for layers, from PyTorch in double precision.

Run with an interpreter that has torch: ``python tests/golden/make_layers.py``. Writes layers.json beside
itself; the tests read that file and do not need torch. Arrays are laid out as Fathom's are: weights
[in, out], kernels [height, width, in, out], images [batch, height, width, channels].
"""

import json
from pathlib import Path

import torch
from torch import nn

torch.manual_seed(3)
torch.set_default_dtype(torch.float64)
cases = []


def case(layer, x, y, weights, **settings):
    """Note a layer's output, and the gradients of Σ y² / 2 for its input and weights."""
    (y.square().sum() / 2).backward()

    def plain(tensor):
        return [round(v, 7) for v in tensor.detach().flatten().tolist()], list(tensor.shape)

    cases.append(
        {
            "layer": layer,
            "settings": settings,
            "x": plain(x["value"]),
            "y": plain(y),
            "dx": plain(x["gradient"]()),
            "weights": {name: plain(turn(p)) for name, (p, turn) in weights.items()},
            "gradients": {name: plain(turn(p.grad)) for name, (p, turn) in weights.items()},
        }
    )


def given(*shape, turn=lambda t: t):
    """A random input, and what it is and what its gradient is in Fathom's layout."""
    x = torch.randn(*shape, requires_grad=True)
    return x, {"value": turn(x), "gradient": lambda: turn(x.grad)}


def same(t):
    return t


def turned(t):
    return t.T


for settings in (
    {"strides": [1, 1], "padding": [1, 1], "dilation": [1, 1], "groups": 1},
    {"strides": [2, 1], "padding": [2, 0], "dilation": [1, 2], "groups": 2},
    {"strides": [2, 2], "padding": [1, 1], "dilation": [1, 1], "groups": 4},
):
    conv = nn.Conv2d(
        4, 8, 3, settings["strides"], settings["padding"], settings["dilation"], settings["groups"]
    )
    x, told = given(1, 4, 5, 6, turn=lambda t: t.permute(0, 2, 3, 1))
    kernels = {"weight": (conv.weight, lambda t: t.permute(2, 3, 1, 0)), "bias": (conv.bias, same)}
    case("conv", told, conv(x).permute(0, 2, 3, 1), kernels, **settings)

for steps in (3, 19):  # 19 steps are no whole number of tiles
    lstm = nn.LSTM(3, 4, batch_first=True)
    nn.init.zeros_(lstm.bias_hh_l0)
    lstm.bias_hh_l0.requires_grad_(False)
    x, told = given(2, steps, 3)
    names = {"input_weight": "weight_ih_l0", "recurrent_weight": "weight_hh_l0", "bias": "bias_ih_l0"}
    weights = {ours: (getattr(lstm, theirs), turned) for ours, theirs in names.items()}
    case("lstm", told, lstm(x)[0], {**weights, "bias": (lstm.bias_ih_l0, same)})

    gru = nn.GRU(3, 4, batch_first=True)
    with torch.no_grad():  # only the bias of n's recurrent part is one that the other cannot stand for
        gru.bias_hh_l0[:8] = 0
    x, told = given(2, steps, 3)
    weights = {ours: (getattr(gru, theirs), turned) for ours, theirs in names.items()}
    weights["bias"] = (gru.bias_ih_l0, same)
    weights["recurrent_bias"] = (gru.bias_hh_l0, lambda t: t[8:])
    case("gru", told, gru(x)[0], weights)

norm = nn.LayerNorm(5)
with torch.no_grad():
    norm.weight += torch.randn(5)
    norm.bias += torch.randn(5)
x, told = given(3, 2, 5)
case("norm", told, norm(x), {"weight": (norm.weight, same), "bias": (norm.bias, same)})

for causal in (False, True):
    attention = nn.MultiheadAttention(6, 2, batch_first=True)
    nn.init.normal_(attention.in_proj_bias)
    x, told = given(2, 4, 6)
    mask = nn.Transformer.generate_square_subsequent_mask(4) if causal else None
    y, _ = attention(x, x, x, need_weights=False, attn_mask=mask)
    weights = {
        "qkv.weight": (attention.in_proj_weight, turned),
        "qkv.bias": (attention.in_proj_bias, same),
        "out.weight": (attention.out_proj.weight, turned),
        "out.bias": (attention.out_proj.bias, same),
    }
    case("attention", told, y, weights, causal=causal)

Path(__file__).with_name("layers.json").write_text(json.dumps(cases) + "\n")
