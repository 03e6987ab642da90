"""All declared runs of a study as one table, whatever state they are in.

The lock file says what was promised, the run folders say what became of it. A run that is not there is a row like any
other: nothing drops out of ``n``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, final

from quadrat.analyze.board import Line, board, skipping, standings
from quadrat.analyze.declaration import Condition, Declaration, Declared, is_reference
from quadrat.analyze.rows import Row, read_row
from quadrat.analyze.staging import Standing
from quadrat.analyze.stats import Estimate, Paired, holm, paired, t_interval
from quadrat.core.errors import QuadratError, StoreError
from quadrat.core.verdicts import Status
from quadrat.journal.atomic import read_json
from quadrat.journal.layout import RunFolder, StudyFolder
from quadrat.journal.reader import RunView

_ORDER = (
    Status.COMPLETED,
    Status.FAILED,
    Status.STOPPED,
    Status.LOST,
    Status.PREEMPTED,
    Status.SKIPPED,
    Status.RUNNING,
    Status.PENDING,
)


@final
@dataclass(frozen=True, slots=True)
class Coverage:
    """How many declared runs stand where, without the zeros. The sum is what was planned, always."""

    counts: Mapping[Status, int]

    @property
    def planned(self) -> int:
        """All declared runs."""
        return sum(self.counts.values())

    @property
    def text(self) -> str:
        """The account that must add up: ``90 planned = 84 completed + 3 failed + 2 stopped + 1 missing``."""
        parts = " + ".join(f"{count} {status_word(status)}" for status, count in self.counts.items())
        return f"{self.planned} planned = {parts or '0 completed'}"


@final
@dataclass(frozen=True, slots=True)
class Comparison:
    """One condition against the baseline on one metric, paired by seed."""

    metric: str
    condition: Condition
    baseline: Condition
    result: Paired
    p_holm: float | None
    family: int


@final
@dataclass(frozen=True, slots=True)
class StudyTable:
    """The runs of a study, in the order they were declared.

    Attributes:
        study: the study's name.
        root: the folder that holds ``results/``.
        declaration: what ``study.lock.json`` promised.
        rows: one row per declared run.
        undeclared: run folders that no declaration names; they are reported and never counted.
        damage: what could not be read, for the study as a whole.
    """

    study: str
    root: Path
    declaration: Declaration
    rows: tuple[Row, ...]
    undeclared: tuple[str, ...] = ()
    damage: tuple[str, ...] = ()

    def coverage(self, rows: Iterable[Row] | None = None) -> Coverage:
        """How many of the declared runs (or of ``rows``) stand where."""
        counted = Counter(row.status for row in (self.rows if rows is None else rows))
        return Coverage({status: counted[status] for status in _ORDER if counted[status]})

    def conditions(self) -> dict[Condition, tuple[Row, ...]]:
        """The runs grouped by stage and arm or point, seeds together, in declared order."""
        groups: dict[Condition, list[Row]] = {}
        for row in self.rows:
            groups.setdefault(row.condition, []).append(row)
        return {condition: tuple(rows) for condition, rows in groups.items()}

    def board(self) -> tuple[Line, ...]:
        """What is known about each arm or point; empty for a study without gates."""
        return board(self.declaration, self.rows)

    def standings(self) -> tuple[Standing, ...]:
        """How every point stands in every stage; empty for a study without stages."""
        return tuple(standings(self.declaration, self.rows).values())

    def stages(self) -> tuple[str | None, ...]:
        """The stages that have declared runs, in declared order; ``(None,)`` for a study without stages."""
        return tuple(dict.fromkeys(row.stage for row in self.rows))

    def metrics(self) -> tuple[str, ...]:
        """Every metric that some run logged, in the order first met."""
        return tuple(dict.fromkeys(name for row in self.rows for name in row.final))

    def primary(self) -> tuple[str, ...]:
        """The metrics the study is about, as its declaration tells them.

        A study that tells none falls back on its test metrics, then on its validation metrics, then on everything it
        logged. Yardsticks are never among them.
        """
        if named := self.declaration.primary():
            return named
        known = [name for name in self.metrics() if not is_reference(name)]
        groups = (tuple(name for name in known if name.startswith(prefix)) for prefix in ("test", "val", ""))
        return next((group for group in groups if group), ())

    def panels(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Title and metrics of the panels a person asked for; without any, the primary metrics and the losses."""
        if declared := self.declaration.panels():
            return declared
        losses = tuple(name for name in self.metrics() if "loss" in name.lower() and not is_reference(name))
        found = (("Primary metrics", self.primary()), ("Loss", losses))
        return tuple((title, names) for title, names in found if names)

    def by_condition(self, metric: str) -> list[tuple[Condition, Estimate]]:
        """The final value of ``metric`` over the seeds of each condition, in declared order.

        A condition whose completed runs never log the metric does not have it and is left out; one whose runs all
        failed is kept, with nothing measured.
        """
        return [
            (condition, t_interval([row.value(metric) for row in rows]))
            for condition, rows in self.conditions().items()
            if has_metric(rows, metric)
        ]

    def baselines(self) -> dict[str | None, Condition]:
        """The condition that the study names as its baseline, per stage; a stage where it is not unique has none."""
        matches: dict[str | None, list[Condition]] = {}
        for condition, rows in self.conditions().items():
            if self.declaration.is_baseline(condition, partial(_first_config, rows)):
                matches.setdefault(condition.stage, []).append(condition)
        return {stage: found[0] for stage, found in matches.items() if len(found) == 1}

    def against_baseline(self, *metrics: str) -> list[Comparison]:
        """Every other condition of a stage against its baseline, paired by seed, Holm over all of them together.

        Without arguments the primary metrics are compared. The family is everything one call compares, so a page that
        shows several metrics adjusts for all of them.
        """
        found: list[tuple[str, Condition, Condition, Paired]] = []
        groups, baselines = self.conditions(), self.baselines()
        for metric in metrics or self.primary():
            for condition, rows in groups.items():
                baseline = baselines.get(condition.stage)
                if baseline is None or condition == baseline or is_reference(metric):
                    continue
                if has_metric(rows, metric) and has_metric(groups[baseline], metric):
                    result = paired(_by_seed(rows, metric), _by_seed(groups[baseline], metric))
                    found.append((metric, condition, baseline, result))
        adjusted = holm([result.p for *_, result in found])
        return [
            Comparison(metric, condition, baseline, result=result, p_holm=p, family=len(found))
            for (metric, condition, baseline, result), p in zip(found, adjusted, strict=True)
        ]


