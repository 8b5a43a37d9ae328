"""Task: construction, errors, and the way to JSON and back."""

import json

import pytest

from fathom.errors import UsageError
from fathom.task import Task


@pytest.mark.parametrize(
    "task",
    [
        Task.classification(4, ["a", "b", "c"]),
        Task.classification((8, 8, 1), 10, metric="log_loss"),
        Task.classification(1, 2, outputs=1, loss="binary_cross_entropy"),
        Task.regression(5),
        Task.regression([3, 2], 2, loss="gaussian_nll"),
    ],
)
def test_json_round_trip(task):
    assert Task.from_dict(json.loads(json.dumps(task.to_dict()))) == task
    assert hash(task) == hash(Task.from_dict(task.to_dict()))


def test_defaults_and_sizes():
    task = Task.classification((8, 8, 1), 10)
    assert (task.size, task.shape, task.outputs, task.loss) == (64, (8, 8, 1), 10, "cross_entropy")
    assert task.metric == "accuracy" and task.classes[:2] == ("0", "1")
    assert (Task.regression(3).loss, Task.regression(3).metric) == ("squared", "rmse")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "clasification", "features": 1, "outputs": 2}, "did you mean 'classification'"),
        (
            {"kind": "regression", "features": 0, "outputs": 1},
            "features=0 is not allowed; give whole numbers",
        ),
        ({"kind": "regression", "features": (), "outputs": 1}, r"features=\(\) is not allowed"),
        (
            {"kind": "regression", "features": 1, "outputs": 0},
            "outputs=0 is not allowed; give a whole number",
        ),
        ({"kind": "regression", "features": 1, "outputs": True}, "outputs=True is not allowed"),
        (
            {"kind": "regression", "features": 1, "outputs": 1, "classes": ("a",)},
            "a regression task has none",
        ),
        ({"kind": "classification", "features": 1, "outputs": 1, "classes": ("a",)}, "needs 2 or more"),
        (
            {"kind": "classification", "features": 1, "outputs": 2, "classes": ("a", "b", "c")},
            "outputs=2 does not fit 3 classes; give one a class",
        ),
    ],
)
def test_misuse_is_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        Task(**arguments)


def test_a_record_with_unknown_or_missing_entries_is_refused():
    written = Task.regression(3).to_dict()
    with pytest.raises(UsageError, match="did you mean 'metric'"):
        Task.from_dict({**written, "metrics": "rmse"})
    with pytest.raises(UsageError, match=r"kind=\? is missing from the task"):
        Task.from_dict({name: value for name, value in written.items() if name != "kind"})
