"""Programs that do not import Quadrat, named by ``command:``, are run, heard, judged and kept like any trainable."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import psutil
import pytest

STUDY = """\
study: prog
command: {command}
config: {{rate: 0.5, steps: 5, how: lines}}
axes: {{rate: [0.5, 0.25]}}
seeds: [1]
name: R{{rate}}_S{{seed}}
workers: 1
{more}
"""

LINE = "python prog.py --rate {rate} --steps {steps} --how {how} --seed {seed} --output_dir {run_dir}"

PROGRAM = '''\
"""A stranger: it knows nothing of Quadrat, unless told to."""
import argparse, csv, json, os, pathlib, subprocess, sys, time

parser = argparse.ArgumentParser()
for name in ("--rate", "--steps", "--how", "--seed", "--output_dir"):
    parser.add_argument(name)
told = parser.parse_args()
folder, rate = pathlib.Path(told.output_dir), float(told.rate)
rows = [{"step": step, "loss": rate / (step + 1), "note": "words"} for step in range(int(told.steps))]
print("seed", told.seed, "in", os.getcwd(), flush=True)
if told.how == "lines":
    with open(folder / "metrics.jsonl", "w") as file:
        for row in rows:
            print(json.dumps(row), file=file, flush=True)
elif told.how == "csv":
    with open(folder / "metrics.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, ["step", "loss", "note"])
        writer.writeheader()
        writer.writerows(rows)
elif told.how == "json":
    (folder / "metrics.json").write_text(json.dumps({"step": 4, "test": {"loss": rate, "odd": float("nan")}}))
elif told.how == "own":
    import quadrat
    with quadrat.start_run(config={"ignored": True}) as run:
        for row in rows:
            run.log(row["step"], loss=row["loss"])
        run.artifact("weights.txt", "1 2 3")
        run.note("derived", parameter_count=3)
        if rate == 0.25:
            raise LookupError("hf_" + "a1" * 15)
elif told.how == "tensorboard":
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter
    writer = EventFileWriter(str(folder / "logs"))
    for row in rows:
        values = [Summary.Value(tag=tag, simple_value=row["loss"] * 2) for tag in ("loss", "twice")]
        writer.add_event(Event(step=row["step"], summary=Summary(value=values)))
    writer.close()
elif told.how == "crash":
    print("the last thing before it breaks", file=sys.stderr)
    sys.exit(3)
elif told.how == "killed":
    os.kill(os.getpid(), 9)
elif told.how == "hang":
    time.sleep(600)
elif told.how == "diverge":
    with open(folder / "metrics.jsonl", "w") as file:
        for step in range(2000):
            print(json.dumps({"step": step, "loss": float("nan") if step == 3 else 1.0}), file=file, flush=True)
            time.sleep(0.05)
elif told.how == "slow":
    (folder / "pid").write_text(str(os.getpid()))
    with open(folder / "metrics.jsonl", "a") as file:
        first = sum(1 for line in open(folder / "metrics.jsonl"))
        for step in range(first, int(told.steps)):
            print(json.dumps({"step": step, "loss": 1.0}), file=file, flush=True)
            time.sleep(0.02)
elif told.how == "daemon":
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], start_new_session=True)
    (folder / "pid").write_text(str(child.pid))
elif told.how == "chatter":
    for number in range(120_000):
        print(f"line {number:06d} " + "." * 80)
'''


@pytest.fixture
def prog(lab):
    """A laboratory with the program and its study."""
    (lab.root / "prog.py").write_text(PROGRAM)

    def write(command=LINE, *, more=""):
        (lab.root / "prog.yaml").write_text(STUDY.format(command=command, more=more))
        return lab

    return write


def rows(lab, name):
    return [json.loads(line) for line in (lab.run_folder(name, "prog") / "metrics.ndjson").read_text().splitlines()]


def verdict(lab, name):
    return json.loads((lab.run_folder(name, "prog") / "verdict.json").read_text())


def run(lab, *words, code=0):
    return lab.quadrat("run", "prog.yaml", "--no-canary", *words, code=code)


ONE = "axes.rate=[0.5]"


def test_a_program_that_writes_lines(prog):
    lab = prog()
    lab.quadrat("run", "prog.yaml")
    for rate in (0.5, 0.25):
        assert rows(lab, f"R{rate}_S1") == [{"step": step, "metrics": {"loss": rate / (step + 1)}} for step in range(5)]
    folder = lab.run_folder("R0.5_S1", "prog")
    assert f"seed 1 in {lab.root}" in (folder / "train.log").read_text()
    assert (folder / "artifacts/metrics.jsonl").is_file()
    assert "nothing differs" in lab.quadrat("verify", "prog").stderr
    notes = [json.loads(line) for line in (folder / "events.ndjson").read_text().splitlines()]
    told = next(note["data"] for note in notes if note.get("kind") == "program")
    assert told["argv"][1:4] == ["prog.py", "--rate", "0.5"]
    assert list(told["sha256"]) == ["prog.py"]
    assert "prog: 2 planned = 2 completed" in lab.quadrat("ls").stdout


@pytest.mark.parametrize(
    ("how", "last"),
    [
        ("csv", {"loss": 0.1}),
        ("json", {"test/loss": 0.5, "test/odd": "NaN"}),
        ("tensorboard", {"loss": pytest.approx(0.2), "twice": pytest.approx(0.2)}),
    ],
)
def test_programs_that_write_other_files(prog, how, last):
    lab = prog()
    run(lab, ONE, f"how={how}")
    assert rows(lab, "R0.5_S1")[-1] == {"step": 4, "metrics": last}


def test_a_program_that_writes_through_start_run(prog):
    lab = prog()
    run(lab, "how=own", code=1)
    folder = lab.run_folder("R0.5_S1", "prog")
    assert [row["step"] for row in rows(lab, "R0.5_S1")] == [0, 1, 2, 3, 4]
    assert (folder / "artifacts/weights.txt").read_text() == "1 2 3"
    assert '"parameter_count":3' in (folder / "events.ndjson").read_text().replace(" ", "")
    failed = verdict(lab, "R0.25_S1")
    assert failed["status"] == "failed"
    assert "LookupError: ***" in failed["error"]["message"]
    assert len(rows(lab, "R0.25_S1")) == 5
    everything = b"".join(path.read_bytes() for path in (lab.root / "results").rglob("R*/*") if path.is_file())
    assert b"a1a1a1a1" not in everything


@pytest.mark.parametrize(
    ("how", "said"),
    [("crash", ("ended with code 3", "the last thing before it breaks")), ("killed", ("died by SIGKILL",))],
)
def test_a_program_that_fails(prog, how, said):
    lab = prog()
    run(lab, ONE, f"how={how}", code=1)
    told = verdict(lab, "R0.5_S1")
    assert told["status"] == "failed"
    assert all(words in told["error"]["message"] for words in said)


def test_a_program_that_is_not_there(prog):
    lab = prog("nosuchprogram --rate {rate} {steps} {how}")
    run(lab, ONE, code=1)
    assert "'nosuchprogram' cannot be started" in verdict(lab, "R0.5_S1")["error"]["message"]


def test_a_program_that_hangs_is_ended(prog):
    lab = prog(f"{{line: '{LINE}', silence: 2}}")
    run(lab, ONE, "how=hang", code=1)
    assert "neither printed nor measured anything for 2 s" in verdict(lab, "R0.5_S1")["error"]["message"]


def test_a_rule_stops_a_program(prog):
    lab = prog(more="rules: [{id: bad, metric: loss, fail: nonfinite, action: stop}]")
    run(lab, ONE, "how=diverge", code=4)
    assert verdict(lab, "R0.5_S1")["diagnosis"]["rule"] == "bad"
    assert len(rows(lab, "R0.5_S1")) < 100


def test_a_program_that_was_stopped_goes_on_with_its_files(prog, eventually):
    lab = prog()
    folder = lab.run_folder("R0.5_S1", "prog")
    process = lab.start("run", "prog.yaml", ONE, "how=slow", "steps=300")
    eventually(lambda: (folder / "artifacts/metrics.jsonl").exists() and len(rows(lab, "R0.5_S1")) > 5)
    pid = int((folder / "artifacts/pid").read_text())
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert verdict(lab, "R0.5_S1")["status"] == "preempted"
    assert not psutil.pid_exists(pid)
    run(lab, ONE, "how=slow", "steps=300")
    assert [row["step"] for row in rows(lab, "R0.5_S1")] == list(range(300))
    assert "nothing differs" in lab.quadrat("verify", "prog").stderr


def test_a_daemon_of_a_program_does_not_outlive_the_study(prog, eventually):
    lab = prog()
    run(lab, ONE, "how=daemon")
    pid = int((lab.run_folder("R0.5_S1", "prog") / "artifacts/pid").read_text())
    eventually(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


def test_of_a_program_that_chatters_head_and_tail_are_kept(prog):
    lab = prog()
    run(lab, ONE, "how=chatter")
    log = (lab.run_folder("R0.5_S1", "prog") / "train.log").read_text()
    assert "line 000000" in log
    assert "line 119999" in log
    assert "bytes of output are left out here" in log
    assert 4e6 < len(log) < 6e6


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("python prog.py {rat} {steps} {how}", "prog.yaml:3: config has no key for the field {rat} of the command."),
        ("python prog.py {rate}", "key 'steps' is not passed on by the command"),
        ("'python \"prog.py {rate}'", "prog.yaml:2: config command.line cannot be read: No closing quotation"),
        ("python prog.py {} {rate}", "prog.yaml:2: config command.line has an empty field"),
        ("'  '", "prog.yaml:2: config command.line is empty"),
        ("{line: 'python prog.py {config}', sielnce: 3}", "did you mean 'command.silence'?"),
    ],
)
def test_a_command_that_cannot_be_meant_is_refused_before_anything_runs(prog, command, said):
    lab = prog(command)
    done = lab.quadrat("check", "prog.yaml", code=2)
    assert said in done.stderr
    assert not (lab.root / "results").exists()


def test_a_misspelt_key_is_found_as_for_any_trainable(prog):
    lab = prog()
    assert "did you mean 'steps'" in lab.quadrat("check", "prog.yaml", "stpes=3", code=2).stderr


def test_the_whole_config_can_be_passed_as_a_file(prog):
    lab = prog("python -c 'import sys; print(open(sys.argv[1]).read())' {config}")
    run(lab, ONE)
    assert "steps: 5" in (lab.run_folder("R0.5_S1", "prog") / "train.log").read_text()


def test_it_is_driven_by_a_plain_loop_too(tmp_path, monkeypatch):
    from quadrat.core.context import Context
    from quadrat.core.events import Metrics
    from quadrat.run.program import Config, train

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("QUADRAT_ROOT", raising=False)
    Path("prog.py").write_text(PROGRAM)
    scratch = tmp_path / "scratch" / "one"
    scratch.mkdir(parents=True)
    config = Config.model_validate({"command": {"line": LINE}, "rate": 1.0, "steps": 3, "how": "lines"})
    events = list(train(config, Context(seed=1, device="cpu", data=None, scratch=scratch)))
    assert [event.step for event in events if isinstance(event, Metrics)] == [0, 1, 2]
    assert os.environ.get("QUADRAT_RELAY") is None


def test_any_program_is_run_as_it_is(prog):
    """Flags, pairs and a config file are found in the words; the words reach the program unchanged."""
    lab = prog()
    (lab.root / "more.yaml").write_text("depth: 4\n")
    line = "prog.py --rate 0.5 --steps 3 --how lines --seed 7 --output_dir {run_dir}"
    lab.quadrat("run", "--no-canary", "--", "python", *line.split())
    (folder,) = lab.root.glob("results/prog/*_S7")
    assert folder.name.startswith("rate0.5_steps3_")
    assert [json.loads(row)["metrics"] for row in (folder / "metrics.ndjson").read_text().splitlines()] == [
        {"loss": 0.5},
        {"loss": 0.25},
        {"loss": pytest.approx(1 / 6)},
    ]
    told = "import sys; print(sys.argv[1:])"
    lab.quadrat(
        "run", "study=words", "seeds=[1,2]", "--", "python", "-c", told, "--amp", "optim.lr=0.1", "--config=more.yaml"
    )
    folders = sorted(lab.root.glob("results/words/*_S*"))
    assert [folder.name[-3:] for folder in folders] == ["_S1", "_S2"]
    assert "['--amp', 'optim.lr=0.1', '--config=more.yaml']" in (folders[0] / "train.log").read_text()
    config = (folders[0] / "config.yaml").read_text()
    assert "depth: 4" in config
    assert "amp: true" in config
    assert "lr: 0.1" in config
    assert "nothing to do" in lab.quadrat("run", "--", "python", *line.split()).stderr
    lab.quadrat("run", "--", "python", *line.replace("0.5", "0.25").split())
    assert "prog: 2 planned = 2 completed" in lab.quadrat("ls").stdout
    assert "nothing differs" in lab.quadrat("verify").stderr
    assert "nothing stands behind the --" in lab.quadrat("run", "--", code=2).stderr
    assert "Missing argument" in lab.quadrat("run", code=2).stderr


def test_a_change_of_the_program_is_drift(prog):
    """A re-run names the changed script as the cause, before what it changed."""
    lab = prog()
    run(lab, ONE)
    (lab.root / "prog.py").write_text(PROGRAM.replace("rate / (step + 1)", "rate * 1.01 / (step + 1)"))
    done = lab.quadrat("rerun", "prog/R0.5_S1", "--here", code=1)
    assert done.stdout.index("program prog.py") < done.stdout.index("effects")
    told = json.loads(next(lab.root.glob("results/prog/.reruns/R0.5_S1/1/rerun.json")).read_text())
    (cause,) = told["causes"]["code"]
    assert cause["key"] == "program prog.py"
    assert cause["then"] != cause["now"] is not None
    assert "loss was 0.5, is 0.505" in done.stdout
