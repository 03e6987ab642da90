"""The parts of a page around its results: what was asked, what was run, what went wrong, how it was set up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from quadrat.analyze.declaration import plain
from quadrat.report.facts import Facts
from quadrat.report.markup import Child, Markup, join, link, table, tag
from quadrat.report.numbers import NONE, decimals, duration, number, size

_SIGNS: Mapping[str, str] = {
    "completed": "✓",
    "stopped": "■",
    "failed": "✕",
    "lost": "✕",
    "preempted": "◧",
    "skipped": "○",
    "running": "▶",
    "pending": "◌",
    "pass": "✓",
    "partial": "◐",
    "fail": "✕",
    "inconclusive": "?",
    "not_run": "○",
    "ok": "✓",
    "warn": "◐",
    "not_measured": "○",
    "validated": "✓",
    "retest": "?",
    "not tested": "○",
}


def chip(status: str) -> Markup:
    """A status as a sign, a colour and a word."""
    word = "missing" if status == "pending" else status.replace("_", " ")
    return tag(
        "span",
        tag("i", _SIGNS.get(status, ""), aria_hidden="true"),
        f" {word}",
        class_=f"chip {status.replace(' ', '_')}",
    )


def coverage(facts: Facts) -> Markup:
    """The account that adds up, as a sentence and as a bar."""
    counts = facts.coverage["counts"]
    bar = [tag("span", class_=status, style=f"flex: {count}") for status, count in counts.items()]
    legend = [tag("li", chip(status), f" {count}") for status, count in counts.items()]
    notes = [*facts.coverage["damage"]]
    if undeclared := facts.coverage["undeclared"]:
        notes.append(f"Not declared, and not counted: {', '.join(undeclared)}.")
    return join(
        [
            tag("p", facts.status_account, class_="account"),
            tag("div", bar, class_="bar", aria_hidden="true"),
            tag("ul", legend, class_="legend"),
            [tag("p", note, class_="note") for note in notes],
        ]
    )


def verdicts(facts: Facts) -> Markup:
    """How the stages fared against their gates, and how each group of runs ended."""
    return join([_gates(facts), _groups(facts)])


def _gates(facts: Facts) -> Markup:
    if not facts.gates:
        text = "No gate was declared: whether the hypothesis holds is for a reader to judge, from the intervals below."
        return tag("p", text, class_="note")
    body = [
        (
            row["stage"],
            row["condition"],
            chip(row["outcome"]),
            row["criterion"],
            _measured(row),
            row["n"],
            row["account"],
        )
        for row in facts.gates
    ]
    head = ["Stage", "Condition", "Outcome", "Criterion", "Measured", "n", "Runs"]
    return join([_board(facts), table("Stages and their gates.", body, head=head, numeric=(5,))])


def _measured(row: Mapping[str, Any]) -> Child:
    told = row["measured"] or row["reason"] or NONE
    return join([told, tag("small", f" let through by hand: {row['override']}")]) if row["override"] else told


def _board(facts: Facts) -> Markup:
    """What is known about each arm, the queued ones first."""
    body = [(line["place"] or NONE, line["condition"], chip(line["mark"]), line["why"]) for line in facts.board]
    marks = [line["mark"] for line in facts.board]
    counted = ", ".join(f"{marks.count(mark)} {mark}" for mark in dict.fromkeys(marks))
    return table(f"The board: {counted}.", body, head=["Queue", "Condition", "Mark", "Why"], numeric=(0,))


def _groups(facts: Facts) -> Markup:
    counts = facts.coverage["counts"]
    rules = {found["run"]: str(found.get("rule")) for found in facts.health}
    places = {_place(run): run for run in facts.runs}
    body: list[Sequence[Child]] = []
    for row in facts.conditions:
        mine = [
            name
            for name, run in places.items()
            if run["condition"] == _label(row, facts) and run["stage"] == row["stage"]
        ]
        found = sorted({rules[name] for name in mine if name in rules})
        name = join([row["condition"], tag("small", " baseline") if row["baseline"] else None])
        numbers = [row["counts"].get(status, 0) or NONE for status in counts]
        body.append((name, row["planned"], *numbers, ", ".join(found) or NONE))
    head = ["Condition", "Planned", *("missing" if status == "pending" else status for status in counts), "Diagnoses"]
    numeric = range(1, 2 + len(counts))
    return table("How the runs of each condition ended.", body, head=head, numeric=numeric)


def _label(row: Mapping[str, Any], facts: Facts) -> str:
    """A condition's name without its stage, as the runs carry it."""
    stages = {run["stage"] for run in facts.runs}
    return row["condition"].removeprefix(f"{row['stage']}/") if len(stages) > 1 and row["stage"] else row["condition"]


def _place(run: Mapping[str, Any]) -> str:
    return f"{run['stage']}/{run['name']}" if run["stage"] else run["name"]


