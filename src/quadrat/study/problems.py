"""From pydantic's errors to problems a person can mend: the place in the file, the value, what to try."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from pydantic import ValidationError

from quadrat.core.errors import Problem, nearest
from quadrat.study.names import shown
from quadrat.study.nodes import Node, where
from quadrat.study.schema import StudyFile
from quadrat.study.shape import Model, dotted_keys, known_at

_LISTED = 16
_MAX_PROBLEMS = 50

_SHOULD_BE = {
    "tuple_type": "should be a list",
    "list_type": "should be a list",
    "dict_type": "should be a mapping",
    "model_type": "should be a mapping",
    "model_attributes_type": "should be a mapping",
    "string_type": "should be text",
    "int_type": "should be a whole number",
    "float_type": "should be a number",
    "bool_type": "should be true or false",
    "too_short": "should not be empty",
}
_TRY = (
    ("list", "write a list in brackets, as in [1, 2]."),
    ("tuple", "write a list in brackets, as in [1, 2]."),
    ("dict", "write `key: value` pairs."),
    ("model", "write `key: value` pairs."),
    ("string", "put a text that looks like something else in quotes."),
    ("int", "write a whole number, without quotes."),
    ("float", "write a number, without quotes."),
    ("bool", "write true or false."),
)


def unknown_key(key: str, known: Iterable[str], *, kind: str, where: str, hint: str | None = None) -> Problem:
    """The problem of a key that nobody knows, with the nearest one that somebody does."""
    names = list(known)
    if hint is None:
        close, names = closest(key, names)
        listing = ", ".join(sorted(names)[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
        hint = f"did you mean {close!r}?" if close else f"known: {listing or 'none'}."
    return Problem(f"unknown {kind} {shown(key)}.", where, hint)


def closest(key: str, names: Sequence[str]) -> tuple[str | None, list[str]]:
    """The name nearest to ``key``, and the names among which it was looked for.

    A key inside a block that is there is looked for in that block only. Otherwise a key may also be meant that lies
    in a block which was left out: ``epochs`` for ``training.epochs``.
    """
    block = key.rpartition(".")[0]
    siblings = [name for name in names if block and name.startswith(f"{block}.")]
    if siblings:
        return nearest(key.rpartition(".")[2], _tails(siblings)) and nearest(key, siblings), siblings
    tails = _tails(names)
    inside = nearest(key.rpartition(".")[2], tails)
    return nearest(key, names) or (tails[inside] if inside else None), list(names)


def _tails(names: Sequence[str]) -> dict[str, str]:
    return {name.rpartition(".")[2]: name for name in reversed(names)}


def schema_problems(error: ValidationError, root: Node, *, config_keys: Sequence[str] = ()) -> list[Problem]:
    """The problems pydantic found with the study's own words."""
    found: list[Problem] = []
    details = error.errors(include_url=False)[:_MAX_PROBLEMS]
    for detail in details:
        location = detail["loc"]
        if detail["type"] == "too_short" and any(other["loc"][:-1] == location for other in details):
            continue  # it is too short only because pydantic leaves out the items that are wrong
        place = where(root, location)
        dotted = _dotted(location, root)
        if detail["type"] == "extra_forbidden":
            known = known_at(StudyFile, location[:-1])
            hint = _belongs_elsewhere(location, known, config_keys=config_keys)
            found.append(unknown_key(str(location[-1]), known, kind="key", where=place, hint=hint))
        elif detail["type"] == "missing":
            owner = _dotted(location[:-1], root)
            what = f"{owner or 'the study'} needs the key {location[-1]!r}."
            found.append(Problem(what, place, _example(location)))
        else:
            found.append(Problem(*_what_and_try(detail, dotted or "the study", place)))
    return found


@final
@dataclass(frozen=True, slots=True)
class Origin:
    """Where the values of a config came from.

    Attributes:
        leaves: the values by path.
        place: where to point when no one value is at fault.
        context: words such as `` in arm 'hybrid'``.
        own: the paths of the values that are set there and not in the base.
    """

    leaves: Mapping[tuple[str, ...], Node]
    place: str
    context: str = ""
    own: Collection[tuple[str, ...]] = ()


def config_problems(error: ValidationError, origin: Origin, *, model: Model) -> list[Problem]:
    """The problems the study's Config class found with resolved values."""
    found: list[Problem] = []
    known = dotted_keys([model])
    for detail in error.errors(include_url=False)[:_MAX_PROBLEMS]:
        path, rest = _value_at(detail["loc"], origin.leaves)
        sources = [leaf for leaf in origin.leaves if path and leaf[: len(path)] == path]
        spot = where(origin.leaves[sources[0]], rest) if sources else origin.place
        context = origin.context if not sources or sources[0] in origin.own else ""
        steps = [*path, *rest] if path else [step for step in detail["loc"] if not isinstance(step, int)]
        dotted = ".".join(str(step) for step in steps)
        if detail["type"] == "missing":
            what = f"the config{context} needs the key {dotted!r}."
            found.append(Problem(what, spot, f"add `{steps[-1]}: ...` there; it has no default."))
        elif detail["type"] == "extra_forbidden" and dotted in known:
            what = f"config {dotted}{context} does not go with the rest of its block."
            found.append(Problem(what, spot, "remove it, or choose the kind of block that has it."))
        elif detail["type"] == "extra_forbidden":
            found.append(unknown_key(dotted, known, kind="config key", where=spot))
        elif detail["type"] == "union_tag_invalid":
            found.append(_wrong_kind(detail, dotted + context, spot))
        else:
            found.append(Problem(*_what_and_try(detail, f"config {dotted}".strip() + context, spot)))
    return found


