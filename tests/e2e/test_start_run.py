"""Runs of a loop of one's own are read by every reading verb, as those of a study file are."""

from __future__ import annotations

import json

import pytest

import quadrat

CONFIGS = [("small", 0.1), ("large", 0.2)]


@pytest.fixture
def own(lab, monkeypatch):
    """A study of four runs in two arms, one of them failed."""
    monkeypatch.delenv("QUADRAT_RELAY", raising=False)
    for arm, rate in CONFIGS:
        for seed in (1, 2):
            name = f"{arm}_S{seed}"
            made = quadrat.start_run("own", name, arm=arm, config={"rate": rate}, seed=seed, root=lab.root)
            for step in range(5):
                made.log(step, {"train/loss": rate * seed / (step + 1), "test/gap": rate * step})
            made.artifact("words.txt", "kept")
            made.finish(error="no more data" if name == "large_S2" else None)
    return lab


def test_every_reading_verb_knows_them(own):
    assert "own: 4 planned = 3 completed + 1 failed" in own.quadrat("ls").stdout
    listing = json.loads(own.quadrat("ls", "own", "--json").stdout)["runs"]
    assert {run["name"]: (run["arm"], run["seed"], run["status"]) for run in listing} == {
        "small_S1": ("small", 1, "completed"),
        "small_S2": ("small", 2, "completed"),
        "large_S1": ("large", 1, "completed"),
        "large_S2": ("large", 2, "failed"),
    }
    shown = own.quadrat("show", "own/large_S2").stdout
    assert "no more data" in shown
    assert "nothing differs" in own.quadrat("verify", "own").stderr
    assert "rate" in own.quadrat("diff", "own/small_S1", "own/large_S1").stdout
    own.quadrat("report", "own")
    page = (own.root / "results/own/report.html").read_text()
    assert [word for word in ("small", "large", "train/loss", "test/gap", "no more data") if word not in page] == []
    draft = own.quadrat("record", "draft", "own")
    assert list((own.root / "experiments").glob("*_own.md")), draft.stderr


def test_a_study_file_may_not_be_mixed_with_them_behind_its_back(own):
    own.quadrat("run", "toy.yaml", "steps=5", "axes.rate=[0.1]", "seeds=[0]")
    with pytest.raises(quadrat.UsageError, match=r"declared by toy\.yaml"):
        quadrat.start_run("toy", "mine", root=own.root)


def test_one_flipped_byte_is_named(own):
    path = own.run_folder("small_S1", "own") / "metrics.ndjson"
    path.write_bytes(path.read_bytes().replace(b"0.1", b"0.3", 1))
    assert "small_S1/metrics.ndjson" in own.quadrat("verify", "own", code=5).stdout
