"""Contract cases for launchers: what every one of them owes, whoever wrote it.

Use, in a test module of the package that ships the launcher::

    from quadrat.testing.launchers import LauncherCases

    class TestMyLauncher(LauncherCases):
        separate = True             # the jobs run in processes of their own on this machine

        def make(self):
            return MyLauncher(slots=2)

pytest collects the cases with the class. They start real jobs; none takes more than a few seconds.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

from quadrat.core.errors import UsageError
from quadrat.core.spec import Job
from quadrat.launchers.base import Handle, Launcher


def obey(folder: Path) -> Any:
    """The entry of every job of the cases: does what ``order.json`` in the folder says, then returns its code."""
    order = json.loads((folder / "order.json").read_text())
    (folder / "seen.json").write_text(json.dumps({"pid": os.getpid(), "began": time.time()}))
    if "say" in order:
        print(order["say"])
        print(order["say"], file=sys.stderr)
    if order.get("deaf"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    (folder / "ready").touch()
    time.sleep(order.get("sleep", 0.0))
    if "raise" in order:
        raise RuntimeError(order["raise"])
    if "leave" in order:
        sys.exit(order["leave"])
    if "import" in order:
        __import__(order["import"])
    (folder / "ended").write_text(repr(time.time()))
    return order.get("code", 0)


def job_that(
    folder: Path, order: Mapping[str, Any], *, preload: Sequence[str] = (), python_path: Sequence[str] = ()
) -> Job:
    """A job whose entry obeys ``order``: say, sleep, deaf, raise, leave, import, code."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "order.json").write_text(json.dumps(dict(order)))
    line = "import sys, pathlib; from quadrat.testing.launchers import obey; sys.exit(obey(pathlib.Path(sys.argv[1])))"
    return Job(
        name=folder.name,
        folder=folder,
        command=(sys.executable, "-c", line, str(folder)),
        entry="quadrat.testing.launchers:obey",
        log=folder / "job.log",
        preload=tuple(preload),
        python_path=tuple(python_path),
    )


def finish(launcher: Launcher, handle: Handle, *, within: float = 30.0) -> int:
    """The exit code of a job; an AssertionError when it has not ended ``within`` seconds."""
    deadline = time.monotonic() + within
    while (code := handle.poll()) is None:
        assert time.monotonic() < deadline, f"job {handle.name} has not ended within {within} s"
        launcher.wait(0.5)
    return code


def await_file(path: Path, *, within: float = 30.0) -> None:
    """Return once ``path`` exists; an AssertionError when it does not come."""
    deadline = time.monotonic() + within
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} has not come within {within} s"
        time.sleep(0.005)


