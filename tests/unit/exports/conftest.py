"""A small finished study, made once: the exports only read it."""

from __future__ import annotations

import shutil

import pytest

from quadrat.journal.layout import StudyFolder
from quadrat.testing.exports import a_study


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    return a_study(tmp_path_factory.mktemp("exports") / "project")


@pytest.fixture
def study(made_once, tmp_path):
    """A copy that a test may spoil."""
    shutil.copytree(made_once.root, tmp_path / "project")
    return StudyFolder(tmp_path / "project", made_once.name)


@pytest.fixture(scope="session")
def silent():
    """Nobody listens to the progress."""
    return lambda done, total: None
