"""What the runs were: the blocks of a record that say how the study was set up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from quadrat.logbook.facts import NOT_RECORDED, Facts, items, lookup, mapping, rows, value
from quadrat.logbook.markdown import (
    bullets,
    code,
    fenced,
    figure,
    href,
    inline,
    quoted,
    row_value,
    short_hash,
    size,
    table,
)

_MOST_FILES = 40


def stated(facts: Facts, dotted: str, *, none: str = "none") -> str:
    """One fact as text: not recorded when the key is missing, ``none`` when it holds nothing."""
    found, here = lookup(facts, dotted)
    if not found:
        return NOT_RECORDED
    return none if here is None or here == "" else inline(here)


def nothing(facts: Facts, key: str) -> str:
    """What to write where a list is empty: none when the key is there, else that nobody recorded it."""
    return "none" if key in facts else NOT_RECORDED


def header(facts: Facts) -> str:
    """Date, study, runs and seeds: the head of the page."""
    evidence = value(facts, "evidence")
    folder = f"[{inline(evidence)}]({href(str(evidence).rstrip('/') + '/')})" if evidence else stated(facts, "evidence")
    return bullets(
        [
            ("Date", stated(facts, "date")),
            ("Study", code(facts["study"]) if facts.get("study") else NOT_RECORDED),
            ("Runs", stated(facts, "status_account")),
            ("Seed(s)", _listing(facts, "seeds")),
            ("Evidence", folder),
        ]
    )


def goals(facts: Facts) -> str:
    """The question and the hypothesis, in the words of the study file."""
    parts: list[str] = []
    for key, label in (("question", "Question"), ("hypothesis", "Hypothesis")):
        text = value(facts, key)
        parts.append(f"**{label}.**\n\n{quoted(text) if text else quoted(stated(facts, key))}")
    return "\n\n".join([*parts, f"Declared: {declared(facts)}."])


def declared(facts: Facts) -> str:
    """When the hypothesis was fixed: before the first run, changed since, or not at all."""
    found, locked = lookup(facts, "hypothesis_locked")
    if not found:
        return NOT_RECORDED
    if isinstance(locked, str) and locked.strip():
        same = same_words(locked, value(facts, "hypothesis"))
        return "before the first run, unchanged since" if same else "before the first run, CHANGED since"
    return "before the first run" if locked is True else "post hoc, not before the first run"


def same_words(one: Any, other: Any) -> bool:
    """Whether two texts differ in nothing but white space."""
    return str(one or "").split() == str(other or "").split()


def commands(facts: Facts) -> str:
    """The exact commands, to be pasted."""
    lines = [str(item) for item in items(facts, "commands")]
    return fenced(lines, "sh") if lines else nothing(facts, "commands")


def code_state(facts: Facts) -> str:
    """The commit, and what was not committed."""
    if "git" not in facts:
        return f"- **Git commit:** {NOT_RECORDED}"
    git = mapping(facts, "git")
    if not git.get("commit"):
        return "- **Git commit:** none (not in a git repository)"
    dirty = git.get("dirty")
    where = ", not the same in every run" if isinstance(dirty, str) else ""
    state = NOT_RECORDED if dirty is None else f"has uncommitted changes{where}" if dirty else "clean"
    diff = git.get("diff")
    saved = "not needed" if dirty is False else _diff(diff)
    return bullets(
        [
            ("Git commit", code(git["commit"])),
            ("Branch", stated(git, "branch", none="none (detached)")),
            ("Working tree", state),
            ("Saved diff", saved),
        ]
    )


def _diff(diff: Any) -> str:
    """Where the uncommitted changes are kept."""
    if not diff:
        return "none"
    return code(diff) if isinstance(diff, str) else "yes, in the evidence of each run"


_MACHINE = (
    ("host", "Host"),
    ("platform", "Platform"),
    ("cpu", "CPU"),
    ("cores", "Cores"),
    ("memory", "Memory"),
    ("accelerator", "Accelerator"),
    ("device", "Device used"),
    ("threads", "Threads"),
    ("python", "Python"),
    ("torch", "PyTorch"),
    ("cuda", "CUDA"),
)


def machine(facts: Facts) -> str:
    """Where it ran. A machine without an accelerator says so."""
    found = mapping(facts, "machine")
    pairs = [
        (label, size(found[key]) if key == "memory" and key in found else stated(found, key)) for key, label in _MACHINE
    ]
    extra = [(inline(key), inline(found[key])) for key in found if key not in dict(_MACHINE)]
    return table(("Machine", "Value"), [*pairs, *extra])


def data(facts: Facts) -> str:
    """Every file of every data folder, with its hash."""
    if "data" not in facts:
        return NOT_RECORDED
    parts = [part for folder in rows(facts, "data") for part in _folder(folder)]
    return "\n\n".join(parts) or "none (the study builds no data)"


def _folder(folder: Mapping[str, Any]) -> list[str]:
    """One data folder."""
    files = rows(folder, "files")
    head = f"{code(folder.get('folder') or NOT_RECORDED)}, content key {short_hash(folder.get('key'))}"
    body = [
        (code(row.get("path", "")), size(row.get("bytes")), figure(row.get("rows")), short_hash(row.get("sha256")))
        for row in files[:_MOST_FILES]
    ]
    parts = [f"{head}{_source(folder)}:", table(("File", "Size", "Rows", "SHA-256"), body, right=(1, 2))]
    left = len(files) - _MOST_FILES
    return [*parts, f"and {left} more files, listed in the evidence folder."] if left > 0 else parts


def _source(folder: Mapping[str, Any]) -> str:
    """Where a data folder's manifest says that the data come from, and under which licence."""
    about = mapping(folder, "info")
    told = [(name, about.get(name)) for name in ("source", "version", "license", "licence")]
    return "".join(f", {name} {inline(item)}" for name, item in told if item)


