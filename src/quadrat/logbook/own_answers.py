"""What a field of somebody's own template means, and what the facts of a study answer to it.

A field is known by its name with everything but letters and digits taken out (``Git commit / tag`` and ``git_commit``
are two names of one). The names are those of the templates of seeds 000, 002 and 003; options and metrics go by their
own names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, final

from quadrat.logbook.facts import Facts, items, mapping, number, rows, run_name, value
from quadrat.logbook.markdown import code, duration, figure, href, inline, places, scalar, short_hash
from quadrat.logbook.naming import vocabulary
from quadrat.logbook.options import conditions, shown
from quadrat.logbook.outcome import bounds

_FEW = 6
_TEST = re.compile(r"(?i)^(?:test|all|eval|ood|arc)")
_SAME = (
    ("testem", ("all.exact_accuracy", "test/exact_accuracy", "exact_match")),
    ("trainem", ("train/exact_accuracy",)),
)


@final
@dataclass(frozen=True, slots=True)
class Answers:
    """The facts of a study, or of one stage of it, as answers to named fields."""

    facts: Facts
    stage: str | None = None

    def field(self, name: str) -> str | None:
        """The answer to a field that a record knows by name; None for others, and where nobody knows."""
        answer = _FIELDS.get(squeeze(name))
        return (answer(self.facts) or None) if answer is not None else None

    def any(self, name: str, *, percent: bool = False) -> str | None:
        """The answer to a field of any kind: an option, a derived parameter, a field of the record, a metric."""
        flag = re.search(r"--([A-Za-z][\w-]*)", name)
        if flag:
            exact = self.option(flag[1], label=flag.group(), loose=False)
            return exact or self.field(flag[1]) or self.option(flag[1])
        return self.field(name) or self.metric(name, percent=percent) or self.option(name)

    def option(self, name: str, *, label: str | None = None, loose: bool = True) -> str | None:
        """The value of an option or derived parameter, by its key or declared label; loosely, by its last part too."""
        row = _option(self.facts, name, label=label, loose=loose)
        if row is None:
            return None
        text = shown(row, conditions(self.facts))
        return None if "not recorded" in text or text == "varies, see below" else text

    def truth(self, name: str) -> bool | None:
        """Whether an option is on; None when there is no such option, or it differs between conditions."""
        row = _option(self.facts, name, label=None, loose=True)
        held = [options.get(str(row["key"])) for options in conditions(self.facts).values()] if row else []
        known = {bool(item) for item in held}
        return known.pop() if len(known) == 1 else None

    def metric(self, name: str, *, percent: bool = False) -> str | None:
        """What was measured, over all conditions; of one stage where this speaks of one."""
        names = _metrics(self.facts, name)
        parts = [part for found in names for part in self._measured(found, percent, many=len(names) > 1)]
        return "; ".join(parts) or None

    def _measured(self, metric: str, percent: bool, *, many: bool) -> list[str]:
        scale = 100.0 if percent else 1.0
        found = [row for row in rows(self.facts, "metrics") if row.get("metric") == metric and self._here(row)]
        told = [_estimate(row, scale) for row in found] if found else self._of_runs(metric, scale)
        if len(told) > _FEW:
            told = [_range(found, scale)] if found else [("", f"{len(told)} conditions, in the evidence")]
        head = f"{code(metric)}: " if many else ""
        joined = ", ".join(f"{inline(name)} {text}" if name and len(told) > 1 else text for name, text in told)
        return [head + joined] if joined else []

    def _of_runs(self, metric: str, scale: float) -> list[tuple[str, str]]:
        groups: dict[str, list[float]] = {}
        for run in rows(self.facts, "runs"):
            held = number(mapping(run, "final"), metric)
            if held is not None and self._here(run):
                groups.setdefault(str(run.get("arm") or run.get("condition") or ""), []).append(held * scale)
        return [(name, f"{', '.join(map(figure, held))} (n = {len(held)})") for name, held in groups.items()]

    def _here(self, row: Mapping[str, Any]) -> bool:
        return self.stage is None or row.get("stage") in (None, self.stage)

    def gate(self) -> str | None:
        """The outcome of the gate of this stage, or of the last one: pass, partial, fail and so on."""
        found = [
            row
            for row in rows(self.facts, "gates")
            if self.stage is None or self.stage in (row.get("of"), row.get("stage"))
        ]
        outcomes = {str(row.get("outcome") or row.get("result")) for row in found}
        return outcomes.pop() if len(outcomes) == 1 else None


def squeeze(name: str) -> str:
    """A name as it is compared: letters and digits, small."""
    return re.sub(r"[^a-z0-9]+", "", name.lower())


def _option(facts: Facts, name: str, *, label: str | None, loose: bool) -> Mapping[str, Any] | None:
    """The declared row of an option, or one made up for an option that declares none; None when it is not unique."""
    declared = rows(facts, "config_sections")
    wanted = squeeze(name)
    keys = list(dict.fromkeys(key for options in conditions(facts).values() for key in options))
    by_label = [row for row in declared if label and row.get("label") == label]
    if len(by_label) == 1:
        return by_label[0]
    for way in (squeeze, *((_last, _kind) if loose else ())):
        found = [key for key in keys if way(key) == wanted]
        if len(found) == 1:
            return next((row for row in declared if row.get("key") == found[0]), {"key": found[0]})
    return None


def _last(key: str) -> str:
    return squeeze(key.rpartition(".")[2])


def _kind(key: str) -> str:
    """``encoder.kind`` and ``encoder_type`` answer to ``encoder``."""
    return squeeze(re.sub(r"[._](?:kind|type|name|architecture)$", "", key))


def _metrics(facts: Facts, name: str) -> list[str]:
    """The metrics that a name may mean, primary and test ones first; none when it is no metric's name."""
    known = list(dict.fromkeys(str(row["metric"]) for row in rows(facts, "metrics")))
    final = list(dict.fromkeys(str(key) for run in rows(facts, "runs") for key in mapping(run, "final")))
    everything = list(dict.fromkeys([*known, *final]))
    words = re.sub(r"(?i)^(?:avg\.?|average|mean)\s+", "", name.strip("`* "))
    wanted = squeeze(words)
    for alias, same in _SAME:
        if wanted == alias:
            return next(([found] for found in same if found in everything), [])
    whole = [found for found in everything if squeeze(found) == wanted]
    if whole:
        return whole[:1]
    tails = [found for found in everything if squeeze(re.split(r"[/.]", found)[-1]) == wanted]
    tails = (
        [found for found in tails if found in known and _TEST.match(found)]
        or [found for found in tails if _TEST.match(found)]
        or tails
    )
    return tails if len(tails) <= _FEW else []


