"""Everything an experiment record needs, read from ``results/<study>``, as plain data.

``collect`` answers ``Facts``; ``Facts.as_dict()`` is strict JSON data (numbers that are not finite are the strings
``"NaN"``, ``"Infinity"``, ``"-Infinity"``; None says that there is none), with these keys::

    schema, study, title, date ("2026-11-21": first start of any run, UTC, or None), owner, question, hypothesis,
    hypothesis_locked     the hypothesis as declared before the first run; False when there was none
    trainable, source {file, sha256}, plan_sha256
    status_account        "90 planned = 84 completed + 3 failed + 2 stopped + 1 missing"
    coverage              {planned, counts: {status: n}, undeclared: [run], damage: [text]}
    seeds                 [42, 123]: those of the declared runs, as applied
    runs                  [{name, stage, arm, condition, seed, seed_applied, status, folder, step, duration_s, started,
                            attempts, identity, config_sha256, sealed, initialised_from, final: {metric: value},
                            derived: {}, diagnosis: {} or None, error: {type, message, where} or None, damage: [text]}]
    conditions            [{condition, stage, arm, point, baseline: bool, planned, account, counts: {status: n}}]
    commands              [text]: shell-quoted, paths inside the root relative
    config_common         {dotted key: value};  config_by_condition {condition: {key: value}}
    derived               {"all": {key: value}, condition: {key: value}}
    baseline              the condition that others are compared with, or None;  baselines {stage: condition}
    git                   {commit, branch, remote, dirty, tree, diff: path or None}; empty outside a repository
    machine               {host, platform, cpu, cores, memory, accelerator, device, threads, python, torch, cuda,
                            and the recorded environment variables};  packages {name: version}
    data                  [{folder, key, sha256, files: [{path, bytes, rows, sha256}], info, runs: n}]
    gates                 [{stage, of, condition, criterion, outcome, measured, n, reason, override, account}]: every
                            point in every stage that declares a gate; ``stage`` is the try, ``of`` the stage declared;
                            outcome is pass, partial, fail, inconclusive or not_run; override says why a person let
                            it through, or None
    board                 [{condition, mark, why, place, stages: [{stage, outcome}]}]: mark is validated, failed, retest
                            or not tested
    primary               [metric]
    metrics               [{metric, stage, condition, oracle, n, measured, mean, sd, low, high, method,
                            values: [measured ones], by_seed: [{seed, run, status, value, last}]}]: primary metrics,
                            then yardsticks (oracle is true, and condition "all" where every run has the same)
    secondary             the same rows for every other metric
    comparisons           [{metric, stage, condition, baseline, n, measured, difference, sd, low, high, method, values,
                            t, p, p_holm, family}]: condition minus baseline, paired by seed; p is None where untested
    health                [{run, rule, level, step, metric, value, threshold, action, window, diagnosis, remedy}]
    rules                 as declared;  warnings [{run, what}];  errors [{run, status, type, message, where}]
    runtime               {total_s, per_run_s: {run: seconds}, rss_bytes: {run: peak}, processes, cpu_total_s,
                            rss_peak_bytes, gpu: {percent, memory_bytes, watts, celsius}, "unknown" or None}: each
                            process counts once in the totals, however many packed runs shared it; None: not measured
    amendments            [{time, reason, plan_sha256, changes}]
    artifacts             [{run, path, bytes, sha256}]: models, checkpoints and artifacts of sealed runs
    evidence              "2026-11-21_<study>": the folder under experiments/, or None
    figures               [path under experiments/]: what the evidence folder holds, once it is written
    rerun                 None

A run is called ``stage/name``, just ``name`` without stages. In ``metrics`` and ``comparisons`` a condition is called
``stage/label`` where a study has several stages, just ``label`` elsewhere.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias, final

from quadrat.analyze import board
from quadrat.analyze.declaration import Declaration, is_reference
from quadrat.analyze.rows import Row
from quadrat.analyze.staging import Standing, Way
from quadrat.analyze.table import StudyTable, load_study_table
from quadrat.journal.layout import StudyFolder
from quadrat.report import machine_use, provenance, settings
from quadrat.report.measures import compared, measured, yardsticks
from quadrat.report.settings import place

Plain: TypeAlias = Mapping[str, Any]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a record states. The module's docstring gives the shape of every field."""

    study: str
    title: str
    date: str | None
    owner: str | None
    question: str | None
    hypothesis: str | None
    hypothesis_locked: str | bool
    trainable: str | None
    source: Plain
    plan_sha256: str | None
    status_account: str
    coverage: Plain
    seeds: Sequence[int]
    runs: Sequence[Plain]
    conditions: Sequence[Plain]
    commands: Sequence[str]
    config_common: Plain
    config_by_condition: Plain
    derived: Plain
    baseline: str | None
    baselines: Plain
    git: Plain
    machine: Plain
    packages: Plain
    data: Sequence[Plain]
    gates: Sequence[Plain]
    board: Sequence[Plain]
    primary: Sequence[str]
    metrics: Sequence[Plain]
    secondary: Sequence[Plain]
    comparisons: Sequence[Plain]
    health: Sequence[Plain]
    rules: Sequence[Plain]
    warnings: Sequence[Plain]
    errors: Sequence[Plain]
    runtime: Plain
    amendments: Sequence[Plain]
    artifacts: Sequence[Plain]
    evidence: str | None
    figures: Sequence[str]
    rerun: Plain | None = None
    schema: int = 1

    def as_dict(self) -> dict[str, Any]:
        """The facts as strict JSON data."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def collect(root: Path, study: str) -> Facts:
    """Read every fact about a study.

    Raises:
        StoreError: there are no results of that study under ``root``.
    """
    return facts_of(load_study_table(StudyFolder(root, study)))


def facts_of(table: StudyTable) -> Facts:
    """The facts in a table that is read already."""
    declared = table.declaration
    starts = [row.started for row in table.rows if row.started]
    date = min(starts).astimezone(UTC).date().isoformat() if starts else None
    evidence = f"{date}_{table.study}" if date else None
    common, apart = settings.config(table)
    baselines = {stage: place(table, condition) for stage, condition in table.baselines().items()}
    damage = {row.declared.place: row.damage() for row in table.rows}
    primary = table.primary()
    others = [name for name in table.metrics() if name not in primary and not is_reference(name)]
    return Facts(
        study=table.study,
        title=table.study,
        date=date,
        owner=declared.text("owner"),
        question=declared.text("question"),
        hypothesis=declared.text("hypothesis"),
        hypothesis_locked=_locked(declared),
        trainable=declared.text("trainable"),
        source=declared.mapping("source"),
        plan_sha256=declared.text("plan_sha256"),
        status_account=table.coverage().text,
        coverage=_coverage(table),
        seeds=sorted({row.seed for row in table.rows if row.seed is not None}),
        runs=[_run(table, row, damage[row.declared.place]) for row in table.rows],
        conditions=_conditions(table),
        commands=provenance.commands(table),
        config_common=common,
        config_by_condition=apart,
        derived=settings.derived(table),
        baseline=next(iter(baselines.values()), None),
        baselines={stage or "": name for stage, name in baselines.items()},
        git=provenance.git(table),
        machine=provenance.machine(table),
        packages=provenance.packages(table),
        data=provenance.data(table),
        gates=_gates(table),
        board=[board.plain(line) for line in table.board()],
        primary=primary,
        metrics=[*measured(table, primary), *yardsticks(table)],
        secondary=measured(table, others),
        comparisons=compared(table),
        health=[found for row in table.rows for found in _diagnoses(row)],
        rules=declared.listed("rules"),
        warnings=[found for row in table.rows for found in _warnings(row, damage[row.declared.place])],
        errors=[_error(row) for row in table.rows if row.error],
        runtime=machine_use.runtime(table),
        amendments=declared.listed("amendments"),
        artifacts=provenance.artifacts(table),
        evidence=evidence,
        figures=_figures(table.root, evidence),
    )


def _locked(declared: Declaration) -> str | bool:
    """The first declared hypothesis. An amendment that changed it says what it was."""
    for amendment in declared.listed("amendments"):
        for change in amendment.get("changes") or ():
            name, _, told = str(change).partition(": ")
            if name == "hypothesis" and " -> " in told:
                return _spoken(told)
    return declared.text("hypothesis") or False


def _spoken(told: str) -> str | bool:
    """The old text out of ``'old' -> 'new'``, which are two Python literals."""
    for place_of in (at for at in range(len(told)) if told.startswith(" -> ", at)):
        try:
            old = ast.literal_eval(told[:place_of])
        except (ValueError, SyntaxError):
            continue
        return old.strip() or False if isinstance(old, str) else False
    return False


def _coverage(table: StudyTable) -> dict[str, Any]:
    found = table.coverage()
    return {
        "planned": found.planned,
        "counts": {str(status): count for status, count in found.counts.items()},
        "undeclared": table.undeclared,
        "damage": table.damage,
    }


def _run(table: StudyTable, row: Row, damage: Sequence[str]) -> dict[str, Any]:
    last = row.attempts[-1] if row.attempts else {}
    return {
        "name": row.name,
        "stage": row.stage,
        "arm": row.arm,
        "condition": row.condition.label,
        "seed": row.seed,
        "seed_applied": last.get("seed_applied"),
        "status": str(row.status),
        "folder": f"results/{table.study}/{row.declared.place}" if row.view else None,
        "step": row.last_step,
        "duration_s": None if math.isnan(row.seconds) else row.seconds,
        "started": _iso(row.started),
        "attempts": len(row.attempts),
        "identity": row.declared.identity or last.get("identity"),
        "config_sha256": last.get("config_sha256"),
        "sealed": bool(row.view and row.view.folder.manifest.is_file()),
        "initialised_from": last.get("resumed_from"),
        "final": dict(row.final),
        "derived": dict(row.derived()),
        "diagnosis": row.diagnosis,
        "error": {key: row.error.get(key) for key in ("type", "message", "where")} if row.error else None,
        "damage": damage,
    }


def _iso(time: datetime | None) -> str | None:
    return time.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z") if time else None


def _conditions(table: StudyTable) -> list[dict[str, Any]]:
    baselines = table.baselines()
    found: list[dict[str, Any]] = []
    for condition, rows in table.conditions().items():
        coverage = table.coverage(rows)
        found.append(
            {
                "condition": place(table, condition),
                "stage": condition.stage,
                "arm": condition.arm,
                "point": dict(condition.point),
                "baseline": baselines.get(condition.stage) == condition,
                "planned": coverage.planned,
                "account": coverage.text,
                "counts": {str(status): count for status, count in coverage.counts.items()},
            }
        )
    return found


def _gates(table: StudyTable) -> list[dict[str, Any]]:
    """One row for each point in each stage that declares a gate, tries that were never due left out."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in table.rows:
        groups.setdefault((str(row.stage), row.condition.label), []).append(row)
    shown = [found for found in table.standings() if found.track.step.gate and found.way is not Way.IDLE]
    return [_gate(table, found, groups.get((found.track.name, found.label), [])) for found in shown]


