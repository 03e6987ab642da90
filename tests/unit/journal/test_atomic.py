"""Whole files: old or new, never half; damage is named."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quadrat.core.errors import StoreError
from quadrat.core.verdicts import Status
from quadrat.journal.atomic import dumps, read_bytes, read_json, sweep, write_bytes, write_json, write_text


def test_equal_values_give_equal_strict_json(tmp_path: Path) -> None:
    one = dumps({"b": 1.0, "a": [math.nan, -math.inf, np.float32(0.5)], "status": Status.LOST})
    two = dumps({"status": "lost", "a": ["NaN", "-Infinity", 0.5], "b": 1.0})
    assert one == two
    assert json.loads(one, parse_constant=pytest.fail) == {"a": ["NaN", "-Infinity", 0.5], "b": 1.0, "status": "lost"}
    assert one.endswith(b"}\n")
    assert b"\n" not in dumps({"a": 1}, indent=False)[:-1]


def test_a_value_without_a_plain_form_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"a": object()})
    assert list(tmp_path.iterdir()) == []


def test_write_replaces_and_leaves_no_scratch(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "one")
    write_text(path, "zwei ü \ud800")
    assert path.read_text(encoding="utf-8") == "zwei ü \\ud800"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_write_that_fails_leaves_no_scratch(tmp_path: Path) -> None:
    (tmp_path / "taken" / "by a folder").mkdir(parents=True)
    with pytest.raises(OSError, match="taken"):
        write_text(tmp_path / "taken", "x")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_name_of_full_length_can_be_written(tmp_path: Path) -> None:
    write_bytes(tmp_path / ("x" * 255), b"1")
    assert (tmp_path / ("x" * 255)).read_bytes() == b"1"


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("precious")
    (tmp_path / "link").symlink_to(outside)
    with pytest.raises(OSError, match="symbolic link"):
        read_bytes(tmp_path / "link")
    write_text(tmp_path / "link", "mine")
    assert outside.read_text() == "precious"
    assert (tmp_path / "link").read_text() == "mine"


def test_a_pipe_is_refused_and_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        read_bytes(tmp_path / "pipe")


@pytest.mark.parametrize("content", [None, b"", b"{", b'{"a": NaN}', b"\xff", b"\x00" * 8])
def test_read_json_names_the_file(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "verdict.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StoreError) as caught:
        read_json(path)
    assert "verdict.json" in caught.value.paragraph()
    assert caught.value.exit_code == 5


WRITES_FOR_EVER = """
import sys
from pathlib import Path
from quadrat.journal.atomic import write_json
count = 0
while True:
    count += 1
    write_json(Path(sys.argv[1]) / "state.json", {"count": count, "again": [count] * 5000})
"""


def test_killed_at_any_moment_the_file_is_old_or_new(tmp_path: Path) -> None:
    for attempt in range(4):
        with subprocess.Popen([sys.executable, "-c", WRITES_FOR_EVER, tmp_path]) as process:
            _wait_for(tmp_path / "state.json")
            time.sleep(0.003 * attempt)
            process.send_signal(signal.SIGKILL)
        state: dict[str, Any] = read_json(tmp_path / "state.json")
        assert set(state["again"]) == {state["count"]}
    sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_sweep_takes_only_what_killed_writers_left(tmp_path: Path) -> None:
    (tmp_path / ".quadrat-0123456789ab.tmp").write_text("half")
    (tmp_path / "my.tmp").write_text("mine")
    sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["my.tmp"]


def _wait_for(path: Path) -> None:
    until = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < until
        time.sleep(0.005)
