"""What came out: the blocks of a record that hold results. No number is shown without its n."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from quadrat.logbook.facts import NOT_RECORDED, Facts, items, lookup, mapping, number, rows, run_name
from quadrat.logbook.markdown import (
    bullets,
    code,
    duration,
    figure,
    inline,
    link,
    places,
    probability,
    row_value,
    size,
    table,
)
from quadrat.logbook.setting import nothing, stated

MOST_RUNS = 200
_BEST = re.compile(r"\bof the best\b")
_SELECTION = (
    "A criterion on the best value takes the best of all steps of each run. Where it is measured on test data that is\n"
    "a selection, not an estimate of what a model chosen without it would reach."
)
_MOST_VALUES = 10
_MOST_WARNINGS = 20
FEWEST = 3
"""An interval needs at least this many values; below, the values themselves are the statement."""


def runs(facts: Facts) -> str:
    """Every run beside the folder that holds what it left."""
    found = rows(facts, "runs")
    if not found:
        return nothing(facts, "runs")
    shown = found if len(found) <= MOST_RUNS else [row for row in found if row.get("status") != "completed"]
    columns = [
        column for column in _RUN_COLUMNS if column[1] is None or any(row.get(column[1]) is not None for row in found)
    ]
    body = [[show(row) for _, _, show in columns] for row in shown]
    right = [i for i, (title, _, _) in enumerate(columns) if title in ("Seed", "Last step", "Time")]
    parts = [f"Started from: {_starts(found)}."]
    if body:
        parts.append(table([title for title, _, _ in columns], body, right=right))
    if len(shown) < len(found):
        parts.append(
            f"The other {len(found) - len(shown)} of {len(found)} runs completed; the evidence folder lists them."
        )
    return "\n\n".join(parts)


def _starts(found: Sequence[Mapping[str, Any]]) -> str:
    """What the runs started from: nothing at all, or a checkpoint that the table names."""
    known = [row["initialised_from"] for row in found if "initialised_from" in row]
    if len(known) < len(found):
        return NOT_RECORDED
    return "scratch, or the checkpoint named" if any(known) else "scratch, every run"


def _start(row: Mapping[str, Any]) -> str:
    """What one run started from."""
    return inline(row.get("initialised_from") or "scratch")


_RUN_COLUMNS: Sequence[tuple[str, str | None, Any]] = (
    ("Run", None, lambda row: code(row.get("name", ""))),
    ("Stage", "stage", lambda row: inline(row.get("stage") or "none")),
    ("Arm", "arm", lambda row: inline(row.get("arm") or "none")),
    ("Seed", None, lambda row: figure(row.get("seed"))),
    ("Status", None, lambda row: inline(row.get("status", NOT_RECORDED))),
    ("Last step", "step", lambda row: figure(row.get("step"))),
    ("Time", "duration_s", lambda row: duration(row.get("duration_s"))),
    ("Started from", "initialised_from", _start),
    ("Output folder", None, lambda row: code(row["folder"]) if row.get("folder") else stated(row, "folder")),
)


def gates(facts: Facts) -> str:
    """Each stage's criterion beside what was measured."""
    found = rows(facts, "gates")
    if not found:
        return "No gate was declared." if "gates" in facts else NOT_RECORDED
    body = [
        (
            inline(row.get("stage") or "all"),
            inline(row.get("condition") or "all"),
            code(row_value(row, "criterion") or NOT_RECORDED),
            figure(row.get("measured")) if row.get("measured") is not None else inline(row.get("reason") or "none"),
            figure(row.get("n")),
            inline(row_value(row, "outcome", "result") or NOT_RECORDED),
        )
        for row in found
    ]
    parts = [table(("Stage", "Condition", "Criterion", "Measured", "n", "Outcome"), body, right=(4,))]
    let_through = [
        (f"{inline(row.get('stage') or 'all')}, {inline(row.get('condition') or 'all')}", inline(row["override"]))
        for row in found
        if row.get("override")
    ]
    if let_through:
        parts += ["Let through by a person:", bullets(let_through)]
    if any(_BEST.search(str(row.get("criterion"))) for row in found):
        parts.append(_SELECTION)
    return "\n\n".join(parts)


