"""Builds the tree of a file out of parse events, one at a time and without recursion.

ruamel.yaml scans and resolves. What grows is counted here before it grows: depth, values, aliases. What a study file
may not hold is found here: tags, duplicate keys, cycles, keys that are not text, a second document.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    MappingStartEvent,
    ScalarEvent,
)
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.reader import ReaderError

from quadrat.core.errors import Problem, StudyError
from quadrat.study.nodes import Node

MAX_DEPTH = 64
MAX_NODES = 100_000
"""Nodes of the tree with every alias written out. A study of 100,000 runs needs a few hundred."""

_TAG = "tag:yaml.org,2002:"
_KINDS = {_TAG + kind for kind in ("int", "float", "bool", "null")}
_NOT_BOOLEANS = re.compile(r"yes|no|on|off", re.IGNORECASE)


@final
class _Refused(Exception):
    """Nothing further in the file can be trusted."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.what)
        self.problem = problem


@final
@dataclass(slots=True)
class _Frame:
    """A mapping or a list whose end has not been met."""

    value: dict[str, Node] | list[Node]
    where: str
    anchor: str | None
    size: int = 1
    height: int = 1
    key: str | None = None
    key_where: str = ""
    skipped: bool = False


@final
@dataclass(frozen=True, slots=True)
class _Anchor:
    node: Node | None  # None while its own content is still being read
    size: int = 0
    height: int = 0


@final
@dataclass(slots=True)
class Builder:
    """Builds the tree out of parse events."""

    label: str
    lines: bool = True
    root: Node | None = None
    problems: list[Problem] = field(default_factory=list[Problem])
    warnings: list[Problem] = field(default_factory=list[Problem])
    frames: list[_Frame] = field(default_factory=list[_Frame])
    anchors: dict[str, _Anchor] = field(default_factory=dict[str, _Anchor])
    documents: int = 0
    total: int = 0
    yaml: YAML = field(default_factory=lambda: YAML(typ="safe", pure=True))

    def consume(self, text: str) -> None:
        """Take in a whole text, or raise a StudyError with everything found on the way."""
        try:
            for event in self.yaml.parse(text):
                self._feed(event)
        except _Refused as refused:
            raise StudyError([*self.problems, refused.problem]) from None
        except YAMLError as trouble:
            raise StudyError([*self.problems, self._syntax(trouble, text)]) from None

    def _feed(self, event: Any) -> None:
        place = self._place(event.start_mark.line)
        if isinstance(event, DocumentStartEvent):
            self._document(event, place)
        elif isinstance(event, AliasEvent):
            self._alias(str(event.anchor), place)
        elif isinstance(event, ScalarEvent):
            self._refuse_tag(event, place)
            self._scalar(event, place)
        elif isinstance(event, CollectionStartEvent):
            self._refuse_tag(event, place)
            self._open(event, place)
        elif isinstance(event, CollectionEndEvent):
            self._close()

    def _document(self, event: Any, place: str) -> None:
        self.documents += 1
        if self.documents > 1:
            raise _Refused(
                Problem("a second document begins here.", place, "keep one study in one file; remove `---`.")
            )
        if event.version not in (None, (1, 2)):
            raise _Refused(Problem("a %YAML directive asks for another version.", place, "study files are YAML 1.2."))

    def _refuse_tag(self, event: Any, place: str) -> None:
        tag = event.tag
        if tag is not None:
            shown = str(tag).replace(_TAG, "!!")
            remedy = "remove the tag; a study file holds data only, and code is named by `trainable: module:function`."
            self.problems.append(Problem(f"the tag {shown!r} is not allowed.", place, remedy))

    def _alias(self, name: str, place: str) -> None:
        anchor = self.anchors.get(name)
        if anchor is None:
            remedy = f"write '&{name}' at the value meant, or quote a text that begins with '*'."
            raise _Refused(Problem(f"the alias '*{name}' refers to nothing before it.", place, remedy))
        if anchor.node is None:
            raise _Refused(Problem(f"the alias '*{name}' contains itself.", place, "write the value out."))
        self._check_depth(len(self.frames) + anchor.height, place)
        if self.frames and isinstance(self.frames[-1].value, dict) and self.frames[-1].key is None:
            self._set_key(anchor.node.value, place)
            return
        self._add(anchor.node, place, size=anchor.size, height=anchor.height)

    def _scalar(self, event: Any, place: str) -> None:
        is_plain = bool(event.implicit[0])
        value = _resolve(self.yaml, event.value, place) if is_plain else _joined(event.value, place)
        frame = self.frames[-1] if self.frames else None
        if frame is not None and isinstance(frame.value, dict) and frame.key is None:
            self._set_key(value, place)
        else:
            if is_plain:
                self._warn(event.value, value, place)
            self._add(Node(value, place), place)
        if event.anchor:
            self.anchors[str(event.anchor)] = _Anchor(Node(value, place), 1, 0)

    def _set_key(self, key: Any, place: str) -> None:
        frame = self.frames[-1]
        if not isinstance(key, str):
            remedy = f"a key is text; write it in quotes: '{key}'." if not isinstance(key, dict | list) else None
            raise _Refused(Problem(f"the key {key!r} is not text.", place, remedy or "a key is a word."))
        entries = frame.value
        assert isinstance(entries, dict)
        frame.key, frame.key_where, frame.skipped = key, place, key in entries
        if key == "<<":
            remedy = "YAML 1.2 has no merge key; write the keys out or use an alias as a whole value."
            self.problems.append(Problem("the merge key '<<' is not allowed.", place, remedy))
            frame.skipped = True
        elif frame.skipped:
            what = f"the key {key!r} stands here a second time; the first is at {entries[key].where}."
            self.problems.append(Problem(what, place, "remove one of the two."))

    def _open(self, event: Any, place: str) -> None:
        parent = self.frames[-1] if self.frames else None
        if parent is not None and isinstance(parent.value, dict) and parent.key is None:
            raise _Refused(Problem("a key is not text.", place, "a key is a word; quote a text that holds { or [."))
        self._check_depth(len(self.frames) + 1, place)
        anchor = str(event.anchor) if event.anchor else None
        if anchor:
            self.anchors[anchor] = _Anchor(None)
        empty: dict[str, Node] | list[Node] = {} if isinstance(event, MappingStartEvent) else []
        self.frames.append(_Frame(empty, place, anchor))

    def _close(self) -> None:
        frame = self.frames.pop()
        node = Node(frame.value, frame.where)
        if frame.anchor:
            self.anchors[frame.anchor] = _Anchor(node, frame.size, frame.height)
        self._add(node, frame.where, size=frame.size, height=frame.height, counted=True)

    def _add(self, node: Node, place: str, *, size: int = 1, height: int = 0, counted: bool = False) -> None:
        self.total += 1 if counted else size
        if self.total > MAX_NODES:
            what = f"the file holds more than {MAX_NODES:,} values once its aliases are written out."
            raise _Refused(Problem(what, place, "do not nest aliases; declare axes instead of listing points."))
        if not self.frames:
            self.root = node
            return
        frame = self.frames[-1]
        frame.size += size
        frame.height = max(frame.height, height + 1)
        if isinstance(frame.value, list):
            frame.value.append(Node(node.value, place))
            return
        assert frame.key is not None
        if not frame.skipped:
            frame.value[frame.key] = Node(node.value, frame.key_where)
        frame.key = None

    def _check_depth(self, depth: int, place: str) -> None:
        if depth > MAX_DEPTH:
            raise _Refused(Problem(f"nested more than {MAX_DEPTH} levels deep.", place, "flatten the value."))

    def _warn(self, written: str, value: Any, place: str) -> None:
        # `pack: off` is a word of the study file itself.
        is_ours = len(self.frames) == 1 and self.frames[0].key == "pack"
        if isinstance(value, str) and _NOT_BOOLEANS.fullmatch(written) and not is_ours:
            what = f"{written} is the text {written!r}, not true or false."
            self.warnings.append(Problem(what, place, "write true or false, or quote the text."))
        elif isinstance(value, int) and re.match(r"[-+]?0[0-9]", written):
            what = f"{written} is the number {value}; the zeros in front mean nothing."
            self.warnings.append(Problem(what, place, f"write {value}, or quote the text."))

    def _place(self, line: int) -> str:
        return f"{self.label}:{line + 1}" if self.lines else self.label

    def _syntax(self, trouble: YAMLError, text: str) -> Problem:
        if isinstance(trouble, ReaderError):
            line = text.count("\n", 0, trouble.position)
            what = f"the character {_character(trouble.character)} is not allowed in a text file."
            return Problem(what, self._place(line), "remove it, or write it as an escape in double quotes.")
        assert isinstance(trouble, MarkedYAMLError)
        mark = trouble.problem_mark or trouble.context_mark
        number = mark.line if mark else 0
        lines = text.split("\n")
        source = lines[number] if number < len(lines) else ""
        return Problem(
            f"not valid YAML: {trouble.problem or 'syntax error'}.",
            self._place(number),
            _advice(source) if self.lines else "put the value in quotes.",
        )


