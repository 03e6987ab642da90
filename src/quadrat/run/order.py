"""The work order: what a job folder tells its worker. Plain JSON, so any launcher on any machine can carry it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, final

from quadrat.core.spec import Point, Resources, RunSpec
from quadrat.journal.atomic import read_json, write_json

NAME = "job.json"


@final
@dataclass(frozen=True, slots=True)
class Keep:
    """Which offers of a checkpoint are taken up.

    Attributes:
        count, unit: every so many ``steps``, ``epochs`` or ``seconds``.
        keep: ``last``, ``best`` or both.
        metric, goal: what ``best`` means; goal is ``max`` or ``min``.
    """

    count: float = 60.0
    unit: str = "seconds"
    keep: tuple[str, ...] = ("last",)
    metric: str | None = None
    goal: str = "max"


@final
@dataclass(frozen=True, slots=True)
class WorkOrder:
    """One run to do. Paths are relative to the root, except the root itself, which the job folder implies.

    Attributes:
        spec: the run.
        resources: threads and devices granted.
        keep: checkpoint policy.
        rules: health rules: mappings, and names of shared sets.
        captured: folder (relative) that holds ``env.json``, ``git.json`` and ``git.diff`` of this launch.
        python_path: folders for ``sys.path``, for a trainable beside its study file.
        compile: let the science use torch.compile.
        allow_drift: go on although code or data changed since the checkpoint.
        argv: the command line of the person who started this.
    """

    spec: RunSpec
    resources: Resources = field(default_factory=Resources)
    keep: Keep = field(default_factory=Keep)
    rules: tuple[Mapping[str, Any] | str, ...] = ()
    captured: str | None = None
    python_path: tuple[str, ...] = ()
    compile: bool = False
    allow_drift: bool = False
    argv: tuple[str, ...] = ()


def write(folder: Path, orders: Sequence[WorkOrder]) -> None:
    """Put the orders of a job into its folder: one, or many that are packed."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / NAME, {"schema": 1, "orders": [asdict(order) for order in orders]})


def read(folder: Path) -> list[WorkOrder]:
    """Read the orders from a job folder.

    Raises:
        StoreError: there are none, or they are damaged.
    """
    return [_order(raw) for raw in read_json(folder / NAME)["orders"]]


def _order(raw: Mapping[str, Any]) -> WorkOrder:
    spec = dict(raw["spec"])
    spec["point"] = Point(**spec["point"])
    keep = dict(raw["keep"])
    keep["keep"] = tuple(keep["keep"])
    return WorkOrder(
        spec=RunSpec(**spec),
        resources=Resources(**raw["resources"]),
        keep=Keep(**keep),
        rules=tuple(raw["rules"]),
        captured=raw["captured"],
        python_path=tuple(raw["python_path"]),
        compile=raw["compile"],
        allow_drift=raw["allow_drift"],
        argv=tuple(raw["argv"]),
    )