def metrics(facts: Facts) -> str:
    """Each metric by condition. n counts every run of the condition, failed ones too."""
    found = rows(facts, "metrics")
    if not found:
        return nothing(facts, "metrics")
    ranked = sorted(found, key=lambda row: bool(row.get("oracle")))
    titles = ("Metric", "Condition", "n", "With a value", "Mean", "Interval", "Method", "Values")
    text = table(titles, [_metric(row) for row in ranked], right=(2, 3, 4))
    notes = [
        "n counts every run of the condition, failed and stopped ones too; the mean covers those with a value.\n"
        f"With fewer than {FEWEST} values no interval is given."
    ]
    others = {str(row.get("metric")) for row in rows(facts, "secondary")}
    if others:
        notes.append(f"Other metrics, in the evidence folder: {len(others)}.")
    if any(row.get("oracle") for row in found):
        notes.append(
            "Oracle and trivial rows are yardsticks and take no part in a ranking:\n"
            "an oracle is given what a model has to find out, a trivial score needs no model."
        )
    return "\n\n".join([text, *notes])


def _metric(row: Mapping[str, Any]) -> tuple[str, ...]:
    """One row of the table of results."""
    low, high = bounds(row)
    decimals = places(low, high)
    values = items(row, "values")
    given = low is not None and high is not None
    same = len(values) > FEWEST and len({figure(item) for item in values}) == 1
    shown = values[:1] if same else values[:_MOST_VALUES]
    listed = ", ".join(figure(item, decimals) for item in shown)
    more = f" (all {len(values)})" if same else ""
    more = more or (f", ... ({len(values)} in all)" if len(values) > _MOST_VALUES else "")
    name = inline(row.get("condition") or "all")
    return (
        code(row.get("metric", "")),
        f"{name} ({_yardstick(row)})" if row.get("oracle") else name,
        figure(row.get("n")),
        figure(measured(row)),
        figure(row.get("mean"), decimals) if measured(row) else "none",
        f"[{figure(low, decimals)}, {figure(high, decimals)}]" if given else "none",
        inline(row.get("method") or NOT_RECORDED) if given else _no_interval(row),
        f"{listed}{more}" if values else "none",
    )


def _yardstick(row: Mapping[str, Any]) -> str:
    """What kind of yardstick a row is; its metric's first part says it."""
    return "trivial" if str(row.get("metric")).startswith("trivial/") else "oracle"


def _no_interval(row: Mapping[str, Any]) -> str:
    """Why there is no interval."""
    told = str(row.get("method") or "")
    known = told.startswith(("no", "one")) or (measured(row) >= FEWEST and told)
    return inline(told) if known else "values only"


def measured(row: Mapping[str, Any]) -> int:
    """How many runs gave a value."""
    count = row.get("measured")
    if isinstance(count, int):
        return count
    values = items(row, "values")
    known = row.get("n")
    return len(values) if values else known if isinstance(known, int) else 0


