"""The page by which a person reads a crate: one static file, nothing fetched, everything escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final

_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%;margin-bottom:2rem}"
    "th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #8886;vertical-align:top;overflow-wrap:anywhere}"
    "code{font-size:.85em}"
)


def preview(graph: Sequence[Mapping[str, Any]]) -> str:
    """The page of the crate whose entities are ``graph``."""
    root = next(entity for entity in graph if entity["@id"] == "./")
    title = escape(str(root["name"]))
    runs = [
        (
            entity["name"],
            str(entity.get("actionStatus", "")).rpartition("/")[2],
            *_times(entity),
            entity.get("error", ""),
        )
        for entity in graph
        if entity["@type"] == "CreateAction"
    ]
    inside = [
        (_link(entity), entity["contentSize"], _code(entity["sha256"])) for entity in graph if entity["@type"] == "File"
    ]
    outside = [
        (_text(entity["name"]), entity["contentSize"], _code(entity["sha256"]))
        for entity in graph
        if entity["@type"] == "CreativeWork" and "sha256" in entity
    ]
    told = [[_text(cell) for cell in row] for row in runs]
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>\n<body>\n'
        f"<h1>{title}</h1>\n<p>{escape(str(root['description']))}</p>\n<p>{escape(str(root['license']))}</p>\n"
        f'<p>For machines: <a href="ro-crate-metadata.json">ro-crate-metadata.json</a>.</p>\n'
        + _table("Runs", ("run", "status", "start", "end", "error"), told)
        + _table("Files", ("file", "bytes", "sha256"), inside)
        + _table("Named, and not in this crate", ("file", "bytes", "sha256"), outside)
        + "</body>\n</html>\n"
    )


def _times(entity: Mapping[str, Any]) -> tuple[str, str]:
    return str(entity.get("startTime", "")), str(entity.get("endTime", ""))


def _link(entity: Mapping[str, Any]) -> str:
    return f'<a href="{escape(str(entity["@id"]))}">{escape(str(entity["name"]))}</a>'


def _text(value: Any) -> str:
    return escape(str(value))


def _code(value: Any) -> str:
    return f"<code>{escape(str(value))}</code>"


def _table(title: str, heads: Iterable[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose cells are HTML already; nothing when it has no rows."""
    if not rows:
        return ""
    head = "".join(f"<th>{escape(word)}</th>" for word in heads)
    body = "\n".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<h2>{escape(title)}</h2>\n<table>\n<tr>{head}</tr>\n{body}\n</table>\n"
