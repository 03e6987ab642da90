"""What mechanism experiments put into a model on its way: they look, block or substitute. See ``model.Probe``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from quadrat_studies.symmetry.convolution import Parts
from quadrat_studies.symmetry.model import Probe


@final
class Recorder:
    """Keeps everything that passes its probe, one entry for each layer."""

    def __init__(self) -> None:
        self.parts: list[Parts] = []
        self.scores: list[Tensor] = []
        self.streams: list[Tensor] = []

    @property
    def probe(self) -> Probe:
        """The probe to hand to a model."""
        return Probe(convolved=self._convolved, scored=self._scored, passed=self._passed)

    def _convolved(self, layer: int, parts: Parts) -> Parts:
        self.parts.append(parts)
        return parts

    def _scored(self, layer: int, scores: Tensor) -> Tensor:
        self.scores.append(scores)
        return scores

    def _passed(self, layer: int, h: Tensor) -> None:
        self.streams.append(h)


def blocker(cut: Tensor) -> Probe:
    """Cuts the way from some positions to later ones, in every layer: ``cut`` ``[B, L, L]`` is true where cut."""
    return Probe(scored=lambda layer, scores: scores.masked_fill(cut, 0.0))


def substitute(others: Sequence[Parts], places: Tensor) -> Probe:
    """Puts what another sequence's convolutions gave (one entry for each layer) at the ``places`` ``[B, L]``."""

    def put(layer: int, parts: Parts) -> Parts:
        pieces = zip(others[layer], parts, strict=True)
        return tuple(torch.where(places[..., None], other, own) for other, own in pieces)

    return Probe(convolved=put)


def cut_from(sources: Tensor, *, first_reader: Tensor | None = None) -> Tensor:
    """From which position to which the way is cut, ``[B, L, L]`` (reader, source).

    Args:
        sources: the positions that later ones may not see, ``[B, L]`` of bool. They still see themselves.
        first_reader: the first reader cut off, ``[B]``; all later ones too. None: every reader.
    """
    length = sources.shape[1]
    reader, source = torch.arange(length)[:, None], torch.arange(length)[None, :]
    cut = sources[:, None, :] & (reader > source)
    return cut if first_reader is None else cut & (reader >= first_reader[:, None, None])


def positions(slots: Tensor, length: int, *, first: int, last: int) -> Tensor:
    """True at ``slot + first .. slot + last`` of each row, ``[B, L]``."""
    offsets = torch.arange(length)[None, :] - slots[:, None]
    return (offsets >= first) & (offsets <= last)
