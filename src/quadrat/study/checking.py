"""Finds everything that is wrong with a study file, block after block, before anything is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from pydantic import ValidationError

from quadrat.core.errors import Problem, StudyError, UsageError
from quadrat.core.spec import RunSpec
from quadrat.study.commands import shaped, with_program
from quadrat.study.confidential import secret_problems
from quadrat.study.configs import Layer, Shape, dig
from quadrat.study.configs import Path as KeyPath
from quadrat.study.expand import Blueprint, Retry, expand
from quadrat.study.identity import canonical
from quadrat.study.ladder import MAX_TRACKS, Track, count_tracks, steps_of, tracks
from quadrat.study.names import Template, objection, shown
from quadrat.study.nodes import Node, Step, drop, get, plain, put, where, wrap
from quadrat.study.overrides import Override, apply_overrides, parse_override
from quadrat.study.problems import schema_problems, unknown_key
from quadrat.study.read import Document
from quadrat.study.schema import StudyFile
from quadrat.study.stages import ordered
from quadrat.study.trainable import Trainable, resolve
from quadrat.study.words import SAFE_NAME, word_problems, word_warnings

_SEEDS = "seeds are listed by `seeds: [0, 1, 2]` at the top of the file."


@final
@dataclass(slots=True)
class Checking:
    """A study being read; problems are collected so that all of them can be shown at once."""

    document: Document
    root: Node = field(init=False)
    forced: Node = field(init=False)
    shape: Shape = field(init=False)
    overrides: list[Override] = field(default_factory=list[Override])
    problems: list[Problem] = field(default_factory=list[Problem])
    warnings: list[Problem] = field(default_factory=list[Problem])
    misspelt: set[str] = field(default_factory=set[str])
    trainable: Trainable | None = None

    def __post_init__(self) -> None:
        self.root = with_program(self.document.root)
        self.forced = Node({}, "the overrides")
        self.shape = Shape.of(None)
        self.problems += self.document.problems
        self.warnings += self.document.warnings

    def read_overrides(self, texts: Sequence[str]) -> None:
        """Read what the command line asks for."""
        for text in texts:
            try:
                self.overrides.append(parse_override(text))
            except StudyError as error:
                self.problems += error.problems

    def find_trainable(self, folders: Sequence[Path]) -> Trainable | None:
        """Import the trainable, for its Config class says which keys there are."""
        node = get(self.root, "trainable")
        for override in self.overrides:
            if override.path in (("trainable",), ("study", "trainable")):
                node = override.value
        if node is None or not isinstance(node.value, str) or not node.value.strip():
            return None
        try:
            added = [override.path for override in self.overrides if override.action == "add"]
            self.trainable = shaped(resolve(node.value, folders=folders), self.root, added=added)
        except UsageError as error:
            self.problems.append(Problem(error.what, node.where, error.remedy))
            return None
        self.shape = Shape.of(self.trainable.config_class)
        return self.trainable

    def apply(self) -> None:
        """Lay the overrides onto the tree."""
        keys = list(StudyFile.model_fields)
        applied = apply_overrides(self.root, self.overrides, shape=self.shape, study_keys=keys)
        self.root, self.forced = applied.root, applied.forced
        self.problems += applied.problems

    def check_words(self) -> StudyFile | None:
        """Check the study's own words. Blocks that are wrong are left out of what is returned."""
        root = self.root
        file: StudyFile | None = None
        for attempt in range(4):
            try:
                file = StudyFile.model_validate(plain(root))
                break
            except ValidationError as error:
                if attempt == 0:
                    self.problems += schema_problems(error, root, config_keys=self.shape.keys)
                root = _without_errors(root, error)
        if file is not None:
            self.problems += word_problems(file, self.root)
            self.warnings += word_warnings(file, self.root)
        return file

    def check_runs(self, file: StudyFile | None) -> tuple[RunSpec, ...]:
        """Check the study's parameters and make the runs."""
        axes, base, arms = self._axes(), self._layer(("config",)), self._arms()
        forced = self.shape.layer(self.forced)
        self.problems += forced.problems
        if file is None:
            return ()
        by_name = {stage.name: index for index, stage in enumerate(file.stages)}
        stages = {
            name: self._layer(("stages", by_name[name], "config"), context=f" in stage {shown(name)}")
            for name in ordered(file.stages)
        }
        self._baseline_keys(file)
        self._diagrams(file, axes)
        if self.trainable is None:
            self.problems += secret_problems(self.root, self.forced)
            return ()
        blueprint = Blueprint(
            study=file.study,
            trainable=file.trainable,
            model=self.trainable.config_class,
            base=base,
            forced=forced.leaves,
            axes=axes,
            arms=arms,
            seeds=file.seeds,
            stages=list(stages.items()) or [(None, {})],
            template=self._template(file),
            places=self._places(arms),
            is_whole=not self.problems,
            retries=self._retries(file, stages),
        )
        runs, problems = expand(blueprint)
        self.problems += self._new(problems)
        self.problems += secret_problems(self.root, self.forced, resolved=runs[0].config if runs else None)
        self._baseline_run(file, runs)
        return runs

    def _retries(self, file: StudyFile, stages: Mapping[str, Layer]) -> list[Retry]:
        """The tries after the first, each with what its retries change. A stage's own words win over inherited ones."""
        steps = steps_of([stage.model_dump(by_alias=True) for stage in file.stages])
        ways = count_tracks(steps)
        if ways > MAX_TRACKS:
            what = f"the retries make {ways} ways through the stages."
            remedy = f"list fewer retries; at most {MAX_TRACKS} ways can be kept apart."
            self.problems.append(Problem(what, where(self.root, ("stages",)), remedy))
            return []
        rungs: dict[tuple[str, int], Layer] = {}
        for index, stage in enumerate(file.stages):
            for number in range(1, steps[index].retries + 1):
                context = f" in retry {number} of stage {shown(stage.name)}"
                steps_to = ("stages", index, "on_fail", number - 1, "config")
                rungs[stage.name, number] = self._layer(steps_to, context=context)
        known = tracks(steps)
        return [self._retry(track, stages[track.step.name], rungs) for track in known if not track.is_first_try]

    def _retry(self, track: Track, own: Layer, rungs: Mapping[tuple[str, int], Layer]) -> Retry:
        changes: dict[KeyPath, Node] = {}
        for name, number in track.rungs.items():
            layer = rungs.get((name, number), {})
            changes |= {path: node for path, node in layer.items() if name == track.step.name or path not in own}
        place = where(self.root, ("stages",))
        return Retry(track.name, own, changes, track.before or "", place)

    def _layer(self, steps: Sequence[Step], *, context: str = "") -> Layer:
        reading = self.shape.layer(get(self.root, *steps), context=context, hints={"seed": _SEEDS, "seeds": _SEEDS})
        self.problems += reading.problems
        self.misspelt |= reading.misspelt
        return reading.leaves

    def _axes(self) -> dict[KeyPath, list[Node]]:
        found: dict[KeyPath, list[Node]] = {}
        for path, node in self._layer(("axes",), context=" in axes").items():
            dotted = ".".join(path)
            if node.items is None and node.mapping is not None and self.shape.model is None:
                continue  # a block of axes; which one cannot be told without the Config class
            if not node.items:
                what = "is empty" if node.items is not None else f"should be a list, not {shown(plain(node))}"
                remedy = f"list its values, as in `{dotted}: [1, 2]`; a single value belongs under `config:`."
                self.problems.append(Problem(f"axis {dotted!r} {what}.", node.where, remedy))
                continue
            self._axis_values(dotted, node.items)
            found[path] = node.items
        return found

    def _axis_values(self, dotted: str, values: Sequence[Node]) -> None:
        seen: set[bytes] = set()
        for value in values:
            key = canonical(plain(value))
            if key in seen:
                what = f"axis {dotted!r} holds {shown(plain(value))} twice."
                self.problems.append(Problem(what, value.where, "remove one of the two."))
            seen.add(key)

    def _arms(self) -> dict[str, Layer]:
        block = get(self.root, "arms")
        found: dict[str, Layer] = {}
        for name, node in ((block.mapping if block else None) or {}).items():
            reason = objection(name)
            if reason:
                what = f"the arm name {shown(name)} cannot be used: {reason}."
                self.problems.append(Problem(what, node.where, SAFE_NAME))
            found[name] = self._layer(("arms", name), context=f" in arm {shown(name)}")
        return found

    def _baseline_keys(self, file: StudyFile) -> None:
        node = get(self.root, "baseline")
        arm = file.baseline.get("arm")
        if node is None or (arm is not None and not self.shape.knows("arm")):
            known = list(file.arms)
            if node is not None and arm not in known:
                place = where(node, ("arm",))
                self.problems.append(unknown_key(str(arm), known, kind="arm", where=place))
            node = drop(node, ("arm",)) if node is not None else None
        self.problems += self.shape.layer(node, context=" in baseline").problems

    def _baseline_run(self, file: StudyFile, runs: Sequence[RunSpec]) -> None:
        if not file.baseline or not runs or self.problems:
            return
        layer = self.shape.layer(get(self.root, "baseline")).leaves
        by_arm = "arm" in file.baseline and not self.shape.knows("arm")
        wanted = {path: plain(node) for path, node in layer.items() if not (by_arm and path == ("arm",))}
        for run in runs:
            is_arm = not by_arm or run.point.arm == file.baseline["arm"]
            if is_arm and all(dig(run.config, path) == value for path, value in wanted.items()):
                return
        problem = Problem(
            "no declared run has the values of the baseline.",
            where(self.root, ("baseline",)),
            "give the values of one point, or add the point to the axes or arms.",
        )
        # A smaller study asked for on the command line may leave the baseline out.
        (self.warnings if self.overrides else self.problems).append(problem)

    def _diagrams(self, file: StudyFile, axes: Mapping[KeyPath, object]) -> None:
        known = [".".join(path) for path in axes]
        for index, diagram in enumerate(file.diagrams):
            for key in ("x", "y"):
                name = str(getattr(diagram, key))
                if name not in known and not self.overrides:
                    place = where(self.root, ("diagrams", index, key))
                    self.problems.append(unknown_key(name, known, kind="axis", where=place))

    def _template(self, file: StudyFile) -> Template | None:
        if file.name is None:
            return None
        try:
            return Template.parse(file.name)
        except ValueError as trouble:
            what = f"the name {shown(file.name)} {trouble}."
            remedy = "write config keys, {arm} and {seed} in braces, as in L{n_layers}_S{seed}."
            self.problems.append(Problem(what, where(self.root, ("name",)), remedy))
            return None

    def _places(self, arms: Mapping[str, Layer]) -> dict[str, str]:
        places = {key: node.where for key in ("config", "axes", "name", "seeds") if (node := get(self.root, key))}
        places |= {f"arms.{arm}": where(self.root, ("arms", arm)) for arm in arms}
        return {**places, "": self.root.where}

    def _new(self, problems: Sequence[Problem]) -> list[Problem]:
        """Problems of the runs, without keys that are missing only because they are misspelt."""
        said = {f"needs the key {key!r}." for key in self.misspelt}
        return [problem for problem in problems if not any(problem.what.endswith(words) for words in said)]


_STAND_INS = {"study": "unnamed", "trainable": "unknown:unknown"}
_STAND_IN_RULE = {"id": "unknown", "metric": "unknown", "fail": "nonfinite"}


def _without_errors(root: Node, error: ValidationError) -> Node:
    """The tree without what pydantic refused, so that the rest of it can be looked at.

    Items of lists keep their places, for these are what problems are found by.
    """
    for detail in error.errors(include_url=False):
        location = detail["loc"]
        head = str(location[0]) if location else ""
        if detail["type"] == "extra_forbidden":
            root = drop(root, [step for step in location if step not in ("rule", "shared")])
        elif head in _STAND_INS:
            root = put(root, (head,), new=Node(_STAND_INS[head], root.where))
        elif head == "rules" and len(location) > 1:
            rule = {**_STAND_IN_RULE, "id": f"unknown {location[1]}"}
            root = put(root, location[:2], new=wrap(rule, where(root, location[:2])))
        elif head == "stages" and len(location) > 2 and location[2] != "name":
            root = drop(root, location[:3])
        else:
            root = drop(root, (head,))
    return root
