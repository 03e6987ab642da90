"""Circuits that several tests look at."""

from __future__ import annotations

import pytest
import torch

from quadrat_studies.bilevel.config import DataConfig
from quadrat_studies.bilevel.generate import draw
from quadrat_studies.bilevel.ladder import Ladder
from quadrat_studies.bilevel.samples import Samples

ALL = {"butterworth": 1, "chebyshev": 1, "elliptic": 1, "bessel": 1, "random": 1}


@pytest.fixture(scope="session")
def wild() -> tuple[Ladder, torch.Tensor]:
    """Sixty ladders of any macros in any order, SKIPs in between, unequal ends; and frequencies."""
    generator = torch.Generator().manual_seed(3)
    ids = torch.randint(0, 9, (60, 9), generator=generator)
    x = 0.7 * torch.randn(60, 9, 2, generator=generator, dtype=torch.float64)
    rs = 0.5 + torch.rand(60, generator=generator, dtype=torch.float64)
    w = torch.linspace(0.2, 3.0, 37, dtype=torch.float64)
    return Ladder.of(ids, x, rs=rs, rl=rs.flip(0) * 2), w


@pytest.fixture(scope="session")
def mixed() -> Samples:
    """Circuits of every type and family."""
    return draw(DataConfig.model_validate({"families": ALL}), "train", count=240)


@pytest.fixture(scope="session")
def textbook() -> Samples:
    """Circuits of the default data."""
    return draw(DataConfig(), "train", count=160)
