"""Which runs share a process."""

from __future__ import annotations

import pytest

from quadrat.conduct.packing import pack
from quadrat.study.load import load_study


@pytest.fixture
def packed(make_lab, tmp_path):
    """Pack the toy study as its file says."""
    lab = make_lab(tmp_path)

    def _pack(more, *overrides, slots=2):
        lab.write(more=more)
        study = load_study(lab.root / "toy.yaml", overrides=overrides)
        return pack(study, study.runs, slots=slots)

    return _pack


def _sizes(packing):
    return [len(batch) for batch in packing.batches]


@pytest.mark.parametrize(
    ("more", "slots", "sizes"),
    [
        ("", 2, [1] * 6),
        ("pack: off", 2, [1] * 6),
        ("pack: {max: 4}", 1, [3, 3]),
        ("pack: {max: 6}", 1, [6]),
        ("pack: {max: 6}", 2, [3, 3]),
        ("pack: {max: 6}", 4, [2, 2, 1, 1]),
        ("pack: auto", 1, [3, 3]),
    ],
)
def test_packs_are_even_and_enough_for_every_slot(packed, more, slots, sizes):
    assert _sizes(packed(more, slots=slots)) == sizes


def test_every_run_is_in_one_batch(packed):
    batches = packed("pack: {max: 4}").batches
    names = [spec.name for batch in batches for spec in batch]
    assert len(names) == len(set(names)) == 6


def test_runs_of_another_shape_do_not_mix(packed):
    packing = packed("pack: {max: 8}\narms: {long: {steps: 40}}", slots=1)
    assert sorted(_sizes(packing)) == [3, 6]
    assert all(len({spec.config["steps"] for spec in batch}) == 1 for batch in packing.batches)


def test_who_runs_alone_is_said(packed):
    packing = packed("pack: {max: 8}\narms: {long: {steps: 40}}", "seeds=[0]", slots=1)
    assert any("long" in remark for remark in packing.remarks)
    assert packing.packed == 2
