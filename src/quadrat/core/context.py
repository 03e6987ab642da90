"""What a trainable is given beside its config."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, final

from quadrat.core.events import Event


@final
@dataclass(frozen=True, slots=True)
class Context:
    """The world of one run, as far as science may see it.

    Attributes:
        seed: the seed already applied to python, numpy and torch.
        device: a torch device name, ``cpu`` or ``cuda``.
        data: the folder that ``build_data`` filled, or None when the study builds none. Read only.
        scratch: a folder of the run's own for temporary files; gone when the run has ended.
        state: what the last ``Checkpoint`` returned, when the run is resumed; None at a fresh start. The
            python, numpy and torch random states of that moment are already back in place.
        compile: whether torch.compile pays for this run; ``quadrat.tensor.compiled`` takes it.
    """

    seed: int
    device: str
    data: Path | None
    scratch: Path
    state: Mapping[str, Any] | None = None
    compile: bool = False


class Train(Protocol):
    """The shape of a trainable: a generator function of events."""

    def __call__(self, config: Any, context: Context) -> Iterator[Event]:
        """Yield the run's events in order."""
        ...


class TrainPack(Protocol):
    """The shape of a packed trainable: a generator of rows, one place for each member.

    A place holds the member's event or None. ``send(stopped)`` asks for the next row and names the members that
    were stopped so far, by place; ``next`` means that nothing changed, so a plain ``for`` loop drives it as well.
    """

    def __call__(
        self, configs: Sequence[Any], contexts: Sequence[Context]
    ) -> Generator[Sequence[Event | None], frozenset[int] | None]:
        """Yield a row of events until every member has ended."""
        ...


Build = Callable[[Any, Path], None]
"""The shape of ``build_data(config, folder)``."""
