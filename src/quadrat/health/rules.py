"""A health rule as it is written, checked and frozen. Everything wrong with all rules is reported at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, TypeAlias, final

from quadrat.core.errors import Problem, StudyError, UsageError, nearest
from quadrat.health.conditions import GRAMMAR, Condition, parse_condition
from quadrat.health.judge import FAIL, WARN
from quadrat.health.sets import shared_set
from quadrat.health.shaping import PASTS, STATISTICS

Written: TypeAlias = Mapping[str, Any] | str
"""One entry of ``rules``: a rule, or the name of a shared set."""

RATIO: Final = " / "
RULE_KEYS: Final = (
    *("id", "metric", "warn", "fail", "trend", "from_step", "until_step", "stays", "within"),
    *("patience", "goal", "min_delta", "when", "relative", "smooth", "action", "diagnosis", "remedy"),
)
TREND_KEYS: Final = ("window", "against", "warn", "fail")
_BANDS: Final = MappingProxyType({"warn": WARN, "fail": FAIL})


@final
@dataclass(frozen=True, slots=True)
class Trend:
    """Lengths in steps of the two windows whose means are compared."""

    window: int
    against: int


@final
@dataclass(frozen=True, slots=True)
class Smooth:
    """The mean or the median of so many steps."""

    statistic: str
    steps: int


@final
@dataclass(frozen=True, slots=True)
class Patience:
    """How many steps may pass without a value that is better by more than ``min_delta``."""

    steps: int
    goal: str
    min_delta: float


@final
@dataclass(frozen=True, slots=True)
class Rule:
    """A checked rule. ``bands`` maps a level to what is bad at it, and is empty when there is a ``patience``.

    ``when`` maps other metrics to what has to hold for their latest values; the rule judges only then.
    """

    id: str
    metric: str
    parts: tuple[str, ...]
    bands: Mapping[int, Condition]
    trend: Trend | None = None
    patience: Patience | None = None
    from_step: int = 0
    until_step: int | None = None
    stays: int = 0
    within: int | None = None
    when: Mapping[str, Condition] = field(default_factory=dict[str, Condition])
    relative: str | None = None
    smooth: Smooth | None = None
    action: str = "warn"
    diagnosis: str = ""
    remedy: str = ""

    @property
    def worst_level(self) -> int:
        """The worst that this rule can say."""
        return FAIL if self.patience is not None else max(self.bands)


def parse_rules(written: Iterable[Written]) -> tuple[Rule, ...]:
    """Check rules and open the shared sets named among them.

    Raises:
        StudyError: (a UsageError) with every problem of every rule.
    """
    rules: list[Rule] = []
    problems: list[Problem] = []
    for position, entry in enumerate(written, start=1):
        try:
            opened = shared_set(entry) if isinstance(entry, str) else (entry,)
        except UsageError as unknown:
            problems.append(Problem(unknown.what, f"rule {position}", unknown.remedy))
            continue
        for mapping in opened:
            rule, found = _read_rule(mapping, position)
            problems.extend(found)
            if rule is not None:
                rules.append(rule)
    problems.extend(_twice(rules))
    if problems:
        raise StudyError(problems)
    return tuple(rules)


def parse_rule(written: Mapping[str, Any]) -> Rule:
    """Check one rule; raises as ``parse_rules`` does."""
    return parse_rules([written])[0]


def _twice(rules: Iterable[Rule]) -> list[Problem]:
    seen: set[str] = set()
    problems: list[Problem] = []
    for rule in rules:
        if rule.id in seen:
            problems.append(
                Problem(
                    f"two rules have the id {rule.id!r}.", f"rule {rule.id!r}", "rename one; ids tell findings apart."
                )
            )
        seen.add(rule.id)
    return problems


@final
@dataclass(slots=True)
class _Reader:
    """Takes values out of a written mapping one key at a time and keeps a list of what is wrong with them."""

    written: Mapping[str, Any]
    where: str
    problems: list[Problem] = field(default_factory=list[Problem])

    def complain(self, what: str, remedy: str) -> None:
        self.problems.append(Problem(what, self.where, remedy))

    def has(self, key: str) -> bool:
        """An explicit null is the same as an absent key: validated models are dumped with nulls."""
        return self.written.get(key) is not None

    def only(self, known: tuple[str, ...], of: str) -> None:
        for key in self.written:
            if key not in known:
                close = nearest(str(key), known)
                hint = f"did you mean {close!r}? " if close else ""
                self.complain(f"{of} has no key {key!r}.", f"{hint}known: {', '.join(known)}.")

    def text(self, key: str) -> str:
        value = self.written.get(key)
        if value is None or value == "":
            return ""
        if not isinstance(value, str) or not value.strip():
            self.complain(f"{key} is {value!r}, not a text.", f"write {key} as a text that is not blank.")
            return ""
        return value.strip()

    def choice(self, key: str, options: tuple[str, ...], default: str) -> str:
        value = self.written.get(key)
        if value is None:
            return default
        if value not in options:
            self.complain(f"{key} is {value!r}.", f"use one of {', '.join(options)}.")
            return default
        return value

    def steps(self, key: str, *, least: int) -> int | None:
        value = self.written.get(key)
        if value is None:
            return None
        whole = isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1
        if not whole or value < least:
            self.complain(f"{key} is {value!r}.", f"write a whole number of steps, at least {least}.")
            return None
        return int(value)

    def amount(self, key: str) -> float:
        value = self.written.get(key)
        if value is None:
            return 0.0
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < float("inf"):
            self.complain(f"{key} is {value!r}.", "write a number that is not negative.")
            return 0.0
        return float(value)

    def bands(self) -> dict[int, Condition]:
        bands: dict[int, Condition] = {}
        for key, level in _BANDS.items():
            if not self.has(key):
                continue
            condition = parse_condition(self.written[key])
            if condition is None:
                self.complain(f"{key} is {self.written[key]!r}.", f"write what is bad, in quotes: {GRAMMAR}.")
            else:
                bands[level] = condition
        if len(bands) == len(_BANDS) and bands[FAIL].covers(bands[WARN]):
            self.complain(
                f"warn {bands[WARN].text!r} lies inside fail {bands[FAIL].text!r}, so it could never be seen.",
                "make the warn band the wider one.",
            )
        return bands


def _read_rule(written: object, position: int) -> tuple[Rule | None, list[Problem]]:
    if not isinstance(written, Mapping):
        what = f"a rule is a mapping or the name of a shared set, not {written!r}."
        return None, [Problem(what, f"rule {position}", "see docs/reference/health-rules.md.")]
    name = written.get("id")
    read = _Reader(written, f"rule {name!r}" if isinstance(name, str) else f"rule {position}")
    read.only(RULE_KEYS, "a rule")
    for key in ("id", "metric"):
        if not read.written.get(key):
            read.complain(f"a rule needs {key!r}.", "name the rule and the metric that it watches.")
    metric = read.text("metric")
    patience = _read_patience(read)
    trend, bands = _read_trend(read) if read.has("trend") else (None, read.bands())
    rule = Rule(
        id=read.text("id"),
        metric=metric,
        parts=_read_parts(read, metric),
        bands=MappingProxyType(bands),
        trend=trend,
        patience=patience,
        from_step=read.steps("from_step", least=0) or 0,
        until_step=read.steps("until_step", least=0),
        stays=read.steps("stays", least=0) or 0,
        within=read.steps("within", least=0),
        when=_read_when(read),
        relative=read.choice("relative", PASTS, "") or None,
        smooth=_read_smooth(read),
        action=read.choice("action", ("warn", "stop"), "warn"),
        diagnosis=read.text("diagnosis"),
        remedy=read.text("remedy"),
    )
    if not read.problems:
        _check_together(read, rule)
    return (None if read.problems else rule), read.problems


def _read_parts(read: _Reader, metric: str) -> tuple[str, ...]:
    parts = tuple(part.strip() for part in metric.split(RATIO))
    loose = any("/ " in part or " /" in part for part in parts)
    if metric and (len(parts) > 2 or not all(parts) or loose):
        read.complain(
            f"metric is {metric!r}.", "name one metric, or two as 'a / b' with a space on each side of the slash."
        )
    return parts


def _read_patience(read: _Reader) -> Patience | None:
    if not read.has("patience"):
        for key in ("goal", "min_delta"):
            if read.written.get(key):
                read.complain(f"{key} means nothing without patience.", "add patience, in steps, or take it out.")
        return None
    for key in ("warn", "fail", "trend", "stays", "within"):
        if read.written.get(key):
            read.complain(f"{key} and patience do not go together.", "make two rules of it.")
    if not read.has("goal"):
        read.complain("patience needs a goal.", "add goal: max or goal: min.")
    steps = read.steps("patience", least=1)
    return Patience(steps or 1, read.choice("goal", ("max", "min"), "max"), read.amount("min_delta"))


def _read_when(read: _Reader) -> Mapping[str, Condition]:
    if not read.has("when"):
        return {}
    written = read.written["when"]
    if not isinstance(written, Mapping) or not written:
        read.complain(f"when is {written!r}.", 'write it like {train/lm_loss: "> 0.3"}.')
        return {}
    found: dict[str, Condition] = {}
    for name, text in written.items():
        condition = parse_condition(text)
        if condition is None or condition.is_nonfinite:
            read.complain(f"when {name} is {text!r}.", f"write what has to hold, in quotes: {GRAMMAR}.")
        else:
            found[str(name)] = condition
    return MappingProxyType(found)


def _read_smooth(read: _Reader) -> Smooth | None:
    if not read.has("smooth"):
        return None
    written = read.written["smooth"]
    if not isinstance(written, Mapping) or len(written) != 1 or next(iter(written)) not in STATISTICS:
        read.complain(f"smooth is {written!r}.", "write it like {median: 20} or {mean: 20}, in steps.")
        return None
    inner = _Reader(written, read.where, read.problems)
    statistic = str(next(iter(written)))
    return Smooth(statistic, inner.steps(statistic, least=2) or 2)


def _read_trend(read: _Reader) -> tuple[Trend | None, dict[int, Condition]]:
    for key in _BANDS:
        if read.has(key):
            read.complain(f"{key} beside trend is ambiguous.", f"move {key} into trend: it bounds the change.")
    written = read.written["trend"]
    if not isinstance(written, Mapping):
        read.complain(f"trend is {written!r}.", 'write it like {window: 20, against: 80, fail: "< 0.01"}.')
        return None, {}
    inner = _Reader(written, read.where, read.problems)
    inner.only(TREND_KEYS, "trend")
    for key in ("window", "against"):
        if not inner.has(key):
            inner.complain(f"trend needs {key!r}.", "give the length of the window in steps.")
    trend = Trend(inner.steps("window", least=1) or 1, inner.steps("against", least=1) or 1)
    return trend, inner.bands()


def _check_together(read: _Reader, rule: Rule) -> None:
    """What only shows when all keys are seen: rules that say nothing, or that could never fire."""
    if rule.patience is None and not rule.bands:
        read.complain("the rule says nothing is bad.", f"add fail or warn: {GRAMMAR}; or patience with a goal.")
        return
    if rule.action == "stop" and rule.worst_level != FAIL:
        read.complain("action stop without fail: a warn band only ever warns.", "add fail, or leave action out.")
    if rule.stays and rule.within is not None:
        read.complain("stays and within do not go together.", "make two rules of it.")
    if rule.until_step is None:
        return
    room = rule.until_step - rule.from_step
    if room < 0:
        read.complain(f"until_step {rule.until_step} lies before from_step {rule.from_step}.", "exchange them.")
        return
    need = rule.stays + (rule.within or 0)
    need += rule.patience.steps if rule.patience else 0
    need += rule.smooth.steps // 2 if rule.smooth else 0
    if rule.trend is not None:
        # A series logged rarely fills its windows early; half of both is what any series needs.
        need += max(rule.trend.window, (rule.trend.window + rule.trend.against) // 2)
    if need > room:
        read.complain(
            f"the rule looks at {room} steps and needs {need}, so it could never fire.",
            "raise until_step, or ask for fewer steps.",
        )
