"""Secrets in a log are blotted out where they stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from quadrat.journal.layout import RunFolder
from quadrat.journal.redact import redact
from quadrat.journal.seal import seal, verify

SECRET = "ghp_" + "a1B2" * 9


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_a_secret_goes_and_every_other_byte_stays_where_it_was(tmp_path: Path, end: str) -> None:
    log = tmp_path / "train.log"
    before = f"first\nwith {SECRET} and more{end}".encode() + (b"\xff last" if end else b"")
    log.write_bytes(before)
    with log.open("ab") as held:
        assert redact(log) == 1
        held.write(b"!")
    after = log.read_bytes()
    assert SECRET.encode() not in after
    assert len(after) == len(before) + 1
    assert after.startswith(b"first\nwith *** and more***")
    assert after.endswith(b"\xff last!" if end else b"*!")


def test_a_secret_shorter_than_its_mask_takes_the_line_with_it(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text("https://m@example.org\nnext\n")
    assert redact(log) == 1
    assert log.read_text() == "*" * 21 + "\nnext\n"


def test_a_log_without_secrets_or_without_a_file_is_left_alone(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    assert redact(log) == 0
    (tmp_path / "other").write_text(SECRET)
    log.symlink_to(tmp_path / "other")
    assert redact(log) == 0
    assert SECRET in (tmp_path / "other").read_text()


def test_a_sealed_run_has_none_in_its_log(finished: RunFolder) -> None:
    finished.log.write_text(f"token {SECRET}\n")
    seal(finished)
    assert SECRET not in finished.log.read_text()
    assert verify(finished) == []
