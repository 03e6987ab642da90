"""The lock: what a study declared before its first run, and every amendment since.

``study.lock.json`` is all that reports and records need to know about the study, so they work from
``results/`` alone, without the YAML file and without the science.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from quadrat.core.errors import UsageError
from quadrat.core.secrets import masked
from quadrat.core.spec import RunSpec
from quadrat.journal.atomic import read_json
from quadrat.study.config_sections import config_sections
from quadrat.study.identity import content_hash
from quadrat.study.load import Study

TOLD = ("question", "hypothesis", "owner", "trainable", "panels", "diagrams", "baseline", "primary", "stages", "rules")
"""What the lock repeats of the study file. A change in any of them is an amendment."""


KEPT = ("overrides", "ladder")
"""What is decided while a study runs. It stays in the lock whatever is declared later."""


def declaration(study: Study, *, retries: Sequence[RunSpec] = ()) -> dict[str, Any]:
    """The lock of a study as it stands now, without amendments.

    Args:
        study: the study.
        retries: runs of further tries that have become due. They belong to the plan already, so they do not change it.
    """
    file = study.file.model_dump(mode="json", by_alias=True, exclude_none=True)
    told = {key: masked(file.get(key)) for key in TOLD}
    declared = [_declared(spec) for spec in study.runs]
    sections = config_sections(study.trainable.config_class)
    return {
        "schema": 1,
        "study": study.name,
        **told,
        "source": {"file": study.label, "sha256": study.source_sha256},
        "plan_sha256": content_hash({"told": told, "declared": declared}),
        "declared": [*declared, *map(_declared, retries)],
        "amendments": [],
        **({"config_sections": sections} if sections else {}),
        **({"queue": [item.model_dump(exclude_none=True) for item in study.file.queue]} if study.file.queue else {}),
    }


def amended(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> dict[str, Any]:
    """``new`` with the history of ``old``; a plan that differs adds an amendment that says how.

    Raises:
        UsageError: a run of the same name now means another config; every such run is named.
    """
    if old is None:
        return dict(new)
    _refuse_other_identities(old, new)
    history: list[dict[str, Any]] = list(old["amendments"])
    if old["plan_sha256"] != new["plan_sha256"]:
        stamp = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        history.append({"time": stamp, "plan_sha256": old["plan_sha256"], "changes": _changes(old, new)})
    kept = {key: old[key] for key in KEPT if key in old}
    return {**new, "declared": _united(old, new), "amendments": history, **kept}


def read(path: Path) -> dict[str, Any] | None:
    """The lock on disk, or None."""
    return read_json(path) if path.exists() else None


def due(old: Mapping[str, Any] | None, study: Study) -> list[RunSpec]:
    """The retries of ``study`` that the lock holds already."""
    known = {spec.path: spec for spec in study.retries}
    return [known[path] for path in _by_path(old) if path in known] if old is not None else []


def rows(specs: Sequence[RunSpec]) -> list[dict[str, Any]]:
    """Runs as the lock declares them."""
    return [_declared(spec) for spec in specs]


def _declared(spec: RunSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "stage": spec.stage,
        "arm": spec.point.arm,
        "point": dict(spec.point.values),
        "seed": spec.seed,
        "identity": spec.identity,
        "path": spec.path,
    }


def _by_path(lock: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {run["path"]: run for run in lock["declared"]}


def _refuse_other_identities(old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    before, now = _by_path(old), _by_path(new)
    others = [path for path, run in now.items() if path in before and before[path]["identity"] != run["identity"]]
    if others:
        shown = ", ".join(others[:5]) + (f" and {len(others) - 5} more" if len(others) > 5 else "")
        raise UsageError(
            f"{len(others)} run(s) of this name exist with another config or trainable: {shown}.",
            where=f"results/{new['study']}",
            remedy="put what changes into the run's name (name: ...), give the study another name (study=...), "
            "or move the old results aside. 'quadrat show RUN' prints the old config.",
        )


def _united(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Runs once declared stay declared: dropping a bad one quietly must not be possible."""
    now = _by_path(new)
    return [*new["declared"], *(run for path, run in _by_path(old).items() if path not in now)]


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Sequence[str]:
    lines = [f"{key}: {old.get(key)!r} -> {new.get(key)!r}" for key in TOLD if old.get(key) != new.get(key)]
    before, now = _by_path(old), _by_path(new)
    lines += [f"declared {path}" for path in now if path not in before]
    lines += [f"no longer declared: {path}" for path in before if path not in now]
    return lines
