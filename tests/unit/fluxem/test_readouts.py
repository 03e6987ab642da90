"""A codec writes every integer it can hold and gives it back; what it cannot hold is a user's error."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quadrat import UsageError
from quadrat_studies.fluxem.config import ModelConfig
from quadrat_studies.fluxem.readouts import codec, encode_answers
from quadrat_studies.fluxem.tokens import EOS

ARMS = {
    "digits": {},
    "plain": {"answer_order": "plain"},
    "chunks": {"representation": "chunks", "readout": "chunks"},
    "number_head": {"readout": "number_head"},
    "circles": {"readout": "circles"},
    "residues": {"readout": "residues"},
    "bits": {"readout": "bits"},
    "scalar": {"readout": "scalar"},
}


def of(arm, **values):
    return codec(ModelConfig.model_validate({**ARMS[arm], **values}))


@pytest.mark.parametrize("arm", ARMS)
@given(value=st.integers(-600_000, 600_000))
@settings(max_examples=30, deadline=None)
def test_an_answer_comes_back(arm, value):
    writer = of(arm)
    classes = writer.classes(str(value))
    assert writer.text(classes) == str(value)
    if writer.sizes:
        assert len(classes) == len(writer.sizes)
        assert all(0 <= one < size for one, size in zip(classes, writer.sizes, strict=True))


def test_one_wrong_class_is_another_answer():
    for arm in ("number_head", "circles", "residues", "bits"):
        writer = of(arm)
        classes = writer.classes("427")
        for place, size in enumerate(writer.sizes):
            changed = [*classes[:place], (classes[place] + 1) % size, *classes[place + 1 :]]
            assert writer.text(changed) != "427"


@pytest.mark.parametrize(
    ("arm", "values", "answer", "said"),
    [
        ("number_head", {"answer_digits": 3}, "1000", "digits"),
        ("circles", {"answer_digits": 3}, "500", "ten's complement"),
        ("circles", {"answer_digits": 3}, "-500", "ten's complement"),
        ("residues", {"moduli": [7, 8]}, "28", "too large"),
        ("scalar", {}, str(2**53 + 2), "2\\*\\*53"),
    ],
)
def test_what_does_not_fit_is_said(arm, values, answer, said):
    with pytest.raises(UsageError, match=said):
        of(arm, **values).classes(answer)


def test_the_largest_that_fits_does():
    assert of("circles", answer_digits=3).text(of("circles", answer_digits=3).classes("-499")) == "-499"
    assert of("residues", moduli=[7, 8]).text(of("residues", moduli=[7, 8]).classes("-27")) == "-27"


def test_unfinished_chunks_and_broken_floats_are_no_integers():
    chunks = of("chunks")
    assert chunks.text(chunks.classes("1234567")[:-1]).endswith("...")
    assert chunks.classes("-1234")[-1] == EOS
    bits = of("bits")
    half = bits.classes("1")
    half[11] = 0  # one off in the exponent
    assert bits.text(half) == "0.5"
    assert bits.text([0] + [1] * 63) == "nan"


def test_answers_are_filled_up_on_the_right():
    targets = encode_answers(["5", "-123"], ModelConfig())
    assert targets.tokens.shape == (2, 5) and targets.lengths.tolist() == [2, 5]
    assert targets.tokens[0, 2:].tolist() == [0, 0, 0]
