"""Rules 1 and 7 of the house: names that say something, few positional arguments, abstract or final."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SAYS_NOTHING = {"util", "utils", "helper", "helpers", "common", "misc"}
POSITIONAL = 2
ALLOWED = {  # more than two by position, and why
    "incomplete_beta": "a function of mathematics, in the order of every textbook",
    "identity": "the three parts that are hashed, in the order in which they are hashed",
    "unknown_name": "reads as a sentence: unknown 'stage' 'trian', known are these",
}
INTERFACES = {"ABC", "Protocol"}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def empty_names(folder: Path) -> list[str]:
    """Rooms and modules whose name says nothing about what is in them."""
    paths = [path.relative_to(folder) for path in folder.rglob("*.py")]
    return sorted(str(path) for path in paths if SAYS_NOTHING & {*path.parent.parts, path.stem})


def modules(folder: Path) -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(folder.rglob("*.py")):
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def public_functions(tree: ast.Module) -> Iterator[Function]:
    """Public functions of the module and public methods of its public classes."""
    bodies = [tree.body]
    bodies += [node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name[0] != "_"]
    for body in bodies:
        for node in body:
            if isinstance(node, Function) and not node.name.startswith("_"):
                yield node


def last_name(node: ast.expr) -> str:
    """The last part of a dotted, called or subscripted name."""
    while isinstance(node, ast.Call | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def is_command(function: Function) -> bool:
    """Whether click calls it: click passes everything by keyword."""
    return any(last_name(item) in ("command", "group", "option", "argument") for item in function.decorator_list)


def positional(folder: Path) -> list[str]:
    """Public functions that take more than two arguments by position."""
    found: list[str] = []
    for path, tree in modules(folder):
        for function in public_functions(tree):
            names = [arg.arg for arg in (*function.args.posonlyargs, *function.args.args)]
            count = len([name for name in names if name not in ("self", "cls")])
            if count > POSITIONAL and not is_command(function):
                found.append(f"{path}:{function.lineno}: {function.name} takes {count} by position")
    return found


def is_bare(node: ast.ClassDef) -> bool:
    """Whether a class holds no behaviour: a docstring and settings such as ``model_config`` only."""
    return not any(isinstance(item, Function | ast.AnnAssign) for item in node.body)


def subclassed(folder: Path) -> list[str]:
    """Classes that have behaviour of their own and are subclassed all the same. Errors may form a tree."""
    classes = {node.name: node for _, tree in modules(folder) for node in tree.body if isinstance(node, ast.ClassDef)}
    found: list[str] = []
    for name, node in sorted(classes.items()):
        for base in map(last_name, node.bases):
            parent = classes.get(base)
            if parent is None or base.endswith("Error") or is_bare(parent):
                continue
            if not INTERFACES & set(map(last_name, parent.bases)):
                found.append(f"{name} is a {base}, which is neither an interface nor bare")
    return found


def test_every_room_and_module_has_a_name_that_says_something(repo: Path) -> None:
    assert [name for part in ("src", "tests", "benchmarks") for name in empty_names(repo / part)] == []


def test_public_functions_take_two_by_position_at_most(repo: Path) -> None:
    found = {line.split(": ")[1].split()[0]: line for line in positional(repo / "src" / "quadrat")}
    assert [line for name, line in found.items() if name not in ALLOWED] == []
    assert set(ALLOWED) <= set(found), "an exception that nobody needs any more"


def test_classes_are_abstract_or_final(repo: Path) -> None:
    assert subclassed(repo / "src" / "quadrat") == []


@pytest.mark.parametrize("name", ["utils/part.py", "room/helpers.py", "common/deep/part.py"])
def test_a_planted_empty_name_is_found(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).touch()
    assert empty_names(tmp_path) == [name]


def test_planted_positional_arguments_are_found(tmp_path: Path) -> None:
    (tmp_path / "part.py").write_text(
        "def two(a, b, *, c): ...\ndef three(a, b, c): ...\ndef _private(a, b, c): ...\n"
        "@click.command()\ndef verb(a, b, c): ...\n"
        "class C:\n    def two(self, a, b): ...\n    def four(self, a, b, c, d=1): ...\n"
    )
    assert [line.split(": ")[1] for line in positional(tmp_path)] == [
        "three takes 3 by position",
        "four takes 4 by position",
    ]


def test_a_planted_subclass_of_a_concrete_class_is_found(tmp_path: Path) -> None:
    (tmp_path / "part.py").write_text(
        "class Door(Protocol):\n    def open(self): ...\nclass Oak(Door):\n    def open(self): ...\n"
        "class Painted(Oak): ...\nclass OwnError(Exception): ...\nclass WorseError(OwnError): ...\n"
    )
    assert subclassed(tmp_path) == ["Painted is a Oak, which is neither an interface nor bare"]
