"""The level that a run made again reaches, on folders that the journal's writer wrote."""

from __future__ import annotations

import json
import shutil

import pytest

from quadrat.analyze.parting import Tolerance
from quadrat.analyze.rerun import Level, compare, siblings_of
from quadrat.journal.layout import RunFolder
from quadrat.journal.reader import RunView


@pytest.fixture
def seeds(bench):
    """One arm with four seeds whose scores lie near one another."""
    bench.declare([("a", seed) for seed in range(4)])
    return [RunView(bench.run(f"a_S{seed}", score=0.5 + 0.01 * seed)) for seed in range(4)]


def again(view, tmp_path, *, name="again", **changes):
    """A copy of a run with some text of its rows, sums or facts changed: ``{file: (old, new)}``."""
    place = tmp_path / name
    shutil.copytree(view.path, place)
    for file, (old, new) in changes.items():
        path = place / file.replace("_json", ".json").replace("_ndjson", ".ndjson")
        text = path.read_text()
        assert old in text, (file, text)
        path.write_text(text.replace(old, new))
    return RunView(RunFolder(place))


def level(then, now, siblings=()):
    return compare(then, now, siblings=siblings, tolerance=Tolerance())


def test_the_same_bytes_are_identical(seeds, tmp_path):
    found = level(seeds[0], again(seeds[0], tmp_path))
    assert (found.level, found.expected) == (Level.IDENTICAL, Level.IDENTICAL)
    assert found.conclusion.startswith("identical bytes")


def test_a_rounding_is_within_tolerance_and_its_cause_is_named(seeds, tmp_path):
    now = again(
        seeds[0],
        tmp_path,
        metrics_ndjson=("0.5}", "0.50000000001}"),
        metrics_json=("0.5", "0.50000000001"),
        params_ndjson=('"threads":1', '"threads":2'),
    )
    found = level(seeds[0], now)
    assert (found.level, found.expected) == (Level.TOLERANCE, Level.TOLERANCE)
    assert [item.key for item in found.causes["threads"]] == ["threads"]
    assert "other threads" in found.conclusion


def shifted(view, tmp_path, value, **more):
    changes = {"metrics_ndjson": ("0.5}", f"{value}}}"), "metrics_json": ("0.5", str(value))}
    return again(view, tmp_path, **changes, **more)


def test_what_another_seed_might_have_given_is_consistent(seeds, tmp_path):
    found = level(seeds[0], shifted(seeds[0], tmp_path, 0.52), seeds)
    assert found.level is Level.CONSISTENT
    assert found.expected is Level.IDENTICAL
    assert found.effects.outside == ()


def test_far_from_every_seed_differs(seeds, tmp_path):
    found = level(seeds[0], shifted(seeds[0], tmp_path, 0.9), seeds)
    assert found.level is Level.DIFFERS
    assert found.effects.outside


def test_with_other_code_chance_is_no_excuse(seeds, tmp_path):
    row = json.loads(seeds[0].folder.params.read_text().splitlines()[-1])
    other = {"params_ndjson": (row["code_sha256"], "0" * 64)} if "code_sha256" in row else {}
    if not other:
        other = {"params_ndjson": ('"schema":1', '"schema":1,"code_sha256":"00"')}
    found = level(seeds[0], shifted(seeds[0], tmp_path, 0.52, **other), seeds)
    assert (found.level, found.expected) == (Level.DIFFERS, Level.DIFFERS)
    assert "other code" in found.conclusion


def test_too_few_seeds_say_nothing(seeds, tmp_path):
    found = level(seeds[0], shifted(seeds[0], tmp_path, 0.52), seeds[:2])
    assert found.level is Level.DIFFERS
    assert found.effects.outside is None


def test_the_siblings_are_the_completed_runs_of_the_same_point(seeds, bench):
    found = siblings_of(bench.folder, seeds[0])
    assert [view.name for view in found] == [view.name for view in seeds]