def distinct(problems: Iterable[Problem]) -> list[Problem]:
    """The problems, each once, in the order of their lines as far as they have any."""
    return sorted(dict.fromkeys(problems), key=_line)


def _what_and_try(detail: Any, subject: str, place: str) -> tuple[str, str, str]:
    kind, given = str(detail["type"]), detail["input"]
    message = str(detail["msg"]).removeprefix("Value error, ").removeprefix("Input ").strip()
    # Our own validators say what is wrong and what to try, parted by a semicolon.
    message, _, advice = message.partition("; ")
    reason = _SHOULD_BE.get(kind) or message
    is_plain = not (isinstance(given, dict | list | tuple) and kind == "value_error") and kind != "too_short"
    written = f", not {_value(given)}" if is_plain else ""
    return f"{subject} {reason}{written}.", place, f"{advice}." if advice else _advice(kind, detail)


def _wrong_kind(detail: Any, dotted: str, place: str) -> Problem:
    about = detail["ctx"]
    key, given = str(about["discriminator"]).strip("'"), str(about["tag"])
    kinds = re.findall(r"'([^']*)'", str(about["expected_tags"]))
    what = f"config {dotted} has the unknown {key} {shown(given)}."
    close = nearest(given, kinds)
    return Problem(what, place, f"did you mean {close!r}?" if close else f"known: {', '.join(kinds)}.")


def _advice(kind: str, detail: Any) -> str:
    given = detail["input"]
    if kind == "literal_error" and isinstance(given, str):
        expected = re.findall(r"'([^']*)'", str(detail["ctx"]["expected"]))
        close = nearest(given, expected)
        return f"did you mean {close!r}?" if close else f"write {' or '.join(expected)}."
    if kind == "string_type" and isinstance(given, dict):
        return "put a text that begins with { in quotes."
    if detail["loc"][:1] == ("seeds",):
        return "list the seeds as whole numbers from 0 on, as in `seeds: [0, 1, 2]`."
    for beginning, advice in _TRY:
        if kind.startswith(beginning):
            return advice
    return "choose a value that keeps to this."


def _value(given: Any) -> str:
    if isinstance(given, dict):
        return "a mapping"
    if isinstance(given, list | tuple):
        return "a list"
    return "nothing" if given is None else shown(given)


def _dotted(location: Sequence[Any], root: Node) -> str:
    """A location without the names of union members that pydantic puts into it."""
    kept: list[str] = []
    node = root
    for step in location:
        child = None
        if node.mapping is not None:
            child = node.mapping.get(str(step))
        elif node.items is not None and isinstance(step, int) and step < len(node.items):
            child = node.items[step]
        if child is not None:
            node = child
            kept.append(f"[{step}]" if isinstance(step, int) else f".{step}")
    return "".join(kept).removeprefix(".")


def _example(location: Sequence[Any]) -> str:
    examples = {
        "study": "study: a_name",
        "trainable": "trainable: module:function",
        "pass": 'pass: "> 0.90"',
        "id": "id: a_name",
        "metric": "metric: train/loss",
    }
    return f"add `{examples.get(str(location[-1]), f'{location[-1]}: ...')}` there."


def _belongs_elsewhere(location: Sequence[Any], known: list[str], *, config_keys: Sequence[str]) -> str | None:
    key = str(location[-1])
    if len(location) == 1 and key in config_keys:
        return f"{key!r} is a key of the study's config: put it under `config:`."
    if len(location) == 1 and not nearest(key, known):
        close, _ = closest(key, config_keys)
        return f"did you mean {close!r} under `config:`?" if close else None
    return None


def _value_at(location: Sequence[Any], leaves: Mapping[tuple[str, ...], Node]) -> tuple[tuple[str, ...], list[Any]]:
    """The path of the value or block that a location lies in, and what of the location is left.

    The path is empty when nothing is set there.
    """
    path: tuple[str, ...] = ()
    rest = list(location)
    while rest and path not in leaves:
        longer = (*path, str(rest.pop(0)))
        if any(leaf[: len(longer)] == longer for leaf in leaves):
            path = longer
        elif not rest:
            return (), list(location)
    return path, rest


def _line(problem: Problem) -> int:
    match = re.search(r":(\d+)$", problem.where or "")
    return int(match[1]) if match else 0
