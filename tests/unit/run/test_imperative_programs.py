"""Loops in programs of their own: how the program ends says how the run did."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap

from quadrat.journal.layout import RunFolder
from quadrat.journal.reader import RunView


def rows(view):
    return [json.loads(line) for line in view.folder.metrics.read_text().splitlines()]


def start(folder, text, *words):
    path = folder / "loop.py"
    path.write_text("import sys\nimport quadrat\n" + textwrap.dedent(text))
    environment = {key: value for key, value in os.environ.items() if key not in ("QUADRAT_RELAY", "RANK")}
    environment |= {"QUADRAT_ROOT": str(folder), "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    command = [sys.executable, str(path), *words]
    return subprocess.Popen(command, cwd=folder, stdout=pipe, stderr=pipe, text=True, env=environment)


def script(folder, text, *, code=0):
    process = start(folder, text)
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    return subprocess.CompletedProcess((), process.returncode, out, err)


def test_a_full_disk_costs_rows_and_never_the_loop(tmp_path):
    """A limit on file sizes is the full disk that a test can have."""
    done = script(
        tmp_path,
        """
        import resource, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        run = quadrat.start_run("mine", "one")
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        for step in range(2000):
            run.log(step, loss=1.0, accuracy=2.0)
        run.artifact("big.bin", b"0" * 100_000)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)) \
            if resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY else None
        print("loop ended", run.finish())
        """,
    )
    assert "loop ended" in done.stdout, done.stderr
    assert "Traceback" not in done.stderr
    view = RunView(RunFolder(tmp_path / "results/mine/one"))
    assert view.status() in ("failed", "lost")
    assert len(rows(view)) > 100


def test_a_program_that_ends_without_a_word_leaves_a_lost_run_and_is_told(tmp_path):
    done = script(tmp_path, 'run = quadrat.start_run("mine", "one")\nrun.log(1, loss=1.0)')
    assert "run.finish()" in done.stderr
    assert RunView(RunFolder(tmp_path / "results/mine/one")).status() == "lost"


def test_a_program_that_dies_of_an_exception_without_with_is_failed(tmp_path):
    script(tmp_path, 'run = quadrat.start_run("mine", "one")\nraise LookupError("gone")', code=1)
    view = RunView(RunFolder(tmp_path / "results/mine/one"))
    assert (view.status(), view.error()["type"]) == ("failed", "LookupError")


def test_ctrl_c_leaves_a_preempted_run_and_kill_a_lost_one(tmp_path, eventually):
    text = """
    import time
    with quadrat.start_run("mine", sys.argv[1]) as run:
        for step in range(100_000):
            run.log(step, loss=1.0)
            time.sleep(0.01)
    """
    for name, how, status in (("c", signal.SIGINT, "preempted"), ("k", signal.SIGKILL, "lost")):
        process = start(tmp_path, text, name)
        folder = RunFolder(tmp_path / "results/mine" / name)
        eventually(lambda folder=folder: folder.metrics.exists() and folder.metrics.stat().st_size > 100)
        process.send_signal(how)
        process.communicate(timeout=60)
        assert RunView(folder).status() == status


def test_it_comes_without_torch_and_numpy_until_used(tmp_path):
    done = script(tmp_path, "quadrat.start_run\nprint('torch' in sys.modules)\n")
    assert done.stdout.split() == ["False"]


def test_a_run_that_ends_with_its_program_is_completed_or_failed_as_the_program_does(tmp_path):
    text = 'run = quadrat.start_run("mine", sys.argv[1])\nrun.finish_at_exit()\nrun.log(1, loss=1.0)\n'
    for name, more, code, status in (("good", "", 0, "completed"), ("bad", "1 / 0\n", 1, "failed")):
        process = start(tmp_path, text + more, name)
        process.communicate(timeout=120)
        assert process.returncode == code
        assert RunView(RunFolder(tmp_path / "results/mine" / name)).status() == status
