"""``quadrat check-health``: the same rules again, and others, over finished runs."""

from __future__ import annotations

import json

RULES = """
rules:
  - nonfinite
  - {id: heavy, metric: weight, warn: "> 0.5", stays: 3, diagnosis: It has grown., remedy: Nothing.}
  - {id: never, metric: elsewhere, fail: "> 0"}
"""

OTHERS = """\
- {id: large_loss, metric: train/loss, fail: "> 0", stays: 4, action: stop, diagnosis: Above nothing., remedy: Wait.}
- {id: shrunk, metric: train/loss, relative: first, warn: "< 0.5", smooth: {median: 3}}
"""


def test_the_same_rules_find_the_same_and_others_find_others(lab):
    lab.write(more=RULES)
    lab.quadrat("run", "toy.yaml", "seeds=[0]", "axes.rate=[0.1,0.5]")
    folder = lab.run_folder("R0.5_S0")
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    said = json.loads(lab.quadrat("check-health", "R0.5_S0", "--json").stdout)
    kept = json.loads(before["health.json"])["rules"]
    assert (said["rules"], said["equals_live"], said["label"]) == (kept, True, "warning")
    assert {row["id"]: row["state"] for row in kept} == {
        "nonfinite_loss": "ok",
        "heavy": "warn",
        "never": "not_measured",
    }
    text = lab.quadrat("check-health", "toy/R0.5_S0").stdout
    assert "health.json says the same" in text
    assert "It has grown." in text
    (lab.root / "others.yaml").write_text(OTHERS, encoding="utf-8")
    words = ("check-health", "R0.5_S0", "--rules", "others.yaml", "--rules", "nonfinite", "--json")
    other = json.loads(lab.quadrat(*words, code=4).stdout)
    assert (other["stop"]["rule"], other["stop"]["step"], other["last_step"]) == ("large_loss", 5, 20)
    assert [row["id"] for row in other["rules"]] == ["large_loss", "shrunk", "nonfinite_loss"]
    assert other["equals_live"] is None
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_a_run_that_a_rule_stopped_replays_to_the_same_stop(lab):
    lab.write(more=RULES)
    lab.quadrat("run", "toy.yaml", "seeds=[0]", "axes.rate=[0.1]", "nan_at=7", code=4)
    said = json.loads(lab.quadrat("check-health", "R0.1_S0", "--json", code=4).stdout)
    assert (said["stop"]["rule"], said["stop"]["step"], said["equals_live"]) == ("nonfinite_loss", 7, True)


def test_rules_that_cannot_be_read_are_one_paragraph(lab):
    lab.quadrat("run", "toy.yaml", "seeds=[0]", "axes.rate=[0.1]", "baseline={}", code=0)
    assert "cannot be read" in lab.quadrat("check-health", "R0.1_S0", "--rules", "none.yaml", code=2).stderr
    (lab.root / "bad.yaml").write_text("- {id: r, metric: m, fail: > 3}\n", encoding="utf-8")
    assert "put comparisons in quotes" in lab.quadrat("check-health", "R0.1_S0", "--rules", "bad.yaml", code=2).stderr
    assert "unknown set of rules" in lab.quadrat("check-health", "R0.1_S0", "--rules", "etrmm", code=2).stderr
