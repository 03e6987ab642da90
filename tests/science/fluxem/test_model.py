"""The decoder: budgets, what sees what, and that the fast ways compute what the plain ones do."""

from __future__ import annotations

import pytest
import torch

from quadrat import UsageError
from quadrat.tensor import stack
from quadrat.tensor.probes import parameter_count
from quadrat_studies.fluxem.answer import answers_of, for_all
from quadrat_studies.fluxem.config import ModelConfig, TrainingConfig
from quadrat_studies.fluxem.layers import Dropout
from quadrat_studies.fluxem.model import Decoder, build, restore
from quadrat_studies.fluxem.optimiser import Optimiser, learning_rate
from quadrat_studies.fluxem.readouts import codec, encode_answers
from quadrat_studies.fluxem.representations import encode
from quadrat_studies.fluxem.tokens import EOS, Prompts, Targets, answer_text

PROMPTS = ["7 + 12", "(10 + 2) * 34", "99 - 100", "0 * 5"]
ANSWERS = ["19", "408", "-1", "0"]
ARMS = [
    {"representation": representation, "readout": readout}
    for representation in ("token_only", "hybrid")
    for readout in ("digits", "number_head")
]
MORE = [
    {"answer_order": "plain"},
    {"representation": "abacus"},
    {"representation": "chunks", "readout": "chunks"},
    {"representation": "xval", "readout": "scalar"},
    {"representation": "fone", "readout": "circles"},
    {"representation": "bits", "readout": "bits"},
    {"representation": "hybrid", "number_features": ["linear", "log", "residues"]},
    {"representation": "hybrid", "number_features": ["linear", "log", "residues"], "readout": "residues"},
    {"representation": "residues", "readout": "residues"},
]
SIZES = [(128, 2, 4, 64, 12), (256, 4, 8, 128, 26)]


def small(**changes) -> ModelConfig:
    return ModelConfig.model_validate({"hidden_dim": 32, "num_heads": 4, "dropout": 0.0, **changes})


def model_of(config: ModelConfig) -> Decoder:
    model = build(config, seeds=[1], operands=[0, 3, 99, 50, 12], answers=ANSWERS)
    with torch.no_grad():  # larger weights, so that differences would show
        for parameter in model.parameters():
            parameter.mul_(3.0)
    return model


def asked(texts, config) -> Prompts:
    return for_all(encode(texts, config), 1)


def wanted(answers, config) -> Targets:
    targets = encode_answers(answers, config)
    return Targets(targets.tokens[None], targets.lengths[None])


def answer_with(model, prompts):
    return answers_of(model, prompts)[0]


@pytest.mark.parametrize("size", SIZES)
def test_arms_have_the_same_budget_within_five_percent(size):
    names = ("hidden_dim", "num_layers", "num_heads", "max_seq_len", "answer_digits")
    counts = [
        parameter_count(Decoder(ModelConfig.model_validate({**dict(zip(names, size, strict=True)), **arm})))
        for arm in ARMS
    ]
    assert max(counts) <= 1.05 * min(counts)
    assert min(counts) > 400_000


@pytest.mark.parametrize("arm", ARMS + MORE)
def test_a_prompt_is_answered_the_same_alone_and_in_a_batch(arm):
    model = model_of(small(**arm))
    together = answer_with(model, PROMPTS)
    assert together == [answer_with(model, [prompt])[0] for prompt in PROMPTS]
    assert len(set(together)) > 1


@pytest.mark.parametrize("order", ["reversed", "plain"])
@pytest.mark.parametrize("representation", ["token_only", "hybrid", "abacus"])
def test_kept_keys_and_values_give_what_the_whole_sequence_gives(representation, order):
    if (representation, order) == ("abacus", "plain"):
        pytest.skip("abacus counts from the units")
    model = model_of(small(representation=representation, answer_order=order))
    for prompt in PROMPTS:
        written: list[int] = []
        while EOS not in written and len(written) < 32:
            tokens = torch.tensor([[written]], dtype=torch.long)
            with torch.no_grad():
                logits = model(asked([prompt], model.config), tokens)
            written.append(int(logits[0, 0, -1].argmax()))
        assert answer_with(model, [prompt]) == [answer_text(written, reverse=order == "reversed")]


