"""What a person means by STUDY or RUN on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from quadrat.core.errors import UsageError, unknown_name
from quadrat.journal.layout import RunFolder, StudyFolder, find_root, studies


def root_of(ctx: click.Context) -> Path:
    """The root: ``--root``, else QUADRAT_ROOT, else the nearest folder upward with a quadrat.toml, else here."""
    told = ctx.find_root().obj["root"]
    return find_root(explicit=Path(told) if told else None)


def study_of(root: Path, text: str | None, *, known: list[str] | None = None) -> StudyFolder:
    """The study a person names: by name, by results folder, by YAML file or registered name.

    Raises:
        UsageError: nothing of that name has results; the known ones are listed.
    """
    known = studies(root) if known is None else known
    if text is None:
        if len(known) == 1:
            return StudyFolder(root, known[0])
        raise UsageError("which study?", where=f"{root}", remedy=_listing(known))
    name = _name(text)
    if name not in known:
        raise unknown_name("study", name, known, where=f"{root}/results")
    return StudyFolder(root, name)


def run_of(root: Path, text: str) -> RunFolder:
    """The run a person names: ``study/run``, ``study/stage/run``, a path, or a name that only one run has.

    Raises:
        UsageError: no run, or several, of that name.
    """
    path = Path(text)
    if path.is_dir() and RunFolder(path).params.exists():
        return RunFolder(path.resolve())
    everything = {_relative(root, run): run for name in studies(root) for run in StudyFolder(root, name).runs()}
    wanted = text.removeprefix("results/").strip("/")
    if wanted in everything:
        return everything[wanted]
    matches = [key for key in everything if key.rsplit("/", 1)[-1] == wanted]
    if len(matches) == 1:
        return everything[matches[0]]
    if matches:
        raise UsageError(f"{len(matches)} runs are called {wanted!r}.", remedy=f"one of {', '.join(matches)}.")
    raise unknown_name("run", wanted, everything)


def _relative(root: Path, run: RunFolder) -> str:
    return run.path.relative_to(root / "results").as_posix()


def _name(text: str) -> str:
    path = Path(text)
    if path.suffix in (".yaml", ".yml") or "/" in text.strip("/"):
        if path.is_dir():
            return path.resolve().name
        from quadrat.study.read import read_yaml
        from quadrat.study.sources import find_source

        return str(read_yaml(find_source(text).path).data["study"])
    return text.strip("/")


def _listing(known: list[str]) -> str:
    return f"one of {', '.join(known)}." if known else "run one first: quadrat run fluxem/smoke."


def print_json(kind: str, value: dict[str, Any]) -> None:
    """One JSON document on standard output, its form named by ``schema``."""
    from quadrat.journal.atomic import dumps

    click.echo(dumps({"schema": f"quadrat.{kind}/1", **value}), nl=False)
