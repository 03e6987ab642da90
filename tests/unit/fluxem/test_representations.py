"""What each representation shows of a text, and that codes say the number they were made from."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from quadrat import UsageError
from quadrat_studies.fluxem import representations as r
from quadrat_studies.fluxem.circular import decode_decimal
from quadrat_studies.fluxem.config import ModelConfig
from quadrat_studies.fluxem.tokens import ALPHABET, IDS, NUM, PAD


def of(**values) -> ModelConfig:
    return ModelConfig.model_validate({"hidden_dim": 32, "num_heads": 4, **values})


ABACUS = of(representation="abacus")
CHUNKS = of(representation="chunks", readout="chunks")
RESIDUES = of(representation="residues", readout="residues", moduli=[3, 5])


def symbols(row):
    names = {**dict(enumerate(ALPHABET)), **{token: chunk for chunk, token in r.CHUNKS.items()}}
    return [names[token] for token in row.tolist() if token != PAD]


def test_abacus_turns_the_numbers_and_not_the_text():
    tokens = r.encode(["120 - 34", "7 + 5"], ABACUS).tokens
    assert symbols(tokens[0]) == list("021-43=")
    assert r.abacus_places(tokens).tolist() == [[1, 2, 3, 0, 1, 2, 0], [0, 0, 0, 1, 0, 1, 0]]


def test_chunks_are_cut_from_the_right():
    assert symbols(r.encode(["1234567 + 89"], CHUNKS).tokens[0]) == ["1", "234", "567", "+", "89", "="]
    assert [r.split_chunks(text) for text in ("0", "12", "123", "1000")] == [["0"], ["12"], ["123"], ["1", "000"]]
    assert len(set(r.CHUNKS.values())) == 1110 and r.vocabulary(CHUNKS) == max(r.CHUNKS.values()) + 1


def test_residues_are_one_token_a_modulus_and_know_their_lane():
    tokens = r.encode(["14 + 7"], RESIDUES).tokens[0]
    base = len(ALPHABET)
    assert tokens.tolist() == [base + 2, base + 3 + 4, IDS["+"], base + 1, base + 3 + 2, base + 8, base + 9]
    lanes = r.lane_of_tokens(RESIDUES)
    assert lanes[tokens].tolist() == [1, 2, r.SHARED, 1, 2, 1, 2]
    assert len(lanes) == r.vocabulary(RESIDUES)


@pytest.mark.parametrize(
    ("texts", "lone"),
    [
        (["14 + 7", "3 - 9"], 3),  # two remainders and the operator
        (["(1 + 2) * 3", "(4 - 2) * 3"], 1),  # everything sees the bracket
        (["14 + 7", "3 - 9 + 1"], 0),  # of two lengths
        (["1 + (2)", "(1) + 2"], 0),  # laid out in two ways
        (["", ""], 0),
    ],
)
def test_columns_that_see_only_themselves_lead(texts, lone):
    assert r.encode(texts, RESIDUES).lone == lone
    assert r.encode(["1 + 2"], ABACUS).lone == 0


def test_remainders_start_as_neighbours_on_a_circle():
    config = of(representation="residues", readout="residues", moduli=[17])
    table = torch.randn(1, r.vocabulary(config), 512, generator=torch.Generator().manual_seed(0)) * 0.01
    r.circle_start(table, config, [0])
    rows = table[0, len(ALPHABET) : len(ALPHABET) + 17]
    gaps = torch.cdist(rows, rows)
    assert (gaps[0, [1, 16]] < gaps[0, 4]).all() and gaps[0, 4] < gaps[0, 8]


@pytest.mark.parametrize("kind", ["hybrid", "xval", "fone", "bits"])
def test_a_number_is_one_column_with_its_code(kind):
    config = of(representation=kind)
    prompts = r.encode(["3 + 14 * 159", "26 - 5"], config)
    assert (prompts.tokens == NUM).sum(1).tolist() == [3, 2] == prompts.counts.tolist()
    assert prompts.features.shape == (2, 3, r.width_of_code(config))
    torch.testing.assert_close(prompts.features[1, :2], r.coordinates([26, 5], config))
    assert (prompts.features[1, 2] == 0).all()


@pytest.mark.parametrize("config", [of(), ABACUS, CHUNKS, RESIDUES, of(representation="fone")])
def test_a_foreign_character_is_a_users_error(config):
    with pytest.raises(UsageError, match="holds 'x'"):
        r.encode(["3 x 4"], config)


def test_fone_holds_every_digit_of_a_large_number():
    config = of(representation="fone", circle_digits=12)
    code = r.coordinates([987_654_321_012, 5], config).numpy()
    assert decode_decimal(code).tolist() == [987_654_321_012, 5]


def test_bits_are_those_of_the_float():
    numbers = np.array([0.0, -1.0, 99.0, 2.0**52 + 1])
    bits = r.encode_bits(numbers)
    assert set(np.unique(bits)) == {-1.0, 1.0}
    assert bits[:, 0].tolist() == [-1, 1, -1, -1]
    assert (r.decode_bits(bits > 0) == numbers).all()


def test_scales_come_from_the_training_operands():
    operands = list(range(100))
    xval = r.Entry(of(representation="xval"), [0, 1])
    xval.fit(operands, of(representation="xval"))
    assert xval.standardise(torch.tensor([[[99.0]], [[-198.0]]])).flatten().tolist() == [5.0, -10.0]
    config = of(representation="hybrid", number_features=["linear", "log", "residues"])
    entry = r.Entry(config, [0])
    entry.fit(operands, config)
    code = entry.standardise(r.coordinates(operands, config)[None])[0]
    varied = code.std(0) > 0
    torch.testing.assert_close(code.std(0, correction=0)[varied], torch.ones(int(varied.sum())), atol=0.05, rtol=0)
