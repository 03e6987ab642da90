"""The data: splits by rule, records that can be read back, curves in strict JSON."""

from __future__ import annotations

import json
import math

import pytest
import torch

from quadrat import UsageError
from quadrat_studies.bilevel.config import Config, DataConfig
from quadrat_studies.bilevel.data import SPLITS, build_data, combinations, k_max, read_split, vocabulary
from quadrat_studies.bilevel.generate import cell, draw, is_held_out
from quadrat_studies.bilevel.macros import MACROS
from quadrat_studies.bilevel.samples import FAMILIES

SMALL = {"train_samples": 60, "validation_samples": 20, "test_samples": 40}
ALL = dict.fromkeys(FAMILIES, 1.0)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    config = Config.model_validate({"data": {**SMALL, "families": ALL, "curves": True, "points": 32}})
    build_data(config, folder)
    return config.data, folder


def test_what_is_written_is_what_was_drawn(built):
    data, folder = built
    for split, count in zip(SPLITS, (60, 20, 40), strict=True):
        read, drawn = read_split(folder, split, data=data), draw(data, split, count=count)
        assert read.ids.equal(drawn.ids) and read.order.equal(drawn.order) and read.family.equal(drawn.family)
        used = drawn.ladder.used()
        torch.testing.assert_close(read.x[used], drawn.x[used], rtol=0, atol=1e-12)
        torch.testing.assert_close(read.x_real[used], drawn.x_real[used], rtol=0, atol=1e-12)
        torch.testing.assert_close(read.mask(margin=0.0).low, drawn.mask(margin=0.0).low, equal_nan=True)


def test_curves_in_the_records_are_strict_json_and_follow_from_the_parts(built):
    data, folder = built
    samples = read_split(folder, "test", data=data)
    for i, line in enumerate((folder / "test.jsonl").read_text().splitlines()):
        row = json.loads(line, parse_constant=pytest.fail)
        assert row["ideal_s21_db"] == pytest.approx(samples.ideal[0][i].tolist(), abs=1e-6)
        assert row["real_s21_db"] == pytest.approx(samples.real[0][i].tolist(), abs=1e-6)
        assert None in row["mask_max_db"] and len(row["mask_max_db"]) == 32
        assert row["macro_ir_macros"] == [MACROS[m].token for m in samples.ids[i].tolist() if m < 8]
        assert row["num_L"] + row["num_C"] == len(row["ideal_components"])
        assert row["discrete_components"][0]["std_label"].startswith(row["discrete_components"][0]["ctype"])


def test_the_card_says_that_the_oracle_passes_everywhere(built):
    card = json.loads((built[1] / "dataset.json").read_text())
    for split in SPLITS:
        about = card["splits"][split]
        assert about["oracle_pass"] == 1.0
    assert card["splits"]["test"]["combinations_in_train"] == 0


def test_test_combinations_are_unseen():
    data = DataConfig()
    train, test = draw(data, "train", count=500), draw(data, "test", count=150)
    assert not combinations(train) & combinations(test)

    def cells(samples):
        found = set()
        for i in range(len(samples)):
            kind, family = samples.kind_names()[i], FAMILIES[int(samples.family[i])]
            if kind.startswith("band"):
                low, high = data.bandwidths
                place = math.log(float(samples.specs.d[i]) / low) / math.log(high / low)
            else:
                low, high = data.ripples_db if family == "chebyshev" else data.edges_db
                place = (float(samples.specs.pass_db[i]) - low) / (high - low)
            found.add(cell(kind, family=family, order=int(samples.order[i]), place=min(max(place, 0.0), 1.0)))
        return found

    assert all(is_held_out(which) for which in cells(test))
    assert not any(is_held_out(which) for which in cells(train))
    # Every order of every type is in both: what is unseen is the combination.
    assert set(train.order.tolist()) == set(test.order.tolist()) == set(range(2, 9))
    mixed = draw(DataConfig(split="iid"), "train", count=200)
    assert any(is_held_out(which) for which in cells(mixed))


def test_a_smaller_split_begins_a_larger_one_and_the_seed_matters():
    small, large = draw(DataConfig(), "train", count=50), draw(DataConfig(), "train", count=300)
    assert large.take(slice(0, 50)).fc.equal(small.fc)
    torch.testing.assert_close(large.x_real[:50, : small.x.shape[1]], small.x_real, rtol=0, atol=0)
    assert not draw(DataConfig(seed=1), "train", count=50).fc.equal(small.fc)


