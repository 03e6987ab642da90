"""``quadrat verify``: a study, a run, a record; every way to change one is found and named."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from quadrat.analyze.verification import verify_record, verify_run, verify_study
from quadrat.journal.layout import RunFolder, StudyFolder
from quadrat.journal.seal import seal

RUN = "results/toy/R0.1_S0"


@pytest.fixture(scope="module")
def finished(tmp_path_factory, make_lab):
    """Six runs, one evaluation, a record."""
    lab = make_lab(tmp_path_factory.mktemp("finished"))
    lab.quadrat("run", "toy.yaml")
    lab.quadrat("evaluate", "toy/R0.5_S1", "slope=3.0")
    lab.quadrat("record", "draft", "toy")
    return lab


@pytest.fixture
def project(finished, tmp_path):
    """A copy of it that a test may damage."""
    place = tmp_path / "project"
    shutil.copytree(finished.root, place, symlinks=True)
    return type(finished)(place)


def flip(path: Path) -> None:
    """Another byte in the middle; size and times as before."""
    before, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def edit(path: Path, change) -> None:
    """Change a JSON file."""
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def damages(root: Path) -> dict[str, str]:
    """Everything said about each path."""
    found: dict[str, str] = {}
    for damage in verify_study(root, StudyFolder(root, "toy")).found.damages:
        found[damage.path] = f"{found.get(damage.path, '')} {damage.what};"
    return found


def test_a_study_a_run_an_evaluation_and_a_record_verify(finished):
    said = finished.quadrat("verify", "toy").stderr
    assert "6 sealed runs, 1 evaluations and re-runs" in said
    assert "nothing differs" in said
    one = json.loads(finished.quadrat("verify", "R0.5_S1", "--json").stdout)
    assert (one["runs"], one["beside"], one["damages"], one["fast"]) == (1, 1, [], False)
    evaluation = next(finished.root.glob("results/toy/.evaluations/R0.5_S1/*"))
    assert "1 evaluations" in finished.quadrat("verify", str(evaluation)).stderr
    record = next(finished.root.glob("experiments/????-??-??_*.md"))
    said = finished.quadrat("verify", str(record.relative_to(finished.root))).stderr
    assert "6 sealed runs" in said
    assert "nothing differs" in said


def test_a_fast_look_says_that_it_is_fast(project):
    flip(next(project.root.glob("data/*/points.txt")))
    said = project.quadrat("verify", "toy", "--fast")
    assert "taken on trust by size and time, not hashed" in said.stderr
    shown = project.quadrat("verify", "toy", code=5)
    assert "points.txt: has other contents" in shown.stdout
    assert "on trust" not in shown.stderr


def test_what_nobody_has_is_refused_in_a_paragraph(project):
    assert "toy" in project.quadrat("verify", "toi", code=2).stderr
    assert "toy/R0.1_S0" in project.quadrat("verify", "toy/R0.1_S9", code=2).stderr
    (project.root / "notes.md").write_text("# Notes")
    assert "draft the record" in project.quadrat("verify", "notes.md", code=2).stderr


@pytest.mark.parametrize(
    "pattern",
    [
        f"{RUN}/metrics.ndjson",
        f"{RUN}/checkpoints/*/*.json",
        "data/*/points.txt",
        "results/toy/.evaluations/*/*/metrics.ndjson",
        "experiments/*/runs.csv",
    ],
)
def test_a_flipped_byte_is_named_wherever_it_is(project, pattern):
    path = next(project.root.glob(pattern))
    flip(path)
    assert path.relative_to(project.root).as_posix() in damages(project.root)


def test_an_edit_of_sealed_metrics_is_found_though_the_run_was_sealed_again(project):
    run = RunFolder(project.root / RUN)
    edit(run.metrics_json, lambda told: told["final"].update({"test/gap": 0.0}))
    seal(run)
    found = damages(project.root)
    assert "final of test/gap; test/gap is 0.0, the rows say" in found[f"{RUN}/metrics.json"]
    shown = project.quadrat("verify", "R0.1_S0", code=5).stdout
    assert f"{RUN}/metrics.json: does not follow from metrics.ndjson" in shown


def test_rows_and_sums_edited_together_differ_from_the_evidence(project):
    """The last thing that holds: the record keeps the seal the run had when the record was written."""
    run = RunFolder(project.root / RUN)
    gap = json.loads(run.metrics_json.read_text())["final"]["test/gap"]
    run.metrics.write_text(run.metrics.read_text().replace(repr(gap), "0.0125"))
    run.metrics_json.write_text(run.metrics_json.read_text().replace(repr(gap), "0.0125"))
    seal(run)
    assert "was sealed anew" in damages(project.root)[f"{RUN}/metrics.json"]
    record = next(project.root.glob("experiments/????-??-??_*.md"))
    told = verify_record(project.root, record).found.damages
    assert [damage.path for damage in told] == [f"{RUN}/metrics.json"]


def test_swapped_runs_are_named(project):
    one, two = project.root / RUN, project.root / "results/toy/R0.5_S0"
    one.rename(one.with_name("aside"))
    two.rename(one)
    one.with_name("aside").rename(two)
    found = damages(project.root)
    assert "says that this is toy/R0.5_S0" in found[f"{RUN}/params.ndjson"]
    assert "says that this is toy/R0.1_S0" in found["results/toy/R0.5_S0/params.ndjson"]


def test_a_row_edited_to_hide_a_swap_has_an_identity_that_does_not_fit(project):
    one, two = project.root / RUN, project.root / "results/toy/R0.5_S0"
    shutil.rmtree(one)
    shutil.copytree(two, one)
    run = RunFolder(one)
    run.params.write_text(run.params.read_text().replace("R0.5_S0", "R0.1_S0"))
    seal(run)
    found = [damage.what for damage in verify_run(project.root, run).found.damages]
    assert any("but the study declared" in what for what in found), found


def test_a_config_that_was_not_the_one_trained_is_named(project):
    run = RunFolder(project.root / RUN)
    run.config.write_text(run.config.read_text().replace("slope: 2.0", "slope: 2.5"))
    seal(run)
    assert "is not the config of this run" in damages(project.root)[f"{RUN}/config.yaml"]


def test_a_data_manifest_that_was_exchanged_is_named(project):
    run = RunFolder(project.root / RUN)
    edit(run.data, lambda told: told["files"][0].update(sha256="0" * 64))
    seal(run)
    found = damages(project.root)
    assert "the hash it gives for all of them" in found[f"{RUN}/data.json"]


def test_a_checkpoint_that_was_exchanged_is_named(project):
    run = RunFolder(project.root / RUN)
    meta = sorted(run.checkpoints.glob("step-*/meta.json"))[-1]
    name = next(iter(json.loads(meta.read_text())["files"]))
    flip(meta.with_name(name))
    seal(run)
    place = meta.with_name(name).relative_to(project.root).as_posix()
    assert "was saved with this checkpoint" in damages(project.root)[place]


@pytest.mark.parametrize("what", ["file", "run", "data"])
def test_links_are_named_and_not_followed(project, tmp_path, what):
    place = {"file": f"{RUN}/health.json", "run": RUN, "data": "data"}[what]
    path = project.root / place if what != "data" else next((project.root / "data").glob("toy-*"), None)
    path = path or next(item for item in (project.root / "data").iterdir() if item.is_dir())
    path.rename(tmp_path / "outside")
    path.symlink_to(tmp_path / "outside")
    told = " ".join(f"{where} {said}" for where, said in damages(project.root).items())
    assert path.relative_to(project.root).as_posix() in told
    assert "link" in told


def test_a_run_that_is_not_sealed_is_counted_and_not_called_good(project):
    (project.root / RUN / "manifest.json").unlink()
    said = project.quadrat("verify", "toy").stderr
    assert "5 sealed runs" in said
    assert "1 runs not sealed" in said


def test_a_clone_without_results_names_what_is_absent(project):
    shutil.rmtree(project.root / "results")
    shutil.rmtree(project.root / "data")
    record = next(project.root.glob("experiments/????-??-??_*.md"))
    told = verify_record(project.root, record)
    assert len(told.absent) == 6
    assert not told.found.damages
