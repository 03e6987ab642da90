"""The tests against numbers worked out otherwise, and what reads finished runs."""

from __future__ import annotations

import json
import math
from math import comb

import numpy as np
import pytest

from quadrat_studies.fluxem import significance as s


def bits(*counts):
    """Both right, first only, second only, both wrong."""
    first = np.repeat([True, True, False, False], counts)
    return first, np.repeat([True, False, True, False], counts)


@pytest.mark.parametrize(("b", "c"), [(0, 0), (1, 0), (3, 9), (9, 3), (0, 6), (40, 61)])
def test_mcnemar_is_the_exact_binomial_test(b, c):
    found = s.mcnemar(*bits(50, b, c, 7))
    n, k = b + c, min(b, c)
    tail = sum(comb(n, i) for i in range(k + 1)) / 2**n
    assert (found.first_only, found.second_only) == (b, c)
    assert found.p == pytest.approx(min(1.0, 2 * tail) if b != c else 1.0)


def test_the_paired_bootstrap_holds_the_difference_and_sees_pairing():
    rng = np.random.default_rng(3)
    easy = rng.random((1, 400)) < rng.random(400)  # items differ much in difficulty
    first, second = np.repeat(easy, 4, 0), np.repeat(easy, 4, 0)
    second[:, :20] = ~second[:, :20] & first[:, :20]
    found = s.paired_bootstrap(first, second, draws=600)
    assert found.mean == pytest.approx(first.mean() - second.mean())
    assert 0 < found.low < found.mean < found.high < found.mean + 0.04
    none = s.paired_bootstrap(first, first, draws=200)
    assert none == (0.0, 0.0, 0.0)


def test_holm_by_hand():
    assert s.holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})
    assert s.holm({"a": 0.9, "b": 0.8}) == {"b": 1.0, "a": 1.0}


def test_samples_needed_lie_between_two_sizes_on_a_logarithmic_scale():
    sizes = [100, 1000, 10_000]
    scores = np.array([[0.1, 0.8, 1.0], [0.1, 0.8, 1.0]])
    found = s.samples_needed(sizes, scores)
    assert found == pytest.approx({"n90": 1000 * math.sqrt(10), "n99": 1000 * 10**0.95})
    assert s.samples_needed(sizes, scores * 0.9) == pytest.approx({"n90": 10_000.0, "n99": math.inf})
    assert s.samples_needed(sizes, np.ones((2, 3))) == {"n90": 100.0, "n99": 100.0}
    certain = s.samples_needed_interval(sizes, scores, level=0.9, draws=50)
    assert certain.low == certain.high == pytest.approx(certain.samples)


def test_the_interval_of_samples_needed_may_be_open():
    scores = np.array([[0.1, 1.0], [0.1, 0.9], [0.1, 0.98]])
    found = s.samples_needed_interval([100, 1000], scores, level=0.97, draws=500)
    assert found.samples == math.inf and found.low < 1000 and found.high == math.inf


@pytest.mark.parametrize(
    ("freedom", "wanted"),
    [(1, 12.7062), (2, 4.30265), (3, 3.18245), (4, 2.77645), (5, 2.57058), (9, 2.26216), (30, 2.04227), (301, 1.96788)],
)
def test_t_quantiles_are_those_of_the_tables(freedom, wanted):
    assert s.t_quantile(freedom) == pytest.approx(wanted, rel=1e-5)


def test_half_of_the_t_interval():
    assert s.t_half_width([0.0, 1.0]) == pytest.approx(12.7062 * 0.5, rel=1e-5)
    assert s.t_half_width([0.5, 0.5, 0.5]) == 0
    assert s.t_half_width([0.5]) == math.inf


def test_extrapolation_needs_most_seeds():
    assert s.extrapolates([1, 1, 0.99, 1, 0.2]) and not s.extrapolates([1, 1, 0.98, 1, 0.2])


def test_finished_runs_are_read_and_compared(tmp_path, capsys):
    for arm, wrong in (("plain", 6), ("better", 0)):
        for seed in (1, 2):
            folder = tmp_path / f"{arm}_S{seed}" / "artifacts" / "predictions"
            folder.mkdir(parents=True)
            rows = [{"id": str(i), "target": "1", "prediction": str(int(i >= wrong))} for i in range(50)]
            (folder / "test_id.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    s.main([str(tmp_path), "--baseline", "plain"])
    row = json.loads(capsys.readouterr().out)
    assert (row["arm"], row["items"], row["seeds"]) == ("better", 50, 2)
    assert row["mean"] == pytest.approx(0.12)
    assert row["mcnemar_p"] == row["holm_p"] == pytest.approx(2 / 2**6)
    with pytest.raises(ValueError, match="no arm 'other'"):
        s.compare(s.read_hits(tmp_path, "test_id"), "other")


def test_a_ladder_of_stages_is_read(tmp_path, capsys):
    for size, score in ((100, 0.5), (1000, 1.0)):
        for seed in (1, 2):
            folder = tmp_path / f"n{size}" / f"chars_S{seed}" / "artifacts"
            folder.mkdir(parents=True)
            (folder / "evaluation_results.json").write_text(
                json.dumps({"token_only": {"test_id": {"exact_match": score}}})
            )
    s.main([str(tmp_path), "--needed"])
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["level"] for row in found] == [0.9, 0.99]
    assert found[0]["samples"] == pytest.approx(100 * 10**0.8)


def test_a_size_with_other_seeds_or_fewer_is_left_out(tmp_path):
    for size, seeds in ((100, (1, 2)), (300, (1, 3)), (1000, (2,)), (3000, (1, 2))):
        for seed in seeds:
            folder = tmp_path / f"n{size}" / f"chars_S{seed}" / "artifacts"
            folder.mkdir(parents=True)
            scores = {"token_only": {"test_id": {"exact_match": seed / 10}}}
            (folder / "evaluation_results.json").write_text(json.dumps(scores))
    sizes, scores = s.read_ladder(tmp_path, "test_id/exact_match")["chars"]
    assert sizes == [100, 3000] and scores.tolist() == [[0.1, 0.1], [0.2, 0.2]]
    with pytest.raises(ValueError, match=r"no 'exact_match' of a split 'test'.*test_id"):
        s.read_ladder(tmp_path, "test/exact_match")


def test_tables_are_read_by_arm_and_seed_with_stages_in_the_order_of_their_sizes(tmp_path):
    for place in ("b_S2", "b_S10", "a_S1", "n1000/a_S1", "n300/a_S1", ".evaluations/a_S1", "a", "n300/deep/a_S1"):
        folder = tmp_path / place / "artifacts" / "tables"
        folder.mkdir(parents=True)
        (folder / "carries.jsonl").write_text(json.dumps({"place": place}) + "\n")
    found = s.read_tables(tmp_path, "carries")
    assert list(found) == ["a", "b", "n300/a", "n1000/a"]
    assert found["b"] == {2: [{"place": "b_S2"}], 10: [{"place": "b_S10"}]} and list(found["b"]) == [2, 10]
    assert s.read_tables(tmp_path, "operands") == {}
