"""From the command line's words to one settings mapping."""

from pathlib import Path

import pytest

from fathom.cli.request import apply_change, run_folder, settings_for
from fathom.errors import UsageError


@pytest.mark.parametrize(
    ("change", "settings"),
    [
        ("samples=8", {"samples": 8}),
        ("recipe.learning_rate=1e-3", {"recipe": {"learning_rate": 0.001}}),
        ("recipe.clip=inf", {"recipe": {"clip": float("inf")}}),
        ("model.width=[64, 128]", {"model": {"width": [64, 128]}}),
        ("recipe.learning_rate={log=[1e-4,1e-1,8]}", {"recipe": {"learning_rate": {"log": [1e-4, 1e-1, 8]}}}),
        ("recipe.optimizer=adamw", {"recipe": {"optimizer": "adamw"}}),
        ('recipe.optimizer="adamw"', {"recipe": {"optimizer": "adamw"}}),
        ("recipe.optimizer=['adamw', 'lion']", {"recipe": {"optimizer": ["adamw", "lion"]}}),
        ("model.cross=true", {"model": {"cross": True}}),
        ("seeds = 3", {"seeds": 3}),
    ],
)
def test_a_change_is_a_value_of_toml_or_a_bare_word(change, settings):
    changed = {}
    apply_change(changed, change)
    assert changed == settings


@pytest.mark.parametrize("change", ["seeds", "=3", "a b=1", "recipe.=1", "Recipe=1"])
def test_a_change_without_a_name_is_refused(change):
    with pytest.raises(UsageError, match="write NAME=VALUE, such as"):
        apply_change({}, change)


@pytest.mark.parametrize("change", ["seeds=", "seeds=1 2", "seeds=[1", "seeds=.5.5"])
def test_a_change_without_a_value_is_refused(change):
    with pytest.raises(UsageError, match="the value is not understood; write one as in TOML"):
        apply_change({}, change)


def test_a_change_inside_what_is_no_table_is_refused():
    with pytest.raises(UsageError, match="data is no table"):
        apply_change({"data": "digits"}, "data.name=3")


def test_options_win_over_the_file_and_changes_over_options(tmp_path):
    file = tmp_path / "study.toml"
    file.write_text(
        'data = "digits"\nseeds = 1\nfolds = 2\ntest = 0.1\n[recipe]\nepochs = 5\nbatch_size = 64\n'
    )
    settings = settings_for(
        str(file), {"folds": 3, "test": 0.2, "metric": None}, (), ("test=0.3", "recipe.epochs=9")
    )
    expected = {
        "data": "digits",
        "seeds": 1,
        "folds": 3,
        "test": 0.3,
        "recipe": {"epochs": 9, "batch_size": 64},
    }
    assert settings == expected


def test_models_keep_the_settings_that_the_file_has_for_them(tmp_path):
    file = tmp_path / "study.toml"
    file.write_text('data = "digits"\n[model]\nname = "mlp"\nwidth = 32\n')
    assert settings_for(str(file), {}, ("mlp",))["model"] == {"name": "mlp", "width": 32}
    assert settings_for(str(file), {}, ("linear",))["model"] == {"name": "linear"}
    both = settings_for(str(file), {}, ("linear", "mlp"))["model"]
    assert both == [{"name": "linear"}, {"name": "mlp", "width": 32}]


def test_a_data_file_is_looked_for_here_and_then_beside_the_settings(tmp_path, monkeypatch):
    folder = tmp_path / "studies"
    folder.mkdir()
    (folder / "study.toml").write_text('data = "rows.csv"\n')
    (folder / "rows.csv").write_text("a,y\n1,2\n")
    monkeypatch.chdir(tmp_path)
    assert settings_for("studies/study.toml", {})["data"] == str(Path("studies/rows.csv"))
    (tmp_path / "rows.csv").write_text("a,y\n1,2\n")
    assert settings_for("studies/study.toml", {})["data"] == "rows.csv"


def test_a_settings_file_that_is_no_toml_is_refused(tmp_path):
    file = tmp_path / "study.toml"
    file.write_text("data = digits\n")
    with pytest.raises(UsageError, match=r"is not valid TOML: .*line 1"):
        settings_for(str(file), {})


def test_a_run_gets_the_next_free_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = {"data": "some/my data.csv.gz"}
    names = []
    for _ in range(3):
        folder = run_folder(None, settings)
        folder.mkdir(parents=True)
        names.append(folder)
    assert names == [Path("runs/my-data"), Path("runs/my-data-2"), Path("runs/my-data-3")]
    assert run_folder("elsewhere", settings) == Path("elsewhere")
    assert run_folder(None, {"data": "..."}) == Path("runs/run")


def test_a_run_to_start_from_is_looked_for_beside_the_settings_file(tmp_path):
    assert settings_for("new.csv", {"from_": "runs/old", "seeds": None}) == {
        "data": "new.csv",
        "from": "runs/old",
    }
    (tmp_path / "old").mkdir()
    (tmp_path / "study.toml").write_text('data = "digits"\nfrom = "old"\nkeep_duplicates_together = true')
    settings = settings_for(str(tmp_path / "study.toml"), {})
    assert settings["from"] == str(tmp_path / "old") and settings["keep_duplicates_together"] is True


def test_words_for_columns_join_those_of_the_file(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text('data = "a.csv"\ntest_file = "b.csv"\n[columns]\nzip = "text"\nrow = "ignore"\n')
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("x,y\n1,2\n")
    settings = settings_for(str(path), {"columns": ("zip=categorical,w=weight", "a,b=ignore"), "sql": None})
    assert settings == {
        "data": str(tmp_path / "a.csv"),
        "test_file": str(tmp_path / "b.csv"),
        "columns": {"zip": "categorical", "row": "ignore", "w": "weight", "a,b": "ignore"},
    }


@pytest.mark.parametrize("written", ["zip", "=text", "zip=", "zip=text,row"])
def test_words_for_columns_that_are_not_understood(written):
    with pytest.raises(UsageError, match="write NAME=WORD, such as zip=categorical"):
        settings_for("a.csv", {"columns": (written,)})
