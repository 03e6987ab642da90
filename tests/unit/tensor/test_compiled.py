"""torch.compile asked for: used where it works, left out where it does not."""

from __future__ import annotations

import shutil

import pytest
import torch
from torch import nn

from quadrat.tensor.compiled import compiled


def small() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.SiLU(), nn.Linear(8, 2))


def test_unwanted_is_the_module_itself():
    module = small()
    assert compiled(module, wanted=False) is module


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler here")
def test_compiled_gives_the_modules_values_and_gradients():
    module, x = small(), torch.randn(3, 4)
    wanted = torch.autograd.grad(module(x).sum(), list(module.parameters()))
    found = torch.autograd.grad(compiled(module, wanted=True)(x).sum(), list(module.parameters()))
    for a, b in zip(wanted, found, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


def test_without_a_compiler_the_module_goes_on_and_it_is_said(monkeypatch):
    from torch._inductor import config

    torch.compiler.reset()
    monkeypatch.setattr(config.cpp, "cxx", ("no-such-compiler",))
    monkeypatch.setattr(config, "fx_graph_cache", False)
    module, x = small(), torch.randn(3, 4)
    run = compiled(module, wanted=True)
    with pytest.warns(UserWarning, match="going on without it"):
        assert torch.equal(run(x), module(x))
    assert torch.equal(run(x), module(x))


def test_the_modules_own_fault_is_raised_as_such():
    module = small()
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        compiled(module, wanted=True)(torch.randn(3, 5))
