"""From a file to a tree of nodes: YAML 1.2 as data only, with limits, and every refusal at its file and line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from quadrat.core.errors import Problem, StudyError
from quadrat.study.builder import Builder
from quadrat.study.encoding import decode, mojibake
from quadrat.study.nodes import Node, plain

MAX_BYTES = 1 << 20


@final
@dataclass(frozen=True, slots=True)
class Document:
    """One study file, read but not yet understood.

    Attributes:
        label: the file as it is named in messages.
        text: what stood in the file.
        root: the tree.
        problems: what has to be mended, though the rest could still be read.
        warnings: values that older YAML readers would have read differently, and text that looks garbled.
    """

    label: str
    text: str
    root: Node
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()

    @property
    def data(self) -> dict[str, Any]:
        """The bare data."""
        return plain(self.root)


def read_yaml(path: Path) -> Document:
    """Read a study file and refuse it when anything about it is wrong.

    Raises:
        StudyError: unreadable, not UTF-8, not YAML 1.2, over a limit, a tag, a duplicate key, a tab.
    """
    document = parse_yaml(read_bytes(path), label=str(path))
    if document.problems:
        raise StudyError(document.problems)
    return document


def read_bytes(path: Path) -> bytes:
    """The bytes of a study file; no more of it is read than the limit allows."""
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except OSError as trouble:
        reason = trouble.strerror or type(trouble).__name__
        problem = Problem(f"cannot read the study file: {reason}.", str(path), "check the path and its permissions.")
        raise StudyError([problem]) from trouble


def parse_yaml(data: bytes, *, label: str) -> Document:
    """Read the bytes of a study file as far as possible.

    Raises:
        StudyError: nothing after the place can be trusted. Lesser problems are left in the document.
    """
    if len(data) > MAX_BYTES:
        remedy = "keep data in files of its own; a study file only declares."
        raise StudyError([Problem("the file is larger than 1 MiB.", label, remedy)])
    text = decode(data, label=label)
    tabs = _indented_by_tabs(text, label=label)
    if tabs:
        raise StudyError(tabs)
    builder = Builder(label)
    builder.consume(text)
    if builder.root is None or builder.root.mapping is None:
        what = "the file is empty." if builder.root is None else "the file does not hold a mapping."
        builder.problems.append(
            Problem(what, f"{label}:1", "begin with `study: a_name` and `trainable: module:function`.")
        )
    if builder.root is None or builder.root.mapping is None:
        raise StudyError(builder.problems)
    warnings = (*builder.warnings, *mojibake(text, label=label))
    return Document(label, text, builder.root, tuple(builder.problems), warnings)


def read_value(text: str, *, label: str) -> Node:
    """Read one value, such as the right-hand side of an override, by the rules of the study file.

    Raises:
        StudyError: it is not a YAML value.
    """
    builder = Builder(label, lines=False)
    builder.consume(text)
    if builder.problems:
        raise StudyError(builder.problems)
    return builder.root or Node(None, label)


def _indented_by_tabs(text: str, *, label: str) -> list[Problem]:
    places = [number for number, line in enumerate(text.split("\n"), 1) if re.match(r"[ ]*\t\s*\S", line)]
    return [Problem("the line is indented by a tab.", f"{label}:{number}", "indent by spaces.") for number in places]
