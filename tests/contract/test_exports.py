"""The built-in formats keep the contract that is asked of everybody's."""

from __future__ import annotations

import pytest

from quadrat.core.errors import UsageError
from quadrat.core.registry import load, members
from quadrat.exports.base import Exporter
from quadrat.testing.exports import ExporterCases


class TestZip(ExporterCases):
    def make(self) -> Exporter:
        return load("exports", "zip")()


class TestCsv(ExporterCases):
    def make(self) -> Exporter:
        return load("exports", "csv")()


class TestParquet(ExporterCases):
    @pytest.fixture(autouse=True)
    def _installed(self):
        pytest.importorskip("pyarrow", reason="the package pyarrow is not installed")

    def make(self) -> Exporter:
        return load("exports", "parquet")()


class TestRows(ExporterCases):
    def make(self) -> Exporter:
        return load("exports", "rows")()


class TestRoCrate(ExporterCases):
    def make(self) -> Exporter:
        return load("exports", "ro-crate")()


class TestCroissant(ExporterCases):
    def make(self) -> Exporter:
        return load("exports", "croissant")()


class TestSplits(ExporterCases):
    def make(self) -> Exporter:
        return load("exports", "splits")()


def test_every_built_in_format_is_held_to_it():
    held = {case().make().ending for case in ExporterCases.__subclasses__()}
    assert held == {load("exports", name)().ending for name in members("exports")}


def test_an_unknown_format_is_told_the_known_ones():
    with pytest.raises(UsageError) as told:
        load("exports", "parket")
    assert "did you mean 'parquet'?" in told.value.paragraph()
    assert "croissant, csv, parquet, ro-crate, rows, splits, zip" in told.value.paragraph()
