"""Pictures of runs on the page: shown as images, in bounds, and never followed out of the run."""

from __future__ import annotations

from base64 import b64decode

import pytest

from quadrat.analyze.table import load_study_table
from quadrat.journal.layout import StudyFolder
from quadrat.report.pictures import LARGEST, MOST, pictures

SVG = '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


@pytest.fixture
def shown(bench):
    """The section after files were put among the figures of the only run, and that folder."""
    bench.declare([("lone", 0)])
    bench.run("lone_S0")
    folder = bench.folder.path / "lone_S0" / "artifacts" / "figures"

    def show(**files):
        folder.mkdir(parents=True)
        for name, text in files.items():
            (folder / f"{name}.svg").write_text(text)
        return pictures(load_study_table(bench.folder))

    return show, folder


def test_a_study_without_pictures_has_no_section(shown, bench):
    assert pictures(load_study_table(bench.folder)) is None


def test_a_picture_is_an_image_in_which_no_script_can_run(shown):
    show, _ = shown
    found = show(train_gallery=SVG)
    assert found is not None and "<script" not in found
    source = found.split('src="data:image/svg+xml;base64,')[1].split('"')[0]
    assert b64decode(source).decode() == SVG
    assert 'alt="train gallery of lone_S0"' in found


def test_what_is_too_much_or_too_large_is_named(shown):
    show, _ = shown
    found = show(a=SVG + " " * LARGEST, **{f"p{number}": SVG for number in range(MOST + 1)})
    assert found is not None and found.count("<img") == MOST
    assert "lone_S0/artifacts/figures/a.svg" in found and f"lone_S0/artifacts/figures/p{MOST}.svg" in found


def test_the_studys_own_pictures_come_first(shown, bench):
    show, _ = shown
    bench.folder.figures.mkdir()
    (bench.folder.figures / "ladder.svg").write_text(SVG)
    (bench.folder.figures / "vast.svg").write_text(SVG + " " * LARGEST)
    found = show(train_gallery=SVG)
    assert found is not None
    assert found.index(f"ladder of {bench.folder.name}") < found.index("train gallery of lone_S0")
    assert "too large: figures/vast.svg" in found


def test_a_link_is_named_and_not_followed(shown, tmp_path):
    show, folder = shown
    outside = tmp_path / "secret.svg"
    outside.write_text(SVG)
    show(own=SVG)
    (folder / "linked.svg").symlink_to(outside)
    found = pictures(load_study_table(folder_of(folder)))
    assert found is not None and found.count("<img") == 1
    assert "figures/linked.svg" in found


def folder_of(figures):
    """The study that a run's figures belong to."""
    study = figures.parents[2]
    return StudyFolder(study.parents[1], study.name)