def _resolve(yaml: YAML, text: str, place: str) -> Any:
    """The value of an unquoted scalar by YAML 1.2: dates, times and yes/no are text."""
    tag = str(yaml.resolver.resolve(ScalarNode, text, (True, False)))
    if tag not in _KINDS:
        return text
    node = ScalarNode(tag, text)
    constructor = yaml.constructor
    try:
        return getattr(constructor, f"construct_yaml_{tag.removeprefix(_TAG)}")(node)
    except ValueError:
        # A number that python refuses for its length: thousands of digits are no parameter of anything.
        raise _Refused(Problem(f"the number {text[:20]}... is too long.", place, "quote it if it is text.")) from None


def _joined(text: str, place: str) -> str:
    """Text whose escapes may be halves of characters, as JSON writes those beyond 16 bits."""
    if not any("\ud800" <= letter <= "\udfff" for letter in text):
        return text
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        what = "an escape stands for half a character."
        raise _Refused(Problem(what, place, "write the character itself, or \\U and eight digits.")) from None


def _character(character: Any) -> str:
    code = character if isinstance(character, int) else ord(str(character)[:1] or "\0")
    return f"U+{code:04X}"


def _advice(line: str) -> str:
    if "\t" in line:
        return "put spaces where the tab is."
    if re.search(r":\s*[>|]=?\s*\S", line):
        return 'put a comparison in quotes, as in `pass: "> 0.90"`.'
    if re.search(r":\s*\{[^{}:]*\}\S", line):
        return 'put a text that begins with { in quotes, as in `name: "{arm}_S{seed}"`.'
    if re.search(r":\s*[@`%]", line):
        return "put a text that begins with @, ` or % in quotes."
    if re.search(r":\s.*\S:(\s|$)", line):
        return "put a text that holds a colon and a space in quotes."
    return "check the indentation, brackets and quotes on this line and the one before."
