"""The built-in launchers keep the contract that is asked of everybody's."""

from __future__ import annotations

from quadrat.core.registry import load
from quadrat.launchers.base import Launcher
from quadrat.testing.launchers import LauncherCases


class TestInline(LauncherCases):
    separate = False

    def make(self) -> Launcher:
        return load("launchers", "inline")()


class TestPool(LauncherCases):
    def make(self) -> Launcher:
        return load("launchers", "pool")(slots=2)