def trouble(facts: Facts, tracebacks: Mapping[str, str]) -> Markup:
    """Diagnoses, errors and warnings, each with what is needed to check it.

    Args:
        facts: the facts of the study.
        tracebacks: run to traceback, or to the end of its log where the run left no error of its own.
    """
    parts: list[Markup] = [_diagnosis(found) for found in facts.health]
    parts += [_error(found, tracebacks.get(found["run"])) for found in facts.errors]
    told = {found["run"] for found in facts.errors}
    parts += [
        _error(
            {"run": _place(run), "status": run["status"], "type": None, "message": None}, tracebacks.get(_place(run))
        )
        for run in facts.runs
        if run["status"] in ("failed", "lost") and _place(run) not in told
    ]
    if facts.warnings:
        items = [tag("li", tag("code", found["run"]), f": {found['what']}") for found in facts.warnings]
        parts.append(tag("article", tag("h3", "Warnings"), tag("ul", items), class_="trouble warn"))
    return join(parts) if parts else tag("p", "No rule fired, no run failed, nothing is damaged.")


def _diagnosis(found: Mapping[str, Any]) -> Markup:
    value = found.get("value")
    shown = number(value, decimals([value])) if isinstance(value, int | float) else str(value)
    head = tag(
        "h3", tag("code", found["run"]), f": {found.get('rule')} ({found.get('level')}, action {found.get('action')})"
    )
    fact = tag(
        "p",
        "Step ",
        found.get("step"),
        ": ",
        tag("code", found.get("metric")),
        f" = {shown}, bar {found.get('threshold')}.",
    )
    said = [tag("p", found[key]) for key in ("diagnosis", "remedy") if found.get(key)]
    return tag("article", head, fact, said, class_="trouble stopped")


def _error(found: Mapping[str, Any], traceback: str | None) -> Markup:
    head = tag("h3", tag("code", found["run"]), " ", chip(str(found["status"])))
    where = f" at {found['where']}" if found.get("where") else ""
    said = f"{found['type']}: {found.get('message')}{where}" if found.get("type") else "It left no error of its own."
    fold = tag("details", tag("summary", "What it left"), tag("pre", traceback)) if traceback else None
    return tag("article", head, tag("p", said), fold, class_="trouble")


def runs(facts: Facts, *, base: str) -> Markup:
    """Every declared run with its final values; links lead into its folder.

    Args:
        facts: the facts of the study.
        base: the way from the page to the study's folder, empty when the page lies in it.
    """
    metrics = facts.primary[:6]
    places = {name: decimals(run["final"][name] for run in facts.runs if name in run["final"]) for name in metrics}
    staged = any(run["stage"] for run in facts.runs)
    head = [
        "Run",
        *(["Stage"] if staged else []),
        "Condition",
        "Seed",
        "Status",
        *metrics,
        "Last step",
        "Time",
        "Attempts",
        "Files",
    ]
    first = 5 if staged else 4
    body = [
        [
            _name(run, base),
            *([run["stage"] or NONE] if staged else []),
            run["condition"],
            NONE if run["seed"] is None else run["seed"],
            chip(run["status"]),
            *(_final(run, name, places[name]) for name in metrics),
            NONE if run["step"] is None else run["step"],
            duration(run["duration_s"]),
            run["attempts"] or NONE,
            _files(run, base),
        ]
        for run in facts.runs
    ]
    numeric = (first - 2, *range(first, first + len(metrics) + 3))
    caption = "Every declared run. A grey number was logged by a run that did not end as planned; it is in no mean."
    return table(caption, body, head=head, numeric=numeric)


def _final(run: Mapping[str, Any], metric: str, places: int | None) -> Child:
    value = run["final"].get(metric)
    if value is None:
        return NONE
    counted = run["status"] in ("completed", "stopped")
    return number(value, places) if counted else tag("span", number(value, places), class_="uncounted")


def _name(run: Mapping[str, Any], base: str) -> Child:
    return link(run["name"], f"{base}{_place(run)}/") if run["folder"] else run["name"]


def _files(run: Mapping[str, Any], base: str) -> Child:
    if not run["folder"]:
        return NONE
    names = (("config", "config.yaml"), ("metrics", "metrics.ndjson"), ("events", "events.ndjson"))
    links = join([link(word, f"{base}{_place(run)}/{name}") for word, name in names], by=" ")
    return tag("span", links, class_="files")


def setup(facts: Facts) -> Markup:
    """Commands, config, derived parameters, machine, code and data."""
    return join([_commands(facts), _config(facts), _derived(facts), _world(facts), _data(facts), _changes(facts)])


def _commands(facts: Facts) -> Markup | None:
    return join([tag("h3", "Commands"), tag("pre", "\n".join(facts.commands))]) if facts.commands else None


def _config(facts: Facts) -> Markup | None:
    if not facts.config_common and not facts.config_by_condition:
        return None
    parts: list[Child] = [tag("h3", "Configuration")]
    if any(facts.config_by_condition.values()):
        parts.append(_matrix("What sets the conditions apart.", facts.config_by_condition))
    if facts.config_common:
        body = [(tag("code", key), plain(value)) for key, value in facts.config_common.items()]
        grid = table("Common to every run.", body, head=["Key", "Value"])
        parts.append(tag("details", tag("summary", f"{len(body)} keys that every run shares"), grid))
    return join(parts)


