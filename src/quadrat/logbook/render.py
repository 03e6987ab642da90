"""The auto blocks by name, and the text of each from the facts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType

from quadrat.logbook import options, outcome, setting
from quadrat.logbook.facts import Facts, rows, run_name
from quadrat.logbook.markdown import inline

_WIDTH = 100


def front(facts: Facts) -> str:
    """What the front matter says of the runs, as YAML: for tools that look for a run's records."""
    names = [json.dumps(inline(run_name(row)), ensure_ascii=False) for row in rows(facts, "runs")]
    lines: list[str] = []
    line = "runs: ["
    for index, name in enumerate(names):
        item = name + ("," if index < len(names) - 1 else "")
        if len(line) + len(item) > _WIDTH:
            lines.append(line.rstrip())
            line = "  "
        line += item + (" " if item.endswith(",") else "")
    evidence = json.dumps(inline(facts["evidence"]), ensure_ascii=False) if facts.get("evidence") else "null"
    return "\n".join([*lines, line + "]", f"evidence: {evidence}"])


RENDERERS: Mapping[str, Callable[[Facts], str]] = MappingProxyType(
    {
        "front": front,
        "header": setting.header,
        "goals": setting.goals,
        "commands": setting.commands,
        "config": options.config,
        "derived": options.derived,
        "data": setting.data,
        "code": setting.code_state,
        "machine": setting.machine,
        "gates": outcome.gates,
        "metrics": outcome.metrics,
        "comparisons": outcome.comparisons,
        "runtime": outcome.runtime,
        "figures": outcome.figures,
        "health": outcome.health,
        "runs": outcome.runs,
        "verdict": outcome.verdict,
        "artifacts": setting.artifacts,
        "deviations": setting.deviations,
        "rerun": setting.rerun,
    }
)


def render(name: str, facts: Facts) -> str:
    """The contents of one block, lines ended by LF, the last one too."""
    text = RENDERERS[name](facts)
    return f"{text}\n" if name == "front" else f"\n{text}\n\n"
