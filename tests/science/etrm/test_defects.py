"""Each fault found in the published repository behind seed 002, D1 to D15, and that it is not here."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest
import torch
import torch.distributed as dist
from pydantic import ValidationError

from quadrat import Artifact, Metrics, Note, UsageError
from quadrat.study.load import load_study
from quadrat_studies.etrm.answering import answer_questions
from quadrat_studies.etrm.config import ENCODER_KEYS, ArchConfig, Config
from quadrat_studies.etrm.encoders import Demos, Look, build_encoder, pack
from quadrat_studies.etrm.examining import Examination
from quadrat_studies.etrm.experiment import train
from quadrat_studies.etrm.grids import IGNORED, Task
from quadrat_studies.etrm.items import Canvas, fixed_versions, questions
from quadrat_studies.etrm.losses import score_rows
from quadrat_studies.etrm.model import Answer, build
from quadrat_studies.etrm.voting import Vote, pass_at
from quadrat_studies.etrm.weights_file import load_decoder, save_model


def test_d1_the_recurrent_encoder_has_a_live_gradient_at_every_step(tiny, training):
    run = training(tiny(arch={"encoder_type": "recurrent"}))
    for _ in range(6):
        run.update()
        row = run.row()
        assert row["grad/encoder_norm"] > 1e-3
        assert row["train/encoder_gradient_coverage"] == 1.0
    assert run.carry.encoder_state.any() and not run.carry.encoder_state.requires_grad


def test_d2_steps_and_exactness_are_of_rows_that_halted(tiny, training):
    run = training(tiny())
    with torch.no_grad():
        run.solver.inner.q_head.bias.fill_(-50.0)
    run.recipe = run.recipe.model_copy(update={"lr": 1e-9, "lr_warmup_steps": 0})
    for _ in range(8):
        run.update()
    row = run.row()
    assert row["train/steps"] == 4.0, "nothing halts early, so every row takes the limit"
    assert row["origin/train/steps"] == 2.5, "the mean index, which looks as if rows halted"
    assert row["train/halted_at_limit"] == 1.0


def test_d3_pass_at_k_divides_by_what_was_evaluated_and_evaluations_do_not_mix(tiny, training, tasks_of):
    config = tiny(evaluation={"versions": 3})
    tasks = tasks_of(config).train
    cast = [Vote(i, 0, task.queries[0].output, 0.5) for i, task in enumerate(tasks[:2])]
    values = pass_at(cast, tasks, ks=(1,), n_total=400)
    assert (values["ARC/pass@1"], values["ARC/n_evaluated"], values["ARC/n_total"]) == (1.0, 2.0, 400.0)
    run, exam = training(config), Examination(config, tasks_of(config), device="cpu")
    first, _ = exam.measure(run.solver)
    again, _ = exam.measure(run.solver)
    assert first == again, "votes of an earlier evaluation would have changed this one"


def test_d4_evaluating_on_train_asks_the_tasks_that_are_trained_on(tiny, training, tasks_of):
    config = tiny(max_train_groups=3)
    asked = Examination(config, tasks_of(config), device="cpu")
    pool = {task.id for task in training(config).pool.tasks}
    assert {task.id for task in asked.tasks} == pool
    held_out = Examination(tiny(evaluation={"on": "heldout"}), tasks_of(config), device="cpu")
    assert {task.id for task in held_out.tasks}.isdisjoint({task.id for task in tasks_of(tiny()).train})


def notes(config, context):
    found, model = {}, None
    for event in train(config, context):
        if isinstance(event, Note):
            found[event.kind] = event.data
        if isinstance(event, Metrics):
            found.update(event.values)
        if isinstance(event, Artifact) and event.name == "model.safetensors":
            model = event.content
    return found, model


def test_d5_a_decoder_that_has_seen_evaluation_tasks_is_called_that(tiny, context_of, tasks_of, tmp_path):
    short = {"max_steps": 1, "global_batch_size": 2}
    table = tiny(
        arch={"conditioning": "embedding_table"},
        training={**short, "embedding_eval_demos": True},
        evaluation={"on": "heldout"},
    )
    held_out = [task.id for task in tasks_of(table).evaluation]
    told, write = notes(table, context_of(table))
    assert told["contamination"]["evaluation_tasks_seen"] == held_out
    assert told["all.n_contaminated"] == len(held_out)
    path = tmp_path / "table.safetensors"
    write(path)
    after = tiny(training={**short, "load_pretrained_decoder": str(path)}, evaluation={"on": "heldout"})
    told, _ = notes(after, context_of(after))
    assert not told["contamination"]["clean"]
    assert told["contamination"]["evaluation_tasks_seen"] == held_out
    scratch = tiny(training=short, evaluation={"on": "heldout"})
    assert notes(scratch, context_of(scratch))[0]["contamination"]["clean"]


def test_d6_the_papers_exploration_is_a_tenth():
    assert ArchConfig().halt_exploration_prob == 0.1
    runs = load_study(str(files("quadrat_studies.etrm") / "arc_agi_1.yaml")).runs
    assert {Config.model_validate(run.config).arch.halt_exploration_prob for run in runs} == {0.1}


def test_d7_a_decoder_of_other_cycles_is_refused(tiny, training, tmp_path):
    run = training(tiny())
    path = tmp_path / "m.safetensors"
    save_model(path, solver=run.solver, averaged=run.solver.state_dict(), about={"trained_on": []})
    for key, value in {"L_cycles": 6, "H_cycles": 3, "puzzle_emb_len": 3, "rope_theta": 5.0}.items():
        with pytest.raises(UsageError, match=key):
            load_decoder(build(run.arch.model_copy(update={key: value}), side=4, seed=0), path)


def test_d8_the_kl_term_weighs_the_same_whatever_the_batch(tiny, training):
    pulls = []
    for batch in (2, 6):
        gradients = []
        for weight in (0.0, 1.0):
            # One task and one query: every row is the same, and so is the mean over rows.
            run = training(tiny(
                max_train_groups=1, arch={"encoder_type": "variational", "kl_weight": weight},
                training={"global_batch_size": batch, "query": "test_only", "grad_clip_norm": 0.0},
            ))  # fmt: skip
            run.update()
            gradients.append(run.weights.gradient.clone())
            row = run.row()
            total = row["train/lm_loss"] + 0.5 * row["train/q_halt_loss"] + weight * row["train/kl_loss"]
            assert row["train/loss"] == pytest.approx(total)
        pulls.append(gradients[1] - gradients[0])
    assert pulls[0].norm() > 0.1
    assert torch.allclose(pulls[0], pulls[1], atol=1e-3 * pulls[0].abs().max().item())


ALTERNATIVES = {
    "conditioning": {"conditioning": "embedding_table"}, "encoder_type": {"encoder_type": "hybrid"},
    "encoder_num_layers": {"encoder_num_layers": 2}, "encoder_set_layers": {"encoder_set_layers": 2},
    "encoder_pooling_method": {"encoder_pooling_method": "max"}, "encoder_norm_style": {"encoder_norm_style": "pre"},
    "encoder_refinement_steps": {"encoder_type": "recurrent", "encoder_refinement_steps": 2},
    "encoder_blend": {"encoder_type": "recurrent", "encoder_blend": 0.1},
    "kl_weight": {"encoder_type": "variational", "kl_weight": 0.5}, "context_mode": {"context_mode": "cached"},
    "context_gain": {"context_gain": 1.0}, "fault": {"fault": "collapsed"}, "hidden_size": {"hidden_size": 24},
    "num_heads": {"num_heads": 4}, "expansion": {"expansion": 2.0}, "expansion_multiple": {"expansion_multiple": 64},
    "H_cycles": {"H_cycles": 3}, "L_cycles": {"L_cycles": 3}, "L_layers": {"L_layers": 2},
    "puzzle_emb_len": {"puzzle_emb_len": 3}, "pos_encodings": {"pos_encodings": "rope_2d"},
    "rope_theta": {"rope_theta": 50.0}, "halt_max_steps": {"halt_max_steps": 2},
    "halt_exploration_prob": {"halt_exploration_prob": 1.0}, "halt_loss_weight": {"halt_loss_weight": 5.0},
}  # fmt: skip


@pytest.mark.parametrize("key", ALTERNATIVES)
def test_d9_every_key_of_the_architecture_changes_what_is_learned(tiny, training, key):
    changed = ALTERNATIVES[key]
    base = {name: value for name, value in changed.items() if name != key}

    def walk(arch):
        run = training(tiny(arch=arch))
        with torch.no_grad():
            run.solver.inner.q_head.bias[0] = 5.0  # so that halting is in play
        for _ in range(4):
            run.update()
        return repr(sorted(run.row().items())), run.weights.values.sum().item()

    assert walk(base) != walk(changed)


def test_d9_no_key_is_left_out_and_dead_ones_are_refused():
    assert set(ALTERNATIVES) == set(ArchConfig.model_fields)
    for key in ("encoder_qk_norm", "lpn_latent_dim", "contrastive_weight"):
        with pytest.raises(ValidationError):
            ArchConfig.model_validate({key: 1})
    for kind in ENCODER_KEYS["encoder_num_layers"]:
        assert build_encoder(ArchConfig(encoder_type=kind), side=3)  # pyright: ignore[reportArgumentType]


def test_d10_norms_are_logged_before_clipping_and_clipping_is_on_the_whole(tiny, training):
    """The case of several processes is in ``test_ranks``."""
    run = training(tiny(training={"grad_clip_norm": 0.1}))
    run.update()
    row = run.row()
    assert row["grad/total_norm"] > 0.2
    assert row["origin/grad/total_norm"] == pytest.approx(0.1, rel=1e-3)
    assert run.weights.gradient.norm().item() == pytest.approx(0.1, rel=1e-3)


def test_d11_padding_is_neither_encoded_nor_attended_to():
    tokens = torch.zeros(1, 10, 100, dtype=torch.uint8)
    tokens[0, :2, :6] = 4
    demos = Demos(tokens, tokens.clone(), torch.arange(10)[None] < 2)
    packed = pack(demos)
    assert packed.tokens.shape == (2, 16), "two of ten slots, twelve of two hundred cells, rounded up"
    made = build_encoder(ArchConfig(hidden_size=16, num_heads=2), side=10)
    context = made(demos, Look(tokens[:, 0])).context
    wider = Demos(tokens[:, :2], tokens[:, :2], torch.ones(1, 2, dtype=torch.bool))
    longer = torch.full((1, 2, 100), 5, dtype=torch.uint8)
    both = Demos(*(torch.cat(parts) for parts in zip(
        (wider.inputs, wider.outputs, wider.filled), (longer, longer, wider.filled), strict=True
    )))  # fmt: skip
    beside = made(both, Look(tokens[:, 0].expand(2, -1))).context[:1]
    assert torch.allclose(context, beside, atol=1e-5), "two hundred cells of padding change nothing"


def test_d12_no_query_is_dropped_and_no_empty_row_counts(tiny, training, tasks_of):
    config = tiny()
    tasks = tasks_of(config).train
    two = [Task(t.id, t.demos, (*t.queries, *t.queries)) for t in tasks]
    asked = questions(two, Canvas(4, 10), versions=fixed_versions(two, 1, seed=0))
    replies = answer_questions(training(config).solver, asked, batch_size=3, device="cpu")
    assert len(replies) == len(asked) == 2 * len(tasks)
    logits = torch.randn(1, 4, 12, requires_grad=True)
    halt = torch.zeros(1, requires_grad=True)
    rows = score_rows(Answer(logits, halt, None), torch.full((1, 4), IGNORED))  # pyright: ignore[reportArgumentType]
    assert [t.item() for t in (rows.prediction, rows.halting, rows.accuracy, rows.exact, rows.counted)] == [0] * 5
    (rows.prediction + rows.halting).sum().backward()
    assert halt.grad is not None and not halt.grad.any()


def test_d13_every_counted_step_is_an_update(tiny, training):
    run = training(tiny())
    for step in range(1, 9):
        before = run.weights.values.clone()
        run.update()
        assert run.step == step
        assert not torch.equal(run.weights.values, before)
    assert run.optimiser.state()["counts"] == {"encoder": 8, "inner": 8}


def test_d14_evaluation_needs_no_process_group(tiny, training, tasks_of):
    assert not dist.is_initialized()
    config = tiny(evaluation={"on": "heldout"})
    values, _ = Examination(config, tasks_of(config), device="cpu").measure(training(config).solver)
    assert values["ARC/n_evaluated"] == 4


def test_d15_averaged_weights_are_saved_loaded_and_resumed(tiny, training, tmp_path):
    run = training(tiny())
    for _ in range(4):
        run.update()
    state = json.loads(json.dumps(run.state(), default=lambda t: t.tolist()))
    assert state["optimiser"]["averaged"] != state["optimiser"]["values"]
    again = training(tiny())
    again.load(run.state())
    assert torch.equal(again.optimiser.averaged, run.optimiser.averaged)
    path = tmp_path / "m.safetensors"
    averaged = {name: t * 2 for name, t in run.solver.state_dict().items()}
    save_model(path, solver=run.solver, averaged=averaged, about={"trained_on": []})
    load_decoder(again.solver, path)
    assert torch.equal(again.solver.inner.lm_head, 2 * run.solver.inner.lm_head)
