"""The config block: every option by the sections that the study declares, and what sets conditions apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

from quadrat.logbook.facts import NOT_RECORDED, Facts, mapping, rows, value
from quadrat.logbook.markdown import code, inline, scalar, table
from quadrat.logbook.when import holds

_WIDE = 4
_MOST_CHANGES = 8


def config(facts: Facts) -> str:
    """Every option, by section where sections are declared; then what conditions set apart; then the baseline."""
    if "config_common" not in facts and "config_by_condition" not in facts:
        return NOT_RECORDED
    declared = rows(facts, "config_sections")
    common = mapping(facts, "config_common")
    by_condition = mapping(facts, "config_by_condition")
    parts = _sections(facts, declared) if declared else []
    named = {str(row.get("key")) for row in declared}
    rest = {key: common[key] for key in sorted(common) if not _is_named(key, named)}
    if rest:
        parts.append("Options of no section, common to every run:" if declared else "Common to every run:")
        parts.append(table(("Option", "Value"), [(code(key), scalar(rest[key])) for key in rest]))
    if any(by_condition.values()):
        parts.append("Set apart by condition (the changes from one to the other):")
        parts.append(matrix(by_condition, baselines=_baselines(facts)))
    parts += _changes(facts)
    return "\n\n".join(parts) or "none"


def conditions(facts: Facts) -> Mapping[str, Mapping[str, Any]]:
    """The whole config of each condition, derived parameters beside it under their own names."""
    common, shared = mapping(facts, "config_common"), mapping(facts, "derived.all")
    apart, worked_out = mapping(facts, "config_by_condition"), mapping(facts, "derived")
    names = list(dict.fromkeys([*apart, *(name for name in worked_out if name != "all")])) or ["all"]
    return {name: {**shared, **_plain(worked_out.get(name)), **common, **_plain(apart.get(name))} for name in names}


def _plain(held: Any) -> Mapping[str, Any]:
    return {str(key): item for key, item in held.items()} if isinstance(held, Mapping) else {}


def unanswered(facts: Facts) -> list[str]:
    """Declared options that no run has a value for; an option that does not apply has its answer."""
    held = conditions(facts)
    return [
        str(row.get("key"))
        for row in rows(facts, "config_sections")
        if any(NOT_RECORDED in cell for cell in _cells(row, held).values())
    ]


def _sections(facts: Facts, declared: Sequence[Mapping[str, Any]]) -> list[str]:
    """One table per section, in the order declared."""
    held = conditions(facts)
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in declared:
        groups.setdefault(str(row.get("section")), []).append(row)
    parts: list[str] = []
    for section, found in groups.items():
        body = [(code(row.get("label") or row["key"]), _key(row), shown(row, held)) for row in found]
        parts.append(f"**{inline(section)}**")
        parts.append(table(("Option", "Key", "Value"), body))
    return parts


def _key(row: Mapping[str, Any]) -> str:
    return "derived" if row.get("derived") else code(row["key"])


def shown(row: Mapping[str, Any], held: Mapping[str, Mapping[str, Any]]) -> str:
    """The value of one declared option over all conditions: once where they agree."""
    cells = _cells(row, held)
    if len(set(cells.values())) == 1:
        return next(iter(cells.values()))
    if len(cells) > _WIDE:
        return "varies, see below"
    return "; ".join(f"{inline(name)}: {cell}" for name, cell in cells.items())


def _cells(row: Mapping[str, Any], held: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The value of one option in each condition; ``n/a (only if ...)`` where it has no effect."""
    key, when = str(row.get("key")), row.get("when")
    found: dict[str, str] = {}
    for name, options in held.items():
        if when and holds(str(when), key=key, config=options) is False:
            found[name] = f"n/a (only if {inline(when)})"
        else:
            found[name] = _cell(key, options)
    return found


def _cell(key: str, options: Mapping[str, Any]) -> str:
    """The value of a key; a mapping lies flat in a config, and is put together again."""
    if key in options:
        return scalar(options[key])
    inner = {name.removeprefix(f"{key}."): held for name, held in options.items() if name.startswith(f"{key}.")}
    return scalar(inner) if inner else NOT_RECORDED


def _is_named(key: str, named: Set[str]) -> bool:
    """Whether a key, or the mapping that it lies in, is declared."""
    parts = key.split(".")
    return any(".".join(parts[:count]) in named for count in range(1, len(parts) + 1))


def _baselines(facts: Facts) -> list[str]:
    """The conditions that others are compared with."""
    found = [*mapping(facts, "baselines").values(), value(facts, "baseline")]
    return [str(name) for name in found if name]


def _changes(facts: Facts) -> list[str]:
    """What sets each condition apart from its baseline: config, code and data."""
    if "changes" not in facts:
        return []
    found = rows(facts, "changes")
    if not found:
        return ["Changes from baseline: none (the study names no baseline, or has no other condition)."]
    body = [
        (
            inline(row.get("condition", "")),
            inline(row.get("baseline", "")),
            _listed([_change(item) for item in rows(row, "config")]),
            _listed([inline(item) for item in row.get("code") or ()]),
            _listed([inline(item) for item in row.get("data") or ()]),
        )
        for row in found
    ]
    return ["Changes from baseline:", table(("Condition", "Baseline", "Config", "Code", "Data"), body)]


def _change(item: Mapping[str, Any]) -> str:
    before = scalar(item["from"]) if "from" in item else "absent"
    after = scalar(item["to"]) if "to" in item else "absent"
    return f"{code(item.get('key', ''))} {before} to {after}"


def _listed(texts: Sequence[str]) -> str:
    left = f"; and {len(texts) - _MOST_CHANGES} more" if len(texts) > _MOST_CHANGES else ""
    return "; ".join(texts[:_MOST_CHANGES]) + left if texts else "none"


def derived(facts: Facts) -> str:
    """Parameters that were computed, not set: counts, totals, what a scan of the data found."""
    by_condition = mapping(facts, "derived")
    if any(by_condition.values()):
        return matrix(by_condition)
    return "none" if "derived" in facts else NOT_RECORDED


def matrix(by_condition: Mapping[str, Any], *, baselines: Sequence[str] = ()) -> str:
    """Values by condition and key; the longer side goes down the page. A baseline is marked."""
    known = {name: row for name, row in by_condition.items() if isinstance(row, Mapping) and row}
    keys = list(dict.fromkeys(str(key) for row in known.values() for key in row))

    def at(name: str, key: str) -> str:
        row = {str(k): item for k, item in known[name].items()}
        return scalar(row[key]) if key in row else "n/a"

    titles = {name: inline(name) + (" (baseline)" if name in baselines else "") for name in known}
    if len(known) <= _WIDE:
        return table(("Option", *titles.values()), [(code(key), *(at(name, key) for name in known)) for key in keys])
    return table(("Condition", *map(code, keys)), [(titles[name], *(at(name, key) for key in keys)) for name in known])
