"""Families of interchangeable members, found by entry point. Built-ins come in through the same door."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from quadrat.core.errors import UsageError, unknown_name


def members(family: str) -> dict[str, EntryPoint]:
    """The members of ``family`` (``launchers``, ``sinks``, ``rules``, ``studies``) by name, not imported."""
    return {point.name: point for point in entry_points(group=f"quadrat.{family}")}


def load(family: str, name: str) -> Any:
    """Import one member of a family.

    Raises:
        UsageError: nobody of that name, or its package is not installed.
    """
    known = members(family)
    if name not in known:
        raise unknown_name(family.rstrip("s"), name, known)
    try:
        return known[name].load()
    except ModuleNotFoundError as missing:
        dist = known[name].dist
        package = dist.name if dist else "its package"
        raise UsageError(
            f"{family.rstrip('s')} {name!r} needs the module {missing.name!r}, which is not installed.",
            where=package,
            remedy=f"pip install 'quadrat[{name}]'",
        ) from missing
