"""A bench that writes studies as the instrument does: the lock, and run folders through the journal's writer."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from quadrat.analyze.declaration import Declaration, Declared
from quadrat.analyze.rows import Row
from quadrat.analyze.table import StudyTable
from quadrat.core.verdicts import Status
from quadrat.journal.atomic import write_bytes, write_json, write_text
from quadrat.journal.config_yaml import dump_yaml
from quadrat.journal.layout import RunFolder, StudyFolder
from quadrat.journal.process import ProcessId
from quadrat.journal.seal import seal
from quadrat.journal.writer import RunWriter

TEST = "test_id/exact_match"


@dataclass
class Bench:
    root: Path
    study: str = "sums"
    declared: list[dict] = field(default_factory=list)

    @property
    def folder(self):
        return StudyFolder(self.root, self.study)

    def declare(self, runs, **lock):
        """Promise runs given as (arm, seed) or as mappings, and write the lock."""
        for run in runs:
            row = run if isinstance(run, dict) else {"arm": run[0], "seed": run[1]}
            arm, seed, stage = row.get("arm"), row["seed"], row.get("stage")
            name = row.get("name", f"{arm}_S{seed}")
            place = "/".join(part for part in (self.study, stage, name) if part)
            point = row.get("point", {"model.kind": arm})
            known = {"name": name, "stage": stage, "arm": arm, "point": point, "seed": seed}
            self.declared.append({**known, "identity": f"{len(self.declared):012x}", "path": place})
        self.folder.path.mkdir(parents=True, exist_ok=True)
        content = {
            "schema": 1,
            "study": self.study,
            "question": "Do number features let a small decoder add exactly?",
            "hypothesis": "Number features raise exact match by at least ten points.",
            "owner": "Ada Example",
            "trainable": "quadrat_studies.sums:train",
            "source": {"file": "sums.yaml", "sha256": "ab" * 32},
            "plan_sha256": "cd" * 32,
            "declared": self.declared,
            "panels": [{"title": "Success", "metrics": [TEST]}, {"title": "Training", "metrics": ["train/loss"]}],
            "diagrams": [],
            "baseline": {"model.kind": "token_only"},
            "primary": [],
            "stages": [],
            "rules": [{"id": "nonfinite_loss", "metric": "train/loss", "fail": "nonfinite", "action": "stop"}],
            "amendments": [],
        }
        write_json(self.folder.lock_json, {**content, **lock})
        return self

    def open(self, name, *, config=None, argv=None, dirty=False):
        """Begin a declared run: everything a worker writes before science starts. Returns its writer."""
        row = next(row for row in self.declared if row["name"] == name)
        folder = self.folder.path / row["stage"] / name if row["stage"] else self.folder.path / name
        folder.mkdir(parents=True)
        writer = RunWriter(RunFolder(folder), attempt=1)
        files = writer.folder
        settings = {"model": {"kind": row["arm"], "width": 64}, "epochs": 2, "learning_rate": 1e-3}
        write_text(files.config, dump_yaml(settings if config is None else config))
        packages = {"numpy": "2.4.6", "torch": "2.13.0+cpu"}
        world = {"python": "3.11.9", "platform": "Linux-6.1-x86_64", "processor": "Example CPU", "cores": 2}
        more = {"memory_bytes": 8 * 2**30, "accelerators": [], "variables": {"OMP_NUM_THREADS": "1"}}
        write_json(files.env, {"schema": 1, **world, **more, "packages": packages})
        write_json(
            files.git, {"schema": 1, "commit": "0123456789abcdef" * 2 + "01234567", "branch": "main", "dirty": dirty}
        )
        write_bytes(files.git_diff, b"diff --git a/x b/x\n" if dirty else b"")
        listing = [{"path": "train.ndjson", "bytes": 812, "rows": 10, "sha256": "ef" * 32}]
        write_json(
            files.data, {"schema": 1, "key": "k" * 12, "sha256": "12" * 32, "files": listing, "folder": "data/sums-k"}
        )
        writer.params(
            {
                "schema": 1,
                "attempt": 1,
                "study": self.study,
                "run": name,
                **{key: row[key] for key in ("stage", "arm", "point", "identity")},
                "config_sha256": "34" * 32,
                "seed_requested": row["seed"],
                "seed_applied": row["seed"],
                "resumed_from": None,
                "argv": argv or ["/opt/venv/bin/quadrat", "run", f"{self.root}/sums.yaml"],
                "threads": 1,
                "device": "cpu",
            }
        )
        writer.event("started", process=ProcessId.current().as_dict(), resumed_from=None)
        writer.event("note", kind="derived", data={"parameter_count": 1000 + len(str(row["arm"])), "total_steps": 20})
        writer.event("heartbeat", step=0, cpu_s=1.5, rss=2**20)
        return writer

    def run(self, name, *, score=0.5, loss=None, status="completed", more=None, **options):
        """Write a run to its end and seal it. ``score`` None: it ended before it was evaluated."""
        writer = self.open(name, **{key: options.pop(key) for key in ("config", "argv", "dirty") if key in options})
        for step in range(0, 21, 2):
            writer.metrics(step, {"train/loss": 2.0 * math.exp(-step / 10) + 0.1 if loss is None else loss(step)})
        if score is not None:
            writer.metrics(20, {TEST: score, **(more or {})})
        if options.get("diagnosis"):
            writer.event("diagnosed", **options["diagnosis"])
        writer.finish(Status(status), **options)
        writer.close()
        if status != "lost":
            seal(writer.folder)
        return writer.folder


STARVED = {
    "rule": "nonfinite_loss",
    "step": 8,
    "metric": "train/loss",
    "value": "NaN",
    "threshold": "nonfinite",
    "level": "fail",
    "action": "stop",
    "window": [8, 8],
    "diagnosis": "The loss is not a number.",
    "remedy": "Lower the learning rate.",
}
BROKEN = {
    "type": "ValueError",
    "message": "bad <b>shape</b>",
    "where": "model.py:12",
    "traceback": "Traceback ...\nbad",
}


@pytest.fixture
def bench(tmp_path):
    """An empty root to write a study in."""
    return Bench(tmp_path)


@pytest.fixture
def sums(bench, written_sums):
    """Three arms of three seeds: one run failed, one was stopped, one never started."""
    shutil.copytree(written_sums.root / "results", bench.root / "results")
    return replace(bench, declared=written_sums.declared)


@pytest.fixture(scope="session")
def written_sums(tmp_path_factory):
    """The study that ``sums`` is a copy of; written once, since every run costs a dozen flushes to disk."""
    bench = Bench(tmp_path_factory.mktemp("sums"))
    bench.declare([(arm, seed) for arm in ("token_only", "hybrid", "head") for seed in (0, 1, 2)])
    yard = {"oracle/test_id/exact_match": 1.0, "trivial/test_id/majority": 0.02}
    for seed, score in enumerate((0.31, 0.35, 0.30)):
        bench.run(f"token_only_S{seed}", score=score, more=yard)
    for seed, score in enumerate((0.81, 0.88, 0.84)):
        bench.run(f"hybrid_S{seed}", score=score, more=yard, dirty=seed == 1)
    bench.run("head_S0", score=None, status="failed", error=BROKEN)
    bench.run(
        "head_S1", score=0.5, status="stopped", diagnosis=STARVED, loss=lambda step: math.nan if step > 7 else 1.0
    )
    return bench


def declare_grid(bench, *, xs, ys, seeds=(0, 1, 2), stage=None, **lock):
    """Promise a grid over gamma and n_layers, named as a study file would name it."""
    runs = [
        {"name": f"L{y}_G{x}_S{seed}", "seed": seed, "stage": stage, "point": {"gamma": x, "n_layers": y}}
        for y in ys
        for x in xs
        for seed in seeds
    ]
    return bench.declare(runs, **{"diagrams": [DIAGRAM], "panels": [], **lock})


DIAGRAM = {
    "x": "gamma",
    "y": "n_layers",
    "metric": TEST,
    "goal": "max",
    "title": "",
    "classes": {"composite": f"{TEST} >= 0.5", "symmetric": "test_id/mirror >= 0.5"},
}


@pytest.fixture(scope="session")
def half_grid(tmp_path_factory):
    """Two columns of three rows, half finished: a run failed, one is running still, a row has not begun."""
    bench = Bench(tmp_path_factory.mktemp("grid"))
    declare_grid(bench, xs=(1.0, 0.5), ys=(2, 3, 10), baseline={"gamma": 1.0})
    scores = {
        (2, 1.0): (0.80, 0.84, 0.88),
        (2, 0.5): (0.10, 0.11, 0.15),
        (3, 1.0): (0.60, 0.70),
        (3, 0.5): (0.45, 0.20),
    }
    for (layers, gamma), values in scores.items():
        for seed, score in enumerate(values):
            bench.run(f"L{layers}_G{gamma}_S{seed}", score=score, more={"test_id/mirror": 0.05})
    bench.run("L3_G1.0_S2", score=0.9, status="failed", error=BROKEN)
    with bench.open("L3_G0.5_S2") as writer:
        writer.metrics(0, {TEST: 0.3})
        yield bench


@pytest.fixture
def grid_table():
    """Makes the table of a grid out of what each run came to: its metrics, or how it ended without any."""

    def make(cell, *, xs, ys, seeds=(0, 1, 2), axes=("gamma", "n_layers"), diagrams=(DIAGRAM,), **options):
        stage, arm = options.pop("stage", None), options.pop("arm", None)
        rows = []
        for y in ys:
            for x in xs:
                for seed in seeds:
                    came = cell(x, y, seed)
                    status = came if isinstance(came, Status) else Status.COMPLETED
                    point = {axes[0]: x, axes[1]: y}
                    declared = Declared(f"{x}_{y}_{seed}", stage, arm, point, seed=seed, identity=None)
                    rows.append(Row(declared, status, final={} if isinstance(came, Status) else came))
        lock = Declaration({"diagrams": list(diagrams), **options})
        return StudyTable("grid", Path("nowhere"), lock, tuple(rows))

    return make
