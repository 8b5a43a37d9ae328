"""Golden numbers for the losses, from PyTorch in double precision.

Run with an interpreter that has torch: ``python tests/golden/make_losses.py``. Writes losses.json beside
itself; the tests read that file and do not need torch.
"""

import json
from pathlib import Path

import torch
from torch.nn import functional as F

torch.manual_seed(7)
torch.set_default_dtype(torch.float64)
cases = []


def case(loss, outputs, targets, value, **settings):
    """Note the loss of each example, and the gradient of their sum for the outputs."""
    z = torch.tensor(outputs.tolist(), requires_grad=True)
    each = value(z)
    each.sum().backward()
    cases.append(
        {
            "loss": loss,
            "settings": settings,
            "outputs": z.detach().tolist(),
            "targets": targets.tolist(),
            "value": each.detach().tolist(),
            "gradient": z.grad.tolist(),
        }
    )


logits = 3 * torch.randn(6, 4)
index = torch.tensor([0, 3, 1, 1, 2, 0])
soft = torch.softmax(torch.randn(6, 4), dim=1)
for smoothing in (0.0, 0.1, 0.5):

    def smoothed(z, t, smoothing=smoothing):
        return F.cross_entropy(z, t, reduction="none", label_smoothing=smoothing)

    case("cross_entropy", logits, index, lambda z: smoothed(z, index), label_smoothing=smoothing)
    case("cross_entropy", logits, soft, lambda z: smoothed(z, soft), label_smoothing=smoothing)

one, answers = 3 * torch.randn(6, 1), torch.tensor([[0.0], [1.0], [1.0], [0.0], [1.0], [0.3]])
many, labels = 3 * torch.randn(5, 3), (torch.rand(5, 3) > 0.5).double()
for z0, t0 in ((one, answers), (many, labels)):
    case(
        "binary_cross_entropy",
        z0,
        t0,
        lambda z, t0=t0: F.binary_cross_entropy_with_logits(z, t0, reduction="none").mean(1),
    )

# With two classes torch's hinge (a sum over the wrong classes, over the number of classes) is half of ours.
pairs, which = 2 * torch.randn(6, 2), torch.tensor([0, 1, 1, 0, 1, 0])
case("hinge", pairs, which, lambda z: 2 * F.multi_margin_loss(z, which, reduction="none"))
case("perceptron", pairs, which, lambda z: 2 * F.multi_margin_loss(z, which, margin=0.0, reduction="none"))
signs = torch.tensor([1, 0, 1, 1, 0, 0])
# hinge_embedding_loss is max(0, 1 - x) for the label -1.
case(
    "hinge",
    one[:, 0],
    signs,
    lambda z: F.hinge_embedding_loss((2 * signs - 1) * z, -torch.ones(6), reduction="none"),
)

y, t = 2 * torch.randn(7, 2), 2 * torch.randn(7, 2)
case("squared", y, t, lambda z: F.mse_loss(z, t, reduction="none").mean(1))
case("absolute", y, t, lambda z: F.l1_loss(z, t, reduction="none").mean(1))
for delta in (0.5, 1.0, 2.5):
    case(
        "huber",
        y,
        t,
        lambda z, delta=delta: F.huber_loss(z, t, reduction="none", delta=delta).mean(1),
        delta=delta,
    )
heads = torch.cat([y, torch.randn(7, 2)], 1)
case(
    "gaussian_nll",
    heads,
    t,
    lambda z: F.gaussian_nll_loss(z[:, :2], t, z[:, 2:].exp(), full=True, reduction="none").mean(1),
)
counts = torch.poisson(3 * torch.ones(7, 2))
case(
    "poisson_nll",
    y,
    counts,
    lambda z: (F.poisson_nll_loss(z, counts, reduction="none") + torch.lgamma(counts + 1)).mean(1),
)

Path(__file__).with_name("losses.json").write_text(json.dumps(cases, indent=1) + "\n")
