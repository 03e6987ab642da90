"""Checks of the study's own words that look at more than one block."""

from __future__ import annotations

from quadrat.core.errors import Problem
from quadrat.core.registry import members
from quadrat.study.names import objection, shown
from quadrat.study.nodes import Node, where
from quadrat.study.problems import unknown_key
from quadrat.study.schema import Rule, Saving, StudyFile
from quadrat.study.stages import stage_problems

SAFE_NAME = "use letters, digits and _ . - only, at most 100 of them."


def word_problems(file: StudyFile, root: Node) -> list[Problem]:
    """What is wrong between the blocks of a study file."""
    problems: list[Problem] = []
    reason = objection(file.study)
    if reason:
        what = f"the study name {shown(file.study)} cannot be used: {reason}."
        problems.append(Problem(what, where(root, ("study",)), SAFE_NAME))
    problems += _seed_problems(file, root)
    problems += stage_problems(file.stages, root)
    problems += _rule_problems(file, root)
    problems += _queue_problems(file, root)
    launchers = members("launchers")
    if launchers and file.launcher not in launchers:
        place = where(root, ("launcher",))
        problems.append(unknown_key(file.launcher, launchers, kind="launcher", where=place))
    for stage in file.stages or (None,):
        chosen = saving(file, stage.name if stage else None)
        if "best" in chosen.keep and (chosen.metric is None or chosen.goal is None):
            what = "checkpoint keeps the best, but nothing says by which metric and whether it should be high or low."
            remedy = "add `metric: validation/loss` and `goal: min` to `checkpoint:`."
            problems.append(Problem(what, where(root, ("checkpoint", "keep")), remedy))
            break
    return problems


def word_warnings(file: StudyFile, root: Node) -> list[Problem]:
    """What is right but may not be meant."""
    warnings: list[Problem] = []
    if not file.question.strip():
        warnings.append(Problem("the study asks no question.", root.where, "add `question: ...?`"))
    known = members("sinks")
    for index, name in enumerate(file.sinks):
        if name not in known:
            # A mirror that is not there must not keep a study from running.
            problem = unknown_key(name, known, kind="sink", where=where(root, ("sinks", index)))
            warnings.append(problem)
    return warnings


def saving(file: StudyFile, stage: str | None) -> Saving:
    """When checkpoints are written in a stage, the metric of the best one filled in.

    Where ``checkpoint`` names no metric it is the one of the stage's gate, of another gate, or of a diagram.
    """
    declared = file.checkpoint
    if "best" not in declared.keep or (declared.metric is not None and declared.goal is not None):
        return declared
    gates = [part.gate for part in sorted(file.stages, key=lambda part: part.name != stage) if part.gate]
    candidates = [(gate.metric, gate.direction) for gate in gates]
    candidates += [(diagram.metric, diagram.goal) for diagram in file.diagrams]
    for metric, goal in candidates:
        if declared.metric in (None, metric):
            return declared.model_copy(update={"metric": metric, "goal": declared.goal or goal})
    return declared


def _seed_problems(file: StudyFile, root: Node) -> list[Problem]:
    problems: list[Problem] = []
    seen: set[int] = set()
    for index, seed in enumerate(file.seeds):
        if seed in seen:
            place = where(root, ("seeds", index))
            problems.append(Problem(f"seed {seed} is listed twice.", place, "remove one of the two."))
        seen.add(seed)
    return problems


def _queue_problems(file: StudyFile, root: Node) -> list[Problem]:
    problems: list[Problem] = []
    seen: set[str] = set()
    for index, place in enumerate(file.queue):
        spot = where(root, ("queue", index))
        if place.arm not in file.arms:
            problems.append(unknown_key(place.arm, list(file.arms), kind="arm", where=spot))
        if place.arm in seen:
            problems.append(Problem(f"arm {shown(place.arm)} is queued twice.", spot, "remove one of the two."))
        seen.add(place.arm)
    return problems


def _rule_problems(file: StudyFile, root: Node) -> list[Problem]:
    problems: list[Problem] = []
    seen: set[str] = set()
    for index, rule in enumerate(file.rules):
        place = where(root, ("rules", index))
        if not isinstance(rule, Rule):
            known = members("rules")
            if rule not in known:
                problems.append(unknown_key(rule, known, kind="set of rules", where=place))
            continue
        if rule.id in seen:
            problems.append(Problem(f"two rules are called {shown(rule.id)}.", place, "give each rule its own id."))
        seen.add(rule.id)
    return problems
