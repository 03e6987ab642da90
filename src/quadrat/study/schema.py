"""What a study file may say: one pydantic model per block, unknown keys forbidden.

The values of ``config``, ``axes``, ``arms`` and ``baseline`` belong to the study; their keys and types are checked
against its own Config class elsewhere (``configs.py``). Nothing is coerced: a number in quotes is text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, cast, final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    InstanceOf,
    Tag,
    field_validator,
    model_validator,
)

from quadrat.core import spec
from quadrat.study.quantities import Comparison, Demand, Policy, parse_size

T = TypeVar("T")
Many: TypeAlias = Annotated[tuple[T, ...], Field(strict=False)]
"""A list in the file, a tuple here."""

MAX_SEED = 2**32 - 1
"""numpy takes no larger one."""


_RANGE = re.compile(r"(in|outside)\s*[\[(][^,]+,[^,]+[\])]")
"""How a range begins and ends; ``quadrat.health`` reads the numbers in it."""


def _some(text: str) -> str:
    if not text.strip():
        raise ValueError("should not be empty; write something, or leave the key out")
    return text


def _condition(value: Any) -> str:
    text = str(value).strip()
    if text != "nonfinite" and not _RANGE.fullmatch(text):
        try:
            Comparison.parse(text)
        except ValueError:
            what = "should be a comparison or a range in quotes or the word nonfinite"
            raise ValueError(f'{what}; "< 0.05", "in [0.35, 0.5]" or nonfinite') from None
    return text


def _criterion(value: Any) -> str:
    text = str(value).strip()
    Comparison.parse(text)
    return text


def _demand(text: str) -> str:
    Demand.parse(text)
    return text.strip()


def _over_seeds(text: str) -> str:
    match = re.fullmatch(r"([1-9]\d*)_of_([1-9]\d*|n)", text)
    if text not in ("mean", "all", "ci_lower") and match is None:
        raise ValueError("should be a way to add up seeds; mean, all, ci_lower or 2_of_3")
    if match and match[2] != "n" and int(match[1]) > int(match[2]):
        raise ValueError("should not ask for more seeds than there are; 2_of_3")
    return text


def _policy(value: Any) -> Any:
    return Policy.parse(value if isinstance(value, str) else "")


Word: TypeAlias = Annotated[str, AfterValidator(_some)]
Condition: TypeAlias = Annotated[str, BeforeValidator(_condition)]
Criterion: TypeAlias = Annotated[str, BeforeValidator(_criterion)]
Goal: TypeAlias = Literal["min", "max"]
Count: TypeAlias = Annotated[int, Field(ge=0)]


class Block(BaseModel):
    """What all blocks have in common."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@final
class Trend(Block):
    """The mean of the last ``window`` values against the mean of the ``against`` values before them."""

    window: Annotated[int, Field(ge=1)]
    against: Annotated[int, Field(ge=1)]
    warn: Condition | None = None
    fail: Condition | None = None


@final
class Rule(Block):
    """A health check over a window of one metric, or of a ratio ``a / b`` of two."""

    id: Word
    metric: Word
    warn: Condition | None = None
    fail: Condition | None = None
    from_step: Count = 0
    until_step: Count | None = None
    stays: Count = 0
    within: Count | None = None
    patience: Annotated[int, Field(ge=1)] | None = None
    goal: Goal | None = None
    min_delta: Annotated[float, Field(ge=0, strict=False)] | None = None
    trend: Trend | None = None
    when: Annotated[dict[Word, Condition], Field(min_length=1)] | None = None
    relative: Literal["min", "max", "first"] | None = None
    smooth: Annotated[dict[Literal["mean", "median"], Annotated[int, Field(ge=2)]], Field(min_length=1)] | None = None
    action: Literal["warn", "stop"] = "warn"
    diagnosis: str = ""
    remedy: str = ""

    @model_validator(mode="after")
    def _is_a_check(self) -> Rule:
        if self.warn is None and self.fail is None and self.patience is None and self.trend is None:
            raise ValueError("checks nothing; add warn, fail, patience or trend")
        if self.patience is not None and self.goal is None:
            raise ValueError("has patience but no goal; add goal: max or goal: min")
        if self.until_step is not None and self.until_step < self.from_step:
            raise ValueError("has an until_step before its from_step; exchange the two")
        return self


def _rule_kind(value: Any) -> str:
    return "shared" if isinstance(value, str) else "rule"


RuleOrSet: TypeAlias = Annotated[
    Annotated[Rule, Tag("rule")] | Annotated[Word, Tag("shared")], Discriminator(_rule_kind)
]
"""A rule, or the name of a shared set of rules."""


@final
class Gate(Block):
    """The success criterion of a stage."""

    metric: Word
    value: Literal["last", "best"] = "last"
    over_seeds: Annotated[str, AfterValidator(_over_seeds)] = "mean"
    pass_: Annotated[Criterion, Field(alias="pass")]
    partial: Criterion | None = None
    goal: Goal | None = None

    @property
    def direction(self) -> str:
        """Which way is better: as declared, or as the criterion says."""
        return self.goal or Comparison.parse(self.pass_).goal


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _on_fail(value: Any) -> Any:
    if value in ("stop", "continue"):
        return value
    rungs = cast("list[Any]", value) if isinstance(value, list) else []
    words, retries = [rung for rung in rungs[-1:] if isinstance(rung, str)], list(rungs)
    if words:
        retries.pop()
    if not retries or words not in ([], ["abandon"], ["continue"]) or not all(map(_is_retry, retries)):
        raise ValueError("should be stop, continue or a list of retries; on_fail: [{config: {lr: 1e-4}}, abandon]")
    return tuple(rungs)


