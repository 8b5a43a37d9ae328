import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

import fathom as fm
from fathom.engine.memory import Memory
from fathom.errors import UsageError
from fathom.models import MLP, Linear
from fathom.study.defaults import FOLDS_BELOW, default_recipe

from .conftest import small_grid


def test_members_and_programs_are_the_product_of_what_varies():
    plan = small_grid().plan()
    assert (plan.candidates, plan.members, len(plan.cohorts)) == (4, 16, 2)
    assert [cohort.members for cohort in plan.cohorts] == [8, 8]
    assert plan.cohorts[0].parameters == 4 * 8 + 8 + 8 * 3 + 3
    assert plan.cohorts[1].parameters == 4 * 3 + 3


def test_a_dynamic_sweep_costs_no_program_and_a_static_one_costs_one_each():
    def programs(**fields):
        return len(fm.Study("iris", MLP(width=8), fm.Recipe(**fields), folds=2).plan().cohorts)

    assert programs(learning_rate=[1e-3, 1e-2], weight_decay=[0.0, 0.1], dropout=[0.0, 0.3]) == 1
    assert programs(optimizer=["adamw", "sgd"], epochs=[2, 3]) == 4


def test_the_plan_says_why_there_is_another_program():
    text = str(fm.Study("iris", MLP(width=[4, 8]), fm.Recipe(optimizer=["adamw", "sgd"]), folds=2).plan())
    assert "width=4" in text and "width=8" in text and "optimizer=sgd" in text
    assert "dropout" not in text


def test_ranges_are_drawn_from_within_their_ends():
    recipe = fm.Recipe(learning_rate=fm.log_range(1e-4, 1e-2), dropout=fm.linear_range(0.1, 0.4))
    study = fm.Study("iris", MLP(width=8), recipe, folds=2, samples=8)
    cohorts, members = study.cohorts(study.resolve(None))
    rates = [candidate.recipe.learning_rate for candidate in cohorts[0].candidates]
    assert len(members) == 16 and len(set(rates)) == 8
    assert all(1e-4 <= rate <= 1e-2 for rate in rates)
    assert all(0.1 <= candidate.recipe.dropout <= 0.4 for candidate in cohorts[0].candidates)


def test_small_data_is_cross_validated_unless_asked_otherwise():
    assert fm.Study("iris").folds == 5
    assert fm.Study("iris", folds=1).folds == 1
    assert FOLDS_BELOW == 5000


def test_the_default_recipe_trains_fewer_epochs_on_more_rows():
    epochs = [default_recipe(rows).epochs for rows in (100, 2_000, 20_000, 1_000_000)]
    assert epochs == sorted(epochs, reverse=True) and epochs[0] == 60 and epochs[-1] == 10


def test_settings_say_the_same_study():
    study = small_grid(metric="log_loss", split_seed=3, test=0.3, scaling="zca")
    again = fm.Study.from_settings(study.to_settings())
    assert again.to_settings() == study.to_settings()
    plans = [
        str(dataclasses.replace(one.plan(), memory=Memory())) for one in (again, study)
    ]  # a plan may hold nan
    assert plans[0] == plans[1]  # of the memory it depends on this process, and on where NumPy put the rows
    np.testing.assert_array_equal(again.split.test, study.split.test)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"metric": "rmse"}, "metric='rmse' is not for classification; use one of: accuracy"),
        ({"metric": "acuracy"}, "metric='acuracy' is not known.*did you mean 'accuracy'"),
        ({"seeds": 0}, "seeds=0 is not allowed"),
        ({"seeds": [1, 1]}, r"seeds=\[1, 1\] is not allowed"),
        ({"seeds": True}, "seeds=True is not allowed"),
        ({"folds": -1}, "folds=-1 is not allowed"),
        ({"test": 1.5}, "test=1.5 is not allowed"),
        ({"scaling": "minmax"}, "scaling='minmax' is not known"),
        ({"loss": "squared"}, "loss='squared' is for regression and the task is classification"),
        ({"loss": "binary_cross_entropy"}, "loss='binary_cross_entropy' is for two classes and there are 3"),
        ({"architectures": []}, r"architectures=\[\] is empty"),
    ],
)
def test_misuse_is_refused_before_anything_is_compiled(arguments, message):
    with pytest.raises(UsageError, match=message):
        fm.Study("iris", **arguments)


def test_an_unknown_key_of_a_settings_file_is_refused():
    with pytest.raises(UsageError, match=r"study setting='fold' is not known.*did you mean 'folds'"):
        fm.Study.from_settings({"data": "iris", "fold": 3})
    with pytest.raises(UsageError, match="data=\\? is missing"):
        fm.Study.from_settings({"folds": 3})


def test_a_loss_of_ones_own_is_asked_for_again():
    settings = fm.Study(
        "iris", Linear(), loss=lambda outputs, targets: jnp.zeros(outputs.shape[0])
    ).to_settings()
    with pytest.raises(UsageError, match="is a function, which a file does not hold"):
        fm.Study.from_settings(settings)