class LauncherCases(ABC):
    """Subclass it, name the subclass ``Test...`` and say how the launcher is made."""

    separate: ClassVar[bool] = True
    """Whether jobs run in processes of their own, which can be signalled and whose output goes to the log."""

    @abstractmethod
    def make(self) -> Launcher:
        """A fresh launcher; the case closes it."""

    def _needs_a_process(self) -> None:
        if not self.separate:
            import pytest

            pytest.skip("jobs of this launcher have no process of their own")

    def test_exit_code_is_what_the_entry_returns(self, tmp_path: Path) -> None:
        """The number an entry returns comes back as it is, and stays."""
        with closing(self.make()) as launcher:
            codes = {}
            for code in (0, 7, 75):
                handle = launcher.submit(job_that(tmp_path / f"job{code}", {"code": code}))
                assert handle.name == f"job{code}"
                codes[code] = finish(launcher, handle)
                assert handle.poll() == codes[code], "an ended job keeps its exit code"
        assert codes == {0: 0, 7: 7, 75: 75}

    def test_the_entry_is_given_the_folder_of_its_job(self, tmp_path: Path) -> None:
        """All that a job knows is where its folder is."""
        with closing(self.make()) as launcher:
            finish(launcher, launcher.submit(job_that(tmp_path / "a", {})))
        assert (tmp_path / "a" / "ended").exists()

    def test_system_exit_is_respected(self, tmp_path: Path) -> None:
        """``sys.exit`` in an entry means what it means at the end of a program."""
        with closing(self.make()) as launcher:
            number = launcher.submit(job_that(tmp_path / "number", {"leave": 5}))
            text = launcher.submit(job_that(tmp_path / "text", {"leave": "no luck today"}))
            assert (finish(launcher, number), finish(launcher, text)) == (5, 1)
        assert "no luck today" in (tmp_path / "text" / "job.log").read_text()

    def test_an_exception_is_exit_code_1_and_its_traceback_is_in_the_log(self, tmp_path: Path) -> None:
        """Nobody has to guess why a job failed."""
        with closing(self.make()) as launcher:
            assert finish(launcher, launcher.submit(job_that(tmp_path / "a", {"raise": "ouch 4711"}))) == 1
        log = (tmp_path / "a" / "job.log").read_text()
        assert "Traceback" in log
        assert "RuntimeError: ouch 4711" in log

    def test_an_entry_that_does_not_exist_ends_the_job_and_not_the_launcher(self, tmp_path: Path) -> None:
        """One bad job, and the next one runs."""
        good = job_that(tmp_path / "good", {"code": 4})
        folder = tmp_path / "bad"
        folder.mkdir()
        command = (sys.executable, "-c", "import no_such_module_4711")
        bad = Job("bad", folder, command, "no_such_module_4711:go", folder / "job.log")
        with closing(self.make()) as launcher:
            assert finish(launcher, launcher.submit(bad)) != 0
            assert finish(launcher, launcher.submit(good)) == 4
        assert "no_such_module_4711" in bad.log.read_text()

    def test_modules_on_the_python_path_of_a_job_can_be_imported(self, tmp_path: Path) -> None:
        """A trainable may lie beside its study file."""
        beside = tmp_path / "beside"
        beside.mkdir()
        (beside / "lies_beside_the_study.py").write_text("")
        order = {"import": "lies_beside_the_study"}
        with closing(self.make()) as launcher:
            without = launcher.submit(job_that(tmp_path / "without", order))
            assert finish(launcher, without) == 1
            handle = launcher.submit(job_that(tmp_path / "with", order, python_path=[str(beside)]))
            assert finish(launcher, handle) == 0

    def test_more_jobs_than_slots_all_end_and_never_run_at_once(self, tmp_path: Path) -> None:
        """The surplus waits its turn; none is lost."""
        with closing(self.make()) as launcher:
            count = 2 * launcher.slots + 1
            folders = [tmp_path / f"job{number}" for number in range(count)]
            handles = [launcher.submit(job_that(folder, {"sleep": 0.15})) for folder in folders]
            assert [finish(launcher, handle) for handle in handles] == [0] * count
            began = [json.loads((folder / "seen.json").read_text())["began"] for folder in folders]
            ended = [float((folder / "ended").read_text()) for folder in folders]
            busiest = max(sum(a <= moment < b for a, b in zip(began, ended, strict=True)) for moment in began)
            assert busiest <= launcher.slots

    def test_signals_to_a_job_that_has_ended_do_nothing(self, tmp_path: Path) -> None:
        """A stop that comes late changes no history."""
        with closing(self.make()) as launcher:
            handle = launcher.submit(job_that(tmp_path / "a", {"code": 3}))
            assert finish(launcher, handle) == 3
            handle.terminate()
            handle.kill()
            assert handle.poll() == 3

    def test_close_may_be_called_twice_and_takes_no_job_afterwards(self, tmp_path: Path) -> None:
        """Closed is closed."""
        launcher = self.make()
        finish(launcher, launcher.submit(job_that(tmp_path / "a", {})))
        launcher.close()
        launcher.close()
        try:
            launcher.submit(job_that(tmp_path / "b", {}))
        except UsageError:
            pass
        else:
            raise AssertionError("a closed launcher took a job")
        assert not (tmp_path / "b" / "ended").exists()

    def test_output_goes_to_the_end_of_the_log(self, tmp_path: Path) -> None:
        """Standard output and error both land in the log, after what is there."""
        self._needs_a_process()
        job = job_that(tmp_path / "a", {"say": "moin 4711"})
        job.log.write_text("kept\n")
        with closing(self.make()) as launcher:
            finish(launcher, launcher.submit(job))
        assert job.log.read_text().splitlines() == ["kept", "moin 4711", "moin 4711"]

    def test_terminate_and_kill_end_a_job_by_that_signal(self, tmp_path: Path) -> None:
        """SIGTERM may be ignored, SIGKILL not; the code names the signal."""
        self._needs_a_process()
        with closing(self.make()) as launcher:
            polite = launcher.submit(job_that(tmp_path / "polite", {"sleep": 60}))
            await_file(tmp_path / "polite" / "ready")
            assert polite.poll() is None
            polite.terminate()
            assert finish(launcher, polite, within=5) == -signal.SIGTERM
            deaf = launcher.submit(job_that(tmp_path / "deaf", {"sleep": 60, "deaf": True}))
            await_file(tmp_path / "deaf" / "ready")
            deaf.terminate()
            launcher.wait(0.2)
            assert deaf.poll() is None, "a job that ignores SIGTERM goes on until it is killed"
            deaf.kill()
            assert finish(launcher, deaf, within=5) == -signal.SIGKILL

    def test_close_ends_every_job_within_seconds(self, tmp_path: Path) -> None:
        """Also one that ignores SIGTERM, and one that has not begun."""
        self._needs_a_process()
        launcher = self.make()
        deaf = launcher.submit(job_that(tmp_path / "deaf", {"sleep": 60, "deaf": True}))
        await_file(tmp_path / "deaf" / "ready")
        waiting = [launcher.submit(job_that(tmp_path / f"w{n}", {"sleep": 60})) for n in range(launcher.slots)]
        began = time.monotonic()
        launcher.close()
        assert time.monotonic() - began < 8
        assert deaf.poll() == -signal.SIGKILL
        assert all(handle.poll() is not None for handle in waiting)
        pid = json.loads((tmp_path / "deaf" / "seen.json").read_text())["pid"]
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        raise AssertionError(f"process {pid} has survived its launcher")
