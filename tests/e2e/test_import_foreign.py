"""Old results from four other programs stand beside a new one, and every reading verb takes them."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest

FORMATS = {"tensorboard": "old", "wandb": "calm-sea-1", "mlflow": "first_parent", "csv": "metrics"}


@pytest.fixture(scope="module")
def lab(tmp_path_factory, make_lab, foreign):
    """A project with a study of its own, and everything imported that there is."""
    lab = make_lab(tmp_path_factory.mktemp("beside"))
    study = (lab.root / "toy.yaml").read_text()
    study = study.replace("[0.1, 0.5]", "[0.5]").replace("baseline: {rate: 0.1}\n", "").replace("[0, 1, 2]", "[1]")
    (lab.root / "toy.yaml").write_text(study)
    lab.quadrat("run", "toy.yaml")
    for name in FORMATS:
        lab.quadrat("import", str(foreign(name)), "--as", f"from-{name}")
    return lab


@pytest.mark.parametrize("name", list(FORMATS))
def test_what_was_imported_is_read_by_every_verb(lab, name):
    study, run = f"from-{name}", f"from-{name}/{FORMATS[name]}"
    assert FORMATS[name] in lab.quadrat("ls", study).stdout
    assert "completed" in lab.quadrat("show", run).stdout
    differs = lab.quadrat("diff", run, "toy/R0.5_S1", code=None)
    assert differs.returncode in (0, 1), differs.stderr
    assert "test/gap" in differs.stdout
    assert "nothing differs" in lab.quadrat("verify", study).stderr
    lab.quadrat("report", study)
    assert (lab.root / "results" / study / "report.html").stat().st_size > 1000


@pytest.mark.parametrize("name", list(FORMATS))
def test_it_says_where_it_comes_from_and_nothing_of_this_machine(lab, foreign, name):
    folder = lab.root / "results" / f"from-{name}" / FORMATS[name]
    row = json.loads((folder / "params.ndjson").read_text())
    assert row["imported"]["format"] == name
    assert all(len(file["sha256"]) == 64 for file in row["imported"]["files"])
    env = json.loads((folder / "env.json").read_text())
    assert (env["python"], env["platform"], env["packages"]) == ("unknown (imported)", "unknown (imported)", {})
    assert json.loads((folder / "git.json").read_text())["reason"] == "unknown (imported)"
    text = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file()).decode()
    assert "hunter2" not in text, "a secret among the parameters"
    assert str(foreign(name).parent) not in text
    assert str(lab.root) not in text


def test_times_are_those_of_the_source(lab):
    folder = lab.root / "results/from-tensorboard/old"
    events = [json.loads(line) for line in (folder / "events.ndjson").read_text().splitlines()]
    assert {event["time"][:10] for event in events} <= {"2023-11-14"}
    times = [json.loads(line) for line in (folder / "artifacts/times.ndjson").read_text().splitlines()]
    assert times == [{"step": step, "time": 1.7e9 + step} for step in range(4)]
    events = (lab.root / "results/from-csv/metrics/events.ndjson").read_text()
    assert all(json.loads(line)["time"] is None for line in events.splitlines())


def test_the_same_again_changes_nothing_and_other_files_are_refused(lab, foreign):
    told = lab.quadrat("import", str(foreign("csv")), "--as", "from-csv").stderr
    assert "imported already" in told
    refused = lab.quadrat("import", str(foreign("tensorboard")), "--as", "from-csv", code=2).stderr
    assert "nothing is overwritten" in refused
    assert "--as" in refused


def test_what_nobody_knows_is_one_paragraph_that_names_what_was_looked_for(lab):
    (lab.root / "noise.bin").write_bytes(bytes(range(256)))
    told = lab.quadrat("import", "noise.bin", code=2).stderr
    for word in ("zip", "TensorBoard", "W&B", "MLflow", "CSV"):
        assert word in told
    assert "Traceback" not in told


def test_an_imported_study_leaves_in_a_zip_and_its_record_can_be_drafted(lab, tmp_path):
    lab.quadrat("export", "from-wandb", "-o", str(tmp_path / "x.zip"))
    (tmp_path / "elsewhere").mkdir()
    elsewhere = type(lab)(tmp_path / "elsewhere")
    assert "results/from-wandb" in elsewhere.quadrat("import", str(tmp_path / "x.zip")).stdout
    assert "nothing differs" in elsewhere.quadrat("verify").stderr
    lab.quadrat("record", "draft", "from-wandb")


def test_ctrl_c_leaves_nothing_behind(lab):
    path = lab.root / "long.csv"
    with path.open("w") as file:
        file.write("run,step,loss\n")
        file.writelines(f"r{n // 100},{n % 100},0.5\n" for n in range(40_000))
    process = lab.start("import", str(path))
    until = time.monotonic() + 60
    while not list((lab.root / "results").glob(".import-*/long/r*")) and time.monotonic() < until:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    left = [entry.name for entry in (lab.root / "results").iterdir() if entry.name not in ("toy",)]
    assert sorted(left) == sorted(f"from-{name}" for name in FORMATS)
