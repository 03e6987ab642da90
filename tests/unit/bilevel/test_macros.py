"""The vocabulary, duals, the canonical form and the ladder rule."""

from __future__ import annotations

import pytest

from quadrat_studies.bilevel.macros import DUAL, MACROS, SKIP, canonical, dual, may_follow
from quadrat_studies.bilevel.netlist import output_node, parts
from quadrat_studies.bilevel.standard import MANTISSAS, label, snap, written


def test_duality_is_the_seeds_and_its_own_inverse():
    assert [(m, DUAL[m]) for m in (0, 1, 4, 5)] == [(0, 3), (1, 2), (4, 6), (5, 7)]
    for macro in range(9):
        assert DUAL[DUAL[macro]] == macro
    for macro, about in enumerate(MACROS):
        other = MACROS[DUAL[macro]]
        assert {about.branch, other.branch} == {"series", "shunt"}
        assert about.inverted == other.inverted


def test_the_canonical_form_is_one_for_all_four_equals():
    cells = [(0, (1.0,)), (7, (0.3, 0.9)), (0, (2.0,)), (3, (1.5,))]
    family = [cells, cells[::-1], dual(cells), dual(cells)[::-1]]
    forms = {str(canonical(member)) for member in family}
    assert len(forms) == 1
    assert MACROS[canonical(cells)[0][0]].branch == "series"
    lopsided = [(0, (1.0,)), (3, (1.5,)), (0, (2.0,))]
    assert canonical(lopsided) == canonical(lopsided[::-1]) == lopsided[::-1]


def test_the_ladder_rule():
    assert may_follow(0, 3) and may_follow(3, 0) and may_follow(4, 6)
    assert not may_follow(0, 0) and not may_follow(0, 4) and not may_follow(3, 7)
    assert may_follow(5, 5) and may_follow(7, 7) and not may_follow(4, 4)
    assert may_follow(0, SKIP) and may_follow(SKIP, SKIP) and not may_follow(SKIP, 0)


def test_parts_and_nodes():
    found = parts([(3, (1.0,)), (4, (2.0, 3.0)), (7, (4.0, 5.0)), (5, (6.0, 7.0))])
    assert [(p.name, p.nodes) for p in found] == [
        ("C1", ("in", "gnd")), ("L1", ("in", "m2")), ("C2", ("m2", "n1")), ("L2", ("n1", "m3")), ("C3", ("m3", "gnd")),
        ("L3", ("n1", "out")), ("C4", ("n1", "out")),
    ]  # fmt: skip
    assert output_node(found) == "out"
    assert output_node(parts([(3, (1.0,))])) == "in"


@pytest.mark.parametrize(("series", "size"), [("E12", 12), ("E24", 24), ("E96", 96)])
def test_series_hold_what_the_standard_says(series, size):
    import torch

    assert len(MANTISSAS[series]) == size
    assert 4.7 in MANTISSAS["E12"] and 5.1 in MANTISSAS["E24"] and 4.99 in MANTISSAS["E96"]
    values = torch.logspace(-13, -6, 4001, dtype=torch.float64)
    snapped = snap(values, series)
    worst = float((snapped / values).log10().abs().max())
    assert worst < {"E12": 0.0485, "E24": 0.0311, "E96": 0.0065}[series]
    assert snap(snapped, series).equal(snapped)
    up = snap(values, series, shift=1)
    assert (up > snapped).all() and (snap(values, series, shift=-1) < snapped).all()


def test_nearest_is_by_ratio():
    import torch

    # 1.095 is nearer to 1.2 than to 1.0 by ratio's logarithm, and not by difference.
    assert snap(torch.tensor([1.0955e-9, 1.09e-9, 9.6e-12]).double(), "E12").tolist() == pytest.approx(
        [1.2e-9, 1.0e-9, 1e-11]
    )


def test_labels():
    assert label("L", 3.3e-9) == "L_3.3nH"
    assert label("C", 4.7e-12) == "C_4.7pF"
    assert label("C", 1e-10) == "C_100pF"
    assert written(2.2e-6, "H") == "2.2 uH"
