"""The callbacks cost nothing until their framework is there, and then say plainly what is missing."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

NAMES = {"lightning": "QuadratLogger", "huggingface": "QuadratCallback", "keras": "QuadratCallback"}
HEAVY = ("torch", "lightning", "transformers", "keras")


def test_importing_them_imports_no_framework():
    code = "; ".join(f"import quadrat.callbacks.{name}" for name in NAMES)
    ask = f"import sys; {code}; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_nobody_has_is_an_attribute_error(name):
    module = importlib.import_module(f"quadrat.callbacks.{name}")
    with pytest.raises(AttributeError, match="has no attribute 'Quadrat'"):
        _ = module.Quadrat


@pytest.mark.parametrize(("name", "missing"), [("lightning", "lightning"), ("huggingface", "transformers")])
def test_without_its_framework_the_package_is_named(name, missing, monkeypatch):
    module = importlib.import_module(f"quadrat.callbacks.{name}")
    monkeypatch.delitem(vars(module), NAMES[name], raising=False)
    for known in [known for known in sys.modules if known.partition(".")[0] in (missing, "pytorch_lightning")]:
        monkeypatch.delitem(sys.modules, known)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ModuleNotFoundError, match=missing):
        getattr(module, NAMES[name])
