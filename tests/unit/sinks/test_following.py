from __future__ import annotations

import math

import orjson
import pytest

from quadrat.core.verdicts import Status
from quadrat.journal.layout import RunFolder
from quadrat.sinks.following import Clock, RunSource, lines_from, masked


def taken(source: RunSource) -> list[int]:
    return [row.step for row in source.take()]


def test_rows_are_taken_once_and_a_torn_one_only_when_it_is_whole(study):
    story = study.run().rows(1, 2)
    source = RunSource(story.folder)
    assert taken(source) == [1, 2]
    assert taken(source) == []
    with story.folder.metrics.open("ab") as file:
        file.write(b'{"step":3,"metrics":{"train')
    assert taken(source) == []
    with story.folder.metrics.open("ab") as file:
        file.write(b'/loss":"NaN"}}\n')
    (row,) = source.take()
    assert row.step == 3
    assert math.isnan(row.values["train/loss"])


def test_damage_costs_the_damaged_lines_only(study):
    story = study.run().rows(1)
    with story.folder.metrics.open("ab") as file:
        file.write(b'\0\0\0\n{"step":2,"metri{"step":3,"metrics":{"x":1}}\n[]\n{"step":"4","metrics":{"x":1}}\n')
        file.write(b'{"step":5,"metrics":{"x":null,"y":7}}\n{"step":6,"metrics":{}}\n')
    rows = RunSource(story.folder).take()
    assert [(row.step, dict(row.values)) for row in rows] == [(1, {"train/loss": 1.0}), (5, {"y": 7.0})]


def test_a_file_of_many_chunks_is_taken_whole(study, monkeypatch):
    monkeypatch.setattr("quadrat.sinks.following.CHUNK", 64)
    story = study.run().rows(*range(1, 200))
    source, found = RunSource(story.folder), []
    while rows := source.take():
        found += [row.step for row in rows]
    assert found == list(range(1, 200))
    assert source.offset == story.folder.metrics.stat().st_size


def test_a_line_longer_than_a_chunk_is_read_whole(tmp_path):
    path = tmp_path / "lines"
    path.write_bytes(b"a" * 100 + b"\nb\ntorn")
    assert lines_from(path, 0, limit=8) == b"a" * 100 + b"\n" + b"b\n"[: (100 // 8 + 1) * 8 - 101]
    assert lines_from(path, 101) == b"b\n"
    assert lines_from(path, 103) == b""
    assert lines_from(tmp_path / "none", 0) == b""


def test_a_cut_is_noticed_also_when_the_file_has_grown_again(study):
    story = study.run().rows(1, 2, 3)
    source = RunSource(story.folder)
    source.take()
    assert not source.go_back_if_cut()
    story.lose().again(keep=1).rows(2, 3, 4)
    assert not source.go_back_if_cut(), "the same bytes as before"
    assert taken(source) == [4]
    story.lose().again(keep=1).rows(2, 3, 4, 5, 6, scale=2.0)
    assert source.go_back_if_cut()
    assert taken(source) == [1, 2, 3, 4, 5, 6]


def test_skips_what_was_taken_before_only_when_it_still_stands_there(study):
    story = study.run().rows(1, 2, 3)
    before = RunSource(story.folder)
    before.take()
    story.rows(4)
    later = RunSource(story.folder)
    assert later.skip_to(before.offset, sha256=before.sha256)
    assert taken(later) == [4]
    for offset, sha256 in ((before.offset - 1, before.sha256), (before.offset, "0" * 64), (10**6, before.sha256)):
        other = RunSource(story.folder)
        assert not other.skip_to(offset, sha256=sha256)
        assert taken(other) == [1, 2, 3, 4]


def events(path, *rows):
    with path.open("ab") as file:
        file.writelines(orjson.dumps({"time": f"2026-11-21T10:00:{s:06.3f}Z", **row}) + b"\n" for s, row in rows)


def test_time_passes_evenly_between_heartbeats_and_a_later_attempt_wins(tmp_path):
    path = tmp_path / "events.ndjson"
    clock = Clock(path)
    events(path, (0, {"event": "started"}), (10, {"event": "heartbeat", "step": 100}))
    clock.read()
    begin = clock.at(0)
    assert [clock.at(step) - begin for step in (-5, 0, 50, 100, 900)] == [0, 0, 5, 10, 10]
    events(path, (20, {"event": "heartbeat", "step": 200}), (30, {"event": "started"}))
    events(path, (40, {"event": "heartbeat", "step": 150}), (50, {"event": "finished", "step": 250}))
    clock.read()
    assert [clock.at(step) - begin for step in (50, 150, 200, 250)] == [5, 40, 45, 50]
    clock.forget(200)
    assert [clock.at(step) - begin for step in (200, 250)] == [45, 50]
    assert clock.last - begin == 50


def test_events_without_sense_do_not_stop_the_clock(tmp_path):
    path = tmp_path / "events.ndjson"
    path.write_bytes(b'{"event":"heartbeat","step":1,"time":"soon"}\n\xff\n{"event":"heartbeat","step":"x"}\n[1]\n')
    clock = Clock(path)
    clock.read()
    assert clock.at(1) > 1.7e9


def test_facts_and_ending(study):
    story = (
        study.run("first/L2_S0", config="rate: 0.5\nmodel: {depth: 2}\napi_key: abcdef123456\n")
        .rows(1, 2, 4)
        .end(Status.STOPPED)
    )
    source = RunSource(story.folder)
    facts, ending = source.facts("demo"), source.ending()
    assert (facts.study, facts.name, facts.stage, facts.arm, facts.seed) == ("demo", "L2_S0", "first", "plain", 3)
    assert facts.path == "first/L2_S0"
    assert facts.config == {"rate": 0.5, "model": {"depth": 2}, "api_key": "***"}
    assert ending.status == "stopped"
    assert ending.summary == {"train/loss": 0.25, "min/train/loss": 0.25, "max/train/loss": 1.0}
    assert facts.began <= ending.time


def test_a_token_is_a_runs_own_and_stays(study, tmp_path):
    one, two = study.run("S0").rows(1, 2), study.run("S1").rows(1)
    token = RunSource(one.folder).facts("demo").token
    assert len(token) == 16
    assert RunSource(two.folder).facts("demo").token != token
    one.lose().again(keep=1)
    moved = one.folder.path.rename(tmp_path / "S0")
    assert RunSource(RunFolder(moved)).facts("other").token == token


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"api_key": "0123456789abcdef"}, {"api_key": "***"}),
        ({"deep": [{"wandb_key": "0123456789"}, 1]}, {"deep": [{"wandb_key": "***"}, 1]}),
        ({"url": "https://me:pass@host/x"}, {"url": "https://***@host/x"}),
        ({"password": ["hunter22", "hunter23"]}, {"password": ["***", "***"]}),
        ("hf_" + "a" * 30, "***"),
        (
            {"token_dim": 12, "key": "value", "secretive": "not so"},
            {"token_dim": 12, "key": "value", "secretive": "not so"},
        ),
    ],
)
def test_secrets_are_masked(value, shown):
    assert masked(value) == shown
