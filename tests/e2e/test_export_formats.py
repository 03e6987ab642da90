"""A study leaves in every format, through the real command line: with a failure, a NaN, a formula, a secret."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import zipfile

import pytest

FORMULA = '=HYPERLINK("x","y")'
SECRET = "ghp_" + "formats1A2b3C4d" * 2
MODULE = """\
import json, math
from collections.abc import Iterator
from pathlib import Path
from pydantic import BaseModel
from quadrat import Artifact, Context, Metrics


class Config(BaseModel):
    steps: int = 3
    label: str = "plain"
    crash: bool = False


def train(config: Config, context: Context) -> Iterator[object]:
    for step in range(1, config.steps + 1):
        yield Metrics(step, {"train/loss": math.nan if step == 2 else 1 / step})
        if config.crash:
            raise RuntimeError("it was told to crash")
    yield Metrics(config.steps, {"test/acc": 0.1 + 0.2, "test/lost": math.nan})
    yield Artifact("said.txt", "said " + "SECRET")
"""
DATA = """

def build_data(config: Config, folder: Path) -> None:
    for split, rows in (("train", 4), ("test", 2)):
        lines = [{"text": f"{split} {row}", "answer": row} for row in range(rows)]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(line) + "\\n" for line in lines))
"""
STUDY = """\
study: {name}
question: Does every format hold what happened?
hypothesis: It does.
trainable: {name}:train
arms: {{good: {{label: '{label}'}}, bad: {{crash: true}}}}
seeds: [0]
name: "{{arm}}_S{{seed}}"
workers: 1
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory, make_lab):
    """Two studies of one run that is fine and one that fails, with data and without."""
    lab = make_lab(tmp_path_factory.mktemp("formats"))
    for name, source in (("bare", MODULE), ("rich", MODULE + DATA)):
        (lab.root / f"{name}.py").write_text(source.replace('"SECRET"', f'"{SECRET[:8]}" + "{SECRET[8:]}"'))
        (lab.root / f"{name}.yaml").write_text(STUDY.format(name=name, label=FORMULA))
        lab.quadrat("run", f"{name}.yaml", code=1)
    config = lab.run_folder("good_S0", "rich") / "config.yaml"
    config.write_text(config.read_text() + f"note: {SECRET}\n")  # as a run of another version may have it
    return lab


def exported(lab, tmp_path, name, *, study="rich"):
    """What ``--json`` says of an export, and its folder or file."""
    told = json.loads(lab.quadrat("export", study, "--format", name, "-o", str(tmp_path / name), "--json").stdout)
    assert (told["schema"], told["study"], told["format"]) == ("quadrat.export/1", study, name)
    written = (
        [tmp_path / name] if (tmp_path / name).is_file() else [p for p in (tmp_path / name).rglob("*") if p.is_file()]
    )
    assert [path for path in written if SECRET.encode() in path.read_bytes()] == []
    return told, tmp_path / name


