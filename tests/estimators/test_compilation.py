"""What fits compile, and what they ask of the process. Oracle: JAX's own events."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

import fathom

from .conftest import classifier, regressor

_PLAIN = """
import sys
import fathom
assert "sklearn" not in sys.modules
from sklearn.datasets import load_iris
from fathom.sklearn import PopulationClassifier
x, y = load_iris(return_X_y=True)
fitted = PopulationClassifier(width=16, depth=1, samples=1, epochs=20, random_state=0).fit(x, y)
import jax
print(jax.device_count(), fitted.score(x, y))
"""


def test_one_device_and_no_configure_are_enough(tmp_path):
    plain = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    plain["PYTHONPATH"] = str(Path(fathom.__file__).parents[1])
    command = [sys.executable, "-W", "error", "-c", _PLAIN]
    done = subprocess.run(command, capture_output=True, text=True, env=plain, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    devices, score = done.stdout.split()
    assert devices == "1" and float(score) > 0.9
    assert list(tmp_path.iterdir()) == []


def test_a_second_fit_of_other_rows_columns_and_settings_compiles_nothing(compiled, iris, line):
    x, y = iris
    classifier().fit(x, y)
    regressor().fit(*line)
    compiled.count = 0
    classifier(learning_rate=0.003, epochs=3).fit(x[::2, :2], y[::2]).predict(x[:7, :2])
    regressor(weight_decay=0.3).fit(np.tile(line[0], 2)[:61], line[1][:61]).predict_interval(
        np.zeros((200, 8))
    )
    assert compiled.count == 0
    classifier(width=17).fit(x, y)
    assert compiled.count > 0  # the count counts
