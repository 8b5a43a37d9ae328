"""The contract of an estimator. Oracles: scikit-learn's own suite of checks; JAX's events for what it compiles."""

import jax
import pytest
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

from fathom.engine.program import Program
from fathom.sklearn import PopulationClassifier, PopulationRegressor
from fathom.sklearn.base import EXPECTED_FAILED_CHECKS

from .conftest import Compilations, classifier, regressor

ESTIMATORS = [classifier(), regressor()]
MOST = 10  # programs of a whole suite


class Programs:
    """What the suite of each estimator uses and compiles, by the estimator's name.

    Attributes:
        used: the executables that it asks for, whether they are there already or not.
        compiled: how many programs JAX compiles for it.
    """

    def __init__(self):
        self.used = {type(one).__name__: set() for one in ESTIMATORS}
        self.compiled = dict.fromkeys(self.used, 0)


@pytest.fixture(scope="module")
def programs():
    return Programs()


@pytest.fixture
def watched(programs, monkeypatch):
    """Notes under an estimator's name what programs are asked for and compiled from then on."""
    original, seen = Program.compiled, Compilations()
    under = []

    def noted(self, *args):
        executable = original(self, *args)
        programs.used[under[0]].add(id(executable))
        return executable

    monkeypatch.setattr(Program, "compiled", noted)
    jax.monitoring.register_event_duration_secs_listener(seen)
    yield under.append
    jax.monitoring.unregister_event_duration_listener(seen)
    programs.compiled[under[0]] += seen.count


@parametrize_with_checks(ESTIMATORS, expected_failed_checks=lambda estimator: EXPECTED_FAILED_CHECKS)
def test_scikit_learns_checks(estimator, check, watched):
    watched(type(estimator).__name__)
    check(estimator)


@pytest.mark.parametrize("name", ["PopulationClassifier", "PopulationRegressor"])
def test_the_whole_suite_takes_at_most_ten_programs(programs, name):
    """Tests before these may have compiled some of them; those that are used count all the same."""
    if len(programs.used[name]) == 0:
        pytest.skip("counts what the checks above did")
    assert 3 <= len(programs.used[name]) <= MOST
    assert programs.compiled[name] <= MOST


def test_only_the_checks_of_sample_weights_are_expected_to_fail():
    assert set(EXPECTED_FAILED_CHECKS) == {
        "check_sample_weight_equivalence_on_dense_data",
        "check_sample_weight_equivalence_on_sparse_data",
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    "estimator", [PopulationClassifier(), PopulationRegressor()], ids=["classes", "values"]
)
def test_the_defaults_pass_too(estimator, compiled):
    results = check_estimator(
        estimator, on_fail=None, on_skip=None, expected_failed_checks=EXPECTED_FAILED_CHECKS
    )
    assert [one["check_name"] for one in results if one["status"] == "failed"] == []
    assert compiled.count <= MOST
