"""Which metrics and conditions of a study somebody's words name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from quadrat.logbook.facts import Facts, condition_of, mapping, rows

_NOTHING = re.compile(r"(?!)")


@final
@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Names by every way of saying them. An alias that several things share stands for all of them."""

    metrics: Mapping[str, tuple[str, ...]]
    conditions: Mapping[str, tuple[str, ...]]
    metric_pattern: re.Pattern[str]
    condition_pattern: re.Pattern[str]

    def metrics_in(self, text: str) -> list[str]:
        """Every metric that ``text`` may mean: by its whole name, or by its last part (``exact match``)."""
        return _found(self.metric_pattern, self.metrics, text)

    def conditions_in(self, text: str) -> list[str]:
        """Every condition that ``text`` names: with its stage or without."""
        return _found(self.condition_pattern, self.conditions, text)


def vocabulary(facts: Facts) -> Vocabulary:
    """The names that the facts of a study hold."""
    metrics = _aliases(_metric_names(facts), _metric_aliases)
    conditions = _aliases(_condition_names(facts), _condition_aliases)
    return Vocabulary(metrics, conditions, _pattern(metrics), _pattern(conditions))


def plain(text: str) -> str:
    """Words as they are compared: small, with one space for whatever joins them."""
    return re.sub(r"[ _\t-]+", " ", text.lower()).strip()


def _found(pattern: re.Pattern[str], aliases: Mapping[str, tuple[str, ...]], text: str) -> list[str]:
    hits = (aliases[plain(match.group())] for match in pattern.finditer(text.lower()))
    return list(dict.fromkeys(name for names in hits for name in names))


def _metric_names(facts: Facts) -> list[str]:
    told = [str(row["metric"]) for block in ("metrics", "secondary", "comparisons") for row in rows(facts, block)]
    final = [str(name) for run in rows(facts, "runs") for name in mapping(run, "final")]
    return list(dict.fromkeys([*told, *final]))


def _condition_names(facts: Facts) -> list[str]:
    found: list[Any] = [row.get("condition") for row in rows(facts, "conditions")]
    found += [row.get(key) for row in rows(facts, "comparisons") for key in ("condition", "baseline")]
    found += [row.get("condition") for row in rows(facts, "metrics")]
    found += [run.get("arm") or condition_of(run) for run in rows(facts, "runs")]
    return [str(name) for name in dict.fromkeys(found) if name and name != "all"]


def _metric_aliases(name: str) -> Iterable[str]:
    yield name
    yield re.split(r"[/.]", name)[-1]


def _condition_aliases(name: str) -> Iterable[str]:
    yield name
    yield name.rpartition("/")[2] if not re.search(r"[=,]", name) else name


def _aliases(names: Sequence[str], ways: Any) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for name in names:
        for alias in dict.fromkeys(plain(way) for way in ways(name)):
            if len(alias) > 1:
                found.setdefault(alias, []).append(name)
    return {alias: tuple(members) for alias, members in found.items()}


def _pattern(aliases: Mapping[str, tuple[str, ...]]) -> re.Pattern[str]:
    """One pattern, the longest alias first, so that ``hybrid number head`` is not read as ``hybrid``."""
    if not aliases:
        return _NOTHING
    spelled = (re.escape(alias).replace(r"\ ", "[ _-]+") for alias in sorted(aliases, key=len, reverse=True))
    return re.compile(rf"(?<![\w/.-])(?:{'|'.join(spelled)})(?![\w/-])")
