"""A run made again, beside the original: its code put back, its data hashed, its threads and variables as they were.

Everything happens in a root of its own inside ``.reruns/[<stage>/]<run>/<n>/``, with one job in it that any worker
understands. That root is the checkout itself, or a folder of links to the code at hand. The original is only read.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, Final, final

from quadrat.analyze.compare import differences
from quadrat.analyze.rerun import FOLDER, REPORT, Comparison, Tolerance, compare, siblings_of
from quadrat.conduct.checkout import Code, holding, put_back
from quadrat.core.errors import RunError, StoreError, UsageError
from quadrat.core.secrets import mask, masked_words
from quadrat.core.spec import Point, Resources, RunSpec
from quadrat.core.verdicts import Status
from quadrat.journal.atomic import read_bytes, read_mapping, write_json
from quadrat.journal.audit import Audit
from quadrat.journal.layout import MARKER, RESULTS, RunFolder, StudyFolder
from quadrat.journal.reader import RunView
from quadrat.journal.seal import hash_file, verify
from quadrat.run import capture, order
from quadrat.run.order import Keep, WorkOrder

JOB: Final = "again"
CAPTURED: Final = f"{RESULTS}/.captured"
NEVER: Final = 10**15
"""Steps between checkpoints: only the one at the very end is of use here."""

RESTORED: Final = (
    "CUBLAS_WORKSPACE_CONFIG",
    "MKL_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "PYTHONHASHSEED",
)
"""Recorded variables that decide how a machine computes; they are set as they were, or taken away."""


@final
@dataclass(frozen=True, slots=True)
class Again:
    """What a re-run left: its folder, the run in it, and how it compares."""

    folder: Path
    run: RunFolder
    comparison: Comparison
    code: Code
    remarks: tuple[str, ...]


@final
@dataclass(frozen=True, slots=True)
class Wish:
    """How a run is to be made again.

    Attributes:
        tolerance: when two numbers count as equal.
        here: with the code at hand, not with the recorded one.
        argv: the command line of the person who asks.
        say: who is told, before the run starts, what differs from when the original was made.
    """

    tolerance: Tolerance
    here: bool = False
    argv: Sequence[str] = ()
    say: Callable[[str], None] = print


def rerun(run: RunFolder, *, root: Path, wish: Wish) -> Again:
    """Make a finished run again and hold the two against each other.

    Raises:
        UsageError: the run has not ended, its folder is damaged, or it ran in several processes.
        RunError: the worker could not even begin.
        KeyboardInterrupt: the second run was interrupted; nothing of it is left. It carries the signal if not SIGINT.
    """
    row, study = _original(run)
    folder = StudyFolder(root, study)
    stage = (str(row["stage"]),) if row.get("stage") else ()
    place = _claim(folder.path.joinpath(FOLDER, *stage, run.name))
    work = place / "work"
    try:
        code = _code(run, root=root, work=work, row=row, wish=wish)
        base = code.root if code.top else _linked(root, work / "root")
        remarks = [*code.remarks, *_data(run, root=root, base=base)]
        _capture(base, code)
        for line in (f"code: {code.told}", *remarks, *_drift(run, base)):
            wish.say(line)
        told = _order(run, row, folder=folder, code=code, wish=wish)
        made = _execute(told, base=base, recorded=row.get("determinism", {}))
        again = RunFolder(place / run.name)
        made.rename(again.path)
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        with contextlib.suppress(OSError):
            place.parent.rmdir()
        raise
    shutil.rmtree(work, ignore_errors=True)
    then, now = RunView(run), RunView(again)
    found = compare(then, now, siblings=siblings_of(folder, then), tolerance=wish.tolerance)
    result = Again(place, again, found, code, tuple(remarks))
    write_json(place / REPORT, _report(result, run, root=root, row=row))
    return result


def _original(run: RunFolder) -> tuple[Mapping[str, Any], str]:
    """The last row of a run that may be made again, and its study."""
    damage = verify(run)
    if not run.manifest.exists():
        raise UsageError(
            "the run is not sealed: it is at work, or was lost.", where=run.name, remedy="finish it first."
        )
    if damage:
        raise StoreError(
            f"the original is not as it was sealed: {damage[0].path}: {damage[0].what}.",
            where=run.name,
            remedy="quadrat verify on it; there is nothing to compare a re-run with.",
        )
    row = RunView(run).attempts()[-1]
    if "threads" not in row:
        raise UsageError(
            f"the run was made by a loop of its own ({row.get('trainable')}), which only its program can make again.",
            where=run.name,
            remedy="run the program again under another name, and compare with quadrat diff.",
        )
    if int(row.get("determinism", {}).get("WORLD_SIZE", "1")) > 1:
        raise UsageError(
            "the run was made by several processes.", where=run.name, remedy="run its study under another name."
        )
    return row, str(row["study"])


def _claim(parent: Path) -> Path:
    """A new numbered folder."""
    parent.mkdir(parents=True, exist_ok=True)
    number = 1 + max((int(path.name) for path in parent.iterdir() if path.name.isdigit()), default=0)
    while True:
        place = parent / str(number)
        try:
            place.mkdir()
        except FileExistsError:
            number += 1
            continue
        return place


def _code(run: RunFolder, *, root: Path, work: Path, row: Mapping[str, Any], wish: Wish) -> Code:
    """The recorded code where it can be put back, else the code at hand and why."""
    trainable = str(row["trainable"])
    beside = _beside(run, root)
    why: Code | str = ""
    if not wish.here:
        work.mkdir()
        patch = read_bytes(run.git_diff) if run.git_diff.is_file() else b""
        why = put_back(root, work / "code", facts=read_mapping(run.git), patch=patch, trainable=trainable)
    if isinstance(why, Code):
        mapped = [why.root / folder.relative_to(root) for folder in beside if folder.is_relative_to(root)]
        return replace(why, python_path=(*holding(mapped, trainable), *why.python_path))
    told = f"the code at hand, not the recorded one: {why}" if why else "the code at hand, as asked for"
    return Code(root, None, told, (), holding(beside, trainable))


def _beside(run: RunFolder, root: Path) -> list[Path]:
    """Folders in which the trainable's module may lie: that of the study's file, and the root."""
    source = read_mapping(StudyFolder(root, run.path.relative_to(root).parts[1]).lock_json).get("source")
    file = str(source.get("file", "")) if isinstance(source, dict) else ""
    return list(dict.fromkeys([(root / file).resolve().parent, root] if file else [root]))


def _linked(root: Path, base: Path) -> Path:
    """A root in which the code at hand is found by the same relative paths, and nothing else of the project is."""
    base.mkdir(parents=True)
    for path in root.iterdir():
        if path.name not in (*capture.OWN_FOLDERS, ".git", MARKER):
            (base / path.name).symlink_to(path.resolve())
    return base


def _data(run: RunFolder, *, root: Path, base: Path) -> list[str]:
    """Lend the data of the original when every file of it is as it was; else say that they are built anew."""
    for held in (base / name for name in capture.OWN_FOLDERS):
        # A repository may hold some of them, as links even; none of that belongs to the re-run.
        if held.is_symlink():
            held.unlink()
        shutil.rmtree(held, ignore_errors=True)
    (base / "data").mkdir()
    manifest = read_mapping(run.data)
    if not manifest:
        return []
    audit = Audit(root)
    audit.data(manifest)
    name = str(manifest.get("folder"))
    if audit.damages:
        first = audit.damages[0]
        return [f"data: {first.path} {first.what}; they are built anew for the re-run"]
    (base / "data" / Path(name).name).symlink_to((root / name).resolve())
    return []


def _capture(base: Path, code: Code) -> None:
    target = base / CAPTURED
    target.mkdir(parents=True)
    capture.write(target, code.root)


def _drift(run: RunFolder, base: Path) -> list[str]:
    """How this machine and its packages differ from what was recorded."""
    then, now = read_mapping(run.env), read_mapping(base / CAPTURED / "env.json")
    flat = [
        {**{k: v for k, v in env.items() if not isinstance(v, dict)}, **env.get("packages", {})} for env in (then, now)
    ]
    found = differences(*flat)
    lines = [f"environment: {item.key} was {item.a}, is {item.b}" for item in found[:10]]
    return [*lines, f"environment: {len(found) - 10} more differ"] if len(found) > 10 else lines


def _order(run: RunFolder, row: Mapping[str, Any], *, folder: StudyFolder, code: Code, wish: Wish) -> WorkOrder:
    rules = read_mapping(folder.lock_json).get("rules")
    spec = RunSpec(
        study=folder.name,
        stage=row["stage"],
        name=str(row["run"]),
        trainable=str(row["trainable"]),
        config=RunView(run).config(),
        seed=int(row["seed_requested"]),
        point=Point(dict(row["point"]), row["arm"]),
        identity=str(row["identity"]),
    )
    return WorkOrder(
        spec=spec,
        resources=Resources(threads=int(row["threads"]), gpus=int(str(row["device"]).startswith("cuda"))),
        keep=Keep(count=NEVER, unit="steps"),
        rules=tuple(rules) if isinstance(rules, list) else (),
        captured=CAPTURED,
        python_path=tuple(str(path) for path in code.python_path),
        compile=bool(row.get("compiled")),
        argv=tuple(masked_words(wish.argv)),
    )


def _execute(told: WorkOrder, *, base: Path, recorded: Mapping[str, Any]) -> Path:
    """Carry the order out in a process of its own; the folder of the run it made."""
    made = RunFolder(base / RESULTS / told.spec.path)
    made.path.mkdir(parents=True)
    job = base / RESULTS / told.spec.study / ".jobs" / JOB
    order.write(job, [told])
    command = [sys.executable, "-P", "-m", "quadrat.run.worker", str(job)]
    env = _environ(told, recorded)
    with made.log.open("ab") as log:
        process = subprocess.Popen(
            command, cwd=base, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            with _heard():
                ended = process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
    status = RunView(made).status()
    if ended == 75 or status is Status.PREEMPTED:
        raise KeyboardInterrupt
    if not made.manifest.exists():
        tail = mask(made.log.read_text(errors="replace"))[0].strip().splitlines()[-1:]
        raise RunError(f"the run could not be made again: {''.join(tail) or f'code {ended}'}", where=told.spec.path)
    return made.path


@contextlib.contextmanager
def _heard() -> Generator[None]:
    """Have SIGTERM and SIGHUP end what is done here as Ctrl-C does: no worker is left behind."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        del frame
        raise KeyboardInterrupt(number)

    watched = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, on_signal) for number in watched}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _environ(told: WorkOrder, recorded: Mapping[str, Any]) -> dict[str, str]:
    """This environment, with the variables that decide how a machine computes as they were recorded."""
    env = {key: value for key, value in os.environ.items() if key not in RESTORED}
    env |= {key: str(recorded[key]) for key in RESTORED if key in recorded}
    before = [env["PYTHONPATH"]] if env.get("PYTHONPATH") else []
    return {**env, "PYTHONPATH": os.pathsep.join((*told.python_path, *before))}


def _report(again: Again, run: RunFolder, *, root: Path, row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "schema": 1,
        "study": row["study"],
        "run": run.path.relative_to(StudyFolder(root, str(row["study"])).path).as_posix(),
        "identity": row["identity"],
        "folder": again.run.path.relative_to(root).as_posix(),
        "original_manifest_sha256": hash_file(run.manifest),
        "ran": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "code": again.code.told,
        "remarks": list(again.remarks),
        **again.comparison.as_dict(),
    }
