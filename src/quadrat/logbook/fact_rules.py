"""Rules that hold the page against the facts, and the facts against themselves."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from quadrat.logbook.facts import Facts, condition_of, in_condition, items, lookup, number, rows, run_name, value
from quadrat.logbook.fields import Answer
from quadrat.logbook.findings import Finding
from quadrat.logbook.markdown import row_value
from quadrat.logbook.options import unanswered
from quadrat.logbook.outcome import FEWEST, measured
from quadrat.logbook.page_rules import verdict_word
from quadrat.logbook.record import Record
from quadrat.logbook.render import RENDERERS, render
from quadrat.logbook.scan import fingerprint
from quadrat.logbook.setting import same_words
from quadrat.logbook.template import AUTO_FIELDS, WORDS

_TERMINAL = frozenset({"completed", "stopped", "failed", "skipped"})
_REFILL = "`quadrat record draft` fills it again"


def line_of(record: Record, block: str) -> int:
    """The line of a block, or the first."""
    found = record.block(block)
    return found.line if found else 1


def stated(record: Record, facts: Facts) -> Iterator[Finding]:
    """R1: every field that the machine fills has its facts."""
    for field in AUTO_FIELDS:
        for key in field.known:
            if not lookup(facts, key)[0] and not _no_git(facts, key):
                yield Finding(line_of(record, field.block), field.name, f"not recorded (no fact {key!r})", "R1")
        for key in field.given:
            if value(facts, key) in (None, "", [], {}, ()):
                yield Finding(line_of(record, field.block), field.name, f"not recorded (no fact {key!r})", "R1")
    for key in unanswered(facts):
        yield Finding(
            line_of(record, "config"), "Config snapshot", f"declared option {key} has no value in any run", "R1"
        )
    question = str(value(facts, "question") or "").strip()
    if 0 < len(question) < 15:
        yield Finding(line_of(record, "goals"), "Question", f"{question!r} is too short to be a question", "R1")


def _no_git(facts: Facts, key: str) -> bool:
    """Whether a fact about git is missing because there is no repository, which is an answer."""
    return key.startswith("git.") and "git" in facts and not value(facts, "git")


def runs(record: Record, facts: Facts) -> Iterator[Finding]:
    """R2: the runs that the record cites exist, all that were planned are there, and all have ended."""
    line = line_of(record, "runs")
    names = {run_name(row) for row in rows(facts, "runs")}
    cited = record.front.get("runs")
    for name in cited if isinstance(cited, list) else []:
        if str(name) not in names:
            yield Finding(line_of(record, "front"), "runs", f"{name} is cited, but the study has no such run", "R2")
    for row in rows(facts, "runs"):
        status = str(row.get("status"))
        if status not in _TERMINAL:
            yield Finding(line, "runs", f"{run_name(row)} is {status}, it has not ended", "R2")
    planned = re.match(r"\s*(\d+) planned\b", str(value(facts, "status_account") or ""))
    if planned and int(planned[1]) != len(rows(facts, "runs")):
        reason = f"{planned[1]} runs were planned and {len(rows(facts, 'runs'))} are accounted for"
        yield Finding(line, "runs", reason, "R2")


def blocks(record: Record, facts: Facts | None) -> Iterator[Finding]:
    """R3: each auto block is what the facts give; without facts, at least what the machine wrote."""
    for block in record.blocks:
        if block.id not in RENDERERS:
            continue
        if facts is not None and fingerprint(block.content) == fingerprint(render(block.id, facts)):
            continue
        if block.is_edited:
            yield Finding(block.line, block.id, f"this auto block was edited by hand; {_REFILL} with --force", "R3")
        elif facts is not None:
            yield Finding(block.line, block.id, f"this auto block is out of date; {_REFILL}", "R3")


def seeds(record: Record, facts: Facts) -> Iterator[Finding]:
    """R6: the seeds listed are the seeds of the runs, in every condition."""
    line = line_of(record, "header")
    declared = [str(seed) for seed in items(facts, "seeds")]
    for seed, count in Counter(declared).items():
        if count > 1:
            yield Finding(line, "Seed(s)", f"{seed} is listed {count} times", "R6")
    groups: dict[str, list[str]] = {}
    for row in rows(facts, "runs"):
        condition = condition_of(row)
        if condition is not None:
            name = f"{row['stage']}/{condition}" if row.get("stage") else condition
            groups.setdefault(name, []).append(str(row.get("seed")))
    for group, found in groups.items() if declared else ():
        for reason in _seed_faults(declared, found, excused=bool(items(facts, "amendments"))):
            yield Finding(line, "Seed(s)", f"{group} {reason}", "R6")


def _seed_faults(declared: list[str], found: list[str], *, excused: bool) -> Iterator[str]:
    """How the seeds of one condition differ from those declared; a deviation may excuse a missing one."""
    for seed, count in Counter(found).items():
        if seed not in declared:
            yield f"ran seed {seed}, which is not listed"
        if count > 1:
            yield f"ran seed {seed} {count} times"
    for seed in dict.fromkeys(declared):
        if seed not in found and not excused:
            yield f"has no run with seed {seed}, and no deviation gives a reason"


def code_saved(record: Record, facts: Facts) -> Iterator[Finding]:
    """R8: changes that were not committed are kept."""
    if value(facts, "git.dirty") and not value(facts, "git.diff"):
        reason = "the working tree had uncommitted changes and no diff was saved, so the code is lost"
        yield Finding(line_of(record, "code"), "Git commit", reason, "R8")


def conclusion(record: Record, facts: Facts) -> Iterator[Finding]:
    """R9: the word of the conclusion can stand beside the outcomes of the gates."""
    answer = record.answers.get("verdict")
    word = verdict_word(answer) if isinstance(answer, Answer) else ""
    outcomes = [str(row.get("outcome") or row.get("result")) for row in rows(facts, "gates")]
    if word not in WORDS or not outcomes or answer is None:
        return
    by_condition: dict[str, list[str]] = {}
    for row in rows(facts, "gates"):
        by_condition.setdefault(str(row.get("condition")), []).append(str(row_value(row, "outcome", "result")))
    allowed = _allowed(by_condition)
    if word not in allowed:
        reason = f"is {word!r}, but the gates say {', '.join(outcomes)}; that leaves {' or '.join(allowed)}"
        yield Finding(answer.line, "Verdict", reason, "R9")


def _allowed(by_condition: Mapping[str, list[str]]) -> tuple[str, ...]:
    """What may be concluded from the gates of each point or arm."""
    missed = [condition for condition, outcomes in by_condition.items() if "fail" in outcomes]
    if missed:
        # Where one arm passes everything and another fails, the question decides which of them answers it.
        passed = any(set(outcomes) == {"pass"} for outcomes in by_condition.values())
        return ("supported", "refuted", "inconclusive") if passed else ("refuted", "inconclusive")
    good = all(set(outcomes) == {"pass"} for outcomes in by_condition.values())
    return ("supported",) if good else ("inconclusive",)


def counts(record: Record, facts: Facts) -> Iterator[Finding]:
    """R10: n is the number of runs of the condition, whatever became of them."""
    line = line_of(record, "metrics")
    for row in rows(facts, "metrics"):
        label = _label(row)
        known = row.get("n")
        if measured(row) > (known if isinstance(known, int) else measured(row)):
            yield Finding(line, label, f"{measured(row)} values from n = {known}", "R10")
        if items(row, "values") and len(items(row, "values")) != measured(row):
            yield Finding(line, label, f"{measured(row)} runs measured it, {len(items(row, 'values'))} values", "R10")
        if row.get("oracle"):
            continue
        sizes = _sizes(facts, row)
        if sizes and known not in sizes:
            reason = f"n = {known}, but the condition has {max(sizes)} runs; failed and stopped ones count"
            yield Finding(line, label, reason, "R10")


def _sizes(facts: Facts, row: Mapping[str, Any]) -> set[int]:
    """The numbers of runs that a row may mean: of its stage, or of any one stage, or of all."""
    members = [run for run in rows(facts, "runs") if in_condition(run, str(row.get("condition") or "all"))]
    if row.get("stage"):
        members = [run for run in members if run.get("stage") == row["stage"]]
    by_stage = Counter(str(run.get("stage")) for run in members)
    return ({len(members)} | set(by_stage.values())) if members else set()


def intervals(record: Record, facts: Facts) -> Iterator[Finding]:
    """R11: an interval names its method and has enough values under it."""
    for block in ("metrics", "comparisons"):
        for row in rows(facts, block):
            if number(row, "low") is None and number(row, "high") is None:
                continue
            line = line_of(record, block)
            if measured(row) < FEWEST:
                reason = f"an interval from {measured(row)} values; below {FEWEST} only the values may be given"
                yield Finding(line, _label(row), reason, "R11")
            elif not row.get("method"):
                yield Finding(line, _label(row), "an interval without the name of its method", "R11")


def _label(row: Mapping[str, Any]) -> str:
    return f"{row.get('metric')} ({row.get('condition') or 'all'})"


def hypothesis(record: Record, facts: Facts) -> Iterator[Finding]:
    """R14: the hypothesis is the one that was declared before the first run."""
    found, locked = lookup(facts, "hypothesis_locked")
    if not found or locked is True:
        return
    line = line_of(record, "goals")
    if not locked:
        yield Finding(
            line, "Hypothesis", "not declared before the first run; a hypothesis made afterwards is post hoc", "R14"
        )
    elif not same_words(locked, value(facts, "hypothesis")) and not _amended(facts):
        yield Finding(line, "Hypothesis", "changed since it was declared, and no deviation says why", "R14")


def _amended(facts: Facts) -> bool:
    """Whether a deviation speaks of the hypothesis."""
    return any("hypothesis" in str(item).lower() for item in items(facts, "amendments"))
