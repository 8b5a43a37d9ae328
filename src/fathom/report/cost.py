"""What the run cost: time, programs, and the members that were not trained to the end."""

from collections import Counter
from typing import Any

from ..look import format_count, format_seconds, format_share
from .chart import Figure, rows_of, tips
from .palette import BAD, INK, MUTED, TRAINING, VALIDATION
from .record import Record

_WORDS = {"compile": "compiling", "train": "training", "choose": "choosing, testing"}


def seconds_figure(record: Record) -> Figure:
    """Where the run's time went.

    Args:
        record: the run.
    """
    seconds = dict(record.summary["seconds"])
    total = seconds.pop("total")
    parts = {_WORDS.get(name, name.replace("_", " ")): value for name, value in seconds.items() if value}
    rest = "data, plan" if "choose" in seconds else "data, plan, choosing"
    parts[rest] = max(0.0, total - sum(parts.values()))
    rows = [
        {
            "part": n,
            "seconds": s,
            "text": format_seconds(s),
            "say_share": format_share(s / total if total else 0.0),
        }
        for n, s in sorted(parts.items(), key=lambda e: -e[1])
    ]
    devices = record.plan.get("devices", 1)
    caption = f"Wall-clock time of the whole run, {format_seconds(total)}, on {devices} device{'s' * (devices > 1)}."
    title = f"Most of {format_seconds(total)} went into {rows[0]['part']}"
    columns = (("part", "part"), ("text", "time"), ("say_share", "say_share"))
    return Figure("time", title, caption, _bars("part", "seconds", rows, TRAINING), {"rows": rows}, columns,
                  height=34 * len(rows) + 62)  # fmt: skip


def _bars(name: str, value: str, rows: list[dict[str, Any]], color: str) -> Any:
    import altair as alt

    order = [row[name] for row in rows]
    y = alt.Y(
        f"{name}:N",
        sort=order,
        title=None,
        axis=alt.Axis(labelLimit=170, labelColor=INK, domain=False),
    )
    most = max((row[value] for row in rows), default=0.0)
    scale = alt.Scale(domain=[0, 1.22 * most or 1.0], nice=False)
    x = alt.X(
        f"{value}:Q",
        title=value,
        axis=alt.Axis(tickCount=5, grid=True),
        scale=scale,
    )
    told = tips((name, name), ("text", value), ("say_share", "say_share"))
    base = rows_of("rows").encode(x=x, y=y, tooltip=told)
    text = base.mark_text(align="left", dx=6).encode(text="text:N", color=alt.value(INK))
    shade = alt.Color("color:N", scale=None) if "color" in rows[0] else alt.value(color)
    return alt.layer(base.mark_bar(height=12).encode(color=shade), text)


def ends_figure(record: Record) -> Figure | None:
    """How long members trained, and why they ended.

    Args:
        record: the run.

    Returns:
        The figure; None where every member went all the way.
    """
    ends = Counter((row["status"], row["epochs"]) for row in record.rows)
    if len(ends) < 2:
        return None
    look = {
        "finished": (VALIDATION, "to the end"),
        "stopped": (TRAINING, "stopped, no better"),
        "dropped": (MUTED, "dropped, others better"),
        "diverged": (BAD, "diverged"),
    }
    groups: dict[str, list[tuple[int, int]]] = {}
    for (status, epochs), count in ends.items():
        groups.setdefault(status, []).append((epochs, count))
    rows = []
    for status in sorted(groups, key=lambda s: list(look).index(s) if s in look else 9):
        color, word = look.get(status, (MUTED, status))
        count = sum(n for _, n in groups[status])
        trained = sum(e * n for e, n in groups[status])
        share = format_share(count / len(record.rows))
        rows.append({"ended": word, "members": count, "text": format_count(count), "color": color, "say_share": share,
                     "epochs": trained})  # fmt: skip
    early = sum(row["members"] for row in rows[1:])
    all_epochs = len(record.rows) * max(row["epochs"] for row in record.rows)
    spared = 1 - sum(row["epochs"] for row in rows) / all_epochs
    title = f"{format_count(early)} of {format_count(len(record.rows))} members ended early"
    title += f", which spared {format_share(spared)} of the epochs" if spared >= 0.01 else ""
    caption = f"n = {format_count(len(record.rows))} members, by how they ended."
    columns = (
        ("ended", "ended"),
        ("members", "members"),
        ("say_share", "say_share"),
        ("epochs", "epochs trained"),
    )
    return Figure("ends", title, caption, _bars("ended", "members", rows, MUTED), {"rows": rows}, columns,
                  height=34 * max(3, len(rows)) + 62)  # fmt: skip


def why_dropped(record: Record) -> list[str]:
    """What became of members before their last epoch, a sentence each."""
    said = []
    for event in record.events:
        if event["event"] == "rung" and event.get("dropped"):
            at, kept = _percent(event["at"]), format_count(len(event["kept"]))
            said.append(
                f"After {at} of the epochs {kept} candidates went on and {format_count(len(event['dropped']))} "
                "members were dropped: others validated better."
            )
        elif event["event"] == "slower":
            planned, kept = format_count(event["planned"]), format_count(event["kept"])
            said.append(
                f"Training ran slower than planned: after {_percent(event['at'])} of the epochs {kept} "
                f"candidates were kept in place of {planned}, to keep within the budget."
            )
    diverged = [row for row in record.rows if row["status"] == "diverged"]
    if diverged:
        steps = [row["diverged_step"] for row in diverged if row.get("diverged_step", -1) >= 0]
        first = f", the first at step {format_count(min(steps))}" if steps else ""
        many = "1 member" if len(diverged) == 1 else f"{format_count(len(diverged))} members"
        rates = sorted({float(row["learning_rate"]) for row in diverged if "learning_rate" in row})
        where = f"; their learning rates begin at {rates[0]:.3g}" if rates else ""
        said.append(f"{many} diverged (a loss or weight was no longer finite){first}{where}.")
    return said


def _percent(share: float) -> str:
    """A share that was set, as it was set."""
    return f"{100 * share:.3g}\u202f%"
