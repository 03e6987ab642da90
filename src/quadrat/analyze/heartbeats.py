"""What the last heartbeats of a run say of it: how fast it steps, what of the machine it takes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, final

from quadrat.analyze.rows import moment

_RECENT: Final = 6
"""Heartbeats that CPU use is averaged over: enough to be steady, few enough to be of now."""


@final
@dataclass(frozen=True, slots=True)
class Devices:
    """What heartbeats tell of GPUs, one place a device; empty where nothing was told.

    Attributes:
        unknown: a GPU is in use and its driver does not answer.
        percent: how busy each is.
        memory: bytes in use on each.
        watts: power drawn by each.
        celsius: temperature of each.
    """

    unknown: bool = False
    percent: tuple[float, ...] = ()
    memory: tuple[float, ...] = ()
    watts: tuple[float, ...] = ()
    celsius: tuple[float, ...] = ()


@final
@dataclass(frozen=True, slots=True)
class Vitals:
    """Vital signs of a run; None for what is not known.

    Attributes:
        age: seconds since its last sign of life.
        cpu_percent: processor use of its process over the last seconds, 100 for one core.
        rss: resident memory of its process in bytes.
        steps_per_second: how fast it has stepped lately; None also while it stands still.
        devices: its GPUs.
    """

    age: float | None = None
    cpu_percent: float | None = None
    rss: int | None = None
    steps_per_second: float | None = None
    devices: Devices = field(default_factory=Devices)


def read_vitals(events: Sequence[Mapping[str, Any]]) -> Vitals:
    """The vital signs that the last ``events`` of a run hold, oldest first."""
    attempt = events[-1].get("attempt") if events else None
    beats = [row for row in events if row.get("event") == "heartbeat" and row.get("attempt") == attempt]
    last = beats[-1] if beats else {}
    return Vitals(
        age=_age(events),
        cpu_percent=_percent(_slope(beats[-_RECENT:], "cpu_s")),
        rss=int(rss) if (rss := _number(last.get("rss"))) is not None else None,
        steps_per_second=_slope(beats, "step") or None,
        devices=_devices(last),
    )


def _devices(beat: Mapping[str, Any]) -> Devices:
    return Devices(
        unknown=beat.get("gpu") == "unknown",
        percent=_numbers(beat.get("gpu_percent")),
        memory=_numbers(beat.get("gpu_memory")),
        watts=_numbers(beat.get("gpu_watts")),
        celsius=_numbers(beat.get("gpu_celsius")),
    )


def _slope(beats: Sequence[Mapping[str, Any]], key: str) -> float | None:
    """How much ``key`` grew per second from the first of the beats to the last."""
    known = [
        (time_, value) for beat in beats if (time_ := moment(beat)) and (value := _number(beat.get(key))) is not None
    ]
    if len(known) < 2:
        return None
    (began, low), (ended, high) = known[0], known[-1]
    seconds = (ended - began).total_seconds()
    return (high - low) / seconds if seconds > 0 and high >= low else None


def _percent(share: float | None) -> float | None:
    return None if share is None else 100.0 * share


def _age(events: Sequence[Mapping[str, Any]]) -> float | None:
    last = next((found for event in reversed(events) if (found := moment(event))), None)
    return None if last is None else max(0.0, time.time() - last.timestamp())


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _numbers(value: Any) -> tuple[float, ...]:
    """A figure per device; a single figure stands for one device."""
    listed = value if isinstance(value, list | tuple) else [value]
    return tuple(number for item in listed if (number := _number(item)) is not None)
