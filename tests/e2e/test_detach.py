"""A study in the background: it outlives its terminal, and top, stop and run find it."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time

import psutil
import pytest

SLOW = ("toy.yaml", "seconds_per_step=0.05", "steps=2000", "seeds=[7]")


def conductor(lab, study="toy"):
    """The process that conducts the study, or None."""
    try:
        pid = json.loads((lab.root / f"results/{study}/.conductor.json").read_text())["process"]["pid"]
    except OSError:
        return None
    return psutil.Process(pid) if psutil.pid_exists(pid) else None


@pytest.fixture
def background(lab):
    """A laboratory whose conductor is ended with the test."""
    yield lab
    process = conductor(lab)
    if process is not None:
        process.kill()


def test_it_returns_at_once_and_top_stop_and_run_find_it(background, eventually):
    began = time.monotonic()
    said = background.quadrat("run", *SLOW, "--detach").stderr
    assert time.monotonic() - began < 60  # the study takes 100 seconds
    process = conductor(background)
    assert f"process {process.pid}" in said
    for hint in ("quadrat top toy", "quadrat stop toy", "results/toy/conductor.log"):
        assert hint in said
    assert os.getsid(process.pid) == process.pid
    assert process.terminal() is None
    metrics = background.run_folder("R0.5_S7") / "metrics.ndjson"
    eventually(lambda: metrics.exists() and metrics.stat().st_size > 0)
    assert f"process {process.pid}" in background.quadrat("top").stdout
    for words in (("run", *SLOW), ("run", "--detach", *SLOW)):
        refused = background.quadrat(*words, code=2).stderr
        assert f"process {process.pid}" in refused
        assert "quadrat stop toy" in refused
    assert conductor(background) == process
    assert "stopped" in background.quadrat("stop").stderr
    assert conductor(background) is None
    assert "2 preempted" in background.quadrat("ls", "toy").stdout
    log = (background.root / "results/toy/conductor.log").read_text()
    assert "quadrat run toy.yaml" in log
    assert "toy: 2 runs" in log
    assert "R0.5_S7 preempted" in log


def test_it_outlives_its_terminal(background, eventually):
    master, slave = pty.openpty()
    words = [sys.executable, "-m", "quadrat", "run", "--detach", *SLOW]
    # A shell with a terminal of its own, in which a person starts the study and which is then closed.
    script = 'exec <"$0" >"$0" 2>&1; "$@"; echo started; sleep 60'
    shell = subprocess.Popen(
        ["sh", "-c", script, os.ttyname(slave), *words], cwd=background.root, start_new_session=True
    )
    seen = b""
    while b"started" not in seen:
        seen += os.read(master, 65536)
    process = conductor(background)
    for descriptor in (slave, master):
        os.close(descriptor)
    assert shell.wait(timeout=50) == -signal.SIGHUP
    metrics = background.run_folder("R0.5_S7") / "metrics.ndjson"
    eventually(lambda: metrics.exists() and metrics.stat().st_size > 0)
    size = metrics.stat().st_size
    eventually(lambda: metrics.stat().st_size > size)
    assert process.is_running()
    background.quadrat("stop", "toy")


def test_it_goes_on_to_the_end(background, eventually):
    words = ("toy.yaml", "seconds_per_step=0.02", "axes.rate=[0.5]")
    background.quadrat("run", "--detach", *words)
    eventually(lambda: conductor(background) is None)
    assert background.quadrat("ls", "toy").stdout.startswith("3 planned = 3 completed")
    assert "3 planned = 3 completed" in (background.root / "results/toy/conductor.log").read_text()
    again = background.quadrat("run", *words, "--detach")
    assert "nothing to do" in again.stderr
    assert "background" not in again.stderr
    row = json.loads((background.run_folder("R0.5_S0") / "params.ndjson").read_text())
    assert row["argv"] == ["quadrat", "run", *words]
    assert "damage" not in background.quadrat("verify", "toy").stdout


def test_a_mistake_is_told_before_anything_starts(background):
    said = background.quadrat("run", "--detach", "toy.yaml", "stepps=3", code=2)
    assert "steps" in said.stderr
    assert not (background.root / "results").exists()


def test_a_refusal_comes_back_with_its_code(background):
    background.quadrat("run", "toy.yaml", "axes.rate=[0.1]", "seeds=[0]")
    said = background.quadrat("run", "--detach", "toy.yaml", "axes.rate=[0.1]", "seeds=[0]", "noise=0.5", code=2)
    assert "R0.1_S0" in said.stderr
    assert "Traceback" not in said.stderr
    assert "background" not in said.stderr


def test_a_log_that_leads_elsewhere_is_not_followed(background, tmp_path_factory):
    victim = tmp_path_factory.mktemp("elsewhere") / "victim"
    victim.write_text("mine")
    (background.root / "results/toy").mkdir(parents=True)
    (background.root / "results/toy/conductor.log").symlink_to(victim)
    said = background.quadrat("run", "--detach", *SLOW, code=5)
    assert "conductor.log" in said.stderr
    assert victim.read_text() == "mine"


def test_an_interrupt_before_it_is_at_work_leaves_nothing_running(background, eventually):
    process = background.start("run", "--detach", *SLOW)
    log = background.root / "results/toy/conductor.log"
    eventually(lambda: log.exists() and b"---" in log.read_bytes())
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    # Either it was still ours to end, or it was handed over already and said so.
    if process.returncode == 130:
        assert conductor(background) is None
    else:
        assert "running in the background" in err
