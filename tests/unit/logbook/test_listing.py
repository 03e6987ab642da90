from __future__ import annotations

from quadrat.logbook.listing import entry, index
from quadrat.logbook.record import draft, parse


def test_an_entry_is_what_the_record_says(facts, answer):
    found = entry(parse(answer(draft(facts))), name="2026-11-21_arithmetic_small")
    assert (found.date, found.study, found.verdict, found.runs, found.open) == (
        "2026-11-21",
        "arithmetic_small",
        "supported",
        6,
        2,
    )
    assert found.title == "Arithmetic with and without number features"


def test_a_draft_is_open(facts):
    found = entry(parse(draft(facts)), name="2026-11-21_x")
    assert (found.verdict, found.open) == ("open", 0)


def test_the_newest_stands_first_and_the_order_of_files_does_not_matter(facts, answer):
    record = parse(answer(draft(facts)))
    old = parse(answer(draft(facts)).replace("date: 2026-11-21", "date: 2026-01-02"))
    entries = [entry(record, name="2026-11-21_b"), entry(old, name="2026-01-02_z"), entry(record, name="2026-11-21_a")]
    page = index(entries)
    assert page == index(reversed(entries))
    assert [line.split("](")[1].split(")")[0] for line in page.split("\n") if "](" in line] == [
        "2026-11-21_a.md",
        "2026-11-21_b.md",
        "2026-01-02_z.md",
    ]


def test_no_record_is_an_answer():
    assert "No record yet." in index([])


def test_a_damaged_page_has_its_line_all_the_same():
    found = entry(parse("words"), name="2026-11-21_x")
    assert (found.date, found.study, found.title, found.runs) == ("2026-11-21", "x", "x", 0)
