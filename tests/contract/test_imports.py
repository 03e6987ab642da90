"""The built-in importers keep the contract asked of everybody's, on files that the packages themselves wrote."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from quadrat.core.registry import load
from quadrat.imports.base import Importer
from quadrat.testing.imports import ImporterCases


class _Builtin(ImporterCases):
    name: str

    @pytest.fixture(autouse=True)
    def _source(self, foreign: Callable[[str], Path]) -> None:
        self.source = foreign(self.name)

    def make(self) -> Importer:
        return load("imports", self.name)()

    def leave(self, folder: Path) -> Path:
        copy = folder / self.source.name
        if self.source.is_dir():
            shutil.copytree(self.source, copy, symlinks=True)
        else:
            shutil.copy2(self.source, copy)
        return copy


class TestCsv(_Builtin):
    name = "csv"


class TestMlflow(_Builtin):
    name = "mlflow"


class TestTensorBoard(_Builtin):
    name = "tensorboard"


class TestWandb(_Builtin):
    name = "wandb"


def test_all_four_come_in_through_the_same_door():
    names = {point.name for point in entry_points(group="quadrat.imports")}
    assert {"csv", "mlflow", "tensorboard", "wandb"} <= names
    assert all(issubclass(load("imports", name), Importer) for name in names)


@pytest.mark.parametrize("name", ["csv", "mlflow", "tensorboard", "wandb"])
def test_no_two_of_them_claim_the_same_results(name, foreign):
    path = foreign(name)
    claimed = [
        other for other in ("csv", "mlflow", "tensorboard", "wandb") if load("imports", other)().recognises(path)
    ]
    assert claimed == [name]
