"""Every row of the seed's template is a key, has a section, and bad values are refused in words."""

from __future__ import annotations

import re

import pytest
from pydantic import ValidationError

from quadrat_studies.bilevel.config import Config, DataConfig

TEMPLATE = [
    "use_wave", "wave_norm", "freq_mode", "freq_scale", "no_s11", "eval_data", "data", "k_percentile", "k_cap",
    "k_min", "d_model", "hidden_mult", "dropout", "spec_mode", "gate_skip_bias", "use_role_queries",
    "role_input_frac", "role_output_frac", "sym_weight", "sym_core_only", "epochs", "batch_size", "grad_accum", "lr",
    "clip_grad", "amp_bf16", "num_workers", "prefetch_factor", "pin_memory", "persistent_workers", "skip_nonfinite",
    "device", "dtype", "circuit_cache_size", "phys_weight", "use_unroll", "unroll_steps", "unroll_create_graph",
    "inner_lr", "inner_max_step", "inner_raw_min", "inner_raw_max", "inner_nan_backoff", "inner_nan_tries",
    "gumbel_tau", "gumbel_tau_min", "gumbel_tau_decay_frac", "alpha_start", "alpha_min", "alpha_decay_frac",
    "len_weight", "ste_phys", "ste_topk", "ste_topk_anneal_frac", "ste_phys_weight", "matrix_mix", "mix_topk",
    "c_reg_weight", "c_skip_penalty", "c_redundant_penalty", "use_viterbi", "output", "init_from", "log_steps",
    "save_steps", "save_total_limit",
]  # fmt: skip


def test_every_row_of_the_template_is_a_key():
    assert set(TEMPLATE) <= set(Config.model_fields)
    assert "seed" in DataConfig.model_fields


def test_every_key_has_its_section_and_label():
    for model in (Config, DataConfig):
        for name, field in model.model_fields.items():
            if name == "data":
                continue
            extra = field.json_schema_extra
            assert isinstance(extra, dict), name
            assert extra["section"] and extra["label"], name
    fields = [field.json_schema_extra for name, field in Config.model_fields.items() if name != "data"]
    sections = {extra["section"] for extra in fields if isinstance(extra, dict)}
    assert len(sections) == 10


def test_conditional_rows_say_when():
    extras = {name: field.json_schema_extra for name, field in Config.model_fields.items()}
    conditions = {name: extra.get("when") for name, extra in extras.items() if isinstance(extra, dict)}
    assert conditions["mix_topk"] == "ste_phys is false and matrix_mix is true"
    assert conditions["ste_topk"] == "ste_phys is true"
    assert conditions["prefetch_factor"] == "num_workers > 0"
    assert conditions["epochs"] is None
    every = {**DataConfig.model_fields, **Config.model_fields}
    for model in (Config, DataConfig):
        for field in model.model_fields.values():
            extra = field.json_schema_extra
            for clause in str(extra.get("when") or "").split(" and ") if isinstance(extra, dict) else []:
                match = re.fullmatch(r"(\w+) (?:is (?:not )?\w+|> \d+)", clause)
                assert not clause or (match and match[1] in every), clause


@pytest.mark.parametrize(("given", "said"), [
    ({"inner_raw_min": 3, "inner_raw_max": 2}, "inner_raw_min"),
    ({"gumbel_tau": 0.5, "gumbel_tau_min": 1.0}, "gumbel_tau_min"),
    ({"alpha_min": 2.0}, "alpha_min"),
    ({"k_min": 13}, "k_min"),
    ({"role_input_frac": 0.7, "role_output_frac": 0.6}, "add up"),
    ({"amp_bf16": True, "dtype": "float64"}, "amp_bf16"),
    ({"d_model": 20}, "multiple of 8"),
    ({"use_wav": "ideal"}, "use_wav"),
    ({"data": {"orders": [5, 3]}}, "orders"),
    ({"data": {"orders": [2, 12]}}, "2 .. 9"),
    ({"data": {"families": {"butterworth": 0}}}, "positive weight"),
    ({"data": {"families": {"chebyshev": 1}, "orders": [2, 2]}}, "odd order"),
    ({"data": {"bandwidths": [0.5, 1.5]}}, "at most 1"),
    ({"output": "../up"}, "output"),
    ({"lr": float("nan")}, "lr"),
])  # fmt: skip
def test_bad_values_are_refused(given, said):
    with pytest.raises(ValidationError, match=said):
        Config.model_validate(given)
