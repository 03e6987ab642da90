"""What a study took of the machine: each process counted once, also when many packed runs shared it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias, final

from quadrat.analyze.rows import Row, moment

Owner: TypeAlias = tuple[Any, ...]
"""What tells one process from all others: host, boot, number and moment of creation."""


@final
@dataclass(frozen=True, slots=True)
class DeviceUse:
    """GPUs over all heartbeats: mean load in percent, most memory in bytes, mean power in watts, most heat in Celsius.

    ``unknown``: a GPU was in use and its driver did not answer. NaN where nothing was told.
    """

    unknown: bool = False
    percent: float = math.nan
    memory: float = math.nan
    watts: float = math.nan
    celsius: float = math.nan


@final
@dataclass(frozen=True, slots=True)
class Usage:
    """What a study took.

    Attributes:
        processes: how many processes did the work.
        seconds: wall time of all of them, one after the other.
        cpu_seconds: processor time of all of them; NaN when no heartbeat tells.
        peak_bytes: resident memory of the largest; NaN when no heartbeat tells.
        devices: what the GPUs did; None when none was used.
    """

    processes: int = 0
    seconds: float = 0.0
    cpu_seconds: float = math.nan
    peak_bytes: float = math.nan
    devices: DeviceUse | None = None


@final
@dataclass(slots=True)
class _Process:
    times: list[datetime] = field(default_factory=list[datetime])
    cpu: list[float] = field(default_factory=list[float])
    rss: list[float] = field(default_factory=list[float])


def usage(rows: Iterable[Row]) -> Usage:
    """What the runs of ``rows`` took of the machine, from their events."""
    seen: dict[Owner, _Process] = {}
    beats: dict[tuple[Owner, Any], Mapping[str, Any]] = {}
    for row in rows:
        owners = _owners(row)
        for event in row.events:
            owner = owners.get(event.get("attempt"), (row.declared.place, event.get("attempt")))
            process, time = seen.setdefault(owner, _Process()), moment(event)
            if time is not None:
                process.times.append(time)
            if event.get("event") == "heartbeat":
                process.cpu += _number(event.get("cpu_s"))
                process.rss += _number(event.get("rss"))
                # Members of a pack beat together; one beat a second of a process is enough.
                beats[owner, str(event.get("time"))[:19]] = event
    cpu = [max(process.cpu) for process in seen.values() if process.cpu]
    rss = [max(process.rss) for process in seen.values() if process.rss]
    spans = [(max(p.times) - min(p.times)).total_seconds() for p in seen.values() if p.times]
    return Usage(
        processes=len(seen),
        seconds=math.fsum(spans),
        cpu_seconds=math.fsum(cpu) if cpu else math.nan,
        peak_bytes=max(rss, default=math.nan),
        devices=_devices(list(beats.values())),
    )


def _owners(row: Row) -> dict[Any, Owner]:
    """The process of each attempt that names its own."""
    found: dict[Any, Owner] = {}
    for event in row.events:
        process = event.get("process")
        if event.get("event") == "started" and isinstance(process, Mapping):
            found[event.get("attempt")] = tuple(process.get(key) for key in ("host", "boot_id", "pid", "create_time"))
    return found


def _devices(beats: Sequence[Mapping[str, Any]]) -> DeviceUse | None:
    unknown = any(beat.get("gpu") == "unknown" for beat in beats)
    percent, memory, watts, celsius = (
        [value for beat in beats for value in _number(beat.get(key))]
        for key in ("gpu_percent", "gpu_memory", "gpu_watts", "gpu_celsius")
    )
    if not (unknown or percent or memory or watts or celsius):
        return None
    return DeviceUse(
        unknown, _mean(percent), max(memory, default=math.nan), _mean(watts), max(celsius, default=math.nan)
    )


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan


def _number(value: Any) -> list[float]:
    """The finite numbers of a value that is one, or a list of some."""
    values = value if isinstance(value, list) else [value]
    plain = (float(item) for item in values if isinstance(item, int | float) and not isinstance(item, bool))
    return [item for item in plain if math.isfinite(item)]
