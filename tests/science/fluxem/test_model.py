"""The decoder: budgets, what sees what, and that the fast ways compute what the plain ones do."""

from __future__ import annotations

import pytest
import torch

from quadrat import UsageError
from quadrat.tensor.probes import parameter_count
from quadrat_studies.fluxem.answer import answer_with
from quadrat_studies.fluxem.config import ModelConfig, TrainingConfig
from quadrat_studies.fluxem.model import Decoder, build, loss
from quadrat_studies.fluxem.optimiser import AdamW, learning_rate
from quadrat_studies.fluxem.tokens import EOS, answer_text, encode_prompts, encode_targets

PROMPTS = ["7 + 12", "(10 + 2) * 34", "99 - 100", "0 * 5"]
ANSWERS = ["19", "408", "-1", "0"]
ARMS = [
    {"representation": representation, "readout": readout}
    for representation in ("token_only", "hybrid")
    for readout in ("digits", "number_head")
]
SIZES = [(128, 2, 4, 64, 12), (256, 4, 8, 128, 26)]


def small(**changes) -> ModelConfig:
    return ModelConfig.model_validate({"hidden_dim": 32, "num_heads": 4, "dropout": 0.0, **changes})


def model_of(config: ModelConfig) -> Decoder:
    model = build(config, seed=1, operands=[0, 3, 99, 50, 12])
    with torch.no_grad():  # larger weights, so that differences would show
        for parameter in model.parameters():
            parameter.mul_(3.0)
    return model.eval()


@pytest.mark.parametrize("size", SIZES)
def test_arms_have_the_same_budget_within_five_percent(size):
    names = ("hidden_dim", "num_layers", "num_heads", "max_seq_len", "answer_digits")
    counts = [
        parameter_count(Decoder(ModelConfig.model_validate({**dict(zip(names, size, strict=True)), **arm})))
        for arm in ARMS
    ]
    assert max(counts) <= 1.05 * min(counts)
    assert min(counts) > 400_000


@pytest.mark.parametrize("arm", ARMS)
def test_a_prompt_is_answered_the_same_alone_and_in_a_batch(arm):
    model = model_of(small(**arm))
    together = answer_with(model, PROMPTS)
    assert together == [answer_with(model, [prompt])[0] for prompt in PROMPTS]
    assert len(set(together)) > 1


@pytest.mark.parametrize("order", ["reversed", "plain"])
@pytest.mark.parametrize("representation", ["token_only", "hybrid"])
def test_kept_keys_and_values_give_what_the_whole_sequence_gives(representation, order):
    model = model_of(small(representation=representation, answer_order=order))
    for prompt in PROMPTS:
        written: list[int] = []
        while EOS not in written and len(written) < 32:
            tokens = torch.tensor([written], dtype=torch.long)
            with torch.no_grad():
                logits = model(encode_prompts([prompt], model.config), tokens)
            written.append(int(logits[0, -1].argmax()))
        assert answer_with(model, [prompt]) == [answer_text(written, reverse=order == "reversed")]


@pytest.mark.parametrize("arm", ARMS)
def test_padding_changes_no_loss(arm):
    model = model_of(small(**arm))
    prompts, targets = encode_prompts(PROMPTS, model.config), encode_targets(ANSWERS, model.config)
    with torch.no_grad():
        whole = loss(model, prompts, targets)
        rows = [torch.tensor([index]) for index in range(len(PROMPTS))]
        parts = torch.stack([loss(model, prompts.take(row), targets.take(row)) for row in rows])
    weights = targets.lengths / targets.lengths.sum()
    torch.testing.assert_close(whole, (parts * weights).sum())


def test_no_answer_token_sees_a_later_one():
    model = model_of(small())
    prompts = encode_prompts(PROMPTS[:1], model.config)
    answer = torch.tensor([[4, 5, 6, 7]])
    changed = answer.clone()
    changed[0, 2] = 9
    with torch.no_grad():
        before, after = model(prompts, answer), model(prompts, changed)
    torch.testing.assert_close(before[:, :3], after[:, :3], rtol=0, atol=0)
    assert not torch.equal(before[:, 3:], after[:, 3:])


def test_only_the_answer_is_predicted():
    model = model_of(small())
    prompts, targets = encode_prompts(PROMPTS, model.config), encode_targets(ANSWERS, model.config)
    logits = model(prompts, targets.tokens[:, :-1])
    assert logits.shape[:2] == targets.tokens.shape


def test_a_sequence_that_does_not_fit_says_how_much_it_needs():
    model = model_of(small(max_seq_len=8))
    prompts, targets = encode_prompts(["123 + 456"], model.config), encode_targets(["579"], model.config)
    with pytest.raises(UsageError, match="takes 11 columns, the position table has 8"):
        loss(model, prompts, targets)


def test_building_a_model_leaves_the_random_state_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    build(small(), seed=0, operands=[])
    assert torch.equal(torch.rand(3), expected)


def test_the_optimiser_is_adamw():
    config = small(representation="hybrid")
    mine, theirs = (build(config, seed=0, operands=[1, 2, 3]) for _ in range(2))
    optimiser = AdamW(mine, weight_decay=0.1)
    matrices = [p for p in theirs.parameters() if p.ndim > 1]
    vectors = [p for p in theirs.parameters() if p.ndim <= 1]
    reference = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}], lr=1e-3, fused=True
    )
    prompts, targets = encode_prompts(PROMPTS, config), encode_targets(ANSWERS, config)
    for _ in range(4):
        for model in (mine, theirs):
            model.zero_grad()
            loss(model, prompts, targets).backward()
        optimiser.update(1e-3)
        reference.step()
    for name, parameter in mine.named_parameters():
        torch.testing.assert_close(parameter, dict(theirs.named_parameters())[name], rtol=0, atol=0)


def test_the_rate_rises_falls_and_ends_at_a_hundredth():
    recipe = TrainingConfig(learning_rate=1.0, warmup_steps=10)
    rates = [learning_rate(step, 110, recipe=recipe) for step in range(111)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[10] == 1.0
    assert rates[60] == pytest.approx(0.505)
    assert rates[110] == pytest.approx(0.01)
    constant = recipe.model_copy(update={"schedule": "constant"})
    assert learning_rate(100, 110, recipe=constant) == 1.0
