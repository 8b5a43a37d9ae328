"""What to try next, derived from the record: each piece says what was seen and the one thing that would test it."""

import dataclasses
import math
import shlex
from collections.abc import Callable, Sequence

from ..look import format_count, format_number, format_share
from .curves import overfits, peak_epoch
from .record import Record
from .sweeps import is_number

_MOST = 6


@dataclasses.dataclass(frozen=True)
class Advice:
    """One thing to try.

    Attributes:
        seen: what in the record speaks for it.
        do: what to try.
        command: the command that does; empty where a person has to look.
    """

    seen: str
    do: str
    command: str = ""


def advice(record: Record) -> list[Advice]:
    """What to try next, what matters most first, at most six.

    Args:
        record: the run.
    """
    checks: Sequence[Callable[[Record], Advice | None]] = (
        _no_test, _leak, _baseline_wins, _edge_of_learning_rate, _diverged, _still_improving, _overfits,
        _labels, _tie, _single_seed, _threshold, _intervals, _useless_columns, _few_test_rows,
    )  # fmt: skip
    found = [piece for check in checks if (piece := check(record)) is not None]
    return found[:_MOST]


def fit(record: Record, *options: str) -> str:
    """The command that fits the same data again with more options; empty for data that was in memory."""
    data = str(record.study.get("data", ""))
    if not data or data.startswith("(in memory"):
        return ""
    target = ("--target " + shlex.quote(record.summary["target"]),) if "." in data or "/" in data else ()
    return " ".join(("fathom fit", shlex.quote(data), *target, *options))


def longer(record: Record) -> str:
    """A budget of about four times what the run took, in whole minutes."""
    return f"{max(1, math.ceil(4 * record.summary['seconds']['total'] / 60))}m"


def _no_test(record: Record) -> Advice | None:
    if record.summary["test"]["score"] is not None:
        return None
    return Advice(
        "No test rows were kept, so no number here is unbiased.",
        "Keep a fifth of the rows for one test at the end.",
        fit(record, "--test 0.2"),
    )


def _leak(record: Record) -> Advice | None:
    leaks = [
        s
        for s in record.summary["data"].get("suspicions") or ()
        if "leak" in s["what"] or "target" in s["what"]
    ]
    leaks = [s for s in leaks if s.get("columns")]
    if not leaks:
        return None
    names = [str(n) for s in leaks for n in s["columns"]][:3]
    return Advice(
        leaks[0]["said"],
        "If it would not be known when you predict, leave it out and see what is left of the score.",
        fit(record, "--columns " + shlex.quote(",".join(f"{n}=ignore" for n in names))),
    )


def _baseline_wins(record: Record) -> Advice | None:
    test, baselines = record.summary["test"], record.summary["baselines"]
    if test["score"] is None or not baselines:
        return None
    name = (max if record.rising else min)(baselines, key=lambda n: baselines[n]["score"])
    own, best = test["ensemble_score"], baselines[name]["score"]
    if (best <= own) if record.rising else (best >= own):
        return None
    word = name.replace("_", " ")
    return Advice(
        f"The baseline {word} scores {format_number(best)}, the networks {format_number(own)}.",
        f"Use {word}, or give the search more time.",
        fit(record, f"--budget {longer(record)}"),
    )


def _tried(record: Record, name: str) -> list[float]:
    values = [c.settings.get(name) for c in record.candidates]
    return sorted({float(v) for v in values if is_number(v)}) if all(map(is_number, values)) else []


def _edge_of_learning_rate(record: Record) -> Advice | None:
    for name in ("learning_rate", "weight_decay"):
        tried = _tried(record, name)
        if len(tried) < 3 or tried[0] <= 0 or not record.candidates[0].rank:
            continue
        best = float(record.candidates[0].settings[name])
        place = math.log(best / tried[0]) / math.log(tried[-1] / tried[0])
        if 0.08 < place < 0.92 and best not in (tried[0], tried[-1]):
            continue
        low, high = (best / 10, best * 3) if place < 0.5 else (best / 3, best * 10)
        end = "low" if place < 0.5 else "high"
        word = name.replace("_", " ")
        return Advice(
            f"The best {word}, {best:.3g}, is at the {end} end of those tried ({tried[0]:.3g} to {tried[-1]:.3g}).",
            "Search beyond it.",
            fit(record, f'--set "recipe.{name}={{log=[{low:.2g},{high:.2g}]}}"'),
        )
    return None


def _diverged(record: Record) -> Advice | None:
    diverged = [c for c in record.candidates if c.status == "diverged"]
    if len(diverged) < max(1, 0.15 * len(record.candidates)):
        return None
    safe = [c.settings.get("learning_rate") for c in record.candidates if c.status != "diverged"]
    safe = [float(v) for v in safe if is_number(v)]
    tried = _tried(record, "learning_rate")
    command = ""
    if safe and len(tried) > 1:
        command = fit(
            record,
            f'--set "recipe.learning_rate={{log=[{tried[0]:.2g},{max(safe):.2g}]}}"',
        )
    many = "1 candidate" if len(diverged) == 1 else f"{len(diverged)} candidates"
    return Advice(
        f"{many} of {len(record.candidates)} diverged.",
        "Spend their time on rates that train." if command else "Lower the learning rate, or clip gradients.",
        command,
    )


