"""From axes, arms, stages and seeds to runs: counted first, then made one after the other.

The grid is the product of the axes. Arms are points beside the grid; a study with arms and no axes has no grid.
Every point runs in every stage with every seed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from math import prod
from typing import Any, final

from quadrat.core.errors import Problem, nearest
from quadrat.core.spec import Point, RunSpec
from quadrat.study.configs import MAX_PROBLEMS, Layer, Path, dig, merge, resolve_config
from quadrat.study.identity import identity
from quadrat.study.names import Template, objection, shown, spell
from quadrat.study.nodes import Node
from quadrat.study.problems import Origin
from quadrat.study.shape import Model, dotted_keys

MAX_RUNS = 100_000


@final
@dataclass(frozen=True, slots=True)
class Retry:
    """Another try at a stage: under the track's name, with the stage's own layer and what the retries change.

    ``before`` is the track that failed; a retry that computes the same would fail in the same way.
    """

    name: str
    layer: Layer
    changes: Layer
    before: str
    place: str


@final
@dataclass(frozen=True, slots=True)
class Blueprint:
    """All that runs are made from, read and checked but not yet combined.

    Attributes:
        study: the name of the study.
        trainable: ``module:function``.
        model: the Config class.
        base: what ``config:`` says.
        forced: what overrides say; it wins over everything.
        axes: the values of each axis.
        arms: what each arm says.
        seeds: the seeds.
        stages: the name of each stage in running order with what it says; one stage without a name at least.
        retries: the tries after the first: stages of their own beside the others.
        template: the pattern of names, or None for the default.
        places: where ``config``, ``axes``, ``name`` and ``seeds`` stand, and each arm as ``arms.NAME``.
        is_whole: whether nothing was left out of the layers for being wrong.
    """

    study: str
    trainable: str
    model: Model
    base: Layer
    forced: Layer
    axes: Mapping[Path, Sequence[Node]]
    arms: Mapping[str, Layer]
    seeds: Sequence[int]
    stages: Sequence[tuple[str | None, Layer]]
    template: Template | None
    places: Mapping[str, str]
    is_whole: bool = True
    retries: Sequence[Retry] = ()

    @property
    def points(self) -> int:
        """How many points there are in each stage."""
        grid = prod(len(values) for values in self.axes.values())
        return (0 if self.arms and not self.axes else grid) + len(self.arms)

    @property
    def runs(self) -> int:
        """How many runs there are in all."""
        return self.points * len(self.seeds) * (len(self.stages) + len(self.retries))

    def place(self, key: str) -> str:
        """Where a block stands, or the file."""
        return self.places.get(key) or self.places[""]


def count_problem(blueprint: Blueprint) -> Problem | None:
    """The refusal of a study with too many runs, by multiplying and not by making them."""
    if blueprint.runs <= MAX_RUNS:
        return None
    terms = [str(len(values)) for values in blueprint.axes.values()]
    grid = " x ".join(terms) + (f" + {len(blueprint.arms)} arms" if blueprint.arms else "")
    stages = f" x {len(blueprint.stages)} stages" if len(blueprint.stages) > 1 else ""
    seeds = f"{len(blueprint.seeds)} seed{'s' * (len(blueprint.seeds) > 1)}"
    what = f"the study has {blueprint.runs:,} runs (({grid}) x {seeds}{stages})."
    remedy = f"a study has at most {MAX_RUNS:,}; give the axes fewer values or split the study."
    return Problem(what, blueprint.place("axes"), remedy)


def expand(blueprint: Blueprint) -> tuple[tuple[RunSpec, ...], list[Problem]]:
    """Every declared run, stage after stage, point after point; or what is wrong with them."""
    excess = count_problem(blueprint)
    if excess:
        return (), [excess]
    problems = _template_problems(blueprint)
    work = _Expansion(replace(blueprint, is_whole=blueprint.is_whole and not problems), problems=problems)
    for stage, layer in blueprint.stages:
        for candidate in _candidates(blueprint):
            work.take(stage, layer, candidate)
            if len(work.problems) >= MAX_PROBLEMS:
                return (), work.problems
    for retry in blueprint.retries:
        for candidate in _candidates(blueprint):
            work.take(retry.name, retry.layer, candidate, retry=retry)
            if len(work.problems) >= MAX_PROBLEMS:
                return (), work.problems
    return tuple(work.runs), work.problems


@final
@dataclass(frozen=True, slots=True)
class _Candidate:
    """A point before its config is resolved."""

    arm: str | None
    layer: Layer

    def tag(self) -> str:
        """The point in words."""
        if self.arm is not None:
            return f" in arm {shown(self.arm)}"
        return f" at {_words(self.layer)}" if self.layer else ""


@final
@dataclass(slots=True)
class _Expansion:
    """Runs being made; what is taken already is kept to find names and runs that occur twice."""

    blueprint: Blueprint
    runs: list[RunSpec] = field(default_factory=list[RunSpec])
    problems: list[Problem] = field(default_factory=list[Problem])
    names: dict[tuple[str | None, str], RunSpec] = field(default_factory=dict[tuple[str | None, str], RunSpec])
    contents: dict[tuple[str | None, str], RunSpec] = field(default_factory=dict[tuple[str | None, str], RunSpec])
    said: set[tuple[str | None, str]] = field(default_factory=set[tuple[str | None, str]])

    def take(self, stage: str | None, layer: Layer, candidate: _Candidate, *, retry: Retry | None = None) -> None:
        """Resolve one point in one stage and make its runs."""
        blueprint = self.blueprint
        changes = retry.changes if retry else {}
        merged = merge(blueprint.base, layer, candidate.layer, changes, blueprint.forced)
        arm = candidate.arm
        place = blueprint.place(f"arms.{arm}" if arm is not None else "config")
        context = f" in arm {shown(arm)}" if arm is not None else ""
        own = candidate.layer if arm is not None else ()
        resolved = resolve_config(blueprint.model, Origin(merged, place, context, own))
        for problem in resolved.problems:
            # The same bad value is met at many points of a grid, and may be set for several arms.
            sort = (problem.where, problem.what.replace(context, "") if context else problem.what)
            if sort not in self.said:
                self.said.add(sort)
                self.problems.append(problem)
        if resolved.values is None:
            return
        values = {".".join(path): dig(resolved.values, path) for path in candidate.layer}
        point = Point(values, arm)
        for seed in blueprint.seeds:
            name = self._name(resolved.values, candidate, seed)
            if name is None:
                return
            content = identity(blueprint.trainable, resolved.values, seed)
            run = RunSpec(blueprint.study, stage, name, blueprint.trainable, resolved.values, seed, point, content)
            if not self._is_new(run, candidate) or not self._is_another_try(run, retry):
                return
            self.runs.append(run)

    def _name(self, config: Mapping[str, Any], candidate: _Candidate, seed: int) -> str | None:
        template = _template_for(self.blueprint, candidate.arm)

        def value_of(key: str) -> str:
            if key == "seed":
                return str(seed)
            if key == "arm":
                return candidate.arm or "grid"
            value = dig(config, key.split("."))
            text = spell(value)
            if text is None:
                raise ValueError(f"{key} has a value without a short spelling, {shown(value)}")
            return text

        try:
            name = template.fill(value_of)
            reason = objection(name)
        except ValueError as trouble:
            name, reason = "", str(trouble)
        if reason is None:
            return name
        if candidate.arm is not None and objection(candidate.arm):
            return None  # the arm's own name was refused already
        what = f"the run name {shown(name)} cannot be used: {reason}{candidate.tag()}."
        if ("name", reason) not in self.said:
            self.said.add(("name", reason))
            remedy = "change `name:`, or declare arms with short names instead of the axis."
            self.problems.append(Problem(what, self._name_place(candidate), remedy))
        return None

    def _is_new(self, run: RunSpec, candidate: _Candidate) -> bool:
        if not self.blueprint.is_whole:
            # A misspelt key is missing from its point, which may make it equal to another.
            return True
        twin = self.contents.setdefault((run.stage, run.identity), run)
        if twin is not run:
            what = f"two points would do the same work: {_point_words(twin.point)} and {_point_words(run.point)}."
            place = self.blueprint.place(f"arms.{candidate.arm}" if candidate.arm is not None else "axes")
            self.problems.append(Problem(what, place, "remove one, or give it a value that differs."))
            return False
        namesake = self.names.setdefault((run.stage, run.name.casefold()), run)
        if namesake is not run:
            what = (
                f"the run name {run.name!r} is given to two points: "
                f"{_point_words(namesake.point)} and {_point_words(run.point)}."
            )
            self.problems.append(Problem(what, self._name_place(candidate), _name_remedy(self.blueprint)))
            return False
        return True

    def _is_another_try(self, run: RunSpec, retry: Retry | None) -> bool:
        if retry is None or (retry.before, run.identity) not in self.contents:
            return True
        if ("retry", retry.name) not in self.said:
            self.said.add(("retry", retry.name))
            what = f"the retry {retry.name!r} changes nothing for {_point_words(run.point)}."
            self.problems.append(Problem(what, retry.place, "change a value that differs from what has failed."))
        return False

    def _name_place(self, candidate: _Candidate) -> str:
        if "name" in self.blueprint.places:
            return self.blueprint.place("name")
        return self.blueprint.place(f"arms.{candidate.arm}" if candidate.arm is not None else "axes")


def _candidates(blueprint: Blueprint) -> Iterator[_Candidate]:
    if blueprint.axes or not blueprint.arms:
        paths = list(blueprint.axes)
        for combination in product(*blueprint.axes.values()):
            yield _Candidate(None, dict(zip(paths, combination, strict=True)))
    for arm, layer in blueprint.arms.items():
        yield _Candidate(arm, layer)


def _template_for(blueprint: Blueprint, arm: str | None) -> Template:
    """The pattern of a point's name. An arm's name is put in front where the pattern does not hold it."""
    template = blueprint.template
    if template is None:
        axes = [".".join(path) for path in blueprint.axes]
        return Template.default(axes) if arm is None else Template((("", "arm"), ("_S", "seed")))
    if arm is None or "arm" in template.fields:
        return template
    return Template((("", "arm"), ("_", None), *template.parts))


def _template_problems(blueprint: Blueprint) -> list[Problem]:
    if blueprint.template is None:
        return []
    known = [*_model_keys(blueprint), "arm", "seed"]
    problems: list[Problem] = []
    for name in blueprint.template.fields:
        if name not in known:
            close = nearest(name, known)
            hint = f"did you mean {{{close}}}?" if close else "use config keys, {arm} and {seed}."
            problems.append(Problem(f"the name has the unknown field {{{name}}}.", blueprint.place("name"), hint))
    if "seed" not in blueprint.template.fields and len(blueprint.seeds) > 1:
        what = "the name does not hold {seed}, and there are several seeds."
        problems.append(Problem(what, blueprint.place("name"), "add _S{seed} to it."))
    return problems


def _model_keys(blueprint: Blueprint) -> list[str]:
    return dotted_keys([blueprint.model])


def _name_remedy(blueprint: Blueprint) -> str:
    fields = blueprint.template.fields if blueprint.template else ()
    missing = [".".join(path) for path in blueprint.axes if ".".join(path) not in fields]
    if blueprint.template is not None and missing:
        return f"add {{{missing[0]}}} to `name:`."
    return "let the names differ in more than upper and lower case."


def _point_words(point: Point) -> str:
    if point.arm is not None:
        return f"arm {point.arm!r}"
    return ", ".join(f"{key}={shown(value)}" for key, value in point.values.items()) or "the base config"


def _words(layer: Layer) -> str:
    return ", ".join(f"{'.'.join(path)}={shown(node.value)}" for path, node in layer.items())
