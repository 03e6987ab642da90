"""Calculating layers: what they compute, that packs keep members apart, and which of them extrapolate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
import torch
from pydantic import ValidationError

from quadrat import Context, Metrics, UsageError
from quadrat.study.load import load_study
from quadrat.testing.trainables import TrainableCase
from quadrat_studies.fluxem.board import BoardConfig, exact, train_pack
from quadrat_studies.fluxem.calculators import build

SHORT = {"steps": 12, "log_every": 3, "batch_size": 8, "test_size": 20}


class TestNau(TrainableCase):
    trainable = "quadrat_studies.fluxem.board:train"
    config: ClassVar[Mapping[str, Any]] = {**SHORT, "layer": "nau", "operation": "-"}
    resume_at = 7


def measured(config, seeds, tmp_path) -> list[list[str]]:
    found: list[list[str]] = [[] for _ in seeds]
    contexts = [Context(seed=seed, device="cpu", data=None, scratch=tmp_path) for seed in seeds]
    for row in train_pack([config] * len(seeds), contexts):
        for place, event in enumerate(row):
            if isinstance(event, Metrics):
                found[place].append(repr(event))
    return found


def last(config, seeds, tmp_path, name):
    values = []
    contexts = [Context(seed=seed, device="cpu", data=None, scratch=tmp_path) for seed in seeds]
    for row in train_pack([config] * len(seeds), contexts):
        values = [e.values[name] for e in row if isinstance(e, Metrics) and name in e.values] or values
    return values


@pytest.mark.parametrize("layer", ["nac", "nalu", "nau", "nmu", "mlp"])
def test_a_member_measures_what_it_measures_alone(layer, tmp_path):
    config = BoardConfig(layer=layer, operation="*", **SHORT)
    together = measured(config, (3, 1, 2), tmp_path)
    assert together[1] == measured(config, (1,), tmp_path)[0]
    assert together[0] != together[1]


def test_whole_weights_calculate_exactly():
    x = torch.tensor([[[3.0, 5.0, 7.0], [2.0, 9.0, 4.0]]])
    nau, nmu, nalu = (build(kind, [0], inputs=3) for kind in ("nau", "nmu", "nalu"))
    with torch.no_grad():
        nau.w[:] = torch.tensor([1.0, -1.0, 0.0])
        nmu.w[:] = torch.tensor([1.0, 1.0, 0.0])
        nalu.a[:], nalu.m[:], nalu.g[:] = torch.tensor([20.0, 20.0, 0.0]), 20.0, -20.0
    assert nau(x).tolist() == [[-2.0, -7.0]]
    assert nmu(x).tolist() == [[15.0, 18.0]]
    torch.testing.assert_close(nalu(x), torch.tensor([[15.0, 18.0]]))
    assert nau.penalty().item() == nmu.penalty().item() == 0.0


def test_weights_are_held_where_they_may_be():
    for kind, low in (("nau", -1.0), ("nmu", 0.0)):
        layer = build(kind, [0, 1], inputs=3)
        with torch.no_grad():
            layer.w.mul_(10).add_(-3)
        layer.constrain()
        assert layer.w.min() >= low and layer.w.max() <= 1.0


@pytest.mark.parametrize(("layer", "operation", "succeeds"), [("nau", "+", 1.0), ("nmu", "*", 1.0), ("nalu", "*", 0.0)])
def test_the_published_outcome(layer, operation, succeeds, tmp_path):
    config = BoardConfig(layer=layer, operation=operation)
    assert last(config, (0, 1, 2), tmp_path, "test_ood_magnitude/success") == [succeeds] * 3


def test_answers_are_exact():
    x = torch.tensor([[6.0, 4.0, 9.0]])
    assert [exact(operation, x).item() for operation in "+-*/"] == [10.0, 2.0, 24.0, 1.5]


def test_senseless_values_are_refused(tmp_path):
    for values in ({"id_range": [0, 5]}, {"ood_range": [5, 5]}, {"penalty_from": 0.9, "penalty_until": 0.1}):
        with pytest.raises(ValidationError):
            BoardConfig.model_validate(values)
    context = Context(seed=0, device="cpu", data=None, scratch=tmp_path)
    with pytest.raises(UsageError, match="cannot be packed"):
        next(train_pack([BoardConfig(), BoardConfig(operation="-")], [context] * 2))


def test_the_study_file_asks_layers_for_operations_they_can_express():
    study = load_study("fluxem/layers_board")
    configs = [BoardConfig.model_validate(run.config) for run in study.runs]
    assert len(configs) == 130 and len({run.seed for run in study.runs}) == 10
    assert {config.operation for config in configs if config.layer == "nmu"} == {"*"}
    assert {config.operation for config in configs if config.layer in ("nac", "nau")} == {"+", "-"}
