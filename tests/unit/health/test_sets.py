from __future__ import annotations

from math import nan

import pytest

from quadrat.core.errors import UsageError
from quadrat.health.monitor import Monitor
from quadrat.health.rules import parse_rules
from quadrat.health.sets import OWN_SETS, shared_set


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
    with pytest.raises(UsageError, match="known: fever, nonfinite"):
        shared_set("chill")


def test_an_unknown_set_lists_the_known_ones():
    with pytest.raises(UsageError, match=r"did you mean 'nonfinite'\? known: .*nonfinite"):
        shared_set("nonfinit")
