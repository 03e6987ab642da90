"""Rules about words: a claim is held against its interval (R11), the best of several is called a selection (R12)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from quadrat.logbook.facts import Facts, items, number, rows
from quadrat.logbook.findings import Finding
from quadrat.logbook.markdown import figure, places
from quadrat.logbook.naming import Vocabulary, vocabulary
from quadrat.logbook.outcome import bounds
from quadrat.logbook.passages import Sentence, sentences, table_rows
from quadrat.logbook.record import Record

ALPHA = 0.05
_STRONG = re.compile(
    r"(?i)\b(not\s+|no\s+|in)?(?:statistically\s+)?(significant(?:ly)?|significance)\b(?!\s+(?:digit|figure))"
)
_NULL = re.compile(
    r"(?i)\b(?:no\s+(?:difference|effect)s?|makes?\s+no\s+difference|(?:does|do|did)\s+not\s+differ"
    r"|(?:is|are|was|were)\s+(?:equivalent|equally\s+good))\b"
)
_UP = r"higher|(?<!table )(?<!as )(?<!see )(?<!the )above|exceed(?:s|ed)?|greater|larger|more\s+than"
_DOWN = r"lower|(?<!table )(?<!as )(?<!see )below|less\s+than|smaller"
_GOOD = r"better|improv(?:es|ed|ement)|outperform(?:s|ed)?|beat(?:s|en)?|gain(?:s|ed)?"
_BAD = r"worse|degrad(?:es|ed)|underperform(?:s|ed)?"
_COMPARES = re.compile(rf"(?i)\b(?:(?P<up>{_UP})|(?P<down>{_DOWN})|(?P<good>{_GOOD})|(?P<bad>{_BAD}))\b")
_HEDGE = re.compile(
    r"(?i)\b(?:not\s+(?:be\s+)?(?:established|settled|proven|shown|clear|enough|distinguish\w*)|cannot|can\s+not|could|may"
    r"|might|would|should|if|whether|inconclusive|undecided|unclear|(?:does|do)\s+not\s+(?:prove|show|establish)|expected?"
    r"|straddles?|(?:includes|contains|covers)\s+(?:zero|0))\b"
)
_EVERY = re.compile(
    r"(?i)\b(?:in|with|for)\s+(?:every|each|all|both)\s+(?:of\s+the\s+)?(?:\w+\s+)?(?:seeds?|runs?|pairs?)\b"
)
_LESS_IS_GOOD = re.compile(r"(?i)loss|error|mae|rmse|mse|perplexity|gap|time|seconds|bytes|distance|residual")
_MORE_IS_GOOD = re.compile(r"(?i)acc|match|pass|yield|score|f1|auc|correct|rate|precision|recall|exact|r2")
_BEST = re.compile(
    r"(?i)\b(?:best|highest|lowest|top|maximum|max|minimum|min)[\s-]+(?:(?:single|individual)\s+)?"
    r"(?:(?:of|over|among|across|from)\s+(?:the\s+|all\s+)*(?:\w+\s+)?)?(?:seed|run|step|epoch|checkpoint)s?\b"
)
_SELECTED = re.compile(r"(?i)\bselect(?:ed|ion|ing)\b|\bchosen\b|\bpicked\b|\bcherry")
_TEST = re.compile(r"(?i)(?:^|[^a-z])(?:test|ood|held[ -]?out|eval(?:uation)?)(?:[^a-z]|$)|(?:^|[\s`])all\.")


@final
@dataclass(frozen=True, slots=True)
class _Claim:
    """One claim word in its sentence. ``wanted`` is 1 for more, -1 for less, 0 where that cannot be told."""

    word: str
    line: int
    sentence: str
    candidates: Sequence[Mapping[str, Any]]
    each: bool


def claims(record: Record, facts: Facts) -> Iterator[Finding]:
    """R11: a word that claims a difference, or none, stands on an interval that says so."""
    known = vocabulary(facts)
    for sentence in sentences(record):
        yield from _significance(sentence, facts, known)
        yield from _nothing(sentence, facts, known)
        yield from _comparisons(sentence, facts, known)


def _significance(sentence: Sentence, facts: Facts, known: Vocabulary) -> Iterator[Finding]:
    for match in _STRONG.finditer(sentence.text):
        claim = _claim(match, sentence, facts, known)
        if not claim.candidates:
            named = known.metrics_in(sentence.text) or known.conditions_in(sentence.text)
            why = (
                "no interval belongs to it" if named else "name the metric and the condition, so that it can be checked"
            )
            yield Finding(
                claim.line, f"claim {claim.word!r}", f"{why}; a claim needs a comparison with an interval", "R11"
            )
        elif match[1]:
            if all(map(_is_significant, claim.candidates)):
                yield _against(claim, "but the interval excludes zero and p after Holm is below 0.05")
        elif not _supported(claim, _is_significant):
            yield _against(claim, "but it takes an interval without zero and p below 0.05 after Holm")


def _nothing(sentence: Sentence, facts: Facts, known: Vocabulary) -> Iterator[Finding]:
    if _HEDGE.search(sentence.text):
        return
    for match in _NULL.finditer(sentence.text):
        claim = _claim(match, sentence, facts, known)
        if claim.candidates and not _supported(claim, _is_the_same):
            yield _against(claim, "which cannot show that there is none: give the interval, or say 'not established'")


def _comparisons(sentence: Sentence, facts: Facts, known: Vocabulary) -> Iterator[Finding]:
    """Words such as ``better`` and ``below``, where the sentence names both what is compared and by which metric."""
    if _HEDGE.search(sentence.text):
        return
    if not (known.metrics_in(sentence.text) and known.conditions_in(sentence.text)):
        return
    every = bool(_EVERY.search(sentence.text))
    for match in _COMPARES.finditer(sentence.text):
        claim = _claim(match, sentence, facts, known)
        if claim.candidates and not _supported(claim, _test_of(str(match.lastgroup), every=every)):
            yield _against(claim, "but it takes an interval on one side of zero, or 'not established'")


def _claim(match: re.Match[str], sentence: Sentence, facts: Facts, known: Vocabulary) -> _Claim:
    """The comparisons that a claim word may rest on, by what its sentence names."""
    metrics, conditions = known.metrics_in(sentence.text), known.conditions_in(sentence.text)
    found = rows(facts, "comparisons") if metrics or conditions else []
    against = {str(row.get("baseline")) for row in found}
    arms = [name for name in conditions if name not in against]
    candidates = [
        row
        for row in found
        if (not metrics or row.get("metric") in metrics) and (not arms or str(row.get("condition")) in arms)
    ]
    each = len(arms) == 1 or bool(set(conditions) & against)
    word = re.sub(r"\s+", " ", match.group()).strip()
    return _Claim(word, sentence.line_at(match.start()), sentence.text, candidates, each)


def _supported(claim: _Claim, test: Callable[[Mapping[str, Any]], bool]) -> bool:
    """Whether the rows bear a claim: some row does, and of each condition one where the sentence sets them apart."""
    groups: dict[str, list[bool]] = {}
    for row in claim.candidates:
        groups.setdefault(str(row.get("condition")), []).append(test(row))
    held = [any(found) for found in groups.values()]
    return all(held) if claim.each else any(held)


def _sign(row: Mapping[str, Any]) -> int:
    """1 or -1 when the interval of a comparison lies on one side of zero, else 0."""
    low, high = bounds(row)
    if low is None or high is None:
        return 0
    return 1 if low > 0 else -1 if high < 0 else 0


def _is_significant(row: Mapping[str, Any]) -> bool:
    p = row.get("p_holm") if row.get("p_holm") is not None else row.get("p")
    return bool(_sign(row)) and isinstance(p, int | float) and p < ALPHA


def _is_the_same(row: Mapping[str, Any]) -> bool:
    """Whether every pair is equal to the last bit: the only way to have shown that there is no difference."""
    values = items(row, "values")
    return bool(values) and all(value == 0 for value in values)


def _test_of(kind: str, *, every: bool) -> Callable[[Mapping[str, Any]], bool]:
    def test(row: Mapping[str, Any]) -> bool:
        wanted = {"up": 1, "down": -1}.get(kind) or _goal(str(row.get("metric"))) * (1 if kind == "good" else -1)
        values = items(row, "values")
        if every and values:
            signs = {(value > 0) - (value < 0) for value in values if isinstance(value, int | float)}
            if len(signs) == 1 and (signs == {wanted} or (wanted == 0 and signs != {0})):
                return True
        sign = _sign(row)
        return sign == wanted if wanted else bool(sign)

    return test


def _goal(metric: str) -> int:
    """1 when more of a metric is better, -1 when less is, 0 when its name does not say."""
    name = re.split(r"[/.]", metric)[-1]
    if _LESS_IS_GOOD.search(name):
        return -1
    return 1 if _MORE_IS_GOOD.search(name) else 0


def _against(claim: _Claim, why: str) -> Finding:
    return Finding(claim.line, f"claim {claim.word!r}", f"{'; '.join(map(_told, claim.candidates[:3]))}, {why}", "R11")


def _told(row: Mapping[str, Any]) -> str:
    """A comparison in a few words."""
    low, high = bounds(row)
    decimals = places(low, high)
    if low is None or high is None:
        interval = f"no interval ({len(items(row, 'values'))} pairs)"
    else:
        interval = f"[{figure(low, decimals)}, {figure(high, decimals)}]"
    p = number(row, "p_holm")
    after = f", p = {p:.3g} after Holm" if p is not None else ""
    return f"{row.get('metric')} of {row.get('condition')} against {row.get('baseline')} has {interval}{after}"


def selections(record: Record, facts: Facts) -> Iterator[Finding]:
    """R12: the best of seeds, steps or runs on test data is called what it is, a selection."""
    known = vocabulary(facts)
    reason = "the best of several on test data is a selection, not an estimate; say 'selected', and give the mean too"
    for sentence in sentences(record):
        found = _BEST.search(sentence.text)
        if found and _on_test(sentence.text, known) and not _SELECTED.search(sentence.text):
            yield Finding(sentence.line_at(found.start()), f"claim {found.group()!r}", reason, "R12")
    for row in table_rows(record):
        text = " | ".join((*row.head, *row.cells))
        found = _BEST.search(text)
        if found and _on_test(text, known) and not _SELECTED.search(text):
            yield Finding(row.line, f"claim {found.group()!r}", reason, "R12")


def _on_test(text: str, known: Vocabulary) -> bool:
    """Whether words speak of test data: by saying so, or through the name of a metric."""
    return bool(_TEST.search(text)) or any(is_test(name) for name in known.metrics_in(text))


def is_test(metric: str) -> bool:
    """Whether a metric is measured on data that a model must not be chosen by."""
    return metric.startswith("all.") or bool(re.match(r"(?i)(?:test|ood|eval|held_?out|arc)\w*[/.]", metric))
