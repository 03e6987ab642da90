"""Frozen surfaces: public names, the event schema, the options of the command line, exit codes.

Each is a file beside this one (and ``docs/reference/cli.md``). Changing one on purpose means running these tests
with QUADRAT_UPDATE_SNAPSHOTS=1 and committing the file with a line in CHANGELOG.md.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import click
import pytest

import quadrat
from quadrat.core import context, errors, events, spec, verdicts

HERE = Path(__file__).parent
OPEN_ROOMS = ("tensor", "testing")  # used by science and by plug-in authors, so their names are promises too
BY_SIGNAL = {75, 130, 143}


def defined_in(path: Path) -> list[str]:
    """Public functions and classes of a module, read without importing it."""
    kinds = ast.FunctionDef | ast.ClassDef
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node.name for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")]


def public_names(repo: Path) -> list[str]:
    names = [f"quadrat.{name}" for name in quadrat.__all__]
    for room in OPEN_ROOMS:
        for path in (repo / "src/quadrat" / room).glob("*.py"):
            module = f"quadrat.{room}" if path.stem == "__init__" else f"quadrat.{room}.{path.stem}"
            names += [f"{module}.{name}" for name in defined_in(path)]
    return sorted(names)


def test_public_names(repo: Path, hold: Callable[..., None]) -> None:
    hold(HERE / "public_names.txt", "\n".join(public_names(repo)) + "\n")


def test_the_face_is_sorted_small_and_complete() -> None:
    assert list(quadrat.__all__) == sorted(set(quadrat.__all__))
    assert len(quadrat.__all__) <= 24
    assert all(hasattr(quadrat, name) for name in quadrat.__all__)
    assert dir(quadrat) == sorted(quadrat.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Metricks'"):
        _ = quadrat.Metricks


def test_the_face_is_typed_as_it_is_loaded(repo: Path) -> None:
    """The names a type checker sees (under TYPE_CHECKING) are those that the lazy loader knows."""
    tree = ast.parse((repo / "src/quadrat/__init__.py").read_text(encoding="utf-8"))
    typed = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("quadrat.")
        for alias in node.names
    }
    assert typed == set(quadrat.__all__)


def field_line(owner: type, field: dataclasses.Field) -> str:
    if field.default is not dataclasses.MISSING:
        default = f" = {field.default!r}"
    else:
        default = "" if field.default_factory is dataclasses.MISSING else " = ..."
    return f"{owner.__name__}.{field.name}: {field.type}{default}"


def schema_lines() -> Iterator[str]:
    for module in (events, context, verdicts, spec):
        for owner in vars(module).values():
            if not isinstance(owner, type) or owner.__module__ != module.__name__:
                continue
            if dataclasses.is_dataclass(owner):
                yield from (field_line(owner, field) for field in dataclasses.fields(owner))
            elif issubclass(owner, str):
                yield f"{owner.__name__}: {' | '.join(owner)}"
    yield f"Event: {' | '.join(item.__name__ for item in get_args(events.Event))}"


def test_event_schema(hold: Callable[..., None]) -> None:
    hold(HERE / "event_schema.txt", "\n".join(schema_lines()) + "\n")


def test_values_that_cross_a_wall_are_frozen() -> None:
    for module in (events, context, verdicts, spec):
        for owner in vars(module).values():
            if isinstance(owner, type) and dataclasses.is_dataclass(owner):
                assert owner.__dataclass_params__.frozen, owner


def command_group() -> click.Group:
    """The top of the command line, wherever ``quadrat.cli.main`` keeps it."""
    module = importlib.import_module("quadrat.cli.main")
    groups = [value for value in (module.main, *vars(module).values()) if isinstance(value, click.Group)]
    assert groups, "quadrat.cli.main holds no click group"
    return groups[0]


def commands(command: click.Command, parent: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    yield command, parent
    if isinstance(command, click.Group):
        for name in sorted(command.list_commands(parent)):
            found = command.get_command(parent, name)
            assert found is not None, f"{parent.command_path} lists {name} and does not have it"
            yield from commands(found, click.Context(found, info_name=name, parent=parent))


def walk() -> Iterator[tuple[click.Command, click.Context]]:
    top = command_group()
    settings = {**top.context_settings, "max_content_width": 100, "terminal_width": 100}
    yield from commands(top, click.Context(top, info_name="quadrat", **settings))


def parameter_line(path: str, parameter: click.Parameter) -> str:
    hidden = " hidden" if getattr(parameter, "hidden", False) else ""
    many = " many" if parameter.multiple or parameter.nargs not in (0, 1) else ""
    needed = " required" if parameter.required else ""
    kind = "flag" if getattr(parameter, "is_flag", False) else parameter.type.name
    names = "/".join((*parameter.opts, *parameter.secondary_opts))
    return f"{path} {parameter.param_type_name} {names}: {kind}{many}{needed}{hidden}"


def test_command_line_options(hold: Callable[..., None]) -> None:
    lines: list[str] = []
    for command, where in walk():
        lines.append(where.command_path)
        lines += sorted(parameter_line(where.command_path, item) for item in command.params)
    hold(HERE / "cli_snapshot.txt", "\n".join(lines) + "\n")


def test_every_command_has_help() -> None:
    for command, where in walk():
        assert (command.help or "").strip(), f"{where.command_path} has no help"
        for item in command.params:
            is_silent = isinstance(item, click.Option) and not item.help and not item.hidden
            assert not is_silent, f"{where.command_path} {item.opts[0]} has no help"


def test_the_page_of_the_command_line_is_current(repo: Path, hold: Callable[..., None]) -> None:
    parts = [
        "# Command line",
        "",
        "Written by `QUADRAT_UPDATE_SNAPSHOTS=1 make docs` from the help texts; not by hand.",
    ]
    parts += ["What the exit codes mean is on [a page of its own](exit-codes.md)."]
    for command, where in walk():
        text = re.sub(r"[ \t]+$", "", command.get_help(where), flags=re.MULTILINE)
        parts += ["", f"## {where.command_path}", "", "```text", text, "```"]
    hold(repo / "docs/reference/cli.md", "\n".join(parts) + "\n")


def test_the_page_of_exit_codes_names_every_code_and_error(repo: Path) -> None:
    page = (repo / "docs/reference/exit-codes.md").read_text(encoding="utf-8")
    rows = {int(code): rest for code, rest in re.findall(r"^\| (\d+) \|(.*)$", page, flags=re.MULTILINE)}
    tree = [item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, errors.QuadratError)]
    for error in tree:
        assert f"`{error.__name__}`" in rows[error.exit_code]
    assert set(rows) == {0, *(error.exit_code for error in tree)} | BY_SIGNAL
