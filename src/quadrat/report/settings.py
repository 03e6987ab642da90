"""What the runs were set to: config and derived parameters, once where all agree, side by side where they do not."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from quadrat.analyze.declaration import Condition
from quadrat.analyze.rows import Row
from quadrat.analyze.table import StudyTable
from quadrat.journal.plain import flatten


def config(table: StudyTable) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The resolved config: the keys that all conditions share, and what sets each condition apart."""
    groups = table.conditions().items()
    return divide({place(table, condition): found for condition, rows in groups if (found := _config(rows))})


def derived(table: StudyTable) -> dict[str, dict[str, Any]]:
    """Parameters computed from config or data: under ``all`` what is shared, then what sets conditions apart."""
    groups = table.conditions().items()
    common, apart = divide({place(table, condition): found for condition, rows in groups if (found := _derived(rows))})
    return {**({"all": common} if common else {}), **{name: values for name, values in apart.items() if values}}


def place(table: StudyTable, condition: Condition) -> str:
    """A condition's name in a study that may have several stages: ``overfit/token_only``."""
    several = len(table.stages()) > 1 and condition.stage
    return f"{condition.stage}/{condition.label}" if several else condition.label


def _config(rows: Sequence[Row]) -> dict[str, Any]:
    """The config that the seeds of a condition share; the first run that has one speaks for all."""
    tree = next((found for found in (row.config() for row in rows) if found), {})
    return {key: value for key, value in flatten(tree).items() if key != "seed"}


def _derived(rows: Sequence[Row]) -> dict[str, Any]:
    return flatten(next((found for found in (row.derived() for row in rows) if found), {}))


def divide(named: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The keys with one value everywhere, and per name the keys that differ somewhere."""
    keys = sorted({key for values in named.values() for key in values})
    common: dict[str, Any] = {}
    apart: dict[str, dict[str, Any]] = {name: {} for name in named}
    for key in keys:
        held = {name: values[key] for name, values in named.items() if key in values}
        texts = {json.dumps(value, sort_keys=True, default=str) for value in held.values()}
        if len(texts) == 1 and len(held) == len(named):
            common[key] = next(iter(held.values()))
        else:
            for name, value in held.items():
                apart[name][key] = value
    return common, apart
