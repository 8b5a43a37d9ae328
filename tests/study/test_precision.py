"""A study whose products are in bfloat16: as good as one in float32, on real data."""

import numpy as np
import pytest

import fathom as fm


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The same networks in both precisions, as two programs of one study on digits."""
    recipe = fm.Recipe(
        precision=["float32", "bfloat16"], learning_rate=[1e-3, 3e-3, 1e-2], epochs=12, label_smoothing=0.05
    )
    study = fm.Study("digits", fm.models.MLP(width=48), recipe, folds=3, rungs=())
    return study.run(folder=tmp_path_factory.mktemp("both"), baselines=False)


def accuracies(result, precision):
    rows = [row for row in result.table() if row["precision"] == precision]
    assert {row["status"] for row in rows} == {"finished"} and len(rows) == 9
    return np.array([row["best_score"] for row in sorted(rows, key=lambda row: row["member"])])


def test_accuracy_is_equal(both):
    """Within two standard errors of the difference over nine pairs of networks, or a hundredth."""
    full, half = accuracies(both, "float32"), accuracies(both, "bfloat16")
    assert full.mean() > 0.95
    differences = half - full
    allowed = max(0.01, 2 * differences.std(ddof=1) / len(differences) ** 0.5)
    assert abs(differences.mean()) < allowed


def test_it_is_another_computation(both):
    losses = {}
    for row in both.table():
        losses.setdefault(row["precision"], []).append(row["last_loss"])
    off = np.abs(np.array(losses["float32"]) / np.array(losses["bfloat16"]) - 1)
    assert (off > 1e-5).all() and (off < 0.2).all()