def _is_retry(rung: Any) -> bool:
    config = rung.get("config") if isinstance(rung, dict) and len(rung) == 1 else None
    return isinstance(config, dict) and bool(config)


@final
class Stage(Block):
    """A part of a study, with overrides of its own and a gate before what needs it.

    ``on_fail``: ``stop`` skips the stages that need this one, ``continue`` runs them all the same; a list of retries
    (``{config: ...}``) tries this stage again with those overrides, one after the other, and ends in ``abandon`` (as
    ``stop``, and what a list without it means) or ``continue``.
    """

    name: Word
    needs: Annotated[Many[str], BeforeValidator(_listed)] = ()
    config: dict[str, Any] = Field(default_factory=dict)
    gate: Gate | None = None
    on_fail: Annotated[Any, BeforeValidator(_on_fail)] = "stop"

    @field_validator("config", mode="before")
    @classmethod
    def _empty(cls, value: Any) -> Any:
        return {} if value is None else value


def _place(value: Any) -> Any:
    return {"arm": value} if isinstance(value, str) else value


@final
class Queued(Block):
    """An arm's place in the queue. ``retest`` is the reason why what it measured so far does not count."""

    arm: Word
    retest: Word | None = None


@final
class Panel(Block):
    """What a person wants to see side by side."""

    title: Word
    metrics: Annotated[Many[Word], Field(min_length=1)]


@final
class Diagram(Block):
    """A phase map over two axes.

    ``classes`` names the phases, each with what is asked of a metric: ``composite: "test/composite_acc >= 0.5"``. A
    run may meet several, or none.
    """

    x: Word
    y: Word
    metric: Word
    goal: Goal = "max"
    title: str = ""
    # None and not an empty mapping: a lock written before there were classes must not look amended.
    classes: Annotated[dict[Word, Annotated[str, AfterValidator(_demand)]], Field(min_length=1)] | None = None


@final
class Pack(Block):
    """How many runs may share one process. ``max`` None leaves the number to the instrument."""

    mode: Literal["off", "auto", "max"] = "off"
    max: Annotated[int, Field(ge=1)] | None = None


def _pack(value: Any) -> Any:
    if isinstance(value, str) and value in ("off", "auto"):
        return {"mode": value}
    if isinstance(value, Mapping):
        written = cast("Mapping[str, Any]", value)
        return {"mode": "max", **written} if set(written) == {"max"} else dict(written)
    raise ValueError("should be off, auto or a number of runs; off, auto or {max: 18}")


def _size(value: Any) -> int:
    return parse_size(value)


@final
class Needs(Block):
    """What one job takes of the machine."""

    threads: Annotated[int, Field(ge=1)] = 1
    processes: Annotated[int, Field(ge=1)] = 1
    gpus: Count = 0
    memory: Annotated[int, BeforeValidator(_size)] = 0

    def as_spec(self) -> spec.Resources:
        """The same in the instrument's own words."""
        return spec.Resources(self.threads, self.processes, self.gpus, self.memory)


@final
class Saving(Block):
    """When checkpoints are written and which are kept. ``best`` goes by ``metric`` and ``goal``."""

    every: Annotated[InstanceOf[Policy], BeforeValidator(_policy)] = Policy("seconds", 60.0)
    keep: Annotated[Many[Literal["last", "best"]], Field(min_length=1)] = ("last",)
    metric: Word | None = None
    goal: Goal | None = None


def _workers(value: Any) -> Any:
    if value != "auto" and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise ValueError("should be auto or a number of at least 1; auto, or how many jobs to run at once")
    return value


def _baseline(value: Any) -> Any:
    return {"arm": value} if isinstance(value, str) else value


Seed: TypeAlias = Annotated[int, Field(ge=0, le=MAX_SEED)]


@final
class StudyFile(Block):
    """A whole study file, its own words checked. See DESIGN section 4 for what each block means."""

    study: Word
    trainable: Word
    question: str = ""
    hypothesis: str = ""
    owner: str = ""
    config: dict[str, Any] = Field(default_factory=dict)
    axes: dict[str, Any] = Field(default_factory=dict)
    arms: dict[str, dict[str, Any]] = Field(default_factory=dict)
    seeds: Annotated[Many[Seed], Field(min_length=1)] = (0,)
    name: Word | None = None
    pack: Annotated[Pack, BeforeValidator(_pack)] = Pack()
    compile: Literal["off", "auto", "on"] = "off"
    rules: Many[RuleOrSet] = ()
    stages: Many[Stage] = ()
    queue: Many[Annotated[Queued, BeforeValidator(_place)]] = ()
    panels: Many[Panel] = ()
    diagrams: Many[Diagram] = ()
    baseline: Annotated[dict[str, Any], BeforeValidator(_baseline)] = Field(default_factory=dict)
    resources: Needs = Needs()
    checkpoint: Saving = Saving()
    sinks: Many[Word] = ()
    launcher: Word = "pool"
    workers: Annotated[int | Literal["auto"], BeforeValidator(_workers)] = "auto"
    primary: Many[Word] = ()

    @field_validator("config", "axes", "arms", "baseline", mode="before")
    @classmethod
    def _empty(cls, value: Any) -> Any:
        # A block whose lines are all commented out reads as null, and means no entries.
        return {} if value is None else value

    @field_validator("arms", mode="before")
    @classmethod
    def _bare_arm(cls, value: Any) -> Any:
        # An arm that changes nothing is the base config under a name.
        if not isinstance(value, dict):
            return value
        arms = cast("dict[str, Any]", value)
        return {name: {} if values is None else values for name, values in arms.items()}

    @field_validator("rules", "stages", "queue", "panels", "diagrams", "sinks", "primary", mode="before")
    @classmethod
    def _none(cls, value: Any) -> Any:
        return () if value is None else value
