"""Finished runs made by hand: what a report reads, without training."""

import json

import numpy as np

from fathom.engine.rungs import Rung
from fathom.study.evidence import FOLDER
from fathom.study.plan import CohortPlan, Plan
from fathom.study.result import answer
from fathom.study.run_folder import MEMBERS, RunFolder, clean

RECIPE = {
    "model": "mlp",
    "width": 8,
    "optimizer": "adamw",
    "epochs": 0,
    "weight_decay": 0.01,
    "loss": "",
    "patience": None,
}


def make_run(
    folder,
    rates=(0.001, 0.01, 0.1),
    folds=2,
    epochs=6,
    *,
    kind="classification",
    metric="accuracy",
    diverged=(),
    dropped=(),
    target="species",
    notes=(),
    test=True,
    baselines=None,
    overfit=False,
    extra=None,
    classes=("a", "b"),
    evidence=None,
):
    """A run whose candidates differ in learning rate; the second of them is the best.

    Args:
        folder: where to write it.
        rates: learning rate of each candidate.
        folds: members of each candidate.
        epochs: epochs of each member.
        kind: of task.
        metric: what chose.
        diverged: numbers of candidates that diverged.
        dropped: numbers of candidates that were dropped halfway.
        target: name of the target.
        notes: what was noticed about the data.
        test: whether there are test rows.
        baselines: their scores by name.
        overfit: whether validation loss turns up.
        extra: more settings for each candidate.
        classes: names of the classes.
        evidence: what the run keeps of its predictions; None for a run of an older version.
    """
    rising = metric != "rmse"
    run = RunFolder.create(folder)
    lines, ends, ranking, member = [], [], [], 0
    for candidate, rate in enumerate(rates):
        settings = {**RECIPE, "epochs": epochs, "learning_rate": rate, **(extra[candidate] if extra else {})}
        status = "diverged" if candidate in diverged else "dropped" if candidate in dropped else "finished"
        scores = []
        for fold in range(folds):
            lines.append(
                {
                    "event": "member",
                    "index": member,
                    "candidate": candidate,
                    "seed": 0,
                    "fold": fold,
                    "settings": settings,
                }
            )
            length = max(1, epochs // 2) if status == "dropped" else epochs
            curve = 0.9 - 0.02 * abs(candidate - 1) + 0.01 * fold - 0.5 / np.arange(1, length + 1)
            curve = curve if rising else 10 - curve
            for epoch, score in enumerate(curve):
                held = 1 / (epoch + 1) + (0.4 * max(0, epoch - epochs // 2) if overfit else 0.0)
                values = {"score": score, "train_loss": 0.8 / (epoch + 1) ** 2, "validation_loss": held}
                if status == "diverged" and epoch > 0:
                    values = dict.fromkeys(values, None)
                lines.append({"event": "epoch", "epoch": epoch, "member": member, **values})
            best = None if status == "diverged" else float(curve[-1])
            scores.append(best)
            last = {
                "status": status,
                "epochs": length,
                "score": best,
                "best_score": best,
                "best_epoch": length - 1,
            }
            step = 3 if status == "diverged" else -1
            ends.append({"event": "end", "member": member, **last, "diverged_step": step, "last_loss": 0.1})
            member += 1
        if status == "finished":
            ranking.append(
                {"candidate": candidate, "score": float(np.mean(scores)), "spread": 0.01, "scores": scores}
            )
    ranking.sort(key=lambda entry: -entry["score"] if rising else entry["score"])
    (run.path / MEMBERS).write_text("".join(json.dumps(clean(line)) + "\n" for line in lines + ends))
    cohort = CohortPlan("mlp 8 2", "nothing", len(rates), member, epochs, 4, 32, 8, 2, 139, 2200)
    plan = Plan((cohort,), 1, 1, folds, (Rung(0.5, 2),) if dropped else (), 2)
    run.write_study({"data": "iris", "target": target})
    run.write_plan(plan, "digest")
    best = ranking[0]
    found = {"linear": 0.91, "majority": 0.33} if baselines is None else baselines
    names = ("accuracy", "log_loss") if kind == "classification" else ("rmse", "mae")
    own = 0.95 if rising else 8.5
    summary = {
        "run": str(folder),
        "task": kind,
        "metric": metric,
        "greater_is_better": rising,
        "target": target,
        "test": {"rows": 0, "effective_rows": 0, "score": None, "ensemble_score": None}
        if not test
        else {
            "rows": 60,
            "effective_rows": 60,
            "score": own - 0.01,
            "ensemble_score": own,
            "metrics": dict.fromkeys(names, own - 0.01),
            "ensemble_metrics": dict.fromkeys(names, own),
        },
        "validation": {
            "score": best["score"],
            "standard_error": 0.007 if folds > 1 else None,
            "spread": 0.01,
            "candidate": best["candidate"],
            "scores": best["scores"],
            "not_worse_beyond_noise": [entry["candidate"] for entry in ranking[1:2]],
            "ranking": [
                {name: entry[name] for name in ("candidate", "score", "spread")} for entry in ranking
            ],
        },
        "baselines": {
            name: {"score": score, "metrics": dict.fromkeys(names, score), "seconds": 0.1}
            for name, score in (found if test else {}).items()
        },
        "members": member,
        "programs": 1,
        "status": {"finished": member},
        "chosen": {
            "member": 0,
            "fold": 0,
            "seed": 0,
            "best_epoch": epochs,
            "settings": {**RECIPE, "learning_rate": 0.01},
        },
        "ensemble": {"members": list(range(folds)), "temperature": 1.1},
        "data": {
            "name": "iris",
            "rows": 300,
            "features": 4,
            "classes": list(classes) if kind == "classification" else [],
            "train_rows": [160] * folds,
            "validation_rows": [80] * folds,
            "test_rows": 60 if test else 0,
            "notes": list(notes),
        },
        "plan": {"text": str(plan), "candidates": len(rates), "folds": folds, "seeds": 1},
        "seconds": {"compile": 4.2, "baselines": 0.5, "train": 2.5, "total": 8.0},
        "made": {"at": "2026-01-01T00:00:00+00:00", "fathom": "0.1.0", "jax": "0.10.2", "python": "3.11.7"},
    }
    run.write_result({**summary, "answer": answer(summary)})
    if evidence is not None:
        evidence.save(run.path / FOLDER)
    return run.path