def status_word(status: Status) -> str:
    """The word a reader sees: a declared run of which nothing is on disk is ``missing``."""
    return "missing" if status is Status.PENDING else str(status)


def has_metric(rows: Sequence[Row], metric: str) -> bool:
    """Whether the metric belongs to a condition: some run logged it, or none has completed to say otherwise."""
    if any(metric in row.final for row in rows):
        return True
    return not any(row.status is Status.COMPLETED for row in rows)


def _first_config(rows: Sequence[Row]) -> Mapping[str, Any]:
    """The config of the first run that has one; the runs of a condition differ in their seed only."""
    return next((found for found in (row.config() for row in rows) if found), {})


def _by_seed(rows: Sequence[Row], metric: str) -> dict[int, float]:
    return {row.seed: row.value(metric) for row in rows if row.seed is not None}


def load_study_table(folder: StudyFolder) -> StudyTable:
    """Read a study's table from ``results/<study>``; works on running, half-written and crashed studies.

    Only folders that really lie inside the study are read, whatever paths the lock file holds.

    Raises:
        StoreError: there is nothing of that study on disk.
    """
    if not folder.path.is_dir():
        raise StoreError(
            f"there are no results of a study {folder.path.name!r}.",
            where=str(folder.path),
            remedy="run it first, or name another root with --root.",
        )
    damage: list[str] = []
    declaration = read_declaration(folder.lock_json, damage=damage)
    present = {run.path.relative_to(folder.path).as_posix(): RunView(run) for run in folder.runs()}
    declared = declaration.runs() or tuple(_found(place, view) for place, view in present.items())
    named = {item.place for item in declared}
    rows = tuple(read_row(item, present.get(item.place)) for item in declared)
    return StudyTable(
        study=folder.path.name,
        root=folder.path.parent.parent,
        declaration=declaration,
        rows=skipping(rows, standings(declaration, rows)),
        undeclared=tuple(place for place in present if place not in named),
        damage=tuple(damage),
    )


def load_evidence_table(folder: Path) -> StudyTable:
    """Read the same table from committed evidence, ``experiments/<date>_<study>``; there are no series in it.

    Raises:
        StoreError: the folder holds no declaration.
    """
    lock = read_json(folder / "study.lock.json")
    declaration = Declaration(lock if isinstance(lock, Mapping) else {})
    told = _statuses(folder)
    rows = [read_row(item, _kept(folder / "runs", item), status=told.get(item.place)) for item in declaration.runs()]
    return StudyTable(
        study=declaration.text("study") or folder.name,
        root=folder.parent.parent,
        declaration=declaration,
        rows=tuple(rows),
    )


def _statuses(folder: Path) -> dict[str, Status]:
    """How each run stood when the evidence was kept: processes cannot be asked any more."""
    facts = read_json(folder / "facts.json")
    runs = facts.get("runs", ()) if isinstance(facts, Mapping) else ()
    known = {f"{run['stage']}/{run['name']}" if run["stage"] else run["name"]: run["status"] for run in runs}
    return {place: Status(status) for place, status in known.items() if status in list(Status)}


def _kept(runs: Path, item: Declared) -> RunView | None:
    """The kept files of a run; None when there are none, or when its name would lead elsewhere."""
    place = runs / item.place
    inside = place.resolve().is_relative_to(runs.resolve())
    return RunView(RunFolder(place)) if inside and place.is_dir() else None


def read_declaration(path: Path, *, damage: list[str]) -> Declaration:
    """The lock file at ``path``; when it cannot be read, an empty one, with the reason added to ``damage``."""
    try:
        data = read_json(path)
    except (QuadratError, OSError) as error:
        damage.append(f"The declaration cannot be read, so only what lies on disk is shown: {error}")
        return Declaration({})
    found = Declaration(data if isinstance(data, Mapping) else {})
    if not found.runs():
        damage.append(f"{path.name} declares no runs, so only what lies on disk is shown.")
    return found


def _found(place: str, view: RunView) -> Declared:
    """A run that no declaration names, described by what its own folder says."""
    stage, _, name = place.rpartition("/")
    try:
        arm, point, seed = view.arm(), view.point(), view.seed()
    except (QuadratError, OSError, ValueError, KeyError, TypeError):
        arm, point, seed = None, {}, None
    return Declared(name=name, stage=stage or None, arm=arm, point=point, seed=seed, identity=None)