def _derived(facts: Facts) -> Markup | None:
    if not facts.derived:
        return None
    shared = facts.derived.get("all", {})
    apart = {name: {**shared, **values} for name, values in facts.derived.items() if name != "all"}
    grid = _matrix("Computed from config or data, not set.", apart or {"Value": shared})
    return join([tag("h3", "Derived parameters"), grid])


def _matrix(caption: str, named: Mapping[str, Mapping[str, Any]]) -> Markup:
    """Keys down, conditions across; the other way round when the conditions are many."""
    known = {name: values for name, values in named.items() if values}
    keys = list(dict.fromkeys(key for values in known.values() for key in values))
    if len(known) <= 6:
        body = [[tag("code", key), *(_held(values, key) for values in known.values())] for key in keys]
        return table(caption, body, head=["Key", *known])
    rows = [[name, *(_held(values, key) for key in keys)] for name, values in known.items()]
    return table(caption, rows, head=["Condition", *keys])


def _held(values: Mapping[str, Any], key: str) -> str:
    return plain(values[key]) if key in values else NONE


def _facts(pairs: Iterable[tuple[str, Child]]) -> Markup:
    return tag(
        "dl", [[tag("dt", name), tag("dd", value)] for name, value in pairs if value not in (None, "")], class_="facts"
    )


def _world(facts: Facts) -> Markup:
    machine, git = facts.machine, facts.git
    known = ("platform", "cpu", "cores", "accelerator", "device", "threads", "python", "torch", "cuda", "host")
    shown: list[tuple[str, Child]] = [(name, machine.get(name)) for name in known]
    if "accelerator" in machine and not machine["accelerator"]:
        shown[known.index("accelerator")] = ("accelerator", "none")
    shown.insert(
        3, ("memory", size(machine["memory"]) if isinstance(machine.get("memory"), int) else machine.get("memory"))
    )
    shown += [(name, value) for name, value in machine.items() if name not in known and name != "memory"]
    state = "uncommitted changes, saved with the runs" if git.get("dirty") else "clean"
    code = join([tag("code", git["commit"]), f" ({state})"]) if git.get("commit") else "not in a git repository"
    lines: list[tuple[str, Child]] = [("code", code), ("branch", git.get("branch")), *shown]
    total = duration(facts.runtime["total_s"]) if facts.runtime["per_run_s"] else None
    lines.append(("time, all processes", total))
    lines += _taken(facts.runtime)
    packages = [(name, str(version)) for name, version in facts.packages.items()]
    fold = tag(
        "details",
        tag("summary", f"{len(packages)} packages"),
        table("Installed.", packages, head=["Package", "Version"]),
    )
    return join([tag("h3", "Code and machine"), _facts(lines), fold if packages else None])


def _taken(runtime: Mapping[str, Any]) -> list[tuple[str, Child]]:
    """What the study took of the machine."""
    lines: list[tuple[str, Child]] = []
    if runtime["cpu_total_s"] is not None:
        lines.append(("processor time", f"{duration(runtime['cpu_total_s'])} in {runtime['processes']} processes"))
    if runtime["rss_peak_bytes"] is not None:
        lines.append(("memory, largest process", size(runtime["rss_peak_bytes"])))
    gpu = runtime["gpu"]
    if isinstance(gpu, Mapping):
        units = (
            ("percent", "GPU load", "{:.0f} %"),
            ("watts", "GPU power", "{:.0f} W"),
            ("celsius", "GPU heat", "{:.0f} C"),
        )
        lines += [(name, form.format(gpu[key])) for key, name, form in units if gpu[key] is not None]
        lines.append(("GPU memory, most", size(gpu["memory_bytes"])))
    elif gpu is not None:
        lines.append(("GPU", "unknown: its driver did not answer"))
    return lines


def _data(facts: Facts) -> Markup | None:
    if not facts.data:
        return None
    parts: list[Child] = [tag("h3", "Data")]
    for found in facts.data:
        files = [item for item in found["files"] or () if isinstance(item, Mapping)]
        body = [
            (
                tag("code", item.get("path")),
                NONE if item.get("rows") is None else item["rows"],
                size(item.get("bytes")),
                tag("code", str(item.get("sha256"))[:16]),
            )
            for item in files
        ]
        caption = f"{found['folder']}, used by {found['runs']} runs."
        parts.append(table(caption, body, head=["File", "Rows", "Size", "SHA-256"], numeric=(1, 2)))
    return join(parts)


def _changes(facts: Facts) -> Markup | None:
    if not facts.amendments:
        return None
    items = [
        tag("li", f"{found.get('time')}: {found.get('reason') or 'no reason given'}", _listed(found.get("changes")))
        for found in facts.amendments
    ]
    return join([tag("h3", "Amendments to the plan"), tag("ul", items)])


def _listed(changes: Any) -> Markup | None:
    return tag("ul", [tag("li", tag("code", str(change))) for change in changes]) if isinstance(changes, list) else None
