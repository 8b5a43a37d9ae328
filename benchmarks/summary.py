"""What was measured, in words: tables, how many times as fast Fathom is, and whether all reached the same accuracy."""

import math
import statistics
from typing import Any

from .harness import workload

#: What is compared, the first being the main one, by what a workload measures.
COMPARED = {
    "rounds": ("steady", "warm", "cold"),
    "starts": ("warm", "cold"),
    "memory": ("further", "peak"),
}
_HEADINGS = {
    "rounds": ["steady s, median (min)", "{each}", "of the ceiling", "warm s", "cold s"],
    "starts": ["warm s, median (min)", "cold s, median (min)"],
    "memory": ["largest resident set, MB", "kB a network, of all", "kB of each further network"],
}
_TIMES = {"memory": "fathom, times as little: "}


def by_size(found: list[dict[str, Any]]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """The records of each workload and size."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for record in found:
        groups.setdefault((record["workload"], record["size"]), []).append(record)
    return groups


def value(record: dict[str, Any], how: str, found: list[dict[str, Any]]) -> float | None:
    """Seconds or bytes of a record.

    Args:
        record: of one side.
        how: "steady", "warm" or "cold" seconds, the "peak" of resident bytes, or what each "further" network adds.
        found: all records; the bytes of a further network need those of the smallest size.

    Returns:
        The number, a median where there are several; None where it was not measured.
    """
    if "failed" in record:
        return None
    if how == "peak":
        return record["peak"]
    if how == "further":
        return _further(record, found)
    return statistics.median(record[how]) if record[how] else None


def _further(record: dict[str, Any], found: list[dict[str, Any]]) -> float | None:
    """What each network beyond those of the smallest size adds to the largest resident set."""
    sizes = workload(record["workload"]).SIZES
    least = min(sizes, key=lambda size: sizes[size]["members"])
    same = (record["workload"], least, record["side"])
    base = next((r for r in found if (r["workload"], r["size"], r["side"]) == same and "peak" in r), None)
    if base is None or record["size"] == least:
        return None
    more = sizes[record["size"]]["members"] - sizes[least]["members"]
    return max(record["peak"] - base["peak"], 0) / more


def ratios(
    record: dict[str, Any], ours: dict[str, Any] | None, found: list[dict[str, Any]]
) -> list[float | None]:
    """How many times as fast as a side Fathom is, or as little memory it takes, in each way compared."""
    measured = []
    for how in COMPARED[workload(record["workload"]).MEASURES]:
        theirs = value(record, how, found)
        own = value(ours, how, found) if ours and ours is not record else None
        measured.append(theirs / own if theirs is not None and own else None)
    return measured


def ours_of(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Fathom's record."""
    return next((row for row in rows if row["side"] == "fathom" and "failed" not in row), None)


def table(shown: list[dict[str, Any]], found: list[dict[str, Any]]) -> str:
    """What was measured, a row for each side, Fathom's ratio beside it.

    Args:
        shown: the records to print.
        found: all records.
    """
    lines = []
    for (name, size), rows in by_size(shown).items():
        module, ours = workload(name), ours_of(rows)
        each = "us a step and network" if module.COUNTS == "steps" else "rows a second"
        headings = [heading.format(each=each) for heading in _HEADINGS[module.MEASURES]]
        compared = _TIMES.get(module.MEASURES, "fathom, times as fast: ") + " / ".join(
            COMPARED[module.MEASURES]
        )
        headings = [f"{name} {size}", *headings, "reached", compared]
        lines += ["", f"| {' | '.join(headings)} |", "|---" * len(headings) + "|"]
        for row in rows:
            if "failed" in row:
                lines.append(f"| {row['side']} | failed: {row['failed']}" + " |" * (len(headings) - 1))
                continue
            times = ratios(row, ours, found)
            told = " / ".join("-" if r is None else f"{r:.2f}" for r in times) if any(times) else ""
            cells = [row["side"], *_cells(module, row, found), _reached(row, ours, module), told]
            lines.append(f"| {' | '.join(cells)} |")
        lines += [sentence(verdict) for verdict in verdicts(rows)]
    return "\n".join(lines)


def _cells(module: Any, row: dict[str, Any], found: list[dict[str, Any]]) -> list[str]:
    if module.MEASURES == "memory":
        further = value(row, "further", found)
        whole = row["peak"] / module.SIZES[row["size"]]["members"]
        return [
            f"{row['peak'] / 1e6:.0f}",
            f"{whole / 1e3:.0f}",
            "" if further is None else f"{further / 1e3:.0f}",
        ]
    if module.MEASURES == "starts":
        return [f"{statistics.median(row[how]):.1f} ({min(row[how]):.1f})" for how in ("warm", "cold")]
    middle = value(row, "steady", found)
    starts = [f"{statistics.median(row[how]):.1f}" for how in ("warm", "cold")]
    if not middle:
        return ["", "", "", *starts]
    each = middle / row["steps"] * 1e6 if module.COUNTS == "steps" else row["steps"] / middle
    return [
        f"{middle:.3f} ({min(row['steady']):.3f})",
        f"{each:.1f}" if module.COUNTS == "steps" else f"{each:,.0f}",
        f"{row['operations'] / middle / 1e9 / row['ceiling']:.0%}" if "operations" in row else "",
        *starts,
    ]


def _reached(row: dict[str, Any], ours: dict[str, Any] | None, module: Any) -> str:
    differs = ours is not None and abs(row["reached"] - ours["reached"]) > tolerance(
        ours["reached"], module.HELD
    )
    return f"{row['reached']:.4f}" + (", differs" if differs else "")


def tolerance(share: float, rows: int) -> float:
    """How far apart two accuracies may be: two standard errors of a share counted on so many rows, at least a point.

    Two rows of each kind are added (Agresti and Coull 1998), so that a share of one has an error as well.
    """
    share = (share * rows + 2) / (rows + 4)
    return max(2 * math.sqrt(share * (1 - share) / rows), 0.01)


def verdicts(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each size with several sides: whether Fathom reached what the others did, their median."""
    judged = []
    for (name, size), rows in by_size(found).items():
        ours = ours_of(rows)
        others = [row["reached"] for row in rows if row is not ours and "failed" not in row]
        if ours is None or not others:
            continue
        middle = statistics.median(others)
        allowed = tolerance(middle, workload(name).HELD)
        judged.append(
            {
                "workload": name,
                "size": size,
                "fathom": ours["reached"],
                "others": middle,
                "tolerance": allowed,
                "equal": abs(ours["reached"] - middle) <= allowed,
            }
        )
    return judged


def sentence(verdict: dict[str, Any]) -> str:
    """A verdict in words."""
    said = "Equal accuracy" if verdict["equal"] else "NOT EQUAL ACCURACY"
    return (
        f"{said} in {verdict['workload']} {verdict['size']}: Fathom {verdict['fathom']:.4f}, the others "
        f"{verdict['others']:.4f} (median); {100 * verdict['tolerance']:.1f} points apart are within chance on "
        f"{workload(verdict['workload']).HELD} held rows."
    )


def minutes(found: list[dict[str, Any]]) -> float:
    """How long the sides took in all when they were measured."""
    return sum(record.get("spent", 0.0) for record in found) / 60
