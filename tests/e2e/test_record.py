"""The record of a study that was run for real: drafted, checked, indexed, followed up, on a page of one's own."""

from __future__ import annotations

import json
import os
import re

import pytest

from quadrat.cli.main import main
from quadrat.logbook.record import parse

ANSWERS = (
    (re.compile(r"_TODO: links, or the word none_"), "none"),
    (re.compile(r"_TODO: one of supported, refuted, inconclusive_"), "supported"),
    (re.compile(r"- \[ \] _TODO: immediate[^\n]*"), "- [ ] Try a rate of one.\n- [x] Plot the gap."),
    (re.compile(r"- \[ \] _TODO[^\n]*\n"), ""),
    (re.compile(r"_TODO[^_\n]*_"), "Nothing more than the tables say."),
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory, make_lab):
    """A laboratory with a finished study and an answered record."""
    lab = make_lab(tmp_path_factory.mktemp("record"))
    lab.write(more="owner: Ada Example")
    lab.quadrat("run", "toy.yaml")
    lab.quadrat("record", "draft", "toy")
    (path,) = (lab.root / "experiments").glob("*_toy.md")
    text = path.read_text(encoding="utf-8")
    for prompt, words in ANSWERS:
        text = prompt.sub(words, text)
    path.write_text(text, encoding="utf-8")
    lab.quadrat("record", "draft", "toy")
    return lab


@pytest.fixture
def quadrat(lab, capsys, monkeypatch):
    """A function: the command line in this process, as the script calls it; what it printed and its exit code held."""

    def call(*words, code=0, root=lab.root):
        monkeypatch.chdir(root)
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["--root", str(root), *words])
        said = capsys.readouterr()
        assert ended.value.code == code, f"{said.out}\n{said.err}"
        return said

    return call


@pytest.fixture
def record(lab):
    """The record's path; its text, and that of everything beside it, is put back after the test."""
    (path,) = (lab.root / "experiments").glob("*_toy.md")
    kept = {file: file.read_bytes() for file in path.parent.rglob("*") if file.is_file()}
    yield path
    for file in [file for file in path.parent.rglob("*") if file.is_file() and file not in kept]:
        file.unlink()
    for file, content in kept.items():
        if file.read_bytes() != content:
            file.write_bytes(content)


def test_an_answered_record_checks_clean_and_is_filled_again_to_the_same_bytes(lab, record, quadrat):
    before = record.read_bytes()
    done = quadrat("record", "check")
    assert (done.out, done.err) == ("", "1 records, 0 findings.\n")
    quadrat("record", "draft", "toy")
    assert record.read_bytes() == before


def test_changes_from_the_baseline_are_derived(record):
    text = record.read_text(encoding="utf-8").split("Changes from baseline:")[1]
    (line,) = [line for line in text.split("\n") if line.startswith("| rate=0.5 ")]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells == ["rate=0.5", "rate=0.1", "`rate` `0.1` to `0.5`", "none", "none"]


def test_every_finding_comes_at_once_with_file_line_and_field(lab, record, quadrat):
    text = record.read_text(encoding="utf-8").replace("**Verdict:** supported", "**Verdict:** ____")
    text = text.replace("### Why\n", "### Why\n\nThe gain is significant. See [x](gone.md).\n")
    record.write_text(text, encoding="utf-8")
    done = quadrat("record", "check", code=1)
    found = [re.fullmatch(r"(experiments/\S+\.md):(\d+): (.*?): (.*)", line) for line in done.out.splitlines()]
    assert all(found)
    assert {match[3] for match in found} == {"Verdict", "link", "claim 'significant'"}
    lines = text.split("\n")
    assert all("Verdict" in lines[int(match[2]) - 1] for match in found if match[3] == "Verdict")
    told = json.loads(quadrat("record", "check", "--json", code=1).out)
    assert [row["line"] for row in told["findings"]] == [int(match[2]) for match in found]
    assert {row["rule"] for row in told["findings"]} == {"R1", "R5", "R11"}


def test_a_byte_flipped_in_the_data_is_found_although_size_and_time_are_the_same(lab, record, quadrat):
    facts = json.loads((record.with_suffix("") / "facts.json").read_text(encoding="utf-8"))
    path = lab.root / facts["data"][0]["folder"] / "points.txt"
    content, times = path.read_bytes(), path.stat()
    path.write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    try:
        (line,) = quadrat("record", "check", code=1).out.splitlines()
    finally:
        path.write_bytes(content)
    block = parse(record.read_text(encoding="utf-8")).block("data")
    assert line.startswith(f"experiments/{record.name}:{block.line}: Checksums: data/")
    assert "points.txt has other contents" in line


def test_evidence_edited_by_hand_is_found(lab, record, quadrat):
    path = record.with_suffix("") / "runs" / "R0.1_S0" / "metrics.json"
    path.write_text(path.read_text(encoding="utf-8").replace("test/gap", "test/gbp"), encoding="utf-8")
    (line,) = quadrat("record", "check", code=1).out.splitlines()
    assert "R0.1_S0/metrics.json has other contents" in line


