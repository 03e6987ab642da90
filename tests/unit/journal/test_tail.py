"""The ends of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from quadrat.journal.tail import TAIL_BYTES, first_rows, last_rows, rows_since

STARTED = b'{"event":"started"'


def line(place: int, *, width: int = 200) -> bytes:
    return b'{"n":%d,"pad":"%s"}\n' % (place, b"x" * width)


def test_the_last_rows_of_a_large_file(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(b"".join(line(place) for place in range(5000)) + b'{"n":50')
    found = last_rows(path)
    assert found[-1]["n"] == 4999
    assert [row["n"] for row in found] == list(range(5000 - len(found), 5000))
    assert 200 < len(found) < TAIL_BYTES / 200


def test_a_small_file_is_read_from_its_first_row(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(line(0) + line(1))
    assert [row["n"] for row in last_rows(path)] == [0, 1]
    assert [row["n"] for row in first_rows(path)] == [0, 1]


def test_a_row_longer_than_the_tail_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(line(0) + line(1, width=2 * TAIL_BYTES))
    assert last_rows(path) == []


def test_damage_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(line(0) + b"\0\0\n[1]\n{{}\n" + line(1) + b"\0" * 100)
    assert [row["n"] for row in last_rows(path)] == [0, 1]


@pytest.mark.parametrize("after", [0, 1, 300, 3000])
def test_everything_since_the_last_start_however_long_ago(tmp_path: Path, after: int) -> None:
    path = tmp_path / "rows"
    old = STARTED + b',"attempt":1}\n'
    new = STARTED + b',"attempt":2}\n'
    decoy = b'{"event":"note","data":{"event":"started","attempt":3}}\n'
    path.write_bytes(old + line(0) + new + decoy + b"".join(line(place) for place in range(after)))
    found = rows_since(path, STARTED)
    assert found[0] == {"event": "started", "attempt": 2}
    assert len(found) == after + 2


def test_a_start_in_the_first_line_and_none_at_all(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(STARTED + b',"attempt":1}\n' + b"".join(line(place) for place in range(2000)))
    assert rows_since(path, STARTED)[0]["attempt"] == 1
    path.write_bytes(b"".join(line(place) for place in range(2000)))
    assert rows_since(path, STARTED) == []


def test_no_file_no_rows(tmp_path: Path) -> None:
    assert last_rows(tmp_path / "gone") == first_rows(tmp_path / "gone") == rows_since(tmp_path / "gone", b"x") == []
