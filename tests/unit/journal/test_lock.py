"""One conductor per study."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from quadrat.core.errors import StoreError, UsageError
from quadrat.journal.layout import StudyFolder
from quadrat.journal.lock import conductor_of, study_lock
from quadrat.journal.process import ProcessId

HOLDS = """
import subprocess, sys, time
from pathlib import Path
from quadrat.journal.layout import StudyFolder
from quadrat.journal.lock import study_lock
with study_lock(StudyFolder(Path(sys.argv[1]), "demo")):
    # A child that outlives its parent must not keep the lock.
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    print(child.pid, flush=True)
    time.sleep(60)
"""


def test_the_second_conductor_is_refused_and_told_who_is_first(tmp_path: Path) -> None:
    study = StudyFolder(tmp_path, "demo")
    with subprocess.Popen([sys.executable, "-c", HOLDS, tmp_path], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        child = int(other.stdout.readline())
        with pytest.raises(UsageError, match=rf"run by process {other.pid}\b") as caught, study_lock(study):
            pass
        assert "quadrat stop demo" in caught.value.paragraph()
        conductor = conductor_of(study)
        assert conductor is not None
        assert conductor.pid == other.pid
        assert conductor.is_alive()
        other.send_signal(signal.SIGKILL)
        other.wait()
    try:
        assert not conductor.is_alive()
        with study_lock(study):
            assert conductor_of(study) == ProcessId.current()
    finally:
        os.kill(child, signal.SIGKILL)
    assert conductor_of(study) is None


def test_in_one_process_too_the_second_is_refused(tmp_path: Path) -> None:
    study = StudyFolder(tmp_path, "demo")
    with study_lock(study):
        with pytest.raises(UsageError, match="is being run"), study_lock(study):
            pass
        with study_lock(StudyFolder(tmp_path, "other")):
            pass
    with study_lock(study):
        pass


def test_what_goes_wrong_inside_frees_the_lock(tmp_path: Path) -> None:
    study = StudyFolder(tmp_path, "demo")
    with pytest.raises(RuntimeError), study_lock(study):
        raise RuntimeError
    with study_lock(study):
        pass


def test_a_folder_that_cannot_be_made_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file in the way")
    with pytest.raises(StoreError, match="cannot be written"), study_lock(StudyFolder(tmp_path, "demo")):
        pass


@pytest.mark.parametrize("note", [b"", b"[]", b'{"process": {"pid": 1}}', b'{"process": 3}'])
def test_a_damaged_note_about_the_conductor_is_no_note(tmp_path: Path, note: bytes) -> None:
    study = StudyFolder(tmp_path, "demo")
    study.path.mkdir(parents=True)
    study.conductor_json.write_bytes(note)
    assert conductor_of(study) is None
