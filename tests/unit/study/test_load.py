"""A study file as a whole: what comes out of a good one, and what is said about a bad one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from quadrat.core.errors import StudyError, UsageError
from quadrat.core.spec import Resources
from quadrat.study.identity import identity
from quadrat.study.load import Study, load_study

Load = Callable[..., Study]
Complaints = Callable[..., Sequence[str]]

FULL = """\
study: phase_diagram
question: Which solution is learned as depth and initialisation vary?
trainable: toy:train
config: {model_type: mamba_standard, training.epochs: 210, training: {learning_rate: 1e-3}}
axes:   {n_layers: [2, 3, 4, 5, 6], gamma: [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]}
seeds:  [42, 123, 456]
name:   L{n_layers}_G{gamma}_S{seed}
pack:   auto
rules:
  - {id: nonfinite_loss, metric: train/loss, fail: nonfinite, action: stop}
  - {id: starved_share, metric: grad/encoder_norm / grad/total_norm, fail: "< 0.1", stays: 50, action: warn}
stages:
  - {name: generalize, needs: overfit,
     gate: {metric: all.exact_accuracy, value: best, over_seeds: ci_lower, pass: ">= 0.05", partial: "> 0"}}
  - {name: overfit, config: {max_train_groups: 32},
     gate: {metric: train/error, value: last, over_seeds: mean, pass: "< 0.10"}}
panels:
  - {title: Success, metrics: [train/exact_accuracy, all.exact_accuracy, ARC/pass@1]}
diagrams:
  - {x: gamma, y: n_layers, metric: test/composite_acc}
baseline: {model_type: mamba_standard, n_layers: 2, gamma: 1.0}
resources: {threads: 1, processes: 1, gpus: 0, memory: 2 GiB}
checkpoint: {every: 50 epochs, keep: [last, best]}
sinks: [console]
"""


def test_the_whole_file_of_the_design(load: Load, place: Path):
    study = load(FULL, whole=True)
    assert len(study.runs) == 2 * 30 * 3
    assert study.stages == ("overfit", "generalize")
    first, last = study.runs[0], study.runs[-1]
    assert first.path == "phase_diagram/overfit/L2_G0.5_S42"
    assert last.path == "phase_diagram/generalize/L6_G1.0_S456"
    assert first.config["max_train_groups"] == 32
    assert last.config["max_train_groups"] is None
    assert first.config["training"] == {"learning_rate": 0.001, "epochs": 210}
    assert first.point.values == {"n_layers": 2, "gamma": 0.5}
    assert first.identity == identity("toy:train", first.config, 42)
    assert len({run.identity for run in study.runs}) == len({run.path for run in study.runs}) == 180
    assert study.resources == Resources(threads=1, processes=1, gpus=0, memory=2 << 30)
    assert study.python_path == (place.resolve(),)
    assert study.source == place / "study.yaml"
    assert study.source_text == FULL
    assert study.warnings == ()
    assert study.trainable.config_class.model_validate(first.config).model_dump(mode="json") == first.config


def test_the_best_checkpoint_goes_by_the_gate_of_its_own_stage(load: Load):
    study = load(FULL, whole=True)
    overfit, generalize = study.saving("overfit"), study.saving("generalize")
    assert (overfit.metric, overfit.goal) == ("train/error", "min")
    assert (generalize.metric, generalize.goal) == ("all.exact_accuracy", "max")
    plain = load("checkpoint: {keep: [best]}\naxes: {gamma: [1.0]}\ndiagrams: [{x: gamma, y: gamma, metric: acc}]\n")
    assert (plain.saving().metric, plain.saving().goal) == ("acc", "max")


def test_ninety_runs_load_in_a_tenth_of_a_second(load: Load):
    text = FULL.replace("  - {name: generalize, needs: overfit,\n     gate: {metric: all.exact_accuracy, value: best, "
                        'over_seeds: ci_lower, pass: ">= 0.05", partial: "> 0"}}\n', "")  # fmt: skip
    load(text, whole=True)
    begin = time.process_time()
    assert len(load(text, whole=True).runs) == 90
    assert time.process_time() - begin < 0.1


def test_loading_twice_gives_the_same(load: Load):
    assert [(run.path, run.identity) for run in load(FULL, whole=True).runs] == [
        (run.path, run.identity) for run in load(FULL, whole=True).runs
    ]


def test_the_smallest_study_is_one_run(load: Load):
    study = load("study: s\ntrainable: toy:train\n", whole=True)
    assert [run.path for run in study.runs] == ["s/S0"]
    assert study.runs[0].stage is None
    assert [warning.what for warning in study.warnings] == ["the study asks no question."]


def test_a_module_of_the_working_directory_serves_a_file_elsewhere(place: Path):
    (place / "deep").mkdir()
    (place / "deep" / "s.yaml").write_text("study: s\ntrainable: toy:train\n")
    assert load_study(place / "deep" / "s.yaml").python_path == (place.resolve(),)


def test_a_module_of_the_root_serves_too(place: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "s.yaml").write_text("study: s\ntrainable: toy:train\n")
    monkeypatch.chdir(elsewhere)
    with pytest.raises(StudyError, match="no module 'toy'"):
        load_study("s.yaml")
    assert load_study("s.yaml", root=place).python_path == (place.resolve(),)


EVERYTHING_WRONG = """\
study: ../../x
question: 5
trainable: toy:train
confg: {}
config:
  learing_rate: 1
  training: {epoch: 3, learning_rate: abc}
  model_type: mamba_standar
