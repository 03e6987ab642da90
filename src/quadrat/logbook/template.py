"""The record's plan: its 30 fields, who fills each, and the page that a new record starts as.

Unites the templates of seeds 000, 002 and 003. A person owns the lines that begin with TODO and whatever
else stands outside the auto blocks; the machine owns the blocks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import Template
from typing import final

SCHEMA = 1


@final
@dataclass(frozen=True, slots=True)
class AutoField:
    """A field that facts fill.

    Attributes:
        number: its row in the list of 30.
        block: the auto block that shows it.
        known: facts whose key has to be there; None and nothing are answers.
        given: facts that have to hold something.
    """

    number: int
    name: str
    block: str
    known: Sequence[str] = ()
    given: Sequence[str] = ()


@final
@dataclass(frozen=True, slots=True)
class HumanField:
    """A field that a person fills.

    Attributes:
        kind: ``title`` (the first heading), ``label`` (a line ``**Label:** text``) or ``heading`` (all below one).
        none_allowed: whether the word none is an answer.
        words: the fewest words that make an answer.
        above: the heading that a missing field is looked for under.
    """

    number: int
    id: str
    name: str
    kind: str
    none_allowed: bool = False
    words: int = 1
    above: str = ""


AUTO_FIELDS: Sequence[AutoField] = (
    AutoField(2, "Date", "header", given=("date",)),
    AutoField(5, "Runs", "runs", given=("runs", "status_account")),
    AutoField(6, "Seed(s)", "header", given=("seeds",)),
    AutoField(7, "Question", "goals", given=("question",)),
    AutoField(8, "Hypothesis", "goals", known=("hypothesis_locked",), given=("hypothesis",)),
    AutoField(9, "Changes from baseline", "config", known=("config_by_condition",)),
    AutoField(10, "Command", "commands", given=("commands",)),
    AutoField(11, "Config snapshot", "config", known=("config_common",)),
    AutoField(12, "Derived parameters", "derived", known=("derived",)),
    AutoField(13, "Git commit", "code", known=("git.commit",)),
    AutoField(14, "Machine", "machine", known=("machine.accelerator",), given=("machine.platform", "machine.python")),
    AutoField(15, "Output folder", "runs"),
    AutoField(16, "Datasets", "data", known=("data",)),
    AutoField(17, "Checksums", "data"),
    AutoField(18, "Initialised from", "runs"),
    AutoField(19, "Gates", "gates", known=("gates",)),
    AutoField(20, "Primary metrics", "metrics", given=("metrics",)),
    AutoField(21, "Runtime", "runtime", known=("runtime.total_s",)),
    AutoField(22, "Health", "health", known=("health",)),
    AutoField(23, "Comparison with baselines", "comparisons", known=("comparisons",)),
    AutoField(24, "Links and figures", "figures", known=("figures",), given=("evidence",)),
    AutoField(26, "Verdict of the gates", "verdict"),
    AutoField(28, "Artifacts", "artifacts", known=("artifacts",)),
    AutoField(29, "Deviations from the plan", "deviations", known=("amendments",)),
    AutoField(30, "Re-run", "rerun"),
)

HUMAN_FIELDS: Sequence[HumanField] = (
    HumanField(1, "title", "Title", "title"),
    HumanField(3, "owner", "Owner(s)", "label"),
    HumanField(4, "related", "Related PRs / issues", "label", none_allowed=True),
    HumanField(22, "notes", "Notes on issues", "heading", none_allowed=True, above="Results"),
    HumanField(25, "worked", "What worked", "heading", words=2, above="Analysis"),
    HumanField(25, "regressed", "What regressed", "heading", words=2, above="Analysis"),
    HumanField(25, "surprised", "What surprised", "heading", words=2, above="Analysis"),
    HumanField(25, "why", "Why", "heading", words=2, above="Analysis"),
    HumanField(26, "verdict", "Verdict", "label", above="Conclusion"),
    HumanField(26, "conclusion", "Conclusion", "heading", words=3),
    HumanField(27, "followups", "Follow-ups", "heading", none_allowed=True),
)

WORDS = ("supported", "refuted", "inconclusive")
"""The words that a conclusion may be."""

TITLE_PROMPT = "_TODO: a short title_"
OWNER_PROMPT = "_TODO: who answers for this record_"
NOTES_PROMPT = "_TODO: for each run and rule listed above, what happened and whether it changes the conclusion_"

_PAGE = Template("""\
---
record_schema: $schema
study: $study
date: $date
# auto:front
# /auto:front
---

# Experiment: $title

- **Owner(s):** $owner
- **Related PRs / issues:** _TODO: links, or the word none_

<!-- auto:header -->
<!-- /auto:header -->

## Goals

<!-- auto:goals -->
<!-- /auto:goals -->

## Configuration

### Command snapshot

<!-- auto:commands -->
<!-- /auto:commands -->

### Config snapshot

<!-- auto:config -->
<!-- /auto:config -->

### Derived parameters

<!-- auto:derived -->
<!-- /auto:derived -->

## Data and provenance

### Datasets and checksums

<!-- auto:data -->
<!-- /auto:data -->

### Code

<!-- auto:code -->
<!-- /auto:code -->

### Machine

<!-- auto:machine -->
<!-- /auto:machine -->

## Results

### Gates

<!-- auto:gates -->
<!-- /auto:gates -->

### Primary metrics

<!-- auto:metrics -->
<!-- /auto:metrics -->

### Comparison with baselines

<!-- auto:comparisons -->
<!-- /auto:comparisons -->

### Figures

<!-- auto:figures -->
<!-- /auto:figures -->

### Runtime

<!-- auto:runtime -->
<!-- /auto:runtime -->

### Runs

<!-- auto:runs -->
<!-- /auto:runs -->

### Health and issues

<!-- auto:health -->
<!-- /auto:health -->

### Notes on issues

$notes

## Analysis

### What worked

_TODO: what got better, by how much, beside which baseline_

### What regressed

_TODO: what got worse or cost more; say so if nothing did_

### What surprised

_TODO: what the hypothesis did not foresee; say so if nothing did_

### Why

_TODO: the explanation you believe, and what would show it wrong_

## Conclusion

<!-- auto:verdict -->
<!-- /auto:verdict -->

**Verdict:** _TODO: one of supported, refuted, inconclusive_

_TODO: one sentence that answers the question, with the number that decides it_

## Follow-ups

- [ ] _TODO: immediate fixes or runs to repeat; delete what does not apply, or write none_
- [ ] _TODO: longer-term ideas that this opened_
- [ ] _TODO: documentation or code to bring up to date_

## Artifacts

<!-- auto:artifacts -->
<!-- /auto:artifacts -->

## Deviations from the plan

<!-- auto:deviations -->
<!-- /auto:deviations -->

## Re-run

<!-- auto:rerun -->
<!-- /auto:rerun -->
""")


def page(values: Mapping[str, str]) -> str:
    """The page of a new record with its blocks still empty."""
    return _PAGE.substitute(values, schema=SCHEMA)