def _estimate(row: Mapping[str, Any], scale: float) -> tuple[str, str]:
    """The condition of a row of results, and its number with interval and n."""
    low, high = bounds(row)
    mean = number(row, "mean")
    if mean is None:
        return str(row.get("condition") or ""), f"none (n = {row.get('n')})"
    if low is None or high is None:
        return str(row.get("condition") or ""), f"{figure(mean * scale)} (n = {row.get('n')})"
    decimals = places(low * scale, high * scale)
    interval = f"[{figure(low * scale, decimals)}, {figure(high * scale, decimals)}]"
    return str(row.get("condition") or ""), f"{figure(mean * scale, decimals)} {interval} (n = {row.get('n')})"


def _range(found: Sequence[Mapping[str, Any]], scale: float) -> tuple[str, str]:
    means = [mean * scale for row in found if (mean := number(row, "mean")) is not None]
    return ("", f"{figure(min(means))} to {figure(max(means))} over {len(found)} conditions") if means else ("", "")


def _text(key: str) -> Callable[[Facts], str]:
    """A fact as it is; nothing when it is not known."""

    def answer(facts: Facts) -> str:
        held = value(facts, key)
        return inline(held) if held not in (None, "", [], {}) else ""

    return answer


def _or_none(key: str) -> Callable[[Facts], str]:
    """A fact for which none is an answer: a machine without an accelerator."""

    def answer(facts: Facts) -> str:
        group, _, last = key.rpartition(".")
        return inline(value(facts, key) or "none") if last in mapping(facts, group) else ""

    return answer


def _runs(facts: Facts) -> str:
    names = [code(run_name(run)) for run in rows(facts, "runs")]
    left = f" and {len(names) - 2 * _FEW} more" if len(names) > 2 * _FEW else ""
    return ", ".join(names[: 2 * _FEW]) + left


def _seeds(facts: Facts) -> str:
    return ", ".join(inline(seed) for seed in items(facts, "seeds"))


def _commit(facts: Facts) -> str:
    git = mapping(facts, "git")
    if not git.get("commit"):
        return "none (not in a git repository)" if "git" in facts else ""
    return f"{code(git['commit'])}{', with uncommitted changes that are saved' if git.get('dirty') else ''}"


def _command(facts: Facts) -> str:
    found = items(facts, "commands")
    return "; ".join(code(item) for item in found[:_FEW])


def _output(facts: Facts) -> str:
    return code(f"results/{facts['study']}") if facts.get("study") else ""


def _machine(facts: Facts) -> str:
    told = [inline(value(facts, f"machine.{key}")) for key in ("host", "platform") if value(facts, f"machine.{key}")]
    return ", ".join(told)


def _options(facts: Facts) -> str:
    common = mapping(facts, "config_common")
    told = [f"{code(key)} {scalar(common[key])}" for key in sorted(common)]
    apart = {key for row in mapping(facts, "config_by_condition").values() if isinstance(row, Mapping) for key in row}
    more = f"; varied: {', '.join(code(key) for key in sorted(apart))}" if apart else ""
    return ", ".join(told) + more


