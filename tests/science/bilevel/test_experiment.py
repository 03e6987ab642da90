"""The experiment end to end on a few circuits: events, keys of training and measuring, failures in words."""

from __future__ import annotations

import json

import pytest
import torch

from quadrat import Context, UsageError
from quadrat_studies.bilevel.config import Config
from quadrat_studies.bilevel.experiment import train
from quadrat_studies.bilevel.generate import draw
from quadrat_studies.bilevel.training import Training

TINY = {
    "data": {
        "train_samples": 24,
        "validation_samples": 2,
        "test_samples": 6,
        "points": 24,
        "orders": [2, 4],
        "types": ["lowpass", "bandpass"],
    }
}


@pytest.fixture(scope="module")
def plain(drive):
    return drive({"save_total_limit": 2, "snap": True, "snap_samples": 2, "mc_max_draws": 40, "baselines": True})


def test_what_a_run_leaves_behind(plain):
    assert plain.notes["derived"] | {"parameter_count": 0} == {
        "k_max": 4, "macro_vocab_size": 4, "slot_count": 2, "input_channels": 3, "parameter_count": 0,
        "train_samples": 24, "effective_batch": 8, "updates_per_epoch": 3, "total_updates": 3, "physics_updates": 3,
    }  # fmt: skip
    assert plain.checkpoints == [1, 2, 3]
    assert {"model.safetensors", "designs/test.jsonl", "weights/0.safetensors"} == set(plain.artifacts)
    assert set(plain.notes["runtime"]) == {"epoch", "wall_seconds", "cpu_seconds"}
    assert plain.notes["cost"]["enumerate_cpu_seconds_per_design"] > 0
    assert len(json.loads(json.dumps(plain.artifacts["designs/test.jsonl"]))) == 6


def test_the_seeds_nine_and_their_company_are_measured(plain):
    names = plain.names()
    nine = {"macro_acc", "macro_non_skip_acc", "len_mae", "len_exact", "phys_loss", "yield_pre", "yield_post"}
    assert {f"test/{name}" for name in nine} <= names
    assert {"train/phys_loss", "test/seq_equiv", "test/spec_pass_post", "test/mc_yield", "test/mc_yield_q_low",
            "test/spec_pass_snapped", "test/trivial/skip_macro_acc", "baseline/enumerate_spec_pass",
            "baseline/formula_spec_pass", "baseline/older_refiner_spec_pass"} <= names  # fmt: skip
    assert plain.last("test/spec_pass_oracle") == plain.last("test/yield_oracle") == 1.0
    assert plain.last("test/yield_post") == plain.last("test/spec_pass_post")
    assert plain.last("test/mse_post_clamped") <= plain.last("test/mse_pre_clamped") + 1e-9
    assert plain.last("baseline/enumerate_spec_pass") >= 0.8


def test_evaluating_again_gives_the_same_and_its_keys_matter(drive, plain):
    same = drive({}, state=plain.state)
    for name in ("test/macro_acc", "test/mse_pre", "test/spec_pass_post"):
        assert same.last(name) == plain.last(name)
    rule = drive({"ladder_rule": False, "k_best": 1, "refine_steps": 0}, state=plain.state)
    assert rule.last("test/mse_post") == rule.last("test/mse_pre") > same.last("test/mse_post")
    real = drive({"use_wave": "real"}, state=plain.state)
    assert real.last("test/mse_pre") != same.last("test/mse_pre")
    wide = drive({"mask_margin_db": 200.0}, state=plain.state)
    assert wide.last("test/spec_pass_pre") == 1.0
    with pytest.raises(UsageError, match="input channels"):
        drive({"use_wave": "both"}, state=plain.state)
    with pytest.raises(UsageError, match="trained model"):
        from quadrat_studies.bilevel.experiment import evaluate

        next(evaluate(Config(), Context(seed=0, device="cpu", data=None, scratch=None)))  # type: ignore[arg-type]


def test_accumulated_batches_are_one_large_one(drive):
    data = {**TINY["data"], "train_samples": 16, "test_samples": 2, "types": ["lowpass"]}
    base = {"phys_weight": 0.0, "value_weight": 0.0, "dtype": "float64", "refine_steps": 0, "data": data}
    small, large = drive({**base, "batch_size": 8, "grad_accum": 2}), drive({**base, "batch_size": 16})
    assert small.checkpoints == large.checkpoints == [1]
    # The mean gradient of the two halves is the gradient of the whole.
    assert small.last("grad/total_norm") == pytest.approx(large.last("grad/total_norm"), rel=1e-6)
    assert small.last("train/loss") == pytest.approx(large.last("train/loss"), rel=1e-6)
    # Three batches by twos: the last, lonely one counts.
    odd = drive({**base, "batch_size": 6, "grad_accum": 2})
    assert odd.checkpoints == [1, 2]


