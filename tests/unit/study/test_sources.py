from __future__ import annotations

from pathlib import Path

import pytest

from quadrat.core.errors import UsageError
from quadrat.study.sources import find_source, known_studies


def test_a_path_is_named_as_it_was_given(place: Path):
    (place / "s.yaml").write_text("a: 1\n")
    assert find_source("s.yaml").label == "s.yaml"
    assert find_source(place / "s.yaml").label == str(place / "s.yaml")
    assert find_source("s.yaml").registered is None


def test_a_file_may_have_any_ending(place: Path):
    (place / "study").write_text("a: 1\n")
    assert find_source("study").path == Path("study")


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("s.yml", "there is no file 's.yml'. Try: did you mean 's.yaml'?"),
        ("./sub/x.yaml", "there is no file './sub/x.yaml'"),
        ("/nowhere/x.yaml", "there is no file"),
        (".", "is a folder. Try: a study file in it: s.yaml"),
        ("flux", "unknown study 'flux'. Try: did you mean 'fluxem'?"),
        ("fluxem/../../etc/passwd", "unknown study"),
        ("fluxem/nothing_of_the_kind", "unknown study 'fluxem/nothing_of_the_kind'"),
        ("fluxem", "study 'fluxem'"),
        ("", "is a folder"),
    ],
)
def test_what_is_not_there(place: Path, target: str, words: str):
    (place / "s.yaml").write_text("a: 1\n")
    with pytest.raises(UsageError) as caught:
        find_source(target)
    assert words in caught.value.paragraph()


def test_registered_files_are_found_by_name_with_and_without_ending(place: Path):
    for name in known_studies():
        source = find_source(name)
        assert source.path.is_file()
        assert source.registered == name
        assert find_source(f"{name}.yaml").path == source.path
