from __future__ import annotations

from math import nan

import pytest

from quadrat.core.errors import UsageError
from quadrat.health.monitor import Monitor
from quadrat.health.rules import parse_rules
from quadrat.health.sets import OWN_SETS, read_set, shared_set


def test_every_set_is_a_valid_list_of_rules_and_all_go_together():
    rules = parse_rules(list(OWN_SETS))
    assert len(rules) == sum(len(shared_set(name)) for name in OWN_SETS)
    assert all(rule.diagnosis and rule.remedy for rule in rules)


def test_nonfinite_stops_at_the_first_nan_and_leaves_a_large_loss_alone():
    monitor = Monitor(["nonfinite"])
    assert monitor.observe(1, {"train/loss": 1e30}) == []
    (found,) = monitor.observe(2, {"train/loss": nan})
    assert (found.rule, found.action, found.level, found.value) == ("nonfinite_loss", "stop", "fail", "NaN")


def test_another_package_can_bring_a_set(tmp_path, monkeypatch):
    (tmp_path / "lab_rules.py").write_text('def fever():\n    return [{"id": "hot", "metric": "t", "fail": "> 39"}]\n')
    about = tmp_path / "lab_rules-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-rules\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[quadrat.rules]\nfever = lab_rules:fever\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert [one.rule for one in Monitor(["fever"]).observe(3, {"t": 40.0})] == ["hot"]
    with pytest.raises(UsageError, match=r"known: .*fever, nonfinite"):
        shared_set("chill")


def test_a_package_can_bring_a_set_as_a_file_and_is_not_imported(tmp_path, monkeypatch):
    package = tmp_path / "lab_study"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('nobody asked for this code')\n")
    (package / "rules.yaml").write_text('- {id: hot, metric: t, fail: "> 39"}\n')
    about = tmp_path / "lab_study-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-study\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[quadrat.rules]\nfever = lab_study:rules.yaml\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert [one.rule for one in Monitor(["fever", "nonfinite"]).observe(3, {"t": 40.0})] == ["hot"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- 3", "holds no list of rules"),
        ("rules: {}", "holds no list of rules"),
        ("- {id: a", "not valid YAML"),
        ("- !!python/object:os.system {}", "not valid YAML"),
        ("# " + "x" * 2**20, "at most 1 MiB"),
    ],
    ids=["no rules", "no list", "broken", "code", "large"],
)
def test_a_file_that_holds_something_else_is_refused(tmp_path, text, said):
    (tmp_path / "rules.yaml").write_text(text)
    with pytest.raises(UsageError, match=said):
        read_set(tmp_path / "rules.yaml")


def test_a_file_may_be_a_list_or_hold_one(tmp_path):
    rule = '{id: a, metric: m, fail: "> 3"}'
    (tmp_path / "a.yaml").write_text(f"- {rule}\n")
    (tmp_path / "b.yaml").write_text(f"rules: [{rule}]\n")
    assert read_set(tmp_path / "a.yaml") == read_set(tmp_path / "b.yaml")
    with pytest.raises(UsageError, match="cannot be read"):
        read_set(tmp_path / "c.yaml")


def test_an_unknown_set_lists_the_known_ones():
    with pytest.raises(UsageError, match=r"did you mean 'nonfinite'\? known: .*nonfinite"):
        shared_set("nonfinit")
