"""Rows: what is written is what is read, and damage is counted."""

from __future__ import annotations

import json
import math
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quadrat.journal.ndjson import Appender, Rows, Tally, encode_metrics, encode_plain, read_rows, scan_rows

ROWS = [{"step": step, "metrics": {"train/loss": 1.0 / (step + 1)}} for step in range(4)]


def test_a_row_has_the_form_of_the_contract() -> None:
    line = encode_metrics(120, {"train/loss": 0.4131, "a": math.nan, "b": -math.inf, "n": 3})
    assert line == b'{"step":120,"metrics":{"train/loss":0.4131,"a":"NaN","b":"-Infinity","n":3}}\n'


def test_fast_and_slow_ways_give_the_same_bytes() -> None:
    values = {"b": 0.1, "a": 3, "c": -0.0, "d": 5e-324, "e": 1e308}
    fast = encode_plain(7, values)
    assert fast is not None
    assert encode_metrics(np.int32(7), {key: np.array(value)[()] for key, value in values.items()}) == fast


@settings(deadline=None)
@given(st.dictionaries(st.text(st.characters(), max_size=20), st.floats(), max_size=8), st.integers(0, 2**62))
def test_names_and_numbers_come_back(values: dict[str, float], step: int) -> None:
    refused: list[str] = []
    line = encode_metrics(step, values, refuse=lambda key, _: refused.append(key))
    assert line.count(b"\n") == 1
    row = json.loads(line, parse_constant=pytest.fail)
    clean = {key.encode("utf-8", "backslashreplace").decode(): value for key, value in values.items()}
    assert row["step"] == step
    assert list(row["metrics"]) == list(clean)
    for name, value in clean.items():
        if not refused:
            back = float(row["metrics"][name])
            assert back == value or (math.isnan(back) and math.isnan(value))


def test_names_that_look_alike_stay_apart() -> None:
    names = ["a/b", "a.b", "a b", "", "🌱", "\u202eabc", "\0", "\ud800", "x" * 10_000, "null", "line\nbreak"]
    row = json.loads(encode_metrics(1, {name: place for place, name in enumerate(names)}))
    assert list(row["metrics"].values()) == list(range(len(names)))


def test_refused_values_are_named_and_the_rest_is_kept() -> None:
    refused: dict[str, str] = {}
    values: Any = {"good": 1.0, "text": "high", "none": None, "many": [1, 2], 5: 1.0, "huge": 10**400}
    line = encode_metrics(1, values, refuse=refused.__setitem__)
    assert json.loads(line) == {"step": 1, "metrics": {"good": 1.0}}
    assert set(refused) == {"text", "none", "many", "int 5", "huge"}
    assert "str 'high'" in refused["text"]


@pytest.mark.parametrize("step", [None, "3", 1.5, math.nan, 2**63, [1]])
def test_a_step_must_be_a_whole_number(step: Any) -> None:
    with pytest.raises(ValueError, match="step"):
        encode_metrics(step, {"a": 1.0})


@pytest.mark.parametrize("values", [None, 3, [("a", 1)]])
def test_metrics_must_be_a_mapping(values: Any) -> None:
    with pytest.raises(ValueError, match="mapping"):
        encode_metrics(1, values)


def test_a_row_of_many_names_is_written_whole(tmp_path: Path) -> None:
    line = encode_metrics(1, {f"m/{place}": float(place) for place in range(100_000)})
    appender = Appender(tmp_path / "m")
    appender.append(line)
    appender.close()
    assert len(read_rows(tmp_path / "m").rows[0]["metrics"]) == 100_000


# Reading


def write(path: Path, rows: list[dict[str, Any]] = ROWS) -> bytes:
    data = b"".join(encode_metrics(row["step"], row["metrics"]) for row in rows)
    path.write_bytes(data)
    return data


def test_whole_files_read_whole(tmp_path: Path) -> None:
    write(tmp_path / "m")
    assert read_rows(tmp_path / "m") == Rows(ROWS, torn=False, damaged=0, damaged_lines=())
    (tmp_path / "empty").touch()
    assert read_rows(tmp_path / "empty") == Rows([], torn=False, damaged=0, damaged_lines=())


