"""Why programs are what they are. Oracles: the planner's own numbers, written out by hand; what a run really made."""

import equinox as eqx
import jax
import pytest

import fathom as fm
from fathom import nn
from fathom.models import MLP, FromModule, Linear
from fathom.study.plan import Plan


class Filters(eqx.Module):
    """The four numbers of a flower as an image of 2 x 2."""

    layer: nn.Conv2d
    head: nn.Linear

    def __init__(self, task, key):
        first, second = jax.random.split(key)
        self.layer, self.head = nn.Conv2d(1, 4, 2, first), nn.Linear(16, task.outputs, second)

    def __call__(self, x, inference=False):
        images = x.reshape(-1, 2, 2, 1)
        return self.head(jax.nn.relu(self.layer(images, inference=inference)[0]).reshape(-1, 16))[0]


def reasons(model, rows=32, folds=2, seeds=8, **recipe):
    (cohort,) = (
        fm.Study("iris", model, fm.Recipe(epochs=1, batch_size=rows, **recipe), folds=folds, seeds=seeds)
        .plan()
        .cohorts
    )
    return cohort.reasons


def test_lanes_say_the_numbers_that_decided():
    together = reasons(MLP(width=8, depth=1))[0]  # 4 x 8 + 8 + 8 x 3 + 3 = 67
    assert together.startswith("lanes of 8: 67 parameters x 32 rows of a batch are at most 400\u202f000")
    alone = reasons(MLP(width=128, depth=2))[0]  # 4 x 128 + 128 + 128 x 128 + 128 + 128 x 3 + 3 = 17,539
    assert alone.startswith(
        "one after another: 17\u202f539 parameters x 32 rows of a batch are more than 400\u202f000"
    )


def test_a_device_without_a_network_is_told_of():
    devices = len(jax.devices())
    hints = [
        [line for line in reasons(MLP(width=128, depth=2), folds=1, seeds=seeds) if "shard='batch'" in line]
        for seeds in (1, devices)
    ]
    assert hints[1] == []
    shared = fm.Study("iris", MLP(width=128), fm.Recipe(epochs=1), folds=1).plan(shard="batch").cohorts[0]
    assert shared.reasons[0].startswith(f"the {devices} devices share each batch")
    assert not shared.fused and not any("no network to train" in line for line in shared.reasons)
    assert [line.split(" no ")[0] for line in hints[0]] == (["1 device has"] if devices == 2 else [])


@pytest.mark.usefixtures("native_code")
@pytest.mark.parametrize(
    ("model", "recipe", "said"),
    [
        (MLP(width=8), {}, "native code: it knows all"),
        (MLP(width=8, activation="tanh"), {}, "no native code: it does not know activation='tanh'"),
        (
            MLP(width=8),
            {"optimizer": "sgd", "l2": 0.1},
            "no native code: it does not know optimizer='sgd', l2",
        ),
        (Linear(), {}, "no native code: it does not know model='Linear'"),
        (
            FromModule(Filters, batched=True),
            {},
            "native code: convolutions; for whole steps it does not know model='FromModule'",
        ),
        (
            FromModule(Filters, batched=True),
            {"precision": "bfloat16"},
            "no native code: it does not know model='FromModule'",
        ),
        (
            MLP(width=8),
            {"precision": "bfloat16"},
            "no native code: it does not know precision='bfloat16'",
        ),
    ],
)
def test_native_code_says_what_it_does_not_know(model, recipe, said):
    assert reasons(model, **recipe)[1].startswith(said)


@pytest.mark.usefixtures("native_code")
def test_native_code_does_not_convolve_where_devices_share_batches():
    study = fm.Study("iris", FromModule(Filters, batched=True), fm.Recipe(epochs=1), folds=1)
    assert study.plan().cohorts[0].reasons[1].startswith("native code: convolutions")
    assert study.plan(shard="batch").cohorts[0].reasons[1].startswith("no native code: it does not know")


def test_what_no_member_uses_is_named():
    line = reasons(MLP(width=8), dropout=[0.0, 0.2])[2]
    assert "dropout" not in line and "input noise" in line and "l1" in line


def test_a_plan_tells_reasons_only_where_asked_and_keeps_them():
    plan = fm.Study("iris", MLP(width=[4, 8]), fm.Recipe(epochs=1), folds=2).plan()
    assert all(reason in plan.explain() for cohort in plan.cohorts for reason in cohort.reasons)
    assert plan.cohorts[0].reasons[0] not in str(plan)
    assert Plan.from_dict(plan.to_dict()).explain() == plan.explain()


def test_a_run_tells_what_it_made(tmp_path):
    """A network that no other test has, so that its programs are new to this process."""
    told = []
    study = fm.Study("iris", MLP(width=11, depth=1), fm.Recipe(epochs=1), folds=2, test=0.2)
    study.run(callbacks=[told.append], baselines=False)
    (event,) = [event for event in told if event["event"] == "compile" and event["state"] == "end"]
    assert sorted(made["name"] for made in event["made"]) == ["epoch", "init"]
    for made in event["made"]:
        assert made["cohort"].startswith("mlp 11 1") and made["compiled"] > 0
        assert made["read"] == (made["traced"] == 0)
