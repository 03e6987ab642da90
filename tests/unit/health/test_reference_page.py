"""Every example of docs/reference/health-rules.md is run: the rule, the rows and what they are said to give."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from quadrat.health.monitor import Monitor
from quadrat.health.rules import RULE_KEYS
from quadrat.health.sets import OWN_SETS

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "health-rules.md"
EXAMPLE = re.compile(r"```yaml\n(.*?)```\n```text\n(.*?)```", re.DOTALL)
EXAMPLES = EXAMPLE.findall(PAGE.read_text(encoding="utf-8"))
FINDING = re.compile(r"=> (\w+) at (\d+): (\S+) (.+), window (\d+)\.\.(\d+), action (\w+)")
END = re.compile(r"=> (\w+) ends as (\w+)")


def cell(text):
    return text if text in ("NaN", "Infinity", "-Infinity") else float(text)


def rows_of(text):
    header, *lines = [line for line in text.splitlines() if not line.startswith("=>")]
    names = header.split()[1:]
    for line in lines:
        step, *cells = line.split()
        measured = {name: cell(one) for name, one in zip(names, cells, strict=True) if one != "-"}
        yield {"step": int(step), "metrics": measured}


@pytest.mark.parametrize(("rules", "text"), EXAMPLES, ids=[rules.split(",")[0].split()[-1] for rules, _ in EXAMPLES])
def test_the_example_does_what_the_page_says(rules, text):
    monitor = Monitor.replay(YAML(typ="safe", pure=True).load(rules), rows_of(text))
    said = [FINDING.fullmatch(line) for line in text.splitlines() if " at " in line]
    assert len(said) == len(monitor.findings)
    for claim, found in zip(said, monitor.findings, strict=True):
        level, step, value, threshold, first, last, action = claim.groups()
        assert (found.level, found.step, found.threshold, found.action) == (level, int(step), threshold, action)
        assert found.window == (int(first), int(last))
        assert found.value == (cell(value) if isinstance(found.value, str) else pytest.approx(cell(value)))
    (end,) = [END.fullmatch(line) for line in text.splitlines() if " ends as " in line]
    assert [(row["id"], row["state"]) for row in monitor.report()] == [end.groups()]


def test_the_page_has_its_examples_and_names_every_key_and_set():
    text = PAGE.read_text(encoding="utf-8")
    assert len(EXAMPLES) == 11
    assert text.count("```yaml") == len(EXAMPLES)
    table = text.split("## The keys")[1].split("##")[0]
    assert set(RULE_KEYS) <= set(re.findall(r"`(\w+)`", table))
    shown = {key for row in Monitor([{"id": "r", "metric": "m", "fail": "< 1"}]).report() for key in row}
    assert shown == set(re.findall(r"`(\w+)`", text.split("## health.json")[1])) - {
        "ok",
        "warn",
        "fail",
        "not_measured",
    }
    assert set(OWN_SETS) <= set(re.findall(r"`(\w+)`", text.split("## Shared sets")[1].split("##")[0]))
