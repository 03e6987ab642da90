"""A trainable with knobs, for trying the instrument itself: it can crash, lose its way, dawdle or hang on command.

It fits a line to noisy points with plain python numbers, so it starts in no time and needs no torch.
"""

from __future__ import annotations

import math
import os
import random
import signal
import time
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from quadrat.core.context import Context
from quadrat.core.events import Artifact, Checkpoint, Event, Metrics, Note


class Config(BaseModel):
    """Knobs of the toy. Step counts are 1-based; 0 switches a fault off. ``memory_for`` members fit in a pack."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(default=20, ge=1)
    rate: float = Field(default=0.1, gt=0)
    slope: float = 2.0
    noise: float = Field(default=0.1, ge=0)
    points: int = Field(default=8, ge=1)
    seconds_per_step: float = Field(default=0.0, ge=0)
    crash_at: int = 0
    nan_at: int = 0
    kill_at: int = 0
    exit_at: int = 0
    memory_for: int = 1000


def build_data(config: Config, folder: Path) -> None:
    """Write the abscissae, one a line; they depend on ``points`` alone."""
    rows = "".join(f"{i / config.points}\n" for i in range(1, config.points + 1))
    (folder / "points.txt").write_text(rows, encoding="utf-8")


def train(config: Config, context: Context) -> Iterator[Event]:
    """Stochastic gradient descent on ``y = slope * x`` with noise from a generator of the run's own."""
    assert context.data is not None
    points = [float(line) for line in (context.data / "points.txt").read_text(encoding="utf-8").split()]
    draw = random.Random(context.seed)
    state: dict[str, Any] = {"step": 0, "weight": 0.0, "random": draw.getstate()}
    if context.state is not None:
        state.update(context.state)
        draw.setstate(state["random"])
    yield Note("derived", {"total_steps": config.steps, "parameter_count": 1})
    for step in range(state["step"] + 1, config.steps + 1):
        _misbehave(config, step)
        x = draw.choice(points)
        error = state["weight"] * x - (config.slope * x + draw.gauss(0.0, config.noise))
        state["weight"] -= config.rate * error * x
        state.update(step=step, random=draw.getstate())
        loss = math.nan if step == config.nan_at else error * error
        yield Metrics(step, {"train/loss": loss, "weight": state["weight"]})
        yield Checkpoint(step, lambda: dict(state), epoch=step)
        time.sleep(config.seconds_per_step)
    gap = abs(state["weight"] - config.slope)
    yield Metrics(config.steps, {"test/gap": gap})
    yield Artifact("predictions.jsonl", [{"x": x, "y": state["weight"] * x} for x in points])


def evaluate(config: Config, context: Context) -> Iterator[Event]:
    """How far a finished model's slope is from ``config.slope``."""
    assert context.state is not None
    step, weight = context.state["step"], context.state["weight"]
    _misbehave(config, step)
    yield Metrics(step, {"test/gap": abs(weight - config.slope), "weight": weight})
    yield Artifact("tables/slope.jsonl", [{"slope": config.slope, "found": weight}])


def pack_key(config: Config) -> int:
    """Runs of one length go together."""
    return config.steps


def pack_tokens(config: Config) -> int:
    """A large number, so that ``pack: auto`` makes packs of four."""
    return 1024


def train_pack(
    configs: Sequence[Config], contexts: Sequence[Context]
) -> Generator[Sequence[Event | None], frozenset[int] | None]:
    """Every member takes its turn; one that ``memory_for`` says is one too many runs out of memory."""
    if len(configs) > min(config.memory_for for config in configs):
        raise MemoryError(f"the toy has no room for {len(configs)}")
    members: list[Iterator[Event] | None] = [
        train(config, context) for config, context in zip(configs, contexts, strict=True)
    ]
    while any(member is not None for member in members):
        row: list[Event | None] = []
        for place, member in enumerate(members):
            event = next(member, None) if member is not None else None
            if event is None:
                members[place] = None
            row.append(event)
        stopped = yield row
        for place in stopped or ():
            members[place] = None


def _misbehave(config: Config, step: int) -> None:
    if step == config.crash_at:
        raise RuntimeError(f"the toy was told to crash at step {step}")
    if step == config.kill_at:
        os.kill(os.getpid(), signal.SIGKILL)
    if step == config.exit_at:
        raise SystemExit(3)
