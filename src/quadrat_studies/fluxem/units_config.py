"""What may be varied in the units data. Plain data: nothing here imports torch."""

from __future__ import annotations

from typing import Annotated, Literal, Self, final

from pydantic import BaseModel, ConfigDict, Field, model_validator

UnitType = Literal[
    "length", "mass", "time", "temperature", "velocity", "area", "pressure", "force", "momentum", "mass_flow"
]
UNITS_FEATURES = frozenset({"quantity", "phases"})
"""What ``model.number_features`` may name when the data are about units."""
Magnitude = Annotated[float, Field(ge=1e-30, le=1e30)]
Range = tuple[Magnitude, Magnitude]


@final
class UnitsDataConfig(BaseModel):
    """The splits of the units study. Equal values give equal files."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    domain: Literal["units"]
    """Makes this section one about units; without it ``data`` is about arithmetic."""
    train_size: int = Field(default=1000, ge=1)
    validation_size: int = Field(default=200, ge=1)
    """Held out from training for choosing hyper-parameters; the test splits are never used for that."""
    test_size: int = Field(default=200, ge=1)
    """Samples in each of the three test splits."""
    unit_types: tuple[UnitType, ...] = Field(
        default=("length", "mass", "time", "temperature", "velocity"), min_length=2
    )
    """Types whose units are trained on."""
    heldout_types: tuple[UnitType, ...] = Field(
        default=("area", "pressure", "force", "momentum", "mass_flow"), min_length=1
    )
    """Types that only ``test_ood_types`` asks about."""
    heldout_pair_share: float = Field(default=0.2, gt=0.0, lt=1.0)
    """Share of unit pairs that training never combines, in either direction; at least one of every kind."""
    id_magnitude_range: Range = (1e-3, 1e3)
    ood_magnitude_range: Range = (1e-9, 1e9)
    """``test_ood_magnitude`` draws from this range without the one above, log-uniformly like the others."""
    include_can_add: bool = True
    """Every second sample asks whether two quantities can be added; else all are conversions."""
    significant_digits: int = Field(default=3, ge=1, le=15)
    """Digits of every number, given and asked for."""
    seed: int = Field(default=42, ge=0)
    """Seed of the data alone, so that every training seed sees the same splits."""

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        for name in ("id_magnitude_range", "ood_magnitude_range"):
            low, high = getattr(self, name)
            if low >= high:
                raise ValueError(f"{name} must rise, but got [{low:g}, {high:g}]")
        (low, high), (least, most) = self.id_magnitude_range, self.ood_magnitude_range
        if least > low or most < high or (least, most) == (low, high):
            raise ValueError(
                f"ood_magnitude_range [{least:g}, {most:g}] must hold id_magnitude_range [{low:g}, {high:g}] and more"
            )
        types = [*self.unit_types, *self.heldout_types]
        twice = sorted({name for name in types if types.count(name) > 1})
        if twice:
            raise ValueError(f"named twice in unit_types and heldout_types: {', '.join(twice)}")
        return self