@pytest.mark.parametrize("topology", ["t", "pi", "random"])
def test_the_form_of_labels(topology):
    samples = draw(DataConfig(topology=topology), "train", count=120)
    series = [MACROS[first].branch == "series" for first in samples.ids[:, 0].tolist()]
    share = sum(series) / len(series)
    assert {"t": share == 1, "pi": share == 0, "random": 0.3 < share < 0.7}[topology]


def test_every_range_is_kept(mixed):
    data = mixed.data
    banded = mixed.specs.kind >= 2
    assert data.bandwidths[0] <= float(mixed.specs.d[banded].min())
    assert float(mixed.specs.d[banded].max()) <= data.bandwidths[1]
    assert (mixed.specs.d[~banded] == 1).all()
    assert data.centres_hz[0] <= float(mixed.fc.min()) and float(mixed.fc.max()) <= data.centres_hz[1]
    assert set(mixed.family.tolist()) == set(range(5)) and set(mixed.specs.kind.tolist()) == {0, 1, 2, 3}
    only = draw(DataConfig.model_validate({"types": ["highpass"], "families": {"bessel": 1}, "orders": [3, 4]}),
                "train", count=20)  # fmt: skip
    assert set(only.specs.kind.tolist()) == {1} and set(only.family.tolist()) == {3}
    assert set(only.order.tolist()) == {3, 4}


def test_real_circuits_are_standard_parts_within_tolerance(mixed):
    used = mixed.ladder.used()
    off = (mixed.x_real - mixed.x)[used].abs()
    assert (
        0.01 < float(off.median()) < float(off.max()) < math.log(1.5 / 1.3) / 2 - math.log(0.95)
    )  # the widest gap of E24, and the tolerance
    assert float((mixed.real[0] - mixed.ideal[0]).abs().max()) > 1.0
    exact = draw(DataConfig(tolerance=0.0, series="E96", q_l=1e9, q_c=1e9), "train", count=40)
    assert float((exact.x_real - exact.x)[exact.ladder.used()].abs().max()) < 0.015
    torch.testing.assert_close(
        exact.real[0][exact.specs.kind == 0], exact.ideal[0][exact.specs.kind == 0], rtol=0, atol=1.0
    )


def test_k_max_and_vocabulary_follow_from_the_scan(textbook):
    assert k_max(textbook, percentile=100, cap=12, least=1) == int(textbook.lengths.max()) == 8
    assert k_max(textbook, percentile=100, cap=6, least=1) == 6
    assert k_max(textbook, percentile=100, cap=12, least=12) == 12
    assert k_max(textbook, percentile=50, cap=12, least=1) == math.ceil(textbook.lengths.double().quantile(0.5))
    assert vocabulary(textbook) == tuple(range(8))
    assert vocabulary(textbook.take(textbook.specs.kind == 0)) == (0, 3)


def test_a_file_of_ones_own_is_read(built, tmp_path):
    _, folder = built
    config = Config.model_validate({"data": {**SMALL, "path": str(folder / "validation.jsonl")}})
    build_data(config, tmp_path)
    assert (tmp_path / "train.jsonl").read_text().count("\n") == 20
    assert (tmp_path / "test.jsonl").read_text().count("\n") == 40


@pytest.mark.parametrize(("change", "said"), [({"fc_hz": "x"}, "could not convert"),
    ({"macro_ir_macros": []}, "at least"),
    ({"macro_ir_macros": ["<MAC_X>"]}, "MAC_X"), ({"ripple_db": "NaN"}, "not finite")])  # fmt: skip
def test_a_bad_line_is_named(built, tmp_path, change, said):
    data, folder = built
    rows = [json.loads(line) for line in (folder / "test.jsonl").read_text().splitlines()[:3]]
    rows[1] |= change
    (tmp_path / "bad.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    from quadrat_studies.bilevel.records import read_rows

    with pytest.raises(UsageError, match=said) as raised:
        read_rows(tmp_path / "bad.jsonl", data)
    assert "bad.jsonl:2" in str(raised.value)


def test_ranges_without_room_are_refused():
    with pytest.raises(ValueError, match="widen"):
        draw(DataConfig(orders=(3, 3), bandwidths=(0.1, 0.1), types=("bandpass",), families={"chebyshev": 1.0}),
             "test", count=5)  # fmt: skip