@pytest.mark.parametrize("arm", ARMS + MORE)
def test_padding_changes_no_loss(arm):
    model = model_of(small(**arm))
    targets = wanted(ANSWERS, model.config)
    with torch.no_grad():
        whole = model.loss(asked(PROMPTS, model.config), targets)[0]
        parts = torch.stack(
            [
                model.loss(asked([prompt], model.config), wanted([answer], model.config))[0]
                for prompt, answer in zip(PROMPTS, ANSWERS, strict=True)
            ]
        )
    weights = targets.lengths[0] / targets.lengths.sum()
    torch.testing.assert_close(whole, (parts * weights).sum())


def test_no_answer_token_sees_a_later_one():
    model = model_of(small())
    prompts = asked(PROMPTS[:1], model.config)
    answer = torch.tensor([[[4, 5, 6, 7]]])
    changed = answer.clone()
    changed[0, 0, 2] = 9
    with torch.no_grad():
        before, after = model(prompts, answer), model(prompts, changed)
    torch.testing.assert_close(before[:, :, :3], after[:, :, :3], rtol=0, atol=0)
    assert not torch.equal(before[:, :, 3:], after[:, :, 3:])


def test_a_lane_sees_its_own_modulus_alone():
    # 8 + 5 and 15 + 5 have the same remainders by 7 and by no other modulus of (7, 11, 13).
    model = model_of(small(representation="residues", readout="residues", moduli=[7, 11, 13]))
    with torch.no_grad():
        logits = model(asked(["8 + 5", "15 + 5"], model.config))[0]
    torch.testing.assert_close(logits[0, 0], logits[1, 0], rtol=0, atol=0)
    assert not torch.equal(logits[0, 1], logits[1, 1])
    assert not torch.equal(logits[0, 2], logits[1, 2])


def test_columns_that_see_only_themselves_are_computed_once_and_come_out_the_same():
    config = small(representation="residues", readout="residues", moduli=[7, 11, 13], num_layers=2)
    texts = [f"{a} {sign} {b}" for a in range(7, 17) for sign in "+-*" for b in range(3)]
    prompts, targets = asked(texts, config), wanted(["1"] * len(texts), config)
    assert prompts.lone == 4  # three remainders and the operator
    model = model_of(config)
    assert model.lone(prompts).shape == (1, 90, 4, config.hidden_dim)
    plain = Prompts(prompts.tokens, prompts.lengths, None, prompts.counts)
    assert model.lone(plain) is None
    fast, slow = (model.loss(each, targets).sum() for each in (prompts, plain))
    torch.testing.assert_close(fast, slow)
    parameters = list(model.parameters())
    for mine, theirs in zip(*(torch.autograd.grad(loss, parameters) for loss in (fast, slow)), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)
    dropping = Dropout((0,), 0.5, step=0), Dropout((0,), 0.5, step=0)  # what is dropped differs from sample to sample
    dropped = [model.loss(each, targets, drop=drop) for each, drop in zip((prompts, plain), dropping, strict=True)]
    assert torch.equal(*dropped)


def test_a_class_that_a_modulus_lacks_is_never_chosen():
    model = model_of(small(representation="residues", readout="residues", moduli=[2, 13]))
    with torch.no_grad():
        logits = model(asked(PROMPTS, model.config))
    assert torch.isinf(logits[..., 0, 2:]).all() and torch.isfinite(logits[..., 1, :]).all()


def test_an_offset_moves_the_places_of_abacus_and_nothing_else():
    model = model_of(small(representation="abacus"))
    prompts, targets = asked(PROMPTS, model.config), wanted(ANSWERS, model.config)
    with torch.no_grad():
        plain, first, second = (model.loss(prompts, targets, step=step) for step in (-1, 0, 1))
        table = model.abacus.weight
        table[:] = table[:, :1]  # one vector for every place: then no offset can matter
        alike = [model.loss(prompts, targets, step=step) for step in (-1, 0, 1)]
    assert len({value.item() for value in (plain, first, second)}) == 3
    assert len({value.item() for value in alike}) == 1


