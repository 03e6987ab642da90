"""Which accelerators this machine offers, found without loading a driver into this process."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Mapping

_PATIENCE = 2.0
_FAREWELL = 0.2


def visible_devices(environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The devices that ``CUDA_VISIBLE_DEVICES`` names or else all that ``nvidia-smi`` lists, by unique name.

    A driver that hangs counts as none after two seconds.
    """
    chosen = (os.environ if environ is None else environ).get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return parse_chosen(chosen)
    return parse_listing(_listing())


def parse_chosen(value: str) -> tuple[str, ...]:
    """The devices of a ``CUDA_VISIBLE_DEVICES`` value; as in CUDA, a -1 hides itself and all that follow."""
    names: list[str] = []
    for name in (part.strip() for part in value.split(",")):
        if name in {"", "-1", "NoDevFiles"}:
            break
        names.append(name)
    return tuple(names)


def parse_listing(text: str) -> tuple[str, ...]:
    """The devices of ``nvidia-smi -L``; a card cut into slices gives the slices in its place."""
    cards: list[list[str]] = []
    for line in text.splitlines():
        _, _, tail = line.rpartition("UUID: ")
        name = tail.rstrip(") \t")
        if line.startswith("GPU "):
            cards.append([name])
        elif name.startswith("MIG-") and cards:
            cards[-1].append(name)
    return tuple(name for card in cards for name in (card[1:] or card))


def _listing() -> str:
    try:
        driver = subprocess.Popen(
            ["nvidia-smi", "-L"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
    except OSError:
        return ""
    try:
        text, _ = driver.communicate(timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        # A process that waits for a dead driver cannot even be killed: ask, and do not stay for the answer.
        driver.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            driver.communicate(timeout=_FAREWELL)
        return ""
    return text if driver.returncode == 0 else ""
