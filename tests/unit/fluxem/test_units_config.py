"""The keys of the units data: refused when they make no sense, and never mixed with arithmetic."""

from __future__ import annotations

import subprocess
import sys
from typing import get_args

import pytest
from pydantic import ValidationError

from quadrat_studies.fluxem.config import Config, DataConfig
from quadrat_studies.fluxem.units_code import QUANTITY_FEATURES
from quadrat_studies.fluxem.units_config import UNITS_FEATURES, UnitsDataConfig, UnitType
from quadrat_studies.fluxem.units_data import draw_splits
from quadrat_studies.fluxem.units_table import UNIT_TYPES

DATA = {"domain": "units", "train_size": 40, "validation_size": 8, "test_size": 8}
OTHER = {
    "train_size": 41,
    "validation_size": 9,
    "test_size": 9,
    "unit_types": ["length", "mass", "time"],
    "heldout_types": ["area"],
    "heldout_pair_share": 0.5,
    "id_magnitude_range": [1e-2, 1e2],
    "ood_magnitude_range": [1e-6, 1e6],
    "include_can_add": False,
    "significant_digits": 4,
    "seed": 1,
}


def data(**changes) -> UnitsDataConfig:
    return UnitsDataConfig.model_validate({**DATA, **changes})


def test_the_table_names_every_key_but_the_domain():
    assert set(OTHER) == set(UnitsDataConfig.model_fields) - {"domain"}


@pytest.mark.parametrize("key", OTHER)
def test_every_key_changes_the_data(key):
    assert draw_splits(data(**{key: OTHER[key]})) != draw_splits(data())


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("id_magnitude_range", [1, 1], "must rise"),
        ("id_magnitude_range", [0, 1], r"greater than or equal to 0\.0+1 "),
        ("ood_magnitude_range", [1, 1e9], "must hold id_magnitude_range"),
        ("ood_magnitude_range", [1e-3, 1e3], "must hold id_magnitude_range"),
        ("unit_types", ["length"], "at least 2"),
        ("unit_types", ["length", "length"], "twice in unit_types and heldout_types: length"),
        ("heldout_types", ["mass"], "twice in unit_types and heldout_types: mass"),
        ("unit_types", ["length", "colour"], "'length', 'mass'"),
        ("heldout_pair_share", 1.0, "less than 1"),
        ("significant_digits", 0, "greater than or equal to 1"),
        ("operations", ["+"], "Extra inputs"),
        ("domain", "units?", "'units'"),
    ],
)
def test_senseless_values_are_refused(key, value, said):
    with pytest.raises(ValidationError, match=said):
        data(**{key: value})


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({"data": DATA}, "set model.alphabet to units"),
        ({"model": {"alphabet": "units"}}, "set model.alphabet to arithmetic"),
        ({"data": {**DATA, "id_range": [0, 9]}, "model": {"alphabet": "units"}}, "Extra inputs"),
        ({"data": {"unit_types": ["length", "mass"]}}, "Extra inputs"),
        ({"data": DATA, "model": {"alphabet": "units", "readout": "number_head"}}, "readout digits"),
        ({"data": DATA, "model": {"alphabet": "units", "representation": "fone"}}, "token_only or hybrid"),
        ({"data": DATA, "model": {"alphabet": "units", "representation": "hybrid"}}, "codes of the numbers of units"),
        ({"model": {"representation": "hybrid", "number_features": ["log", "phases"]}}, "numbers of arithmetic"),
        ({"data": DATA, "model": {"alphabet": "units"}, "ladders": {"operands": 3}}, "tables of arithmetic"),
    ],
)
def test_domains_are_not_mixed(tree, said):
    with pytest.raises(ValidationError, match=said):
        Config.model_validate(tree)


def test_a_data_section_without_a_domain_is_about_arithmetic_and_has_no_key_more():
    assert isinstance(Config().data, DataConfig)
    assert isinstance(Config.model_validate({"data": {"id_range": [0, 9]}}).data, DataConfig)
    assert "domain" not in Config().model_dump()["data"]
    units = Config.model_validate({"data": DATA, "model": {"alphabet": "units"}})
    assert isinstance(units.data, UnitsDataConfig)
    assert Config.model_validate(units.model_dump(mode="json")) == units


def test_names_in_the_config_are_those_of_the_tables():
    assert set(get_args(UnitType)) == set(UNIT_TYPES)
    assert set(QUANTITY_FEATURES) == UNITS_FEATURES


def test_a_config_is_frozen_and_needs_no_torch():
    with pytest.raises(ValidationError, match="frozen"):
        data().seed = 3
    code = "import sys, quadrat_studies.fluxem.units_config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
