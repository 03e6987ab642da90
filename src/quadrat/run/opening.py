"""Makes room for a run that a loop of one's own writes: its name, its place in the study, its first rows."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, final

from filelock import FileLock
from pydantic import BaseModel

from quadrat.core.errors import StoreError, UsageError
from quadrat.core.secrets import masked_words
from quadrat.core.verdicts import Status
from quadrat.journal.atomic import read_json, write_json, write_text
from quadrat.journal.config_yaml import dump_yaml
from quadrat.journal.layout import RunFolder, StudyFolder
from quadrat.journal.ndjson import read_rows
from quadrat.journal.plain import flatten, plain
from quadrat.journal.process import ProcessId
from quadrat.journal.reader import RunView
from quadrat.journal.rewind import rewind
from quadrat.journal.seal import hash_file
from quadrat.journal.writer import RunWriter, now
from quadrat.run import capture
from quadrat.sinks.following import masked
from quadrat.study.identity import content_hash, identity
from quadrat.study.names import objection, shown

OWN: Final = "start_run"
"""Who declared a study whose runs come from loops of one's own. A study file's lock does not say this."""

GUARD: Final = ".start.lock"
GUARD_SECONDS: Final = 60.0
MOST_NUMBERS: Final = 100_000


@final
@dataclass(frozen=True, slots=True)
class Asked:
    """A run as it was asked for.

    Attributes:
        study: the study's name.
        name: the run's name; None takes the next free number.
        config: plain data, secrets masked.
        seed: what the loop was seeded with; None when it did not say.
        arm: the named arm it belongs to.
        is_new: with a name that is taken, count on (``name_2``) instead of refusing.
    """

    study: str
    name: str | None
    config: Mapping[str, Any]
    seed: int | None = None
    arm: str | None = None
    is_new: bool = False


def plain_config(config: Any) -> dict[str, Any]:
    """A config as plain data with secrets masked: a mapping, dataclass, pydantic model or argparse namespace.

    Raises:
        UsageError: it is none of these.
    """
    if isinstance(config, argparse.Namespace):
        config = vars(config)
    elif isinstance(config, BaseModel):
        config = config.model_dump(mode="json")
    elif config is None:
        config = {}
    if not isinstance(config, Mapping) and (isinstance(config, type) or not is_dataclass(config)):
        raise UsageError(
            f"the config is a {type(config).__name__}.",
            where="start_run",
            remedy="a dict, a dataclass, a pydantic model or the namespace of argparse.",
        )
    return masked(plain(config, lenient=True))


def open_run(root: Path, asked: Asked) -> tuple[RunFolder, RunWriter]:
    """Declare the run, write down what is known before its first row, and open it for rows.

    Raises:
        UsageError: the name is taken, is being written, stands for another config, or belongs to a study file.
        StoreError: the folder cannot be written.
    """
    for kind, name in (("study", asked.study), ("run", asked.name), ("arm", asked.arm)):
        reason = objection(name) if name is not None else None
        if reason:
            raise UsageError(f"the {kind} name {shown(name)} cannot be used: {reason}.", where="start_run")
    study = StudyFolder(root, asked.study)
    try:
        study.path.mkdir(parents=True, exist_ok=True)
        with FileLock(study.path / GUARD, timeout=GUARD_SECONDS):
            return _open(study, asked)
    except OSError as error:
        raise StoreError(
            f"the run's folder cannot be written ({error.strerror or error}).",
            where=str(study.path),
            remedy="check its permissions and the room on the disk, or name another root.",
        ) from error


def _open(study: StudyFolder, asked: Asked) -> tuple[RunFolder, RunWriter]:
    lock = _own_lock(study)
    folder = RunFolder(study.path / _name(study, asked))
    origin = _origin()
    told = _told(asked, folder.name, origin)
    attempt = _clear(folder, told, lock)
    folder.path.mkdir(exist_ok=True)
    writer = RunWriter(folder, attempt=attempt)
    try:
        writer.event("started", process=ProcessId.current().as_dict(), resumed_from=None)
        write_text(folder.config, dump_yaml(asked.config))
        capture.write(folder.path, study.root)
        writer.params(_row(asked, told, attempt))
        write_json(study.lock_json, _declared(lock, study.name, told, origin))
    except BaseException:
        writer.close()
        raise
    writer.start_pulse()
    return folder, writer


def _own_lock(study: StudyFolder) -> dict[str, Any]:
    """The declaration so far; empty for a new study.

    Raises:
        UsageError: a study file declared it.
    """
    lock: dict[str, Any] = read_json(study.lock_json) if study.lock_json.exists() else {}
    if lock and lock.get("made_by") != OWN:
        file = lock.get("source", {}).get("file", "a study file")
        raise UsageError(
            f"the study {study.name!r} is declared by {file}, and only what it declares counts as its runs.",
            where="start_run",
            remedy="another study name; or have the study start the program (command: python train.py ...).",
        )
    return lock


def _name(study: StudyFolder, asked: Asked) -> str:
    stem = asked.name or (f"S{asked.seed}" if asked.seed is not None else "run")
    if asked.name is not None and not asked.is_new:
        return stem
    numbered = (stem if number == 1 else f"{stem}_{number}" for number in range(1, MOST_NUMBERS))
    return next(name for name in numbered if not (study.path / name).exists())


def _told(asked: Asked, name: str, origin: Mapping[str, Any]) -> dict[str, Any]:
    """The run as the lock declares it, and the trainable that its identity rests on."""
    trainable = f"{OWN} ({origin['file']})"
    return {
        "trainable": trainable,
        "declared": {
            "name": name,
            "stage": None,
            "arm": asked.arm,
            "point": {} if asked.arm else point_of(asked.config),
            "seed": asked.seed,
            "identity": identity(trainable, asked.config, asked.seed if asked.seed is not None else 0),
            "path": f"{asked.study}/{name}",
        },
    }


def point_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """What tells one run from another: everything but the seed, dotted."""
    return {key: value for key, value in flatten(config).items() if key != "seed"}


def _clear(folder: RunFolder, told: Mapping[str, Any], lock: Mapping[str, Any]) -> int:
    """Set back what an earlier attempt left, and count this one.

    Raises:
        UsageError: a run of this name has ended, goes on, or was something else.
    """
    if not folder.path.exists():
        return 1
    view = RunView(folder)
    status = view.status()
    if status is Status.RUNNING:
        raise _taken(folder, "is being written by a process that is alive")
    if status in (Status.COMPLETED, Status.STOPPED):
        raise _taken(folder, f"has ended already ({status})")
    attempts = read_rows(folder.params).rows if folder.params.exists() else []
    before = next((run for run in lock.get("declared", ()) if run["name"] == folder.name), None)
    if before is not None and before["identity"] != told["declared"]["identity"]:
        raise _taken(folder, f"was begun with {_difference(before, told['declared'])}")
    if not attempts and not folder.metrics.exists():
        return 1
    last = int(attempts[-1]["attempt"]) if attempts else 0
    rewind(folder, 0, attempt=last)
    return last + 1


def _taken(folder: RunFolder, why: str) -> UsageError:
    return UsageError(
        f"the run {folder.name!r} {why}; nothing is overwritten.",
        where=str(folder.path),
        remedy='another name, or exist="new" to count on, or move the old folder aside.',
    )


def _difference(before: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    then, here = {**before["point"], "seed": before["seed"]}, {**asked["point"], "seed": asked["seed"]}
    keys = [key for key in dict.fromkeys((*then, *here)) if then.get(key) != here.get(key)]
    words = [f"{key}={shown(then.get(key))} and is now asked for with {shown(here.get(key))}" for key in keys[:3]]
    return ", ".join(words) or "another config or from another program"


def _row(asked: Asked, told: Mapping[str, Any], attempt: int) -> dict[str, Any]:
    declared = told["declared"]
    return {
        "schema": 1,
        "attempt": attempt,
        "study": asked.study,
        "stage": None,
        "arm": asked.arm,
        "run": declared["name"],
        "trainable": told["trainable"],
        "point": declared["point"],
        "identity": declared["identity"],
        "config_sha256": content_hash(asked.config),
        "code_sha256": _origin()["sha256"],
        "data_sha256": None,
        "seed_requested": asked.seed if asked.seed is not None else 0,
        # Seeding is the loop's own business, so what was applied is what it says.
        "seed_applied": asked.seed,
        "resumed_from": None,
        "argv": masked_words(sys.argv),
        "determinism": capture.variables(),
        "time": now(),
        "drift": [],
    }


def _origin() -> dict[str, Any]:
    """The program that runs: its name and the hash of its file; in a notebook neither is known."""
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    path = Path(main) if isinstance(main, str) else None
    if path is None or not path.is_file():
        return {"file": "interactive", "sha256": None}
    try:
        return {"file": path.name, "sha256": hash_file(path.resolve())}
    except OSError:
        return {"file": path.name, "sha256": None}


def _declared(
    lock: Mapping[str, Any], study: str, told: Mapping[str, Any], origin: Mapping[str, Any]
) -> dict[str, Any]:
    """The lock with this run among the declared ones."""
    runs = [run for run in lock.get("declared", ()) if run["name"] != told["declared"]["name"]]
    declared = [*runs, told["declared"]]
    base = lock or {
        "schema": 1,
        "study": study,
        "made_by": OWN,
        "trainable": told["trainable"],
        "source": origin,
        "begun": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "amendments": [],
    }
    return {**base, "declared": declared, "plan_sha256": content_hash({"declared": declared})}
