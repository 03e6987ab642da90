"""From a path or a name to a study that is checked whole: one error with every problem, or every run declared."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from quadrat.core.errors import Problem, StudyError
from quadrat.core.spec import Resources, RunSpec
from quadrat.study.checking import Checking
from quadrat.study.ladder import Track, steps_of, tracks
from quadrat.study.problems import distinct
from quadrat.study.read import Document, parse_yaml, read_bytes
from quadrat.study.schema import Saving, StudyFile
from quadrat.study.sources import Source, find_source
from quadrat.study.spoken import study_text
from quadrat.study.stages import ordered
from quadrat.study.trainable import Trainable
from quadrat.study.words import saving


@final
@dataclass(frozen=True, slots=True)
class Study:
    """A declared question, checked whole.

    Attributes:
        name: the study's name; its folder under ``results/``.
        file: what the file says, overrides of the study's own words and axes applied. Overrides of the config are
            in the configs of the runs.
        source: the file.
        label: the file as a person named it: a path, or ``fluxem/arithmetic_small``.
        source_text: what stood in the file.
        runs: every declared run, in running order.
        retries: the runs of further tries at a stage; each exists only once the try before it has failed.
        trainable: the functions and the config class.
        overrides: the overrides as they were written.
        warnings: what is right but may not be meant.
    """

    name: str
    file: StudyFile
    source: Path
    label: str
    source_text: str
    runs: tuple[RunSpec, ...]
    trainable: Trainable
    retries: tuple[RunSpec, ...] = ()
    overrides: tuple[str, ...] = ()
    warnings: tuple[Problem, ...] = ()

    @property
    def python_path(self) -> tuple[Path, ...]:
        """Folders a worker must put in front of ``sys.path`` before it imports the trainable."""
        return self.trainable.python_path

    @property
    def source_sha256(self) -> str:
        """SHA-256 of the file's text."""
        return hashlib.sha256(self.source_text.encode()).hexdigest()

    @property
    def resources(self) -> Resources:
        """What one job takes."""
        return self.file.resources.as_spec()

    def saving(self, stage: str | None = None) -> Saving:
        """When checkpoints are written in a stage, and by which metric the best one is told."""
        declared = next((track.step.name for track in self.tracks if track.name == stage), stage)
        return saving(self.file, declared)

    @property
    def tracks(self) -> tuple[Track, ...]:
        """Every way through every stage, in running order; empty when the study has no stages."""
        return tuple(tracks(steps_of([stage.model_dump(by_alias=True) for stage in self.file.stages])))

    @property
    def stages(self) -> tuple[str, ...]:
        """The names of the stages in running order; empty when the study has none."""
        return tuple(ordered(self.file.stages))


def load_study(target: str | Path, *, overrides: Sequence[str] = (), root: Path | None = None) -> Study:
    """Read, check and expand a study.

    Args:
        target: the path of a study file, or the name of one that comes with a package (``fluxem/arithmetic_small``).
        overrides: Hydra's words; see ``overrides.py``.
        root: a folder in which the trainable's module may lie, beside the file's own and the working directory.

    Raises:
        StudyError: everything that is wrong with the file and the overrides, all at once.
        UsageError: there is no such file.
    """
    source = find_source(target)
    beside = [] if source.registered else [source.path.absolute().parent, Path.cwd(), *([root] if root else [])]
    document = parse_yaml(read_bytes(source.path), label=source.label)
    return _load(document, source, overrides=overrides, folders=beside)


def load_command(words: Sequence[str], *, overrides: Sequence[str] = (), root: Path) -> Study:
    """The study of one command line, as ``quadrat run -- python train.py --lr 0.1`` gives it.

    Raises:
        StudyError, UsageError: as for a file; the command or an override does not fit.
    """
    text = study_text(words, folder=root)
    source = Source(root / "command line", "the command line")
    return _load(parse_yaml(text.encode(), label=source.label), source, overrides=overrides, folders=[root])


def _load(document: Document, source: Source, *, overrides: Sequence[str], folders: Sequence[Path]) -> Study:
    work = Checking(document)
    work.read_overrides(overrides)
    trainable = work.find_trainable(folders)
    work.apply()
    file = work.check_words()
    runs = work.check_runs(file)
    if work.problems or trainable is None or file is None:
        raise StudyError(distinct(work.problems))
    first = {stage.name for stage in file.stages} or {None}
    return Study(
        name=file.study,
        file=file,
        source=source.path.absolute(),
        label=source.registered or source.label,
        source_text=work.document.text,
        runs=tuple(run for run in runs if run.stage in first),
        retries=tuple(run for run in runs if run.stage not in first),
        trainable=trainable,
        overrides=tuple(overrides),
        warnings=tuple(distinct(work.warnings)),
    )