axes: {gama: [1], n_layers: []}
arms: {CON: {n_layer: 3}, b: {gamma: [1]}}
seeds: [1, 1, x]
stages:
  - {name: a, nedds: b, config: {gamm: 1}}
  - {name: c, needs: c}
  - {name: d, gate: {metric: m, pass: 0.9}, config: {label: 3}}
baseline: {n_layerss: 2}
study: twice
workers: 0
rules: [{id: r, metric: m}]
resources: {threads: one}
"""


def test_everything_wrong_is_said_at_once(complaints: Complaints):
    lines = complaints(EVERYTHING_WRONG, whole=True)
    expected = [
        (1, "the study name '../../x' cannot be used"),
        (2, "question should be text, not 5"),
        (4, "unknown key 'confg'. Try: did you mean 'config'?"),
        (6, "unknown config key 'learing_rate'. Try: did you mean 'training.learning_rate'?"),
        (7, "unknown config key 'training.epoch'. Try: did you mean 'training.epochs'?"),
        (7, "config training.learning_rate should be a valid number"),
        (8, "config model_type should be 'mamba_standard' or 'mamba_ones_conv', not 'mamba_standar'"),
        (9, "unknown config key 'gama' in axes. Try: did you mean 'gamma'?"),
        (9, "axis 'n_layers' is empty"),
        (10, "the arm name 'CON' cannot be used: it is the name of a device on Windows"),
        (10, "unknown config key 'n_layer' in arm 'CON'. Try: did you mean 'n_layers'?"),
        (10, "config gamma in arm 'b' should be a number, not a list"),
        (11, "seeds[2] should be a whole number, not 'x'"),
        (13, "unknown key 'nedds'. Try: did you mean 'needs'?"),
        (13, "unknown config key 'gamm' in stage 'a'. Try: did you mean 'gamma'?"),
        (14, "stage 'c' needs itself"),
        (15, "stages[2].gate.pass should be a comparison in quotes, not 0.9"),
        (16, "unknown config key 'n_layerss' in baseline. Try: did you mean 'n_layers'?"),
        (17, "the key 'study' stands here a second time; the first is at study.yaml:1"),
        (18, "workers should be auto or a number of at least 1, not 0"),
        (19, "rules[0] checks nothing"),
        (20, "resources.threads should be a whole number, not 'one'"),
    ]
    for number, words in expected:
        assert any(line.startswith(f"study.yaml:{number}: {words}") for line in lines), (number, words, lines)
    places = [int(line.split(":")[1]) for line in lines]
    assert places == sorted(places)
    assert all(" Try: " in line for line in lines)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("gamma: 1\n", 4, "'gamma' is a key of the study's config: put it under `config:`"),
        ("epochs: 1\n", 4, "did you mean 'training.epochs' under `config:`?"),
        ("config: {epochs: 1}\n", 4, "did you mean 'training.epochs'?"),
        ("config: {training.epochs: 1, training: {epochs: 2}}\n", 4, "config training.epochs is set twice"),
        ("config: {n_layers.x: 1}\n", 4, "config n_layers has no keys of its own"),
        ("config:\n  gamma: abc\n", 5, "config gamma should be a valid number"),
        (
            "config:\n  training:\n    epochs: 0\n",
            6,
            "config training.epochs should be greater than or equal to 1, not 0",
        ),
        ("config:\n  n_layers: 13\n", 4, "thirteen layers are bad luck"),
        (
            "config:\n  layers:\n    - {width: 1}\n    - {width: x}\n",
            7,
            "config layers.1.width should be a valid integer",
        ),
        ("config:\n  layers:\n    - {widht: 1}\n", 6, "unknown config key 'layers.0.widht'"),
        ("config:\n  encoder: {kind: large, hads: 1}\n", 5, "did you mean 'encoder.heads'?"),
        (
            "config:\n  encoder: {kind: small, heads: 1}\n",
            5,
            "config encoder.heads does not go with the rest of its block",
        ),
        ("config:\n  encoder: {kind: huge}\n", 5, "config encoder has the unknown kind 'huge'"),
        ("config:\n  weights: {a: x}\n", 5, "config weights.a should be a valid number"),
        ("config: hello\n", 4, "config should be a mapping, not 'hello'"),
        ("axes:\n  gamma: 1\n", 5, "axis 'gamma' should be a list, not 1"),
        ("axes:\n  seed: [1]\n", 5, "seeds are listed by `seeds: [0, 1, 2]`"),
        ("axes:\n  gamma: [0.5, 0.50]\n", 5, "axis 'gamma' holds 0.5 twice"),
        ("axes:\n  gamma: [1, 1.0]\n", 4, "two points would do the same work: gamma=1.0 and gamma=1.0"),
        ("axes:\n  gamma:\n    - 1\n    - x\n", 7, "config gamma should be a valid number"),
        ("axes: [1]\n", 4, "axes should be a mapping, not a list"),
        ("arms:\n  a: {gamma: 1}\n  b: {gamma: 1.0}\n", 6, "two points would do the same work: arm 'a' and arm 'b'"),
        ("axes: {gamma: [1.0]}\narms:\n  control:\n", 6, "the same work: gamma=1.0 and arm 'control'"),
        ("arms:\n  a: {training.epochs: 1.5}\n", 5, "config training.epochs in arm 'a'"),
        ("name: '{foo}'\n", 4, "the name has the unknown field {foo}"),
        ("name: 'L{n_layrs}'\n", 4, "did you mean {n_layers}?"),
        ("name: '{seed.__class__}'\n", 4, "the name has the unknown field {seed.__class__}"),
        ("name: '{seed:>999999999}'\n", 4, "asks for a format"),
        ("name: '{arm'\n", 4, "a brace without its partner"),
        ("name: '../{seed}'\n", 4, "the run name '../0' cannot be used"),
        ("name: '{training}'\n", 4, "training has a value without a short spelling"),
        ("name: x\nseeds: [1, 2]\n", 4, "the name does not hold {seed}"),
        ("name: L{n_layers}_S{seed}\naxes: {n_layers: [1], gamma: [1, 2]}\n", 4, "Try: add {gamma} to `name:`"),
        ("config: {label: 'a/b'}\nname: '{label}'\n", 5, "it holds '/'"),
        ("axes: {label: [a, A]}\n", 4, "the run name 'labelA_S0' is given to two points"),
        ("checkpoint: {keep: [lst]}\n", 4, "checkpoint.keep[0] should be 'last' or 'best', not 'lst'"),
        ("seeds: [3, 3]\n", 4, "seed 3 is listed twice"),
        ("seeds: 3\n", 4, "list the seeds as whole numbers from 0 on"),
        ("stages:\n  - {name: a, needs: b}\n  - {name: b, needs: a}\n", 4, "the stages a -> b -> a need each other"),
        ("stages:\n  - {name: a}\n  - {name: b, needs: [aa]}\n", 6, "unknown stage 'aa'. Try: did you mean 'a'?"),
        ("stages: [{name: ../a}]\n", 4, "the stage name '../a' cannot be used"),
        (
            "rules:\n  - {id: a, metric: m, fail: '> 1'}\n  - {id: a, metric: n, fail: '> 1'}\n",
            6,
            "two rules are called",
        ),
        ("rules:\n  - no_such_set\n", 5, "unknown set of rules 'no_such_set'"),
        ("launcher: pol\n", 4, "unknown launcher 'pol'. Try: did you mean 'pool'?"),
        ("checkpoint: {keep: [best]}\n", 4, "nothing says by which metric"),
        ("checkpoint: {keep: [best], metric: loss}\n", 4, "whether it should be high or low"),
        ("axes: {gamma: [1, 2]}\ndiagrams:\n  - {x: gama, y: gamma, metric: m}\n", 6, "unknown axis 'gama'"),
        (
            "axes: {gamma: [1, 2]}\ndiagrams:\n  - {x: gamma, y: gamma, metric: m,\n     classes: {c: m above 1}}\n",
            7,
            "should be a metric and a comparison in quotes",
        ),
        ("baseline: {gamma: 3}\n", 4, "no declared run has the values of the baseline"),
        ("arms: {tok: , hyb: {gamma: 2}}\nbaseline: hybb\n", 5, "unknown arm 'hybb'. Try: did you mean 'hyb'?"),
        ("stages:\n  - {name: a, gate: {metric: m, pass: {x}}}\n", 5, "should be a comparison in quotes"),
        ("hypothesis: {arm}\n", 4, "put a text that begins with { in quotes"),
    ],
)
def test_one_thing_wrong_is_one_line(complaints: Complaints, text: str, line: int, words: str):
    lines = complaints(text)
    assert lines[0].startswith(f"study.yaml:{line}: ")
    assert words in lines[0]
    assert " Try: " in lines[0]
    assert len(lines) == 1, lines


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("study: s\n", 1, "the study needs the key 'trainable'. Try: add `trainable: module:function` there."),
        ("trainable: toy:train\n", 1, "the study needs the key 'study'"),
        ("study: s\ntrainable: toy:trian\n", 2, "module 'toy' has no function 'trian'. Try: did you mean 'train'?"),
        ("study: s\ntrainable: toyy:train\n", 2, "no module 'toyy'"),
        ("study: s\ntrainable: os.system\n", 2, "does not name a trainable"),
        ("study: s\ntrainable: [toy]\n", 2, "trainable should be text, not a list"),
    ],
)
def test_a_file_without_a_trainable(complaints: Complaints, text: str, line: int, words: str):
    (complaint,) = complaints(text, whole=True)
    assert complaint.startswith(f"study.yaml:{line}: {words}") or words in complaint


def test_without_a_trainable_the_rest_is_checked_all_the_same(complaints: Complaints):
    lines = complaints("study: s\ntrainable: no.such:thing\nconfg: 1\naxes: {a: []}\nseeds: [1, 1]\n", whole=True)
    assert [line.split(" ")[0] for line in lines] == [f"study.yaml:{n}:" for n in (2, 3, 4, 5)]


def test_a_key_that_is_needed_and_misspelt_is_said_once(place: Path, complaints: Complaints):
    (place / "needy.py").write_text(
        "from pydantic import BaseModel, ConfigDict\n"
        "class Config(BaseModel):\n    model_config = ConfigDict(extra='forbid')\n    learning_rate: float\n"
        "def train(config: Config, context):\n    yield from ()\n"
    )
    head = "study: s\ntrainable: needy:train\n"
    assert len(complaints(head + "config: {learing_rate: 1}\n", whole=True)) == 1
    (line,) = complaints(head + "config: {}\n", whole=True)
    assert line.startswith("study.yaml:3: the config needs the key 'learning_rate'.")


def test_a_config_class_that_fails_is_no_traceback(place: Path, complaints: Complaints):
    (place / "broken.py").write_text(
        "from pydantic import BaseModel, model_validator\n"
        "class Config(BaseModel):\n    a: int = 1\n"
        "    @model_validator(mode='after')\n    def check(self):\n        return self.nothing\n"
        "def train(config: Config, context):\n    yield from ()\n"
    )
    (line,) = complaints("study: s\ntrainable: broken:train\n", whole=True)
    assert "refused by Config: AttributeError" in line


def test_a_config_that_is_no_json_is_refused(place: Path, complaints: Complaints):
    (place / "odd.py").write_text(
        "from typing import Any\nfrom pydantic import BaseModel\n"
        "class Config(BaseModel):\n    a: Any = object()\n"
        "def train(config: Config, context):\n    yield from ()\n"
    )
    (line,) = complaints("study: s\ntrainable: odd:train\n", whole=True)
    assert "cannot be written as JSON" in line


def test_a_config_that_takes_any_key_is_let_have_them(place: Path, load: Load):
    (place / "free.py").write_text(
        "from pydantic import BaseModel, ConfigDict\n"
        "class Config(BaseModel):\n    model_config = ConfigDict(extra='allow')\n    a: int = 1\n"
        "def train(config: Config, context):\n    yield from ()\n"
    )
    study = load("study: s\ntrainable: free:train\nconfig: {anything: 3}\n", whole=True)
    assert study.runs[0].config == {"a": 1, "anything": 3}


def test_keys_with_an_alias_are_written_by_it(place: Path, load: Load, complaints: Complaints):
    (place / "alias.py").write_text(
        "from pydantic import BaseModel, ConfigDict, Field\n"
        "class Config(BaseModel):\n    model_config = ConfigDict(extra='forbid')\n"
        "    lambda_: float = Field(1.0, alias='lambda')\n"
        "def train(config: Config, context):\n    yield from ()\n"
    )
    head = "study: s\ntrainable: alias:train\n"
    study = load(f"{head}axes: {{lambda: [0.5]}}\n", whole=True)
    assert study.runs[0].config == {"lambda": 0.5}
    assert study.runs[0].name == "lambda0.5_S0"
    assert "did you mean 'lambda'?" in complaints(f"{head}config: {{lambda_: 1}}\n", whole=True)[0]


def test_thousands_of_wrong_keys_are_refused_in_seconds(complaints: Complaints):
    begin = time.process_time()
    lines = complaints("config:\n" + "".join(f"  key{i}: 1\n" for i in range(3000)))
    assert 10 < len(lines) <= 100
    assert time.process_time() - begin < 5


def test_control_characters_do_not_reach_the_terminal(complaints: Complaints):
    text = 'config: {"\\e[31mgama": 1}\narms: {"\\e]0;x\\a": {gamma: 2}}\n"\\ex": 1\n'
    lines = complaints(text, "\x1b[31m=1", "a=\x1b")
    assert len(lines) >= 4
    assert "\x1b" not in "\n".join(lines)


def test_an_unknown_sink_is_a_warning_only(load: Load):
    (warning,) = load("sinks: [consol]\n").warnings
    assert warning.line() == "study.yaml:4: unknown sink 'consol'. Try: did you mean 'console'?"


def test_a_baseline_that_an_override_leaves_out_is_a_warning_only(load: Load):
    text = "axes: {gamma: [1, 2]}\nbaseline: {gamma: 1}\n"
    assert load(text).warnings == ()
    (warning,) = load(text, "gamma=[2]").warnings
    assert "no declared run has the values of the baseline" in warning.what


def test_the_names_of_unknown_studies_are_answered_with_the_known(place: Path):
    with pytest.raises(UsageError, match="did you mean 'fluxem"):
        load_study("fluxm")
    with pytest.raises(UsageError, match="there is no file"):
        load_study(place / "absent.yaml")
