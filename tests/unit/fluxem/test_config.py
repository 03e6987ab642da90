"""Every key of the config has an effect, and a value that makes no sense is refused."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import BaseModel, ValidationError

from quadrat import Artifact, Context, Metrics, Note
from quadrat.tensor import seeding
from quadrat_studies.fluxem.config import Config, DataConfig
from quadrat_studies.fluxem.data import build_data
from quadrat_studies.fluxem.experiment import train

TINY = {
    "data": {"train_size": 40, "validation_size": 8, "test_size": 8},
    "model": {"hidden_dim": 16, "num_layers": 1, "num_heads": 2},
    "training": {"epochs": 2, "batch_size": 16, "log_every": 2, "warmup_steps": 2},
}
# Another value for every key, and the arm in which the key means something.
OTHER = {
    "data.train_size": 41,
    "data.validation_size": 9,
    "data.test_size": 9,
    "data.id_range": [0, 90],
    "data.ood_magnitude_range": [1000, 9999],
    "data.ood_min_ops": 3,
    "data.ood_max_ops": 6,
    "data.operations": ["+", "-"],
    "data.precedence": "left_to_right",
    "data.seed": 1,
    "model.hidden_dim": 32,
    "model.num_layers": 2,
    "model.num_heads": 4,
    "model.dropout": 0.0,
    "model.max_seq_len": 80,
    "model.representation": "hybrid",
    "model.readout": "number_head",
    "model.answer_order": "plain",
    "model.answer_digits": 11,
    "model.number_features": ["log"],
    "model.moduli": [5, 7, 8, 9, 11],
    "model.circle_digits": 7,
    "model.abacus_offset": 9,
    "training.epochs": 3,
    "training.steps": 4,
    "training.batch_size": 8,
    "training.learning_rate": 1e-2,
    "training.schedule": "constant",
    "training.warmup_steps": 1,
    "training.weight_decay": 0.5,
    "training.gradient_clip": 0.01,
    "training.precision": "bfloat16",
    "training.log_every": 3,
    "training.validate_every": 2,
    "ladders.magnitude_digits": 2,
    "ladders.operands": 3,
    "ladders.carries": 2,
    "ladders.cell_size": 2,
}
ARM = {
    "model.answer_digits": {"model.readout": "number_head"},
    "model.number_features": {"model.representation": "hybrid"},
    "model.moduli": {"model.representation": "residues", "model.readout": "residues"},
    "model.circle_digits": {"model.representation": "fone", "model.readout": "circles"},
    "model.abacus_offset": {"model.representation": "abacus"},
    "ladders.cell_size": {"ladders.operands": 2},
}
DECLARED_BY_THE_DATA = {"model.alphabet"}
"""Keys that have one allowed value for each kind of data."""


def config(key: str | None = None, value: object = None, arm: dict[str, str] | None = None) -> Config:
    tree = {section: dict(values) for section, values in TINY.items()}
    changes = dict(arm or {}) | ({} if key is None else {key: value})
    for path, changed in changes.items():
        section, name = path.split(".")
        tree.setdefault(section, {})[name] = changed
    return Config.model_validate(tree)


def measured(chosen: Config, folder) -> list[object]:
    folder.mkdir()
    build_data(chosen, folder)
    seeding.apply(0)
    context = Context(seed=0, device="cpu", data=folder, scratch=folder)
    rows = {path.name: path.read_text() for path in sorted(folder.glob("*.jsonl"))}
    events = list(train(chosen, context))
    told = [repr(e) for e in events if isinstance(e, Metrics | Note)]
    return [rows, *told, *(e.content for e in events if isinstance(e, Artifact) and not callable(e.content))]


def leaves(model: type[BaseModel], prefix: str = "") -> set[str]:
    found: set[str] = set()
    for name, field in model.model_fields.items():
        kind = DataConfig if name == "data" else field.annotation
        nested = isinstance(kind, type) and issubclass(kind, BaseModel)
        found |= leaves(kind, f"{prefix}{name}.") if nested else {prefix + name}
    return found


def test_the_table_names_every_key():
    assert set(OTHER) == leaves(Config) - DECLARED_BY_THE_DATA


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """What the unchanged config measures, by arm."""
    place = tmp_path_factory.mktemp("usual")
    arms = {None: None, **ARM}
    return {key: measured(config(arm=arm), place / str(key)) for key, arm in arms.items()}


@pytest.mark.parametrize("key", sorted(OTHER))
def test_every_key_changes_something(key, usual, tmp_path):
    other = config(key, OTHER[key], ARM.get(key))
    assert measured(other, tmp_path / "other") != usual[key if key in ARM else None]


def test_nothing_changes_by_itself(usual, tmp_path):
    assert measured(config(), tmp_path / "again") == usual[None]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("data.id_range", [9, 9], "must rise"),
        ("data.id_range", [-5, 9], "greater than or equal to 0"),
        ("data.ood_max_ops", 1, "greater than or equal to 2"),
        ("data.ood_min_ops", 6, "exceeds ood_max_ops"),
        ("data.operations", ["+", "+"], "repeat"),
        ("data.operations", [], "at least 1"),
        ("data.operations", ["^"], "'\\+', '-', '\\*' or '/'"),
        ("model.num_heads", 5, "not a multiple"),
        ("model.number_features", ["log", "log"], "repeat"),
        ("model.moduli", [6, 9], "coprime"),
        ("model.representation", "chunks", "go in and out together"),
        ("model.readout", "chunks", "go in and out together"),
        ("model.representation", "residues", "leave as residues"),
        ("training.steps", 0, "greater than or equal to 1"),
        ("ladders.magnitude_digits", 16, "less than or equal to 15"),
        ("training.learning_rate", 0, "greater than 0"),
        ("training.epoch", 3, "Extra inputs"),
    ],
)
def test_senseless_values_are_refused(key, value, said):
    with pytest.raises(ValidationError, match=said):
        config(key, value)


def test_a_config_is_frozen_and_needs_no_torch():
    with pytest.raises(ValidationError, match="frozen"):
        config().data.seed = 3
    code = "import sys, quadrat_studies.fluxem.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
