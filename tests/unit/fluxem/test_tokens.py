"""Text to tensors and back without loss."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from quadrat import UsageError
from quadrat_studies.fluxem.config import DataConfig, ModelConfig
from quadrat_studies.fluxem.data import draw_splits
from quadrat_studies.fluxem.tokens import (
    EOS,
    NUM,
    PAD,
    answer_text,
    answer_tokens,
    digit_classes,
    digits_text,
    encode_prompts,
    encode_targets,
    find_numbers,
    prompt_tokens,
)  # fmt: skip

HYBRID = ModelConfig(representation="hybrid")


@given(st.integers(-(10**20), 10**20), st.booleans())
def test_answers_come_back(value, reverse):
    tokens = answer_tokens(str(value), reverse=reverse)
    assert tokens[-1] == EOS
    assert answer_text([*tokens, PAD, 5], reverse=reverse) == str(value)
    assert answer_text(tokens[:-1], reverse=reverse) == str(value) + "..."


def test_reversed_answers_begin_with_the_units_and_end_with_the_sign():
    assert answer_text([*answer_tokens("-17", reverse=True)[:1], EOS], reverse=False) == "7"
    assert answer_text([*answer_tokens("-17", reverse=True)[2:]], reverse=False) == "-"


@given(st.integers(-(10**12) + 1, 10**12 - 1))
def test_the_number_head_spells_every_integer(value):
    classes = digit_classes(str(value), 12)
    assert len(classes) == 13
    assert digits_text(classes) == str(value)


def test_zero_is_spelt_once():
    assert digits_text([1, 0, 0]) == "0"


def test_a_number_head_that_is_too_short_says_so():
    with pytest.raises(UsageError, match="has 3 digits, the number head 2") as caught:
        encode_targets(["123"], ModelConfig(readout="number_head", answer_digits=2))
    assert caught.value.where == "model.answer_digits"


@pytest.mark.parametrize("precedence", ["parentheses", "left_to_right"])
def test_numbers_are_found_where_the_data_says_they_are(precedence):
    for problems in draw_splits(DataConfig(train_size=300)).values():
        for problem in problems:
            row = problem.row(precedence)
            assert find_numbers(row["text"]) == [(span["start"], span["end"]) for span in row["spans"]]


def test_prompts_drop_spaces_and_end_in_the_equals_sign():
    assert prompt_tokens("12 + 3", hybrid=False) == prompt_tokens("12+3", hybrid=False)
    hybrid = prompt_tokens("(12 + 345) * 6", hybrid=True)
    assert hybrid.count(NUM) == 3
    assert len(hybrid) == len("(N+N)*N=")


def test_an_unknown_character_is_a_users_error():
    with pytest.raises(UsageError, match=r"'2 \^ 3' holds '\^'"):
        prompt_tokens("2 ^ 3", hybrid=False)


def test_a_batch_is_as_narrow_as_its_own_samples():
    prompts = encode_prompts(["1 + 2", "(10 + 2) * 34", "99 - 1"], HYBRID)
    assert prompts.tokens.shape == (3, 8)
    assert prompts.features is not None and prompts.features.shape == (3, 3, 5)
    batch = prompts.take(torch.tensor([0, 2]))
    assert batch.tokens.shape == (2, 4)
    assert batch.features is not None and batch.features.shape == (2, 2, 5)
    targets = encode_targets(["3", "-408", "98"], HYBRID).take(torch.tensor([0, 2]))
    assert targets.tokens.shape == (2, 3)


def test_features_are_the_codes_of_the_operands_in_order():
    prompts = encode_prompts(["8 - 0", "(2 + 4) * 1024"], HYBRID)
    assert prompts.features is not None
    linear, log2, sign, zero, pole = prompts.features.unbind(-1)
    assert (linear * 1024).tolist() == [[8, 0, 0], [2, 4, 1024]]
    assert log2.tolist() == [[3, 0, 0], [1, 2, 10]]
    assert zero.tolist() == [[0, 1, 0], [0, 0, 0]]
    assert not sign.any() and not pole.any()
