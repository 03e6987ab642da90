"""Secrets stay here: everything that leaves goes through these functions.

The run folder holds none by rule. Folders of older versions, files that people edited and artifacts of a run may.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, Final, cast

import orjson

from quadrat.core.secrets import MASK, is_secret, mask, masked_words

_DOCUMENTS: Final = (".json", ".jsonld")
_ROWS: Final = (".ndjson", ".jsonl")


def shielded(value: Any, key: str = "") -> tuple[Any, int]:
    """Plain data with every secret in it replaced, and how many there were; ``key`` is the name that ``value`` has."""
    if isinstance(value, Mapping):
        pairs = [(name, shielded(item, str(name))) for name, item in cast("Mapping[Any, Any]", value).items()]
        return {name: item for name, (item, _) in pairs}, sum(found for _, (_, found) in pairs)
    if isinstance(value, list | tuple):
        return _items(list(cast("list[Any]", value)), key)
    if isinstance(value, str):
        text, found = mask(value)
        if found:
            return text, found
    return (MASK, 1) if is_secret(value, key) else (value, 0)


def cleaned(name: str, content: bytes) -> tuple[bytes, int]:
    """A file's content with every secret in it replaced, and how many there were; bytes that are no text stay.

    JSON is taken apart for that and put together again, so that it stays JSON; without a secret not a byte changes.
    """
    if b"\0" in content[:8192]:
        return content, 0
    suffix = PurePath(name).suffix
    if suffix in _DOCUMENTS and (told := _document(content)) is not None:
        return told
    if suffix in _ROWS:
        lines = [_document(line) or _text(line) for line in content.split(b"\n")]
        return b"\n".join(line.rstrip(b"\n") for line, _ in lines), sum(found for _, found in lines)
    return _text(content)


def _items(values: list[Any], key: str) -> tuple[list[Any], int]:
    """A list; one of texts may be a command line, in which a secret is the word after its name."""
    pairs = [shielded(item, key) for item in values]
    kept = [item for item, _ in pairs]
    found = sum(count for _, count in pairs)
    if kept and all(isinstance(item, str) for item in kept):
        words = masked_words(cast("list[str]", kept))
        found += sum(before != after for before, after in zip(kept, words, strict=True))
        kept = list(words)
    return kept, found


def _document(content: bytes) -> tuple[bytes, int] | None:
    try:
        value = orjson.loads(content)
    except ValueError:
        return None
    kept, found = shielded(value)
    if not found:
        return content, 0
    indent = orjson.OPT_INDENT_2 if b"\n" in content.strip() else 0
    return orjson.dumps(kept, option=indent | orjson.OPT_APPEND_NEWLINE), found


def _text(content: bytes) -> tuple[bytes, int]:
    text, found = mask(content.decode("utf-8", "surrogateescape"))
    return (text.encode("utf-8", "surrogateescape") if found else content), found
