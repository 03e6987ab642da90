"""Rule 8 of the house: sizes of modules, functions and argument lists."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

MODULE_LINES = 400
STUDY_MODEL_LINES = 500
FUNCTION_LINES = 60
ARGUMENTS = 7


def module_cap(path: Path) -> int:
    is_study_model = path.name == "model.py" and "quadrat_studies" in path.parts
    return STUDY_MODEL_LINES if is_study_model else MODULE_LINES


def arguments(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """The names a caller may pass; ``self`` and ``cls`` are not the caller's."""
    spec = function.args
    names = [arg.arg for arg in (*spec.posonlyargs, *spec.args, *spec.kwonlyargs)]
    return [name for index, name in enumerate(names) if index or name not in ("self", "cls")]


def oversized(folder: Path) -> list[str]:
    """Everything over a cap in the Python files under ``folder``, as ``path:line: what``."""
    found: list[str] = []
    for path in sorted(folder.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        lines = len(text.splitlines())
        if lines > module_cap(path):
            found.append(f"{path}:1: module of {lines} lines, cap {module_cap(path)}")
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES:
                found.append(f"{path}:{node.lineno}: {node.name} of {length} lines, cap {FUNCTION_LINES}")
            if len(arguments(node)) > ARGUMENTS:
                found.append(f"{path}:{node.lineno}: {node.name} takes {len(arguments(node))}, cap {ARGUMENTS}")
    return found


@pytest.mark.parametrize("folder", ["src", "tests", "benchmarks"])
def test_everything_is_within_the_caps(repo: Path, folder: str) -> None:
    assert oversized(repo / folder) == []


def module(lines: int) -> str:
    return "x = 1\n" * lines


def function(lines: int) -> str:
    return "def f():\n" + "    x = 1\n" * (lines - 1)


def taking(count: int) -> str:
    names = ", ".join(f"a{index}" for index in range(count - 1))
    return f"class C:\n    def f(self, {names}, *, last): ...\n"


CASES = [
    ("quadrat/room/part.py", module(MODULE_LINES), ""),
    ("quadrat/room/part.py", module(MODULE_LINES + 1), "module of 401 lines"),
    ("quadrat/room/model.py", module(MODULE_LINES + 1), "module of 401 lines"),
    ("quadrat_studies/one/model.py", module(STUDY_MODEL_LINES), ""),
    ("quadrat_studies/one/model.py", module(STUDY_MODEL_LINES + 1), "module of 501 lines"),
    ("quadrat/room/part.py", function(FUNCTION_LINES), ""),
    ("quadrat/room/part.py", function(FUNCTION_LINES + 1), "f of 61 lines"),
    ("quadrat/room/part.py", taking(ARGUMENTS), ""),
    ("quadrat/room/part.py", taking(ARGUMENTS + 1), "f takes 8"),
]


@pytest.mark.parametrize(("name", "text", "said"), CASES)
def test_the_caps_hold_to_the_line(tmp_path: Path, name: str, text: str, said: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_text(text)
    found = oversized(tmp_path)
    assert len(found) == bool(said)
    assert not said or said in found[0]
