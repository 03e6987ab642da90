"""Evidence: small, whole, the same every time, and nothing in it but what belongs there."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import sys

import pytest

from quadrat.analyze.diagram import phase_diagrams
from quadrat.analyze.table import load_study_table
from quadrat.core.errors import StoreError, UsageError
from quadrat.journal.audit import verify_study
from quadrat.report.evidence import cells_csv, runs_csv, write_evidence


def tree(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def evidence(sums):
    return write_evidence(sums.root, "sums")


def test_it_lies_beside_the_record_under_the_date(sums, evidence):
    facts = json.loads((evidence / "facts.json").read_bytes())
    assert evidence == sums.root / "experiments" / f"{facts['date']}_sums"
    assert facts["evidence"] == evidence.name
    assert facts["figures"]
    assert all((evidence.parent / path).is_file() for path in facts["figures"])


def test_every_run_leaves_what_a_check_needs(evidence):
    for name in ("config.yaml", "params.ndjson", "metrics.json", "health.json", "verdict.json", "env.json", "git.json"):
        assert (evidence / "runs" / "head_S0" / name).is_file()
    assert (evidence / "runs" / "hybrid_S2" / "manifest.json").is_file()
    assert not list(evidence.rglob("metrics.ndjson"))
    assert not (evidence / "runs" / "head_S2").exists()


def test_it_is_small(evidence):
    sizes = [sum(map(len, tree(run).values())) for run in (evidence / "runs").iterdir()]
    assert max(sizes) < 10_000


def test_uncommitted_changes_are_kept_once(evidence):
    (patch,) = (evidence / "code").iterdir()
    content = patch.read_bytes()
    assert content == b"diff --git a/x b/x\n"
    assert patch.name == f"{hashlib.sha256(content).hexdigest()[:12]}.diff"


def test_the_manifest_names_every_file_by_hash(sums, evidence):
    manifest = json.loads((evidence / "evidence.json").read_bytes())
    files = tree(evidence)
    del files["evidence.json"]
    told = {item["path"]: (item["bytes"], item["sha256"]) for item in manifest["files"]}
    assert told == {path: (len(data), hashlib.sha256(data).hexdigest()) for path, data in files.items()}
    inside = evidence.relative_to(sums.root).as_posix()
    assert not [damage for damage in verify_study(sums.root, sums.folder).damages if damage.path.startswith(inside)]


def test_a_changed_file_is_found_by_verification(sums, evidence):
    (evidence / "runs.csv").write_text("study\n")
    told = [damage.path for damage in verify_study(sums.root, sums.folder).damages]
    assert f"experiments/{evidence.name}/runs.csv" in told


def test_writing_it_again_changes_no_byte_and_no_time(sums, evidence):
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in evidence.rglob("*") if path.is_file()}
    write_evidence(sums.root, "sums")
    after = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in evidence.rglob("*") if path.is_file()}
    assert after == before


def test_two_roots_with_the_same_results_give_the_same_evidence(sums, evidence, tmp_path_factory):
    import shutil

    other = tmp_path_factory.mktemp("other")
    shutil.copytree(sums.root / "results", other / "results")
    assert tree(write_evidence(other, "sums")) == tree(evidence)


def test_what_is_no_longer_evidence_goes_and_what_a_person_put_there_stays(sums, evidence):
    (evidence / "notes.md").write_text("mine")
    manifest = json.loads((evidence / "evidence.json").read_bytes())
    manifest["files"].append({"path": "figures/old.svg", "bytes": 1, "sha256": "0"})
    manifest["files"].append({"path": "../../outside.txt", "bytes": 1, "sha256": "0"})
    (evidence / "evidence.json").write_text(json.dumps(manifest))
    (evidence / "figures" / "old.svg").write_text("x")
    (sums.root / "outside.txt").write_text("x")
    write_evidence(sums.root, "sums")
    assert (evidence / "notes.md").is_file()
    assert not (evidence / "figures" / "old.svg").exists()
    assert (sums.root / "outside.txt").is_file()


def test_links_in_a_run_folder_are_not_followed(sums, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("password", encoding="utf-8")
    config = sums.folder.path / "hybrid_S0" / "env.json"
    config.unlink()
    config.symlink_to(secret)
    folder = write_evidence(sums.root, "sums")
    assert not (folder / "runs" / "hybrid_S0" / "env.json").exists()
    assert not any(b"password" in data for data in tree(folder).values())


def test_it_stays_inside_the_root(sums, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    with pytest.raises(UsageError, match="leads out"):
        write_evidence(sums.root, "sums", folder=outside / "evidence")
    assert not list(outside.iterdir())


def test_a_study_that_has_not_started_has_none(bench):
    bench.declare([("a", 0)])
    with pytest.raises(StoreError, match="nothing of this study has started"):
        write_evidence(bench.root, "sums")


def test_without_matplotlib_old_figures_stay_and_none_are_missed(sums, evidence, monkeypatch):
    before = tree(evidence)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    write_evidence(sums.root, "sums")
    assert tree(evidence) == before


def test_without_matplotlib_everything_else_is_written(sums, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    folder = write_evidence(sums.root, "sums")
    assert (folder / "evidence.json").is_file()
    assert not (folder / "figures").exists()


def test_the_runs_as_csv(sums):
    rows = list(csv.DictReader(io.StringIO(runs_csv(load_study_table(sums.folder)))))
    assert [row["run"] for row in rows][:2] == ["token_only_S0", "token_only_S1"]
    assert (rows[0]["test_id/exact_match"], rows[0]["seed"], rows[0]["status"]) == ("0.31", "0", "completed")
    assert (rows[7]["train/loss"], rows[8]["test_id/exact_match"]) == ("nan", "")


def test_no_cell_of_the_csv_is_a_formula(bench):
    point = {"@SUM(A1)": "=1+1", "delta": -0.5}
    bench.declare([{"name": "=cmd|' /C calc'!A0", "arm": "+x", "seed": -1, "point": point}])
    head, row = list(csv.reader(io.StringIO(runs_csv(load_study_table(bench.folder)))))
    assert not [cell for cell in (*head, *row) if cell[:1] in ("=", "+", "@", "\t", "\r")]
    assert dict(zip(head, row, strict=True))["delta"] == "-0.5"  # a number is no formula


def test_a_figure_too_large_to_commit_as_vectors_is_kept_as_pixels(half_grid, monkeypatch):
    monkeypatch.setattr("quadrat.report.evidence.LARGEST_VECTOR", 10)
    folder = write_evidence(half_grid.root, "sums")
    facts = json.loads((folder / "facts.json").read_bytes())
    assert facts["figures"]
    assert {path.rpartition(".")[2] for path in facts["figures"]} == {"png"}
    assert {path.suffix for path in (folder / "figures").iterdir()} == {".png"}


def test_a_phase_diagram_leaves_its_figure_and_its_cells(half_grid, monkeypatch):
    folder = write_evidence(half_grid.root, "sums")
    slug = "diagram-gamma-n_layers-test_id-exact_match"
    facts = json.loads((folder / "facts.json").read_bytes())
    assert f"{folder.name}/figures/{slug}.svg" in facts["figures"]
    assert not (folder / "figures" / f"{slug}.png").exists()
    content = (folder / "diagrams" / f"{slug}.csv").read_text()
    rows = list(csv.DictReader(io.StringIO(content)))
    assert [(row["n_layers"], row["gamma"]) for row in rows[:3]] == [("2", "1.0"), ("2", "0.5"), ("3", "1.0")]
    first, third, last = rows[0], rows[2], rows[-1]
    assert (first["n"], first["measured"], first["mean"], first["method"]) == ("3", "3", "0.84", "t interval")
    assert (first["class"], first["settled"], first["runs_by_class"]) == ("composite", "yes", "3 composite")
    assert (third["missing"], third["least"], third["greatest"], third["settled"]) == ("2 failed", "0.6", "0.7", "no")
    assert (last["measured"], last["mean"], last["class"]) == ("0", "nan", "")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    (folder / "diagrams" / f"{slug}.csv").unlink()
    write_evidence(half_grid.root, "sums")
    assert (folder / "diagrams" / f"{slug}.csv").read_text() == content


def test_no_cell_of_a_diagram_is_a_formula(grid_table):
    diagram = {"x": "=gamma", "y": "+n", "metric": "acc", "classes": {"=high": "acc > 0"}}
    table = grid_table(lambda *_: {"acc": -0.5}, xs=["=1+1"], ys=[-2.0], axes=("=gamma", "+n"), diagrams=[diagram])
    head, row = list(csv.reader(io.StringIO(cells_csv(phase_diagrams(table)[0]))))
    assert not [cell for cell in (*head, *row) if cell[:1] in ("=", "+", "@")]
    assert (row[0], row[4]) == ("-2.0", "-0.5")  # a number is no formula