def test_damaged_facts_are_a_finding_and_no_traceback(lab, record, quadrat):
    (record.with_suffix("") / "facts.json").write_text("{", encoding="utf-8")
    done = quadrat("record", "check", code=1)
    assert "facts.json cannot be read" in done.out
    assert "Traceback" not in done.err


def test_a_clone_without_results_and_data_checks_clean(lab, record, quadrat, tmp_path):
    (tmp_path / "experiments").mkdir()
    for file in record.parent.rglob("*"):
        target = tmp_path / "experiments" / file.relative_to(record.parent)
        if file.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    quadrat("record", "check", root=tmp_path)


def test_the_index_lists_the_record_with_verdict_and_open_followups(lab, record, quadrat):
    index = record.parent / "index.md"
    (line,) = [line for line in index.read_text(encoding="utf-8").split("\n") if line.startswith("| 2")]
    assert [cell.strip() for cell in line.strip("|").split("|")][1:] == [
        f"[toy]({record.name})",
        "`toy`",
        "supported",
        "6",
        "1",
    ]
    before = index.read_bytes()
    index.unlink()
    assert quadrat("record", "index").out == "experiments/index.md\n"
    assert index.read_bytes() == before


def test_followups_are_listed_and_become_a_study(lab, record, quadrat):
    (line,) = quadrat("record", "followups").out.splitlines()
    place, ident, text = re.fullmatch(r"(\S+): ([0-9a-f]{8}) (.*)", line).groups()
    assert text == "Try a rate of one."
    lines = record.read_text(encoding="utf-8").split("\n")
    assert lines[int(place.rpartition(":")[2]) - 1] == "- [ ] Try a rate of one."
    told = json.loads(quadrat("record", "followups", "--json", "--all").out)["followups"]
    assert [(row["id"] == ident, row["done"], row["study"]) for row in told] == [
        (True, False, "toy"),
        (False, True, "toy"),
    ]
    assert quadrat("record", "followups", "--stub", ident[:5]).out == "try_a_rate_of_one.yaml\n"
    checked = json.loads(quadrat("check", "--json", "try_a_rate_of_one.yaml").out)
    assert checked["study"] == "try_a_rate_of_one"
    assert len(checked["runs"]) == 6
    refused = quadrat("record", "followups", "--stub", ident, code=2)
    assert "there already" in refused.err
    assert quadrat("record", "followups", "--stub", "zz", code=2).err.count("\n") == 1
    (lab.root / "try_a_rate_of_one.yaml").unlink()


OWN = """\
# Lab page: <title>

| Field | Value | Notes |
|---|---|---|
| Date | ____ | |
| Git commit | ____ | |
| `--rate` | ____ | |
| `gap` | ____ | |
| Weather | ____ | |

**Owner**: <name>
"""


def test_a_template_of_ones_own_is_filled_kept_and_checked(lab, record, quadrat):
    (lab.root / "labpage.md").write_text(OWN, encoding="utf-8")
    done = quadrat("record", "draft", "toy", "--template", "labpage.md")
    page = record.with_name(f"{record.stem}.labpage.md")
    assert done.out.splitlines()[1] == f"experiments/{page.name}"
    text = page.read_text(encoding="utf-8")
    assert "# Lab page: toy\n" in text
    assert "**Owner**: Ada Example\n" in text
    assert "| Date | 2" in text
    assert "| `gap` | rate=0.1 0." in text
    found = quadrat("record", "check", f"experiments/{page.name}", code=1).out
    (line,) = found.splitlines()
    assert "weather: ____ still stands there" in line
    page.write_text(text.replace("| Weather | ____ |", "| Weather | rain |"), encoding="utf-8")
    mine = page.read_bytes()
    quadrat("record", "draft", "toy", "--template", "labpage.md")
    assert page.read_bytes() == mine
    assert quadrat("record", "check").err == "2 records, 0 findings.\n"
    (lab.root / "labpage.md").write_text(OWN + "\nMore\n", encoding="utf-8")
    assert "another template" in quadrat("record", "draft", "toy", "--template", "labpage.md", code=2).err
    page.write_text(page.read_text(encoding="utf-8").replace("Ada Example", "/home/ada/x"), encoding="utf-8")
    assert "/home/ada/x is a path" in quadrat("record", "check", code=1).out


def test_a_file_that_is_not_there_and_one_that_cannot_be_read_are_exit_2(lab, record, quadrat):
    quadrat("record", "check", "experiments/none.md", code=2)
    if os.geteuid():
        record.chmod(0)
        try:
            assert "cannot be read" in quadrat("record", "check", code=2).err
        finally:
            record.chmod(0o644)


def test_the_verdict_on_a_run_made_again_is_a_field_of_the_record(record, quadrat):
    assert parse(record.read_text(encoding="utf-8")).block("rerun").content.strip() == "not attempted"
    quadrat("rerun", "R0.1_S0")
    content = parse(record.read_text(encoding="utf-8")).block("rerun").content
    (line,) = [line for line in content.split("\n") if line.startswith("| `R0.1_S0`")]
    assert "| identical bytes |" in line
    quadrat("record", "check")