def artifacts(facts: Facts) -> str:
    """What the runs left behind."""
    found = rows(facts, "artifacts")
    if not found:
        return nothing(facts, "artifacts")
    body = [(code(row.get("path", "")), size(row.get("bytes")), short_hash(row.get("sha256"))) for row in found]
    left = len(body) - _MOST_FILES
    text = table(("File", "Size", "SHA-256"), body[:_MOST_FILES], right=(1,))
    return f"{text}\n\nand {left} more files, listed in the evidence folder." if left > 0 else text


def deviations(facts: Facts) -> str:
    """What was changed after the plan had been fixed."""
    found = items(facts, "amendments")
    if not found:
        return nothing(facts, "amendments")
    lines: list[str] = []
    for item in found:
        if not isinstance(item, Mapping):
            lines.append(f"- {inline(item)}")
            continue
        changes: Sequence[Any] = items(item, "changes")
        when, why = row_value(item, "time") or NOT_RECORDED, row_value(item, "reason") or "no reason given"
        lines.extend([f"- {inline(when)}: {inline(why)}", *(f"  - {code(change)}" for change in changes)])
    return "\n".join(lines)


def rerun(facts: Facts) -> str:
    """What came of running it again."""
    found, here = lookup(facts, "rerun")
    if not found or here is None:
        return "not attempted"
    made = rows(facts, "rerun")
    if made:
        body = [
            (
                code(row.get("run", "")),
                *(inline(row.get(key) or NOT_RECORDED) for key in ("ran", "level", "conclusion")),
            )
            for row in made
        ]
        return table(("Run", "Made again", "Level", "Conclusion"), body)
    if not isinstance(here, Mapping):
        return inline(here)
    return bullets([(inline(key), inline(item)) for key, item in here.items()]) or "not attempted"


def _listing(facts: Facts, key: str) -> str:
    """A list of plain values on one line."""
    found = items(facts, key)
    return ", ".join(inline(item) for item in found) if found else nothing(facts, key)
