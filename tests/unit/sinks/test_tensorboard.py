from __future__ import annotations

import math
import subprocess
import sys

import pytest

from quadrat.core.verdicts import Status
from quadrat.sinks.mirror import Mirror
from quadrat.sinks.tensorboard import TensorBoardTracker, hyperparameters
from quadrat.testing.sinks import ended, facts, rows

pytest.importorskip("tensorboard", reason="the package tensorboard is not installed")


def look(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    found.Reload()
    return found


def series(found):
    return [(event.step, event.value) for event in found.Scalars("train/loss")]


def hparams(found, part: str):
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    content = found.summary_metadata[f"_hparams_/{part}"].plugin_data.content
    return getattr(HParamsPluginData.FromString(content), part)


def test_the_table_of_hyperparameters_is_complete(tmp_path):
    run = facts(n=3, flag=True, name_of="two")
    track = TensorBoardTracker(tmp_path).open(run)
    track.rows(rows())
    track.close(ended())
    found = look(tmp_path / run.path)
    start, end = hparams(found, "session_start_info"), hparams(found, "session_end_info")
    values = {name: getattr(value, value.WhichOneof("kind")) for name, value in start.hparams.items()}
    assert values == {
        "arm": "plain", "seed": 0.0, "rate": 0.5, "model.depth": 2.0, "n": 3.0, "flag": True, "name_of": "two",
    }  # fmt: skip
    assert (start.group_name, start.start_time_secs) == ("L2_S0", run.began)
    assert (end.status, end.end_time_secs) == (1, run.began + 60)  # STATUS_SUCCESS


@pytest.mark.parametrize(("status", "number"), [("stopped", 1), ("failed", 2), ("lost", 2)])
def test_how_a_run_ended_is_in_the_table(tmp_path, status, number):
    TensorBoardTracker(tmp_path).open(facts()).close(ended(status))
    assert hparams(look(tmp_path / "L2_S0"), "session_end_info").status == number


def test_what_json_cannot_say_becomes_text():
    config = {"a": math.inf, "b": [1, None], "c": None, "d": {}, "e": 2**70, "f": {"g": {"h": "x"}}}
    shown = hyperparameters(facts(**config))
    assert {name: shown[name] for name in ("a", "b", "d", "e", "f.g.h")} == {
        "a": "inf", "b": "[1,null]", "d": "{}", "e": float(2**70), "f.g.h": "x",
    }  # fmt: skip
    assert "c" not in shown


def test_rows_carry_the_time_of_their_heartbeats(tmp_path):
    track = TensorBoardTracker(tmp_path).open(facts())
    track.rows(rows())
    assert [event.wall_time for event in look(tmp_path / "L2_S0").Scalars("train/loss")] == [r.time for r in rows()]


def test_a_tensorboard_that_is_running_drops_what_was_taken_back(tmp_path):
    tracker = TensorBoardTracker(tmp_path)
    track = tracker.open(facts())
    track.rows(rows(6))
    watching = look(tmp_path / "L2_S0")
    assert len(series(watching)) == 6
    track.rows(rows(8)[6:])
    watching.Reload()
    assert len(series(watching)) == 8
    track.close(None)
    for kept in (1, 2):
        again = tracker.open(facts())
        again.rows(rows(kept))
        watching.Reload()
        assert series(watching) == series(look(tmp_path / "L2_S0")) == [(10, 0.5), (20, 0.25)][:kept]


def test_half_a_record_of_a_killed_mirror_is_cut_off(tmp_path):
    tracker, run = TensorBoardTracker(tmp_path), facts()
    track = tracker.open(run)
    track.rows(rows()[:2])
    mark = track.mark()
    (file,) = (tmp_path / "L2_S0").iterdir()
    with file.open("ab") as torn:
        torn.write(b"\x20\0\0\0\0\0\0\0half")
    later = TensorBoardTracker(tmp_path).resume(run, mark)
    later.rows(rows()[2:])
    assert series(look(tmp_path / "L2_S0")) == [(row.step, row.values["train/loss"]) for row in rows()]
    assert list((tmp_path / "L2_S0").iterdir()) == [file]


def test_the_same_study_sent_twice_is_the_same_bytes(study):
    study.run("first/S0").rows(1, 2, 3).end()
    study.run("first/S1").rows(1).end(Status.FAILED)
    home = study.folder.path / ".tensorboard"

    def send():
        (study.folder.path / ".mirror/tensorboard.json").unlink(missing_ok=True)
        Mirror(TensorBoardTracker(home), study.folder, name="tensorboard").send()
        return {
            path.parent.relative_to(home): path.read_bytes() for path in home.rglob("events*") if path.stat().st_size
        }

    once = send()
    assert [str(path) for path in sorted(once)] == ["first/S0", "first/S1"]
    assert send() == once
    assert send() == once
    assert len(list(home.rglob("events*"))) == 4, "one file more for each run, an empty one"


def test_neither_torch_nor_tensorflow_is_needed(tmp_path):
    code = (
        "import sys\nfrom pathlib import Path\nfrom quadrat.sinks.tensorboard import TensorBoardTracker\n"
        "from quadrat.testing.sinks import ended, facts, rows\n"
        "track = TensorBoardTracker(Path(sys.argv[1])).open(facts())\ntrack.rows(rows())\ntrack.close(ended())\n"
        "print(sorted({'torch', 'tensorflow', 'tensorboardX'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
