"""What leaves holds no secret, and stays what it was otherwise."""

from __future__ import annotations

import json

import pytest

from quadrat.exports.secrecy import cleaned, shielded
from quadrat.testing.exports import SECRET


def test_a_secret_is_known_by_its_shape_its_name_and_the_word_before():
    told = {"a": f"x {SECRET}", "api_key": "hunter2hunter2", "n": 3, "argv": ["run", "--api-key", "hunter2hunter2"]}
    kept, found = shielded({"deep": [told]})
    assert kept == {"deep": [{"a": "x ***", "api_key": "***", "n": 3, "argv": ["run", "--api-key", "***"]}]}
    assert found == 3


def test_json_stays_json():
    content = json.dumps({"password": 123456789, "url": "https://x", "mail": "a@b"}).encode()
    kept, found = cleaned("x.json", content)
    assert (json.loads(kept), found) == ({"password": "***", "url": "https://x", "mail": "a@b"}, 1)


def test_rows_stay_rows_damaged_ones_too():
    content = b'{"a": 1}\n{"token_note": "' + SECRET.encode() + b'"}\n{"torn": "' + SECRET.encode()
    kept, found = cleaned("x.ndjson", content)
    assert kept == b'{"a": 1}\n{"token_note":"***"}\n{"torn": "***'
    assert found == 2


@pytest.mark.parametrize(
    ("name", "content"),
    [("x.json", b'{ "a":1.0 ,"b":[ ]}'), ("x.ndjson", b'{"a": 1}\n\n{"b": 2}\n'), ("x.pt", b"\0" + SECRET.encode())],
)
def test_without_a_secret_not_a_byte_changes(name, content):
    assert cleaned(name, content) == (content, 0)
