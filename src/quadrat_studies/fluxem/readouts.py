"""Every way in which an answer may come out of the network, one after the other.

Shapes: R replicas, B samples, h width, A answer tokens, K places read at once, D digits.

    digits       one character after the other, then EOS; units first or as printed
    chunks       one token of three digits after the other, then EOS; as printed
    number_head  at once: sign, and D digits of the size
    circles      at once: D digits as points on circles of ten, a negative answer as ten's complement
    residues     at once: the remainder by each coprime modulus, put together by the Chinese remainder theorem
    bits         at once: the 64 bits of the answer's float64
    scalar       at once: one number, by squared error in units of the training answers' deviation, then rounded
    program      one character after the other, then EOS: operands and operations, for the algebra (``tool.py``)

The first two and the last are generated; the others are read from the column "=" (from one for each modulus where
numbers entered as residues). A ``Codec`` says what an answer looks like to a read-out and what the network's choices
spell; a ``Head`` is the learned part. A codec knows nothing of the network: it turns classes into text by fixed rules
that are the same for every model.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from quadrat import UsageError
from quadrat.tensor import stack
from quadrat_studies.fluxem.circular import decode_residues
from quadrat_studies.fluxem.config import ModelConfig
from quadrat_studies.fluxem.layers import Affine, Seeds
from quadrat_studies.fluxem.representations import CHUNKS, chunk_tokens, decode_bits, encode_bits, vocabulary
from quadrat_studies.fluxem.tokens import ALPHABET, EOS, PAD, Targets, answer_text, answer_tokens, digit_classes
from quadrat_studies.fluxem.tokens import digits_text as spell

GENERATED = frozenset({"digits", "chunks", "program"})
BITS = 64
LARGEST_EXACT = 2**53


# Codecs: answers to classes and back -------------------------------------------------------------------------------


class Codec(ABC):
    """How a read-out writes an integer. ``sizes`` are the classes of each place, empty for generated answers."""

    sizes: tuple[int, ...] = ()

    @abstractmethod
    def classes(self, answer: str) -> list[int]:
        """What must be said for ``answer``.

        Raises:
            UsageError: the read-out cannot write this answer.
        """

    @abstractmethod
    def text(self, classes: Sequence[int]) -> str:
        """What was said."""


@final
class Digits(Codec):
    """Characters and EOS, those of an answer or of a program."""

    def __init__(self, config: ModelConfig) -> None:
        self._reverse = config.answer_order == "reversed" and config.readout == "digits"

    def classes(self, answer: str) -> list[int]:
        """What must be said for ``answer``."""
        return answer_tokens(answer, reverse=self._reverse)

    def text(self, classes: Sequence[int]) -> str:
        """What was said."""
        return answer_text(classes, reverse=self._reverse)


@final
class ChunkTokens(Codec):
    """Tokens of three digits and EOS."""

    def __init__(self, config: ModelConfig) -> None:
        del config
        self._symbols = (*ALPHABET, *CHUNKS)

    def classes(self, answer: str) -> list[int]:
        """What must be said for ``answer``."""
        return [*chunk_tokens(answer), EOS]

    def text(self, classes: Sequence[int]) -> str:
        """What was said."""
        ids = list(classes)
        finished = EOS in ids
        written = "".join(self._symbols[token] for token in ids[: ids.index(EOS) if finished else None])
        return written + ("" if finished else "...")


@final
class SignAndDigits(Codec):
    """1 for a minus sign, then the digits of the size, units first."""

    def __init__(self, config: ModelConfig) -> None:
        self._digits = config.answer_digits
        self.sizes = (2,) + (10,) * self._digits

    def classes(self, answer: str) -> list[int]:
        """What must be said for ``answer``."""
        return digit_classes(answer, self._digits)

    def text(self, classes: Sequence[int]) -> str:
        """What was said."""
        return spell(classes)


@final
class TensComplement(Codec):
    """Digits of the answer modulo ``10**D``, units first; the upper half stands for negative numbers."""

    def __init__(self, config: ModelConfig) -> None:
        self._digits = config.answer_digits
        self.sizes = (10,) * self._digits

    def classes(self, answer: str) -> list[int]:
        """What must be said for ``answer``."""
        if not -(10**self._digits) < 2 * int(answer) < 10**self._digits:
            raise UsageError(
                f"the answer {answer} does not fit into {self._digits} digits of ten's complement.",
                where="model.answer_digits",
                remedy="set model.answer_digits to one more than the answer has.",
            )
        return [int(digit) for digit in reversed(f"{int(answer) % 10**self._digits:0{self._digits}d}")]

    def text(self, classes: Sequence[int]) -> str:
        """What was said."""
        value = int("".join(str(digit) for digit in reversed(classes)))
        return str(value - 10**self._digits if 2 * value >= 10**self._digits else value)


@final
class Remainders(Codec):
    """The remainder by each modulus; the answer is the integer nearest to 0 that has them all."""

    def __init__(self, config: ModelConfig) -> None:
        self.sizes = config.moduli

    def classes(self, answer: str) -> list[int]:
        """What must be said for ``answer``."""
        if 2 * abs(int(answer)) >= math.prod(self.sizes):
            raise UsageError(
                f"the answer {answer} is too large for moduli with the product {math.prod(self.sizes)}.",
                where="model.moduli",
                remedy="add a modulus, coprime to the others.",
            )
        return [int(answer) % modulus for modulus in self.sizes]

    def text(self, classes: Sequence[int]) -> str:
        """What was said."""
        return str(int(decode_residues(np.array(classes, np.int64), self.sizes)))


@final
class Float64(Codec):
    """The bits of a float64. A float that is no integer is written as such, and so is wrong."""

    def __init__(self, config: ModelConfig) -> None:
        del config
        self.sizes = (2,) * BITS

    def classes(self, answer: str) -> list[int]:
        """What must be said for ``answer``."""
        return [int(bit > 0) for bit in encode_bits(np.array([float(int(answer))]))[0]]

    def text(self, classes: Sequence[int]) -> str:
        """What was said."""
        value = float(decode_bits(np.array([classes]))[0])
        return str(int(value)) if math.isfinite(value) and value == int(value) else str(value)


@final
class Value(Codec):
    """The integer itself."""

    def __init__(self, config: ModelConfig) -> None:
        del config

    def classes(self, answer: str) -> list[int]:
        """What must be said for ``answer``."""
        if abs(int(answer)) > LARGEST_EXACT:
            raise UsageError(
                f"the answer {answer} is beyond 2**53, where a float no longer tells integers apart.",
                where="model.readout",
                remedy="use smaller operands or another read-out.",
            )
        return [int(answer)]

    def text(self, classes: Sequence[int]) -> str:
        """What was said."""
        return str(classes[0])


def codec(config: ModelConfig) -> Codec:
    """The codec of a model."""
    kinds: dict[str, Callable[[ModelConfig], Codec]] = {
        "digits": Digits,
        "program": Digits,
        "chunks": ChunkTokens,
        "number_head": SignAndDigits,
        "circles": TensComplement,
        "residues": Remainders,
        "bits": Float64,
        "scalar": Value,
    }
    return kinds[config.readout](config)


def encode_answers(answers: Sequence[str], config: ModelConfig) -> Targets:
    """All answers as one table of classes ``[N, A]``, filled up on the right."""
    writer = codec(config)
    rows = [writer.classes(answer) for answer in answers]
    width = max(map(len, rows))
    padded = [row + [PAD] * (width - len(row)) for row in rows]
    return Targets(torch.tensor(padded), torch.tensor([len(row) for row in rows]))


# Heads: vectors to choices -----------------------------------------------------------------------------------------


@final
class Head(nn.Module):
    """From the stream ``[R, B, A, h]`` to logits ``[R, B, A, V]``, or at once ``[R, B, K, most classes]``.

    At once means from one column, A = 1, or with ``residues`` as representation from one for each place, A = K. A place
    with fewer classes than the most has minus infinity for those it lacks. ``scalar`` gives ``[R, B, 1]``.
    """

    mean: Tensor
    scale: Tensor
    taken: Tensor
    points: Tensor

    def __init__(self, config: ModelConfig, seeds: Seeds) -> None:
        super().__init__()
        h = config.hidden_dim
        self.kind, self.sizes = config.readout, codec(config).sizes
        self.lanes = config.representation == "residues"
        if self.kind in GENERATED:
            self.out = Affine(seeds, "head", fan_in=h, fan_out=vocabulary(config))
        elif self.kind == "number_head":
            # Each digit reads the stream through a gate of its own and ten directions that all share; a full table
            # would cost 10 D h parameters.
            self.sign = Affine(seeds, "head.sign", fan_in=h, fan_out=2)
            self.out = Affine(seeds, "head.digit", fan_in=h, fan_out=10)
            self.gates = stack.normal(seeds, "head.gates", shape=(len(self.sizes) - 1, h), std=[1.0] * len(seeds))
        elif self.kind == "circles":
            angle = torch.arange(10) * (2 * math.pi / 10)
            self.register_buffer("points", torch.stack([angle.cos(), angle.sin()]), persistent=False)
            self.out = Affine(seeds, "head", fan_in=h, fan_out=2 * len(self.sizes))
        elif self.kind == "scalar":
            self.out = Affine(seeds, "head", fan_in=h, fan_out=1)
            self.register_buffer("mean", torch.zeros(len(seeds), 1, dtype=torch.float64))
            self.register_buffer("scale", torch.ones(len(seeds), 1, dtype=torch.float64))
        else:
            self.out = Affine(seeds, "head", fan_in=h, fan_out=max(self.sizes) if self.lanes else sum(self.sizes))
            sizes, classes = torch.tensor(self.sizes)[:, None], torch.arange(max(self.sizes))
            starts = torch.zeros_like(sizes) if self.lanes else sizes.cumsum(0) - sizes
            self.register_buffer("taken", torch.where(classes < sizes, starts + classes, -1), persistent=False)

    def fit(self, answers: Sequence[str]) -> None:
        """Take the scale of ``scalar`` from the training answers."""
        if self.kind == "scalar":
            values = torch.tensor([float(int(answer)) for answer in answers], dtype=torch.float64)
            self.mean.fill_(values.mean().item())
            self.scale.fill_(max(values.std(correction=0).item(), 1.0))

    def forward(self, x: Tensor) -> Tensor:
        """Logits, or scalars."""
        if self.kind in GENERATED:
            return self.out(x)
        if self.lanes:
            return self.out(x).masked_fill(self.taken < 0, -math.inf)
        x = x[:, :, 0]
        if self.kind == "scalar":
            return self.out(x)
        if self.kind == "number_head":
            digits = self.out(x[:, :, None] * self.gates[:, None])
            return torch.cat([F.pad(self.sign(x), (0, 8), value=-math.inf)[:, :, None], digits], dim=2)
        if self.kind == "circles":
            return self.out(x).unflatten(-1, (-1, 2)) @ self.points
        return self.out(x)[..., self.taken.clamp(min=0)].masked_fill(self.taken < 0, -math.inf)

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Each replica's mean loss over all places that are not padding, ``[R]``; targets are ``[R, B, A]``."""
        outputs = outputs.float()
        if self.kind == "scalar":
            wanted = (targets - stack.spread(self.mean, targets)) / stack.spread(self.scale, targets)
            return (outputs - wanted.float()).square().flatten(1).mean(1)
        ignored = PAD if self.kind in GENERATED else -100
        each = F.cross_entropy(outputs.flatten(0, 2), targets.flatten(), ignore_index=ignored, reduction="none")
        return each.view(targets.shape[0], -1).sum(1) / (targets != ignored).flatten(1).sum(1)

    def choices(self, outputs: Tensor) -> Tensor:
        """The most likely class of each place, ``[R, B, K]``; of ``scalar``, the nearest integer."""
        if self.kind == "scalar":
            values = outputs.double() * stack.spread(self.scale, outputs) + stack.spread(self.mean, outputs)
            return values.round().long()
        return outputs.argmax(-1)
