"""Questions about units as tokens: nothing lost, spans found where they are, codes in the right columns."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from quadrat import UsageError
from quadrat_studies.fluxem.config import ModelConfig
from quadrat_studies.fluxem.tokens import (
    ALPHABET,
    EOS,
    IDS,
    NUM,
    UNITS_ALPHABET,
    UNITS_IDS,
    alphabet_size,
    answer_text,
    answer_tokens,
    encode_prompts,
    operand_values,
    prompt_tokens,
    units_prompt_tokens,
)
from quadrat_studies.fluxem.units_code import encode
from quadrat_studies.fluxem.units_config import UnitsDataConfig
from quadrat_studies.fluxem.units_data import SPLITS, draw_splits
from quadrat_studies.fluxem.units_questions import find_quantities
from quadrat_studies.fluxem.units_table import UNIT_TYPES
from quadrat_studies.fluxem.units_tokens import COLUMN, LETTERS, prompt_symbols, quantity_coordinates

HYBRID = ModelConfig(alphabet="units", representation="hybrid", number_features=("quantity", "phases"))
CHARACTERS = ModelConfig(alphabet="units")
DATA = UnitsDataConfig(domain="units", train_size=300, test_size=90)


@pytest.fixture(scope="module")
def rows():
    return [question.row() for questions in draw_splits(DATA).values() for question in questions]


def test_the_alphabet_begins_with_that_of_arithmetic_and_arithmetic_has_no_more():
    assert UNITS_ALPHABET[: len(ALPHABET)] == ALPHABET
    assert {symbol: UNITS_IDS[symbol] for symbol in IDS} == dict(IDS)
    assert len(set(UNITS_ALPHABET)) == len(UNITS_ALPHABET)
    assert alphabet_size(ModelConfig()) == len(ALPHABET) == 20
    assert alphabet_size(CHARACTERS) == len(UNITS_ALPHABET)
    with pytest.raises(UsageError, match="'2 m' holds 'm'"):
        prompt_tokens("2 m", hybrid=False)


def test_every_unit_of_the_dataset_can_be_written_and_none_with_the_columns_sign():
    written = {character for units in UNIT_TYPES.values() for unit in units for character in unit}
    assert written <= set(UNITS_IDS)
    assert COLUMN not in UNITS_IDS and not set(COLUMN) & written


def test_prompts_and_answers_come_back_from_their_tokens(rows):
    for row in rows:
        tokens = units_prompt_tokens(row["text"], hybrid=False)
        assert "".join(UNITS_ALPHABET[token] for token in tokens) == row["text"] + "="
        for reverse in (False, True):
            answer = answer_tokens(row["target_text"], reverse=reverse)
            assert answer[-1] == EOS and answer_text(answer, reverse=reverse) == row["target_text"]


@given(st.text(alphabet=LETTERS + "0123456789-/=", max_size=20), st.booleans())
def test_any_text_of_the_alphabet_comes_back(text, reverse):
    assert answer_text(answer_tokens(text, reverse=reverse), reverse=reverse) == text


def test_a_quantity_is_one_column_and_its_unit_stays(rows):
    assert prompt_symbols("Convert 2.44e2 in to cm", hybrid=True) == "Convert # in to #cm="
    assert prompt_symbols("Can you add 3.18e1 m and 9.37e-1 ft/s?", hybrid=True) == "Can you add # m and # ft/s?="
    for row in rows:
        assert units_prompt_tokens(row["text"], hybrid=True).count(NUM) == len(row["spans"]) == 2


def test_quantities_are_found_where_the_data_says_they_are(rows):
    for row in rows:
        found = [(mention.start, mention.end) for mention in find_quantities(row["text"])]
        assert found == [(span["start"], span["end"]) for span in row["spans"]]


def test_features_are_the_codes_of_the_quantities_in_order(rows):
    texts = [row["text"] for row in rows]
    prompts = encode_prompts(texts, HYBRID)
    assert prompts.features is not None and prompts.features.shape == (len(rows), 2, 13 + 6)
    for index in (0, 1, 2, -1):
        held = [mention.quantity for mention in find_quantities(texts[index])]
        torch.testing.assert_close(prompts.features[index, :, :13], torch.from_numpy(encode(held)).float())
    assert prompts.counts.tolist() == [2] * len(rows)
    assert encode_prompts(texts, CHARACTERS).features is None


def test_operands_are_the_quantities_of_the_training_split(rows):
    values = operand_values(rows[:10])
    assert len(values) == 20 and values[0] == find_quantities(rows[0]["text"])[0].quantity


def test_a_pure_number_has_a_code_too():
    code = quantity_coordinates([8], ["quantity"])
    assert code[0, 0] == 3 and not code[0, 1:].any()


def test_unknown_characters_and_other_texts_are_users_errors():
    with pytest.raises(UsageError, match="holds '§'"):
        units_prompt_tokens("2 §", hybrid=False)
    with pytest.raises(UsageError, match="no question about units"):
        encode_prompts(["12 + 34"], HYBRID)


def test_the_longest_question_with_its_answer_fits_the_studies_position_table(rows):
    assert set(SPLITS) == set(draw_splits(DATA))
    assert max(len(row["text"]) + 1 + len(row["target_text"]) for row in rows) < 128
