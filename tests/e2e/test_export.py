"""A study leaves in one file and arrives elsewhere whole; what is of no use is taken away."""

from __future__ import annotations

import json
import zipfile

import pytest


@pytest.fixture(scope="module")
def finished(tmp_path_factory, make_lab):
    """Six runs, an evaluation and a record."""
    lab = make_lab(tmp_path_factory.mktemp("finished"))
    lab.quadrat("run", "toy.yaml")
    lab.quadrat("evaluate", "toy/R0.5_S1", "slope=3.0")
    lab.quadrat("record", "draft", "toy")
    return lab


def test_a_study_arrives_elsewhere_and_verifies_and_checks(finished, tmp_path):
    file = tmp_path / "toy.zip"
    told = json.loads(finished.quadrat("export", "toy", "--output", str(file), "--json").stdout)
    assert told["masked"] == {}
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        assert not [name for name in names if "/.jobs/" in name or name.endswith("/.lock")]
        assert {"toy.yaml", "quadrat.toml"} <= set(names)
        archive.extractall(tmp_path / "unpacked")  # any zip program will do
    elsewhere = type(finished)(tmp_path / "elsewhere")
    elsewhere.root.mkdir()
    (elsewhere.root / "quadrat.toml").write_text("")
    placed = elsewhere.quadrat("import", str(file)).stdout.splitlines()
    assert placed[-1] == "results/toy"
    for lab in (elsewhere, type(finished)(tmp_path / "unpacked")):
        said = lab.quadrat("verify").stderr
        assert "6 sealed runs, 1 evaluations" in said
        assert "nothing differs" in said
        findings = lab.quadrat("record", "check", code=1).stdout.splitlines()
        assert all("blank" in line for line in findings), findings
    assert "nothing to do" in elsewhere.quadrat("run", "toy.yaml").stderr
    assert "here already" in elsewhere.quadrat("import", str(file), code=2).stderr
    assert "exists already" in finished.quadrat("export", "toy", "-o", str(file), code=2).stderr


def test_gc_lists_first_and_says_what_a_record_cites(finished):
    listed = finished.quadrat("gc", "toy")
    assert "results/toy/.jobs" in listed.stdout
    assert "kept for a record" in listed.stderr
    assert (finished.root / "results/toy/.jobs").exists()
    told = json.loads(finished.quadrat("gc", "toy", "--yes", "--json").stdout)
    assert told["freed"] > 0
    gone = [heap["path"] for heap in told["heaps"] if heap["removed"]]
    assert "results/toy/.jobs" in gone
    cited = [heap["path"] for heap in told["heaps"] if not heap["removed"]]
    assert all("/checkpoints/" in path and (finished.root / path).exists() for path in cited)
    assert len(cited) == 6
    freed = json.loads(finished.quadrat("gc", "toy", "--yes", "--cited", "--json").stdout)
    assert {heap["path"] for heap in freed["heaps"]} == set(cited)
    assert "nothing differs" in finished.quadrat("verify", "toy").stderr
    assert "test/gap" in finished.quadrat("evaluate", "toy/R0.5_S0").stdout


def test_a_study_of_ones_own_runs_at_once(lab):
    (lab.root / "quadrat.toml").unlink()
    written = lab.quadrat("init", "mine")
    assert written.stdout.split() == ["mine/mine.py", "mine/smoke.yaml", "mine/mine.yaml", "quadrat.toml"]
    assert "1 planned = 1 completed" in lab.quadrat("run", "mine/smoke.yaml", "--workers", "1").stderr
    assert "nothing differs" in lab.quadrat("verify", "mine_smoke").stderr
    assert "identical bytes" in lab.quadrat("rerun", "mine_smoke/S0").stdout
    assert "9 runs" in (said := lab.quadrat("check", "mine/mine.yaml")).stdout + said.stderr
    for name, said in (("mine", "nothing is overwritten"), ("my-study", "my_study"), ("json", "json"), ("a/b", "a_b")):
        assert said in lab.quadrat("init", name, code=2).stderr
