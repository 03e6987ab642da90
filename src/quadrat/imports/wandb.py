"""Runs of Weights & Biases as they lie on disk (``offline-run-*/run-*.wandb``): history, config, summary, exit code.

The record log is read by the program that the ``wandb`` package ships for it. No account, no network; what it knows of
the machine, the program's path and the printed text stays behind.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, cast, final

import orjson

from quadrat.core.errors import StoreError
from quadrat.core.verdicts import Status
from quadrat.imports.base import (
    ForeignRow,
    ForeignRun,
    Importer,
    SourceFile,
    Tell,
    begins_with,
    files_in,
    hashed,
    package,
)
from quadrat.journal.plain import unspell

MAGIC: Final = b":W&B"
SUFFIX: Final = ".wandb"
OWN_STEP: Final = "quadrat/step"
"""The axis of runs that a sink of ours has sent."""

_OWN: Final = "quadrat"
_MOST_NAMED: Final = 10


@final
class WandbImporter(Importer):
    """Offline run folders, one run for each record log in them."""

    @property
    def what(self) -> str:
        """Record logs by suffix and first bytes."""
        return f"W&B offline runs (run-*{SUFFIX})"

    def recognises(self, path: Path) -> bool:
        """Whether there is any record log."""
        with contextlib.suppress(OSError):
            return next(files_in(path, wanted=_is_log), None) is not None
        return False

    def sources(self, path: Path) -> tuple[SourceFile, ...]:
        """The record logs."""
        return hashed(path, wanted=_is_log)

    def read(self, path: Path, sources: Sequence[SourceFile], *, tell: Tell) -> Iterator[ForeignRun]:
        """One run for each record log, under the name that W&B showed."""
        del path, tell
        program = str(package("wandb.util", extra="wandb").get_core_path())
        for source in sources:
            yield _run(source, program)


@final
@dataclass(slots=True)
class _Facts:
    """What one pass over the log tells of the run."""

    run: dict[str, Any] = field(default_factory=dict[str, Any])
    config: dict[str, Any] = field(default_factory=dict[str, Any])
    summary: dict[str, Any] = field(default_factory=dict[str, Any])
    axis: str | None = None
    code: int | None = None
    began: float | None = None
    last: float | None = None
    left_out: dict[str, None] = field(default_factory=dict[str, None])
    whole: bool = True

    def take(self, record: Mapping[str, Any]) -> None:
        """One record of the log."""
        told = _mapping(record.get("run"))
        self.run |= {key: value for key, value in told.items() if key not in ("config", "summary")}
        _update(self.config, _mapping(told.get("config")))
        _update(self.config, _mapping(record.get("config")))
        _update(self.summary, _mapping(told.get("summary")))
        _update(self.summary, _mapping(record.get("summary")))
        about = _mapping(record.get("metric"))
        if about.get("glob_name") == "*" and about.get("step_metric"):
            self.axis = str(about["step_metric"])
        if "exit" in record:
            self.code = int(_mapping(record["exit"]).get("exit_code", 0))
        item = _mapping(_mapping(record.get("history")).get("item"))
        if item:
            time = _number(item.get("_timestamp"))
            self.began = time if self.began is None else self.began
            self.last = time if time is not None else self.last
            self.left_out |= {key: None for key, value in item.items() if _is_shown(key) and _number(value) is None}

    def status(self) -> Status:
        """How it ended: what a sink of ours said, else by the exit code, else nobody knows."""
        own = self.summary.get("status")
        if _OWN in self.config and own in list(Status):
            return Status(own)
        if self.code is None:
            return Status.LOST
        return Status.COMPLETED if self.code == 0 else Status.FAILED


def _is_log(path: Path) -> bool:
    return path.suffix == SUFFIX and begins_with(path, MAGIC)


def _run(source: SourceFile, program: str) -> ForeignRun:
    facts = _Facts()
    for record in _records(source, program, facts):
        facts.take(record)
    if not facts.run:
        raise StoreError("no run is described in it: it was cut off at its very beginning.", where=source.name)
    summary = {key: number for key, value in facts.summary.items() if (number := _number(value)) is not None}
    began = _seconds(facts.run.get("start_time")) or facts.began
    status = facts.status()
    told = {key: facts.run[key] for key in ("run_id", "project", "run_group", "job_type", "tags") if key in facts.run}
    return ForeignRun(
        name=str(facts.run.get("display_name") or facts.run.get("run_id") or source.path.stem),
        params={key: value for key, value in facts.config.items() if key not in ("_wandb", _OWN)},
        series=lambda: _rows(source, program, facts.axis),
        summary={key: value for key, value in summary.items() if _is_result(key, facts)},
        started=began,
        ended=facts.last if facts.last is not None else began,
        status=status,
        error=f"It ended with exit code {facts.code}." if facts.code else None,
        files=(source,),
        notes=tuple(_notes(facts)),
        told=told if facts.code is None else {**told, "exit_code": facts.code},
    )


def _notes(facts: _Facts) -> Iterator[str]:
    if not facts.whole:
        yield "The record log ends in the middle: what stands before that was taken."
    if facts.code is None:
        yield "The log holds no ending: the run was interrupted, or was still at work when it was copied."
    if facts.left_out:
        names = ", ".join(list(facts.left_out)[:_MOST_NAMED])
        more = f" and {len(facts.left_out) - _MOST_NAMED} more" if len(facts.left_out) > _MOST_NAMED else ""
        yield f"Left out, since they are no numbers: {names}{more}."


def _is_result(key: str, facts: _Facts) -> bool:
    """Whether a summary value may be a result; what a sink of ours worked out from the rows is none."""
    if not _is_shown(key) or key == facts.axis:
        return False
    return _OWN not in facts.config or not key.startswith(("min/", "max/"))


def _rows(source: SourceFile, program: str, axis: str | None) -> Iterator[ForeignRow]:
    for record in _records(source, program, _Facts()):
        history = _mapping(record.get("history"))
        item = _mapping(history.get("item"))
        if not item:
            continue
        told = item.get("_step", _mapping(history.get("step")).get("num", 0))
        asked = _number(item.get(axis)) if axis else None
        step = int(asked) if asked is not None and asked.is_integer() else int(told)
        shown = ((key, _number(value)) for key, value in item.items() if _is_shown(key) and key != axis)
        values = {key: value for key, value in shown if value is not None}
        if values:
            yield ForeignRow(step, values, _number(item.get("_timestamp")))


def _records(source: SourceFile, program: str, facts: _Facts) -> Iterator[dict[str, Any]]:
    """Every record of a log, as the package's own program prints it.

    Raises:
        StoreError: the program refuses the file.
    """
    words = [program, "leet", "inspect", "--no-observability", "--json"]
    words += ["--run-file", str(source.path), str(source.path.parent)]
    with tempfile.TemporaryDirectory(prefix="quadrat-wandb-") as home, (Path(home) / "said").open("w+b") as said:
        # Whatever it keeps of its own, it keeps there and not in the person's home.
        environ = {"HOME": home, "XDG_CONFIG_HOME": home, "WANDB_CONFIG_DIR": home, "PATH": os.environ.get("PATH", "")}
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=said, env=environ, cwd=home) as process:
            try:
                for line in process.stdout or ():
                    record = orjson.loads(line)
                    if isinstance(record, dict):
                        yield cast("dict[str, Any]", record)
                code = process.wait()
            except ValueError as error:
                raise StoreError(f"a record cannot be read ({error}).", where=source.name) from error
            finally:
                process.kill()
        said.seek(0)
        words_said = said.read(2000).decode("utf-8", "replace").strip()
    if code:
        raise StoreError(f"the wandb package cannot read it ({words_said[-300:] or code}).", where=source.name)
    facts.whole = "incomplete" not in words_said


def _update(held: dict[str, Any], told: Mapping[str, Any]) -> None:
    """Apply one record of changes: new values, and keys that are taken away."""
    held |= _mapping(told.get("update"))
    removed = told.get("remove")
    for key in cast("list[Any]", removed) if isinstance(removed, list) else []:
        held.pop(str(key), None)


def _is_shown(key: str) -> bool:
    return not key.startswith("_")


def _number(value: Any) -> float | None:
    """A logged value as a number; the words that stand for NaN and infinity are numbers, other texts are not."""
    try:
        return float(value) if isinstance(value, bool) else unspell(value)
    except (ValueError, TypeError, OverflowError):
        return None


def _seconds(value: Any) -> float | None:
    with contextlib.suppress(ValueError, OverflowError):
        return datetime.fromisoformat(str(value)).timestamp()
    return None


def _mapping(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
