"""Who dies with whom: real processes, killed for real."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

CONDUCTOR = """
import sys, time
from pathlib import Path
from quadrat.core.spec import Job
from quadrat.launchers.pool import PoolLauncher
folder = Path(sys.argv[1])
pool = PoolLauncher(slots=4)
for name in sys.argv[2:]:
    pool.submit(Job(name, folder, (), f"family_jobs:{name}", folder / f"{name}.log", python_path=(str(folder),)))
while True:
    pool.wait(1.0)
"""

FAMILY = """
import os, signal, subprocess, time
from pathlib import Path

def tell(folder, name):
    beside = folder / f".{name}"
    beside.write_text(str(os.getpid()))
    beside.rename(folder / name)

def polite(folder):
    def save(*_):
        time.sleep(0.3)
        (folder / "saved").write_text("all")
        os._exit(75)
    signal.signal(signal.SIGTERM, save)
    tell(folder, "polite.pid")
    time.sleep(120)

def deaf(folder):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    tell(folder, "deaf.pid")
    time.sleep(120)

def parent(folder):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen(["sh", "-c", "trap '' TERM; sleep 120 & wait; sleep 120"])
    Path(folder / "grandchild.pid").write_text(str(child.pid))
    tell(folder, "parent.pid")
    time.sleep(120)
"""

ALL = ("polite", "deaf", "parent")


@pytest.fixture
def conduct(tmp_path, appears):
    """Starts a process that runs jobs in a pool; gives the processes of that family by name."""
    (tmp_path / "family_jobs.py").write_text(FAMILY)
    family: dict[str, int] = {}
    started = []

    def conduct(*names: str) -> dict[str, int]:
        started.append(subprocess.Popen([sys.executable, "-c", CONDUCTOR, str(tmp_path), *names]))
        family.update({name: int(appears(tmp_path / f"{name}.pid")) for name in names})
        if "parent" in names:
            family["grandchild"] = int(appears(tmp_path / "grandchild.pid"))
        family["zygote"] = psutil.Process(family[names[0]]).ppid()
        family["conductor"] = started[0].pid
        assert psutil.Process(family["zygote"]).ppid() == started[0].pid
        return family

    yield conduct
    for process in started:
        process.kill()
        process.wait()
    for pid in family.values():
        if psutil.pid_exists(pid):
            os.kill(pid, signal.SIGKILL)


def others(family: dict[str, int]) -> list[int]:
    return [pid for name, pid in family.items() if name != "conductor"]


def test_all_are_gone_within_5_s_after_the_launcher_was_killed(conduct, gone, tmp_path):
    family = conduct(*ALL)
    os.kill(family["conductor"], signal.SIGKILL)
    took = gone(*others(family), within=5.0)
    assert (tmp_path / "saved").read_text() == "all", "the polite job had no time to save"
    assert took > 1, "the deaf job was given no grace"


def test_all_jobs_are_gone_when_the_zygote_is_killed_first(conduct, gone):
    family = conduct(*ALL)
    os.kill(family["zygote"], signal.SIGKILL)
    os.kill(family["conductor"], signal.SIGKILL)
    # The grandchild is known to nobody who is left alive.
    gone(*(family[name] for name in ("zygote", *ALL)), within=5.0)


def test_the_launcher_clears_up_after_a_zygote_that_was_killed(conduct, gone, appears, tmp_path):
    family = conduct(*ALL)
    os.kill(family["zygote"], signal.SIGKILL)
    gone(*others(family), within=5.0)
    assert psutil.pid_exists(family["conductor"])
    assert "died by SIGKILL" in appears(tmp_path / "deaf.log")


def test_a_zygote_that_dies_while_nobody_looks_is_cleared_up_later(
    make_pool, make_job, outcome, appears, gone, process_of
):
    source = """
        import subprocess
        subprocess.Popen(["sh", "-c", "echo $$ > grandchild; sleep 60"], cwd=folder).wait()
    """
    pool = make_pool()
    handle = pool.submit(make_job("a", source))
    grandchild = int(appears(handle.job.folder / "grandchild"))
    zygote = psutil.Process(process_of(pool, handle)).ppid()
    os.kill(zygote, signal.SIGKILL)
    gone(zygote, handle.pid)
    assert psutil.pid_exists(grandchild)
    assert outcome(pool, handle) == -signal.SIGKILL
    gone(grandchild, within=1.0)
    assert outcome(pool, pool.submit(make_job("b", "return 4"))) == 4


def test_sigterm_to_the_zygote_ends_it_in_good_order(conduct, gone, tmp_path):
    family = conduct("polite")
    os.kill(family["zygote"], signal.SIGTERM)
    gone(*others(family), within=5.0)
    assert (tmp_path / "saved").exists()


def test_a_stopped_launcher_is_not_a_dead_one(conduct):
    family = conduct("polite")
    os.kill(family["conductor"], signal.SIGSTOP)
    time.sleep(0.5)
    assert all(psutil.pid_exists(pid) for pid in family.values())


def test_killed_launcher_does_not_leave_a_zygote_that_is_still_importing(tmp_path, appears, gone):
    (tmp_path / "slow_import.py").write_text(
        "import os, pathlib, time\n"
        "pathlib.Path(__file__).with_name('importing.pid').write_text(str(os.getpid()))\n"
        "time.sleep(60)\n"
    )
    code = CONDUCTOR.replace("python_path=", "preload=('slow_import',), python_path=")
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path), "any"])
    zygote = int(appears(tmp_path / "importing.pid"))
    process.kill()
    process.wait()
    gone(zygote, within=2.0)


def test_jobs_outlive_the_thread_that_submitted_the_first_one(make_pool, make_job, outcome, appears):
    pool = make_pool()
    handles = []
    job = make_job("a", "print('up'); time.sleep(0.5); return 4")

    def submit() -> None:
        handles.append(pool.submit(job))
        appears(job.log)

    thread = threading.Thread(target=submit)
    thread.start()
    thread.join()  # the kernel takes the end of this thread for the end of the zygote's parent
    assert outcome(pool, handles[0]) == 4
    assert outcome(pool, pool.submit(make_job("b", "return 5"))) == 5
    assert job.log.read_text() == "up\n"


def test_a_pool_that_nobody_closed_ends_with_its_process(tmp_path, gone):
    (tmp_path / "family_jobs.py").write_text(FAMILY)
    code = CONDUCTOR.replace("while True:", "while not (folder / 'polite.pid').exists():")
    subprocess.run([sys.executable, "-c", code, str(tmp_path), "polite"], check=True, timeout=30)
    gone(int((tmp_path / "polite.pid").read_text()), within=5.0)
    assert (tmp_path / "saved").exists()
