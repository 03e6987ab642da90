"""A run that several processes train: rank 0 keeps the journal, the others compute along and keep nothing.

Rank 0 works as if it were alone, and says in notes in the job folder when the others may begin, and how it ended. They
begin from the same checkpoint, with the same seed and random states, and drive the same generator: what makes them
different is for the science to ask its process group. Only rank 0 calls a checkpoint's ``state``, so that must not
communicate, unless the science has the others wait for it at that point.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any, Final

from quadrat.core.context import Context
from quadrat.core.errors import StoreError
from quadrat.core.verdicts import Status
from quadrat.journal.atomic import read_json, write_json
from quadrat.journal.layout import RunFolder
from quadrat.launchers.entry import put_on_path
from quadrat.launchers.torchrun import LEADER, note
from quadrat.run import order
from quadrat.run.loop import Ending
from quadrat.run.saving import newest
from quadrat.study.trainable import resolve
from quadrat.tensor import rng, seeding

READY: Final = "ready.json"
FAILED: Final = "failed.json"
PATIENCE_SECONDS: Final = 10.0
"""How long to wait for the note that explains why the others have gone."""


def rank() -> int:
    """The number of this process among those that train the run; 0 when it is alone."""
    return int(os.environ.get("RANK", "0")) if count() > 1 else 0


def count() -> int:
    """How many processes train the run."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def take_device() -> None:
    """Of the devices granted to the job, see only this process's own. Before anything asks for a device."""
    granted = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    if count() > 1 and len(granted) > 1:
        os.environ["CUDA_VISIBLE_DEVICES"] = granted[int(os.environ["LOCAL_RANK"]) % len(granted)]


def lead(job: Path) -> None:
    """Say that this process is rank 0."""
    if count() > 1:
        write_json(job / LEADER, {"pid": os.getpid()})


def let_begin(job: Path, context: Context, *, rows: int) -> None:
    """Say that everything is ready, and what the others need to begin with the same."""
    if count() > 1:
        told = {
            "device": context.device,
            "data": str(context.data) if context.data is not None else None,
            "resumed": context.state is not None,
            "compile": context.compile,
            "metrics_bytes": rows,
        }
        write_json(job / READY, told)


def leave(job: Path, code: int) -> int:
    """Say how rank 0 ended. The code to end with: 0 among several, since torchrun takes any other for a crash."""
    if count() < 2:
        return code
    write_json(job / LEADER, {"pid": os.getpid(), "code": code})
    return 0


def blame(job: Path, ending: Ending) -> Ending:
    """``ending``, unless it is no more than the echo of another process's failure: then that."""
    if count() < 2 or ending.status not in (Status.FAILED, Status.PREEMPTED):
        return ending
    echo = ending.error is not None and _is_echo(str(ending.error.get("traceback")))
    if ending.status is Status.FAILED and not echo:
        return ending
    until = time.monotonic() + (PATIENCE_SECONDS if echo else 0.0)
    while True:
        try:
            return Ending(Status.FAILED, ending.step, error=dict(read_json(job / FAILED)))
        except StoreError:
            if time.monotonic() >= until:
                return ending
        time.sleep(0.05)


def follow(job: Path) -> int:
    """Compute along with rank 0 until it ends; the exit code."""
    _heed(job)
    told = order.read(job)[0]
    ready = _wait_for_leave(job)
    if ready is None:
        return 0
    scratch = job / "scratch" / f"rank{rank()}"
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        context = _context(told, ready, scratch)
        trainable = resolve(told.spec.trainable)
        config = trainable.config_class.model_validate(dict(told.spec.config))
        for _ in trainable.train(config, context):
            pass
    except Exception as error:  # whatever science raises
        text = "".join(traceback.format_exception(error))
        if _is_echo(text) and _has_ended(job):
            return 0
        print(text, file=sys.stderr, flush=True)
        what = f"rank {rank()}: {error}"
        failure = {"type": type(error).__name__, "message": what, "where": f"rank {rank()}", "traceback": text}
        write_json(job / FAILED, failure)
        return 1
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return 0


def _context(told: order.WorkOrder, ready: Mapping[str, Any], scratch: Path) -> Context:
    put_on_path(told.python_path)
    seeding.apply(told.spec.seed)
    seeding.pin(told.resources.threads)
    state = None
    if ready["resumed"]:
        checkpoints = RunFolder(scratch.parents[5] / "results" / told.spec.path).checkpoints
        saved, _ = newest(checkpoints, metrics_bytes=ready["metrics_bytes"])
        if saved is None:
            raise StoreError("rank 0 has taken up a checkpoint that is not there.", where=str(checkpoints))
        state = saved.state
        rng.restore(saved.rng)
    data = Path(ready["data"]) if ready["data"] is not None else None
    return Context(told.spec.seed, ready["device"], data, scratch, state=state, compile=ready["compile"])


def _wait_for_leave(job: Path) -> Mapping[str, Any] | None:
    """What rank 0 says when all is ready; None when it ended before."""
    while "code" not in note(job):
        try:
            return read_json(job / READY)
        except StoreError:
            time.sleep(0.05)
    return None


def _is_echo(text: str) -> bool:
    """Whether a traceback ends inside torch's communication: somebody else has gone, and that is the cause."""
    frames = [line for line in text.splitlines() if line.lstrip().startswith('File "')]
    return bool(frames) and "/torch/distributed/" in frames[-1].replace("\\", "/")


def _has_ended(job: Path) -> bool:
    """Whether rank 0 has come to an end, which breaks every collective of the others."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        if "code" in note(job):
            return True
        time.sleep(0.05)
    return False


def _heed(job: Path) -> None:
    """Signals are for rank 0 to answer; the others end with it."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        del number, frame
        if "code" in note(job):
            os._exit(0)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, on_signal)
