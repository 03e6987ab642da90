from __future__ import annotations

import pytest

from quadrat.logbook.when import holds

CONFIG = {
    "ste_phys": False,
    "matrix_mix": True,
    "sym_weight": 0.1,
    "num_workers": 0,
    "solver": "lm",
    "tau_min": None,
    "physics": "off",
    "data.path": None,
    "path": "x",
}


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("ste_phys is false", True),
        ("ste_phys is true", False),
        ("ste_phys", False),
        ("matrix_mix", True),
        ("ste_phys is false and matrix_mix is true", True),
        ("ste_phys is true and matrix_mix is true", False),
        ("ste_phys is true or matrix_mix is on", True),
        ("sym_weight > 0", True),
        ("sym_weight >= 0.2", False),
        ("sym_weight is 0.1", True),
        ("num_workers > 0", False),
        ("solver is lm", True),
        ("solver is not lm", False),
        ("solver == unroll", False),
        ("tau_min is set", False),
        ("tau_min is not set", True),
        ("tau_min is null", True),
        ("physics is on", False),
        ("physics is off", True),
        ("path is null", True),  # beside the option: data.path
        ("nobody is true", None),
        ("ste_phys is true and nobody is true", False),
        ("matrix_mix is true or nobody is true", True),
        ("matrix_mix is true and nobody is true", None),
        ("solver > 3", None),
        ("some words that are no condition", None),
    ],
)
def test_a_condition_is_read_against_the_config(when, expected):
    assert holds(when, key="data.seed", config=CONFIG) is expected


def test_a_name_of_the_whole_config_is_found_when_nothing_lies_beside_the_option():
    assert holds("path is x", key="lr", config=CONFIG) is True
    assert holds("solver is lm", key="data.seed", config=CONFIG) is True
