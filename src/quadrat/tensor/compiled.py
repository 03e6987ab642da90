"""torch.compile where it was asked for, and the plain module wherever it does not work."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, final

import torch
from torch import Tensor, nn


def compiled(module: nn.Module, *, wanted: bool) -> Callable[..., Tensor]:
    """``module`` itself, or a callable that runs it through torch.compile and falls back to it.

    Compiling costs 20 to 60 CPU-seconds for each shape of input, so hand over what is called with one shape again
    and again. The results differ from the plain module's in the last bits. Parameters stay those of ``module``.
    """
    return _Compiled(module) if wanted else module


@final
class _Compiled:
    """Trusts the compiler until it fails where the module itself does not."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._run: Callable[..., Tensor] = torch.compile(module)
        self._proven = False

    def __call__(self, *arguments: Any) -> Tensor:
        """What the module returns for ``arguments``."""
        if self._proven:
            return self._run(*arguments)
        try:
            result = self._run(*arguments)
        except Exception as error:
            result = self._module(*arguments)  # the module's own fault surfaces here
            reason = str(error).strip().partition("\n")[0]
            warnings.warn(f"torch.compile failed, going on without it: {type(error).__name__}: {reason}", stacklevel=2)
            self._run = self._module
        self._proven = True
        return result
