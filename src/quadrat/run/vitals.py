"""Vital signs of the devices a run uses, for its heartbeat. A driver that is missing or hangs is ``unknown``."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final, final

PATIENCE_SECONDS: Final = 2.0
DRIVER: Final = Path("/dev/nvidiactl")


@final
class DeviceVitals:
    """Asks a reader for figures, at most ``PATIENCE_SECONDS`` at a time; one that hangs is never asked again."""

    def __init__(self, read: Callable[[], Mapping[str, Any]], *, patience: float = PATIENCE_SECONDS) -> None:
        self._read = read
        self._patience = patience
        self._given_up = False

    def __call__(self) -> Mapping[str, Any]:
        """``gpu_percent``, ``gpu_memory`` (bytes), ``gpu_watts`` and ``gpu_celsius``, one place a device."""
        if self._given_up:
            return {"gpu": "unknown"}
        answer: list[Mapping[str, Any]] = []
        thread = threading.Thread(target=self._ask, args=(answer,), name="quadrat-vitals", daemon=True)
        thread.start()
        thread.join(self._patience)
        if answer:
            return answer[0]
        self._given_up = True
        return {"gpu": "unknown"}

    def _ask(self, answer: list[Mapping[str, Any]]) -> None:
        try:
            answer.append(self._read())
        except Exception:  # whatever a driver raises, the run must not notice
            return


def for_run(gpus: int) -> Callable[[], Mapping[str, Any]]:
    """The vitals of a run that was granted ``gpus`` devices: nothing when it uses none."""
    if gpus < 1:
        return dict[str, Any]
    return DeviceVitals(read_nvidia) if DRIVER.exists() else DeviceVitals(_no_driver)


def _no_driver() -> Mapping[str, Any]:
    return {"gpu": "unknown"}


def read_nvidia() -> Mapping[str, Any]:
    """Figures of the visible NVIDIA devices.

    Raises:
        Exception: the driver or its python package (``pip install 'quadrat[gpu]'``) is not there.
    """
    pynvml: Any = import_module("pynvml")  # ships no types
    pynvml.nvmlInit()
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        return {
            "gpu_percent": [pynvml.nvmlDeviceGetUtilizationRates(handle).gpu for handle in handles],
            "gpu_memory": [pynvml.nvmlDeviceGetMemoryInfo(handle).used for handle in handles],
            "gpu_watts": [pynvml.nvmlDeviceGetPowerUsage(handle) / 1000 for handle in handles],
            "gpu_celsius": [pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU) for handle in handles],
        }
    finally:
        pynvml.nvmlShutdown()