def _derived(facts: Facts) -> str:
    held = mapping(facts, "derived")
    told = [
        f"{'' if name == 'all' else f'{inline(name)}: '}{code(key)} {scalar(item)}"
        for name, row in held.items()
        if isinstance(row, Mapping)
        for key, item in row.items()
    ]
    return ", ".join(told) or ("none" if "derived" in facts else "")


def _datasets(facts: Facts) -> str:
    found = [
        f"{code(row['folder'])} ({len(rows(row, 'files'))} files)" for row in rows(facts, "data") if row.get("folder")
    ]
    return ", ".join(found) or ("none (the study builds no data)" if "data" in facts else "")


def _checksums(facts: Facts) -> str:
    found = [
        f"{code(item.get('path', ''))} {short_hash(item.get('sha256'))}"
        for row in rows(facts, "data")
        for item in rows(row, "files")
    ]
    left = f" and {len(found) - 2 * _FEW} more" if len(found) > 2 * _FEW else ""
    return ", ".join(found[: 2 * _FEW]) + left


def _changes(facts: Facts) -> str:
    told: list[str] = []
    for row in rows(facts, "changes"):
        config = [
            f"{code(item['key'])} {scalar(item.get('from'))} to {scalar(item.get('to'))}"
            for item in rows(row, "config")
        ]
        others = [inline(item) for key in ("code", "data") for item in row.get(key) or ()]
        told.append(f"{inline(row.get('condition', ''))}: {', '.join([*config, *others]) or 'none'}")
    left = f"; and {len(told) - _FEW} more conditions" if len(told) > _FEW else ""
    return "; ".join(told[:_FEW]) + left or ("none" if "changes" in facts else "")


def _start(facts: Facts) -> str:
    found = [run.get("initialised_from") for run in rows(facts, "runs")]
    told = list(dict.fromkeys(inline(item or "scratch") for item in found))
    return ", ".join(told[:_FEW]) if found else ""


def _runtime(facts: Facts) -> str:
    times = [item for item in mapping(facts, "runtime.per_run_s").values() if isinstance(item, int | float)]
    total = value(facts, "runtime.total_s")
    if total is None:
        return ""
    return (
        f"{duration(total)} in all, {duration(min(times))} to {duration(max(times))} a run"
        if times
        else duration(total)
    )


def _per_epoch(facts: Facts) -> str:
    """Wall time of a run over its epochs, where every run has the same number of them."""
    found = {
        options.get(key)
        for options in conditions(facts).values()
        for key in options
        if key.rpartition(".")[2] == "epochs"
    }
    times = [item for item in mapping(facts, "runtime.per_run_s").values() if isinstance(item, int | float)]
    epochs = found.pop() if len(found) == 1 else None
    if not times or isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
        return ""
    return f"{duration(sum(times) / len(times) / epochs)} (wall time, mean of {len(times)} runs over {epochs} epochs)"


def evidence_link(facts: Facts, place: str = "") -> str:
    """A relative link into the evidence folder; nothing where there is none."""
    folder = str(value(facts, "evidence") or "").rstrip("/")
    path = f"{folder}/{place}" if place else f"{folder}/"
    return f"[{inline(place or folder)}]({href(path)})" if folder else ""


def _linked(place: str) -> Callable[[Facts], str]:
    return lambda facts: evidence_link(facts, place)


_NAMES: Sequence[tuple[str, Callable[[Facts], str]]] = (
    ("run id, run ids, runs", _runs),
    ("date", _text("date")),
    ("owner, owners, owner(s)", _text("owner")),
    ("seed, seeds, seed(s)", _seeds),
    ("git commit, git commit / tag, commit, input revisions", _commit),
    ("script, trainable, entry point", lambda facts: code(facts["trainable"]) if facts.get("trainable") else ""),
    ("output dir, output, output folder", _output),
    ("notes, goal, question", _text("question")),
    ("hypothesis", _text("hypothesis")),
    ("machine, host", _machine),
    ("gpu, accelerator", _or_none("machine.accelerator")),
    ("cuda", _or_none("machine.cuda")),
    ("pytorch, torch", _or_none("machine.torch")),
    ("python", _text("machine.python")),
    ("device", _text("machine.device")),
    ("cli invocation, command, command snapshot", _command),
    ("config snapshot, configuration, other hyperparams, hyperparameters", _options),
    ("derived parameters", _derived),
    ("datasets, data set, dataset", _datasets),
    ("checksums", _checksums),
    ("changes from baseline", _changes),
    ("init from, initialised from", _start),
    ("runtime, wall time", _runtime),
    ("runtime/epoch, runtime per epoch", _per_epoch),
    ("status account", _text("status_account")),
    ("evidence", _linked("")),
)

_FIELDS: Mapping[str, Callable[[Facts], str]] = MappingProxyType(
    {squeeze(name): answer for names, answer in _NAMES for name in names.split(", ")}
)


def knows_metric(facts: Facts, text: str) -> bool:
    """Whether words name a metric of the study."""
    return bool(vocabulary(facts).metrics_in(text))
