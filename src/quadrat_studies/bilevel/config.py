"""What may be varied in the bilevel study. Plain data: nothing here imports torch.

Every row of seed 000's record template is a key of the same name. Each field says in which section of the record it
stands and, where it is not always of effect, when it is: ``when`` is one or more of ``key is value``, ``key is not
value`` and ``key > number``, joined by ``and``; where that does not hold the row reads "n/a".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self, final

from pydantic import BaseModel, ConfigDict, Field, model_validator

FilterName = Literal["lowpass", "highpass", "bandpass", "bandstop"]
FamilyName = Literal["butterworth", "chebyshev", "elliptic", "bessel", "random"]
WaveMode = Literal["ideal", "real", "both", "ideal_s21", "real_s21", "mix"]

DATA = "Data & Input"
MODEL = "Model & Topology"
ROLES = "Role Queries & Symmetry"
TRAINING = "Optimization & Training"
PHYSICS = "Bilevel / Physics"
SCHEDULES = "Gumbel & Schedules"
STE = "STE (Hard Forward + Soft Backward)"
MIX = "Matrix Mix (only if STE is off)"
VITERBI = "Transition C / Viterbi"
LOGGING = "Checkpoint & Logging"
LARGEST_K = 20


def _row(section: str, label: str, *, when: str | None = None) -> dict[str, Any]:
    return {"section": section, "label": label} | ({"when": when} if when else {})


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


@final
class DataConfig(_Frozen):
    """The circuits. Equal values give equal files, whatever the rest of the config says."""

    path: str | None = Field(default=None, json_schema_extra=_row(DATA, "--data"))
    """A JSONL file of one's own to train on; None builds one. Test and validation circuits are built in either case."""
    train_samples: int = Field(default=4096, ge=1, json_schema_extra=_row(DATA, "train samples", when="path is null"))
    validation_samples: int = Field(default=256, ge=1, json_schema_extra=_row(DATA, "validation samples"))
    test_samples: int = Field(default=800, ge=1, json_schema_extra=_row(DATA, "test samples"))
    types: tuple[FilterName, ...] = Field(
        default=("lowpass", "highpass", "bandpass", "bandstop"), min_length=1, json_schema_extra=_row(DATA, "types")
    )
    families: Mapping[FamilyName, float] = Field(
        default={"butterworth": 1.0, "chebyshev": 1.0}, json_schema_extra=_row(DATA, "families and weights")
    )
    """Weights. ``random`` are ladders of no textbook: perturbed values, added transmission zeros; their mask is their
    own. Chebyshev and elliptic filters have odd orders, since source and load are equal."""
    orders: tuple[int, int] = Field(default=(2, 8), json_schema_extra=_row(DATA, "orders"))
    bandwidths: tuple[float, float] = Field(default=(0.05, 0.4), json_schema_extra=_row(DATA, "fractional bandwidths"))
    ripples_db: tuple[float, float] = Field(default=(0.1, 0.5), json_schema_extra=_row(DATA, "ripple, dB"))
    """Of Chebyshev and elliptic filters."""
    edges_db: tuple[float, float] = Field(default=(1.0, 3.01), json_schema_extra=_row(DATA, "edge attenuation, dB"))
    """Of Butterworth and Bessel filters, at the edge of the passband."""
    centres_hz: tuple[float, float] = Field(default=(1e8, 5e9), json_schema_extra=_row(DATA, "fc, Hz"))
    topology: Literal["t", "pi", "random"] = Field(default="t", json_schema_extra=_row(DATA, "form of the labels"))
    """``t`` and ``pi`` fix which of two dual ladders is the label; with ``random`` half of the label is a coin."""
    z0: float = Field(default=50.0, gt=0, json_schema_extra=_row(DATA, "Z0, ohm"))
    points: int = Field(default=128, ge=16, json_schema_extra=_row(DATA, "frequencies"))
    stop_db: float = Field(default=40.0, gt=3, json_schema_extra=_row(DATA, "stopband, dB"))
    """Asked for where the grid reaches that far; elsewhere what the filter has at the grid's end."""
    series: Literal["E12", "E24", "E96"] = Field(default="E24", json_schema_extra=_row(DATA, "standard values"))
    tolerance: float = Field(default=0.05, ge=0, lt=1, json_schema_extra=_row(DATA, "tolerance of real parts"))
    q_l: float = Field(default=50.0, gt=0, json_schema_extra=_row(DATA, "Q of inductors"))
    q_c: float = Field(default=50.0, gt=0, json_schema_extra=_row(DATA, "Q of capacitors"))
    q_model: Literal["freq_dependent", "fixed_ref"] = Field(
        default="freq_dependent", json_schema_extra=_row(DATA, "Q model")
    )
    split: Literal["combinations", "iid"] = Field(default="combinations", json_schema_extra=_row(DATA, "split rule"))
    """``combinations``: a fifth of all cells (type, family, order, bucket of bandwidth or edge) is tested only."""
    curves: bool = Field(default=False, json_schema_extra=_row(DATA, "curves in the JSONL"))
    """Write the sampled curves and masks into each record too; they follow from the parts, so reading needs none."""
    seed: int = Field(default=0, ge=0, json_schema_extra=_row(DATA, "--seed (data)"))

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        for name in ("orders", "bandwidths", "ripples_db", "edges_db", "centres_hz"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ValueError(f"{name} must be positive and rise, but got [{low}, {high}]")
        if self.orders[1] > 9 or self.orders[0] < 2:
            raise ValueError(f"orders must lie in 2 .. 9, but got {list(self.orders)}")
        if self.bandwidths[1] > 1:
            raise ValueError(f"a fractional bandwidth is at most 1, but got {self.bandwidths[1]}")
        if not self.families or min(self.families.values()) < 0 or sum(self.families.values()) <= 0:
            raise ValueError("families needs at least one positive weight and no negative one")
        odd = {"chebyshev", "elliptic"} & {name for name, weight in self.families.items() if weight}
        if odd and self.orders[1] < 3:
            raise ValueError(f"{', '.join(sorted(odd))} needs an odd order of 3 or more, but orders is {self.orders}")
        return self


@final
class Config(_Frozen):
    """One run of the bilevel study."""

    # What a run works out from its data and notes as "derived".
    model_config = ConfigDict(
        json_schema_extra={
            "derived": {
                "train_samples": _row(DATA, "train samples found"),
                "input_channels": _row(DATA, "input channels"),
                "k_max": _row(MODEL, "k_max"),
                "macro_vocab_size": _row(MODEL, "macro_vocab_size"),
                "slot_count": _row(MODEL, "slot_count"),
                "parameter_count": _row(MODEL, "parameters"),
                "effective_batch": _row(TRAINING, "effective batch"),
                "updates_per_epoch": _row(TRAINING, "updates per epoch"),
                "total_updates": _row(TRAINING, "updates"),
                "physics_updates": _row(PHYSICS, "updates with physics"),
            }
        }
    )

    data: DataConfig = DataConfig()

    # Data & Input
    eval_data: str | None = Field(default=None, json_schema_extra=_row(DATA, "--eval-data"))
    """A JSONL file to test on in the place of the built test split."""
    use_wave: WaveMode = Field(default="ideal", json_schema_extra=_row(DATA, "--use-wave"))
    wave_norm: bool = Field(default=False, json_schema_extra=_row(DATA, "--wave-norm"))
    """Each wave channel minus its mean, over its standard deviation; otherwise dB / 20 above the floor."""
    freq_mode: Literal["log_f_centered", "log_f", "log_fc", "linear_fc", "none"] = Field(
        default="log_f_centered", json_schema_extra=_row(DATA, "--freq-mode")
    )
    freq_scale: Literal["log_f_mean", "log_fc", "none"] = Field(
        default="log_f_mean", json_schema_extra=_row(DATA, "--freq-scale")
    )
    no_s11: bool = Field(default=True, json_schema_extra=_row(DATA, "--no-s11"))

    # Model & Topology
    k_percentile: float = Field(default=100.0, gt=0, le=100, json_schema_extra=_row(MODEL, "--k-percentile"))
    k_cap: int = Field(default=12, ge=1, le=LARGEST_K, json_schema_extra=_row(MODEL, "--k-cap"))
    k_min: int = Field(default=9, ge=1, json_schema_extra=_row(MODEL, "--k-min"))
    d_model: int = Field(default=128, ge=8, json_schema_extra=_row(MODEL, "--d-model"))
    hidden_mult: int = Field(default=2, ge=1, json_schema_extra=_row(MODEL, "--hidden-mult"))
    dropout: float = Field(default=0.0, ge=0, lt=1, json_schema_extra=_row(MODEL, "--dropout"))
    spec_mode: Literal["type_fc", "none"] = Field(default="type_fc", json_schema_extra=_row(MODEL, "--spec-mode"))
    gate_skip_bias: float = Field(default=0.0, json_schema_extra=_row(MODEL, "--gate-skip-bias"))

    # Role queries and symmetry
    use_role_queries: bool = Field(default=False, json_schema_extra=_row(ROLES, "--use-role-queries"))
    role_input_frac: float = Field(
        default=0.2, ge=0, le=1, json_schema_extra=_row(ROLES, "--role-input-frac", when="use_role_queries is true")
    )
    role_output_frac: float = Field(
        default=0.2, ge=0, le=1, json_schema_extra=_row(ROLES, "--role-output-frac", when="use_role_queries is true")
    )
    sym_weight: float = Field(default=0.0, ge=0, json_schema_extra=_row(ROLES, "--sym-weight"))
    sym_core_only: bool = Field(
        default=False,
        json_schema_extra=_row(ROLES, "--sym-core-only", when="sym_weight > 0 and use_role_queries is true"),
    )

    # Optimization & Training
    epochs: int = Field(default=8, ge=1, json_schema_extra=_row(TRAINING, "--epochs"))
    batch_size: int = Field(default=64, ge=1, json_schema_extra=_row(TRAINING, "--batch-size"))
    grad_accum: int = Field(default=1, ge=1, json_schema_extra=_row(TRAINING, "--grad-accum"))
    lr: float = Field(default=1.5e-3, gt=0, json_schema_extra=_row(TRAINING, "--lr"))
    """The highest rate."""
    lr_schedule: Literal["onecycle", "constant"] = Field(
        default="onecycle", json_schema_extra=_row(TRAINING, "schedule")
    )
    weight_decay: float = Field(default=1e-2, ge=0, json_schema_extra=_row(TRAINING, "weight decay"))
    clip_grad: float = Field(default=1.0, ge=0, json_schema_extra=_row(TRAINING, "--clip-grad"))
    """0 disables."""
    amp_bf16: bool = Field(default=False, json_schema_extra=_row(TRAINING, "--amp-bf16"))
    """The model's forward pass under bfloat16 autocast; the physics is always float64."""
    num_workers: int = Field(default=0, ge=0, json_schema_extra=_row(TRAINING, "--num-workers"))
    prefetch_factor: int = Field(
        default=2, ge=1, json_schema_extra=_row(TRAINING, "--prefetch-factor", when="num_workers > 0")
    )
    pin_memory: bool = Field(default=True, json_schema_extra=_row(TRAINING, "--pin-memory", when="device is not cpu"))
    persistent_workers: bool = Field(
        default=True, json_schema_extra=_row(TRAINING, "--persistent-workers", when="num_workers > 0")
    )
    skip_nonfinite: bool = Field(default=True, json_schema_extra=_row(TRAINING, "--skip-nonfinite"))
    """Leave an update out when its loss or a gradient is not finite, and count it."""
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", json_schema_extra=_row(TRAINING, "--device"))
    dtype: Literal["float32", "float64"] = Field(default="float32", json_schema_extra=_row(TRAINING, "--dtype"))
    circuit_cache_size: int = Field(
        default=2048,
        ge=0,
        json_schema_extra=_row(TRAINING, "--circuit-cache-size", when="inner_solver is lm and phys_weight > 0"),
    )
    """Inner solutions kept, by circuit and topology, to start from the next time; 0 disables."""

    # Bilevel / Physics
    phys_weight: float = Field(default=1e-2, ge=0, json_schema_extra=_row(PHYSICS, "--phys-weight"))
    phys_start: float = Field(
        default=0.8, ge=0, le=1, json_schema_extra=_row(PHYSICS, "share of updates before physics")
    )
    value_weight: float = Field(default=1.0, ge=0, json_schema_extra=_row(PHYSICS, "value supervision weight"))
    """Smooth-L1 on the logs of the labels' values."""
    distil_weight: float = Field(
        default=0.1,
        ge=0,
        json_schema_extra=_row(PHYSICS, "weight of inner solutions as labels", when="inner_solver is lm"),
    )
    phys_scale: Literal["log", "mse"] = Field(
        default="log", json_schema_extra=_row(PHYSICS, "scale of the physics loss")
    )
    """``log``: ln(1 + mean squared dB error), so that a few deep stopbands do not outweigh the rest; ``mse``: plain."""
    floor_db: float = Field(default=-80.0, lt=0, ge=-240, json_schema_extra=_row(PHYSICS, "floor, dB"))
    inner_solver: Literal["lm", "unroll"] = Field(default="lm", json_schema_extra=_row(PHYSICS, "inner solver"))
    lm_iterations: int = Field(
        default=4, ge=1, json_schema_extra=_row(PHYSICS, "LM iterations in training", when="inner_solver is lm")
    )
    use_unroll: bool = Field(
        default=True, json_schema_extra=_row(PHYSICS, "--use-unroll", when="inner_solver is unroll")
    )
    unroll_steps: int = Field(
        default=5,
        ge=1,
        json_schema_extra=_row(PHYSICS, "--unroll-steps", when="use_unroll is true and inner_solver is unroll"),
    )
    unroll_create_graph: bool = Field(
        default=True,
        json_schema_extra=_row(PHYSICS, "--unroll-create-graph", when="use_unroll is true and inner_solver is unroll"),
    )
    inner_lr: float = Field(
        default=1e-4,
        gt=0,
        json_schema_extra=_row(PHYSICS, "--inner-lr", when="use_unroll is true and inner_solver is unroll"),
    )
    inner_max_step: float = Field(
        default=0.05,
        json_schema_extra=_row(PHYSICS, "--inner-max-step", when="use_unroll is true and inner_solver is unroll"),
    )
    """Per coordinate, in natural-log units; 0 or less means no limit."""
    inner_raw_min: float = Field(default=-8.0, json_schema_extra=_row(PHYSICS, "--inner-raw-min"))
    inner_raw_max: float = Field(default=8.0, json_schema_extra=_row(PHYSICS, "--inner-raw-max"))
    """Bounds of ln(w0 L / Z0) and ln(w0 C Z0)."""
    inner_nan_backoff: float = Field(
        default=0.5, gt=0, lt=1,
        json_schema_extra=_row(PHYSICS, "--inner-nan-backoff", when="use_unroll is true and inner_solver is unroll"),
    )  # fmt: skip
    inner_nan_tries: int = Field(
        default=3, ge=0,
        json_schema_extra=_row(PHYSICS, "--inner-nan-tries", when="use_unroll is true and inner_solver is unroll"),
    )  # fmt: skip

    # Gumbel & Schedules
    gumbel_tau: float = Field(default=1.0, gt=0, json_schema_extra=_row(SCHEDULES, "--gumbel-tau"))
    gumbel_tau_min: float | None = Field(default=None, gt=0, json_schema_extra=_row(SCHEDULES, "--gumbel-tau-min"))
    """None: as at the start."""
    gumbel_tau_decay_frac: float = Field(
        default=0.5,
        ge=0,
        le=1,
        json_schema_extra=_row(SCHEDULES, "--gumbel-tau-decay-frac", when="gumbel_tau_min is not null"),
    )
    alpha_start: float = Field(default=1.0, ge=0, json_schema_extra=_row(SCHEDULES, "--alpha-start"))
    alpha_min: float = Field(default=0.5, ge=0, json_schema_extra=_row(SCHEDULES, "--alpha-min"))
    alpha_decay_frac: float = Field(default=0.3, ge=0, le=1, json_schema_extra=_row(SCHEDULES, "--alpha-decay-frac"))
    len_weight: float = Field(default=0.0, ge=0, json_schema_extra=_row(SCHEDULES, "--len-weight"))
    """Pressure towards fewer parts; it does not look at the label."""

    # STE
    ste_phys: bool = Field(default=False, json_schema_extra=_row(STE, "--ste-phys"))
    ste_topk: int = Field(default=3, ge=1, json_schema_extra=_row(STE, "--ste-topk", when="ste_phys is true"))
    ste_topk_anneal_frac: float = Field(
        default=0.2, ge=0, le=1, json_schema_extra=_row(STE, "--ste-topk-anneal-frac", when="ste_phys is true")
    )
    ste_phys_weight: float = Field(
        default=1.0, ge=0, json_schema_extra=_row(STE, "--ste-phys-weight", when="ste_phys is true")
    )

    # Matrix mix
    matrix_mix: bool = Field(default=False, json_schema_extra=_row(MIX, "--matrix-mix", when="ste_phys is false"))
    mix_topk: int = Field(
        default=0, ge=0, json_schema_extra=_row(MIX, "--mix-topk", when="ste_phys is false and matrix_mix is true")
    )
    """0: dense."""

    # Transitions and decoding
    c_reg_weight: float = Field(default=0.0, ge=0, json_schema_extra=_row(VITERBI, "--c-reg-weight"))
    c_skip_penalty: float = Field(
        default=100.0, ge=0, json_schema_extra=_row(VITERBI, "--c-skip-penalty", when="c_reg_weight > 0")
    )
    c_redundant_penalty: float = Field(
        default=1.0, ge=0, json_schema_extra=_row(VITERBI, "--c-redundant-penalty", when="c_reg_weight > 0")
    )
    use_viterbi: bool = Field(default=True, json_schema_extra=_row(VITERBI, "Eval --use-viterbi"))
    ladder_rule: bool = Field(
        default=True, json_schema_extra=_row(VITERBI, "branches alternate", when="use_viterbi is true")
    )
    k_best: int = Field(
        default=3, ge=1, json_schema_extra=_row(VITERBI, "candidates refined", when="use_viterbi is true")
    )
    refine_steps: int = Field(default=30, ge=0, json_schema_extra=_row(VITERBI, "LM iterations of the refiner"))
    snap: bool = Field(default=True, json_schema_extra=_row(VITERBI, "snap to standard values"))
    snap_samples: int = Field(default=64, ge=1, json_schema_extra=_row(VITERBI, "designs snapped", when="snap is true"))
    mc_max_draws: int = Field(
        default=400, ge=0, json_schema_extra=_row(VITERBI, "Monte Carlo draws", when="snap is true")
    )
    mask_margin_db: float = Field(default=0.05, ge=0, json_schema_extra=_row(VITERBI, "margin of the mask, dB"))
    baselines: bool = Field(default=True, json_schema_extra=_row(VITERBI, "measure the baselines"))

    # Checkpoint & Logging
    output: str = Field(default="designs", pattern=r"^[A-Za-z0-9_-]+$", json_schema_extra=_row(LOGGING, "--output"))
    """The folder, under the run's artifacts, that tables of designs go to."""
    init_from: str | None = Field(default=None, json_schema_extra=_row(LOGGING, "--init-from"))
    """Weights to start from: a ``model.safetensors`` or a run's folder. Schedules start anew."""
    log_steps: int = Field(default=50, ge=1, json_schema_extra=_row(LOGGING, "--log-steps"))
    save_steps: int = Field(default=64, ge=1, json_schema_extra=_row(LOGGING, "--save-steps"))
    """Updates between two offers of a checkpoint."""
    save_total_limit: int = Field(default=0, ge=0, json_schema_extra=_row(LOGGING, "--save-total-limit"))
    """Copies of the weights kept as artifacts along the way, one per epoch, the oldest given up; 0 keeps none."""

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if self.inner_raw_min >= self.inner_raw_max:
            raise ValueError(
                f"inner_raw_min ({self.inner_raw_min}) must lie under inner_raw_max ({self.inner_raw_max})"
            )
        if self.gumbel_tau_min is not None and self.gumbel_tau_min > self.gumbel_tau:
            raise ValueError(f"gumbel_tau_min ({self.gumbel_tau_min}) must not exceed gumbel_tau ({self.gumbel_tau})")
        if self.alpha_min > self.alpha_start:
            raise ValueError(f"alpha_min ({self.alpha_min}) must not exceed alpha_start ({self.alpha_start})")
        if self.k_min > self.k_cap:
            raise ValueError(f"k_min ({self.k_min}) must not exceed k_cap ({self.k_cap})")
        if self.role_input_frac + self.role_output_frac > 1:
            raise ValueError("role_input_frac and role_output_frac must not add up to more than 1")
        if self.amp_bf16 and self.dtype == "float64":
            raise ValueError("amp_bf16 needs dtype float32: drop one of the two")
        if self.d_model % 8:
            raise ValueError(f"d_model ({self.d_model}) must be a multiple of 8, the number of attention heads")
        return self