def table(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_zip_is_what_no_format_means(lab, tmp_path):
    told, file = exported(lab, tmp_path, "zip")
    assert set(told["masked"]) == {"results/rich/good_S0/config.yaml", "results/rich/good_S0/artifacts/said.txt"}
    with zipfile.ZipFile(file) as archive:
        assert "results/rich/bad_S0/verdict.json" in archive.namelist()
        assert not [name for name in archive.namelist() if SECRET.encode() in archive.read(name)]
    plain = lab.quadrat("export", "rich", "-o", str(tmp_path / "plain")).stdout.strip()
    with zipfile.ZipFile(plain) as archive, zipfile.ZipFile(file) as other:
        assert archive.namelist() == other.namelist()


def test_csv(lab, tmp_path):
    told, folder = exported(lab, tmp_path, "csv")
    assert told["masked"] == {"runs.csv": 1}
    runs = {row["run"]: row for row in table(folder / "runs.csv")}
    assert {name: row["status"] for name, row in runs.items()} == {"good_S0": "completed", "bad_S0": "failed"}
    assert runs["bad_S0"]["error"] == "RuntimeError: it was told to crash"
    assert runs["good_S0"]["config.label"] == f"'{FORMULA}"
    assert runs["good_S0"]["config.note"] == "***"
    rows = {(row["run"], row["metric"]): row for row in table(folder / "metrics.csv")}
    assert float(rows["good_S0", "test/acc"]["last"]) == 0.1 + 0.2
    assert rows["good_S0", "test/lost"]["last"] == "NaN"
    assert rows["good_S0", "train/loss"]["nonfinite"] == "1"
    assert rows["bad_S0", "train/loss"]["count"] == "1"


def test_parquet(lab, tmp_path):
    pq = pytest.importorskip("pyarrow.parquet", reason="the package pyarrow is not installed")
    _, folder = exported(lab, tmp_path, "parquet")
    runs = {row["run"]: row for row in pq.read_table(folder / "runs.parquet").to_pylist()}
    assert runs["good_S0"]["config.label"] == FORMULA
    assert runs["good_S0"]["config.note"] == "***"
    rows = {(row["run"], row["metric"]): row for row in pq.read_table(folder / "metrics.parquet").to_pylist()}
    assert math.isnan(rows["good_S0", "test/lost"]["last"])
    assert rows["good_S0", "test/acc"]["last"] == 0.1 + 0.2


def test_rows(lab, tmp_path):
    _, folder = exported(lab, tmp_path, "rows")
    params, metrics = (
        [json.loads(line) for line in (folder / f"{name}.ndjson").read_text().splitlines()]
        for name in ("params", "metrics")
    )
    assert {row["$schema"].rpartition("/")[2] for row in params} == {"run_params.schema.json"}
    assert {row["$schema"].rpartition("/")[2] for row in metrics} == {"run_metrics.schema.json"}
    assert {row["run_id"]: row["metadata"]["status"] for row in params} == {
        "rich/good_S0": "completed",
        "rich/bad_S0": "failed",
    }
    assert len(metrics) == 3 + 2 + 1
    lost = {(row["split"], row["metric"], row["step"]) for row in metrics if row["value"] is None}
    assert lost == {("train", "loss", 2), ("test", "lost", 3)}
    times = [row["timestamp"] for row in metrics if row["run_id"] == "rich/good_S0"]
    assert times == sorted(times)
    assert times[0] >= params[0]["timestamp"] - 5


def test_ro_crate(lab, tmp_path):
    _, folder = exported(lab, tmp_path, "ro-crate")
    document = json.loads((folder / "ro-crate-metadata.json").read_text())
    entities = {entity["@id"]: entity for entity in document["@graph"]}
    assert document["@context"][0] == "https://w3id.org/ro/crate/1.1/context"
    for name, entity in entities.items():
        if entity["@type"] == "File":
            assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == entity["sha256"]
    assert {"rich.yaml", "results/rich/good_S0/artifacts/said.txt"} <= set(entities)
    assert entities["#run-bad_S0"]["actionStatus"].endswith("FailedActionStatus")
    assert "told to crash" in entities["#run-bad_S0"]["error"]
    data = next(entity for entity in entities.values() if entity["@type"] == "Collection")
    assert {entities[part["@id"]]["name"].rpartition("/")[2] for part in data["hasPart"]} == {
        "train.jsonl",
        "test.jsonl",
    }
    assert "told to crash" in (folder / "ro-crate-preview.html").read_text()


def test_croissant_and_splits_name_the_same_bytes(lab, tmp_path):
    told, folder = exported(lab, tmp_path, "croissant")
    assert "fill them in" in told["notes"][-1]
    _, splits = exported(lab, tmp_path, "splits")
    described = sorted(folder.glob("*/croissant.json"))
    assert len(described) == 2  # the arms differ in keys that might be about data, so each had its own built
    for path in described:
        files = {file["@id"]: file["sha256"] for file in json.loads(path.read_text())["distribution"]}
        sums = json.loads((splits / path.parent.name / "split_checksums.json").read_text())
        assert {f"{name}.jsonl": digest for name, digest in sums.items()} == files
        lies = lab.root / "data" / path.parent.name / "train.jsonl"
        assert hashlib.sha256(lies.read_bytes()).hexdigest() == files["train.jsonl"]


@pytest.mark.parametrize("name", ["croissant", "splits"])
def test_without_data_there_is_nothing_to_describe(lab, tmp_path, name):
    said = lab.quadrat("export", "bare", "-f", name, "-o", str(tmp_path / "out"), code=2).stderr
    assert "nothing to describe" in said
    assert list(tmp_path.iterdir()) == []


def test_without_data_the_other_formats_are_whole(lab, tmp_path):
    for name in ("csv", "rows", "ro-crate"):
        exported(lab, tmp_path, name, study="bare")
    assert {row["data"] for row in table(tmp_path / "csv/runs.csv")} == {""}


def test_what_is_refused_is_refused_in_one_paragraph(lab, tmp_path):
    known = "croissant, csv, parquet, ro-crate, rows, splits, zip"
    assert known in lab.quadrat("export", "rich", "--format", "exel", code=2).stderr
    target = tmp_path / "mine"
    target.mkdir()
    assert "exists already" in lab.quadrat("export", "rich", "-f", "csv", "-o", str(target), code=2).stderr
    assert list(target.iterdir()) == []
    inside = lab.root / "results/out"
    assert "does not go into results/" in lab.quadrat("export", "rich", "-f", "csv", "-o", str(inside), code=2).stderr
    assert not inside.exists()
