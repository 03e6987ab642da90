"""What may be varied in the symmetry study. Plain data: nothing here imports torch.

The keys that seed 001 names keep their names (``model_type``, ``n_layers``, ``gamma``, ``epochs``, ``learning_rate``,
``batch_size``). A preset fills what is not given: ``paper`` as published (arXiv 2509.17514), ``seed_literal`` as
seed 001 has it, ``cpu`` small enough for a laptop. What is resolved is written out, so a preset can be read off a run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, cast, final

from pydantic import BaseModel, ConfigDict, Field, model_validator

Task = Literal["composite", "fully_symmetric", "inverse"]
ModelType = Literal[
    "mamba_standard",
    "mamba_ones_conv",
    "mamba_pos_encoding",
    "mamba_residual",
    "mamba_gate",
    "transformer",
    "transformer_with_conv",
]
Part = Literal["pairs", "information_flow", "blocking", "substitution", "kernel_cosine"]

TASK_SIZES: Mapping[str, Mapping[str, int]] = {
    "composite": {"train_rows": 253_125, "test_rows": 1_875},
    "fully_symmetric": {"train_rows": 256_500, "test_rows": 1_500},
    "inverse": {"train_rows": 80_000, "test_rows": 10_000},
}
"""The published splits: the function tasks count ``test_rows`` for each pair, the inverse task for each split."""

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "cpu": {"batch_size": 64, "learning_rate": 1e-3, "schedule": "cosine", "steps_per_epoch": 16},
    "seed_literal": {"batch_size": 32, "learning_rate": 1e-3, "schedule": "constant", "data.train_rows": 10_000},
    "paper": {"batch_size": 2048, "learning_rate": 2.5e-4, "schedule": "cosine"},
}

TASK_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "fully_symmetric": {"d_model": 128},
    "inverse": {"d_model": 128, "batch_size": 1024},
}
"""What the ``paper`` preset changes for the other two tasks."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


@final
class DataConfig(_Frozen):
    """The splits. Equal values give equal files."""

    task: Task = "composite"
    functions: Literal["paper", "plan"] = "paper"
    """``paper``: shifts +5, +1, -2, -8 and 34 = -6. ``plan``: +10, -5, x2, //2 modulo 100 and 34 = +20, as planned
    for the seed's repository before its author had read the paper's appendix."""
    length: int = Field(default=9, ge=5, le=64)
    """Tokens of a function sequence. The paper writes 8 and draws 9."""
    key_slot: int | None = Field(default=None, ge=0)
    """Where the key stands, from 0; drawn when None."""
    key_range: tuple[int, int] = (20, 99)
    filler_range: tuple[int, int] = (20, 100)
    slot_base: Literal[0, 1] = 1
    """The first slot's number in the residue rule: a key is held out where ``key mod (length - 1)`` is the slot."""
    fifth_shift: int = 2
    """Fully symmetric task: the shift of anchor 4 in the second table, which the paper leaves out."""
    layers: int = Field(default=2, ge=1, le=12)
    """Inverse task: the filler gap is 3 times this, out of reach of that many width-4 convolutions."""
    vocabulary: int = Field(default=201, ge=32, le=256)
    train_rows: int = Field(ge=1)
    """Rows to train on, the same number for each pair. Default: as published, by task."""
    test_rows: int = Field(ge=1)
    """Rows of each test cell: a pair, or a split of the inverse task. Default: as published, by task."""
    seed: int = Field(default=42, ge=0)
    """Seed of the data alone, so that every training seed sees the same splits."""

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        values = cast("Mapping[str, Any]", given)
        return {**TASK_SIZES.get(str(values.get("task", "composite")), {}), **values}

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        for name in ("key_range", "filler_range"):
            low, high = getattr(self, name)
            if low > high or low < 5:
                raise ValueError(f"{name} must rise and stay clear of the anchors 0..4, but got [{low}, {high}]")
        if self.key_slot is not None and self.key_slot > self.length - 3:
            raise ValueError(f"key_slot ({self.key_slot}) leaves no room for two anchors in {self.length} tokens")
        highest = max(self.filler_range[1], self.key_range[1] + 10)
        if self.task != "inverse" and self.vocabulary <= highest:
            raise ValueError(f"vocabulary ({self.vocabulary}) must exceed the highest token or answer, {highest}")
        if self.task == "inverse" and self.vocabulary <= 200:
            raise ValueError(f"vocabulary ({self.vocabulary}) must exceed 200, the highest token of the inverse task")
        return self

    @property
    def modulus(self) -> int:
        """What keys are reduced by in the residue rule."""
        return self.length - 1

    @property
    def tokens(self) -> int:
        """Tokens of a sequence of the task."""
        return 23 + 3 * self.layers if self.task == "inverse" else self.length


