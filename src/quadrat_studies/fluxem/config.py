"""What may be varied in the arithmetic study. Plain data: nothing here imports torch.

The keys that seed 004 names keep their names (``data.train_size`` .. ``training.learning_rate``); the rest
are choices the seed leaves open, written down so that they can be questioned.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self, final

from pydantic import BaseModel, ConfigDict, Field, model_validator

Operation = Literal["+", "-", "*", "/"]
Range = tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0, le=10**15)]]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


@final
class DataConfig(_Frozen):
    """The splits. Equal values give equal files."""

    train_size: int = Field(default=1000, ge=1)
    validation_size: int = Field(default=200, ge=1)
    """Held out from training for choosing hyper-parameters; the test splits are never used for that."""
    test_size: int = Field(default=200, ge=1)
    """Samples in each of the three test splits."""
    id_range: Range = (0, 99)
    ood_magnitude_range: Range = (10_000, 99_999)
    ood_min_ops: int = Field(default=2, ge=2)
    ood_max_ops: int = Field(default=5, ge=2, le=16)
    """Operations (not operands) in a chain of the length split; training has one."""
    operations: tuple[Operation, ...] = Field(default=("+", "-", "*"), min_length=1)
    precedence: Literal["parentheses", "left_to_right"] = "parentheses"
    """How a chain is written. It is always evaluated from the left; ``parentheses`` makes the text say so."""
    seed: int = Field(default=42, ge=0)
    """Seed of the data alone, so that every training seed sees the same splits."""

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        for name in ("id_range", "ood_magnitude_range"):
            low, high = getattr(self, name)
            if low >= high:
                raise ValueError(f"{name} must rise, but got [{low}, {high}]")
        if self.ood_min_ops > self.ood_max_ops:
            raise ValueError(f"ood_min_ops ({self.ood_min_ops}) exceeds ood_max_ops ({self.ood_max_ops})")
        if len(set(self.operations)) != len(self.operations):
            raise ValueError(f"operations repeat themselves: {list(self.operations)}")
        return self


@final
class ModelConfig(_Frozen):
    """The decoder, what goes in and what comes out. An arm is a choice of representation and readout."""

    hidden_dim: int = Field(default=128, ge=8)
    num_layers: int = Field(default=2, ge=1)
    num_heads: int = Field(default=4, ge=1)
    dropout: float = Field(default=0.1, ge=0.0, lt=1.0)
    max_seq_len: int = Field(default=64, ge=8)
    """Rows of the position table: prompt and answer together must fit."""
    representation: Literal["token_only", "hybrid"] = "token_only"
    """Characters, or each number as one vector made from its algebraic codes."""
    readout: Literal["digits", "number_head"] = "digits"
    """Answer characters one after the other, or sign and every digit at once."""
    answer_order: Literal["reversed", "plain"] = "reversed"
    """For ``digits``: units first (carries run the way they are computed) or as printed."""
    answer_digits: int = Field(default=12, ge=1, le=40)
    """For ``number_head``: the digits it can write."""
    number_features: tuple[Literal["linear", "log"], ...] = Field(default=("linear", "log"), min_length=1)
    """For ``hybrid``: which codes a number is shown as."""

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if self.hidden_dim % self.num_heads:
            raise ValueError(f"hidden_dim ({self.hidden_dim}) is not a multiple of num_heads ({self.num_heads})")
        if len(set(self.number_features)) != len(self.number_features):
            raise ValueError(f"number_features repeat themselves: {list(self.number_features)}")
        return self


@final
class TrainingConfig(_Frozen):
    """The recipe, equal for every arm."""

    epochs: int = Field(default=20, ge=1)
    batch_size: int = Field(default=32, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0.0)
    schedule: Literal["constant", "cosine"] = "cosine"
    """After the warm-up: stay, or fall to a hundredth along a half cosine."""
    warmup_steps: int = Field(default=50, ge=0)
    weight_decay: float = Field(default=0.01, ge=0.0)
    """Decoupled, on weight matrices only."""
    gradient_clip: float = Field(default=1.0, ge=0.0)
    """Largest gradient norm; 0 leaves gradients alone."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """``bfloat16`` runs the forward pass under autocast; weights stay float32."""
    log_every: int = Field(default=25, ge=1)
    """Steps between two rows of training metrics."""
    validate_every: int = Field(default=1, ge=1)
    """Epochs between two looks at the validation split."""


@final
class Config(_Frozen):
    """One run of the arithmetic study."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
