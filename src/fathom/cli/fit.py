"""`fathom fit`: train a population on some data and keep the best."""

import contextlib
import dataclasses
import warnings
from collections.abc import Iterator
from typing import Annotated, Any

from cyclopts import Parameter

from .common import ALONE, PLAIN, Common, Processes, Reading, verb
from .outcome import speaks, watch
from .request import run_folder, settings_for
from .terminal import print_json, say

app = verb(
    "fit",
    "fathom fit digits",
    "fathom fit digits --budget 60s",
    "fathom fit data.csv --target y --metric roc_auc",
    "fathom fit data.csv --target y --model mlp --set model.width=[64,128]",
    'fathom fit digits --set "recipe.learning_rate={log=[1e-4,1e-1,8]}"',
    "fathom fit digits --model mlp --model linear --seeds 3 --plan-only",
    "fathom fit new.csv --from runs/data",
    "fathom fit study.toml --out runs/second",
    "fathom fit digits --track tensorboard",
)


@Parameter(name="*")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(Reading):
    """The settings of a study that have an option of their own, by the names that a settings file uses."""

    budget: Annotated[
        str | None, Parameter(help="What it may cost: 60s, 5m, 1h, '64 members' or '30 epochs'.")
    ] = None
    metric: Annotated[
        str | None, Parameter(help="What chooses: accuracy, log_loss, roc_auc, f1, rmse, mae, r2, ...")
    ] = None
    seeds: Annotated[int | None, Parameter(help="Seeds that each candidate is trained with.")] = None
    folds: Annotated[
        int | None, Parameter(help="Parts of the rows to validate on in turn; 1 for one division.")
    ] = None
    test: Annotated[float | None, Parameter(help="Share of the rows kept for the one test at the end.")] = (
        None
    )
    split_seed: Annotated[
        int | None, Parameter(help="Decides which rows are for training, validation and test.")
    ] = None
    keep_duplicates_together: Annotated[
        bool | None, Parameter(negative=(), help="Keep rows with equal cells on one side of every division.")
    ] = None
    stream: Annotated[
        bool | None,
        Parameter(
            negative=(), help="Leave the rows in the file: for data larger than memory; noticed by itself."
        ),
    ] = None
    from_: Annotated[
        str | None, Parameter(name="--from", help="A finished run whose networks are the first weights.")
    ] = None
    class_weight: Annotated[
        str | None,
        Parameter(help="'balanced', or yes=5,no=1: what the rows of a class count in training."),
    ] = None


NOTHING = Options()


@app.default
def fit(
    source: Annotated[str, Parameter(help="A bundled name, a data file, or a settings file (.toml).")],
    /,
    *,
    options: Options = NOTHING,
    model: Annotated[
        tuple[str, ...],
        Parameter(negative=(), help="An architecture (see fathom models); given again, one more to compare."),
    ] = (),
    set_: Annotated[
        tuple[str, ...],
        Parameter(
            name="--set", negative=(), help="A setting, NAME=VALUE as in TOML; may be given several times."
        ),
    ] = (),
    out: Annotated[
        str | None, Parameter(help="The run's folder; runs/NAME, with the next free number, if not given.")
    ] = None,
    measure: Annotated[
        bool, Parameter(negative=(), help="Note gradient, weight and step lengths, an epoch at a time.")
    ] = False,
    track: Annotated[
        str | None, Parameter(help="Tell a tracker of the run: tensorboard, mlflow or wandb.")
    ] = None,
    plan_only: Annotated[bool, Parameter(negative=(), help="Print what would be trained, and stop.")] = False,
    explain: Annotated[
        bool, Parameter(negative=(), help="Say what is compiled, why, and what it took.")
    ] = False,
    processes: Processes = ALONE,
    common: Common = PLAIN,
) -> None:
    """Train a population of networks on data and keep the best."""
    settings = settings_for(source, dataclasses.asdict(options), model, set_)
    processes.configure()
    import fathom as fm
    from fathom.study.study import RUN_OPTIONS
    from fathom.study.trackers import check_tracker

    if track is not None:
        check_tracker(track)
    study = fm.Study.from_settings(settings)
    cost: Any = settings.get("budget")
    run_options = {name: settings.get(name, usual) for name, usual in RUN_OPTIONS.items()}
    if plan_only:
        plan = study.plan(cost, shard=run_options["shard"])
        if speaks():
            print_json(plan.to_dict()) if common.json else say(plan.explain() if explain else str(plan))
        return
    folder = run_folder(out, settings)

    def run(callbacks: Any) -> Any:
        told = {**run_options, "measure": measure or run_options["measure"], "tracker": track}
        with _said_in_a_line():
            return study.run(folder, cost, callbacks=callbacks, **told)

    watch(folder, study.task.metric, common, run, explain)


@contextlib.contextmanager
def _said_in_a_line() -> Iterator[None]:
    """What is wrong with a tracker as a note, not as a warning of Python with its file and line."""
    from ..study.trackers import TrackerWarning

    with warnings.catch_warnings():
        show = warnings.showwarning

        def note(message: Any, category: Any, *where: Any) -> None:
            if issubclass(category, TrackerWarning):
                say(f"note: {message}", stderr=True)
            else:
                show(message, category, *where)

        warnings.simplefilter("always", TrackerWarning)
        warnings.showwarning = note
        yield
