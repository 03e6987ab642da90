"""Pages say what is so: links resolve, decision records have their form, the drawing of the house is the contract."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from urllib.parse import unquote

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

PARTS = ["Context", "Options", "Decision", "What would change our mind"]
PAGE_LINES = 70


def flat(text: str) -> list[Token]:
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    return [inner for token in tokens for inner in (token, *(token.children or []))]


def anchors(text: str) -> set[str]:
    """The anchors that a reader such as GitHub's makes of the headings."""
    headings = re.findall(r"^#+\s+(.*?)\s*$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def targets(text: str) -> list[str]:
    """Where the links and pictures of a page point to; code is left out."""
    found = [str(token.attrs.get("href") or token.attrs.get("src") or "") for token in flat(text)]
    return [target for target in found if target]


def leads_nowhere(folder: Path, page: Path, target: str) -> bool:
    """Whether a relative link on a page points to no file, to no heading, or out of ``folder``."""
    name, _, anchor = unquote(target).partition("#")
    path = page.parent / name if name else page
    inside = path.resolve().is_relative_to(folder.resolve())
    if name.startswith("/") or not inside or not path.exists():
        return True
    return bool(anchor) and path.suffix == ".md" and anchor not in anchors(path.read_text(encoding="utf-8"))


def broken_links(folder: Path, pages: list[Path]) -> list[str]:
    """The broken relative links of ``pages`` under ``folder``; links to the net are left alone."""
    return [
        f"{page}: {target}"
        for page in pages
        for target in targets((folder / page).read_text(encoding="utf-8"))
        if not re.match(r"[a-z][a-z0-9+.-]*:", target) and leads_nowhere(folder, folder / page, target)
    ]


def test_every_relative_link_resolves(repo: Path, our_files: list[Path]) -> None:
    pages = [path for path in our_files if path.suffix == ".md"]
    assert len(pages) > 10
    assert broken_links(repo, pages) == []


def test_planted_broken_links_are_found(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/other.md").write_text("# A heading, here\n\n## Two words\n")
    (tmp_path / "docs/page.md").write_text(
        "[good](other.md) [good](other.md#a-heading-here) [good](https://example.org/x) [good](#own)\n\n# Own\n\n"
        "`[code](gone.md)`\n\n```\n[code](gone.md)\n```\n\n"
        "[bad](gone.md) ![bad](picture.svg) [bad](other.md#no-such) [bad](/other.md) [bad](../../out.md) [bad][ref]\n\n"
        "[ref]: missing.md\n"
    )
    found = [line.split(": ")[1] for line in broken_links(tmp_path, [Path("docs/page.md")])]
    assert found == ["gone.md", "picture.svg", "other.md#no-such", "/other.md", "../../out.md", "missing.md"]


def decisions(repo: Path) -> list[Path]:
    return sorted((repo / "docs/decisions").glob("*.md"))


def test_decisions_are_numbered_without_a_gap(repo: Path) -> None:
    numbers = [int(path.name[:4]) for path in decisions(repo)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= 9


def test_every_decision_has_its_four_parts_on_one_page(repo: Path) -> None:
    for path in decisions(repo):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert lines[0].startswith(f"# {path.name[:4]}: "), path.name
        assert [line[3:] for line in lines if line.startswith("## ")] == PARTS, path.name
        assert len(lines) <= PAGE_LINES, path.name


def test_the_index_lists_every_page_under_docs(repo: Path) -> None:
    index = (repo / "docs/README.md").read_text(encoding="utf-8")
    listed = {Path("docs") / target.partition("#")[0] for target in targets(index)}
    pages = {path.relative_to(repo) for path in (repo / "docs").rglob("*.md")} - {Path("docs/README.md")}
    assert pages - listed == set()


def drawn_floors(page: str) -> list[list[str]]:
    """The rooms of each floor, top floor first, in the drawing of ``docs/reference/house.md``."""
    return [re.findall(r"\w+", rooms) for rooms in re.findall(r"^floor \d +(.*?)(?:  .*)?$", page, flags=re.MULTILINE)]


def test_the_drawing_of_the_house_is_the_contract(repo: Path) -> None:
    settings = tomllib.loads((repo / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = {item["id"]: item for item in settings["tool"]["importlinter"]["contracts"]}
    floors = [re.findall(r"quadrat\.(\w+)", line) for line in contracts["floors"]["layers"]]
    page = (repo / "docs/reference/house.md").read_text(encoding="utf-8")
    assert [sorted(rooms) for rooms in drawn_floors(page)] == [sorted(rooms) for rooms in floors]
    for item in contracts.values():
        assert item["name"] in page, f"house.md does not name the contract: {item['name']}"


@pytest.mark.parametrize("number", range(1, 9))
def test_the_page_of_the_house_keeps_every_rule(repo: Path, number: int) -> None:
    page = (repo / "docs/reference/house.md").read_text(encoding="utf-8")
    assert f"\n{number}. " in page
