"""Answers at first halt and after all steps, voting, exchange of demonstrations, search, and weights on disk."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from quadrat import UsageError
from quadrat_studies.etrm.answering import answer_questions, run_steps
from quadrat_studies.etrm.carry import Batch
from quadrat_studies.etrm.examining import Examination
from quadrat_studies.etrm.grids import IGNORED, Augmentation, Pair, to_labels
from quadrat_studies.etrm.items import Canvas, Question
from quadrat_studies.etrm.losses import score_rows
from quadrat_studies.etrm.measuring import copying, demo_use, foreign_rows, reply_metrics, votes_of
from quadrat_studies.etrm.model import build
from quadrat_studies.etrm.refinement import leave_one_out, refine_context
from quadrat_studies.etrm.voting import candidates
from quadrat_studies.etrm.weights_file import HEADER, load_decoder, read_model, save_model


@pytest.fixture(scope="module")
def learned(tiny, training, tasks_of):
    """A solver that has begun to know two tasks, and its examination."""
    config = tiny(max_train_groups=2, training={"lr": 4e-3, "max_steps": 90, "query": "test_only"})
    run = training(config)
    for _ in range(90):
        run.update()
    return config, run, Examination(config, tasks_of(config), device="cpu")


def test_the_first_halt_is_kept_and_the_last_step_as_well(learned):
    _, run, exam = learned
    with torch.no_grad():
        run.solver.inner.q_head.bias.fill_(-50.0)
        never = answer_questions(run.solver, exam.questions, batch_size=3, device="cpu")
        run.solver.inner.q_head.bias.fill_(50.0)
        at_once = answer_questions(run.solver, exam.questions, batch_size=3, device="cpu")
        batch = Batch.of([q.item for q in exam.questions], "cpu")
        steps = list(run_steps(run.solver, batch, steps=4))
        run.solver.inner.q_head.bias.fill_(-5.0)
    assert [reply.steps for reply in never] == [4] * len(never)
    assert [reply.steps for reply in at_once] == [1] * len(never)
    for row, reply in enumerate(at_once):
        assert torch.equal(reply.first.tokens.long(), steps[0].logits[row].argmax(-1))
        assert torch.equal(reply.last.tokens.long(), steps[3].logits[row].argmax(-1))
        assert torch.equal(reply.last.tokens, never[row].first.tokens)
    values = reply_metrics(at_once, n_total=9, limit=4)
    assert (values["all.steps"], values["origin/all.steps"]) == (1.0, 4.0)
    assert values["all.n_total"] == 9
    assert values["all.exact_accuracy_at_max"] == sum(r.last.exact for r in at_once) / len(at_once)
    assert values["all.exact_accuracy_low"] <= values["all.exact_accuracy"] <= values["all.exact_accuracy_high"]


def test_batch_size_changes_no_answer(learned):
    _, run, exam = learned
    one, all_at_once = (answer_questions(run.solver, exam.questions, batch_size=n, device="cpu") for n in (1, 50))
    assert [r.first.tokens.tolist() for r in one] == [r.first.tokens.tolist() for r in all_at_once]


def test_voting_is_off_by_default_and_reported_apart(tiny, tasks_of, learned):
    _, run, plain = learned
    assert len(plain.questions) == 2
    voting = Examination(
        tiny(max_train_groups=2, evaluation={"versions": 5, "refine_steps": 1}), tasks_of(tiny(max_train_groups=2)),
        device="cpu",
    )  # fmt: skip
    assert len(voting.questions) == 10
    values, replies = voting.measure(run.solver)
    assert values["all.n_evaluated"] == 10
    assert values["ARC/n_evaluated"] == 2
    assert {"refined.exact_accuracy", "refined.ARC/pass@1", "all.exact_accuracy", "ARC/pass@1000"} <= set(values)
    cast = candidates(votes_of(voting.questions, replies, side=4))
    assert all(sum(c.votes for c in found) == 5 for found in cast.values())


def test_tables_show_input_target_and_prediction(learned):
    _, run, exam = learned
    _, replies = exam.measure(run.solver)
    tables = exam.tables(run.solver, replies)
    row = tables["eval_predictions.jsonl"][0]
    task = exam.tasks[0]
    assert row["input"] == task.queries[0].input.tolist()
    assert row["target"] == task.queries[0].output.tolist()
    assert [d["output"] for d in row["demos"]] == [p.output.tolist() for p in task.demos]
    assert len(row["prediction"]) == len(row["target"])
    assert set(tables["submission.json"]) == {t.id for t in exam.tasks}
    json.dumps(tables)


def test_giving_the_input_back_is_the_yardstick():
    pairs = [Pair(np.array(i, np.uint8), None if o is None else np.array(o, np.uint8))
             for i, o in (([[1, 2]], [[1, 2]]), ([[1, 2]], [[1, 3]]), ([[1]], None))]  # fmt: skip
    asked = [Question(0, n, Augmentation(), Canvas(2, 1).item(pair, (), version=Augmentation()))
             for n, pair in enumerate(pairs)]  # fmt: skip
    # Two cells and two of the line below them; the second differs in one cell of four.
    assert copying(asked) == {"trivial/copy_input/accuracy": (1 + 0.75) / 2, "trivial/copy_input/exact_accuracy": 0.5}
    assert copying(asked[2:]) == {}


def test_every_row_gets_demonstrations_of_another_group():
    for groups in ([0, 0, 1, 2], [0, 1], [3, 1, 1, 1, 1, 2], [5, 5, 5, 6], list(range(9)) * 2):
        other = foreign_rows(groups)
        assert other is not None
        assert all(groups[row] != groups[other[row]] for row in range(len(groups)))
    assert foreign_rows([4, 4]) is None


def test_a_blind_decoder_has_no_gap_and_a_seeing_one_has(tiny, training, learned):
    config, run, exam = learned
    batch = Batch.of([q.item for q in exam.trained], "cpu")
    seeing = demo_use(run.solver, batch)
    blind = build(config.arch.model_copy(update={"fault": "demo_blind"}), side=4, seed=0)
    blind.load_state_dict(run.solver.state_dict())
    found = demo_use(blind, batch)
    assert found["train/demo_use_gap"] == 0.0
    assert seeing["train/demo_use_accuracy"] != found["train/demo_use_accuracy"]


def test_leaving_one_out_hides_it_and_asks_for_it(learned):
    _, _, exam = learned
    batch = Batch.of([q.item for q in exam.questions], "cpu")
    owner, parts = leave_one_out(batch)
    assert owner.tolist() == [0, 0, 0, 1, 1, 1]
    for n in range(6):
        slot = n % 3
        assert not parts.demos.filled[n, slot] and int(parts.demos.filled[n].sum()) == 2
        assert torch.equal(parts.inputs[n], batch.demos.inputs[owner[n], slot])
        wanted = to_labels(batch.demos.outputs[owner[n], slot].numpy())
        assert parts.labels[n].tolist() == wanted.tolist()
        assert (parts.labels[n] != IGNORED).any()


def test_search_explains_the_demonstrations_better(learned):
    _, run, exam = learned
    batch = Batch.of([q.item for q in exam.questions], "cpu")
    offset = refine_context(run.solver, batch, steps=8, rate=0.05)
    owner, parts = leave_one_out(batch)

    def loss(moved):
        (answer,) = run_steps(run.solver, parts, steps=1, offset=moved[owner])
        return score_rows(answer, parts.labels).prediction.sum().item()

    with torch.no_grad():
        assert loss(offset) < loss(torch.zeros_like(offset))
    batch.demos.filled[0, 1:] = False
    alone = refine_context(run.solver, batch, steps=1, rate=0.05)
    assert not alone[0].any() and alone[1].any()


def stored(path, run, **about):
    averaged = {name: t + 1 for name, t in run.solver.state_dict().items()}
    save_model(path, solver=run.solver, averaged=averaged, about=about)
    return averaged


def test_a_decoder_is_loaded_averaged_and_the_encoder_stays(learned, tmp_path):
    config, run, _ = learned
    averaged = stored(tmp_path / "m.safetensors", run, trained_on=["a"])
    fresh = build(config.arch, side=4, seed=9)
    encoder = fresh.encoder.queries.detach().clone()
    header = load_decoder(fresh, tmp_path / "m.safetensors")
    assert header["trained_on"] == ["a"]
    assert torch.equal(fresh.inner.lm_head, averaged["inner.lm_head"])
    assert torch.equal(fresh.inner.h_init, averaged["inner.h_init"])
    assert torch.equal(fresh.encoder.queries, encoder)


def test_trms_own_tensors_compute_the_same_here(learned, tmp_path):
    """TRM pairs channel i with i + d/2; reordered, queries and keys give the same scores."""
    config, run, _ = learned
    inner = {name: t.detach().clone() for name, t in run.solver.inner.state_dict().items()}
    theirs = {
        "_orig_mod.model.inner.embed_tokens.embedding_weight": inner["embed_tokens"],
        "_orig_mod.model.inner.lm_head.weight": inner["lm_head"],
        "_orig_mod.model.inner.q_head.weight": inner["q_head.weight"],
        "_orig_mod.model.inner.q_head.bias": inner["q_head.bias"],
        "_orig_mod.model.inner.H_init": inner["h_init"],
        "_orig_mod.model.inner.L_init": inner["l_init"],
        "_orig_mod.model.inner.puzzle_emb.weights": torch.zeros(3, 16),
    }
    half = 4
    order = torch.tensor([head * 8 + 2 * (i % half) + i // half for head in range(4) for i in range(8)])
    stem = "_orig_mod.model.inner.L_level.layers.0"
    qkv = inner["layers.0.qkv"]
    theirs[f"{stem}.self_attn.qkv_proj.weight"] = torch.cat((qkv[:32][order], qkv[32:]))
    theirs[f"{stem}.self_attn.o_proj.weight"] = inner["layers.0.out"]
    theirs[f"{stem}.mlp.gate_up_proj.weight"] = inner["layers.0.gate_up"]
    theirs[f"{stem}.mlp.down_proj.weight"] = inner["layers.0.down"]
    path = tmp_path / "trm.safetensors"
    save_file(theirs, path, {HEADER: json.dumps({"arch": config.arch.model_dump(mode="json")})})
    fresh = build(config.arch, side=4, seed=9)
    header = load_decoder(fresh, path)
    assert header.get("trained_on") is None
    assert all(torch.equal(fresh.inner.state_dict()[name], inner[name]) for name in inner)


def test_files_that_will_not_do_are_a_users_error(learned, tmp_path):
    config, run, _ = learned
    path = tmp_path / "m.safetensors"
    fresh = build(config.arch, side=4, seed=9)
    with pytest.raises(UsageError, match="no weights"):
        load_decoder(fresh, path)
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(UsageError, match="which architecture"):
        read_model(path)
    save_file({"x": torch.zeros(1)}, path, {HEADER: json.dumps({"arch": config.arch.model_dump(mode="json")})})
    with pytest.raises(UsageError, match="missing"):
        load_decoder(fresh, path)
    stored(path, run, trained_on=[])
    with pytest.raises(UsageError, match="L_cycles 2 there, 3 here"):
        load_decoder(build(config.arch.model_copy(update={"L_cycles": 3}), side=4, seed=9), path)
