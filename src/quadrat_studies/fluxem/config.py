"""What may be varied in the arithmetic study. Plain data: nothing here imports torch.

The keys that seed 004 names keep their names (``data.train_size`` .. ``training.learning_rate``); the rest
are choices the seed leaves open, written down so that they can be questioned.
"""

from __future__ import annotations

from itertools import combinations
from math import gcd
from typing import Annotated, Literal, Self, final

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from quadrat_studies.fluxem.units_config import UNITS_FEATURES, UnitsDataConfig

Operation = Literal["+", "-", "*", "/"]
MODULI = (7, 8, 9, 11, 13, 17)
"""Coprime, and small, so that their tables are seen often. The product, 1.2 million, holds sums of 5-digit numbers."""
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
    representation: Literal["token_only", "hybrid", "abacus", "chunks", "xval", "fone", "bits", "residues"] = (
        "token_only"
    )
    """How a number enters: as characters, as one vector of its codes, or as ``representations.py`` says."""
    readout: Literal["digits", "number_head", "chunks", "scalar", "circles", "residues", "bits", "program"] = "digits"
    """How the answer comes out: characters one after the other, or at once in one of the ways of ``readouts.py``.
    ``program`` is none of these: the network names operands and operations, and the algebra computes (``tool.py``)."""
    answer_order: Literal["reversed", "plain"] = "reversed"
    """For ``digits``: units first (carries run the way they are computed) or as printed."""
    answer_digits: int = Field(default=12, ge=1, le=40)
    """For ``number_head`` and ``circles``: the digits it can write."""
    number_features: tuple[Literal["linear", "log", "residues", "quantity", "phases"], ...] = Field(
        default=("linear", "log"), min_length=1
    )
    """For ``hybrid``: which codes a number is shown as. The last two are those of a number with a unit."""
    alphabet: Literal["arithmetic", "units"] = "arithmetic"
    """The characters of prompts and answers."""
    moduli: tuple[Annotated[int, Field(ge=2, le=1000)], ...] = Field(default=MODULI, min_length=1)
    """For ``residues`` as a representation, a code or a read-out. Coprime; answers are told apart up to the product."""
    circle_digits: int = Field(default=12, ge=1, le=18)
    """For ``fone``: circles of 10, 100, .. up to ten to this power."""
    abacus_offset: int = Field(default=16, ge=1)
    """For ``abacus``: in training, digits are counted from a random number below this one."""

    @property
    def answer_columns(self) -> int:
        """Columns that an answer is read from at once: one "=", or one for each modulus."""
        return len(self.moduli) if self.representation == "residues" else 1

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if self.hidden_dim % self.num_heads:
            raise ValueError(f"hidden_dim ({self.hidden_dim}) is not a multiple of num_heads ({self.num_heads})")
        if len(set(self.number_features)) != len(self.number_features):
            raise ValueError(f"number_features repeat themselves: {list(self.number_features)}")
        if any(gcd(a, b) > 1 for a, b in combinations(self.moduli, 2)):
            raise ValueError(f"moduli must be coprime, but got {list(self.moduli)}")
        if (self.representation == "chunks") != (self.readout == "chunks"):
            raise ValueError("chunks go in and out together: set representation and readout to chunks, or neither")
        if self.representation == "abacus" and (self.readout, self.answer_order) != ("digits", "reversed"):
            raise ValueError("abacus counts digits from the units: it needs readout digits and answer_order reversed")
        if self.readout == "program" and self.representation not in ("token_only", "hybrid"):
            raise ValueError("a program points at numbers: set representation to token_only or hybrid")
        if self.representation == "residues" and self.readout != "residues":
            raise ValueError("numbers that enter as residues leave as residues: set readout to residues")
        return self


@final
class TrainingConfig(_Frozen):
    """The recipe, equal for every arm."""

    epochs: int = Field(default=20, ge=1)
    steps: int | None = Field(default=None, ge=1)
    """Optimiser steps in all, in place of ``epochs``: the same budget for every size of the training split."""
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
class LadderConfig(_Frozen):
    """Tables of a finished model beyond the splits. 0 leaves a ladder out."""

    magnitude_digits: int = Field(default=0, ge=0, le=15)
    """Both operands of 1 .. this many digits: a table of digits by digits."""
    operands: int = Field(default=0, ge=0, le=16)
    """Sums and differences of 2 .. this many operands of ``data.id_range``."""
    carries: int = Field(default=0, ge=0, le=15)
    """Sums and differences of operands of this many digits, by 0, 1, 2, .. carries or borrows."""
    cell_size: int = Field(default=50, ge=1)
    """Problems in each cell of each table."""


def _domain(data: object) -> str:
    """``units`` for a data section that says so, or is one already."""
    domain = data.get("domain") if isinstance(data, dict) else getattr(data, "domain", None)
    return "units" if domain == "units" else "arithmetic"


Data = Annotated[
    Annotated[DataConfig, Tag("arithmetic")] | Annotated[UnitsDataConfig, Tag("units")], Discriminator(_domain)
]


@final
class Config(_Frozen):
    """One run of the study: about arithmetic, or with ``data.domain: units`` about units."""

    data: Data = DataConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    ladders: LadderConfig = LadderConfig()

    @model_validator(mode="after")
    def _of_one_domain(self) -> Self:
        domain, model = _domain(self.data), self.model
        if model.alphabet != domain:
            raise ValueError(f"the data are about {domain}: set model.alphabet to {domain}")
        features = set(model.number_features)
        if model.representation == "hybrid" and (
            features - UNITS_FEATURES if domain == "units" else features & UNITS_FEATURES
        ):
            raise ValueError(f"model.number_features {sorted(features)} are not codes of the numbers of {domain}")
        if domain == "units" and (model.representation not in ("token_only", "hybrid") or model.readout != "digits"):
            raise ValueError("questions about units need representation token_only or hybrid, and readout digits")
        if domain == "units" and self.ladders != LadderConfig():
            raise ValueError("ladders are tables of arithmetic: leave them at 0 for units")
        return self