def _gate(table: StudyTable, found: Standing, rows: Sequence[Row]) -> dict[str, Any]:
    verdict = found.verdict
    recorded = [told for row in rows for told in row.gates if told.get("stage", found.track.name) == found.track.name]
    known = recorded[-1] if recorded else {}
    override = found.override or {}
    return {
        "stage": found.track.name,
        "of": found.track.step.name,
        "condition": found.label,
        "criterion": known.get("criterion") or verdict.criterion,
        "outcome": str(known.get("outcome", verdict.outcome)),
        "measured": known.get("measured") or (verdict.measured if found.has_ended else None),
        "n": known.get("n", verdict.n),
        "reason": None if known or found.has_ended else (found.why or verdict.measured),
        "override": override.get("because"),
        "account": table.coverage(rows).text,
    }


def _diagnoses(row: Row) -> list[dict[str, Any]]:
    """Every finding of a health rule; the one that stopped the run when the events are gone."""
    seen = [event for event in row.events if event.get("event") == "diagnosed"] or [row.diagnosis or {}]
    return [{**finding, "run": row.declared.place} for finding in seen if finding]


def _warnings(row: Row, damage: Sequence[str]) -> list[dict[str, Any]]:
    told = [event.get("what") for event in row.events if event.get("event") in ("warning", "refused")]
    return [{"run": row.declared.place, "what": what} for what in (*told, *damage)]


def _error(row: Row) -> dict[str, Any]:
    error = row.error or {}
    told = {key: error.get(key) for key in ("type", "message", "where")}
    return {"run": row.declared.place, "status": str(row.status), **told}


def _figures(root: Path, evidence: str | None) -> list[str]:
    """The figures that lie in the evidence folder by now."""
    folder = root / "experiments" / (evidence or ".") / "figures"
    found = sorted(path for path in folder.glob("*") if path.suffix in (".svg", ".png")) if evidence else []
    return [f"{evidence}/figures/{path.name}" for path in found]
