"""ruff and basedpyright are set up so that they find what the house forbids."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HEAD = '"""Planted."""\n\nfrom __future__ import annotations\n\n'
BRANCHES = "".join(f"    if a == {n}:\n        return {n}\n" for n in range(11))
PLANTS = [
    ("TID253", HEAD + "import wandb\n\nwandb.init()\n"),
    ("TID253", HEAD + "import matplotlib.pyplot as plt\n\nplt.plot()\n"),
    ("TID252", HEAD + "from .layout import RunFolder\n\nprint(RunFolder)\n"),
    ("D100", "from __future__ import annotations\n"),
    ("D101", HEAD + "\nclass Nameless:\n    x: int = 1\n"),
    ("D102", HEAD + '\nclass Named:\n    """Named."""\n\n    def silent(self) -> None:\n        return\n'),
    ("D103", HEAD + "\ndef silent() -> None:\n    return\n"),
    ("ANN001", HEAD + '\ndef loose(a) -> None:\n    """Loose."""\n    print(a)\n'),
    ("ANN201", HEAD + '\ndef loose():\n    """Loose."""\n    return object()\n'),
    ("PLR0913", HEAD + f'\ndef many({", ".join(f"a{n}: int" for n in range(8))}) -> None:\n    """Many."""\n'),
    ("PLR0917", HEAD + '\ndef placed(a: int, b: int, c: int, d: int, e: int) -> None:\n    """Placed."""\n'),
    ("C901", HEAD + f'\ndef branchy(a: int) -> int:\n    """Branchy."""\n{BRANCHES}    return a\n'),
    ("PTH123", HEAD + '\ndef old() -> str:\n    """Old."""\n    with open("a") as file:\n        return file.read()\n'),
    ("B006", HEAD + '\ndef shared(a: list[int] = []) -> None:\n    """Shared."""\n    a.append(1)\n'),
    ("PLW0603", HEAD + 'COUNT = 0\n\n\ndef bump() -> None:\n    """Bump."""\n    global COUNT\n    COUNT += 1\n'),
]


@pytest.mark.parametrize(("rule", "text"), PLANTS)
def test_ruff_finds_what_is_planted(
    copy_of_tree: Callable[..., Path], tool: Callable[[str], str], rule: str, text: str
) -> None:
    tree = copy_of_tree("src/quadrat/core")
    path = tree / "src/quadrat/core/planted.py"
    path.write_text(text)
    ruff = [tool("ruff"), "check", "--no-cache", "--output-format", "concise", str(path)]
    done = subprocess.run(ruff, cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f" {rule} " in done.stdout, done.stdout


def test_basedpyright_is_strict_in_the_instrument(
    copy_of_tree: Callable[..., Path], tool: Callable[[str], str]
) -> None:
    tree = copy_of_tree("src/quadrat/core")
    (tree / ".venv").symlink_to(sys.prefix)
    (tree / "src/quadrat/core/planted.py").write_text(
        HEAD + '\ndef wrong(a, b: int) -> str:\n    """Wrong."""\n    return b\n'
    )
    done = subprocess.run([tool("basedpyright")], cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "planted.py:6:11 - error: Type annotation is missing for parameter" in done.stdout
    assert "planted.py:8:12 - error: Type" in done.stdout
    assert "\n2 errors, 0 warnings" in done.stdout, "the copy itself is clean"
