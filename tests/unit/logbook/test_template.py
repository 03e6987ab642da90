from __future__ import annotations

from pathlib import Path

from quadrat.logbook.fields import answers
from quadrat.logbook.record import draft
from quadrat.logbook.render import RENDERERS
from quadrat.logbook.scan import scan
from quadrat.logbook.template import AUTO_FIELDS, HUMAN_FIELDS, page


def test_all_thirty_fields_have_a_place():
    assert {field.number for field in (*AUTO_FIELDS, *HUMAN_FIELDS)} == set(range(1, 31))


def test_a_new_page_asks_for_every_human_field():
    found = answers(scan(draft({})))
    assert set(found) == {field.id for field in HUMAN_FIELDS}
    assert [name for name, answer in found.items() if answer.text] == ["notes"]


def test_a_dollar_sign_in_a_title_is_only_a_dollar_sign():
    text = page({"study": "s", "date": "d", "title": "$owner", "owner": "$x", "notes": "none"})
    assert "# Experiment: $owner\n" in text


def test_the_reference_page_names_every_field_block_and_rule():
    page_of = Path(__file__).parents[3] / "docs" / "reference" / "record.md"
    text = page_of.read_text(encoding="utf-8")
    for field in (*AUTO_FIELDS, *HUMAN_FIELDS):
        assert f"| {field.number:>2} | {field.name} |" in text
    for name in RENDERERS:
        assert f"`{name}`" in text
    for rule in (1, 2, 3, 5, 6, 8, 9, 10, 11, 13, 14, 15, 16):
        assert f"| R{rule} " in text
