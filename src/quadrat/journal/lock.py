"""One conductor per study: a lock that ends with its process, and a note about who holds it."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

from filelock import FileLock, Timeout

from quadrat.core.errors import StoreError, UsageError
from quadrat.journal.atomic import read_json, write_json
from quadrat.journal.layout import StudyFolder
from quadrat.journal.process import ProcessId


@contextlib.contextmanager
def study_lock(study: StudyFolder) -> Generator[None]:
    """Be the only conductor of ``study`` inside the block. The folder is made when it is missing.

    The lock is the system's: it ends with the process however that ends, so it cannot become stale.

    Raises:
        UsageError: another process conducts this study.
        StoreError: the study's folder cannot be written.
    """
    lock = FileLock(study.lock_file, timeout=0)
    try:
        study.path.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as taken:
        raise _refusal(study) from taken
    except OSError as error:
        raise StoreError(
            f"the study's folder cannot be written ({error.strerror or error}).",
            where=str(study.path),
            remedy="check its permissions and the room on the disk, or choose another --root.",
        ) from error
    try:
        note_conductor(study, ProcessId.current())
        yield
    finally:
        with contextlib.suppress(OSError):
            study.conductor_json.unlink(missing_ok=True)
        lock.release()


def note_conductor(study: StudyFolder, process: ProcessId) -> None:
    """Note which process conducts ``study``.

    Raises:
        OSError: the disk is full or unwritable.
    """
    write_json(study.conductor_json, {"schema": 1, "process": process.as_dict()})


def conductor_of(study: StudyFolder) -> ProcessId | None:
    """The process last noted as conductor of ``study``, alive or not; None when there is no readable note."""
    try:
        return ProcessId.from_dict(read_json(study.conductor_json)["process"])
    except (StoreError, ValueError, KeyError, TypeError):
        return None


def _refusal(study: StudyFolder) -> UsageError:
    holder = conductor_of(study)
    if holder is None:
        who = "another process"
    else:
        who = f"process {holder.pid}" + ("" if holder.is_here() else f" on {holder.host}")
    return UsageError(
        f"the study {study.name!r} is being run by {who}.",
        where=str(study.path),
        remedy=f"wait for it, or stop it with: quadrat stop {study.name}",
    )
