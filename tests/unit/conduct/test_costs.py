"""What runs take beside each other, and when compiling pays."""

from __future__ import annotations

from dataclasses import replace

import pytest

from quadrat.conduct.costs import PAYS_AFTER, compiles, pace
from quadrat.run.canary import Song
from quadrat.study.load import load_study

SONG = Song(
    seconds_before=1.0, seconds_per_step=0.1, total_steps=90, peak_bytes=1, checkpoint_bytes=1, row_bytes_per_step=1.0
)


@pytest.fixture
def study(make_lab, tmp_path):
    def load(*overrides):
        return load_study(make_lab(tmp_path).root / "toy.yaml", overrides=overrides)

    return load


def test_a_pace_is_the_singers_seconds(study):
    found = study()
    assert pace(found, found.runs[0], song=SONG) == pytest.approx(10)


@pytest.mark.parametrize("missing", ["total_steps", "seconds_per_step"])
def test_no_pace_without_a_length_or_a_step(study, missing):
    found = study()
    assert pace(found, found.runs[0], song=replace(SONG, **{missing: None})) is None


@pytest.mark.parametrize(
    ("asked", "at", "wanted"),
    [
        ("off", PAYS_AFTER, False),
        ("on", None, True),
        ("on", 0.0, True),
        ("auto", None, False),
        ("auto", PAYS_AFTER, False),
        ("auto", PAYS_AFTER + 1, True),
    ],
)
def test_auto_compiles_what_takes_long_enough(study, asked, at, wanted):
    found = study(f"compile={asked}")
    assert compiles(found, found.runs[:1], at=at) is wanted


@pytest.mark.parametrize(("gpus", "wanted"), [(0, False), (1, True)])
def test_auto_compiles_packs_on_a_gpu_only(study, gpus, wanted):
    found = study("compile=auto", f"resources.gpus={gpus}")
    assert compiles(found, found.runs[:2], at=PAYS_AFTER) is wanted
