"""HTML that cannot be broken by what it shows: text is escaped unless this module made it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import TypeAlias, final
from urllib.parse import quote

_VOID = frozenset({"br", "hr", "img", "link", "meta"})


@final
class Markup(str):
    """Text that is HTML already. Made by ``tag`` and ``join`` only, or from what this package itself wrote."""

    __slots__ = ()


Child: TypeAlias = "str | int | float | Iterable[Child] | None"


def tag(name: str, /, *children: Child, **attributes: str | int | bool | None) -> Markup:
    """One element. An attribute's name loses its last underscore and turns others into dashes; None leaves it out."""
    said = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Markup(f"<{name}{said}>")
    return Markup(f"<{name}{said}>{join(children)}</{name}>")


def _attribute(key: str, value: str | int | bool | None) -> str:
    if value is None or value is False:
        return ""
    key = key.rstrip("_").replace("_", "-")
    return f" {key}" if value is True else f' {key}="{escape(visible(str(value)))}"'


def join(children: Child, *, by: str = "") -> Markup:
    """Children one after another: HTML as it is, everything else escaped, nothing for None."""
    if children is None:
        return Markup("")
    if isinstance(children, Markup):
        return children
    if isinstance(children, str | int | float):
        return Markup(escape(visible(str(children)), quote=False))
    return Markup(by.join(join(child) for child in children))


def visible(text: str) -> str:
    """``text`` with control characters, which HTML cannot hold or a reader cannot see, shown as a replacement mark."""
    return "".join(
        letter if letter.isprintable() or letter in "\n\t" else "\N{REPLACEMENT CHARACTER}" for letter in text
    )


def table(
    caption: Child,
    rows: Iterable[Sequence[Child]],
    *,
    head: Sequence[Child],
    numeric: Iterable[int] = (),
    class_: str = "",
) -> Markup:
    """A table with a caption and header cells, in a box that scrolls sideways when the table is wider than the page.

    Args:
        caption: what it shows.
        rows: cells; the first of each row names the row.
        head: one header a column.
        numeric: columns that hold numbers and line up on the right.
        class_: a class for the table's looks.
    """
    right = set(numeric)

    def cell(place: int, child: Child) -> Markup:
        kind = "num" if place in right else None
        return tag("th", child, scope="row", class_=kind) if place == 0 else tag("td", child, class_=kind)

    titles = [
        tag("th", breakable(title), scope="col", class_="num" if place in right else None)
        for place, title in enumerate(head)
    ]
    body = [tag("tr", [cell(place, child) for place, child in enumerate(row)]) for row in rows]
    grid = tag(
        "table", tag("caption", caption), tag("thead", tag("tr", titles)), tag("tbody", body), class_=class_ or None
    )
    # A box that scrolls must be reachable by keyboard, and then it needs a name.
    return tag("div", grid, class_="scroll", tabindex=0, role="group", aria_label="table, scrolls sideways")


def breakable(title: Child) -> Child:
    """A long name that may be broken after its slashes and underscores."""
    if not isinstance(title, str) or isinstance(title, Markup) or len(title) < 14:
        return title
    return join([[part, Markup("<wbr>")] for part in re.split(r"(?<=[/_])", title)])


def link(text: Child, path: str) -> Markup:
    """A link to a file beside the page. The path cannot become another scheme or another host."""
    return tag("a", text, href=f"./{quote(path, safe='/._-=+@,~')}")
