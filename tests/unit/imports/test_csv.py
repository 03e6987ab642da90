"""Tables as people really have them, and the cell that cannot be read, named."""

from __future__ import annotations

import math
import tracemalloc

import pytest

from quadrat.core.errors import UsageError
from quadrat.imports.csv import CsvImporter


@pytest.fixture
def read(tmp_path):
    """What is told of a table with this content: the runs, and the sentences about the file."""

    def read(content, name="metrics.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        importer, said = CsvImporter(), []
        return list(importer.read(path, importer.sources(path), tell=said.append)), said

    return read


def rows(run):
    return [(row.step, dict(row.values)) for row in run.series()]


def test_lightnings_metrics_are_one_run_and_blanks_are_no_values(read, foreign):
    (run,), said = read(foreign("csv").read_text())
    assert said == []
    assert run.params == {"model": "mamba"}
    assert rows(run)[:3] == [
        (9, {"epoch": 0.0, "train_loss": 0.75}),
        (19, {"epoch": 0.0, "train_loss": 0.5}),
        (19, {"epoch": 0.0, "val_loss": 0.875}),
    ]
    assert math.isnan(rows(run)[3][1]["train_loss"])
    assert run.status is None


def test_a_column_of_names_makes_many_runs_also_when_their_rows_are_mixed(read):
    runs, _ = read("run;step;loss;opt;seed;config.lr\na;1;0,5;adam;3;1e-3\nb;1;0,25;sgd;4;0.1\na;2;0,125;adam;3;1e-3\n")
    assert [(run.name, run.params) for run in runs] == [
        ("a", {"opt": "adam", "seed": 3, "lr": 0.001}),
        ("b", {"opt": "sgd", "seed": 4, "lr": 0.1}),
    ]
    assert [rows(run) for run in runs] == [[(1, {"loss": 0.5}), (2, {"loss": 0.125})], [(1, {"loss": 0.25})]]


def test_times_are_kept_and_tensorboards_download_is_understood(read):
    (run,), _ = read("Wall time,Step,Value\n1700000000.5,0,1\n1700000001.5,1,0.5\n")
    assert [(row.step, row.values, row.time) for row in run.series()] == [
        (0, {"Value": 1.0}, 1700000000.5),
        (1, {"Value": 0.5}, 1700000001.5),
    ]
    assert (run.started, run.ended) == (1700000000.5, 1700000001.5)
    (run,), _ = read("timestamp,loss\n2024-05-01T12:00:00Z,1\n")
    assert run.started == 1714564800.0


def test_byte_order_mark_windows_ends_quotes_and_formula_signs(read):
    (run,), _ = read(b"\xef\xbb\xbfstep\t'=x\t\"two\r\nlines\"\r\n1\t'-0.5\t7\r\n")
    assert rows(run) == [(1, {"=x": -0.5, "two\r\nlines": 7.0})]


def test_without_a_step_the_rows_are_counted_and_oddities_are_said(read):
    (run,), said = read(",loss,loss,note\n0,1,2,x\n1,3,4,y\n")
    assert rows(run) == [(1, {"loss": 1.0, "loss_2": 2.0}), (2, {"loss": 3.0, "loss_2": 4.0})]
    told = "\n".join(said)
    assert "column 1 has no name" in told
    assert "two columns are called 'loss'" in told
    assert "text that changes within a run: note" in told
    assert "rows of a run are counted" in told


@pytest.mark.parametrize(
    ("content", "where", "what"),
    [
        ("step,loss\n1,0.5\n2,oops\n", "metrics.csv:3:2", "'oops', which is not a number"),
        ("step,loss\n1.5,0.5\n", "metrics.csv:2:1", "a whole number, which a step is"),
        ("step,loss\n,0.5\n", "metrics.csv:2:1", "a whole number"),
        ('step,a\n1,"x\ny"\n2,3,4\n', "metrics.csv:4:3", "the row has 3 cells, the header 2"),
        ("run,loss\n,1\n", "metrics.csv:2:1", "the name of a run"),
        ("step,loss\n", "metrics.csv:2:1", "no rows"),
        (b"step,loss\n1,2\n2,\xff\n", "metrics.csv:3:3", "not UTF-8"),
    ],
)
def test_what_cannot_be_read_is_named_by_file_line_and_column(read, content, where, what):
    with pytest.raises(UsageError, match=what) as caught:
        read(content)
    assert caught.value.where == where


def test_a_long_file_is_not_held_in_memory(tmp_path):
    path = tmp_path / "long.csv"
    with path.open("w") as file:
        file.write("step,loss,acc\n")
        file.writelines(f"{n},{n / 7},0.25\n" for n in range(8_000))
    importer = CsvImporter()
    sources = importer.sources(path)
    tracemalloc.start()
    (run,) = importer.read(path, sources, tell=print)
    count = sum(1 for _ in run.series())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 8_000
    assert peak < 1 << 19
