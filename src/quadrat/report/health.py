"""The health of runs on the page: which rules fired where, over the steps, and how the first hundred steps went."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from quadrat.analyze import vital_signs
from quadrat.analyze.rows import Row
from quadrat.analyze.table import StudyTable
from quadrat.analyze.vital_signs import FIRST_STEPS, STATES, Strip
from quadrat.report.markup import Child, Markup, join, table, tag
from quadrat.report.numbers import NONE, decimals, number
from quadrat.report.sections import chip

MOST: Final = 12
"""Runs whose rules are drawn over their steps; of the others the counts must do."""


def health(study: StudyTable) -> Markup | None:
    """The section; None for a study in which no rule has looked at a run."""
    counted = vital_signs.counts(study)
    if not counted:
        return None
    shown = vital_signs.troubled(study, MOST)
    judged = max(sum(states.values()) for states in counted.values())
    left = (
        tag("p", f"The {judged - MOST} runs that are not drawn are no worse.", class_="note") if judged > MOST else None
    )
    cards = [_run(row, rules, is_open=place == 0) for place, (row, rules) in enumerate(shown)]
    return join([_summary(counted), cards, left])


def _summary(counted: Mapping[str, Mapping[str, int]]) -> Markup:
    body = [(tag("code", rule), *(states[state] or NONE for state in STATES)) for rule, states in counted.items()]
    head = ["Rule", *(state.replace("_", " ") for state in STATES)]
    return table("In how many runs each rule ended in which state.", body, head=head, numeric=range(1, 5))


def _run(row: Row, rules: Sequence[Mapping[str, Any]], *, is_open: bool) -> Markup:
    name = tag("summary", tag("code", row.declared.place), " ", chip(str(row.status)))
    return tag("details", name, _timeline(row, rules), _first_steps(row, rules), open=is_open, class_="vitals")


def _timeline(row: Row, rules: Sequence[Mapping[str, Any]]) -> Markup:
    found = vital_signs.strips(row, rules)
    body = [(tag("code", strip.rule), chip(strip.state), _strip(strip), _words(strip)) for strip in found]
    last = max(strip.spans[-1][1] for strip in found)
    caption = f"The rules over steps 0 to {last}."
    return table(caption, body, head=["Rule", "Worst", "Over the steps", "Changes"], class_="timeline")


def _strip(strip: Strip) -> Markup:
    """The states as a bar; the words beside it say the same to those who cannot see it."""
    parts = [tag("span", class_=state, style=f"flex: {end - step + 1}") for step, end, state in strip.spans]
    return tag("div", parts, class_="bar", aria_hidden="true")


def _words(strip: Strip) -> str:
    """When the rule changed its mind; the first few times."""
    changes = [f"{state.replace('_', ' ')} from {step}" for step, _, state in strip.spans if state != "not_measured"]
    more = f" and {len(changes) - 4} more" if len(changes) > 4 else ""
    return ", ".join(changes[:4]) + more if changes else "never measured"


def _first_steps(row: Row, rules: Sequence[Mapping[str, Any]]) -> Markup:
    found = vital_signs.start(row, rules)
    body: list[Sequence[Child]] = []
    for start in found:
        places = decimals([start.first, start.last])
        states = join([[chip(state), f" {rule}"] for rule, state in start.rules], by=", ")
        values = (None if math.isnan(value) else value for value in (start.first, start.last, start.last - start.first))
        body.append((tag("code", start.metric), *(number(value, places) for value in values), states))
    head = ["Metric", "First", f"By step {FIRST_STEPS}", "Change", "Rules by then"]
    return table(f"The first {FIRST_STEPS} steps.", body, head=head, numeric=(1, 2, 3))