def test_only_the_answer_is_predicted():
    model = model_of(small())
    targets = wanted(ANSWERS, model.config)
    logits = model(asked(PROMPTS, model.config), targets.tokens[..., :-1])
    assert logits.shape[:3] == targets.tokens.shape


@pytest.mark.parametrize("arm", ARMS + MORE)
def test_the_loss_is_lowest_at_the_wanted_answer(arm):
    config = small(**arm)
    model = model_of(config)
    answers = ["19", "408", "-1", "0"]
    targets = wanted(answers, config)
    if config.readout == "scalar":
        outputs = ((targets.tokens - model.head.mean) / model.head.scale).float()
    else:
        sizes = codec(config).sizes
        classes = max(sizes) if sizes else model.embedding.weight.shape[1]
        outputs = 50.0 * torch.nn.functional.one_hot(targets.tokens, classes).float()
    assert model.head.losses(outputs, targets.tokens).item() < 1e-6
    written = [codec(config).text(row) for row in model.head.choices(outputs)[0].tolist()]
    assert written == answers


def test_a_sequence_that_does_not_fit_says_how_much_it_needs():
    model = model_of(small(max_seq_len=8))
    prompts, targets = asked(["123 + 456"], model.config), wanted(["579"], model.config)
    with pytest.raises(UsageError, match="takes 11 columns, the position table has 8"):
        model.loss(prompts, targets)


def test_building_a_model_leaves_the_random_state_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    build(small(), seeds=[0], operands=[], answers=[])
    assert torch.equal(torch.rand(3), expected)


def test_the_optimiser_is_adamw_with_decay_on_matrices_alone():
    config = small(representation="hybrid")
    mine, theirs = (build(config, seeds=[0], operands=[1, 2, 3], answers=[]) for _ in range(2))
    parameters = dict(mine.named_parameters())
    optimiser = Optimiser(parameters, weight_decay=0.1)
    matrices = [p for p in theirs.parameters() if p.ndim > 2]
    vectors = [p for p in theirs.parameters() if p.ndim <= 2]
    reference = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}], lr=1e-3, fused=True
    )
    prompts, targets = asked(PROMPTS, config), wanted(ANSWERS, config)
    for _ in range(4):
        gradients = torch.autograd.grad(mine.loss(prompts, targets).sum(), list(parameters.values()))
        optimiser.update(dict(zip(parameters, gradients, strict=True)), [1e-3], active=[True])
        theirs.zero_grad()
        theirs.loss(prompts, targets).sum().backward()
        reference.step()
    for name, parameter in theirs.named_parameters():
        torch.testing.assert_close(parameters[name], parameter, rtol=1e-6, atol=1e-7)


def test_the_rate_rises_falls_and_ends_at_a_hundredth():
    recipe = TrainingConfig(learning_rate=1.0, warmup_steps=10)
    rates = [learning_rate(step, 110, recipe=recipe) for step in range(111)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[10] == 1.0
    assert rates[60] == pytest.approx(0.505)
    assert rates[110] == pytest.approx(0.01)
    constant = recipe.model_copy(update={"schedule": "constant"})
    assert learning_rate(100, 110, recipe=constant) == 1.0


def test_weights_of_another_version_are_refused():
    model = model_of(small())
    tensors = stack.member(model.state_dict(), 0)
    state = {"model_config": model.config.model_dump(mode="json"), "model": tensors}
    assert torch.equal(restore(state).norm.weight, model.norm.weight)
    renamed = {("tokens.weight" if name == "embedding.weight" else name): value for name, value in tensors.items()}
    for broken in (renamed, {**tensors, "norm.weight": torch.zeros(3)}, {**tensors, "more": torch.zeros(3)}):
        with pytest.raises(UsageError, match="do not fit the model"):
            restore({**state, "model": broken})