@final
class EvaluationConfig(_Frozen):
    """What ``evaluate`` measures on a finished model."""

    parts: tuple[Part, ...] = Field(default=("pairs",), min_length=1)
    sequences: int = Field(default=480, ge=1)
    """Random sequences for each pair."""
    blocked_rows: Literal["all", "downstream"] = "all"
    """Which tokens may no longer see key and anchors: all later ones, or those from the one after the pair on."""


@final
class Config(_Frozen):
    """One run of the symmetry study."""

    preset: Literal["cpu", "seed_literal", "paper"] = "cpu"
    data: DataConfig = Field(default_factory=lambda: DataConfig.model_validate({}))

    model_type: ModelType = "mamba_standard"
    n_layers: int = Field(default=2, ge=1, le=12)
    gamma: float = Field(default=1.0, ge=0.0, le=4.0)
    """Weights with d inputs start with standard deviation ``d ** -gamma``; 0.5 is usual, 1.0 is small."""
    d_model: int = Field(default=32, ge=4)
    d_state: int = Field(default=128, ge=1)
    expand: int = Field(default=2, ge=1)
    """Inner width of a Mamba block, and width of a transformer's values, in units of ``d_model``."""
    d_conv: int = Field(default=4, ge=1)
    prenorm: bool = True
    """Mamba: a root-mean-square norm before each block and before the head."""
    embedding_fan: Literal["vocabulary", "width"] = "width"
    """What counts as the inputs of the embedding under ``gamma``; a position table follows suit with its rows. The
    paper does not say; ``width`` came nearer to its diagram (experiments/, open_readings_duel)."""
    conv_init: Literal["gamma_fan_in", "gamma_channels", "default_uniform"] = "gamma_fan_in"
    """The convolution: ``gamma`` on its width, ``gamma`` on its channels, or torch's uniform default."""
    ones_conv_bias: Literal["frozen", "trained"] = "frozen"
    positions: Literal["learned", "sinusoidal"] = "learned"

    epochs: int = Field(default=210, ge=1)
    warmup_epochs: int = Field(default=10, ge=0)
    schedule: Literal["cosine", "constant"]
    """``cosine``: from ``floor_ratio`` up over the warm-up, back to it along a half cosine."""
    learning_rate: float = Field(gt=0.0)
    """The highest rate."""
    floor_ratio: float = Field(default=0.04, ge=0.0, le=1.0)
    batch_size: int = Field(ge=1)
    steps_per_epoch: Annotated[int, Field(ge=1)] | None = None
    """None: as many whole batches as the training split holds."""
    weight_decay: float = Field(default=0.01, ge=0.0)
    gradient_clip: float = Field(default=1.0, gt=0.0)
    log_every: int = Field(default=1, ge=1)
    """Epochs between two rows of training metrics."""
    eval_every: int = Field(default=10, ge=1)
    """Epochs between two evaluations."""
    eval_rows: int = Field(default=600, ge=1)
    """Rows of each split looked at in training; at most what the split holds."""
    final_eval_rows: int = Field(default=1500, ge=1)
    """The same, when training has ended."""
    class_threshold: float = Field(default=0.3, gt=0.0, le=1.0)
    """A run is called composite (symmetric) when the final composite (symmetric) accuracy is at least this. The two
    accuracies add up to at most 1, so above 0.5 no run can be both."""

    evaluation: EvaluationConfig = EvaluationConfig()

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        values = dict(cast("Mapping[str, Any]", given))
        data = values.get("data", {})
        data = data.model_dump() if isinstance(data, DataConfig) else data
        if not isinstance(data, Mapping):
            return values
        preset = str(values.get("preset", "cpu"))
        filling = {**PRESETS.get(preset, {})}
        if preset == "paper":
            filling |= TASK_PRESETS.get(str(data.get("task")), {})
        inner = {key.removeprefix("data."): value for key, value in filling.items() if key.startswith("data.")}
        outer = {key: value for key, value in filling.items() if not key.startswith("data.")}
        return {**outer, **values, "data": {**inner, **data}}

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if self.data.task == "inverse" and self.data.layers != self.n_layers:
            raise ValueError(f"data.layers ({self.data.layers}) must be n_layers ({self.n_layers}) in the inverse task")
        if self.batch_size > self.data.train_rows:
            raise ValueError(f"batch_size ({self.batch_size}) exceeds data.train_rows ({self.data.train_rows})")
        return self

    @property
    def steps_in_epoch(self) -> int:
        """Optimiser steps of one epoch."""
        return self.steps_per_epoch or self.data.train_rows // self.batch_size

    @property
    def total_steps(self) -> int:
        """Optimiser steps of the run."""
        return self.steps_in_epoch * self.epochs
