"""The page of a study: whole in one file, true to the facts, readable by anyone, broken by nothing."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise

import pytest

from quadrat.analyze.table import load_study_table
from quadrat.core.errors import StoreError
from quadrat.report.numbers import NONE
from quadrat.report.page import render, write_page

VOID = {"br", "hr", "img", "link", "meta", "wbr"}
NASTY = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>&amp;"


class Page(HTMLParser):
    """A page as a browser takes it in: elements in order, with their attributes and the text inside."""

    def __init__(self, text):
        super().__init__()
        self.elements, self._open = [], []
        self.feed(text)
        self.close()
        assert not self._open, f"left open: {self._open}"

    def handle_starttag(self, name, attributes):
        element = {"tag": name, "text": "", "within": [item["tag"] for item in self._open], **dict(attributes)}
        self.elements.append(element)
        if name not in VOID:
            self._open.append(element)

    def handle_startendtag(self, name, attributes):
        self.handle_starttag(name, attributes)
        if name not in VOID:
            self.handle_endtag(name)

    def handle_endtag(self, name):
        assert self._open, f"stray </{name}>"
        assert self._open[-1]["tag"] == name, f"</{name}> closes <{self._open[-1]['tag']}>"
        self._open.pop()

    def handle_data(self, text):
        for element in self._open:
            element["text"] += text

    def all(self, *tags):
        return [element for element in self.elements if element["tag"] in tags]

    @property
    def text(self):
        return " ".join(self.all("body")[0]["text"].split())


@pytest.fixture
def page(sums):
    return Page(render(load_study_table(sums.folder)))


@pytest.fixture
def nasty(bench):
    """A study in which everything that a person or a program may name is hostile."""
    name = "<b>run</b>"
    point = {NASTY: NASTY}
    bench.declare(
        [{"name": name, "arm": NASTY, "seed": 0, "point": point}, {"name": "b", "arm": "b", "seed": 0}],
        question=NASTY,
        hypothesis=NASTY,
        owner=NASTY,
        plan_sha256=NASTY,
        primary=[NASTY],
        panels=[{"title": NASTY, "metrics": [NASTY, "train/loss"]}],
        stages=[{"name": NASTY, "gate": {"metric": NASTY, "pass": NASTY}}],
        amendments=[{"time": NASTY, "reason": NASTY, "changes": [NASTY]}],
        baseline={"arm": "b"},
    )
    bench.run(
        "b",
        score=0.5,
        config={"k": NASTY, NASTY: 1},
        argv=["quadrat", NASTY],
        more={NASTY: 0.25, f"oracle/{NASTY}": 1.0},
    )
    return bench


def test_the_page_is_written_into_the_results(sums):
    path = write_page(sums.root, "sums")
    assert path == sums.folder.path / "report.html"
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_it_says_what_was_asked_and_what_became_of_it(page):
    assert page.all("h1")[0]["text"] == "Do number features let a small decoder add exactly?"
    assert "Hypothesis, declared before the first run" in page.text
    assert "9 planned = 6 completed + 1 failed + 1 stopped + 1 missing" in page.text
    assert "No gate was declared" in page.text
    assert "ValueError: bad <b>shape</b> at model.py:12" in page.text
    assert "Traceback ..." in page.text
    assert "The loss is not a number." in page.text
    assert "quadrat run sums.yaml" in page.text
    assert "parameter_count" in page.text


def rows(page, caption):
    """The rows of the table with that caption, as lists of cell texts."""
    at = next(
        i for i, element in enumerate(page.elements) if element["tag"] == "caption" and caption in element["text"]
    )
    found = []
    for element in page.elements[at + 1 :]:
        if element["tag"] == "table":
            break
        if element["tag"] == "tr":
            found.append([])
        if element["tag"] in ("th", "td"):
            found[-1].append(element["text"])
    return found


def test_results_tell_n_interval_method_and_every_seed(page):
    head, token, hybrid, other = rows(page, "At the end of each run, by condition.")
    assert head == [
        "Condition",
        "n",
        "Mean",
        "95 % t interval",
        "SD",
        "Every seed",
        "Difference",
        "95 % t interval",
        "p (Holm)",
    ]
    assert token[:5] == ["token_only baseline", "3", "0.320", "[0.254, 0.386]", "0.026"]
    assert hybrid[5] == "0.8100.8800.840"
    assert hybrid[6:] == ["+0.523", "[0.472, 0.575]", "0.001"]
    assert other == [
        "head",
        "1 measured of 3",
        "0.500",
        "one value",
        NONE,
        "failed0.500 (stopped)missing",
        "+0.150 (1 of 3 pairs)",
        "one value",
        NONE,
    ]


def test_the_family_of_the_adjustment_is_told(page):
    assert "p is Holm's over the family of all 2 comparisons of primary metrics, of which 1 can be tested" in page.text


def test_yardsticks_stand_apart(page):
    _, oracle, trivial = rows(page, "Yardsticks")
    assert oracle == ["oracle exact_match", "6", "1.000"]
    assert trivial == ["trivial majority", "6", "0.0200"]
    assert not any("oracle" in cell for row in rows(page, "At the end of each run, by condition.") for cell in row)


def test_a_yardstick_that_varies_is_told_by_condition(bench):
    bench.declare([("a", 0), ("a", 1)])
    for seed in (0, 1):
        bench.run(f"a_S{seed}", more={"oracle/test_id/exact_match": 0.9 + seed / 20, "trivial/x": 0.5})
    page = Page(render(load_study_table(bench.folder)))
    _, oracle, trivial = rows(page, "Yardsticks")
    assert oracle == ["oracle/test_id/exact_match", "a", "2", "0.925", "values only"]
    assert trivial == ["trivial/x", "all", "2", "0.500", "no variation"]


def test_derived_parameters_stand_by_condition(page):
    head, *found = rows(page, "Computed from config or data")
    assert head == ["Key", "token_only", "hybrid", "head"]
    assert found == [["total_steps", "20", "20", "20"], ["parameter_count", "1010", "1006", "1004"]]


def test_a_machine_without_an_accelerator_says_so(page):
    facts = [element["text"] for element in page.all("dt", "dd")]
    assert facts[facts.index("accelerator") + 1] == "none"


def test_the_run_list_is_whole_and_its_links_lead_somewhere(sums):
    path = write_page(sums.root, "sums")
    page = Page(path.read_text(encoding="utf-8"))
    found = rows(page, "Every declared run")
    assert [row[0] for row in found[1:]] == [run["name"] for run in sums.declared]
    assert [row[3] for row in found[1:]].count("✕ failed") == 1
    links = [element["href"] for element in page.all("a") if not element["href"].startswith("#")]
    assert len(links) == 4 * 8
    assert all((path.parent / target).exists() for target in links)


def test_what_a_failed_run_logged_is_set_apart_wherever_it_is_shown(bench):
    bench.declare([("a", 0), ("a", 1)])
    bench.run("a_S0", score=0.75)
    bench.run("a_S1", score=0.25, status="failed")
    page = Page(render(load_study_table(bench.folder)))
    apart = [element["text"] for element in page.elements if element.get("class") == "uncounted"]
    assert apart == ["failed at 0.250", "failed at 0.371", "0.250"]
    assert rows(page, "At the end of each run, by condition.")[1][:3] == ["a", "1 measured of 2", "0.750"]


def test_a_page_elsewhere_links_back(sums, tmp_path):
    (tmp_path / "pages").mkdir()
    path = write_page(sums.root, "sums", output=tmp_path / "pages" / "sums.html")
    links = [element["href"] for element in Page(path.read_text(encoding="utf-8")).all("a")]
    targets = [target for target in links if not target.startswith("#")]
    assert targets
    assert all((path.parent / target).exists() for target in targets)


def test_it_needs_nothing_from_outside_and_runs_nothing(page):
    assert not page.all("script", "link", "iframe", "object", "embed", "form", "base", "img")
    for element in page.elements:
        for name in ("src", "href", "action", "srcset"):
            assert not re.match(r"(?:[a-z]+:|//)", element.get(name) or "", re.IGNORECASE), element
        assert not [name for name in element if name.startswith("on")]
        assert not re.search(r"url\((?!#)|@import", element.get("style") or "")
    (style,) = page.all("style")
    assert not re.search(r"url\(|@import|@font-face", style["text"])


def test_its_own_policy_forbids_loading_and_running(page):
    policy = next(item["content"] for item in page.all("meta") if item.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    # A policy counts from where it stands: nothing may come before it but the encoding.
    before = page.elements[: next(i for i, item in enumerate(page.elements) if item.get("http-equiv"))]
    assert [item["tag"] for item in before] == ["html", "head", "meta"]


def test_nothing_hostile_becomes_an_element_or_an_attribute(nasty):
    page = Page(render(load_study_table(nasty.folder)))
    assert not page.all("script", "img")
    assert not [name for element in page.elements for name in element if name.startswith("on")]
    assert page.all("h1")[0]["text"] == NASTY
    assert page.text.count("alert(1)") > 20
    assert "<b>run</b>" in page.text


def test_a_hostile_run_name_cannot_make_a_link_that_leaves(bench):
    bench.declare([{"name": "javascript:alert(1)", "arm": "a", "seed": 0}])
    bench.run("javascript:alert(1)")
    page = Page(render(load_study_table(bench.folder)))
    links = [element["href"] for element in page.all("a") if not element["href"].startswith("#")]
    assert links
    assert all(target.startswith("./javascript%3Aalert%281%29/") for target in links)


def test_the_outline_can_be_followed(page):
    levels = [int(element["tag"][1]) for element in page.all("h1", "h2", "h3", "h4")]
    assert levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("main")) == 1
    ids = [element["id"] for element in page.elements if "id" in element]
    assert len(ids) == len(set(ids))
    assert {element["href"][1:] for element in page.all("a") if element["href"].startswith("#")} <= set(ids)
    assert {element["aria-labelledby"] for element in page.elements if "aria-labelledby" in element} <= set(ids)


def test_every_table_has_a_caption_and_headers_and_every_figure_a_name(page):
    tables = page.all("table")
    assert len(tables) >= 6
    assert len(page.all("caption")) == len(tables)
    assert all(element.get("scope") in ("col", "row") for element in page.all("th"))
    drawings = page.all("svg")
    assert len(drawings) == 2
    assert all(item["role"] == "img" for item in drawings)
    names = {element["id"]: element["text"] for element in page.all("title") if element.get("id")}
    assert all(len(names[item["aria-labelledby"]]) > 20 for item in drawings)


def test_a_status_is_a_word_and_not_a_colour_alone(page):
    chips = [element for element in page.elements if (element.get("class") or "").startswith("chip ")]
    assert chips
    words = {"completed", "failed", "stopped", "missing"}
    assert all(words & set(element["text"].split()) for element in chips)


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1])
def test_text_is_readable_in_light_and_dark(theme):
    css = files("quadrat.report").joinpath("page.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", blocks[theme]))
    for ground in ("ground", "paper", "soft"):
        for ink in ("ink", "muted", "accent", "good", "bad", "warn", "live"):
            assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
    # Lines have names and dashes too; the ones used first must stand out by themselves.
    for number in range(3):
        assert contrast(colours[f"series-{number}"], colours["paper"]) >= 3.0, number


def test_the_same_results_give_the_same_page_and_leave_the_file_alone(sums):
    path = write_page(sums.root, "sums")
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    write_page(sums.root, "sums")
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_without_matplotlib_the_page_says_what_to_install(sums, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    page = Page(render(load_study_table(sums.folder)))
    assert "pip install 'quadrat[report]'" in page.text
    assert not page.all("svg")
    assert rows(page, "At the end of each run, by condition.")[2][2] == "0.843"


def test_the_page_needs_neither_torch_nor_matplotlib_to_be_imported():
    heavy = "{'torch', 'matplotlib', 'scipy'}"
    code = f"import sys, quadrat.report.page, quadrat.report.evidence; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_study_that_has_not_started_has_a_page(bench):
    bench.declare([("a", 0), ("a", 1)])
    page = Page(render(load_study_table(bench.folder)))
    assert "2 planned = 2 missing" in page.text
    assert "No run has logged a metric of the panels more than once." in page.text


def test_an_undeclared_and_damaged_study_has_a_page(sums):
    sums.folder.lock_json.write_text("{", encoding="utf-8")
    (sums.folder.path / "hybrid_S0" / "metrics.ndjson").write_bytes(b"\x00\x00{{{\n")
    page = Page(render(load_study_table(sums.folder)))
    assert "The declaration cannot be read" in page.text
    assert "damaged" in page.text


def test_a_lost_run_shows_the_end_of_its_log(bench):
    bench.declare([("a", 0)])
    with bench.open("a_S0") as writer:
        writer.metrics(1, {"train/loss": 1.0})
    writer.folder.log.write_text("x" * 9000 + "\nKilled <by> the kernel\n", encoding="utf-8")
    page = Page(render(load_study_table(bench.folder)))
    assert "It left no error of its own." in page.text
    assert "Killed <by> the kernel" in page.text
    assert "x" * 5000 not in page.text


def test_a_running_study_has_a_page(bench):
    bench.declare([("a", 0)])
    with bench.open("a_S0") as writer:
        for step in range(3):
            writer.metrics(step, {"train/loss": 1.0 / (step + 1), "test_id/exact_match": math.nan})
        page = Page(render(load_study_table(bench.folder)))
    assert "1 planned = 1 running" in page.text
    assert page.all("svg")


def test_a_place_that_cannot_be_written_is_told(sums, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written") as refused:
        write_page(sums.root, "sums", output=tmp_path / "file" / "page.html")
    assert "--output" in refused.value.paragraph()


def test_a_study_with_stages_shows_each_stage(bench):
    runs = [
        {"name": f"{arm}_S{seed}", "arm": arm, "seed": seed, "stage": stage}
        for stage in ("one", "two")
        for arm in ("token_only", "b")
        for seed in (0, 1)
    ]
    gate = {"metric": "test_id/exact_match", "pass": "> 0.9"}
    bench.declare(runs, stages=[{"name": "one", "gate": gate}, {"name": "two"}])
    page = Page(render(load_study_table(bench.folder)))
    head, one, other = rows(page, "Stages and their gates.")
    assert head[:3] == ["Stage", "Condition", "Outcome"]
    assert (one[:3], other[:3]) == (["one", "token_only", "○ not run"], ["one", "b", "○ not run"])
    assert [row[1:3] for row in rows(page, "The board: 2 not tested.")[1:]] == [
        ["token_only", "○ not tested"],
        ["b", "○ not tested"],
    ]
    assert [row[0] for row in rows(page, "How the runs of each condition ended.")[1:]] == [
        "one/token_only baseline",
        "one/b",
        "two/token_only baseline",
        "two/b",
    ]
