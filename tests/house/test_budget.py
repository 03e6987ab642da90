"""Rule 5 of the house: what it may cost to import Quadrat and to ask it for help."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

IMPORT_S = 0.100
HELP_S = 0.200
HEAVY = ("torch", "numpy", "scipy", "matplotlib", "pydantic", "rich", "ruamel")
ASK_LOADED = "import json, sys; print(json.dumps(sorted(sys.modules)), file=sys.stderr)"


def cpu_seconds(command: list[str], *, rounds: int = 5) -> float:
    """The least processor time of a whole process, user and system, over several rounds.

    Other work on the machine can only add time, so the least is the nearest to the truth.
    """
    times: list[float] = []
    for _ in range(rounds):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(times)


def loaded(code: str) -> set[str]:
    """Top-level names of the modules that a new interpreter holds after running ``code``."""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return {name.partition(".")[0] for name in json.loads(done.stderr.splitlines()[-1])}


def test_import_is_cheap() -> None:
    assert cpu_seconds([sys.executable, "-c", "import quadrat"]) <= IMPORT_S


def test_import_loads_nothing_heavy() -> None:
    assert loaded(f"import quadrat; {ASK_LOADED}").isdisjoint(HEAVY)


def test_every_public_name_comes_without_torch() -> None:
    names = "import quadrat; [getattr(quadrat, name) for name in quadrat.__all__]"
    assert loaded(f"{names}; {ASK_LOADED}").isdisjoint({"torch", "scipy", "matplotlib"})


def test_help_is_cheap(tool: Callable[[str], str]) -> None:
    assert cpu_seconds([tool("quadrat"), "--help"]) <= HELP_S


def test_help_loads_nothing_heavy() -> None:
    ask = (
        "import sys; sys.argv = ['quadrat', '--help']\n"
        "from quadrat.cli.main import main\n"
        f"try:\n    main()\nfinally:\n    {ASK_LOADED}\n"
    )
    assert loaded(ask).isdisjoint({"torch", "numpy", "scipy", "matplotlib"})


def test_the_instrument_imports_without_torch_or_matplotlib(repo: Path) -> None:
    """The core install has neither: every module but those of ``tensor`` must load all the same."""
    source = repo / "src"
    paths = [path.relative_to(source).with_suffix("") for path in (source / "quadrat").rglob("*.py")]
    rooms = [path for path in paths if not {"tensor", "testing", "__main__"} & set(path.parts)]
    names = sorted(".".join(path.parts).removesuffix(".__init__") for path in rooms)
    code = (
        "import importlib, sys\n"
        "for gone in ('torch', 'safetensors', 'matplotlib', 'scipy', 'pytest'):\n    sys.modules[gone] = None\n"
        f"for name in {names!r}:\n    importlib.import_module(name)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_measure_sees_a_heavy_import() -> None:
    assert "torch" in loaded(f"import quadrat, torch; {ASK_LOADED}")
    busy = "import time\nwhile time.process_time() < 0.25: pass"
    assert cpu_seconds([sys.executable, "-c", busy], rounds=1) > HELP_S
