"""From one song to what a sweep will take."""

from __future__ import annotations

import pytest

from quadrat.conduct.forecast import Forecast, forecast, spell
from quadrat.conduct.jobs import Launch
from quadrat.core.errors import StoreError
from quadrat.run.canary import Song
from quadrat.study.load import load_study

SONG = Song(
    seconds_before=1.0, seconds_per_step=0.1, total_steps=90, peak_bytes=10**9, checkpoint_bytes=10**6,
    row_bytes_per_step=100.0,
)  # fmt: skip


@pytest.fixture
def launch(make_lab, tmp_path):
    return Launch(load_study(make_lab(tmp_path).root / "toy.yaml"), tmp_path, ())


def test_time_is_shared_among_slots_and_disk_is_not(launch):
    runs = launch.study.runs
    seen = forecast(launch, runs, song=SONG, slots=2)
    assert seen.seconds == pytest.approx(len(runs) * 10 / 2)
    assert seen.disk_bytes == pytest.approx(len(runs) * (3 * 10**6 + 9000 + 100_000))
    assert "6 runs, at most 30 s" in seen.text()


def test_more_slots_than_runs_do_not_help(launch):
    assert forecast(launch, launch.study.runs[:2], song=SONG, slots=8).seconds == pytest.approx(10)


@pytest.mark.parametrize("missing", ["total_steps", "seconds_per_step"])
def test_what_the_canary_could_not_tell_is_said_to_be_unknown(launch, missing):
    from dataclasses import replace

    seen = forecast(launch, launch.study.runs, song=replace(SONG, **{missing: None}), slots=2)
    assert seen.seconds is None
    assert "unknown time" in seen.text()


def test_too_little_disk_is_refused_with_the_figures():
    seen = Forecast(runs=90, seconds=60.0, disk_bytes=12 * 10**9, free_bytes=3 * 10**9, peak_bytes=0)
    with pytest.raises(StoreError, match=r"90 runs need about 12 GB of disk, and 3 GB are free"):
        seen.check("toy")
    Forecast(runs=1, seconds=None, disk_bytes=1, free_bytes=2, peak_bytes=0).check("toy")


@pytest.mark.parametrize(("seconds", "text"), [(5, "5 s"), (600, "10 minutes"), (7200, "2.0 hours")])
def test_durations_are_spelt_as_people_do(seconds, text):
    assert spell(seconds) == text
