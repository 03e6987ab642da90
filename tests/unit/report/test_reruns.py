from __future__ import annotations

import json
import shutil

from quadrat.report.reruns import keep_reruns, kept_reruns


def _made(root, run, n, level):
    folder = root / "results" / "sums" / ".reruns" / run / str(n)
    folder.mkdir(parents=True)
    told = {
        "run": run,
        "ran": f"2026-11-2{n}T10:00:00Z",
        "level": level,
        "expected": "identical bytes",
        "conclusion": level,
    }
    (folder / "rerun.json").write_text(json.dumps({**told, "effects": {}}))


def test_every_try_is_kept_once_and_stays_when_its_results_are_gone(tmp_path):
    folder = tmp_path / "experiments" / "2026-11-21_sums"
    folder.mkdir(parents=True)
    keep_reruns(tmp_path, "sums", folder=folder)
    assert kept_reruns(folder) is None
    assert list(folder.iterdir()) == []
    _made(tmp_path, "b_S0", 1, "differs")
    _made(tmp_path, "overfit/a_S0", 1, "identical bytes")
    keep_reruns(tmp_path, "sums", folder=folder)
    assert [(line["run"], line["level"]) for line in kept_reruns(folder)] == [
        ("b_S0", "differs"),
        ("overfit/a_S0", "identical bytes"),
    ]
    before = (folder / "reruns.json").read_bytes()
    keep_reruns(tmp_path, "sums", folder=folder)
    assert (folder / "reruns.json").read_bytes() == before
    shutil.rmtree(tmp_path / "results")
    _made(tmp_path, "b_S0", 2, "within tolerance")
    keep_reruns(tmp_path, "sums", folder=folder)
    assert [(line["run"], line["level"]) for line in kept_reruns(folder)] == [
        ("b_S0", "differs"),
        ("b_S0", "within tolerance"),
        ("overfit/a_S0", "identical bytes"),
    ]


def test_damaged_reports_are_no_verdict(tmp_path):
    folder = tmp_path / "results" / "sums" / ".reruns" / "a" / "1"
    folder.mkdir(parents=True)
    (folder / "rerun.json").write_text("{")
    keep_reruns(tmp_path, "sums", folder=tmp_path)
    assert kept_reruns(tmp_path) is None
    (tmp_path / "reruns.json").write_text('{"reruns": [1, {"run": "a"}]}')
    assert kept_reruns(tmp_path) == [{"run": "a"}]
