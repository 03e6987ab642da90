"""Where study files are found: a path, or the name of one that comes with an installed package."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import final

from quadrat.core.errors import UsageError, nearest, unknown_name
from quadrat.core.registry import members
from quadrat.study.names import shown

_ENDINGS = (".yaml", ".yml")


@final
@dataclass(frozen=True, slots=True)
class Source:
    """A study file that was found.

    Attributes:
        path: the file.
        label: how messages name it.
        registered: its name when it comes with a package, such as ``fluxem/arithmetic_small``.
    """

    path: Path
    label: str
    registered: str | None = None


def find_source(target: str | Path) -> Source:
    """The file meant by a path or by ``study/file``.

    Raises:
        UsageError: there is none; the nearest known ones are named.
    """
    path = Path(target)
    if path.is_file():
        return Source(path, str(target))
    text = str(target)
    head, _, rest = text.partition("/")
    known = members("studies") if isinstance(target, str) else {}
    if head in known:
        return _registered(head, rest)
    if path.is_dir():
        found = sorted(str(file) for file in path.iterdir() if file.suffix in _ENDINGS)
        raise UsageError(f"{shown(text)} is a folder.", where=text, remedy=_listing("a study file in it", found))
    if path.suffix in _ENDINGS or path.is_absolute() or text.startswith("."):
        beside = sorted(str(file) for file in path.parent.glob("*.y*ml")) if path.parent.is_dir() else []
        close = nearest(text, beside)
        remedy = f"did you mean {close!r}?" if close else _listing("a study file there", beside)
        raise UsageError(f"there is no file {shown(text, limit=200)}.", remedy=remedy)
    raise unknown_name("study", text[:100], [*known_studies(), *known])


def known_studies() -> list[str]:
    """Every study file that comes with an installed package, by name."""
    return sorted(name for head in members("studies") for name, _ in _packaged(head))


def _registered(head: str, rest: str) -> Source:
    packaged = dict(_packaged(head))
    name = f"{head}/{re.sub(r'[.]ya?ml$', '', rest)}"
    if rest and name in packaged:
        return Source(packaged[name], _short(packaged[name]), name)
    if not rest:
        raise UsageError(
            f"study {head!r} is a folder of study files.", remedy=_listing("one of them", sorted(packaged))
        )
    raise unknown_name("study", name, packaged)


def _packaged(head: str) -> Iterator[tuple[str, Path]]:
    point = members("studies")[head]
    try:
        folder = Path(str(files(point.value)))
    except ModuleNotFoundError:
        # A package that is registered and then removed by hand: it has no studies, the others still have.
        return
    for file in sorted(folder.rglob("*")):
        if file.suffix in _ENDINGS:
            yield f"{head}/{file.relative_to(folder).with_suffix('').as_posix()}", file


def _listing(kind: str, names: list[str]) -> str:
    return f"{kind}: {', '.join(names)}." if names else "give the path of a study file (.yaml)."


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