def test_cut_at_every_byte_of_the_last_row_the_rest_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "m"
    data = write(path)
    start = data.rfind(b"\n", 0, -1) + 1
    for cut in range(start + 1, len(data)):
        path.write_bytes(data[:cut])
        assert read_rows(path) == Rows(ROWS[:-1], torn=True, damaged=0, damaged_lines=()), cut


@pytest.mark.parametrize("padding", [1, 512, 3 << 20])
@pytest.mark.parametrize("half", [b"", b'{"step":9,"me'])
def test_a_tail_of_zeros_is_torn(tmp_path: Path, padding: int, half: bytes) -> None:
    path = tmp_path / "m"
    data = write(path)
    path.write_bytes(data + half + b"\0" * padding)
    assert read_rows(path) == Rows(ROWS, torn=True, damaged=0, damaged_lines=())


@pytest.mark.parametrize("bad", [b'{"step":1{"step":2}\n', b"\n", b"[1]\n", b"3\n", b"\xff\xfe\n", b"\0\0\0\n"])
def test_a_bad_line_in_the_middle_is_counted_and_costs_no_other(tmp_path: Path, bad: bytes) -> None:
    path = tmp_path / "m"
    lines = write(path).splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], bad, *lines[2:]]))
    assert read_rows(path) == Rows(ROWS, torn=False, damaged=1, damaged_lines=(3,))


def test_rows_across_the_pieces_of_a_large_file(tmp_path: Path) -> None:
    path = tmp_path / "m"
    rows = [{"step": step, "metrics": {"a": 1.0 * step, "pad" + "x" * 700: 0.0}} for step in range(4000)]
    assert len(write(path, rows)) > 2 << 20
    tally = Tally()
    assert list(scan_rows(path, tally)) == rows
    assert tally.rows == 4000


def test_a_link_is_not_read(tmp_path: Path) -> None:
    write(tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(OSError, match="symbolic link"):
        read_rows(tmp_path / "link")
    with pytest.raises(OSError, match="symbolic link"):
        Appender(tmp_path / "link")


# Writing


def test_the_offset_is_where_whole_rows_end(tmp_path: Path) -> None:
    appender = Appender(tmp_path / "m")
    appender.append(b'{"a":1}\n')
    appender.append(b'{"a":2}\n')
    assert appender.offset == (tmp_path / "m").stat().st_size == 16
    appender.close()
    assert Appender(tmp_path / "m").offset == 16


@pytest.mark.parametrize("tail", [b'{"a":', b"\0\0\0"])
def test_after_a_torn_tail_writing_starts_on_a_fresh_line(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "m"
    path.write_bytes(b'{"a":1}\n' + tail)
    appender = Appender(path)
    appender.append(b'{"a":3}\n')
    appender.close()
    found = read_rows(path)
    assert found.rows == [{"a": 1}, {"a": 3}]
    assert (found.torn, found.damaged_lines) == (False, (2,))
    assert appender.offset == path.stat().st_size


def test_threads_tear_no_row(tmp_path: Path) -> None:
    appender = Appender(tmp_path / "m")

    def work(who: int) -> None:
        for count in range(500):
            appender.append(b'{"who":%d,"count":%d}\n' % (who, count))

    threads = [threading.Thread(target=work, args=(who,)) for who in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    appender.close()
    assert appender.offset == (tmp_path / "m").stat().st_size
    found = read_rows(tmp_path / "m")
    assert found.damaged == 0
    for who in range(8):
        assert [row["count"] for row in found.rows if row["who"] == who] == list(range(500))


def test_a_removed_file_is_told_once_and_hurts_nobody(tmp_path: Path) -> None:
    told: list[str] = []
    appender = Appender(tmp_path / "m", on_trouble=told.append)
    (tmp_path / "m").unlink()
    for _ in range(3):
        appender.append(b"{}\n")
        appender.sync()
    appender.close()
    assert len(told) == 1
    assert "removed" in told[0]


def test_closing_twice_is_fine(tmp_path: Path) -> None:
    appender = Appender(tmp_path / "m")
    appender.close()
    appender.close()
    assert appender.dropped == 0
