"""The loop: labels stay with their rows, faults show, the table learns, a pre-trained decoder waits."""

from __future__ import annotations

import pytest
import torch

from quadrat_studies.etrm.answering import weights_in_place


def test_a_slot_keeps_item_and_labels_until_it_halts(tiny, training):
    run = training(tiny(training={"dihedral": True, "colour": True}))
    run.update()
    for _ in range(12):
        before = run.carry.batch.labels.clone(), run.carry.batch.inputs.clone(), run.carry.steps.clone()
        goes_on = ~run.carry.halted
        drawn = run.carry.drawn.clone()
        run.update()
        assert torch.equal(run.carry.batch.labels[goes_on], before[0][goes_on])
        assert torch.equal(run.carry.batch.inputs[goes_on], before[1][goes_on])
        assert torch.equal(run.carry.steps[goes_on], before[2][goes_on] + 1)
        assert (run.carry.steps[~goes_on] == 1).all()
        assert torch.equal(run.carry.drawn - drawn, (~goes_on).long())


def test_a_new_row_starts_from_the_initial_states(tiny, training):
    run = training(tiny())
    for _ in range(4):
        run.update()
    assert run.carry.halted.all(), "nothing halts early, so all halt together at the limit"
    seen = {}
    whole = run.solver.inner.forward

    def watch(states, **given):
        seen["high"] = states.high
        return whole(states, **given)

    run.solver.inner.forward = watch
    run.update()
    assert torch.equal(seen["high"], run.solver.inner.start(4).high)
    run.update()
    assert not torch.equal(seen["high"], run.solver.inner.start(4).high)


def test_the_loss_falls(tiny, training):
    run = training(tiny(max_train_groups=2, training={"lr": 3e-3, "max_steps": 60}))
    run.update()
    first = run.row()["train/loss"]
    for _ in range(50):
        run.update()
    run.row()
    run.update()
    assert run.row()["train/loss"] < 0.7 * first


FAULTS = {
    "none": {}, "detached": {"fault": "detached"}, "collapsed": {"fault": "collapsed"},
    "demo_blind": {"fault": "demo_blind"}, "cached": {"context_mode": "cached"},
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_each_planted_fault_shows_in_the_metric_that_is_there_for_it(tiny, training, fault):
    run = training(tiny(arch=FAULTS[fault]))
    run.update()
    first = run.row()
    for _ in range(7):
        run.update()
    values = run.row()
    coverage = values["train/encoder_gradient_coverage"]
    assert first["train/encoder_gradient_coverage"] == (0.0 if fault == "detached" else 1.0)
    assert coverage == {"detached": 0.0, "cached": 0.25}.get(fault, 1.0)
    assert (values["grad/encoder_norm"] == 0.0) == (fault == "detached")
    assert (values["train/encoder_cross_sample_var"] < 1e-6) == (fault == "collapsed")


@pytest.mark.parametrize("kind", ["standard", "cross_attention"])
def test_a_cached_context_is_that_of_the_step_the_row_was_new(tiny, training, kind):
    run = training(tiny(arch={"context_mode": "cached", "encoder_type": kind}))
    run.update()
    kept = run.last_context.clone()
    run.update()
    assert torch.equal(run.last_context, kept)
    assert not run.carry.context.requires_grad
    live = training(tiny(arch={"encoder_type": kind}))
    live.update()
    assert torch.allclose(live.last_context, kept, atol=1e-6)
    live.update()
    assert not torch.equal(live.last_context, kept)


def test_the_embedding_table_moves_only_what_it_used(tiny, training):
    run = training(tiny(arch={"conditioning": "embedding_table"}, training={"embedding_augmentations": 2}))
    table = run.solver.table.vectors
    assert table.shape == (18, 16) and not table.any()
    run.update()
    used = set(run.carry.batch.puzzles.tolist())
    assert {row for row in range(18) if table[row].any()} == used
    row = run.row()
    assert "grad/encoder_norm" not in row and "train/encoder_cross_sample_var" not in row
    assert row["grad/inner_norm"] > 0


def test_a_frozen_decoder_stays_and_the_encoder_moves(tiny, training):
    run = training(tiny(training={"freeze_decoder_steps": 2}))
    inner = run.solver.inner.lm_head.detach().clone()
    start = run.weights.values[run.weights.encoder].clone()
    for step in range(3):
        run.update()
        assert torch.equal(run.solver.inner.lm_head, inner) == (step < 2)
        assert run.row()["train/decoder_frozen"] == float(step < 2)
    assert not torch.equal(run.weights.values[run.weights.encoder], start)


def test_weights_come_back_after_an_evaluation(tiny, training):
    run = training(tiny())
    for _ in range(3):
        run.update()
    before = run.weights.values.clone()
    with weights_in_place(run.weights.values, run.optimiser.averaged):
        assert torch.equal(run.weights.values, run.optimiser.averaged)
        assert torch.equal(next(iter(run.solver.parameters())).flatten()[:3].detach(),
                           next(iter(run.solver.parameters())).flatten()[:3].detach())  # fmt: skip
    assert torch.equal(run.weights.values, before)
    assert not torch.equal(run.optimiser.averaged, before)


def test_lower_precision_runs(tiny, training):
    run = training(tiny(training={"precision": "bfloat16"}))
    for _ in range(2):
        run.update()
    assert run.row()["train/loss"] > 0
    assert run.weights.values.dtype == torch.float32


def test_the_clock_is_logged_where_it_is_asked_for(tiny, training):
    assert not any(name.startswith("time/") for name in step_row(training(tiny())))
    assert step_row(training(tiny(training={"clock": True})))["time/steps_per_second"] > 0


def step_row(run):
    run.update()
    return run.row()
