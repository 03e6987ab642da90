"""The lock: what was declared stays declared, what changed is on record, what contradicts is refused."""

from __future__ import annotations

import pytest

from quadrat.conduct.declare import amended, declaration
from quadrat.core.errors import UsageError
from quadrat.study.load import load_study


@pytest.fixture
def declared(make_lab, tmp_path):
    """Declare the toy study with overrides."""
    lab = make_lab(tmp_path)

    def declare(*overrides):
        return declaration(load_study(lab.root / "toy.yaml", overrides=overrides))

    return declare


def test_the_first_declaration_has_no_amendments(declared):
    lock = amended(None, declared())
    assert lock["amendments"] == []
    assert [run["name"] for run in lock["declared"]][:2] == ["R0.1_S0", "R0.1_S1"]
    assert lock["hypothesis"].startswith("Twenty steps")


def test_the_same_plan_again_changes_nothing(declared):
    lock = amended(None, declared())
    assert amended(lock, declared()) == lock


def test_more_seeds_are_an_amendment_that_says_so(declared):
    lock = amended(amended(None, declared("seeds=[0]")), declared("seeds=[0,5]"))
    (entry,) = lock["amendments"]
    assert "declared toy/R0.1_S5" in entry["changes"]


def test_a_run_cannot_be_dropped_quietly(declared):
    lock = amended(amended(None, declared("seeds=[0,1]")), declared("seeds=[0]"))
    assert "R0.1_S1" in {run["name"] for run in lock["declared"]}
    assert any("no longer declared: toy/R0.1_S1" in line for line in lock["amendments"][0]["changes"])


def test_another_hypothesis_is_an_amendment(declared):
    lock = amended(amended(None, declared()), declared("hypothesis=It does not."))
    assert any(line.startswith("hypothesis:") for line in lock["amendments"][0]["changes"])


def test_the_same_name_for_another_config_is_refused(declared):
    with pytest.raises(UsageError, match=r"R0\.1_S0"):
        amended(amended(None, declared()), declared("noise=0.7"))