def bounds(row: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """The interval of a row, when there are enough values for one."""
    if measured(row) < FEWEST:
        return None, None
    return number(row, "low"), number(row, "high")


def comparisons(facts: Facts) -> str:
    """Each condition against the named baseline, paired by seed."""
    found = rows(facts, "comparisons")
    if not found:
        return "No comparison was declared." if "comparisons" in facts else NOT_RECORDED
    body: list[tuple[str, ...]] = []
    for row in found:
        low, high = bounds(row)
        decimals = places(low, high)
        interval = "none" if low is None or high is None else f"[{figure(low, decimals)}, {figure(high, decimals)}]"
        body.append(
            (
                code(row.get("metric", "")),
                inline(row.get("condition", "")),
                inline(row.get("baseline") or NOT_RECORDED),
                figure(row.get("n")),
                figure(row.get("measured")),
                figure(number(row, "difference"), decimals),
                interval,
                inline(row.get("method") or NOT_RECORDED) if interval != "none" else _no_interval(row),
                probability(row.get("p")),
                probability(row.get("p_holm")),
            )
        )
    titles = ("Metric", "Condition", "Baseline", "n", "Pairs", "Difference", "Interval", "Method", "p", "p (Holm)")
    return table(titles, body, right=(3, 4, 5, 8, 9))


def health(facts: Facts) -> str:
    """Every rule that warned or failed, and every run that did not complete."""
    if "health" not in facts and "runs" not in facts:
        return NOT_RECORDED
    fired = [row for row in rows(facts, "health") if str(_level(row)) not in ("ok", "pass")]
    parts: list[str] = []
    if fired:
        body = [
            (
                inline(row.get("run") or "all"),
                code(row_value(row, "rule", "id") or ""),
                inline(_level(row) or NOT_RECORDED),
                figure(row.get("step")),
                code(row_value(row, "metric") or ""),
                figure(row.get("value")),
                inline(row_value(row, "threshold") or "none"),
                inline(row_value(row, "diagnosis") or "none"),
            )
            for row in fired
        ]
        titles = ("Run", "Rule", "Level", "Step", "Metric", "Value", "Threshold", "Diagnosis")
        parts.append(table(titles, body, right=(3, 5)))
    else:
        parts.append("No health rule fired." if "health" in facts else f"Health rules: {NOT_RECORDED}.")
    ended = [row for row in rows(facts, "runs") if str(row.get("status")) not in ("completed", "pending", "running")]
    if ended:
        body = [
            (code(run_name(row)), inline(row.get("status", "")), figure(row.get("step")), _why(row)) for row in ended
        ]
        parts.append(table(("Run", "Status", "Last step", "Reason"), body, right=(2,)))
    told = [f"- {code(row.get('run', ''))}: {inline(row.get('what', ''))}" for row in rows(facts, "warnings")]
    if told:
        left = [f"- and {len(told) - _MOST_WARNINGS} more"] if len(told) > _MOST_WARNINGS else []
        parts.append("\n".join(["Warnings:", "", *told[:_MOST_WARNINGS], *left]))
    return "\n\n".join(parts)


def _level(row: Mapping[str, Any]) -> Any:
    """How bad a rule's finding is."""
    return row_value(row, "level", "result", "status")


def _why(row: Mapping[str, Any]) -> str:
    """Why a run ended early: the diagnosis, else the error."""
    for key in ("diagnosis", "error"):
        here = row.get(key)
        if isinstance(here, Mapping):
            named = row_value(here, "rule", "type")
            told = row_value(here, "diagnosis", "message") or ""
            return inline(f"{named}: {told}" if named and told else named or told) or "none"
        if here:
            return code(here)
    return "none"


def runtime(facts: Facts) -> str:
    """How long it took."""
    if "runtime" not in facts:
        return NOT_RECORDED
    per_run = mapping(facts, "runtime.per_run_s")
    times = [float(item) for item in per_run.values() if isinstance(item, int | float) and not isinstance(item, bool)]
    about = mapping(facts, "runtime")
    pairs = [("Total", duration(about.get("total_s")))]
    if times:
        spread = f"from {duration(min(times))} to {duration(max(times))} (n = {len(times)})"
        pairs.append(("Per run", f"median {duration(median(times))}, {spread}"))
    if about.get("cpu_total_s") is not None:
        pairs.append(("Processor time", f"{duration(about['cpu_total_s'])} in {about.get('processes')} processes"))
    if about.get("rss_peak_bytes") is not None:
        pairs.append(("Memory", f"{size(about['rss_peak_bytes'])} in the largest process"))
    if about.get("gpu") is not None:
        pairs.append(("GPU", _devices(about["gpu"])))
    found, energy = lookup(facts, "runtime.energy_j")
    pairs.append(("Energy", f"{figure(energy)} J" if found and energy is not None else "not measured"))
    return bullets(pairs)


def _devices(told: Any) -> str:
    if not isinstance(told, Mapping):
        return "in use; its driver did not answer"
    units = (("percent", "{:.0f} % busy"), ("watts", "{:.0f} W"), ("celsius", "at most {:.0f} C"))
    parts = [form.format(told[key]) for key, form in units if isinstance(told.get(key), int | float)]
    if told.get("memory_bytes") is not None:
        parts.append(f"at most {size(told['memory_bytes'])} in use")
    return ", ".join(parts)


def figures(facts: Facts) -> str:
    """The pictures, beside the record."""
    found = [str(item) for item in items(facts, "figures")]
    if not found:
        return nothing(facts, "figures")
    pictures = (".svg", ".png", ".jpg", ".jpeg", ".gif", ".webp")
    return "\n\n".join(link(path, image=path.lower().endswith(pictures)) for path in found)


def verdict(facts: Facts) -> str:
    """What the conclusion has to agree with."""
    outcomes = [
        f"{inline(row.get('stage') or 'all')} {inline(row_value(row, 'outcome', 'result') or NOT_RECORDED)}"
        for row in rows(facts, "gates")
    ]
    said = ", ".join(outcomes) if outcomes else ("none declared" if "gates" in facts else NOT_RECORDED)
    return bullets([("Gates", said), ("Runs", stated(facts, "status_account"))])
