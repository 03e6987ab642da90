"""What two runs differ in, through the real command line."""

from __future__ import annotations

import json

import pytest


@pytest.fixture(scope="module")
def done(tmp_path_factory, make_lab):
    """A study of two seeds and two rates, run to its end."""
    lab = make_lab(tmp_path_factory.mktemp("diff"))
    lab.quadrat("run", "toy.yaml", "seeds=[0,1]")
    return lab


def sections(text):
    """Title to lines, without the head."""
    parts = [part.splitlines() for part in text.rstrip().split("\n\n")[1:]]
    return {part[0].split("  ")[0].strip(): part[1:] for part in parts}


def test_only_what_differs_is_shown_under_its_name(done):
    said = done.quadrat("diff", "toy/R0.1_S0", "R0.5_S0").stdout
    assert said.splitlines()[:2] == ["A  toy/R0.1_S0  completed", "B  toy/R0.5_S0  completed"]
    assert set(sections(said)) == {"config", "final metrics"}
    assert sections(said)["config"] == ["  rate  0.1  0.5"]


def test_metrics_have_difference_and_arrow(done):
    said = done.quadrat("diff", "R0.1_S0", "R0.5_S0").stdout
    finals = [
        json.loads((done.run_folder(name) / "metrics.json").read_text())["final"] for name in ("R0.1_S0", "R0.5_S0")
    ]
    gap = finals[1]["test/gap"] - finals[0]["test/gap"]
    (line,) = [line for line in sections(said)["final metrics"] if "test/gap" in line]
    assert line.split()[1:] == [
        *(f"{final['test/gap']:.6g}" for final in finals),
        f"{gap:+.4g}",
        "↑" if gap > 0 else "↓",
    ]


def test_columns_stand_under_each_other(done):
    lines = done.quadrat("diff", "R0.1_S0", "R0.5_S1").stdout.split("final metrics", 1)[1].splitlines()
    second = lines[0].index("B  ") + len("final metrics")
    assert all(line[second - 2 : second] == "  " and line[second] != " " for line in lines[1:] if line)


def test_a_run_beside_itself_does_not_differ(done):
    said = done.quadrat("diff", "R0.1_S0", str(done.run_folder("R0.1_S0")))
    assert said.stdout.splitlines()[2:] == ["nothing differs"]


def test_another_seed_is_told(done):
    assert sections(done.quadrat("diff", "R0.1_S0", "R0.1_S1").stdout)["seeds"] == [
        "  requested  0  1",
        "  applied    0  1",
    ]


def test_the_document_is_stable(done):
    found = json.loads(done.quadrat("diff", "R0.1_S0", "R0.5_S0", "--json").stdout)
    assert found["schema"] == "quadrat.diff/1"
    assert set(found) == {
        "schema", "a", "b", "differs", "outcome", "config", "seeds", "metrics", "equal_metrics", "derived", "data",
        "code", "environment",
    }  # fmt: skip
    assert found["a"] == {"path": "toy/R0.1_S0", "status": "completed", "damage": []}
    assert found["config"] == [{"key": "rate", "a": 0.1, "b": 0.5, "only": None}]
    metric = next(row for row in found["metrics"] if row["name"] == "test/gap")
    assert metric["change"] == pytest.approx(metric["b"] - metric["a"])
    assert metric["direction"] == ("up" if metric["change"] > 0 else "down")


def test_code_and_ending_differ_and_damage_is_named(done, tmp_path):
    folder = done.root / "results/toy"
    other = folder / "copy"
    other.mkdir()
    for path in (folder / "R0.1_S0").iterdir():
        if path.is_file():
            (other / path.name).write_bytes(path.read_bytes())
    (other / "git.json").write_text(json.dumps({"schema": 1, "commit": "c0ffee" * 6 + "beef", "dirty": True}))
    (other / "git.diff").write_bytes(b"diff --git a/x b/x\n")
    (other / "verdict.json").write_text(
        json.dumps({"status": "failed", "step": 20, "error": {"type": "E", "message": "\x1b[2Jm"}})
    )
    (other / "env.json").write_text("{")
    said = done.quadrat("diff", "R0.1_S0", "toy/copy").stdout
    found = sections(said)
    assert any(line.split()[:1] == ["commit"] and line.split()[-1] == "c0ffeec0ffee" for line in found["code"])
    assert any(line.split()[:2] == ["patch_sha256", "-"] for line in found["code"])
    assert ["status", "completed", "failed"] in [line.split() for line in found["outcome"]]
    assert [line.split() for line in found["environment"]] == [["env.json", "recorded", "-"]]
    assert "\x1b" not in said


def test_an_unknown_run_is_one_paragraph(done):
    said = done.quadrat("diff", "R0.1_S0", "R0.1_S9", code=2)
    assert "R0.1_S1" in said.stderr
    assert "Traceback" not in said.stderr


def test_a_terminal_that_knows_no_arrows_gets_none(done, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    said = done.quadrat("diff", "R0.1_S0", "R0.5_S0")
    assert said.stdout.isascii()