def _still_improving(record: Record) -> Advice | None:
    best = record.candidates[0]
    epochs = max(
        (row["epochs"] for row in record.rows if row["candidate"] == best.index),
        default=0,
    )
    if not best.rank or epochs < 3 or peak_epoch(record, best) < epochs:
        return None
    return Advice(
        f"The best candidate was still improving at its last epoch, {epochs}.",
        "Train twice as long.",
        fit(record, f"--set recipe.epochs={2 * epochs}"),
    )


def _overfits(record: Record) -> Advice | None:
    if not record.candidates[0].rank or not overfits(record):
        return None
    return Advice(
        "Validation loss turns up while training loss falls on.",
        "Try more dropout and weight decay; the best epoch is kept in any case.",
        fit(
            record,
            '--set "recipe.dropout={linear=[0.1,0.6]}"',
            '--set "recipe.weight_decay={log=[1e-2,1]}"',
        ),
    )


def _labels(record: Record) -> Advice | None:
    count = record.evidence.label_error_count or 0
    if not count:
        return None
    rows = [str(row["row"]) for row in (record.evidence.label_errors or ())[:3]]
    return Advice(
        f"{format_count(count)} label{' looks' if count == 1 else 's look'} wrong to networks that never saw the row.",
        f"Look at row{'s' * (len(rows) > 1)} {', '.join(rows)} first; a wrong label costs score that no model can win.",
    )


def _tie(record: Record) -> Advice | None:
    equals = record.summary["validation"].get("not_worse_beyond_noise") or []
    seeds = record.summary["plan"]["seeds"]
    if len(equals) < 2 or len(record.candidates[0].members) < 2:
        return None
    return Advice(
        f"{len(equals)} other candidates are as good as the winner within noise.",
        "To tell them apart, train more seeds; to predict, nothing is lost: the ensemble holds several of them.",
        fit(record, f"--seeds {max(3, 2 * seeds)}"),
    )


def _single_seed(record: Record) -> Advice | None:
    if len(record.candidates[0].members) > 1:
        return None
    return Advice(
        "Every candidate was trained once, so luck and merit cannot be told apart.",
        "Train several seeds.",
        fit(record, "--seeds 3"),
    )


def _threshold(record: Record) -> Advice | None:
    found = record.evidence.thresholds or []
    used = record.summary.get("decision", {}).get("threshold")
    if not found or used is None:
        return None
    best = max(found, key=lambda row: row["f1"] or 0.0)
    now = min(found, key=lambda row: abs(row["threshold"] - used))
    if (best["f1"] or 0.0) - (now["f1"] or 0.0) < 0.02:
        return None
    return Advice(
        f"F1 is {format_number(float(best['f1']))} at threshold {best['threshold']:.2g}, "
        f"{format_number(float(now['f1']))} at {used:.2g}, which the run uses.",
        "If you care for F1, choose by it: the threshold is then tuned for it.",
        fit(record, "--metric f1"),
    )


def _intervals(record: Record) -> Advice | None:
    found = record.evidence.calibration
    if not found or not found.get("asked") or not found.get("found_low"):
        return None
    off = [
        (a, f) for a, f, h in zip(found["asked"], found["found"], found["found_high"], strict=True) if h < a
    ]
    if not off:
        return None
    asked, share = off[-1]
    return Advice(
        f"Intervals of {format_share(asked)} hold only {format_share(share)} of the test rows.",
        "The test rows may differ from the rest: see Data; more folds steady the intervals.",
        fit(record, "--folds 10"),
    )


def _useless_columns(record: Record) -> Advice | None:
    found = record.evidence.importance or []
    idle = [
        str(row["feature"]) for row in found if row["high"] <= 0 or (row["low"] <= 0 and row["mean"] <= 0)
    ]
    if len(found) < 4 or not idle or len(found) > 60:
        return None
    names = idle[:3]
    return Advice(
        f"Of {len(found)} columns {len(idle)} {'does' if len(idle) == 1 else 'do'} not matter beyond chance: "
        f"{', '.join(names)}{', …' if len(idle) > len(names) else ''}.",
        "Try without: cheaper to feed, and it may score the same.",
        fit(
            record,
            "--columns " + shlex.quote(",".join(f"{name}=ignore" for name in idle[:8])),
        ),
    )


def _few_test_rows(record: Record) -> Advice | None:
    rows = record.summary["test"]["rows"]
    if not 0 < rows < 200:
        return None
    return Advice(
        f"The test stands on {rows} rows, so its interval is wide.",
        "More labeled rows narrow it: four times as many halve it.",
    )
