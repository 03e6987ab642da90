from __future__ import annotations

import copy
import time

from quadrat.logbook.check import check
from quadrat.logbook.record import draft


def test_all_findings_come_at_once_in_the_order_of_the_page(facts):
    facts = copy.deepcopy(facts)
    facts["git"]["diff"] = None
    facts["hypothesis"] = "Something else entirely."
    facts["metrics"][1]["n"] = 2
    text = draft(facts).replace("## Analysis", "## Analysis\n\nSee /home/ada/x.md and [b](/c).\n")
    found = check(text, facts)
    assert {"R1", "R5", "R8", "R10", "R14", "R15"} <= {finding.rule for finding in found}
    assert [finding.line for finding in found] == sorted(finding.line for finding in found)


def test_a_record_without_facts_is_judged_by_its_page(facts):
    assert {finding.rule for finding in check(draft(facts), None)} == {"R1"}


def test_two_hundred_runs_are_checked_in_a_moment(facts, answer):
    facts["runs"] = [{**facts["runs"][0], "name": f"G{i}_S0", "seed": 0} for i in range(200)]
    facts |= {"seeds": [0], "status_account": "200 planned = 200 completed", "metrics": []}
    text = draft(facts)
    began = time.process_time()
    check(text, facts)
    assert time.process_time() - began < 1.0
