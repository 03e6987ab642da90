"""A finished model measured again, under overrides: the science's ``evaluate``, with a run folder of its own.

It lies in ``results/<study>/.evaluations/<run>/<id>/`` and holds what any run folder holds, so it can be verified; the
run that was measured is not touched. The id is a hash of config, code, data and checkpoint: asked for again, what was
measured is read and not measured anew.
"""

from __future__ import annotations

import math
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from quadrat.core.context import Context
from quadrat.core.errors import UsageError
from quadrat.core.secrets import masked, masked_words
from quadrat.core.spec import RunSpec
from quadrat.core.verdicts import Status
from quadrat.health.monitor import Monitor
from quadrat.journal.atomic import read_json, write_json, write_text
from quadrat.journal.config_yaml import dump_yaml
from quadrat.journal.layout import RunFolder, StudyFolder
from quadrat.journal.process import ProcessId
from quadrat.journal.reader import RunView
from quadrat.journal.seal import seal
from quadrat.journal.writer import RunWriter, now
from quadrat.run import capture, saving
from quadrat.run.data import data_of
from quadrat.run.loop import Loop
from quadrat.run.order import Keep
from quadrat.run.saving import Saved, Saver
from quadrat.run.stopping import Stop, listening
from quadrat.study.identity import content_hash
from quadrat.study.load import load_study
from quadrat.study.trainable import Trainable, code_sha256
from quadrat.tensor import seeding

FOLDER: Final = ".evaluations"
NEVER: Final = Keep(count=math.inf, unit="steps")


@final
@dataclass(frozen=True, slots=True)
class Evaluation:
    """What an evaluation left. ``again``: it had been made before and was only read."""

    folder: RunFolder
    status: Status
    step: int
    again: bool


def evaluate(run: RunFolder, overrides: Sequence[str], *, root: Path, argv: Sequence[str] = ()) -> Evaluation:
    """Measure the model of a run again; ``overrides`` are Hydra's words on its config.

    Raises:
        UsageError: the study has no ``evaluate``, the run left no checkpoint, or an override does not fit.
        StoreError: something cannot be read or written.
    """
    view = RunView(run)
    row = view.attempts()[-1]
    spec, trainable = _spec(view, row, overrides, root=root)
    if trainable.evaluate is None:
        raise UsageError(
            f"{spec.trainable} has no evaluate.",
            where=spec.path,
            remedy="write evaluate(config, context) beside train; it yields Metrics and Artifacts.",
        )
    saved = _newest(run, spec)
    config = trainable.config_class.model_validate(dict(spec.config))
    pinned = seeding.pin(int(row["threads"]))
    data = data_of(trainable, config, spec=spec, root=root)
    about: dict[str, Any] = {
        **{
            key: row[key]
            for key in ("schema", "study", "stage", "arm", "run", "trainable", "point", "threads", "device")
        },
        "attempt": 1,
        "evaluates": {"identity": row["identity"], "checkpoint": saved.folder.name, "step": saved.step},
        "config_sha256": content_hash(spec.config),
        "code_sha256": code_sha256(trainable),
        "data_sha256": data.sha256 if data else None,
        "overrides": masked(overrides),
        "seed_requested": spec.seed,
    }
    name = content_hash({key: about[key] for key in ("evaluates", "config_sha256", "code_sha256", "data_sha256")})[:12]
    folder = RunFolder(StudyFolder(root, spec.study).path / FOLDER / (spec.stage or ".") / spec.name / name)
    if folder.manifest.exists():
        verdict = read_json(folder.verdict)
        return Evaluation(folder, Status(verdict["status"]), int(verdict["step"]), again=True)
    shutil.rmtree(folder.path, ignore_errors=True)  # one that was killed; it had no seal
    folder.path.mkdir(parents=True)
    write_text(folder.config, dump_yaml(spec.config))
    if data is not None:
        write_json(folder.data, data.manifest)
    capture.write(folder.path, root)
    about |= {"seed_applied": seeding.apply(spec.seed), "determinism": {**pinned, **capture.variables()}}
    about |= {"argv": masked_words(argv), "time": now()}
    with tempfile.TemporaryDirectory(prefix="quadrat-") as scratch:
        context = Context(
            seed=spec.seed,
            device=str(row["device"]),
            data=data.folder if data else None,
            scratch=Path(scratch),
            state=saved.state,
        )
        return _measure(folder, about, trainable=trainable, config=config, context=context)


def _measure(
    folder: RunFolder, about: dict[str, Any], *, trainable: Trainable, config: Any, context: Context
) -> Evaluation:
    assert trainable.evaluate is not None
    writer, stop = RunWriter(folder, attempt=1), Stop()
    try:
        writer.event("started", process=ProcessId.current().as_dict(), resumed_from=None)
        writer.start_pulse()
        writer.params(about)
        saver = Saver(folder.checkpoints, NEVER, made_with={})
        with listening(stop):
            loop = Loop(folder.path, writer, saver, Monitor.replay((), ()), stop)
            ending = loop.drive(trainable.evaluate(config, context), from_step=int(about["evaluates"]["step"]))
        if ending.error is not None:
            print(ending.error["traceback"], file=sys.stderr, flush=True)
        writer.finish(ending.status, step=ending.step, error=ending.error, health={"rules": []})
    finally:
        writer.close()
    if ending.status is Status.COMPLETED:
        seal(folder)
    return Evaluation(folder, ending.status, ending.step, again=False)


def _spec(view: RunView, row: dict[str, Any], overrides: Sequence[str], *, root: Path) -> tuple[RunSpec, Trainable]:
    """The run as declared, with overrides in its config, checked as a study file is."""
    lock = StudyFolder(root, str(row["study"])).lock_json
    source = str(read_json(lock)["source"]["file"]) if lock.exists() else ""
    beside = (root / source).parent
    if beside.is_dir() and str(beside) not in sys.path:
        sys.path.insert(0, str(beside))
    seed = row["seed_requested"]
    written = {"study": row["study"], "trainable": row["trainable"], "config": view.config(), "seeds": [seed]}
    with tempfile.TemporaryDirectory(prefix="quadrat-") as place:
        file = Path(place) / "evaluation.yaml"
        write_text(file, dump_yaml(written))
        study = load_study(file, overrides=overrides, root=root)
    if len(study.runs) != 1:
        raise UsageError(
            "an override makes several runs of this one.", where=view.name, remedy="evaluate one at a time."
        )
    one = study.runs[0]
    spec = RunSpec(
        study=str(row["study"]),
        stage=row["stage"],
        name=view.name,
        trainable=one.trainable,
        config=one.config,
        seed=int(seed),
        point=one.point,
        identity=one.identity,
    )
    return spec, study.trainable


def _newest(run: RunFolder, spec: RunSpec) -> Saved:
    size = run.metrics.stat().st_size if run.metrics.exists() else 0
    saved, complaints = saving.newest(run.checkpoints, metrics_bytes=size)
    for complaint in complaints:
        print(complaint, file=sys.stderr, flush=True)
    if saved is None:
        raise UsageError(
            "this run left no checkpoint, so there is no model to measure.",
            where=spec.path,
            remedy="run it again with a checkpoint policy (checkpoint: {every: 50 epochs}).",
        )
    return saved
