from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import pytest

from quadrat.study.load import Study

Load = Callable[..., Study]
Complaints = Callable[..., Sequence[str]]


def names(study: Study) -> list[str]:
    return [run.name for run in study.runs]


def test_a_grid_is_the_product_in_the_order_of_the_file(load: Load):
    study = load("axes: {n_layers: [3, 2], gamma: [0.50, 1]}\nseeds: [7, 1]\n")
    assert names(study) == [
        f"n_layers{layers}_gamma{gamma}_S{seed}" for layers in (3, 2) for gamma in (0.5, 1.0) for seed in (7, 1)
    ]


def test_arms_without_axes_are_the_only_points(load: Load):
    study = load("arms: {tok: , hyb: {gamma: 2, training.epochs: 9}}\nseeds: [0, 1]\n")
    assert names(study) == ["tok_S0", "tok_S1", "hyb_S0", "hyb_S1"]
    assert study.runs[0].point.arm == "tok"
    assert study.runs[2].point.values == {"gamma": 2.0, "training.epochs": 9}
    assert study.runs[2].config["training"]["epochs"] == 9
    assert study.runs[0].config["training"]["epochs"] == 3


def test_arms_are_points_beside_the_grid(load: Load):
    study = load("axes: {gamma: [0.5, 0.6]}\narms: {ones: {model_type: mamba_ones_conv}}\nname: G{gamma}_S{seed}\n")
    assert names(study) == ["G0.5_S0", "G0.6_S0", "ones_G1.0_S0"]
    assert [run.point.arm for run in study.runs] == [None, None, "ones"]


def test_a_name_may_hold_the_arm_and_keys_inside_blocks(load: Load):
    study = load("arms: {a: {gamma: 2}, b: }\nname: '{arm}-E{training.epochs}-{max_train_groups}-{seed}'\n")
    assert names(study) == ["a-E3-none-0", "b-E3-none-0"]


def test_points_hold_resolved_values(load: Load):
    study = load("axes: {gamma: [1], training.learning_rate: [1e-3]}\n")
    assert study.runs[0].point.values == {"gamma": 1.0, "training.learning_rate": 0.001}
    assert names(study) == ["gamma1.0_learning_rate0.001_S0"]


def test_an_axis_may_be_a_whole_block(load: Load):
    study = load("axes: {encoder: [null, {kind: large, heads: 8}]}\nname: '{encoder.kind}_{seed}'\n")
    assert names(study) == ["none_0", "large_0"]
    assert study.runs[1].config["encoder"] == {"kind": "large", "width": 64, "heads": 8}


def test_layers_are_merged_key_by_key_in_blocks_and_whole_elsewhere(load: Load):
    study = load(
        "config: {training.epochs: 5, weights: {a: 1}, encoder: {kind: large, heads: 4}}\n"
        "arms:\n"
        "  lr: {training: {learning_rate: 0.5}}\n"
        "  weights: {weights: {b: 2}}\n"
        "  none: {encoder: null}\n"
        "  width: {encoder.width: 3}\n"
    )
    by_arm = {run.point.arm: run.config for run in study.runs}
    assert by_arm["lr"]["training"] == {"epochs": 5, "learning_rate": 0.5}
    assert by_arm["weights"]["weights"] == {"b": 2.0}
    assert by_arm["none"]["encoder"] is None
    assert by_arm["width"]["encoder"] == {"kind": "large", "width": 3, "heads": 4}


def test_a_block_may_be_set_where_the_base_has_none(load: Load):
    study = load("config: {encoder: null}\narms: {small: {encoder.kind: small, encoder: {width: 3}}, none: }\n")
    assert [run.config["encoder"] for run in study.runs] == [{"kind": "small", "width": 3}, None]


def test_a_stage_lies_between_the_base_and_the_point(load: Load):
    study = load(
        "config: {label: base, n_layers: 1}\naxes: {n_layers: [7]}\n"
        "stages: [{name: a, config: {label: stage, n_layers: 5}}, {name: b}]\n"
    )
    assert [(run.stage, run.config["label"], run.config["n_layers"]) for run in study.runs] == [
        ("a", "stage", 7),
        ("b", "base", 7),
    ]
    assert [run.path for run in study.runs] == ["toy_study/a/n_layers7_S0", "toy_study/b/n_layers7_S0"]


def test_the_same_point_in_two_stages_has_one_identity_and_two_places(load: Load):
    study = load("stages: [{name: a}, {name: b}]\n")
    assert len({run.identity for run in study.runs}) == 1
    assert len({run.path for run in study.runs}) == 2


AXES = "".join(f"  {key}: [{', '.join(map(str, range(100)))}]\n" for key in ("n_layers", "gamma", "max_train_groups"))


def test_a_grid_beyond_the_limit_is_refused_by_multiplying(complaints: Complaints):
    begin = time.process_time()
    (line,) = complaints(f"seeds: [{', '.join(map(str, range(1000)))}]\naxes:\n{AXES}")
    assert line.startswith("study.yaml:5: the study has 1,000,000,000 runs ((100 x 100 x 100) x 1000 seeds).")
    assert "100,000" in line
    assert time.process_time() - begin < 2


@pytest.mark.parametrize(("values", "fits"), [(1000, True), (1001, False)])
def test_the_limit_is_exact(load: Load, complaints: Complaints, values: int, fits: bool):
    # 100 seeds: 1000 values are 100,000 runs. Bad values keep the good case from being expanded in full.
    seeds, layers = ", ".join(map(str, range(100))), ", ".join(f"x{i}" for i in range(values))
    text = f"seeds: [{seeds}]\naxes: {{n_layers: [{layers}]}}\n"
    lines = complaints(text)
    assert any("the study has 100," in line for line in lines) is not fits


def test_a_bad_value_of_an_axis_is_said_once_not_at_every_point(complaints: Complaints):
    text = "axes:\n  gamma: [1, x]\n  n_layers: [1, 2, 3]\nseeds: [1, 2]\n"
    assert len(complaints(text)) == 1