def test_weights_of_another_run_are_taken_up(drive, plain, tmp_path):
    plain.artifacts["model.safetensors"](tmp_path / "model.safetensors")
    again = drive({"init_from": str(tmp_path), "lr": 1e-12, "phys_weight": 0.0, "weight_decay": 0.0})
    assert again.last("test/macro_acc") == plain.last("test/macro_acc")
    with pytest.raises(UsageError, match="do not fit"):
        drive({"init_from": str(tmp_path), "d_model": 24})
    with pytest.raises(UsageError, match="no weights"):
        drive({"init_from": str(tmp_path / "nowhere")})


def training(samples, **keys):
    config = Config.model_validate({"d_model": 8, "batch_size": 8, "phys_weight": 0.0, **keys})
    context = Context(seed=0, device="cpu", data=None, scratch=None)  # type: ignore[arg-type]
    return Training(config, context, samples=samples)


@pytest.fixture(scope="module")
def few():
    return draw(Config().data.model_copy(update={"points": 24}), "train", count=8)


@pytest.mark.parametrize("skip", [True, False])
def test_an_update_that_is_not_finite_is_left_out_when_asked(few, skip):
    run = training(few, skip_nonfinite=skip)
    before = run.network.gate.weight.detach().clone()
    waves = run.waves.channels(torch.arange(8))
    waves[0, 0, 0] = torch.nan
    run.update([(torch.arange(8), waves)])
    assert run.skipped == skip and run.step == 1
    assert run.network.gate.weight.isfinite().all() == skip
    assert torch.equal(run.network.gate.weight, before) == skip


def test_clipping_rates_and_precision_do_what_they_say(few):
    def after(**keys):
        run = training(few, **keys)
        run.update([(torch.arange(8), run.waves.channels(torch.arange(8)))])
        return run.network.gate.weight.detach().double()

    plain = after(lr_schedule="constant")
    for keys in (
        {"lr": 1e-2},
        {"weight_decay": 50.0},
        {"clip_grad": 1e-9},
        {"amp_bf16": True},
        {"lr_schedule": "onecycle"},
    ):
        assert not torch.equal(after(**{"lr_schedule": "constant", **keys}), plain), keys
    assert torch.equal(after(lr_schedule="constant"), plain)


def test_a_gpu_that_is_not_there_is_said(few):
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(UsageError, match="no GPU"):
        training(few, device="cuda")


def test_k_is_scanned(few):
    assert training(few, k_min=1).k == int(few.lengths.max())
    assert training(few, k_min=12).k == 12
    assert training(few, k_min=1, k_cap=3).k == 3
    assert training(few, k_min=1, k_percentile=10).k < int(few.lengths.max())


def test_data_are_needed_and_must_be_numbers(tmp_path, few):
    with pytest.raises(UsageError, match="data folder"):
        next(train(Config(), Context(seed=0, device="cpu", data=None, scratch=tmp_path)))
    run = training(few, phys_weight=1.0, phys_start=0.0)
    run.samples.ideal[0][3, 5] = torch.nan
    with pytest.raises(ValueError, match="not finite"):
        run.update([(torch.arange(8), run.waves.channels(torch.arange(8)))])


def test_log_and_save_frequencies_and_the_table_folder(drive):
    found = drive({"log_steps": 2, "save_steps": 3, "output": "elsewhere", "phys_weight": 0.0, "refine_steps": 0})
    assert [step for step, values in found.rows if "train/loss" in values] == [2, 3]
    assert found.checkpoints == [3]
    assert "elsewhere/test.jsonl" in found.artifacts


def test_another_test_file_is_measured(drive, tmp_path):
    from quadrat_studies.bilevel.records import write_rows

    other = draw(Config().data.model_copy(update={"points": 24, "types": ("highpass",)}), "test", count=3)
    write_rows(tmp_path / "other.jsonl", other, split="other")
    found = drive({"eval_data": str(tmp_path / "other.jsonl"), "phys_weight": 0.0, "refine_steps": 0})
    assert "test/spec_pass_post/highpass" in found.names()
    assert len(found.artifacts["designs/test.jsonl"]) == 3
