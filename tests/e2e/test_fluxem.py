"""The main job on real input: fluxem, killed in the middle, ends with the very weights of an undisturbed run."""

from __future__ import annotations

import json
import random
import signal

import pytest

WORDS = ("fluxem/smoke", "seeds=[0]", "training.epochs=6", "checkpoint.every=3 steps", "workers=2")
ARMS = ("token_only_S0", "hybrid_S0")
SAME = ("metrics.ndjson", "metrics.json", "model.safetensors")


@pytest.fixture(scope="module")
def whole(tmp_path_factory, make_lab):
    """A laboratory in which nothing went wrong."""
    lab = make_lab(tmp_path_factory.mktemp("whole"))
    lab.quadrat("run", *WORDS)
    return lab


def _bytes(lab):
    return {f"{arm}/{name}": (lab.run_folder(arm, "fluxem_smoke") / name).read_bytes() for arm in ARMS for name in SAME}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_at_a_random_moment_it_ends_with_the_same_weights(lab, eventually, whole, number):
    metrics = lab.run_folder("token_only_S0", "fluxem_smoke") / "metrics.ndjson"
    wanted = random.randrange(2, 9)
    process = lab.start("run", *WORDS)
    eventually(lambda: metrics.exists() and metrics.read_bytes().count(b"\n") >= wanted)
    process.send_signal(number)
    process.communicate(timeout=60)
    eventually(lambda: not _running(lab))
    lab.quadrat("run", *WORDS)
    attempts = (lab.run_folder("token_only_S0", "fluxem_smoke") / "params.ndjson").read_text().splitlines()
    assert len(attempts) == 2
    assert _bytes(lab) == _bytes(whole)


def _running(lab) -> bool:
    runs = json.loads(lab.quadrat("ls", "fluxem_smoke", "--json").stdout)["runs"]
    return any(run["status"] == "running" for run in runs)


def test_predictions_are_stored_and_the_metrics_follow_from_them(whole):
    folder = whole.run_folder("hybrid_S0", "fluxem_smoke")
    final = json.loads((folder / "metrics.json").read_text())["final"]
    rows = [json.loads(line) for line in (folder / "artifacts/predictions/test_id.jsonl").read_text().splitlines()]
    hits = sum(row["prediction"] == row["target"] for row in rows)
    assert final["test_id/exact_match"] == pytest.approx(hits / len(rows))


def test_a_model_file_that_is_gone_is_named_by_verify(whole, lab, tmp_path):
    import shutil

    copy = type(lab)(tmp_path / "copy")
    shutil.copytree(whole.root, copy.root)
    (copy.run_folder("hybrid_S0", "fluxem_smoke") / "model.safetensors").unlink()
    said = copy.quadrat("verify", "fluxem_smoke", code=5)
    assert "hybrid_S0/model.safetensors: missing" in said.stdout


def test_record_and_page_are_made_and_the_record_checks_but_for_what_people_owe(whole):
    page = whole.root / whole.quadrat("report", "fluxem_smoke").stdout.strip()
    text = page.read_text(encoding="utf-8")
    assert "Does every arm of the arithmetic study run" in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    record = whole.root / whole.quadrat("record", "draft", "fluxem_smoke").stdout.strip()
    findings = json.loads(whole.quadrat("record", "check", "--json", code=1).stdout)["findings"]
    assert {finding["rule"] for finding in findings} == {"R1"}
    prose = record.read_text(encoding="utf-8").replace("### What worked\n", "### What worked\n\nEverything ran.\n")
    record.write_text(prose, encoding="utf-8")
    whole.quadrat("record", "draft", "fluxem_smoke")
    assert record.read_text(encoding="utf-8") == prose
